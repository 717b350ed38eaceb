/*
 * Running a plan. One job a host on a pool; the journal is written by the job itself, before what it announces; progress goes to the
 * thread that called plan_apply. What the run sees of the world (directory, wire, time) comes through struct plan_io, so that all
 * of it is tested without a network.
 */
#ifndef CORE_PLAN_RUN_INT_H
#define CORE_PLAN_RUN_INT_H

#include "core/base/job.h"
#include "core/plan/plan_int.h"

#include <pthread.h>
#include <stdatomic.h>

#define RUN_PUSH_MS 300000 /* one cmdlet; Enable-OutlookAnywhere may take minutes */
#define RUN_REREAD_MS                                                                                        \
    60000 /* until the directory that we read has what was written, perhaps on another one */
#define RUN_SETTLE_MS   30000 /* after a lost connection: the cmdlet may still be at work */
#define RUN_GRACE_MS    60000 /* what a wire gets after the run was told to stop */
#define RUN_READ_MS     20000 /* one question to the directory */
#define RUN_PROBE_MS    15000 /* one question to the wire */
#define RUN_REPLICA_MS  60000 /* how long a run waits, once, for the other controllers to have a change */
#define RUN_REPLICAS    8     /* other controllers that are asked */
#define RUN_DETAIL_MAX  JOURNAL_TEXT_MAX
#define RUN_REASON_SIZE 400

/* Functions are called from several threads at once. at: which controller, 0 the one that the directory was opened on. */
struct plan_io {
    void *ctx;
    size_t at;         /* of this copy */
    size_t n_replicas; /* controllers besides the first, at most RUN_REPLICAS */
    enum err (*attribute)(void *ctx, size_t at, const char *dn, const char *attribute,
                          struct directory_values *out, const struct stop *stop, struct errinfo *ei);
    const char *(*controller)(void *ctx, size_t at); /* "said by ..."; may be NULL */
    void (*challenge)(void *ctx, const struct server *server, enum protocol protocol, const struct stop *stop,
                      struct evidence *e);
    int64_t (*now_ms)(void *ctx);
    void (*sleep_ms)(void *ctx, int ms);
    void (*recorded)(void *ctx, const char *phase); /* after each journal record; NULL */
};

/* What the directory says now of the properties that a step sets. */
enum step_state {
    STATE_UNREADABLE, /* the directory does not answer */
    STATE_OLD,        /* as before the step */
    STATE_NEW,        /* as after it */
    STATE_MIXED,      /* each as before or as after */
    STATE_OTHER,      /* somebody else's value */
};

struct step_history;

enum step_start { /* where a step begins: a resumed one may be half done */
                  START_FRESH,
                  START_VERIFY, /* the change is there */
                  START_UNDO,   /* half of it is there */
                  START_NEVER,  /* it has ended */
};

struct step_run {
    const struct plan_step *step;
    struct watches watches;
    enum step_start start;
    const struct step_history *past; /* of a resumed run, else NULL */
    const char *gone;                /* NULL; why its server is out of reach for good */
    bool with_host;                  /* put back because another step of its server failed */
    bool stays;                      /* could not be put back */
    bool left_alone;                 /* somebody else's value is there, and nothing was done about it */
    enum plan_phase result;          /* PLAN_QUEUED until it is known */
    char reason[RUN_REASON_SIZE];    /* of a failure; or why it cannot be begun */
    char *before;                    /* JSON of the raw values, captured; malloc'ed */
    char wire_before[128];
    bool may_have_it;          /* its command was sent, and that it did nothing is not known */
    unsigned replicas_have_it; /* bit per other controller: has the change, or does not answer */
};

struct run;

struct host_run {
    struct run *run;
    const struct server *server; /* NULL: it is out of reach for good, and its steps say why */
    const char *gone;            /* then its name */
    struct step_run *steps;
    size_t n_steps;
    bool counted;  /* among the failed hosts */
    int goes_back; /* 0, or the number of the step that failed and because of which all is put back */
};

struct run {
    const struct plan *plan;
    const struct plan_apply_options *o;
    const struct plan_io *io;
    char id[32];
    struct arena arena;
    struct job_pool *pool;
    struct step_run *steps;
    struct host_run *hosts; /* in the order of their first step */
    size_t n_hosts;
    bool resumed, canary_died;
    unsigned failed_before; /* hosts, before the run was interrupted: they count */
    unsigned not_begun;     /* steps; a resume may still begin them */
    atomic_uint failed_hosts;
    atomic_bool slow_replicas;   /* one wait for them was in vain: the next steps only look */
    atomic_uint silent_replicas; /* bit per other controller that did not answer */
    atomic_bool halted;          /* nothing new is begun: the journal, the lock or the directory is gone */
    pthread_mutex_t mutex;       /* for trouble and its copy */
    enum err trouble;            /* why it was halted */
    struct errinfo trouble_ei;
};

