/*
 * Connections to servers. One is used again only for nobody's requests or for the same user's on the same server: an
 * authenticated connection is never shared between clients (proxy-engine.md 9).
 */
#include "core/proxy/proxy_int.h"

#include "core/base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- targets */

static uint32_t hash_host(const char *host)
{
    uint32_t h = 2166136261u;
    for (; *host != '\0'; host++)
        h = (h ^ (uint32_t)(*host >= 'A' && *host <= 'Z' ? *host | 0x20 : *host)) * 16777619u;
    return h % TARGET_HASH;
}

struct target *target_find(const struct engine *e, const char *host)
{
    struct target *t = e->targets[hash_host(host)];
    while (t != NULL && !str_ieq(t->host, host))
        t = t->next;
    return t;
}

struct target *target_get(struct engine *e, const char *name, const char *site, const char *host,
                          uint16_t port)
{
    struct target **bucket = &e->targets[hash_host(host)], *t;
    for (t = *bucket; t != NULL; t = t->next)
        if (t->port == port && str_ieq(t->host, host))
            return t;
    if (e->n_targets >= MAX_TARGETS || (t = calloc(1, sizeof *t)) == NULL)
        return NULL;
    str_show_fixed(t->name, sizeof t->name, name, strlen(name));
    str_show_fixed(t->site, sizeof t->site, site, strlen(site));
    (void)str_copy(t->host, sizeof t->host, host);
    t->port = port;
    t->next = *bucket;
    *bucket = t;
    e->n_targets++;
    return t;
}

void targets_fini(struct engine *e)
{
    for (size_t i = 0; i < TARGET_HASH; i++)
        while (e->targets[i] != NULL) {
            struct target *t = e->targets[i];
            e->targets[i] = t->next;
            while (t->idle != NULL)
                up_close(t->idle);
            SSL_SESSION_free(t->session);
            free(t);
        }
    e->n_targets = 0;
}

/* --- addresses, by a job */

struct resolve_job {
    struct pjob base;
    struct target *target; /* targets live as long as their engine */
    const struct hostmap *hosts;
    char host[256];
    uint16_t port;
    enum err r;
    struct errinfo ei;
    struct host_addr addrs[MAX_ADDRS];
    size_t n;
    bool fresh;
};

static void resolve_run(struct pjob *j)
{
    static const struct hostmap none;
    struct resolve_job *rj = (struct resolve_job *)j;
    rj->r = hostmap_resolve(rj->hosts != NULL ? rj->hosts : &none, rj->host, rj->port, false, rj->addrs,
                            MAX_ADDRS, &rj->n, &rj->ei);
}

static void target_failed(struct conn *c, int status, const char *text)
{
    c->target->down_until_ms = c->e->now_ms + DOWN_S * 1000;
    if (c->retries < 2 && c->e->p->cfg.arrive != NULL && c->head_len > 0) {
        struct target *was = c->target;
        c->retries++;
        policy_forget(c);
        c->state = CONN_WAIT;
        if (!policy_request(c))
            return;
        if (c->target != was) {
            request_routed(c);
            return;
        }
    }
    answer_status(c, status, "", text);
}

static void resolve_done(struct pjob *j)
{
    struct resolve_job *rj = (struct resolve_job *)j;
    struct target *t = rj->target;
    struct conn *c = j->c;
    if (rj->r == ERR_OK && rj->n > 0) {
        memcpy(t->addrs, rj->addrs, sizeof t->addrs);
        t->n_addrs = rj->n;
        t->resolved_ms = j->e->now_ms;
    }
    if (c != NULL) {
        if (rj->r == ERR_OK)
            up_acquire(c, rj->fresh);
        else
            target_failed(c, 503, rj->ei.what);
        conn_run(c);
    }
    free(rj);
}

static void resolve(struct conn *c, bool fresh)
{
    struct engine *e = c->e;
    struct resolve_job *rj = calloc(1, sizeof *rj);
    if (rj != NULL) {
        rj->base.run = resolve_run;
        rj->base.done = resolve_done;
        rj->target = c->target;
        rj->hosts = e->p->cfg.profile != NULL ? &e->p->cfg.profile->hosts : NULL;
        (void)str_copy(rj->host, sizeof rj->host, c->target->host);
        rj->port = c->target->port;
        rj->fresh = fresh;
        row_state(c, PROXY_STATE_CONNECT);
        if (pjob_start(e, c, &rj->base))
            return;
        free(rj);
    }
    answer_status(c, 500, "", "too many name look-ups wait");
}

