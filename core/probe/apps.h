/*
 * What lies behind the web server's authentication: each protocol asked in its own language, after its challenge and methods.
 */
#ifndef CORE_PROBE_APPS_H
#define CORE_PROBE_APPS_H

#include "core/model/org.h"

struct target;

/* Called once for each protocol of a reached server. last: nothing comes after, it may use all the time that is left. Records its own
   steps; a protocol without a row in the table records none. */
void app_probe(struct target *t, enum protocol p, bool last);

#endif
