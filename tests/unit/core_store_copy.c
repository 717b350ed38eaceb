/* A copy of many records: in batches, each in order, all or nothing however it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/str.h"
#define STORE_FIXTURE_BOTH
#include "tests/unit/pg_gate.h"
#include "tests/unit/store_fixture.h"

#define MANY 1300 /* three batches */

/* What JSON, SQL and the chain might each understand differently. */
static const char *const odd[] = {"",
                                  "\\N",
                                  "{\"a\":null}",
                                  "quote ' \" \\ \\u0000 $1 --",
                                  "line\nbreak\ttab\r\x01\x1f\x7f",
                                  NULL,
                                  "Zürich €\xf0\x9f\x98\x80\xef\xbf\xbe",
                                  "null"};

static void fill(struct store *s, size_t n)
{
    enum err e = store_begin(s, STORE_TURN_WRITE, NULL);
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        struct journal_record r = {.run = (char *)(i < n / 2 ? "r1" : "r2"),
                                   .step = (int)i % 10,
                                   .phase = (char *)(i % 10 ? "intent" : "begin"),
                                   .who = (char *)"ann",
                                   .server = (char *)odd[i % ARRAY_LEN(odd)],
                                   .why = (char *)odd[(i + 1) % ARRAY_LEN(odd)],
                                   .before = (char *)odd[(i + 2) % ARRAY_LEN(odd)],
                                   .after = (char *)odd[(i + 3) % ARRAY_LEN(odd)],
                                   .detail = (char *)odd[(i + 5) % ARRAY_LEN(odd)]};
        e = journal_append_locked(s, &r, NULL);
    }
    assert_int_equal(store_end(s, e, NULL), ERR_OK);
}

