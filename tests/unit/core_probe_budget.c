/* The failed-logon budget: sizes, names of one account, success, many threads. */
#include "core/base/str.h"
#include "core/probe/budget.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        int64_t threshold, size;
    } cases[] = {{10, 8}, {5, 3}, {3, 1}, {2, 0}, {1, 0}, {0, -1}, {-1, 1}, {999, 997}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct logon_budget *b = logon_budget_new(cases[i].threshold);
        int64_t taken = 0;
        assert_int_equal(logon_budget_size(b), cases[i].size);
        while (taken < 2000 && logon_budget_take(b, "alice"))
            taken++;
        assert_int_equal(taken, cases[i].size < 0 ? 2000 : cases[i].size);
        assert_int_equal(logon_budget_left(b, "alice"), cases[i].size < 0 ? -1 : 0);
        assert_int_equal(logon_budget_left(b, "bob"), cases[i].size);
        logon_budget_free(&b);
        assert_null(b);
    }
}

static void test_one_account(void **state)
{
    (void)state;
    struct logon_budget *b = logon_budget_new(6);
    assert_true(logon_budget_take(b, "CONTOSO\\alice"));
    assert_true(logon_budget_take(b, "Alice@contoso.com"));
    assert_true(logon_budget_take(b, "ALICE"));
    assert_int_equal(logon_budget_left(b, "alice@other.com"), 1);
    assert_true(logon_budget_take(b, "alicia"));
    assert_true(logon_budget_take(b, "alice"));
    assert_false(logon_budget_take(b, "alice"));
    logon_budget_free(&b);
}

static void test_success_gives_back(void **state)
{
    (void)state;
    struct logon_budget *b = logon_budget_new(3);
    for (int i = 0; i < 100; i++) {
        assert_true(logon_budget_take(b, "alice"));
        logon_budget_succeeded(b, "alice");
    }
    logon_budget_succeeded(b, "alice"); /* never more than there were */
    logon_budget_succeeded(b, "nobody");
    assert_true(logon_budget_take(b, "alice"));
    assert_false(logon_budget_take(b, "alice"));
    logon_budget_free(&b);
}

struct crowd {
    struct logon_budget *b;
    atomic_int taken;
};

static void *take_many(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < 200; i++)
        if (logon_budget_take(c->b, "alice"))
            c->taken++;
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct crowd c = {.b = logon_budget_new(52)};
    pthread_t t[4];
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, take_many, &c), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
    assert_int_equal(c.taken, 50);
    logon_budget_free(&c.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_one_account),
        cmocka_unit_test(test_success_gives_back),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
