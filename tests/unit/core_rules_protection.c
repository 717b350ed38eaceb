/* extended-protection and auth-drift over IIS evidence: from files made here, and from real servers' files. */
#include "core/base/path.h"
#include "core/iis/iis.h"
#include "tests/unit/rules_check.h"

#define SERVER "EX13CAS01"

/* One new CAS, perhaps with an old one beside it. */
static struct server *scene(struct bench *t, const char *version, bool legacy)
{
    bench_init(t, false);
    struct site *site = add_site(&t->b, "Barcelona", NULL);
    struct server *s = add_server(&t->b, SERVER, site, version, BUILDER_ROLES_CAFE);
    add_outlook_anywhere(&t->b, s, "mail.contoso.lab", AUTH_BASIC, AUTH_BASIC | AUTH_NTLM | AUTH_NEGOTIATE);
    add_client_access(&t->b, s, "mail.contoso.lab");
    if (legacy) {
        struct server *old = add_server(&t->b, "EXCAS01", site, "14.3.123.4", BUILDER_ROLES_LEGACY);
        add_outlook_anywhere(&t->b, old, "mail.contoso.lab", AUTH_BASIC, AUTH_BASIC | AUTH_NTLM);
    }
    return s;
}

static void take_text(struct bench *t, const struct server *s, const char *text)
{
    struct iis_config c;
    struct errinfo ei = {0};
    assert_int_equal(iis_parse(&c, text, strlen(text), &ei), ERR_OK);
    assert_int_equal(iis_observe(&c, s, NOW, &t->evidence, &ei), ERR_OK);
    iis_fini(&c);
}

/* Every row as recommended but one. */
static void take_rows(struct bench *t, const struct server *s, const char *path, enum iis_token token,
                      bool all_off)
{
    struct buf b;
    buf_init(&b, 65536);
    buf_adds(&b, "<configuration>");
    for (size_t i = 0; i < IIS_ROWS; i++) {
        bool one = str_ieq(iis_rows[i].path, path);
        buf_addf(
            &b,
            "<location path=\"%s\"><system.webServer><security><authentication><windowsAuthentication "
            "enabled=\"true\">"
            "<extendedProtection tokenChecking=\"%s\"/></windowsAuthentication></authentication></security>"
            "</system.webServer></location>",
            iis_rows[i].path,
            iis_token_name(one       ? token
                           : all_off ? IIS_TOKEN_NONE
                                     : iis_rows[i].recommended));
    }
    buf_adds(&b, "</configuration>");
    take_text(t, s, buf_str(&b));
    buf_fini(&b);
}

