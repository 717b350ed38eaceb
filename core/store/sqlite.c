/* The store in one SQLite file: WAL, synchronous=FULL. The default, and what one admin host needs. */
#include "core/store/sqlite.h"

#include "core/base/clock.h"
#include "core/base/path.h"
#include "core/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Another casbridge keeps a write transaction for milliseconds: who waits longer than this waits for something broken. */
#define BUSY_MS  10000
#define WATCH_MS 200

static const char *const sql[] = {
#define X(name, reads, text) text,
    STORE_COMMON_MAP(X)
#undef X
#define X(name, reads, text, postgres) text,
        STORE_DIALECT_MAP(X)
#undef X
};

enum err sqlite_error(struct store *s, int rc, struct errinfo *ei, const char *what)
{
    struct store_file *f = s->handle;
    enum err e = ERR_SYSTEM;
    const char *hint = NULL, *said = f->db ? sqlite3_errmsg(f->db) : sqlite3_errstr(rc);
    /* of the last such error, however long ago */
    bool is_io = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;
    int sys = f->db && is_io ? sqlite3_system_errno(f->db) : 0;
    /* the files beside it may be what there is no room for: SQLite calls that an I/O error */
    bool full = (rc & 0xff) == SQLITE_FULL || sys == ENOSPC || sys == EDQUOT;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        e = ERR_LOCKED;
        hint = "another casbridge is writing to it; try again";
        break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        e = ERR_CONFIG;
        hint = "restore it from a backup, or name another file (store = sqlite:FILE)";
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        e = ERR_CONFIG;
        hint = "check the rights of the file and of its folder, or name another (store = sqlite:FILE)";
        break;
    case SQLITE_NOMEM: e = ERR_NOMEM; break;
    case SQLITE_TOOBIG: e = ERR_LIMIT; break;
    case SQLITE_MISUSE: e = ERR_INTERNAL; break;
    default: break;
    }
    if (full)
        err_set(ei, ERR_SYSTEM, "make room on the disk; nothing of this was kept",
                "the store %s: %s: the disk is full", s->path, what);
    else
        err_set(ei, e, hint, "the store %s: %s: %s", s->path, what, said);
    if (ei)
        ei->sys = full ? ENOSPC : sys;
    return full ? ERR_SYSTEM : e;
}

