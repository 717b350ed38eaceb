/* The migration in four steps: gates, legacy fix, rehearsal, verification. One looks at any of them; what is done
   follows from what is known, never from having been looked at. */
#include "tui/views/wizard.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "tui/views/format.h"
#include "tui/views/wizard_int.h"
#include "tui/widgets/text.h"

#include <stdlib.h>
#include <string.h>

static const char *const step_names[STEP_COUNT] = {"Gates", "Legacy fix", "Rehearse", "Verify"};

static const struct column columns[] = {
    {"STATE", "state", 9, 10, 0, 0, false},
    {"GATE", "gate", 4, 4, 0, 0, false},
    {"QUESTION", "question", 20, 40, 3, 0, false},
    {"ANSWER", "answer", 16, 30, 2, 0, false},
};

static size_t count(void *ctx)
{
    (void)ctx;
    return GATE_COUNT;
}

static void cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    const struct wizard *z = ((struct view *)ctx)->data;
    const struct gate_answer *a = &z->answers[row];
    switch (column) {
    case 0:
        cell_printf(out, "%s %s", state_glyph(gate_shown_state(a->state)), gate_state_name(a->state));
        out->paint = state_paint(gate_shown_state(a->state));
        break;
    case 1: out->text = gate_at(row)->id; break;
    case 2: out->text = gate_at(row)->question; break;
    default: out->text = a->text; break;
    }
}

static void key(void *ctx, size_t row, char *out, size_t cap)
{
    (void)ctx;
    str_copy(out, cap, gate_at(row)->id);
}

static const struct table_source source = {columns, ARRAY_LEN(columns), count, cell, key};

static void count_rehearsed(struct wizard *z, const struct session *s)
{
    z->rehearsed = z->to_rehearse = 0;
    for (size_t i = 0; s->world && i < s->world->org->n_servers; i++) {
        const struct server *server = &s->world->org->servers[i];
        if (!server_is_legacy_cas(server))
            continue;
        z->to_rehearse++;
        z->rehearsed += wizard_is_rehearsed(s, server);
    }
}

static void judge_steps(struct wizard *z, const struct session *s)
{
    const struct world *w = s->world;
    z->fixable = 0;
    for (size_t i = 0; w && i < w->findings.found.n; i++) {
        const struct finding *f = &w->findings.found.v[i];
        z->fixable += f->fix && f->fix->automatic && !f->accepted;
    }
    memset(z->blocked, 0, sizeof z->blocked);
    z->states[STEP_GATES] = z->closed == 0 ? STEP_DONE : STEP_TODO;
    z->states[STEP_FIX] = w && w->has_findings && z->fixable == 0 ? STEP_DONE : STEP_TODO;
    z->states[STEP_REHEARSE] = z->to_rehearse > 0 && z->rehearsed >= z->to_rehearse ? STEP_DONE : STEP_TODO;
    z->states[STEP_VERIFY] =
        w && w->probed_at && w->findings.verdict == VERDICT_READY ? STEP_DONE : STEP_TODO;
    if (!w) {
        for (int i = 0; i < STEP_COUNT; i++)
            z->blocked[i] = "no organisation has been read yet";
    } else {
        if (!s->config->arrive && !world_new_cas(w->org))
            z->blocked[STEP_REHEARSE] = "there is no new Client Access Server yet to behave as";
        if (z->fixable > 0)
            z->blocked[STEP_VERIFY] = "the legacy fix comes first";
    }
    for (int i = 0; i < STEP_COUNT; i++) {
        if (z->blocked[i] && z->states[i] != STEP_DONE)
            z->states[i] = STEP_BLOCKED;
    }
}

static void refresh(struct view *v, unsigned events)
{
    struct wizard *z = v->data;
    const struct session *s = v->ui->session;
    /* not while something is on its way to the store: the screen knows it already, the store does not */
    if (s->world && s->progress_known && !s->tasks[TASK_STATE].running &&
        (!z->loaded || events & SESSION_STATE)) {
        gates_load(&s->progress, s->world->org->name ? s->world->org->name : "", z->settled);
        z->loaded = true;
    }
    count_rehearsed(z, s);
    struct gate_input in = {s->world, z->settled, z->rehearsed, z->to_rehearse};
    z->closed = 0;
    for (size_t i = 0; i < GATE_COUNT; i++) {
        gate_evaluate(i, &in, &z->answers[i]);
        z->closed += !gate_is_open(z->answers[i].state);
    }
    judge_steps(z, s);
}

static enum err open_view(struct view *v)
{
    v->data = calloc(1, sizeof(struct wizard));
    if (v->data && !v->ui->session->progress_known)
        session_progress_load(v->ui->session);
    return v->data ? ERR_OK : ERR_NOMEM;
}

static void close_view(struct view *v)
{
    free(v->data);
}

