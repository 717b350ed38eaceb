/*
 * A TLS server on a port of loopback for unit tests: one thread accepts, one serves each connection. What it does is a function.
 * Header only. Bounded: 256 connections, then it stops accepting.
 */
#ifndef TESTS_UNIT_TLS_SERVER_H
#define TESTS_UNIT_TLS_SERVER_H

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TLS_SERVER_MAX 256

struct tls_server;

struct tls_peer {
    struct tls_server *server;
    int fd;
    SSL *ssl; /* NULL before the handshake of a server that makes none */
    pthread_t thread;
    char sni[256];
};

struct tls_server {
    int fd;
    uint16_t port;
    SSL_CTX *ctx;
    bool plain_silence;     /* accepts, and never says anything */
    const char *plain_text; /* says this at once, without TLS, and closes */
    /* One request, head as text. Returns false to close the connection. */
    bool (*serve)(struct tls_peer *peer, const char *head);
    const void *arg;
    pthread_t thread;
    atomic_bool stopping;
    struct tls_peer peers[TLS_SERVER_MAX];
    atomic_uint n_peers, n_requests;
};

static inline bool tls_server_stopping(const struct tls_server *s)
{
    return atomic_load(&s->stopping);
}

static inline void tls_server_nap(const struct tls_server *s, int ms)
{
    for (; ms > 0 && !tls_server_stopping(s); ms -= 20)
        poll(NULL, 0, 20);
}

static inline bool tls_peer_send(struct tls_peer *p, const char *text, size_t len)
{
    while (len) {
        int n = SSL_write(p->ssl, text, (int)(len > 16000 ? 16000 : len));
        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

static inline bool tls_peer_say(struct tls_peer *p, const char *text)
{
    return tls_peer_send(p, text, strlen(text));
}

static inline bool tls_peer_head(struct tls_peer *p, char *out, size_t cap)
{
    size_t n = 0;
    while (n + 1 < cap) {
        if (SSL_read(p->ssl, out + n, 1) != 1)
            return false;
        out[++n] = '\0';
        if (n >= 4 && memcmp(out + n - 4, "\r\n\r\n", 4) == 0)
            return true;
    }
    return false;
}

static inline void *tls_peer_run(void *arg)
{
    static _Thread_local char head[200 * 1024];
    struct tls_peer *p = arg;
    struct tls_server *s = p->server;
    if (s->plain_silence) {
        while (!tls_server_stopping(s))
            tls_server_nap(s, 100);
        return NULL;
    }
    if (s->plain_text) {
        ssize_t n = send(p->fd, s->plain_text, strlen(s->plain_text), MSG_NOSIGNAL);
        tls_server_nap(s, n > 0 ? 40 : 0);
        shutdown(p->fd, SHUT_RDWR);
        return NULL;
    }
    p->ssl = SSL_new(s->ctx);
    if (p->ssl && SSL_set_fd(p->ssl, p->fd) && SSL_accept(p->ssl) == 1) {
        const char *name = SSL_get_servername(p->ssl, TLSEXT_NAMETYPE_host_name);
        snprintf(p->sni, sizeof p->sni, "%s", name ? name : "");
        while (!tls_server_stopping(s) && tls_peer_head(p, head, sizeof head)) {
            atomic_fetch_add(&s->n_requests, 1);
            if (!s->serve || !s->serve(p, head))
                break;
        }
    }
    SSL_free(p->ssl);
    shutdown(p->fd, SHUT_RDWR);
    return NULL;
}

static inline void *tls_server_run(void *arg)
{
    struct tls_server *s = arg;
    while (!tls_server_stopping(s)) {
        struct pollfd f = {.fd = s->fd, .events = POLLIN};
        unsigned n = atomic_load(&s->n_peers);
        if (poll(&f, 1, 50) <= 0 || n == TLS_SERVER_MAX)
            continue;
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            continue;
        s->peers[n] = (struct tls_peer){.server = s, .fd = fd};
        if (pthread_create(&s->peers[n].thread, NULL, tls_peer_run, &s->peers[n]) == 0)
            atomic_fetch_add(&s->n_peers, 1);
        else
            close(fd);
    }
    return NULL;
}

/* s: cert and key are borrowed; serve, arg, plain_silence set before. */
static inline bool tls_server_start(struct tls_server *s, X509 *cert, EVP_PKEY *key)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    s->ctx = SSL_CTX_new(TLS_server_method());
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!s->ctx || s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, len) < 0 || listen(s->fd, 64) < 0 ||
        getsockname(s->fd, (struct sockaddr *)&a, &len) < 0)
        return false;
    SSL_CTX_set_security_level(s->ctx, 0);
    SSL_CTX_set_min_proto_version(s->ctx, TLS1_VERSION);
    s->port = ntohs(a.sin_port);
    if (cert && (SSL_CTX_use_certificate(s->ctx, cert) != 1 || SSL_CTX_use_PrivateKey(s->ctx, key) != 1))
        return false;
    return pthread_create(&s->thread, NULL, tls_server_run, s) == 0;
}

static inline void tls_server_stop(struct tls_server *s)
{
    atomic_store(&s->stopping, true);
    pthread_join(s->thread, NULL);
    for (unsigned i = 0; i < s->n_peers; i++)
        shutdown(s->peers[i].fd, SHUT_RDWR);
    for (unsigned i = 0; i < s->n_peers; i++) {
        pthread_join(s->peers[i].thread, NULL);
        close(s->peers[i].fd);
    }
    close(s->fd);
    SSL_CTX_free(s->ctx);
}

#endif
