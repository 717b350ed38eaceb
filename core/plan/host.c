/* One server of a run, on a pool thread: straight on from the first step to the last, and no further than the first that fails. */
#include "core/plan/run_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define POLL_MS       2000
#define POLL_LEAST_MS 100

static const char nothing_changed[] = "nothing was changed";

/* One that is gone says nothing about the others. */
static void count_failure(struct host_run *h)
{
    if (!h->counted && h->server)
        atomic_fetch_add(&h->run->failed_hosts, 1);
    h->counted = true;
}

/* The record may fail as well (that halts the run): the step has failed all the same. */
static void fail_text(struct host_run *h, struct step_run *s, bool put_back, const char *fmt, va_list ap)
    PRINTF_LIKE(4, 0);
static void fail_text(struct host_run *h, struct step_run *s, bool put_back, const char *fmt, va_list ap)
{
    char text[2048];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    str_show_fixed(s->reason, sizeof s->reason, n > 0 ? text : "failed", n > 0 ? strlen(text) : 6);
    s->result = PLAN_FAILED;
    count_failure(h);
    bool unchanged = s->start == START_FRESH && !s->may_have_it;
    struct record_texts t = {.detail = s->reason,
                             .after = put_back    ? RECORD_PUT_BACK
                                      : unchanged ? RECORD_UNCHANGED
                                                  : NULL};
    enum err e = run_record(h->run, s->step, "failed", &t, NULL);
    (void)e;
    run_progress(h->run, s->step, PLAN_FAILED, "%s", s->reason);
}

void host_fail_step(struct host_run *h, struct step_run *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail_text(h, s, false, fmt, ap);
    va_end(ap);
}

void host_fail_and_put_back(struct host_run *h, struct step_run *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail_text(h, s, true, fmt, ap);
    va_end(ap);
    if (!h->goes_back && !h->run->plan->rollback_of)
        h->goes_back = s->step->n;
    host_put_back_step(h, s);
}

/* Begun, and no word on how it ended: resume reads it again. */
void host_leave_step(struct host_run *h, struct step_run *s, const char *why)
{
    str_copy(s->reason, sizeof s->reason, why);
    s->result = PLAN_REREAD;
    count_failure(h);
    run_progress(h->run, s->step, PLAN_FAILED, "%s; 'casbridge resume %s' goes on", why, h->run->id);
}

static void skip_step(struct host_run *h, struct step_run *s, const char *why)
{
    s->result = PLAN_SKIPPED;
    enum err e = run_record(h->run, s->step, "skipped", &(struct record_texts){.detail = why}, NULL);
    (void)e;
    run_progress(h->run, s->step, PLAN_SKIPPED, "%s", why);
}

const char *run_said_by(struct run *r)
{
    const char *dc = r->io->controller ? r->io->controller(r->io->ctx, r->io->at) : NULL;
    return dc ? dc : "the directory";
}

enum verified { VERIFIED, NOT_VERIFIED, NOT_WAITED_FOR };

static enum verified verify_wire(struct host_run *h, struct step_run *s, char *text, size_t cap)
{
    struct run *r = h->run;
    int interval = r->o->poll_interval_s > 0 ? r->o->poll_interval_s : 900, pause = interval * 1000 / 3;
    int64_t end = r->io->now_ms(r->io->ctx) + 2000LL * interval + 30000;
    bool stopping = false;
    char last[160] = "";
    pause = pause > POLL_MS ? POLL_MS : pause < POLL_LEAST_MS ? POLL_LEAST_MS : pause;
    run_progress(r, s->step, PLAN_VERIFY, "IIS follows within the polling interval (%d s)", interval);
    for (;;) {
        enum wire_state w = observe_wire(r->io, h->server, &s->watches, text, cap);
        if (w == WIRE_AGREES)
            return VERIFIED;
        if (strcmp(last, text) != 0)
            run_progress(r, s->step, PLAN_VERIFY, "not yet: %s", text);
        str_copy(last, sizeof last, text);
        int64_t now = r->io->now_ms(r->io->ctx);
        if (!stopping && run_is_stopped(r)) {
            stopping = true;
            if (end > now + RUN_GRACE_MS) {
                end = now + RUN_GRACE_MS;
                run_progress(r, s->step, PLAN_VERIFY,
                             "the run is being stopped: IIS has %d s more, then a resume looks again",
                             RUN_GRACE_MS / 1000);
            } else {
                stopping = false; /* the whole time was waited all the same */
            }
        }
        if (now >= end)
            return stopping ? NOT_WAITED_FOR : NOT_VERIFIED;
        r->io->sleep_ms(r->io->ctx, end - now < pause ? (int)(end - now) : pause);
    }
}