static void describe_gate(struct view *v, bool has_row, size_t row)
{
    const struct wizard *z = v->data;
    struct pane *p = &v->pane;
    if (!has_row)
        return;
    const struct gate *g = gate_at(row);
    const struct gate_answer *a = &z->answers[row];
    char at[CLOCK_TEXT_SIZE];
    pane_add(p, PAINT_STRONG, 0, "%s  %s", g->id, g->question);
    pane_add(p, state_paint(gate_shown_state(a->state)), 0, "%s %s: %s",
             state_glyph(gate_shown_state(a->state)), gate_state_name(a->state), a->text);
    pane_field(p, PAINT_TEXT, "why", g->reason);
    if (!gate_is_open(a->state))
        pane_field(p, PAINT_INFO, "then", g->remedy);
    pane_field(p, PAINT_DIM, "rules", g->rules);
    if (z->settled[row].reason[0]) {
        pane_field(p, PAINT_TEXT, "settled", clock_rfc3339(z->settled[row].at, at));
        pane_field(p, PAINT_TEXT, "by", z->settled[row].who);
        pane_field(p, PAINT_TEXT, "because", z->settled[row].reason);
    }
}

static void describe(struct view *v, bool has_row, size_t row)
{
    const struct wizard *z = v->data;
    if (z->here != STEP_GATES && z->blocked[z->here] && z->states[z->here] == STEP_BLOCKED)
        pane_add(&v->pane, PAINT_WARNING, 0, "%s blocked: %s", state_glyph(STATE_WARNING),
                 z->blocked[z->here]);
    switch (z->here) {
    case STEP_GATES: describe_gate(v, has_row, row); break;
    case STEP_FIX: wizard_describe_fix(v); break;
    case STEP_REHEARSE: wizard_describe_rehearsal(v); break;
    case STEP_VERIFY: wizard_describe_verification(v); break;
    case STEP_COUNT: break;
    }
}

/* How a step stands in the strip. brief 1: the other steps without their state, which mark and colour tell; 2: without their names. */
static void step_words(const struct wizard *z, int i, int brief, char *name, char *word, size_t cap)
{
    static const char *const words[] = {"todo", "done", "blocked"};
    enum step_state st = z->states[i];
    bool here = z->here == (enum step)i;
    const char *mark = here ? glyph(GLYPH_HERE) : st == STEP_DONE ? glyph(GLYPH_DONE) : glyph(GLYPH_TODO);
    str_fmt(name, cap, "%s %d%s%s", mark, i + 1, here || brief < 2 ? " " : "",
            here || brief < 2 ? step_names[i] : "");
    str_fmt(word, cap, "%s%s", here || brief < 1 ? " " : "",
            here && st != STEP_DONE ? "here"
            : here || brief < 1     ? words[st]
                                    : "");
}

/* The step one is at is always to be read. */
static int draw_steps(const struct wizard *z, struct rect r)
{
    char name[64], word[64];
    int x = r.x + 1, brief = 0;
    for (; brief < 2; brief++) {
        int width = 1;
        for (int i = 0; i < STEP_COUNT; i++) {
            step_words(z, i, brief, name, word, sizeof name);
            width += text_width(name) + text_width(word) + 2;
        }
        if (width - 2 <= r.w)
            break;
    }
    for (int i = 0; i < STEP_COUNT; i++) {
        enum step_state st = z->states[i];
        enum paint paint = z->here == (enum step)i ? PAINT_TITLE
                           : st == STEP_DONE       ? PAINT_OK
                           : st == STEP_BLOCKED    ? PAINT_DIM
                                                   : PAINT_TEXT;
        step_words(z, i, brief, name, word, sizeof name);
        x += screen_put(r.y, x, r.x + r.w - x, paint, name);
        x += screen_put(r.y, x, r.x + r.w - x, PAINT_DIM, word) + 2;
    }
    return 1;
}

static void draw(struct view *v, struct rect r)
{
    const struct wizard *z = v->data;
    char left[32], right[32], keys[100];
    r.y += draw_steps(z, r);
    screen_hline(r.y, r.x, r.w, PAINT_BORDER);
    key_text(K_LEFT, text_is_ascii(), left, sizeof left);
    key_text(K_RIGHT, text_is_ascii(), right, sizeof right);
    str_fmt(keys, sizeof keys, " %s %s other steps ", left, right);
    screen_put(r.y, r.x + r.w - text_width(keys) - 2, text_width(keys), PAINT_DIM, keys);
    r.y++;
    r.h -= 2;
    if (z->here != STEP_GATES) {
        pane_draw(&v->pane, (struct rect){r.y, r.x + 1, r.h, r.w - 2});
        return;
    }
    int pane = r.h > 16 ? 7 : 4;
    table_draw(&v->table, (struct rect){r.y, r.x, r.h - pane - 1, r.w}, !v->in_pane, "");
    screen_hline(r.y + r.h - pane - 1, r.x, r.w, v->in_pane ? PAINT_TITLE : PAINT_BORDER);
    pane_draw(&v->pane, (struct rect){r.y + r.h - pane, r.x + 1, pane, r.w - 2});
}

