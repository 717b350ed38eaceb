/* Applying a plan to a small world: every way a push can end, and what the journal and the directory say afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/plan_scene.h"

static void test_all_well(void **state)
{
    struct scene *s = *state;
    world_server(s->world, "EXCAS01")->lag_ms = 5000;
    if (apply(s) != ERR_OK)
        fail_msg("%s", s->ei.what);
    assert_outcome(s, 3, 0, 0, 0);
    assert_string_equal(iis(s, "EXCAS01"), "3");
    assert_string_equal(iis(s, "E2K7CAS01"), "3");
    assert_true(world_oa(s->world, "EXCAS02")->exists);
    assert_string_equal(world_oa(s->world, "EXCAS02")->host, "https://mail.contoso.lab/rpc");
    assert_int_equal(pushes(s), 3);
    assert_string_equal(phases(s, "EXCAS01"), "intent push reread verify done");
    assert_string_equal(phases(s, "EXCAS02"), "intent push reread verify done");
    assert_string_equal(records(s, "EXCAS01"), "capture intent result reread verify done");
    assert_string_equal(records(s, NULL), "begin end");
    assert_string_equal(status(s), "done");
    assert_non_null(strstr(s->details, "polling interval"));
    assert_non_null(strstr(s->details, "not yet: 401, basic"));
    assert_non_null(strstr(s->details, "dc1.contoso.lab"));
    assert_unlocked(s);
}

static void test_what_the_journal_holds(void **state)
{
    struct scene *s = *state;
    journal_records all = {0};
    assert_int_equal(apply(s), ERR_OK);
    assert_int_equal(journal_read(s->o.store, s->out.run, &all, NULL), ERR_OK);
    bool intent = false, capture = false;
    for (size_t i = 0; i < all.n; i++) {
        const struct journal_record *r = &all.v[i];
        assert_string_equal(r->who, "admin@CONTOSO.LAB");
        assert_string_equal(r->from, "jump1");
        assert_string_equal(r->why, "change 4711");
        if (!str_eq(r->server, "EXCAS01"))
            continue;
        if (strcmp(r->phase, "intent") == 0) {
            intent = true;
            assert_non_null(strstr(r->cmdlet, "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc"));
            assert_string_equal(r->before, "{\"iis_auth\":[\"basic\"]}");
            assert_string_equal(r->after, "{\"iis_auth\":[\"basic\",\"ntlm\"]}");
        }
        if (strcmp(r->phase, "capture") == 0) {
            capture = true;
            assert_non_null(strstr(r->before, "\"msExchInternalAuthenticationMethods\":[\"1\"]"));
        }
        if (strcmp(r->phase, "result") == 0)
            assert_string_equal(r->detail, "ok");
    }
    assert_true(intent && capture);
    /* all captures come before the first intent */
    size_t last_capture = 0, first_intent = all.n;
    for (size_t i = 0; i < all.n; i++) {
        if (strcmp(all.v[i].phase, "capture") == 0)
            last_capture = i;
        if (strcmp(all.v[i].phase, "intent") == 0 && i < first_intent)
            first_intent = i;
    }
    assert_true(last_capture < first_intent);
    journal_records_free(&all);
}

