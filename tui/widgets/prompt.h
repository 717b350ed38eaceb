/*
 * A line of text being typed: editing, history. Pure but for drawing.
 */
#ifndef TUI_WIDGETS_PROMPT_H
#define TUI_WIDGETS_PROMPT_H

#include "tui/widgets/screen.h"

#define PROMPT_SIZE    512
#define PROMPT_HISTORY 50

struct prompt_history {
    char *lines[PROMPT_HISTORY];
    size_t n;
};

struct prompt {
    char text[PROMPT_SIZE]; /* UTF-8 */
    size_t len, cursor;     /* bytes */
    struct prompt_history *history;
    size_t back; /* 0: the line itself, i: the i-th last of the history */
    char draft[PROMPT_SIZE];
    bool hidden; /* drawn as stars */
};

enum prompt_result { PROMPT_IGNORED, PROMPT_MOVED, PROMPT_CHANGED };

void prompt_init(struct prompt *p, struct prompt_history *history, const char *text);
void prompt_set(struct prompt *p, const char *text);
/* Editing keys; Enter, Esc and Tab are the caller's. history keys (Up, Down) only when it has one. */
enum prompt_result prompt_key(struct prompt *p, int key);
void prompt_draw(const struct prompt *p, int y, int x, int w, enum paint paint);

/* Repeats are not kept twice. */
void prompt_remember(struct prompt_history *h, const char *line);
void prompt_history_fini(struct prompt_history *h);

#endif