/* run.c: shared by apply and resume. id: of the run that is resumed, else NULL. */
enum err run_init(struct run *r, const struct plan *p, const char *id, const struct plan_apply_options *o,
                  const struct plan_io *io, struct errinfo *ei) MUST_CHECK;
void run_fini(struct run *r);
/* The lock, taken away from its holder when the options say why. */
enum err run_lock(const struct plan_apply_options *o, const char *reason, struct errinfo *ei) MUST_CHECK;
/* Canary, waves, end record. The lock is held, the begin record written. */
enum err run_hosts(struct run *r, struct plan_outcome *out, struct errinfo *ei) MUST_CHECK;
/* Asks every wire that is to be verified; a silent one makes its step fail before anything is pushed. */
enum err run_ask_wires(struct run *r, struct errinfo *ei) MUST_CHECK;
/* Stops everything that is not begun, keeps the first reason. */
void run_halt(struct run *r, enum err e, const struct errinfo *ei);
/* Told to end, or its time is over: the host in hand is finished all the same. */
bool run_is_stopped(const struct run *r);
/* Nothing at all is to be begun any more. */
bool run_is_halted(const struct run *r);
/* No other host is to be begun: that, or too many have failed. */
bool run_must_stop(const struct run *r);
enum err run_apply(const struct plan *p, const struct plan_apply_options *o, const struct plan_io *io,
                   struct plan_outcome *out, struct errinfo *ei) MUST_CHECK;
enum err run_rollback(struct plan **out, const char *run, const struct plan_apply_options *o,
                      const struct plan_filter *filter, const struct plan_io *io,
                      struct errinfo *ei) MUST_CHECK;
enum err run_resume(const char *run, const struct plan_apply_options *o, const struct plan_io *io,
                    struct plan_outcome *out, struct errinfo *ei) MUST_CHECK;

