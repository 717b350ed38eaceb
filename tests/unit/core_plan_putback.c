/* A step of a server failed: the server is put back as it was before the run. Killed anywhere in that, it ends the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/plan_scene.h"

static const char new_uri[] = "https://mail.contoso.lab/Autodiscover/Autodiscover.xml";
static const char old_uri[] = "https://autodiscover.contoso.lab/Autodiscover/Autodiscover.xml";

/* Three steps of EXCAS01 and one of EXCAS02. By itself Outlook Anywhere comes first; oa_last: at the end. */
static void use_steps(struct scene *s, bool oa_last, bool nudge)
{
    struct findings f;
    findings_init(&f);
    f.target = GENERATION_2013;
    add_auth_finding(&f, "EXCAS01", AUTH_BASIC);
    add_scp_finding(&f, "EXCAS01", new_uri);
    add_rpc_finding(&f, "EXCAS01");
    add_enable_finding(&f, "EXCAS02");
    plan_free(&s->plan);
    const struct plan_filter filter = {.nudge = nudge};
    assert_int_equal(plan_build(&s->plan, s->org, &f, &filter, "admin", &s->ei), ERR_OK);
    findings_fini(&f);
    assert_int_equal(s->plan->n_steps, 4);
    struct plan_step *steps = s->plan->steps, oa = steps[0];
    if (oa_last) {
        memmove(steps, steps + 1, 2 * sizeof *steps);
        steps[2] = oa;
    }
    for (int i = 0; i < 4; i++)
        steps[i].n = i + 1;
    s->o.parallel = s->o.wave = 1;
}

static void stick(struct scene *s)
{
    world_server(s->world, "EXCAS01")->wire_stuck = true;
    str_copy(world_server(s->world, "EXCAS01")->wire_iis, 32, "1");
}

static void begin_again(void **state)
{
    assert_int_equal(scene_teardown(state), 0);
    assert_int_equal(scene_setup(state), 0);
}

static const char *rpc(struct scene *s)
{
    return world_object(s->world, "EXCAS01", "CN=RpcClientAccess")->flags;
}

static const char *scp(struct scene *s)
{
    return world_scp(s->world, "EXCAS01")->other;
}

static void assert_as_before(struct scene *s, const struct world_object *first)
{
    for (size_t i = 0; i < s->world->n_objects; i++)
        if (strcmp(first[i].server, "EXCAS01") == 0 &&
            memcmp(&first[i], &s->world->objects[i], sizeof *first) != 0)
            fail_msg("%s is not as it was", first[i].dn);
    for (size_t i = 0; i < s->world->n_servers; i++)
        assert_int_equal(s->world->servers[i].resent, 0);
}

static bool said(const struct scene *s, const char *text)
{
    return strstr(s->details, text) != NULL;
}

static void test_all_of_the_server(void **state)
{
    struct scene *s = *state;
    struct world_object first[WORLD_OBJECTS];
    use_steps(s, true, false);
    stick(s);
    memcpy(first, s->world->objects, sizeof first);
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 0, 3, 1);
    assert_as_before(s, first);
    assert_string_equal(records(s, "EXCAS01"),
                        "capture capture capture intent result reread verify done intent result reread "
                        "verify done intent result reread verify failed undo result undone failed undo "
                        "result undone failed undo result undone");
    /* the last first */
    journal_records all = {0};
    static const char *const order[] = {"Set-OutlookAnywhere", "Set-RpcClientAccess",
                                        "Set-ClientAccessServer"};
    size_t n = 0;
    assert_int_equal(journal_read(s->o.store, s->out.run, &all, NULL), ERR_OK);
    for (size_t i = 0; i < all.n; i++)
        if (strcmp(all.v[i].phase, "undo") == 0) {
            assert_int_equal(strncmp(all.v[i].cmdlet, order[n], strlen(order[n])), 0);
            n++;
        }
    assert_int_equal(n, 3);
    journal_records_free(&all);
    /* the reason is the step that failed, not one that went back with it */
    assert_non_null(strstr(s->ei.what, "the wire did not follow"));
    assert_true(said(s, "step 3 failed, and the server is put back as it was before the run"));
    assert_true(said(s, "IIS follows within the polling interval (3 s)"));
    assert_true(said(s, "EXCAS01 is as it was before the run"));
    assert_string_equal(status(s), "failed");
    assert_unlocked(s);
    struct plan *p = NULL;
    assert_int_equal(run_rollback(&p, s->out.run, &s->o, NULL, &s->io, &s->ei), ERR_OK);
    assert_int_equal(p->n_steps, 0);
    plan_free(&p);
    journal_runs runs = {0};
    assert_int_equal(journal_list(s->o.store, &runs, NULL), ERR_OK);
    assert_int_equal(runs.v[0].done, 0); /* nothing of it is left */
    assert_int_equal(runs.v[0].failed, 3);
    journal_runs_free(&runs);
}

