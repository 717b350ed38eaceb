/*
 * Applies one row of the table. Each action of the table has one function here; what the client is told comes from routing.md 2 and 3.
 */
#include "core/route/route_int.h"

#include "core/base/str.h"

#include <stdio.h>
#include <string.h>

#define WHY_LIMIT 4000

const char *route_text(struct route_work *w, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *s = arena_str(w->arena, text);
    if (!s)
        w->failed = ERR_LIMIT;
    return s ? s : "";
}

void route_say(struct route_work *w, const char *fmt, ...)
{
    char text[1200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (w->why.len)
        buf_adds(&w->why, " ");
    buf_adds(&w->why, text);
}

void route_hop_add(struct route_work *w, const char *from, const struct server *to, const char *to_name,
                   const char *auth)
{
    struct route_decision *d = w->out;
    if (d->n_hops == ROUTE_MAX_HOPS)
        return;
    bool kerberos = str_eq(auth, "kerberos") && to && to->fqdn;
    d->hops[d->n_hops++] = (struct route_hop){
        .from = from,
        .to = to ? to->name : to_name,
        .auth = auth,
        .spn = kerberos ? route_text(w, "HTTP/%s", to->fqdn) : NULL,
    };
}

/* What the client is told to log on with. An old mailbox's Outlook gets that from the old CAS by Autodiscover. */
static const char *client_auth(const struct route_work *w, const struct server *target)
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

static bool is_mail_protocol(const struct route_work *w)
{
    return w->req->protocol == PROTOCOL_POP || w->req->protocol == PROTOCOL_IMAP;
}

static void proxy_to(struct route_work *w, const struct server *s)
{
    const struct server *own = w->req->arriving;
    const char *upstream = is_mail_protocol(w) ? "exchange-internal" : "kerberos";
    w->out->action = s == own ? ROUTE_SERVE : ROUTE_PROXY;
    w->out->target = s;
    w->out->url = target_url(w, s);
    w->out->status = is_mail_protocol(w) ? 0 : 200;
    route_hop_add(w, "client", own, NULL, client_auth(w, s));
    if (s != own)
        route_hop_add(w, own->name, s, NULL, upstream);
}

/* Nobody to proxy to. status: what the client gets, 0 where no source says. */
static void proxy_to_nobody(struct route_work *w, int status)
{
    w->out->action = ROUTE_PROXY;
    w->out->status = status;
    w->broken = true;
    route_hop_add(w, "client", w->req->arriving, NULL, client_auth(w, NULL));
}

static const char *site_name(const struct site *s)
{
    return s ? s->name : "an unknown site";
}

static const char *generation_words(enum generation g)
{
    return g == GENERATION_SE ? "SE" : generation_name(g);
}

/* ---- the actions */

static void refuse(struct route_work *w)
{
    const struct route_row *r = w->out->row;
    w->out->action = ROUTE_REFUSE;
    w->broken = true;
    route_hop_add(w, "client", w->req->arriving, NULL, client_auth(w, NULL));
    if (!r->legal) {
        route_say(w,
                  "Exchange %s and Exchange %s may not stand in one organisation, so there is no route: %s.",
                  generation_words(r->arriving), generation_words(r->mailbox), r->preconditions);
    } else if (r->protocol == PROTOCOL_MAPI) {
        w->out->status = 404;
        route_say(w,
                  "MAPI/HTTP is never passed to Exchange %s, which does not know it: %s answers 404. "
                  "Autodiscover does not offer it for "
                  "such a mailbox, and Outlook uses Outlook Anywhere.",
                  generation_words(r->mailbox), w->req->arriving->name);
    } else {
        route_say(w, "Exchange 2007 has no remote PowerShell: its shell runs on the server itself.");
    }
}

static void no_candidate(struct route_work *w, const struct route_pick *pick, enum generation g,
                         const char *lacks)
{
    const char *site = site_name(w->req->mailbox_site);
    if (pick->all == 0)
        route_say(w, "There is no Exchange %s CAS in %s that %s could pass %s on to.", generation_words(g),
                  site, w->req->arriving->name, protocol_words(w->req->protocol));
    else if (pick->fit == 0)
        route_say(w, "No Exchange %s CAS in %s has %s, so %s passes none of them anything.",
                  generation_words(g), site, lacks, w->req->arriving->name);
    else
        route_say(w, "No Exchange %s CAS in %s is healthy at the moment.", generation_words(g), site);
}

static void proxy_oa(struct route_work *w)
{
    bool name_known;
    struct route_pick pick = route_pick_oa(w, &name_known);
    if (!name_known) {
        proxy_to_nobody(w, 404);
        route_say(w,
                  "Nobody knows the RPC server %s that the client asks for: it is no server and no CAS array "
                  "of this organisation, and %s "
                  "answers 404.",
                  w->req->rpc_server, w->req->arriving->name);
        return;
    }
    if (!pick.server) {
        proxy_to_nobody(w, 404);
        no_candidate(w, &pick, w->req->mailbox_generation, "Outlook Anywhere");
        route_say(w, "The client gets 404.");
        return;
    }
    proxy_to(w, pick.server);
    route_say(w,
              "%s proxies Outlook Anywhere to %s, an Exchange %s CAS in %s, and logs on there with Kerberos "
              "as itself; it never redirects "
              "and knows no other method.",
              w->req->arriving->name, pick.server->name, generation_words(pick.server->generation),
              site_name(pick.server->site));
}

static void proxy_legacy(struct route_work *w)
{
    static const struct {
        enum protocol p;
        enum route_need need;
        const char *lacks;
    } needs[] = {
        {PROTOCOL_OWA, ROUTE_NEED_INTERNAL_URL, "an internal URL for Outlook Web App"},
        {PROTOCOL_ECP, ROUTE_NEED_INTERNAL_URL, "an internal URL for the control panel"},
        {PROTOCOL_EAS, ROUTE_NEED_INTERNAL_URL, "an internal URL for ActiveSync"},
        {PROTOCOL_EWS, ROUTE_NEED_EWS, "an EWS virtual directory"},
        {PROTOCOL_AUTODISCOVER, ROUTE_NEED_EWS, "an EWS virtual directory, by which it is chosen"},
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
            proxy_to_nobody(w, 500);
            route_say(w, "No healthy CAS older than 2013 has an OAB virtual directory: the client gets 500.");
            return;
        }
        proxy_to(w, s);
        route_say(w,
                  "The offline address book of an old mailbox comes from %s: of the old CAS with an OAB "
                  "virtual directory, those in the "
                  "site with the lowest cost from %s (here %s).",
                  s->name, w->req->arriving->name, site_name(s->site));
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
        if (needs[i].p != w->req->protocol)
            continue;
        struct route_pick pick = route_pick_cas(w, w->req->mailbox_site, g, needs[i].p, needs[i].need);
        if (!pick.server) {
            proxy_to_nobody(w, 0);
            no_candidate(w, &pick, g, needs[i].lacks);
            return;
        }
        proxy_to(w, pick.server);
        route_say(w, "%s proxies %s to %s, an Exchange %s CAS in %s%s.", w->req->arriving->name,
                  protocol_words(w->req->protocol), pick.server->name, generation_words(g),
                  site_name(w->req->mailbox_site),
                  is_mail_protocol(w) ? "" : ", and logs on there with Kerberos as itself");
        if (pick.well > 1)
            route_say(w, "%zu servers there could take it; which one a user gets stays the same.", pick.well);
    }
}