static void finish_step(struct host_run *h, struct step_run *s, const char *wire)
{
    struct run *r = h->run;
    char which[300];
    struct buf lag;
    buf_init(&lag, 4096);
    replicas_wait(r, s, &lag);
    observe_beside(r->io, s->step, &s->watches, &lag);
    enum err e = run_record(r, s->step, "done",
                            &(struct record_texts){.detail = lag.len ? buf_str(&lag) : NULL}, NULL);
    str_fmt(which, sizeof which, "%s has it", run_said_by(r));
    if (e == ERR_OK) {
        s->result = PLAN_DONE;
        run_progress(r, s->step, PLAN_DONE, "%s%s%s", s->step->verify_wire ? wire : which,
                     lag.len ? "; " : "", buf_str(&lag));
    } else {
        host_leave_step(h, s, "the journal cannot be written");
    }
    buf_fini(&lag);
}

/* The directory has the new values: now the wire. */
static void verify_step(struct host_run *h, struct step_run *s)
{
    struct run *r = h->run;
    char text[160] = "the wire does not show this; the directory does";
    enum verified v = VERIFIED;
    if (s->step->verify_wire)
        v = verify_wire(h, s, text, sizeof text);
    else
        run_progress(r, s->step, PLAN_VERIFY, "%s", text);
    char detail[400];
    str_fmt(detail, sizeof detail, s->wire_before[0] ? "%s (before: %s)" : "%s%s", text, s->wire_before);
    if (v == NOT_WAITED_FOR) {
        host_leave_step(h, s, "stopped while waiting for IIS");
        return;
    }
    enum err e = run_record(r, s->step, "verify", &(struct record_texts){.detail = detail}, NULL);
    if (v == NOT_VERIFIED)
        host_fail_and_put_back(h, s, "the wire did not follow: %s", text);
    else if (e == ERR_OK)
        finish_step(h, s, text);
    else
        host_leave_step(h, s, "the journal cannot be written");
}

/* What the push did is what the directory says, whatever the remote said. */
static void reread_step(struct host_run *h, struct step_run *s, enum push_end end, const char *said)
{
    struct run *r = h->run;
    struct buf text;
    struct errinfo ei = {0};
    int wait = end == PUSH_DONE ? RUN_REREAD_MS : end == PUSH_UNKNOWN ? RUN_SETTLE_MS : 0;
    buf_init(&text, 8192);
    if (wait)
        run_progress(r, s->step, PLAN_REREAD, "asking %s, for up to %d s", run_said_by(r), wait / 1000);
    else
        run_progress(r, s->step, PLAN_REREAD, "asking %s", run_said_by(r));
    enum step_state now = observe_until(r->io, &s->watches, STATE_NEW, wait, &text, &ei);
    s->may_have_it = end != PUSH_FAILED || now != STATE_OLD;
    enum err e = run_record(
        r, s->step, "reread",
        &(struct record_texts){.detail = now == STATE_UNREADABLE ? ei.what : buf_str(&text)}, NULL);
    (void)e;
    if (now == STATE_UNREADABLE) {
        run_halt(r, ei.code, &ei);
        host_leave_step(h, s, ei.what);
    } else if (end != PUSH_FAILED && now == STATE_NEW) {
        run_progress(r, s->step, PLAN_REREAD, "%s: %s", run_said_by(r), buf_str(&text));
        buf_reset(&text);
        if (!replicas_look(r, s, &text))
            run_progress(r, s->step, PLAN_REREAD, "%s", buf_str(&text));
        (void)host_nudge(h, s);
        verify_step(h, s);
    } else if (now == STATE_OTHER) {
        host_fail_step(h, s, "%s; now %s says %s: somebody else's value, left alone", said, run_said_by(r),
                       buf_str(&text));
    } else if (end == PUSH_UNKNOWN && now == STATE_OLD) {
        host_fail_step(h, s, "%s; after %d s %s has it as before, and it is not sent again", said,
                       wait / 1000, run_said_by(r));
    } else if (end == PUSH_UNKNOWN) {
        /* Half of it is there: it may well be at work still. Neither done nor failed until it is read again. */
        host_leave_step(h, s,
                        "half of the change is there, and whether the command is still at work is not known");
    } else if (end == PUSH_FAILED && now == STATE_OLD) {
        host_fail_step(h, s, "%s; %s", said, nothing_changed);
    } else {
        /* The command ran and the directory we read does not show it: another controller may have it, so put it back too. */
        if (end == PUSH_DONE)
            host_fail_and_put_back(h, s, "the command ran, but %s still says %s", run_said_by(r),
                                   buf_str(&text));
        else
            host_fail_and_put_back(h, s, "%s", said);
    }
    buf_fini(&text);
}

static void push_step(struct host_run *h, struct step_run *s)
{
    struct run *r = h->run;
    struct buf text;
    int elapsed = 0;
    char said[200];
    if (host_announce(r, s->step, "intent", &s->step->cmdlet, s->step->before, s->step->after) != ERR_OK)
        return; /* nothing was sent: not begun */
    s->may_have_it = true;
    buf_init(&text, RUN_DETAIL_MAX);
    enum push_end end = host_push(h, &s->step->cmdlet, &text, &elapsed);
    if (end == PUSH_DONE && !text.len)
        (void)buf_adds(&text, "the command ran and said nothing");
    if (end == PUSH_UNKNOWN)
        (void)buf_adds(&text, text.len ? "\nwhether the command ran is not known"
                                       : "whether the command ran is not known");
    /* Without the record the world is still looked at: what was sent was sent. */
    enum err e = run_record(r, s->step, "result", &(struct record_texts){.detail = buf_str(&text)}, NULL);
    (void)e;
    host_first_line(said, sizeof said, end, buf_str(&text));
    run_progress(r, s->step, PLAN_PUSH, "%s (%d ms)", said, elapsed);
    reread_step(h, s, end, said);
    buf_fini(&text);
}

