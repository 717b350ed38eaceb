/*
 * The engine as a plain relay in this process, with a TLS server of the test's own behind it. Header only; one engine at a time.
 */
#ifndef TESTS_UNIT_PROXY_FIXTURE_H
#define TESTS_UNIT_PROXY_FIXTURE_H

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/proxy/proxy.h"
#include "tests/unit/test_cert.h"
#include "tests/unit/tls_client.h"
#include "tests/unit/tls_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define BIG (48u << 20) /* more than the kernel buffers of two loopback connections */

static struct tls_server server;
static struct proxy *proxy;
static EVP_PKEY *key;
static X509 *cert;
static atomic_int gate;        /* what the server waits for */
static atomic_ullong received; /* body bytes of the last upload */

static inline long long length_of(const char *head)
{
    const char *p = strstr(head, "Content-Length: ");
    return p != NULL ? strtoll(p + 16, NULL, 10) : 0;
}

static inline bool read_body(struct tls_peer *p, long long n)
{
    char b[16384];
    while (n > 0) {
        int k = SSL_read(p->ssl, b, (int)(n > (long long)sizeof b ? (long long)sizeof b : n));
        if (k <= 0)
            return false;
        n -= k;
        atomic_fetch_add(&received, (unsigned long long)k);
    }
    return true;
}

static inline bool say(struct tls_peer *p, const char *fields, const char *body)
{
    char t[2048];
    snprintf(t, sizeof t, "HTTP/1.1 %sContent-Length: %zu\r\n\r\n%s", fields, strlen(body), body);
    return tls_peer_say(p, t);
}

static inline bool starts(const char *head, const char *what)
{
    return strncmp(head, what, strlen(what)) == 0;
}

static inline void wait_gate(struct tls_peer *p, int at_least)
{
    while (atomic_load(&gate) < at_least && !tls_server_stopping(p->server))
        poll(NULL, 0, 5);
}

/* The server's connection number: who shares one sees the same. */
static inline int number(const struct tls_peer *p)
{
    return (int)(p - p->server->peers);
}

