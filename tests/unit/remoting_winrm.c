/*
 * The WinRM and the automatic transport without a server that answers: settings refused, nobody there, several threads at once; and a
 * listener that takes a command and is gone.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/str.h"
#include "remoting/remoting.h"
#include "remoting/wsman.h"
#include "remoting/wsman_http.h"

static const struct remote_target target = {"EXCAS01", "excas01.contoso.lab", GENERATION_2010};

static void set(struct profile *p, enum profile_key key, const char *value)
{
    struct errinfo ei = {0};
    assert_int_equal(profile_set(p, key, value, &ei), ERR_OK);
}

static void here(struct profile *p)
{
    struct errinfo ei = {0};
    assert_int_equal(hostmap_add_pair(&p->hosts, "excas01.contoso.lab", "127.0.0.1", &ei), ERR_OK);
}

static enum err run(struct transport *t, struct remote_result *r, struct errinfo *ei)
{
    struct arena arena;
    struct cmdlet c;
    struct stop stop;
    arena_init(&arena, 65536);
    cmdlet_init(&c, &arena, "Get-OutlookAnywhere");
    stop_init(&stop, 20000, NULL);
    *r = (struct remote_result){0};
    *ei = (struct errinfo){0};
    enum err e = t->run(t, &target, &c, &stop, r, ei);
    arena_fini(&arena);
    return e;
}

static void test_settings(void **state)
{
    static const struct {
        const char *auth, *user, *password, *url;
        enum err made, ran;
    } rows[] = {
        {"ntlm", NULL, NULL, NULL, ERR_CONFIG, ERR_OK},
        {"ntlm", "DOM\\u", NULL, NULL, ERR_CONFIG, ERR_OK},
        {"basic", NULL, "env:WINRM_TEST", NULL, ERR_CONFIG, ERR_OK},
        {"kerberos", NULL, "env:WINRM_TEST", NULL, ERR_CONFIG, ERR_OK},
        {"kerberos", "u@R", NULL, NULL, ERR_CONFIG, ERR_OK},
        {"basic", "u", "env:WINRM_TEST", "http://{fqdn}:1/wsman", ERR_OK, ERR_REFUSED},
        {"basic", "u", "env:WINRM_TEST", "https://{fqdn}:1/wsman", ERR_OK, ERR_UNREACHABLE},
        {"none", NULL, NULL, "http://{fqdn}:1/wsman", ERR_OK, ERR_UNREACHABLE},
        {"none", NULL, NULL, "gopher://{fqdn}/", ERR_OK, ERR_CONFIG},
        {"none", NULL, NULL, "http://{fqdn}:1/\"><x>", ERR_OK, ERR_CONFIG},
        {"ntlm", "DOM\\u", "env:WINRM_NONE", NULL, ERR_CONFIG, ERR_OK},
    };
    (void)state;
    setenv("WINRM_TEST", "Secret-1", 1);
    unsetenv("WINRM_NONE");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct profile p = {0};
        struct transport *t = NULL;
        struct errinfo ei = {0};
        here(&p);
        set(&p, PROFILE_winrm_auth, rows[i].auth);
        if (rows[i].user)
            set(&p, PROFILE_winrm_user, rows[i].user);
        if (rows[i].password)
            set(&p, PROFILE_winrm_password, rows[i].password);
        if (rows[i].url)
            set(&p, PROFILE_winrm_url, rows[i].url);
        enum err e = remoting_transport_new(&t, "winrm", &p, NULL, NULL, &ei);
        if (e != rows[i].made)
            fail_msg("row %zu: %s: %s", i, err_name(e), ei.what);
        assert_null(strstr(ei.what, "Secret"));
        if (t) {
            struct remote_result r;
            e = run(t, &r, &ei);
            if (e != rows[i].ran || r.sent || r.outcome_unknown || !ei.what[0] || strstr(ei.what, "Secret"))
                fail_msg("row %zu: %s: %s", i, err_name(e), ei.what);
            remote_result_fini(&r);
            t->free(t);
        }
        profile_fini(&p);
    }
}

struct worker {
    struct transport *t;
    enum err e;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < 20; i++) {
        struct remote_result r;
        struct errinfo ei;
        w->e = run(w->t, &r, &ei);
        remote_result_fini(&r);
    }
    return NULL;
}

/* One transport, eight threads: choices, identities and secrets are shared. */
static void test_threads(void **state)
{
    static const char *const names[] = {"winrm", "auto"};
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        struct profile p = {0};
        struct errinfo ei = {0};
        struct worker w[8];
        pthread_t threads[8];
        struct transport *t = NULL;
        here(&p);
        set(&p, PROFILE_winrm_auth, "none");
        set(&p, PROFILE_winrm_url, "http://{fqdn}:1/wsman");
        set(&p, PROFILE_psrp_url, "http://{fqdn}:1/");
        set(&p, PROFILE_ssh_port, "1");
        assert_int_equal(remoting_transport_new(&t, names[n], &p, NULL, NULL, &ei), ERR_OK);
        for (size_t i = 0; i < 8; i++) {
            w[i] = (struct worker){.t = t};
            assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
        }
        for (size_t i = 0; i < 8; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_int_equal(w[i].e, ERR_UNREACHABLE);
        }
        t->free(t);
        profile_fini(&p);
    }
}

struct deaf { /* reads one request whole, then closes; counts what it read and who came */
    int fd;
    int creates, deletes, connections;
    char name[37]; /* of the shell that was asked for */
};

