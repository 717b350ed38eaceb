/* What resume finds and does, and the way back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/plan_scene.h"

#include <poll.h>

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
        {"16", "1", "capture intent reread skipped", "16", ERR_PARTIAL},
        {"3", "2", "capture intent reread skipped", "3", ERR_PARTIAL},
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
    struct world_object first[WORLD_OBJECTS];
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
    /* what is left of the run's changes is no success, to a script either */
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_non_null(strstr(s->ei.what, "not everything was put back: 1 of 3 steps left alone"));
    assert_non_null(strstr(s->ei.what, "EXCAS01: somebody changed it since"));
    assert_string_equal(status(s), "failed");
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
    world_server(s->world, "EXCAS02")->mode = WORLD_REFUSES;
    s->o.parallel = s->o.wave = 1;
    assert_int_equal(apply(s), ERR_PARTIAL);
    str_copy(run, sizeof run, s->out.run);
    struct plan *p = rollback(s, run, &(struct plan_filter){.servers = servers, .n_servers = 1});
    assert_int_equal(p->n_steps, 1);
    plan_free(&p);
    p = rollback(s, run, NULL); /* the one that was refused is as it was */
    assert_int_equal(p->n_steps, 2);
    for (size_t i = 0; i < p->n_steps; i++)
        assert_string_not_equal(p->steps[i].server, "EXCAS02");
    plan_free(&p);
    s->world->directory_dead = true;
    assert_int_equal(run_rollback(&p, run, &s->o, NULL, &s->io, &s->ei), ERR_UNREACHABLE);
    assert_int_equal(run_rollback(&p, "nonsense", &s->o, NULL, &s->io, &s->ei), ERR_NOTFOUND);
}

/* A misspelt server is no "nothing to do"; a full name is a name. */
static void test_rollback_names_servers(void **state)
{
    struct scene *s = *state;
    static const char *const full[] = {"excas01.contoso.lab"}, *const wrong[] = {"EXCAS01", "EXCAS1"};
    assert_int_equal(apply(s), ERR_OK);
    struct plan *p = rollback(s, s->out.run, &(struct plan_filter){.servers = full, .n_servers = 1});
    assert_int_equal(p->n_steps, 1);
    assert_string_equal(p->steps[0].server, "EXCAS01");
    plan_free(&p);
    assert_int_equal(run_rollback(&p, s->out.run, &s->o,
                                  &(struct plan_filter){.servers = wrong, .n_servers = 2}, &s->io, &s->ei),
                     ERR_USAGE);
    assert_non_null(strstr(s->ei.what, "EXCAS1"));
}

/* The run put it back; whoever made the change by hand afterwards made it, not the run. */
static void test_rollback_after_undone(void **state)
{
    struct scene *s = *state;
    world_server(s->world, "E2K7CAS01")->wire_stuck = true;
    str_copy(world_server(s->world, "E2K7CAS01")->wire_iis, 32, "1");
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 0, 1, 2);
    struct plan *p = rollback(s, s->out.run, NULL);
    assert_int_equal(p->n_steps, 0);
    plan_free(&p);
    str_copy(world_oa(s->world, "E2K7CAS01")->iis, 32, "3");
    p = rollback(s, s->out.run, NULL);
    assert_int_equal(p->n_steps, 1);
    assert_non_null(strstr(p->steps[0].skip, "somebody changed it since"));
    plan_free(&p);
}

/* Its command failed and changed nothing: the same change made by hand afterwards is not the run's to take back. */
static void test_rollback_after_a_failure(void **state)
{
    struct scene *s = *state;
    world_server(s->world, "E2K7CAS01")->mode = WORLD_REFUSES;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 1, 0, 2);
    assert_int_equal(left(s, "E2K7CAS01"), 'U');
    world_server(s->world, "E2K7CAS01")->mode = WORLD_OBEYS;
    str_copy(world_oa(s->world, "E2K7CAS01")->iis, 32, "3");
    struct plan *p = rollback(s, s->out.run, NULL);
    assert_int_equal(p->n_steps, 1);
    assert_non_null(p->steps[0].skip);
    assert_non_null(strstr(p->steps[0].skip, "somebody changed it since"));
    plan_free(&p);
}

