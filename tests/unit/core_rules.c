/* The catalogue, the verdict, order, hostile text, and the organisation of the story as a whole. */
#include "tests/unit/rules_check.h"

static void catalogue(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        enum severity severity;
    } contract[] = {
        {"coexistence", SEVERITY_BLOCKER},        {"version-floor", SEVERITY_BLOCKER},
        {"oa-enabled", SEVERITY_ERROR},           {"oa-iis-auth", SEVERITY_ERROR},
        {"oa-external-hostname", SEVERITY_ERROR}, {"oa-wire", SEVERITY_ERROR},
        {"auth-drift", SEVERITY_WARNING},         {"spn-unique", SEVERITY_ERROR},
        {"kerberos-ticket", SEVERITY_ERROR},      {"certificate", SEVERITY_ERROR},
        {"legacy-namespace", SEVERITY_ERROR},     {"internal-url", SEVERITY_ERROR},
        {"nlb-bypass-url", SEVERITY_ERROR},       {"fba-match", SEVERITY_WARNING},
        {"url-server-name", SEVERITY_WARNING},    {"autodiscover-scp", SEVERITY_WARNING},
        {"rpc-encryption", SEVERITY_WARNING},     {"tls-version", SEVERITY_WARNING},
        {"ssl-offloading", SEVERITY_WARNING},     {"site-consistency", SEVERITY_WARNING},
        {"kb3140410", SEVERITY_WARNING},
    };
    assert_true(rules_count() >= ARRAY_LEN(contract));
    for (size_t i = 0; i < ARRAY_LEN(contract); i++) {
        const struct rule_info *r = rules_find(contract[i].id);
        assert_non_null(r);
        assert_int_equal(r->severity, contract[i].severity);
    }
    for (size_t i = 0; i < rules_count(); i++) {
        const struct rule_info *r = rules_info(i);
        assert_true(rules_find(r->id) == r);
        assert_true(strlen(r->title) > 10 && strlen(r->explain) > 40 && strlen(r->source) > 5);
    }
    assert_null(rules_find("no-such-rule"));
    assert_null(rules_info(rules_count()));
}

static void the_story(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    bench_run(&t);
    /* the three planted faults and nothing else */
    assert_int_equal(t.out.found.n, 3);
    assert_string_equal(
        fix_text(found(&t, "oa-iis-auth", "EXCAS01")),
        "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' -ClientAuthenticationMethod "
        "Basic -IISAuthenticationMethods Basic,NTLM");
    assert_string_equal(
        fix_text(found(&t, "oa-iis-auth", "E2K7CAS01")),
        "Set-OutlookAnywhere -Identity 'E2K7CAS01\\Rpc (Default Web Site)' -ClientAuthenticationMethod "
        "Basic -IISAuthenticationMethods Basic,NTLM");
    assert_string_equal(
        fix_text(found(&t, "oa-enabled", "EXCAS02")),
        "Enable-OutlookAnywhere -Server 'EXCAS02' -ClientAuthenticationMethod Basic -ExternalHostname "
        "'mail.contoso.lab' -SSLOffloading $false -IISAuthenticationMethods Basic,NTLM");
    const struct finding *f = found(&t, "oa-iis-auth", "EXCAS01");
    assert_string_equal(f->site, "Barcelona");
    assert_true(f->n_evidence >= 1);
    assert_int_equal(f->evidence[0].source, EVIDENCE_DIRECTORY);
    assert_non_null(strstr(f->evidence[0].subject, "msExchInternalAuthenticationMethods"));
    assert_non_null(strstr(f->evidence[0].observed, "basic"));
    assert_int_equal(f->evidence[0].at, t.org->taken_at);
    assert_true(f->fix->automatic);
    /* pairs: who will suffer by whose hand */
    f = found(&t, "oa-enabled", "EXCAS02");
    assert_non_null(
        strstr(f->summary, "EX13CAS01 will proxy Outlook Anywhere of mailboxes in Dublin to EXCAS02"));
    /* who is already right needs nothing */
    assert_true(passed(&t, "oa-iis-auth", "EX10NTLM") && passed(&t, "oa-enabled", "EX10NTLM"));
    for (size_t i = 0; i < t.out.found.n; i++)
        assert_string_not_equal(t.out.found.v[i].server, "EX10NTLM");
    /* the new CAS is never judged as a legacy one */
    assert_said(&t, "oa-iis-auth", "EX13CAS01", '-');
    assert_said(&t, "oa-enabled", "EX13CAS01", '-');
    assert_int_equal(t.out.verdict, VERDICT_NOT_READY);
    for (size_t i = 0; i < t.out.unknown.n; i++)
        assert_true(t.out.unknown.v[i].why && *t.out.unknown.v[i].why);
    bench_fini(&t);
}

