/* The organisation over LDAP. Private to core/directory. */
#ifndef CORE_DIRECTORY_LDAP_ORG_H
#define CORE_DIRECTORY_LDAP_ORG_H

#include "core/directory/ldap_session.h"
#include "core/model/org.h"

/* source NULL: a controller by DNS SRV. A controller lost while reading is asked once more, then others of its domain are; when
   none can finish it, what was read comes back with a note that says so. kept: as for directory_read_keeping. */
enum err ldap_read_org(struct org **out, struct buf *kept, const struct profile *p, const char *source,
                       const struct stop *stop, struct errinfo *ei) MUST_CHECK;
/* Opens a session with source, or with the first controller of the domain that lets us in. */
enum err ldap_open_any(struct ldap_session *s, const struct profile *p, const char *source,
                       const struct stop *stop, struct errinfo *ei) MUST_CHECK;

#endif