static void *listen_and_leave(void *arg)
{
    struct deaf *d = arg;
    char chunk[65536];
    for (int c; (c = accept(d->fd, NULL, NULL)) >= 0; close(c)) {
        size_t n = 0;
        d->connections++;
        for (ssize_t k; (k = read(c, chunk + n, sizeof chunk - 1 - n)) > 0;) {
            n += (size_t)k;
            chunk[n] = '\0';
            if (strstr(chunk, "</s:Envelope>")) {
                const char *name = strstr(chunk, "ShellId=\"");
                if (name)
                    str_copy(d->name, sizeof d->name, name + 9);
                d->creates += name != NULL;
                d->deletes += d->name[0] && strstr(chunk, "transfer/Delete") && strstr(chunk, d->name);
                break;
            }
        }
    }
    return NULL;
}

/* The re-send trap: a kept connection that dies under a request must not bring it a second time. Here already the first request. */
static void test_never_twice(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    struct deaf d = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    pthread_t thread;
    char url[64];
    struct profile p = {0};
    struct transport *t = NULL;
    struct remote_result r;
    struct errinfo ei = {0};
    (void)state;
    assert_true(d.fd >= 0 && bind(d.fd, (struct sockaddr *)&a, len) == 0 && listen(d.fd, 8) == 0);
    assert_int_equal(getsockname(d.fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(pthread_create(&thread, NULL, listen_and_leave, &d), 0);
    here(&p);
    str_fmt(url, sizeof url, "http://{fqdn}:%u/wsman", ntohs(a.sin_port));
    set(&p, PROFILE_winrm_auth, "none");
    set(&p, PROFILE_winrm_url, url);
    assert_int_equal(remoting_transport_new(&t, "winrm", &p, NULL, NULL, &ei), ERR_OK);
    assert_int_equal(run(t, &r, &ei), ERR_UNREACHABLE);
    assert_false(r.sent || r.outcome_unknown); /* only the shell was asked for */
    remote_result_fini(&r);
    t->free(t);
    profile_fini(&p);
    (void)shutdown(d.fd, SHUT_RDWR);
    close(d.fd);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(d.creates, 1);
    assert_int_equal(d.deletes, 2); /* of the shell that may be there: asked for again, as it may be */
    assert_int_equal(d.connections, 3);
}

static void *raise_soon(void *arg)
{
    (void)usleep(300000);
    stop_raise(arg);
    return NULL;
}

/* A listener whose queue is full answers no connection; looking for a way ends when it is told to. */
static void test_looking_for_a_way_can_be_interrupted(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0), filled[4];
    struct profile p = {0};
    struct transport *t = NULL;
    struct remote_result r = {0};
    struct errinfo ei = {0};
    struct arena arena;
    struct cmdlet c;
    struct stop stop;
    pthread_t thread;
    char url[64], port[8];
    (void)state;
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 0) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    for (size_t i = 0; i < ARRAY_LEN(filled); i++) {
        filled[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(filled[i], (struct sockaddr *)&a, len);
    }
    here(&p);
    str_fmt(url, sizeof url, "http://{fqdn}:%u/wsman", ntohs(a.sin_port));
    str_fmt(port, sizeof port, "%u", ntohs(a.sin_port));
    set(&p, PROFILE_winrm_auth, "none");
    set(&p, PROFILE_winrm_url, url);
    set(&p, PROFILE_psrp_url, url);
    set(&p, PROFILE_ssh_port, port);
    assert_int_equal(remoting_transport_new(&t, "auto", &p, NULL, NULL, &ei), ERR_OK);
    arena_init(&arena, 65536);
    cmdlet_init(&c, &arena, "Get-OutlookAnywhere");
    stop_init(&stop, 0, NULL);
    int64_t begun = clock_mono_ms();
    assert_int_equal(pthread_create(&thread, NULL, raise_soon, &stop), 0);
    assert_int_equal(t->run(t, &target, &c, &stop, &r, &ei), ERR_INTERRUPTED);
    assert_true(clock_mono_ms() - begun < 2500); /* one way alone would have 3 s */
    assert_int_equal(pthread_join(thread, NULL), 0);
    remote_result_fini(&r);
    arena_fini(&arena);
    t->free(t);
    profile_fini(&p);
    for (size_t i = 0; i < ARRAY_LEN(filled); i++)
        close(filled[i]);
    close(fd);
}

static void test_urls(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
        bool tls;
    } rows[] = {
        {"http://a.b:5985/wsman", "a.b", 5985, false},
        {"https://a.b/x", "a.b", 443, true},
        {"HTTP://a_b-c", "a_b-c", 80, false},
        {"http://[::1]:1/", "::1", 1, false},
        {"http://a?x", "a", 80, false},
        {"http://a:/", NULL, 0, false},
        {"http://:1/", NULL, 0, false},
        {"http://a:1x/", NULL, 0, false},
        {"http://u@a/", NULL, 0, false},
        {"http://a/#x", NULL, 0, false},
        {"http://a/\r\nX: y", NULL, 0, false},
        {"http://[::1", NULL, 0, false},
        {"http://[x]/", NULL, 0, false},
        {"", NULL, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct wsman_url u = {0};
        struct errinfo ei = {0};
        enum err e = wsman_url_parse(&u, rows[i].text, &ei);
        if (e != (rows[i].host ? ERR_OK : ERR_CONFIG))
            fail_msg("%s: %s", rows[i].text, err_name(e));
        if (rows[i].host) {
            assert_string_equal(u.host, rows[i].host);
            assert_true(u.port == rows[i].port && u.tls == rows[i].tls);
        }
    }
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),    cmocka_unit_test(test_threads),
        cmocka_unit_test(test_never_twice), cmocka_unit_test(test_looking_for_a_way_can_be_interrupted),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