static void test_states(void **state)
{
    (void)state;
    static const struct {
        const char *version, *path;
        enum iis_token token;
        bool off, legacy, offloading;
        char said;
        enum severity severity;
        const char *summary;
    } cases[] = {
        {"15.1.2507.39", NULL, 0, false, false, false, 'P', 0, NULL},
        {"15.1.2507.39", "Default Web Site/owa", IIS_TOKEN_ALLOW, false, false, false, 'F', SEVERITY_WARNING,
         "1 lower (insecure: Default Web Site/owa Allow)"},
        {"15.1.2507.39", "Default Web Site/OAB", IIS_TOKEN_REQUIRE, false, false, false, 'F',
         SEVERITY_WARNING, "1 higher (unsupported"},
        {"15.1.2507.39", NULL, 0, true, false, false, 'F', SEVERITY_WARNING, "22 lower"},
        {"15.1.2507.39", NULL, 0, true, true, false, 'P', 0, NULL},
        {"15.1.2507.39", NULL, 0, false, true, false, 'F', SEVERITY_ERROR,
         "EXCAS01 (Exchange 2010) is in the path"},
        {"15.1.2507.39", NULL, 0, false, false, true, 'F', SEVERITY_ERROR, "offloads SSL"},
        {"15.1.2507.39", NULL, 0, true, false, true, 'F', SEVERITY_WARNING, "22 lower"},
        /* a cumulative update whose security update the directory does not show */
        {"15.0.1497.2", NULL, 0, true, false, false, 'P', 0, NULL},
        {"15.0.1497.2", NULL, 0, false, false, false, 'P', 0, NULL},
        {"15.0.1395.4", NULL, 0, false, false, false, 'F', SEVERITY_WARNING, "does not support it"},
        {"15.0.1395.4", NULL, 0, true, false, false, 'P', 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        struct server *s = scene(&t, cases[i].version, cases[i].legacy);
        if (cases[i].offloading)
            t.b.org->vdirs[0].ssl_offloading = TRI_YES;
        take_rows(&t, s, cases[i].path, cases[i].token, cases[i].off);
        bench_run(&t);
        const struct finding *f = found(&t, "extended-protection", SERVER);
        if (said(&t, "extended-protection", SERVER) != cases[i].said ||
            (f && (f->severity != cases[i].severity || !strstr(f->summary, cases[i].summary))))
            fail_msg("case %zu: %c %s", i, said(&t, "extended-protection", SERVER), f ? f->summary : "");
        if (cases[i].legacy)
            assert_said(&t, "extended-protection", "EXCAS01", 'U');
        bench_fini(&t);
    }
}

/* A build asked on the wire counts as exact only with its last part: a logon page shows three. */
static void test_asked_builds(void **state)
{
    static const struct {
        const char *asked;
        char said;
    } cases[] = {{"15.0.1497", 'P'}, {"15.0.1497.2", 'F'}, {"15.0.1497.40", 'P'}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        struct server *s = scene(&t, "15.0.1497.2", false);
        struct observation *o = observe(&t, OBSERVATION_BUILD, EVIDENCE_WIRE, SERVER, OUTCOME_OK, NOW);
        assert_true(version_parse(cases[i].asked, &o->u.build.version));
        take_rows(&t, s, NULL, 0, false);
        bench_run(&t);
        assert_said(&t, "extended-protection", SERVER, cases[i].said);
        bench_fini(&t);
    }
    /* an older word of the server's own files counts more than a newer page */
    struct bench t;
    struct server *s = scene(&t, "15.0.1497.2", false);
    struct observation *o = observe(&t, OBSERVATION_BUILD, EVIDENCE_HOST, SERVER, OUTCOME_OK, NOW - 1000);
    assert_true(version_parse("15.0.1497.40", &o->u.build.version));
    o = observe(&t, OBSERVATION_BUILD, EVIDENCE_WIRE, SERVER, OUTCOME_OK, NOW);
    assert_true(version_parse("15.0.1497.2", &o->u.build.version));
    take_rows(&t, s, NULL, 0, false);
    bench_run(&t);
    assert_said(&t, "extended-protection", SERVER, 'P');
    bench_fini(&t);
}

static void test_not_read(void **state)
{
    (void)state;
    struct bench t;
    scene(&t, "15.0.1497.2", true);
    bench_run(&t);
    assert_said(&t, "extended-protection", NULL, 'U');
    assert_said(&t, "extended-protection", SERVER, '-');
    bench_fini(&t);
}

static void test_on_at_a_2010_server(void **state)
{
    (void)state;
    struct bench t;
    scene(&t, "15.0.1497.2", true);
    take_text(
        &t, &t.b.org->servers[1],
        "<configuration><location path=\"Default Web Site/Rpc\"><system.webServer><security><authentication>"
        "<windowsAuthentication enabled=\"true\"><extendedProtection "
        "tokenChecking=\"Allow\"/></windowsAuthentication>"
        "</authentication></security></system.webServer></location></configuration>");
    bench_run(&t);
    assert_int_equal(found(&t, "extended-protection", "EXCAS01")->severity, SEVERITY_ERROR);
    bench_fini(&t);
}

static void certificate(struct bench *t, const char *server, const char *name, const char *sha256)
{
    struct observation *o = observe(t, OBSERVATION_TLS, EVIDENCE_WIRE, server, OUTCOME_OK, NOW);
    o->step = "tls";
    o->by_name = name;
    o->subject = name;
    o->u.tls.version = "TLSv1.2";
    o->u.tls.name_ok = true;
    o->u.tls.cert = (struct certificate){.sha256 = sha256,
                                         .not_after = NOW + 86400 * 300,
                                         .chain_ok = true,
                                         .key_type = "RSA",
                                         .key_bits = 2048};
}

/* The balancer's certificate, the server's, another server's. */
static void test_channel_binding(void **state)
{
    (void)state;
    static const struct {
        const char *shown;
        bool off, legacy;
        char said;
        enum severity severity;
    } cases[] = {
        {"aaaa", false, false, 'P', 0},
        {"bbbb", false, false, 'F', SEVERITY_ERROR},
        {"bbbb", true, true, 'F', SEVERITY_INFO},
        {"aaaa", true, true, 'P', 0},
        {"cccc", true, true, 'P', 0}, /* that of EXCAS01: the name still leads there */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        struct server *s = scene(&t, "15.1.2507.39", cases[i].legacy);
        take_rows(&t, s, NULL, 0, cases[i].off);
        certificate(&t, SERVER, "ex13cas01.contoso.lab", "aaaa");
        if (cases[i].legacy)
            certificate(&t, "EXCAS01", "excas01.contoso.lab", "cccc");
        certificate(&t, NULL, "mail.contoso.lab", cases[i].shown);
        bench_run(&t);
        const struct finding *f = found(&t, "extended-protection", SERVER);
        if (said(&t, "extended-protection", SERVER) != cases[i].said ||
            (f && f->severity != cases[i].severity))
            fail_msg("case %zu: %c %s", i, said(&t, "extended-protection", SERVER), f ? f->summary : "");
        bench_fini(&t);
    }
}

#define RPC(x)                                                                                               \
    "<configuration><location path=\"Default Web Site/Rpc\"><system.webServer><security><authentication>" x  \
    "</authentication></security></system.webServer></location></configuration>"
#define SWITCHES(anonymous, basic, windows, providers)                                                       \
    RPC("<anonymousAuthentication enabled=\"" anonymous "\"/><basicAuthentication enabled=\"" basic          \
        "\"/><windowsAuthentication enabled=\"" windows "\"><providers>" providers                           \
        "</providers></windowsAuthentication>")
#define BOTH "<clear/><add value=\"Negotiate\"/><add value=\"NTLM\"/>"

/* Basic, Ntlm in the directory of a 2010 server. */
static void test_drift_in_iis(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        char said;
        const char *class;
    } cases[] = {
        {SWITCHES("false", "true", "true", BOTH), 'P', NULL},
        {SWITCHES("false", "true", "true", ""), 'P', NULL},
        {SWITCHES("false", "true", "false", BOTH), 'F', "will-be-overwritten"},
        {SWITCHES("false", "false", "true", BOTH), 'F', "will-be-overwritten"},
        {SWITCHES("false", "true", "true", "<clear/><add value=\"NTLM\"/>"), 'F', "stuck"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        scene(&t, "15.0.1497.2", true);
        take_text(&t, &t.b.org->servers[1], cases[i].text);
        bench_run(&t);
        const struct finding *f = found(&t, "auth-drift", "EXCAS01");
        if (said(&t, "auth-drift", "EXCAS01") != cases[i].said ||
            (f && !str_eq(f->drift_class, cases[i].class)))
            fail_msg("case %zu: %c %s", i, said(&t, "auth-drift", "EXCAS01"), f ? f->summary : "");
        bench_fini(&t);
    }
}

/* ---- a real 2016 server: what its shell said of two virtual directories, and its IIS */

static bool read_fixture(struct buf *b, const char *name)
{
    const char *shared = getenv("CASBRIDGE_SHARED");
    char path[600];
    buf_reset(b);
    snprintf(path, sizeof path, "%s/fixtures/%s", shared ? shared : "../shared", name);
    return path_read(b, path, NULL) == ERR_OK;
}

/* The ordinals in the list called InternalAuthenticationMethods. */
static auth_set methods_of(const char *xml)
{
    auth_set set = 0, one;
    const char *at = strstr(xml, "N=\"InternalAuthenticationMethods\""),
               *end = at ? strstr(at, "</LST>") : NULL;
    while (at && end && (at = strstr(at, "<I32>")) != NULL && at < end) {
        assert_true(auth_from_ordinal(atol(at + 5), &one));
        set |= one;
        at++;
    }
    return set;
}

static void test_a_healthy_server(void **state)
{
    (void)state;
    struct bench t;
    struct buf b;
    struct server *s;
    buf_init(&b, (size_t)1 << 20);
    s = scene(&t, "15.1.2375.7", false);
    struct {
        const char *file;
        enum protocol protocol;
    } recorded[] = {{"exchange-clixml/GetOwaVirtualDirectory.xml", PROTOCOL_OWA},
                    {"exchange-clixml/GetWebServicesVirtualDirectory.xml", PROTOCOL_EWS}};
    for (size_t i = 0; i < ARRAY_LEN(recorded); i++) {
        if (!read_fixture(&b, recorded[i].file)) {
            print_message("%s is not here: skipped\n", recorded[i].file);
            buf_fini(&b);
            bench_fini(&t);
            skip();
        }
        auth_set set = methods_of(buf_str(&b));
        assert_true(set != 0);
        for (size_t k = 0; k < t.b.org->n_vdirs; k++)
            if (t.b.org->vdirs[k].protocol == recorded[i].protocol)
                set_auth(&t.b.org->vdirs[k], set, set);
    }
    /* of the others nothing was recorded: only these two are compared */
    for (size_t k = 0; k < t.b.org->n_vdirs; k++)
        if (t.b.org->vdirs[k].protocol != PROTOCOL_OWA && t.b.org->vdirs[k].protocol != PROTOCOL_EWS)
            t.b.org->vdirs[k].has_iis_auth = false;
    assert_true(read_fixture(&b, "exchange-iis/E16_pair_applicationHost.config"));
    take_text(&t, s, buf_str(&b));
    bench_run(&t);
    assert_said(&t, "auth-drift", SERVER, 'P');
    buf_fini(&b);
    bench_fini(&t);
}

static void test_a_misconfigured_server(void **state)
{
    (void)state;
    struct bench t;
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    struct server *s = scene(&t, "15.2.1118.20", false);
    if (!read_fixture(&b, "exchange-iis/E19_MisConfigured_ApplicationHost.config")) {
        print_message("exchange-iis is not here: skipped\n");
        buf_fini(&b);
        bench_fini(&t);
        skip();
    }
    take_text(&t, s, buf_str(&b));
    bench_run(&t);
    const struct finding *f = found(&t, "extended-protection", SERVER);
    assert_non_null(f);
    assert_non_null(strstr(f->summary, "4 lower"));
    assert_non_null(strstr(f->summary, "2 higher"));
    assert_int_equal(f->n_evidence, 6);
    bench_fini(&t);
    s = scene(&t, "15.1.2507.20", false);
    assert_true(read_fixture(&b, "exchange-iis/E16_Configured_IPFilter_ApplicationHost.config"));
    take_text(&t, s, buf_str(&b));
    bench_run(&t);
    assert_said(&t, "extended-protection", SERVER, 'P'); /* EWS of the back end by listed addresses */
    bench_fini(&t);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),           cmocka_unit_test(test_asked_builds),
        cmocka_unit_test(test_not_read),         cmocka_unit_test(test_on_at_a_2010_server),
        cmocka_unit_test(test_channel_binding),  cmocka_unit_test(test_drift_in_iis),
        cmocka_unit_test(test_a_healthy_server), cmocka_unit_test(test_a_misconfigured_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
