/* kill -9 after each record of the journal: of an apply, of the resume after it, of a rollback; then resume or rollback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/plan_scene.h"

/* The last word on each step is "done": it was verified, not only found to be there. */
static void assert_all_done(struct scene *s, const char *run)
{
    for (size_t i = 0; i < s->plan->n_steps; i++) {
        str_copy(s->out.run, sizeof s->out.run, run);
        const char *all = records(s, s->plan->steps[i].server), *last = strrchr(all, ' ');
        if (!last || strcmp(last, " done") != 0)
            fail_msg("%s: %s", s->plan->steps[i].server, all);
    }
}

static void test_kill_at_each_record(void **state)
{
    int deaths = 0, begun_again = 0;
    for (int n = 1;; n++) {
        struct scene *s = *state;
        char run[32];
        s->o.parallel = s->o.wave = 1;
        if (!apply_and_die(s, n, false, NULL))
            break;
        deaths++;
        assert_whole(s);
        last_run(s, run, sizeof run);
        bool ended = strcmp(status(s), "done") == 0; /* it died after its last record */
        s->ei = (struct errinfo){0};
        enum err e = run_resume(run, &s->o, &s->io, &s->out, &s->ei);
        if (e == ERR_REFUSED && ended) {
            assert_int_equal(n, 20);
        } else if (e == ERR_REFUSED && pushes(s) == 0) {
            begun_again++; /* died before all was captured: nothing was sent */
            assert_string_equal(status(s), "failed");
            assert_int_equal(apply(s), ERR_OK);
            last_run(s, run, sizeof run);
        } else if (e != ERR_OK) {
            fail_msg("killed at record %d: %s: %s", n, err_name(e), s->ei.what);
        }
        assert_all_new(s);
        assert_all_done(s, run);
        assert_whole(s);
        assert_string_equal(status(s), "done");
        assert_unlocked(s);
        assert_int_equal(scene_teardown(state), 0);
        assert_int_equal(scene_setup(state), 0);
    }
    /* begin, three captures, five records a step, end */
    assert_int_equal(deaths, 1 + 3 + 3 * 5 + 1);
    assert_int_equal(begun_again, 3);
}

/* The same while a failed step is being put back. */
static void test_kill_while_putting_back(void **state)
{
    for (int n = 1;; n++) {
        struct scene *s = *state;
        char run[32];
        s->o.parallel = s->o.wave = 1;
        world_server(s->world, "E2K7CAS01")->wire_stuck = true;
        str_copy(world_server(s->world, "E2K7CAS01")->wire_iis, 32, "1");
        if (!apply_and_die(s, n, false, NULL))
            break;
        last_run(s, run, sizeof run);
        enum err e = run_resume(run, &s->o, &s->io, &s->out, &s->ei);
        assert_whole(s);
        assert_unlocked(s);
        if (e != ERR_PARTIAL && e != ERR_REFUSED && e != ERR_OK)
            fail_msg("killed at record %d: %s: %s", n, err_name(e), s->ei.what);
        assert_string_equal(iis(s, "E2K7CAS01"), "1");
        assert_int_equal(scene_teardown(state), 0);
        assert_int_equal(scene_setup(state), 0);
    }
}

/* A host in a chosen mood for the next scene, one at a time so that the records come in one order. */
static void begin_again(void **state)
{
    assert_int_equal(scene_teardown(state), 0);
    assert_int_equal(scene_setup(state), 0);
}

static void one_by_one(struct scene *s, size_t steps)
{
    s->o.parallel = s->o.wave = 1;
    s->plan->n_steps = steps;
}

static void assert_old(struct scene *s, const struct world_object *first)
{
    for (size_t i = 0; i < s->world->n_objects; i++)
        if (memcmp(&first[i], &s->world->objects[i], sizeof *first) != 0)
            fail_msg("%s is not as it was: %s", first[i].server, s->world->objects[i].iis);
}

static struct plan *way_back(struct scene *s, const char *run)
{
    struct plan *p = NULL;
    if (run_rollback(&p, run, &s->o, NULL, &s->io, &s->ei) != ERR_OK)
        fail_msg("%s", s->ei.what);
    return p;
}

