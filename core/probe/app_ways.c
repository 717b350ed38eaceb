/* Autodiscover found by the address's domain, as Outlook does outside (admin-tools.md 5.2 A1 to A4): two URLs, a plain redirect, DNS SRV. */
#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/app_autodiscover.h"
#include "core/probe/app_srv.h"

#include <openssl/x509.h>
#include <string.h>
#include <unistd.h>

/* ---- a visit: what stands at a place, before any credentials */

static void note(struct target *t, const char *host, const char *name, const char *subject, int64_t from,
                 enum outcome outcome, const char *text)
{
    struct app_step s;
    app_step_begin(&s, t, PROTOCOL_AUTODISCOVER, name, "%s", subject);
    s.no_server = true;
    s.from = from;
    str_copy(s.by_name, sizeof s.by_name, host);
    app_step_end(&s, outcome, "%s", text);
}

/* Name and port; *fd is connected then. A name that leads nowhere is no fault: it only is not the way. */
static bool reach(struct target *t, const struct autodiscover_place *p, const struct stop *stop, int *fd,
                  struct buf *detail)
{
    struct errinfo ei = {0};
    struct reach r;
    struct buf text;
    char subject[PROBE_NAME_MAX + 8];
    size_t which;
    int64_t from = clock_mono_ms();
    buf_init(&text, 4096);
    str_fmt(subject, sizeof subject, "%s:%u", p->host, p->port);
    enum err e = reach_resolve(&t->prober->profile->hosts, p->host, p->port, stop, &r, &text, &ei);
    note(t, p->host, "dns", p->host, from, e ? OUTCOME_SKIPPED : OUTCOME_OK, e ? ei.what : buf_str(&text));
    if (!e) {
        from = clock_mono_ms();
        buf_reset(&text);
        e = reach_connect(&r, stop, fd, &which, &text, &ei);
        note(t, p->host, "tcp", subject, from, e ? OUTCOME_SKIPPED : OUTCOME_OK,
             e ? ei.what : buf_str(&text));
    }
    if (e)
        buf_addf(detail, "no Autodiscover there: %s", ei.what);
    buf_fini(&text);
    return e == ERR_OK;
}

/* The handshake as evidence. True when the certificate is good enough to show credentials to; otherwise why not. */
static bool trust(struct target *t, struct autodiscover_place *p, int fd, const struct stop *stop)
{
    struct tls_answer a = {0};
    struct errinfo ei = {0};
    struct certificate cert;
    struct buf words;
    char subject[PROBE_NAME_MAX + 8];
    int64_t from = clock_mono_ms();
    char *why = p->why;
    const size_t cap = sizeof p->why;
    bool good = false;
    p->binding_len = 0;
    str_fmt(subject, sizeof subject, "%s:%u", p->host, p->port);
    if (!t->prober->tls) {
        close(fd);
        str_copy(why, cap, t->prober->trust_error.what);
        return false;
    }
    enum err e = tls_handshake(fd, p->host, t->prober->tls, stop, &a, &ei);
    if (e) {
        note(t, p->host, "certificate", subject, from, OUTCOME_FAILED, ei.what);
        str_copy(why, cap, ei.what);
        return false;
    }
    bool name_ok = certificate_has_name(a.leaf, p->host);
    buf_init(&words, 4096);
    if (certificate_decode(&t->e->arena, a.leaf, &cert) == ERR_OK) {
        cert.chain_ok = a.chain_ok;
        cert.chain_error = a.chain_error;
        good = certificate_words(&words, &cert, name_ok, p->host, clock_unix()) && a.chain_ok && name_ok &&
               certificate_binding(a.leaf, p->binding, &p->binding_len);
        struct observation *o =
            target_note(t, OBSERVATION_TLS, EVIDENCE_WIRE, "tls", PROTOCOL_AUTODISCOVER, subject, p->host);
        if (o) {
            o->server = NULL;
            o->elapsed_ms = a.elapsed_ms;
            o->u.tls.version = arena_str(&t->e->arena, a.version);
            o->u.tls.cipher = arena_str(&t->e->arena, a.cipher);
            o->u.tls.cert = cert;
            o->u.tls.name_ok = name_ok;
            target_say(t, o, OUTCOME_OK, "%s, %s", a.version, a.cipher);
        }
        note(t, p->host, "certificate", subject, from, good ? OUTCOME_OK : OUTCOME_FAILED,
             words.len ? buf_str(&words) : "good for this name");
        if (!good)
            str_fmt(why, cap, "the certificate %s, so no credentials are sent (Outlook warns the user)",
                    buf_str(&words));
    }
    buf_fini(&words);
    tls_answer_fini(&a);
    return good;
}