static inline bool big_download(struct tls_peer *p)
{
    static char block[16384];
    char t[128];
    memset(block, 'b', sizeof block);
    snprintf(t, sizeof t, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", BIG);
    if (!tls_peer_say(p, t))
        return false;
    for (size_t n = 0; n < BIG; n += sizeof block) {
        if (!tls_peer_send(p, block, sizeof block))
            return false;
        atomic_fetch_add(&received, sizeof block); /* counts what could be sent */
    }
    return true;
}

static inline bool serve(struct tls_peer *p, const char *head)
{
    char t[512];
    long long n = length_of(head);
    if (starts(head, "HEAD "))
        return tls_peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    if (strstr(head, " /echo-head ") != NULL)
        return say(p, "200 OK\r\n", head);
    if (starts(head, "RPC_IN_DATA") && n > 16 && strstr(head, "deny") != NULL) {
        (void)say(p, "401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\n", "denied");
        tls_server_nap(p->server, 300);
        return false;
    }
    if (starts(head, "RPC_IN_DATA") && n > 16)
        return read_body(p, n);
    if (starts(head, "RPC_OUT_DATA") && n > 16) {
        if (!read_body(p, n) || !tls_peer_say(p, "HTTP/1.1 200 Success\r\nContent-Type: "
                                                 "application/rpc\r\nContent-Length: 1073741824\r\n\r\n"))
            return false;
        for (int i = 1; i <= 3; i++) {
            wait_gate(p, i);
            if (!tls_peer_say(p, "12345678"))
                return false;
        }
        return read_body(p, 1);
    }
    if (strstr(head, " /continue ") != NULL) {
        if (strstr(head, "100-continue") != NULL && !tls_peer_say(p, "HTTP/1.1 100 Continue\r\n\r\n"))
            return false;
        return read_body(p, n) && say(p, "200 OK\r\n", "ok");
    }
    if (strstr(head, " /who ") != NULL || strstr(head, " /nego ") != NULL) {
        snprintf(t, sizeof t, "%d", number(p));
        if (strstr(head, " /nego ") != NULL && strstr(head, "Authorization:") == NULL)
            return say(p, "401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n",
                       "");
        return say(p, "200 OK\r\nPersistent-Auth: true\r\n", t);
    }
    if (strstr(head, " /big ") != NULL)
        return big_download(p);
    if (strstr(head, " /upload ") != NULL) {
        atomic_store(&received, 0);
        wait_gate(p, 1);
        return read_body(p, n) && say(p, "200 OK\r\n", "uploaded");
    }
    if (strstr(head, " /chunked ") != NULL)
        return tls_peer_say(
            p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
    if (strstr(head, " /post-chunked ") != NULL) {
        char body[64] = "";
        for (size_t i = 0; i + 1 < sizeof body && strstr(body, "\r\n0\r\n\r\n") == NULL; i++)
            if (SSL_read(p->ssl, body + i, 1) != 1)
                return false;
        return say(p, "200 OK\r\n", body);
    }
    if (strstr(head, " /until-close ") != NULL) {
        (void)tls_peer_say(p, "HTTP/1.1 200 OK\r\n\r\nall there is");
        (void)SSL_shutdown(p->ssl);
        return false;
    }
    if (strstr(head, " /half ") != NULL) {
        (void)tls_peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        return false;
    }
    if (strstr(head, " /mute ") != NULL)
        return false;
    if (strstr(head, " /bad ") != NULL)
        return tls_peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    if (strstr(head, " /hold ") != NULL) {
        wait_gate(p, 1);
        return say(p, "200 OK\r\n", "held");
    }
    return read_body(p, n) && say(p, "200 OK\r\n", "ok");
}

static inline void engine(const struct proxy_config *more)
{
    static char url[64];
    struct proxy_config c = more != NULL ? *more : (struct proxy_config){0};
    struct errinfo ei = {0};
    snprintf(url, sizeof url, "https://127.0.0.1:%u", server.port);
    c.listen_addr = "127.0.0.1";
    if (c.upstream == NULL)
        c.upstream = url;
    c.upstream_insecure = true;
    if (proxy_start(&proxy, &c, &ei) != ERR_OK)
        fail_msg("%s: %s", ei.what, ei.hint);
}

static inline int setup(void **state)
{
    (void)state;
    const struct test_cert tc = {.cn = "127.0.0.1", .from_s = -60, .until_s = 86400};
    memset(&server, 0, sizeof server);
    server.serve = serve;
    atomic_store(&gate, 0);
    atomic_store(&received, 0);
    key = test_key();
    cert = test_cert_make(&tc, key, NULL, NULL);
    return key != NULL && cert != NULL && tls_server_start(&server, cert, key) ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    proxy_free(&proxy);
    tls_server_stop(&server);
    X509_free(cert);
    EVP_PKEY_free(key);
    return 0;
}

static inline void open_client(struct tls_client *c)
{
    assert_true(tls_client_open(c, proxy_port(proxy)));
}

/* A row that fits, waited for: the observer sees rows a little late. */
static inline bool find_row(const char *path, struct proxy_row *out, bool ended)
{
    static struct proxy_row rows[512];
    for (int i = 0; i < 400; i++) {
        size_t n = proxy_rows(proxy, rows, ARRAY_LEN(rows));
        for (size_t k = 0; k < n; k++)
            if (str_eq(rows[k].path, path) && (rows[k].ended_ms != 0) == ended) {
                *out = rows[k];
                return true;
            }
        poll(NULL, 0, 10);
    }
    return false;
}

static inline void get(struct tls_client *c, const char *method, const char *path, const char *fields,
                       int status, const char *body)
{
    char t[1024], got[4096];
    snprintf(t, sizeof t, "%s %s HTTP/1.1\r\nHost: mail.test\r\n%s\r\n", method, path, fields);
    assert_true(tls_client_say(c, t));
    if (!tls_client_response(c, got, sizeof got))
        fail_msg("%s %s: no answer", method, path);
    assert_int_equal(c->status, status);
    if (body != NULL)
        assert_string_equal(got, body);
}

#endif
