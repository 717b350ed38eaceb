/* What several consoles share: progress, evidence, seeing each other move, and taking everything to another store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/report/kept.h"
#define STORE_FIXTURE_BOTH
#include "tests/unit/store_fixture.h"

#include <pthread.h>

static void append(struct store *s, const char *run, int step, const char *phase)
{
    struct errinfo ei = {0};
    struct journal_record r = {.run = (char *)run,
                               .step = step,
                               .phase = (char *)phase,
                               .who = (char *)"ann@CONTOSO.LAB",
                               .why = (char *)"",
                               .detail = (char *)"a\nb \xe2\x80\x99 'quoted' $1 ?1 \\"};
    if (journal_append(s, &r, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
}

static void settle(struct store *s, const char *organization, const char *gate, const char *state,
                   const char *note)
{
    struct errinfo ei = {0};
    struct store_progress p = {.organization = (char *)organization,
                               .gate = (char *)gate,
                               .state = (char *)state,
                               .who = (char *)"ann",
                               .note = (char *)note};
    if (store_progress_put(s, &p, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_true(p.at > 0 && p.version > 0);
}

static void test_progress(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    store_progresses found = {0};
    struct store *second = NULL;
    settle(f->store, "Contoso", "G3", "settled", "forest level seen");
    settle(f->store, "Contoso", "G4", "settled", NULL);
    settle(f->store, "Fabrikam", "G3", "settled", "x");
    assert_int_equal(store_open(&second, f->spec, &ei), ERR_OK);
    settle(second, "Contoso", "G3", "open", "");
    assert_int_equal(store_progress_get(f->store, "Contoso", &found, &ei), ERR_OK);
    assert_int_equal(found.n, 2);
    assert_string_equal(found.v[0].gate, "G3");
    assert_string_equal(found.v[0].state, "open"); /* the last word */
    assert_int_equal(found.v[0].version, 4);
    assert_string_equal(found.v[1].note, "");
    store_progresses_free(&found);
    assert_int_equal(store_progress_get(f->store, NULL, &found, &ei), ERR_OK);
    assert_int_equal(found.n, 3);
    store_progresses_free(&found);
    struct store_progress bad = {.organization = (char *)"Contoso",
                                 .gate = (char *)"",
                                 .state = (char *)"settled",
                                 .who = (char *)"ann"};
    assert_int_equal(store_progress_put(f->store, &bad, &ei), ERR_USAGE);
    bad.gate = (char *)"\xff";
    assert_int_equal(store_progress_put(f->store, &bad, &ei), ERR_INPUT);
    store_close(&second);
}

static void gather(struct evidence *e, int n)
{
    evidence_init(e, 1 << 20);
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "EXCAS%02d", i);
        struct observation *o = evidence_add(e, OBSERVATION_CHALLENGE, EVIDENCE_WIRE);
        assert_non_null(o);
        o->server = arena_str(&e->arena, name);
        o->step = "challenge";
        o->protocol = PROTOCOL_OA;
        o->outcome = OUTCOME_OK;
        o->subject = o->by_name = o->detail = "https://\xc3\xbc/rpc";
        o->u.challenge.status = 401;
        o->u.challenge.offered = 1u << AUTH_BASIC;
    }
}

