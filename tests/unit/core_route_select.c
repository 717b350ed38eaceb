/* Which server, which URL: selection, health, redirects, pairs that are illegal or unknown. */
#include "tests/unit/route_check.h"

static void illegal_and_unknown(void **state)
{
    (void)state;
    struct case_of c;
    begin(&c);
    struct server *s = builder_server(c.org, "EX13CAS01");
    s->generation = GENERATION_2016;
    mailbox(&c, CAROL);
    c.r.protocol = PROTOCOL_OA;
    decide(&c, NULL);
    assert_int_equal(c.d.action, ROUTE_REFUSE);
    assert_int_equal(c.d.works, TRI_NO);
    assert_int_equal(precondition(&c, "coexistence")->holds, TRI_NO);
    assert_non_null(strstr(c.d.why, "2013")); /* the version in between */
    s->generation = GENERATION_SE;
    mailbox(&c, ALICE);
    decide(&c, NULL);
    assert_int_equal(c.d.action, ROUTE_REFUSE);
    /* nothing known: not "ok" */
    static const struct {
        enum generation arriving, mailbox;
    } misses[] = {{GENERATION_2013, GENERATION_2019}, {GENERATION_2013, GENERATION_SE},
                  {GENERATION_2016, GENERATION_SE},   {GENERATION_2019, GENERATION_SE},
                  {GENERATION_2013, GENERATION_2003}, {GENERATION_2010, GENERATION_2007},
                  {GENERATION_2007, GENERATION_2007}, {GENERATION_2013, GENERATION_UNKNOWN}};
    for (size_t i = 0; i < ARRAY_LEN(misses); i++) {
        s->generation = misses[i].arriving;
        c.r.mailbox_generation = misses[i].mailbox;
        for (int p = 0; p < PROTOCOL_COUNT; p++) {
            c.r.protocol = (enum protocol)p;
            decide(&c, NULL);
            assert_int_equal(c.d.action, ROUTE_UNKNOWN);
            assert_null(c.d.target);
            assert_null(c.d.url);
        }
    }
    assert_null(route_action_name(ROUTE_UNKNOWN));
    /* no site: what depends on it is unknown, what does not is still said */
    s->generation = GENERATION_2013;
    mailbox(&c, ALICE);
    c.r.mailbox_site = NULL;
    c.r.protocol = PROTOCOL_OWA;
    decide(&c, NULL);
    assert_int_equal(c.d.action, ROUTE_UNKNOWN);
    assert_non_null(strstr(c.d.why, "sites"));
    c.r.protocol = PROTOCOL_MAPI;
    decide(&c, NULL);
    assert_int_equal(c.d.action, ROUTE_REFUSE);
    end(&c);
}

static bool down(void *arg, const struct server *s, enum protocol p)
{
    (void)p;
    return !strstr(arg, s->name);
}

