/* XML that a server sent, and Autodiscover answers in it: good, bad, hostile; and against a directory. */
#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/app_pox.h"
#include "core/probe/app_xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define POX(inner) "<Autodiscover xmlns=\"u\"><Response xmlns=\"v\">" inner "</Response></Autodiscover>"
#define ACCOUNT(inner)                                                                                       \
    POX("<User><DisplayName>A &amp; B</DisplayName><LegacyDN>/o=C</LegacyDN></User><Account>" inner          \
        "</Account>")
#define PROTOCOL(type, inner) "<Protocol><Type>" type "</Type>" inner "</Protocol>"

/* ---- XML */

static bool count_element(void *arg, const char *path, const char *text)
{
    (void)path, (void)text;
    ++*(size_t *)arg;
    return true;
}

static void test_xml_refused(void **state)
{
    static const struct {
        const char *text;
        enum err e;
        const char *why;
    } cases[] = {
        {"", ERR_INPUT, "empty"},
        {"<a><b></a>", ERR_INPUT, "line 1: "},
        {"<a>", ERR_INPUT, "ends too early"},
        {"HTTP is not XML", ERR_INPUT, "line 1: "},
        {"<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>", ERR_INPUT, "document type"},
        {"<!DOCTYPE a SYSTEM \"http://127.0.0.1:9/a.dtd\"><a/>", ERR_INPUT, "document type"},
        {"<a>&unknown;</a>", ERR_INPUT, "line 1: "},
        {"<a>\xff\xfe\xff</a>", ERR_INPUT, "line 1: "},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct errinfo ei = {0};
        size_t n = 0;
        const struct app_xml_reader reader = {NULL, count_element, &n};
        assert_int_equal(app_xml_read(cases[i].text, strlen(cases[i].text), &reader, &ei), cases[i].e);
        if (!strstr(ei.what, cases[i].why))
            fail_msg("%zu: \"%s\" instead of \"%s\"", i, ei.what, cases[i].why);
    }
}

/* Three gigabytes of laughter are refused at their door, a flood of elements and of depth soon. */
static void test_xml_bounds(void **state)
{
    struct buf b;
    struct errinfo ei = {0};
    size_t n = 0;
    const struct app_xml_reader reader = {NULL, count_element, &n};
    (void)state;
    buf_init(&b, 4 << 20);
    buf_adds(&b, "<!DOCTYPE l [<!ENTITY l0 \"ha\">");
    for (int i = 1; i < 10; i++) {
        buf_addf(&b, "<!ENTITY l%d \"", i);
        for (int k = 0; k < 10; k++)
            buf_addf(&b, "&l%d;", i - 1);
        buf_adds(&b, "\">");
    }
    buf_adds(&b, "]><Autodiscover>&l9;</Autodiscover>");
    int64_t from = clock_mono_ms();
    assert_int_equal(app_xml_read(b.data, b.len, &reader, &ei), ERR_INPUT);
    assert_non_null(strstr(ei.what, "document type"));
    assert_in_range(clock_mono_ms() - from, 0, 1000);

    buf_reset(&b);
    for (int i = 0; i < 60; i++)
        buf_adds(&b, "<a>");
    assert_int_equal(app_xml_read(b.data, b.len, &reader, &ei), ERR_INPUT);
    assert_non_null(strstr(ei.what, "nested too deep"));

    buf_reset(&b);
    buf_adds(&b, "<a>");
    while (b.len < 900000)
        buf_adds(&b, "<b/>");
    assert_int_equal(app_xml_read(b.data, b.len, &reader, &ei), ERR_LIMIT);
    assert_non_null(strstr(ei.what, "too many elements"));

    while (b.len <= APP_XML_MAX)
        buf_adds(&b, "                                                                ");
    assert_int_equal(app_xml_read(b.data, b.len, &reader, &ei), ERR_LIMIT);
    assert_non_null(strstr(ei.what, "larger than 1024 KiB"));
    buf_fini(&b);
}

struct last {
    char path[128], text[APP_XML_TEXT_MAX], attribute[64];
};

static bool keep_attribute(void *arg, const char *path, const struct xml_attributes *a)
{
    struct last *l = arg;
    (void)path;
    (void)xml_attribute(a, "x", l->attribute, sizeof l->attribute);
    return true;
}

