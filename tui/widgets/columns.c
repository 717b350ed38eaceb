#include "tui/widgets/columns.h"

static int total(const int *widths, size_t n)
{
    int sum = 0, shown = 0;
    for (size_t i = 0; i < n; i++) {
        if (widths[i] > 0) {
            sum += widths[i];
            shown++;
        }
    }
    return sum + (shown > 1 ? (shown - 1) * COLUMN_GAP : 0);
}

/* What the shown columns need to be of use: half way between the least and what they would like. A table of few columns that can be
   read beats one of many that cannot. */
static int needed(const struct column *columns, const int *widths, size_t n)
{
    int useful[COLUMNS_MAX];
    for (size_t i = 0; i < n; i++)
        useful[i] = widths[i] == 0 ? 0 : columns[i].flex ? (columns[i].min + columns[i].want) / 2 : widths[i];
    return total(useful, n);
}

static bool drop_one(const struct column *columns, int *widths, size_t n)
{
    size_t victim = n;
    for (size_t i = 0; i < n; i++) {
        if (widths[i] > 0 && columns[i].drop > 0 && (victim == n || columns[i].drop >= columns[victim].drop))
            victim = i;
    }
    if (victim == n)
        return false;
    widths[victim] = 0;
    return true;
}

void columns_fit(const struct column *columns, size_t n, int width, int widths[static COLUMNS_MAX])
{
    for (size_t i = 0; i < COLUMNS_MAX; i++)
        widths[i] = i < n ? columns[i].want : 0;
    while (needed(columns, widths, n) > width && drop_one(columns, widths, n)) {
    }
    /* shrink: one cell at a time from the widest flexible column, so that none suffers alone */
    while (total(widths, n) > width) {
        size_t widest = n;
        for (size_t i = 0; i < n; i++) {
            if (widths[i] > columns[i].min && columns[i].flex &&
                (widest == n || widths[i] - columns[i].min > widths[widest] - columns[widest].min))
                widest = i;
        }
        if (widest == n)
            break;
        widths[widest]--;
    }
    for (size_t i = n; i-- > 0 && total(widths, n) > width;) {
        int over = total(widths, n) - width;
        if (widths[i] > 0)
            widths[i] = widths[i] > over ? widths[i] - over : 0;
    }
    int spare = width - total(widths, n), shares = 0;
    for (size_t i = 0; i < n; i++)
        shares += widths[i] > 0 ? columns[i].flex : 0;
    for (size_t i = 0; i < n && shares > 0 && spare > 0; i++) {
        if (widths[i] == 0 || columns[i].flex == 0)
            continue;
        int share = spare * columns[i].flex / shares;
        widths[i] += share;
        spare -= share;
        shares -= columns[i].flex;
    }
}
