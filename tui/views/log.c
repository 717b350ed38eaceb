/* What the console itself has to say, newest first; and the help of a view, made of the action table. */
#include "tui/views/format.h"

#include "core/base/log.h"
#include "core/base/str.h"
#include "tui/widgets/text.h"

#include <string.h>

static const struct column columns[] = {
    {"TIME", "time", 9, 9, 0, 1, false},
    {"LEVEL", "level", 7, 9, 0, 0, false},
    {"MESSAGE", "message", 20, 60, 1, 0, false},
};

static size_t count(void *ctx)
{
    return ((struct view *)ctx)->ui->session->n_log;
}

static const struct log_entry *entry(void *ctx, size_t row)
{
    const struct session *s = ((struct view *)ctx)->ui->session;
    return &s->log[s->n_log - 1 - row];
}

static void cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    static const enum state states[] = {
        [LOG_LEVEL_ERROR] = STATE_ERROR,
        [LOG_LEVEL_WARNING] = STATE_WARNING,
        [LOG_LEVEL_INFO] = STATE_INFO,
        [LOG_LEVEL_DEBUG] = STATE_NONE,
    };
    const struct log_entry *e = entry(ctx, row);
    char at[32];
    switch (column) {
    case 0:
        out->number = e->at;
        cell_printf(out, "%s", clock_words(e->at, at, sizeof at));
        break;
    case 1: cell_state(out, states[e->level]); break;
    default: out->text = e->text; break;
    }
}

static void key(void *ctx, size_t row, char *out, size_t cap)
{
    const struct log_entry *e = entry(ctx, row);
    str_fmt(out, cap, "%lld %.100s", (long long)e->at, e->text);
}

static const struct table_source source = {columns, ARRAY_LEN(columns), count, cell, key};

static void describe(struct view *v, bool has_row, size_t row)
{
    if (has_row)
        pane_add(&v->pane, PAINT_TEXT, 0, "%s", entry(v, row)->text);
}

static void refresh(struct view *v, unsigned events)
{
    (void)events;
    v->ui->session->log_problems = 0;
}

static bool copy(struct view *v, struct buf *out)
{
    size_t row;
    return view_selected(v, &row) && buf_adds(out, entry(v, row)->text) == ERR_OK;
}

static const char *empty(struct view *v)
{
    (void)v;
    return "nothing to report";
}

const struct view_ops view_log = {
    .id = VIEW_LOG,
    .source = &source,
    .share = 70,
    .problems = "!level:info",
    .refresh = refresh,
    .describe = describe,
    .copy = copy,
    .empty = empty,
};

static enum view_id helped_view(const struct view *v)
{
    for (int i = 0; i < VIEW_COUNT; i++) {
        if (str_eq(view_crumb((enum view_id)i), v->arg))
            return (enum view_id)i;
    }
    return VIEW_OVERVIEW;
}

static void help_line(struct pane *p, const char *keys, const char *name, const char *help, const char *why)
{
    int pad = 9 - text_width(keys);
    pane_item(p, why ? PAINT_DIM : PAINT_TEXT, 1, 23, "%s%*s%-13s %s%s%s%s", keys, pad > 1 ? pad : 1, "",
              name, why ? "[" : "", why ? why : "", why ? "] " : "", help);
}

static void help_refresh(struct view *v, unsigned events)
{
    struct pane *p = &v->pane;
    enum view_id id = helped_view(v);
    (void)events;
    pane_clear(p);
    pane_add(p, PAINT_TITLE, 0, "%s: %s", view_crumb(id), view_about(id));
    for (int everywhere = 0; everywhere < 2; everywhere++) {
        pane_gap(p);
        pane_add(p, PAINT_TITLE, 0, everywhere ? "Everywhere" : "In this view");
        for (int a = 0; a < ACTION_COUNT; a++) {
            const struct action_info *info = action_info((enum action)a);
            if (!action_is_on((enum action)a, id) || (info->views == ON_ANY) != (everywhere == 1))
                continue;
            char keys[32] = "";
            key_text(info->key, text_is_ascii(), keys, sizeof keys);
            const char *why = info->flags & ACTION_CHANGE ? session_why_not_change(v->ui->session) : NULL;
            help_line(p, keys[0] ? keys : ":", info->name, info->help, why);
        }
        for (size_t i = 0; !everywhere && motions[i].help; i++) {
            char keys[40], second[8] = "";
            key_text(motions[i].keys[0], text_is_ascii(), keys, sizeof keys);
            key_text(motions[i].keys[1], text_is_ascii(), second, sizeof second);
            size_t n = strlen(keys);
            if (second[0])
                str_fmt(keys + n, sizeof keys - n, " %s", second);
            help_line(p, keys, "", motions[i].help, NULL);
        }
    }
    pane_gap(p);
    pane_add(p, PAINT_TITLE, 0, "Filters");
    static const char *const filters[] = {
        "ntlm            any column holds it",  "!ntlm           no column holds it",
        "site:dublin     that column holds it", "site:=dublin    it is that and no more",
        "status:>=400    numbers: = < <= > >=", "\"two words\"     spaces and colons",
    };
    for (size_t i = 0; i < ARRAY_LEN(filters); i++)
        pane_add(p, PAINT_TEXT, 1, "%s", filters[i]);
    pane_gap(p);
    pane_add(p, PAINT_DIM, 0,
             "Lower case looks, upper case changes. Text can be marked with the mouse as in any terminal.");
}

const struct view_ops view_help = {
    .id = VIEW_HELP,
    .refresh = help_refresh,
};
