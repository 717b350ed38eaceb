#include "tui/widgets/table.h"

#include "core/base/arena.h"
#include "core/base/str.h"

#include <stdio.h>
#include <string.h>

#define TABLE_MAX_ROWS (1u << 20)

void table_init(struct table *t, const struct table_source *source, void *ctx)
{
    memset(t, 0, sizeof *t);
    ASSERT(source->n_columns <= COLUMNS_MAX);
    t->source = source;
    t->ctx = ctx;
    t->sort = -1;
}

void table_fini(struct table *t)
{
    free(t->index);
    memset(t, 0, sizeof *t);
}

void table_cell(const struct table *t, size_t row, size_t column, struct cell *out)
{
    out->text = "";
    out->paint = PAINT_TEXT;
    out->number = 0;
    out->scratch[0] = '\0';
    t->source->cell(t->ctx, row, column, out);
}

struct probe {
    const struct table *table;
    size_t row;
    struct cell cell;
};

static const char *probe_field(void *ctx, size_t field, int64_t *number)
{
    struct probe *p = ctx;
    table_cell(p->table, p->row, field, &p->cell);
    *number = p->cell.number;
    return p->cell.text;
}

static bool row_passes(const struct table *t, size_t row)
{
    if (t->filter.n == 0)
        return true;
    struct probe p = {.table = t, .row = row};
    return filter_match(&t->filter, t->source->n_columns, probe_field, &p);
}

struct sort_key {
    const char *text;
    int64_t number;
    size_t row;
};

struct sort_order {
    bool numeric, descending;
};

static int compare(const void *a, const void *b, void *ctx)
{
    const struct sort_key *x = a, *y = b;
    const struct sort_order *o = ctx;
    int c = o->numeric ? (x->number > y->number) - (x->number < y->number) : str_icmp(x->text, y->text);
    if (c == 0) /* stable, whichever way round */
        return x->row < y->row ? -1 : x->row > y->row;
    return o->descending ? -c : c;
}

/* Texts are fetched once for each row, not once for each comparison. */
static void sort_index(struct table *t)
{
    if (t->sort < 0 || t->n < 2)
        return;
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    struct sort_key *keys = arena_array(&arena, t->n, sizeof *keys);
    for (size_t i = 0; keys && i < t->n; i++) {
        struct cell c;
        table_cell(t, t->index[i], (size_t)t->sort, &c);
        const char *text = arena_str(&arena, c.text);
        keys[i] = (struct sort_key){text ? text : "", c.number, t->index[i]};
    }
    if (keys) {
        struct sort_order o = {t->source->columns[t->sort].numeric, t->descending};
        qsort_r(keys, t->n, sizeof *keys, compare, &o);
        for (size_t i = 0; i < t->n; i++)
            t->index[i] = keys[i].row;
    }
    arena_fini(&arena);
}

static void remember(struct table *t)
{
    t->key[0] = '\0';
    if (t->at < t->n)
        t->source->key(t->ctx, t->index[t->at], t->key, sizeof t->key);
}

bool table_select(struct table *t, const char *key)
{
    char k[TABLE_KEY_SIZE];
    for (size_t i = 0; i < t->n; i++) {
        t->source->key(t->ctx, t->index[i], k, sizeof k);
        if (strcmp(k, key) == 0) {
            t->at = i;
            remember(t);
            return true;
        }
    }
    return false;
}

void table_rebuild(struct table *t)
{
    size_t count = t->source->count(t->ctx);
    t->total = count;
    t->n = 0;
    for (size_t i = 0; i < count; i++) {
        if (!row_passes(t, i))
            continue;
        if (t->n == t->cap && !vec_grow((void **)&t->index, &t->cap, t->n, sizeof *t->index, TABLE_MAX_ROWS))
            break;
        t->index[t->n++] = i;
    }
    sort_index(t);
    char key[TABLE_KEY_SIZE];
    str_copy(key, sizeof key, t->key);
    if (t->follow_top && t->at == 0)
        key[0] = '\0';
    if (key[0] && table_select(t, key))
        return;
    if (t->at >= t->n)
        t->at = t->n ? t->n - 1 : 0;
    remember(t);
}

enum err table_filter(struct table *t, const char *text, struct errinfo *ei)
{
    const char *fields[COLUMNS_MAX];
    for (size_t i = 0; i < t->source->n_columns; i++)
        fields[i] = t->source->columns[i].field;
    enum err e = filter_parse(&t->filter, text, fields, t->source->n_columns, ei);
    if (e == ERR_OK)
        table_rebuild(t);
    return e;
}

