/* Applying a plan that cannot be carried to its end: stopped, or what it stands on moves or goes meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/store/store_int.h"
#include "tests/unit/plan_scene.h"

static void test_stop_in_mid_run(void **state)
{
    struct scene *s = *state;
    s->o.parallel = s->o.wave = 1;
    s->world->raise_in_push = &s->stop;
    world_server(s->world, "E2K7CAS01")->lag_ms = 6000;
    assert_int_equal(apply(s), ERR_INTERRUPTED);
    assert_outcome(s, 1, 0, 0, 2);
    assert_string_equal(iis(s, "E2K7CAS01"), "3");
    assert_string_equal(phases(s, "E2K7CAS01"), "intent push reread verify done");
    assert_string_equal(records(s, "EXCAS01"), "capture");
    assert_string_equal(status(s), "interrupted");
    assert_unlocked(s);
    assert_non_null(strstr(s->ei.hint, "resume"));

    char run[32];
    str_copy(run, sizeof run, s->out.run);
    s->world->raise_in_push = NULL;
    stop_init(&s->stop, 0, NULL);
    if (run_resume(run, &s->o, &s->io, &s->out, &s->ei) != ERR_OK)
        fail_msg("%s", s->ei.what);
    assert_outcome(s, 2, 0, 0, 0);
    assert_string_equal(records(s, NULL), "begin end resume end");
    assert_string_equal(status(s), "done");
    assert_int_equal(pushes(s), 3);
    assert_int_equal(run_resume(run, &s->o, &s->io, &s->out, &s->ei), ERR_REFUSED);
}

/* IIS polls every 15 minutes: a stop does not wait for that, and a resume does. */
static void test_stop_while_waiting_for_iis(void **state)
{
    struct scene *s = *state;
    s->o.poll_interval_s = 900;
    s->o.parallel = s->o.wave = 1;
    s->world->raise_in_push = &s->stop;
    world_server(s->world, "E2K7CAS01")->lag_ms = 800000;
    int64_t begun = s->world->now;
    assert_int_equal(apply(s), ERR_INTERRUPTED);
    assert_true(s->world->now - begun < 70000);
    assert_int_equal(s->out.unfinished, 1);
    assert_string_equal(records(s, "E2K7CAS01"), "capture intent result reread");
    char run[32];
    str_copy(run, sizeof run, s->out.run);
    s->world->raise_in_push = NULL;
    stop_init(&s->stop, 0, NULL);
    assert_int_equal(run_resume(run, &s->o, &s->io, &s->out, &s->ei), ERR_OK);
    assert_outcome(s, 3, 0, 0, 0);
    assert_int_equal(pushes(s), 3);
}

static void test_directory_lost_in_mid_run(void **state)
{
    struct scene *s = *state;
    s->o.parallel = 1;
    s->world->dies_after_reads =
        5 + 2; /* the preconditions of all, then the canary's own: gone after the push */
    enum err e = apply(s);
    assert_int_equal(e, ERR_UNREACHABLE);
    assert_int_equal(s->out.unfinished, 1);
    assert_int_equal(s->out.skipped, 2);
    assert_int_equal(pushes(s), 1);
    assert_string_equal(records(s, "E2K7CAS01"), "capture intent result reread");
    assert_string_equal(status(s), "interrupted");
    assert_non_null(strstr(s->ei.hint, "is it up?; then 'casbridge resume "));
    s->world->dies_after_reads = 0;
    char run[32];
    str_copy(run, sizeof run, s->out.run);
    assert_int_equal(run_resume(run, &s->o, &s->io, &s->out, &s->ei), ERR_OK);
    assert_outcome(s, 3, 0, 0, 0);
    assert_int_equal(pushes(s), 3);
}

/* By force, while the first host is in hand: that one is finished, no other is begun. */
static void test_lock_taken_away(void **state)
{
    struct scene *s = *state;
    struct store *second = NULL;
    s->o.parallel = s->o.wave = 1;
    assert_int_equal(store_open(&second, s->store->spec, &s->ei), ERR_OK);
    str_copy(second->self.host, sizeof second->self.host, "jump2");
    s->world->force_in_push = second;
    assert_int_equal(apply(s), ERR_LOCKED);
    assert_non_null(strstr(s->ei.what, "bob on jump2 took the lock away"));
    assert_outcome(s, 1, 0, 0, 2);
    assert_int_equal(pushes(s), 1);
    assert_string_equal(status(s), "interrupted");
    assert_int_equal(store_lock_check(second, &s->ei), ERR_OK); /* it stays bob's */
    assert_int_equal(apply(s), ERR_LOCKED);
    store_close(&second);
}

