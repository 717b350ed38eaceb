/*
 * States and glyphs: every state is shown as glyph, word and colour, so that none of the three is needed to read it.
 */
#ifndef TUI_WIDGETS_STATE_H
#define TUI_WIDGETS_STATE_H

#include "tui/widgets/theme.h"

/* name, word, glyph, ASCII glyph, role; ordered from best to worst, so that the worst of many is their maximum */
#define STATE_MAP(X)                                                                                         \
    X(NONE, "-", "·", "-", DIM)                                                                              \
    X(OK, "ok", "✓", "+", OK)                                                                                \
    X(INFO, "info", "i", "i", INFO)                                                                          \
    X(UNKNOWN, "unknown", "?", "?", UNKNOWN)                                                                 \
    X(WARNING, "warning", "▲", "!", WARNING)                                                                 \
    X(ERROR, "error", "✗", "x", ERROR)                                                                       \
    X(BLOCKER, "blocker", "■", "X", BLOCKER)

enum state {
#define X(name, word, glyph, ascii, role) STATE_##name,
    STATE_MAP(X)
#undef X
        STATE_COUNT
};

const char *state_word(enum state s);
const char *state_glyph(enum state s);
enum paint state_paint(enum state s);
/* "✗ error". Static text, one per state and glyph set. */
const char *state_text(enum state s);

/* Drawing characters of the terminal's glyph set. */
enum glyph {
    GLYPH_ELLIPSIS,
    GLYPH_SORT_UP,
    GLYPH_SORT_DOWN,
    GLYPH_CRUMB,
    GLYPH_RULE, /* one cell of a horizontal line */
    GLYPH_WALL, /* one cell of a vertical line */
    GLYPH_CORNER_TL,
    GLYPH_CORNER_TR,
    GLYPH_CORNER_BL,
    GLYPH_CORNER_BR,
    GLYPH_ARROW, /* before -> after */
    GLYPH_HEAD_RIGHT,
    GLYPH_HEAD_LEFT,
    GLYPH_BULLET,
    GLYPH_HERE, /* the step one stands on */
    GLYPH_TODO,
    GLYPH_DONE,
    GLYPH_MORE_UP,
    GLYPH_MORE_DOWN,
    GLYPH_CURSOR, /* selected row where colour and reverse are missing */
    GLYPH_COUNT
};
const char *glyph(enum glyph g);

#endif
