/*
 * WWW-Authenticate as a set. RFC 9110 11.6.1: a header line holds one or several challenges, each a scheme with a token68 or
 * a list of parameters; both lists are separated by commas, so "Negotiate, Basic realm="a, b", NTLM" is three challenges.
 *
 * A pure function over hostile text: bounded, never fails; what it cannot read it skips to the next comma and says so.
 */
#ifndef CORE_PROBE_CHALLENGE_H
#define CORE_PROBE_CHALLENGE_H

#include "core/model/auth.h"

#define CHALLENGE_MAX_SCHEMES 64

struct challenge_set {
    auth_set offered; /* schemes we know */
    unsigned schemes; /* all, repeated ones too */
    unsigned unknown; /* of them: of no name we know */
    char other[64];   /* the first such name, safe to show */
    bool cut;         /* there were more than CHALLENGE_MAX_SCHEMES: the rest was not read */
    bool malformed;   /* something between was no challenge */
};

/* Adds one header line's value to the set (zeroed at first). */
void challenge_add(struct challenge_set *set, const char *value, size_t len);
/* "Basic only", "Negotiate, NTLM, Basic", "nothing": for people. Unknown ones at the end, by name. */
enum err challenge_words(struct buf *out, const struct challenge_set *set);

#endif
