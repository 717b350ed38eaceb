/* The wizard's gates as people settled them, and the last evidence of each organisation. */
#include "core/store/store_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PROGRESS 100000
#define MAX_TEXT     4096
#define MAX_NAME     256

void store_progress_fini(struct store_progress *p)
{
    free(p->organization);
    free(p->gate);
    free(p->state);
    free(p->who);
    free(p->note);
    *p = (struct store_progress){0};
}

void store_progresses_free(store_progresses *p)
{
    for (size_t i = 0; i < p->n; i++)
        store_progress_fini(&p->v[i]);
    VEC_FREE(p);
}

static enum err take_progress(void *arg, const struct store_row *row, struct errinfo *ei)
{
    store_progresses *out = arg;
    struct store_progress p = {.at = store_row_number(row, 4), .version = store_row_number(row, 6)};
    if (store_row_take(row, 0, &p.organization) && store_row_take(row, 1, &p.gate) &&
        store_row_take(row, 2, &p.state) && store_row_take(row, 3, &p.who) &&
        store_row_take(row, 5, &p.note) && VEC_PUSH(out, MAX_PROGRESS, p))
        return ERR_OK;
    store_progress_fini(&p);
    return err_set(ei, ERR_LIMIT, NULL, "there is more progress than fits");
}

enum err store_progress_get(struct store *s, const char *organization, store_progresses *out,
                            struct errinfo *ei)
{
    store_progresses found = {0};
    const struct store_value values[] = {STORE_TEXT(organization)};
    pthread_mutex_lock(&s->mutex);
    enum err e = store_run(s, STORE_PROGRESS, values, 1, take_progress, &found, ei);
    pthread_mutex_unlock(&s->mutex);
    if (e == ERR_OK)
        *out = found;
    else
        store_progresses_free(&found);
    return e;
}

static enum err insert_progress(struct store *s, const struct store_progress *p, struct errinfo *ei)
{
    const struct store_value values[] = {
        STORE_TEXT(p->organization), STORE_TEXT(p->gate), STORE_TEXT(p->state),
        STORE_TEXT(p->who),          STORE_NUMBER(p->at), STORE_TEXT(p->note ? p->note : ""),
        STORE_NUMBER(p->version),
    };
    return store_run(s, STORE_PROGRESS_PUT, values, ARRAY_LEN(values), NULL, NULL, ei);
}

enum err store_progress_put(struct store *s, struct store_progress *p, struct errinfo *ei)
{
    struct store_progress c = *p;
    const struct {
        const char *name, *text;
        size_t max;
    } texts[] = {{"the organisation", p->organization, MAX_NAME},
                 {"the gate", p->gate, MAX_NAME},
                 {"the gate's state", p->state, MAX_NAME},
                 {"who", p->who, MAX_NAME},
                 {"the note", p->note && *p->note ? p->note : "-", MAX_TEXT}};
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < ARRAY_LEN(texts); i++)
        e = store_check_text(texts[i].name, texts[i].text, texts[i].max, ei);
    if (e != ERR_OK)
        return e;
    if (!c.at)
        c.at = clock_unix();
    pthread_mutex_lock(&s->mutex);
    e = store_begin(s, STORE_TURN_WRITE, ei);
    if (e == ERR_OK) {
        e = store_number(s, STORE_PROGRESS_VERSION, NULL, 0, &c.version, ei);
        c.version++;
        if (e == ERR_OK)
            e = insert_progress(s, &c, ei);
        e = store_end(s, e, ei);
    }
    pthread_mutex_unlock(&s->mutex);
    if (e == ERR_OK)
        *p = c;
    return e;
}

void store_evidence_fini(struct store_evidence *e)
{
    free(e->organization);
    free(e->who);
    free(e->from);
    free(e->lines);
    *e = (struct store_evidence){0};
}

void store_evidences_free(store_evidences *e)
{
    for (size_t i = 0; i < e->n; i++)
        store_evidence_fini(&e->v[i]);
    VEC_FREE(e);
}

