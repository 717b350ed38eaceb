/* The action table: no key means two things in one view, letters keep their promise, names are found and completed. */
#include "tui/views/action_map.h"

#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void no_key_twice(void **state)
{
    (void)state;
    for (int v = 0; v < VIEW_COUNT; v++) {
        for (int a = 0; a < ACTION_COUNT; a++) {
            for (int b = a + 1; b < ACTION_COUNT; b++) {
                if (!action_is_on((enum action)a, (enum view_id)v) ||
                    !action_is_on((enum action)b, (enum view_id)v))
                    continue;
                const struct action_info *x = action_info((enum action)a), *y = action_info((enum action)b);
                const int xs[] = {x->key, x->alt}, ys[] = {y->key, y->alt};
                for (int i = 0; i < 4; i++) {
                    if (xs[i / 2] && xs[i / 2] == ys[i % 2])
                        fail_msg("%s and %s share a key in %s", x->name, y->name,
                                 view_crumb((enum view_id)v));
                }
            }
        }
    }
}

static void motions_are_free(void **state)
{
    (void)state;
    for (size_t i = 0; motions[i].help; i++) {
        for (int k = 0; k < 2 && motions[i].keys[k]; k++) {
            for (int v = 0; v < VIEW_COUNT; v++)
                assert_int_equal(action_of_key(motions[i].keys[k], (enum view_id)v), ACTION_NONE);
        }
    }
}

static void letters_keep_their_promise(void **state)
{
    (void)state;
    for (int a = 0; a < ACTION_COUNT; a++) {
        const struct action_info *x = action_info((enum action)a);
        if (x->flags & ACTION_CHANGE)
            assert_true(x->key >= 'A' && x->key <= 'Z'); /* what changes is upper case */
        if (x->key < 'A' || x->key > 'Z')
            assert_false(x->flags & ACTION_CHANGE);
    }
}

static void whole(void **state)
{
    (void)state;
    for (int a = 0; a < ACTION_COUNT; a++) {
        const struct action_info *x = action_info((enum action)a);
        assert_true(x->name[0] && x->help[0] && x->views);
        assert_null(strchr(x->name, ' '));
        assert_int_equal(action_of_name(x->name, strlen(x->name)), a); /* names are unique */
        assert_true(strlen(x->name) <= 13);                            /* the palette's column */
    }
    for (int v = 0; v < VIEW_COUNT; v++) {
        for (int w = v + 1; w < VIEW_COUNT; w++)
            assert_string_not_equal(view_crumb((enum view_id)v), view_crumb((enum view_id)w));
    }
    assert_int_equal(action_of_name("nosuch", 6), ACTION_NONE);
    assert_int_equal(action_of_name("PLAN", 4), ACTION_PLAN);
    assert_int_equal(action_of_key(0, VIEW_OVERVIEW), ACTION_NONE);
    assert_int_equal(action_of_key('A', VIEW_PLAN), ACTION_APPLY);
    assert_int_equal(action_of_key('A', VIEW_SERVERS), ACTION_NONE);
    assert_int_equal(action_of_key(KEY_CTRL('c'), VIEW_LOG), ACTION_QUIT);
}

static void palette(void **state)
{
    (void)state;
    enum action m[ACTION_COUNT];
    assert_int_equal(palette_match("", VIEW_PLAN, m), ACTION_COUNT);
    assert_true(action_is_on(m[0], VIEW_PLAN));
    assert_false(action_is_on(m[ACTION_COUNT - 1], VIEW_PLAN)); /* those of other views come last */
    assert_true(palette_match("app", VIEW_PLAN, m) >= 1);
    assert_int_equal(m[0], ACTION_APPLY);
    assert_true(palette_match("plan", VIEW_PLAN, m) >= 2);
    assert_int_equal(m[0], ACTION_PLAN); /* begins with it before holds it */
    assert_int_equal(m[1], ACTION_MAKE);
    assert_true(palette_match("clipboard", VIEW_PLAN, m) == 1 && m[0] == ACTION_COPY); /* found by its help */
    assert_int_equal(palette_match("zzz", VIEW_PLAN, m), 0);
}

static void completion(void **state)
{
    (void)state;
    static const char *const names[] = {"server", "servers", "settle", "sort", "EXCAS01", "EXCAS02"};
    static const struct {
        const char *typed, *done;
    } cases[] = {
        {"", ""},          {"s", "s"},           {"se", "se"},
        {"ser", "server"}, {"server", "server"}, {"servers", "servers"},
        {"so", "sort"},    {"exc", "EXCAS0"},    {"excas01", "EXCAS01"},
        {"x", ""},         {"sorting", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[64];
        palette_complete(cases[i].typed, names, ARRAY_LEN(names), out, sizeof out);
        assert_string_equal(out, cases[i].done);
    }
    char small[4];
    palette_complete("exc", names, ARRAY_LEN(names), small, sizeof small);
    assert_string_equal(small, "EXC");
}

static void key_texts(void **state)
{
    (void)state;
    static const struct {
        int key;
        const char *utf8, *ascii;
    } cases[] = {
        {'a', "a", "a"},   {' ', "Space", "Space"},     {KEY_CTRL('l'), "Ctrl-L", "Ctrl-L"},
        {K_UP, "↑", "Up"}, {K_ENTER, "Enter", "Enter"}, {0, "", ""},
        {0x7f, "", ""},    {KEY_PAST_LAST, "", ""},     {0x20ac, "", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[32];
        key_text(cases[i].key, false, out, sizeof out);
        assert_string_equal(out, cases[i].utf8);
        key_text(cases[i].key, true, out, sizeof out);
        assert_string_equal(out, cases[i].ascii);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_key_twice),
        cmocka_unit_test(motions_are_free),
        cmocka_unit_test(letters_keep_their_promise),
        cmocka_unit_test(whole),
        cmocka_unit_test(palette),
        cmocka_unit_test(completion),
        cmocka_unit_test(key_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
