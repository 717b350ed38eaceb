/*
 * Routing: a compiled table (routing.csv: arriving x mailbox x place x protocol x front-end authentication) and one pure function
 * that applies it to an organisation: which server, which URL, how authenticated, what must hold.
 */
#ifndef CORE_ROUTE_ROUTE_H
#define CORE_ROUTE_ROUTE_H

#include "core/model/evidence.h"
#include "core/model/finding.h"
#include "core/model/org.h"

enum route_place { ROUTE_SAME_SITE, ROUTE_OTHER_SITE_EXTERNAL_URL, ROUTE_OTHER_SITE_NO_EXTERNAL_URL };
enum route_front_auth { ROUTE_FRONT_NA, ROUTE_FRONT_FBA, ROUTE_FRONT_NON_FBA };

enum route_action { ROUTE_SERVE, ROUTE_PROXY, ROUTE_REDIRECT, ROUTE_REFUSE, ROUTE_UNKNOWN };
enum route_style { ROUTE_STYLE_NONE, ROUTE_STYLE_SILENT, ROUTE_STYLE_SSO, ROUTE_STYLE_MANUAL };
enum route_confidence { ROUTE_DOCUMENTED, ROUTE_OBSERVED, ROUTE_UNCONFIRMED };

/* A row of routing.csv. Text columns as written there. */
struct route_row {
    const char *id;
    enum generation arriving, mailbox;
    enum route_place place;
    enum protocol protocol; /* PROTOCOL_UNKNOWN: every protocol (illegal pairs) */
    enum route_front_auth front_auth;
    const char *action; /* "proxy_legacy_cas", ... */
    bool legal;
    const char *target_selection, *target_url, *auth_cas_to_target, *client_status, *preconditions,
        *failure_symptom;
    enum route_confidence confidence;
    const char *note, *sources;
};
extern const struct route_row route_rows[];
extern const size_t route_rows_count;
/* NULL: the table says nothing about it, which must be shown as unknown. The illegal-pair row wins. O(log n) or better. */
const struct route_row *route_row_find(enum generation arriving, enum generation mailbox,
                                       enum route_place place, enum protocol protocol,
                                       enum route_front_auth front_auth);

struct route_request {
    const struct server *arriving;
    enum protocol protocol;
    enum generation mailbox_generation;
    const struct site *mailbox_site;     /* NULL: unknown */
    const struct database *database;     /* NULL */
    const struct server *mailbox_server; /* NULL: only version and site are known */
    const char *user;                    /* NULL */
    const char *host_name;               /* request host name (Host:), NULL: the namespace */
    const char *rpc_server;              /* Outlook Anywhere: the SERVER of ?SERVER:PORT, NULL */
    uint32_t requested_version;          /* Remote PowerShell: ExchClientVer major, 0 none */
    uint64_t anchor_hash;                /* order of equal candidates; stable per user */
    /* Health: NULL means all healthy. False takes a candidate out. */
    bool (*healthy)(void *arg, const struct server *s, enum protocol p);
    void *healthy_arg;
};

struct route_hop {
    const char *from, *to; /* "client", server names */
    const char *auth;      /* "basic", "kerberos", "none", "client" */
    const char *spn;       /* NULL */
};

struct route_precondition {
    const char *rule, *server;
    enum tri holds;
    const char *why;
};

#define ROUTE_MAX_HOPS          4
#define ROUTE_MAX_PRECONDITIONS 12

/* Strings live in the arena given to route_decide. */
struct route_decision {
    const struct route_row *row; /* NULL: not in the table */
    enum route_action action;
    enum route_style style;
    int status; /* what the client sees; 0: no HTTP, or no source says */
    const struct server *target;
    const char *url; /* of the next hop, or where the client is sent */
    struct route_hop hops[ROUTE_MAX_HOPS];
    size_t n_hops;
    struct route_precondition preconditions[ROUTE_MAX_PRECONDITIONS];
    size_t n_preconditions;
    enum tri works;
    const char *why;
    enum route_confidence confidence;
    const char **conflicts; /* statements of sources that disagree, for people */
    size_t n_conflicts;
};

/*
 * Pure. findings may be NULL (preconditions are then judged from the organisation alone, unknown where that says nothing).
 *
 * action SERVE: the arriving server's own back end has it. REDIRECT with style NONE: Autodiscover tells the client, no HTTP redirect. UNKNOWN
 * (JSON null): the table has no row, or the site that decides is not known; never to be shown as fine.
 * target may be NULL: nobody can take it, and status is what the client then gets. A target without Outlook Anywhere is named all the same, with
 * status 404. Preconditions that only the wire or the KDC can show (oa-wire, kerberos-ticket, ...) are listed when findings say
 * found or passed, so that a route judged without a probe is not unknown for that alone. works: no when the action itself
 * cannot work or a precondition fails; else unknown when one is; else yes.
 */
enum err route_decide(const struct org *org, const struct route_request *req, const struct findings *findings,
                      struct arena *arena, struct route_decision *out, struct errinfo *ei) MUST_CHECK;

/* anchor_hash of a user: the same whatever the letter case, so that the engine and a question about a route agree. */
uint64_t route_anchor(const char *user);

const char *route_action_name(enum route_action a); /* "proxy"; NULL for unknown */
const char *route_style_name(enum route_style s);   /* NULL for none */
const char *route_confidence_name(enum route_confidence c);

#endif
