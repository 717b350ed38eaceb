/*
 * The actions of the table that end at a server: refuse, proxy to an old CAS or to a back end, Remote PowerShell, Autodiscover's
 * directions. What the client is told comes from routing.md 2 and 3.
 */
#include "core/route/route_int.h"

#include "core/base/str.h"

/* What the client is told to log on with. An old mailbox's Outlook gets that from the old CAS by Autodiscover. */
const char *route_client_auth(const struct route_work *w, const struct server *target)
{
    const struct vdir *v =
        target && generation_is_legacy(target->generation) && w->req->protocol == PROTOCOL_OA
            ? server_vdir(target, PROTOCOL_OA)
            : NULL;
    if (!v || !v->has_client_auth)
        v = server_vdir(w->req->arriving, w->req->protocol);
    if (!v)
        return "client";
    if (w->front == ROUTE_FRONT_FBA)
        return "fba";
    if (w->req->protocol == PROTOCOL_OA && v->has_client_auth && auth_name(v->client_auth))
        return auth_name(v->client_auth);
    if (v->has_iis_auth && (v->iis_auth & AUTH_BASIC))
        return "basic";
    if (v->has_iis_auth && (v->iis_auth & (AUTH_NEGOTIATE | AUTH_WINDOWS)))
        return "negotiate";
    return v->has_iis_auth && (v->iis_auth & AUTH_NTLM) ? "ntlm" : "client";
}

static const char *path_of(enum protocol p, bool legacy)
{
    switch (p) {
    case PROTOCOL_EAS: return "/Microsoft-Server-ActiveSync/Proxy/";
    case PROTOCOL_MAPI: return "/mapi/emsmdb/";
    case PROTOCOL_POWERSHELL: return legacy ? "/PowerShell-proxy/" : "/PowerShell/";
    default: return protocol_path(p);
    }
}

static const char *target_url(struct route_work *w, const struct server *s)
{
    const char *name = s->fqdn ? s->fqdn : s->name;
    bool legacy = generation_is_legacy(s->generation);
    if (w->req->protocol == PROTOCOL_POP)
        return legacy ? route_text(w, "%s:995", name) : route_text(w, "%s:ProxyTargetPort", name);
    if (w->req->protocol == PROTOCOL_IMAP)
        return legacy ? route_text(w, "%s:993", name) : route_text(w, "%s:ProxyTargetPort", name);
    return route_text(w, "https://%s:%d%s", name, legacy ? 443 : 444, path_of(w->req->protocol, legacy));
}

static bool is_mail(const struct route_work *w)
{
    return w->req->protocol == PROTOCOL_POP || w->req->protocol == PROTOCOL_IMAP;
}

void route_proxy_to(struct route_work *w, const struct server *s)
{
    const struct server *own = w->req->arriving;
    const char *upstream = is_mail(w) ? "exchange-internal" : "kerberos";
    w->out->action = s == own ? ROUTE_SERVE : ROUTE_PROXY;
    w->out->target = s;
    w->out->url = target_url(w, s);
    w->out->status = is_mail(w) ? 0 : 200;
    route_hop_add(w, "client", own, NULL, route_client_auth(w, s));
    if (s != own)
        route_hop_add(w, own->name, s, NULL, upstream);
}

/* Nobody to proxy to. status: what the client gets, 0 where no source says. */
void route_proxy_to_nobody(struct route_work *w, int status)
{
    w->out->action = ROUTE_PROXY;
    w->out->status = status;
    w->broken = true;
    route_hop_add(w, "client", w->req->arriving, NULL, route_client_auth(w, NULL));
}

const char *route_site_name(const struct site *s)
{
    return s ? s->name : "an unknown site";
}

const char *route_generation_words(enum generation g)
{
    return g == GENERATION_SE ? "SE" : generation_name(g);
}

/* ---- the actions */

