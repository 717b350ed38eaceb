#include "core/base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    _Alignas(max_align_t) char data[];
};

/* Large enough that an organisation needs few, small enough that a finding set wastes little. */
#define BLOCK_MIN ((size_t)4096)
#define BLOCK_MAX ((size_t)256 * 1024)

void arena_init(struct arena *a, size_t limit)
{
    *a = (struct arena){.limit = limit};
}

void arena_fini(struct arena *a)
{
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct arena){.limit = a->limit};
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = a->head;
    if (!keep || keep->cap > BLOCK_MAX) {
        arena_fini(a);
        return;
    }
    a->head = keep->next;
    arena_fini(a);
    keep->next = NULL;
    keep->used = 0;
    a->head = keep;
}

static void *take(struct arena *a, size_t size, size_t align)
{
    struct arena_block *b = a->head;
    size_t at = b ? (b->used + align - 1) & ~(align - 1) : 0;
    if (!b || at > b->cap || size > b->cap - at) {
        size_t cap = b ? b->cap * 2 : BLOCK_MIN;
        if (cap > BLOCK_MAX)
            cap = BLOCK_MAX;
        if (cap < size)
            cap = size;
        if (size > a->limit || a->used > a->limit - size) {
            a->failed = true;
            return NULL;
        }
        struct arena_block *fresh = malloc(sizeof *fresh + cap);
        if (!fresh) {
            a->failed = true;
            return NULL;
        }
        *fresh = (struct arena_block){.cap = cap};
        if (b &&
            size > BLOCK_MAX / 2) { /* a big one stands behind, so that the half-empty block stays in use */
            fresh->next = b->next;
            b->next = fresh;
        } else {
            fresh->next = b;
            a->head = fresh;
        }
        b = fresh;
        at = 0;
    }
    a->used += size;
    if (a->used > a->limit) {
        a->used -= size;
        a->failed = true;
        return NULL;
    }
    b->used = at + size;
    return b->data + at;
}

void *arena_alloc(struct arena *a, size_t size)
{
    void *p = take(a, size ? size : 1, _Alignof(max_align_t));
    if (p)
        memset(p, 0, size);
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    if (size && n > SIZE_MAX / size) {
        a->failed = true;
        return NULL;
    }
    return arena_alloc(a, n * size);
}

char *arena_strn(struct arena *a, const char *s, size_t len)
{
    if (len == SIZE_MAX)
        return NULL;
    char *p = take(a, len + 1, 1);
    if (p) {
        memcpy(p, s, len);
        p[len] = '\0';
    }
    return p;
}

char *arena_str(struct arena *a, const char *s)
{
    return s ? arena_strn(a, s, strlen(s)) : NULL;
}

char *arena_fmt(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return NULL;
    char *p = take(a, (size_t)n + 1, 1);
    if (p) {
        va_start(ap, fmt);
        vsnprintf(p, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    return p;
}

void *arena_dup(struct arena *a, const void *data, size_t len)
{
    void *p = take(a, len ? len : 1, _Alignof(max_align_t));
    if (p && len)
        memcpy(p, data, len);
    return p;
}
