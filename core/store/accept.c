/* Accepted findings: who lives with which, why, until when. Every change is a record of the journal as well. */
#include "core/store/store_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define MAX_ACCEPTANCES 10000
#define MAX_TEXT        4096

void acceptances_free(acceptances *a)
{
    for (size_t i = 0; i < a->n; i++)
        acceptance_fini(&a->v[i]);
    VEC_FREE(a);
}

void acceptance_fini(struct acceptance *a)
{
    free(a->organization);
    free(a->rule);
    free(a->server);
    free(a->by);
    free(a->reason);
    *a = (struct acceptance){0};
}

static enum err check(const struct acceptance *a, struct errinfo *ei)
{
    const char *texts[] = {a->organization, a->rule, a->by, a->reason, a->server ? a->server : "-"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        size_t len = texts[i] ? strlen(texts[i]) : 0;
        if (!len)
            return err_set(ei, ERR_USAGE, "say why (--reason)", "an accepted finding wants a reason");
        if (len > MAX_TEXT)
            return err_set(ei, ERR_LIMIT, NULL, "a text of %zu bytes is too long to be kept", len);
        if (!utf8_valid(texts[i], len))
            return err_set(ei, ERR_INPUT, NULL, "a text that is not UTF-8 cannot be kept");
    }
    return ERR_OK;
}

/* The journal's own words for it; detail holds what the table loses when an acceptance is taken back. */
static enum err record(struct store *s, const struct acceptance *a, const char *phase, const char *who,
                       int64_t at, struct errinfo *ei)
{
    char until[CLOCK_TEXT_SIZE], phase_text[16], run[] = JOURNAL_NO_RUN;
    struct buf detail, who_text;
    buf_init(&detail, JOURNAL_TEXT_MAX);
    buf_init(&who_text, JOURNAL_TEXT_MAX);
    buf_adds(&who_text, who);
    buf_addf(&detail, "%s, until %s, organisation %s", a->rule,
             a->until ? clock_rfc3339(a->until, until) : "further notice", a->organization);
    str_copy(phase_text, sizeof phase_text, phase);
    struct journal_record r = {.run = run,
                               .at = at,
                               .server = a->server,
                               .phase = phase_text,
                               .who = who_text.data,
                               .why = a->reason,
                               .detail = detail.data};
    enum err e = detail.failed || who_text.failed || !who_text.data
                     ? err_set(ei, ERR_LIMIT, NULL, "the journal's text is too long")
                     : journal_append_locked(s, &r, ei);
    buf_fini(&detail);
    buf_fini(&who_text);
    return e;
}

static enum err put(struct store *s, struct acceptance *a, struct errinfo *ei)
{
    const struct store_value values[] = {
        STORE_TEXT(a->organization), STORE_TEXT(a->rule), STORE_TEXT(a->server),  STORE_TEXT(a->by),
        STORE_TEXT(a->reason),       STORE_NUMBER(a->at), STORE_NUMBER(a->until),
    };
    return store_number(s, STORE_ACCEPT, values, ARRAY_LEN(values), &a->n, ei);
}

enum err store_accept(struct store *s, struct acceptance *a, struct errinfo *ei)
{
    struct acceptance c = *a;
    if (!c.at)
        c.at = clock_unix();
    enum err e = check(&c, ei);
    if (e)
        return e;
    pthread_mutex_lock(&s->mutex);
    e = store_begin(s, STORE_TURN_WRITE, ei);
    if (!e) {
        e = put(s, &c, ei);
        if (!e)
            e = record(s, &c, "accept", c.by, c.at, ei);
        e = store_end(s, e, ei);
    }
    pthread_mutex_unlock(&s->mutex);
    if (!e)
        *a = c;
    return e;
}

static enum err take_row(void *arg, const struct store_row *row, struct errinfo *ei)
{
    acceptances *out = arg;
    struct acceptance a = {
        .n = store_row_number(row, 0), .at = store_row_number(row, 6), .until = store_row_number(row, 7)};
    if (store_row_take(row, 1, &a.organization) && store_row_take(row, 2, &a.rule) &&
        store_row_take(row, 3, &a.server) && store_row_take(row, 4, &a.by) &&
        store_row_take(row, 5, &a.reason) && VEC_PUSH(out, MAX_ACCEPTANCES, a))
        return ERR_OK;
    acceptance_fini(&a);
    return err_set(ei, ERR_LIMIT, NULL, "there are more accepted findings than fit");
}

/* organization NULL: all; n 0: all. */
static enum err list(struct store *s, const char *organization, int64_t n, acceptances *out,
                     struct errinfo *ei)
{
    const struct store_value values[] = {STORE_TEXT(organization), STORE_NUMBER(n)};
    return store_run(s, STORE_ACCEPTED, values, ARRAY_LEN(values), take_row, out, ei);
}

enum err store_accepted(struct store *s, const char *organization, acceptances *out, struct errinfo *ei)
{
    acceptances found = {0};
    pthread_mutex_lock(&s->mutex);
    enum err e = list(s, organization, 0, &found, ei);
    pthread_mutex_unlock(&s->mutex);
    if (e)
        acceptances_free(&found);
    else
        *out = found;
    return e;
}

enum err store_accept_remove(struct store *s, int64_t n, const char *who, struct errinfo *ei)
{
    acceptances found = {0};
    pthread_mutex_lock(&s->mutex);
    enum err e = store_begin(s, STORE_TURN_WRITE, ei);
    if (e)
        goto out;
    e = n > 0 ? list(s, NULL, n, &found, ei) : ERR_OK;
    if (!e && !found.n)
        e = err_set(ei, ERR_NOTFOUND, "casbridge accept list shows them", "there is no accepted finding %lld",
                    (long long)n);
    if (!e)
        e = store_run(s, STORE_ACCEPT_DROP, (struct store_value[]){STORE_NUMBER(n)}, 1, NULL, NULL, ei);
    if (!e)
        e = record(s, &found.v[0], "unaccept", who, clock_unix(), ei);
    e = store_end(s, e, ei);
out:
    pthread_mutex_unlock(&s->mutex);
    acceptances_free(&found);
    return e;
}
