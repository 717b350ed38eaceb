/* applicationHost.config: what is read, what is inherited, what is refused; real files' known answers. */
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/iis/iis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<configuration>"
#define TAIL "</configuration>"
#define AUTH(x)                                                                                              \
    "<system.webServer><security><authentication>" x "</authentication></security></system.webServer>"
#define WIN(x) AUTH("<windowsAuthentication enabled=\"true\">" x "</windowsAuthentication>")
#define EP(x)  WIN("<extendedProtection tokenChecking=\"" x "\"/>")

static void parse(struct iis_config *c, const char *text)
{
    struct errinfo ei = {0};
    enum err e = iis_parse(c, text, strlen(text), &ei);
    if (e)
        print_message("%s\n", ei.what);
    assert_int_equal(e, ERR_OK);
}

static void test_inheritance(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path;
        enum iis_token token;
        const char *from;
    } cases[] = {
        {"<location path=\"Default Web Site/owa\">" EP("Require") "</location>", "Default Web Site/owa",
         IIS_TOKEN_REQUIRE, "Default Web Site/owa"},
        {"<location path=\"DEFAULT WEB SITE/OWA\">" EP("Allow") "</location>", "Default Web Site/owa",
         IIS_TOKEN_ALLOW, "DEFAULT WEB SITE/OWA"},
        {"<location path=\"Default Web Site\">" EP("Require") "</location>", "Default Web Site/owa",
         IIS_TOKEN_REQUIRE, "Default Web Site"},
        {"<location path=\"Default Web Site\">" EP(
             "Require") "</location><location path=\"Default Web Site/owa\">" EP("None") "</location>",
         "Default Web Site/owa", IIS_TOKEN_NONE, "Default Web Site/owa"},
        /* a grandparent is not asked */
        {"<location path=\"Default Web Site\">" EP("Require") "</location>", "Default Web Site/mapi/nspi",
         IIS_TOKEN_NONE, NULL},
        {"<location path=\"Default Web Site/mapi\">" EP("Require") "</location>",
         "Default Web Site/mapi/nspi", IIS_TOKEN_REQUIRE, "Default Web Site/mapi"},
        {"<location path=\"Default Web Site/owa\">" WIN("") "</location>", "Default Web Site/owa",
         IIS_TOKEN_NONE, NULL},
        {EP("Require") "<location path=\"x\"/>", "Default Web Site/owa", IIS_TOKEN_NONE, NULL},
        {"<location path=\"Default Web Site/owa\">" EP("2") "</location>", "default web site/owa/",
         IIS_TOKEN_REQUIRE, "Default Web Site/owa"},
        /* elsewhere in the file the same words mean nothing */
        {"<location path=\"Default Web Site/owa\"><system.web>" EP("Require") "</system.web></location>",
         "Default Web Site/owa", IIS_TOKEN_NONE, NULL},
        {"<!-- <location path=\"Default Web Site/owa\">" EP(
             "Require") "</location> --><location path=\"y\"/>",
         "Default Web Site/owa", IIS_TOKEN_NONE, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[2048];
        struct iis_config c;
        struct iis_settings s;
        snprintf(text, sizeof text, HEAD "%s" TAIL, cases[i].text);
        parse(&c, text);
        iis_settings(&c, cases[i].path, &s);
        if (s.token != cases[i].token || !str_eq(s.protection_from, cases[i].from))
            fail_msg("case %zu: %s from %s", i, iis_token_name(s.token),
                     s.protection_from ? s.protection_from : "-");
        iis_fini(&c);
    }
}

