/*
 * Reading the organisation: from a live directory over LDAP or from an LDIF export, by one decoder.
 *
 * Who may call: commands, views (through jobs), probes for mailbox look-ups. Blocking; from job threads. The profile is borrowed
 * by an open directory. The process must ignore SIGPIPE (libldap writes to sockets that the other end may have closed).
 */
#ifndef CORE_DIRECTORY_DIRECTORY_H
#define CORE_DIRECTORY_DIRECTORY_H

#include "core/base/stop.h"
#include "core/model/org.h"
#include "core/model/profile.h"

/* source: ldap://, ldaps://, ldapi://, ldif:FILE, NULL: profile's source, else a domain controller by DNS SRV of the Kerberos realm.
   (snapshot: is opened by core/report.) A broken tail of an LDIF or a part of the tree that cannot be read leaves a note in
   org->notes and a warning; it is an error only when nothing could be read. */
enum err directory_read(struct org **out, const struct profile *p, const char *source,
                        const struct stop *stop, struct errinfo *ei) MUST_CHECK;

/* The same; kept (initialised, empty; NULL: no) gets the entries it was made of, as LDIF: for a snapshot. */
enum err directory_read_keeping(struct org **out, struct buf *kept, const struct profile *p,
                                const char *source, const struct stop *stop, struct errinfo *ei) MUST_CHECK;

/* Entries kept before, fed in pieces, become an organisation again. What the entries do not say comes from the origin. */
struct directory_origin {
    const char *source, *controller; /* as the organisation had them; any may be NULL */
    const char *default_naming_context, *config_naming_context, *root_naming_context;
    int64_t taken_at;
};
struct directory_feed;
enum err directory_feed_new(struct directory_feed **out, struct errinfo *ei) MUST_CHECK;
enum err directory_feed(struct directory_feed *f, const char *data, size_t len,
                        struct errinfo *ei) MUST_CHECK;
/* ERR_INPUT when no organisation and no server is among them. */
enum err directory_feed_end(struct directory_feed *f, const struct directory_origin *origin, struct org **out,
                            struct errinfo *ei) MUST_CHECK;
void directory_feed_free(struct directory_feed **f); /* NULL is fine */

struct directory; /* an open connection (or LDIF index) for look-ups, kept; thread-safe: calls take turns */
enum err directory_open(struct directory **out, const struct profile *p, const char *source,
                        const struct stop *stop, struct errinfo *ei) MUST_CHECK;
void directory_close(struct directory **d);
/* By userPrincipalName, SMTP address, DOMAIN\sam or sam, legacyExchangeDN, mailbox GUID (with or without @domain); "smtp:" and
   "x500:" before it are allowed. DOMAIN, when live, chooses the domain by its short name; without it the controller's own is searched,
   then, by the global catalogue on the same controller, the forest. ERR_NOTFOUND when nobody has it; ERR_INPUT when several have. Reconnects once when the connection was lost. */
enum err directory_mailbox(struct directory *d, const struct org *org, const char *who, struct mailbox *out,
                           const struct stop *stop, struct errinfo *ei) MUST_CHECK;
/* One attribute of one object, all values; for preconditions and re-reading. n 0 when absent. ERR_NOTFOUND: no such object. Values are
   malloc'ed: free with directory_values_free. Integers and booleans as AD writes them; of octets only what stands before a NUL. */
struct directory_values {
    char **v;
    size_t n;
};
enum err directory_attribute(struct directory *d, const char *dn, const char *attribute,
                             struct directory_values *out, const struct stop *stop,
                             struct errinfo *ei) MUST_CHECK;
void directory_values_free(struct directory_values *v);
/*
 * The other controllers that hold the same configuration, as sources to open (malloc'ed: directory_values_free). Of the profile's key
 * `controllers` ("none": nobody), else every controller of the forest: the configuration partition, where Exchange keeps its settings,
 * is on all of them, and names them itself (NTDS Settings below CN=Sites). At most 64; of an export there are none.
 */
enum err directory_replicas(struct directory *d, struct directory_values *out, const struct stop *stop,
                            struct errinfo *ei) MUST_CHECK;
/* The controller that answers, for "said by DC1". Borrowed. */
const char *directory_controller(const struct directory *d);

#endif
