/*
 * One password, many servers: a domain counts failed logins and locks the account, so a mistyped password must not be offered by all
 * servers' connections at once. Until an identity (user and password) was accepted somewhere, its logins go one at a time; after the
 * first refusal no other server is tried. Once accepted they go side by side; a refusal then may be that one server's own matter, so
 * the next login goes alone again, and a second refusal in a row ends it: the password was changed, or the account is locked.
 * Keys are no matter of this: nobody counts them. Any number of threads.
 */
#ifndef REMOTING_SSH_TRIAL_H
#define REMOTING_SSH_TRIAL_H

#include "remoting/ssh_int.h"

struct ssh_trial;

enum ssh_verdict {
    SSH_UNTOLD, /* not offered after all, or nobody said yes or no */
    SSH_ACCEPTED,
    SSH_REJECTED,
};

/* Lives as long as a transport: a run. NULL when there is no memory. */
struct ssh_trials *ssh_trials_new(void);
void ssh_trials_free(struct ssh_trials **t);

/* Before the password leaves; waits its turn. ERR_AUTH: another server has refused it, and it must not be offered; ERR_UNREACHABLE: the
   server has hung up meanwhile. The secret is borrowed as long as the trials live. The time of waiting is no part of the connection's
   time to log in. */
enum err ssh_trial_begin(struct ssh_conn *c, const struct ssh_settings *s, struct ssh_trial **out,
                         struct errinfo *ei) MUST_CHECK;
/* Exactly once after each begin that was ERR_OK. */
void ssh_trial_end(struct ssh_conn *c, struct ssh_trial *trial, enum ssh_verdict verdict);

#endif
