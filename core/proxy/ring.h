/*
 * Single-producer single-consumer ring of fixed-size items. The producer never waits: when the ring is full the item is dropped and counted.
 */
#ifndef CORE_PROXY_RING_H
#define CORE_PROXY_RING_H

#include "core/base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring {
    unsigned char *items;
    size_t size; /* of an item */
    uint32_t mask;
    _Alignas(64) _Atomic uint32_t head; /* next to write: producer */
    uint32_t tail_seen;                 /* producer's last look at tail */
    _Atomic uint64_t dropped;
    _Alignas(64) _Atomic uint32_t tail; /* next to read: consumer */
};

/* n is rounded up to a power of two. */
enum err ring_init(struct ring *r, size_t item_size, uint32_t n) MUST_CHECK;
void ring_fini(struct ring *r);
/* Producer: where to write the next item, NULL when full (counted). ring_commit() makes it visible. */
void *ring_claim(struct ring *r);
void ring_commit(struct ring *r);
/* Consumer. */
bool ring_pop(struct ring *r, void *out);
uint64_t ring_dropped(const struct ring *r);

#endif
