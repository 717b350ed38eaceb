/* Answers of the applications, read: WBXML, EWS, pages, headers, manifests; and what a server of another code base answered. */
#include "core/base/str.h"
#include "core/probe/app_answers.h"
#include "core/probe/app_pox.h"
#include "core/probe/app_wbxml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- WBXML */

static void test_wbxml(void **state)
{
    static const char request[] = "\x03\x01\x6a\x00\x00\x07\x56\x52\x03"
                                  "0\0\x01\x01";
    static const struct {
        const char *bytes;
        size_t len;
        enum err e;
        const char *why; /* or the key */
    } cases[] = {
#define W(s) s, sizeof s - 1
        {W("\x03\x01\x6a\x00\x00\x07\x56\x4c\x03"
           "1\0\x01\x52\x03"
           "{k}1\0\x01\x4e\x57\x03"
           "2\0\x01\x4f\x48\x03"
           "1\0\x01\x01\x4f\x01\x01\x01"),
         ERR_OK, "{k}1"},
        {W("\x03\x01\x6a\x00\x00\x07\x56\x4c\xc3\x03"
           "142\x01\x01"),
         ERR_OK, ""},
        {W(""), ERR_INPUT, "empty"},
        {W("<html>"), ERR_INPUT, "no WBXML"},
        {W("\x03\x01\x6a"), ERR_INPUT, "ends too early"},
        {W("\x03\x01\x04\x00"), ERR_INPUT, "not as ActiveSync writes it"},
        {W("\x03\x01\x6a\x05hello"), ERR_INPUT, "not as ActiveSync writes it"},
        {W("\x03\xff\xff\xff\xff\xff\x01"), ERR_INPUT, "too large"},
        {W("\x03\x01\x6a\x00\x00"), ERR_INPUT, "ends too early"},
        {W("\x03\x01\x6a\x00\x00\x07\x56\x4c\x03"
           "1"),
         ERR_INPUT, "ends too early"},
        {W("\x03\x01\x6a\x00\x00\x07\x56\x4c\xc3\x7f"
           "1"),
         ERR_INPUT, "ends too early"},
        {W("\x03\x01\x6a\x00\x00\x07\xd6"), ERR_INPUT, "does not use: 0xd6"},
        {W("\x03\x01\x6a\x00\x01"), ERR_INPUT, "does not use: 0x01"},
        {W("\x03\x01\x6a\x00\x45\x03"
           "x\0\x01"),
         ERR_INPUT, "no FolderSync answer"},
        {W("\x03\x01\x6a\x00\x00\x07\x56\x01"), ERR_INPUT, "without Status"},
        {W("\x03\x01\x6a\x00\x00\x07\x56\x4c\x03-1\0\x01\x01"), ERR_INPUT, "without Status"},
    };
    struct buf b;
    (void)state;
    buf_init(&b, 64);
    folder_sync_request(&b);
    assert_int_equal(b.len, sizeof request - 1);
    assert_memory_equal(b.data, request, b.len);
    buf_fini(&b);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct folder_sync f;
        struct errinfo ei = {0};
        enum err e = folder_sync_parse(&f, cases[i].bytes, cases[i].len, &ei);
        if (e != cases[i].e || !strstr(e ? ei.what : f.sync_key, cases[i].why))
            fail_msg("%zu: %s \"%s\"", i, err_name(e), e ? ei.what : f.sync_key);
        if (i == 0)
            assert_true(f.status == 1 && f.folders == 2);
        if (i == 1)
            assert_true(f.status == 142 && f.folders == 0);
    }
}

static void test_wbxml_bounds(void **state)
{
    struct buf b;
    struct folder_sync f;
    struct errinfo ei = {0};
    (void)state;
    buf_init(&b, 4 << 20);
    buf_add(&b, "\x03\x01\x6a\x00\x00\x07", 6);
    for (int i = 0; i < 100; i++)
        buf_addc(&b, 0x56);
    assert_int_equal(folder_sync_parse(&f, b.data, b.len, &ei), ERR_INPUT);
    assert_non_null(strstr(ei.what, "nested too deep"));
    while (b.len < 900000)
        buf_addc(&b, 0x16);
    memset(b.data + 7, 0x16, b.len - 7);
    assert_int_equal(folder_sync_parse(&f, b.data, b.len, &ei), ERR_LIMIT);
    assert_non_null(strstr(ei.what, "too many elements"));
    while (b.len <= WBXML_MAX)
        buf_addc(&b, 0x16);
    assert_int_equal(folder_sync_parse(&f, b.data, b.len, &ei), ERR_LIMIT);
    buf_fini(&b);
}

