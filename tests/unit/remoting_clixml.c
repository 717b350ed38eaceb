/* Standard error of PowerShell in plain text: CLIXML of both kinds, the error view, what is neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/base/str.h"
#include "remoting/clixml.h"
#include "remoting/codepage.h"

#define HEAD                                                                                                 \
    "#< CLIXML\r\n<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">"
#define E(line) "<S S=\"Error\">" line "_x000D__x000A_</S>"

static void decode(struct clixml *c, const char *text)
{
    memset(c, 0, sizeof *c);
    assert_int_equal(clixml_decode(c, text, strlen(text)), ERR_OK);
}

static void expect_error(const struct clixml *c, size_t i, const char *message, const char *id,
                         const char *category, const char *target)
{
    assert_true(i < c->errors.n);
    const struct remote_error *e = &c->errors.v[i];
    assert_string_equal(e->message, message);
    assert_true(str_eq(e->id, id));
    assert_true(str_eq(e->category, category));
    assert_true(str_eq(e->target, target));
}

static void test_unescape(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"a_x000D__x000A_", "a\r\n"},
        {"_x005F_x000A_", "_x000A_"},
        {"_x00e9_", "\xc3\xa9"},
        {"_x20AC_", "\xe2\x82\xac"},
        {"_xD83D__xDE00_", "\xf0\x9f\x98\x80"},
        {"_xD83D_x", "\xef\xbf\xbdx"},
        {"_xDE00__xD83D_", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"_x0000_", "\xef\xbf\xbd"},
        {"_x00", "_x00"},
        {"_xZZZZ_", "_xZZZZ_"},
        {"_x000A", "_x000A"},
        {"__x000A_", "_\n"},
        {"_X000A_", "_X000A_"},
    };
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_reset(&b);
        assert_int_equal(clixml_unescape(&b, rows[i].in), ERR_OK);
        assert_string_equal(buf_str(&b), rows[i].out);
    }
    buf_fini(&b);
}

static void test_codepage(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
        bool repaired;
    } rows[] = {
        {"a\r\nb\rc", "a\nb\rc", false},
        {"\xef\xbb\xbfok", "ok", false},
        {"gr\x81n \x84 \x9c", "gr\xc3\xbcn \xc3\xa4 \xc2\xa3", true},
        {"gr\xc3\xbcn", "gr\xc3\xbcn", false},
        {"\xc4\xcd\xcb\xff", "\xe2\x94\x80\xe2\x95\x90\xe2\x95\xa6\xc2\xa0", true},
    };
    struct buf b;
    bool repaired = false;
    buf_init(&b, 1000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_reset(&b);
        assert_int_equal(codepage_to_utf8(&b, rows[i].in, strlen(rows[i].in), &repaired), ERR_OK);
        assert_string_equal(buf_str(&b), rows[i].out);
        assert_int_equal(repaired, rows[i].repaired);
    }
    buf_reset(&b);
    assert_int_equal(codepage_to_utf8(&b, "a\0b", 3, NULL), ERR_OK);
    assert_string_equal(buf_str(&b), "ab");
    buf_fini(&b);
}

static void test_category(void **state)
{
    (void)state;
    static const struct {
        const char *info, *category, *target, *activity;
    } rows[] = {
        {"NotSpecified: (X:String) [Set-X], SomeException", "NotSpecified", "X", "Set-X"},
        {"InvalidArgument: (:) [Set-X], E", "InvalidArgument", "", "Set-X"},
        {"ObjectNotFound: (a) [b:String) [], E", "ObjectNotFound", "a) [b", ""},
        {"ObjectNotFound: (C:\\x:String) [Get-Item], E", "ObjectNotFound", "C:\\x", "Get-Item"},
        {"NotSpecified: (0:Int32) [Set-X]", "NotSpecified", "0", "Set-X"},
        {"Odd", "", "", ""},
        {"Odd: no parts", "Odd", "", ""},
        {"", "", "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char c[32], t[32], a[32];
        errorview_category(rows[i].info, c, t, a, sizeof c);
        assert_string_equal(c, rows[i].category);
        assert_string_equal(t, rows[i].target);
        assert_string_equal(a, rows[i].activity);
    }
}

static void test_one_error(void **state)
{
    (void)state;
    struct clixml c;
    decode(
        &c,
        HEAD E("Set-OutlookAnywhere : The operation couldn't be performed because object 'X' couldn't ") E(
            "be found on 'dc1'.") E("At line:5 char:1") E("+ Set-OutlookAnywhere -Identity 'X'")
            E("+ ~~~~~~~") E(
                "    + CategoryInfo          : NotSpecified: (X:String) [Set-OutlookAnywhere], Man ")
                E("   agementObjectNotFoundException") E(
                    "    + FullyQualifiedErrorId : 8EBB9CC0,Microsoft.Exchange.Management.SystemConfigurati ")
                    E("   onTasks.SetRpcHttp") E(" ") "</Objs>");
    assert_int_equal(c.errors.n, 1);
    assert_false(c.malformed);
    assert_null(c.plain);
    expect_error(&c, 0, "The operation couldn't be performed because object 'X' couldn't be found on 'dc1'.",
                 "8EBB9CC0,Microsoft.Exchange.Management.SystemConfigurationTasks.SetRpcHttp", "NotSpecified",
                 "X");
    clixml_fini(&c);
}

/* Two errors back to back, without a blank line; a message of two paragraphs; a translated position. */
static void test_several_errors(void **state)
{
    (void)state;
    struct clixml c;
    decode(&c, HEAD E("Get-A : first") E("In Zeile:1 Zeichen:1") E("+ Get-A") E("+ ~~~~~")
                   E("    + CategoryInfo : PermissionDenied: (:) [Get-A], E")
                       E("    + FullyQualifiedErrorId : Id1") E("Get-B : second,") E("") E("in two lines.")
                           E("At C:\\a b.ps1:12 char:3") E("+ Get-B")
                               E("    + CategoryInfo          : InvalidData: (t:S) [Get-B], E")
                                   E("    + FullyQualifiedErrorId : Id2") "</Objs>");
    assert_int_equal(c.errors.n, 2);
    expect_error(&c, 0, "first", "Id1", "PermissionDenied", NULL);
    expect_error(&c, 1, "second, in two lines.", "Id2", "InvalidData", "t");
    clixml_fini(&c);
    decode(&c, HEAD E("The string is missing the terminator: '.") "</Objs>");
    assert_int_equal(c.errors.n, 1);
    expect_error(&c, 0, "The string is missing the terminator: '.", NULL, NULL, NULL);
    clixml_fini(&c);
}

