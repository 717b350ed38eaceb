/* A request from its head to its end: what it is, whose it is, where it goes. Each step may wait for a job and is entered again. */
#include "core/proxy/proxy_int.h"

#include "core/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_S    60u
#define MAX_TRIES 3

const struct http1_head *request_head(struct conn *c)
{
    struct http1_head *h = &c->e->req_head;
    const char *raw = c->replaying ? c->replay->head : iobuf_head(c->in);
    /* it was accepted once, so it is accepted again */
    (void)http1_parse(h, raw, c->replaying ? c->replay->head_len : c->head_len, false);
    return h;
}

static void reset(struct conn *c)
{
    c->is_head = c->has_auth = c->auth_bound = c->basic = c->fresh_token = false;
    c->got_head = c->got_bytes = c->up_broken = c->idempotent = c->replaying = c->rpc_streamed = false;
    c->retries = c->auth_tries = 0;
    c->target = NULL;
    c->ticket = NULL;
    c->keep = true;
    memset(&c->req, 0, sizeof c->req);
    memset(&c->resp, 0, sizeof c->resp);
}

void request_bad(struct conn *c, const char *why)
{
    if (c->row == ROW_NONE) {
        reset(c);
        row_open(c);
    }
    c->keep = false;
    c->req.done = true;
    answer_status(c, 400, "", why);
}

static bool method_is(const struct http1_head *h, const char *raw, const char *name)
{
    return h->method_len == strlen(name) && memcmp(raw + h->method, name, h->method_len) == 0;
}

static void describe(struct conn *c, const struct http1_head *h, const char *raw)
{
    struct proxy_row *r = row_of(c);
    if (r == NULL)
        return;
    str_show_fixed(r->method, sizeof r->method, raw + h->method, h->method_len);
    policy_path_show(r->path, sizeof r->path, raw + h->target, h->target_len);
    (void)str_copy(r->protocol, sizeof r->protocol, policy_path_name(c->path_kind));
    r->state = PROXY_STATE_HEAD;
    row_event(c, PROXY_EVENT_OPEN, "%s", c->client);
    row_event(c, PROXY_EVENT_HEAD, "%s %.60s", r->method, r->path);
}

void request_begin(struct conn *c)
{
    struct engine *e = c->e;
    reset(c);
    row_open(c);
    const struct http1_head *h = &e->req_head;
    const char *raw = iobuf_head(c->in);
    if (http1_parse(&e->req_head, raw, c->head_len, false) != HTTP1_DONE) {
        request_bad(c, h->why);
        return;
    }
    c->minor = h->minor;
    c->keep = !h->close;
    c->expects = h->expect_continue;
    c->is_head = method_is(h, raw, "HEAD");
    body_from_head(&c->req, h);
    c->path_kind = (uint8_t)policy_path_kind(h, raw);
    c->idempotent = c->is_head || method_is(h, raw, "GET") || method_is(h, raw, "OPTIONS") ||
                    c->path_kind == PATH_OA_ECHO;
    describe(c, h, raw);
    if (c->path_kind == PATH_OA_IN || c->path_kind == PATH_OA_OUT)
        rpch_begin(c);
    conn_patience(c, WAIT_S);
    if (c->path_kind == PATH_HEALTH && e->p->cfg.arrive != NULL) {
        answer_health(c);
        return;
    }
    if (auth_request(c))
        request_authenticated(c);
}

void request_authenticated(struct conn *c)
{
    if (policy_request(c))
        request_routed(c);
}

void request_routed(struct conn *c)
{
    struct proxy_row *r = row_of(c);
    if (r != NULL) {
        (void)str_copy(r->target, sizeof r->target, c->target->name);
        (void)str_copy(r->target_site, sizeof r->target_site, c->target->site);
        (void)str_copy(r->action, sizeof r->action, "proxy");
    }
    if (c->pinned && c->up != NULL) {
        if (c->up->target == c->target) {
            request_send(c);
            return;
        }
        up_close(c->up); /* another server: what was authenticated stays behind */
    }
    up_acquire(c, c->replaying);
}

