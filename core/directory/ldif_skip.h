/*
 * Passing over the entries of an export that nobody wants, which are most of it, about as fast as memory can be read. Pure functions
 * over bytes that the caller holds; ldif.c decides what may be passed over, and reads the same without them, only slower.
 *
 * Private to core/directory. Not thread-safe.
 */
#ifndef CORE_DIRECTORY_LDIF_SKIP_H
#define CORE_DIRECTORY_LDIF_SKIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Past the lines of an entry to the first that can be its end or change what it is: an empty one, one that looks like a "dn" line, one
 * that looks like an "objectClass" line (which stand together as a rule, and are behind already). from: the start of a
 * line. Returns the start of such a line, or of the last one when it has no newline before end, or end. *lines grows by the newlines
 * passed. Reads nothing at or behind end.
 */
const char *ldif_skip_lines(const char *from, const char *end, uint64_t *lines);

/*
 * How an entry that nobody wants began: the bytes between its dn line and the colon of the line at which that was known. Most
 * entries begin as the one before did, and what is read with the same bytes leads to the same decision.
 */
#define LDIF_HEADS 4 /* users, groups, contacts and what else there is */
struct ldif_head {
    char bytes[512];
    size_t len;       /* 0: none is known */
    size_t last_line; /* where the line of the colon begins */
    unsigned lines;   /* newlines before that */
};

/* from..end: whole lines from the one behind the dn line, and the last up to its colon. What is too long is not kept. */
void ldif_head_learn(struct ldif_head *h, const char *from, const char *end);

struct ldif_match {
    const char *dn; /* its value, plain; borrowed */
    size_t dn_len;
    const char *next; /* the line of the colon */
    unsigned lines;   /* newlines before that, from at */
};
/*
 * Whether at stands an empty line that ends an entry, then a dn line that cannot fail (plain, at most max_dn bytes, not folded), then the
 * known beginning, all of it before end. False when in doubt.
 */
bool ldif_head_matches(const struct ldif_head *h, const char *at, const char *end, size_t max_dn,
                       struct ldif_match *m);

#endif
