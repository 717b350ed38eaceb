/*
 * The relay: bytes both ways at once. Each direction holds at most one buffer; when it cannot be written the other side is not read,
 * and that is all the back-pressure there is. Bodies are never buffered whole, so a 1 GiB RPC channel, an EAS Ping and a streaming
 * subscription are the same thing here.
 */
#include "core/proxy/proxy_int.h"

#include "core/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS 64u /* buffers moved before others get their turn */

enum flow { BLOCKED, FINISHED, ENDED /* the connection's state has changed or it is gone */ };

/* An RPC channel has no other end than that: it is not a failure then. */
static void client_left(struct conn *c, const char *why)
{
    bool channel = (c->path_kind == PATH_OA_IN || c->path_kind == PATH_OA_OUT) && c->rpc_streamed;
    conn_close(c, channel ? NULL : why);
}

static void moved(struct conn *c, size_t up, size_t down)
{
    struct proxy_row *r = row_of(c);
    struct engine *e = c->e;
    if (r != NULL) {
        r->up_bytes += up;
        r->down_bytes += down;
        r->idle_since_ms = engine_unix_ms(e);
        if (r->state == PROXY_STATE_WAIT && down > 0)
            r->state = PROXY_STATE_STREAM;
        rows_touch(&e->rows, c->row);
    }
    count_add(&e->count.up_bytes, up);
    count_add(&e->count.down_bytes, down);
    conn_patience(c, (unsigned)e->p->cfg.idle_timeout_s);
}

/* n new bytes of the request body stand at the end of u->out: frame them, show them to who looks. False: refused. */
static bool accept_body(struct conn *c, struct iobuf *b, size_t n, size_t *used)
{
    const char *p = b->data + b->end - n;
    if (body_take(&c->req, p, n, used) == HTTP1_BAD)
        return false;
    body_hold(c, p, *used);
    if (c->rpch != NULL)
        rpch_feed(c, p, *used, true);
    c->rpc_streamed |= *used > 0;
    return true;
}

static enum flow bad_request_body(struct conn *c)
{
    if (c->got_bytes) {
        conn_close(c, "a chunk of the request body is malformed");
        return ENDED;
    }
    if (c->up != NULL)
        up_close(c->up);
    iobuf_put(&c->e->pool, &c->out);
    answer_status(c, 400, "", "a chunk of the request body is malformed");
    return ENDED;
}

/* More of the request body into u->out. */
static enum flow fill_up(struct conn *c, struct up *u)
{
    struct engine *e = c->e;
    size_t n, used = 0;
    if (iobuf_len(c->in) == 0 && !c->ep.rd)
        return BLOCKED;
    if (u->out == NULL && (u->out = iobuf_get(&e->pool)) == NULL) {
        conn_close(c, "out of memory");
        return ENDED;
    }
    if (iobuf_len(c->in) > 0) {
        n = iobuf_add(u->out, iobuf_head(c->in), iobuf_len(c->in));
        if (!accept_body(c, u->out, n, &used))
            return bad_request_body(c);
        u->out->end -= (uint32_t)(n - used);
        iobuf_drop(c->in, used);
        if (iobuf_len(c->in) == 0)
            iobuf_put(&e->pool, &c->in);
        return FINISHED;
    }
    size_t want = iobuf_room(u->out);
    if (c->req.kind == BODY_LENGTH && c->req.left < want)
        want = (size_t)c->req.left;
    switch (ep_read(&c->ep, u->out->data + u->out->end, want, &n)) {
    case EP_OK: break;
    case EP_AGAIN: return BLOCKED;
    default: client_left(c, "the client went away in the middle of its request"); return ENDED;
    }
    u->out->end += (uint32_t)n;
    if (!accept_body(c, u->out, n, &used))
        return bad_request_body(c);
    if (used < n) { /* the next request came along */
        if ((c->in = iobuf_get(&e->pool)) == NULL) {
            conn_close(c, "out of memory");
            return ENDED;
        }
        (void)iobuf_add(c->in, u->out->data + u->out->end - (n - used), n - used);
        u->out->end -= (uint32_t)(n - used);
    }
    return FINISHED;
}

