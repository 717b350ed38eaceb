/*
 * What dispatch needs of single views.
 */
#ifndef TUI_VIEWS_WIZARD_H
#define TUI_VIEWS_WIZARD_H

#include "tui/views/ui.h"

/* Answers or skips the selected gate with a typed reason, or takes that back. */
void wizard_settle(struct view *v);
/* Looks at another step: +1, -1. */
void wizard_step(struct view *v, int by);
void connections_pause(struct ui *ui, const char *arg);
void connections_kill(struct ui *ui, const char *arg);

#endif
