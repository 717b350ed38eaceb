/* Cmdlets as data: each quoting rule, each kind, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "core/model/cmdlet.h"

struct fixture {
    struct arena arena;
    struct cmdlet cmdlet;
    struct buf text;
    struct errinfo ei;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    arena_init(&f->arena, 16 << 20);
    buf_init(&f->text, 1 << 20);
    cmdlet_init(&f->cmdlet, &f->arena, "Set-OutlookAnywhere");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    buf_fini(&f->text);
    arena_fini(&f->arena);
    free(f);
    return 0;
}

static void expect_text(struct fixture *f, const char *want)
{
    buf_reset(&f->text);
    assert_int_equal(cmdlet_text(&f->text, &f->cmdlet, &f->ei), ERR_OK);
    assert_string_equal(buf_str(&f->text), want);
}

/* The text read back and written again is the same text. */
static void expect_round_trip(struct fixture *f, const char *text)
{
    struct cmdlet back;
    struct buf again;
    buf_init(&again, 1 << 20);
    f->ei.what[0] = '\0';
    if (cmdlet_parse(&back, &f->arena, text, &f->ei) != ERR_OK)
        fail_msg("%s: %s", text, f->ei.what);
    assert_int_equal(cmdlet_text(&again, &back, &f->ei), ERR_OK);
    assert_string_equal(buf_str(&again), text);
    buf_fini(&again);
}

static void test_the_missions_cmdlet(void **state)
{
    struct fixture *f = *state;
    const char *methods[] = {"Basic", "NTLM"};
    assert_int_equal(cmdlet_string(&f->cmdlet, "Identity", "EXCAS01\\Rpc (Default Web Site)"), ERR_OK);
    assert_int_equal(cmdlet_word(&f->cmdlet, "ClientAuthenticationMethod", "Basic"), ERR_OK);
    assert_int_equal(cmdlet_words(&f->cmdlet, "IISAuthenticationMethods", methods, 2), ERR_OK);
    const char *want = "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)' "
                       "-ClientAuthenticationMethod Basic -IISAuthenticationMethods Basic,NTLM";
    expect_text(f, want);
    expect_round_trip(f, want);
    assert_non_null(cmdlet_param(&f->cmdlet, "identity"));
    assert_null(cmdlet_param(&f->cmdlet, "Ident"));
}

static void test_quoting(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *value, *quoted;
    } rows[] = {
        {"", "''"},
        {"a", "'a'"},
        {" ", "' '"},
        {"O'Brien", "'O''Brien'"},
        {"''", "''''''"},
        {"\xe2\x80\x98", "'\xe2\x80\x98\xe2\x80\x98'"},
        {"\xe2\x80\x99", "'\xe2\x80\x99\xe2\x80\x99'"},
        {"\xe2\x80\x9a", "'\xe2\x80\x9a\xe2\x80\x9a'"},
        {"\xe2\x80\x9b", "'\xe2\x80\x9b\xe2\x80\x9b'"},
        {"\xe2\x80\x97", "'\xe2\x80\x97'"}, /* the neighbours are no quotes */
        {"\xe2\x80\x9c", "'\xe2\x80\x9c'"},
        {"a\xe2\x80\x99; Remove-Mailbox *; \xe2\x80\x98",
         "'a\xe2\x80\x99\xe2\x80\x99; Remove-Mailbox *; \xe2\x80\x98\xe2\x80\x98'"},
        {"$(Remove-Item C:\\)", "'$(Remove-Item C:\\)'"},
        {"`\"$x`n", "'`\"$x`n'"},
        {"two\r\nlines", "'two\r\nlines'"},
        {"\x01\x1b\x7f", "'\x01\x1b\x7f'"},
        {"\xf0\x9f\x98\x80", "'\xf0\x9f\x98\x80'"},
        {"\xef\xbf\xbd", "'\xef\xbf\xbd'"},
        {"\xf0\x9f\xbf\xbe", "'\xf0\x9f\xbf\xbe'"}, /* U+1FFFE travels as a pair */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_reset(&f->text);
        assert_int_equal(cmdlet_quote(&f->text, rows[i].value, &f->ei), ERR_OK);
        assert_string_equal(buf_str(&f->text), rows[i].quoted);
    }
}

