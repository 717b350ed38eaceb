/* From two streams and an exit code to a result: what is output, what was said besides. */
#include "remoting/exec_output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"

static void result_of(struct remote_result *r, const char *out, const char *err, int code)
{
    struct exec_output o;
    exec_output_init(&o);
    exec_output_add(&o.out, &o.out_cut, out, strlen(out));
    exec_output_add(&o.err, &o.err_cut, err, strlen(err));
    o.sent = o.complete = true;
    o.exit_code = code;
    *r = (struct remote_result){0};
    assert_int_equal(exec_result(r, &o), ERR_OK);
    exec_output_fini(&o);
}

static void expect_note(const struct remote_result *r, size_t i, const char *stream, const char *text)
{
    assert_true(i < r->notes.n);
    assert_string_equal(r->notes.v[i].stream, stream);
    assert_string_equal(r->notes.v[i].text, text);
}

/* A PowerShell without a console writes every stream into one. */
static void test_lines_among_the_output(void **state)
{
    struct remote_result r;
    (void)state;
    result_of(&r, "one\nVERBOSE: looking\nWARNING: careful\nDEBUG: deep\nVERBOSE:none\n\ntwo", "", 0);
    assert_string_equal(r.output, "one\nVERBOSE:none\n\ntwo");
    assert_int_equal(r.warnings.n, 1);
    assert_string_equal(r.warnings.v[0], "careful");
    assert_int_equal(r.notes.n, 2);
    expect_note(&r, 0, "verbose", "looking");
    expect_note(&r, 1, "debug", "deep");
    remote_result_fini(&r);
    result_of(&r, "DEBUG: alone", "", 0);
    assert_true(!r.output || !*r.output);
    expect_note(&r, 0, "debug", "alone");
    remote_result_fini(&r);
}

static void test_streams_of_clixml(void **state)
{
    struct remote_result r;
    (void)state;
    result_of(&r, "VERBOSE: first\nx\n",
              "#< CLIXML\r\n<Objs Version=\"1.1.0.1\" "
              "xmlns=\"http://schemas.microsoft.com/powershell/2004/04\"><S S=\"verbose\">second</S>"
              "<S S=\"information\">third_x000D__x000A_</S><S S=\"Error\">bad_x000D__x000A_</S></Objs>",
              1);
    assert_string_equal(r.output, "x\n");
    assert_int_equal(r.notes.n, 3);
    expect_note(&r, 0, "verbose", "second");
    expect_note(&r, 1, "information", "third");
    expect_note(&r, 2, "verbose", "first");
    assert_int_equal(r.errors.n, 1);
    assert_string_equal(r.errors.v[0].message, "bad");
    assert_false(remote_result_ok(&r));
    remote_result_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_among_the_output),
        cmocka_unit_test(test_streams_of_clixml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
