/*
 * Where a server is: its addresses (host map first), and a TCP connection to one of them. Bounded by the caller's deadline.
 */
#ifndef CORE_PROBE_REACH_H
#define CORE_PROBE_REACH_H

#include "core/base/buf.h"
#include "core/base/hostmap.h"

#define REACH_MAX_ADDRESSES 16

struct reach {
    struct host_addr addrs[REACH_MAX_ADDRESSES];
    size_t n;
    bool configured; /* the host map says so, not DNS */
    uint16_t port;   /* as wanted, or as the host map says */
};

/* hosts NULL: none. detail: "10.1.0.5, 10.1.0.6" or "127.0.10.1 (configured)". */
enum err reach_resolve(const struct hostmap *hosts, const char *name, uint16_t port, const struct stop *stop,
                       struct reach *out, struct buf *detail, struct errinfo *ei) MUST_CHECK;
/* To the first address that answers: *fd (non-blocking), *which its place. detail tells of those that did not. */
enum err reach_connect(const struct reach *r, const struct stop *stop, int *fd, size_t *which,
                       struct buf *detail, struct errinfo *ei) MUST_CHECK;
/* To one of them, again. */
enum err reach_connect_one(const struct reach *r, size_t which, const struct stop *stop, int *fd,
                           struct errinfo *ei) MUST_CHECK;
/* The address alone, without brackets or port. */
void reach_address(const struct reach *r, size_t which, char *out, size_t cap);

#endif
