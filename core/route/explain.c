/*
 * What must hold for the next hop, judged by the rules' findings or, without them, by the directory; and where sources disagree.
 */
#include "core/route/route_int.h"

#include "core/base/str.h"
#include "core/rules/judge.h"

#include <string.h>

/* What the rules say about one server. */
static enum tri by_findings(const struct route_work *w, const char *rule, const struct server *s,
                            const char **why, bool *said)
{
    enum finding_word word =
        w->findings ? findings_say(w->findings, rule, s ? s->name : NULL, why) : FINDING_NOTHING;
    *said = word != FINDING_NOTHING;
    return word == FINDING_FOUND ? TRI_NO : word == FINDING_PASSED ? TRI_YES : TRI_UNKNOWN;
}

static void add(struct route_work *w, const char *rule, const struct server *s, enum tri holds,
                const char *why)
{
    struct route_decision *d = w->out;
    if (d->n_preconditions == ROUTE_MAX_PRECONDITIONS)
        return;
    d->preconditions[d->n_preconditions++] = (struct route_precondition){
        .rule = rule,
        .server = s ? s->name : NULL,
        .holds = holds,
        .why = why ? route_text(w, "%s", why) : NULL,
    };
}

/* The rules' word, else the directory's. */
static enum tri require(struct route_work *w, const char *rule, const struct server *s,
                        enum tri from_directory, const char *why)
{
    bool said;
    const char *text = NULL;
    enum tri t = by_findings(w, rule, s, &text, &said);
    if (!said) {
        t = from_directory;
        text = t == TRI_YES ? NULL : why;
    }
    add(w, rule, s, t, text);
    return t;
}

/* Only observation can say it: counted when it was looked at, so that a route can be judged without a probe. Rules that are
   mostly unknown for good reasons count only when they found something (found_only). */
static enum tri require_seen(struct route_work *w, const char *rule, const struct server *s, bool found_only)
{
    bool said;
    const char *text = NULL;
    enum tri t = by_findings(w, rule, s, &text, &said);
    if (!said || t == TRI_UNKNOWN || (found_only && t != TRI_NO))
        return TRI_UNKNOWN;
    add(w, rule, s, t, text);
    return t;
}

static void kerberos_hop(struct route_work *w, const struct server *s)
{
    require_seen(w, "kerberos-ticket", s, false);
    require_seen(w, "spn-unique", s, true);
    require_seen(w, "version-floor", s, true);
}

static const char *methods_text(struct route_work *w, const struct vdir *v)
{
    struct buf b;
    if (!v->has_iis_auth)
        return "other methods";
    buf_init(&b, 512);
    auth_set_text(&b, v->iis_auth);
    const char *s = route_text(w, "%s", buf_str(&b));
    buf_fini(&b);
    return s;
}

static void outlook_anywhere(struct route_work *w, const struct server *s)
{
    const struct vdir *v = server_vdir(s, PROTOCOL_OA), *own = server_vdir(w->req->arriving, PROTOCOL_OA);
    const char *names[] = {own ? own->external_hostname : NULL};
    if (require(w, "oa-enabled", s, judge_oa_is_enabled(s), "Outlook Anywhere is not enabled there") ==
            TRI_NO ||
        !v) {
        w->out->status = 404;
        route_say(w,
                  "Outlook Anywhere is not enabled on %s, so its health check fails, and the client gets 404 "
                  "and stays disconnected. "
                  "Enable it there.",
                  s->name);
        return;
    }
    enum tri auth = require(w, "oa-iis-auth", s, judge_oa_has_windows(v),
                            v->has_iis_auth ? "its IIS methods do not include NTLM"
                                            : "the directory does not show its IIS methods");
    require(w, "oa-external-hostname", s, judge_oa_has_name(v, names, names[0] ? 1 : 0),
            names[0] ? "its external host name is not the new CAS's"
                     : "the new CAS's Outlook Anywhere name is not known");
    enum tri wire = require_seen(w, "oa-wire", s, false);
    kerberos_hop(w, s);
    require_seen(w, "kb3140410", s, true);
    if (auth == TRI_NO || wire == TRI_NO) {
        w->out->status = 401;
        if (auth == TRI_NO)
            route_say(w,
                      "IIS on %s offers %s and no Windows authentication: it answers 401 for ever, and "
                      "Outlook asks for the password again "
                      "and again (rule oa-iis-auth).",
                      s->name, methods_text(w, v));
        else
            route_say(w,
                      "The directory is right, but on the wire %s does not offer Windows authentication: it "
                      "answers 401 (rule oa-wire).",
                      s->name);
    } else if (auth == TRI_YES) {
        route_say(w, "%s offers Windows authentication, as it must.", s->name);
    } else {
        route_say(w, "Whether %s offers Windows authentication is not known.", s->name);
    }
}

