/*
 * Themes: what each role of the screen looks like. A theme file is INI, one line a role:
 *
 *     error = red,default,bold
 *
 * foreground, then optionally a background, then attributes (bold, dim, underline, reverse, italic). A colour is "default" (the
 * terminal's own), a name (black .. white, bright-black .. bright-white), an index 0..255 or #rrggbb. Roles that a file does
 * not name stay as in the default theme. Pure: knows no terminal; what a terminal cannot show is approximated by theme_reduce().
 */
#ifndef TUI_WIDGETS_THEME_H
#define TUI_WIDGETS_THEME_H

#include "core/base/err.h"

#include <stdbool.h>

/* name, name in a file, what it is for */
#define PAINT_MAP(X)                                                                                         \
    X(TEXT, "text", "plain text")                                                                            \
    X(DIM, "dim", "less important text")                                                                     \
    X(STRONG, "strong", "emphasis")                                                                          \
    X(BAR, "bar", "the bar at the top")                                                                      \
    X(CRUMB, "crumb", "where one is")                                                                        \
    X(HINT, "hint", "the key bar at the bottom")                                                             \
    X(KEY, "key", "a key in it")                                                                             \
    X(HEADER, "header", "column titles")                                                                     \
    X(SELECTED, "selected", "the selected row")                                                              \
    X(BORDER, "border", "lines and frames")                                                                  \
    X(TITLE, "title", "titles of panes and dialogs")                                                         \
    X(INPUT, "input", "text being typed")                                                                    \
    X(OK, "ok", "state: right")                                                                              \
    X(INFO, "info", "state: worth knowing")                                                                  \
    X(UNKNOWN, "unknown", "state: not known")                                                                \
    X(WARNING, "warning", "state: warning")                                                                  \
    X(ERROR, "error", "state: error")                                                                        \
    X(BLOCKER, "blocker", "state: blocker")                                                                  \
    X(LOCKED, "locked", "the read-only badge")                                                               \
    X(UNLOCKED, "unlocked", "the badge when changes are possible")                                           \
    X(BEFORE, "before", "a value that goes")                                                                 \
    X(AFTER, "after", "a value that comes")

enum paint {
#define X(name, id, help) PAINT_##name,
    PAINT_MAP(X)
#undef X
        PAINT_COUNT
};

enum {
    STYLE_BOLD = 1,
    STYLE_DIM = 2,
    STYLE_UNDERLINE = 4,
    STYLE_REVERSE = 8,
    STYLE_ITALIC = 16,
};

#define COLOR_DEFAULT  (-1)
#define COLOR_RGB_FLAG 0x1000000 /* | 0xrrggbb */

struct style {
    int fg, bg; /* COLOR_DEFAULT, an index 0..255 or COLOR_RGB_FLAG | rgb */
    unsigned attrs;
};

struct theme {
    char name[48];
    struct style roles[PAINT_COUNT];
};

const char *paint_name(enum paint r);
/* base: what roles that text does not name look like; NULL: everything in the terminal's own colours. name is for messages and
   out->name. The error names the line. */
enum err theme_parse(struct theme *out, const struct theme *base, const char *name, const char *text,
                     struct errinfo *ei) MUST_CHECK;
/* Compiled in. ERR_NOTFOUND with the names there are. */
enum err theme_find_builtin(struct theme *out, const char *name, struct errinfo *ei) MUST_CHECK;
/* A user's $XDG_CONFIG_HOME/casbridge/themes/NAME.theme, else a builtin one. Never leaves out unusable: on an error it holds the default. */
enum err theme_load(struct theme *out, const char *name, struct errinfo *ei) MUST_CHECK;
/* Name of the i-th builtin theme, NULL past the last. */
const char *theme_builtin_name(unsigned i);
/* The nearest colour of a terminal with `colors` colours (8, 16, 256, more: direct). */
int theme_reduce(int color, int colors);

#endif
