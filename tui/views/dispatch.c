/* What actions do. The list of them is action_map.h. */
#include "tui/views/ui_int.h"
#include "tui/views/wizard.h"

#include "core/base/str.h"
#include "core/rules/rules.h"

#include <string.h>
#include <strings.h>

#define PLAN_NAMES_MAX 32

static void go_overview(struct ui *ui, const char *arg)
{
    (void)arg;
    ui_go(ui, &view_overview, NULL);
}

#define GOES_TO(name)                                                                                        \
    static void go_##name(struct ui *ui, const char *arg)                                                    \
    {                                                                                                        \
        ui_go(ui, &view_##name, arg);                                                                        \
    }
GOES_TO(servers)
GOES_TO(sites)
GOES_TO(findings)
GOES_TO(connections)
GOES_TO(plan)
GOES_TO(wizard)
GOES_TO(journal)
GOES_TO(log)

static void do_open(struct ui *ui, const char *arg)
{
    struct view *v = ui_top(ui);
    size_t row = 0;
    (void)arg;
    bool has = view_selected(v, &row);
    if (v->ops->enter)
        v->ops->enter(v, has, row);
    else if (v->ops->describe)
        v->in_pane = true;
}

static void do_back(struct ui *ui, const char *arg)
{
    (void)arg;
    ui_key(ui, K_ESC);
}

static void do_focus(struct ui *ui, const char *arg)
{
    (void)arg;
    ui_top(ui)->in_pane = !ui_top(ui)->in_pane;
}

static void do_filter(struct ui *ui, const char *arg)
{
    if (!arg) {
        mode_filter_begin(ui);
        return;
    }
    view_filter(ui_top(ui), arg);
    if (ui->filter_error.code != ERR_OK)
        ui_say_error(ui, &ui->filter_error);
}

static void do_problems(struct ui *ui, const char *arg)
{
    struct view *v = ui_top(ui);
    (void)arg;
    if (!v->ops->problems)
        ui_say(ui, PAINT_DIM, "this list knows no problems");
    else
        view_filter(v, strcmp(v->filter_text, v->ops->problems) == 0 ? "" : v->ops->problems);
}

static void say_order(struct ui *ui)
{
    const struct table *t = &ui_top(ui)->table;
    if (t->sort < 0)
        ui_say(ui, PAINT_DIM, "in the list's own order");
    else
        ui_say(ui, PAINT_DIM, "sorted by %s%s", t->source->columns[t->sort].field,
               t->descending ? ", descending" : "");
}

static void do_sort(struct ui *ui, const char *arg)
{
    struct view *v = ui_top(ui);
    if (!arg)
        table_sort_next(&v->table);
    else if (!table_sort_by(&v->table, arg)) {
        ui_say(ui, PAINT_WARNING, "no column '%s'", arg);
        return;
    }
    say_order(ui);
}

static void do_reverse(struct ui *ui, const char *arg)
{
    struct view *v = ui_top(ui);
    (void)arg;
    table_sort(&v->table, v->table.sort < 0 ? 0 : v->table.sort, !v->table.descending);
    say_order(ui);
}

static void do_engine(struct ui *ui, const char *arg)
{
    (void)arg;
    session_engine_toggle(ui->session);
}

static void do_make(struct ui *ui, const char *arg)
{
    char words[PROMPT_SIZE], *save = NULL;
    const char *rules[PLAN_NAMES_MAX], *servers[PLAN_NAMES_MAX];
    struct plan_filter f = {.findings = rules, .servers = servers};
    struct errinfo ei = {.code = ERR_OK};
    str_copy(words, sizeof words, arg ? arg : "");
    for (char *word = strtok_r(words, " ,", &save); word; word = strtok_r(NULL, " ,", &save)) {
        const struct server *s = ui->session->world ? org_server(ui->session->world->org, word) : NULL;
        if (str_eq(word, "nudge"))
            f.nudge = true;
        else if (rules_find(word) && f.n_findings < PLAN_NAMES_MAX)
            rules[f.n_findings++] = word;
        else if (s && f.n_servers < PLAN_NAMES_MAX)
            servers[f.n_servers++] = s->name;
        else {
            ui_say(ui, PAINT_WARNING, "'%s' is neither a rule, a server nor nudge; no plan was made", word);
            return;
        }
    }
    if (session_plan(ui->session, &f, &ei) != ERR_OK) {
        ui_say_error(ui, &ei);
        return;
    }
    size_t n = ui->session->planned.plan->n_steps;
    ui_go(ui, &view_plan, NULL);
    if (n == 0)
        ui_say(ui, PAINT_OK, "nothing to do: no finding has a fix that is not there already");
    else
        ui_say(ui, PAINT_INFO, "a plan of %zu step%s; nothing was changed", n, n == 1 ? "" : "s");
}

/* The organisation's name stands beside the prompt, where it is to be read however small the screen is. */
static void ask_for_name(struct ui *ui, const char *title, dialog_accept *accept)
{
    const char *org = ui->session->world->org->name;
    char label[120];
    str_fmt(label, sizeof label, "Type %s:", org);
    ui_ask(ui, DIALOG_TYPE, title, label, org, accept);
}

static void applied(struct ui *ui, const char *text)
{
    (void)text;
    session_apply(ui->session, ui->session->planned.why);
    ui_go(ui, &view_plan, NULL);
}

static void list_steps(struct pane *b, const struct plan *plan, size_t pushed)
{
    size_t shown = 0;
    for (size_t i = 0; i < plan->n_steps && shown < 8; i++) {
        if (plan->steps[i].skip)
            continue;
        pane_add(b, PAINT_STRONG, 2, "%s  %s", plan->steps[i].server, plan->steps[i].cmdlet.name);
        shown++;
    }
    if (pushed > shown)
        pane_add(b, PAINT_STRONG, 2, "and %zu more", pushed - shown);
    if (plan->n_steps > pushed)
        pane_add(b, PAINT_WARNING, 0, "%zu step%s left alone: somebody changed it since.",
                 plan->n_steps - pushed, plan->n_steps - pushed == 1 ? " is" : "s are");
}

static void do_apply(struct ui *ui, const char *arg)
{
    struct planned *p = &ui->session->planned;
    size_t pushed = planned_pushes(p);
    p->force[0] = '\0';
    str_copy(p->why, sizeof p->why, arg ? arg : "");
    ask_for_name(ui, "Apply the plan", applied);
    struct pane *b = &ui->dialog.body;
    pane_add(b, PAINT_TEXT, 0, "%zu step%s will be pushed to the servers%s.", pushed, pushed == 1 ? "" : "s",
             pushed > 1 ? ", one host first, then the others" : "");
    list_steps(b, p->plan, pushed);
    pane_add(b, PAINT_TEXT, 0, "Every step has an inverse and is journalled before it is done.");
    if (p->why[0])
        pane_add(b, PAINT_TEXT, 0, "The journal says why: %s", p->why);
    else
        pane_add(b, PAINT_DIM, 0, ":apply REASON puts the reason into the journal.");
    pane_add(b, PAINT_TEXT, 0, "Type the organisation's name to go on.");
}

static void do_force(struct ui *ui, const char *arg)
{
    if (!arg || !*arg) {
        mode_palette_begin(ui);
        prompt_set(&ui->prompt, "force-apply ");
        return;
    }
    do_apply(ui, arg);
    str_copy(ui->session->planned.force, sizeof ui->session->planned.force, arg);
    pane_add(&ui->dialog.body, PAINT_WARNING, 0, "The lock is taken away from whoever holds it.");
}

static void do_write(struct ui *ui, const char *arg)
{
    if (arg)
        session_plan_write(ui->session, arg);
    else {
        mode_palette_begin(ui);
        prompt_set(&ui->prompt, "write plan.json");
    }
}

static void do_settle(struct ui *ui, const char *arg)
{
    (void)arg;
    wizard_settle(ui_top(ui));
}

static void do_next_step(struct ui *ui, const char *arg)
{
    (void)arg;
    wizard_step(ui_top(ui), 1);
}

static void do_last_step(struct ui *ui, const char *arg)
{
    (void)arg;
    wizard_step(ui_top(ui), -1);
}

static void do_chain(struct ui *ui, const char *arg)
{
    (void)arg;
    session_journal_verify(ui->session);
}

static const char *selected_run(struct ui *ui)
{
    const struct view *v = ui_top(ui);
    return v->ops->id == VIEW_RUN ? v->arg : v->table.key;
}

static void do_rollback(struct ui *ui, const char *arg)
{
    (void)arg;
    if (!selected_run(ui)[0]) {
        ui_say(ui, PAINT_DIM, "no run is selected");
        return;
    }
    session_rollback(ui->session, selected_run(ui));
    ui_go(ui, &view_plan, NULL);
}

static void do_read(struct ui *ui, const char *arg)
{
    (void)arg;
    session_read(ui->session);
    if (ui_top(ui)->ops->id == VIEW_JOURNAL)
        session_journal_list(ui->session);
}

/* The server whose view is open; "" elsewhere: all of them. */
static const char *open_server(struct ui *ui)
{
    const struct view *top = ui_top(ui);
    return top->ops->id == VIEW_SERVER ? top->arg : "";
}

static void do_probe(struct ui *ui, const char *arg)
{
    (void)arg;
    session_probe(ui->session, open_server(ui));
}

static void do_ask(struct ui *ui, const char *arg)
{
    (void)arg;
    session_ask_hosts(ui->session, open_server(ui));
}

static void do_cancel(struct ui *ui, const char *arg)
{
    static const enum task order[] = {TASK_APPLY, TASK_PROBE, TASK_READ};
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (ui->session->tasks[order[i]].running) {
            session_cancel(ui->session, order[i]);
            return;
        }
    }
    ui_say(ui, PAINT_DIM, "nothing runs that could be stopped");
}