static bool keep_text(void *arg, const char *path, const char *text)
{
    struct last *l = arg;
    if (!strchr(path, '/'))
        return true;
    str_copy(l->path, sizeof l->path, path);
    str_copy(l->text, sizeof l->text, text);
    return true;
}

static void test_xml_text(void **state)
{
    struct last l = {0};
    struct buf b;
    const struct app_xml_reader reader = {keep_attribute, keep_text, &l};
    static const char text[] = "<r><p:c xmlns:p='u' p:x='a&amp;b'> \n x &lt;&#233;<![CDATA[&y]]>\t</p:c></r>";
    (void)state;
    assert_int_equal(app_xml_read(text, strlen(text), &reader, NULL), ERR_OK);
    assert_string_equal(l.path, "r/c");
    assert_string_equal(l.text, "x <\xc3\xa9&y");
    assert_string_equal(l.attribute, "a&b");
    buf_init(&b, 1 << 20);
    buf_adds(&b, "<r><c>");
    for (int i = 0; i < 20000; i++)
        buf_adds(&b, "\xc3\xa9");
    buf_adds(&b, "</c></r>");
    assert_int_equal(app_xml_read(b.data, b.len, &reader, NULL), ERR_OK);
    assert_in_range(strlen(l.text), APP_XML_TEXT_MAX - 4, APP_XML_TEXT_MAX);
    assert_true(utf8_valid(l.text, strlen(l.text)));
    buf_fini(&b);
}

/* ---- POX */

static void test_pox_kinds(void **state)
{
    static const struct {
        const char *text;
        enum pox_kind kind;
        const char *value;
    } cases[] = {
        {ACCOUNT("<Action>settings</Action>" PROTOCOL("EXCH", "<Server>s</Server>")), POX_SETTINGS, "s"},
        {POX("<Error Time='1' Id='2'><ErrorCode>500</ErrorCode><Message>no</Message></Error>"), POX_ERROR,
         "500"},
        {ACCOUNT("<Action>redirectAddr</Action><RedirectAddr>a@b.c</RedirectAddr>"), POX_REDIRECT_ADDRESS,
         "a@b.c"},
        {ACCOUNT("<Action>redirectUrl</Action><RedirectUrl>https://x/y</RedirectUrl>"), POX_REDIRECT_URL,
         "https://x/y"},
        {POX("<Action><Settings><Server><Type>MobileSync</Type><Url>https://m/eas</Url></Server></Settings>"
             "</Action>"),
         POX_MOBILE, "https://m/eas"},
        {POX("<Action><Redirect>a@b.c</Redirect></Action>"), POX_REDIRECT_ADDRESS, "a@b.c"},
        {POX("<Action><Error><Status>2</Status><Message>no</Message></Error></Action>"), POX_ERROR, "2"},
        /* an error counts more than settings beside it */
        {POX("<Error><ErrorCode>600</ErrorCode></Error><Account><Action>settings</Action></Account>"),
         POX_ERROR, "600"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pox x;
        struct errinfo ei = {0};
        if (pox_parse(&x, cases[i].text, strlen(cases[i].text), &ei))
            fail_msg("%zu: %s", i, ei.what);
        assert_int_equal(x.kind, cases[i].kind);
        const char *value = x.kind == POX_ERROR      ? x.error_code
                            : x.kind == POX_MOBILE   ? x.mobile_url
                            : x.kind == POX_SETTINGS ? x.protocols[0].settings[POX_SERVER]
                                                     : x.redirect;
        assert_string_equal(value, cases[i].value);
        pox_fini(&x);
    }
}

static void test_pox_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"<html><body>Welcome</body></html>", "its root is not <Autodiscover>"},
        {"<Autodiscover/>", "without <Response>"},
        {POX(""), "neither settings nor an error nor a redirect"},
        {POX("<Account><Action>dance</Action></Account>"), "neither settings"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pox x;
        struct errinfo ei = {0};
        assert_int_equal(pox_parse(&x, cases[i].text, strlen(cases[i].text), &ei), ERR_INPUT);
        if (!strstr(ei.what, cases[i].why))
            fail_msg("%zu: \"%s\" instead of \"%s\"", i, ei.what, cases[i].why);
    }
}

