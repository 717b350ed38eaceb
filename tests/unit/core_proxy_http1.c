/* HTTP/1.1 heads and chunked framing: what is read, what is refused, and that cuts change nothing. */
#include "core/base/str.h"
#include "core/proxy/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum http1_result read_head(struct http1_head *h, const char *text, size_t len, bool response,
                                   const char **why)
{
    size_t pos = 0;
    enum http1_result r = http1_scan(text, len, &pos, why);
    if (r == HTTP1_DONE) {
        r = http1_parse(h, text, pos, response);
        *why = h->why;
    }
    return r;
}

#define REQ(rest) "GET / HTTP/1.1\r\nHost: x\r\n" rest "\r\n"

static const struct {
    const char *text;
    size_t len; /* 0: strlen */
    bool response;
    enum http1_result want;
} heads[] = {
    {REQ(""), 0, false, HTTP1_DONE},
    {"RPC_IN_DATA /rpc/rpcproxy.dll?a:6001 HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", 0,
     false, HTTP1_DONE},
    {"ANY!#$%&'*+-.^_`|~9 /x HTTP/1.0\r\n\r\n", 0, false, HTTP1_DONE},
    {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 0, false, HTTP1_DONE},
    {"GET https://mail.x/owa/ HTTP/1.1\r\nHost: mail.x\r\n\r\n", 0, false, HTTP1_DONE},
    {REQ("Content-Length: 9223372036854775807\r\n"), 0, false, HTTP1_DONE},
    {REQ("Content-Length: 4\r\nContent-Length: 4\r\n"), 0, false, HTTP1_DONE},
    {REQ("Transfer-Encoding: Chunked\r\n"), 0, false, HTTP1_DONE},
    {REQ("X: \t spaced \t \r\nEmpty:\r\n"), 0, false, HTTP1_DONE},
    {REQ("X: caf\xc3\xa9\r\n"), 0, false, HTTP1_DONE},
    {"HTTP/1.1 200 Success\r\n\r\n", 0, true, HTTP1_DONE},
    {"HTTP/1.1 200 \r\n\r\n", 0, true, HTTP1_DONE},
    {"HTTP/1.1 200\r\n\r\n", 0, true, HTTP1_DONE},
    {"HTTP/1.0 503 RPC Error: 6ba\r\n\r\n", 0, true, HTTP1_DONE},
    /* framing that two readers may read differently */
    {REQ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"), 0, false, HTTP1_BAD},
    {REQ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 0, false, HTTP1_BAD},
    {REQ("Transfer-Encoding: gzip, chunked\r\n"), 0, false, HTTP1_BAD},
    {REQ("Transfer-Encoding: identity\r\n"), 0, false, HTTP1_BAD},
    {REQ("Transfer-Encoding: xchunked\r\n"), 0, false, HTTP1_BAD},
    {"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, false, HTTP1_BAD},
    {REQ("Content-Length: 4\r\nContent-Length: 5\r\n"), 0, false, HTTP1_BAD},
    {REQ("Content-Length: 4, 4\r\n"), 0, false, HTTP1_BAD},
    {REQ("Content-Length: +4\r\n"), 0, false, HTTP1_BAD},
    {REQ("Content-Length: -1\r\n"), 0, false, HTTP1_BAD},
    {REQ("Content-Length: 0x10\r\n"), 0, false, HTTP1_BAD},
    {REQ("Content-Length:\r\n"), 0, false, HTTP1_BAD},
    {REQ("Content-Length: 9223372036854775808\r\n"), 0, false, HTTP1_BAD},
    {REQ("Content-Length: 99999999999999999999\r\n"), 0, false, HTTP1_BAD},
    {REQ("Connection: content-length\r\nContent-Length: 3\r\n"), 0, false, HTTP1_BAD},
    {REQ("Connection: x, Host\r\n"), 0, false, HTTP1_BAD},
    {REQ("Authorization: Basic QTpC\r\nAuthorization: Negotiate YII=\r\n"), 0, false, HTTP1_BAD},
    /* line ends, folding, controls */
    {"GET / HTTP/1.1\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"GET / HTTP/1.1\r\nHost: x\n\r\n", 0, false, HTTP1_BAD},
    {"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {REQ("A: b\r\n folded\r\n"), 0, false, HTTP1_BAD},
    {REQ("A: b\r\n\tfolded\r\n"), 0, false, HTTP1_BAD},
    {REQ("A: b\rc\r\n"), 0, false, HTTP1_BAD},
    {"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 36, false, HTTP1_BAD},
    {REQ("A: b\x01\r\n"), 0, false, HTTP1_BAD},
    {REQ("A: b\x7f\r\n"), 0, false, HTTP1_BAD},
    {REQ("A : b\r\n"), 0, false, HTTP1_BAD},
    {REQ(": b\r\n"), 0, false, HTTP1_BAD},
    {REQ("no colon\r\n"), 0, false, HTTP1_BAD},
    /* request lines */
    {"GET / HTTP/1.1\r\n\r\n", 0, false, HTTP1_BAD}, /* no Host */
    {REQ("Host: y\r\n"), 0, false, HTTP1_BAD},
    {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"GET /  HTTP/1.1\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"GET / http/1.1\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"GET /\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"GE(T / HTTP/1.1\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"CONNECT a:443 HTTP/1.1\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"GET a HTTP/1.1\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"GET https://x HTTP/1.1\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\nHost: x\r\n\r\n", 0, false, HTTP1_BAD},
    {"HTTP/1.1 20 OK\r\n\r\n", 0, true, HTTP1_BAD},
    {"HTTP/1.1 2000 OK\r\n\r\n", 0, true, HTTP1_BAD},
    {"HTTP/1.1 099 OK\r\n\r\n", 0, true, HTTP1_BAD},
    {"HTTP/1.1 200 O\x01K\r\n\r\n", 0, true, HTTP1_BAD},
    {"ICY 200 OK\r\n\r\n", 0, true, HTTP1_BAD},
    {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 0, true, HTTP1_BAD},
};

static void test_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct http1_head h;
        const char *why = NULL;
        size_t len = heads[i].len != 0 ? heads[i].len : strlen(heads[i].text);
        enum http1_result r = read_head(&h, heads[i].text, len, heads[i].response, &why);
        if (r != heads[i].want)
            fail_msg("head %zu: %d, wanted %d (%s): %s", i, r, heads[i].want, why != NULL ? why : "",
                     heads[i].text);
        if (r == HTTP1_BAD)
            assert_non_null(why);
    }
}

static void test_details(void **state)
{
    (void)state;
    static const char text[] =
        "RPC_OUT_DATA /rpc/rpcproxy.dll?m@x:6001 HTTP/1.1\r\nHost: mail\r\nPragma: No-cache\r\n"
        "Pragma: SessionId=1\r\nConnection: Keep-Alive, X-Drop\r\nx-drop: 1\r\nExpect: 100-continue\r\n"
        "Content-Length: 76\r\n\r\nBODY";
    struct http1_head h;
    const char *why = NULL;
    assert_int_equal(read_head(&h, text, sizeof text - 1, false, &why), HTTP1_DONE);
    assert_int_equal(h.len, sizeof text - 1 - 4);
    assert_memory_equal(text + h.method, "RPC_OUT_DATA", h.method_len);
    assert_memory_equal(text + h.target, "/rpc/rpcproxy.dll?m@x:6001", h.target_len);
    assert_true(h.has_length && h.length == 76 && h.expect_continue && h.keep_alive && !h.close);
    assert_non_null(http1_find_name(&h, text, "pragma", 0));
    const struct http1_field *second = http1_find_name(&h, text, "pragma", 1);
    assert_non_null(second);
    assert_memory_equal(text + second->value, "SessionId=1", second->value_len);
    assert_null(http1_find_name(&h, text, "pragma", 2));
    assert_true(http1_find_name(&h, text, "x-drop", 0)->hop);
    assert_false(http1_find_name(&h, text, "pragma", 0)->hop);

    static const char answer[] = "HTTP/1.1 200 Success\r\nContent-Length: 1073741824\r\n\r\n";
    assert_int_equal(read_head(&h, answer, sizeof answer - 1, true, &why), HTTP1_DONE);
    assert_int_equal(h.status, 200);
    assert_int_equal(h.reason_len, 7);
    assert_memory_equal(answer + h.reason, "Success", 7);
    assert_int_equal(h.length, 1073741824);
}

/* The same verdict and end however the bytes are cut. */
static void test_cuts(void **state)
{
    (void)state;
    srand(7);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        size_t len = heads[i].len != 0 ? heads[i].len : strlen(heads[i].text), whole = 0;
        const char *why = NULL;
        enum http1_result want = http1_scan(heads[i].text, len, &whole, &why);
        for (int round = 0; round < 20; round++) {
            size_t pos = 0, have = 0;
            enum http1_result r = HTTP1_MORE;
            while (r == HTTP1_MORE && have < len) {
                have += round == 0 ? 1 : 1 + (size_t)rand() % 9;
                if (have > len)
                    have = len;
                char *exact = malloc(have); /* so that the sanitizer sees a read too far */
                memcpy(exact, heads[i].text, have);
                r = http1_scan(exact, have, &pos, &why);
                free(exact);
            }
            assert_int_equal(r, want);
            if (r == HTTP1_DONE)
                assert_int_equal(pos, whole);
        }
    }
}

static void test_limits(void **state)
{
    (void)state;
    size_t cap = 70000, pos = 0;
    char *big = malloc(cap);
    struct http1_head *h = malloc(sizeof *h);
    const char *why = NULL;
    size_t n = (size_t)snprintf(big, cap, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
    memset(big + n, 'a', cap - n);
    assert_int_equal(http1_scan(big, cap, &pos, &why), HTTP1_BAD);
    n = (size_t)snprintf(big, cap, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 199; i++)
        n += (size_t)snprintf(big + n, cap - n, "A: %d\r\n", i);
    size_t full = n;
    memcpy(big + n, "\r\n", 3);
    assert_int_equal(read_head(h, big, n + 2, false, &why), HTTP1_DONE);
    memcpy(big + full, "B: c\r\n\r\n", 9);
    assert_int_equal(read_head(h, big, full + 8, false, &why), HTTP1_BAD);
    free(h);
    free(big);
}

static const struct {
    const char *text;
    enum http1_result want;
    size_t used;
} bodies[] = {
    {"0\r\n\r\n", HTTP1_DONE, 5},
    {"0\r\n\r\nGET", HTTP1_DONE, 5},
    {"5\r\nhello\r\n0\r\n\r\n", HTTP1_DONE, 15},
    {"A\r\n0123456789\r\n00\r\n\r\n", HTTP1_DONE, 21},
    {"5;name=value\r\nhello\r\n0;x\r\nTrailer: yes\r\n\r\n", HTTP1_DONE, 42},
    {"5\r\nhel", HTTP1_MORE, 6},
    {"fffffffffffffff\r\n", HTTP1_MORE, 17},
    {"1000000000000000\r\n", HTTP1_BAD, 0},
    {"\r\n", HTTP1_BAD, 0},
    {"5\nhello\r\n", HTTP1_BAD, 0},
    {"5\r\nhelloX\r\n", HTTP1_BAD, 0},
    {"5\r\nhello\n", HTTP1_BAD, 0},
    {"5 \r\nhello\r\n", HTTP1_BAD, 0},
    {" 5\r\n", HTTP1_BAD, 0},
    {"-5\r\n", HTTP1_BAD, 0},
    {"0x5\r\n", HTTP1_BAD, 0},
    {"g\r\n", HTTP1_BAD, 0},
    {"5;a\nb\r\n", HTTP1_BAD, 0},
    {"0\r\n folded\r\n\r\n", HTTP1_BAD, 0},
    {"0\r\nA\nB\r\n\r\n", HTTP1_BAD, 0},
    {"0\r\n\rX", HTTP1_BAD, 0},
};

static void test_chunked(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct http1_chunked c;
        size_t used = 0, len = strlen(bodies[i].text);
        http1_chunked_init(&c);
        enum http1_result r = http1_chunked_scan(&c, bodies[i].text, len, &used);
        if (r != bodies[i].want || (r != HTTP1_BAD && used != bodies[i].used))
            fail_msg("body %zu: %d after %zu", i, r, used);
        /* byte by byte */
        http1_chunked_init(&c);
        size_t total = 0;
        r = HTTP1_MORE;
        while (r == HTTP1_MORE && total < len) {
            r = http1_chunked_scan(&c, bodies[i].text + total, 1, &used);
            if (r != HTTP1_BAD)
                total += used;
        }
        assert_int_equal(r, bodies[i].want);
        if (r != HTTP1_BAD)
            assert_int_equal(total, bodies[i].used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_heads), cmocka_unit_test(test_details),
                                       cmocka_unit_test(test_cuts), cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_chunked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
