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
/* For the rules of a run that is not deep: the rollup of a 2007 or 2010 server, which stands on its logon page alone. Asks nothing of a
   server that answered nothing before. */
void app_rollup(struct target *t);

#endif
