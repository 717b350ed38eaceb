/* The plan: steps with before -> after; while it is applied, the phase of each host. */
#include "tui/views/format.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <string.h>

static const struct column columns[] = {
    {"#", "n", 2, 3, 0, 0, true},
    {"PHASE", "phase", 10, 12, 0, 0, false},
    {"SERVER", "server", 8, 12, 1, 0, false},
    {"FINDING", "finding", 10, 14, 1, 2, false},
    {"CHANGE", "change", 20, 34, 5, 0, false},
    {"CMDLET", "cmdlet", 10, 22, 1, 3, false},
};

static const struct planned *planned_of(void *ctx)
{
    return &((struct view *)ctx)->ui->session->planned;
}

static size_t count(void *ctx)
{
    return planned_of(ctx)->plan ? planned_of(ctx)->plan->n_steps : 0;
}

static enum state phase_state(enum plan_phase p)
{
    switch (p) {
    case PLAN_QUEUED: return STATE_NONE;
    case PLAN_INTENT:
    case PLAN_PUSH:
    case PLAN_REREAD:
    case PLAN_VERIFY: return STATE_INFO;
    case PLAN_DONE: return STATE_OK;
    case PLAN_FAILED: return STATE_ERROR;
    case PLAN_UNDONE:
    case PLAN_SKIPPED: return STATE_WARNING;
    }
    return STATE_UNKNOWN;
}

static void values_text(struct buf *out, const struct plan_change *c)
{
    if (!c || c->is_null) {
        buf_adds(out, c ? "nothing" : "-");
        return;
    }
    for (size_t i = 0; i < c->n_values; i++)
        buf_addf(out, "%s%s", i ? ", " : "", c->values[i]);
    if (c->n_values == 0)
        buf_adds(out, "none");
}

static const struct plan_change *find_change(const struct plan_change *list, size_t n, const char *property)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(list[i].property, property))
            return &list[i];
    }
    return NULL;
}

static void change_text(struct buf *out, const struct plan_step *s)
{
    for (size_t i = 0; i < s->n_after; i++) {
        buf_addf(out, "%s%s: ", i ? "; " : "", s->after[i].property);
        values_text(out, find_change(s->before, s->n_before, s->after[i].property));
        buf_addf(out, " %s ", glyph(GLYPH_ARROW));
        values_text(out, &s->after[i]);
    }
}

/* Such a step holds what was once done, not what would be: nothing of that may look like a change to come. */
static bool is_left_alone(const struct planned *p, size_t row)
{
    return p->plan->steps[row].skip && p->progress[row].n == 0;
}

static void cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    const struct planned *p = planned_of(ctx);
    const struct plan_step *s = &p->plan->steps[row];
    switch (column) {
    case 0:
        out->number = s->n;
        cell_printf(out, "%d", s->n);
        break;
    case 1: {
        enum plan_phase phase = is_left_alone(p, row) ? PLAN_SKIPPED : p->progress[row].phase;
        enum state st = phase_state(phase);
        cell_printf(out, "%s %s", state_glyph(st), plan_phase_name(phase));
        out->paint = state_paint(st);
        break;
    }
    case 2: out->text = s->server; break;
    case 3: out->text = s->finding ? s->finding : "-"; break;
    case 4: {
        if (s->skip) {
            out->text = s->skip;
            out->paint = PAINT_WARNING;
            break;
        }
        struct buf b;
        buf_init(&b, 4096);
        change_text(&b, s);
        str_copy(out->scratch, sizeof out->scratch, buf_str(&b));
        out->text = out->scratch;
        buf_fini(&b);
        break;
    }
    default: out->text = s->skip ? "-" : s->cmdlet.name; break;
    }
}

static void key(void *ctx, size_t row, char *out, size_t cap)
{
    str_fmt(out, cap, "%d", planned_of(ctx)->plan->steps[row].n);
}

static const struct table_source source = {columns, ARRAY_LEN(columns), count, cell, key};

static void describe_changes(struct pane *p, const struct plan_step *s)
{
    for (size_t i = 0; i < s->n_before; i++) {
        struct buf b;
        buf_init(&b, 4096);
        buf_addf(&b, "- %s: ", s->before[i].property);
        values_text(&b, &s->before[i]);
        pane_add(p, PAINT_BEFORE, 0, "%s", buf_str(&b));
        buf_fini(&b);
    }
    for (size_t i = 0; i < s->n_after; i++) {
        struct buf b;
        buf_init(&b, 4096);
        buf_addf(&b, "+ %s: ", s->after[i].property);
        values_text(&b, &s->after[i]);
        pane_add(p, PAINT_AFTER, 0, "%s", buf_str(&b));
        buf_fini(&b);
    }
}

