/*
 * Between the files of the user interface (ui.c, frame.c, modes.c, dispatch.c).
 */
#ifndef TUI_VIEWS_UI_INT_H
#define TUI_VIEWS_UI_INT_H

#include "tui/views/ui.h"

/* frame.c: everything on the screen. */
void frame_draw(struct ui *ui);

/* modes.c */
void mode_filter_begin(struct ui *ui);
void mode_palette_begin(struct ui *ui);
void mode_key(struct ui *ui, int key);
/* The popup of the palette or the dialog, over the view. */
void mode_draw(struct ui *ui, struct rect body);
/* The line of the prompt; false in normal mode. */
bool mode_draw_line(struct ui *ui, int y, int w);
void dialog_fini(struct dialog *d);

/* Names an argument of this kind can take, for completion; returns how many. Borrowed. */
size_t argument_names(struct ui *ui, enum action_arg kind, const char **names, size_t max);

#endif
