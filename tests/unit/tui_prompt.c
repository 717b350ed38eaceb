/* A line being typed, in UTF-8; its history; its limits. */
#include "tui/widgets/prompt.h"

#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void type(struct prompt *p, const char *s)
{
    for (size_t n; *s; s += n) {
        uint32_t cp;
        n = utf8_next(s, strlen(s), &cp);
        assert_int_equal(prompt_key(p, (int)cp), PROMPT_CHANGED);
    }
}

static void editing(void **state)
{
    (void)state;
    struct prompt p;
    prompt_init(&p, NULL, "");
    type(&p, "aé日😀");
    assert_string_equal(p.text, "aé日😀");
    prompt_key(&p, K_LEFT);
    prompt_key(&p, K_LEFT);
    prompt_key(&p, K_BACKSPACE);
    assert_string_equal(p.text, "a日😀");
    prompt_key(&p, K_DELETE);
    assert_string_equal(p.text, "a😀");
    prompt_key(&p, K_HOME);
    prompt_key(&p, K_LEFT);
    prompt_key(&p, K_BACKSPACE);
    assert_string_equal(p.text, "a😀");
    type(&p, "x");
    assert_string_equal(p.text, "xa😀");
    prompt_key(&p, K_END);
    prompt_key(&p, K_RIGHT);
    prompt_key(&p, K_DELETE);
    assert_string_equal(p.text, "xa😀");
    prompt_set(&p, "one two  ");
    prompt_key(&p, KEY_CTRL('w'));
    assert_string_equal(p.text, "one ");
    prompt_key(&p, KEY_CTRL('a'));
    prompt_key(&p, KEY_CTRL('k'));
    assert_string_equal(p.text, "");
    prompt_set(&p, "abc");
    prompt_key(&p, K_LEFT);
    prompt_key(&p, KEY_CTRL('u'));
    assert_string_equal(p.text, "c");
    assert_int_equal(prompt_key(&p, K_UP), PROMPT_IGNORED);
    assert_int_equal(prompt_key(&p, K_ENTER), PROMPT_IGNORED);
    assert_int_equal(prompt_key(&p, KEY_CTRL('l')), PROMPT_IGNORED);
}

static void full(void **state)
{
    (void)state;
    struct prompt p;
    prompt_init(&p, NULL, "");
    for (int i = 0; i < PROMPT_SIZE * 2; i++)
        (void)prompt_key(&p, 0x65e5);
    assert_true(p.len < PROMPT_SIZE);
    assert_true(utf8_valid(p.text, p.len));
    assert_int_equal(strlen(p.text), p.len);
}

static void recalled(void **state)
{
    (void)state;
    struct prompt_history h = {.n = 0};
    struct prompt p;
    prompt_remember(&h, "one");
    prompt_remember(&h, "two");
    prompt_remember(&h, "two");
    prompt_remember(&h, "");
    assert_int_equal(h.n, 2);
    prompt_init(&p, &h, "");
    type(&p, "dra");
    prompt_key(&p, K_UP);
    assert_string_equal(p.text, "two");
    prompt_key(&p, K_UP);
    prompt_key(&p, K_UP);
    assert_string_equal(p.text, "one");
    prompt_key(&p, K_DOWN);
    prompt_key(&p, K_DOWN);
    assert_string_equal(p.text, "dra");
    for (int i = 0; i < PROMPT_HISTORY * 2; i++) {
        char line[16];
        str_fmt(line, sizeof line, "%d", i);
        prompt_remember(&h, line);
    }
    assert_int_equal(h.n, PROMPT_HISTORY);
    assert_string_equal(h.lines[PROMPT_HISTORY - 1], "99");
    prompt_history_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(editing),
        cmocka_unit_test(full),
        cmocka_unit_test(recalled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
