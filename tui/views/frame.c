/* The frame around the view: bar, crumbs, errors, prompt, hints. */
#include "tui/views/ui_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "tui/widgets/text.h"

#include <string.h>

#define STALE_S        600
#define STRIP_MAX      4 /* lines of errors */
#define BAR_ORG_MIN    24
#define SIDE_BY_SIDE   118
#define PANE_MIN_LINES 4

static const struct task_status *running_task(const struct session *s)
{
    static const enum task order[] = {TASK_APPLY,   TASK_READ, TASK_PROBE, TASK_ENGINE,
                                      TASK_JOURNAL, TASK_PLAN, TASK_STATE};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (s->tasks[order[i]].running)
            return &s->tasks[order[i]];
    }
    return NULL;
}

static void time_of_day(int64_t t, char out[static 16])
{
    char full[CLOCK_TEXT_SIZE];
    clock_rfc3339(t, full);
    str_fmt(out, 16, "%.8sZ", strlen(full) > 19 ? full + 11 : "-");
}

/* Right-aligned before end; what is shortened is the words, never the count or the time. Returns the columns used. */
static int draw_task(struct ui *ui, int x, int end)
{
    const struct session *s = ui->session;
    const struct task_status *task = running_task(s);
    char tail[80], count[40] = "";
    if (!task)
        return 0;
    if (task->total)
        str_fmt(count, sizeof count, " %u/%u", task->done, task->total);
    int64_t seconds = (clock_mono_ms() - task->began_ms) / 1000;
    str_fmt(tail, sizeof tail, "%s %llds%s", count, (long long)seconds, session_running(s) > 1 ? " +" : "");
    int words = text_width(task->text), room = end - x - BAR_ORG_MIN - text_width(tail);
    if (room < 8)
        return 0;
    words = words > room ? room : words;
    int used = words + text_width(tail) + 1;
    screen_put(0, end - used, words, PAINT_BAR, task->text);
    screen_put(0, end - used + words, used - words, PAINT_BAR, tail);
    return used;
}

/* The fullest of these that fits: counts go before the age of what is shown. */
static void org_words(const struct ui *ui, char *out, size_t cap, int room)
{
    const struct world *w = ui->session->world;
    const struct org *org = w->org;
    const char *name = org->name ? org->name : "?", *to = generation_name(w->target);
    const char *read = clock_unix() - org->taken_at > STALE_S ? "OLD, read" : "read";
    char at[16], counts[80];
    time_of_day(org->taken_at, at);
    str_fmt(counts, sizeof counts, "%zu site%s, %zu server%s", org->n_sites, org->n_sites == 1 ? "" : "s",
            org->n_servers, org->n_servers == 1 ? "" : "s");
    str_fmt(out, cap, "%s  %s  to %s  %s %s", name, counts, to, read, at);
    if (text_width(out) > room)
        str_fmt(out, cap, "%s  to %s  %s %s", name, to, read, at);
    if (text_width(out) > room)
        str_fmt(out, cap, "%s  %s %s", name, read, at);
    if (text_width(out) > room)
        str_fmt(out, cap, "%s", name);
}

static void draw_bar(struct ui *ui, int w)
{
    const struct session *s = ui->session;
    screen_fill((struct rect){0, 0, 1, w}, PAINT_BAR);
    const char *badge = s->unlocked ? " RW " : " RO ";
    int end = w - 4;
    screen_put(0, end, 4, s->unlocked ? PAINT_UNLOCKED : PAINT_LOCKED, badge);
    int x = 1 + screen_put(0, 1, w - 6, PAINT_BAR, "casbridge");
    end -= draw_task(ui, x, end);
    char text[400] = "no organisation yet";
    if (s->world)
        org_words(ui, text, sizeof text, end - x - 3);
    screen_put(0, x + 2, end - x - 3, PAINT_BAR, text);
}

