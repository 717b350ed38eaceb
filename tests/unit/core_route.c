/* Decisions: the story's mailboxes, each action of the table, selection, what must hold, what disagrees. */
#include "core/route/route.h"
#include "tests/unit/rules_check.h"

struct case_of {
    struct org_builder b;
    struct org *org;
    struct arena arena;
    struct route_request r;
    struct route_decision d;
};

static void begin(struct case_of *c)
{
    *c = (struct case_of){0};
    c->org = story(&c->b);
    arena_init(&c->arena, 1 << 20);
    c->r.arriving = builder_server(c->org, "EX13CAS01");
}

static void end(struct case_of *c)
{
    arena_fini(&c->arena);
    builder_free(&c->org);
}

static void decide(struct case_of *c, const struct findings *f)
{
    struct errinfo ei;
    c->org = org_end(&c->b);
    assert_int_equal(route_decide(c->org, &c->r, f, &c->arena, &c->d, &ei), ERR_OK);
    assert_true(c->d.why && strlen(c->d.why) > 20);
    assert_true(c->d.n_hops >= 1);
    assert_string_equal(c->d.hops[0].from, "client");
    if (c->d.action == ROUTE_UNKNOWN) {
        assert_null(c->d.row);
        assert_int_equal(c->d.works, TRI_UNKNOWN);
    }
}

/* The mailbox in a database of the story. */
static void mailbox(struct case_of *c, const char *database)
{
    for (size_t i = 0; i < c->org->n_databases; i++) {
        if (!str_eq(c->org->databases[i].name, database))
            continue;
        c->r.database = &c->org->databases[i];
        c->r.mailbox_server = c->r.database->owner;
        c->r.mailbox_generation = c->r.mailbox_server->generation;
        c->r.mailbox_site = c->r.mailbox_server->site;
        return;
    }
    fail_msg("no database %s", database);
}

static const struct route_precondition *precondition(const struct case_of *c, const char *rule)
{
    for (size_t i = 0; i < c->d.n_preconditions; i++)
        if (str_eq(c->d.preconditions[i].rule, rule))
            return &c->d.preconditions[i];
    return NULL;
}

#define ALICE "DB10-BCN01"
#define BOB   "DB10-DUB01"
#define CAROL "Mailbox Database 2007"
#define DAVE  "DB13-BCN01"
#define ERIN  "DB10-SEA01"

struct expectation {
    const char *database;
    enum protocol protocol;
    enum route_action action;
    enum route_style style;
    int status;
    const char *target, *url;
    size_t hops;
    enum tri works;
    enum route_confidence confidence;
};

