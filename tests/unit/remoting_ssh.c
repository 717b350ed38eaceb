/* The SSH transport against a real OpenSSH server: commands, and what comes back. */
#include "tests/unit/ssh_fixture.h"

static void test_ok(void **state)
{
    (void)state;
    struct script script;
    assert_int_equal(run("ok"), ERR_OK);
    assert_true(remote_result_ok(&f.result));
    assert_true(f.result.sent && !f.result.outcome_unknown && f.result.has_exit_code);
    EXPECT_OUTPUT("first\nsecond\n");
    assert_int_equal(f.result.warnings.n, 1);
    assert_string_equal(f.result.warnings.v[0], "takes a while");
    assert_true(f.result.elapsed_ms >= 0);
    assert_int_equal(runs(), 1);
    /* the server was asked exactly this */
    char *asked = sshd_read(&f.sshd, "runs");
    script_init(&script);
    assert_int_equal(script_build(&script, NULL, GENERATION_2010, &f.cmdlet, &f.ei), ERR_OK);
    assert_int_equal(strncmp(asked, buf_str(&script.line), script.line.len), 0);
    script_fini(&script);
    free(asked);
    char *input = sshd_read(&f.sshd, "input");
    assert_string_equal(input, "");
    free(input);
}

static void test_errors_of_the_command(void **state)
{
    (void)state;
    assert_int_equal(run("error"), ERR_OK);
    assert_false(remote_result_ok(&f.result));
    assert_int_equal(f.result.exit_code, 1);
    assert_int_equal(f.result.errors.n, 1);
    assert_string_equal(f.result.errors.v[0].message, "no such thing");
    assert_string_equal(f.result.errors.v[0].id, "Id1");
    assert_string_equal(f.result.errors.v[0].category, "InvalidArgument");
    assert_string_equal(f.result.errors.v[0].target, "t");
    assert_null(f.result.output);

    assert_int_equal(run("stdout-error"), ERR_OK);
    assert_int_equal(f.result.errors.n, 1);
    assert_string_equal(f.result.errors.v[0].message, "bad name");
    assert_string_equal(f.result.errors.v[0].id, "Id2");
    EXPECT_OUTPUT("kept\n");

    assert_int_equal(run("missing"), ERR_OK);
    assert_int_equal(f.result.exit_code, 127);
    assert_string_equal(f.result.errors.v[0].message, "sh: powershell: not found");

    assert_int_equal(run("mute"), ERR_OK);
    assert_int_equal(f.result.errors.n, 1);
    assert_non_null(strstr(f.result.errors.v[0].message, "exit code 3"));
    assert_false(remote_result_ok(&f.result));
}

static void test_soft(void **state)
{
    (void)state;
    assert_int_equal(run("soft"), ERR_OK);
    assert_true(remote_result_ok(&f.result));
    assert_int_equal(f.result.warnings.n, 2);
    assert_string_equal(f.result.warnings.v[0], "soft");
    assert_string_equal(f.result.warnings.v[1], "noise");
    assert_int_equal(run("oem"), ERR_OK);
    EXPECT_OUTPUT("gr\xc3\xbcn\n");
    assert_int_equal(f.result.warnings.n, 1);
}

static void test_much_output(void **state)
{
    (void)state;
    assert_int_equal(run("big"), ERR_OK);
    assert_int_equal(f.result.exit_code, 0);
    assert_non_null(f.result.output);
    assert_int_equal(strlen(f.result.output), 8 * 400000 + 3);
    assert_string_equal(f.result.output + 8 * 400000, "END");
    assert_int_equal(run("huge"), ERR_OK);
    assert_non_null(f.result.output);
    assert_int_equal(strlen(f.result.output), 16 << 20);
    assert_int_equal(f.result.warnings.n, 1);
}

static void test_script_on_input(void **state)
{
    (void)state;
    struct script script;
    char *value = calloc(1, 40001);
    memset(value, 'v', 40000);
    assert_int_equal(cmdlet_string(&f.cmdlet, "ExternalHostname", value), ERR_OK);
    assert_int_equal(run("ok"), ERR_OK);
    script_init(&script);
    assert_int_equal(script_build(&script, NULL, GENERATION_2010, &f.cmdlet, &f.ei), ERR_OK);
    char *input = sshd_read(&f.sshd, "input");
    assert_string_equal(input, buf_str(&script.input));
    assert_true(strlen(input) > 100000);
    /* a command that ends without reading it is no failure of ours */
    assert_int_equal(run("mute"), ERR_OK);
    assert_int_equal(f.result.exit_code, 3);
    script_fini(&script);
    free(input);
    free(value);
}

static void test_lost_connection(void **state)
{
    (void)state;
    assert_int_equal(run("drop"), ERR_UNREACHABLE);
    assert_true(f.result.sent && f.result.outcome_unknown && !f.result.has_exit_code);
    assert_false(remote_result_ok(&f.result));
    EXPECT_WHAT("outcome is not known");
    EXPECT_HINT("read the settings again");
    assert_int_equal(runs(), 1);
}