static void test_evidence(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct evidence e, back;
    struct kept_facts facts = {0};
    evidence_init(&back, 1 << 20);
    assert_int_equal(kept_evidence_read(f->store, "Contoso", &back, &facts, &ei), ERR_NOTFOUND);
    gather(&e, 3);
    assert_int_equal(
        kept_evidence_write(f->store, "Contoso", &e, true, STORE_EVIDENCE_ANY, "ann", "jump1", &ei), ERR_OK);
    assert_int_equal(
        kept_evidence_write(f->store, "Contoso", &e, true, STORE_EVIDENCE_ANY, "bob", "jump2", &ei), ERR_OK);
    if (kept_evidence_read(f->store, "Contoso", &back, &facts, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_int_equal(back.items.n, 3);
    const struct observation *o =
        evidence_find(&back, OBSERVATION_CHALLENGE, "EXCAS02", PROTOCOL_OA, "challenge");
    assert_non_null(o);
    assert_int_equal(o->u.challenge.status, 401);
    assert_string_equal(o->subject, "https://\xc3\xbc/rpc");
    assert_string_equal(facts.who, "bob");
    assert_string_equal(facts.from, "jump2");
    assert_true(facts.probed && facts.version == 2 && clock_unix() - facts.at < 60);
    /* made from what was read: not over what somebody else has kept since */
    const int64_t over[] = {STORE_EVIDENCE_NONE, 1, 2, 2, 3};
    for (size_t i = 0; i < ARRAY_LEN(over); i++)
        assert_int_equal(kept_evidence_write(f->store, "Contoso", &e, true, over[i], "eve", NULL, &ei),
                         i == 2 || i == 4 ? ERR_OK : ERR_STALE);
    assert_int_equal(
        kept_evidence_write(f->store, "Fabrikam", &e, true, STORE_EVIDENCE_NONE, "eve", NULL, &ei), ERR_OK);
    evidence_fini(&e);
    evidence_fini(&back);
    /* spoilt by a hand: refused, not half taken */
    assert_true(store_fixture_raw(f, "UPDATE evidence SET lines = '{\"format\":1}\n{\"kind\":'"));
    evidence_init(&back, 1 << 20);
    assert_int_equal(kept_evidence_read(f->store, "Contoso", &back, &facts, &ei), ERR_INPUT);
    assert_int_equal(back.items.n, 0);
    assert_true(store_fixture_raw(f, "UPDATE evidence SET lines = '{\"format\":99}\n'"));
    assert_int_equal(kept_evidence_read(f->store, "Contoso", &back, &facts, &ei), ERR_CONFIG);
    evidence_fini(&back);
}

static struct store_moved next(struct store_watch *w, int timeout_ms)
{
    struct store_moved m = {0};
    struct errinfo ei = {0};
    if (store_watch_poll(w, timeout_ms, &m, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    return m;
}

static struct store_watch *watch(const struct store_fixture *f)
{
    struct store *s = NULL;
    struct store_watch *w = NULL;
    struct errinfo ei = {0};
    if (store_open(&s, f->spec, &ei) != ERR_OK || store_watch_open(&w, s, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    return w;
}

static void test_watch(void **state)
{
    struct store_fixture *f = *state;
    struct store_watch *w;
    append(f->store, "r0", 0, "begin");
    w = watch(f);
    struct store_moved m = next(w, 50);
    assert_false(m.journal || m.lock || m.progress || m.evidence || m.accepted);
    append(f->store, "r1", 0, "begin");
    append(f->store, JOURNAL_NO_RUN, 0, "lock");
    m = next(w, 5000);
    while (m.head < 3) /* the two may come one by one */
        m = next(w, 5000);
    assert_true(m.journal && !m.lock && !m.progress);
    assert_string_equal(m.run, "r1");
    assert_int_equal(store_lock(f->store, "ann", "apply", NULL), ERR_OK);
    m = next(w, 5000);
    assert_true(m.lock && !m.journal);
    store_unlock(f->store);
    assert_true(next(w, 5000).lock);
    settle(f->store, "Contoso", "G3", "settled", "x");
    assert_true(next(w, 5000).progress);
    settle(f->store, "Contoso", "G3", "settled", "x"); /* within the same second */
    assert_true(next(w, 5000).progress);
    struct acceptance a = {.organization = (char *)"Contoso",
                           .rule = (char *)"oa-wire",
                           .by = (char *)"ann",
                           .reason = (char *)"x"};
    assert_int_equal(store_accept(f->store, &a, NULL), ERR_OK);
    m = next(w, 5000);
    assert_true(m.accepted && m.journal);
    int64_t begun = clock_mono_ms();
    m = next(w, 300);
    assert_false(m.journal);
    assert_true(clock_mono_ms() - begun >= 250);
    store_watch_close(&w);
}

#define WRITERS 4

/* Several write while another looks on: nothing is missed or out of order, and the last state is seen. */
static void *write_many(void *arg)
{
    struct store_fixture *f = arg;
    struct store *s = NULL;
    if (store_open(&s, f->spec, NULL) != ERR_OK)
        return NULL;
    for (int i = 0; i < 100; i++) {
        struct journal_record r = {
            .run = (char *)"r1", .step = i, .phase = (char *)"intent", .who = (char *)"ann"};
        if (journal_append(s, &r, NULL) != ERR_OK)
            break;
    }
    store_close(&s);
    return s;
}

static void test_watch_while_it_is_written(void **state)
{
    struct store_fixture *f = *state;
    struct store_watch *w = watch(f);
    pthread_t writers[WRITERS];
    int64_t seen = 0;
    for (size_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, write_many, f), 0);
    for (int64_t end = clock_mono_ms() + 600000; seen < 100 * WRITERS && clock_mono_ms() < end;) {
        struct store_moved m = next(w, 1000);
        journal_records more = {0};
        if (!m.journal)
            continue;
        assert_int_equal(journal_read_after(store_watch_store(w), seen, "r1", &more, NULL), ERR_OK);
        for (size_t i = 0; i < more.n; i++)
            assert_int_equal(more.v[i].id, ++seen);
        journal_records_free(&more);
    }
    for (size_t i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    assert_int_equal(seen, 100 * WRITERS);
    store_watch_close(&w);
}

/*
 * Another process comes and goes while this one has two stores on the same file. POSIX locks belong to the process: had opening the
 * second taken away those of the first, the other process would think itself alone, and delete the WAL that the first still reads.
 */
static void test_locks_survive_a_second_store(void **state)
{
    struct store_fixture *f = *state;
    struct store *second = NULL;
    int go[2], status = 1;
    char byte;
    store_close(&f->store);
    assert_int_equal(pipe(go), 0);
    pid_t child = fork(); /* before any store is open: SQLite's must not cross a fork */
    if (child == 0) {
        close(go[1]);
        for (int i = 0; read(go[0], &byte, 1) == 1; i++) {
            struct store *s = NULL;
            if (store_open(&s, f->spec, NULL) != ERR_OK)
                _exit(1);
            append(s, i ? "r2" : "r1", 0, "begin");
            store_close(&s);
        }
        _exit(0);
    }
    close(go[0]);
    struct store_watch *w = watch(f);
    assert_int_equal(store_open(&second, f->spec, NULL), ERR_OK);
    store_close(&second);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(write(go[1], "x", 1), 1);
        struct store_moved m = next(w, 5000);
        assert_true(m.journal);
        assert_string_equal(m.run, i ? "r2" : "r1");
        pg_pause(300); /* until the other has closed its store */
    }
    close(go[1]);
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    store_watch_close(&w);
}

/* A server that went away and came back: the watch says so once, and then what it missed. */
static void test_watch_over_a_restart(void **state)
{
    struct store_fixture *f = *state;
    struct store_watch *w = watch(f);
    struct store_moved m;
    struct errinfo ei = {0};
    enum err e = ERR_OK;
    pg_end(&store_pg, SIGINT);
    for (int i = 0; i < 3 && e == ERR_OK; i++)
        e = store_watch_poll(w, 1000, &m, &ei);
    assert_int_equal(e, ERR_UNREACHABLE);
    assert_int_equal(store_watch_poll(w, 100, &m, &ei), ERR_UNREACHABLE);
    assert_true(pg_launch(&store_pg, "off"));
    append(f->store, "r9", 0, "begin");
    m = next(w, 5000);
    assert_true(m.journal);
    assert_string_equal(m.run, "r9");
    append(f->store, "r9", 1, "intent");
    assert_true(next(w, 5000).journal); /* it listens again */
    store_watch_close(&w);
}

/* The connection is cut, and it is a reading between two polls that finds out and connects anew: the watch must not be deaf from then on. */
static void test_watch_connected_anew_by_a_reader(void **state)
{
    struct store_fixture *f = *state;
    struct store_watch *w = watch(f);
    int64_t last = 0;
    assert_true(pg_sql(&store_pg, NULL,
                       "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                       " WHERE application_name = 'casbridge'"));
    assert_int_equal(journal_last(store_watch_store(w), &last, NULL), ERR_OK);
    append(f->store, "r1", 0, "begin");
    assert_true(next(w, 5000).journal);
    append(f->store, "r1", 1, "intent");
    assert_true(next(w, 5000).journal);
    store_watch_close(&w);
}

static void fill(struct store *s)
{
    struct acceptance a = {.organization = (char *)"Contoso",
                           .rule = (char *)"oa-wire",
                           .by = (char *)"ann",
                           .reason = (char *)"x",
                           .until = 4000000000};
    struct evidence e;
    for (int i = 0; i < 20; i++)
        append(s, i < 10 ? "r1" : "r2", i % 10, i % 10 ? "intent" : "begin");
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_accept(s, &a, NULL), ERR_OK);
    assert_int_equal(store_accept_remove(s, 3, "bob", NULL), ERR_OK);
    settle(s, "Contoso", "G3", "settled", "x");
    gather(&e, 2);
    assert_int_equal(kept_evidence_write(s, "Contoso", &e, true, STORE_EVIDENCE_ANY, "ann", "jump1", NULL),
                     ERR_OK);
    evidence_fini(&e);
}

static void assert_same(struct store *a, struct store *b)
{
    journal_records x = {0}, y = {0};
    size_t n = 0;
    assert_int_equal(journal_read(a, NULL, &x, NULL), ERR_OK);
    assert_int_equal(journal_read(b, NULL, &y, NULL), ERR_OK);
    assert_int_equal(x.n, y.n);
    for (size_t i = 0; i < x.n; i++) {
        assert_string_equal(x.v[i].hash, y.v[i].hash);
        assert_true(str_eq(x.v[i].detail, y.v[i].detail) && str_eq(x.v[i].why, y.v[i].why));
    }
    assert_int_equal(journal_verify(b, &n, NULL), ERR_OK);
    assert_int_equal(n, x.n);
    journal_records_free(&x);
    journal_records_free(&y);
}

/* To the other kind, and back to the first: the chain is the same chain. */
static void test_copy_there_and_back(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store *other = NULL, *back = NULL;
    struct store_copied done = {0};
    char spec[200], name[32], again[200];
    if (!store_pg.pid)
        skip();
    if (f->database[0]) {
        snprintf(spec, sizeof spec, "sqlite:%s/other.db", f->folder);
        assert_true(pg_database(&store_pg, NULL, name, sizeof name));
        pg_url(&store_pg, name, again, sizeof again);
    } else {
        assert_true(pg_database(&store_pg, NULL, name, sizeof name));
        pg_url(&store_pg, name, spec, sizeof spec);
        snprintf(again, sizeof again, "sqlite:%s/again.db", f->folder);
    }
    fill(f->store);
    assert_int_equal(store_open(&other, spec, &ei), ERR_OK);
    assert_int_equal(store_open(&back, again, &ei), ERR_OK);
    if (store_copy(f->store, other, NULL, &done, &ei) != ERR_OK ||
        store_copy(other, back, NULL, &done, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_true(done.records == 24 && done.accepted == 2 && done.progress == 1 && done.evidence == 1);
    assert_same(f->store, other);
    assert_same(f->store, back);
    /* the chain goes on, and numbers that were given away are not given again */
    append(back, "r3", 0, "begin");
    struct acceptance a = {.organization = (char *)"Contoso",
                           .rule = (char *)"oa-wire",
                           .by = (char *)"ann",
                           .reason = (char *)"x"};
    assert_int_equal(store_accept(other, &a, &ei), ERR_OK);
    assert_int_equal(a.n, 4);
    a.n = 0;
    assert_int_equal(store_accept(back, &a, &ei), ERR_OK);
    assert_int_equal(a.n, 4);
    size_t n = 0;
    assert_int_equal(journal_verify(back, &n, &ei), ERR_OK);
    assert_int_equal(n, 26);
    /* what is not empty is not touched */
    assert_int_equal(store_copy(f->store, other, NULL, &done, &ei), ERR_REFUSED);
    assert_non_null(strstr(ei.what, "not empty"));
    assert_int_equal(journal_verify(other, &n, &ei), ERR_OK);
    assert_int_equal(n, 25);
    store_close(&other);
    store_close(&back);
}

static void test_copy_of_a_broken_chain(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store *to = NULL;
    struct store_copied done = {0};
    char spec[200];
    fill(f->store);
    assert_true(store_fixture_raw(f, f->database[0] ? "DROP TRIGGER no_change ON journal"
                                                    : "DROP TRIGGER journal_no_update"));
    assert_true(store_fixture_raw(f, "UPDATE journal SET who = 'nobody' WHERE id = 7"));
    snprintf(spec, sizeof spec, "sqlite:%s/other.db", f->folder);
    assert_int_equal(store_open(&to, spec, &ei), ERR_OK);
    assert_int_equal(store_copy(f->store, to, NULL, &done, &ei), ERR_INPUT);
    assert_non_null(strstr(ei.what, "record 7"));
    assert_int_equal(store_count(to, &done, &ei), ERR_OK);
    assert_true(!done.records && !done.accepted);
    store_close(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_progress),
        BOTH(test_evidence),
        BOTH(test_watch),
        BOTH(test_watch_while_it_is_written),
        SQLITE(test_locks_survive_a_second_store),
        POSTGRES(test_watch_over_a_restart),
        POSTGRES(test_watch_connected_anew_by_a_reader),
        BOTH(test_copy_there_and_back),
        BOTH(test_copy_of_a_broken_chain),
    };
    return store_fixture_run(tests, ARRAY_LEN(tests));
}
