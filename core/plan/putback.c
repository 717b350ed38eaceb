/*
 * Taking changes back on a server whose step failed: that step, then those before it that had gone well, the last first. What somebody
 * wrote since is left alone and said.
 */
#include "core/plan/run_int.h"

#include "core/base/str.h"

/* When the server works as before again, where its directory values alone do not say so. */
static void say_when(struct run *r, const struct step_run *s, bool nudged, struct buf *text)
{
    int interval = r->o->poll_interval_s > 0 ? r->o->poll_interval_s : 900;
    if (s->step->n_nudges)
        (void)buf_addf(text, "; a restart cannot be taken back%s", nudged ? ": it was done once more" : "");
    if (s->step->verify_wire && !(s->step->n_nudges && nudged))
        (void)buf_addf(text, "; IIS follows within the polling interval (%d s)", interval);
}

static void is_back(struct host_run *h, struct step_run *s, struct buf *text)
{
    struct run *r = h->run;
    enum err e = run_record(r, s->step, "undone", &(struct record_texts){.detail = buf_str(text)}, NULL);
    (void)e;
    s->result = PLAN_UNDONE;
    run_progress(r, s->step, PLAN_UNDONE, "put back: %s", buf_str(text));
}

/* The inverse is on its way or was: what the directory says now decides. */
static void send_inverse(struct host_run *h, struct step_run *s, enum step_state was, const char *why,
                         struct buf *text)
{
    struct run *r = h->run;
    struct errinfo ei = {0};
    int elapsed = 0;
    char said[200];
    buf_reset(text);
    run_progress(r, s->step, PLAN_PUSH, "putting it back by %s", r->o->transport->name);
    enum push_end end = host_push(h, &s->step->inverse, text, &elapsed);
    if (!text->len)
        (void)buf_adds(text, end == PUSH_DONE      ? "the command ran and said nothing"
                             : end == PUSH_UNKNOWN ? "whether the command ran is not known"
                                                   : "the command failed");
    enum err e = run_record(r, s->step, "result", &(struct record_texts){.detail = buf_str(text)}, NULL);
    (void)e;
    host_first_line(said, sizeof said, end, buf_str(text));
    enum step_state now = observe_until(r->io, &s->watches, STATE_OLD, RUN_REREAD_MS, text, &ei);
    if (now == STATE_OLD && was == STATE_OLD && end != PUSH_DONE) {
        host_fail_step(
            h, s, "%s; and putting it back failed too (%s): %s never had the change, another controller may",
            why, said, run_said_by(r));
    } else if (now == STATE_OLD) {
        say_when(r, s, host_nudge(h, s), text);
        is_back(h, s, text);
    } else if (now == STATE_UNREADABLE) {
        s->stays = true;
        host_fail_step(h, s, "%s; and what came of putting it back is not known: %s", why, ei.what);
    } else {
        s->stays = true;
        host_fail_step(h, s, "%s; and it could not be put back (%s): %s says %s", why,
                       end == PUSH_DONE ? "the command ran" : said, run_said_by(r), buf_str(text));
    }
}

void host_put_back_step(struct host_run *h, struct step_run *s)
{
    struct run *r = h->run;
    struct buf text;
    struct errinfo ei = {0};
    char why[RUN_REASON_SIZE];
    str_copy(why, sizeof why, s->reason);
    buf_init(&text, RUN_DETAIL_MAX);
    /* The wire was waited for, perhaps for half an hour: what somebody wrote meanwhile is not overwritten. */
    enum step_state was = observe_step(r->io, &s->watches, &text, &ei);
    if (was == STATE_UNREADABLE) {
        run_halt(r, ei.code, &ei);
        host_leave_step(h, s, ei.what);
    } else if (was == STATE_OTHER) {
        host_fail_step(h, s, "%s; not put back: now %s says %s, somebody else's value, left alone", why,
                       run_said_by(r), buf_str(&text));
    } else if (was == STATE_OLD && s->with_host) {
        is_back(h, s, &text); /* somebody did so already: it had been verified */
    } else if (host_announce(r, s->step, "undo", &s->step->inverse, s->step->after, s->step->before) ==
               ERR_OK) {
        send_inverse(h, s, was, why, &text);
    } else { /* the journal cannot be written, or the lock is another's */
        run_progress(r, s->step, PLAN_FAILED, "not put back yet; 'casbridge resume %s' does so", r->id);
    }
    buf_fini(&text);
}

static bool is_done(const struct step_run *s)
{
    if (s->start == START_NEVER && s->result == PLAN_QUEUED) /* before the run was interrupted */
        return s->past && s->past->done && s->past->ended && !s->past->undo_begun;
    return s->result == PLAN_DONE;
}

static bool is_undone(const struct step_run *s)
{
    return s->result == PLAN_UNDONE || (s->result == PLAN_QUEUED && s->past && s->past->undone);
}

/* A step that never changed anything, or is as before. */
static bool is_harmless(const struct step_run *s)
{
    bool begun = s->result != PLAN_QUEUED || (s->past && s->past->begun);
    return !begun || s->result == PLAN_SKIPPED || is_undone(s);
}

void host_put_back(struct host_run *h)
{
    struct run *r = h->run;
    const struct step_run *failed = NULL;
    bool more = false, whole = true;
    for (size_t i = h->n_steps; i > 0 && !atomic_load(&r->halted); i--) {
        struct step_run *s = &h->steps[i - 1];
        failed = s->step->n == h->goes_back ? s : failed;
        if (is_done(s)) {
            s->with_host = true;
            host_fail_and_put_back(
                h, s, "step %d failed, and the server is put back as it was before the run", h->goes_back);
        }
        more = more || s->with_host;
        whole = whole && is_harmless(s);
    }
    if (more && failed && !atomic_load(&r->halted))
        run_progress(r, failed->step,
                     whole                           ? PLAN_UNDONE
                     : failed->result == PLAN_QUEUED ? PLAN_FAILED
                                                     : failed->result,
                     whole ? "%s is as it was before the run" : "not all of %s could be put back",
                     h->server->name);
}

void host_say_what_stays(struct host_run *h)
{
    const struct step_run *failed = NULL;
    unsigned n = 0;
    for (size_t i = 0; i < h->n_steps; i++) {
        n += is_done(&h->steps[i]);
        if (!failed && (h->steps[i].result == PLAN_FAILED || h->steps[i].result == PLAN_UNDONE))
            failed = &h->steps[i];
    }
    const char *steps = n == 1 ? "step" : "steps";
    if (n && failed && h->run->plan->rollback_of)
        run_progress(h->run, failed->step, failed->result,
                     "what was taken back on %s before this step stays so (%u %s)", h->server->name, n,
                     steps);
    else if (n && failed)
        run_progress(h->run, failed->step, failed->result,
                     "what was done on %s before this step stays (%u %s); 'casbridge rollback %s --server "
                     "%s' takes it back",
                     h->server->name, n, steps, h->run->id, h->server->name);
}
