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
    sqlite3_stmt *st = store_statement(s, STORE_ACCEPT, ei);
    if (!st)
        return ei ? ei->code : ERR_INTERNAL;
    store_bind_text(st, 1, a->organization);
    store_bind_text(st, 2, a->rule);
    store_bind_text(st, 3, a->server);
    store_bind_text(st, 4, a->by);
    store_bind_text(st, 5, a->reason);
    sqlite3_bind_int64(st, 6, a->at);
    sqlite3_bind_int64(st, 7, a->until);
    int rc = sqlite3_step(st);
    enum err e = rc == SQLITE_DONE ? ERR_OK : store_error(s, rc, ei, "cannot be written");
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    if (!e)
        a->n = sqlite3_last_insert_rowid(s->db);
    return e;
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
    e = store_begin(s, ei);
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

static bool take_text(sqlite3_stmt *st, int i, char **out)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    if (sqlite3_column_type(st, i) == SQLITE_NULL)
        return true;
    return text && (*out = strdup(text));
}

static bool take_row(sqlite3_stmt *st, struct acceptance *a)
{
    a->n = sqlite3_column_int64(st, 0);
    a->at = sqlite3_column_int64(st, 6);
    a->until = sqlite3_column_int64(st, 7);
    return take_text(st, 1, &a->organization) && take_text(st, 2, &a->rule) && take_text(st, 3, &a->server) &&
           take_text(st, 4, &a->by) && take_text(st, 5, &a->reason);
}

/* organization NULL: all; n 0: all. */
static enum err list(struct store *s, const char *organization, int64_t n, acceptances *out,
                     struct errinfo *ei)
{
    enum err e = ERR_OK;
    int rc = SQLITE_DONE;
    sqlite3_stmt *st = store_statement(s, STORE_ACCEPTED, ei);
    if (!st)
        return ei ? ei->code : ERR_INTERNAL;
    store_bind_text(st, 1, organization);
    sqlite3_bind_int64(st, 2, n);
    while (!e && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct acceptance a = {0};
        if (!take_row(st, &a) || !VEC_PUSH(out, MAX_ACCEPTANCES, a)) {
            acceptance_fini(&a);
            e = err_set(ei, ERR_LIMIT, NULL, "there are more accepted findings than fit");
        }
    }
    if (!e && rc != SQLITE_DONE)
        e = store_error(s, rc, ei, "cannot be read");
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return e;
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
    enum err e = store_begin(s, ei);
    if (e)
        goto out;
    e = n > 0 ? list(s, NULL, n, &found, ei) : ERR_OK;
    if (!e && !found.n)
        e = err_set(ei, ERR_NOTFOUND, "casbridge accept list shows them", "there is no accepted finding %lld",
                    (long long)n);
    sqlite3_stmt *st = e ? NULL : store_statement(s, STORE_ACCEPT_DROP, ei);
    if (!e && !st)
        e = ei ? ei->code : ERR_INTERNAL;
    if (!e) {
        sqlite3_bind_int64(st, 1, n);
        int rc = sqlite3_step(st);
        e = rc == SQLITE_DONE ? ERR_OK : store_error(s, rc, ei, "cannot be written");
        sqlite3_reset(st);
    }
    if (!e)
        e = record(s, &found.v[0], "unaccept", who, clock_unix(), ei);
    e = store_end(s, e, ei);
out:
    pthread_mutex_unlock(&s->mutex);
    acceptances_free(&found);
    return e;
}