bool table_key(struct table *t, int key)
{
    size_t page = t->page > 1 ? (size_t)t->page - 1 : 1, last = t->n ? t->n - 1 : 0;
    switch (key) {
    case K_UP:
    case 'k': t->at -= t->at > 0; break;
    case K_DOWN:
    case 'j': t->at += t->at < last; break;
    case K_PAGE_UP: t->at = t->at > page ? t->at - page : 0; break;
    case K_PAGE_DOWN: t->at = t->at + page < last ? t->at + page : last; break;
    case K_HOME: t->at = 0; break;
    case K_END: t->at = last; break;
    default: return false;
    }
    remember(t);
    return true;
}

void table_sort(struct table *t, int column, bool descending)
{
    t->sort = column;
    t->descending = descending;
    table_rebuild(t);
}

void table_sort_next(struct table *t)
{
    int n = (int)t->source->n_columns;
    table_sort(t, t->sort + 1 < n ? t->sort + 1 : -1, false);
}

bool table_sort_by(struct table *t, const char *name)
{
    for (size_t i = 0; i < t->source->n_columns; i++) {
        if (str_ieq(t->source->columns[i].field, name) || str_ieq(t->source->columns[i].title, name)) {
            table_sort(t, (int)i, false);
            return true;
        }
    }
    return false;
}

bool table_selected(const struct table *t, size_t *row)
{
    if (t->at >= t->n)
        return false;
    *row = t->index[t->at];
    return true;
}

static void draw_header(const struct table *t, struct rect r, const int *widths)
{
    int x = r.x + 1;
    screen_fill((struct rect){r.y, r.x, 1, r.w}, PAINT_HEADER);
    for (size_t c = 0; c < t->source->n_columns; c++) {
        const struct column *column = &t->source->columns[c];
        if (widths[c] == 0)
            continue;
        char title[64];
        bool sorted = t->sort == (int)c;
        str_fmt(title, sizeof title, "%s%s", column->title,
                !sorted         ? ""
                : t->descending ? glyph(GLYPH_SORT_DOWN)
                                : glyph(GLYPH_SORT_UP));
        screen_field(r.y, x, widths[c], PAINT_HEADER, column->numeric && !sorted, title);
        x += widths[c] + COLUMN_GAP;
    }
}

static void draw_row(const struct table *t, struct rect r, const int *widths, size_t shown, bool focused)
{
    bool selected = shown == t->at;
    int x = r.x + 1;
    if (selected)
        screen_fill((struct rect){r.y, r.x, 1, r.w}, focused ? PAINT_SELECTED : PAINT_STRONG);
    if (selected)
        screen_put(r.y, r.x, 1, focused ? PAINT_SELECTED : PAINT_STRONG, glyph(GLYPH_CURSOR));
    for (size_t c = 0; c < t->source->n_columns; c++) {
        if (widths[c] == 0)
            continue;
        struct cell cell;
        table_cell(t, t->index[shown], c, &cell);
        enum paint paint = selected && focused ? PAINT_SELECTED : cell.paint;
        screen_field(r.y, x, widths[c], paint, t->source->columns[c].numeric, cell.text);
        x += widths[c] + COLUMN_GAP;
    }
}

void table_draw(struct table *t, struct rect r, bool focused, const char *empty)
{
    if (r.h < 1 || r.w < 2)
        return;
    int widths[COLUMNS_MAX];
    columns_fit(t->source->columns, t->source->n_columns, r.w - 2, widths);
    draw_header(t, r, widths);
    t->page = r.h - 1;
    size_t page = t->page > 0 ? (size_t)t->page : 1;
    if (t->at < t->top)
        t->top = t->at;
    if (t->at >= t->top + page)
        t->top = t->at - page + 1;
    if (t->top + page > t->n)
        t->top = t->n > page ? t->n - page : 0;
    for (size_t i = 0; i < page && t->top + i < t->n && (int)i < r.h - 1; i++)
        draw_row(t, (struct rect){r.y + 1 + (int)i, r.x, 1, r.w}, widths, t->top + i, focused);
    if (t->n == 0 && r.h > 1)
        screen_put(r.y + 1, r.x + 1, r.w - 2, PAINT_DIM,
                   t->total > 0 ? "nothing passes the filter (Esc takes it off)" : empty);
}
