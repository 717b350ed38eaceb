/*
 * Keys as one number: a Unicode code point, a control character (1..26 is Ctrl-A..Ctrl-Z) or one of the named keys below.
 * Pure; shared by the screen, which reads keys, and by the action table, which gives them a meaning.
 */
#ifndef TUI_WIDGETS_KEY_H
#define TUI_WIDGETS_KEY_H

#include <stdbool.h>
#include <stddef.h>

/* enumerator, name for people, name in ASCII */
#define KEY_MAP(X)                                                                                           \
    X(ENTER, "Enter", "Enter")                                                                               \
    X(ESC, "Esc", "Esc")                                                                                     \
    X(TAB, "Tab", "Tab")                                                                                     \
    X(BACKTAB, "Shift-Tab", "Shift-Tab")                                                                     \
    X(BACKSPACE, "Backspace", "Backspace")                                                                   \
    X(DELETE, "Del", "Del")                                                                                  \
    X(UP, "↑", "Up")                                                                                         \
    X(DOWN, "↓", "Down")                                                                                     \
    X(LEFT, "←", "Left")                                                                                     \
    X(RIGHT, "→", "Right")                                                                                   \
    X(HOME, "Home", "Home")                                                                                  \
    X(END, "End", "End")                                                                                     \
    X(PAGE_UP, "PgUp", "PgUp")                                                                               \
    X(PAGE_DOWN, "PgDn", "PgDn")                                                                             \
    X(PASTE_BEGIN, "paste", "paste") /* bracketed paste: what follows was not typed */                       \
    X(PASTE_END, "paste", "paste")

enum key {
    KEY_NONE = 0,
    KEY_NAMED = 0x110000, /* past the last code point */
#define X(name, words, ascii) K_##name,
    KEY_MAP(X)
#undef X
        KEY_PAST_LAST
};

#define KEY_CTRL(letter) ((letter)&0x1f)

/* A character that belongs into a text field. */
bool key_is_text(int key);
/* "Enter", "Ctrl-L", "Space", "?"; never fails. */
void key_text(int key, bool ascii, char *out, size_t cap);

#endif