static void test_switches_come_down(void **state)
{
    (void)state;
    struct iis_config c;
    struct iis_settings s;
    parse(
        &c,
        HEAD AUTH(
            "<anonymousAuthentication enabled=\"true\"/><basicAuthentication enabled=\"false\"/>"
            "<windowsAuthentication enabled=\"false\" useKernelMode=\"false\"><providers><add "
            "value=\"Negotiate\"/>"
            "<add value=\"NTLM\"/></providers></windowsAuthentication>") "<location path=\"Default Web "
                                                                         "Site\"><system.webServer><security>"
                                                                         "<access sslFlags=\"Ssl,  "
                                                                         "Ssl128\"/></security>"
                                                                         "</system.webServer></location>"
                                                                         "<location path=\"Default Web "
                                                                         "Site/Rpc\" "
                                                                         "overrideMode=\"Allow\">" AUTH(
                                                                             "<anonymousAuthentication "
                                                                             "enabled=\"False\"/"
                                                                             "><basicAuthentication "
                                                                             "enabled=\"TRUE\"/>"
                                                                             "<windowsAuthentication "
                                                                             "enabled=\"true\"/>") "</"
                                                                                                   "location>"
                                                                                                   "<location"
                                                                                                   " path="
                                                                                                   "\"Default"
                                                                                                   " Web "
                                                                                                   "Site/"
                                                                                                   "EWS\""
                                                                                                   ">" AUTH(
                                                                                                       "<wind"
                                                                                                       "owsAu"
                                                                                                       "thent"
                                                                                                       "icati"
                                                                                                       "on "
                                                                                                       "enabl"
                                                                                                       "ed="
                                                                                                       "\"tru"
                                                                                                       "e\"><"
                                                                                                       "provi"
                                                                                                       "ders>"
                                                                                                       "<remo"
                                                                                                       "ve "
                                                                                                       "value"
                                                                                                       "=\"Ne"
                                                                                                       "gotia"
                                                                                                       "te\"/"
                                                                                                       "></"
                                                                                                       "provi"
                                                                                                       "ders>"
                                                                                                       "</"
                                                                                                       "windo"
                                                                                                       "wsAut"
                                                                                                       "henti"
                                                                                                       "catio"
                                                                                                       "n>") "</location><location path=\"Default Web Site/OAB\">" AUTH("<windowsAuthentication enabled=\"true\"><providers><clear/><add value=\"NTLM\"/></providers>"
                                                                                                                                                                        "<extendedProtection tokenChecking=\"Allow\" flags=\"Proxy, NoServiceNameCheck\"><spn name=\"HTTP/a&amp;b\"/>"
                                                                                                                                                                        "<spn name=\"HTTP/mail\"/></extendedProtection></windowsAuthentication>") "</location><location path=\"Default Web Site/ecp\"><system.webServer><security><ipSecurity allowUnlisted=\"false\">"
                                                                                                                                                                                                                                                  "<add ipAddress=\"::1\" allowed=\"true\"/></ipSecurity></security></system.webServer></location>" TAIL);
    iis_settings(&c, "Default Web Site/Rpc", &s);
    assert_true(s.present && s.basic && s.windows && !s.anonymous && !s.digest && !s.kernel_mode);
    assert_int_equal(s.providers, IIS_PROVIDER_NEGOTIATE | IIS_PROVIDER_NTLM);
    assert_int_equal(s.ssl_flags, IIS_SSL | IIS_SSL_128);
    iis_settings(&c, "Default Web Site/EWS", &s);
    assert_int_equal(s.providers, IIS_PROVIDER_NTLM);
    assert_true(s.anonymous && s.windows && !s.basic);
    iis_settings(&c, "Default Web Site/OAB", &s);
    assert_int_equal(s.providers, IIS_PROVIDER_NTLM);
    assert_int_equal(s.token, IIS_TOKEN_ALLOW);
    assert_int_equal(s.protection_flags, IIS_PROTECTION_PROXY | IIS_PROTECTION_NO_SERVICE_NAME_CHECK);
    assert_non_null(s.spns);
    assert_string_equal(s.spns->spns.v[0], "HTTP/a&b");
    assert_int_equal(s.spns->spns.n, 2);
    iis_settings(&c, "Default Web Site/ecp", &s);
    assert_true(s.ip_filtered);
    iis_settings(&c, "Default Web Site/nothing", &s);
    assert_false(s.present);
    iis_fini(&c);
}

