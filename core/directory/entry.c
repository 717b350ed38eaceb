#include "core/directory/entry.h"

#include "core/base/str.h"

#include <string.h>
#include <threads.h>

static const struct {
    const char *name;
    size_t len;
    unsigned who;
} attributes[ATTRIBUTE_COUNT] = {
#define X(name, ldap, who) {ldap, sizeof ldap - 1, who},
    ATTRIBUTE_MAP(X)
#undef X
};

static const struct {
    const char *name;
    size_t len;
} classes[CLASS_INDEX_COUNT] = {
#define X(name, ldap) {ldap, sizeof ldap - 1},
    CLASS_MAP(X)
#undef X
};

/*
 * Names are looked up for every line of an export, and nearly all are of no interest: length and three letters tell
 * that without reading the name. Built once; open addressing, at most a quarter full.
 */
#define SLOTS 256
static unsigned char attribute_slots[SLOTS], class_slots[SLOTS]; /* index + 1, 0: free */
static once_flag built = ONCE_FLAG_INIT;

static unsigned slot_of(const char *name, size_t len)
{
    unsigned first = (unsigned char)name[0] | 0x20, middle = (unsigned char)name[len / 2] | 0x20,
             last = (unsigned char)name[len - 1] | 0x20;
    return (unsigned)(len * 5 + first * 29 + middle * 31 + last * 7) % SLOTS;
}

static void enter(unsigned char *slots, const char *name, unsigned index)
{
    unsigned at = slot_of(name, strlen(name));
    while (slots[at])
        at = (at + 1) % SLOTS;
    slots[at] = (unsigned char)(index + 1);
}

static void build(void)
{
    for (unsigned i = 0; i < ATTRIBUTE_COUNT; i++)
        enter(attribute_slots, attributes[i].name, i);
    for (unsigned i = 0; i < CLASS_INDEX_COUNT; i++)
        enter(class_slots, classes[i].name, i);
}

/* Mostly written as in the schema. */
static bool same(const char *known, size_t known_len, const char *name, size_t len)
{
    return known_len == len && (memcmp(known, name, len) == 0 || str_incmp(known, name, len) == 0);
}

enum attribute attribute_find(const char *name, size_t len)
{
    call_once(&built, build);
    if (!len)
        return ATTRIBUTE_NONE;
    for (unsigned at = slot_of(name, len); attribute_slots[at]; at = (at + 1) % SLOTS)
        if (same(attributes[attribute_slots[at] - 1].name, attributes[attribute_slots[at] - 1].len, name,
                 len))
            return (enum attribute)(attribute_slots[at] - 1);
    return ATTRIBUTE_NONE;
}

const char *attribute_name(enum attribute a)
{
    return (unsigned)a < ATTRIBUTE_COUNT ? attributes[a].name : "?";
}

unsigned attribute_wanted_by(enum attribute a)
{
    return (unsigned)a < ATTRIBUTE_COUNT ? attributes[a].who : 0;
}

/* RFC 2849 SAFE-STRING, and nothing that a reader or an editor might take away. */
static bool is_plain(const char *s, size_t len)
{
    if (len && (s[0] == ' ' || s[0] == ':' || s[0] == '<' || s[len - 1] == ' '))
        return false;
    return str_is_plain(s, len);
}

static void add_line(struct buf *out, const char *name, const char *value, size_t len)
{
    buf_adds(out, name);
    if (is_plain(value, len)) {
        buf_adds(out, ": ");
        buf_add(out, value, len);
    } else {
        buf_adds(out, ":: ");
        if (base64_encode(out, value, len) && !out->failed)
            out->failed = ERR_LIMIT;
    }
    buf_addc(out, '\n');
}

enum err entry_to_ldif(const struct entry *e, struct buf *out)
{
    add_line(out, "dn", e->dn, strlen(e->dn));
    for (unsigned i = 0; i < CLASS_INDEX_COUNT; i++)
        if (e->classes & UINT32_C(1) << i)
            add_line(out, attributes[ATTRIBUTE_OBJECT_CLASS].name, classes[i].name, classes[i].len);
    for (size_t i = 0; i < e->n; i++)
        if (e->values[i].attribute < ATTRIBUTE_COUNT && e->values[i].attribute != ATTRIBUTE_OBJECT_CLASS)
            add_line(out, attributes[e->values[i].attribute].name, e->values[i].data, e->values[i].len);
    return buf_addc(out, '\n');
}

uint32_t class_find(const char *name, size_t len)
{
    call_once(&built, build);
    if (!len)
        return 0;
    for (unsigned at = slot_of(name, len); class_slots[at]; at = (at + 1) % SLOTS)
        if (same(classes[class_slots[at] - 1].name, classes[class_slots[at] - 1].len, name, len))
            return UINT32_C(1) << (class_slots[at] - 1);
    return 0;
}

const struct entry_value *entry_first(const struct entry *e, enum attribute a)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->values[i].attribute == a)
            return &e->values[i];
    return NULL;
}

bool entry_text(const struct entry *e, enum attribute a, char *out, size_t cap)
{
    const struct entry_value *v = entry_first(e, a);
    if (!v || !v->len || v->cut || v->len >= cap || !utf8_valid(v->data, v->len) ||
        memchr(v->data, '\0', v->len))
        return false;
    memcpy(out, v->data, v->len);
    out[v->len] = '\0';
    return true;
}

bool entry_int(const struct entry *e, enum attribute a, int64_t *out, bool *bad)
{
    const struct entry_value *v = entry_first(e, a);
    *bad = v && !str_to_i64(v->data, v->len, out);
    return v && !*bad;
}
