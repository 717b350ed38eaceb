#include "core/store/store_int.h"

#include "core/base/path.h"
#include "core/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Another casbridge keeps a write transaction for milliseconds: who waits longer than this waits for something broken. */
#define BUSY_MS 10000

static const char *const sql[] = {
#define X(name, text) text,
    STORE_STATEMENT_MAP(X)
#undef X
};

/*
 * The triggers are not there against an attacker, who owns the file, but against a careless hand: what the chain would only find
 * afterwards is refused at once, INSERT OR REPLACE (which deletes without asking the DELETE trigger) included.
 */
static const char schema[] =
    "CREATE TABLE journal (id INTEGER PRIMARY KEY, run TEXT NOT NULL, at INTEGER NOT NULL,"
    " step INTEGER NOT NULL, server TEXT, phase TEXT NOT NULL, who TEXT NOT NULL, origin TEXT, why TEXT,"
    " cmdlet TEXT, before TEXT, after TEXT, detail TEXT, hash TEXT NOT NULL, prev TEXT NOT NULL) STRICT;"
    "CREATE INDEX journal_run ON journal (run, id);"
    "CREATE INDEX journal_step ON journal (run, step, id);"
    "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER NOT NULL,"
    " hash TEXT NOT NULL) STRICT;"
    "CREATE TABLE lock (one INTEGER PRIMARY KEY CHECK (one = 1), who TEXT NOT NULL, host TEXT NOT NULL,"
    " place TEXT NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL, reason TEXT NOT NULL,"
    " since INTEGER NOT NULL) STRICT;"
    "CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;"
    "CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;"
    "CREATE TRIGGER journal_in_order BEFORE INSERT ON journal"
    " WHEN NEW.id <> (SELECT id + 1 FROM head) OR NEW.prev <> (SELECT hash FROM head)"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;"
    "CREATE TRIGGER head_no_delete BEFORE DELETE ON head"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;";

/* Layout 2. The numbers are what people write down: never used twice. */
static const char schema_accepted[] =
    "CREATE TABLE accepted (n INTEGER PRIMARY KEY AUTOINCREMENT, organization TEXT NOT NULL,"
    " rule TEXT NOT NULL, server TEXT, who TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL,"
    " until INTEGER NOT NULL) STRICT;";

enum err store_error(struct store *s, int rc, struct errinfo *ei, const char *what)
{
    enum err e = ERR_SYSTEM;
    const char *hint = NULL, *said = s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_FULL: hint = "make room on the disk; nothing of this was kept"; break;
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
    err_set(ei, e, hint, "the store %s: %s: %s", s->path, what, said);
    if (ei)
        ei->sys = (rc & 0xff) == SQLITE_FULL ? ENOSPC : s->db ? sqlite3_system_errno(s->db) : 0;
    return e;
}

sqlite3_stmt *store_statement(struct store *s, enum store_statement which, struct errinfo *ei)
{
    sqlite3_stmt *st = s->statements[which];
    if (st) {
        sqlite3_reset(st);
        sqlite3_clear_bindings(st);
        return st;
    }
    int rc = sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
    if (rc != SQLITE_OK) {
        store_error(s, rc, ei, "cannot be used");
        return NULL;
    }
    return s->statements[which] = st;
}

enum err store_run(struct store *s, enum store_statement which, struct errinfo *ei)
{
    sqlite3_stmt *st = store_statement(s, which, ei);
    if (!st)
        return ei ? ei->code : ERR_INTERNAL;
    int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? ERR_OK : store_error(s, rc, ei, "cannot be written");
}

enum err store_begin(struct store *s, struct errinfo *ei)
{
    return store_run(s, STORE_BEGIN, ei);
}

enum err store_end(struct store *s, enum err e, struct errinfo *ei)
{
    if (e == ERR_OK)
        e = store_run(s, STORE_COMMIT, ei);
    /* A commit that failed may have ended the transaction already (full disk): asking again would only replace the error. */
    if (e != ERR_OK && !sqlite3_get_autocommit(s->db)) {
        enum err ignored = store_run(s, STORE_ROLLBACK, NULL);
        (void)ignored;
    }
    return e;
}

void store_bind_text(sqlite3_stmt *st, int i, const char *text)
{
    if (text)
        sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, i);
}

static enum err get_number(struct store *s, const char *pragma, int64_t *out, struct errinfo *ei)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, pragma, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? ERR_OK : store_error(s, rc, ei, "cannot be read");
}