/* Web services and Autodiscover: chosen by their URL, then logged on to with Kerberos. */
static void web_services(struct route_work *w, const struct server *s, enum protocol p)
{
    const struct vdir *v = server_vdir(s, p);
    if (!v)
        return;
    bool said;
    const char *text = NULL;
    enum tri windows = judge_has_windows(v);
    /* the rule speaks of both virtual directories of a server: only when it passed does it answer for this one */
    if (by_findings(w, "proxy-auth", s, &text, &said) == TRI_YES)
        windows = TRI_YES;
    add(w, "proxy-auth", s, windows,
        windows == TRI_NO        ? "its methods do not include Windows authentication"
        : windows == TRI_UNKNOWN ? "the directory does not show its methods"
                                 : NULL);
    if (windows != TRI_NO)
        return;
    w->out->status = 401;
    route_say(w, "%s of %s offers %s and no Windows authentication: it answers 401 (rule proxy-auth).",
              protocol_words(p), s->name, methods_text(w, v));
}

/* Neither the directory nor a rule says whether the service runs, and setup leaves it off. */
static void mail(struct route_work *w, const struct server *s, enum protocol p)
{
    w->open = true;
    route_say(w,
              "Whether %s runs on %s the directory does not say, and setup leaves it off: casbridge probe %s "
              "--protocol %s tells.",
              protocol_words(p), s->name, s->name, protocol_id(p));
}

void route_preconditions(struct route_work *w)
{
    struct route_decision *d = w->out;
    const struct server *s = d->target;
    enum protocol p = w->req->protocol;
    if (!d->row->legal) {
        add(w, "coexistence", NULL, TRI_NO, d->row->preconditions);
        return;
    }
    if (!s || d->action == ROUTE_REFUSE)
        return;
    if (d->action == ROUTE_REDIRECT) {
        if (s->generation == GENERATION_2007 && (p == PROTOCOL_OWA || p == PROTOCOL_EWS)) {
            bool equal = route_is_request_host(w, d->url);
            require(w, "legacy-namespace", s, equal ? TRI_NO : TRI_YES,
                    "its URL carries the name that the new CAS takes");
        }
        return;
    }
    if (p == PROTOCOL_POP || p == PROTOCOL_IMAP) {
        mail(w, s, p);
        return;
    }
    if (!generation_is_legacy(s->generation)) {
        kerberos_hop(w, s);
        return;
    }
    if (p == PROTOCOL_OA) {
        outlook_anywhere(w, s);
        return;
    }
    /* the rule speaks of a server's three virtual directories at once, the hop needs one */
    if (p == PROTOCOL_OWA || p == PROTOCOL_ECP || p == PROTOCOL_EAS)
        add(w, "internal-url", s, judge_has_internal_url(s, p), NULL);
    if (p == PROTOCOL_EWS || p == PROTOCOL_AUTODISCOVER)
        web_services(w, s, p);
    kerberos_hop(w, s);
}

/* ---- conflicts of routing.md section 11 that touch a row */

static bool always(const struct route_work *w)
{
    (void)w;
    return true;
}

static bool oa_to_legacy_with_negotiate(const struct route_work *w)
{
    const struct vdir *v = server_vdir(w->req->arriving, PROTOCOL_OA);
    return v && ((v->has_client_auth && (v->client_auth & AUTH_NEGOTIATE)) ||
                 (v->has_internal_client_auth && (v->internal_client_auth & AUTH_NEGOTIATE)));
}