static void draw_crumbs(struct ui *ui, int w)
{
    struct view *v = ui_top(ui);
    int x = 1;
    char right[200] = "";
    if (v->ops->source) {
        const struct table *t = &v->table;
        if (t->n != t->total)
            str_fmt(right, sizeof right, "%zu of %zu", t->n, t->total);
        else
            str_fmt(right, sizeof right, "%zu", t->total);
    }
    int edge = w - 1 - text_width(right);
    for (size_t i = 0; i < ui->depth; i++) {
        const struct view *p = ui->stack[i];
        const char *crumb = p->arg[0] && p->ops->id != VIEW_HELP ? p->arg : view_crumb(p->ops->id);
        if (i > 0)
            x += screen_putf(1, x, edge - x, PAINT_DIM, " %s ", glyph(GLYPH_CRUMB));
        x += screen_put(1, x, edge - x, i + 1 == ui->depth ? PAINT_CRUMB : PAINT_TEXT, crumb);
    }
    if (v->filter_text[0] && ui->mode != MODE_FILTER)
        screen_putf(1, x + 2, edge - x - 3, PAINT_INFO, "/%s", v->filter_text);
    screen_put(1, edge, w - edge, PAINT_DIM, right);
}

/* Errors that stand until their task succeeds or Esc puts them away. Returns the lines used, from y upwards. */
static int draw_errors(struct ui *ui, int y, int w)
{
    int lines = 0;
    for (int t = 0; t < TASK_COUNT && lines < STRIP_MAX; t++) {
        const struct task_status *task = &ui->session->tasks[t];
        if (task->error.code == ERR_OK || task->running || ui->error_seen[t])
            continue;
        char text[640];
        str_fmt(text, sizeof text, "%s %s%s%s", state_glyph(STATE_ERROR), task->error.what,
                task->error.hint[0] ? ": " : "", task->error.hint);
        size_t starts[STRIP_MAX], lens[STRIP_MAX], at = 0, skip;
        int n = 0;
        while (text[at] && n < STRIP_MAX - lines) {
            starts[n] = at;
            lens[n] = text_wrap(text + at, w - 2, &skip);
            at += skip;
            n++;
        }
        for (int i = 0; i < n; i++) {
            char line[640];
            str_copy(line, lens[i] + 1, text + starts[i]);
            screen_field(y - lines - (n - 1 - i), 0, w, PAINT_ERROR, false, "");
            screen_put(y - lines - (n - 1 - i), 1, w - 2, PAINT_ERROR, line);
        }
        lines += n;
    }
    return lines;
}

static bool is_hinted(const struct ui *ui, enum action a)
{
    return action_info(a)->flags & ACTION_HINT && action_is_on(a, ui->stack[ui->depth - 1]->ops->id);
}

static const char *hint_mark(const struct ui *ui, enum action a)
{
    return action_info(a)->flags & ACTION_CHANGE && session_why_not_change(ui->session) ? " (locked)" : "";
}

/* Columns of a hint with the gap after it. */
static int hint_width(const struct ui *ui, enum action a)
{
    char key[32];
    key_text(action_info(a)->key, text_is_ascii(), key, sizeof key);
    return is_hinted(ui, a)
               ? text_width(key) + 1 + (int)strlen(action_info(a)->name) + (int)strlen(hint_mark(ui, a)) + 2
               : 0;
}

/* From *x on, when it ends before `end`. False when there was no room. What cannot be done now is dim. */
static bool draw_hint(struct ui *ui, enum action a, int y, int *x, int end)
{
    char key[32];
    if (!is_hinted(ui, a))
        return true;
    if (*x + hint_width(ui, a) > end)
        return false;
    key_text(action_info(a)->key, text_is_ascii(), key, sizeof key);
    *x += screen_put(y, *x, end - *x, action_why_not(ui, a) ? PAINT_HINT : PAINT_KEY, key);
    *x += 1 + screen_put(y, *x + 1, end - *x - 1, PAINT_HINT, action_info(a)->name);
    *x += screen_put(y, *x, end - *x, PAINT_HINT, hint_mark(ui, a)) + 2;
    return true;
}

