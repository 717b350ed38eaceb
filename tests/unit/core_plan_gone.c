/* A server that is out of reach for good is refused by itself, when a run is resumed and when it is taken back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/plan_scene.h"

/* Killed when the intent of E2K7CAS01 was written. */
static void interrupt(struct scene *s, char *run, size_t cap)
{
    s->o.parallel = s->o.wave = 1;
    assert_true(apply_and_die(s, 5, false, NULL));
    last_run(s, run, cap);
}

/* Another name that sorts to the same place: nobody is called that any more. */
static void take_away(struct scene *s, const char *server, const char *other)
{
    builder_server(s->org, server)->name = other;
    struct world_object *o = world_oa(s->world, server);
    o->exists = false;
}

static enum err resume(struct scene *s, const char *run)
{
    memset(s->names, 0, sizeof s->names);
    memset(s->phases, 0, sizeof s->phases);
    s->details[0] = '\0';
    s->ei = (struct errinfo){0};
    enum err e = run_resume(run, &s->o, &s->io, &s->out, &s->ei);
    str_copy(s->out.run, sizeof s->out.run, run);
    return e;
}

static void test_not_begun(void **state)
{
    struct scene *s = *state;
    char run[32];
    interrupt(s, run, sizeof run);
    take_away(s, "EXCAS01", "EXCAS00");
    assert_int_equal(resume(s, run), ERR_PARTIAL);
    assert_outcome(s, 2, 1, 0, 0);
    assert_non_null(strstr(s->ei.what, "the server EXCAS01 is not in the directory: not begun"));
    assert_string_equal(iis(s, "E2K7CAS01"), "3");
    assert_string_equal(iis(s, "EXCAS02"), "3");
    assert_string_equal(records(s, "EXCAS01"), "capture failed");
    assert_string_equal(status(s), "failed");
    assert_unlocked(s);
    assert_int_equal(resume(s, run), ERR_REFUSED); /* it has ended */
}

static void test_in_hand(void **state)
{
    struct scene *s = *state;
    char run[32];
    interrupt(s, run, sizeof run);
    take_away(s, "E2K7CAS01", "E2K7CAS00");
    assert_int_equal(resume(s, run), ERR_PARTIAL);
    assert_outcome(s, 2, 1, 0, 0);
    assert_non_null(strstr(s->ei.what, "the server E2K7CAS01 is not in the directory: how the step ended"));
    assert_string_equal(records(s, "E2K7CAS01"), "capture intent failed");
    assert_string_equal(iis(s, "EXCAS01"), "3");
    assert_string_equal(iis(s, "EXCAS02"), "3");
}

static void test_other_reasons(void **state)
{
    struct scene *s = *state;
    char run[32];
    interrupt(s, run, sizeof run);
    builder_server(s->org, "EXCAS01")->generation = GENERATION_2013; /* another -ClientAuthenticationMethod */
    builder_server(s->org, "EXCAS02")->fqdn = NULL;
    assert_int_equal(resume(s, run), ERR_PARTIAL);
    assert_outcome(s, 1, 2, 0, 0);
    assert_non_null(strstr(s->details, "in this version of Exchange: not begun"));
    assert_non_null(strstr(s->details, "cannot be reached: not begun"));
    assert_string_equal(iis(s, "E2K7CAS01"), "3");
    assert_int_equal(pushes(s), 1);
}

/* A plan that is not begun yet is refused as a whole. */
static void test_apply_refuses_all(void **state)
{
    struct scene *s = *state;
    take_away(s, "EXCAS01", "EXCAS00");
    assert_int_equal(apply(s), ERR_STALE);
    assert_int_equal(pushes(s), 0);
}

static void test_rollback(void **state)
{
    struct scene *s = *state;
    struct plan *p = NULL;
    assert_int_equal(apply(s), ERR_OK);
    take_away(s, "EXCAS01", "EXCAS00");
    assert_int_equal(run_rollback(&p, s->out.run, &s->o, NULL, &s->io, &s->ei), ERR_OK);
    assert_int_equal(p->n_steps, 3);
    assert_non_null(strstr(p->steps[1].skip, "the server EXCAS01 is not in the directory"));
    plan_free(&s->plan);
    s->plan = p;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 2, 0, 0, 1);
    assert_non_null(strstr(s->ei.what, "not everything was put back"));
    assert_string_equal(iis(s, "E2K7CAS01"), "1");
    assert_false(world_oa(s->world, "EXCAS02")->exists);
}

/* In two places in the directory: the name alone does not tell which is meant. */
static void test_rollback_of_a_name_that_is_there_twice(void **state)
{
    struct scene *s = *state;
    struct plan *p = NULL;
    assert_int_equal(apply(s), ERR_OK);
    builder_server(s->org, "EX13MBX01")->name = "EXCAS01";
    assert_int_equal(run_rollback(&p, s->out.run, &s->o, NULL, &s->io, &s->ei), ERR_OK);
    plan_free(&s->plan);
    s->plan = p;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 2, 0, 0, 1);
    assert_string_equal(iis(s, "EXCAS01"), "3");
    assert_non_null(strstr(s->ei.what, "two servers are called EXCAS01"));
}

/* A resumed rollback that leaves something alone is no success either; nor is a plan whose author left something out a failure. */
static void test_left_out_and_left_alone(void **state)
{
    struct scene *s = *state;
    s->plan->steps[0].skip = "not this week";
    assert_int_equal(apply(s), ERR_OK);
    assert_outcome(s, 2, 0, 0, 1);
    struct plan *p = NULL;
    str_copy(world_oa(s->world, "EXCAS01")->iis, 32, "8195");
    assert_int_equal(run_rollback(&p, s->out.run, &s->o, NULL, &s->io, &s->ei), ERR_OK);
    assert_int_equal(p->n_steps, 2);
    plan_free(&s->plan);
    s->plan = p;
    memset(s->names, 0, sizeof s->names);
    char run[32];
    interrupt(s, run, sizeof run); /* begin, two captures, and a record of the first */
    assert_int_equal(resume(s, run), ERR_PARTIAL);
    assert_non_null(strstr(s->ei.what, "1 of 2 steps left alone, the first: EXCAS01"));
    assert_string_equal(status(s), "failed");
}

/* A host on which nothing is done proves nothing for the others. */
static void test_left_out_is_no_canary(void **state)
{
    struct scene *s = *state;
    s->plan->steps[0].skip = "not this week";
    world_server(s->world, "EXCAS01")->mode = WORLD_REFUSES;
    s->o.max_fail = 5;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 1, 0, 2);
    assert_int_equal(world_server(s->world, "EXCAS02")->pushes, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_not_begun),
        T(test_in_hand),
        T(test_other_reasons),
        T(test_apply_refuses_all),
        T(test_rollback),
        T(test_rollback_of_a_name_that_is_there_twice),
        T(test_left_out_and_left_alone),
        T(test_left_out_is_no_canary),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