static void proxy_backend(struct route_work *w)
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
        proxy_to_nobody(w, 503);
        if (s)
            route_say(w, "%s has the mailbox but is not healthy at the moment.", s->name);
        else
            route_say(w, "It is not known which mailbox server has the mailbox.");
        return;
    }
    proxy_to(w, s);
    route_say(w, "%s proxies %s to %s, the mailbox server with the active copy%s: port %s, Kerberos.",
              w->req->arriving->name, protocol_words(w->req->protocol), s->name,
              w->place == ROUTE_SAME_SITE ? "" : ", across sites and without a redirect",
              is_mail_protocol(w) ? "of its back-end service" : "444");
}

static void local_proxy(struct route_work *w)
{
    bool local;
    const struct server *s = route_pick_back_end(w, GENERATION_2013, &local);
    if (!s) {
        proxy_to_nobody(w, 0);
        route_say(w, "Exchange 2007 cannot answer this, and there is no healthy 2013 mailbox server to "
                     "answer in its place.");
        return;
    }
    proxy_to(w, s);
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

static void backend_then_legacy(struct route_work *w)
{
    bool local;
    const struct server *s = route_pick_back_end(w, GENERATION_2013, &local);
    struct route_pick old =
        route_pick_cas(w, w->req->mailbox_site, GENERATION_2007, PROTOCOL_EAS, ROUTE_NEED_VDIR);
    if (!s) {
        proxy_to_nobody(w, 0);
        route_say(w, "ActiveSync of a 2007 mailbox goes by a mailbox server of the new version, and there is "
                     "none: a CAS-only 2013 cannot "
                     "serve it.");
        return;
    }
    proxy_to(w, s);
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

static void by_server_version(struct route_work *w)
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
        proxy_to_nobody(w, 0);
        route_say(
            w,
            "Remote PowerShell goes by the version that is asked for, and no healthy server of it is there.");
        return;
    }
    proxy_to(w, s);
    route_say(w,
              "Remote PowerShell goes by the version that is asked for, not by the mailbox: %s. From 2013 "
              "CU11 on the administrator's own "
              "mailbox, or the arbitration mailbox, decides instead.",
              w->req->requested_version == 14
                  ? route_text(w, "ExchClientVer=14 leads to %s", s->name)
                  : route_text(w, "without one it is the own version, here %s", s->name));
}

