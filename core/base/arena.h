/*
 * An arena: many small allocations, one free. What is built in one is immutable afterwards and may be
 * read from any thread. Allocation itself is not thread-safe. A limit is given at birth.
 */
#ifndef CORE_BASE_ARENA_H
#define CORE_BASE_ARENA_H

#include "core/base/err.h"

#include <stdbool.h>

struct arena_block;

struct arena {
    struct arena_block *head;
    size_t used, limit;
    bool failed; /* the limit or memory ran out at least once */
};

void arena_init(struct arena *a, size_t limit);
void arena_fini(struct arena *a);
/* Forgets everything but keeps a block, for one that is filled again and again. */
void arena_reset(struct arena *a);
/* Zeroed, aligned for any type. NULL past the limit. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_array(struct arena *a, size_t n, size_t size);
char *arena_str(struct arena *a, const char *s); /* NULL in, NULL out */
char *arena_strn(struct arena *a, const char *s, size_t len);
char *arena_fmt(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void *arena_dup(struct arena *a, const void *data, size_t len);

#endif
