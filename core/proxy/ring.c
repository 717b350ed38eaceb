/* SPSC ring. Indexes run freely and wrap; the producer looks at the consumer's only when its last look says full. */
#include "core/proxy/ring.h"

#include <stdlib.h>
#include <string.h>

enum err ring_init(struct ring *r, size_t item_size, uint32_t n)
{
    uint32_t cap = 1;
    while (cap < n)
        cap <<= 1;
    memset(r, 0, sizeof *r);
    r->size = item_size;
    r->mask = cap - 1;
    r->items = calloc(cap, item_size);
    return r->items != NULL ? ERR_OK : ERR_NOMEM;
}

void ring_fini(struct ring *r)
{
    free(r->items);
    r->items = NULL;
}

void *ring_claim(struct ring *r)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    if (head - r->tail_seen > r->mask) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head - r->tail_seen > r->mask) {
            uint64_t d = atomic_load_explicit(&r->dropped, memory_order_relaxed);
            atomic_store_explicit(&r->dropped, d + 1, memory_order_relaxed);
            return NULL;
        }
    }
    return r->items + (size_t)(head & r->mask) * r->size;
}

void ring_commit(struct ring *r)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

bool ring_pop(struct ring *r, void *out)
{
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
        return false;
    memcpy(out, r->items + (size_t)(tail & r->mask) * r->size, r->size);
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    return true;
}

uint64_t ring_dropped(const struct ring *r)
{
    return atomic_load_explicit(&r->dropped, memory_order_relaxed);
}