/* A fast pair must not starve the others: it goes on in the next round. */
static enum flow yield(struct conn *c)
{
    struct engine *e = c->e;
    if (c->ready_link == NULL) {
        c->ready_next = e->ready;
        c->ready_link = &e->ready;
        if (c->ready_next != NULL)
            c->ready_next->ready_link = &c->ready_next;
        e->ready = c;
    }
    return BLOCKED;
}

/* Client to server. */
static enum flow pump_up(struct conn *c)
{
    for (unsigned turns = 0;; turns++) {
        struct up *u = c->up;
        size_t n;
        if (turns == TURNS)
            return yield(c);
        if (u == NULL || c->up_broken)
            return BLOCKED;
        if (iobuf_len(u->out) > 0) {
            if (!u->ep.wr)
                return BLOCKED;
            switch (ep_write(&u->ep, iobuf_head(u->out), iobuf_len(u->out), &n)) {
            case EP_OK:
                iobuf_drop(u->out, n);
                moved(c, n, 0);
                continue;
            case EP_AGAIN: return BLOCKED;
            default:
                /* an early answer may still be there to be read */
                c->up_broken = true;
                u->ep.rd = true;
                iobuf_put(&c->e->pool, &u->out);
                return BLOCKED;
            }
        }
        enum flow f = c->req.done ? BLOCKED : fill_up(c, u);
        if (f == ENDED)
            return f;
        if (f == BLOCKED) {
            if (iobuf_len(u->out) == 0)
                iobuf_put(&c->e->pool, &u->out);
            return BLOCKED;
        }
    }
}

/* The server's side has ended or broken. */
static enum flow server_ended(struct conn *c, bool error)
{
    char why[160], text[192];
    if (c->got_head && c->resp.kind == BODY_CLOSE && !error) {
        c->resp.done = true;
        return FINISHED;
    }
    ep_error_text(&c->up->ep, why, sizeof why);
    if (!c->got_bytes && c->up->served > 0) {
        /* an idle connection the server closed as we took it: once more where that is safe; else the client must
           see the loss itself, for it alone knows whether the request may be sent twice (RFC 9112 9.3.1) */
        if (!c->idempotent || !request_replay(c))
            conn_close(c, "the server closed an idle connection just as this request went out on it");
        return ENDED;
    }
    (void)str_fmt(text, sizeof text, "%s closed the connection %s (%s)", c->target->name,
                  c->got_head ? "in the middle of its answer" : "without an answer",
                  error ? why : "end of stream");
    if (c->got_head || iobuf_len(c->out) > 0) {
        conn_close(c, text);
        return ENDED;
    }
    up_close(c->up);
    answer_status(c, 502, "", text);
    return ENDED;
}

static bool offers_bound(const struct http1_head *h, const char *raw)
{
    for (size_t i = 0; i < h->n_fields; i++) {
        const struct http1_field *f = &h->fields[i];
        if (f->id != HTTP1_WWW_AUTHENTICATE)
            continue;
        size_t n = 0;
        while (n < f->value_len && raw[f->value + n] != ' ' && raw[f->value + n] != ',')
            n++;
        if ((auth_from_scheme(raw + f->value, n) & (AUTH_NEGOTIATE | AUTH_NTLM | AUTH_KERBEROS)) != 0)
            return true;
    }
    return false;
}

/* 401 of the server when it is we who authenticate. True: the request goes out once more, or was answered. */
static bool refused(struct conn *c, const struct http1_head *h, const char *raw)
{
    if (offers_bound(h, raw) && c->auth_tries < 2) {
        if (!c->fresh_token)
            c->target->token_per_request = true; /* it had let this connection in before */
        if (request_replay(c))
            return true;
    }
    krb_explain_401(c, h, raw);
    return false;
}

