/*
 * The forest beyond the controller's own domain: its domains, and the global catalogue on the same controller ([MS-ADTS] 3.1.1.1.8), which
 * knows every account by some of its attributes. Private to core/directory. The caller holds the directory's lock, and it is live.
 */
#ifndef CORE_DIRECTORY_FOREST_H
#define CORE_DIRECTORY_FOREST_H

#include "core/directory/directory_int.h"

#define GC_PORT     3268
#define GC_TLS_PORT 3269

/* Domains: cross references with a short name. 0 when that cannot be read. */
size_t forest_domains(struct directory *d, const struct stop *stop);
/* The naming context of the domain of that short name ("CONTOSO"). ERR_NOTFOUND when the forest has none. */
enum err forest_naming_context(struct directory *d, const char *short_name, char *out, size_t cap,
                               const struct stop *stop, struct errinfo *ei) MUST_CHECK;
/* A search of the catalogue, base "" for the whole forest; as directory_search. The connection is kept. */
enum err forest_search(struct directory *d, const struct ldap_query *q, ldap_entry_sink *sink, void *arg,
                       void (*reset)(void *arg), const struct stop *stop, struct errinfo *ei) MUST_CHECK;

#endif
