#include "core/plan/run_int.h"

#include "core/base/log.h"
#include "core/base/str.h"

#include <stdio.h>
#include <string.h>

#define MAX_NAMED 50 /* steps that have moved, each with what was and what is */

/* As the step would leave it. */
static bool is_new(const struct run *r, const struct step_run *s)
{
    struct buf text;
    struct errinfo ei;
    buf_init(&text, 8192);
    enum step_state now = observe_step(r->io, &s->watches, &text, &ei);
    buf_fini(&text);
    return now == STATE_NEW;
}

/* All of them before the first write, so that a plan is applied whole or not begun. The first that moved is named, the others counted. */
static enum err check_all(struct run *r, struct errinfo *ei)
{
    struct errinfo first = {0}, one = {0};
    size_t moved = 0, done = 0;
    for (size_t i = 0; i < r->plan->n_steps; i++) {
        struct step_run *s = &r->steps[i];
        if (s->step->skip || s->start != START_FRESH)
            continue;
        enum err e = stop_check(r->o->stop, ei, "reading what the plan was made from");
        if (e != ERR_OK)
            return e;
        e = observe_preconditions(r->io, s->step, &s->watches, &s->before, &one);
        if (e != ERR_OK && e != ERR_STALE) {
            if (ei)
                *ei = one;
            err_wrap(ei, "%s", s->step->server);
            return e;
        }
        if (e == ERR_OK)
            replicas_compare(r, s);
        done += e == ERR_STALE && is_new(r, s);
        if (e == ERR_STALE && moved && moved < MAX_NAMED) /* the first is the error's */
            log_line(LOG_LEVEL_WARNING, "step %d, %s has moved: %s", s->step->n, s->step->server, one.what);
        if (e == ERR_STALE && moved++ == 0) {
            first = one;
            err_wrap(&first, "step %d, %s", s->step->n, s->step->server);
        }
    }
    if (!moved)
        return ERR_OK;
    if (moved > 1)
        err_wrap(&first, "%zu steps have moved, the first", moved);
    err_wrap(&first, "the plan is stale");
    if (done == moved)
        err_hint(&first, "all that moved is as the plan wants it: was it applied already? Plan again");
    if (ei)
        *ei = first;
    return ERR_STALE;
}

static enum err capture_all(struct run *r, struct errinfo *ei)
{
    for (size_t i = 0; i < r->plan->n_steps; i++) {
        enum err e = run_record_capture(r, &r->steps[i], ei);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

enum err run_apply(const struct plan *p, const struct plan_apply_options *o, const struct plan_io *io,
                   struct plan_outcome *out, struct errinfo *ei)
{
    struct run r;
    struct errinfo own = {0};
    struct plan_outcome outcome = {0};
    char reason[512];
    bool locked = false;
    if (!ei)
        ei = &own;
    enum err e = run_init(&r, p, NULL, o, io, ei);
    if (e != ERR_OK)
        goto out;
    str_fmt(reason, sizeof reason, "plan %s%s%s", p->id, o->why ? ": " : "", o->why ? o->why : "");
    e = run_lock(o, reason, ei);
    if (e != ERR_OK)
        goto out;
    locked = true;
    if ((e = check_all(&r, ei)) != ERR_OK)
        goto out;
    journal_new_run(r.id);
    if ((e = run_record_begin(&r, "begin", ei)) != ERR_OK)
        goto out;
    str_copy(outcome.run, sizeof outcome.run, r.id);
    e = capture_all(&r, ei);
    if (e == ERR_OK)
        e = run_ask_wires(&r, ei);
    if (e != ERR_OK)
        run_halt(&r, e, ei);
    e = run_hosts(&r, &outcome, ei);
out:
    if (locked)
        store_unlock(o->store);
    run_fini(&r);
    *out = outcome;
    return e;
}