static void test_stale(void **state)
{
    struct scene *s = *state;
    static const struct {
        const char *server, *attribute, *value, *says;
    } rows[] = {
        {"EXCAS01", "msExchInternalAuthenticationMethods", "3", "then '1', now '3' (basic -> basic, ntlm)"},
        {"EXCAS01", "msExchInternalAuthenticationMethods", "", "then '1', now absent"},
        {"E2K7CAS01", "msExchExternalAuthenticationMethods", "2", "msExchExternalAuthenticationMethods"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world_object *o = world_oa(s->world, rows[i].server), was = *o;
        str_copy(world_slot(o, rows[i].attribute), 32, rows[i].value);
        assert_int_equal(apply(s), ERR_STALE);
        if (!strstr(s->ei.what, rows[i].says) || !strstr(s->ei.what, rows[i].server))
            fail_msg("%s", s->ei.what);
        *o = was;
    }
    world_oa(s->world, "EXCAS02")->exists = true;
    assert_int_equal(apply(s), ERR_STALE);
    assert_non_null(strstr(s->ei.what, "now there"));
    world_oa(s->world, "EXCAS02")->exists = false;
    world_oa(s->world, "EXCAS01")->exists = false;
    world_oa(s->world, "E2K7CAS01")->exists = false;
    assert_int_equal(apply(s), ERR_STALE);
    assert_non_null(strstr(s->ei.what, "2 steps have moved"));
    assert_int_equal(pushes(s), 0);
    assert_string_equal(s->out.run, "");
    assert_string_equal(status(s), "none");
    assert_unlocked(s);
}

static void test_a_second_time_is_stale(void **state)
{
    struct scene *s = *state;
    assert_int_equal(apply(s), ERR_OK);
    assert_int_equal(apply(s), ERR_STALE);
    assert_int_equal(pushes(s), 3);
    assert_non_null(strstr(s->ei.hint, "was it applied already?"));
}

/* Each way a push can end on the canary, and what must follow. */
static void test_how_a_push_ends(void **state)
{
    static const struct {
        enum world_mode mode;
        bool stuck;
        const char *iis, *records, *says;
        char left;
        unsigned done, failed, undone;
        int pushes;
    } rows[] = {
        {WORLD_REFUSES, false, "1", "capture intent result reread failed", "denied", 'U', 0, 1, 0, 1},
        {WORLD_UNREACHABLE, false, "1", "capture intent result reread failed", "refused", 'U', 0, 1, 0, 1},
        {WORLD_ONCE_HALFWAY, false, "1", "capture intent result reread failed undo result undone",
         "server is busy", 'P', 0, 0, 1, 2},
        {WORLD_FAILS_HALFWAY, false, "1", "capture intent result reread failed undo result undone",
         "server is busy", 'P', 0, 0, 1, 2},
        {WORLD_LOST_BEFORE, false, "1", "capture intent result reread failed", "sent again", '-', 0, 1, 0, 1},
        {WORLD_LOST_AFTER, false, "3", "capture intent result reread verify done", NULL, '-', 1, 0, 0, 1},
        {WORLD_LOST_SILENTLY, false, "3", "capture intent result reread verify done", NULL, '-', 1, 0, 0, 1},
        {WORLD_LOST_AND_FOREIGN, false, "16", "capture intent result reread failed", "left alone", '-', 0, 1,
         0, 1},
        {WORLD_WRITES_FOREIGN, false, "16", "capture intent result reread failed", "left alone", '-', 0, 1, 0,
         1},
        {WORLD_PRETENDS, false, "1", "capture intent result reread failed undo result undone", "still says",
         'P', 0, 0, 1, 2},
        {WORLD_OBEYS, true, "1", "capture intent result reread verify failed undo result undone",
         "the wire did not follow", 'P', 0, 0, 1, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scene *s = *state;
        world_server(s->world, "E2K7CAS01")->mode = rows[i].mode;
        world_server(s->world, "E2K7CAS01")->wire_stuck = rows[i].stuck;
        str_copy(world_server(s->world, "E2K7CAS01")->wire_iis, 32, "1");
        enum err e = apply(s);
        bool good = rows[i].done != 0;
        if ((e == ERR_OK) != good || (!good && e != ERR_PARTIAL))
            fail_msg("row %zu: %s: %s", i, err_name(e), s->ei.what);
        assert_outcome(s, good ? 3 : 0, rows[i].failed, rows[i].undone, good ? 0 : 2);
        if (strcmp(iis(s, "E2K7CAS01"), rows[i].iis) != 0 ||
            strcmp(records(s, "E2K7CAS01"), rows[i].records) != 0)
            fail_msg("row %zu: %s; %s", i, iis(s, "E2K7CAS01"), records(s, "E2K7CAS01"));
        if (rows[i].says && !strstr(s->ei.what, rows[i].says))
            fail_msg("row %zu: %s", i, s->ei.what);
        assert_int_equal(left(s, "E2K7CAS01"), rows[i].left);
        assert_int_equal(world_server(s->world, "E2K7CAS01")->pushes, rows[i].pushes);
        if (!good) {
            assert_string_equal(records(s, "EXCAS01"), "capture skipped");
            assert_string_equal(status(s), "failed");
            assert_int_equal(pushes(s), rows[i].pushes);
        }
        assert_unlocked(s);
        if (i + 1 < ARRAY_LEN(rows)) {
            assert_int_equal(scene_teardown(state), 0);
            assert_int_equal(scene_setup(state), 0);
        }
    }
}

static void test_undo_that_fails(void **state)
{
    struct scene *s = *state;
    world_server(s->world, "E2K7CAS01")->mode = WORLD_HALFWAY_THEN_REFUSES;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 1, 0, 2);
    assert_string_equal(records(s, "E2K7CAS01"), "capture intent result reread failed undo result failed");
    assert_int_equal(left(s, "E2K7CAS01"), '-');
    assert_non_null(strstr(s->ei.what, "could not be put back"));
    assert_non_null(strstr(s->details, "Access is denied"));
    assert_string_equal(iis(s, "E2K7CAS01"), "3");
    assert_string_equal(phases(s, "EXCAS01"), "skipped");
}

/* The wire was waited for, and meanwhile somebody wrote a value of his own: that one stays. */
static void test_somebody_writes_before_the_undo(void **state)
{
    struct scene *s = *state;
    world_server(s->world, "E2K7CAS01")->wire_stuck = true;
    str_copy(world_server(s->world, "E2K7CAS01")->wire_iis, 32, "1");
    s->world->foreign_at_wire = "E2K7CAS01";
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 0, 1, 0, 2);
    assert_string_equal(iis(s, "E2K7CAS01"), "16");
    assert_int_equal(pushes(s), 1);
    assert_string_equal(records(s, "E2K7CAS01"), "capture intent result reread verify failed failed");
    assert_non_null(strstr(s->ei.what, "the wire did not follow"));
    assert_non_null(strstr(s->ei.what, "left alone"));
    assert_int_equal(run_resume(s->out.run, &s->o, &s->io, &s->out, &s->ei), ERR_REFUSED); /* it has ended */
}

