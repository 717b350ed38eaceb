/* Inside core/directory: an open directory, shared by the look-ups. */
#ifndef CORE_DIRECTORY_DIRECTORY_INT_H
#define CORE_DIRECTORY_DIRECTORY_INT_H

#include "core/directory/directory.h"
#include "core/directory/ldap_org.h"
#include "core/directory/ldif_index.h"

#include <pthread.h>

struct directory {
    pthread_mutex_t lock; /* held by whoever uses what follows */
    const struct profile *profile;
    char *source; /* NULL: by DNS */
    bool offline, indexed;
    struct ldif_file file;
    struct ldif_index index;
    struct ldap_session session;
    struct ldap_session catalogue; /* the global catalogue's, once it was asked (forest.h) */
    char controller[256];
};

/* A search, and once more over a new connection when the old one was lost. reset forgets what the first try brought. */
enum err directory_search(struct directory *d, const struct ldap_query *q, ldap_entry_sink *sink, void *arg,
                          void (*reset)(void *arg), const struct stop *stop, struct errinfo *ei) MUST_CHECK;
/* For readers of an export whose faults were told when the organisation was read. */
void directory_ignore_note(void *arg, uint64_t line, const char *subject, const char *text);

#endif