static void do_copy(struct ui *ui, const char *arg)
{
    struct view *v = ui_top(ui);
    struct buf b;
    (void)arg;
    buf_init(&b, 64 * 1024);
    size_t row;
    if (!(v->ops->copy && v->ops->copy(v, &b)) && view_selected(v, &row)) {
        buf_reset(&b);
        for (size_t c = 0; c < v->ops->source->n_columns; c++) {
            struct cell cell;
            table_cell(&v->table, row, c, &cell);
            buf_addf(&b, "%s%s", c ? "\t" : "", cell.text);
        }
    }
    if (b.len == 0)
        ui_say(ui, PAINT_DIM, "nothing to copy here");
    else if (screen_copy(buf_str(&b)))
        ui_say(ui, PAINT_INFO, "%zu bytes sent to the terminal's clipboard, if it takes them (OSC 52)",
               b.len);
    else
        ui_say(ui, PAINT_WARNING, "too long for a terminal's clipboard");
    buf_fini(&b);
}

static void do_palette(struct ui *ui, const char *arg)
{
    (void)arg;
    mode_palette_begin(ui);
}

static void do_help(struct ui *ui, const char *arg)
{
    (void)arg;
    const struct view *v = ui_top(ui);
    if (v->ops->id != VIEW_HELP)
        ui_push(ui, &view_help, view_crumb(v->ops->id), NULL);
}