/* Candidates: health, URLs, Outlook Anywhere names, arrays, the order per user. */
static void selection(void **state)
{
    (void)state;
    struct case_of c;
    *(&c) = (struct case_of){0};
    org_begin(&c.b, "Contoso", "contoso.lab");
    struct site *hub = add_site(&c.b, "Hub", NULL), *old = add_site(&c.b, "Old", NULL),
                *mixed = add_site(&c.b, "Mixed", NULL);
    add_link(&c.b, hub, old, 10);
    add_link(&c.b, old, mixed, 10);
    struct server *s, *arriving = NULL;
    for (int i = 1; i <= 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "A%02d", i);
        s = add_server(&c.b, name, old, "14.3.123.4", BUILDER_ROLES_LEGACY);
        add_outlook_anywhere(&c.b, s, i == 3 ? NULL : "mail.contoso.lab", AUTH_BASIC, AUTH_NTLM);
        add_client_access(&c.b, s, NULL);
    }
    arriving = add_server(&c.b, "EX13", hub, "15.0.1497.2", BUILDER_ROLES_CAFE);
    add_outlook_anywhere(&c.b, arriving, "mail.contoso.lab", AUTH_NEGOTIATE, AUTH_NTLM);
    add_client_access(&c.b, arriving, "mail.contoso.lab");
    struct server *m7 = add_server(&c.b, "M07", mixed, "8.3.83.6", ROLE_MAILBOX);
    s = add_server(&c.b, "M10", mixed, "14.3.123.4", BUILDER_ROLES_LEGACY);
    add_outlook_anywhere(&c.b, s, "mail.contoso.lab", AUTH_BASIC, AUTH_NTLM);
    add_client_access(&c.b, s, NULL);
    add_server(&c.b, "MBX", old, "14.3.123.4", ROLE_MAILBOX);
    add_array(&c.b, "outlook.contoso.lab", old);
    c.org = org_end(&c.b);
    arena_init(&c.arena, 16 << 20);
    c.r = (struct route_request){
        .arriving = arriving, .mailbox_generation = GENERATION_2010, .mailbox_site = old};

    /* spread over users, the same for one */
    for (int p = PROTOCOL_OA; p <= PROTOCOL_EAS; p++) {
        unsigned hits[5] = {0};
        if (p == PROTOCOL_MAPI)
            continue;
        c.r.protocol = (enum protocol)p;
        for (uint64_t h = 0; h < 40; h++) {
            c.r.anchor_hash = h;
            decide(&c, NULL);
            hits[c.d.target->name[2] - '0']++;
            const struct server *first = c.d.target;
            decide(&c, NULL);
            assert_ptr_equal(first, c.d.target);
        }
        for (int i = 1; i <= 4; i++)
            assert_int_equal(hits[i], 10);
    }
    /* the sick are passed over; for Outlook Anywhere the stand-in needs an external host name */
    char sick[64] = "A01 A02 A04";
    c.r.healthy = down;
    c.r.healthy_arg = sick;
    c.r.protocol = PROTOCOL_OWA;
    for (c.r.anchor_hash = 0; c.r.anchor_hash < 4; c.r.anchor_hash++) {
        decide(&c, NULL);
        assert_string_equal(c.d.target->name, "A03");
    }
    c.r.protocol = PROTOCOL_OA;
    for (c.r.anchor_hash = 0; c.r.anchor_hash < 4; c.r.anchor_hash++) {
        decide(&c, NULL);
        if (c.r.anchor_hash == 2) {
            assert_string_equal(c.d.target->name, "A03");
        } else {
            assert_null(c.d.target);
            assert_int_equal(c.d.status, 404);
            assert_int_equal(c.d.works, TRI_NO);
        }
    }
    snprintf(sick, sizeof sick, "A01 A02 A03 A04");
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        c.r.protocol = (enum protocol)p;
        decide(&c, NULL);
        if (p != PROTOCOL_OAB) /* any site may serve it */
            assert_null(c.d.target);
        else
            assert_string_equal(c.d.target->name, "M10");
    }
    c.r.healthy = NULL;
    /* the URL that must be there */
    static const enum protocol with_url[] = {PROTOCOL_OWA, PROTOCOL_ECP, PROTOCOL_EAS};
    for (size_t k = 0; k < ARRAY_LEN(with_url); k++) {
        for (int i = 1; i <= 4; i++) {
            char name[16];
            snprintf(name, sizeof name, "A%02d", i);
            if (i != 2)
                builder_vdir(c.org, name, with_url[k])->internal_url = NULL;
        }
        c.r.protocol = with_url[k];
        for (c.r.anchor_hash = 0; c.r.anchor_hash < 4; c.r.anchor_hash++) {
            decide(&c, NULL);
            assert_string_equal(c.d.target->name, "A02");
        }
    }
    /* the offline address book: the site with the lowest cost, whoever asks; equal servers take turns */
    c.r.protocol = PROTOCOL_OAB;
    for (c.r.anchor_hash = 0; c.r.anchor_hash < 10; c.r.anchor_hash++) {
        decide(&c, NULL);
        assert_ptr_equal(c.d.target->site, old);
        assert_int_equal(c.d.target->name[2] - '1', (int)(c.r.anchor_hash % 4));
    }
    c.org->links[0].cost = 1000; /* no way round: still nearer than what lies behind it */
    decide(&c, NULL);
    assert_ptr_equal(c.d.target->site, old);
    add_link(&c.b, hub, mixed, 5); /* a shorter way to the other one */
    decide(&c, NULL);
    assert_ptr_equal(c.d.target->site, mixed);
    /* Outlook Anywhere by the RPC server's name */
    static const struct {
        const char *rpc, *target;
    } names[] = {{"A04", "A04"},
                 {"a03.contoso.lab", "A03"},
                 {"MBX", "A01"},
                 {"outlook.contoso.lab", "A01"},
                 {"nobody.contoso.lab", NULL},
                 {"guid@contoso.lab", NULL}};
    c.r.protocol = PROTOCOL_OA;
    c.r.anchor_hash = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        c.r.rpc_server = names[i].rpc;
        decide(&c, NULL);
        if (names[i].target) {
            assert_string_equal(c.d.target->name, names[i].target);
        } else {
            assert_null(c.d.target);
            assert_int_equal(c.d.status, 404);
        }
    }
    /* a 2007 mailbox server in a site without 2007 CAS: a 2010 one of the site */
    c.r.rpc_server = NULL;
    c.r.mailbox_generation = GENERATION_2007;
    c.r.mailbox_server = m7;
    c.r.mailbox_site = mixed;
    decide(&c, NULL);
    assert_string_equal(c.d.target->name, "M10");
    /* nothing of 2013 to answer in 2007's place */
    c.r.protocol = PROTOCOL_AUTODISCOVER;
    decide(&c, NULL);
    assert_null(c.d.target);
    assert_int_equal(c.d.works, TRI_NO);
    end(&c);
}

