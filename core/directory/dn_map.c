#include "core/directory/decode_int.h"

#include <string.h>

struct dn_slot {
    const char *key; /* normalised; NULL: free */
    uint64_t hash;
    size_t index;
};

/* FNV-1a, 64 bits. The keys come from the directory's own administrators; a crafted directory can make this slow, never wrong. */
static uint64_t hash_of(const char *s, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    return h ^ h >> 29;
}

enum err dn_map_init(struct dn_map *m, size_t expected)
{
    *m = (struct dn_map){.size = 64};
    while (m->size < expected * 2)
        m->size *= 2;
    arena_init(&m->keys, DECODE_ARENA);
    buf_init(&m->scratch, (size_t)ENTRY_DN_MAX * 4);
    m->slots = calloc(m->size, sizeof *m->slots);
    return m->slots ? ERR_OK : ERR_NOMEM;
}

void dn_map_fini(struct dn_map *m)
{
    free(m->slots);
    arena_fini(&m->keys);
    buf_fini(&m->scratch);
    *m = (struct dn_map){0};
}

static struct dn_slot *slot_of(struct dn_map *m, const char *key, uint64_t hash)
{
    size_t at = (size_t)hash & (m->size - 1);
    while (m->slots[at].key && (m->slots[at].hash != hash || strcmp(m->slots[at].key, key) != 0))
        at = (at + 1) & (m->size - 1);
    return &m->slots[at];
}

static const char *normalised(struct dn_map *m, const char *dn, size_t *len)
{
    buf_reset(&m->scratch);
    if (!dn || dn_normalise(&m->scratch, dn))
        return NULL;
    *len = m->scratch.len;
    return buf_str(&m->scratch);
}

bool dn_map_add(struct dn_map *m, const char *dn, size_t index, bool *again)
{
    size_t len;
    const char *key = normalised(m, dn, &len);
    *again = false;
    if (!key || m->n >= m->size / 2)
        return false;
    uint64_t hash = hash_of(key, len);
    struct dn_slot *slot = slot_of(m, key, hash);
    if (slot->key) {
        *again = true;
        return false;
    }
    key = arena_strn(&m->keys, key, len);
    if (!key)
        return false;
    *slot = (struct dn_slot){key, hash, index};
    m->n++;
    return true;
}

bool dn_map_find(struct dn_map *m, const char *dn, size_t *index)
{
    size_t len;
    const char *key = normalised(m, dn, &len);
    struct dn_slot *slot = key ? slot_of(m, key, hash_of(key, len)) : NULL;
    if (!slot || !slot->key)
        return false;
    *index = slot->index;
    return true;
}

/* Normalised once: the normal form of an ancestor is a suffix of it. */
bool dn_map_find_above(struct dn_map *m, const char *dn, size_t *index)
{
    size_t len;
    const char *key = normalised(m, dn, &len), *end = key ? key + len : NULL;
    for (; key && *key; key = dn_parent(key)) {
        struct dn_slot *slot = slot_of(m, key, hash_of(key, (size_t)(end - key)));
        if (slot->key) {
            *index = slot->index;
            return true;
        }
    }
    return false;
}
