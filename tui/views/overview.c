/* The first screen: the verdict, what stands in the way, what is not known. Rows are the rules, the worst first. */
#include "tui/views/format.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/rules/rules.h"

#include <stdlib.h>
#include <string.h>

struct row {
    const struct rule_info *rule;
    struct rule_summary sum;
};

struct overview {
    struct row rows[64];
    size_t n;
    unsigned unknown;               /* things that could not be judged */
    unsigned right, wrong, unclear; /* servers */
};

static const struct column columns[] = {
    {"VERDICT", "verdict", 9, 10, 0, 0, false}, {"RULE", "rule", 20, 20, 0, 0, false},
    {"FOUND", "found", 5, 5, 0, 0, true},       {"OK", "passed", 4, 4, 0, 1, true},
    {"?", "unknown", 4, 4, 0, 2, true},         {"WHAT IT ASKS", "title", 16, 40, 4, 3, false},
};

static size_t count(void *ctx)
{
    return ((struct overview *)((struct view *)ctx)->data)->n;
}

static void cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    const struct overview *o = ((struct view *)ctx)->data;
    const struct row *r = &o->rows[row];
    unsigned n[] = {r->sum.found, r->sum.passed, r->sum.unknown};
    switch (column) {
    case 0: cell_state(out, r->sum.state); break;
    case 1: out->text = r->rule->id; break;
    case 5: out->text = r->rule->title; break;
    default:
        out->number = n[column - 2];
        if (out->number > 0)
            cell_printf(out, "%u", n[column - 2]);
        if (column == 2 && out->number > 0)
            out->paint = state_paint(r->sum.state);
    }
}

static void key(void *ctx, size_t row, char *out, size_t cap)
{
    const struct overview *o = ((struct view *)ctx)->data;
    str_copy(out, cap, o->rows[row].rule->id);
}

static const struct table_source source = {columns, ARRAY_LEN(columns), count, cell, key};

static int worse_first(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->sum.state != y->sum.state)
        return x->sum.state > y->sum.state ? -1 : 1;
    return x->rule < y->rule ? -1 : 1;
}

static enum err open_view(struct view *v)
{
    v->data = calloc(1, sizeof(struct overview));
    return v->data ? ERR_OK : ERR_NOMEM;
}

static void close_view(struct view *v)
{
    free(v->data);
}

static void refresh(struct view *v, unsigned events)
{
    struct overview *o = v->data;
    const struct world *w = v->ui->session->world;
    (void)events;
    memset(o, 0, sizeof *o);
    if (!w)
        return;
    for (size_t i = 0; i < rules_count() && o->n < ARRAY_LEN(o->rows); i++) {
        struct row r = {rules_info(i), world_rule(w, rules_info(i)->id, NULL)};
        o->unknown += r.sum.unknown;
        if (r.sum.found + r.sum.passed + r.sum.unknown > 0)
            o->rows[o->n++] = r;
    }
    qsort(o->rows, o->n, sizeof *o->rows, worse_first);
    for (size_t i = 0; i < w->org->n_servers; i++) {
        enum state s = w->servers[i].state;
        o->wrong += s >= STATE_WARNING;
        o->unclear += s == STATE_UNKNOWN;
        o->right += s == STATE_OK || s == STATE_INFO;
    }
}

static const char *verdict_reason(const struct world *w)
{
    switch (w->findings.verdict) {
    case VERDICT_BLOCKED: return "it must not be brought in yet";
    case VERDICT_NOT_READY: return "legacy users would be cut off";
    case VERDICT_READY: return "nothing found stands in the way";
    case VERDICT_UNKNOWN: break;
    }
    return "not enough is known to say";
}

static int count_word(int y, int x, int room, enum state s, unsigned n)
{
    if (room < 12)
        return 0;
    return screen_putf(y, x, room, n ? state_paint(s) : PAINT_DIM, "%s %u %s%s", state_glyph(s), n,
                       state_word(s), n == 1 || s == STATE_INFO || s == STATE_UNKNOWN ? "" : "s") +
           3;
}

