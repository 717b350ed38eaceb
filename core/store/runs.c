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
static bool add_record(journal_runs *runs, sqlite3_stmt *st)
{
    const char *run = (const char *)sqlite3_column_text(st, 0);
    const char *phase = (const char *)sqlite3_column_text(st, 1);
    const char *who = (const char *)sqlite3_column_text(st, 3);
    const char *after = (const char *)sqlite3_column_text(st, 4);
    int64_t at = sqlite3_column_int64(st, 2);
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

static enum err count(struct store *s, const char *run, const char *phase, int *out, struct errinfo *ei)
{
    sqlite3_stmt *st = store_statement(s, STORE_COUNT, ei);
    if (!st)
        return ei ? ei->code : ERR_INTERNAL;
    store_bind_text(st, 1, run);
    store_bind_text(st, 2, phase);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int(st, 0);
    enum err e = rc == SQLITE_ROW ? ERR_OK : store_error(s, rc, ei, "cannot be read");
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return e;
}

enum err journal_list(struct store *s, journal_runs *out, struct errinfo *ei)
{
    journal_runs runs = {0};
    enum err e = ERR_OK;
    int rc = SQLITE_ERROR;
    pthread_mutex_lock(&s->mutex);
    sqlite3_stmt *st = store_statement(s, STORE_OUTLINE, ei);
    if (!st) {
        e = ei ? ei->code : ERR_INTERNAL;
        goto out;
    }
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        if (!add_record(&runs, st)) {
            e = err_set(ei, runs.n < MAX_RUNS ? ERR_NOMEM : ERR_LIMIT, NULL,
                        "the list of runs does not fit into memory");
            break;
        }
    if (e == ERR_OK && rc != SQLITE_DONE)
        e = store_error(s, rc, ei, "cannot be read");
    sqlite3_reset(st);
    for (size_t i = 0; e == ERR_OK && i < runs.n; i++) {
        e = count(s, runs.v[i].run, "done", &runs.v[i].done, ei);
        if (e == ERR_OK)
            e = count(s, runs.v[i].run, "failed", &runs.v[i].failed, ei);
    }
out:
    pthread_mutex_unlock(&s->mutex);
    if (e == ERR_OK)
        *out = runs;
    else
        journal_runs_free(&runs);
    return e;
}
