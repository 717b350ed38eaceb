/* Several controllers, nudges, a lock that is taken away: what happens beside the change itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/plan_scene.h"

static char logged[4096];

static void take_log(void *arg, enum log_level level, const char *line)
{
    (void)arg, (void)level;
    size_t n = strlen(logged);
    snprintf(logged + n, sizeof logged - n, "%s\n", line);
}

static int setup(void **state)
{
    int rc = scene_setup(state);
    struct scene *s = *state;
    logged[0] = '\0';
    log_set_sink(take_log, NULL);
    if (rc == 0)
        s->io.n_replicas = 1;
    return rc;
}

static int teardown(void **state)
{
    log_set_sink(NULL, NULL);
    return scene_teardown(state);
}

/* The detail of the only record of that phase of a server. */
static const char *detail(struct scene *s, const char *server, const char *phase)
{
    static char text[512];
    journal_records all = {0};
    text[0] = '\0';
    assert_int_equal(journal_read(s->o.store, s->out.run, &all, NULL), ERR_OK);
    for (size_t i = 0; i < all.n; i++)
        if (str_eq(all.v[i].server, server) && strcmp(all.v[i].phase, phase) == 0)
            snprintf(text, sizeof text, "%s", all.v[i].detail ? all.v[i].detail : "");
    journal_records_free(&all);
    return text;
}

static void test_all_controllers_have_it(void **state)
{
    struct scene *s = *state;
    if (apply(s) != ERR_OK)
        fail_msg("%s", s->ei.what);
    assert_outcome(s, 3, 0, 0, 0);
    assert_null(strstr(s->details, "not yet on"));
    assert_string_equal(detail(s, "EXCAS01", "done"), "");
    assert_string_equal(logged, "");
}

/* It comes while the run waits: said while it does not, and done without a remark. */
static void test_a_controller_that_follows(void **state)
{
    struct scene *s = *state;
    s->world->replica_lag_ms = 20000;
    s->o.parallel = 1;
    assert_int_equal(apply(s), ERR_OK);
    assert_outcome(s, 3, 0, 0, 0);
    assert_non_null(strstr(s->details, "not yet on dc2.contoso.lab"));
    assert_non_null(strstr(s->details, "waiting for up to 60 s"));
    assert_string_equal(detail(s, "EXCAS01", "done"), "");
    assert_string_equal(phases(s, "EXCAS01"), "intent push reread verify reread done");
}

/* It does not come: that is no failure, nobody waits for it twice, and the journal names it. */
static void test_a_controller_far_behind(void **state)
{
    struct scene *s = *state;
    s->world->replica_lag_ms = 3600000;
    s->o.parallel = s->o.wave = 1;
    int64_t begun = s->world->now;
    assert_int_equal(apply(s), ERR_OK);
    assert_outcome(s, 3, 0, 0, 0);
    assert_true(s->world->now - begun >= RUN_REPLICA_MS);
    assert_true(s->world->now - begun < 2 * RUN_REPLICA_MS);
    assert_non_null(strstr(detail(s, "E2K7CAS01", "done"),
                           "not yet on dc2.contoso.lab (client_auth basic; iis_auth basic)"));
    assert_non_null(strstr(detail(s, "EXCAS02", "done"), "not yet on dc2.contoso.lab"));
    assert_string_equal(status(s), "done");
    assert_string_equal(iis(s, "EXCAS01"), "3");
}

/* Applied from one stale copy against another: the difference is named before anything is written. */
static void test_controllers_that_disagree_before(void **state)
{
    struct scene *s = *state;
    memcpy(s->world->replica, s->world->objects, sizeof s->world->replica);
    s->world->replica_due = INT64_MAX;
    struct world_object *o = world_oa(s->world, "EXCAS01");
    str_copy(s->world->replica[o - s->world->objects].iis, 32, "16");
    assert_int_equal(apply(s), ERR_OK);
    assert_non_null(strstr(
        logged, "EXCAS01: dc2.contoso.lab says client_auth basic; iis_auth windows, which is not what dc1"));
    assert_null(strstr(logged, "E2K7CAS01"));
}

static void test_a_controller_that_is_dead(void **state)
{
    struct scene *s = *state;
    s->world->replica_dead = true;
    int64_t begun = s->world->now;
    assert_int_equal(apply(s), ERR_OK);
    assert_true(s->world->now - begun < 1000);
    assert_outcome(s, 3, 0, 0, 0);
    assert_non_null(strstr(logged, "whether dc2.contoso.lab has the changes, from step 1 on, is not known"));
    assert_int_equal(s->world->replica_refusals, 1); /* each question may take its whole time */
}

/* What was never seen is not "put back" by a command that failed. */
static void test_undo_that_proves_nothing(void **state)
{
    struct scene *s = *state;
    world_server(s->world, "E2K7CAS01")->mode = WORLD_PRETENDS_THEN_REFUSES;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 1, 0, 2);
    assert_string_equal(records(s, "E2K7CAS01"), "capture intent result reread failed undo result failed");
    assert_non_null(strstr(s->ei.what, "another controller may"));
}

static void test_stop_does_not_wait_for_replication(void **state)
{
    struct scene *s = *state;
    s->world->replica_lag_ms = 3600000;
    s->o.parallel = s->o.wave = 1;
    s->world->raise_in_push = &s->stop;
    int64_t begun = s->world->now;
    assert_int_equal(apply(s), ERR_INTERRUPTED);
    assert_true(s->world->now - begun < RUN_REPLICA_MS);
    assert_outcome(s, 1, 0, 0, 2);
    assert_non_null(strstr(detail(s, "E2K7CAS01", "done"), "not yet on"));
}

