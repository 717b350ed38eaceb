/*
 * The session behind the console: what is known (struct world), what runs (jobs), what was planned, the engine, the journal. No curses.
 *
 * Everything here is called on the UI thread and returns at once; work is handed to the job pool and its results arrive while
 * session_collect() runs. Views read the fields; only session_*() functions write them. A failure never takes away what was known
 * before: it is kept as the task's error until the task succeeds.
 */
#ifndef TUI_SESSION_H
#define TUI_SESSION_H

#include "core/base/job.h"
#include "core/base/stop.h"
#include "core/plan/plan.h"
#include "core/proxy/proxy.h"
#include "core/report/kept.h"
#include "core/store/store.h"
#include "tui/console.h"
#include "tui/world.h"

#include <pthread.h>

enum task { TASK_READ, TASK_PROBE, TASK_PLAN, TASK_APPLY, TASK_ENGINE, TASK_JOURNAL, TASK_STATE, TASK_COUNT };

/* What moved, as a set of bits. */
enum session_event {
    SESSION_WORLD = 1,
    SESSION_TASK = 2,
    SESSION_PLAN = 4,
    SESSION_ENGINE = 8,
    SESSION_JOURNAL = 16,
    SESSION_LOG = 32,
    SESSION_STATE = 64,
    SESSION_QUESTION = 128,
};

struct task_status {
    bool running;
    int64_t began_ms;
    char text[160]; /* what it is doing; after an end without error: what came of it */
    unsigned done, total;
    struct errinfo error; /* of the last end; code ERR_OK: none */
    struct stop stop;
};

#define TRAIL_MAX 12

struct step_progress {
    enum plan_phase phase;
    struct {
        enum plan_phase phase;
        int64_t at;
        char detail[200];
    } trail[TRAIL_MAX];
    size_t n;
};

struct planned {
    struct plan *plan; /* NULL: none was made */
    /* its texts may live in what it was made from, which is kept as long as the plan */
    struct world *world;
    struct org_box *box;
    char why[200];   /* the reason that goes into the journal when it is applied; "": none was given */
    char force[200]; /* why the lock is taken away when it is applied; "": it is not */
    char undoes[40]; /* run that it takes back, "" for a plan from findings */
    struct step_progress *progress;
    bool applied; /* once: a second time the plan would be stale */
    enum err result;
    struct plan_outcome outcome;
};

#define ENGINE_ROWS 1000

struct engine {
    struct proxy *proxy; /* NULL: not running */
    char arrive[128], address[80];
    struct world *world;    /* whose organisation the engine borrows */
    struct proxy_row *rows; /* as read last */
    size_t n_rows;
    struct proxy_stats stats;
};

#define LOG_RING 500

struct log_entry {
    int64_t at;
    int level; /* enum log_level */
    char *text;
};

/* What somebody else is at, as the store says. */
struct sight {
    bool held;  /* the lock, by another console or command */
    bool ended; /* and that has gone without letting go of it */
    char who[96], host[96], reason[200];
    int64_t since;
    char run[40]; /* of the newest record, whoever wrote it; "" none */
    char server[96], phase[16];
    int64_t at;
};

typedef void session_changed(void *arg, unsigned events);

struct secrets; /* session_secret.c */

struct session {
    const struct console_config *config;
    struct job_pool *pool;
    session_changed *changed;
    void *changed_arg;

    struct world *world; /* NULL until the first reading ended well */
    bool unlocked, closing;
    struct task_status tasks[TASK_COUNT];
    struct planned planned;
    struct engine engine;

    journal_runs runs;
    char run[40]; /* whose records these are; "" none */
    journal_records records;
    char chain[160]; /* what the last check of the hash chain said, "" not asked */
    enum state chain_state;

    struct logon_budget
        *logons; /* of the test user, over all probes of one server; NULL: none was made yet */

    struct sight sight;
    struct {
        pthread_mutex_t mutex; /* of the next two, which the watching job reads */
        char run[40];          /* whose records are shown; "" none */
        bool list;             /* the runs are shown */
        struct stop stop;
        bool ended; /* the store was not to be had */
    } watch;

    store_progresses progress; /* of all organisations, as read last */
    bool progress_known;
    bool progress_again;       /* to be read once more when the reading under way has ended */
    store_progresses settling; /* to be kept as soon as the store is free */
    struct kept_facts kept;    /* of the evidence the console began with; at 0: none */

    struct secrets *secrets;

    struct log_entry log[LOG_RING]; /* oldest first */
    size_t n_log;
    unsigned log_problems; /* errors and warnings since the log was looked at */
};

enum err session_new(struct session **out, const struct console_config *c, session_changed *changed,
                     void *arg, struct errinfo *ei) MUST_CHECK;
/* Stops what runs (a push ends the host in hand first) and waits for it; nothing can be begun any more. */
void session_end(struct session *s);
/* The same, then frees. NULL is fine. */
void session_free(struct session **s);
void session_collect(struct session *s);

/* For the journal and for reasons given. */
const char *session_who(const struct session *s);
/* Why a thing cannot be done now, NULL when it can. Static text. */
const char *session_why_not_change(const struct session *s);
/* True when name is the organisation's: from then on changes are possible. */
bool session_unlock(struct session *s, const char *name);
void session_lock(struct session *s);
/* Something runs that leaving would end. */
bool session_is_busy(const struct session *s);
unsigned session_running(const struct session *s);

/* Read the directory again; asks the servers afterwards when they were asked before or the configuration says so. */
void session_read(struct session *s);
/* On the wire. server "": every CAS. Else that one alone, every protocol to its end, as the profile's probe_user where there is one. */
void session_probe(struct session *s, const char *server);
/* What the servers say of themselves, by remoting: exact build, update, service, IIS. server "": all of them. */
void session_ask_hosts(struct session *s, const char *server);
void session_cancel(struct session *s, enum task t);

/* A plan from the findings; filter as for plan_build. Done at once. ERR_REFUSED while one is being applied. */
enum err session_plan(struct session *s, const struct plan_filter *filter, struct errinfo *ei) MUST_CHECK;
void session_apply(struct session *s, const char *why);
/* Steps of the plan that would be pushed: all but those that are left alone. */
size_t planned_pushes(const struct planned *p);
/* Makes the plan that takes a run back. */
void session_rollback(struct session *s, const char *run);
/* Writes the plan to a file. */
void session_plan_write(struct session *s, const char *path);

void session_engine_toggle(struct session *s);
/* Fetches rows and totals; true when they differ from those before. */
bool session_engine_read(struct session *s);

void session_journal_list(struct session *s);
void session_journal_read(struct session *s, const char *run);
void session_journal_verify(struct session *s);

/* A password is wanted, or a question of yes or no is put: what for; false when none is. */
bool session_question(struct session *s, char *prompt, size_t cap);
bool session_question_is_yes_no(struct session *s);
/* NULL: refused, or no. Any text is yes. */
void session_answer(struct session *s, const char *password);

#define PROGRESS_SETTLED "settled"
#define PROGRESS_OPEN    "open"

/* A gate of the wizard, settled with a reason or open again; kept in the store, for every console. */
void session_progress_put(struct session *s, const char *gate, bool settled, const char *note);
void session_progress_load(struct session *s);

/* Begins to look on what others do with the store; s->sight, the runs and records shown, and progress follow. */
void session_watch(struct session *s);

#endif
