/*
 * Which server: sites, generation, health, the URL that must be there, and an order that is stable per user (routing.md 3.6, 3.12).
 */
#include "core/route/route_int.h"

#include "core/base/str.h"

#include <string.h>

bool route_has(const struct server *s, enum protocol p, enum route_need need)
{
    const struct vdir *v = server_vdir(s, need == ROUTE_NEED_EWS ? PROTOCOL_EWS : p);
    switch (need) {
    case ROUTE_NEED_NOTHING: return true;
    case ROUTE_NEED_VDIR: return v != NULL;
    case ROUTE_NEED_EWS: return v && v->nlb_bypass != TRI_NO;
    case ROUTE_NEED_INTERNAL_URL: return v && v->internal_url && *v->internal_url;
    case ROUTE_NEED_EXTERNAL_URL: return v && ((v->external_url && *v->external_url) || v->external_hostname);
    }
    return false;
}

bool route_is_well(const struct route_work *w, const struct server *s)
{
    return !w->req->healthy || w->req->healthy(w->req->healthy_arg, s, w->req->protocol);
}

static bool is_back_end(const struct server *s)
{
    return s->generation >= GENERATION_2013 && server_is_mailbox(s);
}

struct route_pick route_pick_cas(const struct route_work *w, const struct site *site, enum generation g,
                                 enum protocol p, enum route_need need)
{
    struct route_pick pick = {NULL, 0, 0, 0};
    for (size_t i = 0; site && i < site->n_servers; i++) {
        const struct server *s = site->servers[i];
        if (s->generation != g || !server_is_cas(s))
            continue;
        pick.all++;
        if (!route_has(s, p, need))
            continue;
        pick.fit++;
        pick.well += route_is_well(w, s);
    }
    size_t at = pick.well ? (size_t)(w->req->anchor_hash % pick.well) : 0;
    for (size_t i = 0; pick.well && i < site->n_servers; i++) {
        const struct server *s = site->servers[i];
        if (s->generation != g || !server_is_cas(s) || !route_has(s, p, need) || !route_is_well(w, s))
            continue;
        if (at-- == 0) {
            pick.server = s;
            break;
        }
    }
    return pick;
}

const struct server *route_pick_redirect(const struct route_work *w, const struct site *site,
                                         enum generation g, bool exact, enum protocol p)
{
    const struct server *best = NULL;
    int best_rank = -1;
    for (size_t i = 0; site && i < site->n_servers; i++) {
        const struct server *s = site->servers[(i + w->req->anchor_hash) % site->n_servers];
        if (!server_is_cas(s) || (exact ? s->generation != g : s->generation < g) ||
            !route_has(s, p, ROUTE_NEED_EXTERNAL_URL) || !route_is_well(w, s))
            continue;
        const struct vdir *v = server_vdir(s, p);
        auth_set methods = (v->has_iis_auth ? v->iis_auth : 0) | (v->has_client_auth ? v->client_auth : 0);
        int rank = (methods & AUTH_FBA ? 2 : 0) + (server_is_mailbox(s) ? 1 : 0);
        if (rank > best_rank) {
            best = s;
            best_rank = rank;
        }
    }
    return best;
}

int *route_costs(const struct route_work *w, const struct site *from)
{
    const struct org *org = w->org;
    int *cost = arena_array(w->arena, org->n_sites + 1, sizeof *cost);
    if (!cost)
        return NULL;
    for (size_t i = 0; i < org->n_sites; i++)
        cost[i] = &org->sites[i] == from ? 0 : ROUTE_FAR;
    /* every pass settles one more link of each way; there are no more links in a way than sites */
    bool changed = true;
    for (size_t pass = 0; changed && pass < org->n_sites; pass++) {
        changed = false;
        for (size_t i = 0; i < org->n_links; i++) {
            const struct site_link *l = &org->links[i];
            int least = ROUTE_FAR;
            for (size_t k = 0; k < l->n_sites; k++)
                if (cost[l->sites[k] - org->sites] < least)
                    least = cost[l->sites[k] - org->sites];
            if (least >= ROUTE_FAR || l->cost < 0 || l->cost > ROUTE_FAR - least)
                continue;
            for (size_t k = 0; k < l->n_sites; k++) {
                int *c = &cost[l->sites[k] - org->sites];
                if (least + l->cost < *c) {
                    *c = least + l->cost;
                    changed = true;
                }
            }
        }
    }
    return cost;
}

