/* Decisions: the story's mailboxes, what must hold, what disagrees, and every row of the table. */
#include "tests/unit/route_check.h"

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
    {ALICE, PROTOCOL_POP, ROUTE_PROXY, 0, 0, "EXCAS01", "excas01.contoso.lab:995", 2, TRI_UNKNOWN,
     ROUTE_DOCUMENTED},
    {ALICE, PROTOCOL_IMAP, ROUTE_PROXY, 0, 0, "EXCAS01", "excas01.contoso.lab:993", 2, TRI_UNKNOWN,
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
    {CAROL, PROTOCOL_IMAP, ROUTE_PROXY, 0, 0, "E2K7CAS01", "e2k7cas01.contoso.lab:993", 2, TRI_UNKNOWN,
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
    {DAVE, PROTOCOL_POP, ROUTE_PROXY, 0, 0, "EX13MBX01", "ex13mbx01.contoso.lab:ProxyTargetPort", 2,
     TRI_UNKNOWN, ROUTE_DOCUMENTED},
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

/* What the next hop cannot log on to does not work, whatever else is in order. */
static void web_services_without_windows(void **state)
{
    (void)state;
    static const struct {
        enum protocol protocol;
        auth_set methods;
        enum tri works;
        int status;
    } cases[] = {
        {PROTOCOL_EWS, AUTH_BASIC, TRI_NO, 401},
        {PROTOCOL_AUTODISCOVER, AUTH_BASIC | AUTH_WSSECURITY, TRI_NO, 401},
        {PROTOCOL_EWS, 0, TRI_UNKNOWN, 200},
        {PROTOCOL_EWS, AUTH_WINDOWS, TRI_YES, 200},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct case_of c;
        begin(&c);
        mailbox(&c, ALICE);
        c.r.protocol = cases[i].protocol;
        struct vdir *v = builder_vdir(c.org, "EXCAS01", cases[i].protocol);
        v->iis_auth = cases[i].methods;
        v->has_iis_auth = cases[i].methods != 0;
        decide(&c, NULL);
        assert_int_equal(c.d.works, cases[i].works);
        assert_int_equal(c.d.status, cases[i].status);
        assert_int_equal(precondition(&c, "proxy-auth")->holds, cases[i].works);
        end(&c);
    }
}

/* What the rule found to be well on the wire holds for the hop too, though the directory says otherwise. */
static void web_services_as_seen(void **state)
{
    (void)state;
    struct bench t;
    struct case_of c;
    bench_init(&t, true);
    builder_vdir(t.b.org, "EXCAS01", PROTOCOL_EWS)->iis_auth = AUTH_BASIC;
    challenge(&t, "EXCAS01", PROTOCOL_EWS, 401, AUTH_BASIC | AUTH_NEGOTIATE, NOW);
    bench_run(&t);
    begin(&c);
    mailbox(&c, ALICE);
    c.r.protocol = PROTOCOL_EWS;
    builder_vdir(c.org, "EXCAS01", PROTOCOL_EWS)->iis_auth = AUTH_BASIC;
    decide(&c, &t.out);
    assert_int_equal(precondition(&c, "proxy-auth")->holds, TRI_YES);
    assert_int_equal(c.d.status, 200);
    bench_fini(&t);
    end(&c);
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
        {ALICE, PROTOCOL_EWS, 0, NULL},
        {ALICE, PROTOCOL_AUTODISCOVER, 0, NULL},
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
    for (size_t i = 0; i < 2; i++) {
        begin(&c);
        mailbox(&c, ALICE);
        c.r.protocol = i ? PROTOCOL_AUTODISCOVER : PROTOCOL_EWS;
        builder_vdir(c.org, "EXCAS01", PROTOCOL_EWS)->nlb_bypass = TRI_UNKNOWN;
        decide(&c, NULL);
        assert_int_equal(c.d.n_conflicts, 1);
        assert_non_null(strstr(c.d.conflicts[0], "InternalNLBBypassUrl"));
        assert_string_equal(c.d.target->name, "EXCAS01"); /* what cannot be seen rules nobody out */
        builder_vdir(c.org, "EXCAS01", PROTOCOL_EWS)->nlb_bypass = TRI_NO;
        decide(&c, NULL);
        assert_null(c.d.target);
        assert_non_null(strstr(c.d.why, "InternalNLBBypassUrl"));
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

/* One request for every row of the table: the row is the one that decides, and its action is known. */
static void every_row(void **state)
{
    (void)state;
    struct case_of c = {0};
    org_begin(&c.b, "Contoso", "contoso.lab");
    struct site *here = add_site(&c.b, "Here", NULL), *published = add_site(&c.b, "Published", NULL),
                *hidden = add_site(&c.b, "Hidden", NULL);
    struct site *sites[] = {here, published, hidden};
    struct server *arriving =
        add_server(&c.b, "A", here, "15.0.1497.2", BUILDER_ROLES_CAFE | ROLE_CLIENT_ACCESS);
    struct server *others[3];
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        add_vdir(&c.b, arriving, (enum protocol)p, NULL, "https://a.contoso.lab/",
                 "https://mail.contoso.lab/");
    for (int i = 0; i < 3; i++) {
        const char *const names[] = {"B", "C", "D"};
        struct server *s =
            add_server(&c.b, names[i], sites[i], "14.3.123.4", BUILDER_ROLES_BACKEND | ROLE_CAFE);
        for (int p = 0; p < PROTOCOL_COUNT; p++)
            add_vdir(&c.b, s, (enum protocol)p, NULL, "https://x.contoso.lab/",
                     i != 2 ? "https://region.contoso.lab/" : NULL);
        others[i] = s;
    }
    add_server(&c.b, "E", here, "15.0.1497.2", BUILDER_ROLES_BACKEND); /* answers in 2007's place */
    arena_init(&c.arena, 16 << 20);
    for (size_t i = 0; i < route_rows_count; i++) {
        const struct route_row *r = &route_rows[i];
        auth_set forms = r->front_auth == ROUTE_FRONT_FBA ? AUTH_FBA : AUTH_BASIC;
        arriving->generation = r->arriving;
        for (int k = 0; k < 3; k++)
            others[k]->generation = r->mailbox;
        for (int p = 0; p < PROTOCOL_COUNT; p++)
            set_auth(builder_vdir(c.b.org, "A", (enum protocol)p), forms, forms);
        c.r = (struct route_request){.arriving = arriving,
                                     .protocol = r->protocol == PROTOCOL_UNKNOWN ? PROTOCOL_OA : r->protocol,
                                     .mailbox_generation = r->mailbox,
                                     .mailbox_site = sites[r->place],
                                     .mailbox_server = others[r->place]};
        decide(&c, NULL);
        if (c.d.row != r)
            print_message("row %s, got %s\n", r->id, c.d.row ? c.d.row->id : "none");
        assert_ptr_equal(c.d.row, r);
        assert_int_not_equal(c.d.action, ROUTE_UNKNOWN);
        assert_null(strstr(c.d.why, "is not known here"));
        /* plain 302 to 2007 from a site without URL: nobody knows where to */
        bool nowhere =
            strcmp(r->action, "explicit_redirect") == 0 && r->place == ROUTE_OTHER_SITE_NO_EXTERNAL_URL;
        if (strcmp(r->action, "refuse") != 0 && !nowhere) {
            if (!c.d.target)
                print_message("row %s: %s\n", r->id, c.d.why);
            assert_non_null(c.d.target);
            assert_non_null(c.d.url);
        }
        if (strcmp(r->action, "refuse") == 0)
            assert_int_equal(c.d.action, ROUTE_REFUSE);
        if (r->confidence == ROUTE_UNCONFIRMED)
            assert_non_null(strstr(c.d.why, "confirm"));
    }
    end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_story),
        cmocka_unit_test(web_services_without_windows),
        cmocka_unit_test(web_services_as_seen),
        cmocka_unit_test(preconditions_by_findings),
        cmocka_unit_test(conflicts),
        cmocka_unit_test(every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
