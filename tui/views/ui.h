/*
 * The user interface over a session: a stack of views, the frame around them, prompts and dialogs. UI thread only.
 *
 * The console's loop feeds it keys and wake-ups and shows what it drew; it never waits for anything.
 */
#ifndef TUI_VIEWS_UI_H
#define TUI_VIEWS_UI_H

#include "tui/session.h"
#include "tui/views/action_map.h"
#include "tui/widgets/pane.h"
#include "tui/widgets/prompt.h"
#include "tui/widgets/table.h"

#define UI_DEPTH 16

struct ui;
struct view;

/* What a kind of view can do. Everything but crumb data may be NULL. */
struct view_ops {
    enum view_id id;
    const struct table_source *source; /* NULL: no table; its ctx is the view */
    int share; /* of the height for the table, in percent, when a pane stands below it; 100: no pane */
    const char *problems; /* filter of the "problems" action; NULL: none */
    enum err (*open)(struct view *v);
    void (*close)(struct view *v);
    /* Something it may show has changed; rows are counted anew after it. Also called once after open. */
    void (*refresh)(struct view *v, unsigned events);
    /* Fills v->pane for the selected row; row is only valid with has_row. */
    void (*describe)(struct view *v, bool has_row, size_t row);
    /* Lines above the table; returns how many it used. */
    int (*head)(struct view *v, struct rect r);
    /* Instead of all of the above. */
    void (*draw)(struct view *v, struct rect r);
    bool (*key)(struct view *v, int key);
    void (*enter)(struct view *v, bool has_row, size_t row);
    /* What `copy` sends; false: nothing. */
    bool (*copy)(struct view *v, struct buf *out);
    /* How often tick is wanted now, 0: not at all. tick: true when there is something new to draw. */
    int (*period_ms)(struct view *v);
    bool (*tick)(struct view *v);
    /* Why the table is empty. */
    const char *(*empty)(struct view *v);
};

struct view {
    const struct view_ops *ops;
    struct ui *ui;
    char arg[160]; /* of which server, run, request; "" none */
    struct table table;
    struct pane pane;
    char filter_text[PROMPT_SIZE];
    char described[TABLE_KEY_SIZE]; /* row the pane was filled for */
    bool in_pane;
    void *data;
};

enum ui_mode { MODE_NORMAL, MODE_FILTER, MODE_PALETTE, MODE_DIALOG };

enum dialog_kind {
    DIALOG_YES_NO, /* y does it; Enter, n and Esc do not */
    DIALOG_TYPE,   /* the expected text must be typed; Enter on anything else does nothing */
    DIALOG_TEXT,   /* any text that is not empty */
    DIALOG_SECRET, /* the same, not shown; Esc answers too */
};

typedef void dialog_accept(struct ui *ui, const char *text);

struct dialog {
    enum dialog_kind kind;
    char title[80], expected[160], complaint[120], label[120];
    struct pane body;
    struct prompt prompt;
    dialog_accept *accept;
    bool answers; /* accept is told of "no" too, with NULL */
};

struct ui {
    struct session *session;
    const struct console_config *config;
    struct view *stack[UI_DEPTH];
    size_t depth;
    enum ui_mode mode;
    struct prompt prompt;
    struct prompt_history filters, commands;
    char filter_before[PROMPT_SIZE];
    struct errinfo filter_error;
    size_t palette_at; /* chosen row of the palette */
    bool palette_moved;
    struct dialog dialog;
    struct theme theme;
    char message[400];
    enum paint message_paint;
    bool error_seen[TASK_COUNT]; /* the strip for this task's error was dismissed */
    unsigned events;             /* not yet given to the views */
    int64_t ticked_ms;           /* when ui_tick() ran last */
    bool pasting, dirty, repaint, quit;
};

enum err ui_open(struct ui *ui, struct session *s, const struct console_config *c, const struct theme *t,
                 struct errinfo *ei) MUST_CHECK;
void ui_close(struct ui *ui);
/* For session_new(). */
void ui_session_changed(void *ui, unsigned events);
void ui_key(struct ui *ui, int key);
/* Milliseconds until ui_tick() is wanted, -1: never. */
int ui_wait_ms(struct ui *ui);
void ui_tick(struct ui *ui);
/* Draws and shows when anything changed. */
void ui_show(struct ui *ui);
/* As the quit action: asks when something runs. */
void ui_quit(struct ui *ui);

/* for views and actions */
struct view *ui_top(struct ui *ui);
void ui_push(struct ui *ui, const struct view_ops *ops, const char *arg, const char *filter);
void ui_pop(struct ui *ui);
/* Back to the overview, then into that view (unless it is the overview). */
void ui_go(struct ui *ui, const struct view_ops *ops, const char *filter);
void ui_say(struct ui *ui, enum paint paint, const char *fmt, ...) PRINTF_LIKE(3, 4);
void ui_say_error(struct ui *ui, const struct errinfo *ei);
void ui_refresh(struct ui *ui, unsigned events);
/* Body lines are added to ui->dialog.body by the caller, after the call. */
void ui_ask(struct ui *ui, enum dialog_kind kind, const char *title, const char *label, const char *expected,
            dialog_accept *accept);

bool view_selected(const struct view *v, size_t *row);
void view_filter(struct view *v, const char *text);

/* What an action does, and why it cannot be done here and now (NULL: it can). */
void action_run(struct ui *ui, enum action a, const char *arg);
const char *action_why_not(struct ui *ui, enum action a);

extern const struct view_ops view_overview, view_servers, view_server, view_sites, view_findings,
    view_connections, view_ladder, view_plan, view_wizard, view_journal, view_run, view_log, view_help;

#endif
