/* Between the files of the report. */
#ifndef CORE_REPORT_REPORT_INT_H
#define CORE_REPORT_REPORT_INT_H

#include "core/base/vec.h"
#include "core/report/report.h"

/* NOT_OFFERED: the mailbox's version does not know the protocol and no client asks for it: no news of any kind. */
enum route_state { ROUTE_WORKS, ROUTE_FAILS, ROUTE_NOT_KNOWN, ROUTE_NOT_OFFERED };
enum route_state report_route_state(const struct route_decision *d);

struct tally {
    unsigned works, fails, unknown, not_offered;
};
struct tally report_tally(const struct report *r, enum protocol p);
/* All protocols with a route: no when one fails, else unknown when one is (POP3 and IMAP4 left out: they always are). */
enum tri report_location_works(const struct report *r, const struct report_location *l);

struct seen_certificate {
    const struct certificate *cert;
    const char *first, *last; /* servers that showed it */
    unsigned servers;
};
typedef VEC(struct seen_certificate) seen_certificates;
/* Every certificate once, the one that ends first in front. VEC_FREE it. */
enum err report_certificates(const struct report *r, seen_certificates *out) MUST_CHECK;

#endif
