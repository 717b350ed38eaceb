/* legacy-namespace, internal-url, url-server-name, autodiscover-scp, and the rules about servers that must agree. */
#include "tests/unit/rules_check.h"

#define OWA_2007 builder_vdir(t.b.org, "E2K7CAS01", PROTOCOL_OWA)

static void legacy_handshake(struct bench *t, const char *name)
{
    struct observation *o = observe(t, OBSERVATION_TLS, EVIDENCE_WIRE, "E2K7CAS01", OUTCOME_OK, NOW);
    const char **names = arena_alloc(&t->evidence.arena, sizeof *names);
    names[0] = name;
    o->by_name = o->subject = "e2k7cas01.contoso.lab";
    o->u.tls.cert = (struct certificate){.names = names, .n_names = 1, .not_after = NOW + 1000};
    t->in.probed = true;
}

static void legacy_namespace(void **state)
{
    (void)state;
    static const struct {
        const char *owa, *legacy, *certificate;
        char said;
        const char *words;
    } cases[] = {
        {"https://legacy.contoso.lab/owa", NULL, "legacy.contoso.lab", 'P', NULL},
        {"https://legacy.contoso.lab/owa", "legacy.contoso.lab", "*.contoso.lab", 'P', NULL},
        {"https://legacy.contoso.lab/owa", NULL, NULL, 'U', "certificate"},
        {"https://legacy.contoso.lab/owa", NULL, "mail.contoso.lab", 'F', "does not hold legacy.contoso.lab"},
        {"https://legacy.contoso.lab/owa", NULL, "*.lab", 'F', "does not hold legacy.contoso.lab"},
        {NULL, NULL, "legacy.contoso.lab", 'F', "no external URL"},
        {"https://mail.contoso.lab/owa", NULL, "legacy.contoso.lab", 'F', "which the new CAS takes"},
        {"http://legacy.contoso.lab/owa", NULL, "legacy.contoso.lab", 'F', "without https"},
        {"https://old.contoso.lab/owa", "legacy.contoso.lab", "old.contoso.lab", 'F',
         "not under the legacy name"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, true);
        OWA_2007->external_url = cases[i].owa;
        t.in.legacy_namespace = cases[i].legacy;
        if (cases[i].certificate)
            legacy_handshake(&t, cases[i].certificate);
        bench_run(&t);
        print_message("case %zu\n", i);
        assert_said(&t, "legacy-namespace", "E2K7CAS01", cases[i].said);
        assert_said(&t, "legacy-namespace", "EXCAS01", '-'); /* 2010 needs none */
        const struct finding *f = found(&t, "legacy-namespace", "E2K7CAS01");
        if (cases[i].words)
            assert_non_null(
                strstr(f ? f->summary : unknown(&t, "legacy-namespace", "E2K7CAS01"), cases[i].words));
        bench_fini(&t);
    }
    struct bench t;
    bench_init(&t, true);
    OWA_2007->external_url = NULL;
    t.in.legacy_namespace = "legacy.contoso.lab";
    bench_run(&t);
    assert_string_equal(fix_text(found(&t, "legacy-namespace", "E2K7CAS01")),
                        "Set-OwaVirtualDirectory -Identity 'E2K7CAS01\\owa (Default Web Site)' -ExternalUrl "
                        "'https://legacy.contoso.lab/owa'");
    bench_fini(&t);
}

static void internal_url(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    builder_vdir(t.b.org, "EXCAS02", PROTOCOL_EAS)->internal_url = NULL;
    bench_run(&t);
    assert_said(&t, "internal-url", "EXCAS01", 'P');
    assert_said(&t, "internal-url", "EXCAS02", 'F');
    assert_said(&t, "internal-url", "E2K7CAS01", '-');
    assert_string_equal(
        fix_text(found(&t, "internal-url", "EXCAS02")),
        "Set-ActiveSyncVirtualDirectory -Identity 'EXCAS02\\Microsoft-Server-ActiveSync (Default Web Site)' "
        "-InternalUrl 'https://excas02.contoso.lab/Microsoft-Server-ActiveSync'");
    bench_fini(&t);
}

