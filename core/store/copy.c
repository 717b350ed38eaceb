/* From one store into another, the chain as it is. */
#include "core/store/store_int.h"

#include "core/base/str.h"

#include <string.h>

/* What is held in memory before it is written: one record may be 650 KB. */
#define BATCH_RECORDS 500
#define BATCH_BYTES   ((size_t)1 << 20)

struct copying {
    struct store *to;
    const struct stop *stop;
    struct store_copied *done;
    int64_t last_accepted;
    journal_records batch;
    size_t bytes;
};

static enum err take_counts(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct store_copied *c = arg;
    (void)ei;
    c->records = store_row_number(row, 0);
    c->accepted = store_row_number(row, 1);
    c->progress = store_row_number(row, 2);
    c->evidence = store_row_number(row, 3);
    return ERR_OK;
}

static enum err count_locked(struct store *s, struct store_copied *out, struct errinfo *ei)
{
    *out = (struct store_copied){0};
    return store_run(s, STORE_COUNTS, NULL, 0, take_counts, out, ei);
}

enum err store_count(struct store *s, struct store_copied *out, struct errinfo *ei)
{
    pthread_mutex_lock(&s->mutex);
    enum err e = count_locked(s, out, ei);
    pthread_mutex_unlock(&s->mutex);
    return e;
}

static enum err write_batch(struct copying *c, struct errinfo *ei)
{
    enum err e = journal_insert_many(c->to, &c->batch, ei);
    c->done->records += e == ERR_OK ? (int64_t)c->batch.n : 0;
    journal_records_free(&c->batch);
    c->bytes = 0;
    return e == ERR_OK ? stop_check(c->stop, ei, "copying") : e;
}

static size_t row_bytes(const struct store_row *row)
{
    size_t n = 0;
    for (size_t i = 0; i < row->n; i++)
        n += row->v[i] ? strlen(row->v[i]) : 0;
    return n;
}

static enum err copy_record(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct copying *c = arg;
    struct journal_record r = {0};
    if (!journal_take_row(row, &r) || !VEC_PUSH(&c->batch, BATCH_RECORDS, r)) {
        journal_record_fini(&r);
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a journal record");
    }
    c->bytes += row_bytes(row);
    return c->batch.n == BATCH_RECORDS || c->bytes >= BATCH_BYTES ? write_batch(c, ei) : ERR_OK;
}

/* Rows that are taken over as they are: values in the order of the columns. */
static enum err copy_row(struct copying *c, enum store_statement put, const struct store_row *row,
                         uint32_t numbers, struct errinfo *ei)
{
    struct store_value values[STORE_COLUMNS_MAX];
    for (size_t i = 0; i < row->n; i++)
        values[i] = numbers >> i & 1 ? STORE_NUMBER(store_row_number(row, i)) : STORE_TEXT(row->v[i]);
    return store_run(c->to, put, values, row->n, NULL, NULL, ei);
}

static enum err copy_accepted(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct copying *c = arg;
    c->done->accepted++;
    c->last_accepted = store_row_number(row, 0);
    return copy_row(c, STORE_ACCEPT_COPY, row, 1u << 0 | 1u << 6 | 1u << 7, ei);
}

static enum err copy_progress(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct copying *c = arg;
    c->done->progress++;
    return copy_row(c, STORE_PROGRESS_PUT, row, 1u << 4 | 1u << 6, ei);
}

static enum err copy_evidence(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct copying *c = arg;
    c->done->evidence++;
    return copy_row(c, STORE_EVIDENCE_PUT, row, 1u << 1 | 1u << 2 | 1u << 5 | 1u << 6, ei);
}

/* The number an acceptance gets next: those taken back have had theirs, and it is never given again. */
static enum err copy_last_number(struct copying *c, struct store *from, struct errinfo *ei)
{
    int64_t last = 0;
    enum err e = store_number(from, STORE_ACCEPT_LAST, NULL, 0, &last, ei);
    const struct store_value n[] = {STORE_NUMBER(last)};
    if (e != ERR_OK || !last)
        return e;
    if (last > c->last_accepted) { /* SQLite counts by what was once there */
        const struct store_value row[] = {STORE_NUMBER(last), STORE_TEXT("-"), STORE_TEXT("-"),
                                          STORE_TEXT(NULL),   STORE_TEXT("-"), STORE_TEXT("-"),
                                          STORE_NUMBER(0),    STORE_NUMBER(0)};
        e = store_run(c->to, STORE_ACCEPT_COPY, row, ARRAY_LEN(row), NULL, NULL, ei);
        if (e == ERR_OK)
            e = store_run(c->to, STORE_ACCEPT_DROP, n, 1, NULL, NULL, ei);
    }
    return e == ERR_OK ? store_run(c->to, STORE_ACCEPT_NEXT, n, 1, NULL, NULL, ei) : e;
}

static enum err check_copy(struct store *to, struct errinfo *ei)
{
    size_t n = 0;
    enum err e = journal_verify_locked(to, &n, ei);
    if (e != ERR_OK)
        err_wrap(ei, "the copy in %s", to->path);
    return e;
}

static enum err copy_all(struct store *from, struct copying *c, struct errinfo *ei)
{
    const struct store_value any[] = {STORE_TEXT(NULL), STORE_NUMBER(0)};
    struct store_copied there;
    size_t n = 0;
    enum err e = count_locked(c->to, &there, ei);
    if (e == ERR_OK && (there.records || there.accepted || there.progress || there.evidence))
        e = err_set(ei, ERR_REFUSED, "name an empty one: nothing is ever merged",
                    "the store %s is not empty: %lld records, %lld accepted, %lld gates, %lld evidence",
                    c->to->path, (long long)there.records, (long long)there.accepted,
                    (long long)there.progress, (long long)there.evidence);
    if (e == ERR_OK) {
        e = journal_verify_locked(from, &n, ei);
        if (e != ERR_OK)
            err_wrap(ei, "%s is not copied", from->path);
    }
    if (e == ERR_OK)
        e = store_run(from, STORE_READ_ALL, NULL, 0, copy_record, c, ei);
    if (e == ERR_OK)
        e = write_batch(c, ei);
    if (e == ERR_OK)
        e = store_run(from, STORE_ACCEPTED, any, 2, copy_accepted, c, ei);
    if (e == ERR_OK)
        e = copy_last_number(c, from, ei);
    if (e == ERR_OK)
        e = store_run(from, STORE_PROGRESS, any, 1, copy_progress, c, ei);
    if (e == ERR_OK)
        e = store_run(from, STORE_EVIDENCE, any, 1, copy_evidence, c, ei);
    return e;
}

enum err store_copy(struct store *from, struct store *to, const struct stop *stop, struct store_copied *out,
                    struct errinfo *ei)
{
    struct store_copied done = {0};
    struct copying c = {.to = to, .stop = stop, .done = &done};
    struct errinfo own = {0};
    ei = ei ? ei : &own;
    pthread_mutex_lock(&from->mutex);
    pthread_mutex_lock(&to->mutex);
    enum err e = store_begin(to, STORE_TURN_FILL, ei);
    if (e == ERR_OK) {
        e = store_begin(from, STORE_TURN_READ, ei);
        if (e == ERR_OK)
            e = store_end(from, copy_all(from, &c, ei), ei);
        if (e == ERR_OK)
            e = check_copy(to, ei);
        e = store_end(to, e, ei);
    }
    pthread_mutex_unlock(&to->mutex);
    pthread_mutex_unlock(&from->mutex);
    journal_records_free(&c.batch);
    if (e == ERR_OK)
        *out = done;
    return e;
}
