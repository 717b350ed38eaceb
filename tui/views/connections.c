/* Live traffic through the engine, and the ladder of one request. */
#include "tui/views/format.h"
#include "tui/views/wizard.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define REFRESH_MS  250 /* an eye follows four a second; more is only bytes on the admin's SSH line */
#define EVENTS_MAX  64
#define REASON_ROWS 2

struct live {
    bool paused;
};

static const struct column columns[] = {
    {"STATE", "state", 8, 10, 0, 0, false},    {"TIME", "time", 9, 9, 0, 4, false},
    {"CLIENT", "client", 9, 15, 1, 6, false},  {"USER", "user", 8, 14, 2, 2, false},
    {"PROTO", "proto", 6, 8, 0, 1, false},     {"METHOD", "method", 6, 11, 0, 7, false},
    {"PATH", "path", 8, 14, 2, 8, false},      {"ACTION", "action", 6, 8, 0, 5, false},
    {"TARGET", "target", 8, 11, 1, 0, false},  {"AUTH", "auth", 8, 16, 1, 3, false},
    {"ST", "status", 3, 3, 0, 0, true},        {"MS", "ms", 5, 5, 0, 9, true},
    {"UP", "up", 4, 4, 0, 10, true},           {"DOWN", "down", 4, 4, 0, 10, true},
    {"REASON", "reason", 12, 24, 6, 0, false},
};

static const struct engine *engine_of(void *ctx)
{
    return &((struct view *)ctx)->ui->session->engine;
}

static enum state row_state(const struct proxy_row *r)
{
    if (r->state == PROXY_STATE_FAILED || r->status >= 500)
        return STATE_ERROR;
    if (r->status == 401 || r->status == 403 || r->status == 407)
        return r->rule[0] ? STATE_ERROR : STATE_WARNING; /* a first 401 is how every logon begins */
    if (r->status >= 400)
        return STATE_WARNING;
    return r->status >= 200 ? STATE_OK : STATE_INFO;
}

static size_t count(void *ctx)
{
    return engine_of(ctx)->n_rows;
}

static void cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    const struct proxy_row *r = &engine_of(ctx)->rows[row];
    char text[32];
    switch (column) {
    case 0:
        cell_printf(out, "%s %s", state_glyph(row_state(r)), proxy_state_name(r->state));
        out->paint = state_paint(row_state(r));
        break;
    case 1: cell_printf(out, "%s", clock_words(r->began_ms / 1000, text, sizeof text)); break;
    case 2: out->text = r->client; break;
    case 3: out->text = r->user[0] ? r->user : "-"; break;
    case 4: out->text = r->protocol; break;
    case 5: out->text = r->method; break;
    case 6: out->text = r->path; break;
    case 7: out->text = r->action; break;
    case 8: out->text = r->target[0] ? r->target : "-"; break;
    case 9: out->text = r->auth; break;
    case 10:
        out->number = r->status;
        if (r->status)
            cell_printf(out, "%d", r->status);
        out->paint = state_paint(row_state(r));
        break;
    case 11:
        out->number = r->total_ms >= 0 ? r->total_ms : r->ttfb_ms;
        if (out->number >= 0)
            cell_printf(out, "%d", (int)out->number);
        break;
    case 12:
    case 13:
        out->number = (int64_t)(column == 12 ? r->up_bytes : r->down_bytes);
        cell_printf(out, "%s", bytes_words((uint64_t)out->number, text, sizeof text));
        break;
    default:
        if (r->rule[0])
            cell_printf(out, "%s: %s", r->rule, r->reason);
        else
            out->text = r->reason;
        out->paint = r->rule[0] ? PAINT_ERROR : PAINT_TEXT;
    }
}

static void key(void *ctx, size_t row, char *out, size_t cap)
{
    str_fmt(out, cap, "%llu", (unsigned long long)engine_of(ctx)->rows[row].id);
}

static const struct table_source source = {columns, ARRAY_LEN(columns), count, cell, key};

/* The selected request's failure in words, whole: the table's column is too narrow for a sentence. Rows taken. */
static int reason(struct view *v, struct rect r)
{
    size_t at;
    const struct engine *e = engine_of(v);
    if (e->n_rows == 0)
        return 0;
    if (!view_selected(v, &at) || !e->rows[at].reason[0])
        return REASON_ROWS; /* kept, so that the table stays where it is */
    const struct proxy_row *row = &e->rows[at];
    pane_clear(&v->pane);
    pane_add(&v->pane, row->rule[0] ? PAINT_ERROR : PAINT_WARNING, 0, "%s%s%s", row->rule,
             row->rule[0] ? ": " : "", row->reason);
    pane_draw(&v->pane, (struct rect){r.y, r.x + 1, r.h, r.w - 2});
    return REASON_ROWS;
}

