#include "core/plan/run_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_CANARY   1
#define DEFAULT_PARALLEL 8
#define DEFAULT_MAX_FAIL 1
#define MAX_PARALLEL     256
/* What is not verified yet is never more than what runs at once: a host is begun when one has ended, and not after a failure too many.
   A wave only says where everybody waits for the slowest; each such wait leaves the others idle. */
#define WAVE_OF_PARALLEL 8

const char *plan_phase_name(enum plan_phase p)
{
    static const char *const names[] = {"queued", "intent", "push",   "reread", "verify",
                                        "done",   "failed", "undone", "skipped"};
    return (size_t)p < ARRAY_LEN(names) ? names[p] : "?";
}

static unsigned or_default(unsigned v, unsigned otherwise)
{
    return v ? v : otherwise;
}

void run_halt(struct run *r, enum err e, const struct errinfo *ei)
{
    pthread_mutex_lock(&r->mutex);
    if (r->trouble == ERR_OK) {
        r->trouble = e;
        if (ei)
            r->trouble_ei = *ei;
    }
    pthread_mutex_unlock(&r->mutex);
    atomic_store(&r->halted, true);
}

static unsigned max_fail(const struct run *r)
{
    return or_default(r->o->max_fail, DEFAULT_MAX_FAIL);
}

static unsigned parallel(const struct plan_apply_options *o)
{
    unsigned n = or_default(o->parallel, DEFAULT_PARALLEL);
    return n < MAX_PARALLEL ? n : MAX_PARALLEL;
}

bool run_is_stopped(const struct run *r)
{
    return stop_left_ms(r->o->stop, 1) == 0;
}

bool run_is_halted(const struct run *r)
{
    return atomic_load(&r->halted) || run_is_stopped(r);
}

bool run_must_stop(const struct run *r)
{
    return run_is_halted(r) || atomic_load(&r->failed_hosts) >= max_fail(r);
}

/* The step against the organisation: what the plan file alone could not know. */
static enum err init_step(struct run *r, struct step_run *s, const struct server **server, struct errinfo *ei)
{
    const struct server *found = NULL;
    enum err e = plan_server(r->o->org, s->step->server, &found, ei);
    if (e == ERR_OK)
        e = step_check(s->step, 1u << found->generation, &s->watches, &r->arena, ei);
    if (e == ERR_OK && !dn_is_below(s->watches.dn, found->dn))
        e = err_set(ei, ERR_INPUT, "plan again", "%s is not below the server's object", s->watches.dn);
    if (e == ERR_OK)
        *server = found;
    /* A run that was begun is ended for the others, and what is only left out needs no server. */
    bool gone = e == ERR_STALE || e == ERR_REFUSED || e == ERR_INPUT;
    if (!gone || (!r->resumed && !s->step->skip))
        return e;
    s->gone = arena_str(&r->arena, ei->what);
    return s->gone ? ERR_OK : err_set(ei, ERR_NOMEM, NULL, "no memory for the run");
}

/* The steps' place among the hosts, made when it is the first. One that cannot be used any more is one by its name. */
static struct host_run *host_of(struct run *r, size_t *places, const struct server *server,
                                const char *server_name)
{
    size_t *at = server ? &places[server - r->o->org->servers] : NULL;
    for (size_t i = 0; !server && i < r->n_hosts; i++)
        if (!r->hosts[i].server && str_ieq(r->hosts[i].gone, server_name))
            return &r->hosts[i];
    if (at && *at)
        return &r->hosts[*at - 1];
    struct host_run *h = &r->hosts[r->n_hosts++];
    *h = (struct host_run){.run = r, .server = server, .gone = server ? NULL : server_name};
    if (at)
        *at = r->n_hosts;
    return h;
}

