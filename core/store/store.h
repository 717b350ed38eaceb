/*
 * The store: journal of runs, lock, accepted findings. SQLite (WAL, synchronous=FULL) behind this interface.
 * Thread-safe: calls take turns. Never holds a secret.
 *
 * Journal: a run has records; each record has the SHA-256 of its content and of the record before it (hash chain). A record is
 * durable when the call returns.
 */
#ifndef CORE_STORE_STORE_H
#define CORE_STORE_STORE_H

#include "core/base/err.h"
#include "core/base/vec.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* spec: "sqlite:FILE"; NULL: $XDG_STATE_HOME/casbridge/store.db. Makes it when absent. A store of a newer version is ERR_CONFIG. */
enum err store_open(struct store **out, const char *spec, struct errinfo *ei) MUST_CHECK;
void store_close(struct store **s);

struct journal_record {
    int64_t id; /* position in the chain */
    char *run;  /* "20261124T030000Z-3f2a" */
    int64_t at;
    int step;     /* 0: of the run as a whole */
    char *server; /* NULL for the run */
    char *
        phase; /* "begin", "intent", "push", "result", "reread", "verify", "done", "failed", "undone", "end" */
    char *who, *from;     /* Kerberos principal or user; host */
    char *why;            /* reason given, NULL */
    char *cmdlet;         /* NULL */
    char *before, *after; /* JSON objects, NULL */
    char *detail;         /* output or error, NULL */
    char hash[65], prev[65];
};
void journal_record_fini(struct journal_record *r);
typedef VEC(struct journal_record) journal_records;
void journal_records_free(journal_records *r);

/* Appends; fills id, at (when 0), hash, prev. The strings stay the caller's. */
enum err journal_append(struct store *s, struct journal_record *r, struct errinfo *ei) MUST_CHECK;
/* All records of a run in order; run NULL: all runs. */
enum err journal_read(struct store *s, const char *run, journal_records *out, struct errinfo *ei) MUST_CHECK;

struct journal_run {
    char *run;
    int64_t begun, ended;              /* ended 0: unfinished */
    char *who, *organization, *status; /* "done", "failed", "unfinished", "interrupted" */
    int steps, done, failed;
};
void journal_run_fini(struct journal_run *r);
typedef VEC(struct journal_run) journal_runs;
void journal_runs_free(journal_runs *r);
enum err journal_list(struct store *s, journal_runs *out, struct errinfo *ei) MUST_CHECK;
/* Recomputes the chain. ERR_OK: whole; ERR_INPUT: broken, the text names the first bad record. *n records seen. */
enum err journal_verify(struct store *s, size_t *n, struct errinfo *ei) MUST_CHECK;
/* A new run id: time and four random hex digits. */
void journal_new_run(char out[static 32]);

/* One lock for the whole store, released when its holder's process ends (advisory, pid + start time checked on the same host). ERR_LOCKED names the holder. */
enum err store_lock(struct store *s, const char *who, const char *reason, struct errinfo *ei) MUST_CHECK;
void store_unlock(struct store *s);

#endif
