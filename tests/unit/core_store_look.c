/* Where a store is: one that is only looked at, a file with an odd name, a file system that is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "core/model/profile.h"
#define STORE_FIXTURE_BOTH
#include "tests/unit/store_fixture.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

/* Who only looks leaves no schema behind in a database, which may be the wrong one; and sees what is there. */
static void test_a_look_makes_nothing(void **state)
{
    struct store_fixture *f = *state;
    struct profile p = {0};
    struct errinfo ei = {0};
    struct store *s = NULL;
    char spec[200], other[32], file[160];
    struct stat st;
    size_t n = 0;
    assert_true(pg_database(&store_pg, NULL, other, sizeof other));
    pg_url(&store_pg, other, spec, sizeof spec);
    assert_int_equal(profile_set(&p, PROFILE_read_only, "yes", &ei), ERR_OK);
    assert_int_equal(profile_set(&p, PROFILE_store, spec, &ei), ERR_OK);
    assert_int_equal(store_open_profile(&s, &p, &ei), ERR_NOTFOUND);
    assert_non_null(strstr(ei.what, "no store yet"));
    assert_true(pg_sql(&store_pg, other, "CREATE SCHEMA casbridge")); /* there is none */
    snprintf(file, sizeof file, "%s/none/store.db", f->folder);
    snprintf(spec, sizeof spec, "sqlite:%s", file);
    assert_int_equal(profile_set(&p, PROFILE_store, spec, &ei), ERR_OK);
    assert_int_equal(store_open_profile(&s, &p, &ei), ERR_NOTFOUND);
    snprintf(file, sizeof file, "%s/none", f->folder);
    assert_int_equal(stat(file, &st), -1);
    struct journal_record r = {.run = (char *)"r", .phase = (char *)"begin", .who = (char *)"ann"};
    assert_int_equal(journal_append(f->store, &r, &ei), ERR_OK);
    assert_int_equal(profile_set(&p, PROFILE_store, f->spec, &ei), ERR_OK);
    assert_int_equal(store_open_profile(&s, &p, &ei), ERR_OK);
    assert_int_equal(journal_verify(s, &n, &ei), ERR_OK);
    assert_int_equal(n, 1);
    store_close(&s);
    profile_fini(&p);
}

/* What SQLite might take for something else than a file: as a URI the first would be a store that is kept nowhere. */
static void test_odd_names(void **state)
{
    struct store_fixture *f = *state;
    static const char *const names[] = {"file:a?mode=memory", "file:b.db",  "file:///c.db",     "-d.db",
                                        "e f%20#g?.db",       "./:memory:", "\xc3\xbc '\";.db", "h\ni.db"};
    char spec[200], was[256];
    assert_non_null(getcwd(was, sizeof was));
    assert_int_equal(chdir(f->folder), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct errinfo ei = {0};
        struct store *s = NULL;
        struct stat st;
        size_t n = 0;
        struct journal_record r = {.run = (char *)"r", .phase = (char *)"begin", .who = (char *)"ann"};
        snprintf(spec, sizeof spec, "sqlite:%s", names[i]);
        for (int k = 0; k < 2; k++) {
            if (store_open(&s, spec, &ei) != ERR_OK || journal_append(s, &r, &ei) != ERR_OK)
                fail_msg("%s: %s", names[i], ei.what);
            assert_int_equal(journal_verify(s, &n, &ei), ERR_OK);
            store_close(&s);
        }
        if (n != 2 || stat(names[i], &st) < 0 || !st.st_size)
            fail_msg("%s: %zu records", names[i], n);
    }
    assert_int_equal(chdir(was), 0);
}

/* Not even the files beside the store find room: SQLite says "disk I/O error", which is no help to whoever has to do something. */
static int on_a_full_disk(const struct store_fixture *f)
{
    struct errinfo ei = {0};
    struct store *s = NULL;
    char spec[200], path[160];
    static char block[4096];
    if (unshare(CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0)) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", f->folder, "tmpfs", 0, "size=512k") < 0)
        return 77;
    snprintf(spec, sizeof spec, "sqlite:%s/store.db", f->folder);
    snprintf(path, sizeof path, "%s/filler", f->folder);
    struct journal_record r = {.run = (char *)"r", .phase = (char *)"begin", .who = (char *)"ann"};
    if (store_open(&s, spec, &ei) != ERR_OK || journal_append(s, &r, &ei) != ERR_OK)
        return 1;
    store_close(&s);
    FILE *filler = fopen(path, "w");
    while (filler && fwrite(block, 1, sizeof block, filler) == sizeof block && fflush(filler) == 0)
        ;
    if (filler)
        fclose(filler);
    if (store_open(&s, spec, &ei) != ERR_SYSTEM || ei.sys != ENOSPC || !strstr(ei.what, "the disk is full") ||
        !strstr(ei.hint, "make room")) {
        fprintf(stderr, "%s (%s)\n", ei.what, ei.hint);
        return 2;
    }
    unlink(path);
    size_t n = 0;
    if (store_open(&s, spec, &ei) != ERR_OK || journal_verify(s, &n, &ei) != ERR_OK || n != 1)
        return 3;
    store_close(&s);
    return 0;
}

static int no_room(const char *path, int flags, int mode)
{
    (void)path, (void)flags, (void)mode;
    errno = ENOSPC;
    return -1;
}

/* SQLite keeps the number of its last I/O error: it says nothing of what fails later for another reason. */
static void test_disk_was_full(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    struct store *busy = NULL;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    sqlite3 *db = store_fixture_db(f->store);
    char sql[200];
    snprintf(sql, sizeof sql, "ATTACH '%s/more.db' AS more; CREATE TABLE more.t (x)", f->folder);
    assert_int_equal(vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr)no_room), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_CANTOPEN);
    assert_int_equal(vfs->xSetSystemCall(vfs, "open", NULL), SQLITE_OK);
    assert_int_equal(sqlite3_system_errno(db), ENOSPC);
    assert_int_equal(store_open(&busy, f->spec, &ei), ERR_OK);
    assert_int_equal(sqlite3_exec(store_fixture_db(busy), "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, 0), SQLITE_OK);
    struct journal_record r = {.run = (char *)"r", .phase = (char *)"begin", .who = (char *)"ann"};
    enum err e = journal_append(f->store, &r, &ei);
    if (e != ERR_LOCKED || ei.sys == ENOSPC)
        fail_msg("%s: %s", err_name(e), ei.what);
    assert_int_equal(sqlite3_exec(store_fixture_db(busy), "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    store_close(&busy);
}

static void test_full_disk(void **state)
{
    struct store_fixture *f = *state;
    int status = 1;
    store_close(&f->store);
    pid_t child = fork(); /* what it mounts goes with it */
    if (child == 0)
        _exit(on_a_full_disk(f));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POSTGRES(test_a_look_makes_nothing),
        SQLITE(test_odd_names),
        SQLITE(test_full_disk),
        SQLITE(test_disk_was_full),
    };
    return store_fixture_run(tests, ARRAY_LEN(tests));
}