static int cost_of(const struct route_work *w, const int *cost, const struct server *s)
{
    return s->site ? cost[s->site - w->org->sites] : ROUTE_FAR;
}

const struct server *route_pick_nearest_legacy(const struct route_work *w, enum generation g, enum protocol p,
                                               enum route_need need)
{
    const int *cost = route_costs(w, w->req->arriving->site);
    int least = ROUTE_FAR;
    size_t n = 0;
    for (int pass = 0; cost && pass < 2; pass++) {
        size_t at = n ? (size_t)(w->req->anchor_hash % n) : 0;
        for (size_t i = 0; i < w->org->n_servers; i++) {
            const struct server *s = &w->org->servers[i];
            if (!server_is_legacy_cas(s) || (g != GENERATION_UNKNOWN && s->generation != g) ||
                !route_has(s, p, need) || !route_is_well(w, s))
                continue;
            int c = cost_of(w, cost, s);
            if (pass == 1) {
                if (c == least && at-- == 0)
                    return s;
            } else if (n == 0 || c < least) {
                least = c;
                n = 1;
            } else if (c == least) {
                n++;
            }
        }
        if (n == 0)
            return NULL;
    }
    return NULL;
}

const struct server *route_pick_back_end(const struct route_work *w, enum generation g, bool *local)
{
    const struct site *site = w->req->arriving->site;
    const struct server *nearest = NULL;
    size_t n = 0;
    *local = true;
    for (size_t i = 0; site && i < site->n_servers; i++)
        n += is_back_end(site->servers[i]) && site->servers[i]->generation >= g &&
             route_is_well(w, site->servers[i]);
    size_t at = n ? (size_t)(w->req->anchor_hash % n) : 0;
    for (size_t i = 0; n && i < site->n_servers; i++)
        if (is_back_end(site->servers[i]) && site->servers[i]->generation >= g &&
            route_is_well(w, site->servers[i]) && at-- == 0)
            return site->servers[i];
    const int *cost = route_costs(w, site);
    *local = false;
    for (size_t i = 0; cost && i < w->org->n_servers; i++) {
        const struct server *s = &w->org->servers[i];
        if (is_back_end(s) && s->generation >= g && route_is_well(w, s) &&
            (!nearest || cost_of(w, cost, s) < cost_of(w, cost, nearest)))
            nearest = s;
    }
    return nearest;
}

/* Without Outlook Anywhere the ping is not answered 401, which makes a CAS unhealthy (routing.md 10). */
static bool oa_usable(const struct route_work *w, const struct server *s)
{
    return route_has(s, PROTOCOL_OA, ROUTE_NEED_VDIR) && route_is_well(w, s);
}

static struct route_pick pick_oa_in(const struct route_work *w, const struct site *site, enum generation g,
                                    const struct server *wanted)
{
    struct route_pick pick = {NULL, 0, 0, 0};
    const struct server *chosen = wanted, *other = NULL;
    for (size_t i = 0; site && i < site->n_servers; i++) {
        const struct server *s = site->servers[i];
        if (s->generation != g || !server_is_cas(s))
            continue;
        pick.all++;
        pick.fit += route_has(s, PROTOCOL_OA, ROUTE_NEED_VDIR);
        pick.well += oa_usable(w, s);
    }
    size_t at = pick.all ? (size_t)(w->req->anchor_hash % pick.all) : 0;
    for (size_t i = 0; site && i < site->n_servers; i++) {
        const struct server *s = site->servers[i];
        if (s->generation != g || !server_is_cas(s))
            continue;
        if (!chosen && at-- == 0)
            chosen = s;
        if (!other && oa_usable(w, s) && route_has(s, PROTOCOL_OA, ROUTE_NEED_EXTERNAL_URL))
            other = s;
    }
    pick.server = chosen && oa_usable(w, chosen) ? chosen : other;
    /* nobody can take it: name the one that was meant, so that its faults can be named too */
    if (!pick.server && chosen && route_is_well(w, chosen))
        pick.server = chosen;
    return pick;
}

