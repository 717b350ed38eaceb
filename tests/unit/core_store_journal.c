/* The journal: the chain, what breaks it, what the database refuses, and what a store refuses to be opened as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/base/str.h"
#include "core/store/store_int.h"
#define STORE_FIXTURE_BOTH
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct journal_record record(const char *run, int step, const char *phase, const char *detail)
{
    return (struct journal_record){.run = (char *)run,
                                   .at = 1700000000 + step,
                                   .step = step,
                                   .server = step ? (char *)"EXCAS01" : NULL,
                                   .phase = (char *)phase,
                                   .who = (char *)"admin@CONTOSO.LAB",
                                   .from = (char *)"jump1",
                                   .detail = (char *)detail};
}

static void append(struct store *s, const char *run, int step, const char *phase, const char *after)
{
    struct errinfo ei = {0};
    struct journal_record r = record(run, step, phase, NULL);
    r.after = (char *)after;
    if (journal_append(s, &r, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
}

static void fill(struct store *s, int n)
{
    for (int i = 0; i < n; i++)
        append(s, "run-1", i, i ? "intent" : "begin", NULL);
}

static void test_append_and_read(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    journal_records all = {0};
    struct journal_record r = record("run-1", 1, "intent", "a\nb");
    r.why = (char *)"";
    r.cmdlet = (char *)"Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)'";
    r.before = (char *)"{\"iis_auth\":[\"basic\"]}";
    assert_int_equal(journal_append(f->store, &r, &ei), ERR_OK);
    assert_int_equal(r.id, 1);
    assert_string_equal(r.prev, journal_genesis);
    append(f->store, "run-2", 0, "begin", NULL);
    assert_int_equal(journal_read(f->store, "run-1", &all, &ei), ERR_OK);
    assert_int_equal(all.n, 1);
    assert_string_equal(all.v[0].detail, "a\nb");
    assert_string_equal(all.v[0].why, "");
    assert_null(all.v[0].after);
    assert_string_equal(all.v[0].hash, r.hash);
    assert_string_equal(all.v[0].from, "jump1");
    assert_string_equal(all.v[0].server, "EXCAS01");
    journal_records_free(&all);
    assert_int_equal(journal_read(f->store, NULL, &all, &ei), ERR_OK);
    assert_int_equal(all.n, 2);
    assert_string_equal(all.v[1].prev, all.v[0].hash);
    journal_records_free(&all);
    assert_int_equal(journal_read(f->store, "run-3", &all, &ei), ERR_NOTFOUND);
}

/* The canonical content is fixed: a journal of today must verify for ever. Recomputed with sha256sum. */
static void test_hash_known_answer(void **state)
{
    (void)state;
    char hash[65];
    struct journal_record r = record("20261124T030000Z-3f2a", 1, "intent", NULL);
    r.id = 7;
    str_copy(r.prev, sizeof r.prev, journal_genesis);
    assert_int_equal(journal_hash(&r, hash), ERR_OK);
    assert_string_equal(hash, "ac6f55e8760a978151c723dc55e03726028597322a221aed98882b0179c1b4cb");
}