static void test_max_fail(void **state)
{
    static const struct {
        unsigned canary, wave, max_fail;
        const char *bad;
        unsigned done, failed, skipped;
    } rows[] = {
        {1, 1, 1, "EXCAS01", 1, 1, 1},   {1, 1, 2, "EXCAS01", 2, 1, 0}, {1, 1, 5, "E2K7CAS01", 0, 1, 2},
        {3, 1, 5, "E2K7CAS01", 0, 1, 2}, {1, 8, 9, "EXCAS02", 2, 1, 0}, {2, 1, 1, "EXCAS02", 2, 1, 0},
        {2, 1, 5, "EXCAS01", 1, 1, 1}, /* canaries go one by one */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scene *s = *state;
        s->o.canary = rows[i].canary;
        s->o.wave = rows[i].wave;
        s->o.max_fail = rows[i].max_fail;
        world_server(s->world, rows[i].bad)->mode = WORLD_REFUSES;
        assert_int_equal(apply(s), ERR_PARTIAL);
        assert_outcome(s, rows[i].done, rows[i].failed, 0, rows[i].skipped);
        assert_int_equal(scene_teardown(state), 0);
        assert_int_equal(scene_setup(state), 0);
    }
}

static void test_silent_wire_is_found_before_a_write(void **state)
{
    struct scene *s = *state;
    world_server(s->world, "EXCAS02")->wire_silent = true;
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_int_equal(pushes(s), 0);
    assert_non_null(strstr(s->ei.what, "nothing was changed"));
    assert_int_equal(left(s, "EXCAS02"), 'U');
    assert_outcome(s, 0, 1, 0, 2);
    s->o.max_fail = 2; /* it is no canary: the others are done */
    assert_int_equal(apply(s), ERR_PARTIAL);
    assert_outcome(s, 2, 1, 0, 0);
    assert_int_equal(world_server(s->world, "EXCAS02")->pushes, 0);
    assert_int_equal(scene_teardown(state), 0);
    assert_int_equal(scene_setup(state), 0);
    s = *state;
    world_server(s->world, "EXCAS02")->wire_silent = true;
    s->plan->steps[2].skip = "somebody changed it since"; /* nobody asks for what is left out */
    assert_int_equal(apply(s), ERR_OK);
    assert_outcome(s, 2, 0, 0, 1);
    assert_int_equal(scene_teardown(state), 0);
    assert_int_equal(scene_setup(state), 0);
    s = *state;
    world_server(s->world, "EXCAS02")->wire_silent = true;
    s->o.parallel = 1u << 29; /* more than there can be: the waves are those of what there can be */
    s->plan->steps[2].verify_wire = false;
    assert_int_equal(apply(s), ERR_OK);
    assert_outcome(s, 3, 0, 0, 0);
}

