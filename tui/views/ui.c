#include "tui/views/ui_int.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_RUNNING_MS 1000

struct view *ui_top(struct ui *ui)
{
    return ui->stack[ui->depth - 1];
}

static void view_free(struct view *v)
{
    if (v->ops->close)
        v->ops->close(v);
    if (v->ops->source)
        table_fini(&v->table);
    pane_fini(&v->pane);
    free(v);
}

bool view_selected(const struct view *v, size_t *row)
{
    return v->ops->source && table_selected(&v->table, row);
}

/* The pane follows the selection; its scroll position is kept while the row stays the same. */
static void describe(struct view *v, bool changed)
{
    if (!v->ops->describe)
        return;
    size_t row = 0;
    bool has = view_selected(v, &row);
    const char *key = has ? v->table.key : "";
    if (!changed && strcmp(v->described, key) == 0 && v->pane.lines.n > 0)
        return;
    if (strcmp(v->described, key) != 0)
        pane_home(&v->pane);
    str_copy(v->described, sizeof v->described, key);
    pane_clear(&v->pane);
    v->ops->describe(v, has, row);
}

static void view_refresh(struct view *v, unsigned events)
{
    if (v->ops->refresh)
        v->ops->refresh(v, events);
    if (v->ops->source)
        table_rebuild(&v->table);
    describe(v, true);
}

void view_filter(struct view *v, const char *text)
{
    struct ui *ui = v->ui;
    memset(&ui->filter_error, 0, sizeof ui->filter_error);
    if (v->ops->source && table_filter(&v->table, text, &ui->filter_error) == ERR_OK) {
        str_copy(v->filter_text, sizeof v->filter_text, text);
        describe(v, false);
    }
    ui->dirty = true;
}

void ui_push(struct ui *ui, const struct view_ops *ops, const char *arg, const char *filter)
{
    ui->dirty = true;
    if (ui->depth == UI_DEPTH) {
        ui_say(ui, PAINT_WARNING, "too deep: go back first (Esc)");
        return;
    }
    struct view *v = calloc(1, sizeof *v);
    if (!v) {
        ui_say(ui, PAINT_ERROR, "out of memory");
        return;
    }
    v->ops = ops;
    v->ui = ui;
    str_copy(v->arg, sizeof v->arg, arg ? arg : "");
    if (ops->source)
        table_init(&v->table, ops->source, v);
    if (ops->open && ops->open(v) != ERR_OK) {
        view_free(v);
        ui_say(ui, PAINT_ERROR, "out of memory");
        return;
    }
    ui->stack[ui->depth++] = v;
    view_refresh(v, ~0u);
    if (filter && *filter)
        view_filter(v, filter);
}

void ui_pop(struct ui *ui)
{
    ui->dirty = true;
    if (ui->depth < 2)
        return;
    view_free(ui->stack[--ui->depth]);
    view_refresh(ui_top(ui), ~0u); /* its rows may have moved while it was covered */
}

void ui_go(struct ui *ui, const struct view_ops *ops, const char *filter)
{
    struct view *top = ui_top(ui);
    if (top->ops == ops && ui->depth <= 2) { /* there already: keep its place */
        if (filter)
            view_filter(top, filter);
        return;
    }
    while (ui->depth > 1)
        ui_pop(ui);
    if (ops != &view_overview)
        ui_push(ui, ops, NULL, filter);
}

void ui_say(struct ui *ui, enum paint paint, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(ui->message, sizeof ui->message, fmt, ap);
    va_end(ap);
    ui->message_paint = paint;
    ui->dirty = true;
}

void ui_say_error(struct ui *ui, const struct errinfo *ei)
{
    ui_say(ui, PAINT_ERROR, "%s%s%s", ei->what, ei->hint[0] ? ": " : "", ei->hint);
    log_err(ei);
}

void ui_refresh(struct ui *ui, unsigned events)
{
    for (size_t i = 0; i < ui->depth; i++)
        view_refresh(ui->stack[i], events);
    ui->dirty = true;
}

void ui_session_changed(void *arg, unsigned events)
{
    struct ui *ui = arg;
    ui->events |= events;
    ui->dirty = true;
}

enum err ui_open(struct ui *ui, struct session *s, const struct console_config *c, const struct theme *t,
                 struct errinfo *ei)
{
    ui->session = s;
    ui->config = c;
    ui->theme = *t;
    ui->dirty = true;
    ui_push(ui, &view_overview, NULL, NULL);
    return ui->depth > 0 ? ERR_OK : err_set(ei, ERR_NOMEM, NULL, "no memory for the console");
}

void ui_close(struct ui *ui)
{
    while (ui->depth > 0)
        view_free(ui->stack[--ui->depth]);
    dialog_fini(&ui->dialog);
    prompt_history_fini(&ui->filters);
    prompt_history_fini(&ui->commands);
}

