/*
 * Distinguished names compared as RFC 4514 text: one streaming normaliser, so that comparing and hashing need no memory.
 *
 * Normal form: attribute types in lower case; values unescaped, ASCII in lower case, spaces at the edges dropped and runs of
 * them taken as one (RFC 4518 2.6.1: insignificant in matching, escaped or not); then escaped again in one way only.
 */
#include "core/model/org.h"

#include "core/base/str.h"

#include <string.h>

enum { STEP_END = -1, STEP_BAD = -2 };

struct step {
    const char *p;
    char queue[4]; /* bytes of the normal form still to give */
    unsigned char queued, given;
    bool in_value, at_start; /* at_start: nothing of this type or value was given yet */
    bool done;
};

static void step_init(struct step *s, const char *dn)
{
    *s = (struct step){.p = dn, .at_start = true};
    s->p += strspn(s->p, " ");
    s->done = !*s->p; /* the root DN is empty */
}

static int step_queue(struct step *s)
{
    return (unsigned char)s->queue[s->given++];
}

static int push(struct step *s, const char *bytes, size_t n)
{
    memcpy(s->queue, bytes, n);
    s->queued = (unsigned char)n;
    s->given = 0;
    return step_queue(s);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Means something in a value, or must be written with a backslash. */
static bool is_special(char c)
{
    return c == ',' || c == '+' || c == '"' || c == '\\' || c == '<' || c == '>' || c == ';' || c == '=';
}

/* Bytes that are their own normal form within a value, but for the letter case: nearly all there are. */
static bool is_plain(char c)
{
    /* a bit for each of ASCII that is not: NUL, space, # + , ; < = > " and backslash */
    static const uint64_t other[2] = {UINT64_C(1) | UINT64_C(1) << ' ' | UINT64_C(1) << '#' |
                                          UINT64_C(1) << '+' | UINT64_C(1) << ',' | UINT64_C(1) << ';' |
                                          UINT64_C(1) << '<' | UINT64_C(1) << '=' | UINT64_C(1) << '>' |
                                          UINT64_C(1) << '"',
                                      UINT64_C(1) << ('\\' - 64)};
    unsigned char u = (unsigned char)c;
    return u >= 0x80 || !(other[u >> 6] >> (u & 63) & 1);
}

/* The length of ",TYPE=" at p when a type and a value of such bytes follow; else 0. */
static size_t plain_type(const char *p)
{
    size_t n = 1;
    while ((p[n] | 0x20) >= 'a' && (p[n] | 0x20) <= 'z')
        n++;
    return n > 1 && p[n] == '=' && is_plain(p[n + 1]) ? n + 1 : 0;
}

/* Copies a run of such bytes, of single spaces between them, and of types of letters. out has room for what is left of the text. */
static size_t plain_run(struct step *s, char *out)
{
    size_t n = 0, type;
    if (!s->in_value || s->at_start || s->given < s->queued)
        return 0;
    for (const char *p = s->p;;) {
        if (is_plain(p[n]) || (p[n] == ' ' && is_plain(p[n + 1]))) {
            out[n] = lower(p[n]);
            n++;
        } else if (p[n] == ',' && (type = plain_type(p + n))) {
            for (; type; type--, n++)
                out[n] = lower(p[n]);
        } else {
            break;
        }
    }
    s->p += n;
    return n;
}

/* One byte of a value, unescaped; false at a dangling backslash. */
static bool value_byte(struct step *s, char *c, bool *escaped)
{
    *escaped = *s->p == '\\';
    if (*escaped) {
        s->p++;
        if (!*s->p)
            return false;
        int high = hex(s->p[0]), low = high >= 0 ? hex(s->p[1]) : -1;
        if (low >= 0) {
            *c = (char)(high << 4 | low);
            s->p += 2;
            return true;
        }
    }
    *c = *s->p++;
    return true;
}

static int type_step(struct step *s)
{
    if (s->at_start)
        s->p += strspn(s->p, " ");
    char c = lower(*s->p);
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.') {
        s->at_start = false;
        s->p++;
        return (unsigned char)c;
    }
    s->p += strspn(s->p, " ");
    if (*s->p != '=' || s->at_start)
        return STEP_BAD;
    s->p++;
    s->p += strspn(s->p, " ");
    s->in_value = s->at_start = true;
    return '=';
}

