/* tui/commands: arguments and the table of commands. */
#include "tui/commands/cli.h"

#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum err parse(const char *const *argv, struct cli_options *g, struct check_options *c,
                      struct arg_list *words, const char *const **rest, struct errinfo *ei)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    memset(g, 0, sizeof *g);
    memset(c, 0, sizeof *c);
    words->n = 0;
    static struct apply_options a;
    const struct arg_table tables[] = {{cli_global, g}, {check_specs, c}, {apply_specs, &a}};
    return args_parse(argc, argv, tables, 3, words, rest, ei);
}

static struct cli_options g;
static struct check_options c;
static struct arg_list words;

static void options_stand_anywhere(void **state)
{
    (void)state;
    const char *const *rest;
    struct errinfo ei;
    const char *argv[] = {
        "--format=json", "check", "--host", "a=1", "--probe", "--host=b=2", "-o", "f", "--", "-x", NULL};
    assert_int_equal(parse(argv, &g, &c, &words, &rest, &ei), ERR_OK);
    assert_string_equal(g.format, "json");
    assert_string_equal(g.output, "f");
    assert_int_equal(g.hosts.n, 2);
    assert_string_equal(g.hosts.v[1], "b=2");
    assert_true(c.probe);
    assert_int_equal(words.n, 1);
    assert_string_equal(rest[0], "-x");
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *argv[4];
        const char *what, *hint;
    } rows[] = {
        {{"--formt", "json"}, "unknown option --formt", "did you mean --format?"},
        {{"--format"}, "wants a value", ""},
        {{"--probe=yes"}, "takes no value", ""},
        {{"--timeout", "soon"}, "no number", ""},
        {{"-z"}, "unknown option -z", ""},
        {{"--canary", "0"}, "--canary is 1 or more", "leave it out"},
        {{"--max-fail=-1"}, "no number", "whole number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *const *rest;
        struct errinfo ei;
        assert_int_equal(parse(rows[i].argv, &g, &c, &words, &rest, &ei), ERR_USAGE);
        assert_non_null(strstr(ei.what, rows[i].what));
        assert_non_null(strstr(ei.hint, rows[i].hint));
    }
}

static void the_command_is_no_options_value(void **state)
{
    (void)state;
    const char *argv[] = {"--profile", "plan", "--no-color", "check", NULL};
    assert_string_equal(args_first_word(4, argv, cli_global), "check");
    const char *joined[] = {"--profile=plan", "-o", "apply", NULL};
    assert_null(args_first_word(3, joined, cli_global));
}

static void tables_are_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < commands_count; i++) {
        const struct command *cmd = &commands[i];
        assert_non_null(cmd->run);
        assert_true(cmd->formats &
                    (1u << FORMAT_TEXT | 1u << FORMAT_HTML)); /* a document is no text for a terminal */
        assert_ptr_equal(command_find(cmd->name), cmd);
        assert_true(!cmd->options == !cmd->options_size);
        for (const struct arg_spec *s = cmd->options; s && s->name; s++) {
            assert_true(s->offset < cmd->options_size);
            assert_true((s->kind == ARG_FLAG) == (s->value == NULL));
            for (const struct arg_spec *k = cli_global; k->name; k++)
                assert_string_not_equal(s->name, k->name);
        }
    }
    assert_null(command_find("nothing"));
}

static void csv_is_quoted_and_disarmed(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    cli_csv(&b, "a,b", false);
    cli_csv(&b, "say \"x\"", false);
    cli_csv(&b, "=cmd()", false);
    cli_csv(&b, NULL, true);
    assert_string_equal(buf_str(&b), "\"a,b\",\"say \"\"x\"\"\",\"'=cmd()\",\r\n");
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere),          cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(the_command_is_no_options_value), cmocka_unit_test(tables_are_consistent),
        cmocka_unit_test(csv_is_quoted_and_disarmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