/* Redirects of Outlook Web App: one logon, two, loops, http, another site's URL. */
static void redirects(void **state)
{
    (void)state;
    struct case_of c;
    begin(&c);
    mailbox(&c, CAROL);
    c.r.protocol = PROTOCOL_OWA;
    struct vdir *old = builder_vdir(c.org, "E2K7CAS01", PROTOCOL_OWA),
                *own = builder_vdir(c.org, "EX13CAS01", PROTOCOL_OWA);
    set_auth(old, AUTH_BASIC, AUTH_BASIC); /* forms on one side only */
    decide(&c, NULL);
    assert_int_equal(c.d.style, ROUTE_STYLE_SILENT);
    assert_int_equal(c.d.status, 302);
    assert_non_null(strstr(c.d.why, "second time"));
    set_auth(own, AUTH_BASIC, AUTH_BASIC); /* on none */
    decide(&c, NULL);
    assert_string_equal(c.d.row->action, "explicit_redirect");
    assert_int_equal(c.d.status, 302);
    set_auth(own, AUTH_FBA, AUTH_FBA);
    set_auth(old, AUTH_FBA, AUTH_FBA);
    old->external_url = "https://mail.contoso.lab/owa"; /* the name the request came in by */
    decide(&c, NULL);
    assert_int_equal(c.d.status, 403);
    assert_int_equal(c.d.works, TRI_NO);
    assert_int_equal(precondition(&c, "legacy-namespace")->holds, TRI_NO);
    old->external_url = "http://legacy.contoso.lab/owa";
    decide(&c, NULL);
    assert_int_equal(c.d.works, TRI_NO);
    assert_non_null(strstr(c.d.why, "NoFbaSSL"));
    old->external_url =
        NULL; /* the site publishes nothing: a 2007 CAS of the arriving site, and there is none */
    decide(&c, NULL);
    assert_null(c.d.target);
    assert_non_null(strstr(c.d.why, "NoLegacyCAS"));
    /* 2010 in another region with a name of its own */
    mailbox(&c, ERIN);
    builder_vdir(c.org, "EX10NTLM", PROTOCOL_OWA)->external_url = "https://us.contoso.lab/owa";
    decide(&c, NULL);
    assert_int_equal(c.d.action, ROUTE_REDIRECT);
    assert_int_equal(c.d.style, ROUTE_STYLE_SSO);
    assert_string_equal(c.d.url, "https://us.contoso.lab/owa");
    c.r.host_name = "us.contoso.lab";
    decide(&c, NULL);
    assert_int_equal(c.d.action, ROUTE_PROXY);
    assert_int_equal(c.d.confidence, ROUTE_OBSERVED);
    /* unknown forms authentication is said, not hidden */
    own->has_iis_auth = own->has_client_auth = false;
    decide(&c, NULL);
    assert_non_null(strstr(c.d.why, "the directory does not say"));
    assert_string_equal(route_style_name(ROUTE_STYLE_SSO), "sso");
    assert_string_equal(route_style_name(ROUTE_STYLE_SILENT), "silent");
    assert_string_equal(route_style_name(ROUTE_STYLE_MANUAL), "manual");
    assert_null(route_style_name(ROUTE_STYLE_NONE));
    end(&c);
}