void request_drop_replay(struct conn *c)
{
    if (c->replay == NULL)
        return;
    free(c->replay->body);
    free(c->replay);
    c->replay = NULL;
}

/* A copy of the head (and from now on of the body), where a second attempt is possible and allowed. */
static void keep_copy(struct conn *c, bool token)
{
    bool streamed =
        c->path_kind == PATH_OA_IN; /* an RPC channel is never sent twice (rpc-over-http.md 7.12) */
    if (c->replay != NULL || streamed || !(token || c->up->served > 0))
        return;
    struct replay *k = malloc(sizeof *k + c->head_len);
    if (k == NULL)
        return; /* no second attempt then */
    *k = (struct replay){.head_len = c->head_len};
    memcpy(k->head, iobuf_head(c->in), c->head_len);
    c->replay = k;
}

static void host_field(const struct conn *c, char *out, size_t cap)
{
    if (c->target->port == 443 || c->target->port == 444)
        (void)str_copy(out, cap, c->target->host);
    else
        (void)str_fmt(out, cap, "%s:%u", c->target->host, c->target->port);
}

void request_send(struct conn *c)
{
    struct engine *e = c->e;
    struct up *u = c->up;
    bool ours = e->p->cfg.auth != PROXY_AUTH_PASS;
    bool token_needed = ours && (!u->authenticated || c->target->token_per_request);
    char *token = NULL, host[300];
    if (token_needed && !krb_token(c, &token))
        return;
    c->fresh_token = token_needed;
    if (token_needed) {
        c->auth_tries++;
        count_add(&e->count.tokens, 1);
    }
    keep_copy(c, ours);
    const struct http1_head *h = request_head(c);
    const char *raw = c->replaying ? c->replay->head : iobuf_head(c->in);
    host_field(c, host, sizeof host);
    size_t need =
        h->len + (token != NULL ? strlen(token) : 0) + 1024 + (c->replaying ? c->replay->body_len : 0);
    iobuf_put(&e->pool, &u->out);
    u->out = iobuf_get_sized(&e->pool, need);
    /* the new CAS addresses the server by its own name (routing.md 3.1); the plain relay changes nothing */
    bool ok = u->out != NULL && head_request(u->out, h, raw, e->p->cfg.arrive != NULL ? host : NULL,
                                             policy_prefix(c), ours, token);
    free(token);
    if (!ok) {
        answer_status(c, 500, "", "out of memory");
        return;
    }
    if (c->replaying) {
        (void)iobuf_add(u->out, c->replay->body, c->replay->body_len);
        c->replaying = false;
    } else {
        iobuf_drop(c->in, c->head_len);
        if (iobuf_len(c->in) == 0)
            iobuf_put(&e->pool, &c->in);
    }
    c->head_len = 0;
    row_event(c, PROXY_EVENT_UPSTREAM, "%s%s", c->target->name,
              token_needed    ? ", Kerberos token sent"
              : u->served > 0 ? ", connection used again"
                              : "");
    relay_start(c);
    relay_first_bytes(c);
}

bool request_replay(struct conn *c)
{
    struct replay *k = c->replay;
    if (k == NULL || k->overflow || c->retries >= MAX_TRIES || c->got_head)
        return false;
    c->retries++;
    if (c->up != NULL)
        up_close(c->up);
    iobuf_put(&c->e->pool, &c->out);
    c->replaying = true;
    c->state = CONN_WAIT;
    up_acquire(c, true);
    return true;
}

void request_fail(struct conn *c, const char *rule, const char *reason)
{
    struct proxy_row *r = row_of(c);
    if (r == NULL || r->reason[0] != '\0')
        return;
    (void)str_copy(r->rule, sizeof r->rule, rule);
    str_show_fixed(r->reason, sizeof r->reason, reason, strlen(reason));
    rows_touch(&c->e->rows, c->row);
}

void request_end(struct conn *c)
{
    request_drop_replay(c);
    rpch_end(c);
    if (c->row != ROW_NONE || c->began_ms != 0)
        row_close(c);
    c->began_ms = 0;
}