static int head(struct view *v, struct rect r)
{
    const struct overview *o = v->data;
    const struct world *w = v->ui->session->world;
    int y = r.y, end = r.x + r.w - 1;
    if (!w) {
        screen_put(y + 1, r.x + 2, r.w - 4, PAINT_STRONG, no_world_words(v->ui->session));
        return 3;
    }
    if (!w->has_findings) {
        screen_put(y, r.x + 1, r.w - 2, PAINT_ERROR, w->rules_error.what);
        return 2;
    }
    enum state s = verdict_state(w->findings.verdict);
    int x = r.x + 1 +
            screen_putf(y, r.x + 1, r.w - 2, state_paint(s), " %s %s ", state_glyph(s),
                        verdict_words(w->findings.verdict));
    screen_putf(y, x + 1, end - x - 1, PAINT_STRONG, "for Exchange %s: %s", generation_name(w->target),
                verdict_reason(w));
    y++;
    x = r.x + 2;
    for (int i = SEVERITY_BLOCKER; i >= SEVERITY_INFO; i--)
        x += count_word(y, x, end - x, severity_state((enum severity)i), w->by_severity[i]);
    (void)count_word(y, x, end - x, STATE_UNKNOWN, o->unknown);
    y++;
    screen_putf(y, r.x + 2, r.w - 4, PAINT_TEXT, "servers: %u right, %u with findings, %u unclear%s",
                o->right, o->wrong, o->unclear, w->accepted ? "; some findings are accepted" : "");
    y++;
    if (!w->probed_at) {
        screen_put(y, r.x + 2, r.w - 4, PAINT_UNKNOWN,
                   v->ui->session->tasks[TASK_PROBE].running
                       ? "the servers are being asked; until they answer this is what the directory says"
                       : "the servers were not asked: this is what the directory says (p asks them)");
        y++;
    } else if (w->probed_at == v->ui->session->kept.at) {
        const struct kept_facts *k = &v->ui->session->kept;
        screen_putf(y, r.x + 2, r.w - 4, PAINT_INFO, "on the wire: as %s%s%s saw it %lld min ago%s", k->who,
                    k->from[0] ? " on " : "", k->from, (long long)(clock_unix() - k->at) / 60,
                    v->ui->session->tasks[TASK_PROBE].running ? ", until the servers have answered"
                                                              : " (p asks again)");
        y++;
    }
    if (w->org->n_notes > 0) {
        screen_putf(y, r.x + 2, r.w - 4, PAINT_WARNING,
                    "%s %zu thing%s in the directory could not be understood (9 shows them)",
                    state_glyph(STATE_WARNING), w->org->n_notes, w->org->n_notes == 1 ? "" : "s");
        y++;
    }
    /* with room to spare the sites stand here too: name, facing, servers, worst state */
    if (r.h >= 22 && w->org->n_sites > 0) {
        y++;
        for (size_t i = 0; i < w->org->n_sites && i < 5; i++) {
            const struct site *site = &w->org->sites[i];
            enum state worst = STATE_NONE;
            for (size_t k = 0; k < site->n_servers; k++) {
                enum state st = world_server(w, site->servers[k])->state;
                worst = st > worst ? st : worst;
            }
            screen_put(y, r.x + 2, 12, state_paint(worst), state_text(worst));
            screen_putf(y, r.x + 14, r.w - 15, PAINT_TEXT, "%-16s %-16s %zu server%s", site->name,
                        site->internet_facing ? "Internet-facing" : "internal", site->n_servers,
                        site->n_servers == 1 ? "" : "s");
            y++;
        }
        if (w->org->n_sites > 5)
            screen_putf(y++, r.x + 14, r.w - 15, PAINT_DIM, "and %zu more sites (3)", w->org->n_sites - 5);
    }
    return y + 1 - r.y;
}

static void enter(struct view *v, bool has_row, size_t row)
{
    const struct overview *o = v->data;
    char filter[80];
    if (!has_row)
        return;
    str_fmt(filter, sizeof filter, "rule:=%s", o->rows[row].rule->id);
    ui_push(v->ui, &view_findings, NULL, filter);
}

static const char *empty(struct view *v)
{
    return v->ui->session->world ? "no rule had anything to look at" : "";
}

const struct view_ops view_overview = {
    .id = VIEW_OVERVIEW,
    .source = &source,
    .share = 100,
    .problems = "!verdict:ok",
    .open = open_view,
    .close = close_view,
    .refresh = refresh,
    .head = head,
    .enter = enter,
    .empty = empty,
};
