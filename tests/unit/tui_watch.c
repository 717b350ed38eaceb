/* Looking on at a store that has to be asked for first: a password refused, a wrong one, the right one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/model/profile.h"
#include "tests/unit/store_fixture.h"
#include "tui/session_int.h"

#include <poll.h>

static unsigned told;
static int questions;

static void changed(void *arg, unsigned events)
{
    (void)arg;
    told |= events;
    questions += (events & SESSION_QUESTION) != 0;
}

/* Until a task that runs has ended and one of the events has come; false when the time is over. */
static bool collect(struct session *s, unsigned event, int ms)
{
    int64_t end = clock_mono_ms() + ms;
    while (clock_mono_ms() < end && !(told & event)) {
        struct pollfd p = {job_pool_fd(s->pool), POLLIN, 0};
        poll(&p, 1, 50);
        session_collect(s);
    }
    bool came = (told & event) != 0;
    told = 0;
    return came;
}

static void answer(struct session *s, const char *password)
{
    assert_true(collect(s, SESSION_QUESTION, 10000));
    session_answer(s, password);
}

static void journal_ends(struct session *s, enum err expected)
{
    for (int64_t end = clock_mono_ms() + 10000; s->tasks[TASK_JOURNAL].running && clock_mono_ms() < end;)
        collect(s, 0, 50);
    assert_int_equal(s->tasks[TASK_JOURNAL].error.code, expected);
}

static void test_asked_when_it_helps(void **state)
{
    struct store_fixture *f = *state;
    struct session *s = NULL;
    struct errinfo ei = {.code = ERR_OK};
    struct profile p = {0};
    struct journal_record r = {.run = (char *)"r1", .phase = (char *)"begin", .who = (char *)"ann"};
    char spec[200];
    assert_true(pg_sql(&store_pg, NULL, "CREATE ROLE keeper LOGIN SUPERUSER PASSWORD 'right'"));
    snprintf(spec, sizeof spec, "postgresql://keeper@127.0.0.1:%d/%s?gssencmode=disable", store_pg.port,
             f->database);
    assert_int_equal(profile_set(&p, PROFILE_store, spec, &ei), ERR_OK);
    assert_int_equal(profile_set(&p, PROFILE_store_password, "ask", &ei), ERR_OK);
    const struct console_config config = {.profile = &p, .who = "ann"};
    assert_int_equal(session_new(&s, &config, changed, NULL, &ei), ERR_OK);

    session_watch(s);
    answer(s, NULL);
    assert_false(collect(s, SESSION_QUESTION, 4000)); /* nobody is nagged */
    session_journal_list(s);
    answer(s, "wrong");
    journal_ends(s, ERR_AUTH);
    assert_false(collect(s, SESSION_QUESTION, 200));
    session_journal_list(s);
    answer(s, "right");
    journal_ends(s, ERR_OK);

    /* and the watch, which had given up, sees what others do */
    for (int i = 0; i < 100 && s->runs.n == 0; i++) {
        assert_true(i > 0 || journal_append(f->store, &r, &ei) == ERR_OK);
        collect(s, SESSION_JOURNAL, 100);
    }
    assert_int_equal(s->runs.n, 1);
    assert_int_equal(questions, 3);
    session_free(&s);
    profile_fini(&p);
    assert_true(pg_sql(&store_pg, NULL, "DROP ROLE keeper"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_asked_when_it_helps, store_fixture_setup_postgres,
                                        store_fixture_teardown),
    };
    if (!pg_server_start(&store_pg))
        return 0;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_server_stop(&store_pg);
    return failed;
}
