/* oa-enabled, oa-iis-auth, oa-external-hostname, oa-wire: found, passed, unknown, and the cmdlets that mend them. */
#include "tests/unit/rules_check.h"

static void iis_auth(void **state)
{
    (void)state;
    static const struct {
        const char *version;
        bool has;
        auth_set iis, client;
        char said;
        const char *methods; /* in the cmdlet, NULL no fix */
        const char *client_method;
        bool automatic;
    } cases[] = {
        {"14.3.123.4", true, AUTH_BASIC, AUTH_BASIC, 'F', "Basic,NTLM", "Basic", true},
        {"14.3.123.4", true, AUTH_BASIC, AUTH_NTLM, 'F', "Basic,NTLM", "NTLM", true},
        {"14.3.123.4", true, AUTH_BASIC, 0, 'F', "Basic,NTLM", NULL,
         true}, /* unknown client method stays untouched */
        {"14.3.123.4", true, AUTH_BASIC | AUTH_DIGEST, AUTH_BASIC, 'F', "Basic,Digest,NTLM", "Basic", true},
        {"14.3.123.4", true, AUTH_BASIC | AUTH_LIVEID_BASIC, AUTH_BASIC, 'F', NULL, NULL, false},
        {"14.3.123.4", true, AUTH_BASIC | AUTH_NTLM, AUTH_BASIC, 'P', NULL, NULL, false},
        {"14.3.123.4", true, AUTH_NTLM, AUTH_NTLM, 'P', NULL, NULL, false},
        {"14.3.123.4", true, AUTH_NEGOTIATE | AUTH_BASIC, AUTH_BASIC, 'P', NULL, NULL, false},
        {"14.3.123.4", true, AUTH_WINDOWS, AUTH_BASIC, 'P', NULL, NULL, false},
        {"14.3.123.4", true, 0, AUTH_BASIC, 'U', NULL, NULL, false},
        {"14.3.123.4", false, 0, AUTH_BASIC, 'U', NULL, NULL, false},
        {"8.3.83.6", true, AUTH_BASIC, AUTH_BASIC, 'F', "Basic,NTLM", "Basic", true},
        {"8.0.685.25", true, AUTH_BASIC, AUTH_BASIC, 'F', "Basic,NTLM", "Basic",
         false},                                                               /* RTM: no parameter */
        {"8.0.685.25", false, 0, AUTH_BASIC, 'P', NULL, NULL, false},          /* RTM: always both */
        {"15.0.1497.2", true, AUTH_BASIC, AUTH_BASIC, '-', NULL, NULL, false}, /* not a legacy one */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, false);
        struct site *site = add_site(&t.b, "Dublin", NULL);
        struct server *s = add_server(&t.b, "EX01", site, cases[i].version, BUILDER_ROLES_LEGACY | ROLE_CAFE);
        struct vdir *v = add_outlook_anywhere(&t.b, s, "mail.contoso.lab", cases[i].client, cases[i].iis);
        v->has_iis_auth = cases[i].has;
        bench_run(&t);
        print_message("case %zu\n", i);
        assert_said(&t, "oa-iis-auth", "EX01", cases[i].said);
        const struct finding *f = found(&t, "oa-iis-auth", "EX01");
        if (cases[i].methods) {
            char want[300];
            snprintf(want, sizeof want,
                     "Set-OutlookAnywhere -Identity 'EX01\\Rpc (Default Web Site)'%s%s "
                     "-IISAuthenticationMethods %s",
                     cases[i].client_method ? " -ClientAuthenticationMethod " : "",
                     cases[i].client_method ? cases[i].client_method : "", cases[i].methods);
            assert_string_equal(fix_text(f), want);
            assert_int_equal(f->fix->automatic, cases[i].automatic);
            if (!cases[i].automatic)
                assert_non_null(strstr(f->summary, "2007 RTM"));
        } else if (f) {
            assert_null(f->fix);
        }
        bench_fini(&t);
    }
}

