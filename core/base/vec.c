#include "core/base/vec.h"

#include <stdint.h>

bool vec_grow(void **v, size_t *cap, size_t n, size_t size, size_t limit)
{
    if (n >= limit)
        return false;
    size_t want = *cap ? *cap * 2 : 8;
    if (want > limit)
        want = limit;
    if (want <= n || want > SIZE_MAX / size)
        return false;
    void *p = realloc(*v, want * size);
    if (!p)
        return false;
    *v = p;
    *cap = want;
    return true;
}
