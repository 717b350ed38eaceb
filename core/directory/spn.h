/*
 * Who owns the service names of hosts: http/HOST, and HOST/HOST whose owner serves HTTP where nobody has the former
 * ([MS-ADTS] sPNMappings). Forest-wide: a domain controller of one domain sees that domain only, so in a forest of several
 * the global catalogue is asked as well.
 */
#ifndef CORE_DIRECTORY_SPN_H
#define CORE_DIRECTORY_SPN_H

#include "core/directory/directory.h"
#include "core/model/evidence.h"

/* One host to look up. */
struct spn_host {
    const char *host;   /* "mail.contoso.com" */
    const char *server; /* name of the server it belongs to; NULL: a namespace */
};

/*
 * Adds to e, for each host, one OBSERVATION_SPN per owner and name (outcome OK), or one that says that there is none (FAILED). All of one
 * call bear the same time: a newer look-up of a host replaces an older one. A failure of the global catalogue is no error: what the domain
 * knows is there, whole_forest is false, and the log says why.
 */
enum err directory_spn_owners(struct directory *d, const struct spn_host *hosts, size_t n, struct evidence *e,
                              const struct stop *stop, struct errinfo *ei) MUST_CHECK;

#endif
