/*
 * How often a password may be tried without locking anybody out (migration.md G25): never more than lockoutThreshold - 2 attempts for an
 * account that were not seen to succeed, since somebody else may have spent one or two already. Thread-safe: one budget for all
 * servers and methods of a run.
 *
 *     if (!logon_budget_take(b, user))
 *         say "skipped: the account's failed-logon budget is spent";
 *     ... one attempt ...
 *     if (it succeeded)
 *         logon_budget_succeeded(b, user);
 *
 * An attempt counts from before it is made, so that attempts under way at once cannot exceed the budget together. One that succeeded
 * gives its place back (the domain's counter starts anew then).
 */
#ifndef CORE_PROBE_BUDGET_H
#define CORE_PROBE_BUDGET_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct logon_budget;

/* lockout_threshold: of the domain (struct org): 0 never locks, -1 unknown: one attempt. NULL when memory ran out. */
struct logon_budget *logon_budget_new(int64_t lockout_threshold);
void logon_budget_free(struct logon_budget **b);
/* Attempts an account has altogether; -1 without end. */
int64_t logon_budget_size(const struct logon_budget *b);
/* Takes one attempt; false when none is left (or memory ran out): do not try. "DOM\alice", "alice@contoso.com" and "ALICE" are one
   account: to take two for one costs attempts, to take one for two costs a lock-out. */
bool logon_budget_take(struct logon_budget *b, const char *account) MUST_CHECK;
void logon_budget_succeeded(struct logon_budget *b, const char *account);
/* Attempts left; -1 without end. */
int64_t logon_budget_left(struct logon_budget *b, const char *account);

#endif