/* The step in the middle: the one after it is never begun. */
static void test_step_in_the_middle(void **state)
{
    struct scene *s = *state;
    struct world_object first[WORLD_OBJECTS];
    use_steps(s, false, false);
    memcpy(first, s->world->objects, sizeof first);
    world_server(s->world, "EXCAS01")->mode = WORLD_PRETENDS;
    world_server(s->world, "EXCAS01")->only_push = 2;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 0, 2, 2);
    assert_string_equal(iis(s, "EXCAS01"), "1");
    assert_string_equal(scp(s), old_uri);
    assert_true(said(s, "an earlier step of this server failed"));
    assert_non_null(strstr(s->ei.what, "still says"));
}

/* What is refused leaves no trace, and is no reason to take back what was verified; where to do so is said. */
static void test_refused_without_a_trace(void **state)
{
    struct scene *s = *state;
    use_steps(s, false, false);
    world_server(s->world, "EXCAS01")->mode = WORLD_REFUSES;
    world_server(s->world, "EXCAS01")->only_push = 2;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 1, 1, 0, 2);
    assert_string_equal(iis(s, "EXCAS01"), "3");
    assert_true(said(s, "what was done on EXCAS01 before this step stays (1 step); 'casbridge rollback "));
    assert_true(said(s, "--server EXCAS01' takes it back"));
}

static struct {
    const char *phase, *value;
    int n;
    struct stop *stop;
} meddler;

/* When the n-th record of that phase is written, somebody changes the SCP or presses Ctrl-C. */
static void meddle(void *ctx, const char *phase)
{
    struct world *w = ctx;
    if (strcmp(phase, meddler.phase) == 0 && --meddler.n == 0) {
        if (meddler.value)
            str_copy(world_scp(w, "EXCAS01")->other, 96, meddler.value);
        if (meddler.stop)
            stop_raise(meddler.stop);
    }
    world_recorded(ctx, phase);
}

static void test_somebody_changed_it_since(void **state)
{
    struct scene *s = *state;
    use_steps(s, true, false);
    stick(s);
    s->io.recorded = meddle;
    meddler.phase = "failed", meddler.value = "https://bob.contoso.lab/", meddler.n = 1, meddler.stop = NULL;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 1, 2, 1);
    assert_string_equal(scp(s), "https://bob.contoso.lab/");
    assert_string_equal(iis(s, "EXCAS01"), "1");
    assert_string_equal(rpc(s), "TRUE");
    assert_true(said(s, "not put back: now dc1.contoso.lab says autodiscover_uri https://bob.contoso.lab/"));
    assert_true(said(s, "not all of EXCAS01 could be put back"));
    assert_non_null(strstr(s->ei.what, "the wire did not follow"));
    assert_int_equal(pushes(s), 5);
}

static void test_somebody_put_it_back_already(void **state)
{
    struct scene *s = *state;
    use_steps(s, true, false);
    stick(s);
    s->io.recorded = meddle;
    meddler.phase = "failed", meddler.value = old_uri, meddler.n = 1, meddler.stop = NULL;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 0, 3, 1);
    assert_int_equal(pushes(s), 5);
    assert_true(said(s, "EXCAS01 is as it was before the run"));
}