/* PowerShell 2 cuts at column 79 in the middle of a word and leaves no blank. */
static void test_hard_wrap(void **state)
{
    (void)state;
    struct clixml c;
    decode(&c,
           HEAD E("The term 'Get-X' is not recognized as the name of a cmdlet, function, script fi")
               E("le, or operable program.") E("At line:1 char:6") E("+ Get-X &lt;&lt;&lt;&lt; ")
                   E("    + CategoryInfo          : ObjectNotFound: (Get-X:String) [], CommandNotFoundExce ")
                       E("   ption") E("    + FullyQualifiedErrorId : CommandNotFoundException")
                           E(" ") "</Objs>");
    assert_int_equal(c.errors.n, 1);
    expect_error(&c, 0,
                 "The term 'Get-X' is not recognized as the name of a cmdlet, function, script file, or "
                 "operable program.",
                 "CommandNotFoundException", "ObjectNotFound", "Get-X");
    clixml_fini(&c);
}

static void test_streams_and_blocks(void **state)
{
    (void)state;
    struct clixml c;
    decode(&c, "native says hello\r\n" HEAD
               "<Obj S=\"progress\" RefId=\"0\"><MS><PR N=\"Record\"><AV>x</AV></PR></MS></Obj>"
               "<S S=\"warning\">WARNING: careful_x000D__x000A_</S><S S=\"verbose\">VERBOSE: more</S>"
               "<S S=\"debug\">DEBUG: deep</S></Objs>\r\nin between\r\n" HEAD E("late") "</Objs>");
    assert_int_equal(c.warnings.n, 1);
    assert_string_equal(c.warnings.v[0], "careful");
    assert_int_equal(c.notes.n, 2);
    assert_string_equal(c.notes.v[0].stream, "verbose");
    assert_string_equal(c.notes.v[0].text, "more");
    assert_int_equal(c.errors.n, 1);
    expect_error(&c, 0, "late", NULL, NULL, NULL);
    assert_non_null(strstr(c.plain, "native says hello"));
    assert_non_null(strstr(c.plain, "in between"));
    assert_null(strstr(c.plain, "CLIXML"));
    clixml_fini(&c);
}