/* ... and what the next host was to get stands there already: it is the lock that is told of. */
static void test_lock_taken_and_used(void **state)
{
    struct scene *s = *state;
    struct store *second = NULL;
    s->o.parallel = s->o.wave = 1;
    assert_int_equal(store_open(&second, s->store->spec, &s->ei), ERR_OK);
    str_copy(second->self.host, sizeof second->self.host, "jump2");
    s->world->force_in_push = second;
    s->world->foreign_in_push = "EXCAS01";
    assert_int_equal(apply(s), ERR_LOCKED);
    assert_non_null(strstr(s->ei.what, "bob on jump2 took the lock away"));
    assert_outcome(s, 1, 0, 0, 2);
    assert_string_equal(records(s, "EXCAS01"), "capture");
    store_close(&second);
}

/* Waves may take hours: what moved since the first look is not overwritten. */
static void test_moved_in_mid_run(void **state)
{
    struct scene *s = *state;
    s->o.parallel = s->o.wave = 1;
    s->world->foreign_in_push = "EXCAS01";
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 1, 1, 0, 1);
    assert_non_null(strstr(s->ei.what, "somebody changed it since the run began"));
    assert_int_equal(world_server(s->world, "EXCAS01")->pushes, 0);
    assert_string_equal(iis(s, "EXCAS01"), "16");
    assert_string_equal(records(s, "EXCAS01"), "capture failed");
    assert_int_equal(left(s, "EXCAS01"), 'U'); /* by the run */
}

/* What a step does not set itself but was made from counts too, until the last moment: here the scheme before the host's name. */
static void test_precondition_moved_in_mid_run(void **state)
{
    struct scene *s = *state;
    struct findings f;
    plan_free(&s->plan);
    findings_init(&f);
    f.target = GENERATION_2013;
    add_hostname_finding(&f, "EXCAS01", "new.contoso.lab");
    add_hostname_finding(&f, "E2K7CAS01", "new.contoso.lab");
    assert_int_equal(plan_build(&s->plan, s->org, &f, NULL, "admin", &s->ei), ERR_OK);
    assert_int_equal(s->plan->n_steps, 2);
    findings_fini(&f);
    s->o.parallel = s->o.wave = 1;
    s->world->foreign_in_push = "EXCAS01";
    s->world->foreign_host = "http://mail.contoso.lab/rpc";
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 1, 1, 0, 0);
    assert_non_null(strstr(s->ei.what, "now 'http://mail.contoso.lab/rpc'"));
    assert_int_equal(world_server(s->world, "EXCAS01")->pushes, 0);
    assert_string_equal(world_oa(s->world, "EXCAS01")->host, "http://mail.contoso.lab/rpc");
}

/* Wherever the disk runs full: nothing is pushed without its intent (the teardown looks), and with room again it goes on. */
static void test_journal_that_is_full(void **state)
{
    int before_push = 0, after_push = 0;
    for (int extra = 0; extra < 14; extra++) {
        struct scene *s = *state;
        sqlite3_stmt *st = NULL;
        char pragma[64], run[32];
        size_t n = 0;
        s->o.parallel = s->o.wave = 1;
        assert_int_equal(sqlite3_prepare_v2(store_fixture_db(s->o.store), "PRAGMA page_count", -1, &st, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_step(st), SQLITE_ROW);
        snprintf(pragma, sizeof pragma, "PRAGMA max_page_count = %d", sqlite3_column_int(st, 0) + extra);
        sqlite3_finalize(st);
        sqlite3_exec(store_fixture_db(s->o.store), pragma, NULL, NULL, NULL);
        enum err e = apply(s);
        sqlite3_exec(store_fixture_db(s->o.store), "PRAGMA max_page_count = 100000", NULL, NULL, NULL);
        assert_int_equal(journal_verify(s->o.store, &n, NULL), ERR_OK);
        assert_unlocked(s);
        if (e != ERR_OK) {
            if (e != ERR_SYSTEM || !strstr(s->ei.hint, "disk"))
                fail_msg("%d pages more: %s: %s", extra, err_name(e), s->ei.what);
            before_push += pushes(s) == 0;
            after_push += pushes(s) != 0;
        }
        str_copy(run, sizeof run, s->out.run);
        if (e != ERR_OK && run[0] && run_resume(run, &s->o, &s->io, &s->out, &s->ei) != ERR_OK) {
            assert_int_equal(s->ei.code, ERR_REFUSED); /* nothing was changed: apply again */
            assert_int_equal(pushes(s), 0);
            assert_int_equal(apply(s), ERR_OK);
        }
        if (run[0])
            assert_string_equal(iis(s, "EXCAS01"), "3");
        assert_int_equal(scene_teardown(state), 0);
        assert_int_equal(scene_setup(state), 0);
    }
    assert_true(before_push > 0 && after_push > 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_stop_in_mid_run),
        T(test_stop_while_waiting_for_iis),
        T(test_directory_lost_in_mid_run),
        T(test_lock_taken_away),
        T(test_lock_taken_and_used),
        T(test_moved_in_mid_run),
        T(test_precondition_moved_in_mid_run),
        T(test_journal_that_is_full),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