static void show_step(struct view *v)
{
    size_t row = 0;
    pane_clear(&v->pane);
    pane_home(&v->pane);
    v->in_pane = false;
    describe(v, view_selected(v, &row), row);
    v->ui->dirty = true;
}

void wizard_step(struct view *v, int by)
{
    struct wizard *z = v->data;
    int to = (int)z->here + by;
    if (to >= 0 && to < STEP_COUNT)
        z->here = (enum step)to;
    show_step(v);
}

static bool on_key(struct view *v, int key_code)
{
    const struct wizard *z = v->data;
    return z->here != STEP_GATES && pane_key(&v->pane, key_code);
}

static void enter(struct view *v, bool has_row, size_t row)
{
    const struct wizard *z = v->data;
    char filter[PROMPT_SIZE] = "";
    switch (z->here) {
    case STEP_GATES:
        if (has_row && gate_at(row)->rules && !strchr(gate_at(row)->rules, ' '))
            str_fmt(filter, sizeof filter, "rule:=%s", gate_at(row)->rules);
        else if (has_row && str_eq(gate_at(row)->id, "G11"))
            str_copy(filter, sizeof filter, "rule:oa-");
        else if (!has_row || !gate_at(row)->rules) {
            v->in_pane = true;
            return;
        }
        ui_push(v->ui, &view_findings, NULL, filter);
        break;
    case STEP_FIX: ui_push(v->ui, &view_plan, NULL, NULL); break;
    case STEP_REHEARSE: ui_push(v->ui, &view_connections, NULL, NULL); break;
    case STEP_VERIFY:
        session_read(v->ui->session);
        if (v->ui->session->world && !v->ui->session->world->probed_at)
            session_probe(v->ui->session, "");
        break;
    case STEP_COUNT: break;
    }
}

static void keep(struct view *v, size_t row)
{
    const struct gate_settled *g = &((const struct wizard *)v->data)->settled[row];
    session_progress_put(v->ui->session, gate_at(row)->id, g->reason[0] != '\0', g->reason);
    ui_refresh(v->ui, SESSION_STATE);
}

static void settled(struct ui *ui, const char *text)
{
    struct view *v = ui_top(ui);
    size_t row;
    if (v->ops != &view_wizard || !view_selected(v, &row))
        return;
    struct wizard *z = v->data;
    str_copy(z->settled[row].reason, sizeof z->settled[row].reason, text);
    str_copy(z->settled[row].who, sizeof z->settled[row].who, session_who(ui->session));
    z->settled[row].at = clock_unix();
    keep(v, row);
    ui_say(ui, PAINT_INFO, "%s is settled; the reason is kept", gate_at(row)->id);
}

void wizard_settle(struct view *v)
{
    struct wizard *z = v->data;
    size_t row;
    if (z->here != STEP_GATES || !view_selected(v, &row) || !v->ui->session->world) {
        ui_say(v->ui, PAINT_DIM, "choose a gate first");
        return;
    }
    if (z->settled[row].reason[0]) {
        memset(&z->settled[row], 0, sizeof z->settled[row]);
        keep(v, row);
        ui_say(v->ui, PAINT_INFO, "%s is open to judgement again", gate_at(row)->id);
        return;
    }
    if (z->answers[row].state == GATE_PASS) {
        ui_say(v->ui, PAINT_DIM, "%s has passed", gate_at(row)->id);
        return;
    }
    ui_ask(v->ui, DIALOG_TEXT, z->answers[row].state == GATE_ASK ? "Answer" : "Skip", "Reason:", NULL,
           settled);
    struct pane *b = &v->ui->dialog.body;
    pane_add(b, PAINT_STRONG, 0, "%s  %s", gate_at(row)->id, gate_at(row)->question);
    pane_add(b, PAINT_TEXT, 0, "%s", gate_at(row)->reason);
    pane_add(b, PAINT_TEXT, 0,
             z->answers[row].state == GATE_ASK
                 ? "Say how you know. It is kept with your name."
                 : "Say why this may be passed over. It is kept with your name.");
}

static int period_ms(struct view *v)
{
    const struct wizard *z = v->data;
    return z->here == STEP_REHEARSE && v->ui->session->engine.proxy ? 250 : 0;
}

static bool tick(struct view *v)
{
    if (!session_engine_read(v->ui->session))
        return false;
    refresh(v, SESSION_ENGINE);
    return true;
}

const struct view_ops view_wizard = {
    .id = VIEW_WIZARD,
    .source = &source,
    .share = 60,
    .open = open_view,
    .close = close_view,
    .refresh = refresh,
    .describe = describe,
    .draw = draw,
    .key = on_key,
    .enter = enter,
    .period_ms = period_ms,
    .tick = tick,
};
