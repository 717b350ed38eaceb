/*
 * One decision: what the request means in this organisation, its row, the row applied, and the verdict.
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

static const struct {
    const char *name;
    void (*apply)(struct route_work *w);
} actions[] = {
    {"refuse", route_refuse},
    {"proxy_backend", route_proxy_back_end},
    {"proxy_legacy_cas", route_proxy_legacy},
    {"local_proxy", route_local_proxy},
    {"proxy_backend_then_legacy", route_proxy_twice},
    {"by_server_version", route_by_version},
    {"autodiscover_directed", route_directed},
    {"sso_redirect", route_redirect},
    {"silent_redirect", route_redirect},
    {"explicit_redirect", route_redirect},
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
                  protocol_words(w->req->protocol), route_generation_words(w->req->mailbox_generation),
                  route_generation_words(s->generation));
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
        if (d.confidence == ROUTE_UNCONFIRMED)
            route_say(&w, "No source confirms this%s%s: try it in a lab.", *d.row->note ? "; " : "",
                      d.row->note);
        else if (d.confidence == ROUTE_OBSERVED)
            route_say(&w, "This was observed, no document says it.");
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