static void slow_verify(void *ctx, const char *phase)
{
    if (strcmp(phase, "verify") == 0)
        poll(NULL, 0, 1100); /* the journal has whole seconds */
    world_recorded(ctx, phase);
}

/* After half an hour of waiting the inverse is sent, and then the program dies: the inverse may still be at work, not the cmdlet. */
static void test_when_the_inverse_was_sent(void **state)
{
    struct scene *s = *state;
    struct history h = {0};
    journal_records all = {0};
    int64_t intent = 0, undo = 0;
    char run[32];
    world_server(s->world, "E2K7CAS01")->wire_stuck = true;
    str_copy(world_server(s->world, "E2K7CAS01")->wire_iis, 32, "1");
    s->o.parallel = 1;
    s->io.recorded = slow_verify;
    assert_true(apply_and_die(s, 4 + 6, false, NULL)); /* begin, captures; ... verify, failed, undo */
    last_run(s, run, sizeof run);
    assert_int_equal(journal_read(s->o.store, run, &all, NULL), ERR_OK);
    for (size_t i = 0; i < all.n; i++) {
        intent = strcmp(all.v[i].phase, "intent") == 0 ? all.v[i].at : intent;
        undo = strcmp(all.v[i].phase, "undo") == 0 ? all.v[i].at : undo;
    }
    journal_records_free(&all);
    assert_true(intent && undo > intent);
    assert_int_equal(plan_history_read(&h, s->o.store, run, &s->ei), ERR_OK);
    assert_true(h.steps[0].undo_begun);
    assert_int_equal(h.steps[0].sent_at, undo);
    plan_history_fini(&h);
}

static enum err resume(struct scene *s, const char *run, unsigned max_fail)
{
    s->o.max_fail = max_fail;
    memset(s->names, 0, sizeof s->names); /* of the steps of the run before */
    s->ei = (struct errinfo){0};
    return run_resume(run, &s->o, &s->io, &s->out, &s->ei);
}

/* The canary fails and the admin presses Ctrl-C: a resume is no way round --max-fail, nor round a canary. */
static void test_failures_before_the_resume(void **state)
{
    struct scene *s = *state;
    char run[32];
    world_server(s->world, "E2K7CAS01")->mode = WORLD_REFUSES;
    s->world->raise_in_push = &s->stop;
    assert_int_equal(apply(s), ERR_INTERRUPTED);
    assert_outcome(s, 0, 1, 0, 2);
    str_copy(run, sizeof run, s->out.run);
    s->world->raise_in_push = NULL;
    stop_init(&s->stop, 0, NULL);
    for (int i = 0; i < 2; i++) { /* refused as often as it is tried, and never ended by it */
        assert_int_equal(resume(s, run, 0), ERR_PARTIAL);
        assert_outcome(s, 0, 0, 0, 2);
        assert_non_null(strstr(s->ei.what, "1 servers had failed before"));
        assert_non_null(strstr(s->ei.hint, "--max-fail 2"));
        assert_string_equal(status(s), "interrupted");
        assert_int_equal(pushes(s), 1);
    }
    /* gone on with: the next one is a canary again */
    world_server(s->world, "EXCAS01")->mode = WORLD_REFUSES;
    assert_int_equal(resume(s, run, 9), ERR_PARTIAL);
    assert_outcome(s, 0, 1, 0, 1);
    assert_int_equal(world_server(s->world, "EXCAS02")->pushes, 0);
    assert_string_equal(status(s), "failed");
    assert_int_equal(resume(s, run, 9), ERR_REFUSED);
}

/* The rest went well: the run is still one in which a server failed. */
static void test_resumed_run_has_failed(void **state)
{
    struct scene *s = *state;
    char run[32];
    world_server(s->world, "E2K7CAS01")->mode = WORLD_REFUSES;
    s->o.parallel = s->o.wave = 1;
    assert_true(apply_and_die(s, 4 + 4, false, NULL)); /* begin, captures; intent, result, reread, failed */
    last_run(s, run, sizeof run);
    assert_int_equal(resume(s, run, 2), ERR_PARTIAL);
    assert_outcome(s, 2, 0, 0, 0);
    assert_string_equal(iis(s, "EXCAS01"), "3");
    assert_int_equal(world_server(s->world, "E2K7CAS01")->pushes, 1);
    assert_string_equal(status(s), "failed");
}

