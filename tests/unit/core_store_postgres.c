/* The store on a PostgreSQL that misbehaves: refuses, is somebody else's, says nothing, dies at the worst moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/str.h"
#define STORE_FIXTURE_BOTH
#include "tests/unit/pg_gate.h"
#include "tests/unit/store_fixture.h"

static enum err append(struct store *s, const char *phase, struct errinfo *ei)
{
    struct journal_record r = {.run = (char *)"r",
                               .step = 1,
                               .phase = (char *)phase,
                               .who = (char *)"ann",
                               .server = (char *)"EXCAS01"};
    return journal_append(s, &r, ei);
}

static size_t whole(struct store *s)
{
    struct errinfo ei = {0};
    size_t n = 0;
    if (journal_verify(s, &n, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    return n;
}

static void open_fails(const char *spec, enum err expected, const char *what)
{
    struct store *s = NULL;
    struct errinfo ei = {0};
    enum err e = store_open(&s, spec, &ei);
    if (e != expected || s || !strstr(ei.what, what) || !ei.hint[0])
        fail_msg("%s: %s, %s (%s)", spec, err_name(e), ei.what, ei.hint);
}

static void test_what_is_no_store(void **state)
{
    struct store_fixture *f = *state;
    char name[32], spec[200];
    store_close(&f->store);
    assert_true(store_fixture_raw(f, "UPDATE meta SET layout = 99"));
    open_fails(f->spec, ERR_CONFIG, "newer casbridge");
    assert_true(store_fixture_raw(f, "UPDATE meta SET layout = 3, application = 7"));
    open_fails(f->spec, ERR_CONFIG, "another program");

    assert_true(pg_database(&store_pg, NULL, name, sizeof name));
    pg_url(&store_pg, name, spec, sizeof spec);
    assert_true(pg_sql(&store_pg, name, "CREATE SCHEMA casbridge; CREATE TABLE casbridge.journal (x int)"));
    open_fails(spec, ERR_CONFIG, "another program");
    assert_true(pg_sql(&store_pg, name, "CREATE TABLE casbridge.meta (name text)"));
    open_fails(spec, ERR_CONFIG, "another program");

    assert_true(pg_sql(&store_pg, NULL, "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'"));
    pg_url(&store_pg, "latin", spec, sizeof spec);
    open_fails(spec, ERR_CONFIG, "not in UTF-8");

    /* a schema that an administrator made beforehand is fine, and so is a database full of others' tables */
    assert_true(pg_database(&store_pg, NULL, name, sizeof name));
    pg_url(&store_pg, name, spec, sizeof spec);
    assert_true(pg_sql(&store_pg, name, "CREATE SCHEMA casbridge; CREATE TABLE public.journal (x int)"));
    struct errinfo ei = {0};
    if (store_open(&f->store, spec, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_int_equal(whole(f->store), 0);
}

static void test_two_first_openers(void **state)
{
    struct store_fixture *f = *state;
    char name[32], spec[200];
    pid_t children[6];
    (void)f;
    assert_true(pg_database(&store_pg, NULL, name, sizeof name));
    pg_url(&store_pg, name, spec, sizeof spec);
    for (size_t i = 0; i < ARRAY_LEN(children); i++)
        if ((children[i] = fork()) == 0) {
            struct store *s = NULL;
            struct errinfo ei = {0};
            enum err e = store_open(&s, spec, &ei);
            for (int k = 0; e == ERR_OK && k < 20; k++)
                e = append(s, "intent", &ei);
            if (e != ERR_OK)
                fprintf(stderr, "%s\n", ei.what);
            store_close(&s);
            _exit(e == ERR_OK ? 0 : 1);
        }
    for (size_t i = 0; i < ARRAY_LEN(children); i++) {
        int status = 1;
        waitpid(children[i], &status, 0);
        assert_int_equal(status, 0);
    }
    struct store *s = NULL;
    assert_int_equal(store_open(&s, spec, NULL), ERR_OK);
    assert_int_equal(whole(s), 120);
    store_close(&s);
}

/* What a record needs to be durable is set for each session, whatever the server's default. */
static void test_commit_is_synchronous(void **state)
{
    struct store_fixture *f = *state;
    struct store_server *p;
    char sql[120];
    store_close(&f->store);
    snprintf(sql, sizeof sql, "ALTER DATABASE %s SET synchronous_commit = off", f->database);
    assert_true(pg_sql(&store_pg, NULL, sql));
    assert_int_equal(store_open(&f->store, f->spec, NULL), ERR_OK);
    p = f->store->handle;
    PQsetnonblocking(p->conn, 0);
    PGresult *r = PQexec(p->conn, "SHOW synchronous_commit");
    assert_string_equal(PQgetvalue(r, 0, 0), "on");
    PQclear(r);
}

/* Nor does a server's default make those who wait for their turn fail when it comes. */
static void test_isolation_is_ours(void **state)
{
    struct store_fixture *f = *state;
    char sql[120];
    pid_t children[4];
    store_close(&f->store);
    snprintf(sql, sizeof sql, "ALTER DATABASE %s SET default_transaction_isolation = 'serializable'",
             f->database);
    assert_true(pg_sql(&store_pg, NULL, sql));
    for (size_t i = 0; i < ARRAY_LEN(children); i++)
        if ((children[i] = fork()) == 0) {
            struct store *s = NULL;
            struct errinfo ei = {0};
            enum err e = store_open(&s, f->spec, &ei);
            for (int k = 0; e == ERR_OK && k < 30; k++)
                e = append(s, "intent", &ei);
            if (e != ERR_OK)
                fprintf(stderr, "%s\n", ei.what);
            store_close(&s);
            _exit(e == ERR_OK ? 0 : 1);
        }
    for (size_t i = 0; i < ARRAY_LEN(children); i++) {
        int status = 1;
        waitpid(children[i], &status, 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(store_open(&f->store, f->spec, NULL), ERR_OK);
    assert_int_equal(whole(f->store), 120);
}

/* A server that restarts between two calls: who reads does not notice, who holds the lock does. */
static void test_restart_between_calls(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store_holder h = {0};
    assert_int_equal(append(f->store, "intent", &ei), ERR_OK);
    assert_int_equal(store_lock(f->store, "ann", "apply", &ei), ERR_OK);
    pg_end(&store_pg, SIGINT);
    assert_int_equal(append(f->store, "result", &ei), ERR_UNREACHABLE);
    assert_true(ei.hint[0]);
    assert_int_equal(store_lock_check(f->store, &ei), ERR_UNREACHABLE);
    assert_true(pg_launch(&store_pg, "off"));
    assert_int_equal(whole(f->store), 1);
    assert_int_equal(store_lock_check(f->store, &ei), ERR_LOCKED);
    assert_non_null(strstr(ei.what, "lost"));
    assert_int_equal(append(f->store, "result", &ei), ERR_OK); /* what the host in hand still has to say */
    assert_int_equal(store_lock_holder(f->store, &h, &ei), ERR_OK);
    assert_true(h.ended);
    store_holder_fini(&h);
    assert_int_equal(store_lock(f->store, "bob", "second try", &ei), ERR_OK);
    assert_int_equal(store_lock_check(f->store, &ei), ERR_OK);
    assert_int_equal(whole(f->store), 3);
}

/* An idle connection cut by the server: a call that reads asks again, one that writes begins anew, both without an error. */
static void test_cut_while_idle(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    char cut[200];
    snprintf(cut, sizeof cut,
             "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s' AND pid <> "
             "pg_backend_pid()",
             f->database);
    journal_records all = {0};
    assert_int_equal(append(f->store, "intent", &ei), ERR_OK);
    assert_true(pg_sql(&store_pg, NULL, cut));
    assert_int_equal(journal_read(f->store, NULL, &all, &ei), ERR_OK);
    assert_int_equal(all.n, 1);
    journal_records_free(&all);
    assert_true(pg_sql(&store_pg, NULL, cut));
    assert_int_equal(append(f->store, "result", &ei), ERR_OK);
    assert_int_equal(whole(f->store), 2);
}

/*
 * The connection dies at each message of an append in turn, before it reached the server or after its answer did: the caller is told the
 * truth, and nothing is half there.
 */
static void test_lost_at_every_message(void **state)
{
    struct store_fixture *f = *state;
    struct pg_gate gate;
    char spec[200];
    size_t kept = 0;
    int told_kept = 0, told_lost = 0, in_doubt = 0;
    assert_true(pg_gate_open(&gate, store_pg.port));
    snprintf(spec, sizeof spec, "postgresql://casbridge@127.0.0.1:%d/%s?gssencmode=disable&sslmode=disable",
             gate.port, f->database);
    for (int after = 0; after < 2; after++)
        for (int at = 1; at <= 6; at++) {
            struct store *s = NULL;
            struct errinfo ei = {0};
            assert_int_equal(store_open(&s, spec, &ei), ERR_OK);
            pg_gate_cut(&gate, at, after);
            enum err e = append(s, "intent", &ei);
            bool cut = pg_gate_was_cut(&gate);
            pg_gate_cut(&gate, 0, false);
            if (e != ERR_OK && e != ERR_UNREACHABLE)
                fail_msg("message %d: %s %s", at, err_name(e), ei.what);
            kept += e == ERR_OK;
            if (whole(f->store) != kept) /* through no gate */
                fail_msg("message %d, %s: the caller was told %s", at, after ? "after" : "before",
                         err_name(e));
            told_kept += cut && e == ERR_OK;
            told_lost += e != ERR_OK;
            in_doubt += cut && e == ERR_OK && at == 5;
            if (append(s, "result", &ei) != ERR_OK) /* and it goes on */
                fail_msg("message %d: %s", at, ei.what);
            kept++;
            store_close(&s);
        }
    pg_gate_close(&gate);
    assert_true(told_lost >= 6);   /* begin is asked again; head, insert, move are lost twice, COMMIT once */
    assert_int_equal(in_doubt, 1); /* COMMIT went through, its answer was lost, and the head told */
    assert_true(told_kept >= 1);
}

/* Progress leaves no record by which it could be told whether it is there: then nobody says that it is not. */
static void test_progress_lost_at_commit(void **state)
{
    struct store_fixture *f = *state;
    struct pg_gate gate;
    char spec[200];
    assert_true(pg_gate_open(&gate, store_pg.port));
    snprintf(spec, sizeof spec, "postgresql://casbridge@127.0.0.1:%d/%s?gssencmode=disable&sslmode=disable",
             gate.port, f->database);
    for (int at = 3; at <= 4; at++) { /* it is said, COMMIT */
        struct store *s = NULL;
        struct errinfo ei = {0};
        struct store_progress p = {.organization = (char *)"Contoso",
                                   .gate = (char *)"G3",
                                   .state = (char *)"settled",
                                   .who = (char *)"ann"};
        store_progresses found = {0};
        assert_int_equal(store_open(&s, spec, &ei), ERR_OK);
        pg_gate_cut(&gate, at, true);
        assert_int_equal(store_progress_put(s, &p, &ei), ERR_UNREACHABLE);
        assert_true(pg_gate_was_cut(&gate));
        pg_gate_cut(&gate, 0, false);
        assert_int_equal(strstr(ei.what, "not known") != NULL, at == 4);
        assert_int_equal(strstr(ei.hint, "was not kept") != NULL, at == 3);
        assert_int_equal(store_progress_get(s, NULL, &found, &ei), ERR_OK);
        assert_int_equal(found.n, at == 4);
        store_progresses_free(&found);
        store_close(&s);
    }
    pg_gate_close(&gate);
}

/* What the server may say to an append: its words, our error, and nothing kept. */
static void test_what_the_server_says(void **state)
{
    struct store_fixture *f = *state;
    static const struct {
        const char *sqlstate;
        enum err e;
        int sys;
        const char *hint;
    } rows[] = {
        {"53100", ERR_SYSTEM, ENOSPC, "room on the server's disk"},
        {"25006", ERR_CONFIG, 0, "standby"},
        {"57014", ERR_TIMEOUT, 0, "busy"},
        {"55P03", ERR_LOCKED, 0, "try again"},
        {"42501", ERR_DENIED, 0, "GRANT"},
        {"53200", ERR_SYSTEM, 0, "run out"},
        {"22021", ERR_INPUT, 0, ""},
        {"XX000", ERR_SYSTEM, 0, ""},
    };
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct errinfo ei = {0};
        char sql[500];
        snprintf(sql, sizeof sql,
                 "CREATE OR REPLACE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                 " RAISE EXCEPTION 'could not extend file: %s' USING ERRCODE = '%s'; END $$;"
                 "CREATE OR REPLACE TRIGGER said BEFORE UPDATE ON head EXECUTE FUNCTION say()",
                 rows[i].sqlstate, rows[i].sqlstate);
        assert_true(store_fixture_raw(f, sql));
        enum err e = append(f->store, "intent", &ei);
        if (e != rows[i].e || ei.sys != rows[i].sys || !strstr(ei.hint, rows[i].hint) ||
            !strstr(ei.what, "could not extend file"))
            fail_msg("%s: %s, %s (%s)", rows[i].sqlstate, err_name(e), ei.what, ei.hint);
        assert_int_equal(whole(f->store), n);
        assert_true(store_fixture_raw(f, "DROP TRIGGER said ON head"));
        assert_int_equal(append(f->store, "intent", &ei), ERR_OK);
        assert_int_equal(whole(f->store), ++n);
    }
}

/* A server that is there and says nothing. */
static void test_silent_server(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store *s = NULL;
    struct pg_gate gate;
    char spec[240];
    assert_true(pg_gate_open(&gate, store_pg.port));
    snprintf(spec, sizeof spec,
             "postgresql://casbridge@127.0.0.1:%d/%s?gssencmode=disable&sslmode=disable&connect_timeout=2",
             gate.port, f->database);
    assert_int_equal(store_open(&s, spec, &ei), ERR_OK);
    pg_gate_silence(&gate, true);
    int64_t begun = clock_mono_ms();
    store_answer_ms = 500; /* the fifteen seconds of life */
    assert_int_equal(append(s, "intent", &ei), ERR_UNREACHABLE);
    assert_true(ei.hint[0]);
    int64_t took = clock_mono_ms() - begun;
    if (took > 6000)
        fail_msg("%lld ms", (long long)took);
    assert_int_equal(whole(f->store), 0);
    pg_gate_silence(&gate, false);
    assert_int_equal(append(s, "intent", &ei), ERR_OK);
    store_answer_ms = STORE_ANSWER_MS;
    store_close(&s);
    pg_gate_close(&gate);
}

/* To libpq 0 is for ever, and nobody who looks at a screen has asked for that. */
static void test_no_wait_for_ever(void **state)
{
    (void)state;
    struct errinfo ei = {0};
    struct store *s = NULL;
    struct pg_gate gate;
    char spec[240];
    assert_true(pg_gate_open(&gate, store_pg.port));
    pg_gate_silence(&gate, true);
    snprintf(spec, sizeof spec,
             "postgresql://casbridge@127.0.0.1:%d/x?gssencmode=disable&sslmode=disable&connect_timeout=0",
             gate.port);
    alarm(60);
    assert_int_equal(store_open(&s, spec, &ei), ERR_UNREACHABLE);
    alarm(0);
    pg_gate_close(&gate);
}

/* A long way: neither sending nor receiving is ever done within the time of an answer, but something moves all the while. */
static void test_slow_way(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store *s = NULL;
    struct store_evidence found = {0};
    struct pg_gate gate;
    char spec[200];
    const size_t n = (size_t)4 << 20;
    char *lines = malloc(n + 1);
    assert_non_null(lines);
    memset(lines, 'x', n);
    lines[n] = '\0';
    struct store_evidence e = {
        .organization = (char *)"Contoso", .who = (char *)"ann", .lines = lines, .n = 1};
    assert_true(pg_gate_open(&gate, store_pg.port));
    snprintf(spec, sizeof spec, "postgresql://casbridge@127.0.0.1:%d/%s?gssencmode=disable&sslmode=disable",
             gate.port, f->database);
    assert_int_equal(store_open(&s, spec, &ei), ERR_OK);
    store_answer_ms = 2500;          /* a busy machine stands still for a while, too */
    atomic_store(&gate.slow_ms, 50); /* 64 reads at least */
    int64_t begun = clock_mono_ms();
    if (store_evidence_put(s, &e, STORE_EVIDENCE_ANY, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_true(clock_mono_ms() - begun > store_answer_ms);
    begun = clock_mono_ms();
    if (store_evidence_get(s, "Contoso", &found, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_true(clock_mono_ms() - begun > store_answer_ms);
    assert_string_equal(found.lines, lines);
    store_answer_ms = STORE_ANSWER_MS;
    store_evidence_fini(&found);
    free(lines);
    store_close(&s);
    pg_gate_close(&gate);
}

/* With fsync on and the server killed: what the caller was told to be kept is there. */
static void test_durable(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    size_t kept = 0;
    store_close(&f->store);
    pg_end(&store_pg, SIGINT);
    assert_true(pg_launch(&store_pg, "on"));
    assert_int_equal(store_open(&f->store, f->spec, &ei), ERR_OK);
    for (int i = 0; i < 20; i++)
        kept += append(f->store, "intent", &ei) == ERR_OK;
    assert_int_equal(kept, 20);
    pid_t postmaster = store_pg.pid;
    kill(postmaster, SIGKILL); /* its children see that it is gone */
    waitpid(postmaster, NULL, 0);
    for (int i = 0; i < 3; i++) {
        enum err e = append(f->store, "intent", &ei);
        kept += e == ERR_OK;
        assert_true(e == ERR_OK || e == ERR_UNREACHABLE);
    }
    store_close(&f->store);
    bool up = false;
    for (int i = 0; i < 50 && !(up = pg_launch(&store_pg, "off")); i++)
        pg_pause(100); /* shared memory of the old one */
    assert_true(up);
    assert_int_equal(store_open(&f->store, f->spec, &ei), ERR_OK);
    assert_int_equal(whole(f->store), kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POSTGRES(test_what_is_no_store),
        POSTGRES(test_two_first_openers),
        POSTGRES(test_commit_is_synchronous),
        POSTGRES(test_isolation_is_ours),
        POSTGRES(test_restart_between_calls),
        POSTGRES(test_cut_while_idle),
        POSTGRES(test_lost_at_every_message),
        POSTGRES(test_progress_lost_at_commit),
        POSTGRES(test_what_the_server_says),
        POSTGRES(test_silent_server),
        POSTGRES(test_no_wait_for_ever),
        POSTGRES(test_slow_way),
        POSTGRES(test_durable),
    };
    return store_fixture_run(tests, ARRAY_LEN(tests));
}
