/*
 * Whose mailbox: what people and protocols call one, as a key, as an LDAP filter, and matched against an entry.
 * Private to core/directory. Pure.
 */
#ifndef CORE_DIRECTORY_MAILBOX_H
#define CORE_DIRECTORY_MAILBOX_H

#include "core/base/buf.h"
#include "core/directory/entry.h"
#include "core/model/org.h"

enum mailbox_key_kind { MAILBOX_BY_ADDRESS, MAILBOX_BY_SAM, MAILBOX_BY_LEGACY_DN, MAILBOX_BY_GUID };

/* Kind and text in lower case; a GUID is its 16 octets as AD stores them, in hexadecimal. */
struct mailbox_key {
    enum mailbox_key_kind kind;
    char text[512];
    char domain
        [64]; /* short name before the backslash of DOMAIN\sam, lower case; "" for all else. Not part of the key */
};

/* "user@domain" (UPN or SMTP, "smtp:" before it allowed), "DOMAIN\sam", "sam", "/o=..." (also "x500:/o=..."), "{guid}", "guid@domain".
   ERR_INPUT when it is none of these. */
enum err mailbox_key_parse(struct mailbox_key *k, const char *who, struct errinfo *ei) MUST_CHECK;
enum err mailbox_key_filter(const struct mailbox_key *k, struct buf *out) MUST_CHECK;
bool mailbox_key_matches(const struct mailbox_key *k, const struct entry *e);
uint64_t mailbox_key_hash(const struct mailbox_key *k);
/* All keys of a user, one after the other; a key too long to be asked for is left out. */
void mailbox_keys(const struct entry *e, void (*each)(void *arg, const struct mailbox_key *k), void *arg);
void mailbox_fill(struct mailbox *out, const struct entry *e, const struct org *org);

#endif