void route_refuse(struct route_work *w)
{
    const struct route_row *r = w->out->row;
    w->out->action = ROUTE_REFUSE;
    w->broken = true;
    route_hop_add(w, "client", w->req->arriving, NULL, route_client_auth(w, NULL));
    if (!r->legal) {
        route_say(w,
                  "Exchange %s and Exchange %s may not stand in one organisation, so there is no route: %s.",
                  route_generation_words(r->arriving), route_generation_words(r->mailbox), r->preconditions);
    } else if (r->protocol == PROTOCOL_MAPI) {
        w->out->status = 404;
        route_say(w,
                  "MAPI/HTTP is never passed to Exchange %s, which does not know it: %s answers 404. "
                  "Autodiscover does not offer it for "
                  "such a mailbox, and Outlook uses Outlook Anywhere.",
                  route_generation_words(r->mailbox), w->req->arriving->name);
    } else {
        route_say(w, "Exchange 2007 has no remote PowerShell: its shell runs on the server itself.");
    }
}

static void no_candidate(struct route_work *w, const struct route_pick *pick, enum generation g,
                         const char *lacks)
{
    const char *site = route_site_name(w->req->mailbox_site);
    if (pick->all == 0)
        route_say(w, "There is no Exchange %s CAS in %s that %s could pass %s on to.",
                  route_generation_words(g), site, w->req->arriving->name, protocol_words(w->req->protocol));
    else if (pick->fit == 0)
        route_say(w, "No Exchange %s CAS in %s has %s, so %s passes none of them anything.",
                  route_generation_words(g), site, lacks, w->req->arriving->name);
    else
        route_say(w, "No Exchange %s CAS in %s is healthy at the moment.", route_generation_words(g), site);
}

static void proxy_oa(struct route_work *w)
{
    bool name_known;
    struct route_pick pick = route_pick_oa(w, &name_known);
    if (!name_known) {
        route_proxy_to_nobody(w, 404);
        route_say(w,
                  "Nobody knows the RPC server %s that the client asks for: it is no server and no CAS array "
                  "of this organisation, and %s "
                  "answers 404.",
                  w->req->rpc_server, w->req->arriving->name);
        return;
    }
    if (!pick.server) {
        route_proxy_to_nobody(w, 404);
        no_candidate(w, &pick, w->req->mailbox_generation, "Outlook Anywhere");
        route_say(w, "The client gets 404.");
        return;
    }
    route_proxy_to(w, pick.server);
    route_say(w,
              "%s proxies Outlook Anywhere to %s, an Exchange %s CAS in %s, and logs on there with Kerberos "
              "as itself; it never redirects "
              "and knows no other method.",
              w->req->arriving->name, pick.server->name, route_generation_words(pick.server->generation),
              route_site_name(pick.server->site));
}

void route_proxy_legacy(struct route_work *w)
{
    static const struct {
        enum protocol p;
        enum route_need need;
        const char *lacks;
    } needs[] = {
        {PROTOCOL_OWA, ROUTE_NEED_INTERNAL_URL, "an internal URL for Outlook Web App"},
        {PROTOCOL_ECP, ROUTE_NEED_INTERNAL_URL, "an internal URL for the control panel"},
        {PROTOCOL_EAS, ROUTE_NEED_INTERNAL_URL, "an internal URL for ActiveSync"},
        {PROTOCOL_EWS, ROUTE_NEED_EWS, "an EWS virtual directory with InternalNLBBypassUrl"},
        {PROTOCOL_AUTODISCOVER, ROUTE_NEED_EWS,
         "an EWS virtual directory with InternalNLBBypassUrl, by which it is chosen"},
        {PROTOCOL_POP, ROUTE_NEED_NOTHING, ""},
        {PROTOCOL_IMAP, ROUTE_NEED_NOTHING, ""},
    };
    enum generation g = w->req->mailbox_generation;
    if (w->req->protocol == PROTOCOL_OA) {
        proxy_oa(w);
        return;
    }
    if (w->req->protocol == PROTOCOL_OAB) {
        const struct server *s =
            route_pick_nearest_legacy(w, GENERATION_UNKNOWN, PROTOCOL_OAB, ROUTE_NEED_VDIR);
        if (!s) {
            route_proxy_to_nobody(w, 500);
            route_say(w, "No healthy CAS older than 2013 has an OAB virtual directory: the client gets 500.");
            return;
        }
        route_proxy_to(w, s);
        route_say(w,
                  "The offline address book of an old mailbox comes from %s: of the old CAS with an OAB "
                  "virtual directory, those in the "
                  "site with the lowest cost from %s (here %s).",
                  s->name, w->req->arriving->name, route_site_name(s->site));
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
        if (needs[i].p != w->req->protocol)
            continue;
        struct route_pick pick = route_pick_cas(w, w->req->mailbox_site, g, needs[i].p, needs[i].need);
        if (!pick.server) {
            route_proxy_to_nobody(w, 0);
            no_candidate(w, &pick, g, needs[i].lacks);
            return;
        }
        route_proxy_to(w, pick.server);
        route_say(w, "%s proxies %s to %s, an Exchange %s CAS in %s%s.", w->req->arriving->name,
                  protocol_words(w->req->protocol), pick.server->name, route_generation_words(g),
                  route_site_name(w->req->mailbox_site),
                  is_mail(w) ? "" : ", and logs on there with Kerberos as itself");
        if (pick.well > 1)
            route_say(w, "%zu servers there could take it; which one a user gets stays the same.", pick.well);
    }
}