static void test_inverse_refused(void **state)
{
    struct scene *s = *state;
    use_steps(s, true, false);
    stick(s);
    world_server(s->world, "EXCAS01")->mode = WORLD_REFUSES;
    world_server(s->world, "EXCAS01")->only_push = 5; /* three steps, Outlook Anywhere back, then this */
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 1, 2, 1);
    assert_string_equal(rpc(s), "FALSE");
    assert_string_equal(scp(s), old_uri);
    assert_true(said(s, "it could not be put back (error: Access is denied."));
    assert_non_null(strstr(s->ei.hint, "takes back what stayed"));
    assert_true(said(s, "not all of EXCAS01 could be put back"));
}

/* The server in hand is finished, the way back too. */
static void test_stop_on_the_way_back(void **state)
{
    struct scene *s = *state;
    struct world_object first[WORLD_OBJECTS];
    use_steps(s, true, false);
    stick(s);
    memcpy(first, s->world->objects, sizeof first);
    s->io.recorded = meddle;
    meddler.phase = "undo", meddler.value = NULL, meddler.n = 1, meddler.stop = &s->stop;
    assert_int_equal(apply(s), ERR_INTERRUPTED);
    assert_outcome(s, 0, 0, 3, 1);
    assert_as_before(s, first);
}

/* The directory is lost on the way: resume goes on with it. */
static void test_lost_on_the_way_back(void **state)
{
    struct scene *s = *state;
    struct world_object first[WORLD_OBJECTS];
    char run[32];
    use_steps(s, true, false);
    stick(s);
    memcpy(first, s->world->objects, sizeof first);
    assert_true(apply_and_die(s, 1 + 4 + 15 + 3, false, NULL)); /* its first "undone" */
    last_run(s, run, sizeof run);
    s->world->directory_dead = true;
    assert_int_equal(run_resume(run, &s->o, &s->io, &s->out, &s->ei), ERR_UNREACHABLE);
    assert_string_equal(status(s), "interrupted");
    s->world->directory_dead = false;
    memset(s->names, 0, sizeof s->names); /* of the steps of that resume */
    assert_int_equal(run_resume(run, &s->o, &s->io, &s->out, &s->ei), ERR_PARTIAL);
    assert_as_before(s, first);
}

/* A restart cannot be taken back, which is said; another makes the server read the old values at once. */
static void test_nudges(void **state)
{
    struct scene *s = *state;
    use_steps(s, true, true);
    stick(s);
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 0, 3, 1);
    assert_int_equal(world_server(s->world, "EXCAS01")->nudged, 2);
    assert_true(said(s, "a restart cannot be taken back; IIS follows"));
    begin_again(state);
    s = *state;
    use_steps(s, true, true);
    stick(s);
    world_server(s->world, "EXCAS01")->nudge_helps = true;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_true(said(s, "a restart cannot be taken back: it was done once more"));
}

/* A rollback that fails in its last step has taken the others back all the same. */
static void test_rollback_keeps_what_it_took_back(void **state)
{
    struct scene *s = *state;
    char run[32];
    use_steps(s, false, false); /* so that Outlook Anywhere is the last on the way back */
    assert_int_equal(apply(s), ERR_OK);
    str_copy(run, sizeof run, s->out.run);
    struct plan *p = NULL;
    assert_int_equal(run_rollback(&p, run, &s->o, NULL, &s->io, &s->ei), ERR_OK);
    assert_string_equal(p->rollback_of, run);
    memset(s->names, 0, sizeof s->names);
    plan_free(&s->plan);
    s->plan = p;
    s->o.max_fail = 9;
    stick(s);
    str_copy(world_server(s->world, "EXCAS01")->wire_iis, 32, "3");
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 3, 0, 1, 0);
    assert_string_equal(scp(s), old_uri);
    assert_string_equal(rpc(s), "TRUE");
    assert_string_equal(iis(s, "EXCAS01"), "3");
    assert_true(said(s, "what was taken back on EXCAS01 before this step stays so (2 steps)"));
    char hint[80];
    snprintf(hint, sizeof hint, "'casbridge rollback %s' tries the rest", run);
    assert_non_null(strstr(s->ei.hint, hint));
    world_server(s->world, "EXCAS01")->wire_stuck = false;
    assert_int_equal(run_rollback(&p, run, &s->o, NULL, &s->io, &s->ei), ERR_OK);
    assert_int_equal(p->n_steps, 1); /* repeatable: what is left */
    plan_free(&p);
}

