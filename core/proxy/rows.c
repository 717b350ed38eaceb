/*
 * Rows under a seqlock. The shared copy is made of relaxed atomic words, so that a torn read is a retry and never a data race;
 * their order against the sequence number is kept by release stores and acquire loads (plain moves on x86).
 */
#include "core/proxy/rows.h"

#include <stdlib.h>
#include <string.h>

enum err rows_init(struct rows *r, uint32_t max_open)
{
    memset(r, 0, sizeof *r);
    r->n = max_open + ROWS_KEPT;
    r->slots = calloc(r->n, sizeof *r->slots);
    r->dirty = calloc(r->n, sizeof *r->dirty);
    r->free = r->ended_first = r->ended_last = ROW_NONE;
    if (r->slots == NULL || r->dirty == NULL) {
        rows_fini(r);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

void rows_fini(struct rows *r)
{
    free(r->slots);
    free(r->dirty);
    r->slots = NULL;
    r->dirty = NULL;
    r->n = 0;
}

static void publish(struct row_slot *s)
{
    uint64_t copy[ROW_WORDS];
    copy[ROW_WORDS - 1] = 0;
    memcpy(copy, &s->own, sizeof s->own);
    uint32_t seq = atomic_load_explicit(&s->seq, memory_order_relaxed);
    atomic_store_explicit(&s->seq, seq + 1, memory_order_relaxed);
    for (size_t i = 0; i < ROW_WORDS; i++)
        atomic_store_explicit(&s->words[i], copy[i], memory_order_release);
    atomic_store_explicit(&s->seq, seq + 2, memory_order_release);
    s->dirty = false;
}

static uint32_t take_slot(struct rows *r)
{
    uint32_t i = r->free, high = atomic_load_explicit(&r->high, memory_order_relaxed);
    if (i != ROW_NONE) {
        r->free = r->slots[i].next;
    } else if (high < r->n) {
        i = high;
        atomic_store_explicit(&r->high, high + 1, memory_order_release);
    } else if ((i = r->ended_first) != ROW_NONE) {
        r->ended_first = r->slots[i].next;
        if (--r->n_ended == 0)
            r->ended_last = ROW_NONE;
    }
    return i;
}

uint32_t rows_open(struct rows *r, uint64_t id)
{
    uint32_t i = take_slot(r);
    if (i == ROW_NONE)
        return ROW_NONE;
    struct proxy_row *own = &r->slots[i].own;
    memset(own, 0, sizeof *own);
    own->id = id;
    own->ttfb_ms = own->total_ms = -1;
    rows_touch(r, i);
    return i;
}

void rows_touch(struct rows *r, uint32_t i)
{
    struct row_slot *s = &r->slots[i];
    if (s->dirty)
        return;
    s->dirty = true;
    r->dirty[r->n_dirty++] = i;
}

void rows_flush(struct rows *r)
{
    for (uint32_t k = 0; k < r->n_dirty; k++)
        if (r->slots[r->dirty[k]].dirty)
            publish(&r->slots[r->dirty[k]]);
    r->n_dirty = 0;
}

void rows_end(struct rows *r, uint32_t i)
{
    struct row_slot *s = &r->slots[i];
    bool listed = s->dirty;
    publish(s);
    s->dirty = listed; /* its place in the list stays, so that the list never outgrows the slots */
    s->next = ROW_NONE;
    if (r->ended_last != ROW_NONE)
        r->slots[r->ended_last].next = i;
    else
        r->ended_first = i;
    r->ended_last = i;
    if (++r->n_ended > ROWS_KEPT) {
        uint32_t old = r->ended_first;
        r->ended_first = r->slots[old].next;
        r->n_ended--;
        r->slots[old].next = r->free;
        r->free = old;
    }
}

uint32_t rows_high(const struct rows *r)
{
    return atomic_load_explicit(&r->high, memory_order_acquire);
}

bool rows_read(const struct rows *r, uint32_t i, struct proxy_row *out)
{
    const struct row_slot *s = &r->slots[i];
    uint64_t copy[ROW_WORDS];
    uint32_t before, after;
    do {
        while ((before = atomic_load_explicit(&s->seq, memory_order_acquire)) & 1)
            ;
        if (before == 0)
            return false;
        for (size_t k = 0; k < ROW_WORDS; k++)
            copy[k] = atomic_load_explicit(&s->words[k], memory_order_acquire);
        after = atomic_load_explicit(&s->seq, memory_order_relaxed);
    } while (before != after);
    memcpy(out, copy, sizeof *out);
    return true;
}