/* ---- EWS */

#define SOAP(head, body)                                                                                     \
    "<s:Envelope xmlns:s='u'><s:Header>" head "</s:Header><s:Body>" body "</s:Body></s:Envelope>"
#define VERSION(a, b, c, d)                                                                                  \
    "<h:ServerVersionInfo MajorVersion='" a "' MinorVersion='" b "' MajorBuildNumber='" c                    \
    "' MinorBuildNumber='" d "' xmlns:h='t'/>"
#define MESSAGE(class, inner)                                                                                \
    "<m:GetFolderResponse xmlns:m='m'><m:ResponseMessages><m:GetFolderResponseMessage ResponseClass='" class \
        "'>" inner "</m:GetFolderResponseMessage></m:ResponseMessages></m:GetFolderResponse>"

static void test_ews(void **state)
{
    static const struct {
        const char *text, *code, *message, *folder, *version;
        bool success, fault;
    } cases[] = {
        {SOAP(VERSION("14", "3", "123", "3"),
              MESSAGE("Success", "<m:ResponseCode>NoError</m:ResponseCode><m:Folders><f><DisplayName>Inbox"
                                 "</DisplayName></f></m:Folders>")),
         "NoError", "", "Inbox", "14.3.123.3", true, false},
        {SOAP("", MESSAGE("Error", "<m:MessageText>Not found.</m:MessageText><m:ResponseCode>"
                                   "ErrorFolderNotFound</m:ResponseCode>")),
         "ErrorFolderNotFound", "Not found.", "", NULL, false, false},
        {SOAP(VERSION("15", "0", "x", "1"), "<s:Fault><faultcode>a:ErrorSchemaValidation</"
                                            "faultcode><faultstring>Bad.</faultstring></s:Fault>"),
         "ErrorSchemaValidation", "Bad.", "", NULL, false, true},
        {SOAP(VERSION("8", "3", "517", "99999"),
              "<s:Fault><faultcode>s:Server</faultcode><faultstring>x</faultstring><detail><e:ResponseCode "
              "xmlns:e='e'>ErrorServerBusy</e:ResponseCode><e:Message xmlns:e='e'>y</e:Message></detail>"
              "</s:Fault>"),
         "ErrorServerBusy", "x", "", "8.3.517", false, true},
    };
    struct buf b;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ews_answer a;
        char version[VERSION_TEXT_SIZE];
        assert_int_equal(ews_parse(&a, cases[i].text, strlen(cases[i].text), NULL), ERR_OK);
        assert_string_equal(a.code, cases[i].code);
        assert_string_equal(a.text, cases[i].message);
        assert_string_equal(a.folder, cases[i].folder);
        assert_int_equal(a.has_version, cases[i].version != NULL);
        if (cases[i].version)
            assert_string_equal(version_text(a.version, version), cases[i].version);
        assert_int_equal(a.is_success, cases[i].success);
        assert_int_equal(a.is_fault, cases[i].fault);
    }
    struct ews_answer a;
    assert_int_equal(ews_parse(&a, "<html/>", 7, NULL), ERR_INPUT);
    assert_int_equal(ews_parse(&a, "<Envelope/>", 11, NULL), ERR_INPUT);
    assert_non_null(strstr(ews_code_words("errornonexistentmailbox"), "no mailbox"));
    assert_null(ews_code_words("ErrorOfTomorrow"));
    buf_init(&b, 65536);
    assert_int_equal(ews_request(&b), ERR_OK);
    assert_int_equal(ews_parse(&a, b.data, b.len, NULL), ERR_OK); /* it is well-formed */
    buf_fini(&b);
}

/* ---- pages, headers, manifests */

