/* The relay when things go wrong: servers and clients that fail, limits, stopping, threads, configuration. */
#include "tests/unit/proxy_fixture.h"

/* Basic passed through: only the very same credentials share. */
static void test_basic_pools(void **state)
{
    (void)state;
    struct tls_client a, b;
    char x[64], y[64];
    engine(NULL);
    open_client(&a);
    open_client(&b);
    assert_true(tls_client_say(&a, "GET /who HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\n\r\n"));
    assert_true(tls_client_response(&a, x, sizeof x));
    assert_true(tls_client_say(&b, "GET /who HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpj\r\n\r\n"));
    assert_true(tls_client_response(&b, y, sizeof y));
    assert_string_not_equal(x, y);
    get(&b, "GET", "/who", "Authorization: Basic YTpi\r\n", 200, x);
    assert_true(tls_client_say(&b, "GET /who HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(tls_client_response(&b, y, sizeof y));
    assert_string_not_equal(x, y);
    tls_client_close(&a);
    tls_client_close(&b);
}

static void test_server_faults(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status; /* 0: the connection ends */
    } t[] = {{"/mute", 502}, {"/bad", 502}, {"/half", 0}};
    engine(NULL);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct tls_client c;
        struct proxy_row row;
        char text[128], body[512];
        open_client(&c);
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", t[i].path);
        assert_true(tls_client_say(&c, text));
        bool whole = tls_client_response(&c, body, sizeof body);
        assert_int_equal(whole, t[i].status != 0);
        if (whole)
            assert_int_equal(c.status, t[i].status);
        assert_true(find_row(t[i].path, &row, true));
        assert_int_equal(row.state, PROXY_STATE_FAILED);
        assert_non_null(strstr(row.reason, "127.0.0.1"));
        tls_client_close(&c);
    }
}

static void test_dead_server(void **state)
{
    (void)state;
    struct tls_client c;
    struct proxy_row row;
    engine(&(struct proxy_config){.upstream = "https://127.0.0.1:1"});
    open_client(&c);
    get(&c, "GET", "/x", "", 503, NULL);
    assert_true(find_row("/x", &row, true));
    assert_non_null(strstr(row.reason, "refused"));
    tls_client_close(&c);
}

/* Resets in the middle of both directions leave nothing behind. */
static void test_resets(void **state)
{
    (void)state;
    engine(NULL);
    for (int i = 0; i < 6; i++) {
        struct tls_client c;
        char b[1000];
        open_client(&c);
        assert_true(tls_client_say(
            &c, i % 2 == 0
                    ? "GET /big HTTP/1.1\r\nHost: x\r\n\r\n"
                    : "RPC_IN_DATA /rpc/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\nabc"));
        if (i % 2 == 0)
            assert_true(tls_client_head(&c) && tls_client_read(&c, b, sizeof b));
        tls_client_reset(&c);
    }
    struct proxy_stats s = {.open_requests = 1};
    for (int i = 0; i < 300 && (s.open_requests > 0 || s.open_connections > 0); i++) {
        proxy_stats(proxy, &s);
        poll(NULL, 0, 10);
    }
    assert_int_equal(s.open_requests, 0);
    assert_int_equal(s.open_connections, 0);
}