static enum err exec(struct store *s, const char *text, struct errinfo *ei)
{
    int rc = sqlite3_exec(s->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : store_error(s, rc, ei, "cannot be opened");
}

static enum err make_journal(struct store *s, struct errinfo *ei)
{
    enum err e = exec(s, schema, ei);
    if (e != ERR_OK)
        return e;
    char *text = sqlite3_mprintf("INSERT INTO head (one, id, hash) VALUES (1, 0, '%q');"
                                 "PRAGMA application_id = %d",
                                 journal_genesis, STORE_APPLICATION_ID);
    e = text ? exec(s, text, ei) : err_set(ei, ERR_NOMEM, NULL, "no memory for the store");
    sqlite3_free(text);
    return e;
}

/* Inside of a write transaction, so that two first openers do not both make the tables. */
static enum err make_or_check(struct store *s, struct errinfo *ei)
{
    int64_t version = 0, app = 0, tables = 0;
    enum err e = get_number(s, "PRAGMA user_version", &version, ei);
    if (e == ERR_OK)
        e = get_number(s, "PRAGMA application_id", &app, ei);
    if (e == ERR_OK)
        e = get_number(s, "SELECT count(*) FROM sqlite_schema", &tables, ei);
    if (e != ERR_OK)
        return e;
    if (tables && app != STORE_APPLICATION_ID)
        return err_set(ei, ERR_CONFIG, "name another file (store = sqlite:FILE)",
                       "%s is a database of another program", s->path);
    if (version > STORE_SCHEMA)
        return err_set(ei, ERR_CONFIG, "use that casbridge, or another store",
                       "the store %s was made by a newer casbridge (layout %lld, this one knows %d)", s->path,
                       (long long)version, STORE_SCHEMA);
    if (version == STORE_SCHEMA)
        return ERR_OK;
    if (version == 0)
        e = make_journal(s, ei);
    if (e == ERR_OK) /* from layout 1 as well as from nothing */
        e = exec(s, schema_accepted, ei);
    if (e == ERR_OK) {
        char text[64];
        str_fmt(text, sizeof text, "PRAGMA user_version = %d", STORE_SCHEMA);
        e = exec(s, text, ei);
    }
    return e;
}

/* SQLite would make the file with the umask's rights, and its WAL files follow those of the database. */
static enum err make_file(const char *path, struct errinfo *ei)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(
            ei, ERR_CONFIG,
            "check the rights of the file and of its folder, or name another (store = sqlite:FILE)",
            "cannot open the store %s", path);
    enum err e = ERR_OK;
    if (fstat(fd, &st) < 0)
        e = err_errno(ei, ERR_SYSTEM, NULL, "cannot look at the store %s", path);
    else if (!S_ISREG(st.st_mode))
        e = err_set(ei, ERR_CONFIG, "name a file (store = sqlite:FILE)", "the store %s is not a file", path);
    else if ((st.st_mode & 077) && st.st_uid == geteuid() && fchmod(fd, 0600) < 0)
        e = err_errno(ei, ERR_CONFIG, NULL, "cannot close the store %s to others", path);
    close(fd);
    return e;
}

static enum err open_database(struct store *s, struct errinfo *ei)
{
    int rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return store_error(s, rc, ei, "cannot be opened");
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (sqlite3_db_readonly(s->db, "main") == 1)
        return store_error(s, SQLITE_READONLY, ei, "cannot be written");
    enum err e =
        exec(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA recursive_triggers = ON", ei);
    if (e == ERR_OK)
        e = store_begin(s, ei);
    return e == ERR_OK ? store_end(s, make_or_check(s, ei), ei) : e;
}

static enum err find_path(const char *spec, char **path, struct errinfo *ei)
{
    static const char prefix[] = "sqlite:";
    struct buf b;
    buf_init(&b, 4096);
    enum err e = ERR_OK;
    if (!spec) {
        e = path_state(&b, "store.db", ei);
    } else if (strncmp(spec, prefix, sizeof prefix - 1) == 0 && spec[sizeof prefix - 1]) {
        if (buf_adds(&b, spec + sizeof prefix - 1) != ERR_OK)
            e = err_set(ei, ERR_CONFIG, NULL, "the store's path is too long");
    } else {
        e = err_set(ei, ERR_CONFIG, "write sqlite:FILE", "no store is known for '%s'", spec);
    }
    if (e == ERR_OK && !(*path = buf_take(&b)))
        e = err_set(ei, ERR_NOMEM, NULL, "no memory for a path");
    buf_fini(&b);
    return e;
}

bool store_exists(const char *spec)
{
    char *path = NULL;
    struct stat st;
    bool there = find_path(spec, &path, NULL) == ERR_OK && stat(path, &st) == 0 && S_ISREG(st.st_mode);
    free(path);
    return there;
}

enum err store_open(struct store **out, const char *spec, struct errinfo *ei)
{
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the store");
    pthread_mutex_init(&s->mutex, NULL);
    enum err e = find_path(spec, &s->path, ei);
    if (e == ERR_OK)
        e = path_make_parents(s->path, ei);
    if (e == ERR_OK)
        e = make_file(s->path, ei);
    if (e == ERR_OK)
        e = store_process_self(&s->self, ei);
    if (e == ERR_OK)
        e = open_database(s, ei);
    if (e != ERR_OK) {
        store_close(&s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

void store_close(struct store **sp)
{
    struct store *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    if (s->db)
        store_unlock(s);
    for (size_t i = 0; i < ARRAY_LEN(s->statements); i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    pthread_mutex_destroy(&s->mutex);
    free(s->path);
    free(s);
}
