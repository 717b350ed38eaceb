/*
 * The screen: the one place that talks to curses. One terminal, one thread (the UI thread); everything is drawn into a back
 * buffer and reaches the terminal in screen_show(), which writes only what changed - nothing when nothing did.
 *
 * Texts may come from outside: they are made safe to show here, whoever draws them.
 */
#ifndef TUI_WIDGETS_SCREEN_H
#define TUI_WIDGETS_SCREEN_H

#include "core/base/err.h"
#include "tui/widgets/key.h"
#include "tui/widgets/state.h"
#include "tui/widgets/theme.h"

#include <stdbool.h>

#define SCREEN_MIN_ROWS 16
#define SCREEN_MIN_COLS 60

struct rect {
    int y, x, h, w;
};

struct screen_config {
    bool ascii;    /* force the ASCII glyph set */
    bool no_color; /* as NO_COLOR */
    const struct theme *theme;
};

/* Sets the locale, starts curses, arms the crash handlers. ERR_CONFIG with a hint when the terminal cannot do it. */
enum err screen_open(const struct screen_config *c, struct errinfo *ei) MUST_CHECK;
/* Gives the terminal back; safe to call twice. */
void screen_close(void);
/* Ctrl-Z: gives the terminal back, stops the process, takes the terminal again when continued. */
void screen_suspend(void);
/* After SIGWINCH: reads the new size. */
void screen_resize(void);
void screen_set_theme(const struct theme *t);

void screen_size(int *rows, int *cols);
bool screen_has_color(void);
/* The next key that waits, KEY_NONE when none does. Never blocks. */
int screen_key(void);

void screen_begin(void);
/* repaint: everything, for a screen that something else scribbled on. */
void screen_show(bool repaint);
/* Up to w cells of text; returns the cells used. A text that does not fit ends with an ellipsis. */
int screen_put(int y, int x, int w, enum paint role, const char *text);
int screen_putf(int y, int x, int w, enum paint role, const char *fmt, ...) PRINTF_LIKE(5, 6);
/* The same, the rest of the w cells filled with spaces of the role; right-aligned when asked. */
void screen_field(int y, int x, int w, enum paint role, bool right, const char *text);
void screen_fill(struct rect r, enum paint role);
void screen_hline(int y, int x, int w, enum paint role);
void screen_vline(int y, int x, int h, enum paint role);
/* A frame with a title, its inside cleared. Returns the inside. */
struct rect screen_frame(struct rect r, const char *title);
/* Where the cursor stands after screen_show(); hidden when nobody asked since screen_begin(). */
void screen_cursor(int y, int x);
/* Sends text to the terminal's own clipboard (OSC 52), which reaches the admin's machine through SSH too. Whether the terminal takes it
   cannot be known. False past 74,994 bytes of base64, which no terminal takes. */
bool screen_copy(const char *text);

#endif