/* 2013 and later in several sites: redirect by the other site's name, proxy when it is the same; multi-role servers serve. */
static void new_mailboxes(void **state)
{
    (void)state;
    struct case_of c = {0};
    org_begin(&c.b, "Contoso", "contoso.lab");
    struct site *a = add_site(&c.b, "A", NULL), *b = add_site(&c.b, "B", NULL);
    struct server *x = add_server(&c.b, "X16", a, "15.1.2507.6", BUILDER_ROLES_CAFE | BUILDER_ROLES_BACKEND);
    add_client_access(&c.b, x, "mail.contoso.lab");
    struct server *y = add_server(&c.b, "Y16", b, "15.1.2507.6", BUILDER_ROLES_CAFE | BUILDER_ROLES_BACKEND);
    add_client_access(&c.b, y, "eu.contoso.lab");
    c.org = org_end(&c.b);
    arena_init(&c.arena, 1 << 20);
    c.r = (struct route_request){
        .arriving = x, .mailbox_generation = GENERATION_2016, .mailbox_site = a, .mailbox_server = x};
    c.r.protocol = PROTOCOL_EWS;
    decide(&c, NULL);
    assert_int_equal(c.d.action, ROUTE_SERVE);
    assert_ptr_equal(c.d.target, x);
    assert_int_equal(c.d.n_hops, 1);
    c.r.mailbox_site = b;
    c.r.mailbox_server = y;
    decide(&c, NULL);
    assert_int_equal(c.d.action, ROUTE_PROXY);
    assert_string_equal(c.d.url, "https://y16.contoso.lab:444/EWS/Exchange.asmx");
    c.r.protocol = PROTOCOL_OWA;
    decide(&c, NULL);
    assert_int_equal(c.d.action, ROUTE_REDIRECT);
    assert_string_equal(c.d.url, "https://eu.contoso.lab/owa");
    builder_vdir(c.org, "Y16", PROTOCOL_OWA)->external_url = "https://mail.contoso.lab/owa";
    decide(&c, NULL);
    assert_int_equal(c.d.action, ROUTE_PROXY);
    assert_string_equal(c.d.url, "https://y16.contoso.lab:444/owa/");
    c.r.mailbox_server = NULL; /* only version and site are known */
    decide(&c, NULL);
    assert_ptr_equal(c.d.target, y);
    end(&c);
}

static void powershell_by_version(void **state)
{
    (void)state;
    struct case_of c;
    begin(&c);
    mailbox(&c, BOB);
    c.r.protocol = PROTOCOL_POWERSHELL;
    c.r.requested_version = 14;
    decide(&c, NULL);
    assert_string_equal(c.d.url, "https://excas02.contoso.lab:443/PowerShell-proxy/");
    c.r.requested_version = 15;
    decide(&c, NULL);
    assert_string_equal(c.d.target->name, "EX13MBX01");
    end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(illegal_and_unknown),
        cmocka_unit_test(selection),
        cmocka_unit_test(redirects),
        cmocka_unit_test(new_mailboxes),
        cmocka_unit_test(powershell_by_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