/* How much time the server needs before the command is under way is its own affair: the deadline grows until it has passed there. */
static void test_deadline(void **state)
{
    (void)state;
    size_t sent = 0;
    for (int64_t timeout = 1500; !f.result.output; timeout *= 2) {
        int64_t start = clock_mono_ms();
        assert_true(timeout < PATIENCE_MS);
        assert_int_equal(run_for("slow", timeout), ERR_TIMEOUT);
        int64_t took = clock_mono_ms() - start;
        assert_true(took >= timeout && took < timeout + PATIENCE_MS / 2); /* the command itself never ends */
        assert_true(f.result.outcome_unknown == f.result.sent);
        sent += f.result.sent;
    }
    assert_true(f.result.sent);
    EXPECT_OUTPUT("begun\n");
    EXPECT_WHAT("its outcome is not known: it may still be running there");
    assert_in_range(runs(), 1, sent);
    assert_int_equal(run_for("ok", 1), ERR_TIMEOUT);
    assert_false(f.result.sent);
}

/* Broken off anywhere: in the exchange of keys, the login, the command. */
static void test_every_moment(void **state)
{
    (void)state;
    for (int64_t ms = 2; ms < 80; ms += 3) {
        enum err err = run_for("ok", ms);
        assert_true(err == ERR_OK || err == ERR_TIMEOUT);
        assert_true(f.result.outcome_unknown == (err != ERR_OK && f.result.sent));
    }
}

static void test_signal(void **state)
{
    (void)state;
    assert_int_equal(run("signal"), ERR_REMOTE);
    assert_true(f.result.sent && f.result.outcome_unknown);
    EXPECT_WHAT("TERM");
}

static void test_program_and_generation(void **state)
{
    (void)state;
    set(PROFILE_ssh_command, "pwsh.exe -NoLogo");
    assert_int_equal(run("ok"), ERR_OK);
    char *asked = sshd_read(&f.sshd, "runs");
    assert_int_equal(strncmp(asked, "pwsh.exe -NoLogo -NoProfile ", 28), 0);
    free(asked);
    static const struct remote_target old = {"E2K3", "excas01.contoso.lab", GENERATION_2003};
    assert_int_equal(f.ssh->run(f.ssh, &old, &f.cmdlet, NULL, &f.result, &f.ei), ERR_INPUT);
    assert_false(remote_result_ok(&f.result));
}

static size_t hung_up(void)
{
    char *log = sshd_read(&f.sshd, "log");
    size_t n = 0;
    for (const char *p = log; (p = strstr(p, "kex_exchange_identification: ")); p++)
        n++;
    free(log);
    return n;
}

/* Nobody said by which way: the connection that found out is the one that is used. */
static void test_chosen_way_goes_on(void **state)
{
    (void)state;
    if (!have_sshd)
        skip();
    size_t before = hung_up();
    f.ssh->free(f.ssh);
    assert_int_equal(remoting_auto_new(&f.ssh, &f.profile, ask, &f, &f.ei), ERR_OK);
    for (size_t n = 1; n <= 2; n++) {
        assert_int_equal(run("ok"), ERR_OK);
        assert_string_equal(f.result.via, "ssh");
        assert_int_equal(runs(), n);
    }
    assert_int_equal(hung_up(), before);
}

static void test_transports_by_name(void **state)
{
    (void)state;
    struct transport *t = NULL;
    struct profile p = {0};
    struct errinfo ei = {0};
    static const char *const none[] = {"telnet", "", "\x1b[0m"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        assert_int_equal(remoting_transport_new(&t, none[i], &p, NULL, NULL, &ei), ERR_USAGE);
        assert_non_null(strstr(ei.hint, "ssh"));
    }
    static const char *const names[][2] = {{NULL, "auto"}, {"auto", "auto"}, {"WinRM", "winrm"}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(remoting_transport_new(&t, names[i][0], &p, NULL, NULL, &ei), ERR_OK);
        assert_string_equal(t->name, names[i][1]);
        t->free(t);
    }
    assert_int_equal(remoting_transport_new(&t, "ssh", &p, NULL, NULL, &ei), ERR_OK);
    assert_string_equal(t->name, "ssh");
    t->free(t);
    p.values[PROFILE_ssh_password] = strdup("env:CASBRIDGE_NO_SUCH_VARIABLE");
    assert_int_not_equal(remoting_transport_new(&t, "ssh", &p, NULL, NULL, &ei), ERR_OK);
    assert_non_null(strstr(ei.what, "SSH password"));
    free(p.values[PROFILE_ssh_password]);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_ok),
        T(test_errors_of_the_command),
        T(test_soft),
        T(test_much_output),
        T(test_script_on_input),
        T(test_lost_connection),
        T(test_deadline),
        T(test_every_moment),
        T(test_signal),
        T(test_program_and_generation),
        T(test_chosen_way_goes_on),
        cmocka_unit_test(test_transports_by_name),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