static const struct expectation expectations[] = {
    /* alice: 2010, same site */
    {ALICE, PROTOCOL_OA, ROUTE_PROXY, 0, 401, "EXCAS01", "https://excas01.contoso.lab:443/rpc/rpcproxy.dll",
     2, TRI_NO, ROUTE_DOCUMENTED},
    {ALICE, PROTOCOL_MAPI, ROUTE_REFUSE, 0, 404, NULL, NULL, 1, TRI_NO, ROUTE_DOCUMENTED},
    {ALICE, PROTOCOL_OWA, ROUTE_PROXY, 0, 200, "EXCAS01", "https://excas01.contoso.lab:443/owa/", 2, TRI_YES,
     ROUTE_DOCUMENTED},
    {ALICE, PROTOCOL_ECP, ROUTE_PROXY, 0, 200, "EXCAS01", "https://excas01.contoso.lab:443/ecp/", 2, TRI_YES,
     ROUTE_DOCUMENTED},
    {ALICE, PROTOCOL_EWS, ROUTE_PROXY, 0, 200, "EXCAS01", "https://excas01.contoso.lab:443/EWS/Exchange.asmx",
     2, TRI_YES, ROUTE_DOCUMENTED},
    {ALICE, PROTOCOL_EAS, ROUTE_PROXY, 0, 200, "EXCAS01",
     "https://excas01.contoso.lab:443/Microsoft-Server-ActiveSync/Proxy/", 2, TRI_YES, ROUTE_DOCUMENTED},
    {ALICE, PROTOCOL_OAB, ROUTE_PROXY, 0, 200, "EXCAS01", "https://excas01.contoso.lab:443/OAB/", 2, TRI_YES,
     ROUTE_DOCUMENTED},
    {ALICE, PROTOCOL_AUTODISCOVER, ROUTE_PROXY, 0, 200, "EXCAS01",
     "https://excas01.contoso.lab:443/Autodiscover/Autodiscover.xml", 2, TRI_YES, ROUTE_DOCUMENTED},
    {ALICE, PROTOCOL_POWERSHELL, ROUTE_PROXY, 0, 200, "EX13MBX01",
     "https://ex13mbx01.contoso.lab:444/PowerShell/", 2, TRI_YES, ROUTE_DOCUMENTED},
    {ALICE, PROTOCOL_POP, ROUTE_PROXY, 0, 0, "EXCAS01", "excas01.contoso.lab:995", 2, TRI_YES,
     ROUTE_DOCUMENTED},
    {ALICE, PROTOCOL_IMAP, ROUTE_PROXY, 0, 0, "EXCAS01", "excas01.contoso.lab:993", 2, TRI_YES,
     ROUTE_DOCUMENTED},
    /* bob: 2010 in a site that publishes nothing and has no Outlook Anywhere */
    {BOB, PROTOCOL_OA, ROUTE_PROXY, 0, 404, "EXCAS02", "https://excas02.contoso.lab:443/rpc/rpcproxy.dll", 2,
     TRI_NO, ROUTE_DOCUMENTED},
    {BOB, PROTOCOL_OWA, ROUTE_PROXY, 0, 200, "EXCAS02", "https://excas02.contoso.lab:443/owa/", 2, TRI_YES,
     ROUTE_DOCUMENTED},
    {BOB, PROTOCOL_EAS, ROUTE_PROXY, 0, 200, "EXCAS02",
     "https://excas02.contoso.lab:443/Microsoft-Server-ActiveSync/Proxy/", 2, TRI_YES, ROUTE_DOCUMENTED},
    {BOB, PROTOCOL_EWS, ROUTE_PROXY, 0, 200, "EXCAS02", "https://excas02.contoso.lab:443/EWS/Exchange.asmx",
     2, TRI_YES, ROUTE_DOCUMENTED},
    {BOB, PROTOCOL_OAB, ROUTE_PROXY, 0, 200, "EXCAS01", "https://excas01.contoso.lab:443/OAB/", 2, TRI_YES,
     ROUTE_DOCUMENTED},
    /* carol: 2007, another site with URLs on the legacy name */
    {CAROL, PROTOCOL_OA, ROUTE_PROXY, 0, 401, "E2K7CAS01",
     "https://e2k7cas01.contoso.lab:443/rpc/rpcproxy.dll", 2, TRI_NO, ROUTE_DOCUMENTED},
    {CAROL, PROTOCOL_MAPI, ROUTE_REFUSE, 0, 404, NULL, NULL, 1, TRI_NO, ROUTE_DOCUMENTED},
    {CAROL, PROTOCOL_OWA, ROUTE_REDIRECT, ROUTE_STYLE_SSO, 200, "E2K7CAS01", "https://legacy.contoso.lab/owa",
     2, TRI_YES, ROUTE_DOCUMENTED},
    {CAROL, PROTOCOL_ECP, ROUTE_PROXY, 0, 200, "EX13MBX01", "https://ex13mbx01.contoso.lab:444/ecp/", 2,
     TRI_YES, ROUTE_DOCUMENTED},
    {CAROL, PROTOCOL_EWS, ROUTE_REDIRECT, 0, 200, "E2K7CAS01", "https://legacy.contoso.lab/EWS/Exchange.asmx",
     2, TRI_YES, ROUTE_DOCUMENTED},
    {CAROL, PROTOCOL_EAS, ROUTE_PROXY, 0, 200, "EX13MBX01",
     "https://ex13mbx01.contoso.lab:444/Microsoft-Server-ActiveSync/Proxy/", 3, TRI_YES, ROUTE_DOCUMENTED},
    {CAROL, PROTOCOL_OAB, ROUTE_REDIRECT, 0, 200, "E2K7CAS01", "https://legacy.contoso.lab/OAB", 2, TRI_YES,
     ROUTE_DOCUMENTED},
    {CAROL, PROTOCOL_AUTODISCOVER, ROUTE_PROXY, 0, 200, "EX13MBX01",
     "https://ex13mbx01.contoso.lab:444/Autodiscover/Autodiscover.xml", 2, TRI_YES, ROUTE_DOCUMENTED},
    {CAROL, PROTOCOL_POWERSHELL, ROUTE_REFUSE, 0, 0, NULL, NULL, 1, TRI_NO, ROUTE_UNCONFIRMED},
    {CAROL, PROTOCOL_IMAP, ROUTE_PROXY, 0, 0, "E2K7CAS01", "e2k7cas01.contoso.lab:993", 2, TRI_YES,
     ROUTE_DOCUMENTED},
    /* dave: 2013 */
    {DAVE, PROTOCOL_OA, ROUTE_PROXY, 0, 200, "EX13MBX01",
     "https://ex13mbx01.contoso.lab:444/rpc/rpcproxy.dll", 2, TRI_YES, ROUTE_DOCUMENTED},
    {DAVE, PROTOCOL_MAPI, ROUTE_PROXY, 0, 200, "EX13MBX01", "https://ex13mbx01.contoso.lab:444/mapi/emsmdb/",
     2, TRI_YES, ROUTE_DOCUMENTED},
    {DAVE, PROTOCOL_OWA, ROUTE_PROXY, 0, 200, "EX13MBX01", "https://ex13mbx01.contoso.lab:444/owa/", 2,
     TRI_YES, ROUTE_DOCUMENTED},
    {DAVE, PROTOCOL_EAS, ROUTE_PROXY, 0, 200, "EX13MBX01",
     "https://ex13mbx01.contoso.lab:444/Microsoft-Server-ActiveSync/Proxy/", 2, TRI_YES, ROUTE_DOCUMENTED},
    {DAVE, PROTOCOL_OAB, ROUTE_PROXY, 0, 200, "EX13MBX01", "https://ex13mbx01.contoso.lab:444/OAB/", 2,
     TRI_UNKNOWN, ROUTE_DOCUMENTED},
    {DAVE, PROTOCOL_POP, ROUTE_PROXY, 0, 0, "EX13MBX01", "ex13mbx01.contoso.lab:ProxyTargetPort", 2, TRI_YES,
     ROUTE_DOCUMENTED},
    /* erin: 2010 in another site that publishes the very same name: proxied, not redirected */
    {ERIN, PROTOCOL_OA, ROUTE_PROXY, 0, 200, "EX10NTLM", "https://ex10ntlm.contoso.lab:443/rpc/rpcproxy.dll",
     2, TRI_YES, ROUTE_DOCUMENTED},
    {ERIN, PROTOCOL_OWA, ROUTE_PROXY, 0, 200, "EX10NTLM", "https://ex10ntlm.contoso.lab:443/owa/", 2, TRI_YES,
     ROUTE_OBSERVED},
    {ERIN, PROTOCOL_ECP, ROUTE_PROXY, 0, 200, "EX10NTLM", "https://ex10ntlm.contoso.lab:443/ecp/", 2, TRI_YES,
     ROUTE_OBSERVED},
};