static void do_server(struct ui *ui, const char *arg)
{
    const struct server *s = arg && ui->session->world ? org_server(ui->session->world->org, arg) : NULL;
    if (s)
        ui_push(ui, &view_server, s->name, NULL);
    else
        ui_say(ui, PAINT_WARNING, arg ? "no server '%s'" : "which one? :server NAME%s", arg ? arg : "");
}

static void unlocked(struct ui *ui, const char *text)
{
    if (session_unlock(ui->session, text))
        ui_say(ui, PAINT_WARNING, "unlocked: changes are possible now (L locks again)");
    else
        ui_say(ui, PAINT_WARNING, "still read-only");
}

static void do_unlock(struct ui *ui, const char *arg)
{
    (void)arg;
    ask_for_name(ui, "Unlock", unlocked);
    pane_add(&ui->dialog.body, PAINT_TEXT, 0,
             "Nothing is changed by unlocking; it makes the actions in upper case possible. Each of them "
             "asks again.");
    pane_add(&ui->dialog.body, PAINT_TEXT, 0, "Type the organisation's name to go on.");
}

static void do_lock(struct ui *ui, const char *arg)
{
    (void)arg;
    session_lock(ui->session);
    ui_say(ui, PAINT_OK, "read-only");
}

static void do_theme(struct ui *ui, const char *arg)
{
    struct errinfo ei = {.code = ERR_OK};
    struct theme t;
    enum err e = arg ? theme_load(&t, arg, &ei) : ERR_OK;
    if (!arg || e != ERR_OK) {
        if (e == ERR_OK)
            ui_say(ui, PAINT_DIM, "the theme is %s; :theme NAME takes another", ui->theme.name);
        else
            ui_say_error(ui, &ei);
        return;
    }
    ui->theme = t;
    screen_set_theme(&t);
    ui->repaint = true;
    ui_say(ui, PAINT_INFO, "theme %s%s", t.name, screen_has_color() ? "" : " (without colours here)");
}

