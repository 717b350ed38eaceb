/*
 * Evidence kept in the store: the last of each organisation, for the next console to begin with. As text: a line that says the format,
 * then the lines of a snapshot's evidence (core/report/lines.h). Holds no secret, as evidence never does.
 */
#ifndef CORE_REPORT_KEPT_H
#define CORE_REPORT_KEPT_H

#include "core/model/evidence.h"
#include "core/store/store.h"

#define KEPT_FORMAT 1

struct kept_facts {
    int64_t at, version;
    bool probed;
    char who[256], from[256]; /* from "" not known */
};

/* In place of what was kept of that organisation, or (over, as for store_evidence_put) of just that version: ERR_STALE when it has moved.
   Nothing to keep is ERR_OK. */
enum err kept_evidence_write(struct store *s, const char *organization, const struct evidence *e, bool probed,
                             int64_t over, const char *who, const char *from, struct errinfo *ei) MUST_CHECK;
/* Adds it to e; ERR_NOTFOUND when there is none, ERR_CONFIG when a newer casbridge wrote it, ERR_INPUT when it cannot be read: e is as
   before then. */
enum err kept_evidence_read(struct store *s, const char *organization, struct evidence *e,
                            struct kept_facts *facts, struct errinfo *ei) MUST_CHECK;

#endif
