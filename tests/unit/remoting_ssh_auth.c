/* Logging in: keys of each type, the agent, password and keyboard-interactive; and what is said when it
 * fails. */
#include "tests/unit/ssh_fixture.h"

/* libssh2 1.10 loses 112 bytes of every ecdsa key it opens; not ours to mend. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#define LEAKS_OF_OTHERS_BEGIN() __lsan_disable()
#define LEAKS_OF_OTHERS_END()   __lsan_enable()
#else
#define LEAKS_OF_OTHERS_BEGIN() (void)0
#define LEAKS_OF_OTHERS_END()   (void)0
#endif

/* The transport resolves its secrets at birth. */
static void renew(void)
{
    f.ssh->free(f.ssh);
    f.ssh = NULL;
    assert_int_equal(remoting_ssh_new(&f.ssh, &f.profile, ask, &f, &f.ei), ERR_OK);
}

static void authorize(const char *name)
{
    char path[80];
    str_fmt(path, sizeof path, "%s.pub", name);
    char *pub = sshd_read(&f.sshd, path);
    sshd_file(&f.sshd, "authorized", pub, 0600);
    free(pub);
}

static void make_key(const char *name, const char *type, const char *passphrase)
{
    char path[128];
    str_fmt(path, sizeof path, "%s/%s", f.sshd.dir, name);
    if (access(path, F_OK) != 0)
        sshd_keygen(&f.sshd, name, type, passphrase);
    authorize(name);
    set_file(PROFILE_ssh_key, name);
}

static void set_secret(enum profile_key key, const char *text)
{
    char ref[300];
    sshd_file(&f.sshd, "secret", text, 0600);
    str_fmt(ref, sizeof ref, "file:%s/secret", f.sshd.dir);
    set(key, ref);
    renew();
}

static void test_key_types(void **state)
{
    (void)state;
    if (!have_sshd)
        skip();
    make_key("ed25519", "ed25519", "");
    assert_int_equal(run("ok"), ERR_OK);
    make_key("ecdsa", "ecdsa", "");
    LEAKS_OF_OTHERS_BEGIN();
    enum err err = run("ok");
    LEAKS_OF_OTHERS_END();
    assert_int_equal(err, ERR_OK);
    assert_int_equal(runs(), 2);
    make_key("rsa", "rsa", "");
    assert_int_equal(run("ok"), ERR_AUTH);
    EXPECT_WHAT("ssh-rsa");
    EXPECT_HINT("SHA-1");
    EXPECT_HINT("ed25519");
    assert_int_equal(runs(), 2);
}

static void test_passphrase(void **state)
{
    (void)state;
    if (!have_sshd)
        skip();
    make_key("locked", "ed25519", "s3cret phrase");
    assert_int_equal(run("ok"), ERR_CONFIG);
    EXPECT_WHAT("encrypted");
    EXPECT_HINT("ssh_key_passphrase");
    set_secret(PROFILE_ssh_key_passphrase, "s3cret phrase\n");
    assert_int_equal(run("ok"), ERR_OK);
    set_secret(PROFILE_ssh_key_passphrase, "wrong phrase");
    assert_int_equal(run("ok"), ERR_CONFIG);
    EXPECT_WHAT("wrong passphrase");
    assert_null(strstr(f.ei.what, "wrong phrase"));
}

static void test_unusable_keys(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text;
        enum err err;
        const char *what;
    } rows[] = {
        {"nosuch", NULL, ERR_CONFIG, "nosuch"},
        {"empty", "", ERR_CONFIG, "no private key"},
        {"putty", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", ERR_CONFIG, "PuTTY"},
        {"public.pub", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI x\n", ERR_CONFIG, "public key"},
        {"broken", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
         ERR_CONFIG, "cannot be used"},
    };
    if (!have_sshd)
        skip();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].text)
            sshd_file(&f.sshd, rows[i].file, rows[i].text, 0600);
        set_file(PROFILE_ssh_key, rows[i].file);
        assert_int_equal(run("ok"), rows[i].err);
        EXPECT_WHAT(rows[i].what);
        assert_false(f.result.sent);
    }
}

