/*
 * Whose mailbox is where: answers of the directory, remembered for two minutes. Thread-safe; the look-up itself blocks and is for jobs.
 */
#ifndef CORE_PROXY_MAILBOXES_H
#define CORE_PROXY_MAILBOXES_H

#include "core/directory/directory.h"

#define MAILBOX_TTL_MS 120000

struct mailboxes;

/* profile, source as for directory_open(), which is called with the first look-up. */
enum err mailboxes_new(struct mailboxes **out, const struct profile *profile, const char *source,
                       const struct org *org) MUST_CHECK;
void mailboxes_free(struct mailboxes **m);
/* Makes a look-up under way end soon. */
void mailboxes_stop(struct mailboxes *m);
/* What is remembered of who: ERR_OK and *out, ERR_NOTFOUND or ERR_INPUT (nobody, several); ERR_STALE: nothing, look it up.
   Mailboxes found with another version of the organisation are not remembered: they point into it. */
enum err mailboxes_peek(struct mailboxes *m, uint64_t org_version, const char *who, int64_t now_ms,
                        struct mailbox *out, struct errinfo *ei) MUST_CHECK;
/* Asks the directory, remembers. The organisation asked for is the one of mailboxes_organisation(); *org_version says which that was. */
enum err mailboxes_lookup(struct mailboxes *m, const char *who, int64_t now_ms, struct mailbox *out,
                          uint64_t *org_version, struct errinfo *ei) MUST_CHECK;
/* Puts another organisation in place. Waits until no look-up uses the one before. */
void mailboxes_organisation(struct mailboxes *m, const struct org *org, uint64_t version);

#endif
