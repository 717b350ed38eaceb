/*
 * Redirects of Outlook Web App and the control panel: with one logon where both sides use forms authentication, else plain; and
 * the cases in which the new CAS proxies after all.
 */
#include "core/route/route_int.h"

#include "core/base/str.h"

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
    route_hop_add(w, "client", w->req->arriving, NULL, route_client_auth(w, NULL));
    route_hop_add(w, "client", s, NULL, sso ? "fba" : "client");
    route_say(w, "%s sends the browser to %s (%s in %s): %s.", w->req->arriving->name, url, s->name,
              route_site_name(s->site),
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
        route_hop_add(w, "client", w->req->arriving, NULL, route_client_auth(w, NULL));
        route_say(w,
                  "Outlook Web App of a 2007 mailbox needs a 2007 CAS with an URL of its own in %s, and "
                  "there is none: the user sees an "
                  "error page (NoLegacyCAS).",
                  route_site_name(site));
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
                  route_site_name(w->req->mailbox_site), w->req->arriving->name);
    }
}

void route_redirect(struct route_work *w)
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
            route_proxy_legacy(w);
        else
            route_proxy_back_end(w);
        route_say(w,
                  "%s publishes the very name the request came in by (%s): instead of a redirect to itself "
                  "it is proxied.",
                  route_site_name(w->req->mailbox_site), w->host);
        return;
    }
    if (!v) {
        w->out->action = ROUTE_REDIRECT;
        w->broken = true;
        route_hop_add(w, "client", w->req->arriving, NULL, route_client_auth(w, NULL));
        route_say(w, "No healthy CAS in %s publishes an URL to send the browser to.",
                  route_site_name(w->req->mailbox_site));
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
