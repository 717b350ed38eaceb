#include "core/directory/ldif_skip.h"

#include <string.h>

/* An empty line, or one whose name is "d" and another letter. */
static bool is_turn(const char *at, const char *end)
{
    return *at == '\n' || *at == '\r' || ((*at | 0x20) == 'd' && (end - at < 3 || at[2] == ':'));
}

enum { WIDTH = 16, STEPS = 4, BLOCK = WIDTH * STEPS, AHEAD = 3 };
typedef signed char bytes __attribute__((vector_size(WIDTH)));

static bytes load(const char *at)
{
    bytes v;
    memcpy(&v, at, sizeof v);
    return v;
}

static bool any(bytes v)
{
    uint64_t halves[2];
    memcpy(halves, &v, sizeof v);
    return (halves[0] | halves[1]) != 0;
}

/*
 * Past as many whole blocks as hold no newline that a turn can follow; ends anywhere in a line. A test for each line was most of what
 * reading an export took. A control character behind the newline is taken for an empty line: the caller looks again.
 */
static const char *skip_blocks(const char *at, const char *end, uint64_t *lines)
{
    enum { FLUSH = 127 / STEPS };
    for (bool more = true; more;) {
        bytes newlines = {0};
        for (unsigned blocks = 0; blocks < FLUSH; blocks++) {
            bytes found = {0}, hit = {0};
            more = (size_t)(end - at) >= BLOCK + AHEAD;
            for (size_t i = 0; more && i < BLOCK; i += WIDTH) {
                bytes first = load(at + i + 1), third = load(at + i + AHEAD);
                bytes newline = load(at + i) == '\n';
                found -= newline; /* a comparison that holds is -1 */
                hit |= newline & ((first <= '\r') | (((first | 0x20) == 'd') & (third == ':')));
            }
            more = more && !any(hit);
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

const char *ldif_skip_lines(const char *from, const char *end, uint64_t *lines)
{
    for (const char *at = from; at < end;) {
        if (is_turn(at, end))
            return at;
        at = skip_blocks(at, end, lines);
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
    *m = (struct ldif_match){.dn = dn, .next = newline + 1 + h->last_line, .lines = h->lines + 2};
    m->dn_len = len && dn[len - 1] == '\r' ? len - 1 : len;
    return !memchr(dn, '\0', m->dn_len);
}
