/* Rows and phases as the engine thread writes them: cheap stores into its own copy, published a little later. */
#include "core/proxy/proxy_int.h"

#include "core/base/str.h"

#include <stdio.h>
#include <string.h>

struct proxy_row *row_of(struct conn *c)
{
    return c->row == ROW_NONE ? NULL : rows_own(&c->e->rows, c->row);
}

void row_state(struct conn *c, enum proxy_state s)
{
    struct proxy_row *r = row_of(c);
    if (r == NULL)
        return;
    r->state = s;
    rows_touch(&c->e->rows, c->row);
}

void row_event(struct conn *c, enum proxy_event_kind kind, const char *fmt, ...)
{
    struct proxy_row *r = row_of(c);
    if (r == NULL)
        return;
    struct proxy_event *ev = ring_claim(&c->e->events);
    if (ev == NULL)
        return;
    ev->row = r->id;
    ev->at_ms = engine_unix_ms(c->e);
    ev->kind = kind;
    ev->status = r->status;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(ev->text, sizeof ev->text, fmt, ap);
    va_end(ap);
    ring_commit(&c->e->events);
}

void row_open(struct conn *c)
{
    struct engine *e = c->e;
    uint64_t id = atomic_fetch_add_explicit(&e->p->next_row, 1, memory_order_relaxed) + 1;
    c->row = rows_open(&e->rows, id);
    c->began_ms = e->now_ms;
    count_add(&e->count.requests, 1);
    count_add(&e->count.open_requests, 1);
    struct proxy_row *r = row_of(c);
    if (r == NULL)
        return;
    r->began_ms = r->idle_since_ms = engine_unix_ms(e);
    (void)str_copy(r->client, sizeof r->client, c->client);
}

void row_status(struct conn *c, int status)
{
    struct engine *e = c->e;
    struct proxy_row *r = row_of(c);
    _Atomic uint64_t *by_class[] = {&e->count.status_2xx, &e->count.status_3xx, &e->count.status_4xx,
                                    &e->count.status_5xx};
    if (status >= 200 && status < 600)
        count_add(by_class[status / 100 - 2], 1);
    if (r == NULL)
        return;
    r->status = status;
    if (r->ttfb_ms < 0)
        r->ttfb_ms = (int)(e->now_ms - c->began_ms);
    rows_touch(&e->rows, c->row);
}

void row_close(struct conn *c)
{
    struct engine *e = c->e;
    struct proxy_row *r = row_of(c);
    count_sub(&e->count.open_requests, 1);
    if (r == NULL)
        return;
    r->ended_ms = engine_unix_ms(e);
    r->total_ms = (int)(e->now_ms - c->began_ms);
    bool unanswered =
        r->status == 0 && c->path_kind != PATH_OA_IN; /* an IN channel is answered on error only */
    r->state = r->reason[0] != '\0' || unanswered ? PROXY_STATE_FAILED : PROXY_STATE_DONE;
    row_event(c, PROXY_EVENT_CLOSE, "%s", r->reason[0] != '\0' ? r->reason : "done");
    if (e->ended.items != NULL) {
        struct proxy_row *copy = ring_claim(&e->ended);
        if (copy != NULL) {
            *copy = *r;
            ring_commit(&e->ended);
        }
    }
    rows_end(&e->rows, c->row);
    c->row = ROW_NONE;
}

const char *proxy_state_name(enum proxy_state s)
{
    static const char *const names[] = {
        [PROXY_STATE_HANDSHAKE] = "handshake", [PROXY_STATE_HEAD] = "head",       [PROXY_STATE_AUTH] = "auth",
        [PROXY_STATE_LOOKUP] = "lookup",       [PROXY_STATE_CONNECT] = "connect", [PROXY_STATE_WAIT] = "wait",
        [PROXY_STATE_STREAM] = "stream",       [PROXY_STATE_IDLE] = "idle",       [PROXY_STATE_DONE] = "done",
        [PROXY_STATE_FAILED] = "failed",
    };
    return (size_t)s < ARRAY_LEN(names) ? names[s] : "?";
}
