/* The client's side of a connection: its states, its patience and its end. */
#include "core/proxy/proxy_int.h"

#include "core/base/str.h"

#include <openssl/crypto.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUIET_S 1u /* TLS buffers go back after so many seconds of silence */

void conn_patience(struct conn *c, unsigned seconds)
{
    c->due = c->e->wheel.now + seconds + 1; /* the second that runs is a part only: never too early */
    wheel_set(&c->e->wheel, &c->timer, seconds < QUIET_S ? seconds : QUIET_S);
}

void conn_new(struct engine *e, int fd, const char *client)
{
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL || !ep_init(&c->ep, EP_CONN, fd, e->server_ctx, true, e->epoll_fd)) {
        if (c == NULL)
            (void)close(fd);
        free(c);
        (void)atomic_fetch_sub_explicit(&e->p->open_connections, 1, memory_order_relaxed);
        count_add(&e->count.refused_connections, 1);
        return;
    }
    c->e = e;
    c->state = CONN_HANDSHAKE;
    c->row = ROW_NONE;
    c->timer.tag = EP_CONN;
    (void)str_copy(c->client, sizeof c->client, client);
    c->next = e->conns;
    c->link = &e->conns;
    if (c->next != NULL)
        c->next->link = &c->next;
    e->conns = c;
    count_add(&e->count.connections, 1);
    count_add(&e->count.open_connections, 1);
    conn_patience(c, (unsigned)e->p->cfg.header_timeout_s);
}

void conn_free(struct conn *c)
{
    OPENSSL_cleanse(c->digest, sizeof c->digest);
    free(c);
}

void conn_close(struct conn *c, const char *why)
{
    struct engine *e = c->e;
    if (c->state == CONN_DEAD)
        return;
    if (why != NULL)
        request_fail(c, "", why);
    c->state = CONN_DEAD;
    if (c->job != NULL)
        c->job->c = NULL;
    c->job = NULL;
    request_end(c);
    if (c->up != NULL)
        up_close(c->up);
    wheel_cancel(&c->timer);
    iobuf_put(&e->pool, &c->in);
    iobuf_put(&e->pool, &c->out);
    ident_unref(&c->ident);
    decision_unref(&c->decision);
    ep_fini(&c->ep);
    if (c->ready_link != NULL) {
        *c->ready_link = c->ready_next;
        if (c->ready_next != NULL)
            c->ready_next->ready_link = c->ready_link;
        c->ready_link = NULL;
    }
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    c->next = e->dead_conns;
    e->dead_conns = c;
    (void)atomic_fetch_sub_explicit(&e->p->open_connections, 1, memory_order_relaxed);
    count_sub(&e->count.open_connections, 1);
}

static const char *impatience(const struct conn *c)
{
    switch ((enum conn_state)c->state) {
    case CONN_WAIT: return "no answer from the directory, the KDC or the server in time";
    case CONN_RELAY: return "silent for longer than the idle time-out";
    case CONN_ANSWER:
    case CONN_DRAIN: return "the client does not go on";
    default: return NULL;
    }
}

void conn_timer(struct conn *c)
{
    struct engine *e = c->e;
    if (c->state == CONN_DEAD)
        return;
    int32_t left = (int32_t)(c->due - e->wheel.now);
    if (left > 0) {
        /* only looked at: nothing moved for a moment, so the TLS buffers can go until something does */
        if (iobuf_len(c->out) == 0 && c->state != CONN_HANDSHAKE)
            ep_quiet(&c->ep);
        if (c->up != NULL && c->up->state == UP_READY && iobuf_len(c->up->out) == 0)
            ep_quiet(&c->up->ep);
        wheel_set(&e->wheel, &c->timer, (unsigned)left);
        return;
    }
    conn_close(c, impatience(c));
}

/* Reads more of a head. False: nothing to do until an event, or the connection has ended. */
static bool read_head(struct conn *c)
{
    struct engine *e = c->e;
    const char *why = NULL;
    while (iobuf_len(c->in) >= 2 && c->scanned == 0 && memcmp(iobuf_head(c->in), "\r\n", 2) == 0)
        iobuf_drop(c->in, 2); /* an empty line after a body: RFC 9112 2.2 */
    if (iobuf_len(c->in) > c->scanned) {
        size_t pos = c->scanned;
        enum http1_result r = http1_scan(iobuf_head(c->in), iobuf_len(c->in), &pos, &why);
        c->scanned = (uint32_t)pos;
        if (r != HTTP1_MORE) {
            if (r == HTTP1_DONE) {
                c->head_len = (uint32_t)pos;
                request_begin(c);
            } else {
                request_bad(c, why);
            }
            return c->state != CONN_DEAD;
        }
    }
    if (!c->ep.rd) {
        if (iobuf_len(c->in) == 0)
            iobuf_put(&e->pool, &c->in);
        return false;
    }
    if (c->in == NULL && (c->in = iobuf_get(&e->pool)) == NULL) {
        conn_close(c, NULL);
        return false;
    }
    if (iobuf_room(c->in) == 0)
        iobuf_compact(c->in);
    if (iobuf_room(c->in) == 0 && !iobuf_enlarge(&e->pool, &c->in)) {
        conn_close(c, NULL);
        return false;
    }
    bool first = iobuf_len(c->in) == 0;
    size_t n;
    switch (ep_read(&c->ep, c->in->data + c->in->end, iobuf_room(c->in), &n)) {
    case EP_OK:
        c->in->end += (uint32_t)n;
        if (first) /* from here on the whole head must come in time, however it trickles */
            conn_patience(c, (unsigned)e->p->cfg.header_timeout_s);
        return true;
    case EP_AGAIN:
        if (iobuf_len(c->in) == 0)
            iobuf_put(&e->pool, &c->in);
        return false;
    default: conn_close(c, NULL); return false;
    }
}