static void test_applications(void **state)
{
    (void)state;
    struct iis_config c;
    struct iis_settings s;
    parse(&c, HEAD
          "<system.applicationHost><sites><site name=\"Default Web Site\" id=\"1\"><application path=\"/\">"
          "<virtualDirectory path=\"/\"/><virtualDirectory path=\"/old\"/></application><application "
          "path=\"/owa\">"
          "<virtualDirectory path=\"/\"/><virtualDirectory path=\"/auth\"/></application></site></sites>"
          "</system.applicationHost>" TAIL);
    static const struct {
        const char *path;
        bool present;
    } cases[] = {{"Default Web Site/owa", true}, {"default web site/OWA/auth", true},
                 {"Default Web Site/old", true}, {"Default Web Site/ecp", false},
                 {"Default Web Site", false},    {"Exchange Back End/owa", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        iis_settings(&c, cases[i].path, &s);
        if (s.present != cases[i].present)
            fail_msg("%s", cases[i].path);
    }
    assert_string_equal(iis_site_by_id(&c, 1)->name, "Default Web Site");
    assert_null(iis_site_by_id(&c, 2));
    iis_fini(&c);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">"
         "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]><configuration><location path=\"&c;\"/></configuration>",
         "document type"},
        {"<!DOCTYPE configuration SYSTEM \"file:///etc/passwd\"><configuration><location "
         "path=\"x\"/></configuration>",
         "document type"},
        {HEAD "<location path=\"&undeclared;\"/>" TAIL, "undeclared"},
        {HEAD "<location path=\"x\">" TAIL, "line 2"},
        {HEAD "<location path=\"x\"/>", "line"},
        {"", "line"},
        {"not xml at all", "line 1"},
        {"<web><location path=\"x\"/></web>", "root"},
        {HEAD "<system.web/>" TAIL, "no site"},
        {"\xff\xfe\x00\xd8", "line"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct iis_config c;
        struct errinfo ei = {0};
        enum err e = iis_parse(&c, cases[i].text, strlen(cases[i].text), &ei);
        if (e != ERR_INPUT || !strstr(ei.what, cases[i].why))
            fail_msg("case %zu: %s: %s", i, err_name(e), ei.what);
    }
}

static void test_bounded(void **state)
{
    (void)state;
    struct iis_config c;
    struct errinfo ei = {0};
    struct buf b;
    buf_init(&b, (size_t)8 << 20);
    buf_adds(&b, HEAD);
    for (int i = 0; i < 200; i++)
        buf_adds(&b, "<a>");
    assert_int_equal(iis_parse(&c, buf_str(&b), b.len, &ei), ERR_INPUT);
    assert_non_null(strstr(ei.what, "deeper"));
    buf_reset(&b);
    buf_adds(&b, HEAD);
    for (int i = 0; i <= IIS_MAX_LOCATIONS; i++)
        buf_addf(&b, "<location path=\"s/%d\"/>", i);
    buf_adds(&b, TAIL);
    assert_int_equal(iis_parse(&c, buf_str(&b), b.len, &ei), ERR_LIMIT);
    assert_int_equal(iis_read(&c, "/proc/nonexistent/applicationHost.config", NULL, &ei), ERR_INPUT);
    buf_fini(&b);
}

/* ---- real servers' files */

static bool fixture(struct iis_config *c, const char *name)
{
    const char *shared = getenv("CASBRIDGE_SHARED");
    char path[600];
    struct errinfo ei = {0};
    snprintf(path, sizeof path, "%s/fixtures/exchange-iis/%s", shared ? shared : "../shared", name);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    fclose(f);
    enum err e = iis_read(c, path, NULL, &ei);
    if (e)
        fail_msg("%s", ei.what);
    return true;
}

