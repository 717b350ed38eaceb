#include "core/store/store_int.h"

#include "core/base/str.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RUNS 100000

void journal_run_fini(struct journal_run *r)
{
    free(r->run);
    free(r->who);
    free(r->organization);
    free(r->status);
    *r = (struct journal_run){0};
}

void journal_runs_free(journal_runs *r)
{
    for (size_t i = 0; i < r->n; i++)
        journal_run_fini(&r->v[i]);
    VEC_FREE(r);
}

static bool replace(char **to, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return false;
    free(*to);
    *to = copy;
    return true;
}

/* The list, and where in it a run is: open addressing, never more than half full, 0 is free. */
struct listing {
    journal_runs runs;
    uint32_t *slots;
    size_t n_slots; /* a power of two, or 0 */
};

static size_t slot_of(const struct listing *l, const char *run)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (const char *p = run; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 1099511628211u;
    size_t i = (size_t)(hash ^ hash >> 32) & (l->n_slots - 1);
    while (l->slots[i] && strcmp(l->runs.v[l->slots[i] - 1].run, run) != 0)
        i = (i + 1) & (l->n_slots - 1);
    return i;
}

static struct journal_run *find(const struct listing *l, const char *run)
{
    size_t i = l->n_slots ? slot_of(l, run) : 0;
    return l->n_slots && l->slots[i] ? &l->runs.v[l->slots[i] - 1] : NULL;
}

static bool make_room(struct listing *l)
{
    if ((l->runs.n + 1) * 2 <= l->n_slots)
        return true;
    size_t n = l->n_slots ? 2 * l->n_slots : 64;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots)
        return false;
    free(l->slots);
    l->slots = slots;
    l->n_slots = n;
    for (size_t i = 0; i < l->runs.n; i++)
        l->slots[slot_of(l, l->runs.v[i].run)] = (uint32_t)i + 1;
    return true;
}

static struct journal_run *start(struct listing *l, const char *run, const char *who, int64_t at)
{
    struct journal_run r = {
        .run = strdup(run), .who = strdup(who), .status = strdup("unfinished"), .begun = at};
    r.organization = strdup("");
    if (!r.run || !r.who || !r.status || !r.organization || !make_room(l) ||
        !VEC_PUSH(&l->runs, MAX_RUNS, r)) {
        journal_run_fini(&r);
        return NULL;
    }
    l->slots[slot_of(l, run)] = (uint32_t)l->runs.n;
    return &l->runs.v[l->runs.n - 1];
}

/* A run may be begun, interrupted, resumed and ended: the last word counts. */
static bool add_record(struct listing *l, const struct store_row *row)
{
    const char *run = row->v[0], *phase = row->v[1], *who = row->v[3], *after = row->v[4];
    int64_t at = store_row_number(row, 2);
    if (!run || !phase || !who)
        return false;
    struct journal_run *r = find(l, run);
    if (!r && !(r = start(l, run, who, at)))
        return false;
    json_t *j = after ? json_loads(after, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char *text;
    bool ok = true;
    if (strcmp(phase, "begin") == 0) {
        r->steps = (int)json_integer_value(json_object_get(j, "steps"));
        if ((text = json_string_value(json_object_get(j, "organization"))))
            ok = replace(&r->organization, text);
    } else if (strcmp(phase, "resume") == 0) {
        r->ended = 0;
        ok = replace(&r->status, "unfinished");
    } else if (strcmp(phase, "end") == 0) {
        r->ended = at;
        text = json_string_value(json_object_get(j, "status"));
        ok = replace(&r->status, text ? text : "failed");
    }
    json_decref(j);
    return ok;
}

static enum err take_row(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct listing *l = arg;
    if (add_record(l, row))
        return ERR_OK;
    return err_set(ei, l->runs.n < MAX_RUNS ? ERR_NOMEM : ERR_LIMIT, NULL,
                   "the list of runs does not fit into memory");
}

/* How many steps of a run ended in what: the last of done and failed counts. */
static enum err take_ends(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct journal_run *r = row->v[0] ? find(arg, row->v[0]) : NULL;
    (void)ei;
    if (r && row->v[1])
        *(strcmp(row->v[1], "done") == 0 ? &r->done : &r->failed) = (int)store_row_number(row, 2);
    return ERR_OK;
}

enum err journal_list(struct store *s, journal_runs *out, struct errinfo *ei)
{
    struct listing l = {0};
    pthread_mutex_lock(&s->mutex);
    enum err e = store_run(s, STORE_OUTLINE, NULL, 0, take_row, &l, ei);
    if (e == ERR_OK)
        e = store_run(s, STORE_ENDS, NULL, 0, take_ends, &l, ei);
    pthread_mutex_unlock(&s->mutex);
    free(l.slots);
    if (e == ERR_OK)
        *out = l.runs;
    else
        journal_runs_free(&l.runs);
    return e;
}