static void draw_hints(struct ui *ui, int y, int w)
{
    int x = 1;
    screen_fill((struct rect){y, 0, 1, w}, PAINT_HINT);
    if (ui->mode != MODE_NORMAL) {
        screen_put(y, x, w - 2, PAINT_HINT,
                   ui->mode == MODE_FILTER    ? "Enter keep  Esc undo  field:value  !not  \"two words\""
                   : ui->mode == MODE_PALETTE ? "Enter run  Tab complete  Up Down choose  Esc leave"
                   : ui->dialog.kind == DIALOG_YES_NO ? "y yes  n no  Esc no"
                                                      : "Enter when typed  Esc leave");
        return;
    }
    /* help has its place whatever else does not fit */
    for (int a = 0; a < ACTION_COUNT; a++)
        if (a != ACTION_HELP && !draw_hint(ui, (enum action)a, y, &x, w - hint_width(ui, ACTION_HELP)))
            break;
    (void)draw_hint(ui, ACTION_HELP, y, &x, w);
}

static void draw_pane(struct view *v, struct rect r)
{
    pane_draw(&v->pane, r);
}

static void draw_view(struct view *v, struct rect r)
{
    if (v->ops->draw) {
        v->ops->draw(v, r);
        return;
    }
    int used = v->ops->head ? v->ops->head(v, r) : 0;
    r.y += used;
    r.h -= used;
    if (r.h < 1)
        return;
    if (!v->ops->source) {
        draw_pane(v, (struct rect){r.y, r.x + 1, r.h, r.w - 2});
        return;
    }
    const char *empty = v->ops->empty ? v->ops->empty(v) : "nothing here";
    int share = v->ops->share;
    if (share >= 100 || !v->ops->describe || r.h < 3 + PANE_MIN_LINES) {
        table_draw(&v->table, r, true, empty);
        return;
    }
    if (r.w >= SIDE_BY_SIDE) {
        int left = r.w * 58 / 100;
        table_draw(&v->table, (struct rect){r.y, r.x, r.h, left}, !v->in_pane, empty);
        screen_vline(r.y, r.x + left, r.h, v->in_pane ? PAINT_TITLE : PAINT_BORDER);
        draw_pane(v, (struct rect){r.y, r.x + left + 2, r.h, r.w - left - 3});
        return;
    }
    int top = r.h * share / 100, wanted = (int)v->table.n + 2;
    if (wanted < 4)
        wanted = 4;
    top = top > wanted ? wanted : top < 3 ? 3 : top; /* a short list leaves its room to the detail */
    table_draw(&v->table, (struct rect){r.y, r.x, top, r.w}, !v->in_pane, empty);
    screen_hline(r.y + top, r.x, r.w, v->in_pane ? PAINT_TITLE : PAINT_BORDER);
    if (v->in_pane)
        screen_put(r.y + top, r.x + 2, r.w - 4, PAINT_TITLE, " detail ");
    draw_pane(v, (struct rect){r.y + top + 1, r.x + 1, r.h - top - 1, r.w - 2});
}

void frame_draw(struct ui *ui)
{
    int rows, cols;
    screen_size(&rows, &cols);
    screen_begin();
    if (rows < SCREEN_MIN_ROWS || cols < SCREEN_MIN_COLS) {
        char text[80];
        str_fmt(text, sizeof text, "too small: %dx%d, needs %dx%d", cols, rows, SCREEN_MIN_COLS,
                SCREEN_MIN_ROWS);
        screen_put(rows / 2, 0, cols, PAINT_WARNING, text);
        return;
    }
    draw_bar(ui, cols);
    draw_crumbs(ui, cols);
    int bottom = rows - 2; /* the line of prompt and message */
    if (!mode_draw_line(ui, bottom, cols))
        screen_put(bottom, 1, cols - 2, ui->message_paint, ui->message);
    int errors = draw_errors(ui, bottom - 1, cols);
    struct rect body = {2, 0, bottom - 2 - errors, cols};
    draw_view(ui_top(ui), body);
    draw_hints(ui, rows - 1, cols);
    mode_draw(ui, body);
}
