/* Themes: what the file means, what is refused with which line, what a poorer terminal gets. */
#include "tui/widgets/theme.h"

#include "core/base/path.h"
#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void meaning(void **state)
{
    (void)state;
    struct theme t;
    struct errinfo ei = {.code = ERR_OK};
    enum err e =
        theme_parse(&t, NULL, "x",
                    "; a comment\n[theme]\nerror = red,default,bold\nok=2\nbar = #102030 , bright-white\n"
                    "selected = default,default,reverse,underline\ntitle = bold\n",
                    &ei);
    if (e != ERR_OK)
        fail_msg("%s", ei.what);
    assert_int_equal(t.roles[PAINT_ERROR].fg, 1);
    assert_int_equal(t.roles[PAINT_ERROR].bg, COLOR_DEFAULT);
    assert_int_equal(t.roles[PAINT_ERROR].attrs, STYLE_BOLD);
    assert_int_equal(t.roles[PAINT_OK].fg, 2);
    assert_int_equal(t.roles[PAINT_BAR].fg, COLOR_RGB_FLAG | 0x102030);
    assert_int_equal(t.roles[PAINT_BAR].bg, 15);
    assert_int_equal(t.roles[PAINT_SELECTED].attrs, STYLE_REVERSE | STYLE_UNDERLINE);
    assert_int_equal(t.roles[PAINT_TITLE].attrs, STYLE_BOLD);
    assert_int_equal(t.roles[PAINT_TITLE].fg, COLOR_DEFAULT);
    assert_int_equal(t.roles[PAINT_DIM].fg, COLOR_DEFAULT); /* not named: as the base */
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what;
    } cases[] = {
        {"\nnosuch = red\n", "theme x:2: unknown role 'nosuch'"},
        {"ok = mauve\n", "theme x:1: 'mauve' is no colour and no attribute"},
        {"ok = 256\n", "theme x:1: '256' is no colour and no attribute"},
        {"ok = #12345\n", "theme x:1: '#12345' is no colour and no attribute"},
        {"ok = #12345g\n", "theme x:1: '#12345g' is no colour and no attribute"},
        {"ok = -1\n", "theme x:1: '-1' is no colour and no attribute"},
        {"ok = red,blue,green\n", "theme x:1: 'green' is no attribute"},
        {"ok = red,,bold\n", "theme x:1: '' is no colour and no attribute"},
        {"[colors]\n", "theme x:1: unknown section [colors]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct theme t = {.name = "kept"};
        struct errinfo ei = {.code = ERR_OK};
        assert_int_equal(theme_parse(&t, NULL, "x", cases[i].text, &ei), ERR_CONFIG);
        assert_string_equal(ei.what, cases[i].what);
        assert_true(ei.hint[0]);
        assert_string_equal(t.name, "kept");
    }
}

static void builtin_ones_are_whole(void **state)
{
    (void)state;
    unsigned n = 0;
    bool has_default = false;
    for (; theme_builtin_name(n); n++) {
        struct theme t;
        struct errinfo ei = {.code = ERR_OK};
        if (theme_find_builtin(&t, theme_builtin_name(n), &ei) != ERR_OK)
            fail_msg("%s", ei.what);
        has_default |= str_eq(theme_builtin_name(n), "default");
    }
    assert_true(n >= 5);
    assert_true(has_default);
    struct theme t;
    struct errinfo ei;
    assert_int_equal(theme_find_builtin(&t, "nosuch", &ei), ERR_NOTFOUND);
    assert_non_null(strstr(ei.hint, "high-contrast"));
}

/* State is never told by colour alone, yet the default theme must also tell the worst ones apart without reading. */
static void default_uses_the_terminals_colours(void **state)
{
    (void)state;
    struct theme t;
    assert_int_equal(theme_find_builtin(&t, "default", NULL), ERR_OK);
    for (int i = 0; i < PAINT_COUNT; i++) {
        assert_true(t.roles[i].fg < 16);
        assert_int_equal(t.roles[i].bg, COLOR_DEFAULT);
    }
    assert_int_not_equal(t.roles[PAINT_OK].fg, t.roles[PAINT_ERROR].fg);
}

