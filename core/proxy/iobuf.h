/*
 * Relay buffers: 16 KiB, taken from a per-thread LIFO while data is in flight and given back when drained, so that an idle
 * connection holds none. A head that does not fit moves into a large one (64 KiB and room for what is added to it).
 * Not thread-safe: each engine thread has its own pool.
 */
#ifndef CORE_PROXY_IOBUF_H
#define CORE_PROXY_IOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IOBUF_SIZE  16384u
#define IOBUF_LARGE (68u * 1024u + 4096u)

struct iobuf {
    struct iobuf *next; /* in the pool */
    uint32_t start, end, cap;
    char data[];
};

struct iobuf_pool {
    struct iobuf *free;
    size_t n_free, max_free;
    size_t n_out; /* taken and not given back */
};

void iobuf_pool_init(struct iobuf_pool *p, size_t max_free);
void iobuf_pool_fini(struct iobuf_pool *p);
/* NULL without memory. */
struct iobuf *iobuf_get(struct iobuf_pool *p);
struct iobuf *iobuf_get_sized(struct iobuf_pool *p, size_t cap);
/* Sets *b to NULL; NULL is fine. */
void iobuf_put(struct iobuf_pool *p, struct iobuf **b);
/* Moves the content into a large buffer. False without memory (then *b is unchanged). */
bool iobuf_enlarge(struct iobuf_pool *p, struct iobuf **b);

static inline size_t iobuf_len(const struct iobuf *b)
{
    return b == NULL ? 0 : b->end - b->start;
}
static inline size_t iobuf_room(const struct iobuf *b)
{
    return b->cap - b->end;
}
static inline char *iobuf_head(struct iobuf *b)
{
    return b->data + b->start;
}
/* Drops n bytes from the front; an emptied buffer starts over. */
static inline void iobuf_drop(struct iobuf *b, size_t n)
{
    b->start += (uint32_t)n;
    if (b->start == b->end)
        b->start = b->end = 0;
}
/* Appends as much as fits; returns how much that was. */
size_t iobuf_add(struct iobuf *b, const void *data, size_t n);
/* Makes all free room contiguous at the end. */
void iobuf_compact(struct iobuf *b);

#endif
