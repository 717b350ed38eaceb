#include "core/store/store_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <limits.h>
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

struct head {
    int64_t id, layout;
    char hash[65];
    bool there;
};

static enum err take_head(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct head *h = arg;
    (void)ei;
    h->there = true;
    h->id = store_row_number(row, 0);
    str_copy(h->hash, sizeof h->hash, row->v[1] ? row->v[1] : "");
    h->layout = store_row_number(row, 2);
    return ERR_OK;
}

enum err journal_head(struct store *s, int64_t *id, char hash[static 65], struct errinfo *ei)
{
    struct head h = {0};
    enum err e = store_run(s, STORE_HEAD, NULL, 0, take_head, &h, ei);
    if (e != ERR_OK)
        return e;
    if (!h.there)
        return err_set(ei, ERR_INPUT, "somebody changed the store; keep it as evidence and name another",
                       "the journal has lost its head");
    if (h.layout > STORE_SCHEMA) /* since it was opened */
        return store_is_newer(s->path, h.layout, ei);
    *id = h.id;
    str_copy(hash, 65, h.hash);
    return ERR_OK;
}

static enum err move_head(struct store *s, const struct journal_record *r, struct errinfo *ei)
{
    const struct store_value head[] = {STORE_NUMBER(r->id), STORE_TEXT(r->hash)};
    enum err e = store_run(s, STORE_HEAD_MOVE, head, ARRAY_LEN(head), NULL, NULL, ei);
    if (e == ERR_OK) {
        s->turn.id = r->id;
        str_copy(s->turn.hash, sizeof s->turn.hash, r->hash);
    }
    return e;
}

enum err journal_insert(struct store *s, const struct journal_record *r, struct errinfo *ei)
{
    const struct store_value values[] = {
        STORE_NUMBER(r->id),   STORE_TEXT(r->run),    STORE_NUMBER(r->at),   STORE_NUMBER(r->step),
        STORE_TEXT(r->server), STORE_TEXT(r->phase),  STORE_TEXT(r->who),    STORE_TEXT(r->from),
        STORE_TEXT(r->why),    STORE_TEXT(r->cmdlet), STORE_TEXT(r->before), STORE_TEXT(r->after),
        STORE_TEXT(r->detail), STORE_TEXT(r->hash),   STORE_TEXT(r->prev),
    };
    enum err e = store_run(s, STORE_APPEND, values, ARRAY_LEN(values), NULL, NULL, ei);
    return e == ERR_OK ? move_head(s, r, ei) : e;
}

enum err journal_insert_many(struct store *s, const journal_records *r, struct errinfo *ei)
{
    enum err e = ERR_OK;
    if (s->turn.many && r->n) {
        e = s->backend->append_many(s, r->v, r->n, ei);
        return e == ERR_OK ? move_head(s, &r->v[r->n - 1], ei) : e;
    }
    for (size_t i = 0; e == ERR_OK && i < r->n; i++)
        e = journal_insert(s, &r->v[i], ei);
    return e;
}

enum err journal_append_locked(struct store *s, struct journal_record *r, struct errinfo *ei)
{
    struct journal_record c = *r; /* r is filled on success only */
    int64_t head = 0;
    ASSERT(r->run && r->phase && r->who);
    enum err e = check_texts(r, ei);
    if (e == ERR_OK)
        e = journal_head(s, &head, c.prev, ei);
    if (e != ERR_OK)
        return e;
    c.id = head + 1;
    if (!c.at)
        c.at = clock_unix();
    if (journal_hash(&c, c.hash) != ERR_OK)
        return err_set(ei, ERR_INTERNAL, NULL, "SHA-256 is not to be had from OpenSSL");
    e = journal_insert(s, &c, ei);
    if (e == ERR_OK)
        *r = c;
    return e;
}

enum err journal_append(struct store *s, struct journal_record *r, struct errinfo *ei)
{
    struct journal_record c = *r;
    pthread_mutex_lock(&s->mutex);
    enum err e = store_begin(s, STORE_TURN_WRITE, ei);
    if (e == ERR_OK)
        e = store_end(s, journal_append_locked(s, &c, ei), ei);
    pthread_mutex_unlock(&s->mutex);
    if (e == ERR_OK)
        *r = c;
    return e;
}

bool journal_take_row(const struct store_row *row, struct journal_record *r)
{
    char **const texts[] = {NULL,     &r->run, NULL,       NULL,       &r->server, &r->phase, &r->who,
                            &r->from, &r->why, &r->cmdlet, &r->before, &r->after,  &r->detail};
    r->id = store_row_number(row, 0);
    r->at = store_row_number(row, 2);
    int64_t step = store_row_number(row, 3);
    r->step = step == (int)step ? (int)step : INT_MIN; /* a number that no record has: its hash cannot fit */
    str_copy(r->hash, sizeof r->hash, row->v[13] ? row->v[13] : "");
    str_copy(r->prev, sizeof r->prev, row->v[14] ? row->v[14] : "");
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ok = ok && (!texts[i] || store_row_take(row, i, texts[i]));
    return ok;
}

static enum err take_record(void *arg, const struct store_row *row, struct errinfo *ei)
{
    journal_records *records = arg;
    struct journal_record r = {0};
    if (journal_take_row(row, &r) && VEC_PUSH(records, MAX_RECORDS, r))
        return ERR_OK;
    journal_record_fini(&r);
    return err_set(ei, records->n < MAX_RECORDS ? ERR_NOMEM : ERR_LIMIT, "ask for one run",
                   "the journal does not fit into memory");
}

static enum err read_records(struct store *s, enum store_statement which, const struct store_value *values,
                             size_t n, journal_records *out, struct errinfo *ei)
{
    journal_records records = {0};
    pthread_mutex_lock(&s->mutex);
    enum err e = store_run(s, which, values, n, take_record, &records, ei);
    pthread_mutex_unlock(&s->mutex);
    if (e == ERR_OK)
        *out = records;
    else
        journal_records_free(&records);
    return e;
}

enum err journal_read(struct store *s, const char *run, journal_records *out, struct errinfo *ei)
{
    journal_records records = {0};
    const struct store_value values[] = {STORE_TEXT(run)};
    enum err e = read_records(s, run ? STORE_READ_RUN : STORE_READ_ALL, values, run ? 1 : 0, &records, ei);
    if (e == ERR_OK && run && !records.n)
        e = err_set(ei, ERR_NOTFOUND, "'casbridge journal' lists the runs", "there is no run '%s'", run);
    if (e == ERR_OK)
        *out = records;
    return e;
}

enum err journal_read_after(struct store *s, int64_t after, const char *run, journal_records *out,
                            struct errinfo *ei)
{
    const struct store_value values[] = {STORE_NUMBER(after), STORE_TEXT(run)};
    return read_records(s, STORE_READ_AFTER, values, ARRAY_LEN(values), out, ei);
}

enum err journal_last(struct store *s, int64_t *id, struct errinfo *ei)
{
    char hash[65];
    pthread_mutex_lock(&s->mutex);
    enum err e = journal_head(s, id, hash, ei);
    pthread_mutex_unlock(&s->mutex);
    return e;
}
