/*
 * The store: journal of runs, the lock, accepted findings, the wizard's progress, the last evidence. Two back ends behind this interface,
 * which names nothing of either: SQLite (WAL, synchronous=FULL; one admin host) and PostgreSQL (several). A chain written by
 * one verifies in the other. Thread-safe: calls take turns. Never holds a secret, and no call waits without an end.
 *
 * PostgreSQL that is gone is ERR_UNREACHABLE. A call that reads connects once more by itself; one that writes never sends anything twice:
 * when the answer to COMMIT is lost, whether the record is there is read, and the caller is told.
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
#include "core/base/stop.h"
#include "core/base/vec.h"

#include <stdbool.h>
#include <stdint.h>

struct store;
struct profile;

/* spec: "sqlite:FILE"; NULL: $XDG_STATE_HOME/casbridge/store.db. Makes it when absent (mode 0600, its folder too).
   "postgresql://..." as libpq reads it, but for a password, which is refused there; makes the schema casbridge in that database. A store
   of a newer version, a database that is no store and an unknown kind of store are ERR_CONFIG. */
enum err store_open(struct store **out, const char *spec, struct errinfo *ei) MUST_CHECK;
/* The profile's store, with its store_password. Blocks when that is "ask". Of a profile that is read_only none is made: ERR_NOTFOUND
   when there is none yet. */
enum err store_open_profile(struct store **out, const struct profile *p, struct errinfo *ei) MUST_CHECK;
/* Two addresses of one PostgreSQL server, reached in the same way (TLS, port, certificates): only then is a password that was meant for
   the one for the other too. NULL, and what is no address: false. */
bool store_same_server(const char *spec, const char *other);
void store_close(struct store **s);
/* Is there one already? A command that only looks does not make one. A PostgreSQL store that was named counts as there. */
bool store_exists(const char *spec);
const char *store_kind(const struct store *s); /* "sqlite", "postgresql" */
const char *store_name(const struct store *s); /* file or address, to be shown */
#define STORE_LAYOUT 3                         /* of the tables; older ones are brought to it when opened */

#define JOURNAL_TEXT_MAX 65536 /* bytes of one text of a record; more is ERR_LIMIT */
#define JOURNAL_NO_RUN   "-"   /* run of a record that belongs to none: a lock that was taken over */

/*
 * Phases. Of a run (step 0): "begin" (after: {"organization", "plan", "target", "steps"}), "resume", "end" (after: {"status",
 * "done", "failed", "undone", "skipped"}). Of a step: "capture" (before: the raw values of the directory, detail: the step as in a
 * plan file), "intent" (about to be pushed), "result" (what the server said), "reread" (what the directory says), "verify" (what
 * the wire says), then one of "done", "skipped" or "failed". After of "failed" says what it left: {"unchanged":true}, the run changed
 * nothing on the server; {"put_back":true}, "undo" follows (the inverse is about to be pushed), and "undone" when it is as before again;
 * nothing, what the run did may be there, wholly or in part (detail says what is known). A step without an end is not known.
 * Of no run: "lock", "accept" and "unaccept" (why: the reason).
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

/* At most 1,000 records after that one, of a run or (NULL) of all; none is ERR_OK. */
enum err journal_read_after(struct store *s, int64_t after, const char *run, journal_records *out,
                            struct errinfo *ei) MUST_CHECK;
/* id of the last record, 0 when there is none. */
enum err journal_last(struct store *s, int64_t *id, struct errinfo *ei) MUST_CHECK;

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
 * One lock for the whole store. ERR_LOCKED names the holder, since when and why. A holder that has ended loses it, and the journal says
 * so. SQLite: one on this host whose process has ended (pid and start time, boot and pid namespace); of a holder on another
 * host nothing can be known. PostgreSQL: one whose session has ended, wherever it was (an advisory lock).
 */
enum err store_lock(struct store *s, const char *who, const char *reason, struct errinfo *ei) MUST_CHECK;
/* Takes the lock away from a living holder; reason must not be empty, and is recorded with the holder it was taken from. */
enum err store_lock_force(struct store *s, const char *who, const char *reason,
                          struct errinfo *ei) MUST_CHECK;
