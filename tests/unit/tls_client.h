/*
 * A blocking TLS client for unit tests: says text, reads heads and bodies, with a time-out on everything. Header only.
 */
#ifndef TESTS_UNIT_TLS_CLIENT_H
#define TESTS_UNIT_TLS_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct tls_client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
    char head[8192]; /* of the last response */
    int status;
    long long length; /* Content-Length, -1 */
};

static inline void tls_client_timeout(struct tls_client *c, int ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
}

static inline bool tls_client_open(struct tls_client *c, uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memset(c, 0, sizeof *c);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) < 0)
        return false;
    tls_client_timeout(c, 10000);
    c->ctx = SSL_CTX_new(TLS_client_method());
    c->ssl = c->ctx != NULL ? SSL_new(c->ctx) : NULL;
    return c->ssl != NULL && SSL_set_fd(c->ssl, c->fd) == 1 && SSL_connect(c->ssl) == 1;
}

static inline void tls_client_close(struct tls_client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    if (c->fd >= 0)
        close(c->fd);
    c->ssl = NULL;
    c->ctx = NULL;
    c->fd = -1;
}

/* Goes away without a word: RST. */
static inline void tls_client_reset(struct tls_client *c)
{
    struct linger l = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(c->fd);
    c->fd = -1;
    SSL_set_quiet_shutdown(c->ssl, 1);
    tls_client_close(c);
}

static inline bool tls_client_send(struct tls_client *c, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        int k = SSL_write(c->ssl, at, (int)(n > 16384 ? 16384 : n));
        if (k <= 0)
            return false;
        at += k;
        n -= (size_t)k;
    }
    return true;
}

static inline bool tls_client_say(struct tls_client *c, const char *text)
{
    return tls_client_send(c, text, strlen(text));
}

/* The next head, byte by byte so that nothing of the body is taken. */
static inline bool tls_client_head(struct tls_client *c)
{
    size_t n = 0;
    c->status = 0;
    c->length = -1;
    while (n + 1 < sizeof c->head) {
        if (SSL_read(c->ssl, c->head + n, 1) != 1)
            return false;
        c->head[++n] = '\0';
        if (n >= 4 && memcmp(c->head + n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    (void)sscanf(c->head, "HTTP/1.%*d %d", &c->status);
    const char *cl = strstr(c->head, "Content-Length: ");
    if (cl != NULL)
        c->length = strtoll(cl + 16, NULL, 10);
    return c->status != 0;
}

/* Exactly n bytes. */
static inline bool tls_client_read(struct tls_client *c, void *out, size_t n)
{
    char *at = out;
    while (n > 0) {
        int k = SSL_read(c->ssl, at, (int)(n > 16384 ? 16384 : n));
        if (k <= 0)
            return false;
        at += k;
        n -= (size_t)k;
    }
    return true;
}

/* Head and body by Content-Length, the body as text (cut to cap). */
static inline bool tls_client_response(struct tls_client *c, char *body, size_t cap)
{
    if (!tls_client_head(c))
        return false;
    size_t n = c->length > 0 ? (size_t)c->length : 0, keep = n < cap - 1 ? n : cap - 1;
    if (!tls_client_read(c, body, keep))
        return false;
    body[keep] = '\0';
    for (size_t left = n - keep; left > 0;) {
        char waste[4096];
        size_t k = left < sizeof waste ? left : sizeof waste;
        if (!tls_client_read(c, waste, k))
            return false;
        left -= k;
    }
    return true;
}

/* True when the other side has closed (and nothing more came). */
static inline bool tls_client_closed(struct tls_client *c)
{
    char b;
    return SSL_read(c->ssl, &b, 1) <= 0 && SSL_get_error(c->ssl, -1) != SSL_ERROR_WANT_READ;
}

#endif
