/* The filter language: what it means, what it refuses, and that a half-typed one does no harm. */
#include "tui/widgets/filter.h"

#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const fields[] = {"name", "site", "auth", "status"};

struct row {
    const char *text[4];
    int64_t status;
};
static const struct row row = {{"EXCAS01", "Barcelona", "basic, ntlm", "401"}, 401};

static const char *get(void *ctx, size_t field, int64_t *number)
{
    const struct row *r = ctx;
    *number = field == 3 ? r->status : 0;
    return r->text[field];
}

static void meaning(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool passes;
    } cases[] = {
        {"", true},
        {"   ", true},
        {"excas", true},
        {"EXCAS01", true},
        {"excas02", false},
        {"excas barc", true},
        {"excas dublin", false},
        {"!dublin", true},
        {"!barcelona", false},
        {"site:barc", true},
        {"SITE:BARC", true},
        {"name:barc", false},
        {"!site:barc", false},
        {"!name:barc", true},
        {"site:=barcelona", true},
        {"site:=barc", false},
        {"!site:=barc", true},
        {"auth:\"basic, ntlm\"", true},
        {"\"basic, ntlm\"", true},
        {"auth:\"basic,  ntlm\"", false},
        {"status:401", true},
        {"status:40", true},
        {"status:=40", false},
        {"status:>400", true},
        {"status:>=401", true},
        {"status:>401", false},
        {"status:<401", false},
        {"status:<=401", true},
        {"!status:<400", true},
        {"status:>=400 site:barc !ntlm", false},
        {"10:30", false},
        {"site:", true},
        {"!", true},
        {"! excas01", true},
        {"status:>=", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct filter f;
        struct errinfo ei = {.code = ERR_OK};
        if (filter_parse(&f, cases[i].text, fields, ARRAY_LEN(fields), &ei) != ERR_OK)
            fail_msg("%s: %s", cases[i].text, ei.what);
        if (filter_match(&f, ARRAY_LEN(fields), get, (void *)&row) != cases[i].passes)
            fail_msg("%s: %s expected", cases[i].text, cases[i].passes ? "a match" : "no match");
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what;
    } cases[] = {
        {"nosuch:1", "no field 'nosuch'"},      {"!nosuch:1", "no field 'nosuch'"},
        {"https://x", "no field 'https'"},      {"\"open", "a quote is open"},
        {"site:\"open", "a quote is open"},     {"status:>many", "'many' is no number"},
        {"status:<=4.5", "'4.5' is no number"}, {"a b c d e f g h i j k l m n o p q", "more than 16 terms"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct filter f = {.n = 7};
        struct errinfo ei = {.code = ERR_OK};
        assert_int_equal(filter_parse(&f, cases[i].text, fields, ARRAY_LEN(fields), &ei), ERR_USAGE);
        assert_string_equal(ei.what, cases[i].what);
        assert_int_equal(f.n, 7); /* the old one stays */
    }
}

static void names_the_fields(void **state)
{
    (void)state;
    struct filter f;
    struct errinfo ei;
    assert_int_equal(filter_parse(&f, "x:1", fields, ARRAY_LEN(fields), &ei), ERR_USAGE);
    assert_string_equal(ei.hint, "fields here: name site auth status");
}

static void long_text_is_cut(void **state)
{
    (void)state;
    char text[400];
    struct filter f;
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(filter_parse(&f, text, fields, ARRAY_LEN(fields), NULL), ERR_OK);
    assert_int_equal(strlen(f.terms[0].text), FILTER_TEXT_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meaning),
        cmocka_unit_test(refused),
        cmocka_unit_test(names_the_fields),
        cmocka_unit_test(long_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