/* Drops the rest of a small body whose request was answered without it. */
static bool drain_body(struct conn *c)
{
    struct engine *e = c->e;
    while (!c->req.done) {
        size_t used = 0, n = 0;
        if (iobuf_len(c->in) > 0) {
            if (body_take(&c->req, iobuf_head(c->in), iobuf_len(c->in), &used) == HTTP1_BAD) {
                conn_close(c, NULL);
                return false;
            }
            iobuf_drop(c->in, used);
            continue;
        }
        if (!c->ep.rd)
            return false;
        if (c->in == NULL && (c->in = iobuf_get(&e->pool)) == NULL) {
            conn_close(c, NULL);
            return false;
        }
        enum ep_result r = ep_read(&c->ep, c->in->data + c->in->end, iobuf_room(c->in), &n);
        if (r == EP_AGAIN)
            return false;
        if (r != EP_OK) {
            conn_close(c, NULL);
            return false;
        }
        c->in->end += (uint32_t)n;
    }
    conn_exchange_done(c);
    return c->state != CONN_DEAD;
}

static void linger(struct conn *c)
{
    char waste[4096];
    size_t n;
    while (c->ep.rd) {
        enum ep_result r = ep_read(&c->ep, waste, sizeof waste, &n);
        if (r == EP_AGAIN)
            return;
        if (r != EP_OK)
            break;
    }
    if (c->ep.rd)
        conn_close(c, NULL);
}

void conn_drain_mode(struct conn *c)
{
    c->state = CONN_DRAIN;
    conn_patience(c, (unsigned)c->e->p->cfg.header_timeout_s);
}

void conn_exchange_done(struct conn *c)
{
    struct engine *e = c->e;
    if (c->keep && !c->req.done && c->state != CONN_DRAIN) {
        conn_drain_mode(c);
        return;
    }
    bool keep = c->keep && c->req.done && e->drain_until_ms == 0;
    request_end(c);
    if (keep) {
        c->state = CONN_HEAD;
        c->scanned = c->head_len = 0;
        conn_patience(
            c, (unsigned)(iobuf_len(c->in) > 0 ? e->p->cfg.header_timeout_s : e->p->cfg.idle_timeout_s));
        return;
    }
    if (c->up != NULL)
        up_close(c->up);
    /* closing with unread bytes would reset the connection and could cost the client the answer */
    iobuf_put(&e->pool, &c->in);
    ep_shutdown(&c->ep);
    c->state = CONN_LINGER;
    conn_patience(c, LINGER_S);
    linger(c);
}

static bool write_answer(struct conn *c)
{
    while (iobuf_len(c->out) > 0) {
        size_t n;
        if (!c->ep.wr)
            return false;
        enum ep_result r = ep_write(&c->ep, iobuf_head(c->out), iobuf_len(c->out), &n);
        if (r == EP_AGAIN)
            return false;
        if (r != EP_OK) {
            conn_close(c, "the client went away");
            return false;
        }
        iobuf_drop(c->out, n);
        count_add(&c->e->count.down_bytes, n);
        struct proxy_row *row = row_of(c);
        if (row != NULL)
            row->down_bytes += n;
    }
    iobuf_put(&c->e->pool, &c->out);
    conn_exchange_done(c);
    return c->state != CONN_DEAD;
}

static bool handshake(struct conn *c)
{
    switch (ep_handshake(&c->ep)) {
    case EP_OK: break;
    case EP_AGAIN: return false;
    default: conn_close(c, NULL); return false;
    }
    count_add(&c->e->count.handshakes, 1);
    c->state = CONN_HEAD;
    conn_patience(c, (unsigned)c->e->p->cfg.header_timeout_s);
    return true;
}

void conn_run(struct conn *c)
{
    for (;;) {
        enum conn_state before = c->state;
        bool more = false;
        switch (before) {
        case CONN_HANDSHAKE: more = handshake(c); break;
        case CONN_HEAD: more = read_head(c); break;
        case CONN_WAIT:
            if (c->ep.hup)
                conn_close(c, "the client went away while it waited");
            return;
        case CONN_RELAY:
            relay_run(c);
            more = c->state != CONN_RELAY;
            break;
        case CONN_ANSWER: more = write_answer(c); break;
        case CONN_DRAIN: more = drain_body(c); break;
        case CONN_LINGER: linger(c); return;
        case CONN_DEAD: return;
        }
        if (!more)
            return;
    }
}