static void directed(struct route_work *w)
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
    route_hop_add(w, "client", w->req->arriving, NULL, client_auth(w, NULL));
    if (!url) {
        route_say(w, "Autodiscover must hand the client the URL of a 2007 server for %s, and %s.",
                  protocol_words(w->req->protocol),
                  s ? route_text(w, "%s publishes none", s->name) : "there is no such server");
        return;
    }
    route_hop_add(w, "client", s, NULL, "client");
    route_say(w,
              "Autodiscover hands the client the 2007 URL for %s, and the client goes to %s itself. A "
              "request that still reaches %s by the "
              "new name lands on a mailbox server of the new version, with an unknown result.",
              protocol_words(w->req->protocol), s->name, w->req->arriving->name);
    if (route_is_request_host(w, url)) {
        w->broken = true;
        route_say(w, "That URL still carries the new name %s, so the client never gets away from %s.",
                  w->host, w->req->arriving->name);
    }
}

/* ---- redirects of OWA and ECP */

static bool has_forms(const struct server *s, enum protocol p)
{
    const struct vdir *v = server_vdir(s, p);
    return v &&
           (((v->has_iis_auth ? v->iis_auth : 0) | (v->has_client_auth ? v->client_auth : 0)) & AUTH_FBA);
}

static void redirect_to(struct route_work *w, const struct server *s, const char *url)
{
    struct route_decision *d = w->out;
    bool sso = w->front == ROUTE_FRONT_FBA && has_forms(s, w->req->protocol);
    enum tri https = TRI_UNKNOWN;
    char host[256];
    uint16_t port;
    d->action = ROUTE_REDIRECT;
    d->style = sso ? ROUTE_STYLE_SSO : ROUTE_STYLE_SILENT;
    d->status = sso ? 200 : 302;
    d->target = s;
    d->url = url;
    route_hop_add(w, "client", w->req->arriving, NULL, client_auth(w, NULL));
    route_hop_add(w, "client", s, NULL, sso ? "fba" : "client");
    route_say(w, "%s sends the browser to %s (%s in %s): %s.", w->req->arriving->name, url, s->name,
              site_name(s->site),
              sso ? "both sides use forms authentication, so one logon is enough"
              : w->front == ROUTE_FRONT_FBA
                  ? "only one side uses forms authentication, so the user logs on a second time"
                  : "forms authentication is off, so it is a plain 302");
    if (generation_is_legacy(s->generation) && url_host(url, host, sizeof host, &https, &port) &&
        https == TRI_NO && w->front == ROUTE_FRONT_FBA) {
        w->broken = true;
        route_say(w, "The URL is http, which the forms redirect refuses (NoFbaSSL).");
    }
}