/* Where Outlook says it wants to go: the name in the URL, else what the database says. */
static const char *rpc_name(const struct route_request *req)
{
    if (req->rpc_server && *req->rpc_server)
        return req->rpc_server;
    return req->database && req->mailbox_generation == GENERATION_2010
               ? req->database->rpc_client_access_server
               : NULL;
}

struct route_pick route_pick_oa(const struct route_work *w, bool *name_known)
{
    const struct route_request *req = w->req;
    const char *name = rpc_name(req);
    const struct server *named = name ? org_server(w->org, name) : NULL;
    const struct site *site = req->mailbox_site;
    enum generation g = req->mailbox_generation;
    const struct server *wanted = NULL;
    *name_known = true;
    if (named && generation_is_legacy(named->generation)) {
        g = named->generation;
        site = named->site;
        /* a 2010 CAS takes it itself; 2007 goes to any 2007 CAS of the site */
        if (g == GENERATION_2010 && server_is_cas(named))
            wanted = named;
    } else if (name) {
        const struct cas_array *array = NULL;
        for (size_t i = 0; i < w->org->n_arrays && !array; i++)
            if (str_ieq(w->org->arrays[i].fqdn, name) || str_ieq(w->org->arrays[i].name, name))
                array = &w->org->arrays[i];
        if (array) {
            g = GENERATION_2010;
            site = array->site;
        } else if (req->rpc_server && *req->rpc_server) {
            *name_known = false;
            return (struct route_pick){NULL, 0, 0, 0};
        }
    }
    struct route_pick pick = pick_oa_in(w, site, g, wanted);
    if (pick.all == 0 && g == GENERATION_2007)
        pick = pick_oa_in(w, site, GENERATION_2010, NULL);
    return pick;
}

/* ---- place and front */

void route_place_of(struct route_work *w)
{
    const struct site *site = w->req->mailbox_site;
    enum generation g = w->req->mailbox_generation;
    w->place_known = site && w->req->arriving->site;
    w->place = ROUTE_SAME_SITE;
    if (!w->place_known || site == w->req->arriving->site)
        return;
    w->place = ROUTE_OTHER_SITE_NO_EXTERNAL_URL;
    for (size_t i = 0; i < site->n_servers; i++) {
        const struct server *s = site->servers[i];
        if (!server_is_cas(s) ||
            (generation_is_legacy(g) ? s->generation != g : s->generation < GENERATION_2013))
            continue;
        if (!route_has(s, w->req->protocol, ROUTE_NEED_EXTERNAL_URL))
            continue;
        /* the forms path of ECP goes by OWA, which must be published too */
        if (w->req->protocol == PROTOCOL_ECP && w->front == ROUTE_FRONT_FBA &&
            !route_has(s, PROTOCOL_OWA, ROUTE_NEED_EXTERNAL_URL))
            continue;
        w->place = ROUTE_OTHER_SITE_EXTERNAL_URL;
        return;
    }
}

void route_front_of(struct route_work *w)
{
    w->front = ROUTE_FRONT_NA;
    if (w->req->protocol != PROTOCOL_OWA && w->req->protocol != PROTOCOL_ECP)
        return;
    const struct vdir *v = server_vdir(w->req->arriving, w->req->protocol);
    if (v && (v->has_iis_auth || v->has_client_auth)) {
        auth_set set = (v->has_iis_auth ? v->iis_auth : 0) | (v->has_client_auth ? v->client_auth : 0);
        w->front = set & AUTH_FBA ? ROUTE_FRONT_FBA : ROUTE_FRONT_NON_FBA;
    } else {
        w->front = ROUTE_FRONT_FBA; /* what setup leaves; said in the explanation */
        w->front_assumed = true;
    }
}

bool route_is_request_host(const struct route_work *w, const char *url)
{
    char host[256];
    enum tri https;
    uint16_t port;
    return w->host && url && url_host(url, host, sizeof host, &https, &port) && str_ieq(host, w->host);
}