/* What is enabled anew takes the client method that the others agree on, and the site's offloading. */
static void enable(void **state)
{
    (void)state;
    static const struct {
        auth_set peer1, peer2;
        bool peers_offload;
        const char *method, *offloading;
    } cases[] = {
        {AUTH_BASIC, AUTH_BASIC, false, "Basic", "$false"},
        {AUTH_NTLM, AUTH_NTLM, false, "NTLM", "$false"},
        {AUTH_NTLM, AUTH_BASIC, false, "Basic", "$false"},
        {AUTH_NTLM, 0, true, "NTLM", "$true"},
        {0, 0, false, "Basic", "$false"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, false);
        struct site *site = add_site(&t.b, "Dublin", NULL);
        struct server *a = add_server(&t.b, "EX01", site, "14.3.123.4", BUILDER_ROLES_LEGACY);
        struct server *b = add_server(&t.b, "EX02", site, "14.3.123.4", BUILDER_ROLES_LEGACY);
        add_server(&t.b, "EX03", site, "14.3.123.4", BUILDER_ROLES_LEGACY);
        add_server(&t.b, "EX04", site, "8.0.685.25", BUILDER_ROLES_LEGACY);
        struct vdir *v = add_outlook_anywhere(&t.b, a, "mail.contoso.lab", cases[i].peer1, AUTH_NTLM);
        struct vdir *w = add_outlook_anywhere(&t.b, b, "mail.contoso.lab", cases[i].peer2, AUTH_NTLM);
        v->ssl_offloading = w->ssl_offloading = cases[i].peers_offload ? TRI_YES : TRI_NO;
        bench_run(&t);
        char want[300];
        snprintf(want, sizeof want,
                 "Enable-OutlookAnywhere -Server 'EX03' -ClientAuthenticationMethod %s -ExternalHostname "
                 "'mail.contoso.lab' "
                 "-SSLOffloading %s -IISAuthenticationMethods Basic,NTLM",
                 cases[i].method, cases[i].offloading);
        assert_said(&t, "oa-enabled", "EX01", 'P');
        assert_said(&t, "oa-enabled", "EX03", 'F');
        assert_said(&t, "oa-iis-auth", "EX03", '-');
        assert_string_equal(fix_text(found(&t, "oa-enabled", "EX03")), want);
        /* RTM knows neither parameter by that name */
        const struct finding *rtm = found(&t, "oa-enabled", "EX04");
        assert_non_null(strstr(fix_text(rtm), "-ExternalAuthenticationMethod "));
        assert_null(strstr(fix_text(rtm), "IISAuthenticationMethods"));
        assert_false(rtm->fix->automatic);
        bench_fini(&t);
    }
}

static void enable_without_a_name(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, false);
    add_server(&t.b, "EX01", add_site(&t.b, "Dublin", NULL), "14.3.123.4", BUILDER_ROLES_LEGACY);
    bench_run(&t);
    const struct finding *f = found(&t, "oa-enabled", "EX01");
    assert_non_null(f);
    assert_null(f->fix);
    assert_non_null(strstr(f->summary, "not known"));
    bench_fini(&t);
}

static void external_hostname(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    builder_vdir(t.b.org, "EXCAS01", PROTOCOL_OA)->external_hostname = "old.contoso.lab";
    builder_vdir(t.b.org, "EX10NTLM", PROTOCOL_OA)->external_hostname = NULL;
    builder_vdir(t.b.org, "E2K7CAS01", PROTOCOL_OA)->external_hostname = "MAIL.contoso.LAB";
    bench_run(&t);
    assert_said(&t, "oa-external-hostname", "E2K7CAS01", 'P');
    assert_said(&t, "oa-external-hostname", "EXCAS02", '-');
    assert_said(&t, "oa-external-hostname", "EXCAS01", 'F');
    assert_said(&t, "oa-external-hostname", "EX10NTLM", 'F');
    assert_string_equal(fix_text(found(&t, "oa-external-hostname", "EXCAS01")),
                        "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' -ExternalHostname "
                        "'mail.contoso.lab'");
    /* a region of its own: the new CAS of the same site decides, any new CAS's name is right */
    bench_fini(&t);
    bench_init(&t, true);
    builder_vdir(t.b.org, "EX13CAS01", PROTOCOL_OA)->external_hostname = NULL;
    bench_run(&t);
    assert_said(&t, "oa-external-hostname", "EXCAS01", 'U');
    t.namespaces[0] = "autodiscover.contoso.lab";
    t.namespaces[1] = "mail.contoso.lab";
    t.in.n_namespaces = 2;
    bench_run(&t);
    assert_said(&t, "oa-external-hostname", "EXCAS01", 'P');
    t.in.n_namespaces = 1; /* autodiscover.* is never the name of Outlook Anywhere */
    bench_run(&t);
    assert_said(&t, "oa-external-hostname", "EXCAS01", 'U');
    bench_fini(&t);
}