static void test_pox_many_protocols(void **state)
{
    struct buf b;
    struct pox x;
    (void)state;
    buf_init(&b, 1 << 20);
    buf_adds(&b, "<Autodiscover><Response><Account>");
    for (int i = 0; i < 500; i++)
        buf_addf(&b, "<Protocol><Type>T%d</Type><Server>s</Server></Protocol>", i);
    buf_adds(&b, "</Account></Response></Autodiscover>");
    assert_int_equal(pox_parse(&x, b.data, b.len, NULL), ERR_OK);
    assert_int_equal(x.n_protocols, POX_MAX_PROTOCOLS);
    assert_true(x.cut);
    assert_string_equal(x.protocols[POX_MAX_PROTOCOLS - 1].settings[POX_TYPE], "T15");
    pox_fini(&x);
    buf_fini(&b);
}

static void test_pox_request(void **state)
{
    struct buf b;
    struct last l = {0};
    const struct app_xml_reader reader = {NULL, keep_text, &l};
    (void)state;
    buf_init(&b, 65536);
    assert_int_equal(pox_request(&b, "a<&>\"\r\n@x", false), ERR_OK);
    assert_non_null(strstr(buf_str(&b), "<EMailAddress>a&lt;&amp;&gt;&quot;@x</EMailAddress>"));
    assert_non_null(strstr(buf_str(&b), "autodiscover/outlook/requestschema/2006\""));
    assert_int_equal(app_xml_read(b.data, b.len, &reader, NULL), ERR_OK);
    buf_reset(&b);
    assert_int_equal(pox_request(&b, "a@x", true), ERR_OK);
    assert_non_null(strstr(buf_str(&b), "autodiscover/mobilesync/responseschema/2006<"));
    buf_fini(&b);
}

/* ---- what agrees with the directory */

static struct vdir vdirs[] = {
    {.protocol = PROTOCOL_OA,
     .external_hostname = "mail.contoso.lab",
     .external_ssl = TRI_YES,
     .has_client_auth = true,
     .client_auth = AUTH_BASIC},
    {.protocol = PROTOCOL_EWS,
     .internal_url = "https://cas01.contoso.lab/EWS/Exchange.asmx",
     .external_url = "https://mail.contoso.lab/ews/exchange.asmx"},
    {.protocol = PROTOCOL_OAB,
     .internal_url = "http://cas01.contoso.lab/OAB",
     .external_url = "https://mail.contoso.lab/OAB"},
    {.protocol = PROTOCOL_ECP, .internal_url = "https://cas01.contoso.lab/ecp"},
    {.protocol = PROTOCOL_OWA,
     .internal_url = "https://cas01.contoso.lab/owa",
     .external_url = "https://mail.contoso.lab/owa"},
    {.protocol = PROTOCOL_EAS, .external_url = "https://mail.contoso.lab/Microsoft-Server-ActiveSync"},
};
static struct server servers[] = {{.name = "CAS01", .fqdn = "cas01.contoso.lab"}};
static struct cas_array arrays[] = {{.name = "outlook", .fqdn = "outlook.contoso.lab"}};
static const struct org org = {.vdirs = vdirs,
                               .n_vdirs = ARRAY_LEN(vdirs),
                               .servers = servers,
                               .n_servers = 1,
                               .arrays = arrays,
                               .n_arrays = 1};

enum judge { EXCH, EXPR, WEB, MOBILE };

