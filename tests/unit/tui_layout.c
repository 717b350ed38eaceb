/* Columns that fit, texts as cells, lines that wrap. */
#include "tui/widgets/columns.h"
#include "tui/widgets/text.h"

#include "core/base/str.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct column columns[] = {
    {"A", "a", 6, 10, 1, 0, false}, {"B", "b", 4, 8, 0, 2, false},   {"C", "c", 4, 6, 1, 3, false},
    {"D", "d", 5, 5, 0, 0, true},   {"E", "e", 10, 20, 3, 1, false},
};

static int sum(const int *w)
{
    int total = 0, shown = 0;
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        total += w[i];
        shown += w[i] > 0;
    }
    return total + (shown > 1 ? (shown - 1) * COLUMN_GAP : 0);
}

static void every_width(void **state)
{
    (void)state;
    for (int width = 1; width < 300; width++) {
        int w[COLUMNS_MAX];
        columns_fit(columns, ARRAY_LEN(columns), width, w);
        assert_true(sum(w) <= width);
        if (width >= 15) { /* the two that always show, and their gap, need 6 + 1 + 5 */
            assert_true(w[0] >= columns[0].min);
            assert_int_equal(w[3], 5);
        }
        if (w[1])
            assert_int_equal(w[1], 8);
        if (w[4])
            assert_true(w[4] >= columns[4].min);
        if (w[0] && w[3]) /* the flexible ones take all there is */
            assert_int_equal(sum(w), width);
    }
}

static void dropped_in_turn(void **state)
{
    (void)state;
    int w[COLUMNS_MAX], seen = 5;
    for (int width = 200; width > 12; width--) {
        columns_fit(columns, ARRAY_LEN(columns), width, w);
        int shown = 0;
        for (size_t i = 0; i < ARRAY_LEN(columns); i++)
            shown += w[i] > 0;
        assert_true(shown <= seen);
        seen = shown;
        if (w[2])
            assert_true(w[1] && w[4]);
        if (w[1])
            assert_true(w[4]);
    }
    assert_int_equal(seen, 2);
}

static void widths(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int cells;
    } cases[] = {
        {"", 0},     {"abc", 3},  {"é", 1}, {"e\xcc\x81", 1}, /* with a combining accent */
        {"日本", 4}, {"a日b", 4}, {"→", 1}, {"😀", 2},         {"\xff", 1}, {"\xe6\x97", 2}, {"─│", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(text_width(cases[i].text), cases[i].cells);
}

static void fitting(void **state)
{
    (void)state;
    int used;
    assert_int_equal(text_fit("abc", 2, &used), 2);
    assert_int_equal(used, 2);
    assert_int_equal(text_fit("日本", 3, &used), 3); /* half a character is none */
    assert_int_equal(used, 2);
    assert_int_equal(text_fit("e\xcc\x81x", 1, &used), 3); /* the accent goes with its base */
    assert_int_equal(text_fit("x", 0, &used), 0);
}

static void wrapping(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int cells;
        const char *lines[5];
    } cases[] = {
        {"one two three", 7, {"one two", "three"}},
        {"one two three", 8, {"one two", "three"}},
        {"one two three", 6, {"one", "two", "three"}},
        {"abcdefghij", 4, {"abcd", "efgh", "ij"}},
        {"a bcdefghij", 6, {"a bcde", "fghij"}}, /* a long word is cut rather than given its own line */
        {"日本語", 4, {"日本", "語"}},
        {"日", 1, {"日"}},
        {"one   two", 5, {"one", "two"}},
        {"", 5, {NULL}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *s = cases[i].text;
        size_t n = 0;
        while (*s) {
            size_t skip, len = text_wrap(s, cases[i].cells, &skip);
            assert_true(skip > 0 && n < 5 && cases[i].lines[n]);
            assert_int_equal(len, strlen(cases[i].lines[n]));
            assert_memory_equal(s, cases[i].lines[n], len);
            s += skip;
            n++;
        }
        assert_true(n == 5 || cases[i].lines[n] == NULL);
    }
}

static void ascii(void **state)
{
    (void)state;
    size_t bytes;
    int cells;
    wchar_t wc;
    text_set_ascii(true);
    assert_true(text_next("日", &bytes, &cells, &wc));
    assert_int_equal(bytes, 3);
    assert_int_equal(cells, 1);
    assert_int_equal(wc, L'?');
    assert_int_equal(text_width("a日b"), 3);
    assert_int_equal(text_width("e\xcc\x81"), 1);
    text_set_ascii(false);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width), cmocka_unit_test(dropped_in_turn), cmocka_unit_test(widths),
        cmocka_unit_test(fitting),     cmocka_unit_test(wrapping),        cmocka_unit_test(ascii),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