static void test_hash_tells_fields_apart(void **state)
{
    (void)state;
    char base[65], other[65];
    struct journal_record r = record("r", 1, "intent", "x");
    r.id = 1;
    str_copy(r.prev, sizeof r.prev, journal_genesis);
    assert_int_equal(journal_hash(&r, base), ERR_OK);
    const struct {
        const char *why, *cmdlet, *detail;
    } rows[] = {{"x", NULL, NULL}, {NULL, "x", NULL}, {NULL, NULL, ""}, {"", NULL, "x"}, {NULL, NULL, "x\n"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct journal_record c = r;
        c.why = (char *)rows[i].why;
        c.cmdlet = (char *)rows[i].cmdlet;
        c.detail = (char *)rows[i].detail;
        assert_int_equal(journal_hash(&c, other), ERR_OK);
        assert_string_not_equal(base, other);
    }
}

static void test_limits(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    static char big[JOURNAL_TEXT_MAX + 2];
    memset(big, 'x', sizeof big - 1);
    struct journal_record r = record("r", 1, "result", big);
    assert_int_equal(journal_append(f->store, &r, &ei), ERR_LIMIT);
    assert_int_equal(r.id, 0);
    r.detail = (char *)"\xff";
    assert_int_equal(journal_append(f->store, &r, &ei), ERR_INPUT);
    big[JOURNAL_TEXT_MAX] = '\0';
    r.detail = big;
    assert_int_equal(journal_append(f->store, &r, &ei), ERR_OK);
    size_t n = 0;
    assert_int_equal(journal_verify(f->store, &n, &ei), ERR_OK);
    assert_int_equal(n, 1);
}

/* A copy of the closed store, to be spoilt. */
static void copy_store(const struct store_fixture *f, size_t i, struct store_fixture *copy)
{
    struct errinfo ei = {0};
    struct buf b;
    *copy = *f;
    if (f->database[0]) {
        assert_true(pg_database(&store_pg, f->database, copy->database, sizeof copy->database));
        pg_url(&store_pg, copy->database, copy->spec, sizeof copy->spec);
        return;
    }
    snprintf(copy->file, sizeof copy->file, "%s/copy%zu.db", f->folder, i);
    snprintf(copy->spec, sizeof copy->spec, "sqlite:%s", copy->file);
    buf_init(&b, 1 << 20);
    assert_int_equal(path_read(&b, f->file, &ei), ERR_OK);
    assert_int_equal(path_write(copy->file, b.data, b.len, 0600, &ei), ERR_OK);
    buf_fini(&b);
}

/* Each row is what a hand with the database's shell could do to a copy, and where the chain must break. */
static void test_tampering_is_found(void **state)
{
    struct store_fixture *f = *state;
    static const struct
    { /* what only SQLite lets a hand do: texts and numbers that C would read as the ones before */
        const char *sql, *names;
    } sqlite_rows[] = {
        {"UPDATE journal SET who = who || char(0) || 'more' WHERE id = 3", "goes on behind its end"},
        {"UPDATE journal SET step = step + 4294967296 WHERE id = 4", "record 4: its content"},
    };
    static const char *const drop[] = {"DROP TRIGGER journal_no_update; DROP TRIGGER journal_no_delete;"
                                       "DROP TRIGGER journal_in_order; DROP TRIGGER head_no_delete;",
                                       "DROP TRIGGER no_change ON journal; DROP TRIGGER in_order ON journal;"
                                       "DROP TRIGGER no_delete ON head;"};
    static const struct {
        const char *sql, *names;
    } rows[] = {
        {"UPDATE journal SET detail = 'nothing happened' WHERE id = 3", "record 3: its content"},
        {"UPDATE journal SET server = 'EXCAS02' WHERE id = 5", "record 5: its content"},
        {"UPDATE journal SET at = at + 1 WHERE id = 1", "record 1: its content"},
        {"UPDATE journal SET why = '' WHERE id = 2", "record 2: its content"},
        {"UPDATE journal SET hash = prev WHERE id = 2", "record 2: its content"},
        {"DELETE FROM journal WHERE id = 3", "record 3: it is missing"},
        {"DELETE FROM journal WHERE id = 1", "record 1: it is missing"},
        {"DELETE FROM journal WHERE id = 6", "record 6: it is missing"},
        {"DELETE FROM journal", "record 1: it is missing"},
        {"UPDATE journal SET id = 99 WHERE id = 2; UPDATE journal SET id = 2 WHERE id = 3;"
         "UPDATE journal SET id = 3 WHERE id = 99",
         "record 2: it does not follow"},
        {"INSERT INTO journal SELECT 7, run, at, step, server, phase, who, origin, why, cmdlet, before, "
         "after,"
         " detail, hash, prev FROM journal WHERE id = 6",
         "record 7: it does not follow"},
        {"DELETE FROM journal WHERE id = 6; UPDATE journal SET id = id + 1 WHERE id = 5", "record 5"},
        {"UPDATE head SET id = 5, hash = (SELECT hash FROM journal WHERE id = 5)",
         "record 6: it is not the one"},
        {"DELETE FROM head", "lost its head"},
    };
    fill(f->store, 6);
    store_close(&f->store);
    struct errinfo ei = {0};
    size_t n_rows = ARRAY_LEN(rows) + (f->database[0] ? 0 : ARRAY_LEN(sqlite_rows));
    for (size_t i = 0; i < n_rows; i++) {
        struct store_fixture copy;
        struct store *s = NULL;
        size_t n = 0, k = i - ARRAY_LEN(rows);
        const char *sql = i < ARRAY_LEN(rows) ? rows[i].sql : sqlite_rows[k].sql;
        const char *names = i < ARRAY_LEN(rows) ? rows[i].names : sqlite_rows[k].names;
        copy_store(f, i, &copy);
        assert_int_equal(store_open(&s, copy.spec, &ei), ERR_OK);
        assert_int_equal(journal_verify(s, &n, &ei), ERR_OK);
        assert_int_equal(n, 6);
        store_close(&s);
        assert_true(store_fixture_raw(&copy, drop[f->database[0] != 0]));
        if (!store_fixture_raw(&copy, sql))
            fail_msg("row %zu is not possible", i);
        assert_int_equal(store_open(&s, copy.spec, &ei), ERR_OK);
        ei = (struct errinfo){0};
        if (journal_verify(s, &n, &ei) != ERR_INPUT || !strstr(ei.what, names))
            fail_msg("row %zu: '%s' does not say '%s'", i, ei.what, names);
        store_close(&s);
    }
}

static void test_database_refuses_changes(void **state)
{
    struct store_fixture *f = *state;
    static const char *const rows[] = {
        "UPDATE journal SET detail = 'x' WHERE id = 1",
        "DELETE FROM journal WHERE id = 3",
        "INSERT INTO journal SELECT 9, run, at, step, server, phase, who, origin, why, cmdlet, before, after,"
        " detail, hash, prev FROM journal WHERE id = 2",
        "DELETE FROM head",
        "UPDATE journal SET detail = 'x'",
    };
    static const char *const own[2][3] = {
        {"INSERT OR REPLACE INTO journal SELECT 1, run, at, step, server, phase, who, origin, why, cmdlet,"
         " before, after, detail, hash, prev FROM journal WHERE id = 2",
         "REPLACE INTO journal SELECT * FROM journal WHERE id = 3",
         "INSERT INTO head (one, id, hash) VALUES (2, 1, '')"},
        {"TRUNCATE journal", "TRUNCATE head",
         "INSERT INTO journal SELECT * FROM journal WHERE id = 2 ON CONFLICT (id) DO UPDATE SET detail = "
         "'x'"},
    };
    fill(f->store, 3);
    for (size_t i = 0; i < ARRAY_LEN(rows) + 3; i++) {
        const char *sql = i < 3 ? own[f->database[0] != 0][i] : rows[i - 3];
        if (store_fixture_raw(f, sql))
            fail_msg("the database does it: %s", sql);
    }
    size_t n = 0;
    assert_int_equal(journal_verify(f->store, &n, NULL), ERR_OK);
    assert_int_equal(n, 3);
}

static void test_file_is_private(void **state)
{
    struct store_fixture *f = *state;
    static const char *const names[] = {"", "-wal", "-shm"};
    struct stat st;
    fill(f->store, 1);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[160];
        snprintf(path, sizeof path, "%s%s", f->file, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    char folder[160];
    snprintf(folder, sizeof folder, "%s/state", f->folder);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_full_disk_keeps_nothing_half(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    static char big[60001];
    memset(big, 'y', sizeof big - 1);
    fill(f->store, 2);
    sqlite3_exec(store_fixture_db(f->store), "PRAGMA max_page_count = 20", NULL, NULL, NULL);
    struct journal_record r = record("run-1", 2, "result", big);
    enum err e = ERR_OK;
    int kept = 2;
    for (int i = 0; i < 10 && (e = journal_append(f->store, &r, &ei)) == ERR_OK; i++, kept++)
        r = record("run-1", 2, "result", big);
    assert_int_equal(e, ERR_SYSTEM);
    assert_int_equal(ei.sys, ENOSPC);
    assert_non_null(strstr(ei.hint, "disk"));
    size_t n = 0;
    assert_int_equal(journal_verify(f->store, &n, &ei), ERR_OK);
    assert_int_equal((int)n, kept);
    sqlite3_exec(store_fixture_db(f->store), "PRAGMA max_page_count = 1000000", NULL, NULL, NULL);
    assert_int_equal(journal_append(f->store, &r, &ei), ERR_OK);
    assert_int_equal(journal_verify(f->store, &n, &ei), ERR_OK);
    assert_int_equal((int)n, kept + 1);
}

static void alter(const char *file, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_what_is_no_store(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store *s = NULL;
    char path[160], spec[200];
    store_close(&f->store);
    alter(f->file, "PRAGMA user_version = 99");
    assert_int_equal(store_open(&s, f->spec, &ei), ERR_CONFIG);
    assert_non_null(strstr(ei.what, "newer casbridge"));

    snprintf(path, sizeof path, "%s/other.db", f->folder);
    snprintf(spec, sizeof spec, "sqlite:%s", path);
    alter(path, "CREATE TABLE t (x)");
    assert_int_equal(store_open(&s, spec, &ei), ERR_CONFIG);
    assert_non_null(strstr(ei.what, "another program"));

    static char text[4096];
    memset(text, 'a', sizeof text);
    assert_int_equal(path_write(path, text, sizeof text, 0600, &ei), ERR_OK);
    assert_int_equal(store_open(&s, spec, &ei), ERR_CONFIG);

    static const char *const bad[] = {"oracle://db/x",           "sqlite:",          "/tmp/x.db", "",
                                      "sqlite:/dev/null/x/y.db", "sqlite:/dev/null", "sqlite:/"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(store_open(&s, bad[i], &ei), ERR_CONFIG);
        assert_null(s);
    }
}

/* A newer casbridge brings the store to its layout while this one has it open: nothing more is written into what is not understood. */
static void test_newer_while_open(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    bool pg = f->database[0] != 0;
    char sql[64];
    fill(f->store, 2);
    assert_true(store_fixture_raw(f, pg ? "UPDATE meta SET layout = 99" : "PRAGMA user_version = 99"));
    struct journal_record r = record("run-1", 2, "result", "x");
    assert_int_equal(journal_append(f->store, &r, &ei), ERR_CONFIG);
    assert_non_null(strstr(ei.what, "newer casbridge (layout 99"));
    snprintf(sql, sizeof sql, pg ? "UPDATE meta SET layout = %d" : "PRAGMA user_version = %d", STORE_LAYOUT);
    assert_true(store_fixture_raw(f, sql));
    assert_int_equal(journal_append(f->store, &r, &ei), ERR_OK);
    assert_int_equal(r.id, 3);
}

static void test_folder_that_cannot_be_written(void **state)
{
    struct store_fixture *f = *state;
    pid_t child = fork(); /* root may write everywhere: somebody else tries */
    if (child == 0) {
        struct store *s = NULL;
        struct errinfo ei = {0};
        char spec[160];
        snprintf(spec, sizeof spec, "sqlite:%s/state/second.db", f->folder);
        if (geteuid() == 0 && seteuid(65534) < 0)
            _exit(2);
        if (geteuid() != 65534 && chmod(f->folder, 0500) < 0)
            _exit(3);
        if (geteuid() != 65534)
            snprintf(spec, sizeof spec, "sqlite:%s/second.db", f->folder);
        _exit(store_open(&s, spec, &ei) == ERR_CONFIG && strstr(ei.hint, "rights") ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    chmod(f->folder, 0700);
    assert_int_equal(status, 0);
}

static void test_list_of_runs(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    journal_runs runs = {0};
    append(f->store, "r1", 0, "begin", "{\"organization\":\"Contoso\",\"steps\":3}");
    append(f->store, "r1", 1, "intent", NULL);
    append(f->store, "r1", 1, "done", NULL);
    append(f->store, "r2", 0, "begin", "{\"organization\":\"Contoso\",\"steps\":1}");
    append(f->store, "r1", 2, "failed", NULL);
    append(f->store, "r1", 2, "undone", NULL);
    append(f->store, "r1", 0, "end", "{\"status\":\"failed\"}");
    append(f->store, JOURNAL_NO_RUN, 0, "lock", NULL);
    append(f->store, "r3", 0, "begin", "{\"organization\":\"Contoso\",\"steps\":2}");
    append(f->store, "r3", 1, "failed", NULL);
    append(f->store, "r3", 0, "end", "{\"status\":\"interrupted\"}");
    append(f->store, "r3", 0, "resume", NULL);
    append(f->store, "r3", 1, "done", NULL);
    append(f->store, "r4", 0, "begin", "not JSON");
    append(f->store, "r4", 0, "end", "[1");
    assert_int_equal(journal_list(f->store, &runs, &ei), ERR_OK);
    static const struct {
        const char *run, *status, *organization;
        int steps, done, failed;
        bool ended;
    } rows[] = {{"r1", "failed", "Contoso", 3, 1, 1, true},
                {"r2", "unfinished", "Contoso", 1, 0, 0, false},
                {"r3", "unfinished", "Contoso", 2, 1, 0, false},
                {"r4", "failed", "", 0, 0, 0, true}};
    assert_int_equal(runs.n, ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(runs.v[i].run, rows[i].run);
        assert_string_equal(runs.v[i].status, rows[i].status);
        assert_string_equal(runs.v[i].organization, rows[i].organization);
        assert_int_equal(runs.v[i].steps, rows[i].steps);
        assert_int_equal(runs.v[i].done, rows[i].done);
        assert_int_equal(runs.v[i].failed, rows[i].failed);
        assert_int_equal(runs.v[i].ended != 0, rows[i].ended);
    }
    journal_runs_free(&runs);
}

/* More than the list begins with room for; each found again, however far back. */
static void test_list_of_many_runs(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    journal_runs runs = {0};
    char run[16];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 150; i++) {
            snprintf(run, sizeof run, "run-%d", i);
            append(f->store, run, round, round ? i % 2 ? "done" : "failed" : "begin", NULL);
        }
    assert_int_equal(journal_list(f->store, &runs, &ei), ERR_OK);
    assert_int_equal(runs.n, 150);
    for (int i = 0; i < 150; i++) {
        snprintf(run, sizeof run, "run-%d", i);
        assert_string_equal(runs.v[i].run, run);
        assert_true(runs.v[i].done == i % 2 && runs.v[i].failed == !(i % 2));
    }
    journal_runs_free(&runs);
}

static void test_two_writers(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store *second = NULL;
    size_t n = 0;
    assert_int_equal(store_open(&second, f->spec, &ei), ERR_OK);
    for (int i = 0; i < 10; i++)
        append(i % 2 ? second : f->store, i % 2 ? "b" : "a", i, "intent", NULL);
    assert_int_equal(journal_verify(second, &n, &ei), ERR_OK);
    assert_int_equal(n, 10);
    store_close(&second);
}

static void test_run_ids(void **state)
{
    (void)state;
    char a[32], b[32];
    journal_new_run(a);
    assert_int_equal(strlen(a), 21);
    assert_int_equal(a[8], 'T');
    assert_int_equal(a[15], 'Z');
    int same = 0;
    for (int i = 0; i < 20; i++) {
        journal_new_run(b);
        same += strcmp(a, b) == 0;
    }
    assert_true(same < 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_append_and_read),
        ALONE(test_hash_known_answer),
        ALONE(test_hash_tells_fields_apart),
        BOTH(test_limits),
        BOTH(test_tampering_is_found),
        BOTH(test_database_refuses_changes),
        SQLITE(test_file_is_private),
        SQLITE(test_full_disk_keeps_nothing_half),
        SQLITE(test_what_is_no_store),
        BOTH(test_newer_while_open),
        SQLITE(test_folder_that_cannot_be_written),
        BOTH(test_list_of_runs),
        BOTH(test_list_of_many_runs),
        BOTH(test_two_writers),
        ALONE(test_run_ids),
    };
    return store_fixture_run(tests, ARRAY_LEN(tests));
}