static void test_judge(void **state)
{
#define GOOD_EXPR "<Server>mail.contoso.lab</Server><SSL>On</SSL>"
    static const struct {
        enum judge judge;
        const char *text, *cn;
        enum outcome outcome;
        const char *detail;
    } cases[] = {
        {EXCH,
         PROTOCOL("EXCH", "<Server>outlook.contoso.lab</Server><ServerVersion>7383807B</ServerVersion>"
                          "<ASUrl>https://CAS01.contoso.lab/ews/exchange.asmx</ASUrl>"
                          "<OABUrl>http://cas01.contoso.lab/OAB/1234/</OABUrl>"
                          "<EcpUrl>https://cas01.contoso.lab/ecp/?p=1</EcpUrl>"),
         NULL, OUTCOME_OK, "EXCH server outlook.contoso.lab, version 14.3.123"},
        {EXCH, PROTOCOL("EXCH", "<Server>0f3a@contoso.lab</Server>"), NULL, OUTCOME_OK, "0f3a@"},
        {EXCH, "", NULL, OUTCOME_FAILED, "EXCH is missing"},
        {EXCH, PROTOCOL("EXCH", ""), NULL, OUTCOME_FAILED, "EXCH names no Server"},
        {EXCH, PROTOCOL("EXCH", "<Server>gone.contoso.lab</Server>"), NULL, OUTCOME_FAILED,
         "gone.contoso.lab is no server, array or mailbox"},
        {EXCH, PROTOCOL("EXCH", "<Server>CAS01</Server><ServerVersion>xyz</ServerVersion>"), NULL,
         OUTCOME_FAILED, "ServerVersion xyz is none"},
        {EXCH,
         PROTOCOL("EXCH", "<Server>CAS01</Server><ASUrl>https://old/EWS/Exchange.asmx</ASUrl>"
                          "<EwsUrl>https://old/EWS/Exchange.asmx</EwsUrl>"),
         NULL, OUTCOME_FAILED,
         "CAS01: ASUrl https://old/EWS/Exchange.asmx is no virtual directory's internal"},
        {EXCH,
         PROTOCOL("EXCH", "<Server>CAS01</Server><ASUrl>https://cas01.contoso.lab/EWS/Exchange.asmxx"
                          "</ASUrl>"),
         NULL, OUTCOME_FAILED, "is no virtual directory's"},
        {EXCH,
         PROTOCOL("EXCH", "<Server>CAS01</Server><ASUrl>http://cas01.contoso.lab/EWS/Exchange.asmx"
                          "</ASUrl>"),
         NULL, OUTCOME_FAILED, "ASUrl is not https"},
        {EXCH, PROTOCOL("EXCH", "<Server>CAS01</Server><ASUrl>cas01/EWS</ASUrl>"), NULL, OUTCOME_FAILED,
         "ASUrl is no URL"},
        {EXPR, PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Basic</AuthPackage>"), NULL, OUTCOME_OK,
         "EXPR server mail.contoso.lab, SSL On, AuthPackage Basic, CertPrincipalName not sent"},
        {EXPR, PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Basic</AuthPackage>"), "mail.contoso.lab", OUTCOME_OK,
         "not sent"},
        {EXPR, "", NULL, OUTCOME_FAILED, "EXPR is missing: Outlook Anywhere is off"},
        {EXPR, PROTOCOL("EXPR", GOOD_EXPR), NULL, OUTCOME_FAILED, "AuthPackage is missing"},
        {EXPR, PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Magic</AuthPackage>"), NULL, OUTCOME_FAILED,
         "AuthPackage Magic is no method"},
        {EXPR, PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Ntlm</AuthPackage>"), NULL, OUTCOME_FAILED,
         "AuthPackage Ntlm is not what the directory tells"},
        {EXPR,
         PROTOCOL("EXPR", "<Server>wrong.contoso.lab</Server><SSL>On</SSL><AuthPackage>Basic"
                          "</AuthPackage>"),
         NULL, OUTCOME_FAILED, "wrong.contoso.lab is no server's Outlook Anywhere host name"},
        {EXPR,
         PROTOCOL("EXPR", "<Server>mail.contoso.lab</Server><SSL>Off</SSL><AuthPackage>Basic"
                          "</AuthPackage>"),
         NULL, OUTCOME_FAILED, "SSL is Off"},
        {EXPR, PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Basic</AuthPackage>"), "*.contoso.lab",
         OUTCOME_FAILED, "set CertPrincipalName of the EXPR provider to msstd:*.contoso.lab"},
        {EXPR,
         PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Basic</AuthPackage>"
                                    "<CertPrincipalName>msstd:*.contoso.lab</CertPrincipalName>"),
         "*.contoso.lab", OUTCOME_OK, "msstd:*.contoso.lab"},
        {EXPR,
         PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Basic</AuthPackage>"
                                    "<CertPrincipalName>mail.contoso.lab</CertPrincipalName>"),
         NULL, OUTCOME_FAILED, "does not begin with msstd:"},
        {EXPR,
         PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Basic</AuthPackage>"
                                    "<CertPrincipalName>msstd:old.contoso.lab</CertPrincipalName>"),
         "mail.contoso.lab", OUTCOME_FAILED, "but the certificate's CN is mail.contoso.lab"},
        {EXPR,
         PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Basic</AuthPackage>"
                                    "<CertPrincipalName>None</CertPrincipalName>"),
         "other", OUTCOME_OK, "CertPrincipalName None"},
        {EXPR,
         PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Basic</AuthPackage>"
                                    "<EwsUrl>https://cas01.contoso.lab/EWS/Exchange.asmx</EwsUrl>"),
         NULL, OUTCOME_FAILED, "is no virtual directory's external URL"},
        {EXPR,
         PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Basic</AuthPackage>"
                                    "<CertPrincipalName>msstd:san.contoso.lab</CertPrincipalName>"),
         "mail.contoso.lab", OUTCOME_OK, "san.contoso.lab is an alternative name only"},
        {EXPR,
         PROTOCOL("EXPR", GOOD_EXPR "<AuthPackage>Basic</AuthPackage>"
                                    "<CertPrincipalName>msstd:a.wild.lab</CertPrincipalName>"),
         "mail.contoso.lab", OUTCOME_OK, "a.wild.lab is an alternative name only"},
        {WEB, "", NULL, OUTCOME_OK, "no WEB provider"},
        {WEB,
         PROTOCOL("WEB", "<Internal><OWAUrl>https://cas01.contoso.lab/owa/</OWAUrl></Internal>"
                         "<External><OWAUrl>https://mail.contoso.lab/owa</OWAUrl></External>"),
         NULL, OUTCOME_OK, "OWA inside https://cas01.contoso.lab/owa/, outside https://mail.contoso.lab/owa"},
        {WEB, PROTOCOL("WEB", "<External><OWAUrl>https://mail.contoso.lab/owa2</OWAUrl></External>"), NULL,
         OUTCOME_FAILED, "external OWAUrl https://mail.contoso.lab/owa2 is no virtual directory's"},
        {MOBILE, "https://mail.contoso.lab/Microsoft-Server-ActiveSync", NULL, OUTCOME_OK, "ActiveSync at"},
        {MOBILE, "https://legacy.contoso.lab/Microsoft-Server-ActiveSync", NULL, OUTCOME_FAILED,
         "no virtual directory's URL"},
        {MOBILE, "http://mail.contoso.lab/Microsoft-Server-ActiveSync", NULL, OUTCOME_FAILED, "no https URL"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text, detail;
        struct pox x;
        const char *names[] = {"san.contoso.lab", "*.wild.lab"};
        const struct certificate cert = {.subject_cn = cases[i].cn, .names = names, .n_names = 2};
        buf_init(&text, 65536);
        buf_init(&detail, 65536);
        if (cases[i].judge == MOBILE)
            buf_addf(&text, POX("<Action><Settings><Server><Url>%s</Url></Server></Settings></Action>"),
                     cases[i].text);
        else
            buf_addf(&text, ACCOUNT("<Action>settings</Action>%s"), cases[i].text);
        assert_int_equal(pox_parse(&x, text.data, text.len, NULL), ERR_OK);
        enum outcome o = cases[i].judge == EXCH ? pox_judge_exch(&x, &org, &detail)
                         : cases[i].judge == EXPR
                             ? pox_judge_expr(&x, &org, cases[i].cn ? &cert : NULL, &detail)
                         : cases[i].judge == WEB ? pox_judge_web(&x, &org, &detail)
                                                 : pox_judge_mobile(&x, &org, &detail);
        if (o != cases[i].outcome || !strstr(buf_str(&detail), cases[i].detail))
            fail_msg("%zu: %s, \"%s\" instead of \"%s\"", i, outcome_name(o), buf_str(&detail),
                     cases[i].detail);
        pox_fini(&x);
        buf_fini(&text);
        buf_fini(&detail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xml_refused), cmocka_unit_test(test_xml_bounds),
        cmocka_unit_test(test_xml_text),    cmocka_unit_test(test_pox_kinds),
        cmocka_unit_test(test_pox_refused), cmocka_unit_test(test_pox_many_protocols),
        cmocka_unit_test(test_pox_request), cmocka_unit_test(test_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