/* The methods that are offered there and that somebody has credentials for: the best, and what to fall back to. */
static const char *choose(const struct target *t, const struct challenge_set *offered,
                          struct autodiscover_place *p)
{
    static const enum logon_method order[] = {LOGON_KERBEROS, LOGON_NTLM, LOGON_NEGOTIATE_NTLM, LOGON_BASIC};
    const char *why = "no method is offered that could be tried", *reason;
    uint32_t set = logon_offered(offered);
    p->method = LOGON_NONE;
    p->others = 0;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (!(set & (1u << order[i])))
            continue;
        if (!target_user(t, order[i], &reason))
            why = reason;
        else if (p->method == LOGON_NONE)
            p->method = order[i];
        else
            p->others |= 1u << order[i];
    }
    return why;
}

static enum outcome judge_visit(struct target *t, struct autodiscover_place *p, bool good,
                                const struct http_answer *a, struct buf *detail)
{
    char came[128];
    if (a->status == 401) {
        const char *why = choose(t, &a->challenge, p);
        if (p->method == LOGON_NONE)
            str_fmt(p->why, sizeof p->why, "something asks for a logon there, but: %s", why);
        if (!app_host_is_ours(t, p->host)) {
            p->method = LOGON_NONE;
            str_fmt(p->why, sizeof p->why,
                    "%s is no name of this organisation: no credentials are sent there", p->host);
        } else if (!good) {
            p->method = LOGON_NONE;
        }
        return OUTCOME_OK;
    }
    if (a->status >= 200 && a->status < 300) {
        buf_addf(detail,
                 "%s without credentials: a web site answers there that knows no Autodiscover, and Outlook "
                 "must get "
                 "past it",
                 app_came(a, came, sizeof came));
        return OUTCOME_FAILED;
    }
    if (a->status >= 300 && a->status < 400)
        buf_addf(detail, "no Autodiscover there: %d, redirects to %s (not followed)", a->status,
                 *a->location ? a->location : "nowhere");
    else
        buf_addf(detail, "no Autodiscover there: %d", a->status);
    return OUTCOME_SKIPPED;
}

enum outcome autodiscover_visit(struct target *t, struct autodiscover_place *p, bool last, struct buf *detail)
{
    const struct probe_place place = {.host = p->host, .port = p->port};
    const struct http_request req = {.method = "POST", .path = p->path, .empty_body = true};
    struct http_answer a = {0};
    struct errinfo ei = {0};
    struct stop share;
    int fd = -1;
    p->method = LOGON_NONE;
    target_share(t, last, &share);
    if (!reach(t, p, &share, &fd, detail))
        return OUTCOME_SKIPPED;
    bool good = trust(t, p, fd, &share);
    enum err e = target_ask(t, &place, &req, &share, &a, &ei);
    enum outcome o = OUTCOME_ERROR;
    if (e)
        buf_addf(detail, "%s", ei.what);
    else
        o = judge_visit(t, p, good, &a, detail);
    http_answer_fini(&a);
    return o;
}

/* ---- the ways */

struct search {
    struct target *t;
    const char *address, *domain;
    bool last;
    char found[PROBE_NAME_MAX + 32]; /* by what; "" not yet */
};

static void begin(struct app_step *s, const struct search *q, const char *name, const char *host,
                  const char *subject)
{
    app_step_begin(s, q->t, PROTOCOL_AUTODISCOVER, name, "%s", subject);
    s->no_server = true;
    str_copy(s->by_name, sizeof s->by_name, host);
}

/* Asks at a place and ends the step. before: what led there, "" or "302 to https://...: ". */
static void ask_at(struct search *q, const struct app_step *s, struct autodiscover_place *p,
                   const char *before)
{
    struct autodiscover talk;
    struct pox x;
    struct buf detail;
    buf_init(&detail, 16384);
    enum outcome o = autodiscover_visit(q->t, p, false, &detail);
    if (o != OUTCOME_OK) {
        app_step_end(s, o, "%s%s", before, buf_str(&detail));
    } else if (p->method == LOGON_NONE) {
        app_step_end(s, OUTCOME_FAILED, "%s%s", before, p->why);
    } else {
        autodiscover_init(&talk, q->t, q->address, false, q->last);
        talk.place = *p;
        o = autodiscover_ask(&talk, &x, &detail);
        app_step_end(s, o, "%s%s%s%s", before, buf_str(&detail), o == OUTCOME_OK ? "settings for " : "",
                     o != OUTCOME_OK  ? ""
                     : x.display_name ? x.display_name
                                      : talk.address);
        if (o == OUTCOME_OK) {
            str_copy(q->found, sizeof q->found, p->host);
            pox_fini(&x);
        }
        autodiscover_fini(&talk);
    }
    buf_fini(&detail);
}

static bool not_needed(const struct search *q, const struct app_step *s)
{
    if (*q->found)
        app_step_end(s, OUTCOME_SKIPPED, "not needed: %s answers", q->found);
    return *q->found != '\0';
}

static void by_url(struct search *q, const char *name, const char *host)
{
    struct autodiscover_place p;
    char url[APP_URL_MAX];
    struct app_step s;
    str_fmt(url, sizeof url, "https://%s/autodiscover/autodiscover.xml", host);
    begin(&s, q, name, host, url);
    if (!not_needed(q, &s) && autodiscover_place_from(&p, url))
        ask_at(q, &s, &p, "");
}