static void assert_all_undone(struct scene *s, const char *run)
{
    journal_records all = {0};
    const char *last[5] = {0};
    assert_int_equal(journal_read(s->o.store, run, &all, NULL), ERR_OK);
    for (size_t i = 0; i < all.n; i++)
        if (all.v[i].step >= 1 && all.v[i].step <= 3)
            last[all.v[i].step] = all.v[i].phase;
    for (int i = 1; i <= 3; i++)
        assert_string_equal(last[i], "undone");
    journal_records_free(&all);
    assert_whole(s);
    assert_unlocked(s);
}

/* After each record; then a resume, or at once a rollback. */
static void test_kill_at_each_record(void **state)
{
    for (int round = 0; round < 2; round++)
        for (int n = 1;; n++) {
            struct scene *s = *state;
            struct world_object first[WORLD_OBJECTS];
            char run[32];
            use_steps(s, true, false);
            stick(s);
            memcpy(first, s->world->objects, sizeof first);
            bool died = apply_and_die(s, n, false, NULL);
            assert_whole(s);
            last_run(s, run, sizeof run);
            s->ei = (struct errinfo){0};
            if (round == 0) {
                enum err e = run_resume(run, &s->o, &s->io, &s->out, &s->ei);
                bool ended = strcmp(status(s), "failed") == 0;
                if (e != ERR_PARTIAL && !(e == ERR_REFUSED && ended))
                    fail_msg("killed at record %d: %s: %s", n, err_name(e), s->ei.what);
                if (n > 4) /* captured */
                    assert_all_undone(s, run);
            } else {
                struct plan *p = NULL;
                world_server(s->world, "EXCAS01")->wire_stuck = false;
                assert_int_equal(run_rollback(&p, run, &s->o, NULL, &s->io, &s->ei), ERR_OK);
                plan_free(&s->plan);
                s->plan = p;
                if (apply(s) != ERR_OK)
                    fail_msg("killed at record %d: %s", n, s->ei.what);
            }
            assert_as_before(s, first);
            begin_again(state);
            if (!died)
                break;
            assert_true(n < 100);
        }
}

/* The resume dies as well, at many pairs of places from the first "failed" on. */
static void test_kill_the_resume_too(void **state)
{
    int deaths = 0;
    bool died = true;
    for (int n = 1 + 4 + 15; died; n += 3) {
        bool again = true;
        for (int m = 1; again; m++) {
            struct scene *s = *state;
            struct world_object first[WORLD_OBJECTS];
            char run[32];
            use_steps(s, true, false);
            stick(s);
            memcpy(first, s->world->objects, sizeof first);
            died = apply_and_die(s, n, false, NULL);
            last_run(s, run, sizeof run);
            again = died && strcmp(status(s), "failed") != 0 && apply_and_die(s, m, true, run);
            deaths += again;
            s->ei = (struct errinfo){0};
            enum err e = run_resume(run, &s->o, &s->io, &s->out, &s->ei);
            if (e != ERR_PARTIAL && !(e == ERR_REFUSED && strcmp(status(s), "failed") == 0))
                fail_msg("killed at %d, then at %d: %s: %s", n, m, err_name(e), s->ei.what);
            assert_all_undone(s, run);
            assert_as_before(s, first);
            begin_again(state);
        }
    }
    assert_true(deaths > 20);
}

#define T(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_all_of_the_server),
        T(test_step_in_the_middle),
        T(test_refused_without_a_trace),
        T(test_somebody_changed_it_since),
        T(test_somebody_put_it_back_already),
        T(test_inverse_refused),
        T(test_stop_on_the_way_back),
        T(test_lost_on_the_way_back),
        T(test_nudges),
        T(test_rollback_keeps_what_it_took_back),
        T(test_kill_at_each_record),
        T(test_kill_the_resume_too),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