static int head(struct view *v, struct rect r)
{
    const struct engine *e = engine_of(v);
    const struct live *live = v->data;
    const struct session *s = v->ui->session;
    char up[16], down[16];
    if (s->tasks[TASK_ENGINE].running) {
        screen_put(r.y, r.x + 1, r.w - 2, PAINT_INFO, s->tasks[TASK_ENGINE].text);
        return 1;
    }
    if (!e->proxy) {
        screen_put(r.y, r.x + 1, r.w - 2, PAINT_DIM, "the engine is not running (e starts it)");
        return 1;
    }
    const struct proxy_stats *t = &e->stats;
    int x = r.x + 1 +
            screen_putf(r.y, r.x + 1, r.w - 2, PAINT_OK, "%s as %s on %s", live->paused ? "PAUSED" : "live",
                        e->arrive, e->address);
    screen_putf(r.y, x + 2, r.w - x - 3, PAINT_TEXT,
                "%llu req %llu open  2xx %llu 3xx %llu 4xx %llu 5xx %llu  up %s down %s%s",
                (unsigned long long)t->requests, (unsigned long long)t->open_requests,
                (unsigned long long)t->status_2xx, (unsigned long long)t->status_3xx,
                (unsigned long long)t->status_4xx, (unsigned long long)t->status_5xx,
                bytes_words(t->up_bytes, up, sizeof up), bytes_words(t->down_bytes, down, sizeof down),
                t->dropped_events ? "  (events dropped)" : "");
    return 1 + reason(v, (struct rect){r.y + 1, r.x, REASON_ROWS, r.w});
}

static enum err open_view(struct view *v)
{
    v->data = calloc(1, sizeof(struct live));
    v->table.follow_top = true;
    return v->data ? ERR_OK : ERR_NOMEM;
}

static void close_view(struct view *v)
{
    free(v->data);
}

static int period_ms(struct view *v)
{
    const struct live *live = v->data;
    return engine_of(v)->proxy && !live->paused ? REFRESH_MS : 0;
}

static bool tick(struct view *v)
{
    return session_engine_read(v->ui->session);
}

static void enter(struct view *v, bool has_row, size_t row)
{
    char id[32];
    (void)row;
    if (has_row) {
        str_copy(id, sizeof id, v->table.key);
        ui_push(v->ui, &view_ladder, id, NULL);
    }
}

void connections_pause(struct ui *ui, const char *arg)
{
    struct live *live = ui_top(ui)->data;
    (void)arg;
    live->paused = !live->paused;
    ui_say(ui, PAINT_DIM, live->paused ? "held; the engine goes on (Space: live again)" : "live");
}

void connections_kill(struct ui *ui, const char *arg)
{
    struct view *v = ui_top(ui);
    size_t row;
    (void)arg;
    if (!view_selected(v, &row) || !engine_of(v)->proxy)
        ui_say(ui, PAINT_DIM, "no connection is selected");
    else if (proxy_kill(engine_of(v)->proxy, engine_of(v)->rows[row].id))
        ui_say(ui, PAINT_INFO, "ended");
    else
        ui_say(ui, PAINT_DIM, "it had ended already");
}

static const char *empty(struct view *v)
{
    return engine_of(v)->proxy ? "no request has arrived yet" : "";
}

const struct view_ops view_connections = {
    .id = VIEW_CONNECTIONS,
    .source = &source,
    .share = 100,
    .problems = "status:>=400",
    .open = open_view,
    .close = close_view,
    .head = head,
    .enter = enter,
    .period_ms = period_ms,
    .tick = tick,
    .empty = empty,
};

/* The ladder: client | engine | CAS, one line a phase. */

struct ladder {
    struct proxy_row row;
    struct proxy_event events[EVENTS_MAX];
    size_t n;
    bool found;
};

static void ladder_read(struct view *v)
{
    struct ladder *l = v->data;
    const struct engine *e = engine_of(v);
    uint64_t id;
    if (!str_to_u64(v->arg, strlen(v->arg), &id))
        return;
    for (size_t i = 0; i < e->n_rows; i++) {
        if (e->rows[i].id == id) {
            l->row = e->rows[i];
            l->found = true;
        }
    }
    if (e->proxy) { /* what was read stays when the engine forgets it, or ends */
        struct proxy_event fresh[EVENTS_MAX];
        size_t n = proxy_events(e->proxy, id, fresh, EVENTS_MAX);
        if (n > 0) {
            memcpy(l->events, fresh, n * sizeof *fresh);
            l->n = n;
        }
    }
}

static enum err ladder_open(struct view *v)
{
    v->data = calloc(1, sizeof(struct ladder));
    if (!v->data)
        return ERR_NOMEM;
    ladder_read(v);
    return ERR_OK;
}

static void ladder_refresh(struct view *v, unsigned events)
{
    if (events & SESSION_ENGINE)
        ladder_read(v);
}

static int ladder_period(struct view *v)
{
    return engine_of(v)->proxy && ((const struct ladder *)v->data)->row.ended_ms == 0 ? REFRESH_MS : 0;
}

