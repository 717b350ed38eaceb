#include "core/directory/decode_int.h"

#include <string.h>

struct dn_slot {
    const char *key; /* normalised; NULL: free */
    uint64_t hash;
    size_t index;
};

/* FNV-1a, 64 bits, from the end to the beginning, so that those of all ancestors come on the way. The keys come from the
   directory's own administrators; a crafted directory can make this slow, never wrong. */
#define HASH_EMPTY UINT64_C(0xcbf29ce484222325)

static uint64_t hash_before(uint64_t h, char c)
{
    return (h ^ (unsigned char)c) * UINT64_C(0x100000001b3);
}

static uint64_t hash_end(uint64_t h)
{
    return h ^ h >> 29;
}

static uint64_t hash_of(const char *s, size_t len)
{
    uint64_t h = HASH_EMPTY;
    while (len)
        h = hash_before(h, s[--len]);
    return hash_end(h);
}

enum err dn_map_init(struct dn_map *m, size_t expected)
{
    *m = (struct dn_map){.size = 64};
    while (m->size < expected * 2)
        m->size *= 2;
    arena_init(&m->keys, DECODE_ARENA);
    buf_init(&m->scratch, (size_t)ENTRY_DN_MAX * 4);
    buf_init(&m->last, ENTRY_DN_MAX);
    m->slots = calloc(m->size, sizeof *m->slots);
    return m->slots ? ERR_OK : ERR_NOMEM;
}

void dn_map_fini(struct dn_map *m)
{
    free(m->slots);
    arena_fini(&m->keys);
    buf_fini(&m->scratch);
    buf_fini(&m->last);
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
    buf_reset(&m->last);
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

/* Whether the comma at s[at] separates: it does not behind an odd number of backslashes. */
static bool separates(const char *s, size_t at)
{
    size_t n = 0;
    while (n < at && s[at - 1 - n] == '\\')
        n++;
    return n % 2 == 0;
}

/* Hashed once, from the root down: the normal form of an ancestor is a suffix. The last one found is the nearest. */
static bool nearest(struct dn_map *m, const char *dn, size_t *index)
{
    size_t len;
    const char *key = normalised(m, dn, &len);
    uint64_t h = HASH_EMPTY;
    bool found = false;
    for (size_t at = key ? len : 0; at; at--) {
        h = hash_before(h, key[at - 1]);
        if (at > 1 && (key[at - 2] != ',' || !separates(key, at - 2)))
            continue;
        const struct dn_slot *slot = slot_of(m, key + at - 1, hash_end(h));
        if (slot->key) {
            *index = slot->index;
            found = true;
        }
    }
    return found;
}

/* Children of one parent come one after the other: what was found for the last parent is kept. */
bool dn_map_find_above(struct dn_map *m, const char *dn, size_t *index)
{
    const char *parent = dn ? dn_parent(dn) : NULL;
    if (!parent)
        return false;
    if (!m->last.len || strcmp(buf_str(&m->last), parent) != 0) {
        buf_reset(&m->last);
        m->last_found = nearest(m, parent, &m->last_index);
        if (buf_adds(&m->last, parent))
            buf_reset(&m->last);
    }
    if (m->last_found)
        *index = m->last_index;
    return m->last_found;
}