/* Records of a store that is whole. */
static size_t whole(struct store *s)
{
    struct errinfo ei = {0};
    size_t n = 0;
    if (journal_verify(s, &n, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    return n;
}

static struct store *open_at(const char *spec)
{
    struct store *s = NULL;
    struct errinfo ei = {0};
    if (store_open(&s, spec, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    return s;
}

static struct store *sqlite_beside(const struct store_fixture *f)
{
    char spec[200];
    snprintf(spec, sizeof spec, "sqlite:%s/other.db", f->folder);
    return open_at(spec);
}

static void assert_same(struct store *a, struct store *b)
{
    journal_records x = {0}, y = {0};
    assert_int_equal(journal_read(a, NULL, &x, NULL), ERR_OK);
    assert_int_equal(journal_read(b, NULL, &y, NULL), ERR_OK);
    assert_int_equal(x.n, y.n);
    for (size_t i = 0; i < x.n; i++) {
        const struct journal_record *p = &x.v[i], *q = &y.v[i];
        if (strcmp(p->hash, q->hash) != 0 || !str_eq(p->server, q->server) || !str_eq(p->why, q->why) ||
            !str_eq(p->before, q->before) || !str_eq(p->after, q->after) || !str_eq(p->detail, q->detail))
            fail_msg("record %zu", i + 1);
    }
    journal_records_free(&x);
    journal_records_free(&y);
}

/* The head moves once for a batch: each move leaves a version of its row behind until the copy is committed, and all are stepped over. */
static void test_many(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store_copied done = {0};
    struct store *from = sqlite_beside(f);
    fill(from, MANY);
    if (store_copy(from, f->store, NULL, &done, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_int_equal(done.records, MANY);
    assert_int_equal(whole(f->store), MANY);
    assert_same(from, f->store);
    if (f->database[0])
        assert_true(store_fixture_raw(f, "SELECT 1 / CAST(pg_relation_size('head') <= 8192 AS integer)"));
    fill(f->store, 1); /* and the chain goes on, one by one */
    assert_int_equal(whole(f->store), MANY + 1);
    store_close(&from);
}

/* What the database itself refuses of a statement that adds several. */
static void test_order_of_many(void **state)
{
    struct store_fixture *f = *state;
    static const struct {
        const char *rows;
        bool taken;
    } cases[] = {
        {"(3, 'c', 'b'), (5, 'e', 'd')", false},               /* a gap */
        {"(3, 'c', 'b'), (4, 'd', 'x')", false},               /* follows another */
        {"(3, 'c', 'x'), (4, 'd', 'c')", false},               /* the first does not follow the head */
        {"(2, 'c', 'b'), (3, 'd', 'c')", false},               /* there already */
        {"(4, 'd', 'c'), (5, 'e', 'd')", false},               /* after a gap */
        {"(4, 'd', 'c'), (3, 'c', 'b'), (5, 'e', 'd')", true}, /* all there is, in any order */
    };
    assert_true(store_fixture_raw(f, "INSERT INTO journal (id, run, at, step, phase, who, hash, prev) SELECT"
                                     " 1, 'r', 0, 0, 'p', 'w', 'a', hash FROM head"));
    assert_true(store_fixture_raw(f, "UPDATE head SET id = 1, hash = 'a'"));
    assert_true(store_fixture_raw(f, "INSERT INTO journal (id, run, at, step, phase, who, hash, prev) VALUES"
                                     " (2, 'r', 0, 0, 'p', 'w', 'b', 'a')"));
    assert_true(store_fixture_raw(f, "UPDATE head SET id = 2, hash = 'b'"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char sql[500];
        snprintf(sql, sizeof sql,
                 "INSERT INTO journal (id, run, at, step, phase, who, hash, prev) SELECT id, 'r', 0, 0, 'p',"
                 " 'w', hash, prev FROM (VALUES %s) AS v (id, hash, prev)",
                 cases[i].rows);
        if (store_fixture_raw(f, sql) != cases[i].taken)
            fail_msg("%s", cases[i].rows);
    }
}

/* A store made before a statement could add several: its trigger looks at each row. */
static const char by_row[] =
    "DROP TRIGGER in_order ON journal; CREATE OR REPLACE FUNCTION in_order() RETURNS trigger LANGUAGE "
    "plpgsql AS $$"
    " BEGIN IF NOT EXISTS (SELECT 1 FROM casbridge.head WHERE NEW.id = id + 1 AND NEW.prev = hash) THEN"
    " RAISE EXCEPTION 'the journal is append-only' USING ERRCODE = 'integrity_constraint_violation';"
    " END IF; RETURN NEW; END $$; CREATE TRIGGER in_order BEFORE INSERT ON journal FOR EACH ROW"
    " EXECUTE FUNCTION in_order()";

static void test_store_made_before(void **state)
{
    struct store_fixture *f = *state;
    char spec[200], sql[300];
    struct errinfo ei = {0};
    struct store_copied done = {0};
    struct store *from = sqlite_beside(f);
    assert_true(store_fixture_raw(f, by_row));
    fill(f->store, 2); /* it goes on being one that serves */
    assert_int_equal(whole(f->store), 2);
    fill(from, MANY);
    assert_int_equal(store_copy(from, f->store, NULL, &done, &ei), ERR_REFUSED);
    for (int owner = 0; owner < 2; owner++) {
        char name[32];
        assert_true(pg_database(&store_pg, NULL, name, sizeof name));
        pg_url(&store_pg, name, spec, sizeof spec);
        struct store *to = open_at(spec);
        store_close(&to);
        snprintf(f->database, sizeof f->database, "%s", name);
        assert_true(store_fixture_raw(f, by_row));
        if (!owner) { /* who may use it, but not change it: one by one */
            assert_true(pg_sql(&store_pg, NULL, "CREATE ROLE guest LOGIN"));
            assert_true(store_fixture_raw(f, "GRANT USAGE ON SCHEMA casbridge TO guest;"
                                             "GRANT ALL ON ALL TABLES IN SCHEMA casbridge TO guest;"
                                             "GRANT ALL ON ALL SEQUENCES IN SCHEMA casbridge TO guest"));
            snprintf(spec, sizeof spec, "postgresql://guest@127.0.0.1:%d/%s?gssencmode=disable",
                     store_pg.port, name);
        }
        to = open_at(spec);
        if (store_copy(from, to, NULL, &done, &ei) != ERR_OK)
            fail_msg("%s", ei.what);
        assert_same(from, to);
        store_close(&to);
        snprintf(sql, sizeof sql,
                 "SELECT 1 / CAST(count(*) = %d AS integer) FROM pg_trigger WHERE tgname = 'in_order' AND "
                 "tgtype & 1 = 0",
                 owner);
        assert_true(store_fixture_raw(f, sql));
        if (!owner)
            assert_true(store_fixture_raw(f, "DROP OWNED BY guest; DROP ROLE guest"));
    }
    store_close(&from);
}

/* Told to end in the middle: nothing of it is there, and the next one takes all. */
static void test_stopped(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store_copied done = {.records = 77};
    struct stop stop;
    struct store *from = sqlite_beside(f);
    fill(from, MANY);
    stop_init(&stop, 0, NULL);
    stop_raise(&stop);
    assert_int_equal(store_copy(from, f->store, &stop, &done, &ei), ERR_INTERRUPTED);
    assert_int_equal(done.records, 77);
    assert_int_equal(whole(f->store), 0);
    assert_int_equal(store_copy(from, f->store, NULL, &done, &ei), ERR_OK);
    assert_int_equal(whole(f->store), MANY);
    store_close(&from);
}

/* Killed at any moment: nothing or everything. */
static void test_killed(void **state)
{
    struct store_fixture *f = *state;
    char from_spec[200];
    snprintf(from_spec, sizeof from_spec, "sqlite:%s/other.db", f->folder);
    struct store *from = open_at(from_spec);
    fill(from, MANY);
    store_close(&from); /* SQLite's must not cross a fork */
    store_close(&f->store);
    int killed = 0;
    for (int ms = 1; ms < 60000; ms *= 2) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            struct store *a = NULL, *b = NULL;
            struct store_copied done;
            enum err e = store_open(&a, from_spec, NULL);
            if (e == ERR_OK)
                e = store_open(&b, f->spec, NULL);
            if (e == ERR_OK)
                e = store_copy(a, b, NULL, &done, NULL);
            _exit(e == ERR_OK ? 0 : 1);
        }
        pg_pause(ms);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        f->store = open_at(f->spec);
        size_t n = whole(f->store);
        store_close(&f->store);
        if (n == MANY)
            break;
        killed++;
        assert_int_equal(n, 0);
        assert_true(WIFSIGNALED(status));
    }
    assert_true(killed > 0);
    f->store = open_at(f->spec);
    assert_int_equal(whole(f->store), MANY);
}

struct scan {
    int lost, in_doubt;
};

/* The connection dies at every step-th message of a copy of n records, before it reached the server or after its answer did. */
static struct scan lose_at_each(struct pg_gate *gate, struct store *from, size_t n, int step, bool after)
{
    struct scan found = {0};
    char name[32] = "", spec[200], straight[200];
    bool cut = true;
    for (int at = 1; cut; at += step) {
        struct errinfo ei = {0};
        struct store_copied done;
        if (!name[0]) {
            assert_true(pg_database(&store_pg, NULL, name, sizeof name));
            pg_url(&store_pg, name, straight, sizeof straight);
            snprintf(spec, sizeof spec,
                     "postgresql://casbridge@127.0.0.1:%d/%s?gssencmode=disable&sslmode=disable", gate->port,
                     name);
        }
        struct store *to = open_at(spec);
        pg_gate_cut(gate, at, after);
        enum err e = store_copy(from, to, NULL, &done, &ei);
        cut = pg_gate_was_cut(gate);
        pg_gate_cut(gate, 0, false);
        if (e != ERR_OK && e != ERR_UNREACHABLE)
            fail_msg("message %d: %s %s", at, err_name(e), ei.what);
        store_close(&to);
        to = open_at(straight);
        if (whole(to) != (e == ERR_OK ? n : 0))
            fail_msg("message %d, %s: the caller was told %s", at, after ? "after" : "before", err_name(e));
        store_close(&to);
        found.lost += e != ERR_OK;
        found.in_doubt += cut && e == ERR_OK && at > 2; /* what only begins is asked again */
        if (e == ERR_OK)
            name[0] = '\0';
    }
    return found;
}

/* The caller is told the truth, and nothing is half there. */
static void test_lost_at_every_message(void **state)
{
    struct store_fixture *f = *state;
    struct pg_gate gate;
    struct store *from = sqlite_beside(f);
    assert_true(pg_gate_open(&gate, store_pg.port));
    fill(from, 20);
    struct scan before = lose_at_each(&gate, from, 20, 1, false),
                after = lose_at_each(&gate, from, 20, 1, true);
    assert_true(before.lost >= 6 && after.lost == before.lost - 1);
    assert_int_equal(before.in_doubt, 0);
    assert_int_equal(after.in_doubt,
                     1);   /* COMMIT went through, its answer was lost, and the last record told */
    fill(from, MANY - 20); /* more than one read() brings: also in the middle of a message */
    assert_true(lose_at_each(&gate, from, MANY, 3, false).lost > 3);
    pg_gate_close(&gate);
    store_close(&from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_many),
        POSTGRES(test_order_of_many),
        POSTGRES(test_store_made_before),
        BOTH(test_stopped),
        BOTH(test_killed),
        POSTGRES(test_lost_at_every_message),
    };
    return store_fixture_run(tests, ARRAY_LEN(tests));
}