static bool back(struct ui *ui)
{
    struct view *v = ui_top(ui);
    if (ui->message[0]) {
        ui->message[0] = '\0';
        return true;
    }
    for (int t = 0; t < TASK_COUNT; t++) {
        if (ui->session->tasks[t].error.code != ERR_OK && !ui->error_seen[t]) {
            ui->error_seen[t] = true;
            return true;
        }
    }
    if (v->in_pane) {
        v->in_pane = false;
        return true;
    }
    if (v->filter_text[0]) {
        view_filter(v, "");
        return true;
    }
    if (ui->depth > 1) {
        ui_pop(ui);
        return true;
    }
    return false;
}

static bool move(struct view *v, int key)
{
    if (v->in_pane || !v->ops->source)
        return pane_key(&v->pane, key);
    if (!table_key(&v->table, key))
        return false;
    describe(v, false);
    return true;
}

static void key_normal(struct ui *ui, int key)
{
    struct view *v = ui_top(ui);
    if (key == K_ESC) {
        (void)back(ui);
        return;
    }
    if ((v->ops->key && v->ops->key(v, key)) || move(v, key)) {
        ui->message[0] = '\0';
        return;
    }
    enum action a = action_of_key(key, v->ops->id);
    if (a != ACTION_NONE) {
        ui->message[0] = '\0';
        action_run(ui, a, NULL);
        return;
    }
    char name[32];
    key_text(key, false, name, sizeof name);
    ui_say(ui, PAINT_DIM, "%s%smeans nothing here (? shows the keys)", name, name[0] ? " " : "this key ");
}

/* Views hold row numbers: they must have heard of every change before a key or a frame uses them. */
static void settle(struct ui *ui)
{
    if (!ui->events)
        return;
    unsigned events = ui->events;
    ui->events = 0;
    for (int t = 0; t < TASK_COUNT; t++) {
        if (ui->session->tasks[t].running)
            ui->error_seen[t] = false;
    }
    ui_refresh(ui, events);
}

static void answer(struct ui *ui, const char *text)
{
    session_answer(ui->session, text);
}

/* A job waits for an answer. Never in the middle of something else that is being typed. */
static void ask_question(struct ui *ui)
{
    char prompt[400];
    if (ui->mode != MODE_NORMAL || !session_question(ui->session, prompt, sizeof prompt))
        return;
    if (session_question_is_yes_no(ui->session)) {
        ui_ask(ui, DIALOG_YES_NO, "A question", "Go on?", NULL, answer);
        ui->dialog.answers = true;
        pane_add(&ui->dialog.body, PAINT_TEXT, 0, "%s", prompt);
        return;
    }
    ui_ask(ui, DIALOG_SECRET, "A password is needed", "Password:", NULL, answer);
    pane_add(&ui->dialog.body, PAINT_TEXT, 0, "%s", prompt);
    pane_add(&ui->dialog.body, PAINT_DIM, 0,
             "It is kept in memory until the console ends, and nowhere else.");
}

void ui_key(struct ui *ui, int key)
{
    settle(ui);
    ui->dirty = true;
    if (key == K_PASTE_BEGIN || key == K_PASTE_END) {
        ui->pasting = key == K_PASTE_BEGIN;
        if (ui->pasting && ui->mode == MODE_NORMAL)
            ui_say(ui, PAINT_DIM, "pasted text is not taken as keys; open / or : first");
        return;
    }
    if (ui->mode == MODE_NORMAL) {
        if (!ui->pasting)
            key_normal(ui, key);
    } else if (!ui->pasting || key_is_text(key)) { /* a pasted line break does not press Enter */
        mode_key(ui, key);
    }
}

#define STALE_S 600

int ui_wait_ms(struct ui *ui)
{
    struct view *v = ui_top(ui);
    int wait = -1;
    if (v->ops->period_ms && ui->mode != MODE_DIALOG) {
        int64_t left = v->ops->period_ms(v) - (clock_mono_ms() - ui->ticked_ms);
        if (v->ops->period_ms(v) > 0)
            wait = left > 0 ? (int)left : 0;
    }
    if (session_running(ui->session) && (wait < 0 || wait > TICK_RUNNING_MS))
        wait = TICK_RUNNING_MS;
    if (wait < 0 && ui->session->world) { /* the moment at which the data is called old */
        int64_t left = ui->session->world->org->taken_at + STALE_S - clock_unix();
        if (left >= 0 && left <= STALE_S)
            wait = (int)(left + 1) * 1000;
    }
    return wait;
}

void ui_tick(struct ui *ui)
{
    struct view *v = ui_top(ui);
    ui->ticked_ms = clock_mono_ms();
    if (v->ops->tick && v->ops->period_ms && v->ops->period_ms(v) > 0 && v->ops->tick(v)) {
        if (v->ops->source)
            table_rebuild(&v->table);
        describe(v, true);
        ui->dirty = true;
    }
    if (session_running(ui->session))
        ui->dirty = true;
    if (ui->session->world && clock_unix() - ui->session->world->org->taken_at > STALE_S)
        ui->dirty = true;
}

void ui_show(struct ui *ui)
{
    settle(ui);
    ask_question(ui);
    if (!ui->dirty)
        return;
    ui->dirty = false;
    frame_draw(ui);
    screen_show(ui->repaint);
    ui->repaint = false;
}
