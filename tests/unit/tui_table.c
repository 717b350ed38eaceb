/* The table's index: filtered, sorted, and the selection on its row whatever moves. Nothing is drawn. */
#include "tui/widgets/table.h"

#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct rows {
    struct {
        const char *name;
        int n;
    } v[8];
    size_t count;
};

static const struct column columns[] = {{"NAME", "name", 4, 8, 1, 0, false}, {"N", "n", 2, 4, 0, 0, true}};

static size_t count(void *ctx)
{
    return ((struct rows *)ctx)->count;
}

static void cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    const struct rows *r = ctx;
    if (column == 0) {
        out->text = r->v[row].name;
    } else {
        out->number = r->v[row].n;
        str_fmt(out->scratch, sizeof out->scratch, "%d", r->v[row].n);
        out->text = out->scratch;
    }
}

static void key(void *ctx, size_t row, char *out, size_t cap)
{
    str_copy(out, cap, ((struct rows *)ctx)->v[row].name);
}

static const struct table_source source = {columns, ARRAY_LEN(columns), count, cell, key};

static const char *order(struct table *t)
{
    static char text[64];
    text[0] = '\0';
    for (size_t i = 0; i < t->n; i++) {
        size_t n = strlen(text);
        str_fmt(text + n, sizeof text - n, "%s", ((struct rows *)t->ctx)->v[t->index[i]].name);
    }
    return text;
}

static void sorting(void **state)
{
    (void)state;
    struct rows r = {{{"c", 10}, {"a", 9}, {"b", 10}, {"d", 100}}, 4};
    struct table t;
    table_init(&t, &source, &r);
    table_rebuild(&t);
    assert_string_equal(order(&t), "cabd");
    table_sort(&t, 0, false);
    assert_string_equal(order(&t), "abcd");
    table_sort(&t, 0, true);
    assert_string_equal(order(&t), "dcba");
    table_sort(&t, 1, false); /* by number, not by text; equals as the source has them */
    assert_string_equal(order(&t), "acbd");
    table_sort(&t, 1, true);
    assert_string_equal(order(&t), "dcba");
    table_sort_next(&t);
    assert_int_equal(t.sort, -1);
    assert_string_equal(order(&t), "cabd");
    assert_true(table_sort_by(&t, "Name"));
    assert_false(table_sort_by(&t, "nosuch"));
    assert_string_equal(order(&t), "abcd");
    table_fini(&t);
}

static void selection_follows(void **state)
{
    (void)state;
    struct rows r = {{{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}}, 4};
    struct table t;
    size_t row;
    table_init(&t, &source, &r);
    table_rebuild(&t);
    assert_true(table_key(&t, K_DOWN));
    assert_true(table_key(&t, 'j'));
    assert_string_equal(t.key, "c");
    table_sort(&t, 1, true);
    assert_string_equal(t.key, "c");
    assert_true(table_selected(&t, &row) && row == 2);
    assert_int_equal(table_filter(&t, "n:>=3", NULL), ERR_OK);
    assert_string_equal(order(&t), "dc");
    assert_string_equal(t.key, "c");
    assert_int_equal(table_filter(&t, "n:<=2", NULL), ERR_OK); /* its row is gone: a neighbour */
    assert_string_equal(order(&t), "ba");
    assert_string_equal(t.key, "a");
    assert_int_equal(table_filter(&t, "nothing", NULL), ERR_OK);
    assert_false(table_selected(&t, &row));
    assert_true(table_key(&t, K_END));
    assert_int_equal(table_filter(&t, "x:y", NULL), ERR_USAGE);
    assert_int_equal(table_filter(&t, "", NULL), ERR_OK);
    assert_true(table_selected(&t, &row));
    assert_true(table_select(&t, "b"));
    assert_false(table_select(&t, "zz"));
    r.count = 1; /* rows went away behind its back: after a rebuild it is right again */
    table_rebuild(&t);
    assert_true(table_selected(&t, &row) && row == 0);
    r.count = 0;
    table_rebuild(&t);
    assert_false(table_selected(&t, &row));
    table_fini(&t);
}

static void live_stays_on_top(void **state)
{
    (void)state;
    struct rows r = {{{"b", 1}, {"a", 2}}, 2};
    struct table t;
    table_init(&t, &source, &r);
    t.follow_top = true;
    table_rebuild(&t);
    assert_string_equal(t.key, "b");
    struct rows more = {{{"c", 1}, {"b", 1}, {"a", 2}}, 3};
    r = more; /* a new row arrives above */
    table_rebuild(&t);
    assert_string_equal(t.key, "c");
    table_key(&t, K_DOWN); /* whoever looks at one row keeps it */
    assert_string_equal(t.key, "b");
    struct rows again = {{{"d", 1}, {"c", 1}, {"b", 1}, {"a", 2}}, 4};
    r = again;
    table_rebuild(&t);
    assert_string_equal(t.key, "b");
    assert_int_equal(t.at, 2);
    table_fini(&t);
}

static void moves_stay_inside(void **state)
{
    (void)state;
    struct rows r = {{{"a", 1}, {"b", 2}, {"c", 3}}, 3};
    struct table t;
    table_init(&t, &source, &r);
    table_rebuild(&t);
    t.page = 2;
    static const int keys[] = {K_UP,        K_PAGE_UP, K_HOME, K_END, K_DOWN, K_PAGE_DOWN,
                               K_PAGE_DOWN, K_PAGE_UP, 'k',    'k',   'k',    'k'};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        assert_true(table_key(&t, keys[i]));
        assert_true(t.at < 3);
    }
    assert_int_equal(t.at, 0);
    assert_false(table_key(&t, 'x'));
    table_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorting),
        cmocka_unit_test(selection_follows),
        cmocka_unit_test(live_stays_on_top),
        cmocka_unit_test(moves_stay_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