/* ---- nudges */

static struct plan *nudged_plan(struct scene *s)
{
    struct findings f;
    struct plan *p = NULL;
    findings_init(&f);
    f.target = GENERATION_2013;
    add_auth_finding(&f, "EXCAS01", AUTH_BASIC);
    assert_int_equal(plan_build(&p, s->org, &f, &(struct plan_filter){.nudge = true}, "admin", &s->ei),
                     ERR_OK);
    findings_fini(&f);
    assert_int_equal(p->n_steps, 1);
    assert_int_equal(p->steps[0].n_nudges, 1);
    return p;
}

static void test_nudge(void **state)
{
    for (int helps = 0; helps <= 1; helps++) {
        struct scene *s = *state;
        plan_free(&s->plan);
        s->plan = nudged_plan(s);
        s->o.poll_interval_s = 900;
        struct world_server *server = world_server(s->world, "EXCAS01");
        server->lag_ms = 600000;
        server->nudge_helps = helps;
        int64_t begun = s->world->now;
        if (apply(s) != ERR_OK)
            fail_msg("%s", s->ei.what);
        assert_int_equal(server->nudged, 1);
        assert_string_equal(records(s, "EXCAS01"), "capture intent result reread nudge result verify done");
        if (helps)
            assert_true(s->world->now - begun < 5000);
        else
            assert_non_null(strstr(s->details, "the nudge did not help (error: Cannot find any service"));
        /* it goes with the way back, too */
        struct plan *p = NULL;
        assert_int_equal(run_rollback(&p, s->out.run, &s->o, NULL, &s->io, &s->ei), ERR_OK);
        assert_int_equal(p->steps[0].n_nudges, 1);
        plan_free(&p);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

static void test_no_nudge_without_a_shell(void **state)
{
    struct scene *s = *state;
    struct transport psrp = world_transport;
    plan_free(&s->plan);
    s->plan = nudged_plan(s);
    psrp.name = "psrp";
    s->o.transport = &psrp;
    assert_int_equal(apply(s), ERR_REFUSED);
    assert_non_null(strstr(s->ei.what, "full shell"));
    assert_int_equal(pushes(s), 0);
    assert_string_equal(status(s), "none");
}

/* A file that somebody edited: only the table's own commands, only where something waits for them. */
static void test_nudges_of_a_file(void **state)
{
    static const struct {
        const char *nudge, *says;
    } rows[] = {
        {"[\"Restart-Service -Name 'MSExchangeServiceHost'\"]", NULL},
        {"[\"Restart-Service -Name 'MSExchangeIS'\"]", "is not a nudge"},
        {"[\"Restart-Service -Name 'MSExchangeServiceHost' -Force\"]", "is not a nudge"},
        {"[\"Restart-Computer -ComputerName 'x'\"]", "is not a nudge"},
        {"[\"Restart-Service -Name 'MSExchangeServiceHost'; calc\"]", "nudge"},
        {"[1]", "nudge"},
        {"[]", "nudge"},
    };
    struct scene *s = *state;
    struct plan *p = nudged_plan(s);
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(plan_to_json(p, &text, &s->ei), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        json_t *j = json_loads(buf_str(&text), 0, NULL),
               *step = json_array_get(json_object_get(j, "steps"), 0);
        struct plan *q = NULL;
        assert_non_null(json_object_get(step, "nudge"));
        json_object_set_new(step, "nudge", json_loads(rows[i].nudge, 0, NULL));
        char *edited = json_dumps(j, 0);
        enum err e = plan_from_json(&q, edited, strlen(edited), &s->ei);
        if ((e == ERR_OK) != !rows[i].says || (rows[i].says && !strstr(s->ei.what, rows[i].says)))
            fail_msg("%s: %s", rows[i].nudge, s->ei.what);
        plan_free(&q);
        free(edited);
        json_decref(j);
    }
    buf_fini(&text);
    plan_free(&p);
}

/* ---- the lock */

static void test_lock_by_force(void **state)
{
    struct scene *s = *state;
    struct store *second = NULL;
    journal_records all = {0};
    bool told = false;
    assert_int_equal(store_open(&second, s->store->spec, &s->ei), ERR_OK);
    assert_int_equal(store_lock(second, "bob", "another plan", &s->ei), ERR_OK);
    assert_int_equal(apply(s), ERR_LOCKED);
    assert_non_null(strstr(s->ei.hint, "--force-lock"));
    s->o.force_lock = "";
    assert_int_equal(apply(s), ERR_USAGE);
    assert_int_equal(pushes(s), 0);
    s->o.force_lock = "bob went home";
    if (apply(s) != ERR_OK)
        fail_msg("%s", s->ei.what);
    assert_outcome(s, 3, 0, 0, 0);
    assert_int_equal(journal_read(s->o.store, JOURNAL_NO_RUN, &all, NULL), ERR_OK);
    for (size_t i = 0; i < all.n; i++)
        told = told || (str_eq(all.v[i].why, "bob went home") && strstr(all.v[i].detail, "bob"));
    assert_true(told);
    journal_records_free(&all);
    assert_unlocked(s);
    store_close(&second);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_all_controllers_have_it),
        T(test_a_controller_that_follows),
        T(test_a_controller_far_behind),
        T(test_controllers_that_disagree_before),
        T(test_a_controller_that_is_dead),
        T(test_undo_that_proves_nothing),
        T(test_stop_does_not_wait_for_replication),
        T(test_nudge),
        T(test_no_nudge_without_a_shell),
        T(test_nudges_of_a_file),
        T(test_lock_by_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
