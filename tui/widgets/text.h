/*
 * Text as cells: how wide a string is on the screen, where to cut it, where to wrap it.
 *
 * All functions expect text that is safe to show (str_show). Widths come from wcwidth() of the process's locale; on an
 * ASCII terminal every other character takes the one cell of the '?' that stands for it. Pure but for that switch, which
 * is set once at start.
 */
#ifndef TUI_WIDGETS_TEXT_H
#define TUI_WIDGETS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

void text_set_ascii(bool ascii);
bool text_is_ascii(void);

/* Decodes one character: its bytes, its cells (0 for combining marks), what to draw. False at the end of s. */
bool text_next(const char *s, size_t *bytes, int *cells, wchar_t *wc);
int text_width(const char *s);
/* Bytes of s that fit into `cells`; *used how many cells they take. Combining marks stay with their base. */
size_t text_fit(const char *s, int cells, int *used);
/* Length in bytes of the next line when s is wrapped to `cells` (at spaces where there is one, never inside a character);
   *skip how many bytes to go on, white space after the break included. 0 and *skip 0 only at the end. */
size_t text_wrap(const char *s, int cells, size_t *skip);

#endif