static void test_owa(void **state)
{
#define PASSWORD "<input name=\"password\" TYPE=\"password\">"
    static const struct {
        const char *html;
        enum owa_form form;
        const char *version;
    } cases[] = {
        {"<link href='/owa/8.3.517.0/themes/x.css'><form action=\"/owa/auth/owaauth.dll\">" PASSWORD,
         OWA_FORM_OWAAUTH_DLL, "8.3.517"},
        {"<link href=\"/owa/14.3.123.3/themes/x\"><FORM action=\"/owa/auth.owa\" method=\"POST\">" PASSWORD,
         OWA_FORM_AUTH_OWA, "14.3.123"},
        {"<link href=\"/owa/auth/15.0.1497/x\"><form action=\"/owa/auth.owa\">" PASSWORD, OWA_FORM_AUTH_OWA,
         "15.0.1497"},
        {"<form action=\"/search\"><input type=\"text\"></form><form action=\"/login\">" PASSWORD,
         OWA_FORM_OTHER, NULL},
        {"<form action=\"/owa/auth.owa\"><input type=\"text\"></form>", OWA_FORM_NONE, NULL},
        {"<a href=\"/owa/help\">/owa/99.1.2/</a>", OWA_FORM_NONE, NULL},
        {"", OWA_FORM_NONE, NULL},
    };
    static const struct {
        const char *text, *version;
    } versions[] = {{"15.1.2507.39", "15.1.2507.39"},
                    {"14.3.513.0", "14.3.513"},
                    {"8.3.83.6/x", "8.3.83"},
                    {"15.0.1497", "15.0.1497"},
                    {"15", NULL},
                    {"7.5.1.2", NULL},
                    {"", NULL},
                    {"15.0.99999.1", NULL}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct owa_page p;
        char text[VERSION_TEXT_SIZE];
        owa_page_read(&p, cases[i].html, strlen(cases[i].html));
        assert_int_equal(p.form, cases[i].form);
        assert_int_equal(p.has_version, cases[i].version != NULL);
        if (cases[i].version)
            assert_string_equal(version_text(p.version, text), cases[i].version);
    }
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        struct version v;
        char text[VERSION_TEXT_SIZE];
        bool ok = owa_version(versions[i].text, &v);
        if (ok != (versions[i].version != NULL) ||
            (ok && !str_eq(version_text(v, text), versions[i].version)))
            fail_msg("%s", versions[i].text);
    }
    assert_true(owa_is_logon_url("/owa/auth/logon.aspx?url=x"));
    assert_true(owa_is_logon_url("https://mail.contoso.lab/OWA/auth/Logon.aspx"));
    assert_false(owa_is_logon_url("https://mail.contoso.lab"));
    assert_false(owa_is_logon_url("https://x/?u=/owa/auth/logon.aspx"));
}

static void test_eas(void **state)
{
    static const struct {
        const char *server, *versions, *commands;
        enum outcome outcome;
        const char *detail, *newest;
    } cases[] = {
        {"14.3", "2.0,2.1,2.5,12.0,12.1,14.0,14.1", "Sync,FolderSync,Provision", OUTCOME_OK,
         "ActiveSync of 14.3, protocol versions 2.0,", "14.1"},
        {"8.1", "1.0, 2.0, 2.5 , 12.0", NULL, OUTCOME_OK, "8.1", "12.0"},
        {NULL, "2.5", NULL, OUTCOME_FAILED, "without MS-Server-ActiveSync", "2.5"},
        {"14.3", NULL, NULL, OUTCOME_FAILED, "without MS-ASProtocolVersions", NULL},
        {"14.3", "1.0,2.0,2.1", NULL, OUTCOME_FAILED, "none of them is one that devices speak", NULL},
        {"14.3", "112.1", NULL, OUTCOME_FAILED, "none of them", NULL},
        {"14.3", "14.1", "Sync,Provision", OUTCOME_FAILED, "FolderSync is not offered", "14.1"},
    };
    bool ok = false;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf d;
        buf_init(&d, 4096);
        enum outcome o = eas_judge_options(cases[i].server, cases[i].versions, cases[i].commands, &d);
        if (o != cases[i].outcome || !strstr(buf_str(&d), cases[i].detail))
            fail_msg("%zu: %s", i, buf_str(&d));
        assert_true(str_eq(eas_newest(cases[i].versions), cases[i].newest) ||
                    (!eas_newest(cases[i].versions) && !cases[i].newest));
        buf_fini(&d);
    }
    assert_non_null(eas_status_words(449, &ok));
    assert_true(ok);
    static const int bad[] = {403, 451, 500, 503};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ok = true;
        assert_non_null(eas_status_words(bad[i], &ok));
        assert_false(ok);
    }
    assert_null(eas_status_words(200, &ok));
    assert_non_null(strstr(eas_folder_words(142, &ok), "provisioning"));
    assert_true(ok);
    assert_null(eas_folder_words(99, &ok));
}