static void verdicts(void **state)
{
    (void)state;
    static const struct accepted for_ever = {"admin", "known", 0}, over = {"admin", "known", NOW - 1};
    struct bench t;
    bench_init(&t, true);
    set_auth(builder_vdir(t.b.org, "EXCAS01", PROTOCOL_OA), AUTH_BASIC | AUTH_NTLM, AUTH_BASIC);
    set_auth(builder_vdir(t.b.org, "E2K7CAS01", PROTOCOL_OA), AUTH_NTLM, AUTH_NTLM);
    bench_run(&t);
    assert_int_equal(t.out.found.n, 1);
    assert_int_equal(t.out.verdict, VERDICT_NOT_READY);
    t.out.found.v[0].accepted = &for_ever;
    assert_int_equal(rules_verdict(&t.out), VERDICT_UNKNOWN); /* not probed */
    t.out.found.v[0].accepted = &over;
    assert_int_equal(rules_verdict(&t.out), VERDICT_NOT_READY);
    t.out.found.v[0].accepted = NULL;
    t.out.found.v[0].severity = SEVERITY_WARNING;
    t.out.unknown.n = 0;
    assert_int_equal(rules_verdict(&t.out), VERDICT_READY);
    t.out.found.v[0].severity = SEVERITY_BLOCKER;
    assert_int_equal(rules_verdict(&t.out), VERDICT_BLOCKED);
    bench_fini(&t);
}

/* An unknown of a warning does not hold anybody up. */
static void unknown_that_matters(void **state)
{
    (void)state;
    struct findings f;
    findings_init(&f);
    const struct finding_ref minor = {.id = "kb3140410", .why = "x"}, major = {.id = "oa-wire", .why = "x"};
    assert_true(VEC_PUSH(&f.unknown, 10, minor));
    assert_int_equal(rules_verdict(&f), VERDICT_READY);
    assert_true(VEC_PUSH(&f.unknown, 10, major));
    assert_int_equal(rules_verdict(&f), VERDICT_UNKNOWN);
    findings_fini(&f);
}

static void severest_first(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    builder_server(t.b.org, "EXCAS01")->version = (struct version){14, 1, 218, 0, false};
    builder_vdir(t.b.org, "EXCAS01", PROTOCOL_OA)->ssl_offloading = TRI_YES;
    bench_run(&t);
    assert_string_equal(t.out.found.v[0].id, "version-floor");
    for (size_t i = 1; i < t.out.found.n; i++)
        assert_true(t.out.found.v[i - 1].severity >= t.out.found.v[i].severity);
    assert_int_equal(t.out.verdict, VERDICT_BLOCKED);
    bench_fini(&t);
}

/* Control characters and megabytes of the directory do not reach a person as they are. */
static void hostile_text(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    char *huge = arena_alloc(t.b.arena, (1 << 20) + 1);
    memset(huge, 'x', 1 << 20);
    struct vdir *v = builder_vdir(t.b.org, "EXCAS01", PROTOCOL_OA);
    v->external_hostname = "evil\x1b[2J\nname";
    v->name = "Rpc' ; Remove-Item C:\\ ('";
    builder_vdir(t.b.org, "E2K7CAS01", PROTOCOL_OA)->external_hostname = huge;
    bench_run(&t);
    const struct finding *f = found(&t, "oa-external-hostname", "EXCAS01");
    assert_non_null(f);
    for (const char *p = f->summary; *p; p++)
        assert_true((unsigned char)*p >= 0x20);
    for (const char *p = f->evidence[0].observed; *p; p++)
        assert_true((unsigned char)*p >= 0x20);
    assert_non_null(strstr(fix_text(found(&t, "oa-iis-auth", "EXCAS01")),
                           "-Identity 'EXCAS01\\Rpc'' ; Remove-Item C:\\ ('''"));
    f = found(&t, "oa-external-hostname", "E2K7CAS01");
    assert_true(f && strlen(f->summary) < 3000 && strlen(f->evidence[0].observed) < 3000);
    bench_fini(&t);
}

static void names_of_the_new_cas(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    t.in.org = t.b.org;
    assert_string_equal(rules_oa_name(&t.in), "mail.contoso.lab");
    t.namespaces[0] = "autodiscover.example";
    t.namespaces[1] = "post.example";
    t.in.n_namespaces = 2;
    assert_string_equal(rules_oa_name(&t.in), "post.example");
    t.in.n_namespaces = 0;
    builder_vdir(t.b.org, "EX13CAS01", PROTOCOL_OA)->external_hostname = NULL;
    assert_string_equal(rules_oa_name(&t.in), "mail.contoso.lab"); /* all old ones agree */
    builder_vdir(t.b.org, "EXCAS01", PROTOCOL_OA)->external_hostname = "other.contoso.lab";
    assert_null(rules_oa_name(&t.in));
    bench_fini(&t);
}

static void empty(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, false);
    bench_run(&t);
    assert_said(&t, "coexistence", NULL, 'U');
    assert_int_equal(t.out.found.n, 0);
    assert_int_equal(t.out.verdict, VERDICT_UNKNOWN);
    bench_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(catalogue),      cmocka_unit_test(the_story),
        cmocka_unit_test(verdicts),       cmocka_unit_test(unknown_that_matters),
        cmocka_unit_test(severest_first), cmocka_unit_test(hostile_text),
        cmocka_unit_test(empty),          cmocka_unit_test(names_of_the_new_cas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
