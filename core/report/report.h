/*
 * The report: what is known about an organisation at one moment, for people (HTML: one file, no script, prints, light and
 * dark) and for tools (JSON, CSV, and the tree that the Remote Connectivity Analyzer exports).
 *
 * report_build decides the routes and makes the plan; the writers only write. Not thread-safe. What they write is made of hostile
 * text: everything is escaped for its format, and with a redactor all names are replaced.
 */
#ifndef CORE_REPORT_REPORT_H
#define CORE_REPORT_REPORT_H

#include "core/plan/plan.h"
#include "core/report/redact.h"
#include "core/route/route.h"

#include <jansson.h>

/* Mailboxes of one version in one site. */
struct report_location {
    const struct site *site;
    enum generation generation;
    const struct server *mailbox_server;          /* one of them */
    unsigned servers;                             /* how many */
    struct route_decision routes[PROTOCOL_COUNT]; /* from the arriving server */
};

struct report_input {
    const struct org *org;
    const struct evidence *evidence;
    const struct findings *findings;
    int64_t made_at, as_of; /* as_of: when what it says held; for a snapshot the past */
    const char *made_by, *program;
    bool probed;
    bool redact;
};

struct report {
    struct report_input in;
    struct arena arena;
    const struct server *arriving; /* the newest CAS of the target's generation; NULL: there is none yet */
    struct report_location *locations; /* by site, then generation */
    size_t n_locations;
    uint32_t protocols; /* bit per protocol that a route is known for */
    struct plan *plan;  /* NULL: none could be made, and why */
    struct errinfo no_plan;
    struct redactor *redactor; /* NULL: names stay */
};

enum err report_build(struct report **out, const struct report_input *in, struct errinfo *ei) MUST_CHECK;
void report_free(struct report **r);

enum err report_html(const struct report *r, struct buf *out, struct errinfo *ei) MUST_CHECK;
enum err report_csv(const struct report *r, struct buf *out, struct errinfo *ei) MUST_CHECK;
enum err report_xml(const struct report *r, struct buf *out, struct errinfo *ei) MUST_CHECK;
/* A new reference; NULL when memory ran out. */
json_t *report_json(const struct report *r);

#endif