/* A complete head of a response stands at the front of u->in. */
static enum flow response_head(struct conn *c, struct up *u, size_t len)
{
    struct engine *e = c->e;
    struct http1_head *h = &e->resp_head;
    const char *raw = iobuf_head(u->in);
    char challenge[320] = "";
    if (http1_parse(h, raw, len, true) != HTTP1_DONE || h->status == 101) {
        char text[128];
        (void)str_fmt(text, sizeof text, "%s sent an unreadable answer: %s", c->target->name,
                      h->why != NULL ? h->why : "a switch of protocols nobody asked for");
        up_close(u);
        answer_status(c, 502, "", text);
        return ENDED;
    }
    bool interim = h->status < 200;
    bool ours = e->p->cfg.auth != PROXY_AUTH_PASS;
    if (h->status == 100)
        c->expects = false;
    if (!interim && ours && h->status == 401) {
        if (refused(c, h, raw))
            return ENDED;
        auth_challenge_fields(c, challenge, sizeof challenge);
    }
    if (!interim) {
        if (ours && h->status != 401)
            u->authenticated = true;
        if (!ours && !c->pinned && (c->auth_bound || (h->status == 401 && offers_bound(h, raw)))) {
            c->pinned = true;
            struct proxy_row *r = row_of(c);
            if (r != NULL && c->auth_bound)
                (void)snprintf(r->auth, sizeof r->auth, "negotiate (pinned)");
        }
        request_drop_replay(c);
        c->got_head = true;
        body_from_head(&c->resp, h);
        if (c->is_head || h->status == 204 || h->status == 304) {
            c->resp.kind = BODY_NONE;
            c->resp.done = true;
        }
        if (c->resp.kind == BODY_CLOSE || !body_is_short(c))
            c->keep = false;
        if (e->drain_until_ms != 0)
            c->keep = false;
        if (h->close || c->resp.kind == BODY_CLOSE)
            u->spent = true;
        row_status(c, h->status);
        policy_explain(c, h->status);
        row_event(c, PROXY_EVENT_FIRST_BYTE, "%u from %s", h->status, c->target->name);
    }
    const char *connection = interim ? NULL : !c->keep ? "close" : c->minor == 0 ? "keep-alive" : NULL;
    if (c->out == NULL)
        c->out = iobuf_get_sized(&e->pool, len + 1024);
    if (c->out == NULL || !head_response(c->out, h, raw, connection, ours ? challenge : NULL)) {
        conn_close(c, "the answer's head is too long");
        return ENDED;
    }
    iobuf_drop(u->in, len);
    c->scanned = 0;
    return FINISHED;
}

/* Reads more of the response's head. */
static enum flow read_response_head(struct conn *c, struct up *u)
{
    struct engine *e = c->e;
    const char *why = NULL;
    size_t n, pos = c->scanned;
    if (iobuf_len(u->in) > pos) {
        enum http1_result r = http1_scan(iobuf_head(u->in), iobuf_len(u->in), &pos, &why);
        c->scanned = (uint32_t)pos;
        if (r == HTTP1_DONE)
            return response_head(c, u, pos);
        if (r == HTTP1_BAD) {
            char text[128];
            (void)str_fmt(text, sizeof text, "%s sent an unreadable answer: %s", c->target->name, why);
            up_close(u);
            answer_status(c, 502, "", text);
            return ENDED;
        }
    }
    if (!u->ep.rd)
        return BLOCKED;
    if (u->in == NULL && (u->in = iobuf_get(&e->pool)) == NULL) {
        conn_close(c, "out of memory");
        return ENDED;
    }
    if (iobuf_room(u->in) == 0)
        iobuf_compact(u->in);
    if (iobuf_room(u->in) == 0 && !iobuf_enlarge(&e->pool, &u->in)) {
        conn_close(c, "the answer's head is too long");
        return ENDED;
    }
    switch (ep_read(&u->ep, u->in->data + u->in->end, iobuf_room(u->in), &n)) {
    case EP_OK:
        u->in->end += (uint32_t)n;
        c->got_bytes = true;
        return FINISHED;
    case EP_AGAIN:
        if (iobuf_len(u->in) == 0)
            iobuf_put(&e->pool, &u->in);
        return BLOCKED;
    case EP_EOF: return server_ended(c, false);
    default: return server_ended(c, true);
    }
}