/* host.c: on a pool thread. */
void host_run(void *host);
/* Only what an interrupted run left in hand, however many have failed: it has to end one way or the other. */
void host_settle(void *host);
void host_ask_wires(void *host);
void host_fail_step(struct host_run *h, struct step_run *s, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* And so is its server, but in a rollback: what that has taken back already is wanted so. */
void host_fail_and_put_back(struct host_run *h, struct step_run *s, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Begun, and no word on how it ended: resume reads it again. */
void host_leave_step(struct host_run *h, struct step_run *s, const char *why);
const char *run_said_by(struct run *r);

/* push.c */
enum push_end { PUSH_DONE, PUSH_FAILED, PUSH_UNKNOWN };
enum push_end host_push(struct host_run *h, const struct cmdlet *c, struct buf *text, int *elapsed_ms);
/* An intent, in the journal before anything leaves. */
enum err host_announce(struct run *r, const struct plan_step *s, const char *phase, const struct cmdlet *c,
                       const struct plan_change *from, const struct plan_change *to) MUST_CHECK;
/* Sooner than by itself; whether it helps the wire shows, and a failure is no failure of the change. False: one could not be sent. */
bool host_nudge(struct host_run *h, const struct step_run *s);
void host_first_line(char *out, size_t cap, enum push_end end, const char *text);

/* putback.c. The step has failed, and was recorded so. */
void host_put_back_step(struct host_run *h, struct step_run *s);
/* The steps that had gone well before the one that failed, the last first. Done once, it does nothing more. */
void host_put_back(struct host_run *h);
/* A step failed without a trace: the ones before it are not put back. */
void host_say_what_stays(struct host_run *h);

/* record.c */
/* .after of a "failed" record that an "undo" is to follow: who dies in between must not leave the change behind. */
#define RECORD_PUT_BACK "{\"put_back\":true}"
/* .after of one by which the run has changed nothing: nothing was sent, or the command failed and the directory says as before. A failed
   step without either mark may have left something. */
#define RECORD_UNCHANGED "{\"unchanged\":true}"
struct record_texts {
    const char *cmdlet, *before, *after, *detail;
};
/* Appends to the journal; a failure halts the run. step NULL: of the run as a whole. */
enum err run_record(struct run *r, const struct plan_step *step, const char *phase,
                    const struct record_texts *t, struct errinfo *ei) MUST_CHECK;
/* To the caller's thread; safe from any. */
void run_progress(struct run *r, const struct plan_step *step, enum plan_phase phase, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
enum err run_record_begin(struct run *r, const char *phase, struct errinfo *ei) MUST_CHECK;
enum err run_record_end(struct run *r, const char *status, const struct plan_outcome *o,
                        struct errinfo *ei) MUST_CHECK;
enum err run_record_capture(struct run *r, struct step_run *s, struct errinfo *ei) MUST_CHECK;
/* The remote's output, warnings and errors as lines safe to show, cut at RUN_DETAIL_MAX. */
void remote_text(struct buf *out, enum err e, const struct errinfo *ei, const struct remote_result *r);

/* observe.c: the directory and the wire. text: for people, in a buffer that the caller began. */
enum step_state observe_step(const struct plan_io *io, const struct watches *w, struct buf *text,
                             struct errinfo *ei);
/* Reads until the state is `wanted` or the time is over. */
enum step_state observe_until(const struct plan_io *io, const struct watches *w, enum step_state wanted,
                              int wait_ms, struct buf *text, struct errinfo *ei);
/* ERR_STALE names what moved. *raw: what the attributes are now, as a JSON object (malloc'ed). */
enum err observe_preconditions(const struct plan_io *io, const struct plan_step *s, const struct watches *w,
                               char **raw, struct errinfo *ei) MUST_CHECK;
/* The attributes of s now, as preconditions (in a): for a step the other way round. */
enum err observe_as_preconditions(const struct plan_io *io, struct arena *a, const struct watches *w,
                                  struct plan_precondition **out, size_t *n, struct errinfo *ei) MUST_CHECK;
/* After the change: what moved besides what was told to, "msExchInternalAuthenticationMethods moved further than it was told to: then 16,
   now 5"; a cmdlet may turn other switches of its attribute, and the inverse does not know them. Nothing when nothing did. */
void observe_beside(const struct plan_io *io, const struct plan_step *s, const struct watches *w,
                    struct buf *text);
enum wire_state { WIRE_SILENT, WIRE_DIFFERS, WIRE_AGREES };
enum wire_state observe_wire(const struct plan_io *io, const struct server *server, const struct watches *w,
                             char *text, size_t cap);

/* replica.c: the other controllers. text gets "not yet on dc2.contoso.lab (iis_auth basic)", or nothing. True: none is behind. */
bool replicas_look(struct run *r, struct step_run *s, struct buf *text);
/* Looks until none is behind, for a while (RUN_REPLICA_MS) the first time it is in vain; says what it waits for. */
void replicas_wait(struct run *r, struct step_run *s, struct buf *text);
/* Before the first write: a controller that says otherwise than the one that was read is named in the log. */
void replicas_compare(struct run *r, const struct step_run *s);

/* history.c: what the journal says of a run. */
struct step_history {
    const struct plan_step *step;
    bool begun;             /* an intent was recorded */
    bool undo_begun;        /* the inverse was announced, or was to be */
    bool put_back;          /* was to be, by itself or with its server */
    bool done;              /* ended so, whatever came later */
    bool ended;             /* done, skipped, failed or undone */
    bool failed;            /* ended so: failed or undone */
    bool undone;            /* put back, and seen to be */
    bool unchanged;         /* failed without having changed anything */
    int64_t sent_at;        /* when its last command was announced, the cmdlet or the inverse */
    const char *taken_back; /* NULL; the later run that took its server back, in the plan's arena */
};
struct history {
    struct plan *plan;          /* of the captured steps, in their order */
    struct step_history *steps; /* in the plan's arena */
    size_t expected;            /* steps that the run had */
    int64_t first_id;           /* of its records */
    bool ended, interrupted;
};
enum err plan_history_read(struct history *out, struct store *store, const char *run,
                           struct errinfo *ei) MUST_CHECK;
void plan_history_fini(struct history *h);
/* Fills .taken_back from what came after the run's beginning. */
enum err plan_history_rollbacks(struct history *h, struct store *store, const char *run,
                                struct errinfo *ei) MUST_CHECK;
/* What the directory says of a step that has begun. One that has not ended was perhaps sent a moment ago, and may be at work still: then
   it is waited for. */
enum step_state plan_history_observe(const struct step_history *h, const struct plan_io *io,
                                     const struct watches *w, struct buf *text, struct errinfo *ei);

#endif