/*
 * Between the check of all preconditions and this host's turn waves of others may have passed. All of what the step was made from, not
 * only what it sets: before is what was captured, and it is what the inverse restores.
 */
static void begin_step(struct host_run *h, struct step_run *s)
{
    struct run *r = h->run;
    struct errinfo ei = {0};
    char *now = NULL;
    enum err e = observe_preconditions(r->io, s->step, &s->watches, &now, &ei);
    free(now);
    if (e == ERR_STALE) { /* by whoever took the lock away: that is what has to be said */
        struct errinfo taken = {0};
        enum err lost = store_lock_check(r->o->store, &taken);
        if (lost != ERR_OK) {
            e = lost;
            ei = taken;
        }
    }
    if (e == ERR_STALE)
        host_fail_step(h, s, "somebody changed it since the run began, by %s: %s; %s by us", run_said_by(r),
                       ei.what, nothing_changed);
    else if (e != ERR_OK)
        run_halt(r, e, &ei);
    else
        push_step(h, s);
}

static void run_step(struct host_run *h, struct step_run *s)
{
    switch (s->start) {
    case START_NEVER: return;
    case START_VERIFY: verify_step(h, s); return;
    case START_UNDO:
        host_fail_and_put_back(h, s, "the run was interrupted, and the change is put back");
        return;
    case START_FRESH: break;
    }
    if (s->step->skip)
        skip_step(h, s, s->step->skip);
    else
        begin_step(h, s);
}

/* A server that left the directory while the run was interrupted, or whose steps are only there to be left out. */
static void end_gone(struct host_run *h)
{
    for (size_t i = 0; i < h->n_steps; i++) {
        struct step_run *s = &h->steps[i];
        bool done = s->past && s->past->done && s->past->ended && !s->past->undo_begun;
        if (s->result != PLAN_QUEUED)
            continue;
        if (s->start != START_NEVER && s->step->skip)
            skip_step(h, s, s->step->skip);
        else if (s->start != START_NEVER && s->start != START_FRESH)
            host_fail_step(h, s, "%s: how the step ended can no longer be seen", s->gone);
        else if (s->start == START_FRESH)
            host_fail_step(h, s, "%s: not begun, %s", s->gone, nothing_changed);
        else if (done && h->goes_back)
            host_fail_step(h, s, "step %d failed, and this one cannot be put back with it: %s", h->goes_back,
                           s->gone);
    }
}

static bool failed_before(const struct step_run *s)
{
    return s->past && (s->past->failed || s->past->undo_begun);
}

static void run_steps(struct host_run *h, bool only_in_hand)
{
    bool stopped = false;
    if (!h->server) {
        end_gone(h);
        return;
    }
    for (size_t i = 0; i < h->n_steps && !atomic_load(&h->run->halted); i++) {
        struct step_run *s = &h->steps[i];
        if (s->result != PLAN_QUEUED || s->start == START_NEVER) {
            stopped = stopped || failed_before(s) ||
                      (s->result != PLAN_QUEUED && s->result != PLAN_DONE && s->result != PLAN_SKIPPED);
        } else if (s->start != START_FRESH || !only_in_hand) {
            if (stopped && s->start == START_FRESH)
                skip_step(h, s, "an earlier step of this server failed");
            else
                run_step(h, s);
            stopped = stopped || (s->result != PLAN_DONE && s->result != PLAN_SKIPPED);
        }
    }
    if (h->goes_back)
        host_put_back(h);
    else if (stopped && !only_in_hand)
        host_say_what_stays(h);
}

void host_run(void *arg)
{
    struct host_run *h = arg;
    if (!run_must_stop(h->run))
        run_steps(h, false);
}

void host_settle(void *arg)
{
    struct host_run *h = arg;
    if (!run_is_halted(h->run))
        run_steps(h, true);
}

void host_ask_wires(void *arg)
{
    struct host_run *h = arg;
    for (size_t i = 0; i < h->n_steps; i++) {
        struct step_run *s = &h->steps[i];
        if (!h->server || !s->step->verify_wire || s->step->skip || s->start != START_FRESH ||
            s->result != PLAN_QUEUED)
            continue;
        if (observe_wire(h->run->io, h->server, &s->watches, s->wire_before, sizeof s->wire_before) ==
            WIRE_SILENT)
            host_fail_step(
                h, s,
                "the wire is to be verified and does not answer (%s): %s; \"verify\": [\"directory\"] "
                "goes without",
                s->wire_before, nothing_changed);
    }
}
