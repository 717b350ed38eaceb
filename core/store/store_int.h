/*
 * Inside of the store's room: the back end, its statements, and the chain. Callers of a function here hold the mutex unless it says
 * otherwise.
 *
 * A back end is a connection that runs the statements of one table (statements.h) and says how the lock's holder is known to live. All
 * that the store means (chain, lock, what is accepted) is written once, above it.
 */
#ifndef CORE_STORE_STORE_INT_H
#define CORE_STORE_STORE_INT_H

#include "core/base/secret.h"
#include "core/store/statements.h"
#include "core/store/store.h"

#include <pthread.h>

#define STORE_SCHEMA         STORE_LAYOUT
#define STORE_APPLICATION_ID 0x43534247 /* "CSBG": tells a store from any other database */

/* What identifies a holder: enough to see whether it still lives. */
struct store_process {
    char host[256];
    char place[128]; /* boot id and pid namespace: in another one the pid means nothing */
    int64_t pid;
    int64_t started; /* start time of the process; on PostgreSQL the number of the session's advisory lock */
};

struct store {
    pthread_mutex_t mutex;
    const struct store_backend *backend;
    void *handle;    /* the back end's own */
    char *path;      /* what it is called where people read it; holds no password */
    bool must_exist; /* who only looks makes no store */
    struct store_process self;
    int64_t locked_since;      /* 0: the lock is not ours */
    unsigned session;          /* counts connections: a lock dies with the one it was taken on */
    unsigned lock_session;     /* when the lock was taken */
    struct store *next_holder; /* of the stores of this process that hold their lock */
    int64_t held_since;        /* both of lock.c, under its own mutex */
    bool in_doubt;             /* the connection was lost while the answer to COMMIT was awaited */
    struct {
        int64_t id; /* of its last record, 0: none was appended */
        char hash[65];
        bool writes, many;
    } turn;
};

struct store_value {
    const char *text; /* NULL: NULL, unless it is a number */
    int64_t number;
    bool is_number;
};
#define STORE_TEXT(s)   ((struct store_value){.text = (s)})
#define STORE_NUMBER(n) ((struct store_value){.number = (n), .is_number = true})

#define STORE_COLUMNS_MAX 16

/* Texts as the back end keeps them until the next row; NULL is NULL. */
struct store_row {
    const char *v[STORE_COLUMNS_MAX];
    size_t n;
};
/* 0 when there is none. */
int64_t store_row_number(const struct store_row *r, size_t i);
/* A copy, or NULL for NULL; false when memory ran out. */
bool store_row_take(const struct store_row *r, size_t i, char **out);

/* An error ends the reading and is what the statement returns. */
typedef enum err store_row_fn(void *arg, const struct store_row *row, struct errinfo *ei);

enum store_turn {
    STORE_TURN_READ,  /* sees the store as it was at its beginning */
    STORE_TURN_WRITE, /* one at a time, whoever else has the store open */
    STORE_TURN_FILL,  /* the same, into an empty store, for as long as it takes; append_many may be used */
};

struct store_backend {
    const char *kind;
    enum err (*open)(struct store *s, const char *spec, const struct secret *password, struct errinfo *ei);
    void (*close)(struct store *s);
    enum err (*begin)(struct store *s, enum store_turn t, struct errinfo *ei);
    /* After an error nothing was kept, unless s->in_doubt was set. Ends the turn either way. */
    enum err (*commit)(struct store *s, struct errinfo *ei);
    void (*rollback)(struct store *s);
    /* row NULL: rows are passed over. Outside of a turn a statement that only reads may be asked again on a new connection. */
    enum err (*run)(struct store *s, enum store_statement which, const struct store_value *values, size_t n,
                    store_row_fn *row, void *arg, struct errinfo *ei);
    /* Many records by one statement, in order; NULL: cannot. Only while s->turn.many. The head is the caller's to move. */
    enum err (*append_many)(struct store *s, const struct journal_record *r, size_t n, struct errinfo *ei);
    /* Gives s->self its identity as a holder; kept over the end of the turn. */
    enum err (*lock_take)(struct store *s, struct errinfo *ei);
    void (*lock_drop)(struct store *s);
    /* false only when it is known that the holder has ended. Inside of a turn. */
    enum err (*lock_alive)(struct store *s, const struct store_process *holder, bool *alive,
                           struct errinfo *ei);
    enum err (*listen)(struct store *s, struct errinfo *ei);
    /* Until something was written by anybody, or the time is over. Does not hold the mutex's business up: a watch has its own store. */
    enum err (*wait)(struct store *s, int timeout_ms, bool *woken, struct errinfo *ei);
};
extern const struct store_backend store_sqlite, store_postgres;

bool store_is_postgres(const char *spec);
enum err store_is_newer(const char *where, int64_t layout, struct errinfo *ei);
/* There is none at where, and s->must_exist. */
enum err store_none_yet(const char *where, struct errinfo *ei);

/* Runs a statement: values as many as it has parameters. */
enum err store_run(struct store *s, enum store_statement which, const struct store_value *values, size_t n,
                   store_row_fn *row, void *arg, struct errinfo *ei) MUST_CHECK;
enum err store_begin(struct store *s, enum store_turn t, struct errinfo *ei) MUST_CHECK;
/* Commits when e is ERR_OK, else rolls back; the first error counts. When the answer to COMMIT was lost it is found out whether the
   turn's last record is there: ERR_OK when it is. */
enum err store_end(struct store *s, enum err e, struct errinfo *ei) MUST_CHECK;
/* One number of one row; 0 without a row. */
enum err store_number(struct store *s, enum store_statement which, const struct store_value *values, size_t n,
                      int64_t *out, struct errinfo *ei) MUST_CHECK;
/* Not empty, valid UTF-8, at most max bytes: name names it in the error. */
enum err store_check_text(const char *name, const char *text, size_t max, struct errinfo *ei) MUST_CHECK;

/* Inside of a turn. */
enum err journal_append_locked(struct store *s, struct journal_record *r, struct errinfo *ei) MUST_CHECK;
enum err journal_insert(struct store *s, const struct journal_record *r, struct errinfo *ei) MUST_CHECK;
/* The same for several that follow each other: by one statement where the turn allows it. */
enum err journal_insert_many(struct store *s, const journal_records *r, struct errinfo *ei) MUST_CHECK;
enum err journal_head(struct store *s, int64_t *id, char hash[static 65], struct errinfo *ei) MUST_CHECK;
enum err journal_verify_locked(struct store *s, size_t *n, struct errinfo *ei) MUST_CHECK;
/* of a row of STORE_COLUMNS; false when memory ran out, r is to be freed either way */
bool journal_take_row(const struct store_row *row, struct journal_record *r);
/* hash of a record's content and of prev; reads everything of r but hash. */
enum err journal_hash(const struct journal_record *r, char out[static 65]) MUST_CHECK;
extern const char journal_genesis[65]; /* prev of the first record */

enum err store_process_self(struct store_process *out, struct errinfo *ei) MUST_CHECK;
/* False only when it is known that the process has ended. */
bool store_process_may_live(const struct store_process *holder, const struct store_process *self);

#endif
