/* PostgreSQL killed in the middle of a run, after each of its records: the run stops with the host in hand, nothing is half recorded,
   and resume ends it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "tests/unit/plan_scene.h"

static int records_seen, kill_at;
static struct store *store_of_run;

static void kill_server(void *ctx, const char *phase)
{
    (void)ctx, (void)phase;
    if (++records_seen != kill_at)
        return;
    /* the session's own process too: it would go on until it next waits */
    const struct store_server *server = store_of_run->handle;
    kill(store_pg.pid, SIGKILL);
    kill(PQbackendPID(server->conn), SIGKILL);
    waitpid(store_pg.pid, NULL, 0);
    store_pg.pid = 0;
}

static void start_server(void)
{
    for (int i = 0; i < 100 && !pg_launch(&store_pg, "off"); i++)
        pg_pause(100); /* until the last child of the old one has let go */
    assert_true(store_pg.pid > 0);
}

static void setup(struct scene *s)
{
    void *on_postgres = NULL, *on_sqlite = s->store;
    assert_int_equal(store_fixture_setup_postgres(&on_postgres), 0);
    store_fixture_teardown(&on_sqlite);
    s->store = on_postgres;
    s->o.store = s->store->store;
    s->o.parallel = s->o.wave = 1;
    s->world->watch_store = NULL; /* it is gone when it is looked into; the intents are counted after */
    s->io.recorded = kill_server;
    store_of_run = s->o.store;
    records_seen = 0;
}

static int intents(struct scene *s)
{
    journal_records all = {0};
    int n = 0;
    assert_int_equal(journal_read(s->o.store, NULL, &all, NULL), ERR_OK);
    for (size_t i = 0; i < all.n; i++)
        n += strcmp(all.v[i].phase, "intent") == 0;
    journal_records_free(&all);
    return n;
}

static void test_server_killed_after_each_record(void **state)
{
    int deaths = 0;
    for (kill_at = 1;; kill_at++) {
        struct scene *s = *state;
        journal_runs runs = {0};
        size_t n = 0;
        char run[32];
        setup(s);
        int64_t begun = clock_mono_ms();
        enum err e = apply(s);
        if (store_pg.pid) { /* there were fewer records */
            assert_int_equal(e, ERR_OK);
            break;
        }
        deaths++;
        assert_true(clock_mono_ms() - begun < 30000);
        if (e != ERR_UNREACHABLE && !(e == ERR_OK && kill_at == 20))
            fail_msg("record %d: %s: %s", kill_at, err_name(e), s->ei.what);
        assert_true(e == ERR_OK || s->ei.hint[0]);
        int sent = pushes(s);
        start_server();
        if (journal_verify(s->o.store, &n, &s->ei) != ERR_OK)
            fail_msg("record %d: %s", kill_at, s->ei.what);
        assert_int_equal(n, records_seen); /* what was told to be there, and no more */
        assert_true(sent <= intents(s));
        assert_int_equal(journal_list(s->o.store, &runs, NULL), ERR_OK);
        str_copy(run, sizeof run, runs.v[0].run);
        journal_runs_free(&runs);
        s->ei = (struct errinfo){0};
        e = run_resume(run, &s->o, &s->io, &s->out, &s->ei);
        if (e == ERR_REFUSED && sent == 0) /* before all was captured */
            assert_int_equal(apply(s), ERR_OK);
        else if (e != ERR_OK && !(e == ERR_REFUSED && kill_at == 20))
            fail_msg("record %d, resumed: %s: %s", kill_at, err_name(e), s->ei.what);
        assert_all_new(s);
        assert_unlocked(s);
        assert_int_equal(journal_verify(s->o.store, &n, &s->ei), ERR_OK);
        assert_int_equal(scene_teardown(state), 0);
        assert_int_equal(scene_setup(state), 0);
    }
    assert_int_equal(deaths, 20);
}

/* Only the connection goes, and with it the lock: what the host in hand has to say is still recorded, no other host is begun. */
static void cut_connection(void *ctx, const char *phase)
{
    (void)ctx;
    if (strcmp(phase, "intent") == 0 && ++records_seen == 1)
        pg_sql(&store_pg, NULL,
               "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'casbridge'");
}

static void test_lock_lost_with_the_connection(void **state)
{
    struct scene *s = *state;
    setup(s);
    s->io.recorded = cut_connection;
    assert_int_equal(apply(s), ERR_LOCKED);
    assert_non_null(strstr(s->ei.what, "lost"));
    assert_int_equal(pushes(s), 1);
    assert_string_equal(records(s, "E2K7CAS01"), "capture intent result reread verify done");
    assert_string_equal(records(s, "EXCAS01"), "capture");
    assert_string_equal(status(s), "interrupted");
    s->io.recorded = NULL;
    char run[40];
    str_copy(run, sizeof run, s->out.run);
    assert_int_equal(run_resume(run, &s->o, &s->io, &s->out, &s->ei), ERR_OK);
    assert_all_new(s);
    assert_unlocked(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_server_killed_after_each_record, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(test_lock_lost_with_the_connection, scene_setup, scene_teardown),
    };
    if (!pg_server_start(&store_pg))
        return 0;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_server_stop(&store_pg);
    return failed;
}
