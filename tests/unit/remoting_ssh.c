/* The SSH transport against a real OpenSSH server: commands, what comes back, and what goes wrong on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "remoting/remoting.h"
#include "remoting/script.h"
#include "tests/unit/sshd.h"

/* PowerShell's stand-in: notes what it was asked, then does what DIR/mode says. */
static const char standin[] =
    "#!/bin/sh\n"
    "cd \"$1\" || exit 99\n"
    "printf '%s\\n' \"$SSH_ORIGINAL_COMMAND\" >> runs\n"
    "clixml() { printf '#< CLIXML\\r\\n<Objs Version=\"1.1.0.1\" "
    "xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">%s</Objs>' \"$1\" >&2; }\n"
    "case \"$(cat mode)\" in\n"
    "ok) cat > input; printf 'first\\r\\nWARNING: takes a while\\r\\nsecond\\r\\n'; exit 0;;\n"
    "error) clixml '<S S=\"Error\">Set-X : no such thing_x000D__x000A_</S>"
    "<S S=\"Error\">    + CategoryInfo          : InvalidArgument: (t:S) [Set-X], E_x000D__x000A_</S>"
    "<S S=\"Error\">    + FullyQualifiedErrorId : Id1_x000D__x000A_</S>'; exit 1;;\n"
    "stdout-error) printf 'kept\\r\\nSet-X : bad name\\r\\nAt line:5 char:1\\r\\n+ Set-X -A\\r\\n+ "
    "~~~~~\\r\\n"
    "+ CategoryInfo          : InvalidData: (:) [Set-X], E\\r\\n+ FullyQualifiedErrorId : Id2\\r\\n'; exit "
    "1;;\n"
    "soft) clixml '<S S=\"warning\">WARNING: soft_x000D__x000A_</S>'; echo 'noise' >&2; exit 0;;\n"
    "missing) echo 'sh: powershell: not found' >&2; exit 127;;\n"
    "mute) exit 3;;\n"
    "oem) printf 'gr\\201n\\r\\n';;\n"
    "big) for i in 1 2 3 4 5 6 7 8; do head -c 400000 /dev/zero | tr '\\0' o; head -c 100000 /dev/zero | tr "
    "'\\0' e >&2;"
    " done; printf END;;\n"
    "huge) head -c 17000000 /dev/zero | tr '\\0' o;;\n"
    "slow) echo begun; while kill -0 $PPID 2>/dev/null; do sleep 0.1; done;;\n"
    "drop) echo begun; kill -9 $PPID;;\n"
    "signal) kill -TERM $$;;\n"
    "esac\n";

struct fixture {
    struct sshd sshd;
    struct profile profile;
    struct transport *ssh;
    struct remote_result result;
    struct errinfo ei;
    struct arena arena;
    struct cmdlet cmdlet;
    int asked;
    bool answer;
    char asked_host[300], asked_fingerprint[100];
};

static struct fixture f;
static bool have_sshd;

static bool ask(void *arg, const char *host, const char *fingerprint)
{
    struct fixture *x = arg;
    x->asked++;
    str_copy(x->asked_host, sizeof x->asked_host, host);
    str_copy(x->asked_fingerprint, sizeof x->asked_fingerprint, fingerprint);
    return x->answer;
}

static void set(enum profile_key key, const char *value)
{
    free(f.profile.values[key]);
    f.profile.values[key] = value ? strdup(value) : NULL;
}

static void set_file(enum profile_key key, const char *name)
{
    char path[256];
    str_fmt(path, sizeof path, "%s/%s", f.sshd.dir, name);
    set(key, path);
}

static void set_port(int port)
{
    char text[16];
    str_fmt(text, sizeof text, "%d", port);
    set(PROFILE_ssh_port, text);
}

static void trust_host(const char *key_file)
{
    char name[64], path[80], line[2000];
    str_fmt(path, sizeof path, "%s.pub", key_file);
    char *key = sshd_read(&f.sshd, path);
    str_fmt(name, sizeof name, "[excas01.contoso.lab]:%d", f.sshd.port);
    str_fmt(line, sizeof line, "%s %s", name, key);
    sshd_file(&f.sshd, "known_hosts", line, 0600);
    free(key);
}

