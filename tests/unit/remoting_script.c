/* The script around a cmdlet and the command line that starts it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "remoting/script.h"

struct fixture {
    struct arena arena;
    struct cmdlet cmdlet;
    struct script script;
    struct errinfo ei;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    arena_init(&f->arena, 16 << 20);
    cmdlet_init(&f->cmdlet, &f->arena, "Set-OutlookAnywhere");
    assert_int_equal(cmdlet_string(&f->cmdlet, "Identity", "EX\xc3\xa4\\Rpc (Default Web Site)"), ERR_OK);
    script_init(&f->script);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    script_fini(&f->script);
    arena_fini(&f->arena);
    free(f);
    return 0;
}

/* What PowerShell would decode from the command line, or from what it is sent. */
static void expect_decodes(const char *base64, const char *want)
{
    struct buf raw, text;
    buf_init(&raw, 4 << 20);
    buf_init(&text, 4 << 20);
    assert_int_equal(base64_decode(&raw, base64, strlen(base64)), ERR_OK);
    assert_int_equal(utf16_decode(&text, raw.data, raw.len, false), ERR_OK);
    assert_string_equal(buf_str(&text), want);
    buf_fini(&raw);
    buf_fini(&text);
}

static const char *encoded_part(const struct script *s, const char *program)
{
    char start[600];
    str_fmt(start, sizeof start, "%s -NoProfile -NonInteractive -EncodedCommand ", program);
    assert_int_equal(strncmp(buf_str(&s->line), start, strlen(start)), 0);
    return buf_str(&s->line) + strlen(start);
}

static void test_each_generation(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum generation generation;
        const char *snapin;
    } rows[] = {
        {GENERATION_2007, "Admin"},  {GENERATION_2010, "E2010"},  {GENERATION_2013, "SnapIn"},
        {GENERATION_2016, "SnapIn"}, {GENERATION_2019, "SnapIn"}, {GENERATION_SE, "SnapIn"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char want[600];
        str_fmt(want, sizeof want,
                "$ProgressPreference='SilentlyContinue'\n"
                "[Console]::OutputEncoding=[Text.Encoding]::UTF8\n"
                "$ErrorActionPreference='Stop'\n"
                "Add-PSSnapin Microsoft.Exchange.Management.PowerShell.%s\n"
                "Set-OutlookAnywhere -Identity 'EX\xc3\xa4\\Rpc (Default Web Site)'",
                rows[i].snapin);
        assert_int_equal(script_build(&f->script, NULL, rows[i].generation, &f->cmdlet, &f->ei), ERR_OK);
        assert_string_equal(buf_str(&f->script.text), want);
        assert_int_equal(f->script.input.len, 0);
        expect_decodes(encoded_part(&f->script, "powershell"), want);
    }
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    char long_name[SCRIPT_SHELL_MAX + 2];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    static const enum generation none[] = {GENERATION_UNKNOWN, GENERATION_2003, GENERATION_COUNT};
    static const char *const programs[] = {"", "a\nb", "\x1b[0m", "x\x7f", "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(script_build(&f->script, NULL, none[i], &f->cmdlet, &f->ei), ERR_INPUT);
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        assert_int_equal(script_build(&f->script, programs[i], GENERATION_2010, &f->cmdlet, &f->ei),
                         ERR_CONFIG);
    assert_int_equal(script_build(&f->script, long_name, GENERATION_2010, &f->cmdlet, &f->ei), ERR_CONFIG);
    assert_int_equal(cmdlet_string(&f->cmdlet, "ExternalHostname", "\xef\xbf\xbf"), ERR_OK);
    assert_int_equal(script_build(&f->script, NULL, GENERATION_2010, &f->cmdlet, &f->ei), ERR_INPUT);
    assert_non_null(strstr(f->ei.what, "-ExternalHostname"));
}

static void test_other_program(void **state)
{
    struct fixture *f = *state;
    const char *program = "C:\\Windows\\SysNative\\WindowsPowerShell\\v1.0\\powershell.exe -Version 2.0";
    assert_int_equal(script_build(&f->script, program, GENERATION_2010, &f->cmdlet, &f->ei), ERR_OK);
    (void)encoded_part(&f->script, program);
}

/* On the command line as long as it fits, and never longer. */
static void test_line_limit(void **state)
{
    struct fixture *f = *state;
    char value[4001];
    size_t longest = 0;
    for (size_t n = 2000; n < sizeof value; n += 5) {
        struct cmdlet c;
        cmdlet_init(&c, &f->arena, "Set-X");
        memset(value, 'v', n);
        value[n] = '\0';
        assert_int_equal(cmdlet_string(&c, "A", value), ERR_OK);
        assert_int_equal(script_build(&f->script, NULL, GENERATION_2010, &c, &f->ei), ERR_OK);
        assert_true(f->script.line.len <= SCRIPT_LINE_MAX);
        if (f->script.input.len == 0)
            longest = f->script.line.len;
    }
    assert_true(longest > SCRIPT_LINE_MAX - 20);
}

/* Longer than cmd.exe takes: a bootstrap that knows how much has to arrive, the script on standard input. */
static void test_input_script(void **state)
{
    struct fixture *f = *state;
    char *value = calloc(1, CMDLET_MAX_VALUE + 1);
    static const size_t sizes[] = {2800, 3000, 20000, CMDLET_MAX_VALUE};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct cmdlet c;
        char want[300];
        cmdlet_init(&c, &f->arena, "Set-X");
        memset(value, 'v', sizes[i]);
        value[sizes[i]] = '\0';
        assert_int_equal(cmdlet_string(&c, "A", value), ERR_OK);
        assert_int_equal(script_build(&f->script, "pwsh", GENERATION_2010, &c, &f->ei), ERR_OK);
        assert_true(f->script.input.len > 0 && f->script.line.len <= 1000);
        expect_decodes(buf_str(&f->script.input), buf_str(&f->script.text));
        str_fmt(want, sizeof want,
                "$s=[Console]::In.ReadToEnd().Trim()\n"
                "if($s.Length -ne %zu){throw 'The script did not arrive whole.'}\n"
                "Invoke-Expression ([Text.Encoding]::Unicode.GetString([Convert]::FromBase64String($s)))",
                f->script.input.len);
        expect_decodes(encoded_part(&f->script, "pwsh"), want);
    }
    static const char *const names[] = {"A", "B", "C", "D", "E"};
    struct cmdlet c;
    cmdlet_init(&c, &f->arena, "Set-X");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(cmdlet_string(&c, names[i], value), ERR_OK);
    assert_int_equal(script_build(&f->script, NULL, GENERATION_2010, &c, &f->ei), ERR_LIMIT);
    assert_true(f->ei.what[0] != '\0');
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_generation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_program, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_line_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_input_script, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
