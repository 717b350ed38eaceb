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

static struct journal_run *find(journal_runs *runs, const char *run)
{
    for (size_t i = runs->n; i > 0; i--)
        if (strcmp(runs->v[i - 1].run, run) == 0)
            return &runs->v[i - 1];
    return NULL;
}

static struct journal_run *start(journal_runs *runs, const char *run, const char *who, int64_t at)
{
    struct journal_run r = {
        .run = strdup(run), .who = strdup(who), .status = strdup("unfinished"), .begun = at};
    r.organization = strdup("");
    if (!r.run || !r.who || !r.status || !r.organization || !VEC_PUSH(runs, MAX_RUNS, r)) {
        journal_run_fini(&r);
        return NULL;
    }
    return &runs->v[runs->n - 1];
}

/* A run may be begun, interrupted, resumed and ended: the last word counts. */
static bool add_record(journal_runs *runs, const struct store_row *row)
{
    const char *run = row->v[0], *phase = row->v[1], *who = row->v[3], *after = row->v[4];
    int64_t at = store_row_number(row, 2);
    if (!run || !phase || !who)
        return false;
    struct journal_run *r = find(runs, run);
    if (!r && !(r = start(runs, run, who, at)))
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
    journal_runs *runs = arg;
    if (add_record(runs, row))
        return ERR_OK;
    return err_set(ei, runs->n < MAX_RUNS ? ERR_NOMEM : ERR_LIMIT, NULL,
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
    journal_runs runs = {0};
    pthread_mutex_lock(&s->mutex);
    enum err e = store_run(s, STORE_OUTLINE, NULL, 0, take_row, &runs, ei);
    if (e == ERR_OK)
        e = store_run(s, STORE_ENDS, NULL, 0, take_ends, &runs, ei);
    pthread_mutex_unlock(&s->mutex);
    if (e == ERR_OK)
        *out = runs;
    else
        journal_runs_free(&runs);
    return e;
}