static void use(struct scene *s, struct plan *p)
{
    memset(s->names, 0, sizeof s->names); /* of steps of the old one */
    plan_free(&s->plan);
    s->plan = p;
}

/* The apply dies, the resume dies as well, and the second resume ends it: at every pair of places. */
static void test_kill_the_resume_too(void **state)
{
    int deaths = 0;
    for (int n = 4;; n++) { /* of two steps: begin, two captures, then there is something to resume */
        bool died = true;
        for (int m = 1; died; m++) {
            struct scene *s = *state;
            char run[32];
            one_by_one(s, 2);
            if (!apply_and_die(s, n, false, NULL) || n == 14) {
                begin_again(state);
                assert_true(n == 14); /* its last record was "end" */
                assert_true(deaths > 50);
                return;
            }
            last_run(s, run, sizeof run);
            died = apply_and_die(s, m, true, run);
            deaths += died;
            assert_whole(s);
            s->ei = (struct errinfo){0};
            enum err e = run_resume(run, &s->o, &s->io, &s->out, &s->ei);
            if (e != ERR_OK && !(e == ERR_REFUSED && strcmp(status(s), "done") == 0))
                fail_msg("killed at %d, then at %d: %s: %s", n, m, err_name(e), s->ei.what);
            assert_string_equal(iis(s, "EXCAS01"), "3");
            assert_string_equal(iis(s, "E2K7CAS01"), "3");
            for (size_t i = 0; i < s->world->n_servers; i++)
                assert_int_equal(s->world->servers[i].resent, 0);
            assert_all_done(s, run);
            assert_whole(s);
            assert_string_equal(status(s), "done");
            assert_unlocked(s);
            begin_again(state);
        }
    }
}

/* Killed anywhere, then taken back at once, without a resume: everything is as on the first day. */
static void test_rollback_of_a_killed_run(void **state)
{
    for (int n = 1;; n++) {
        struct scene *s = *state;
        struct world_object first[WORLD_OBJECTS];
        char run[32];
        one_by_one(s, 3);
        memcpy(first, s->world->objects, sizeof first);
        bool died = apply_and_die(s, n, false, NULL);
        last_run(s, run, sizeof run);
        struct plan *p = way_back(s, run);
        use(s, p);
        if (apply(s) != ERR_OK)
            fail_msg("killed at record %d: %s", n, s->ei.what);
        assert_old(s, first);
        assert_whole(s);
        p = way_back(s, run); /* repeatable: a second time there is nothing to do */
        assert_int_equal(p->n_steps, 0);
        plan_free(&p);
        begin_again(state);
        if (!died)
            return;
    }
}

/* The rollback itself dies, anywhere; resumed, or begun anew, it ends where it was to end. */
static void test_kill_the_rollback(void **state)
{
    for (int round = 0; round < 2; round++)
        for (int n = 1;; n++) {
            struct scene *s = *state;
            struct world_object first[WORLD_OBJECTS];
            char run[32], back[32];
            one_by_one(s, 3);
            memcpy(first, s->world->objects, sizeof first);
            assert_int_equal(apply(s), ERR_OK);
            str_copy(run, sizeof run, s->out.run);
            struct plan *p = way_back(s, run);
            use(s, p);
            bool died = apply_and_die(s, n, false, NULL);
            assert_whole(s);
            last_run(s, back, sizeof back);
            enum err e = round == 0 ? run_resume(back, &s->o, &s->io, &s->out, &s->ei) : ERR_REFUSED;
            if (e == ERR_REFUSED) { /* ended, or before its first push: what is left is planned again */
                p = way_back(s, run);
                use(s, p);
                e = apply(s);
            }
            if (e != ERR_OK)
                fail_msg("killed at record %d: %s", n, s->ei.what);
            assert_old(s, first);
            for (size_t i = 0; i < s->world->n_servers; i++)
                assert_int_equal(s->world->servers[i].resent, 0);
            assert_whole(s);
            assert_unlocked(s);
            begin_again(state);
            if (!died)
                break;
        }
}

#define T(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_kill_at_each_record),      T(test_kill_while_putting_back), T(test_kill_the_resume_too),
        T(test_rollback_of_a_killed_run), T(test_kill_the_rollback),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
