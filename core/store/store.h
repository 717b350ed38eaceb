/*
 * The store: journal of runs, the lock, accepted findings. SQLite (WAL, synchronous=FULL) behind this interface, which names nothing of SQLite.
 * Thread-safe: calls take turns. Never holds a secret.
 *
 * Journal: a run has records; each record has the SHA-256 of its content and of the record before it (hash chain), and the store
 * remembers the chain's head, so that a changed, removed, added or reordered record is found. The database itself refuses to
 * change or remove a record. A record is durable when the call returns; on an error (a full disk too) nothing of it was kept.
 *
 * Who may call: core/plan, and commands and views for reading.
 */
#ifndef CORE_STORE_STORE_H
#define CORE_STORE_STORE_H

#include "core/base/err.h"
#include "core/base/vec.h"

#include <stdbool.h>
#include <stdint.h>

struct store;

/* spec: "sqlite:FILE"; NULL: $XDG_STATE_HOME/casbridge/store.db. Makes it when absent (mode 0600, its folder too). A store of a
   newer version, a file that is no store and an unknown kind of store are ERR_CONFIG. */
enum err store_open(struct store **out, const char *spec, struct errinfo *ei) MUST_CHECK;
void store_close(struct store **s);
/* Is there one already? A command that only looks does not make one. */
bool store_exists(const char *spec);

#define JOURNAL_TEXT_MAX 65536 /* bytes of one text of a record; more is ERR_LIMIT */
#define JOURNAL_NO_RUN   "-"   /* run of a record that belongs to none: a lock that was taken over */

/*
 * Phases. Of a run (step 0): "begin" (after: {"organization", "plan", "target", "steps"}), "resume", "end" (after: {"status",
 * "done", "failed", "undone", "skipped"}). Of a step: "capture" (before: the raw values of the directory, detail: the step as in a
 * plan file), "intent" (about to be pushed), "result" (what the server said), "reread" (what the directory says), "verify" (what
 * the wire says), then one of "done", "skipped" or "failed"; after "failed" perhaps (its after then is {"put_back":true}) "undo" (the inverse is
 * about to be pushed) and "undone". Of no run: "lock",
 * "accept" and "unaccept" (why: the reason).
 */
struct journal_record {
    int64_t id; /* position in the chain, from 1 without gaps */
    char *run;  /* "20261124T030000Z-3f2a" */
    int64_t at;
    int step;     /* 0: of the run as a whole */
    char *server; /* NULL for the run */
    char *phase;
    char *who, *from;     /* Kerberos principal or user; host, NULL */
    char *why;            /* reason given, NULL */
    char *cmdlet;         /* NULL */
    char *before, *after; /* JSON objects, NULL */
    char *detail;         /* output or error, NULL */
    char hash[65], prev[65];
};
void journal_record_fini(struct journal_record *r);
typedef VEC(struct journal_record) journal_records;
void journal_records_free(journal_records *r);

/* Appends; fills id, at (when 0), hash, prev. The strings stay the caller's: valid UTF-8, run, phase and who not NULL. */
enum err journal_append(struct store *s, struct journal_record *r, struct errinfo *ei) MUST_CHECK;
/* All records of a run in order; run NULL: everything. ERR_NOTFOUND for a run that is not there. */
enum err journal_read(struct store *s, const char *run, journal_records *out, struct errinfo *ei) MUST_CHECK;

struct journal_run {
    char *run;
    int64_t begun, ended;              /* ended 0: unfinished */
    char *who, *organization, *status; /* "done", "failed", "unfinished", "interrupted" */
    int steps, done, failed;           /* failed: those that were put back too */
};
void journal_run_fini(struct journal_run *r);
typedef VEC(struct journal_run) journal_runs;
void journal_runs_free(journal_runs *r);
/* Oldest first. */
enum err journal_list(struct store *s, journal_runs *out, struct errinfo *ei) MUST_CHECK;
/* Recomputes the chain. ERR_OK: whole; ERR_INPUT: broken, the text names the first bad record. *n records seen. */
enum err journal_verify(struct store *s, size_t *n, struct errinfo *ei) MUST_CHECK;
/* A new run id: time and four random hex digits. */
void journal_new_run(char out[static 32]);

/*
 * One lock for the whole store. ERR_LOCKED names the holder, since when and why. A holder on this host whose process has ended (pid
 * and start time, boot and pid namespace) loses it, and the journal says so; of a holder on another host nothing can be known.
 */
enum err store_lock(struct store *s, const char *who, const char *reason, struct errinfo *ei) MUST_CHECK;
/* Takes the lock away from a living holder; reason must not be empty, and is recorded with the holder it was taken from. */
enum err store_lock_force(struct store *s, const char *who, const char *reason,
                          struct errinfo *ei) MUST_CHECK;
/* Still ours? ERR_LOCKED when it was taken away. */
enum err store_lock_check(struct store *s, struct errinfo *ei) MUST_CHECK;
void store_unlock(struct store *s);

/* A finding somebody lives with. */
struct acceptance {
    int64_t n; /* its number, for ever */
    char *organization, *rule;
    char *server; /* NULL: wherever the rule finds it */
    char *by, *reason;
    int64_t at, until; /* until 0: for ever */
};
void acceptance_fini(struct acceptance *a);
typedef VEC(struct acceptance) acceptances;
void acceptances_free(acceptances *a);
/* Fills n and at (when 0). The strings stay the caller's: not empty, valid UTF-8, at most 4,096 bytes. */
enum err store_accept(struct store *s, struct acceptance *a, struct errinfo *ei) MUST_CHECK;
/* ERR_NOTFOUND when there is none of that number. */
enum err store_accept_remove(struct store *s, int64_t n, const char *who, struct errinfo *ei) MUST_CHECK;
/* Of an organisation, or (NULL) all; in order of their numbers. Expired ones too: whether one still counts is the reader's
   clock's to say. */
enum err store_accepted(struct store *s, const char *organization, acceptances *out,
                        struct errinfo *ei) MUST_CHECK;

struct store_holder {
    char *who, *host, *reason;
    int64_t pid, since;
};
void store_holder_fini(struct store_holder *h);
/* ERR_NOTFOUND when nobody holds it. */
enum err store_lock_holder(struct store *s, struct store_holder *out, struct errinfo *ei) MUST_CHECK;

#endif