static void nlb_bypass(void **state)
{
    (void)state;
    static const struct {
        const char *server;
        enum tri has;
        char said;
        const char *text; /* of the fix, or of why */
    } cases[] = {
        {"EXCAS01", TRI_YES, 'P', NULL},
        {"EXCAS01", TRI_NO, 'F',
         "Set-WebServicesVirtualDirectory -Identity 'EXCAS01\\EWS (Default Web Site)' -InternalNLBBypassUrl "
         "'https://excas01.contoso.lab/ews/exchange.asmx'"},
        {"EXCAS01", TRI_UNKNOWN, 'U', "Get-WebServicesVirtualDirectory"},
        {"EX13CAS01", TRI_NO, 'P', NULL},
        {"EX13CAS01", TRI_YES, 'F', ""},
        {"E2K7CAS01", TRI_NO, '-', NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, true);
        struct vdir *v = builder_vdir(t.b.org, cases[i].server, PROTOCOL_EWS);
        v->nlb_bypass = cases[i].has;
        v->nlb_bypass_url = cases[i].has == TRI_YES ? "https://x.contoso.lab/ews/exchange.asmx" : NULL;
        bench_run(&t);
        print_message("case %zu\n", i);
        assert_said(&t, "nlb-bypass-url", cases[i].server, cases[i].said);
        if (cases[i].said == 'F')
            assert_string_equal(fix_text(found(&t, "nlb-bypass-url", cases[i].server)), cases[i].text);
        if (cases[i].said == 'U')
            assert_non_null(strstr(unknown(&t, "nlb-bypass-url", cases[i].server), cases[i].text));
        bench_fini(&t);
    }
}

/* The directory's methods (0: absent), and what the wire offers (0: not asked). */
static void proxy_auth(void **state)
{
    (void)state;
    static const struct {
        const char *server;
        enum protocol protocol;
        auth_set methods, wire;
        char said;
        const char *text; /* of the fix, or of why */
    } cases[] = {
        {"EXCAS01", PROTOCOL_EWS, AUTH_WINDOWS, 0, 'P', NULL},
        {"EXCAS01", PROTOCOL_EWS, AUTH_NTLM | AUTH_WSSECURITY, AUTH_NEGOTIATE | AUTH_NTLM, 'P', NULL},
        {"EXCAS01", PROTOCOL_EWS, AUTH_BASIC | AUTH_WSSECURITY, 0, 'F',
         "Set-WebServicesVirtualDirectory -Identity 'EXCAS01\\EWS (Default Web Site)' "
         "-WindowsAuthentication $true"},
        {"EXCAS01", PROTOCOL_AUTODISCOVER, AUTH_BASIC, AUTH_BASIC, 'F',
         "Set-AutodiscoverVirtualDirectory -Identity 'EXCAS01\\Autodiscover (Default Web Site)' "
         "-WindowsAuthentication $true"},
        {"EXCAS01", PROTOCOL_EWS, AUTH_WINDOWS, AUTH_BASIC, 'F', ""}, /* the directory is right already */
        {"EXCAS01", PROTOCOL_EWS, AUTH_WINDOWS, AUTH_NTLM, 'F', ""},
        {"EXCAS01", PROTOCOL_EWS, 0, 0, 'U', "absent"},
        {"EXCAS01", PROTOCOL_EWS, 0, AUTH_BASIC, 'F', ""},
        {"EXCAS01", PROTOCOL_EWS, 0, AUTH_NEGOTIATE | AUTH_NTLM, 'P',
         NULL}, /* the wire has answered the question */
        {"EXCAS01", PROTOCOL_EWS, AUTH_BASIC, AUTH_BASIC | AUTH_NEGOTIATE, 'P', NULL},
        {"E2K7CAS01", PROTOCOL_EWS, AUTH_BASIC, AUTH_BASIC, '-', NULL},
        {"EX13CAS01", PROTOCOL_EWS, AUTH_BASIC, AUTH_BASIC, '-', NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, true);
        struct vdir *v = builder_vdir(t.b.org, cases[i].server, cases[i].protocol);
        v->iis_auth = cases[i].methods;
        v->has_iis_auth = cases[i].methods != 0;
        if (cases[i].wire)
            challenge(&t, cases[i].server, cases[i].protocol, 401, cases[i].wire, NOW);
        bench_run(&t);
        print_message("case %zu\n", i);
        assert_said(&t, "proxy-auth", cases[i].server, cases[i].said);
        const struct finding *f = found(&t, "proxy-auth", cases[i].server);
        if (f) {
            assert_string_equal(fix_text(f), cases[i].text);
            assert_int_equal(f->n_evidence, (cases[i].text[0] != '\0') + (cases[i].wire != 0));
        } else if (cases[i].text) {
            assert_non_null(strstr(unknown(&t, "proxy-auth", cases[i].server), cases[i].text));
        }
        bench_fini(&t);
    }
}

static void server_names(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    builder_vdir(t.b.org, "EXCAS01", PROTOCOL_OWA)->external_url = "https://EXCAS01.contoso.lab/owa";
    builder_vdir(t.b.org, "EXCAS01", PROTOCOL_EWS)->external_url = "https://excas01/EWS/Exchange.asmx";
    bench_run(&t);
    assert_said(&t, "url-server-name", "EXCAS01", 'F');
    assert_int_equal(found(&t, "url-server-name", "EXCAS01")->n_evidence, 2);
    assert_said(&t, "url-server-name", "EX13CAS01", 'P');
    bench_fini(&t);
}