/* Of one server: the first step failed before the interruption, so the second is not begun after it. */
static void test_resume_stops_at_the_failed_step(void **state)
{
    struct scene *s = *state;
    char run[32];
    s->plan->steps[1] = s->plan->steps[0];
    s->plan->steps[1].n = 2;
    s->plan->n_steps = 2;
    world_server(s->world, "E2K7CAS01")->mode = WORLD_REFUSES;
    assert_true(apply_and_die(s, 3 + 4, false, NULL)); /* begin, captures; intent, result, reread, failed */
    last_run(s, run, sizeof run);
    world_server(s->world, "E2K7CAS01")->mode = WORLD_OBEYS;
    assert_int_equal(resume(s, run, 9), ERR_PARTIAL);
    assert_outcome(s, 0, 0, 0, 1);
    assert_int_equal(pushes(s), 1);
    assert_string_equal(iis(s, "E2K7CAS01"), "1");
}

/* A step that the run never began is not its own, even when the value is there: somebody else wrote it. */
static void test_rollback_leaves_what_was_not_begun(void **state)
{
    struct scene *s = *state;
    world_server(s->world, "E2K7CAS01")->mode = WORLD_REFUSES;
    assert_int_equal(apply(s), ERR_PARTIAL);
    str_copy(world_oa(s->world, "EXCAS01")->iis, 32, "3");
    struct plan *p = rollback(s, s->out.run, NULL);
    assert_int_equal(p->n_steps, 0);
    plan_free(&p);
}

/* The connection is lost while the object is being made: not known, so neither done nor failed. What resume finds decides. */
static void test_lost_half_way(void **state)
{
    static const char *const found[] = {"", "3"};
    for (size_t i = 0; i < ARRAY_LEN(found); i++) {
        struct scene *s = *state;
        char run[32];
        s->plan->steps[0] = s->plan->steps[2];
        s->plan->steps[0].n = 1;
        s->plan->n_steps = 1;
        world_server(s->world, "EXCAS02")->mode = WORLD_LOST_HALFWAY;
        assert_int_equal(apply(s), ERR_PARTIAL);
        assert_int_equal(s->out.unfinished, 1);
        assert_outcome(s, 0, 0, 0, 0);
        assert_string_equal(status(s), "interrupted");
        assert_non_null(strstr(s->ei.hint, "resume"));
        assert_string_equal(records(s, "EXCAS02"), "capture intent result reread");
        str_copy(run, sizeof run, s->out.run);
        world_server(s->world, "EXCAS02")->mode = WORLD_OBEYS;
        struct world_object *o = world_oa(s->world, "EXCAS02");
        if (*found[i]) { /* it had been at work */
            str_copy(o->iis, sizeof o->iis, found[i]);
            str_copy(o->client, sizeof o->client, "1");
            str_copy(o->host, sizeof o->host, "https://mail.contoso.lab/rpc");
            str_copy(o->flags, sizeof o->flags, "0");
        }
        assert_int_equal(resume(s, run, 0), *found[i] ? ERR_OK : ERR_PARTIAL);
        assert_int_equal(o->exists, *found[i] != '\0');
        assert_outcome(s, *found[i] ? 1 : 0, 0, *found[i] ? 0 : 1, 0);
        assert_int_equal(scene_teardown(state), 0);
        assert_int_equal(scene_setup(state), 0);
    }
}