/* Steps of one server side by side, servers in the order in which the plan names them first. */
static enum err group_hosts(struct run *r, const struct server **servers, struct errinfo *ei)
{
    size_t n = r->plan->n_steps;
    size_t *places = arena_array(&r->arena, r->o->org->n_servers + 1, sizeof *places);
    struct step_run *sorted = arena_array(&r->arena, n + 1, sizeof *sorted);
    r->hosts = arena_array(&r->arena, n + 1, sizeof *r->hosts);
    if (!places || !sorted || !r->hosts)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the run");
    for (size_t i = 0; i < n; i++)
        host_of(r, places, servers[i], r->plan->steps[i].server)->n_steps++;
    for (size_t i = 0, next = 0; i < r->n_hosts; i++) {
        r->hosts[i].steps = &sorted[next];
        next += r->hosts[i].n_steps;
        r->hosts[i].n_steps = 0;
    }
    for (size_t i = 0; i < n; i++) {
        struct host_run *h = host_of(r, places, servers[i], r->plan->steps[i].server);
        h->steps[h->n_steps++] = r->steps[i];
    }
    r->steps = sorted;
    return ERR_OK;
}

enum err run_init(struct run *r, const struct plan *p, const char *id, const struct plan_apply_options *o,
                  const struct plan_io *io, struct errinfo *ei)
{
    *r = (struct run){.plan = p, .o = o, .io = io, .resumed = id != NULL};
    str_copy(r->id, sizeof r->id, id ? id : "");
    arena_init(&r->arena, PLAN_ARENA_LIMIT);
    pthread_mutex_init(&r->mutex, NULL);
    if (!str_ieq(p->organization, o->org->name))
        return err_set(ei, ERR_REFUSED, "check --profile and --source",
                       "the plan is for %s, this organisation is %s", p->organization, o->org->name);
    const struct server **servers = arena_array(&r->arena, p->n_steps + 1, sizeof *servers);
    r->steps = arena_array(&r->arena, p->n_steps + 1, sizeof *r->steps);
    if (!servers || !r->steps)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the run");
    for (size_t i = 0; i < p->n_steps; i++) {
        r->steps[i].step = &p->steps[i];
        if (p->steps[i].n_nudges && str_eq(o->transport->name, "psrp"))
            return err_set(ei, ERR_REFUSED, "--via ssh or winrm; or plan without --nudge",
                           "step %d: a nudge needs a full shell, and psrp gives none", p->steps[i].n);
        enum err e = init_step(r, &r->steps[i], &servers[i], ei);
        if (e != ERR_OK) {
            err_wrap(ei, "step %d", p->steps[i].n);
            return e;
        }
    }
    enum err e = group_hosts(r, servers, ei);
    return e == ERR_OK ? job_pool_new(&r->pool, parallel(o), ei) : e;
}

enum err run_lock(const struct plan_apply_options *o, const char *reason, struct errinfo *ei)
{
    const char *who = o->who ? o->who : "unknown";
    if (o->force_lock)
        return store_lock_force(o->store, who, o->force_lock, ei);
    enum err e = store_lock(o->store, who, reason, ei);
    if (e == ERR_LOCKED)
        err_hint(ei, "wait until that run has ended; where nobody is at work any more: --force-lock REASON, "
                     "in the console :force");
    return e;
}

void run_fini(struct run *r)
{
    job_pool_free(&r->pool);
    for (size_t i = 0; r->steps && i < r->plan->n_steps; i++)
        free(r->steps[i].before);
    arena_fini(&r->arena);
    pthread_mutex_destroy(&r->mutex);
}

static enum err run_jobs(struct run *r, job_fn *fn, size_t from, size_t n, struct errinfo *ei)
{
    enum err e = ERR_OK;
    for (size_t i = from; e == ERR_OK && i < from + n; i++)
        e = job_pool_submit(r->pool, fn, NULL, &r->hosts[i]);
    job_pool_wait(r->pool);
    return e == ERR_OK ? e : err_set(ei, e, NULL, "a job could not be started: %s", err_text(e));
}

enum err run_ask_wires(struct run *r, struct errinfo *ei)
{
    return run_jobs(r, host_ask_wires, 0, r->n_hosts, ei);
}

/* So many servers failed before the run was interrupted that the resume, which saw no other fail, begins nothing: --max-fail decides. */
static bool is_spent(const struct run *r)
{
    return r->failed_before >= max_fail(r) && atomic_load(&r->failed_hosts) == r->failed_before;
}

