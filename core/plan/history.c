#include "core/plan/run_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

/* A cmdlet sent shortly before the run died may still be at work on the server. */
#define FRESH_S 300

void plan_history_fini(struct history *h)
{
    plan_free(&h->plan);
    *h = (struct history){0};
}

static enum err bad_record(struct errinfo *ei, const struct journal_record *r)
{
    return err_set(ei, ERR_INPUT, "'casbridge journal verify' tells whether it was changed",
                   "record %lld of the journal cannot be understood", (long long)r->id);
}

static enum err take_begin(struct history *h, const struct journal_record *r, struct errinfo *ei)
{
    struct arena *a = &h->plan->arena;
    json_t *j = json_loads(r->after ? r->after : "", JSON_REJECT_DUPLICATES, NULL);
    const char *organization = json_string_value(json_object_get(j, "organization"));
    const char *target = json_string_value(json_object_get(j, "target"));
    const char *of = json_string_value(json_object_get(j, "rollback_of"));
    json_int_t steps = json_integer_value(json_object_get(j, "steps"));
    enum err e = ERR_OK;
    if (!organization || !target || !generation_from_name(target, &h->plan->target) || steps < 0 ||
        steps > PLAN_MAX_STEPS) {
        e = bad_record(ei, r);
    } else {
        h->expected = (size_t)steps;
        h->plan->organization = arena_str(a, organization);
        h->plan->steps = arena_array(a, h->expected + 1, sizeof *h->plan->steps);
        h->steps = arena_array(a, h->expected + 1, sizeof *h->steps);
        h->plan->rollback_of = arena_str(a, of);
        if (!h->plan->organization || (of && !h->plan->rollback_of) || !h->plan->steps || !h->steps)
            e = err_set(ei, ERR_LIMIT, NULL, "the run is too large");
    }
    json_decref(j);
    return e;
}

/* The journal is read as strictly as a plan file: what comes from it is pushed too. */
static enum err take_capture(struct history *h, const struct journal_record *r, struct errinfo *ei)
{
    struct plan *p = h->plan;
    if (p->n_steps >= h->expected || r->step < 1)
        return bad_record(ei, r);
    json_t *j = json_loads(r->detail ? r->detail : "", JSON_REJECT_DUPLICATES, NULL);
    enum err e = j ? step_from_json(&p->steps[p->n_steps], &p->arena, j, r->step, ei) : bad_record(ei, r);
    json_decref(j);
    if (e != ERR_OK) {
        err_wrap(ei, "journal record %lld", (long long)r->id);
        return e;
    }
    h->steps[p->n_steps].step = &p->steps[p->n_steps];
    p->n_steps++;
    return ERR_OK;
}

static struct step_history *find_step(struct history *h, int n)
{
    for (size_t i = 0; i < h->plan->n_steps; i++)
        if (h->steps[i].step->n == n)
            return &h->steps[i];
    return NULL;
}

static enum err take_record(struct history *h, const struct journal_record *r, struct errinfo *ei)
{
    if (strcmp(r->phase, "begin") == 0)
        return h->steps ? bad_record(ei, r) : take_begin(h, r, ei);
    if (!h->steps)
        return bad_record(ei, r);
    if (strcmp(r->phase, "capture") == 0)
        return take_capture(h, r, ei);
    if (strcmp(r->phase, "end") == 0) {
        json_t *j = json_loads(r->after ? r->after : "", JSON_REJECT_DUPLICATES, NULL);
        h->ended = true;
        h->interrupted = str_eq(json_string_value(json_object_get(j, "status")), "interrupted");
        json_decref(j);
        return ERR_OK;
    }
    if (strcmp(r->phase, "resume") == 0) {
        h->ended = h->interrupted = false;
        return ERR_OK;
    }
    struct step_history *s = find_step(h, r->step);
    if (!s)
        return bad_record(ei, r);
    if (strcmp(r->phase, "intent") == 0) {
        s->begun = true;
        s->ended = s->undo_begun = s->failed = s->undone = s->unchanged = s->done = s->put_back = false;
        s->sent_at = r->at;
    } else if (strcmp(r->phase, "undo") == 0 ||
               (strcmp(r->phase, "failed") == 0 && str_eq(r->after, RECORD_PUT_BACK))) {
        s->undo_begun = s->put_back = true;
        s->ended = false;
        s->sent_at = r->at;
    } else if (strcmp(r->phase, "done") == 0 || strcmp(r->phase, "failed") == 0 ||
               strcmp(r->phase, "undone") == 0 || strcmp(r->phase, "skipped") == 0) {
        s->ended = true;
        s->done = s->done || strcmp(r->phase, "done") == 0;
        s->undone = strcmp(r->phase, "undone") == 0;
        s->failed = s->undone || strcmp(r->phase, "failed") == 0;
        s->unchanged = s->failed && str_eq(r->after, RECORD_UNCHANGED);
    }
    return ERR_OK;
}