static void reduction(void **state)
{
    (void)state;
    assert_int_equal(theme_reduce(COLOR_DEFAULT, 8), COLOR_DEFAULT);
    assert_int_equal(theme_reduce(COLOR_RGB_FLAG | 0xff0000, 1 << 24), COLOR_RGB_FLAG | 0xff0000);
    assert_int_equal(theme_reduce(COLOR_RGB_FLAG | 0xff0000, 256), 196);
    assert_int_equal(theme_reduce(COLOR_RGB_FLAG | 0xff0000, 16), 9);
    assert_int_equal(theme_reduce(COLOR_RGB_FLAG | 0xff0000, 8), 1);
    assert_int_equal(theme_reduce(COLOR_RGB_FLAG | 0x000000, 256), 16);
    assert_int_equal(theme_reduce(COLOR_RGB_FLAG | 0xffffff, 8), 7);
    assert_int_equal(theme_reduce(5, 8), 5);
    assert_int_equal(theme_reduce(196, 256), 196);
    for (int c = 0; c < 256; c++) {
        assert_in_range(theme_reduce(c, 16), 0, 15);
        assert_in_range(theme_reduce(c, 8), 0, 7);
    }
}

static char folder[] = "/tmp/casbridge-theme-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && setenv("XDG_CONFIG_HOME", folder, 1) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[200];
    static const char *const names[] = {"casbridge/themes/mine.theme", "casbridge/themes/dark.theme",
                                        "casbridge/themes", "casbridge", ""};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        str_fmt(path, sizeof path, "%s/%s", folder, names[i]);
        if (unlink(path) != 0)
            (void)!rmdir(path);
    }
    return 0;
}

static void write_theme(const char *name, const char *text)
{
    char path[200];
    struct errinfo ei;
    str_fmt(path, sizeof path, "%s/casbridge/themes/%s.theme", folder, name);
    assert_int_equal(path_make_parents(path, &ei), ERR_OK);
    assert_int_equal(path_write(path, text, strlen(text), 0600, &ei), ERR_OK);
}

static void loading(void **state)
{
    (void)state;
    struct theme t;
    struct errinfo ei = {.code = ERR_OK};
    assert_int_equal(theme_load(&t, NULL, &ei), ERR_OK);
    assert_string_equal(t.name, "default");
    assert_int_equal(theme_load(&t, "dark", &ei), ERR_OK);
    assert_string_equal(t.name, "dark");
    write_theme("mine", "ok = 77\n");
    assert_int_equal(theme_load(&t, "mine", &ei), ERR_OK);
    assert_int_equal(t.roles[PAINT_OK].fg, 77);
    assert_int_equal(t.roles[PAINT_ERROR].fg, 1); /* what it leaves out is the default's */
    write_theme("dark", "ok = 78\n");             /* a user's own wins */
    assert_int_equal(theme_load(&t, "dark", &ei), ERR_OK);
    assert_int_equal(t.roles[PAINT_OK].fg, 78);
    static const char *const bad[] = {"nosuch", "../../etc/passwd", ".hidden", "", "a/b"};
    write_theme("mine", "ok = nothing\n");
    for (size_t i = 0; i <= ARRAY_LEN(bad); i++) {
        memset(&t, 0xff, sizeof t);
        assert_int_not_equal(theme_load(&t, i < ARRAY_LEN(bad) ? bad[i] : "mine", &ei), ERR_OK);
        assert_string_equal(t.name, "default"); /* usable all the same */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meaning),
        cmocka_unit_test(refused),
        cmocka_unit_test(builtin_ones_are_whole),
        cmocka_unit_test(default_uses_the_terminals_colours),
        cmocka_unit_test(reduction),
        cmocka_unit_test_setup_teardown(loading, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