static void test_known_answers(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        size_t present, protected, differ;
    } cases[] = {
        {"E15_Configured_Both_ApplicationHost.config", 23, 20, 0},
        {"E15_Configured_Mbx_ApplicationHost.config", 14, 12, 0},
        {"E15_NotConfigured_Cas_ApplicationHost.config", 11, 0, SIZE_MAX},
        {"E16_Configured_ApplicationHost.config", 25, 22, 0},
        {"E16_Configured_IPFilter_ApplicationHost.config", 25, 21, 1},
        {"E16_NotConfigured_ApplicationHost.config", 25, 0, SIZE_MAX},
        {"E19_MisConfigured_ApplicationHost.config", 25, 19, 6},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct iis_config c;
        size_t present = 0, protected = 0, differ = 0;
        if (!fixture(&c, cases[i].file)) {
            print_message("%s is not here: skipped\n", cases[i].file);
            skip();
        }
        for (size_t k = 0; k < IIS_ROWS; k++) {
            struct iis_settings s;
            iis_settings(&c, iis_rows[k].path, &s);
            present += s.present;
            protected += s.present && s.token != IIS_TOKEN_NONE;
            differ += s.present && s.token != iis_rows[k].recommended;
            if (str_eq(iis_rows[k].path, "Exchange Back End/EWS"))
                assert_int_equal(s.ip_filtered, strstr(cases[i].file, "IPFilter") != NULL);
        }
        print_message("%s: %zu %zu %zu\n", cases[i].file, present, protected, differ);
        assert_int_equal(present, cases[i].present);
        assert_int_equal(protected, cases[i].protected);
        if (cases[i].differ != SIZE_MAX)
            assert_int_equal(differ, cases[i].differ);
        iis_fini(&c);
    }
}

/* The next field of a line of CSV, quotes taken off; the line is cut up. */
static char *field(char **at)
{
    char *from = *at;
    if (*from == '"') {
        char *end = strchr(++from, '"');
        *end = '\0';
        *at = end + 2;
        return from;
    }
    char *end = from + strcspn(from, ",\r\n");
    *at = *end ? end + 1 : end;
    *end = '\0';
    return from;
}

static bool same_switch(const char *text, enum tri value)
{
    return str_eq(text, value == TRI_YES ? "true" : value == TRI_NO ? "false" : "");
}

static bool same_providers(const char *text, const struct iis_location *l)
{
    uint32_t want = (strstr(text, "Negotiate") ? IIS_PROVIDER_NEGOTIATE : 0u) |
                    (strstr(text, "NTLM") ? IIS_PROVIDER_NTLM : 0u);
    return l->providers == want;
}

/* Somebody else's reading of the same files, location by location. */
static void test_matrix(void **state)
{
    (void)state;
    const char *shared = getenv("CASBRIDGE_SHARED");
    char path[600], open[200] = "";
    struct iis_config c = {0};
    struct buf b;
    size_t compared = 0;
    bool have = false;
    buf_init(&b, (size_t)1 << 20);
    snprintf(path, sizeof path, "%s/fixtures/exchange-iis/iis-auth-matrix.csv",
             shared ? shared : "../shared");
    if (path_read(&b, path, NULL)) {
        print_message("iis-auth-matrix.csv is not here: skipped\n");
        buf_fini(&b);
        skip();
    }
    char *text = buf_take(&b), *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *at = line, *f[12];
        for (size_t i = 0; i < ARRAY_LEN(f); i++)
            f[i] = field(&at);
        const char *name = strrchr(f[0], '/');
        if (!name || strstr(f[0], "HealthChecker"))
            continue;
        if (!str_eq(open, name + 1)) {
            if (have)
                iis_fini(&c);
            snprintf(open, sizeof open, "%s", name + 1);
            have = fixture(&c, open);
        }
        if (!have)
            continue;
        const struct iis_location *l = iis_location(&c, f[1]);
        enum iis_token token = IIS_TOKEN_NONE;
        if (!l || !same_switch(f[2], l->anonymous) || !same_switch(f[3], l->basic) ||
            !same_switch(f[4], l->digest) || !same_switch(f[5], l->windows) || !same_providers(f[6], l) ||
            !same_switch(f[7], l->kernel_mode) || (*f[9] != '\0') != l->has_token ||
            (*f[9] && (!iis_token_from(f[9], &token) || token != l->token)) ||
            (*f[10] != '\0') != l->has_ssl_flags || !same_switch(f[11], l->ip_allow_unlisted))
            fail_msg("%s, %s: read otherwise", open, f[1]);
        if (strstr(f[10], "Ssl128"))
            assert_true(l->ssl_flags & IIS_SSL_128);
        compared++;
    }
    if (have)
        iis_fini(&c);
    free(text);
    buf_fini(&b);
    print_message("%zu locations agree\n", compared);
    assert_true(compared > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inheritance),  cmocka_unit_test(test_switches_come_down),
        cmocka_unit_test(test_applications), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounded),      cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