static void test_slow_head(void **state)
{
    (void)state;
    struct tls_client c;
    engine(&(struct proxy_config){.header_timeout_s = 1});
    open_client(&c);
    int64_t began = clock_mono_ms();
    bool open = true;
    while (open && clock_mono_ms() - began < 8000) { /* a byte now and then does not renew patience */
        open = tls_client_say(&c, "G");
        poll(NULL, 0, 100);
        char b;
        int gone = recv(c.fd, &b, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
        if (gone)
            open = false;
    }
    assert_false(open);
    tls_client_close(&c);
}

static void test_limits(void **state)
{
    (void)state;
    struct tls_client c[3];
    struct proxy_stats s;
    engine(&(struct proxy_config){.max_connections = 2});
    open_client(&c[0]);
    open_client(&c[1]);
    get(&c[0], "GET", "/a", "", 200, "ok");
    assert_false(tls_client_open(&c[2], proxy_port(proxy)));
    tls_client_close(&c[2]);
    proxy_stats(proxy, &s);
    assert_int_equal(s.refused_connections, 1);
    tls_client_close(&c[0]);
    for (int i = 0; i < 300 && s.open_connections > 1; i++) {
        poll(NULL, 0, 10);
        proxy_stats(proxy, &s);
    }
    open_client(&c[2]);
    get(&c[2], "GET", "/b", "", 200, "ok");
    tls_client_close(&c[1]);
    tls_client_close(&c[2]);
}

static void test_kill_and_phases(void **state)
{
    (void)state;
    struct tls_client c;
    struct proxy_row row;
    struct proxy_event ev[16];
    engine(NULL);
    open_client(&c);
    assert_true(tls_client_say(&c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(find_row("/hold", &row, false));
    assert_false(proxy_kill(proxy, row.id + 1000));
    assert_true(proxy_kill(proxy, row.id));
    assert_true(tls_client_closed(&c));
    assert_true(find_row("/hold", &row, true));
    assert_string_equal(row.reason, "ended by hand");
    size_t n = 0;
    for (int i = 0; i < 300 && (n == 0 || ev[n - 1].kind != PROXY_EVENT_CLOSE); i++) {
        n = proxy_events(proxy, row.id, ev, ARRAY_LEN(ev));
        poll(NULL, 0, 10);
    }
    assert_true(n >= 4);
    assert_int_equal(ev[0].kind, PROXY_EVENT_OPEN);
    assert_int_equal(ev[n - 1].kind, PROXY_EVENT_CLOSE);
    for (size_t i = 1; i < n; i++)
        assert_true(ev[i].at_ms >= ev[i - 1].at_ms);
    assert_false(proxy_kill(proxy, row.id)); /* gone already */
    tls_client_close(&c);
}

/* Stopping waits for what is under way and refuses what is new. */
static void *stop_engine(void *arg)
{
    (void)arg;
    proxy_stop(proxy, 5000);
    return NULL;
}

static void test_drain(void **state)
{
    (void)state;
    struct tls_client c, idle, late;
    pthread_t t;
    char body[64];
    struct proxy_row row;
    engine(&(struct proxy_config){.threads = 2});
    open_client(&c);
    open_client(&idle);
    get(&idle, "GET", "/a", "", 200, "ok");
    assert_true(tls_client_say(&c, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(find_row("/hold", &row, false));
    uint16_t port = proxy_port(proxy);
    assert_int_equal(pthread_create(&t, NULL, stop_engine, NULL), 0);
    assert_true(tls_client_closed(&idle));
    assert_false(tls_client_open(&late, port));
    atomic_store(&gate, 1);
    assert_true(tls_client_response(&c, body, sizeof body));
    assert_string_equal(body, "held");
    (void)pthread_join(t, NULL);
    tls_client_close(&c);
    tls_client_close(&idle);
    tls_client_close(&late);
}

/* Two engine threads, several clients at once, an observer all the while: for the thread sanitizer above all. */
static void *hammer(void *arg)
{
    int *failed = arg;
    struct tls_client c;
    if (!tls_client_open(&c, proxy_port(proxy))) {
        *failed = 1;
        return NULL;
    }
    for (int i = 0; i < 60 && !*failed; i++) {
        char body[64];
        *failed = !tls_client_say(&c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello") ||
                  !tls_client_response(&c, body, sizeof body) || !str_eq(body, "ok");
    }
    tls_client_close(&c);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    enum { N = 6 };
    pthread_t t[N];
    int failed[N] = {0};
    static struct proxy_row rows[128];
    struct proxy_stats s;
    struct proxy_event ev[8];
    struct errinfo ei = {0};
    engine(&(struct proxy_config){.threads = 2, .events = "/dev/null", .metrics_addr = "127.0.0.1"});
    for (size_t i = 0; i < N; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, &failed[i]), 0);
    do {
        size_t n = proxy_rows(proxy, rows, ARRAY_LEN(rows));
        for (size_t i = 1; i < n; i++)
            assert_true(rows[i].id < rows[i - 1].id);
        if (n > 0)
            (void)proxy_events(proxy, rows[0].id, ev, ARRAY_LEN(ev));
        proxy_stats(proxy, &s);
        assert_int_equal(proxy_reload(proxy, NULL, NULL, &ei), ERR_OK);
        poll(NULL, 0, 5);
    } while (s.status_2xx < N * 60 && s.status_5xx == 0 && s.open_connections > 0);
    for (size_t i = 0; i < N; i++) {
        (void)pthread_join(t[i], NULL);
        assert_int_equal(failed[i], 0);
    }
    assert_true(proxy_metrics_port(proxy) != 0);
}

static void test_configuration(void **state)
{
    (void)state;
    static const char *const bits_beyond[] = {"10.0.0.1/8"};
    static const struct {
        struct proxy_config c;
        enum err want;
    } t[] = {
        {{.listen_addr = "0.0.0.0", .upstream = "https://x"}, ERR_REFUSED},
        {{.listen_addr = "192.0.2.1", .upstream = "https://x"}, ERR_REFUSED},
        {{.upstream = "http://x"}, ERR_USAGE},
        {{.upstream = "https://x/path"}, ERR_USAGE},
        {{.upstream = NULL}, ERR_USAGE},
        {{.upstream = "https://x", .arrive = "y"}, ERR_USAGE},
        {{.upstream = "https://x", .listen_addr = "nowhere"}, ERR_REFUSED},
        {{.upstream = "https://x", .certificate = "/proc/nonexistent.pem", .key = "/proc/nonexistent.pem"},
         ERR_CONFIG},
        {{.upstream = "https://x", .upstream_ca = "/proc/nonexistent.pem"}, ERR_CONFIG},
        {{.upstream = "https://x", .allow = bits_beyond, .n_allow = 1}, ERR_USAGE},
        {{.upstream = "https://x", .auth = PROXY_AUTH_KEYTAB}, ERR_USAGE},
        {{.upstream = "https://x", .metrics_addr = "0.0.0.0"}, ERR_REFUSED},
        {{.upstream = "https://x", .events = "/proc/nonexistent/events"}, ERR_CONFIG},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        struct errinfo ei = {0};
        struct proxy *p = NULL;
        enum err r = proxy_start(&p, &t[i].c, &ei);
        if (r != t[i].want)
            fail_msg("configuration %zu: %s (%s)", i, err_name(r), ei.what);
        assert_null(p);
        assert_true(ei.what[0] != '\0');
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_basic_pools),     T(test_server_faults), T(test_dead_server),
                                       T(test_resets),          T(test_slow_head),     T(test_limits),
                                       T(test_kill_and_phases), T(test_drain),         T(test_threads),
                                       T(test_configuration)};
    (void)signal(SIGPIPE, SIG_IGN); /* of the test's own clients and server */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
