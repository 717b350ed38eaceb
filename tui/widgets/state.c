#include "tui/widgets/state.h"

#include "tui/widgets/text.h"

static const struct {
    const char *word, *glyph, *ascii, *text, *ascii_text;
    enum paint paint;
} states[] = {
#define X(name, word, glyph, ascii, role) {word, glyph, ascii, glyph " " word, ascii " " word, PAINT_##role},
    STATE_MAP(X)
#undef X
};

const char *state_word(enum state s)
{
    return states[s].word;
}

const char *state_glyph(enum state s)
{
    return text_is_ascii() ? states[s].ascii : states[s].glyph;
}

enum paint state_paint(enum state s)
{
    return states[s].paint;
}

const char *state_text(enum state s)
{
    return text_is_ascii() ? states[s].ascii_text : states[s].text;
}

const char *glyph(enum glyph g)
{
    static const char *const utf8[GLYPH_COUNT] = {
        [GLYPH_ELLIPSIS] = "…",  [GLYPH_SORT_UP] = "▲",   [GLYPH_SORT_DOWN] = "▼", [GLYPH_CRUMB] = "›",
        [GLYPH_RULE] = "─",      [GLYPH_WALL] = "│",      [GLYPH_CORNER_TL] = "┌", [GLYPH_CORNER_TR] = "┐",
        [GLYPH_CORNER_BL] = "└", [GLYPH_CORNER_BR] = "┘", [GLYPH_ARROW] = "→",     [GLYPH_HEAD_RIGHT] = "▶",
        [GLYPH_HEAD_LEFT] = "◀", [GLYPH_BULLET] = "•",    [GLYPH_HERE] = "▸",      [GLYPH_TODO] = "○",
        [GLYPH_DONE] = "✓",      [GLYPH_MORE_UP] = "↑",   [GLYPH_MORE_DOWN] = "↓", [GLYPH_CURSOR] = "▌",
    };
    static const char *const ascii[GLYPH_COUNT] = {
        [GLYPH_ELLIPSIS] = "~",  [GLYPH_SORT_UP] = "^",   [GLYPH_SORT_DOWN] = "v", [GLYPH_CRUMB] = ">",
        [GLYPH_RULE] = "-",      [GLYPH_WALL] = "|",      [GLYPH_CORNER_TL] = "+", [GLYPH_CORNER_TR] = "+",
        [GLYPH_CORNER_BL] = "+", [GLYPH_CORNER_BR] = "+", [GLYPH_ARROW] = "->",    [GLYPH_HEAD_RIGHT] = ">",
        [GLYPH_HEAD_LEFT] = "<", [GLYPH_BULLET] = "*",    [GLYPH_HERE] = ">",      [GLYPH_TODO] = ".",
        [GLYPH_DONE] = "+",      [GLYPH_MORE_UP] = "^",   [GLYPH_MORE_DOWN] = "v", [GLYPH_CURSOR] = ">",
    };
    return text_is_ascii() ? ascii[g] : utf8[g];
}
