/*
 * --host NAME=ADDR[:PORT]: where a name is reached (cli.md). Names stay what TLS and Kerberos check.
 *
 * Entries are NAME or NAME:PORT (NAME/PORT in a configuration file, whose keys may hold no colon); the
 * latter wins for that port. A port in a bare entry replaces the wanted port unless the caller asks
 * for the address only (remoting, which has port settings of its own). Names compare without case.
 */
#ifndef CORE_BASE_HOSTMAP_H
#define CORE_BASE_HOSTMAP_H

#include "core/base/stop.h"
#include "core/base/vec.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct host_entry {
    char *name;
    uint16_t for_port; /* 0: any */
    char *addr;
    uint16_t port; /* 0: as wanted */
};

struct hostmap {
    VEC(struct host_entry) entries;
};

void hostmap_fini(struct hostmap *m);
/* spec is "NAME=ADDR[:PORT]"; ADDR an IPv4 or [IPv6] address or a name. A later entry replaces an equal one. */
enum err hostmap_add(struct hostmap *m, const char *spec, struct errinfo *ei) MUST_CHECK;
enum err hostmap_add_pair(struct hostmap *m, const char *name, const char *addr,
                          struct errinfo *ei) MUST_CHECK;
/* True when an entry applies. *addr is borrowed. */
bool hostmap_find(const struct hostmap *m, const char *name, uint16_t port, bool address_only,
                  const char **addr, uint16_t *port_out);

struct host_addr {
    struct sockaddr_storage sa;
    socklen_t len;
};
/* Applies the map, then getaddrinfo. Up to max addresses; *n how many. Blocking. */
enum err hostmap_resolve(const struct hostmap *m, const char *name, uint16_t port, bool address_only,
                         struct host_addr *out, size_t max, size_t *n, struct errinfo *ei) MUST_CHECK;
/* Resolves, then connects by TCP to the first address that answers before the deadline. *fd is non-blocking, close-on-exec,
   TCP_NODELAY. The error tells refused, timed out and unknown name apart. */
enum err hostmap_connect(const struct hostmap *m, const char *name, uint16_t port, bool address_only,
                         const struct stop *stop, int *fd, struct errinfo *ei) MUST_CHECK;
/* "10.0.0.1:443" or "[::1]:443" */
void host_addr_text(const struct host_addr *a, char *out, size_t cap);

#endif
