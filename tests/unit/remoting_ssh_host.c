/* The SSH transport and the server it meets: host keys known, new, changed; servers that are none, or agree
 * on nothing. */
#include "tests/unit/ssh_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "remoting/ssh_int.h"

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
    assert_non_null(strstr(f.asked_key, "ecdsa-sha2-nistp256 SHA256:"));
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

/* Who is not asked for it trusts nobody; who says so beforehand takes a first contact, but not a server that shows another kind of key. */
static void test_first_contact(void **state)
{
    (void)state;
    if (!have_sshd)
        skip();
    f.answer = true;
    sshd_file(&f.sshd, "known_hosts", "", 0600);
    set(PROFILE_ssh_new_host, NULL);
    assert_int_equal(run("ok"), ERR_REFUSED);
    EXPECT_WHAT("is not known: ecdsa-sha2-nistp256 SHA256:");
    EXPECT_HINT("ssh_new_host = ask");
    set(PROFILE_ssh_new_host, "accept");
    start_server("HostKeyAlgorithms ecdsa-sha2-nistp256\n"); /* trusts the other one */
    assert_int_equal(run("ok"), ERR_REFUSED);
    EXPECT_WHAT("known is ssh-ed25519 SHA256:");
    assert_int_equal(runs(), 0);
    sshd_file(&f.sshd, "known_hosts", "", 0600);
    assert_int_equal(run("ok"), ERR_OK);
    start_server("");
    sshd_file(&f.sshd, "known_hosts", "", 0600);
    assert_int_equal(run("ok"), ERR_OK);
    char *file = sshd_read(&f.sshd, "known_hosts");
    assert_non_null(strstr(file, "ecdsa-sha2-nistp256"));
    free(file);
    assert_int_equal(f.asked, 0);
    trust_host("user");
    assert_int_equal(run("ok"), ERR_REFUSED);
    EXPECT_WHAT("has changed");
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
    assert_int_equal(run("ok"), ERR_REFUSED);
    assert_int_equal(f.asked, 0);
    EXPECT_WHAT("@revoked");
    free(key);
}

#define THREADS 6

static void *run_one(void *arg)
{
    static const struct remote_target target = {"EXCAS01", "excas01.contoso.lab", GENERATION_2010};
    struct remote_result result = {0};
    struct errinfo ei = {0};
    struct stop stop;
    stop_init(&stop, PATIENCE_MS, NULL);
    enum err err = f.ssh->run(f.ssh, &target, &f.cmdlet, &stop, &result, &ei);
    *(bool *)arg = err == ERR_OK && remote_result_ok(&result);
    if (err != ERR_OK)
        print_message("%s: %s\n", err_name(err), ei.what);
    remote_result_fini(&result);
    return NULL;
}

/* Several jobs, one transport: the host is asked about once, and each gets its own answer. */
static void test_several_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    bool ok[THREADS] = {false};
    if (!have_sshd)
        skip();
    sshd_file(&f.sshd, "known_hosts", "", 0600);
    sshd_file(&f.sshd, "mode", "ok", 0600);
    f.answer = true;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_one, &ok[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_true(ok[i]);
    assert_int_equal(f.asked, 1);
    assert_int_equal(runs(), THREADS);
}

#define ANSWER_MS 30

struct taker {
    struct ssh_trust trust;
    struct ssh_conn c;
    atomic_int tid;
    enum err err;
};

static void *take_trust(void *arg)
{
    struct taker *t = arg;
    struct errinfo ei = {0};
    atomic_store(&t->tid, (int)syscall(SYS_gettid));
    t->err = ssh_trust_take(&t->trust, &t->c, &ei);
    if (t->err == ERR_OK)
        (void)pthread_mutex_unlock(&t->trust.lock);
    return NULL;
}

static bool is_asleep(int tid)
{
    char path[64], text[512] = "";
    str_fmt(path, sizeof path, "/proc/self/task/%d/stat", tid);
    FILE *file = fopen(path, "r");
    const char *p = file && fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    if (file)
        (void)fclose(file);
    return p && p[1] == ' ' && p[2] == 'S';
}

/* While a person compares one server's fingerprint the others' time to log in stands still; told to end, they ask nobody more. */
static void test_waiting_for_an_answer(void **state)
{
    (void)state;
    for (int told_to_end = 0; told_to_end < 2; told_to_end++) {
        struct stop stop;
        struct taker t = {
            .c = {.fd = -1, .host = "ex.contoso.lab", .stop = &stop, .login_deadline_ms = 1000}};
        pthread_t thread;
        stop_init(&stop, 0, NULL);
        (void)pthread_mutex_init(&t.trust.lock, NULL);
        (void)pthread_mutex_lock(&t.trust.lock);
        assert_int_equal(pthread_create(&thread, NULL, take_trust, &t), 0);
        while (!atomic_load(&t.tid) || !is_asleep(atomic_load(&t.tid)))
            (void)sched_yield();
        (void)usleep(ANSWER_MS * 1000);
        if (told_to_end)
            stop_raise(&stop);
        (void)pthread_mutex_unlock(&t.trust.lock);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(t.err, told_to_end ? ERR_INTERRUPTED : ERR_OK);
        assert_true(t.c.login_deadline_ms >= 1000 + ANSWER_MS - 1); /* whole milliseconds */
        assert_int_equal(pthread_mutex_trylock(&t.trust.lock), 0);
        (void)pthread_mutex_unlock(&t.trust.lock);
        (void)pthread_mutex_destroy(&t.trust.lock);
    }
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

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_unknown_host),
        T(test_first_contact),
        T(test_changed_key),
        T(test_known_type_preferred),
        T(test_several_threads),
        T(test_no_server),
        T(test_odd_servers),
        T(test_no_common_algorithm),
        cmocka_unit_test(test_waiting_for_an_answer),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