static sqlite3_stmt *prepare(struct store *s, enum store_statement which, struct errinfo *ei, enum err *e)
{
    struct store_file *f = s->handle;
    sqlite3_stmt *st = f->statements[which];
    int rc = st ? SQLITE_OK : sqlite3_prepare_v3(f->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
    if (rc != SQLITE_OK) {
        *e = sqlite_error(s, rc, ei, "cannot be used");
        return NULL;
    }
    return f->statements[which] = st;
}

static void bind(sqlite3_stmt *st, const struct store_value *values, size_t n)
{
    char name[8];
    for (size_t i = 0; i < n; i++) {
        str_fmt(name, sizeof name, "$%zu", i + 1);
        int at = sqlite3_bind_parameter_index(st, name);
        if (values[i].is_number)
            sqlite3_bind_int64(st, at, values[i].number);
        else if (values[i].text)
            sqlite3_bind_text(st, at, values[i].text, -1, SQLITE_STATIC);
        else
            sqlite3_bind_null(st, at);
    }
}

static enum err hand_row(struct store *s, sqlite3_stmt *st, store_row_fn *row, void *arg, struct errinfo *ei)
{
    struct store_row r = {.n = (size_t)sqlite3_column_count(st)};
    ASSERT(r.n <= STORE_COLUMNS_MAX);
    for (size_t i = 0; i < r.n; i++) {
        r.v[i] = (const char *)sqlite3_column_text(st, (int)i);
        if (!r.v[i] && sqlite3_column_type(st, (int)i) != SQLITE_NULL)
            return sqlite_error(s, SQLITE_NOMEM, ei, "cannot be read");
        if (r.v[i] && strlen(r.v[i]) != (size_t)sqlite3_column_bytes(st, (int)i))
            return err_set(ei, ERR_INPUT, "somebody changed it; compare it with a backup",
                           "the store %s holds a text that goes on behind its end", s->path);
    }
    return row(arg, &r, ei);
}

static enum err run(struct store *s, enum store_statement which, const struct store_value *values, size_t n,
                    store_row_fn *row, void *arg, struct errinfo *ei)
{
    enum err e = ERR_OK;
    int rc = SQLITE_DONE;
    sqlite3_stmt *st = prepare(s, which, ei, &e);
    if (!st)
        return e;
    bind(st, values, n);
    while (e == ERR_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
        if (row)
            e = hand_row(s, st, row, arg, ei);
    if (e == ERR_OK && rc != SQLITE_DONE)
        e = sqlite_error(s, rc, ei, sqlite3_stmt_readonly(st) ? "cannot be read" : "cannot be written");
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return e;
}

enum err sqlite_number(struct store *s, const char *text, int64_t *out, struct errinfo *ei)
{
    struct store_file *f = s->handle;
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(f->db, text, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? ERR_OK : sqlite_error(s, rc, ei, "cannot be read");
}

enum err sqlite_text(struct store *s, const char *text, struct errinfo *ei)
{
    struct store_file *f = s->handle;
    int rc = sqlite3_exec(f->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : sqlite_error(s, rc, ei, "cannot be written");
}

static enum err begin(struct store *s, enum store_turn t, struct errinfo *ei)
{
    return sqlite_text(s, t == STORE_TURN_READ ? "BEGIN" : "BEGIN IMMEDIATE", ei);
}

/* A commit that failed may have ended the transaction already (full disk): asking again would only replace the error. */
static void rollback(struct store *s)
{
    struct store_file *f = s->handle;
    if (!sqlite3_get_autocommit(f->db))
        sqlite3_exec(f->db, "ROLLBACK", NULL, NULL, NULL);
}

static enum err commit(struct store *s, struct errinfo *ei)
{
    enum err e = sqlite_text(s, "COMMIT", ei);
    if (e != ERR_OK)
        rollback(s);
    return e;
}

#define RIGHTS_HINT "check the rights of the file and of its folder, or name another (store = sqlite:FILE)"

/*
 * SQLite would make the file with the umask's rights, and its WAL files follow those of the database. A file that is there is never
 * opened here: closing it would take away the locks that another store of this process has on it (POSIX locks belong to the process),
 * and SQLite would delete the WAL under its feet.
 */
static enum err make_file(const char *path, struct errinfo *ei)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        close(fd);
        return ERR_OK;
    }
    if (errno != EEXIST && errno != EISDIR)
        return err_errno(ei, ERR_CONFIG, RIGHTS_HINT, "cannot open the store %s", path);
    if (lstat(path, &st) < 0)
        return err_errno(ei, ERR_SYSTEM, NULL, "cannot look at the store %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(ei, ERR_CONFIG, "name a file (store = sqlite:FILE)", "the store %s is not a file",
                       path);
    if ((st.st_mode & 077) && st.st_uid == geteuid() && chmod(path, 0600) < 0)
        return err_errno(ei, ERR_CONFIG, NULL, "cannot close the store %s to others", path);
    return ERR_OK;
}

static enum err find_path(const char *spec, char **path, struct errinfo *ei)
{
    struct buf b;
    buf_init(&b, 4096);
    enum err e = ERR_OK;
    const char *name = spec ? spec + strlen("sqlite:") : NULL;
    if (!spec)
        e = path_state(&b, "store.db", ei);
    else if (!*name || strcmp(name, ":memory:") == 0) /* SQLite would keep those two nowhere */
        e = err_set(ei, ERR_CONFIG, "write sqlite:FILE", "the store has no file's name");
    else if ((strncmp(name, "file:", 5) == 0 &&
              buf_adds(&b, "./") != ERR_OK) || /* not a URI: a file called so */
             buf_adds(&b, name) != ERR_OK)
        e = err_set(ei, ERR_CONFIG, NULL, "the store's path is too long");
    if (e == ERR_OK && !(*path = buf_take(&b)))
        e = err_set(ei, ERR_NOMEM, NULL, "no memory for a path");
    buf_fini(&b);
    return e;
}

bool store_exists(const char *spec)
{
    char *path = NULL;
    struct stat st;
    if (store_is_postgres(spec))
        return true;
    if (spec && strncmp(spec, "sqlite:", 7) != 0)
        return false;
    bool there = find_path(spec, &path, NULL) == ERR_OK && stat(path, &st) == 0 && S_ISREG(st.st_mode);
    free(path);
    return there;
}

static enum err open_file(struct store *s, struct errinfo *ei)
{
    struct store_file *f = s->handle;
    int rc = sqlite3_open_v2(s->path, &f->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return sqlite_error(s, rc, ei, "cannot be opened");
    sqlite3_extended_result_codes(f->db, 1);
    sqlite3_busy_timeout(f->db, BUSY_MS);
    sqlite3_db_config(f->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(f->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (sqlite3_db_readonly(f->db, "main") == 1)
        return sqlite_error(s, SQLITE_READONLY, ei, "cannot be written");
    enum err e = sqlite_text(
        s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA recursive_triggers = ON", ei);
    if (e == ERR_OK)
        e = begin(s, STORE_TURN_WRITE, ei); /* so that two first openers do not both make the tables */
    if (e != ERR_OK)
        return e;
    e = sqlite_prepare_schema(s, ei);
    if (e == ERR_OK)
        return commit(s, ei);
    rollback(s);
    return e;
}

static enum err open_store(struct store *s, const char *spec, const struct secret *password,
                           struct errinfo *ei)
{
    (void)password; /* the file's rights are its guard */
    enum err e = find_path(spec, &s->path, ei);
    if (e == ERR_OK && s->must_exist && access(s->path, F_OK) < 0 && errno == ENOENT)
        e = store_none_yet(s->path, ei);
    if (e == ERR_OK)
        e = path_make_parents(s->path, ei);
    if (e == ERR_OK)
        e = make_file(s->path, ei);
    if (e == ERR_OK && !(s->handle = calloc(1, sizeof(struct store_file))))
        e = err_set(ei, ERR_NOMEM, NULL, "no memory for the store");
    return e == ERR_OK ? open_file(s, ei) : e;
}

static void close_store(struct store *s)
{
    struct store_file *f = s->handle;
    if (!f)
        return;
    for (size_t i = 0; i < ARRAY_LEN(f->statements); i++)
        sqlite3_finalize(f->statements[i]);
    sqlite3_close(f->db);
    free(f);
    s->handle = NULL;
}

/* Who holds the lock is this process, for as long as it lives. */
static enum err lock_take(struct store *s, struct errinfo *ei)
{
    (void)s, (void)ei;
    return ERR_OK;
}

static void lock_drop(struct store *s)
{
    (void)s;
}

static enum err lock_alive(struct store *s, const struct store_process *holder, bool *alive,
                           struct errinfo *ei)
{
    (void)ei;
    *alive = store_process_may_live(holder, &s->self);
    return ERR_OK;
}

/* data_version moves when another connection has written, and costs a look into shared memory. */
static enum err see_version(struct store *s, bool *moved, struct errinfo *ei)
{
    struct store_file *f = s->handle;
    int64_t now = 0;
    enum err e = sqlite_number(s, "PRAGMA data_version", &now, ei);
    *moved = e == ERR_OK && now != f->data_version;
    if (e == ERR_OK)
        f->data_version = now;
    return e;
}

static enum err listen_store(struct store *s, struct errinfo *ei)
{
    bool moved;
    return see_version(s, &moved, ei);
}

static enum err wait_store(struct store *s, int timeout_ms, bool *woken, struct errinfo *ei)
{
    int64_t end = clock_mono_ms() + timeout_ms;
    for (;;) {
        enum err e = see_version(s, woken, ei);
        int64_t left = end - clock_mono_ms();
        if (e != ERR_OK || *woken || left <= 0)
            return e;
        poll(NULL, 0, left < WATCH_MS ? (int)left : WATCH_MS);
    }
}

const struct store_backend store_sqlite = {
    .kind = "sqlite",
    .open = open_store,
    .close = close_store,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .run = run,
    .lock_take = lock_take,
    .lock_drop = lock_drop,
    .lock_alive = lock_alive,
    .listen = listen_store,
    .wait = wait_store,
};
