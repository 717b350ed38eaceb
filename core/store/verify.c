/* The chain recomputed, record by record. */
#include "core/store/store_int.h"

#include "core/base/str.h"

#include <string.h>

struct check {
    char prev[65];
    int64_t expect;
    size_t seen;
};

static enum err broken(struct errinfo *ei, int64_t id, const char *why)
{
    return err_set(ei, ERR_INPUT, "somebody changed the journal; compare it with a backup",
                   "the journal is broken at record %lld: %s", (long long)id, why);
}

static enum err check_record(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct check *c = arg;
    struct journal_record r = {0};
    char hash[65];
    enum err e = ERR_OK;
    if (!journal_take_row(row, &r))
        e = err_set(ei, ERR_NOMEM, NULL, "no memory for a journal record");
    else if (r.id != c->expect)
        e = broken(ei, c->expect, "it is missing");
    else if (strcmp(r.prev, c->prev) != 0)
        e = broken(ei, r.id, "it does not follow the record before it");
    else if (journal_hash(&r, hash) != ERR_OK)
        e = err_set(ei, ERR_INTERNAL, NULL, "SHA-256 is not to be had from OpenSSL");
    else if (strcmp(r.hash, hash) != 0)
        e = broken(ei, r.id, "its content was changed");
    if (e == ERR_OK) {
        str_copy(c->prev, sizeof c->prev, r.hash);
        c->expect++;
        c->seen++;
    }
    journal_record_fini(&r);
    return e;
}

enum err journal_verify_locked(struct store *s, size_t *n, struct errinfo *ei)
{
    struct check c = {.expect = 1};
    char head[65];
    int64_t head_id = 0;
    str_copy(c.prev, sizeof c.prev, journal_genesis);
    enum err e = store_run(s, STORE_READ_ALL, NULL, 0, check_record, &c, ei);
    if (e == ERR_OK)
        e = journal_head(s, &head_id, head, ei);
    if (e == ERR_OK && (head_id != c.expect - 1 || strcmp(head, c.prev) != 0))
        e = head_id > c.expect - 1
                ? broken(ei, c.expect, "it is missing")
                : broken(ei, c.expect - 1, "it is not the one the store remembers as the last");
    *n = c.seen;
    return e;
}

enum err journal_verify(struct store *s, size_t *n, struct errinfo *ei)
{
    *n = 0;
    pthread_mutex_lock(&s->mutex);
    /* One turn: a record that another console appends meanwhile must not look like one that is missing. */
    enum err e = store_begin(s, STORE_TURN_READ, ei);
    if (e == ERR_OK)
        e = store_end(s, journal_verify_locked(s, n, ei), ei);
    pthread_mutex_unlock(&s->mutex);
    return e;
}
