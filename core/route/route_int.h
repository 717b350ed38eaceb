/*
 * Inside core/route: one decision in the making. table.c finds the row, select.c the servers, decide.c applies the row with the
 * functions of actions.c and redirect.c, explain.c says what must hold and what disagrees.
 */
#ifndef CORE_ROUTE_ROUTE_INT_H
#define CORE_ROUTE_ROUTE_INT_H

#include "core/base/buf.h"
#include "core/route/route.h"

struct route_work {
    const struct org *org;
    const struct route_request *req;
    const struct findings *findings;
    struct arena *arena;
    struct route_decision *out;
    enum route_place place;
    bool place_known;
    enum route_front_auth front;
    bool front_assumed; /* the directory does not say whether forms authentication is on */
    const char *host;   /* the request's host name; NULL unknown */
    bool broken;        /* it cannot work, whatever the preconditions say */
    bool open;          /* nobody knows whether it works */
    struct buf why;
    enum err failed;
};

/* What a candidate must have (routing.md 3.6). */
enum route_need {
    ROUTE_NEED_NOTHING,
    ROUTE_NEED_VDIR,         /* the protocol's virtual directory */
    ROUTE_NEED_INTERNAL_URL, /* with an internal URL */
    ROUTE_NEED_EXTERNAL_URL, /* with an external URL, or external host name */
    ROUTE_NEED_EWS /* the EWS virtual directory, with an InternalNLBBypassUrl as far as the directory shows it */
};

struct route_pick {
    const struct server *server; /* NULL: none */
    size_t all, fit, well;       /* CAS of the version in the site; with what is needed; healthy too */
};

bool route_has(const struct server *s, enum protocol p, enum route_need need);
bool route_is_well(const struct route_work *w, const struct server *s);
/* A CAS of generation g in a site, in the order that the anchor gives. site NULL: none. */
struct route_pick route_pick_cas(const struct route_work *w, const struct site *site, enum generation g,
                                 enum protocol p, enum route_need need);
/* A CAS of at least generation g that answers for OWA or ECP by redirect: with external URL, forms authentication preferred, then one
   that holds mailboxes too. exact: of that generation only. */
const struct server *route_pick_redirect(const struct route_work *w, const struct site *site,
                                         enum generation g, bool exact, enum protocol p);
/* A 2013+ mailbox server of at least generation g: of the arriving server's site, else of the nearest. *local says which. */
const struct server *route_pick_back_end(const struct route_work *w, enum generation g, bool *local);
/* The CAS older than 2013 with an OAB virtual directory, or of generation g (any need), in the site with the lowest cost. */
const struct server *route_pick_nearest_legacy(const struct route_work *w, enum generation g, enum protocol p,
                                               enum route_need need);
/* Outlook Anywhere to 2007/2010. *found tells whether the RPC server's name is known at all. */
struct route_pick route_pick_oa(const struct route_work *w, bool *name_known);
/* Lowest cost over site links from a site to each site, by index in org->sites; ROUTE_FAR where there is no way. NULL: no memory. */
#define ROUTE_FAR 1000000000
int *route_costs(const struct route_work *w, const struct site *from);

void route_place_of(struct route_work *w);
void route_front_of(struct route_work *w);
/* Host part of an URL equals the request's host. */
bool route_is_request_host(const struct route_work *w, const char *url);
const char *route_text(struct route_work *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void route_say(struct route_work *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void route_hop_add(struct route_work *w, const char *from, const struct server *to, const char *to_name,
                   const char *auth);

/* Pieces of a decision. */
const char *route_client_auth(const struct route_work *w, const struct server *target);
const char *route_site_name(const struct site *s);
const char *route_generation_words(enum generation g);
void route_proxy_to(struct route_work *w, const struct server *s);
/* Nobody to proxy to. status: what the client gets, 0 where no source says. */
void route_proxy_to_nobody(struct route_work *w, int status);

/* The actions of the table. */
void route_refuse(struct route_work *w);
void route_proxy_legacy(struct route_work *w);
void route_proxy_back_end(struct route_work *w);
void route_local_proxy(struct route_work *w);
void route_proxy_twice(struct route_work *w);
void route_by_version(struct route_work *w);
void route_directed(struct route_work *w);
void route_redirect(struct route_work *w);

void route_apply(struct route_work *w);
void route_preconditions(struct route_work *w);
void route_conflicts(struct route_work *w);

#endif