/* --- connections */

static void unlink_idle(struct up *u)
{
    if (!u->idle)
        return;
    *u->link = u->next;
    if (u->next != NULL)
        u->next->link = u->link;
    u->idle = false;
    u->target->n_idle--;
}

void up_close(struct up *u)
{
    struct engine *e = u->e;
    unlink_idle(u);
    if (u->c != NULL) {
        u->c->up = NULL;
        u->c->pinned = false;
        u->c = NULL;
    }
    wheel_cancel(&u->timer);
    iobuf_put(&e->pool, &u->in);
    iobuf_put(&e->pool, &u->out);
    ep_fini(&u->ep);
    u->next = e->dead_ups;
    e->dead_ups = u;
}

void up_free(struct up *u)
{
    free(u);
}

void up_release(struct up *u)
{
    struct target *t = u->target;
    u->c->up = NULL;
    u->c = NULL;
    iobuf_put(&u->e->pool, &u->in);
    iobuf_put(&u->e->pool, &u->out);
    if (t->n_idle >= MAX_IDLE_UPS || u->e->drain_until_ms != 0) {
        up_close(u);
        return;
    }
    u->idle = true;
    u->next = t->idle;
    u->link = &t->idle;
    if (u->next != NULL)
        u->next->link = &u->next;
    t->idle = u;
    t->n_idle++;
    wheel_set(&u->e->wheel, &u->timer, UP_IDLE_S);
}

void up_timer(struct up *u)
{
    if (u->ep.fd < 0)
        return;
    struct conn *c = u->c;
    char text[192];
    if (u->idle || c == NULL) {
        up_close(u);
        return;
    }
    if (u->state == UP_READY)
        return; /* the client's timer watches over an exchange */
    (void)str_fmt(text, sizeof text, "%s did not answer within %u s", u->target->name, CONNECT_S);
    up_close(u);
    target_failed(c, 504, text);
    conn_run(c);
}

/* The server's newest session, so that the next connection skips the expensive half of the handshake. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct up *u = (struct up *)(void *)SSL_get_app_data(ssl);
    if (u == NULL || u->target == NULL)
        return 0;
    SSL_SESSION_free(u->target->session);
    u->target->session = session;
    return 1; /* taken over */
}

void up_context(SSL_CTX *ctx)
{
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
}

static bool prepare_tls(struct up *u)
{
    SSL *ssl = u->ep.ssl;
    const char *host = u->target->host;
    unsigned char ip[16];
    bool numeric = inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
    if (!numeric && SSL_set_tlsext_host_name(ssl, host) != 1)
        return false;
    if (numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1
                : SSL_set1_host(ssl, host) != 1)
        return false;
    if (u->target->session != NULL)
        (void)SSL_set_session(ssl, u->target->session);
    return true;
}

/* Starts connecting to the next address. False: there is none left that could be tried. */
static bool connect_next(struct up *u)
{
    struct engine *e = u->e;
    struct target *t = u->target;
    while (u->addr < t->n_addrs) {
        const struct host_addr *a = &t->addrs[u->addr++];
        int on = 1, idle = 120;
        int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        if (connect(fd, (const struct sockaddr *)&a->sa, a->len) != 0 && errno != EINPROGRESS) {
            int saved = errno;
            (void)close(fd);
            errno = saved;
            continue;
        }
        if (!ep_init(&u->ep, EP_UP, fd, e->client_ctx, false, e->epoll_fd))
            continue;
        u->state = UP_CONNECTING;
        if (!prepare_tls(u)) {
            ep_fini(&u->ep);
            continue;
        }
        return true;
    }
    return false;
}

