/* The journal: runs, and the records of one. */
#include "tui/views/format.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "tui/record_text.h"

#include <string.h>

static const struct column run_columns[] = {
    {"RUN", "run", 16, 22, 1, 0, false},     {"STATUS", "status", 10, 13, 0, 0, false},
    {"BEGUN", "begun", 20, 20, 0, 1, false}, {"STEPS", "steps", 5, 5, 0, 2, true},
    {"DONE", "done", 4, 4, 0, 0, true},      {"FAILED", "failed", 6, 6, 0, 0, true},
    {"WHO", "who", 8, 16, 2, 0, false},      {"ORGANISATION", "organisation", 8, 14, 1, 3, false},
};

static const struct session *session_of(void *ctx)
{
    return ((struct view *)ctx)->ui->session;
}

static size_t run_count(void *ctx)
{
    return session_of(ctx)->runs.n;
}

static const struct journal_run *run_at(void *ctx, size_t row)
{
    const struct session *s = session_of(ctx);
    return &s->runs.v[s->runs.n - 1 - row]; /* newest first */
}

static enum state run_state(const char *status)
{
    return str_ieq(status, "done") ? STATE_OK : str_ieq(status, "failed") ? STATE_ERROR : STATE_WARNING;
}

static void run_cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    const struct journal_run *r = run_at(ctx, row);
    const int n[] = {r->steps, r->done, r->failed};
    char at[CLOCK_TEXT_SIZE];
    switch (column) {
    case 0: out->text = r->run; break;
    case 1: {
        enum state st = run_state(r->status);
        cell_printf(out, "%s %s", state_glyph(st), r->status ? r->status : "unknown");
        out->paint = state_paint(st);
        break;
    }
    case 2:
        out->number = r->begun;
        cell_printf(out, "%s", clock_rfc3339(r->begun, at));
        break;
    case 6: out->text = r->who ? r->who : "-"; break;
    case 7: out->text = r->organization ? r->organization : "-"; break;
    default:
        out->number = n[column - 3];
        cell_printf(out, "%d", n[column - 3]);
        if (column == 5 && r->failed > 0)
            out->paint = PAINT_ERROR;
    }
}

static void run_key(void *ctx, size_t row, char *out, size_t cap)
{
    str_copy(out, cap, run_at(ctx, row)->run);
}

static const struct table_source run_source = {run_columns, ARRAY_LEN(run_columns), run_count, run_cell,
                                               run_key};

static enum err journal_open(struct view *v)
{
    session_journal_list(v->ui->session);
    return ERR_OK;
}

static int head(struct view *v, struct rect r)
{
    const struct session *s = v->ui->session;
    int used = draw_sight(s, r);
    if (!s->chain[0])
        return used;
    screen_putf(r.y + used, r.x + 1, r.w - 2, state_paint(s->chain_state), "%s %s",
                state_glyph(s->chain_state), s->chain);
    return used + 1;
}

static void journal_enter(struct view *v, bool has_row, size_t row)
{
    if (has_row)
        ui_push(v->ui, &view_run, run_at(v, row)->run, NULL);
}

static const char *journal_empty(struct view *v)
{
    return v->ui->session->tasks[TASK_JOURNAL].running ? "the journal is being read"
                                                       : "nothing was ever changed from here";
}

const struct view_ops view_journal = {
    .id = VIEW_JOURNAL,
    .source = &run_source,
    .share = 100,
    .problems = "!status:done",
    .open = journal_open,
    .head = head,
    .enter = journal_enter,
    .empty = journal_empty,
};

static const struct column record_columns[] = {
    {"ID", "id", 4, 5, 0, 2, true},
    {"TIME", "time", 9, 9, 0, 0, false},
    {"STEP", "step", 4, 4, 0, 1, true},
    {"SERVER", "server", 8, 12, 1, 0, false},
    {"PHASE", "phase", 7, 8, 0, 0, false},
    {"WHAT", "what", 12, 40, 4, 0, false}, /* the cmdlet, or what came of it: never both */
};

