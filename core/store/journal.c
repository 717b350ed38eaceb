#include "core/store/store_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Far more than an organisation ever has; a reader must not be made to eat all memory by a file. */
#define MAX_RECORDS 1000000

void journal_record_fini(struct journal_record *r)
{
    free(r->run);
    free(r->server);
    free(r->phase);
    free(r->who);
    free(r->from);
    free(r->why);
    free(r->cmdlet);
    free(r->before);
    free(r->after);
    free(r->detail);
    *r = (struct journal_record){0};
}

void journal_records_free(journal_records *r)
{
    for (size_t i = 0; i < r->n; i++)
        journal_record_fini(&r->v[i]);
    VEC_FREE(r);
}

void journal_new_run(char out[static 32])
{
    struct tm tm;
    time_t now = (time_t)clock_unix();
    uint16_t random = 0;
    /* The four digits only keep two runs of one second apart. */
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random = (uint16_t)clock_mono_ns();
    gmtime_r(&now, &tm);
    char stamp[20];
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    snprintf(out, 32, "%s-%04x", stamp, random);
}

static enum err check_texts(const struct journal_record *r, struct errinfo *ei)
{
    const struct {
        const char *name, *value;
    } texts[] = {
        {"run", r->run},     {"server", r->server}, {"phase", r->phase},   {"who", r->who},
        {"from", r->from},   {"why", r->why},       {"cmdlet", r->cmdlet}, {"before", r->before},
        {"after", r->after}, {"detail", r->detail},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        size_t len = texts[i].value ? strlen(texts[i].value) : 0;
        if (len > JOURNAL_TEXT_MAX)
            return err_set(ei, ERR_LIMIT, NULL, "a journal record's %s is %zu bytes long, %d are allowed",
                           texts[i].name, len, JOURNAL_TEXT_MAX);
        if (texts[i].value && !utf8_valid(texts[i].value, len))
            return err_set(ei, ERR_INPUT, NULL, "a journal record's %s is not UTF-8", texts[i].name);
    }
    return ERR_OK;
}

static enum err read_head(struct store *s, int64_t *id, char hash[static 65], struct errinfo *ei)
{
    sqlite3_stmt *st = store_statement(s, STORE_HEAD, ei);
    if (!st)
        return ei ? ei->code : ERR_INTERNAL;
    int rc = sqlite3_step(st);
    enum err e = ERR_OK;
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 1);
        *id = sqlite3_column_int64(st, 0);
        str_copy(hash, 65, text ? text : "");
    } else if (rc == SQLITE_DONE) {
        e = err_set(ei, ERR_INPUT, "somebody changed the store; keep it as evidence and name another",
                    "the journal has lost its head");
    } else {
        e = store_error(s, rc, ei, "cannot be read");
    }
    sqlite3_reset(st);
    return e;
}

static enum err insert(struct store *s, const struct journal_record *r, struct errinfo *ei)
{
    sqlite3_stmt *st = store_statement(s, STORE_APPEND, ei);
    if (!st)
        return ei ? ei->code : ERR_INTERNAL;
    const char *texts[] = {r->server, r->phase, r->who,    r->from, r->why, r->cmdlet,
                           r->before, r->after, r->detail, r->hash, r->prev};
    sqlite3_bind_int64(st, 1, r->id);
    store_bind_text(st, 2, r->run);
    sqlite3_bind_int64(st, 3, r->at);
    sqlite3_bind_int(st, 4, r->step);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_text(st, (int)i + 5, texts[i]);
    int rc = sqlite3_step(st);
    enum err e = rc == SQLITE_DONE ? ERR_OK : store_error(s, rc, ei, "cannot be written");
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    if (e != ERR_OK)
        return e;
    st = store_statement(s, STORE_HEAD_MOVE, ei);
    if (!st)
        return ei ? ei->code : ERR_INTERNAL;
    sqlite3_bind_int64(st, 1, r->id);
    store_bind_text(st, 2, r->hash);
    rc = sqlite3_step(st);
    e = rc == SQLITE_DONE ? ERR_OK : store_error(s, rc, ei, "cannot be written");
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return e;
}

enum err journal_append_locked(struct store *s, struct journal_record *r, struct errinfo *ei)
{
    struct journal_record c = *r; /* r is filled on success only */
    int64_t head = 0;
    ASSERT(r->run && r->phase && r->who);
    enum err e = check_texts(r, ei);
    if (e == ERR_OK)
        e = read_head(s, &head, c.prev, ei);
    if (e != ERR_OK)
        return e;
    c.id = head + 1;
    if (!c.at)
        c.at = clock_unix();
    if (journal_hash(&c, c.hash) != ERR_OK)
        return err_set(ei, ERR_INTERNAL, NULL, "SHA-256 is not to be had from OpenSSL");
    e = insert(s, &c, ei);
    if (e == ERR_OK)
        *r = c;
    return e;
}

enum err journal_append(struct store *s, struct journal_record *r, struct errinfo *ei)
{
    struct journal_record c = *r;
    pthread_mutex_lock(&s->mutex);
    enum err e = store_begin(s, ei);
    if (e == ERR_OK)
        e = store_end(s, journal_append_locked(s, &c, ei), ei);
    pthread_mutex_unlock(&s->mutex);
    if (e == ERR_OK)
        *r = c;
    return e;
}

