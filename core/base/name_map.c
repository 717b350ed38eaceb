#include "core/base/name_map.h"

#include "core/base/str.h"

#include <stdint.h>
#include <stdlib.h>

struct name_slot {
    const char *name; /* NULL: free */
    uint32_t hash;
    size_t number;
};

/* FNV-1a. Who fills a directory with names that collide makes this slow, never wrong. */
static uint32_t hash_of(const char *s)
{
    uint32_t h = 0x811c9dc5u;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 0x01000193u;
    }
    return h ^ h >> 15;
}

enum err name_map_init(struct name_map *m, size_t names)
{
    *m = (struct name_map){.size = 16};
    while (m->size / 2 < names && m->size <= SIZE_MAX / 4 / sizeof *m->slots)
        m->size *= 2;
    m->slots = calloc(m->size, sizeof *m->slots);
    return m->slots ? ERR_OK : ERR_NOMEM;
}

void name_map_fini(struct name_map *m)
{
    free(m->slots);
    *m = (struct name_map){0};
}

static struct name_slot *slot_of(const struct name_map *m, const char *name, uint32_t hash)
{
    size_t at = hash & (m->size - 1);
    while (m->slots[at].name && (m->slots[at].hash != hash || !str_ieq(m->slots[at].name, name)))
        at = (at + 1) & (m->size - 1);
    return &m->slots[at];
}

size_t name_map_add(struct name_map *m, const char *name, size_t number)
{
    uint32_t hash = hash_of(name);
    struct name_slot *slot = slot_of(m, name, hash);
    if (slot->name)
        return slot->number;
    ASSERT(m->n < m->size / 2); /* one free slot ends every search */
    *slot = (struct name_slot){name, hash, number};
    m->n++;
    return number;
}

bool name_map_find(const struct name_map *m, const char *name, size_t *number)
{
    const struct name_slot *slot = m->size ? slot_of(m, name, hash_of(name)) : NULL;
    if (!slot || !slot->name)
        return false;
    *number = slot->number;
    return true;
}