static void start_server(const char *more)
{
    char config[1024];
    sshd_kill(&f.sshd.pid);
    str_fmt(config, sizeof config, "HostKey %s/host_ed25519\nHostKey %s/host_ecdsa\n%s", f.sshd.dir,
            f.sshd.dir, more);
    sshd_start(&f.sshd, config);
    set_port(f.sshd.port);
    trust_host("host_ed25519");
}

static int set_up_group(void **state)
{
    (void)state;
    have_sshd = sshd_prepare(&f.sshd, standin);
    if (!have_sshd) {
        print_message("[  NOTE  ] no /usr/sbin/sshd: skipped\n");
        return 0;
    }
    (void)unsetenv("SSH_AUTH_SOCK");
    sshd_keygen(&f.sshd, "user", "ed25519", "");
    char *pub = sshd_read(&f.sshd, "user.pub");
    sshd_file(&f.sshd, "authorized", pub, 0600);
    free(pub);
    start_server("");
    return 0;
}

static int tear_down_group(void **state)
{
    (void)state;
    sshd_stop(&f.sshd);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    if (!have_sshd)
        return 0;
    set(PROFILE_ssh_user, f.sshd.user);
    set_file(PROFILE_ssh_key, "user");
    set_file(PROFILE_ssh_known_hosts, "known_hosts");
    set_port(f.sshd.port);
    assert_int_equal(hostmap_add(&f.profile.hosts, "excas01.contoso.lab=127.0.0.1:1", &f.ei), ERR_OK);
    trust_host("host_ed25519");
    sshd_file(&f.sshd, "runs", "", 0600);
    f.asked = 0;
    f.answer = false;
    arena_init(&f.arena, 4 << 20);
    cmdlet_init(&f.cmdlet, &f.arena, "Set-OutlookAnywhere");
    assert_int_equal(cmdlet_string(&f.cmdlet, "Identity", "EXCAS01\\Rpc (Default Web Site)"), ERR_OK);
    assert_int_equal(remoting_ssh_new(&f.ssh, &f.profile, ask, &f, &f.ei), ERR_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (!have_sshd)
        return 0;
    remote_result_fini(&f.result);
    f.ssh->free(f.ssh);
    arena_fini(&f.arena);
    hostmap_fini(&f.profile.hosts);
    for (int i = 0; i < PROFILE_KEY_COUNT; i++)
        set((enum profile_key)i, NULL);
    return 0;
}

static enum err run_for(const char *mode, int64_t timeout_ms)
{
    static const struct remote_target target = {"EXCAS01", "excas01.contoso.lab", GENERATION_2010};
    struct stop stop;
    if (!have_sshd)
        skip();
    sshd_file(&f.sshd, "mode", mode, 0600);
    remote_result_fini(&f.result);
    memset(&f.ei, 0, sizeof f.ei);
    stop_init(&stop, timeout_ms, NULL);
    return f.ssh->run(f.ssh, &target, &f.cmdlet, &stop, &f.result, &f.ei);
}

static enum err run(const char *mode)
{
    return run_for(mode, 20000);
}

static size_t runs(void)
{
    char *text = sshd_read(&f.sshd, "runs");
    size_t n = 0;
    for (const char *p = text; *p; p++)
        n += *p == '\n';
    free(text);
    return n;
}

#define EXPECT_WHAT(part) assert_non_null(strstr(f.ei.what, part))
#define EXPECT_HINT(part) assert_non_null(strstr(f.ei.hint, part))

static void test_ok(void **state)
{
    (void)state;
    struct script script;
    assert_int_equal(run("ok"), ERR_OK);
    assert_true(remote_result_ok(&f.result));
    assert_true(f.result.sent && !f.result.outcome_unknown && f.result.has_exit_code);
    assert_string_equal(f.result.output, "first\nsecond\n");
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
    assert_string_equal(f.result.output, "kept\n");

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
    assert_string_equal(f.result.output, "gr\xc3\xbcn\n");
    assert_int_equal(f.result.warnings.n, 1);
}

static void test_much_output(void **state)
{
    (void)state;
    assert_int_equal(run("big"), ERR_OK);
    assert_int_equal(f.result.exit_code, 0);
    assert_int_equal(strlen(f.result.output), 8 * 400000 + 3);
    assert_string_equal(f.result.output + 8 * 400000, "END");
    assert_int_equal(run("huge"), ERR_OK);
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

static void test_deadline(void **state)
{
    (void)state;
    int64_t start = clock_mono_ms();
    assert_int_equal(run_for("slow", 1500), ERR_TIMEOUT);
    assert_true(clock_mono_ms() - start < 15000);
    assert_true(f.result.sent && f.result.outcome_unknown);
    assert_string_equal(f.result.output, "begun\n");
    assert_int_equal(runs(), 1);
    assert_int_equal(run_for("ok", 1), ERR_TIMEOUT);
    assert_false(f.result.sent);
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

/* ---- who is the server? ---- */

static void test_unknown_host(void **state)
{
    (void)state;
    if (!have_sshd)
        skip();
    sshd_file(&f.sshd, "known_hosts",
              "# nothing\n@cert-authority *.contoso.lab ssh-ed25519 AAAA\nother ssh-rsa x", 0600);
    assert_int_equal(run("ok"), ERR_REFUSED);
    assert_int_equal(f.asked, 1);
    EXPECT_WHAT("SHA256:");
    EXPECT_HINT("known_hosts");
    assert_int_equal(runs(), 0);
    f.answer = true;
    assert_int_equal(run("ok"), ERR_OK);
    assert_int_equal(f.asked, 2);
    assert_non_null(strstr(f.asked_host, "[excas01.contoso.lab]:"));
    assert_int_equal(strncmp(f.asked_fingerprint, "SHA256:", 7), 0);
    assert_int_equal(run("ok"), ERR_OK);
    assert_int_equal(f.asked, 2); /* remembered */
    char *file = sshd_read(&f.sshd, "known_hosts");
    assert_non_null(strstr(file, "other ssh-rsa x\n[excas01"));
    free(file);
    /* and what ssh-keygen finds in the file is the same */
    char name[64], path[128];
    str_fmt(name, sizeof name, "[excas01.contoso.lab]:%d", f.sshd.port);
    str_fmt(path, sizeof path, "%s/known_hosts", f.sshd.dir);
    const char *find[] = {"ssh-keygen", "-F", name, "-f", path, NULL};
    assert_int_equal(sshd_run(find), 0);
    /* hashed by OpenSSH itself, it is still known */
    const char *hash[] = {"ssh-keygen", "-H", "-f", path, NULL};
    assert_int_equal(sshd_run(hash), 0);
    file = sshd_read(&f.sshd, "known_hosts");
    assert_null(strstr(file, "excas01"));
    free(file);
    assert_int_equal(run("ok"), ERR_OK);
    assert_int_equal(f.asked, 2);
}

static void test_changed_key(void **state)
{
    (void)state;
    if (!have_sshd)
        skip();
    /* the user's key as the host's: another one of the same type */
    trust_host("user");
    f.answer = true;
    assert_int_equal(run("ok"), ERR_REFUSED);
    assert_int_equal(f.asked, 0);
    EXPECT_WHAT("has changed");
    const char *first = strstr(f.ei.what, "SHA256:");
    assert_non_null(first);
    const char *second = strstr(first + 1, "SHA256:");
    assert_non_null(second);
    assert_int_not_equal(strncmp(first, second, 40), 0);
    EXPECT_HINT("line 1 of");
    assert_int_equal(runs(), 0);
}

/* A key of another type is asked for when that is the one known. */
static void test_known_type_preferred(void **state)
{
    (void)state;
    if (!have_sshd)
        skip();
    trust_host("host_ecdsa");
    assert_int_equal(run("ok"), ERR_OK);
    trust_host("host_ed25519");
    assert_int_equal(run("ok"), ERR_OK);
    assert_int_equal(f.asked, 0);
    /* known without the port: as good */
    char *key = sshd_read(&f.sshd, "host_ecdsa.pub"), line[1000];
    str_fmt(line, sizeof line, "EXCAS01.contoso.lab %s", key);
    sshd_file(&f.sshd, "known_hosts", line, 0600);
    assert_int_equal(run("ok"), ERR_OK);
    str_fmt(line, sizeof line, "@revoked * %s", key);
    sshd_file(&f.sshd, "known_hosts", line, 0600);
    f.answer = true;
    assert_int_equal(run("ok"),
                     ERR_OK); /* revoked is the ecdsa key; the ed25519 one is unknown, asked and taken */
    assert_int_equal(f.asked, 1);
    free(key);
}

/* ---- is it a server at all? ---- */

static void test_no_server(void **state)
{
    (void)state;
    if (!have_sshd)
        skip();
    set_port(sshd_free_port());
    assert_int_equal(run("ok"), ERR_UNREACHABLE);
    EXPECT_WHAT("refused");
    assert_false(f.result.sent);
}

/* A listener that says text to whoever comes, then keeps silent or hangs up. */
static pid_t odd_server(const char *text, bool hang_up, int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            int c = accept(fd, NULL, NULL);
            (void)!write(c, text, strlen(text));
            if (hang_up) {
                (void)usleep(50000);
                (void)close(c);
            }
        }
    }
    (void)close(fd);
    return pid;
}

static void test_odd_servers(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        bool hang_up;
        enum err err;
        const char *what;
    } rows[] = {
        {"", false, ERR_TIMEOUT, "SSH handshake"},
        {"", true, ERR_UNREACHABLE, "before the server said anything"},
        {"HTTP/1.1 400 Bad Request\r\n\r\n", true, ERR_PROTOCOL, "HTTP/1.1 400"},
        {"SSH-2.0-odd\r\n", true, ERR_UNREACHABLE, "SSH handshake"},
        {"SSH-2.0-odd\r\n\x00\x00", false, ERR_TIMEOUT, "SSH handshake"},
        {"SSH-2.0-odd\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", false,
         ERR_PROTOCOL, ""},
    };
    if (!have_sshd)
        skip();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int port = 0;
        pid_t pid = odd_server(rows[i].says, rows[i].hang_up, &port);
        set_port(port);
        enum err err = run_for("ok", 700);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        if (err != rows[i].err)
            print_message("row %zu: %s\n", i, f.ei.what);
        assert_int_equal(err, rows[i].err);
        EXPECT_WHAT(rows[i].what);
        assert_false(f.result.sent);
    }
}

