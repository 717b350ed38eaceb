/*
 * A typed growing array over malloc: struct { T *v; size_t n, cap; }. VEC_PUSH evaluates to false when
 * memory ran out or the limit (elements) is reached. Elements are moved by realloc: keep no pointers.
 */
#ifndef CORE_BASE_VEC_H
#define CORE_BASE_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define VEC(T)                                                                                               \
    struct {                                                                                                 \
        T *v;                                                                                                \
        size_t n, cap;                                                                                       \
    }

bool vec_grow(void **v, size_t *cap, size_t n, size_t size, size_t limit);

#define VEC_PUSH(vec, limit, ...)                                                                            \
    (((vec)->n < (vec)->cap ||                                                                               \
      vec_grow((void **)&(vec)->v, &(vec)->cap, (vec)->n, sizeof *(vec)->v, (limit)))                        \
         ? ((vec)->v[(vec)->n++] = (__VA_ARGS__), true)                                                      \
         : false)
#define VEC_FREE(vec) (free((vec)->v), (vec)->v = NULL, (vec)->n = 0, (vec)->cap = 0)

#endif
