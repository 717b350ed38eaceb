/* The relay: what it passes on, in both directions, and whose connections are whose. */
#include "tests/unit/proxy_fixture.h"

static void test_keep_alive(void **state)
{
    (void)state;
    struct tls_client c;
    engine(NULL);
    open_client(&c);
    for (int i = 0; i < 50; i++)
        get(&c, "GET", "/who", "", 200, "0"); /* one upstream connection for all */
    /* two at once: the second is answered after the first */
    assert_true(tls_client_say(
        &c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"));
    char body[64];
    assert_true(tls_client_response(&c, body, sizeof body) && c.status == 200);
    assert_true(tls_client_response(&c, body, sizeof body) && c.status == 200);
    assert_true(tls_client_say(&c, "HEAD /none HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(tls_client_head(&c) &&
                c.length == 5); /* and no body, so the next answer is the next request's */
    get(&c, "GET", "/who", "", 200, "0");
    tls_client_close(&c);
    struct proxy_stats s;
    proxy_stats(proxy, &s);
    assert_int_equal(s.requests, 54);
    assert_int_equal(s.status_2xx, 54);
    assert_int_equal(atomic_load(&server.n_peers), 1);
}

/* What is forwarded is what was said: order, case, duplicates; hop-by-hop fields are not. */
static void test_heads(void **state)
{
    (void)state;
    struct tls_client c;
    char body[4096];
    engine(NULL);
    open_client(&c);
    assert_true(tls_client_say(
        &c,
        "FoO /echo-head HTTP/1.1\r\nHost: MAIL.test\r\nPragma: No-cache\r\nX-A: 1\r\npragma: SessionId=7\r\n"
        "Connection: Keep-Alive, X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nAuthorization: "
        "Basic YTpi\r\n\r\n"));
    assert_true(tls_client_response(&c, body, sizeof body));
    assert_string_equal(
        body,
        "FoO /echo-head HTTP/1.1\r\nHost: MAIL.test\r\nPragma: No-cache\r\nX-A: 1\r\npragma: SessionId=7\r\n"
        "Authorization: Basic YTpi\r\n\r\n");
    struct proxy_row row;
    assert_true(find_row("/echo-head", &row, true));
    assert_string_equal(row.user, "a");
    assert_string_equal(row.auth, "basic (pass)");
    assert_string_equal(row.method, "FoO");
    tls_client_close(&c);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/3.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };
    engine(NULL);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct tls_client c;
        char body[512];
        open_client(&c);
        assert_true(tls_client_say(&c, bad[i]));
        assert_true(tls_client_response(&c, body, sizeof body));
        assert_int_equal(c.status, 400);
        assert_true(tls_client_closed(&c));
        tls_client_close(&c);
    }
}

static void test_rpc_channels(void **state)
{
    (void)state;
    struct tls_client in, out;
    char got[64];
    struct proxy_row row;
    engine(NULL);
    open_client(&in);
    open_client(&out);
    assert_true(tls_client_say(
        &out, "RPC_OUT_DATA /rpc/rpcproxy.dll?a:6001 HTTP/1.1\r\nHost: x\r\nContent-Length: 76\r\n\r\n"));
    assert_true(tls_client_send(
        &out, "0123456789012345678901234567890123456789012345678901234567890123456789012345", 76));
    assert_true(tls_client_head(&out));
    assert_int_equal(out.status, 200);
    assert_non_null(strstr(out.head, " 200 Success\r\n"));
    assert_int_equal(out.length, 1073741824);
    for (int i = 1; i <= 3; i++) { /* each piece as it comes, none held back */
        atomic_store(&gate, i);
        assert_true(tls_client_read(&out, got, 8));
        assert_memory_equal(got, "12345678", 8);
    }
    assert_true(find_row("/rpc/rpcproxy.dll?a:6001", &row, false));
    for (int i = 0; i < 200 && row.state != PROXY_STATE_STREAM; i++) {
        poll(NULL, 0, 10);
        assert_true(find_row("/rpc/rpcproxy.dll?a:6001", &row, false));
    }
    assert_string_equal(row.protocol, "oa-out");
    assert_int_equal(row.state, PROXY_STATE_STREAM);

    assert_true(tls_client_say(
        &in,
        "RPC_IN_DATA /rpc/rpcproxy.dll?b:6001 HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n"));
    atomic_store(&received, 0);
    for (unsigned i = 1; i <= 4; i++) {
        assert_true(tls_client_send(&in, "0123456789", 10));
        for (int k = 0; k < 500 && atomic_load(&received) < i * 10; k++)
            poll(NULL, 0, 5);
        assert_int_equal(atomic_load(&received), i * 10);
    }
    tls_client_close(&in);
    assert_true(find_row("/rpc/rpcproxy.dll?b:6001", &row, true));
    assert_string_equal(row.reason, ""); /* a channel ends so */
    assert_int_equal(row.state, PROXY_STATE_DONE);
    tls_client_close(&out);
}

/* CONN/A1 and CONN/B1 with one cookie make one session of two rows. */
static void test_session(void **state)
{
    (void)state;
    static const uint8_t a1[76] = {
        5, 0, 20, 3, 16, 0, 0, 0, 76, 0, 0, 0,   0,   0,        0,          0,        0,        0, 4, 0, 6,
        0, 0, 0,  1, 0,  0, 0, 3, 0,  0, 0, 'V', 'C', [48] = 3, [52] = 'O', [68] = 0, [72] = 0, 0, 1, 0};
    static const uint8_t b1[104] = {5,        0,        20, 3, 16, 0,        0,        0,         104,
                                    0,        0,        0,  0, 0,  0,        0,        0,         0,
                                    6,        0,        6,  0, 0,  0,        1,        0,         0,
                                    0,        3,        0,  0, 0,  'V',      'C',      [48] = 3,  [52] = 'I',
                                    [68] = 4, [72] = 0, 0,  0, 64, [76] = 5, [80] = 1, [84] = 12, [88] = 'G'};
    struct tls_client in, out;
    struct proxy_row x = {0}, y = {0};
    engine(NULL);
    open_client(&in);
    open_client(&out);
    assert_true(tls_client_say(
        &out, "RPC_OUT_DATA /rpc/rpcproxy.dll?a:6001 HTTP/1.1\r\nHost: x\r\nContent-Length: 76\r\n\r\n"));
    assert_true(tls_client_send(&out, a1, sizeof a1));
    assert_true(tls_client_head(&out));
    assert_true(tls_client_say(
        &in,
        "RPC_IN_DATA /rpc/rpcproxy.dll?b:6001 HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n"));
    for (size_t i = 0; i < sizeof b1; i++) /* byte by byte */
        assert_true(tls_client_send(&in, b1 + i, 1));
    for (int i = 0; i < 300; i++) {
        assert_true(find_row("/rpc/rpcproxy.dll?a:6001", &x, false) &&
                    find_row("/rpc/rpcproxy.dll?b:6001", &y, false));
        if (x.session != 0 && y.session != 0)
            break;
        poll(NULL, 0, 10);
    }
    assert_true(x.session != 0 && x.session == y.session);
    tls_client_close(&in);
    tls_client_close(&out);
}

static void test_early_401(void **state)
{
    (void)state;
    struct tls_client c;
    char body[64];
    engine(NULL);
    open_client(&c);
    assert_true(tls_client_say(&c, "RPC_IN_DATA /rpc/rpcproxy.dll?deny:6001 HTTP/1.1\r\nHost: "
                                   "x\r\nContent-Length: 1073741824\r\n\r\nabc"));
    assert_true(tls_client_response(&c, body, sizeof body)); /* while 1 GiB is still announced */
    assert_int_equal(c.status, 401);
    assert_string_equal(body, "denied");
    assert_non_null(strstr(c.head, "Connection: close\r\n"));
    assert_true(tls_client_closed(&c));
    tls_client_close(&c);
}

static void test_continue(void **state)
{
    (void)state;
    struct tls_client c;
    char body[64];
    engine(NULL);
    open_client(&c);
    assert_true(tls_client_say(
        &c, "POST /continue HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
    assert_true(tls_client_head(&c));
    assert_int_equal(c.status, 100);
    assert_true(tls_client_say(&c, "body"));
    assert_true(tls_client_response(&c, body, sizeof body));
    assert_int_equal(c.status, 200);
    get(&c, "GET", "/again", "", 200, "ok");
    /* refused before the body was asked for: it may never come, so what comes next must not be taken for it */
    get(&c, "POST", "/nego", "Expect: 100-continue\r\nContent-Length: 4\r\n", 401, NULL);
    assert_non_null(strstr(c.head, "Connection: close\r\n"));
    tls_client_close(&c);
}

static void test_chunked(void **state)
{
    (void)state;
    struct tls_client c;
    char got[128];
    static const char want[] = "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n";
    engine(NULL);
    open_client(&c);
    assert_true(tls_client_say(&c, "GET /chunked HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(tls_client_head(&c) && tls_client_read(&c, got, sizeof want - 1));
    assert_memory_equal(got, want, sizeof want - 1);
    get(&c, "GET", "/who", "", 200, "0");
    /* up, with the next request in the same write */
    assert_true(tls_client_say(&c,
                               "POST /post-chunked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n0\r\n\r\nGET /who HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(tls_client_response(&c, got, sizeof got));
    assert_string_equal(got, "3\r\nabc\r\n0\r\n\r\n");
    assert_true(tls_client_response(&c, got, sizeof got));
    assert_string_equal(got, "0");
    assert_true(tls_client_say(&c, "GET /until-close HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(tls_client_head(&c) && tls_client_read(&c, got, 12));
    assert_memory_equal(got, "all there is", 12);
    assert_non_null(strstr(c.head, "Connection: close\r\n"));
    assert_true(tls_client_closed(&c));
    tls_client_close(&c);
}

/* A reader that does not read stops the sender; the engine holds one buffer, not the body. */
static void test_back_pressure(void **state)
{
    (void)state;
    struct tls_client c;
    struct proxy_row row;
    static char block[16384];
    engine(NULL);
    open_client(&c);
    int small = 262144;
    setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_true(tls_client_say(&c, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n"));
    unsigned long long before = 0, now = 1;
    while (now != before || now == 0) { /* until nothing moves any more */
        before = atomic_load(&received);
        poll(NULL, 0, 300);
        now = atomic_load(&received);
    }
    assert_true(now < BIG);
    assert_true(find_row("/big", &row, false));
    assert_true(row.down_bytes < BIG / 2);
    assert_true(tls_client_head(&c));
    for (size_t n = 0; n < BIG; n += sizeof block)
        assert_true(tls_client_read(&c, block, sizeof block));
    assert_int_equal(block[100], 'b');
    /* and upwards */
    char head[128];
    snprintf(head, sizeof head, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: %u\r\n\r\n", BIG);
    assert_true(tls_client_say(&c, head));
    atomic_store(&gate, 1);
    for (size_t n = 0; n < BIG; n += sizeof block)
        assert_true(tls_client_send(&c, block, sizeof block));
    assert_true(tls_client_response(&c, block, sizeof block));
    assert_string_equal(block, "uploaded");
    assert_int_equal(atomic_load(&received), BIG);
    tls_client_close(&c);
}

/* Two clients never share a connection one of them has authenticated. */
static void test_pinning(void **state)
{
    (void)state;
    struct tls_client a, b;
    char x[64], y[64], got[64];
    static const char token[] = "Authorization: Negotiate YIIaaaa\r\n";
    engine(NULL);
    open_client(&a);
    open_client(&b);
    get(&a, "GET", "/nego", "", 401, NULL);
    assert_non_null(strstr(a.head, "WWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n"));
    assert_true(
        tls_client_say(&a, "GET /nego HTTP/1.1\r\nHost: x\r\nAuthorization: Negotiate YIIaaaa\r\n\r\n"));
    assert_true(tls_client_response(&a, x, sizeof x));
    assert_non_null(strstr(a.head, "Persistent-Auth: true\r\n"));
    /* b sends its token unasked: pinned by the request alone */
    get(&b, "GET", "/nego", token, 200, NULL);
    assert_true(tls_client_say(&b, "GET /who HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(tls_client_response(&b, y, sizeof y));
    assert_string_not_equal(x, y);
    for (int i = 0; i < 5; i++) {
        get(&a, "GET", "/who", "", 200, x);
        get(&b, "GET", "/who", "", 200, y);
    }
    struct tls_client other;
    open_client(&other);
    assert_true(tls_client_say(&other, "GET /who HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_true(tls_client_response(&other, got, sizeof got));
    assert_string_not_equal(got, x);
    assert_string_not_equal(got, y);
    /* a goes: its connection goes with it and is nobody's */
    tls_client_close(&a);
    poll(NULL, 0, 100);
    get(&other, "GET", "/nego", "", 401, NULL);
    tls_client_close(&b);
    tls_client_close(&other);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_keep_alive), T(test_heads),    T(test_refusals), T(test_rpc_channels),  T(test_session),
        T(test_early_401),  T(test_continue), T(test_chunked),  T(test_back_pressure), T(test_pinning)};
    (void)signal(SIGPIPE, SIG_IGN); /* of the test's own clients and server */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