static void scp(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    bench_run(&t);
    assert_said(&t, "autodiscover-scp", "EXCAS01", 'P');
    for (size_t i = 0; i < t.org->n_scps; i++) {
        struct scp *p = &t.b.org->scps[i];
        if (str_eq(p->server_name, "EXCAS01"))
            p->url = "https://excas01.contoso.lab/Autodiscover/Autodiscover.xml";
        if (str_eq(p->server_name, "EXCAS02"))
            p->url = "http://autodiscover.contoso.lab/Autodiscover/Autodiscover.xml";
        if (str_eq(p->server_name, "EX10NTLM"))
            p->url = NULL;
    }
    bench_run(&t);
    assert_non_null(strstr(found(&t, "autodiscover-scp", "EXCAS01")->summary, "own name"));
    assert_said(&t, "autodiscover-scp", "EXCAS02", 'F');
    assert_said(&t, "autodiscover-scp", "EX10NTLM", 'F');
    assert_string_equal(fix_text(found(&t, "autodiscover-scp", "EXCAS01")),
                        ""); /* the others do not agree any more */
    t.namespaces[0] = "autodiscover.contoso.lab";
    t.in.n_namespaces = 1;
    bench_run(&t);
    assert_string_equal(fix_text(found(&t, "autodiscover-scp", "EXCAS01")),
                        "Set-ClientAccessServer -Identity 'EXCAS01' -AutoDiscoverServiceInternalUri "
                        "'https://autodiscover.contoso.lab/Autodiscover/Autodiscover.xml'");
    bench_fini(&t);
}

static void forms(void **state)
{
    (void)state;
    static const struct {
        auth_set front, legacy;
        bool known;
        char said;
    } cases[] = {
        {AUTH_BASIC | AUTH_FBA, AUTH_BASIC | AUTH_FBA, true, 'P'},
        {AUTH_BASIC, AUTH_BASIC, true, 'P'},
        {AUTH_BASIC | AUTH_FBA, AUTH_BASIC, true, 'F'},
        {AUTH_BASIC, AUTH_FBA, true, 'F'},
        {AUTH_BASIC | AUTH_FBA, 0, false, 'U'},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, true);
        set_auth(builder_vdir(t.b.org, "EX13CAS01", PROTOCOL_OWA), cases[i].front, cases[i].front);
        set_auth(OWA_2007, cases[i].legacy, cases[i].legacy);
        OWA_2007->has_iis_auth = OWA_2007->has_client_auth = cases[i].known;
        bench_run(&t);
        assert_said(&t, "fba-match", "E2K7CAS01", cases[i].said);
        assert_said(&t, "fba-match", "EXCAS01", '-');  /* same site: proxied */
        assert_said(&t, "fba-match", "EX10NTLM", '-'); /* publishes the same name: proxied */
        bench_fini(&t);
    }
}

static void offloading(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    builder_vdir(t.b.org, "EXCAS01", PROTOCOL_OA)->ssl_offloading = TRI_YES;
    builder_vdir(t.b.org, "EX10NTLM", PROTOCOL_OA)->ssl_offloading = TRI_UNKNOWN;
    bench_run(&t);
    assert_said(&t, "ssl-offloading", "EX13CAS01", 'P');
    assert_said(&t, "ssl-offloading", "EXCAS01", 'F');
    assert_said(&t, "ssl-offloading", "EX10NTLM", 'U');
    assert_said(&t, "ssl-offloading", "E2K7CAS01", 'P');
    assert_false(found(&t, "ssl-offloading", "EXCAS01")->fix->automatic);
    assert_non_null(found(&t, "ssl-offloading", "EXCAS01")->fix->choice);
    bench_fini(&t);
}

