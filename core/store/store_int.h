/*
 * Inside of the store's room: the open database, its statements, and the chain. Callers of a function here hold the
 * mutex unless it says otherwise.
 */
#ifndef CORE_STORE_STORE_INT_H
#define CORE_STORE_STORE_INT_H

#include "core/store/store.h"

#include <pthread.h>
#include <sqlite3.h>

#define STORE_SCHEMA         2
#define STORE_APPLICATION_ID 0x43534247 /* "CSBG": tells a store from any other SQLite file */

/* name, SQL */
#define STORE_STATEMENT_MAP(X)                                                                               \
    X(SNAPSHOT, "BEGIN")                                                                                     \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                              \
    X(COMMIT, "COMMIT")                                                                                      \
    X(ROLLBACK, "ROLLBACK")                                                                                  \
    X(HEAD, "SELECT id, hash FROM head")                                                                     \
    X(HEAD_MOVE, "UPDATE head SET id = ?1, hash = ?2")                                                       \
    X(APPEND, "INSERT INTO journal (id, run, at, step, server, phase, who, origin, why, cmdlet, before,"     \
              " after, detail, hash, prev)"                                                                  \
              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)")                  \
    X(READ_ALL, "SELECT " STORE_COLUMNS " FROM journal ORDER BY id")                                         \
    X(READ_RUN, "SELECT " STORE_COLUMNS " FROM journal WHERE run = ?1 ORDER BY id")                          \
    X(OUTLINE, "SELECT run, phase, at, who, after FROM journal WHERE step = 0 AND run <> '-' ORDER BY id")   \
    X(COUNT, "SELECT count(*) FROM (SELECT step FROM journal WHERE run = ?1 AND step > 0"                    \
             " GROUP BY step HAVING ?2 = (SELECT j.phase FROM journal j WHERE j.run = ?1"                    \
             " AND j.step = journal.step AND j.phase IN ('done', 'failed') ORDER BY j.id DESC LIMIT 1))")    \
    X(LOCK_READ, "SELECT who, host, place, pid, started, reason, since FROM lock")                           \
    X(LOCK_PUT, "INSERT OR REPLACE INTO lock (one, who, host, place, pid, started, reason, since)"           \
                " VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                                   \
    X(ACCEPT, "INSERT INTO accepted (organization, rule, server, who, reason, at, until)"                    \
              " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                                        \
    X(ACCEPTED, "SELECT n, organization, rule, server, who, reason, at, until FROM accepted"                 \
                " WHERE (?1 IS NULL OR organization = ?1) AND (?2 = 0 OR n = ?2) ORDER BY n")                \
    X(ACCEPT_DROP, "DELETE FROM accepted WHERE n = ?1")                                                      \
    X(LOCK_DROP, "DELETE FROM lock WHERE host = ?1 AND place = ?2 AND pid = ?3 AND started = ?4"             \
                 " AND since = ?5")
#define STORE_COLUMNS                                                                                        \
    "id, run, at, step, server, phase, who, origin, why, cmdlet, before, after, detail, hash, prev"

enum store_statement {
#define X(name, sql) STORE_##name,
    STORE_STATEMENT_MAP(X)
#undef X
        STORE_STATEMENT_COUNT
};

/* What identifies a process: enough to see from the same host whether it still runs. */
struct store_process {
    char host[256];
    char place[128]; /* boot id and pid namespace: in another one the pid means nothing */
    int64_t pid, started;
};

struct store {
    pthread_mutex_t mutex;
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statements[STORE_STATEMENT_COUNT];
    struct store_process self;
    int64_t locked_since; /* 0: the lock is not ours */
};

/* A prepared statement, reset and without values. NULL with ei filled. */
sqlite3_stmt *store_statement(struct store *s, enum store_statement which, struct errinfo *ei);
/* Runs a statement that gives no row. */
enum err store_run(struct store *s, enum store_statement which, struct errinfo *ei) MUST_CHECK;
/* The error of the last call on the database: what was under way, in words. */
enum err store_error(struct store *s, int rc, struct errinfo *ei, const char *what);
enum err store_begin(struct store *s, struct errinfo *ei) MUST_CHECK;
/* Commits when e is ERR_OK, else rolls back; the first error counts. */
enum err store_end(struct store *s, enum err e, struct errinfo *ei) MUST_CHECK;
/* Text or NULL, as the statement keeps it until its next step. */
void store_bind_text(sqlite3_stmt *st, int i, const char *text);

/* Inside of a transaction. */
enum err journal_append_locked(struct store *s, struct journal_record *r, struct errinfo *ei) MUST_CHECK;
/* hash of a record's content and of prev; reads everything of r but hash. */
enum err journal_hash(const struct journal_record *r, char out[static 65]) MUST_CHECK;
extern const char journal_genesis[65]; /* prev of the first record */

enum err store_process_self(struct store_process *out, struct errinfo *ei) MUST_CHECK;
/* False only when it is known that the process has ended. */
bool store_process_may_live(const struct store_process *holder, const struct store_process *self);

#endif
