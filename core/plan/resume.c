#include "core/plan/run_int.h"

#include "core/base/str.h"

#include <string.h>

/* How a step ends without anything being sent. */
static enum err end_step(struct run *r, struct step_run *s, enum plan_phase how, const char *text,
                         struct errinfo *ei)
{
    s->start = START_NEVER;
    s->result = how;
    str_copy(s->reason, sizeof s->reason, text);
    run_progress(r, s->step, how, "%s%s", how == PLAN_UNDONE ? "put back: " : "", text);
    return run_record(r, s->step, plan_phase_name(how), &(struct record_texts){.detail = text}, ei);
}

static enum err leave_alone(struct run *r, struct step_run *s, const char *now, struct errinfo *ei)
{
    char text[RUN_REASON_SIZE];
    s->left_alone = true;
    if (!s->past->undo_begun) {
        str_fmt(text, sizeof text, "somebody changed it since: now %s; left alone", now);
        return end_step(r, s, PLAN_SKIPPED, text, ei);
    }
    str_fmt(text, sizeof text, "not put back: somebody changed it since: now %s; left alone", now);
    return end_step(r, s, PLAN_FAILED, text, ei);
}

/* Where a step stands that was begun and has not ended. */
static enum err place(struct run *r, struct step_run *s, struct errinfo *ei)
{
    struct buf text;
    const struct step_history *h = s->past;
    enum err e = ERR_OK;
    buf_init(&text, 8192);
    enum step_state now = plan_history_observe(h, r->io, &s->watches, &text, ei);
    struct record_texts said = {.detail = now == STATE_UNREADABLE ? ei->what : buf_str(&text)};
    if (now == STATE_UNREADABLE) {
        e = ei->code;
        goto out;
    }
    if ((e = run_record(r, s->step, "reread", &said, ei)) != ERR_OK)
        goto out;
    if (now == STATE_OTHER)
        e = leave_alone(r, s, buf_str(&text), ei);
    else if (h->undo_begun && now == STATE_OLD)
        e = end_step(r, s, PLAN_UNDONE, buf_str(&text), ei);
    else if (h->undo_begun || now == STATE_MIXED)
        s->start = START_UNDO;
    else
        s->start = now == STATE_NEW ? START_VERIFY : START_FRESH;
out:
    buf_fini(&text);
    return e;
}

/* Those that are begun from the start: their preconditions must hold as on the first day. */
static enum err check_fresh(struct run *r, struct step_run *s, struct errinfo *ei)
{
    struct errinfo moved = {0};
    enum err e = observe_preconditions(r->io, s->step, &s->watches, &s->before, &moved);
    s->left_alone = e == ERR_STALE;
    if (e == ERR_STALE)
        return end_step(r, s, PLAN_SKIPPED, moved.what, ei);
    if (e != ERR_OK && ei)
        *ei = moved;
    return e;
}

/*
 * Hosts that failed before the interruption count against --max-fail, and are not gone on with. One that was to be put back is put back
 * whole, wherever the run died in it.
 */
static void count_failed(struct run *r, const struct history *h)
{
    for (size_t i = 0; i < r->n_hosts; i++) {
        struct host_run *host = &r->hosts[i];
        for (size_t k = 0; k < host->n_steps; k++) {
            struct step_run *s = &host->steps[k];
            s->past = &h->steps[s->step - h->plan->steps];
            host->counted = host->counted || s->past->failed || s->past->undo_begun;
            if (s->past->put_back && !s->past->done && !s->past->taken_back && !h->plan->rollback_of)
                host->goes_back = s->step->n;
        }
        r->failed_before += host->counted;
    }
    atomic_store(&r->failed_hosts, r->failed_before);
}

static enum err place_all(struct run *r, struct errinfo *ei)
{
    for (size_t i = 0; i < r->plan->n_steps; i++) {
        struct step_run *s = &r->steps[i];
        enum err e = ERR_OK;
        if (s->past->ended)
            s->start = START_NEVER;
        else if (s->past->begun)
            s->start = START_VERIFY;
        if (s->gone) /* host_settle ends it */
            continue;
        if (s->start != START_NEVER && s->past->taken_back) {
            char text[128];
            str_fmt(text, sizeof text, "its server was taken back by run %s since: plan again",
                    s->past->taken_back);
            s->left_alone = true;
            e = end_step(r, s, PLAN_SKIPPED, text, ei);
        } else if (s->start == START_VERIFY)
            e = place(r, s, ei);
        if (e == ERR_OK && s->start == START_FRESH && !s->step->skip)
            e = check_fresh(r, s, ei);
        if (e != ERR_OK) {
            err_wrap(ei, "step %d, %s", s->step->n, s->step->server);
            return e;
        }
    }
    return ERR_OK;
}

/* Captures come before the first write: where some are missing, nothing was sent. */
static enum err close_unbegun(const struct plan_apply_options *o, const char *run, struct run *r,
                              struct errinfo *ei)
{
    struct plan_outcome none = {0};
    enum err e = run_record_end(r, "failed", &none, ei);
    return e == ERR_OK ? err_set(ei, ERR_REFUSED, "apply the plan file again",
                                 "run %s of %s ended before anything was changed", run, o->org->name)
                       : e;
}

enum err run_resume(const char *run, const struct plan_apply_options *o, const struct plan_io *io,
                    struct plan_outcome *out, struct errinfo *ei)
{
    struct history h = {0};
    struct run r = {0};
    struct plan_outcome outcome = {0};
    struct errinfo own = {0};
    bool locked = false, begun = false;
    char reason[128];
    if (!ei)
        ei = &own;
    str_fmt(reason, sizeof reason, "resume of run %s", run);
    /* Under the lock from the start: the run may be alive in another console. */
    enum err e = run_lock(o, reason, ei);
    if (e != ERR_OK)
        goto out;
    locked = true;
    if ((e = plan_history_read(&h, o->store, run, ei)) != ERR_OK)
        goto out;
    if ((e = plan_history_rollbacks(&h, o->store, run, ei)) != ERR_OK)
        goto out;
    if (h.ended && !h.interrupted) {
        e = err_set(ei, ERR_REFUSED, "'casbridge rollback' takes it back", "run %s has ended", run);
        goto out;
    }
    begun = true;
    e = run_init(&r, h.plan, run, o, io, ei);
    if (e != ERR_OK)
        goto out;
    if (h.plan->n_steps < h.expected) {
        e = close_unbegun(o, run, &r, ei);
        goto out;
    }
    if ((e = run_record_begin(&r, "resume", ei)) != ERR_OK)
        goto out;
    str_copy(outcome.run, sizeof outcome.run, run);
    count_failed(&r, &h);
    e = place_all(&r, ei);
    if (e == ERR_OK)
        e = run_ask_wires(&r, ei);
    if (e != ERR_OK)
        run_halt(&r, e, ei);
    e = run_hosts(&r, &outcome, ei);
out:
    if (locked)
        store_unlock(o->store);
    if (begun)
        run_fini(&r);
    plan_history_fini(&h);
    *out = outcome;
    return e;
}