/* Only a redirect is an answer here; whatever it says is shown before anything is sent there. */
static void judge_redirect(struct search *q, const struct app_step *s, const struct http_answer *a)
{
    char location[APP_URL_MAX], before[APP_URL_MAX + 32], came[128];
    struct autodiscover_place p;
    app_header(a, "Location", location, sizeof location);
    if (a->status == 301 || a->status == 302 || a->status == 307) {
        str_fmt(before, sizeof before, "%d to %s: ", a->status, *location ? location : "nowhere");
        if (!autodiscover_place_from(&p, location))
            app_step_end(s, OUTCOME_FAILED, "%sno https URL, not followed", before);
        else if (!app_host_is_ours(q->t, p.host))
            app_step_end(
                s, OUTCOME_SKIPPED,
                "%s%s is no name of this organisation: no credentials are sent there (Outlook would ask the "
                "user)",
                before, p.host);
        else
            ask_at(q, s, &p, before);
    } else if (a->status >= 200 && a->status < 400) {
        app_step_end(s, OUTCOME_FAILED,
                     "A positive HTTP response other than a redirect response was received: %s",
                     app_came(a, came, sizeof came));
    } else {
        app_step_end(s, OUTCOME_SKIPPED, "no redirect there: %d", a->status);
    }
}

static void by_redirect(struct search *q, const char *host)
{
    const struct probe_place place = {.host = host, .port = 80, .plain = true};
    const struct http_request req = {.method = "GET", .path = "/autodiscover/autodiscover.xml"};
    struct http_answer a = {0};
    struct errinfo ei = {0};
    struct app_step s;
    struct stop share;
    char url[APP_URL_MAX];
    str_fmt(url, sizeof url, "http://%s/autodiscover/autodiscover.xml", host);
    begin(&s, q, "http-redirect", host, url);
    if (not_needed(q, &s))
        return;
    if (!app_has_plain_port(q->t, host)) {
        app_step_end(&s, OUTCOME_SKIPPED, "the host map has one port for this name: add %s/80 for http",
                     host);
        return;
    }
    target_share(q->t, false, &share);
    enum err e = target_ask(q->t, &place, &req, &share, &a, &ei);
    if (e)
        app_step_end(&s, OUTCOME_SKIPPED, "no redirect there: %s", ei.what);
    else
        judge_redirect(q, &s, &a);
    http_answer_fini(&a);
}

static void by_srv(struct search *q)
{
    struct app_srv found;
    struct errinfo ei = {0};
    struct autodiscover_place p;
    struct app_step s;
    struct stop share;
    char name[PROBE_NAME_MAX + 32], url[APP_URL_MAX], before[APP_URL_MAX + 32];
    str_fmt(name, sizeof name, "_autodiscover._tcp.%s", q->domain);
    begin(&s, q, "srv", q->domain, name);
    if (not_needed(q, &s))
        return;
    target_share(q->t, false, &share);
    enum err e = app_srv_find(&found, q->domain, NULL, &share, &ei);
    if (e) {
        app_step_end(&s, e == ERR_NOTFOUND ? OUTCOME_SKIPPED : OUTCOME_ERROR, "%s", ei.what);
        return;
    }
    str_fmt(url, sizeof url, "https://%s:%u/autodiscover/autodiscover.xml", found.host, found.port);
    str_fmt(before, sizeof before, "%u record%s, %s:%u: ", found.records, found.records == 1 ? "" : "s",
            found.host, found.port);
    if (!autodiscover_place_from(&p, url))
        app_step_end(&s, OUTCOME_FAILED, "%sno host", before);
    else if (!app_host_is_ours(q->t, p.host))
        app_step_end(&s, OUTCOME_SKIPPED, "%sno name of this organisation: no credentials are sent there",
                     before);
    else
        ask_at(q, &s, &p, before);
}

void autodiscover_ways(struct target *t, const char *address, bool last)
{
    const char *at = strrchr(address, '@');
    char domain[PROBE_NAME_MAX], host[PROBE_NAME_MAX];
    struct search q = {.t = t, .address = address, .domain = domain, .last = last};
    struct app_step s;
    if (!at || !url_host(at + 1, domain, sizeof domain, NULL, NULL) || !str_ieq(domain, at + 1) ||
        !str_fmt(host, sizeof host, "autodiscover.%s", domain))
        return;
    by_url(&q, "domain-url", domain);
    by_url(&q, "autodiscover-url", host);
    by_redirect(&q, host);
    by_srv(&q);
    begin(&s, &q, "by-domain", domain, domain);
    if (*q.found)
        app_step_end(&s, OUTCOME_OK, "clients without the directory find Autodiscover at %s", q.found);
    else
        app_step_end(
            &s, OUTCOME_FAILED,
            "none of the four ways leads to Autodiscover: clients outside and devices find no settings");
}