static void do_redraw(struct ui *ui, const char *arg)
{
    (void)arg;
    ui->repaint = true;
}

static void quit_now(struct ui *ui, const char *text)
{
    (void)text;
    ui->quit = true;
}

void ui_quit(struct ui *ui)
{
    if (!session_is_busy(ui->session)) {
        ui->quit = true;
        return;
    }
    bool push = ui->session->tasks[TASK_APPLY].running;
    ui_ask(ui, DIALOG_YES_NO, "Leave?", "Leave now?", NULL, quit_now);
    pane_add(&ui->dialog.body, PAINT_TEXT, 0, "%s",
             push ? "A plan is being applied. Leaving ends the host in hand first and then stops; the "
                    "journal knows how far it came."
                  : "The engine is running. Leaving ends the connections through it.");
}

static void do_quit(struct ui *ui, const char *arg)
{
    (void)arg;
    ui_quit(ui);
}

typedef void action_fn(struct ui *ui, const char *arg);

static action_fn *const functions[ACTION_COUNT] = {
    [ACTION_OPEN] = do_open,
    [ACTION_BACK] = do_back,
    [ACTION_FOCUS] = do_focus,
    [ACTION_FILTER] = do_filter,
    [ACTION_PROBLEMS] = do_problems,
    [ACTION_SORT] = do_sort,
    [ACTION_REVERSE] = do_reverse,
    [ACTION_ENGINE] = do_engine,
    [ACTION_PAUSE] = connections_pause,
    [ACTION_KILL] = connections_kill,
    [ACTION_MAKE] = do_make,
    [ACTION_APPLY] = do_apply,
    [ACTION_FORCE] = do_force,
    [ACTION_WRITE] = do_write,
    [ACTION_SETTLE] = do_settle,
    [ACTION_NEXT_STEP] = do_next_step,
    [ACTION_LAST_STEP] = do_last_step,
    [ACTION_CHAIN] = do_chain,
    [ACTION_ROLLBACK] = do_rollback,
    [ACTION_READ] = do_read,
    [ACTION_PROBE] = do_probe,
    [ACTION_ASK] = do_ask,
    [ACTION_CANCEL] = do_cancel,
    [ACTION_COPY] = do_copy,
    [ACTION_PALETTE] = do_palette,
    [ACTION_HELP] = do_help,
    [ACTION_OVERVIEW] = go_overview,
    [ACTION_SERVERS] = go_servers,
    [ACTION_SITES] = go_sites,
    [ACTION_FINDINGS] = go_findings,
    [ACTION_CONNECTIONS] = go_connections,
    [ACTION_PLAN] = go_plan,
    [ACTION_WIZARD] = go_wizard,
    [ACTION_JOURNAL] = go_journal,
    [ACTION_LOG] = go_log,
    [ACTION_SERVER] = do_server,
    [ACTION_UNLOCK] = do_unlock,
    [ACTION_LOCK] = do_lock,
    [ACTION_THEME] = do_theme,
    [ACTION_REDRAW] = do_redraw,
    [ACTION_QUIT] = do_quit,
};

void action_run(struct ui *ui, enum action a, const char *arg)
{
    const char *why = action_why_not(ui, a);
    ui->dirty = true;
    if (why) {
        ui_say(ui, PAINT_WARNING, "%s: %s", action_info(a)->name, why);
        return;
    }
    functions[a](ui, arg);
}