/* True when c is a space, escaped or not; the text moves past it. */
static bool take_space(struct step *s)
{
    if (*s->p == ' ') {
        s->p++;
        return true;
    }
    if (s->p[0] == '\\' && s->p[1] == ' ') {
        s->p += 2;
        return true;
    }
    if (s->p[0] == '\\' && s->p[1] == '2' && s->p[2] == '0') {
        s->p += 3;
        return true;
    }
    return false;
}

static int value_step(struct step *s)
{
    bool space = false, escaped;
    char c;
    while (take_space(s))
        space = true;
    if (*s->p == ',' || *s->p == '+') {
        c = *s->p++;
        s->in_value = false;
        s->at_start = true;
        return (unsigned char)c;
    }
    if (!*s->p) {
        s->done = true;
        return STEP_END;
    }
    if (space && !s->at_start)
        return ' ';
    bool first = s->at_start;
    s->at_start = false;
    if (!value_byte(s, &c, &escaped))
        return STEP_BAD;
    if (c == '\0')
        return push(s, "\\00", 3);
    /* a leading # that is not escaped says that hexadecimal BER follows: another value than the text "#..." */
    if (is_special(c) || (c == '#' && (escaped || !first)))
        return push(s, (const char[]){'\\', c}, 2);
    return (unsigned char)lower(c);
}

/* The next byte of the normal form, STEP_END or STEP_BAD. */
static int step_next(struct step *s)
{
    if (s->given < s->queued)
        return step_queue(s);
    if (s->done)
        return STEP_END;
    if (s->in_value)
        return value_step(s);
    return type_step(s);
}

bool dn_equal(const char *a, const char *b)
{
    if (!a || !b)
        return a == b;
    struct step x, y;
    step_init(&x, a);
    step_init(&y, b);
    for (;;) {
        int c = step_next(&x), d = step_next(&y);
        if (c == STEP_BAD || d == STEP_BAD) /* no DNs: text is all there is to compare */
            return str_ieq(a, b);
        if (c != d)
            return false;
        if (c == STEP_END)
            return true;
    }
}

enum err dn_normalise(struct buf *out, const char *dn)
{
    struct step s;
    size_t begun = out->len, left = strlen(dn);
    step_init(&s, dn);
    for (int c; (c = step_next(&s)) != STEP_END;) {
        if (c == STEP_BAD) {
            out->len = begun;
            if (out->data)
                out->data[begun] = '\0';
            return ERR_INPUT;
        }
        buf_addc(out, (char)c);
        if (!s.in_value)
            continue;
        char *room = buf_reserve(out, left - (size_t)(s.p - dn));
        if (!room)
            return out->failed;
        buf_commit(out, plain_run(&s, room));
    }
    return out->failed;
}

const char *dn_parent(const char *dn)
{
    for (const char *p = dn; *p; p++) {
        if (*p == '\\' && p[1]) {
            p++;
        } else if (*p == ',') {
            p++;
            p += strspn(p, " ");
            return *p ? p : NULL;
        }
    }
    return NULL;
}

const char *dn_domain(const char *dn)
{
    const char *p = dn;
    while (p && !str_istarts(p + strspn(p, " "), "DC="))
        p = dn_parent(p);
    return p;
}

bool dn_is_below(const char *dn, const char *ancestor)
{
    if (!dn || !ancestor)
        return false;
    /* as many levels up as dn has more than ancestor, then one comparison */
    size_t up = 0, keep = 0;
    for (const char *p = dn; p && *p; p = dn_parent(p))
        up++;
    for (const char *p = ancestor; p && *p; p = dn_parent(p))
        keep++;
    if (keep > up)
        return false;
    for (; up > keep && dn; up--)
        dn = dn_parent(dn);
    return dn_equal(dn ? dn : "", ancestor);
}

bool dn_rdn(const char *dn, char *out, size_t cap)
{
    struct step s = {.p = dn};
    size_t n = 0, solid = 0; /* solid: up to the last byte that is no trailing space */
    s.p += strcspn(s.p, "=,\\");
    if (*s.p != '=' || s.p == dn || cap == 0)
        return false;
    s.p++;
    s.p += strspn(s.p, " ");
    while (*s.p && *s.p != ',' && *s.p != '+') {
        char c;
        bool escaped;
        if (!value_byte(&s, &c, &escaped) || c == '\0' || n + 1 >= cap)
            return false;
        out[n++] = c;
        if (c != ' ' || escaped)
            solid = n;
    }
    out[solid] = '\0';
    return true;
}
