/*
 * One LDAP connection to a domain controller: connect, TLS or sealing, bind, rootDSE, paged searches.
 *
 * Blocking, with the caller's deadline on every wait. Not thread-safe. Private to core/directory.
 *
 * How it binds (lab.md section 2): GSSAPI always by name (NOCANON), sealed over ldap:// (at least 56 bits), without a layer
 * of its own inside TLS, where a controller refuses one; EXTERNAL over ldapi://; simple when the profile has ldap_user, over TLS or to
 * loopback only. Referrals are never followed.
 */
#ifndef CORE_DIRECTORY_LDAP_SESSION_H
#define CORE_DIRECTORY_LDAP_SESSION_H

#include "core/base/buf.h"
#include "core/base/stop.h"
#include "core/base/vec.h"
#include "core/directory/entry.h"
#include "core/model/profile.h"

#include <ldap.h>

#define LDAP_PAGE 1000

struct ldap_session {
    LDAP *ld;
    char uri[512];
    char host[256]; /* the name that Kerberos and TLS check; "" over ldapi */
    char controller[256];
    char *default_nc, *config_nc, *root_nc, *schema_nc; /* libc strings */
    bool tls, is_local, lost;       /* lost: the connection is gone, a new session may help */
    VEC(struct entry_value) values; /* scratch of searches */
};

enum err ldap_session_open(struct ldap_session *s, const struct profile *p, const char *uri,
                           const struct stop *stop, struct errinfo *ei) MUST_CHECK;
void ldap_session_close(struct ldap_session *s);

struct ldap_query {
    const char *base;
    int scope;
    const char *filter;
    unsigned who;      /* FOR_*: the attributes to ask for */
    const char *extra; /* one more, as ATTRIBUTE_EXTRA; with who 0 the only one */
    const char *what;  /* "reading the sites", for errors */
};
typedef enum err ldap_entry_sink(void *arg, const struct entry *e, struct errinfo *ei);

/* Sends a search, for the controller to work on while others are read. Strings of q are copied. Of searches with more than a page
   one may be under way in a session: OpenLDAP keeps one cookie a connection. */
struct ldap_search;
enum err ldap_search_begin(struct ldap_search **out, struct ldap_session *s, const struct ldap_query *q,
                           struct errinfo *ei) MUST_CHECK;
/* Page by page, entry by entry, ranged attributes completed. ERR_NOTFOUND: no such base. A cut answer (result 4) is an error.
   Consumes x, also on error. */
enum err ldap_search_finish(struct ldap_search **x, ldap_entry_sink *sink, void *arg, const struct stop *stop,
                            struct errinfo *ei) MUST_CHECK;
void ldap_search_drop(struct ldap_search **x); /* NULL is fine; before its session is closed */
/* Both in one. */
enum err ldap_session_search(struct ldap_session *s, const struct ldap_query *q, ldap_entry_sink *sink,
                             void *arg, const struct stop *stop, struct errinfo *ei) MUST_CHECK;
/* Waits for one message of msgid; *res is the caller's. */
enum err ldap_session_wait(struct ldap_session *s, int msgid, const struct stop *stop, const char *what,
                           LDAPMessage **res, struct errinfo *ei) MUST_CHECK;

/* RFC 4515 escaping of a value in a filter. */
enum err ldap_filter_escape(struct buf *out, const char *value, size_t len);

/* An LDAP result in words, with what to do about it; sets s->lost when the connection is gone. diagnostic may be NULL. */
enum err ldap_explain(struct ldap_session *s, int rc, const char *diagnostic, const char *what,
                      struct errinfo *ei);
/* The same for a bind, where controllers and GSSAPI hide the cause in the text. */
enum err ldap_explain_bind(struct ldap_session *s, int rc, const char *diagnostic, struct errinfo *ei);

/* The handshake on a connected socket, which it leaves blocking. ERR_TLS, or what the deadline says. */
enum err ldap_session_start_tls(struct ldap_session *s, int fd, const struct stop *stop,
                                struct errinfo *ei) MUST_CHECK;
/* Replaces ei by the reason why the controller's certificate is refused, when that can be found out. */
void ldap_explain_tls(const struct ldap_session *s, const struct profile *p, const char *host, uint16_t port,
                      const struct stop *stop, struct errinfo *ei);
bool ldap_is_address(const char *host, unsigned char bytes[16]);

/* Domain controllers by DNS SRV (_ldap._tcp.dc._msdcs.DOMAIN), best first; domain NULL: the Kerberos realm of the ticket
   or of krb5.conf. */
struct ldap_target {
    char host[256];
    uint16_t port, priority, weight;
};
enum err ldap_locate(const char *domain, struct ldap_target *out, size_t max, size_t *n,
                     struct errinfo *ei) MUST_CHECK;
/* The SRV records of a DNS answer, unsorted. False when it is no well-formed answer. Pure. */
bool ldap_parse_srv(const unsigned char *msg, size_t len, struct ldap_target *out, size_t max, size_t *n);

#endif