/* What was never begun. After a failure that is final and recorded; after a stop `resume` may still go on with it. */
static void close_steps(struct run *r, struct plan_outcome *out)
{
    bool resumable = run_is_halted(r) || is_spent(r);
    const char *why = atomic_load(&r->halted) ? "not begun: the run had to end"
                      : run_is_stopped(r)     ? "not begun: the run was stopped"
                      : is_spent(r)           ? "not begun: too many servers had failed already"
                      : r->canary_died        ? "not begun: the canary failed"
                                              : "not begun: too many servers have failed";
    for (size_t i = 0; i < r->plan->n_steps; i++) {
        struct step_run *s = &r->steps[i];
        if (s->start == START_NEVER && s->result == PLAN_QUEUED)
            continue; /* ended before */
        if (s->result == PLAN_QUEUED && !resumable) {
            enum err e = run_record(r, s->step, "skipped", &(struct record_texts){.detail = why}, NULL);
            (void)e;
        }
        if (s->result == PLAN_QUEUED)
            run_progress(r, s->step, PLAN_SKIPPED, "%s", why);
        switch (s->result) {
        case PLAN_DONE: out->done++; break;
        case PLAN_FAILED: out->failed++; break;
        case PLAN_UNDONE: out->undone++; break;
        case PLAN_SKIPPED: out->skipped++; break;
        case PLAN_QUEUED:
            if (s->start == START_FRESH) {
                out->skipped++;
                r->not_begun++;
            } else
                out->unfinished++;
            break;
        case PLAN_INTENT:
        case PLAN_PUSH:
        case PLAN_REREAD:
        case PLAN_VERIFY: out->unfinished++; break;
        }
    }
    job_pool_wait(r->pool); /* the progress that was handed over */
}

/* The reason rather than what was put back because of it. */
static const struct step_run *first_failure(const struct run *r)
{
    const struct step_run *found = NULL;
    for (size_t i = 0; i < r->plan->n_steps; i++) {
        const struct step_run *s = &r->steps[i];
        bool bad = s->result == PLAN_FAILED || s->result == PLAN_UNDONE || s->result == PLAN_REREAD;
        if (bad && (!found || (found->with_host && !s->with_host)))
            found = s;
    }
    return found;
}

/* Steps that were not done because somebody else's value is there. Of a plan from findings somebody chose what to leave out. */
static unsigned left_alone(const struct run *r, const struct step_run **first)
{
    unsigned n = 0;
    for (size_t i = 0; i < r->plan->n_steps; i++) {
        const struct step_run *s = &r->steps[i];
        bool skipped = s->result == PLAN_SKIPPED && s->step->skip && r->plan->rollback_of;
        if ((skipped || s->left_alone) && n++ == 0)
            *first = s;
    }
    return n;
}

/* A step failed, and what it changed is there still. */
static bool stays(const struct run *r)
{
    for (size_t i = 0; i < r->plan->n_steps; i++)
        if (r->steps[i].stays)
            return true;
    return false;
}

