#include "core/plan/run_int.h"

#include "core/base/str.h"

#include <string.h>

/* A name may be the full one, as everywhere; a server that is gone from the directory is still called what the run called it. */
static bool is_called(const struct org *org, const char *name, const char *server)
{
    const struct server *found = org_server(org, name);
    return str_ieq(found ? found->name : name, server);
}

static bool wanted(const struct org *org, const struct plan_step *s, const struct plan_filter *f)
{
    bool server = !f || !f->n_servers, finding = !f || !f->n_findings;
    for (size_t i = 0; !server && i < f->n_servers; i++)
        server = is_called(org, f->servers[i], s->server);
    for (size_t i = 0; !finding && i < f->n_findings; i++)
        finding = str_ieq(f->findings[i], s->finding);
    return server && finding;
}

static enum err copy_texts(struct plan_step *to, struct arena *a, const struct plan_step *from)
{
    to->finding = arena_str(a, from->finding);
    to->server = arena_str(a, from->server);
    to->also = arena_array(a, from->n_also, sizeof *to->also);
    for (size_t i = 0; to->also && i < from->n_also; i++)
        to->also[to->n_also++] = arena_str(a, from->also[i]);
    enum err e = cmdlet_copy(&to->cmdlet, a, &from->inverse);
    return e == ERR_OK && a->failed ? ERR_LIMIT : e;
}

/* The step the other way round, made from the directory as it is now. */
static enum err turn_round(struct plan_step *out, struct arena *a, const struct plan_step *from,
                           const struct watches *then, const struct plan_io *io, struct errinfo *ei)
{
    struct plan_step s = {.verify_directory = true};
    struct watches w;
    enum err e = copy_texts(&s, a, from);
    if (e != ERR_OK)
        return err_set(ei, e, NULL, "the plan is too large");
    e = observe_as_preconditions(io, a, then, &s.preconditions, &s.n_preconditions, ei);
    if (e == ERR_OK)
        e = step_watches(&w, a, &s, ei);
    if (e == ERR_OK)
        e = step_derive(&s, a, &w, ei);
    if (e == ERR_OK)
        e = step_inverse(&s.inverse, a, &s, &w, ei);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; e == ERR_OK && i < from->n_nudges; i++) {
        if (!s.nudges)
            s.nudges = arena_array(a, from->n_nudges, sizeof *s.nudges);
        e = s.nudges ? cmdlet_copy(&s.nudges[s.n_nudges++], a, &from->nudges[i]) : ERR_LIMIT;
    }
    s.verify_wire = from->verify_wire && step_shows_on_wire(&w);
    if (from->note)
        s.note = arena_str(a, from->note);
    if (e != ERR_OK || !step_describe(&s, a, &w, 0))
        return err_set(ei, ERR_LIMIT, NULL, "the plan is too large");
    *out = s;
    return ERR_OK;
}

/* What the run meant to do, with a reason not to undo it: for the record of the rollback. */
static enum err leave_alone(struct plan_step *out, struct arena *a, const struct plan_step *from,
                            const char *why, const char *now)
{
    json_t *j = step_to_json(from);
    enum err e = j ? step_from_json(out, a, j, from->n, NULL) : ERR_NOMEM;
    json_decref(j);
    if (e == ERR_OK)
        out->skip = arena_fmt(a, "%s: now %s; left alone", why, now);
    return e == ERR_OK && !out->skip ? ERR_LIMIT : e;
}

static enum err add_step(struct plan *p, const struct step_history *h, const struct org *org,
                         const struct plan_io *io, struct errinfo *ei)
{
    static const char since[] = "somebody changed it since";
    const struct server *server;
    struct errinfo gone = {0};
    struct plan_step step = {0};
    struct watches w;
    struct buf text;
    struct arena scratch;
    arena_init(&scratch, 1 << 22);
    buf_init(&text, 8192);
    enum err e = step_watches(&w, &scratch, h->step, ei);
    enum step_state now = e == ERR_OK ? plan_history_observe(h, io, &w, &text, ei) : STATE_OLD;
    if (now == STATE_UNREADABLE)
        e = ei->code;
    else if (now != STATE_OLD && plan_server(org, h->step->server, &server, &gone) != ERR_OK)
        e = leave_alone(&step, &p->arena, h->step, gone.what, buf_str(&text));
    else if (now == STATE_OTHER ||
             ((h->undone || h->unchanged) && now != STATE_OLD)) /* the run left it as it was before */
        e = leave_alone(&step, &p->arena, h->step, since, buf_str(&text));
    else if (now != STATE_OLD)
        e = turn_round(&step, &p->arena, h->step, &w, io, ei);
    if (e == ERR_OK && now != STATE_OLD) {
        step.n = (int)p->n_steps + 1;
        p->steps[p->n_steps++] = step;
    }
    if (e != ERR_OK)
        err_wrap(ei, "step %d, %s", h->step->n, h->step->server);
    buf_fini(&text);
    arena_fini(&scratch);
    return e;
}

/* A misspelt name must not pass for "nothing to take back". */
static enum err check_servers(const struct history *h, const struct org *org, const struct plan_filter *f,
                              struct errinfo *ei)
{
    for (size_t i = 0; f && i < f->n_servers; i++) {
        bool known = false;
        for (size_t k = 0; !known && k < h->plan->n_steps; k++)
            known = is_called(org, f->servers[i], h->plan->steps[k].server);
        if (!known)
            return err_set(ei, ERR_USAGE, "'casbridge journal RUN' has its servers",
                           "the run has no step for a server %s", f->servers[i]);
    }
    return ERR_OK;
}

enum err run_rollback(struct plan **out, const char *run, const struct plan_apply_options *o,
                      const struct plan_filter *filter, const struct plan_io *io, struct errinfo *ei)
{
    struct history h = {0};
    struct plan *p = NULL;
    struct errinfo own = {0};
    if (!ei)
        ei = &own;
    enum err e = plan_history_read(&h, o->store, run, ei);
    if (e == ERR_OK && !str_ieq(h.plan->organization, o->org->name))
        e = err_set(ei, ERR_REFUSED, "check --profile and --source",
                    "run %s was of %s, this organisation is %s", run, h.plan->organization, o->org->name);
    if (e == ERR_OK)
        e = check_servers(&h, o->org, filter, ei);
    if (e == ERR_OK)
        e = plan_new(&p, ei);
    if (e != ERR_OK)
        goto out;
    p->organization = arena_str(&p->arena, h.plan->organization);
    p->made_by = arena_str(&p->arena, o->who ? o->who : "");
    p->rollback_of = arena_str(&p->arena, run);
    p->target = h.plan->target;
    p->steps = arena_array(&p->arena, h.plan->n_steps + 1, sizeof *p->steps);
    if (!p->organization || !p->made_by || !p->rollback_of || !p->steps) {
        e = err_set(ei, ERR_LIMIT, NULL, "the plan is too large");
        goto out;
    }
    /* Last in, first out. */
    for (size_t i = h.plan->n_steps; e == ERR_OK && i > 0; i--)
        if (h.steps[i - 1].begun && wanted(o->org, h.steps[i - 1].step, filter))
            e = add_step(p, &h.steps[i - 1], o->org, io, ei);
out:
    plan_history_fini(&h);
    if (e == ERR_OK)
        *out = p;
    else
        plan_free(&p);
    return e;
}