static void redirect_2007(struct route_work *w)
{
    const struct site *site = w->place == ROUTE_OTHER_SITE_NO_EXTERNAL_URL && w->front == ROUTE_FRONT_FBA
                                  ? w->req->arriving->site
                                  : w->req->mailbox_site;
    const struct server *s = route_pick_redirect(w, site, GENERATION_2007, true, PROTOCOL_OWA);
    const char *url = s ? server_vdir(s, PROTOCOL_OWA)->external_url : NULL;
    if (!s && w->front == ROUTE_FRONT_FBA) {
        struct route_pick pick =
            route_pick_cas(w, site, GENERATION_2007, PROTOCOL_OWA, ROUTE_NEED_INTERNAL_URL);
        s = pick.server;
        url = s ? server_vdir(s, PROTOCOL_OWA)->internal_url : NULL;
    }
    if (!s) {
        w->out->action = ROUTE_REDIRECT;
        w->broken = true;
        route_hop_add(w, "client", w->req->arriving, NULL, client_auth(w, NULL));
        route_say(w,
                  "Outlook Web App of a 2007 mailbox needs a 2007 CAS with an URL of its own in %s, and "
                  "there is none: the user sees an "
                  "error page (NoLegacyCAS).",
                  site_name(site));
        return;
    }
    redirect_to(w, s, url);
    if (route_is_request_host(w, url)) {
        w->out->status = 403;
        w->broken = true;
        route_say(w, "That is the name the request came in by: %s stops the loop with 403.",
                  w->req->arriving->name);
    } else if (site != w->req->mailbox_site) {
        route_say(w,
                  "%s publishes nothing, so a 2007 CAS beside %s takes it and goes on by 2007's own rules.",
                  site_name(w->req->mailbox_site), w->req->arriving->name);
    }
}

static void redirect(struct route_work *w)
{
    enum generation g = w->req->mailbox_generation;
    bool legacy = generation_is_legacy(g);
    if (g == GENERATION_2007) {
        redirect_2007(w);
        return;
    }
    const struct server *s =
        route_pick_redirect(w, w->req->mailbox_site, legacy ? g : GENERATION_2013, legacy, w->req->protocol);
    const struct vdir *v = s ? server_vdir(s, w->req->protocol) : NULL;
    if (v && route_is_request_host(w, v->external_url)) {
        w->out->confidence = ROUTE_OBSERVED;
        if (legacy)
            proxy_legacy(w);
        else
            proxy_backend(w);
        route_say(w,
                  "%s publishes the very name the request came in by (%s): instead of a redirect to itself "
                  "it is proxied.",
                  site_name(w->req->mailbox_site), w->host);
        return;
    }
    if (!v) {
        w->out->action = ROUTE_REDIRECT;
        w->broken = true;
        route_hop_add(w, "client", w->req->arriving, NULL, client_auth(w, NULL));
        route_say(w, "No healthy CAS in %s publishes an URL to send the browser to.",
                  site_name(w->req->mailbox_site));
        return;
    }
    char host[256] = "";
    enum tri https;
    uint16_t port;
    const char *url = v->external_url;
    if (!legacy && url_host(url, host, sizeof host, &https, &port))
        url = route_text(w, "https://%s/%s", host, w->req->protocol == PROTOCOL_OWA ? "owa" : "ecp");
    redirect_to(w, s, url);
}

/* ---- */

static const struct {
    const char *name;
    void (*apply)(struct route_work *w);
} actions[] = {
    {"refuse", refuse},
    {"proxy_backend", proxy_backend},
    {"proxy_legacy_cas", proxy_legacy},
    {"local_proxy", local_proxy},
    {"proxy_backend_then_legacy", backend_then_legacy},
    {"by_server_version", by_server_version},
    {"autodiscover_directed", directed},
    {"sso_redirect", redirect},
    {"silent_redirect", redirect},
    {"explicit_redirect", redirect},
};