static enum err conclude(struct run *r, struct plan_outcome *out, struct errinfo *ei)
{
    char hint[200];
    const struct step_run *left = NULL;
    bool stopped = run_is_stopped(r), spent = is_spent(r) && r->not_begun;
    bool open = out->unfinished || atomic_load(&r->halted) || (stopped && r->not_begun) || spent;
    unsigned n_left = left_alone(r, &left);
    bool bad_now = out->failed || out->undone, bad = bad_now || r->failed_before || n_left;
    struct errinfo record_ei = {0};
    enum err e = run_record_end(r, open ? "interrupted" : bad ? "failed" : "done", out, &record_ei);
    if (open)
        str_fmt(hint, sizeof hint, "'casbridge resume %s' goes on", r->id);
    else if (r->plan->rollback_of && bad_now)
        str_fmt(hint, sizeof hint,
                "'casbridge journal %s' has it all, 'casbridge rollback %s' tries the rest", r->id,
                r->plan->rollback_of);
    else if (!r->plan->rollback_of && (out->done || stays(r)))
        str_fmt(hint, sizeof hint,
                "'casbridge journal %s' has it all, 'casbridge rollback %s' takes back what stayed", r->id,
                r->id);
    else
        str_fmt(hint, sizeof hint, "'casbridge journal %s' has it all", r->id);
    const struct step_run *s = first_failure(r);
    if (r->trouble != ERR_OK) {
        if (ei) {
            *ei = r->trouble_ei;
            err_wrap(ei, "run %s had to end", r->id);
            char first[sizeof ei->hint];
            str_copy(first, sizeof first, ei->hint);
            err_hint(ei, "%s%s%s", first, first[0] ? "; then " : "", hint);
        }
        return r->trouble;
    }
    if (e != ERR_OK)
        return err_set(ei, e, record_ei.hint, "%s", record_ei.what);
    if (spent && !stopped && !out->unfinished) {
        str_fmt(hint, sizeof hint,
                "'casbridge resume %s --max-fail %u' goes on, 'casbridge rollback %s' takes it back", r->id,
                r->failed_before + 1, r->id);
        return err_set(ei, ERR_PARTIAL, hint,
                       "run %s: %u servers had failed before it was interrupted, nothing more is begun",
                       r->id, r->failed_before);
    }
    if (open)
        return err_set(ei,
                       !stopped                     ? ERR_PARTIAL
                       : stop_is_raised(r->o->stop) ? ERR_INTERRUPTED
                                                    : ERR_TIMEOUT,
                       hint, "run %s %s: %u done, %u unfinished, %u not begun", r->id,
                       stopped ? "was stopped" : "has not ended", out->done, out->unfinished, out->skipped);
    if (n_left && !bad_now)
        return err_set(ei, ERR_PARTIAL, hint, "%s%u of %u steps left alone, the first: %s: %s",
                       r->plan->rollback_of ? "not everything was put back: " : "", n_left,
                       (unsigned)r->plan->n_steps, left->step->server,
                       left->step->skip ? left->step->skip : left->reason);
    if (bad && !bad_now)
        return err_set(ei, ERR_PARTIAL, hint,
                       "run %s: what was left is done, but %u servers had failed before it was interrupted",
                       r->id, r->failed_before);
    if (bad)
        return err_set(ei, ERR_PARTIAL, hint, "%u of %u steps failed: %s%s: %s", out->failed + out->undone,
                       out->done + out->failed + out->undone + out->skipped, s ? s->step->server : "?",
                       s && s->result == PLAN_UNDONE ? " (put back)" : "", s ? s->reason : "?");
    return ERR_OK;
}

/* Something is left to be begun there; *sends: and to be sent, without which a host is no canary. */
static bool is_open(const struct host_run *h, bool *sends)
{
    bool open = false;
    *sends = false;
    for (size_t i = 0; i < h->n_steps; i++)
        if (h->steps[i].start == START_FRESH && h->steps[i].result == PLAN_QUEUED) {
            open = true;
            *sends = *sends || !h->steps[i].step->skip;
        }
    return open;
}

/* What was in hand when the run was interrupted; then the canaries, one by one; then the waves. */
enum err run_hosts(struct run *r, struct plan_outcome *out, struct errinfo *ei)
{
    size_t canaries = or_default(r->o->canary, DEFAULT_CANARY), next = 0;
    const size_t wave = or_default(r->o->wave, WAVE_OF_PARALLEL * parallel(r->o));
    enum err e = r->resumed ? run_jobs(r, host_settle, 0, r->n_hosts, ei) : ERR_OK;
    while (e == ERR_OK && next < r->n_hosts && !run_must_stop(r) && !r->canary_died) {
        bool sends;
        if (!is_open(&r->hosts[next], &sends)) {
            next++;
            continue;
        }
        const unsigned failed = atomic_load(&r->failed_hosts);
        size_t n = canaries ? 1 : wave;
        n = n < r->n_hosts - next ? n : r->n_hosts - next;
        e = run_jobs(r, host_run, next, n, ei);
        next += n;
        /* A canary that died is reason enough, however many failures are allowed. */
        if (canaries) {
            r->canary_died = atomic_load(&r->failed_hosts) > failed;
            canaries -= sends;
        }
    }
    if (e != ERR_OK)
        run_halt(r, e, ei);
    close_steps(r, out);
    return conclude(r, out, ei);
}