static void test_mapi_and_oab(void **state)
{
    static const char good[] =
        "<OAB><OAL name='\\Global Address List'><Full seq='7' ver='32' size='100'>a.lzx"
        "</Full><Template ver='32' size='1'/><Diff seq='6'/><Diff seq='7'/></OAL></OAB>";
    struct version v;
    struct oab_manifest m;
    char text[VERSION_TEXT_SIZE];
    (void)state;
    assert_true(mapi_version("Exchange/15.00.1497.002", &v));
    assert_string_equal(version_text(v, text), "15.0.1497.2");
    assert_false(mapi_version("Exchange/15.00", &v));
    assert_false(mapi_version("IIS/15.00.1497.002", &v));
    assert_false(mapi_version("Exchange/15.00.1497.002x", &v));
    assert_string_equal(mapi_code_words(5), "the request type is not known");
    assert_null(mapi_code_words(14));
    assert_null(mapi_code_words(99));
    assert_int_equal(oab_parse(&m, good, strlen(good), NULL), ERR_OK);
    assert_true(m.lists == 1 && m.full == 1 && m.diffs == 2 && m.templates == 1 && m.is_version4);
    assert_true(m.sequence == 7 && m.bytes == 100);
    assert_string_equal(m.name, "\\Global Address List");
    assert_int_equal(oab_parse(&m, "<OAB/>", 6, NULL), ERR_INPUT);
    assert_int_equal(oab_parse(&m, "<html/>", 7, NULL), ERR_INPUT);
}

/* ---- recorded from a server of another code base */

/* The body of the first answer of a recording; false, saying so, when it is not there. */
static bool recorded(const char *name, struct buf *out)
{
    char path[512], line[512];
    const char *base = getenv("CASBRIDGE_SHARED");
    bool answer = false;
    str_fmt(path, sizeof path, "%s/fixtures/rpch/%s", base ? base : "../shared", name);
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("skipped: %s is not there\n", path);
        return false;
    }
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '@') {
            answer = strstr(line, " S>C ") != NULL;
            continue;
        }
        for (const char *h = line; answer; h += 2) {
            unsigned v;
            if (sscanf(h, "%2x", &v) != 1 || h[0] == '\n' || h[1] == '\n')
                break;
            buf_addc(out, (char)v);
        }
    }
    fclose(f);
    const char *body = strstr(buf_str(out), "\r\n\r\n");
    assert_non_null(body);
    buf_drop(out, (size_t)(body + 4 - out->data));
    return true;
}

static void test_recorded_autodiscover(void **state)
{
    struct buf b;
    struct pox x;
    (void)state;
    buf_init(&b, 1 << 20);
    if (!recorded("09-autodiscover-basic.rec", &b)) {
        buf_fini(&b);
        skip();
    }
    assert_int_equal(pox_parse(&x, b.data, b.len, NULL), ERR_OK);
    assert_int_equal(x.kind, POX_SETTINGS);
    assert_string_equal(x.display_name, "Alice");
    assert_int_equal(x.n_protocols, 4);
    assert_string_equal(pox_protocol(&x, "EXPR")->settings[POX_SERVER], "cas01.contoso.lab");
    assert_string_equal(pox_protocol(&x, "EXPR")->settings[POX_AUTH_PACKAGE], "basic");
    assert_string_equal(pox_protocol(&x, "EXPR")->settings[POX_CERT_PRINCIPAL], "None");
    assert_string_equal(pox_protocol(&x, "EXCH")->settings[POX_SERVER_VERSION], "73C0834F");
    assert_string_equal(pox_protocol(&x, "EXHTTP")->settings[POX_EWS_URL],
                        "https://cas01.contoso.lab/EWS/Exchange.asmx");
    assert_non_null(strstr(pox_protocol(&x, "mapiHttp")->settings[POX_STORE_INTERNAL], "/mapi/emsmdb/"));
    pox_fini(&x);
    buf_fini(&b);
}

static void test_recorded_ews(void **state)
{
    struct buf b;
    struct ews_answer a;
    char text[VERSION_TEXT_SIZE];
    (void)state;
    buf_init(&b, 1 << 20);
    if (!recorded("08-ews-negotiate.rec", &b)) {
        buf_fini(&b);
        skip();
    }
    assert_int_equal(ews_parse(&a, b.data, b.len, NULL), ERR_OK);
    assert_true(a.is_success && !a.is_fault);
    assert_string_equal(a.code, "NoError");
    assert_string_equal(a.folder, "Inbox");
    assert_string_equal(version_text(a.version, text), "15.0.847.4040");
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wbxml),
        cmocka_unit_test(test_wbxml_bounds),
        cmocka_unit_test(test_ews),
        cmocka_unit_test(test_owa),
        cmocka_unit_test(test_eas),
        cmocka_unit_test(test_mapi_and_oab),
        cmocka_unit_test(test_recorded_autodiscover),
        cmocka_unit_test(test_recorded_ews),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