void route_proxy_back_end(struct route_work *w)
{
    const struct server *s = w->req->mailbox_server ? w->req->mailbox_server
                             : w->req->database     ? w->req->database->owner
                                                    : NULL;
    bool local = true;
    if (w->req->protocol == PROTOCOL_OAB) {
        s = route_pick_back_end(w, GENERATION_2013, &local);
        w->open = true;
        route_say(w, "The offline address book comes from the mailbox server that holds the OAB's "
                     "organisation mailbox, wherever it is; "
                     "which one that is was not read, so the nearest is named.");
    } else if (!s && w->req->mailbox_site) {
        /* only version and site are known: any mailbox server of that kind stands for the one with the active copy */
        const struct site *site = w->req->mailbox_site;
        for (size_t i = 0; i < site->n_servers && !s; i++)
            if (site->servers[i]->generation == w->req->mailbox_generation &&
                server_is_mailbox(site->servers[i]))
                s = site->servers[i];
        if (s)
            route_say(
                w, "No mailbox was named, so %s stands for the server with the active copy of its database.",
                s->name);
    }
    if (!s || !route_is_well(w, s)) {
        route_proxy_to_nobody(w, 503);
        if (s)
            route_say(w, "%s has the mailbox but is not healthy at the moment.", s->name);
        else
            route_say(w, "It is not known which mailbox server has the mailbox.");
        return;
    }
    route_proxy_to(w, s);
    if (is_mail(w))
        route_say(w, "%s proxies %s to the back-end service of %s, the mailbox server with the active copy.",
                  w->req->arriving->name, protocol_words(w->req->protocol), s->name);
    else
        route_say(w, "%s proxies %s to %s%s%s: port 444, Kerberos.", w->req->arriving->name,
                  protocol_words(w->req->protocol), s->name,
                  w->req->protocol == PROTOCOL_OAB ? "" : ", the mailbox server with the active copy",
                  w->place == ROUTE_SAME_SITE ? "" : ", across sites and without a redirect");
}

void route_local_proxy(struct route_work *w)
{
    bool local;
    const struct server *s = route_pick_back_end(w, GENERATION_2013, &local);
    if (!s) {
        route_proxy_to_nobody(w, 0);
        route_say(w, "Exchange 2007 cannot answer this, and there is no healthy 2013 mailbox server to "
                     "answer in its place.");
        return;
    }
    route_proxy_to(w, s);
    route_say(
        w, "Not the 2007 server but %s, a mailbox server of the new version, answers %s for a 2007 mailbox.",
        s->name, protocol_words(w->req->protocol));
    if (w->req->protocol == PROTOCOL_ECP)
        route_say(w, "An administrator whose mailbox is on 2007 adds ?ExchClientVer=15; what users see of "
                     "their options nobody has "
                     "confirmed.");
    if (!local) {
        w->out->confidence = ROUTE_UNCONFIRMED;
        w->open = true;
        route_say(w, "The table knows servers of the arriving server's own site only, and there is none.");
    }
}