static bool is_loaded(const struct view *v)
{
    return str_eq(v->ui->session->run, v->arg);
}

static size_t record_count(void *ctx)
{
    return is_loaded(ctx) ? session_of(ctx)->records.n : 0;
}

static void record_cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    const struct journal_record *r = &session_of(ctx)->records.v[row];
    char at[32];
    switch (column) {
    case 0:
        out->number = r->id;
        cell_printf(out, "%lld", (long long)r->id);
        break;
    case 1: cell_printf(out, "%s", clock_words(r->at, at, sizeof at)); break;
    case 2:
        out->number = r->step;
        if (r->step)
            cell_printf(out, "%d", r->step);
        break;
    case 3: out->text = r->server ? r->server : "-"; break;
    case 4:
        out->text = r->phase ? r->phase : "-";
        out->paint = str_eq(r->phase, "failed") ? PAINT_ERROR
                     : str_eq(r->phase, "done") ? PAINT_OK
                                                : PAINT_TEXT;
        break;
    default: {
        struct buf b;
        buf_init(&b, 4096);
        if (record_captured(&b, r)) {
            str_copy(out->scratch, sizeof out->scratch, buf_str(&b));
            out->text = out->scratch;
        } else {
            out->text = r->cmdlet ? r->cmdlet : r->detail ? r->detail : "";
        }
        buf_fini(&b);
    }
    }
}

static void record_key(void *ctx, size_t row, char *out, size_t cap)
{
    str_fmt(out, cap, "%lld", (long long)session_of(ctx)->records.v[row].id);
}

static const struct table_source record_source = {record_columns, ARRAY_LEN(record_columns), record_count,
                                                  record_cell, record_key};

static void run_refresh(struct view *v, unsigned events)
{
    struct session *s = v->ui->session;
    /* asked for again as long as something else was being read; an error ends that */
    if (!is_loaded(v) && !s->tasks[TASK_JOURNAL].running &&
        (events == ~0u || s->tasks[TASK_JOURNAL].error.code == ERR_OK))
        session_journal_read(s, v->arg);
}

static void run_describe(struct view *v, bool has_row, size_t row)
{
    char at[CLOCK_TEXT_SIZE];
    struct pane *p = &v->pane;
    if (!has_row)
        return;
    const struct journal_record *r = &v->ui->session->records.v[row];
    pane_field(p, PAINT_STRONG, "phase", r->phase);
    pane_field(p, PAINT_TEXT, "at", clock_rfc3339(r->at, at));
    pane_field(p, PAINT_TEXT, "server", r->server);
    pane_field(p, PAINT_TEXT, "who", r->who);
    pane_field(p, PAINT_TEXT, "from", r->from);
    pane_field(p, PAINT_TEXT, "why", r->why);
    pane_field(p, PAINT_STRONG, "cmdlet", r->cmdlet);
    struct buf b;
    buf_init(&b, 65536);
    if (record_captured(&b, r))
        pane_field(p, PAINT_STRONG, "captured", buf_str(&b));
    buf_fini(&b);
    pane_field(p, PAINT_BEFORE, "before", r->before);
    pane_field(p, PAINT_AFTER, "after", r->after);
    pane_field(p, PAINT_TEXT, "detail", r->detail);
    pane_field(p, PAINT_DIM, "hash", r->hash);
}

static bool run_copy(struct view *v, struct buf *out)
{
    size_t row;
    if (!view_selected(v, &row) || !v->ui->session->records.v[row].cmdlet)
        return false;
    return buf_adds(out, v->ui->session->records.v[row].cmdlet) == ERR_OK;
}

const struct view_ops view_run = {
    .id = VIEW_RUN,
    .source = &record_source,
    .share = 50,
    .problems = "phase:failed",
    .refresh = run_refresh,
    .describe = run_describe,
    .head = head,
    .copy = run_copy,
    .empty = journal_empty,
};