static void the_story(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(expectations); i++) {
        const struct expectation *x = &expectations[i];
        struct case_of c;
        begin(&c);
        mailbox(&c, x->database);
        c.r.protocol = x->protocol;
        decide(&c, NULL);
        print_message("%s, %s: %s\n", x->database, protocol_id(x->protocol), c.d.why);
        assert_int_equal(c.d.action, x->action);
        assert_int_equal(c.d.style, x->style);
        assert_int_equal(c.d.status, x->status);
        if (x->target)
            assert_string_equal(c.d.target->name, x->target);
        else
            assert_null(c.d.target);
        if (x->url)
            assert_string_equal(c.d.url, x->url);
        assert_int_equal(c.d.n_hops, x->hops);
        assert_int_equal(c.d.works, x->works);
        assert_int_equal(c.d.confidence, x->confidence);
        if (x->action == ROUTE_PROXY && x->protocol != PROTOCOL_POP && x->protocol != PROTOCOL_IMAP) {
            char spn[100];
            snprintf(spn, sizeof spn, "HTTP/%s", c.d.target->fqdn);
            assert_string_equal(c.d.hops[1].auth, "kerberos");
            assert_string_equal(c.d.hops[1].spn, spn);
            assert_string_equal(c.d.hops[1].from, "EX13CAS01");
        }
        end(&c);
    }
}