static bool offloading_unknown(const struct route_work *w)
{
    const struct vdir *v = server_vdir(w->req->arriving, PROTOCOL_OA);
    return v && v->ssl_offloading == TRI_UNKNOWN;
}

static bool same_site_with_external_url(const struct route_work *w)
{
    return w->place_known && w->place == ROUTE_SAME_SITE && w->out->target &&
           route_has(w->out->target, PROTOCOL_OWA, ROUTE_NEED_EXTERNAL_URL);
}

static bool bypass_url_unread(const struct route_work *w)
{
    const struct vdir *v = w->out->target ? server_vdir(w->out->target, PROTOCOL_EWS) : NULL;
    return v && v->nlb_bypass == TRI_UNKNOWN;
}

static bool new_mailbox(const struct route_work *w)
{
    return !generation_is_legacy(w->req->mailbox_generation);
}

static const struct {
    enum protocol protocol;
    enum generation mailbox; /* GENERATION_UNKNOWN: any */
    bool (*applies)(const struct route_work *w);
    const char *text;
} conflicts[] = {
    {PROTOCOL_AUTODISCOVER, GENERATION_2007, always,
     "2007 Autodiscover: a Microsoft document says it is proxied to the older version; a blog and "
     "observation say that a 2013 mailbox server "
     "answers. Try it in a lab."},
    {PROTOCOL_EWS, GENERATION_2007, always,
     "2007 EWS: a Microsoft document speaks of a redirect to the legacy name; a blog and observation say "
     "that Autodiscover hands out the "
     "legacy URL, and that the result of a request to the new name is unknown. Publish legacy EWS URLs."},
    {PROTOCOL_EAS, GENERATION_2007, always,
     "2007 ActiveSync external URL: the document gives the new namespace, many guides empty it or use the "
     "legacy name. Decide which."},
    {PROTOCOL_OWA, GENERATION_2010, same_site_with_external_url,
     "2010 OWA in the same site with an external URL: one sentence of a document says redirect when the URL "
     "is set, without naming sites; "
     "the table says proxy. Probe it before cut-over."},
    {PROTOCOL_OA, GENERATION_UNKNOWN, offloading_unknown,
     "SSL offloading of Outlook Anywhere: 2013 help says it is on by default, the cmdlet reference says off. "
     "Set it explicitly."},
    {PROTOCOL_EWS, GENERATION_2010, bypass_url_unread,
     "InternalNLBBypassUrl: a 2010 EWS virtual directory must have it (observed), a 2013 front end must not "
     "(HealthChecker). The attribute that is assumed to hold it was not found."},
    {PROTOCOL_AUTODISCOVER, GENERATION_2010, bypass_url_unread,
     "InternalNLBBypassUrl: a 2010 EWS virtual directory must have it (observed), a 2013 front end must not "
     "(HealthChecker). The attribute that is assumed to hold it was not found."},
    {PROTOCOL_OA, GENERATION_2007, oa_to_legacy_with_negotiate,
     "Negotiate as client method: an example of the 2013 configuration page sets it, its own note keeps it "
     "for organisations of 2013 only."},
    {PROTOCOL_OA, GENERATION_2010, oa_to_legacy_with_negotiate,
     "Negotiate as client method: an example of the 2013 configuration page sets it, its own note keeps it "
     "for organisations of 2013 only."},
    {PROTOCOL_OAB, GENERATION_UNKNOWN, new_mailbox,
     "Order of updates for the offline address book: release notes say CAS first from CU6, elsewhere the "
     "fault is said to be from before CU5. "
     "Update CAS before mailbox servers in every case."},
};

void route_conflicts(struct route_work *w)
{
    struct route_decision *d = w->out;
    if (!d->row->legal)
        return;
    d->conflicts = arena_array(w->arena, ARRAY_LEN(conflicts), sizeof *d->conflicts);
    for (size_t i = 0; d->conflicts && i < ARRAY_LEN(conflicts); i++) {
        if (conflicts[i].protocol == w->req->protocol &&
            (conflicts[i].mailbox == GENERATION_UNKNOWN ||
             conflicts[i].mailbox == w->req->mailbox_generation) &&
            conflicts[i].applies(w))
            d->conflicts[d->n_conflicts++] = conflicts[i].text;
    }
}