enum err plan_history_read(struct history *out, struct store *store, const char *run, struct errinfo *ei)
{
    struct history h = {0};
    journal_records records = {0};
    enum err e = plan_new(&h.plan, ei);
    if (e == ERR_OK)
        e = journal_read(store, run, &records, ei);
    h.first_id = records.n ? records.v[0].id : 0;
    for (size_t i = 0; e == ERR_OK && i < records.n; i++)
        e = take_record(&h, &records.v[i], ei);
    if (e == ERR_OK && !h.steps)
        e = err_set(ei, ERR_NOTFOUND, "'casbridge journal' lists the runs", "'%s' is no run", run);
    journal_records_free(&records);
    if (e == ERR_OK)
        *out = h;
    else
        plan_history_fini(&h);
    return e;
}

#define MAX_ROLLBACKS 10000

typedef VEC(const char *) run_ids;

static const char *find_run(const run_ids *ids, const char *run)
{
    for (size_t i = ids->n; i > 0; i--)
        if (str_eq(ids->v[i - 1], run))
            return ids->v[i - 1];
    return NULL;
}

/* Of a record after the run's first: the beginning of a run that takes it back, or a step of one, which may have been resumed after others
   had begun. */
static enum err take_later(struct history *h, const struct journal_record *r, const char *run, run_ids *backs,
                           struct errinfo *ei)
{
    const char *back;
    if (strcmp(r->phase, "begin") == 0) {
        json_t *j = json_loads(r->after ? r->after : "", JSON_REJECT_DUPLICATES, NULL);
        bool found = str_eq(json_string_value(json_object_get(j, "rollback_of")), run);
        json_decref(j);
        if (found && (!(back = arena_str(&h->plan->arena, r->run)) || !VEC_PUSH(backs, MAX_ROLLBACKS, back)))
            return err_set(ei, ERR_LIMIT, NULL, "the run is too large");
    }
    if (strcmp(r->phase, "intent") != 0 || !(back = find_run(backs, r->run)))
        return ERR_OK;
    for (size_t i = 0; i < h->plan->n_steps; i++)
        if (str_ieq(h->steps[i].step->server, r->server))
            h->steps[i].taken_back = back;
    return ERR_OK;
}

enum err plan_history_rollbacks(struct history *h, struct store *store, const char *run, struct errinfo *ei)
{
    int64_t after = h->first_id;
    run_ids backs = {0};
    enum err e = ERR_OK;
    for (bool more = true; e == ERR_OK && more;) {
        journal_records records = {0};
        e = journal_read_after(store, after, NULL, &records, ei);
        for (size_t i = 0; e == ERR_OK && i < records.n; i++) {
            after = records.v[i].id;
            e = take_later(h, &records.v[i], run, &backs, ei);
        }
        more = records.n > 0;
        journal_records_free(&records);
    }
    VEC_FREE(&backs);
    return e;
}

enum step_state plan_history_observe(const struct step_history *h, const struct plan_io *io,
                                     const struct watches *w, struct buf *text, struct errinfo *ei)
{
    bool fresh = !h->ended && clock_unix() - h->sent_at < FRESH_S;
    enum step_state goal = h->undo_begun ? STATE_OLD : STATE_NEW;
    return observe_until(io, w, goal, fresh ? RUN_SETTLE_MS : 0, text, ei);
}
