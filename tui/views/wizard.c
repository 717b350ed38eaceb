/* The migration in four steps: gates, legacy fix, rehearsal, verification. One looks at any of them; what is done
   follows from what is known, never from having been looked at. */
#include "tui/views/wizard.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "tui/views/format.h"
#include "tui/views/gates.h"

#include <stdlib.h>
#include <string.h>

enum step { STEP_GATES, STEP_FIX, STEP_REHEARSE, STEP_VERIFY, STEP_COUNT };
enum step_state { STEP_TODO, STEP_DONE, STEP_BLOCKED };

static const char *const step_names[STEP_COUNT] = {"Gates", "Legacy fix", "Rehearse", "Verify"};

struct wizard {
    enum step here;
    struct gate_settled settled[GATE_COUNT];
    bool loaded;
    struct gate_answer answers[GATE_COUNT];
    unsigned closed;  /* gates that are not open */
    unsigned fixable; /* findings an apply could mend */
    unsigned rehearsed, to_rehearse;
    enum step_state states[STEP_COUNT];
    const char *blocked[STEP_COUNT]; /* why */
};

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

/* A legacy CAS counts as rehearsed when the newest request to it that ended did so well. */
static void count_rehearsed(struct wizard *z, const struct session *s)
{
    z->rehearsed = z->to_rehearse = 0;
    for (size_t i = 0; s->world && i < s->world->org->n_servers; i++) {
        const struct server *server = &s->world->org->servers[i];
        if (!server_is_legacy_cas(server))
            continue;
        z->to_rehearse++;
        for (size_t k = 0; k < s->engine.n_rows; k++) {
            const struct proxy_row *r = &s->engine.rows[k];
            if (r->status == 0 || !str_ieq(r->target, server->name))
                continue;
            z->rehearsed += r->status < 400;
            break; /* rows are newest first */
        }
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
    (void)events;
    if (!z->loaded && s->world && s->saved_state) {
        gates_load(s->saved_state, s->world->org->name ? s->world->org->name : "", z->settled);
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
    if (v->data && !v->ui->session->saved_state)
        session_state_load(v->ui->session);
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

static void describe_fix(struct view *v)
{
    const struct wizard *z = v->data;
    const struct session *s = v->ui->session;
    const struct planned *pl = &s->planned;
    struct pane *p = &v->pane;
    if (z->fixable == 0) {
        pane_add(p, PAINT_OK, 0, "%s nothing is left that could be mended from here", state_glyph(STATE_OK));
    } else {
        pane_add(p, PAINT_WARNING, 0, "%s %u finding%s can be mended from here (4 lists them)",
                 state_glyph(STATE_WARNING), z->fixable, z->fixable == 1 ? "" : "s");
        pane_add(p, PAINT_TEXT, 0,
                 "1  m   make a plan, then read it: each step with its cmdlet and its inverse");
        pane_add(p, PAINT_TEXT, 0, "2  U   unlock, by typing the organisation's name");
        pane_add(p, PAINT_TEXT, 0,
                 "3  A   apply; every step is journalled, verified, and put back when it fails");
    }
    pane_gap(p);
    if (!pl->plan)
        pane_add(p, PAINT_DIM, 0, "no plan has been made");
    else
        pane_add(p, PAINT_TEXT, 0, "the plan has %zu step%s%s (6 shows it)", pl->plan->n_steps,
                 pl->plan->n_steps == 1 ? "" : "s", pl->applied ? ", and was applied" : "");
    if (s->tasks[TASK_APPLY].running)
        pane_add(p, PAINT_INFO, 0, "applying: %s", s->tasks[TASK_APPLY].text);
    for (size_t i = 0; s->world && i < s->world->findings.found.n; i++) {
        const struct finding *f = &s->world->findings.found.v[i];
        if (f->fix && f->fix->automatic && !f->accepted)
            pane_add(p, state_paint(finding_state(f)), 1, "%s %s  %s", state_glyph(finding_state(f)),
                     f->server ? f->server : "-", f->summary);
    }
}

static void describe_commands(struct pane *p, const struct session *s)
{
    char name[256] = "";
    const char *port = strrchr(s->engine.address, ':');
    if (!profile_namespace(s->config->profile, 0, name, sizeof name)) {
        const struct server *cas = org_server(s->world->org, s->engine.arrive);
        const struct vdir *oa = cas ? server_vdir(cas, PROTOCOL_OA) : NULL;
        str_copy(name, sizeof name, oa && oa->external_hostname ? oa->external_hostname : "mail.example.com");
    }
    port = port ? port + 1 : "443";
    int host = port > s->engine.address ? (int)(port - 1 - s->engine.address) : 0;
    pane_add(p, PAINT_TITLE, 0,
             "Send test traffic, for a mailbox on each legacy CAS, from another terminal:");
    pane_add(
        p, PAINT_AFTER, 1,
        "curl -k -u USER@%s --resolve %s:%s:%.*s 'https://%s:%s/rpc/rpcproxy.dll?SERVER:6001' -X RPC_IN_DATA",
        s->world->org->domain ? s->world->org->domain : "DOMAIN", name, port, host, s->engine.address, name,
        port);
    pane_add(p, PAINT_AFTER, 1, "curl -k -u USER@%s --resolve %s:%s:%.*s https://%s:%s/EWS/Exchange.asmx",
             s->world->org->domain ? s->world->org->domain : "DOMAIN", name, port, host, s->engine.address,
             name, port);
    pane_add(p, PAINT_DIM, 1, "or a test Outlook whose hosts file sends %s to this machine", name);
}

static void describe_rehearsal(struct view *v)
{
    const struct wizard *z = v->data;
    const struct session *s = v->ui->session;
    const struct engine *e = &s->engine;
    struct pane *p = &v->pane;
    char at[32];
    pane_add(p, z->to_rehearse && z->rehearsed >= z->to_rehearse ? PAINT_OK : PAINT_TEXT, 0,
             "%u of %u legacy CAS answered test traffic well", z->rehearsed, z->to_rehearse);
    if (!e->proxy) {
        pane_add(p, PAINT_TEXT, 0,
                 "e   start the engine: it behaves as the new CAS on this machine only, and changes nothing");
        return;
    }
    pane_add(p, PAINT_OK, 0, "%s the engine listens on %s as %s (e stops it)", state_glyph(STATE_OK),
             e->address, e->arrive);
    pane_gap(p);
    describe_commands(p, s);
    pane_gap(p);
    pane_add(p, PAINT_TITLE, 0, "Live, newest first (5 shows all):");
    for (size_t i = 0; i < e->n_rows && i < 12; i++) {
        const struct proxy_row *r = &e->rows[i];
        pane_add(p,
                 r->rule[0] || r->status >= 400 ? PAINT_ERROR
                 : r->status                    ? PAINT_OK
                                                : PAINT_TEXT,
                 1, "%s  %3d  %s  %s  %s  %s", clock_words(r->began_ms / 1000, at, sizeof at), r->status,
                 r->protocol, r->user[0] ? r->user : "-", r->target[0] ? r->target : "-", r->reason);
    }
    if (e->n_rows == 0)
        pane_add(p, PAINT_DIM, 1, "no request has arrived yet");
}

static void describe_verification(struct view *v)
{
    const struct wizard *z = v->data;
    const struct world *w = v->ui->session->world;
    struct pane *p = &v->pane;
    char at[CLOCK_TEXT_SIZE];
    if (!w)
        return;
    enum state st = verdict_state(w->findings.verdict);
    pane_add(p, state_paint(st), 0, "%s %s for Exchange %s", state_glyph(st),
             verdict_words(w->findings.verdict), generation_name(w->target));
    pane_field(p, PAINT_TEXT, "directory", clock_rfc3339(w->org->taken_at, at));
    pane_field(p, w->probed_at ? PAINT_TEXT : PAINT_UNKNOWN, "wire",
               w->probed_at ? clock_rfc3339(w->probed_at, at) : "never asked");
    pane_add(p, PAINT_TEXT, 0, "Enter   read the directory and ask every server again");
    pane_gap(p);
    bool go = z->closed == 0 && z->states[STEP_FIX] == STEP_DONE && z->states[STEP_REHEARSE] == STEP_DONE &&
              z->states[STEP_VERIFY] == STEP_DONE;
    if (go)
        pane_add(p, PAINT_OK, 0, "%s GO: the namespace may move to the new CAS", state_glyph(STATE_OK));
    else
        pane_add(p, PAINT_WARNING, 0,
                 "%s NO GO yet: %u gate%s closed, %u finding%s to mend, %u of %u rehearsed",
                 state_glyph(STATE_WARNING), z->closed, z->closed == 1 ? "" : "s", z->fixable,
                 z->fixable == 1 ? "" : "s", z->rehearsed, z->to_rehearse);
    for (size_t i = 0; i < w->findings.unknown.n; i++) {
        const struct finding_ref *r = &w->findings.unknown.v[i];
        if (i == 0)
            pane_add(p, PAINT_TITLE, 0, "Not known");
        pane_add(p, PAINT_UNKNOWN, 1, "%s %s %s: %s", state_glyph(STATE_UNKNOWN), r->server ? r->server : "-",
                 r->id, r->why ? r->why : "");
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
    case STEP_FIX: describe_fix(v); break;
    case STEP_REHEARSE: describe_rehearsal(v); break;
    case STEP_VERIFY: describe_verification(v); break;
    case STEP_COUNT: break;
    }
}

static int draw_steps(const struct wizard *z, struct rect r)
{
    static const char *const words[] = {"todo", "done", "blocked"};
    int x = r.x + 1;
    for (int i = 0; i < STEP_COUNT; i++) {
        enum step_state st = z->states[i];
        bool here = z->here == (enum step)i;
        const char *mark = here ? glyph(GLYPH_HERE) : st == STEP_DONE ? glyph(GLYPH_DONE) : glyph(GLYPH_TODO);
        enum paint paint = here                 ? PAINT_TITLE
                           : st == STEP_DONE    ? PAINT_OK
                           : st == STEP_BLOCKED ? PAINT_DIM
                                                : PAINT_TEXT;
        x += screen_putf(r.y, x, r.x + r.w - x, paint, "%s %d %s", mark, i + 1, step_names[i]);
        x += screen_putf(r.y, x, r.x + r.w - x, PAINT_DIM, " %s",
                         here && st != STEP_DONE ? "here" : words[st]) +
             2;
    }
    return 1;
}

static void draw(struct view *v, struct rect r)
{
    const struct wizard *z = v->data;
    r.y += draw_steps(z, r);
    screen_hline(r.y, r.x, r.w, PAINT_BORDER);
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
            session_probe(v->ui->session);
        break;
    case STEP_COUNT: break;
    }
}

static void keep(struct view *v)
{
    const struct wizard *z = v->data;
    struct session *s = v->ui->session;
    struct buf b;
    buf_init(&b, 65536);
    if (gates_save(&b, s->saved_state, s->world->org->name ? s->world->org->name : "", z->settled) == ERR_OK)
        session_state_save(s, buf_str(&b));
    else
        ui_say(v->ui, PAINT_ERROR, "the wizard's progress does not fit into its file any more");
    buf_fini(&b);
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
    keep(v);
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
        keep(v);
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