static void test_not_clixml(void **state)
{
    (void)state;
    static const struct {
        const char *text, *plain;
        bool malformed;
    } rows[] = {
        {"", NULL, false},
        {"#< CLIXML\r\n", NULL, false},
        {"bash: powershell: command not found\n", "bash: powershell: command not found", false},
        {HEAD "<S S=\"Error\">cut", "<Objs Version", true},
        {HEAD "<S S=\"Error\">a</T></Objs>", "<S S=\"Error\">a</T>", true},
        {HEAD "<S S=\"Error\">&lol;</S></Objs>", "&lol;", true},
        {"<!DOCTYPE Objs [<!ENTITY a \"b\">]><Objs><S S=\"Error\">&a;</S></Objs>", "&a;", true},
        {"<Objsolete></Objs>", "<Objsolete>", true},
        {HEAD "<S S=\"Error\">\x01</S></Objs>", "\x01", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct clixml c;
        decode(&c, rows[i].text);
        assert_int_equal(c.malformed, rows[i].malformed);
        assert_int_equal(c.errors.n, 0);
        if (rows[i].plain)
            assert_non_null(strstr(c.plain, rows[i].plain));
        else
            assert_null(c.plain);
        clixml_fini(&c);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct clixml c;
    struct buf b;
    buf_init(&b, CLIXML_MAX_INPUT + 100);
    (void)buf_adds(&b, HEAD);
    for (int i = 0; i < ERRORVIEW_MAX_ERRORS + 50; i++)
        (void)buf_addf(&b, E("Get-A : e%d") E("    + FullyQualifiedErrorId : I"), i);
    for (int i = 0; i < CLIXML_MAX_LINES + 50; i++)
        (void)buf_adds(&b, "<S S=\"warning\">w</S>");
    (void)buf_adds(&b, "</Objs>");
    decode(&c, buf_str(&b));
    assert_int_equal(c.errors.n, ERRORVIEW_MAX_ERRORS);
    assert_int_equal(c.warnings.n, CLIXML_MAX_LINES);
    clixml_fini(&c);

    buf_reset(&b);
    (void)buf_adds(&b, HEAD "<S S=\"Error\">x");
    while (b.len < 3 * ERRORVIEW_MAX_MESSAGE)
        (void)buf_adds(&b, "\xc3\xa9");
    (void)buf_adds(&b, "</S></Objs>");
    decode(&c, buf_str(&b));
    assert_int_equal(c.errors.n, 1);
    assert_true(strlen(c.errors.v[0].message) > ERRORVIEW_MAX_MESSAGE - 4);
    assert_true(utf8_valid(c.errors.v[0].message, strlen(c.errors.v[0].message)));
    clixml_fini(&c);

    buf_reset(&b);
    for (int i = 0; i < 2000; i++)
        (void)buf_adds(&b, "<Obj>");
    decode(&c, buf_str(&b));
    clixml_fini(&c);
    while (b.failed == ERR_OK)
        (void)buf_addc(&b, 'x');
    memset(&c, 0, sizeof c);
    assert_int_equal(clixml_decode(&c, buf_str(&b), b.len), ERR_LIMIT);
    buf_fini(&b);
}

/* ---- recorded ---- */

static bool read_fixture(struct buf *out, const char *name)
{
    const char *shared = getenv("CASBRIDGE_SHARED");
    char path[512];
    struct buf raw;
    str_fmt(path, sizeof path, "%s/fixtures/%s", shared ? shared : "../shared", name);
    buf_init(&raw, CLIXML_MAX_INPUT);
    bool ok = path_read(&raw, path, NULL) == ERR_OK;
    if (!ok)
        print_message("skipped: no %s\n", path);
    else
        assert_int_equal(codepage_to_utf8(out, raw.data, raw.len, NULL), ERR_OK);
    buf_fini(&raw);
    return ok;
}

static void test_recorded(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        size_t errors;
        const char *message, *id, *category, *target;
    } rows[] = {
        {"winrm/pypsrp-clixml/test_sanitise_clixml_with_no_errors.xml", 0, NULL, NULL, NULL, NULL},
        {"winrm/pypsrp-clixml/test_sanitise_clixml_with_error.xml", 1,
         "fake : The term 'fake' is not recognized as the name of a cmdlet, function, script file, or "
         "operable "
         "program. Check the spelling of the name, or if a path was included, verify that the path is "
         "correct and "
         "try again.",
         "CommandNotFoundException", "ObjectNotFound", "fake"},
        {"pwsh/clixml/errorthrow.clixml", 1, "boom", "boom", "OperationStopped", "boom"},
        {"pwsh/clixml/errorwrite.clixml", 1, "soft", "Id1,WriteErrorCmd", "ResourceUnavailable", "EXCAS01"},
        {"pwsh/clixml/errordividebyzero.clixml", 1, "Attempted to divide by zero.", "RuntimeException",
         "NotSpecified", NULL},
        {"pwsh/clixml/errorparse.clixml", 1, NULL, "ParseException", "NotSpecified", NULL},
        {"pwsh/clixml/errorcommandnotfound.clixml", 1, NULL, "CommandNotFoundException", "ObjectNotFound",
         "Get-NoSuchThing"},
    };
    struct buf text;
    buf_init(&text, CLIXML_MAX_INPUT);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct clixml c;
        buf_reset(&text);
        if (!read_fixture(&text, rows[i].file)) {
            buf_fini(&text);
            skip();
        }
        decode(&c, buf_str(&text));
        assert_false(c.malformed);
        assert_null(c.plain);
        assert_int_equal(c.errors.n, rows[i].errors);
        if (rows[i].errors)
            expect_error(&c, 0, rows[i].message ? rows[i].message : c.errors.v[0].message, rows[i].id,
                         rows[i].category, rows[i].target);
        if (rows[i].errors)
            assert_true(strlen(c.errors.v[0].message) > 3);
        clixml_fini(&c);
    }
    struct clixml c;
    buf_reset(&text);
    assert_true(read_fixture(&text, "pwsh/clixml/warningrecord.clixml"));
    decode(&c, buf_str(&text));
    assert_int_equal(c.warnings.n, 1);
    assert_string_equal(c.warnings.v[0], "careful");
    clixml_fini(&c);
    static const char *const notes[][3] = {{"pwsh/clixml/verboserecord.clixml", "verbose", "details"},
                                           {"pwsh/clixml/informationrecord.clixml", "information", "text"}};
    for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
        buf_reset(&text);
        assert_true(read_fixture(&text, notes[i][0]));
        decode(&c, buf_str(&text));
        assert_int_equal(c.notes.n, 1);
        assert_string_equal(c.notes.v[0].stream, notes[i][1]);
        assert_string_equal(c.notes.v[0].text, notes[i][2]);
        clixml_fini(&c);
    }
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_codepage),
        cmocka_unit_test(test_category),
        cmocka_unit_test(test_one_error),
        cmocka_unit_test(test_several_errors),
        cmocka_unit_test(test_hard_wrap),
        cmocka_unit_test(test_streams_and_blocks),
        cmocka_unit_test(test_not_clixml),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
