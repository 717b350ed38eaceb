/* Pool of relay buffers. LIFO, because the buffer given back last is the one still in the cache. */
#include "core/proxy/iobuf.h"

#include <stdlib.h>
#include <string.h>

void iobuf_pool_init(struct iobuf_pool *p, size_t max_free)
{
    memset(p, 0, sizeof *p);
    p->max_free = max_free;
}

void iobuf_pool_fini(struct iobuf_pool *p)
{
    while (p->free != NULL) {
        struct iobuf *b = p->free;
        p->free = b->next;
        free(b);
    }
    p->n_free = 0;
}

static struct iobuf *make(struct iobuf_pool *p, uint32_t cap)
{
    struct iobuf *b = malloc(sizeof *b + cap);
    if (b == NULL)
        return NULL;
    b->next = NULL;
    b->start = b->end = 0;
    b->cap = cap;
    p->n_out++;
    return b;
}

struct iobuf *iobuf_get(struct iobuf_pool *p)
{
    struct iobuf *b = p->free;
    if (b == NULL)
        return make(p, IOBUF_SIZE);
    p->free = b->next;
    p->n_free--;
    p->n_out++;
    b->next = NULL;
    b->start = b->end = 0;
    return b;
}

struct iobuf *iobuf_get_sized(struct iobuf_pool *p, size_t cap)
{
    return cap <= IOBUF_SIZE ? iobuf_get(p) : cap > UINT32_MAX ? NULL : make(p, (uint32_t)cap);
}

void iobuf_put(struct iobuf_pool *p, struct iobuf **bp)
{
    struct iobuf *b = *bp;
    if (b == NULL)
        return;
    *bp = NULL;
    p->n_out--;
    if (b->cap != IOBUF_SIZE || p->n_free >= p->max_free) {
        free(b);
        return;
    }
    b->next = p->free;
    p->free = b;
    p->n_free++;
}

bool iobuf_enlarge(struct iobuf_pool *p, struct iobuf **bp)
{
    struct iobuf *old = *bp, *b;
    if (old->cap >= IOBUF_LARGE)
        return false;
    if ((b = make(p, IOBUF_LARGE)) == NULL)
        return false;
    b->end = old->end - old->start;
    memcpy(b->data, iobuf_head(old), b->end);
    iobuf_put(p, bp);
    *bp = b;
    return true;
}

size_t iobuf_add(struct iobuf *b, const void *data, size_t n)
{
    if (n > iobuf_room(b))
        n = iobuf_room(b);
    if (n > 0)
        memcpy(b->data + b->end, data, n);
    b->end += (uint32_t)n;
    return n;
}

void iobuf_compact(struct iobuf *b)
{
    if (b->start == 0)
        return;
    memmove(b->data, b->data + b->start, b->end - b->start);
    b->end -= b->start;
    b->start = 0;
}
