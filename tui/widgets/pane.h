/*
 * A pane of text: lines with a role, wrapped to the width it is given, scrolled. For details, evidence and help.
 */
#ifndef TUI_WIDGETS_PANE_H
#define TUI_WIDGETS_PANE_H

#include "core/base/vec.h"
#include "tui/widgets/screen.h"

struct pane_line {
    char *text; /* safe to show */
    enum paint paint;
    int indent; /* of the first line; wrapped ones get hang more */
    int hang;
};

struct pane {
    VEC(struct pane_line) lines;
    int top;    /* first wrapped line shown */
    int height; /* wrapped lines, as drawn last time */
    int page;
};

void pane_fini(struct pane *p);
/* Forgets the text; keeps the scroll position, which pane_home() resets. */
void pane_clear(struct pane *p);
void pane_home(struct pane *p);
/* One paragraph; newlines in it begin new lines of the same kind. Past 20,000 lines nothing is added. */
void pane_add(struct pane *p, enum paint paint, int indent, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The same; lines after the first are indented by hang more. */
void pane_item(struct pane *p, enum paint paint, int indent, int hang, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
/* "label: value" with the value aligned at a column and hung there. NULL values are left out. */
void pane_field(struct pane *p, enum paint paint, const char *label, const char *value);
void pane_gap(struct pane *p);
bool pane_key(struct pane *p, int key);
void pane_draw(struct pane *p, struct rect r);

#endif
