/* What resume finds and does, and the way back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/plan_scene.h"

static void test_killed_twice(void **state)
{
    struct scene *s = *state;
    char run[32];
    s->o.parallel = s->o.wave = 1;
    assert_true(apply_and_die(s, 6, false, NULL));
    last_run(s, run, sizeof run);
    assert_true(apply_and_die(s, 3, true, run));
    assert_int_equal(run_resume(run, &s->o, &s->io, &s->out, &s->ei), ERR_OK);
    assert_all_new(s);
    assert_whole(s);
    assert_string_equal(status(s), "done");
}

/* Died right after the intent: what the directory says decides. */
static void test_what_resume_finds(void **state)
{
    static const struct {
        const char *iis, *client, *records, *iis_after;
        enum err err;
    } rows[] = {
        {"1", "1", "capture intent reread intent result reread verify done", "3", ERR_OK},
        {"3", "1", "capture intent reread verify done", "3", ERR_OK},
        {"16", "1", "capture intent reread skipped", "16", ERR_OK},
        {"3", "2", "capture intent reread skipped", "3", ERR_OK},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scene *s = *state;
        char run[32];
        s->o.parallel = s->o.wave = 1;
        assert_true(apply_and_die(s, 5, false, NULL));
        last_run(s, run, sizeof run);
        struct world_object *o = world_oa(s->world, "E2K7CAS01");
        str_copy(o->iis, sizeof o->iis, rows[i].iis);
        str_copy(o->client, sizeof o->client, rows[i].client);
        enum err e = run_resume(run, &s->o, &s->io, &s->out, &s->ei);
        if (e != rows[i].err)
            fail_msg("row %zu: %s: %s", i, err_name(e), s->ei.what);
        str_copy(s->out.run, sizeof s->out.run, run);
        if (strcmp(records(s, "E2K7CAS01"), rows[i].records) != 0)
            fail_msg("row %zu: %s", i, records(s, "E2K7CAS01"));
        assert_string_equal(o->iis, rows[i].iis_after);
        assert_string_equal(iis(s, "EXCAS01"), "3");
        assert_int_equal(scene_teardown(state), 0);
        assert_int_equal(scene_setup(state), 0);
    }
}

static void test_resume_of_nothing(void **state)
{
    struct scene *s = *state;
    assert_int_equal(run_resume("20260101T000000Z-0000", &s->o, &s->io, &s->out, &s->ei), ERR_NOTFOUND);
    assert_unlocked(s);
    assert_int_equal(apply(s), ERR_OK);
    char run[32];
    str_copy(run, sizeof run, s->out.run);
    assert_int_equal(run_resume(run, &s->o, &s->io, &s->out, &s->ei), ERR_REFUSED);
    s->org->name = "Fabrikam";
    assert_int_equal(run_rollback(&s->plan, run, &s->o, NULL, &s->io, &s->ei), ERR_REFUSED);
}

static struct plan *rollback(struct scene *s, const char *run, const struct plan_filter *filter)
{
    struct plan *p = NULL;
    if (run_rollback(&p, run, &s->o, filter, &s->io, &s->ei) != ERR_OK)
        fail_msg("%s", s->ei.what);
    return p;
}

static void use(struct scene *s, struct plan *p)
{
    plan_free(&s->plan);
    s->plan = p;
}