static void test_refused_before_anything(void **state)
{
    struct scene *s = *state;
    struct store *second = NULL;
    assert_int_equal(store_open(&second, s->store->spec, &s->ei), ERR_OK);
    assert_int_equal(store_lock(second, "bob", "another plan", &s->ei), ERR_OK);
    assert_int_equal(apply(s), ERR_LOCKED);
    assert_non_null(strstr(s->ei.what, "bob"));
    store_close(&second);

    const char *organization = s->plan->organization;
    s->plan->organization = "Fabrikam";
    assert_int_equal(apply(s), ERR_REFUSED);
    s->plan->organization = organization;

    s->plan->steps[1].server = "EXCAS09";
    assert_int_equal(apply(s), ERR_STALE);
    assert_non_null(strstr(s->ei.what, "EXCAS09"));
    s->plan->steps[1].server = "EX10NTLM"; /* an identity on another server */
    assert_int_equal(apply(s), ERR_INPUT);
    s->plan->steps[1].server = "EXCAS01";

    struct server *server = builder_server(s->org, "EXCAS01");
    server->generation = GENERATION_2013; /* Set-OutlookAnywhere has other parameters there */
    assert_int_equal(apply(s), ERR_INPUT);
    assert_non_null(strstr(s->ei.what, "ClientAuthenticationMethod"));
    server->generation = GENERATION_2010;
    const char *fqdn = server->fqdn;
    server->fqdn = NULL;
    assert_int_equal(apply(s), ERR_INPUT);
    server->fqdn = fqdn;
    const char *dn = server->dn;
    server->dn = "CN=EXCAS01,CN=Servers,CN=Other";
    assert_int_equal(apply(s), ERR_INPUT);
    server->dn = dn;
    const char *name = builder_server(s->org, "EXCAS02")->name;
    builder_server(s->org, "EXCAS02")->name = "EXCAS01";
    s->plan->n_steps = 2;
    assert_int_equal(apply(s), ERR_REFUSED);
    assert_non_null(strstr(s->ei.what, "two servers"));
    s->org->servers[6].name = name;
    s->world->directory_dead = true;
    assert_int_equal(apply(s), ERR_UNREACHABLE);
    assert_int_equal(pushes(s), 0);
    assert_string_equal(status(s), "none");
    assert_unlocked(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_all_well),
        T(test_what_the_journal_holds),
        T(test_stale),
        T(test_a_second_time_is_stale),
        T(test_how_a_push_ends),
        T(test_undo_that_fails),
        T(test_somebody_writes_before_the_undo),
        T(test_max_fail),
        T(test_silent_wire_is_found_before_a_write),
        T(test_refused_before_anything),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