static bool ladder_tick(struct view *v)
{
    struct ladder *l = v->data;
    size_t n = l->n;
    struct proxy_row before = l->row;
    (void)session_engine_read(v->ui->session);
    ladder_read(v);
    return n != l->n || memcmp(&before, &l->row, sizeof before) != 0;
}

/* An arrow of w cells from x, its head at the right or left end, the text in its middle. */
static void arrow(int y, int x, int w, bool right, enum paint paint, const char *text)
{
    screen_hline(y, x, w, paint);
    screen_put(y, right ? x + w - 1 : x, 1, paint, glyph(right ? GLYPH_HEAD_RIGHT : GLYPH_HEAD_LEFT));
    if (*text)
        screen_putf(y, x + 2, w - 4, paint, " %s ", text);
}

static enum paint event_paint(const struct proxy_event *e)
{
    return e->status >= 500   ? PAINT_ERROR
           : e->status >= 400 ? PAINT_WARNING
           : e->status >= 200 ? PAINT_OK
                              : PAINT_TEXT;
}

static void draw_event(const struct proxy_event *e, const struct proxy_row *row, int y, struct rect r, int a,
                       int b, int c)
{
    char text[160];
    screen_putf(y, r.x + 1, 9, PAINT_DIM, "+%lldms", (long long)(e->at_ms - row->began_ms));
    screen_put(y, a, 1, PAINT_BORDER, glyph(GLYPH_WALL));
    screen_put(y, b, 1, PAINT_BORDER, glyph(GLYPH_WALL));
    screen_put(y, c, 1, PAINT_BORDER, glyph(GLYPH_WALL));
    str_fmt(text, sizeof text, "%d", e->status);
    if (e->status == 0 || str_istarts(e->text, text)) /* some phases say the status themselves */
        str_copy(text, sizeof text, e->text);
    else
        str_fmt(text, sizeof text, "%d %s", e->status, e->text);
    switch (e->kind) {
    case PROXY_EVENT_OPEN:
    case PROXY_EVENT_HEAD: arrow(y, a + 1, b - a - 1, true, PAINT_TEXT, text); break;
    case PROXY_EVENT_UPSTREAM: arrow(y, b + 1, c - b - 1, true, PAINT_TEXT, text); break;
    case PROXY_EVENT_FIRST_BYTE:
        if (strstr(e->text, " by the engine")) /* no server said that */
            screen_putf(y, b + 1, r.x + r.w - b - 2, event_paint(e), " %s ", text);
        else
            arrow(y, b + 1, c - b - 1, false, event_paint(e), text);
        break;
    case PROXY_EVENT_CLOSE: arrow(y, a + 1, b - a - 1, false, event_paint(e), text); break;
    case PROXY_EVENT_AUTH:
    case PROXY_EVENT_ROUTE: /* what the engine thinks stands beside its own line */
        screen_putf(y, b + 1, r.x + r.w - b - 2, PAINT_INFO, " %s ", text);
        break;
    }
}

static void ladder_draw(struct view *v, struct rect r)
{
    const struct ladder *l = v->data;
    if (!l->found) {
        screen_put(r.y, r.x + 1, r.w - 2, PAINT_DIM, "this request is no longer known");
        return;
    }
    const struct proxy_row *row = &l->row;
    int a = r.x + 12, c = r.x + r.w - 14, b = (a + c) / 2, y = r.y;
    screen_putf(y++, r.x + 1, r.w - 2, PAINT_STRONG, "%s %s  %s", row->method, row->path, row->user);
    screen_putf(y++, r.x + 1, r.w - 2, PAINT_TEXT, "%s %s  %s  %s %s  %d", row->protocol, row->action,
                row->auth, row->target, row->target_site, row->status);
    if (row->reason[0] || row->rule[0]) {
        char line[260];
        str_fmt(line, sizeof line, "%s%s%s", row->rule, row->rule[0] ? ": " : "", row->reason);
        pane_clear(&v->pane);
        pane_add(&v->pane, row->rule[0] ? PAINT_ERROR : PAINT_WARNING, 0, "%s", line);
        pane_draw(&v->pane, (struct rect){y, r.x + 1, 2, r.w - 2});
        y += 2;
    }
    y++;
    screen_put(y, a - 3, 12, PAINT_TITLE, "client");
    screen_put(y, b - 3, 12, PAINT_TITLE, "engine");
    screen_put(y, c - 3, r.x + r.w - c + 2, PAINT_TITLE, row->target[0] ? row->target : "CAS");
    y++;
    for (size_t i = 0; i < l->n && y < r.y + r.h; i++, y++)
        draw_event(&l->events[i], row, y, r, a, b, c);
    if (l->n == 0)
        screen_put(y, a, c - a, PAINT_DIM, "its phases are no longer kept");
}

const struct view_ops view_ladder = {
    .id = VIEW_LADDER,
    .open = ladder_open,
    .close = close_view,
    .refresh = ladder_refresh,
    .draw = ladder_draw,
    .period_ms = ladder_period,
    .tick = ladder_tick,
};