static void wire(void **state)
{
    (void)state;
    static const struct {
        int status;
        auth_set offered;
        enum outcome outcome;
        char said;
        const char *words;
    } cases[] = {
        {401, AUTH_NEGOTIATE | AUTH_NTLM, OUTCOME_OK, 'P', NULL},
        {401, AUTH_NTLM, OUTCOME_OK, 'P', NULL},
        {401, AUTH_NEGOTIATE | AUTH_BASIC, OUTCOME_FAILED, 'P',
         NULL}, /* the facts decide, not the probe's opinion */
        {401, AUTH_BASIC, OUTCOME_OK, 'F', "neither Negotiate nor NTLM"},
        {401, 0, OUTCOME_OK, 'F', "no authentication method"},
        {404, 0, OUTCOME_FAILED, 'F', "404"},
        {200, 0, OUTCOME_FAILED, 'F', "anonymous"},
        {403, 0, OUTCOME_FAILED, 'F', "403"},
        {302, 0, OUTCOME_FAILED, 'F', "redirects"},
        {503, 0, OUTCOME_FAILED, 'F', "503"},
        {0, 0, OUTCOME_ERROR, 'U', "TCP 443 refused"},
        {0, 0, OUTCOME_SKIPPED, 'U', "TCP 443 refused"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, true);
        struct observation *o =
            challenge(&t, "EX10NTLM", PROTOCOL_OA, cases[i].status, cases[i].offered, NOW);
        o->outcome = cases[i].outcome;
        o->detail = cases[i].status ? NULL : "TCP 443 refused";
        bench_run(&t);
        print_message("case %zu\n", i);
        assert_said(&t, "oa-wire", "EX10NTLM", cases[i].said);
        const struct finding *f = found(&t, "oa-wire", "EX10NTLM");
        if (cases[i].words)
            assert_non_null(strstr(f ? f->summary : unknown(&t, "oa-wire", "EX10NTLM"), cases[i].words));
        if (f)
            assert_int_equal(f->evidence[0].source, EVIDENCE_WIRE);
        /* the others were not reached by this probe */
        assert_non_null(strstr(unknown(&t, "oa-wire", "EXCAS01"), "no answer"));
        bench_fini(&t);
    }
    struct bench t;
    bench_init(&t, true);
    bench_run(&t);
    assert_non_null(strstr(unknown(&t, "oa-wire", "EXCAS01"), "not probed"));
    challenge(&t, "EXCAS01", PROTOCOL_OA, 401, AUTH_BASIC, NOW);
    challenge(&t, "EXCAS02", PROTOCOL_OA, 404, 0, NOW);
    bench_run(&t);
    /* the same cmdlets as the directory's rules: merged by whoever plans */
    assert_string_equal(
        fix_text(found(&t, "oa-wire", "EXCAS01")),
        "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' -ClientAuthenticationMethod Basic "
        "-IISAuthenticationMethods Basic,NTLM");
    assert_int_equal(
        strncmp(fix_text(found(&t, "oa-wire", "EXCAS02")), "Enable-OutlookAnywhere -Server 'EXCAS02'", 40),
        0);
    assert_int_equal(found(&t, "oa-iis-auth", "EXCAS01")->n_evidence, 2);
    bench_fini(&t);
}

/* The newest answer that says something counts. */
static void newest_counts(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    challenge(&t, "EX10NTLM", PROTOCOL_OA, 401, AUTH_BASIC, NOW - 100);
    challenge(&t, "ex10ntlm", PROTOCOL_OA, 401, AUTH_NTLM, NOW - 50);
    challenge(&t, "EX10NTLM", PROTOCOL_OA, 0, 0, NOW)->outcome = OUTCOME_ERROR;
    bench_run(&t);
    assert_said(&t, "oa-wire", "EX10NTLM", 'P');
    bench_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iis_auth),
        cmocka_unit_test(enable),
        cmocka_unit_test(enable_without_a_name),
        cmocka_unit_test(external_hostname),
        cmocka_unit_test(wire),
        cmocka_unit_test(newest_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