static void test_wrong_key_or_user(void **state)
{
    (void)state;
    if (!have_sshd)
        skip();
    make_key("stranger", "ed25519", "");
    authorize("user");
    assert_int_equal(run("ok"), ERR_AUTH);
    EXPECT_WHAT("stranger (ssh-ed25519)");
    EXPECT_WHAT("offers publickey");
    assert_int_equal(runs(), 0);
    set_file(PROFILE_ssh_key, "user");
    assert_int_equal(run("ok"), ERR_OK);
    set(PROFILE_ssh_user, "nobody-of-that-name");
    assert_int_equal(run("ok"), ERR_AUTH);
    EXPECT_WHAT("nobody-of-that-name");
    char long_name[400];
    memset(long_name, 'u', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    set(PROFILE_ssh_user, long_name);
    assert_int_equal(run("ok"), ERR_CONFIG);
    set(PROFILE_ssh_user, f.sshd.user);
    set(PROFILE_ssh_key, NULL);
    assert_int_equal(run("ok"), ERR_AUTH);
    EXPECT_WHAT("nothing to log in with");
}

static void test_agent(void **state)
{
    (void)state;
    char path[128], key[128];
    if (!have_sshd)
        skip();
    str_fmt(path, sizeof path, "%s/agent", f.sshd.dir);
    const char *argv[] = {"ssh-agent", "-D", "-a", path, NULL};
    f.sshd.agent = sshd_daemon(&f.sshd, argv);
    while (access(path, F_OK) != 0)
        sshd_await(&f.sshd, f.sshd.agent);
    assert_int_equal(setenv("SSH_AUTH_SOCK", path, 1), 0);
    make_key("rsa", "rsa", "");
    make_key("stranger", "ed25519", "");
    make_key("ed25519", "ed25519", "");
    static const char *const names[] = {"rsa", "stranger", "ed25519"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        str_fmt(key, sizeof key, "%s/%s", f.sshd.dir, names[i]);
        const char *add[] = {"ssh-add", "-q", key, NULL};
        assert_int_equal(sshd_run(add), 0);
    }
    set(PROFILE_ssh_key, NULL);
    assert_int_equal(run("ok"), ERR_OK);
    authorize("user");
    assert_int_equal(run("ok"), ERR_AUTH);
    EXPECT_WHAT("agent key stranger");
    EXPECT_WHAT("agent key rsa");
    /* a key that is named is used, whatever the agent has */
    set_file(PROFILE_ssh_key, "user");
    assert_int_equal(run("ok"), ERR_OK);
    assert_int_equal(unsetenv("SSH_AUTH_SOCK"), 0);
}

/* ---- passwords, against paramiko ---- */

static bool have_paramiko(void)
{
    static const char *const import[] = {"/usr/bin/python3", "-c", "import paramiko", NULL};
    if (have_sshd && sshd_run(import) == 0)
        return true;
    print_message("skipped: no python3-paramiko\n");
    return false;
}

static pid_t password_server(const char *kind)
{
    char port_file[128];
    const char *argv[] = {"/usr/bin/python3", "tests/unit/ssh_password_server.py", f.sshd.dir, kind, NULL};
    str_fmt(port_file, sizeof port_file, "%s/port", f.sshd.dir);
    (void)unlink(port_file);
    sshd_file(&f.sshd, "attempts", "", 0600);
    pid_t pid = sshd_daemon(&f.sshd, argv);
    while (access(port_file, F_OK) != 0)
        sshd_await(&f.sshd, pid);
    char *port = sshd_read(&f.sshd, "port");
    set(PROFILE_ssh_port, port);
    free(port);
    set(PROFILE_ssh_user, "admin");
    set(PROFILE_ssh_key, NULL);
    f.answer = true;
    return pid;
}

static void expect_attempts(const char *want)
{
    char *got = sshd_read(&f.sshd, "attempts");
    assert_string_equal(got, want);
    free(got);
}

static void test_password(void **state)
{
    (void)state;
    if (!have_paramiko())
        skip();
    pid_t pid = password_server("password");
    set_secret(PROFILE_ssh_password, "p\xc3\xa4ss 'word'\n");
    assert_int_equal(run("ok"), ERR_OK);
    EXPECT_OUTPUT("hello\n");
    set_secret(PROFILE_ssh_password, "wrong one");
    assert_int_equal(run("ok"), ERR_AUTH);
    EXPECT_WHAT("tried: password");
    assert_null(strstr(f.ei.what, "wrong one"));
    /* once: the domain counts failures, and keyboard-interactive would have been a second one */
    expect_attempts("password p\xc3\xa4ss 'word'\npassword wrong one\n");
    sshd_kill(&pid);
}

static void test_interactive(void **state)
{
    (void)state;
    if (!have_paramiko())
        skip();
    pid_t pid = password_server("interactive");
    set_secret(PROFILE_ssh_password, "p\xc3\xa4ss 'word'");
    assert_int_equal(run("ok"), ERR_OK);
    set_secret(PROFILE_ssh_password, "wrong");
    assert_int_equal(run("ok"), ERR_AUTH);
    EXPECT_WHAT("keyboard-interactive");
    expect_attempts("answers |p\xc3\xa4ss 'word'\nanswers |wrong\n");
    sshd_kill(&pid);
    pid = password_server("second-question");
    set_secret(PROFILE_ssh_password, "p\xc3\xa4ss 'word'");
    assert_int_equal(run("ok"), ERR_AUTH);
    EXPECT_WHAT("asked for more than a password");
    expect_attempts("answers |p\xc3\xa4ss 'word'\nanswers \n");
    sshd_kill(&pid);
    pid = password_server("none");
    assert_int_equal(run("ok"), ERR_AUTH);
    EXPECT_WHAT("offers hostbased");
    expect_attempts("");
    sshd_kill(&pid);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_key_types), T(test_passphrase), T(test_unusable_keys), T(test_wrong_key_or_user),
        T(test_agent),     T(test_password),   T(test_interactive),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
