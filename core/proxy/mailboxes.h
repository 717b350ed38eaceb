/*
 * Whose mailbox is where: answers of the directory, remembered for two minutes. Thread-safe; the look-up itself blocks and is for jobs.
 */
#ifndef CORE_PROXY_MAILBOXES_H
#define CORE_PROXY_MAILBOXES_H

#include "core/directory/directory.h"

#define MAILBOX_TTL_MS 120000

struct mailboxes;

/* profile, source as for directory_open(), which is called with the first look-up. */
enum err mailboxes_new(struct mailboxes **out, const struct profile *profile, const char *source) MUST_CHECK;
void mailboxes_free(struct mailboxes **m);
/* Makes a look-up under way end soon. */
void mailboxes_stop(struct mailboxes *m);
/* What is remembered of who: ERR_OK and *out, ERR_NOTFOUND or ERR_INPUT (nobody, several); ERR_STALE: nothing, look it up.
   Mailboxes of another organisation than org are not remembered: they point into it. */
enum err mailboxes_peek(struct mailboxes *m, const struct org *org, const char *who, int64_t now_ms,
                        struct mailbox *out, struct errinfo *ei) MUST_CHECK;
/* Asks the directory, remembers. */
enum err mailboxes_lookup(struct mailboxes *m, const struct org *org, const char *who, int64_t now_ms,
                          struct mailbox *out, struct errinfo *ei) MUST_CHECK;

#endif
