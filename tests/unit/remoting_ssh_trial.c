/* One password and many servers: how often it is offered is counted on the other side. */
#include "tests/unit/ssh_fixture.h"

#include <pthread.h>

#include "remoting/ssh_trial.h"

#define HOSTS 24

static const char good[] = "p\xc3\xa4ss 'word'";

static void set_secret(const char *text)
{
    char ref[300];
    sshd_file(&f.sshd, "secret", text, 0600);
    str_fmt(ref, sizeof ref, "file:%s/secret", f.sshd.dir);
    set(PROFILE_ssh_password, ref);
    set(PROFILE_ssh_key, NULL);
    f.ssh->free(f.ssh);
    f.ssh = NULL;
    f.answer = true;
    assert_int_equal(remoting_ssh_new(&f.ssh, &f.profile, ask, &f, &f.ei), ERR_OK);
}

struct host {
    pthread_t thread;
    char name[32], fqdn[64];
    enum err err;
    struct errinfo ei;
};

static void *run_host(void *arg)
{
    struct host *h = arg;
    const struct remote_target target = {h->name, h->fqdn, GENERATION_2010};
    struct remote_result r = {0};
    struct stop stop;
    stop_init(&stop, PATIENCE_MS, NULL);
    h->err = f.ssh->run(f.ssh, &target, &f.cmdlet, &stop, &r, &h->ei);
    remote_result_fini(&r);
    return NULL;
}

/* All at once; how many were let in. */
static unsigned run_all(struct host *hosts)
{
    unsigned in = 0;
    for (int i = 0; i < HOSTS; i++) {
        char map[128];
        hosts[i] = (struct host){0};
        str_fmt(hosts[i].name, sizeof hosts[i].name, "EX%d", i);
        str_fmt(hosts[i].fqdn, sizeof hosts[i].fqdn, "ex%d.contoso.lab", i);
        str_fmt(map, sizeof map, "%s=127.0.0.1:1", hosts[i].fqdn);
        assert_int_equal(hostmap_add(&f.profile.hosts, map, &f.ei), ERR_OK);
    }
    sshd_file(&f.sshd, "mode", "ok", 0600);
    for (int i = 0; i < HOSTS; i++)
        assert_int_equal(pthread_create(&hosts[i].thread, NULL, run_host, &hosts[i]), 0);
    for (int i = 0; i < HOSTS; i++) {
        pthread_join(hosts[i].thread, NULL);
        in += hosts[i].err == ERR_OK;
    }
    return in;
}

static int count(const char *file, const char *word)
{
    char *text = sshd_read(&f.sshd, file);
    int n = 0;
    for (const char *p = text; (p = strstr(p, word)); p += strlen(word))
        n++;
    free(text);
    return n;
}

/* sshd may write its line after it has answered. */
static int count_logged(const char *word)
{
    while (count("log", word) == 0)
        sshd_await(&f.sshd, f.sshd.pid);
    sshd_kill(&f.sshd.pid);
    return count("log", word);
}

/* Each was refused, one by the server and the others before their password left. */
static void assert_one_refusal(const struct host *hosts)
{
    int refused = 0, spared = 0;
    for (int i = 0; i < HOSTS; i++) {
        if (hosts[i].err != ERR_AUTH)
            fail_msg("%s: %s: %s", hosts[i].name, err_name(hosts[i].err), hosts[i].ei.what);
        refused += strstr(hosts[i].ei.what, "was not let in") != NULL;
        spared += strstr(hosts[i].ei.what, "has just refused it") != NULL &&
                  strstr(hosts[i].ei.hint, "lock-out") != NULL;
    }
    assert_int_equal(refused, 1);
    assert_int_equal(spared, HOSTS - 1);
}

static void test_mistyped_password(void **state)
{
    (void)state;
    struct host hosts[HOSTS];
    if (!have_sshd)
        skip();
    sshd_file(&f.sshd, "log", "", 0600);
    start_server("PasswordAuthentication yes\nLogLevel VERBOSE\n");
    set_secret("mistyped");
    assert_int_equal(run_all(hosts), 0);
    assert_one_refusal(hosts);
    assert_int_equal(count_logged("Failed password for"), 1);
}

/* sshd hands the question on to PAM. */
static void test_mistyped_answer(void **state)
{
    (void)state;
    struct host hosts[HOSTS];
    if (!have_sshd || getuid() != 0 || access("/etc/pam.d/sshd", R_OK) != 0) {
        print_message("skipped: no sshd, no PAM service or not root\n");
        skip();
    }
    sshd_file(&f.sshd, "log", "", 0600);
    start_server("KbdInteractiveAuthentication yes\nUsePAM yes\nLogLevel VERBOSE\n");
    set_secret("mistyped");
    assert_int_equal(run_all(hosts), 0);
    assert_one_refusal(hosts);
    assert_int_equal(count_logged("Failed keyboard-interactive"), 1);
}

/* A key is counted by nobody: each server is asked. */
static void test_wrong_key(void **state)
{
    (void)state;
    struct host hosts[HOSTS];
    if (!have_sshd)
        skip();
    start_server("");
    f.answer = true;
    sshd_keygen(&f.sshd, "stranger", "ed25519", "");
    set_file(PROFILE_ssh_key, "stranger");
    assert_int_equal(run_all(hosts), 0);
    for (int i = 0; i < HOSTS; i++)
        assert_non_null(strstr(hosts[i].ei.what, "was not let in"));
}