static bool take_text(sqlite3_stmt *st, int i, char **out)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    if (sqlite3_column_type(st, i) == SQLITE_NULL)
        return true;
    return text && (*out = strdup(text));
}

static bool take_record(sqlite3_stmt *st, struct journal_record *r)
{
    char *hash = NULL, *prev = NULL;
    r->id = sqlite3_column_int64(st, 0);
    r->at = sqlite3_column_int64(st, 2);
    r->step = sqlite3_column_int(st, 3);
    bool ok = take_text(st, 1, &r->run) && take_text(st, 4, &r->server) && take_text(st, 5, &r->phase) &&
              take_text(st, 6, &r->who) && take_text(st, 7, &r->from) && take_text(st, 8, &r->why) &&
              take_text(st, 9, &r->cmdlet) && take_text(st, 10, &r->before) && take_text(st, 11, &r->after) &&
              take_text(st, 12, &r->detail) && take_text(st, 13, &hash) && take_text(st, 14, &prev);
    str_copy(r->hash, sizeof r->hash, hash ? hash : "");
    str_copy(r->prev, sizeof r->prev, prev ? prev : "");
    free(hash);
    free(prev);
    return ok;
}

enum err journal_read(struct store *s, const char *run, journal_records *out, struct errinfo *ei)
{
    journal_records records = {0};
    enum err e = ERR_OK;
    int rc = SQLITE_ERROR;
    pthread_mutex_lock(&s->mutex);
    sqlite3_stmt *st = store_statement(s, run ? STORE_READ_RUN : STORE_READ_ALL, ei);
    if (!st) {
        e = ei ? ei->code : ERR_INTERNAL;
        goto out;
    }
    if (run)
        store_bind_text(st, 1, run);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct journal_record r = {0};
        if (!take_record(st, &r) || !VEC_PUSH(&records, MAX_RECORDS, r)) {
            journal_record_fini(&r);
            e = err_set(ei, records.n < MAX_RECORDS ? ERR_NOMEM : ERR_LIMIT, "ask for one run",
                        "the journal does not fit into memory");
            break;
        }
    }
    if (e == ERR_OK && rc != SQLITE_DONE)
        e = store_error(s, rc, ei, "cannot be read");
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    if (e == ERR_OK && run && !records.n)
        e = err_set(ei, ERR_NOTFOUND, "'casbridge journal' lists the runs", "there is no run '%s'", run);
out:
    pthread_mutex_unlock(&s->mutex);
    if (e == ERR_OK)
        *out = records;
    else
        journal_records_free(&records);
    return e;
}

static enum err broken(struct errinfo *ei, int64_t id, const char *why)
{
    return err_set(ei, ERR_INPUT, "somebody changed the journal; compare it with a backup",
                   "the journal is broken at record %lld: %s", (long long)id, why);
}

enum err journal_verify(struct store *s, size_t *n, struct errinfo *ei)
{
    char prev[65], head[65];
    int64_t expect = 1, head_id = 0;
    int rc = SQLITE_ERROR;
    size_t seen = 0;
    str_copy(prev, sizeof prev, journal_genesis);
    pthread_mutex_lock(&s->mutex);
    /* One transaction: a record that another console appends meanwhile must not look like one that is missing. */
    enum err e = store_run(s, STORE_SNAPSHOT, ei);
    if (e != ERR_OK) {
        pthread_mutex_unlock(&s->mutex);
        return e;
    }
    sqlite3_stmt *st = store_statement(s, STORE_READ_ALL, ei);
    if (!st)
        e = ei ? ei->code : ERR_INTERNAL;
    while (e == ERR_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct journal_record r = {0};
        char hash[65];
        if (!take_record(st, &r))
            e = err_set(ei, ERR_NOMEM, NULL, "no memory for a journal record");
        else if (r.id != expect)
            e = broken(ei, expect, "it is missing");
        else if (strcmp(r.prev, prev) != 0)
            e = broken(ei, r.id, "it does not follow the record before it");
        else if (journal_hash(&r, hash) != ERR_OK)
            e = err_set(ei, ERR_INTERNAL, NULL, "SHA-256 is not to be had from OpenSSL");
        else if (strcmp(r.hash, hash) != 0)
            e = broken(ei, r.id, "its content was changed");
        if (e == ERR_OK) {
            str_copy(prev, sizeof prev, r.hash);
            expect++;
            seen++;
        }
        journal_record_fini(&r);
    }
    if (e == ERR_OK && rc != SQLITE_DONE)
        e = store_error(s, rc, ei, "cannot be read");
    if (st)
        sqlite3_reset(st);
    if (e == ERR_OK)
        e = read_head(s, &head_id, head, ei);
    if (e == ERR_OK && (head_id != expect - 1 || strcmp(head, prev) != 0))
        e = head_id > expect - 1
                ? broken(ei, expect, "it is missing")
                : broken(ei, expect - 1, "it is not the one the store remembers as the last");
    e = store_end(s, e, ei);
    pthread_mutex_unlock(&s->mutex);
    *n = seen;
    return e;
}