void route_proxy_twice(struct route_work *w)
{
    bool local;
    const struct server *s = route_pick_back_end(w, GENERATION_2013, &local);
    struct route_pick old =
        route_pick_cas(w, w->req->mailbox_site, GENERATION_2007, PROTOCOL_EAS, ROUTE_NEED_VDIR);
    if (!s) {
        route_proxy_to_nobody(w, 0);
        route_say(w, "ActiveSync of a 2007 mailbox goes by a mailbox server of the new version, and there is "
                     "none: a CAS-only 2013 cannot "
                     "serve it.");
        return;
    }
    route_proxy_to(w, s);
    if (old.server)
        route_hop_add(w, s->name, old.server, NULL, "kerberos");
    else
        w->broken = true;
    route_say(w,
              "%s proxies ActiveSync to %s, which passes it on to %s; devices never see 451. That second hop "
              "is inferred, not documented.",
              w->req->arriving->name, s->name,
              old.server ? old.server->name : "a 2007 CAS that is not there");
    if (!local)
        w->out->confidence = ROUTE_UNCONFIRMED;
}

void route_by_version(struct route_work *w)
{
    bool local = true;
    const struct server *s = NULL;
    if (w->req->requested_version == 14) {
        struct route_pick pick =
            route_pick_cas(w, w->req->mailbox_site, GENERATION_2010, PROTOCOL_POWERSHELL, ROUTE_NEED_NOTHING);
        s = pick.server
                ? pick.server
                : route_pick_nearest_legacy(w, GENERATION_2010, PROTOCOL_POWERSHELL, ROUTE_NEED_NOTHING);
    } else {
        s = route_pick_back_end(w, GENERATION_2013, &local);
    }
    if (!s) {
        route_proxy_to_nobody(w, 0);
        route_say(
            w,
            "Remote PowerShell goes by the version that is asked for, and no healthy server of it is there.");
        return;
    }
    route_proxy_to(w, s);
    route_say(w,
              "Remote PowerShell goes by the version that is asked for, not by the mailbox: %s. From 2013 "
              "CU11 on the administrator's own "
              "mailbox, or the arbitration mailbox, decides instead.",
              w->req->requested_version == 14
                  ? route_text(w, "ExchClientVer=14 leads to %s", s->name)
                  : route_text(w, "without one it is the own version, here %s", s->name));
}

void route_directed(struct route_work *w)
{
    struct route_pick pick =
        route_pick_cas(w, w->req->mailbox_site, GENERATION_2007, w->req->protocol, ROUTE_NEED_VDIR);
    const struct server *s = pick.server;
    if (w->req->protocol == PROTOCOL_OAB && !s)
        s = route_pick_nearest_legacy(w, GENERATION_2007, PROTOCOL_OAB, ROUTE_NEED_VDIR);
    const struct vdir *v = s ? server_vdir(s, w->req->protocol) : NULL;
    const char *url = v ? v->external_url ? v->external_url : v->internal_url : NULL;
    w->out->action = ROUTE_REDIRECT;
    w->out->status = url ? 200 : 0;
    w->out->target = s;
    w->out->url = url;
    w->broken = !url;
    route_hop_add(w, "client", w->req->arriving, NULL, route_client_auth(w, NULL));
    if (!url) {
        route_say(w, "Autodiscover must hand the client the URL of a 2007 server for %s, and %s.",
                  protocol_words(w->req->protocol),
                  s ? route_text(w, "%s publishes none", s->name) : "there is no such server");
        return;
    }
    route_hop_add(w, "client", s, NULL, "client");
    route_say(w, "Autodiscover hands the client the 2007 URL for %s, and the client goes to %s itself.",
              protocol_words(w->req->protocol), s->name);
    if (w->req->protocol == PROTOCOL_EWS)
        route_say(w,
                  "A request that still reaches %s by the new name lands on a mailbox server of the new "
                  "version, with an unknown result.",
                  w->req->arriving->name);
    if (route_is_request_host(w, url)) {
        w->broken = true;
        route_say(w, "That URL still carries the new name %s, so the client never gets away from %s.",
                  w->host, w->req->arriving->name);
    }
}