static void test_there_and_back(void **state)
{
    struct scene *s = *state;
    struct world_object first[16];
    char run[32], back[32];
    memcpy(first, s->world->objects, sizeof first);
    assert_int_equal(apply(s), ERR_OK);
    str_copy(run, sizeof run, s->out.run);

    struct plan *p = rollback(s, run, NULL);
    assert_int_equal(p->n_steps, 3);
    assert_string_equal(p->steps[0].server, "EXCAS02"); /* last in, first out */
    assert_string_equal(p->steps[0].cmdlet.name, "Disable-OutlookAnywhere");
    assert_string_equal(p->steps[0].inverse.name, "Enable-OutlookAnywhere");
    assert_false(p->steps[0].verify_wire);
    assert_true(p->steps[1].verify_wire);
    assert_string_equal(p->steps[1].finding, "oa-iis-auth");
    use(s, p);
    if (apply(s) != ERR_OK)
        fail_msg("%s", s->ei.what);
    assert_outcome(s, 3, 0, 0, 0);
    assert_memory_equal(first, s->world->objects, sizeof first);
    str_copy(back, sizeof back, s->out.run);

    /* a second time there is nothing left to do */
    p = rollback(s, run, NULL);
    assert_int_equal(p->n_steps, 0);
    use(s, p);

    /* and the rollback can be taken back itself */
    p = rollback(s, back, NULL);
    assert_int_equal(p->n_steps, 3);
    use(s, p);
    if (apply(s) != ERR_OK)
        fail_msg("%s", s->ei.what);
    assert_string_equal(iis(s, "EXCAS01"), "3");
    assert_true(world_oa(s->world, "EXCAS02")->exists);
    assert_string_equal(world_oa(s->world, "EXCAS02")->host, "https://mail.contoso.lab/rpc");
    use(s, rollback(s, run, NULL)); /* repeatable */
    assert_int_equal(s->plan->n_steps, 3);
}

static void test_somebody_changed_it_since(void **state)
{
    struct scene *s = *state;
    char run[32];
    assert_int_equal(apply(s), ERR_OK);
    str_copy(run, sizeof run, s->out.run);
    str_copy(world_oa(s->world, "EXCAS01")->iis, 32, "8195");
    struct plan *p = rollback(s, run, NULL);
    assert_int_equal(p->n_steps, 3);
    const struct plan_step *step = &p->steps[1];
    assert_string_equal(step->server, "EXCAS01");
    assert_non_null(strstr(step->skip, "negotiate"));
    /* the file says so too, and can be read again */
    struct buf b;
    struct plan *again = NULL;
    buf_init(&b, 1 << 20);
    assert_int_equal(plan_to_json(p, &b, &s->ei), ERR_OK);
    if (plan_from_json(&again, buf_str(&b), b.len, &s->ei) != ERR_OK)
        fail_msg("%s", s->ei.what);
    buf_fini(&b);
    plan_free(&p);
    use(s, again);
    if (apply(s) != ERR_OK)
        fail_msg("%s", s->ei.what);
    assert_outcome(s, 2, 0, 0, 1);
    assert_string_equal(iis(s, "EXCAS01"), "8195");
    assert_string_equal(iis(s, "E2K7CAS01"), "1");
    assert_string_equal(records(s, "EXCAS01"), "capture skipped");
}

static void test_rollback_of_some(void **state)
{
    struct scene *s = *state;
    static const char *const servers[] = {"excas01"};
    char run[32];
    world_server(s->world, "E2K7CAS01")->mode = WORLD_REFUSES;
    s->o.canary = 3;
    assert_int_equal(apply(s), ERR_PARTIAL);
    str_copy(run, sizeof run, s->out.run);
    struct plan *p = rollback(s, run, &(struct plan_filter){.servers = servers, .n_servers = 1});
    assert_int_equal(p->n_steps, 1);
    plan_free(&p);
    p = rollback(s, run, NULL); /* the one that was refused is as it was */
    assert_true(p->n_steps == 2 || p->n_steps == 1);
    for (size_t i = 0; i < p->n_steps; i++)
        assert_string_not_equal(p->steps[i].server, "E2K7CAS01");
    plan_free(&p);
    s->world->directory_dead = true;
    assert_int_equal(run_rollback(&p, run, &s->o, NULL, &s->io, &s->ei), ERR_UNREACHABLE);
    assert_int_equal(run_rollback(&p, "nonsense", &s->o, NULL, &s->io, &s->ei), ERR_NOTFOUND);
}

#define T(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_killed_twice),   T(test_what_resume_finds),         T(test_resume_of_nothing),
        T(test_there_and_back), T(test_somebody_changed_it_since), T(test_rollback_of_some),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