static void consistency(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, false);
    struct site *site = add_site(&t.b, "Barcelona", NULL);
    for (int i = 1; i <= 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "EX0%d", i);
        struct server *s = add_server(&t.b, name, site, "14.3.123.4", BUILDER_ROLES_LEGACY);
        add_outlook_anywhere(&t.b, s, "mail.contoso.lab", AUTH_BASIC, AUTH_BASIC | AUTH_NTLM);
        add_client_access(&t.b, s, "mail.contoso.lab");
    }
    add_client_access(&t.b, add_server(&t.b, "EX13", site, "15.0.1497.2", BUILDER_ROLES_CAFE), NULL);
    builder_vdir(t.b.org, "EX03", PROTOCOL_EWS)->external_url = "https://other.contoso.lab/EWS/Exchange.asmx";
    set_auth(builder_vdir(t.b.org, "EX03", PROTOCOL_OAB), AUTH_BASIC, AUTH_WINDOWS);
    bench_run(&t);
    assert_said(&t, "site-consistency", "EX01", 'P'); /* own names in internal URLs are alike */
    assert_said(&t, "site-consistency", "EX03", 'F');
    assert_said(&t, "site-consistency", "EX13", 'P'); /* another generation is not compared */
    const struct finding *f = found(&t, "site-consistency", "EX03");
    assert_int_equal(f->n_evidence, 2);
    assert_non_null(strstr(f->summary, "external URL of Exchange Web Services"));
    assert_int_equal(count_found(&t, "site-consistency"), 1);
    /* certificates by the namespace, once all have shown one */
    builder_vdir(t.b.org, "EX03", PROTOCOL_EWS)->external_url = "https://mail.contoso.lab/EWS/Exchange.asmx";
    set_auth(builder_vdir(t.b.org, "EX03", PROTOCOL_OAB), AUTH_WINDOWS, AUTH_WINDOWS);
    t.namespaces[0] = "mail.contoso.lab";
    t.in.n_namespaces = 1;
    for (int i = 1; i <= 4; i++) {
        struct observation *o = observe(&t, OBSERVATION_TLS, EVIDENCE_WIRE, "EX01", OUTCOME_OK, NOW);
        o->server = arena_fmt(&t.evidence.arena, "EX0%d", i);
        o->by_name = "mail.contoso.lab";
        o->u.tls.cert.sha256 = i == 2 ? "bb" : "aa";
        bench_run(&t);
        assert_said(&t, "site-consistency", "EX02", i == 4 ? 'F' : 'P');
    }
    assert_int_equal(count_found(&t, "site-consistency"), 1);
    bench_fini(&t);
}

static void rpc_encryption(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, false);
    struct site *a = add_site(&t.b, "A", NULL), *b = add_site(&t.b, "B", NULL);
    static const enum tri values[] = {TRI_YES, TRI_NO, TRI_NO, TRI_UNKNOWN};
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "EX%d", i);
        struct server *s = add_server(&t.b, name, i < 2 ? a : b, "14.3.123.4", BUILDER_ROLES_LEGACY);
        s->has_rpc_client_access = true;
        s->rpc_encryption = values[i];
    }
    bench_run(&t);
    assert_said(&t, "rpc-encryption", "EX0", 'P');
    assert_int_equal(found(&t, "rpc-encryption", "EX1")->severity, SEVERITY_WARNING);
    assert_int_equal(found(&t, "rpc-encryption", "EX2")->severity, SEVERITY_INFO);
    assert_non_null(strstr(found(&t, "rpc-encryption", "EX2")->summary, "Outlook 2003"));
    for (int i = 1; i <= 2; i++) {
        const struct fix *fix = found(&t, "rpc-encryption", i == 1 ? "EX1" : "EX2")->fix;
        assert_string_equal(fix->cmdlet.name, "Set-RpcClientAccess");
        assert_true(
            cmdlet_param(&fix->cmdlet, "EncryptionRequired")->value.flag); /* as EX0; as it should be */
        assert_false(fix->automatic);
        assert_non_null(fix->choice);
    }
    assert_said(&t, "rpc-encryption", "EX3", 'U');
    bench_fini(&t);
}

static void kb3140410(void **state)
{
    (void)state;
    static const struct {
        const char *os;
        int asked; /* -1 no */
        char said;
    } cases[] = {
        {"6.1 (7601)", -1, 'U'},
        {"6.1 (7601)", OUTCOME_OK, 'P'},
        {"6.1 (7601)", OUTCOME_FAILED, 'F'},
        {"6.1 (7601)", OUTCOME_ERROR, 'U'},
        {"6.3 (9600)", -1, 'P'},
        {"6.10 (1)", -1, 'P'},
        {NULL, -1, 'U'},
        {NULL, OUTCOME_OK, 'P'},
        {NULL, OUTCOME_FAILED, 'U'},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, true);
        builder_server(t.b.org, "EXCAS01")->os_version = cases[i].os;
        if (cases[i].asked >= 0)
            observe(&t, OBSERVATION_STEP, EVIDENCE_HOST, "EXCAS01", (enum outcome)cases[i].asked, NOW)->step =
                "kb3140410";
        bench_run(&t);
        assert_said(&t, "kb3140410", "EXCAS01", cases[i].said);
        assert_said(&t, "kb3140410", "EX13CAS01", '-');
        bench_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legacy_namespace),
        cmocka_unit_test(internal_url),
        cmocka_unit_test(nlb_bypass),
        cmocka_unit_test(proxy_auth),
        cmocka_unit_test(server_names),
        cmocka_unit_test(scp),
        cmocka_unit_test(forms),
        cmocka_unit_test(offloading),
        cmocka_unit_test(consistency),
        cmocka_unit_test(rpc_encryption),
        cmocka_unit_test(kb3140410),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