/* More of the response body into c->out. */
static enum flow fill_down(struct conn *c, struct up *u)
{
    struct engine *e = c->e;
    size_t n, used = 0;
    bool leftover = iobuf_len(u->in) > 0;
    if (!leftover && !u->ep.rd)
        return BLOCKED;
    if (c->out == NULL && (c->out = iobuf_get(&e->pool)) == NULL) {
        conn_close(c, "out of memory");
        return ENDED;
    }
    if (leftover) {
        n = iobuf_add(c->out, iobuf_head(u->in), iobuf_len(u->in));
    } else {
        size_t want = iobuf_room(c->out);
        if (c->resp.kind == BODY_LENGTH && c->resp.left < want)
            want = (size_t)c->resp.left;
        switch (ep_read(&u->ep, c->out->data + c->out->end, want, &n)) {
        case EP_OK: c->out->end += (uint32_t)n; break;
        case EP_AGAIN: return BLOCKED;
        case EP_EOF: return server_ended(c, false);
        default: return server_ended(c, true);
        }
    }
    const char *p = c->out->data + c->out->end - n;
    if (body_take(&c->resp, p, n, &used) == HTTP1_BAD) {
        conn_close(c, "the server's chunked coding is malformed");
        return ENDED;
    }
    if (c->rpch != NULL)
        rpch_feed(c, p, used, false);
    c->out->end -= (uint32_t)(n - used);
    if (leftover)
        iobuf_drop(u->in, used);
    if (leftover ? c->resp.done && iobuf_len(u->in) > 0 : used < n)
        u->spent = true; /* it said more than it announced */
    if (iobuf_len(u->in) == 0)
        iobuf_put(&e->pool, &u->in);
    return FINISHED;
}

/* Server to client. */
static enum flow pump_down(struct conn *c)
{
    for (unsigned turns = 0;; turns++) {
        struct up *u = c->up;
        size_t n;
        enum flow f;
        if (turns == TURNS)
            return yield(c);
        if (!c->got_head)
            f = iobuf_len(c->out) > IOBUF_SIZE / 2 ? BLOCKED : read_response_head(c, u);
        else if (!c->resp.done &&
                 (c->out == NULL || (iobuf_len(u->in) > 0 && c->out->start == 0 && iobuf_room(c->out) > 0) ||
                  iobuf_len(c->out) == 0))
            f = fill_down(c, u); /* the first bytes of the body go out with the head */
        else
            f = BLOCKED;
        if (f == ENDED)
            return f;
        if (iobuf_len(c->out) == 0) {
            iobuf_put(&c->e->pool, &c->out);
            if (c->got_head && c->resp.done)
                return FINISHED;
            if (f == BLOCKED)
                return BLOCKED;
            continue;
        }
        if (!c->ep.wr)
            return BLOCKED;
        switch (ep_write(&c->ep, iobuf_head(c->out), iobuf_len(c->out), &n)) {
        case EP_OK:
            iobuf_drop(c->out, n);
            moved(c, 0, n);
            break;
        case EP_AGAIN: return BLOCKED;
        default: client_left(c, "the client went away"); return ENDED;
        }
    }
}

void relay_start(struct conn *c)
{
    c->state = CONN_RELAY;
    c->scanned = 0;
    c->got_head = c->got_bytes = c->up_broken = false;
    memset(&c->resp, 0, sizeof c->resp);
    row_state(c, PROXY_STATE_WAIT);
    conn_patience(c, (unsigned)c->e->p->cfg.idle_timeout_s);
}

/* Takes the exchange's connection apart when the response is through. */
static void response_done(struct conn *c)
{
    struct up *u = c->up;
    bool clean = !u->spent && !c->up_broken && c->req.done && iobuf_len(u->out) == 0;
    u->served++;
    if (!clean) {
        c->keep = c->keep && !c->pinned; /* what the client authenticated is gone with the connection */
        up_close(u);
    } else if (!c->pinned) {
        up_release(u);
    }
    conn_exchange_done(c);
}

void relay_run(struct conn *c)
{
    enum flow f = pump_up(c);
    if (f == ENDED || c->state != CONN_RELAY)
        return;
    f = pump_down(c);
    if (f == ENDED || c->state != CONN_RELAY)
        return;
    if (f == FINISHED) {
        response_done(c);
        return;
    }
    /* nobody reads a client that waits, so its leaving is only told by epoll */
    if (c->ep.hup && (c->req.done || c->up_broken))
        client_left(c, "the client went away");
}

void relay_first_bytes(struct conn *c)
{
    if (!c->req.done && iobuf_len(c->in) > 0 && iobuf_room(c->up->out) > 0)
        (void)fill_up(c, c->up);
}
