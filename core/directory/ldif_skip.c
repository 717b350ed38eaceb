#include "core/directory/ldif_skip.h"

#include <string.h>

/* An empty line, or one whose name is "d" and another letter, or one that looks like "objectClass". */
static bool is_turn(const char *at, const char *end)
{
    return *at == '\n' || *at == '\r' || ((*at | 0x20) == 'd' && (end - at < 3 || at[2] == ':')) ||
           ((*at | 0x20) == 'o' && (end - at < 8 || (at[7] | 0x20) == 'l'));
}

enum { WIDTH = 32, STEPS = 2, BLOCK = WIDTH * STEPS, AHEAD = 8, FLUSH = 127 / STEPS };
typedef signed char bytes __attribute__((vector_size(WIDTH)));
#define INLINE static inline __attribute__((always_inline))

INLINE void load(bytes *v, const char *at)
{
    memcpy(v, at, sizeof *v);
}

INLINE bool any(const bytes *v)
{
    uint64_t part[WIDTH / 8], all = 0;
    memcpy(part, v, sizeof part);
    for (size_t i = 0; i < WIDTH / 8; i++)
        all |= part[i];
    return all != 0;
}

/*
 * Past as many whole blocks as hold no newline that a turn can follow; ends anywhere in a line. A test for each line was most of what
 * reading an export took. A control character behind the newline is taken for an empty line: the caller looks again.
 */
INLINE const char *skip_blocks(const char *at, const char *end, uint64_t *lines)
{
    for (bool more = true; more;) {
        bytes newlines = {0};
        for (unsigned blocks = 0; blocks < FLUSH; blocks++) {
            bytes found = {0}, hit = {0};
            more = (size_t)(end - at) >= BLOCK + AHEAD;
            for (size_t i = 0; more && i < BLOCK; i += WIDTH) {
                bytes newline, first, third, eighth;
                load(&newline, at + i);
                load(&first, at + i + 1);
                load(&third, at + i + 3);
                load(&eighth, at + i + AHEAD);
                newline = newline == '\n';
                found -= newline; /* a comparison that holds is -1 */
                hit |= newline & ((first <= '\r') | (((first | 0x20) == 'd') & (third == ':')) |
                                  (((first | 0x20) == 'o') & ((eighth | 0x20) == 'l')));
            }
            more = more && !any(&hit);
            if (!more)
                break;
            newlines += found;
            at += BLOCK;
        }
        for (size_t i = 0; i < WIDTH; i++)
            *lines += (uint64_t)newlines[i];
    }
    return at;
}

/* The same for processors that have registers of that width, and for those that do it in parts. */
#if defined __x86_64__
__attribute__((target("avx2"))) static const char *skip_wide(const char *at, const char *end, uint64_t *lines)
{
    return skip_blocks(at, end, lines);
}
#define HAS_WIDE __builtin_cpu_supports("avx2")
#else
#define skip_wide skip_any
#define HAS_WIDE  false
#endif

static const char *skip_any(const char *at, const char *end, uint64_t *lines)
{
    return skip_blocks(at, end, lines);
}

const char *ldif_skip_lines(const char *from, const char *end, uint64_t *lines)
{
    for (const char *at = from; at < end;) {
        if (is_turn(at, end))
            return at;
        at = HAS_WIDE ? skip_wide(at, end, lines) : skip_any(at, end, lines);
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline) {
            const char *last = memrchr(from, '\n', (size_t)(at - from));
            return last ? last + 1 : from;
        }
        ++*lines;
        at = newline + 1;
    }
    return end;
}

void ldif_head_learn(struct ldif_head *h, const char *from, const char *end)
{
    h->len = 0;
    if ((size_t)(end - from) > sizeof h->bytes)
        return;
    h->lines = 0;
    h->last_line = 0;
    for (const char *at = from; (at = memchr(at, '\n', (size_t)(end - at))); h->lines++)
        h->last_line = (size_t)(++at - from);
    h->len = (size_t)(end - from);
    memcpy(h->bytes, from, h->len);
}

bool ldif_head_matches(const struct ldif_head *h, const char *at, const char *end, size_t max_dn,
                       struct ldif_match *m)
{
    static const char name[] = "dn: ";
    at += *at == '\r' && end - at > 1;
    if (!h->len || *at != '\n' || (size_t)(end - at) < sizeof name + h->len ||
        memcmp(at + 1, name, sizeof name - 1) != 0)
        return false;
    const char *dn = at + sizeof name;
    size_t room = (size_t)(end - dn) - h->len;
    const char *newline = memchr(dn, '\n', room < max_dn ? room : max_dn);
    if (!newline || memcmp(newline + 1, h->bytes, h->len) != 0)
        return false;
    while (*dn == ' ')
        dn++;
    size_t len = (size_t)(newline - dn);
    len -= len && dn[len - 1] == '\r';
    if (memchr(dn, '\0', len))
        return false;
    *m = (struct ldif_match){dn, len, newline + 1 + h->last_line, h->lines + 2};
    return true;
}