/* Somebody took the run back; somebody else sees that it never ended. What was taken back is not done again. */
static void test_resume_after_a_rollback(void **state)
{
    struct scene *s = *state;
    struct world_object first[WORLD_OBJECTS];
    char run[32];
    s->o.parallel = s->o.wave = 1;
    memcpy(first, s->world->objects, sizeof first);
    assert_true(apply_and_die(s, 4 + 5 + 2, false, NULL)); /* one server done, the next in hand */
    last_run(s, run, sizeof run);
    use(s, rollback(s, run, NULL));
    assert_int_equal(s->plan->n_steps, 2);
    if (apply(s) != ERR_OK)
        fail_msg("%s", s->ei.what);
    assert_memory_equal(first, s->world->objects, sizeof first);
    int before = pushes(s);
    assert_int_equal(resume(s, run, 0), ERR_PARTIAL);
    assert_non_null(strstr(s->ei.what, "was taken back by run "));
    assert_int_equal(pushes(s), before + 1); /* the third server, which nobody took back */
    assert_string_equal(iis(s, "E2K7CAS01"), "1");
    assert_string_equal(iis(s, "EXCAS01"), "1");
    assert_string_equal(iis(s, "EXCAS02"), "3");
    str_copy(s->out.run, sizeof s->out.run, run);
    assert_string_equal(status(s), "done"); /* the rollback's, begun last */
}

/* The way back was interrupted, another one went, and the first was gone on with: what it took back then is not done again either. */
static void test_resume_after_two_rollbacks(void **state)
{
    struct scene *s = *state;
    static const char *const done[] = {"E2K7CAS01"};
    char run[32], back[32];
    s->o.parallel = s->o.wave = 1;
    assert_true(apply_and_die(s, 4 + 5 + 2, false, NULL)); /* one server done, the next in hand */
    last_run(s, run, sizeof run);
    use(s, rollback(s, run, NULL));
    assert_true(apply_and_die(s, 3, false, NULL)); /* nothing was sent */
    last_run(s, back, sizeof back);
    use(s, rollback(s, run, &(struct plan_filter){.servers = done, .n_servers = 1}));
    assert_int_equal(apply(s), ERR_OK);
    assert_int_equal(resume(s, back, 0), ERR_PARTIAL); /* the first server has been put back */
    assert_string_equal(iis(s, "EXCAS01"), "1");
    assert_int_equal(resume(s, run, 0), ERR_PARTIAL);
    assert_non_null(strstr(s->ei.what, "was taken back by run "));
    assert_non_null(strstr(s->ei.what, back));
    assert_string_equal(iis(s, "E2K7CAS01"), "1");
    assert_string_equal(iis(s, "EXCAS01"), "1");
}

static void lands_late(void *ctx, int ms)
{
    struct world *w = ctx;
    world_sleep(ctx, ms);
    if (w->now > 6000)
        str_copy(world_oa(w, "E2K7CAS01")->iis, 32, "3");
}

/* Killed a moment ago: the cmdlet is on its way still, and "nothing to take back" would be wrong in ten seconds. */
static void test_rollback_waits_for_what_was_sent(void **state)
{
    struct scene *s = *state;
    char run[32];
    s->o.parallel = s->o.wave = 1;
    assert_true(apply_and_die(s, 5, false, NULL)); /* the intent */
    last_run(s, run, sizeof run);
    s->io.sleep_ms = lands_late;
    struct plan *p = rollback(s, run, NULL);
    assert_int_equal(p->n_steps, 1);
    assert_string_equal(p->steps[0].server, "E2K7CAS01");
    assert_null(p->steps[0].skip);
    plan_free(&p);
}

#define T(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_killed_twice),
        T(test_what_resume_finds),
        T(test_resume_of_nothing),
        T(test_there_and_back),
        T(test_somebody_changed_it_since),
        T(test_rollback_of_some),
        T(test_lost_half_way),
        T(test_resume_stops_at_the_failed_step),
        T(test_rollback_leaves_what_was_not_begun),
        T(test_failures_before_the_resume),
        T(test_resumed_run_has_failed),
        T(test_rollback_names_servers),
        T(test_rollback_after_undone),
        T(test_rollback_after_a_failure),
        T(test_when_the_inverse_was_sent),
        T(test_resume_after_a_rollback),
        T(test_resume_after_two_rollbacks),
        T(test_rollback_waits_for_what_was_sent),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
