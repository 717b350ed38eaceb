/*
 * Logons: is this the password of that user? Asked of the KDC once, remembered by a keyed hash, and never so often that an
 * account could be locked out through the engine.
 *
 * - A right password is believed for 5 minutes; for 8 hours it may be asked again whatever others tried meanwhile.
 * - A wrong one is refused for 10 s, then 1, 5, 30 minutes without asking again.
 * - All wrong ones of one user together: at most lockoutThreshold - 2 in half an hour (3 when the threshold is unknown),
 *   counted from the last one, as a domain controller does.
 * Thread-safe. What is kept is an HMAC under a key of this run, never a password.
 */
#ifndef CORE_PROXY_LOGON_H
#define CORE_PROXY_LOGON_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define LOGON_DIGEST 32

struct logon_book;
typedef void logon_drop_fn(void *ident);

enum logon_answer {
    LOGON_YES,     /* *ident: one more owner through take() */
    LOGON_NO,      /* known to be wrong, or the budget is used up: *why */
    LOGON_ASK,     /* ask the KDC now, then call logon_settle() */
    LOGON_PENDING, /* the answer to a question under way decides */
};

enum err logon_book_new(struct logon_book **out, void *(*take)(void *ident), logon_drop_fn *drop) MUST_CHECK;
void logon_book_free(struct logon_book **b);
/* Wrong passwords allowed a user; from the domain's lockoutThreshold: -1 unknown, 0 never locks. */
void logon_budget(struct logon_book *b, int64_t lockout_threshold);
/* now in seconds of any monotonic clock. With wait_ms > 0 the caller takes on asking (LOGON_ASK) and must settle, and it waits for
   questions under way (LOGON_PENDING only after wait_ms): questions count against the budget until they are settled. With
   wait_ms 0 it never blocks, and LOGON_ASK and LOGON_PENDING are only advice. */
enum logon_answer logon_check(struct logon_book *b, const uint8_t digest[static LOGON_DIGEST],
                              const char *user, int64_t now, int wait_ms, void **ident, char *why,
                              size_t cap);

enum logon_outcome {
    LOGON_RIGHT,
    LOGON_WRONG,   /* counts towards a lock-out */
    LOGON_REFUSED, /* unknown user, disabled, expired: does not */
    LOGON_FAILED   /* could not be asked: nothing is remembered */
};
/* ident is handed over (with LOGON_RIGHT). */
void logon_settle(struct logon_book *b, const uint8_t digest[static LOGON_DIGEST], const char *user,
                  int64_t now, enum logon_outcome outcome, void *ident, const char *why);
/* The account a name stands for: "DOM\Alice", "alice@x" and "Alice" give "alice". */
void logon_account(const char *user, char *out, size_t cap);

#endif