static void describe_progress(struct pane *p, const struct step_progress *progress)
{
    char at[32];
    if (progress->n == 0)
        return;
    pane_add(p, PAINT_TITLE, 0, "What happened");
    for (size_t i = 0; i < progress->n; i++)
        pane_add(p, state_paint(phase_state(progress->trail[i].phase)), 0, "%s %-7s %s",
                 clock_words(progress->trail[i].at, at, sizeof at), plan_phase_name(progress->trail[i].phase),
                 progress->trail[i].detail);
    pane_gap(p);
}

static void describe(struct view *v, bool has_row, size_t row)
{
    const struct planned *pl = planned_of(v);
    struct pane *p = &v->pane;
    if (!has_row)
        return;
    const struct plan_step *s = &pl->plan->steps[row];
    describe_progress(p, &pl->progress[row]);
    if (s->skip) {
        pane_add(p, PAINT_WARNING, 0, "%s", s->skip);
        pane_gap(p);
        describe_cmdlet(p, PAINT_DIM, "was done", &s->cmdlet);
        return;
    }
    describe_changes(p, s);
    pane_gap(p);
    describe_cmdlet(p, PAINT_STRONG, "cmdlet", &s->cmdlet);
    describe_cmdlet(p, PAINT_TEXT, "inverse", &s->inverse);
    for (size_t i = 0; i < s->n_nudges; i++)
        describe_cmdlet(p, PAINT_TEXT, "nudge", &s->nudges[i]);
    pane_gap(p);
    pane_field(p, PAINT_TEXT, "takes", s->takes_effect);
    pane_field(p, PAINT_TEXT, "impact", s->impact);
    if (s->note)
        pane_field(p, PAINT_DIM, "note", s->note);
    pane_field(p, PAINT_TEXT, "verify",
               s->verify_directory && s->verify_wire ? "directory and wire"
               : s->verify_directory                 ? "directory"
               : s->verify_wire                      ? "wire"
                                                     : "nothing");
    for (size_t i = 0; i < s->n_preconditions; i++) {
        const struct plan_precondition *c = &s->preconditions[i];
        pane_add(p, PAINT_DIM, 0, "only if  %s is %s", c->attribute, c->value ? c->value : "absent");
        pane_add(p, PAINT_DIM, 9, "%s", c->dn);
    }
}

static int head(struct view *v, struct rect r)
{
    const struct planned *p = planned_of(v);
    const struct session *s = v->ui->session;
    char at[CLOCK_TEXT_SIZE];
    int used = draw_sight(s, r), y = r.y + used;
    if (!p->plan)
        return used;
    screen_putf(y++, r.x + 1, r.w - 2, PAINT_TEXT, "%s%s  %s, to %s, made %s by %s",
                p->undoes[0] ? "takes back run " : "plan ", p->undoes[0] ? p->undoes : p->plan->id,
                p->plan->organization, generation_name(p->plan->target), clock_rfc3339(p->plan->made_at, at),
                p->plan->made_by);
    if (s->tasks[TASK_APPLY].running) {
        screen_putf(y++, r.x + 1, r.w - 2, PAINT_INFO, "applying: %s (c stops after the host in hand)",
                    s->tasks[TASK_APPLY].text);
    } else if (p->applied) {
        const struct plan_outcome *o = &p->outcome;
        const bool well = p->result == ERR_OK;
        char counts[160];
        plan_outcome_text(o, counts, sizeof counts);
        screen_putf(y++, r.x + 1, r.w - 2, well ? PAINT_OK : PAINT_ERROR, "%s %s%s%s%s%s",
                    state_glyph(well ? STATE_OK : STATE_ERROR), o->run[0] ? counts : "nothing was begun",
                    well ? "" : "; ", well ? "" : err_text(p->result), o->run[0] ? "; run " : "", o->run);
    } else {
        size_t left = p->plan->n_steps - planned_pushes(p);
        int x = r.x + 1 + screen_put(y, r.x + 1, r.w - 2, PAINT_DIM, "nothing has been changed yet");
        if (left)
            screen_putf(y, x, r.x + r.w - 1 - x, PAINT_WARNING, "; %zu step%s left alone: changed since",
                        left, left == 1 ? " is" : "s are");
        y++;
    }
    return y - r.y;
}

static bool copy(struct view *v, struct buf *out)
{
    size_t row;
    return view_selected(v, &row) &&
           cmdlet_text(out, &planned_of(v)->plan->steps[row].cmdlet, NULL) == ERR_OK;
}

static const char *empty(struct view *v)
{
    const struct session *s = v->ui->session;
    if (s->tasks[TASK_APPLY].running)
        return s->tasks[TASK_APPLY].text;
    if (!planned_of(v)->plan)
        return "no plan has been made (m makes one of the findings)";
    return planned_of(v)->undoes[0] ? "nothing to take back: all that the run changed is as it was before"
                                    : "this plan has no steps: what it would do is there already";
}

const struct view_ops view_plan = {
    .id = VIEW_PLAN,
    .source = &source,
    .share = 45,
    .problems = "!phase:done !phase:queued",
    .describe = describe,
    .head = head,
    .copy = copy,
    .empty = empty,
};
