/*
 * A store for each test, made before and gone after: a file in a folder of its own, or a database of a PostgreSQL that the test program
 * starts. BOTH(test) runs a test over both back ends. Include after cmocka.h.
 */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include "core/store/postgres.h"
#include "core/store/sqlite.h"
#include "core/store/store.h"
#include "tests/unit/pg_server.h"

struct store_fixture {
    char folder[64], file[128], spec[200];
    char database[32]; /* "" with SQLite */
    struct store *store;
};

static struct pg_server store_pg;

static inline int store_fixture_remove(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    return pg_remove(path, st, flag, f);
}

static inline struct store_fixture *store_fixture_new(void)
{
    struct store_fixture *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    snprintf(f->folder, sizeof f->folder, "/tmp/casbridge-store-XXXXXX");
    if (!mkdtemp(f->folder))
        abort();
    snprintf(f->file, sizeof f->file, "%s/state/store.db", f->folder);
    snprintf(f->spec, sizeof f->spec, "sqlite:%s", f->file);
    return f;
}

static inline int store_fixture_open(struct store_fixture *f, void **state)
{
    struct errinfo ei = {0};
    *state = f;
    if (store_open(&f->store, f->spec, &ei) == ERR_OK)
        return 0;
    fprintf(stderr, "store_open: %s\n", ei.what);
    return -1;
}

static inline int store_fixture_setup(void **state)
{
    struct store_fixture *f = store_fixture_new();
    return f ? store_fixture_open(f, state) : -1;
}

static inline int store_fixture_setup_postgres(void **state)
{
    struct store_fixture *f = store_fixture_new();
    if (!f || !pg_database(&store_pg, NULL, f->database, sizeof f->database))
        return -1;
    pg_url(&store_pg, f->database, f->spec, sizeof f->spec);
    return store_fixture_open(f, state);
}

static inline int store_fixture_teardown(void **state)
{
    struct store_fixture *f = *state;
    store_close(&f->store);
    nftw(f->folder, store_fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static inline sqlite3 *store_fixture_db(const struct store *s)
{
    return ((struct store_file *)s->handle)->db;
}

/* What a hand with the database's own shell does; false when the database refuses. */
static inline bool store_fixture_raw(const struct store_fixture *f, const char *sql)
{
    if (f->database[0]) {
        char whole[2048];
        snprintf(whole, sizeof whole, "SET search_path = casbridge; %s", sql);
        return pg_sql(&store_pg, f->database, whole);
    }
    sqlite3 *db = NULL; /* a handle without our pragmas */
    bool ok = sqlite3_open(f->file, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(db);
    return ok;
}

#ifdef STORE_FIXTURE_BOTH
#define SQLITE(name)                                                                                         \
    {                                                                                                        \
#name " sqlite", name, store_fixture_setup, store_fixture_teardown, NULL                             \
    }
#define POSTGRES(name)                                                                                       \
    {                                                                                                        \
#name " postgresql", name, store_fixture_setup_postgres, store_fixture_teardown, NULL                \
    }
#define BOTH(name) SQLITE(name), POSTGRES(name)
#define ALONE(name)                                                                                          \
    {                                                                                                        \
#name, name, NULL, NULL, NULL                                                                        \
    }

/* Without a PostgreSQL those that need one are left out, and that is said. */
static inline int store_fixture_run(const struct CMUnitTest *tests, size_t n)
{
    struct CMUnitTest chosen[64];
    size_t n_chosen = 0;
    bool there = pg_server_start(&store_pg);
    for (size_t i = 0; i < n && n_chosen < 64; i++)
        if (there || tests[i].setup_func != store_fixture_setup_postgres)
            chosen[n_chosen++] = tests[i];
    int failed = _cmocka_run_group_tests("store", chosen, n_chosen, NULL, NULL);
    if (there)
        pg_server_stop(&store_pg);
    return failed;
}
#endif

#endif
