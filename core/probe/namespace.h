/*
 * Names that clients use, at the addresses where clients find them: which certificate answers there. For a load balancer that is another
 * one than the servers' own, and that decides whether channel bindings can hold.
 */
#ifndef CORE_PROBE_NAMESPACE_H
#define CORE_PROBE_NAMESPACE_H

#include "core/base/stop.h"
#include "core/model/evidence.h"
#include "core/model/profile.h"

/* One OBSERVATION_TLS without a server per name, by_name the name. Blocking, one after the other, at most timeout_ms each (0: 5,000).
   A name that leads nowhere is evidence, not an error. */
void probe_namespaces(const struct profile *p, const char *const *names, size_t n, int timeout_ms,
                      const struct stop *stop, struct evidence *e);

#endif