/* ---- against paramiko, which has a password that is known ---- */

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
    char path[128];
    const char *argv[] = {"/usr/bin/python3", "tests/unit/ssh_password_server.py", f.sshd.dir, kind, NULL};
    str_fmt(path, sizeof path, "%s/password", f.sshd.dir);
    (void)unlink(path);
    str_fmt(path, sizeof path, "%s/port", f.sshd.dir);
    (void)unlink(path);
    sshd_file(&f.sshd, "attempts", "", 0600);
    pid_t pid = sshd_daemon(&f.sshd, argv);
    while (access(path, F_OK) != 0)
        sshd_await(&f.sshd, pid);
    char *port = sshd_read(&f.sshd, "port");
    set(PROFILE_ssh_port, port);
    free(port);
    set(PROFILE_ssh_user, "admin");
    return pid;
}

static void right_then_changed(const char *kind, const char *line)
{
    struct host hosts[HOSTS];
    pid_t pid = password_server(kind);
    set_secret(good);
    if (run_all(hosts) != HOSTS)
        fail_msg("%s", hosts[0].ei.what);
    assert_int_equal(count("attempts", line), HOSTS);
    /* changed in mid-run: one refusal may be that server's matter, two in a row are not */
    sshd_file(&f.sshd, "password", "another", 0600);
    for (int i = 0; i < 4; i++)
        assert_int_equal(run("ok"), ERR_AUTH);
    EXPECT_WHAT("has just refused it");
    assert_int_equal(count("attempts", line), HOSTS + 2);
    sshd_kill(&pid);
    /* and from the beginning: refused once */
    pid = password_server(kind);
    set_secret("mistyped");
    assert_int_equal(run_all(hosts), 0);
    assert_one_refusal(hosts);
    assert_int_equal(count("attempts", "\n"), 1);
    sshd_kill(&pid);
}

static void test_password_that_was_right(void **state)
{
    (void)state;
    if (!have_paramiko())
        skip();
    right_then_changed("password", "password p\xc3\xa4ss 'word'\n");
}

static void test_answer_that_was_right(void **state)
{
    (void)state;
    if (!have_paramiko())
        skip();
    right_then_changed("interactive", "answers |p\xc3\xa4ss 'word'\n");
}

/* One server that refuses does not stop a run in which the password is right. */
static void test_one_server_refuses(void **state)
{
    (void)state;
    if (!have_paramiko())
        skip();
    pid_t pid = password_server("password");
    set_secret(good);
    assert_int_equal(run("ok"), ERR_OK);
    for (int i = 0; i < 3; i++) {
        sshd_file(&f.sshd, "password", "another", 0600);
        assert_int_equal(run("ok"), ERR_AUTH);
        sshd_file(&f.sshd, "password", good, 0600);
        assert_int_equal(run("ok"), ERR_OK);
    }
    sshd_kill(&pid);
}

/* ---- waiting for the turn ---- */

struct waiter {
    struct ssh_conn c;
    const struct ssh_settings *s;
    enum err err;
    struct errinfo ei;
};

static void *await_turn(void *arg)
{
    struct waiter *w = arg;
    struct ssh_trial *trial = NULL;
    w->err = ssh_trial_begin(&w->c, w->s, &trial, &w->ei);
    if (w->err == ERR_OK)
        ssh_trial_end(&w->c, trial, SSH_ACCEPTED);
    return NULL;
}

/* A server that hung up on one who waited, and one that was told to end, have refused nothing: the others go on. */
static void test_gone_while_waiting(void **state)
{
    (void)state;
    enum { FIRST, GONE, STOPPED, NEXT, N };
    static const enum err expected[N] = {ERR_OK, ERR_UNREACHABLE, ERR_INTERRUPTED, ERR_OK};
    struct waiter w[N] = {0};
    int ends[N][2];
    pthread_t threads[N];
    struct secret word = {0};
    struct stop stop;
    struct ssh_trial *first = NULL;
    assert_int_equal(secret_set(&word, good, strlen(good)), 0);
    const struct ssh_settings s = {.user = "admin", .password = &word, .trials = ssh_trials_new()};
    assert_non_null(s.trials);
    stop_init(&stop, 0, NULL);
    for (int i = 0; i < N; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[i]), 0);
        w[i].c = (struct ssh_conn){.fd = ends[i][0], .host = "ex.contoso.lab"};
        w[i].s = &s;
    }
    w[STOPPED].c.stop = &stop;
    assert_int_equal(ssh_trial_begin(&w[FIRST].c, &s, &first, &w[FIRST].ei), ERR_OK);
    for (int i = GONE; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, await_turn, &w[i]), 0);
    stop_raise(&stop);
    pthread_join(threads[STOPPED], NULL); /* without the first's having ended */
    (void)close(ends[GONE][1]);
    ssh_trial_end(&w[FIRST].c, first, SSH_UNTOLD); /* it timed out */
    pthread_join(threads[GONE], NULL);
    pthread_join(threads[NEXT], NULL);
    for (int i = 0; i < N; i++) {
        if (w[i].err != expected[i])
            fail_msg("%d: %s: %s", i, err_name(w[i].err), w[i].ei.what);
        (void)close(ends[i][0]);
        if (i != GONE)
            (void)close(ends[i][1]);
    }
    struct ssh_settings copy = s;
    ssh_trials_free(&copy.trials);
    secret_fini(&word);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_mistyped_password),
        T(test_mistyped_answer),
        T(test_wrong_key),
        T(test_password_that_was_right),
        T(test_answer_that_was_right),
        T(test_one_server_refuses),
        cmocka_unit_test(test_gone_while_waiting),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