static enum err take_evidence(void *arg, const struct store_row *row, struct errinfo *ei)
{
    store_evidences *out = arg;
    struct store_evidence e = {.version = store_row_number(row, 1),
                               .at = store_row_number(row, 2),
                               .probed = store_row_number(row, 5) != 0,
                               .n = store_row_number(row, 6)};
    if (store_row_take(row, 0, &e.organization) && store_row_take(row, 3, &e.who) &&
        store_row_take(row, 4, &e.from) && store_row_take(row, 7, &e.lines) && VEC_PUSH(out, 1000, e))
        return ERR_OK;
    store_evidence_fini(&e);
    return err_set(ei, ERR_LIMIT, NULL, "there is more evidence than fits");
}

enum err store_evidence_list(struct store *s, const char *organization, store_evidences *out,
                             struct errinfo *ei)
{
    store_evidences found = {0};
    const struct store_value values[] = {STORE_TEXT(organization)};
    pthread_mutex_lock(&s->mutex);
    /* A turn has the time that 32 MiB take. */
    enum err e = store_begin(s, STORE_TURN_READ, ei);
    if (e == ERR_OK)
        e = store_end(s, store_run(s, STORE_EVIDENCE, values, 1, take_evidence, &found, ei), ei);
    pthread_mutex_unlock(&s->mutex);
    if (e == ERR_OK)
        *out = found;
    else
        store_evidences_free(&found);
    return e;
}

enum err store_evidence_get(struct store *s, const char *organization, struct store_evidence *out,
                            struct errinfo *ei)
{
    store_evidences found = {0};
    enum err e = store_evidence_list(s, organization, &found, ei);
    if (e == ERR_OK && !found.n)
        e = err_set(ei, ERR_NOTFOUND, "casbridge check --probe gathers it", "no evidence of %s is kept",
                    organization);
    if (e == ERR_OK) {
        *out = found.v[0];
        found.v[0] = (struct store_evidence){0};
    }
    store_evidences_free(&found);
    return e;
}

static enum err insert_evidence(struct store *s, const struct store_evidence *e, struct errinfo *ei)
{
    const struct store_value values[] = {
        STORE_TEXT(e->organization), STORE_NUMBER(e->version), STORE_NUMBER(e->at), STORE_TEXT(e->who),
        STORE_TEXT(e->from),         STORE_NUMBER(e->probed),  STORE_NUMBER(e->n),  STORE_TEXT(e->lines),
    };
    return store_run(s, STORE_EVIDENCE_PUT, values, ARRAY_LEN(values), NULL, NULL, ei);
}

static enum err check_seen(struct store *s, const struct store_evidence *ev, int64_t over, struct errinfo *ei)
{
    int64_t seen = 0;
    const struct store_value values[] = {STORE_TEXT(ev->organization)};
    enum err e =
        over == STORE_EVIDENCE_ANY ? ERR_OK : store_number(s, STORE_EVIDENCE_SEEN, values, 1, &seen, ei);
    if (e == ERR_OK && over != STORE_EVIDENCE_ANY && seen != over)
        e = err_set(ei, ERR_STALE, "try again", "somebody else has kept evidence of %s meanwhile",
                    ev->organization);
    return e;
}

enum err store_evidence_put(struct store *s, struct store_evidence *ev, int64_t over, struct errinfo *ei)
{
    struct store_evidence c = *ev;
    enum err e = store_check_text("the organisation", c.organization, MAX_NAME, ei);
    if (e == ERR_OK)
        e = store_check_text("who", c.who, MAX_NAME, ei);
    if (e == ERR_OK)
        e = store_check_text("the evidence", c.lines, STORE_EVIDENCE_MAX, ei);
    if (e != ERR_OK)
        return e;
    if (!c.at)
        c.at = clock_unix();
    pthread_mutex_lock(&s->mutex);
    e = store_begin(s, STORE_TURN_WRITE, ei);
    if (e == ERR_OK) {
        e = check_seen(s, &c, over, ei);
        if (e == ERR_OK)
            e = store_number(s, STORE_EVIDENCE_VERSION, NULL, 0, &c.version, ei);
        c.version++;
        if (e == ERR_OK)
            e = insert_evidence(s, &c, ei);
        e = store_end(s, e, ei);
    }
    pthread_mutex_unlock(&s->mutex);
    if (e == ERR_OK)
        *ev = c;
    return e;
}