void route_apply(struct route_work *w)
{
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (str_eq(actions[i].name, w->out->row->action)) {
            actions[i].apply(w);
            return;
        }
    }
    w->open = true;
    route_say(w, "The table's action %s is not known here.", w->out->row->action);
}

/* The row, also when the site of the mailbox is not known but all three places say the same. */
static const struct route_row *find_row(const struct route_work *w)
{
    enum generation a = w->req->arriving->generation, m = w->req->mailbox_generation;
    const struct route_row *first = route_row_find(a, m, w->place, w->req->protocol, w->front);
    for (int place = ROUTE_SAME_SITE; first && !w->place_known && place <= ROUTE_OTHER_SITE_NO_EXTERNAL_URL;
         place++) {
        const struct route_row *r = route_row_find(a, m, (enum route_place)place, w->req->protocol, w->front);
        if (!r || !str_eq(r->action, first->action))
            return NULL;
    }
    return first;
}

static void unknown(struct route_work *w)
{
    const struct server *s = w->req->arriving;
    w->open = true;
    w->out->action = ROUTE_UNKNOWN;
    w->out->confidence = ROUTE_UNCONFIRMED;
    route_hop_add(w, "client", s, NULL, "client");
    if (!w->place_known && route_row_find(s->generation, w->req->mailbox_generation, ROUTE_SAME_SITE,
                                          w->req->protocol, w->front))
        route_say(w, "What %s does depends on the sites, and %s is not known.", s->name,
                  s->site ? "the site of the mailbox" : "the site of the arriving server");
    else
        route_say(w,
                  "Nothing is known about %s of an Exchange %s mailbox arriving at an Exchange %s server: "
                  "the routing table has no row for "
                  "it. Try it in a lab before anybody depends on it.",
                  protocol_words(w->req->protocol), generation_words(w->req->mailbox_generation),
                  generation_words(s->generation));
}

/* The name the client used: given, else what the arriving server publishes. */
static const char *request_host(struct route_work *w)
{
    char host[256];
    enum tri https;
    uint16_t port;
    if (w->req->host_name)
        return w->req->host_name;
    const struct vdir *v = server_vdir(w->req->arriving, w->req->protocol);
    if (v && v->external_url && url_host(v->external_url, host, sizeof host, &https, &port))
        return route_text(w, "%s", host);
    v = server_vdir(w->req->arriving, PROTOCOL_OA);
    return v ? v->external_hostname : NULL;
}

static enum tri works(const struct route_work *w)
{
    enum tri all = TRI_YES;
    if (w->broken)
        return TRI_NO;
    for (size_t i = 0; i < w->out->n_preconditions; i++) {
        enum tri t = w->out->preconditions[i].holds;
        if (t == TRI_NO)
            return TRI_NO;
        if (t == TRI_UNKNOWN)
            all = TRI_UNKNOWN;
    }
    return w->open ? TRI_UNKNOWN : all;
}

enum err route_decide(const struct org *org, const struct route_request *req, const struct findings *findings,
                      struct arena *arena, struct route_decision *out, struct errinfo *ei)
{
    struct route_decision d = {.action = ROUTE_UNKNOWN, .works = TRI_UNKNOWN};
    struct route_work w = {.org = org, .req = req, .findings = findings, .arena = arena, .out = &d};
    buf_init(&w.why, WHY_LIMIT);
    w.host = request_host(&w);
    route_front_of(&w);
    route_place_of(&w);
    d.row = find_row(&w);
    if (d.row) {
        d.confidence = d.row->confidence;
        route_apply(&w);
        route_preconditions(&w);
        route_conflicts(&w);
        if (w.front_assumed)
            route_say(&w,
                      "Whether %s uses forms authentication the directory does not say; what setup leaves "
                      "(on) was taken.",
                      req->arriving->name);
    } else {
        unknown(&w);
    }
    d.works = works(&w);
    d.why = route_text(&w, "%s", buf_str(&w.why));
    bool full = w.failed || w.why.failed || arena->failed;
    buf_fini(&w.why);
    if (full)
        return err_set(ei, ERR_LIMIT, NULL, "no room to explain this route");
    *out = d;
    return ERR_OK;
}
