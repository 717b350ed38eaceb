/*
 * A table of any length: only the rows on the screen are asked for their text. Sorted and filtered through an index; the selection
 * stays on its row (by the row's key) whatever happens around it.
 *
 * The source owns the rows; the table keeps nothing of them but keys. After a change of the rows: table_rebuild().
 */
#ifndef TUI_WIDGETS_TABLE_H
#define TUI_WIDGETS_TABLE_H

#include "core/base/vec.h"
#include "tui/widgets/columns.h"
#include "tui/widgets/filter.h"
#include "tui/widgets/screen.h"

#define TABLE_KEY_SIZE 160

struct cell {
    const char *text; /* into the row's own data, or scratch; never NULL */
    enum paint paint; /* PAINT_TEXT at first */
    int64_t number;   /* for numeric columns and number filters */
    char scratch[256];
};

struct table_source {
    const struct column *columns;
    size_t n_columns;
    size_t (*count)(void *ctx);
    void (*cell)(void *ctx, size_t row, size_t column, struct cell *out);
    /* Names the row for ever, so that the selection can follow it. */
    void (*key)(void *ctx, size_t row, char *out, size_t cap);
};

struct table {
    const struct table_source *source;
    void *ctx;
    struct filter filter;
    size_t *index; /* shown row -> row of the source */
    size_t n, cap; /* shown rows */
    size_t total;
    size_t at, top; /* selected and topmost shown row */
    int page;       /* rows drawn last time */
    int sort;       /* column, -1: as the source has them */
    bool descending;
    bool follow_top; /* live views: a selection on the first row stays on the first row */
    char key[TABLE_KEY_SIZE];
};

void table_init(struct table *t, const struct table_source *source, void *ctx);
void table_fini(struct table *t);
/* Filters, sorts, finds the selected row again; a row that is gone hands the selection to its neighbour. */
void table_rebuild(struct table *t);
/* ERR_USAGE as filter_parse(); the old filter stays. */
enum err table_filter(struct table *t, const char *text, struct errinfo *ei) MUST_CHECK;
/* Rows move the selection; true when the key was one of the table's. */
bool table_key(struct table *t, int key);
void table_sort(struct table *t, int column, bool descending);
/* The next column that sorts; wraps to the source's own order. */
void table_sort_next(struct table *t);
/* By title or field; false when there is none. */
bool table_sort_by(struct table *t, const char *name);
/* Row of the source under the selection; false when the table is empty. */
bool table_selected(const struct table *t, size_t *row);
bool table_select(struct table *t, const char *key);
/* empty: what to say when no row is there. */
void table_draw(struct table *t, struct rect r, bool focused, const char *empty);
void table_cell(const struct table *t, size_t row, size_t column, struct cell *out);

#endif