static void test_values_that_cannot_travel(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[] = {
        "\xef\xbf\xbe", "x\xef\xbf\xbfy",   "\xff",        "a\xc0\xaf",
        "\xed\xa0\x80", "\xf4\x90\x80\x80", "cut\xe2\x80",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cmdlet c;
        cmdlet_init(&c, &f->arena, "Set-OutlookAnywhere");
        assert_int_equal(cmdlet_string(&c, "Identity", rows[i]), ERR_OK);
        buf_reset(&f->text);
        (void)buf_adds(&f->text, "before");
        assert_int_equal(cmdlet_text(&f->text, &c, &f->ei), ERR_INPUT);
        assert_string_equal(buf_str(&f->text), "before");
        assert_int_equal(f->text.failed, ERR_OK);
        assert_non_null(strstr(f->ei.what, "Set-OutlookAnywhere -Identity"));
        assert_int_equal(cmdlet_quote(&f->text, rows[i], NULL), ERR_INPUT);
        assert_string_equal(buf_str(&f->text), "before");
    }
}

static void add_string(struct cmdlet *c, const char *value)
{
    assert_int_equal(cmdlet_string(c, "A", value), ERR_OK);
}

static void test_each_kind(void **state)
{
    struct fixture *f = *state;
    static const char *const dash_first[] = {"--%", "b"}, *const dash_later[] = {"b", "--%"},
                             *const one[] = {"o"};
    struct cmdlet *c = &f->cmdlet;
    static const struct {
        const char *value, *want;
    } strings[] = {
        {"x-y", "Set-OutlookAnywhere -A 'x-y'"},
        {"-x", "Set-OutlookAnywhere -A:'-x'"},
        {"--%", "Set-OutlookAnywhere -A:'--%'"},
        {"\xe2\x80\x93x", "Set-OutlookAnywhere -A:'\xe2\x80\x93x'"},
        {"\xe2\x80\x94", "Set-OutlookAnywhere -A:'\xe2\x80\x94'"},
        {"\xe2\x80\x95", "Set-OutlookAnywhere -A:'\xe2\x80\x95'"},
        {"\xe2\x80\x96", "Set-OutlookAnywhere -A '\xe2\x80\x96'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        cmdlet_init(c, &f->arena, "Set-OutlookAnywhere");
        add_string(c, strings[i].value);
        expect_text(f, strings[i].want);
        expect_round_trip(f, strings[i].want);
    }
    cmdlet_init(c, &f->arena, "Set-X");
    assert_int_equal(cmdlet_list(c, "L", dash_first, 2), ERR_OK);
    assert_int_equal(cmdlet_list(c, "M", dash_later, 2), ERR_OK);
    assert_int_equal(cmdlet_list(c, "N", one, 1), ERR_OK);
    assert_int_equal(cmdlet_bool(c, "T", true), ERR_OK);
    assert_int_equal(cmdlet_bool(c, "F", false), ERR_OK);
    assert_int_equal(cmdlet_null(c, "Nul"), ERR_OK);
    assert_int_equal(cmdlet_switch(c, "Sw"), ERR_OK);
    assert_int_equal(cmdlet_int(c, "I", 5), ERR_OK);
    assert_int_equal(cmdlet_int(c, "J", -5), ERR_OK);
    assert_int_equal(cmdlet_int(c, "Z", 0), ERR_OK);
    assert_int_equal(cmdlet_int(c, "Min", INT64_MIN), ERR_OK);
    assert_int_equal(cmdlet_int(c, "Max", INT64_MAX), ERR_OK);
    assert_int_equal(cmdlet_switch(c, "Last"), ERR_OK);
    const char *want =
        "Set-X -L:'--%','b' -M 'b','--%' -N 'o' -T:$true -F:$false -Nul $null -Sw -I 5 -J:-5 -Z 0 "
        "-Min:-9223372036854775808 -Max 9223372036854775807 -Last";
    expect_text(f, want);
    expect_round_trip(f, want);
    struct cmdlet copy;
    assert_int_equal(cmdlet_copy(&copy, &f->arena, c), ERR_OK);
    *c = copy;
    expect_text(f, want);
}

static void test_builder_refuses(void **state)
{
    struct fixture *f = *state;
    static const char *const bad_words[] = {"",    "1x",         "a b", "a;b",     "$x",
                                            "a'b", "Basic,NTLM", "a-b", "\xc3\xa4"};
    struct cmdlet *c = &f->cmdlet;
    for (size_t i = 0; i < ARRAY_LEN(bad_words); i++) {
        cmdlet_init(c, &f->arena, "Set-X");
        assert_int_equal(cmdlet_word(c, "A", bad_words[i]), ERR_INPUT);
        /* and stays refused: the text would lack a parameter */
        assert_int_equal(cmdlet_string(c, "B", "fine"), ERR_INPUT);
        assert_int_equal(cmdlet_text(&f->text, c, &f->ei), ERR_INPUT);
        assert_int_equal(f->text.len, 0);
    }
    cmdlet_init(c, &f->arena, "Set-X");
    assert_int_equal(cmdlet_string(c, "A", NULL), ERR_INPUT);
    cmdlet_init(c, &f->arena, "Set-X");
    assert_int_equal(cmdlet_list(c, "A", bad_words, 0), ERR_INPUT);
    cmdlet_init(c, &f->arena, "Set-X");
    assert_int_equal(cmdlet_null(c, "A"), ERR_OK);
    assert_int_equal(cmdlet_null(c, "a"), ERR_INPUT);
    cmdlet_init(c, &f->arena, "Set-X");
    for (int i = 0; i < CMDLET_MAX_PARAMS; i++) {
        char name[16];
        str_fmt(name, sizeof name, "P%d", i);
        assert_int_equal(cmdlet_int(c, name, i), ERR_OK);
    }
    assert_int_equal(cmdlet_int(c, "TooMany", 1), ERR_LIMIT);
    assert_int_equal(c->params[63].value.number, 63);
    assert_string_equal(c->params[8].name, "P8");

    char *big = malloc(CMDLET_MAX_VALUE + 2);
    memset(big, 'x', CMDLET_MAX_VALUE + 1);
    big[CMDLET_MAX_VALUE + 1] = '\0';
    cmdlet_init(c, &f->arena, "Set-X");
    assert_int_equal(cmdlet_string(c, "A", big), ERR_LIMIT);
    big[CMDLET_MAX_VALUE] = '\0';
    cmdlet_init(c, &f->arena, "Set-X");
    assert_int_equal(cmdlet_string(c, "A", big), ERR_OK);
    struct buf small;
    buf_init(&small, 100);
    assert_int_equal(cmdlet_text(&small, c, &f->ei), ERR_LIMIT);
    assert_int_equal(small.len, 0);
    buf_fini(&small);
    free(big);

    struct arena tiny;
    arena_init(&tiny, 64);
    cmdlet_init(c, &tiny, "Set-X");
    for (int i = 0; i < 8; i++)
        (void)cmdlet_string(c, "A", "some value that does not fit");
    assert_int_equal(cmdlet_text(&f->text, c, &f->ei), ERR_LIMIT);
    arena_fini(&tiny);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"Get-X", "Set-OutlookAnywhere", "Test-A1"};
    static const char *const bad[] = {
        "",      "Get",     "iex",          "-X",       "Get-",   "Get-X-Y",
        "1-X",   "Get-1X",  "Get-X ",       "Get X",    "exit",   "a/b-c",
        "G.t-X", "Get-X;Y", "Get-\xc3\xa4", "m\\Get-X", "&Get-X", "Get\xe2\x80\x93X",
        "Get--X"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(cmdlet_name_is_valid(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(cmdlet_name_is_valid(bad[i]));
    assert_false(cmdlet_name_is_valid(NULL));
    assert_false(cmdlet_param_name_is_valid("a-b"));
    assert_false(cmdlet_param_name_is_valid(NULL));
}

static void test_parse_refuses(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[] = {
        "",
        " ",
        "iex",
        "iex 'x'",
        "exit 5",
        "throw 'x'",
        "Set-X 'positional'",
        "Set-X Basic",
        "Set-X; Remove-Mailbox",
        "Set-X | Out-Null",
        "Set-X & Set-Y",
        "Set-X && Set-Y",
        "Set-X || Set-Y",
        "Set-X -A 'a'; Set-Y -B 'b'",
        "Set-X -A 'a';",
        "Set-X -A 'a' | Set-Y",
        "Set-X -A 'a'\nSet-Y",
        "Set-X -A 'a'\r\n",
        "Set-X\n-A 'a'",
        "Set-X -A 'a' # comment",
        "Set-X -A 'a' <# c #>",
        "# Set-X",
        "& Set-X",
        ". Set-X",
        "$x = Set-X",
        "@(Set-X)",
        "(Set-X)",
        "$(Set-X)",
        "{Set-X}",
        "Set-X -A \"a\"",
        "Set-X -A \"$(calc)\"",
        "Set-X -A $x",
        "Set-X -A $env:PATH",
        "Set-X -A $truex",
        "Set-X -A:$True",
        "Set-X -A $(calc)",
        "Set-X -A (calc)",
        "Set-X -A @('a')",
        "Set-X -A @splat",
        "Set-X -A @{a=1}",
        "Set-X -A {calc}",
        "Set-X -A [int]",
        "Set-X -A %PATH%",
        "Set-X -A a.b",
        "Set-X -A a`b",
        "Set-X -A 'a'b",
        "Set-X -A 'a''",
        "Set-X -A 'a",
        "Set-X -A '",
        "Set-X -A 'a' -B '",
        "Set-X -A '\xe2\x80\x99'",
        "Set-X -A 'a\xe2\x80\x99; calc; \xe2\x80\x98'",
        "Set-X -A '\xe2\x80\x98\xe2\x80\x99'",
        "Set-X -A \xe2\x80\x98x\xe2\x80\x99",
        "Set-X -A 'a\xff'",
        "Set-X -A '\xef\xbf\xbe'",
        "Set-X -A 'a','b' -B 'c' > out",
        "Set-X -A 'a' 2>&1",
        "Set-X -A 'a'>x",
        "Set-X -A 'a',",
        "Set-X -A ,'a'",
        "Set-X -A 'a',Basic",
        "Set-X -A Basic,'a'",
        "Set-X -A 'a', 'b'",
        "Set-X -A  'a'",
        "Set-X  -A 'a'",
        "Set-X -A 'a' ",
        " Set-X -A 'a'",
        "Set-X -A '--%'",
        "Set-X -A '--%','b'",
        "Set-X --%",
        "Set-X --% calc",
        "Set-X -A --% calc",
        "Set-X -A:'plain'",
        "Set-X -T $true",
        "Set-X -T:$null",
        "Set-X -N -5",
        "Set-X -N:5",
        "Set-X -N 05",
        "Set-X -N 0x10",
        "Set-X -N 5kb",
        "Set-X -N 5.5",
        "Set-X -N:-0",
        "Set-X -N 9223372036854775808",
        "Set-X -N 99999999999999999999999",
        "Set-X -A 'a' -a 'b'",
        "Set-X -A:",
        "Set-X -",
        "Set-X -1 'a'",
        "Set-X -A-B 'a'",
        "Set-X -A\t'a'",
        "Set-X -A\xc2\xa0'a'",
        "Set-X \xe2\x80\x93"
        "A 'a'",
        "\xef\xbb\xbfSet-X -A 'a'",
        "mod\\Set-X -A 'a'",
        "C:\\x.exe -A 'a'",
        "set-x.exe -A 'a'",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cmdlet c;
        memset(&f->ei, 0, sizeof f->ei);
        if (cmdlet_parse(&c, &f->arena, rows[i], &f->ei) != ERR_INPUT)
            fail_msg("taken: %s", rows[i]);
        assert_true(f->ei.what[0] != '\0' && f->ei.hint[0] != '\0');
    }
}

static void test_parse_limits(void **state)
{
    struct fixture *f = *state;
    struct cmdlet c;
    struct buf big;
    buf_init(&big, 1 << 20);
    (void)buf_adds(&big, "Set-X -A '1'");
    for (int i = 0; i < CMDLET_MAX_VALUES; i++)
        (void)buf_adds(&big, ",'1'");
    assert_int_equal(cmdlet_parse(&c, &f->arena, buf_str(&big), &f->ei), ERR_LIMIT);
    buf_reset(&big);
    (void)buf_adds(&big, "Set-X -A '");
    for (int i = 0; i < 5 * CMDLET_MAX_VALUE; i++)
        (void)buf_addc(&big, 'x');
    (void)buf_addc(&big, '\'');
    assert_int_equal(cmdlet_parse(&c, &f->arena, buf_str(&big), &f->ei), ERR_LIMIT);
    buf_reset(&big);
    (void)buf_adds(&big, "Set-X");
    for (int i = 0; i <= CMDLET_MAX_PARAMS; i++)
        (void)buf_addf(&big, " -P%d", i);
    assert_int_equal(cmdlet_parse(&c, &f->arena, buf_str(&big), &f->ei), ERR_LIMIT);
    buf_fini(&big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_missions_cmdlet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_quoting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_values_that_cannot_travel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_builder_refuses, set_up, tear_down),
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_parse_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parse_limits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