static void test_no_common_algorithm(void **state)
{
    (void)state;
    static const struct {
        const char *config, *what, *theirs;
    } rows[] = {
        {"Ciphers chacha20-poly1305@openssh.com\n", "no common cipher", "chacha20-poly1305"},
        {"KexAlgorithms sntrup761x25519-sha512@openssh.com\n", "no common key exchange", "sntrup761"},
        {"MACs umac-128-etm@openssh.com\nCiphers aes256-ctr\n", "no common message authentication",
         "umac-128-etm"},
    };
    if (!have_sshd)
        skip();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        start_server(rows[i].config);
        assert_int_equal(run("ok"), ERR_PROTOCOL);
        EXPECT_WHAT(rows[i].what);
        EXPECT_WHAT(rows[i].theirs);
        EXPECT_WHAT("libssh2 offers");
        assert_true(f.ei.hint[0] != '\0');
    }
    start_server("");
}

static void test_transports_by_name(void **state)
{
    (void)state;
    struct transport *t = NULL;
    struct profile p = {0};
    struct errinfo ei = {0};
    static const char *const none[] = {"winrm", "psrp", "", "\x1b[0m"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        assert_int_equal(remoting_transport_new(&t, none[i], &p, NULL, NULL, &ei), ERR_USAGE);
        assert_non_null(strstr(ei.hint, "ssh"));
    }
    assert_int_equal(remoting_transport_new(&t, NULL, &p, NULL, NULL, &ei), ERR_USAGE);
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
        T(test_signal),
        T(test_program_and_generation),
        T(test_unknown_host),
        T(test_changed_key),
        T(test_known_type_preferred),
        T(test_no_server),
        T(test_odd_servers),
        T(test_no_common_algorithm),
        cmocka_unit_test(test_transports_by_name),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
