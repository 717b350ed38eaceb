/* Values of an entry as the organisation keeps them: valid UTF-8, bounded, and a note for everything that had to be changed. */
#include "core/directory/decode_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Longest text kept of one value: URLs, names and DNs are far shorter. */
#define TEXT_MAX 4096

/* Into the arena as valid UTF-8, cut at TEXT_MAX; *damaged when that changed it. */
const char *decode_keep(struct decode *d, const char *s, size_t len, bool *damaged)
{
    *damaged = len > TEXT_MAX;
    if (len > TEXT_MAX) {
        len = TEXT_MAX;
        while (len > TEXT_MAX - 4 && ((unsigned char)s[len] & 0xc0) == 0x80)
            len--;
    }
    if (str_is_plain(s, len) || (utf8_valid(s, len) && !memchr(s, '\0', len)))
        return arena_strn(&d->org->arena, s, len);
    *damaged = true;
    char *out = arena_array(&d->org->arena, len + 1, 3);
    if (!out)
        return NULL;
    size_t at = 0;
    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        n = s[i] ? utf8_next(s + i, len - i, NULL) : 0;
        memcpy(out + at, n ? s + i : "\xef\xbf\xbd", n ? n : 3);
        at += n ? n : 3;
    }
    return out;
}

void decode_keep_entries(struct decode *d, size_t limit)
{
    d->keeping = true;
    buf_init(&d->kept, limit);
}

void decode_take_entries(struct decode *d, struct buf *out)
{
    buf_fini(out);
    *out = d->kept;
    d->keeping = false;
    d->kept = (struct buf){0};
}

void decode_note(struct decode *d, const char *subject, const char *fmt, ...)
{
    char text[400];
    bool damaged;
    va_list ap;
    if (d->notes.n >= DECODE_MAX_NOTES) {
        d->notes_dropped++;
        return;
    }
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    struct org_note note = {
        .subject = subject ? decode_keep(d, subject, strlen(subject), &damaged) : NULL,
        .text = decode_keep(d, text, strlen(text), &damaged),
    };
    if (!note.text || !VEC_PUSH(&d->notes, DECODE_MAX_NOTES, note))
        d->notes_dropped++;
}

static bool has_controls(const char *s)
{
    if (str_is_plain(s, strlen(s)))
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    return false;
}

const char *decode_text_of(struct decode *d, const struct entry *e, const struct entry_value *v)
{
    bool damaged;
    if (!v || !v->len)
        return NULL;
    const char *s = decode_keep(d, v->data, v->len, &damaged);
    if (v->cut || v->len > TEXT_MAX)
        decode_note(d, e->dn, "%s is longer than %d bytes: cut there", attribute_name(v->attribute),
                    TEXT_MAX);
    else if (damaged)
        decode_note(d, e->dn, "%s is no valid text: shown with replacement characters",
                    attribute_name(v->attribute));
    else if (s && has_controls(s))
        decode_note(d, e->dn, "%s holds control characters", attribute_name(v->attribute));
    return s;
}

const char *decode_text(struct decode *d, const struct entry *e, enum attribute a)
{
    return decode_text_of(d, e, entry_first(e, a));
}

bool decode_integer(struct decode *d, const struct entry *e, enum attribute a, int64_t *out)
{
    bool bad;
    bool found = entry_int(e, a, out, &bad);
    if (bad)
        decode_note(d, e->dn, "%s is no integer: taken as absent", attribute_name(a));
    return found;
}

/* Flags and counts: 32 bits, written signed. */
bool decode_flags(struct decode *d, const struct entry *e, enum attribute a, uint32_t *out)
{
    int64_t n;
    if (!decode_integer(d, e, a, &n))
        return false;
    if (n < INT32_MIN || n > UINT32_MAX) {
        decode_note(d, e->dn, "%s does not fit 32 bits: taken as absent", attribute_name(a));
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

enum tri decode_boolean(struct decode *d, const struct entry *e, enum attribute a)
{
    const struct entry_value *v = entry_first(e, a);
    if (!v)
        return TRI_UNKNOWN;
    if (v->len == 4 && str_incmp(v->data, "TRUE", 4) == 0)
        return TRI_YES;
    if (v->len == 5 && str_incmp(v->data, "FALSE", 5) == 0)
        return TRI_NO;
    decode_note(d, e->dn, "%s is neither TRUE nor FALSE: taken as absent", attribute_name(a));
    return TRI_UNKNOWN;
}

int64_t decode_changed_at(const struct entry *e)
{
    char when[40];
    int64_t t = 0;
    if (!entry_text(e, ATTRIBUTE_WHEN_CHANGED, when, sizeof when) || !clock_parse_generalized(when, &t))
        return 0;
    return t;
}

/* All values of a multi-valued attribute; NULL with *n 0 when there is none. */
const char **decode_texts(struct decode *d, const struct entry *e, enum attribute a, size_t *n)
{
    size_t count = 0;
    *n = 0;
    for (size_t i = 0; i < e->n; i++)
        count += e->values[i].attribute == a;
    const char **v = count ? arena_array(&d->org->arena, count, sizeof *v) : NULL;
    for (size_t i = 0; v && i < e->n; i++)
        if (e->values[i].attribute == a && (v[*n] = decode_text_of(d, e, &e->values[i])))
            ++*n;
    return v;
}

/* The entry's own DN and the value of its first RDN, which names it. */
bool decode_identify(struct decode *d, const struct entry *e, const char **dn, const char **name)
{
    char rdn[512];
    bool damaged;
    if (!dn_rdn(e->dn, rdn, sizeof rdn)) {
        decode_note(d, e->dn, "this is no distinguished name: the object was left out");
        return false;
    }
    *dn = decode_keep(d, e->dn, strlen(e->dn), &damaged);
    *name = decode_keep(d, rdn, strlen(rdn), &damaged);
    if (*name && has_controls(*name))
        decode_note(d, e->dn, "the name holds control characters");
    return *dn && *name;
}