static struct up *take_idle(struct conn *c)
{
    for (struct up *u = c->target->idle, *next; u != NULL; u = next) {
        next = u->next;
        if (memcmp(u->key, c->key, POOL_KEY) != 0)
            continue;
        char byte;
        ssize_t n = u->ep.rd ? recv(u->ep.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : -1;
        if (u->ep.hup || n == 0 || (n < 0 && u->ep.rd && errno != EAGAIN)) {
            up_close(u); /* closed by the server meanwhile */
            continue;
        }
        unlink_idle(u);
        wheel_cancel(&u->timer);
        return u;
    }
    return NULL;
}

static void attach(struct conn *c, struct up *u)
{
    u->c = c;
    c->up = u;
}

void up_acquire(struct conn *c, bool fresh)
{
    struct engine *e = c->e;
    struct target *t = c->target;
    /* before a connection is opened, so that the token can be made on it without waiting */
    if (!krb_prepare(c))
        return;
    struct up *u = fresh ? NULL : take_idle(c);
    if (u != NULL) {
        attach(c, u);
        request_send(c);
        return;
    }
    if (t->n_addrs == 0 || e->now_ms - t->resolved_ms > RESOLVE_TTL) {
        resolve(c, fresh);
        return;
    }
    u = calloc(1, sizeof *u);
    if (u == NULL) {
        answer_status(c, 500, "", "out of memory");
        return;
    }
    u->e = e;
    u->target = t;
    u->timer.tag = EP_UP;
    u->ep.fd = -1;
    memcpy(u->key, c->key, POOL_KEY);
    if (!connect_next(u)) {
        char text[192];
        (void)str_fmt(text, sizeof text, "%s cannot be reached: %s", t->name, strerror(errno));
        free(u);
        target_failed(c, 503, text);
        return;
    }
    attach(c, u);
    c->state = CONN_WAIT;
    row_state(c, PROXY_STATE_CONNECT);
    wheel_set(&e->wheel, &u->timer, CONNECT_S);
    conn_patience(c, CONNECT_S * MAX_ADDRS);
}

static bool connected(struct up *u)
{
    int err = 0;
    socklen_t len = sizeof err;
    if (!u->ep.wr)
        return false;
    if (getsockopt(u->ep.fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err == 0) {
        u->state = UP_HANDSHAKE;
        return true;
    }
    struct conn *c = u->c;
    char text[192];
    ep_fini(&u->ep);
    errno = err;
    if (connect_next(u))
        return false;
    (void)str_fmt(text, sizeof text, "%s cannot be reached: %s", u->target->name, strerror(err));
    up_close(u);
    target_failed(c, 503, text);
    conn_run(c);
    return false;
}

static void handshake(struct up *u)
{
    struct conn *c = u->c;
    char why[128], text[192];
    switch (ep_handshake(&u->ep)) {
    case EP_OK: break;
    case EP_AGAIN: return;
    case EP_EOF:
    case EP_ERROR:
        ep_error_text(&u->ep, why, sizeof why);
        (void)str_fmt(text, sizeof text, "%s: no TLS connection: %s", u->target->name, why);
        SSL_SESSION_free(u->target->session);
        u->target->session = NULL;
        up_close(u);
        answer_status(c, 502, "certificate", text);
        conn_run(c);
        return;
    }
    u->state = UP_READY;
    wheel_cancel(&u->timer);
    request_send(c);
    conn_run(c);
}

/* An idle connection has something to say: only that it ends. But TLS 1.3 tickets come late, and they are welcome. */
static void idle_event(struct up *u)
{
    char byte;
    size_t n;
    if (!u->ep.rd && !u->ep.hup)
        return;
    u->ep.rd = true;
    if (ep_read(&u->ep, &byte, 1, &n) == EP_AGAIN)
        return;
    struct conn *c = u->c;
    if (c != NULL && c->state == CONN_HEAD)
        conn_close(c, NULL); /* pinned: what the client authenticated is gone, and it should know */
    else
        up_close(u);
}

void up_run(struct up *u)
{
    if (u->state == UP_CONNECTING && (u->c == NULL || !connected(u)))
        return;
    if (u->state == UP_HANDSHAKE) {
        handshake(u);
        return;
    }
    if (u->c == NULL)
        idle_event(u);
    else if (u->c->state == CONN_RELAY)
        conn_run(u->c);
    else if (u->ep.hup || u->ep.rd)
        idle_event(u); /* pinned, between two requests */
}