/* Still ours? ERR_LOCKED when it was taken away, or lost with the connection. */
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
    bool ended; /* the next to ask gets the lock */
};
void store_holder_fini(struct store_holder *h);
/* ERR_NOTFOUND when nobody holds it. */
enum err store_lock_holder(struct store *s, struct store_holder *out, struct errinfo *ei) MUST_CHECK;

/* A gate of the wizard, as somebody settled it: the last word of each counts. */
struct store_progress {
    char *organization, *gate;
    char *state; /* "settled", "open" */
    char *who, *note;
    int64_t at, version; /* version: counts all changes of progress */
};
void store_progress_fini(struct store_progress *p);
typedef VEC(struct store_progress) store_progresses;
void store_progresses_free(store_progresses *p);
/* Fills at (when 0) and version. The strings stay the caller's. */
enum err store_progress_put(struct store *s, struct store_progress *p, struct errinfo *ei) MUST_CHECK;
/* Of an organisation, or (NULL) all. */
enum err store_progress_get(struct store *s, const char *organization, store_progresses *out,
                            struct errinfo *ei) MUST_CHECK;

#define STORE_EVIDENCE_MAX ((size_t)32 << 20) /* bytes of lines; more is ERR_LIMIT */

/* The evidence gathered last about an organisation; what the lines are is core/report/kept.h's to say. */
struct store_evidence {
    char *organization, *who, *from, *lines;
    int64_t version; /* grows with each that is kept */
    int64_t at, n;   /* n observations */
    bool probed;
};
void store_evidence_fini(struct store_evidence *e);
typedef VEC(struct store_evidence) store_evidences;
void store_evidences_free(store_evidences *e);
/* In place of the one before. Fills version and at (when 0). The strings stay the caller's. over: the version that it was made from and
   takes the place of, STORE_EVIDENCE_NONE, or STORE_EVIDENCE_ANY; when another one is there by now ERR_STALE, and nothing was kept. */
#define STORE_EVIDENCE_ANY  ((int64_t)-2)
#define STORE_EVIDENCE_NONE ((int64_t)-1)
enum err store_evidence_put(struct store *s, struct store_evidence *e, int64_t over,
                            struct errinfo *ei) MUST_CHECK;
/* ERR_NOTFOUND when none was kept. */
enum err store_evidence_get(struct store *s, const char *organization, struct store_evidence *out,
                            struct errinfo *ei) MUST_CHECK;
enum err store_evidence_list(struct store *s, const char *organization, store_evidences *out,
                             struct errinfo *ei) MUST_CHECK;

/*
 * To see a store move that others write to: PostgreSQL tells (LISTEN), of SQLite a counter in shared memory is looked at. A watch has a
 * store of its own, and belongs to one thread.
 */
struct store_watch;
struct store_moved {
    bool journal, lock, progress, evidence, accepted;
    int64_t head;
    char run[40]; /* of the newest record that belongs to one */
};
/* Takes own_store over, on an error too. */
enum err store_watch_open(struct store_watch **out, struct store *own_store, struct errinfo *ei) MUST_CHECK;
/* Until something moved or the time is over (then nothing in out is set). After ERR_UNREACHABLE it may be polled again: it connects anew,
   and tells what moved meanwhile. Other errors are for good. */
enum err store_watch_poll(struct store_watch *w, int timeout_ms, struct store_moved *out,
                          struct errinfo *ei) MUST_CHECK;
/* For reading, between polls, on the same thread. */
struct store *store_watch_store(struct store_watch *w);
void store_watch_close(struct store_watch **w);

struct store_copied {
    int64_t records, accepted, progress, evidence;
};
/* How much of each there is. */
enum err store_count(struct store *s, struct store_copied *out, struct errinfo *ei) MUST_CHECK;
/* Everything but the lock, into an empty store (else ERR_REFUSED): all or nothing. ERR_INPUT when the chain is broken. stop (NULL: none)
   ends it in the middle: ERR_INTERRUPTED or ERR_TIMEOUT. */
enum err store_copy(struct store *from, struct store *to, const struct stop *stop, struct store_copied *out,
                    struct errinfo *ei) MUST_CHECK;

#endif
