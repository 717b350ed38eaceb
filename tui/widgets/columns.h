/*
 * Which columns of a table fit into a width, and how wide each is. Pure.
 *
 * Every column begins at its `want`. As long as the columns, each half way between `min` and `want`, are too wide in sum, the one
 * with the highest `drop` goes (drop 0: never). What is still too wide shrinks, flexible columns first and not below `min`; room left
 * over goes to them in proportion to `flex`.
 */
#ifndef TUI_WIDGETS_COLUMNS_H
#define TUI_WIDGETS_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#define COLUMNS_MAX 20
#define COLUMN_GAP  1

struct column {
    const char *title;
    const char *field; /* name in filters; also what :sort takes */
    int min, want;
    int flex;     /* share of room left over; 0: never grows and never shrinks */
    int drop;     /* 0: always shown */
    bool numeric; /* right-aligned, sorted by number */
};

/* widths[i] 0: not shown. The last resort, when not even the columns that always show fit, cuts the last of them. */
void columns_fit(const struct column *columns, size_t n, int width, int widths[static COLUMNS_MAX]);

#endif