/* Before and after the fix, judged by the rules' findings with probe evidence. */
static void preconditions_by_findings(void **state)
{
    (void)state;
    struct bench t;
    struct case_of c;
    bench_init(&t, true);
    challenge(&t, "EXCAS01", PROTOCOL_OA, 401, AUTH_BASIC, NOW);
    bench_run(&t);
    begin(&c);
    mailbox(&c, ALICE);
    c.r.protocol = PROTOCOL_OA;
    decide(&c, &t.out);
    assert_int_equal(precondition(&c, "oa-iis-auth")->holds, TRI_NO);
    assert_string_equal(precondition(&c, "oa-iis-auth")->server, "EXCAS01");
    assert_int_equal(precondition(&c, "oa-enabled")->holds, TRI_YES);
    assert_int_equal(precondition(&c, "oa-wire")->holds, TRI_NO);
    assert_int_equal(c.d.status, 401);
    assert_int_equal(c.d.works, TRI_NO);
    assert_non_null(strstr(c.d.why, "oa-iis-auth"));
    assert_string_equal(c.d.hops[0].auth, "basic");
    set_auth(builder_vdir(t.b.org, "EXCAS01", PROTOCOL_OA), AUTH_BASIC | AUTH_NTLM, AUTH_BASIC);
    bench_run(&t);
    decide(&c, &t.out); /* the directory is right, the wire not yet */
    assert_int_equal(precondition(&c, "oa-iis-auth")->holds, TRI_YES);
    assert_int_equal(c.d.works, TRI_NO);
    assert_non_null(strstr(c.d.why, "on the wire"));
    challenge(&t, "EXCAS01", PROTOCOL_OA, 401, AUTH_BASIC | AUTH_NEGOTIATE | AUTH_NTLM, NOW + 1);
    bench_run(&t);
    decide(&c, &t.out);
    assert_int_equal(precondition(&c, "oa-wire")->holds, TRI_YES);
    assert_int_equal(c.d.status, 200);
    assert_int_equal(c.d.works, TRI_YES);
    bench_fini(&t);
    end(&c);
}

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

static void conflicts(void **state)
{
    (void)state;
    static const struct {
        const char *database;
        enum protocol protocol;
        size_t n;
        const char *words;
    } cases[] = {
        {CAROL, PROTOCOL_AUTODISCOVER, 1, "2007 Autodiscover"},
        {CAROL, PROTOCOL_EWS, 1, "2007 EWS"},
        {CAROL, PROTOCOL_EAS, 1, "ActiveSync external URL"},
        {ALICE, PROTOCOL_OWA, 1, "same site"},
        {BOB, PROTOCOL_OWA, 0, NULL},
        {ALICE, PROTOCOL_EWS, 1, "InternalNLBBypassUrl"},
        {ALICE, PROTOCOL_AUTODISCOVER, 1, "InternalNLBBypassUrl"},
        {ALICE, PROTOCOL_OA, 0, NULL},
        {DAVE, PROTOCOL_OAB, 1, "address book"},
        {ALICE, PROTOCOL_OAB, 0, NULL},
    };
    struct case_of c;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin(&c);
        mailbox(&c, cases[i].database);
        c.r.protocol = cases[i].protocol;
        decide(&c, NULL);
        assert_int_equal(c.d.n_conflicts, cases[i].n);
        if (cases[i].n)
            assert_non_null(strstr(c.d.conflicts[0], cases[i].words));
        end(&c);
    }
    begin(&c);
    struct vdir *v = builder_vdir(c.org, "EX13CAS01", PROTOCOL_OA);
    v->client_auth = AUTH_NEGOTIATE;
    v->ssl_offloading = TRI_UNKNOWN;
    mailbox(&c, ALICE);
    c.r.protocol = PROTOCOL_OA;
    decide(&c, NULL);
    assert_int_equal(c.d.n_conflicts, 2);
    end(&c);
}

/* Every row of the table is reached by some request, and its action is one that is known. */
static void every_action(void **state)
{
    (void)state;
    struct case_of c;
    begin(&c);
    struct server *s = builder_server(c.org, "EX13CAS01");
    for (size_t i = 0; i < route_rows_count; i++) {
        const struct route_row *r = &route_rows[i];
        s->generation = r->arriving;
        c.r.mailbox_generation = r->mailbox;
        c.r.protocol = r->protocol == PROTOCOL_UNKNOWN ? PROTOCOL_OA : r->protocol;
        c.r.mailbox_site =
            r->place == ROUTE_SAME_SITE
                ? s->site
                : builder_server(c.org, r->place == ROUTE_OTHER_SITE_NO_EXTERNAL_URL ? "EXCAS02" : "EX10NTLM")
                      ->site;
        decide(&c, NULL);
        assert_int_not_equal(c.d.action, ROUTE_UNKNOWN);
        assert_string_equal(c.d.row->legal ? "yes" : "no", r->legal ? "yes" : "no");
        assert_null(strstr(c.d.why, "is not known here"));
    }
    end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_story),           cmocka_unit_test(preconditions_by_findings),
        cmocka_unit_test(illegal_and_unknown), cmocka_unit_test(selection),
        cmocka_unit_test(redirects),           cmocka_unit_test(new_mailboxes),
        cmocka_unit_test(conflicts),           cmocka_unit_test(powershell_by_version),
        cmocka_unit_test(every_action),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
