/* OWA and ECP: the way to the logon form, the form, and the version on it. Nothing is posted: the form would log a person on. */
#include "core/base/str.h"
#include "core/probe/app_answers.h"
#include "core/probe/app_int.h"
#include "core/probe/apps.h"

#include <string.h>

#define HOPS_MAX 10

struct walk {
    struct target *t;
    enum protocol protocol;
    char urls[HOPS_MAX + 1][APP_URL_MAX]; /* as asked, first to last */
    size_t n;
    struct buf chain; /* for people */
};

/* The path of an URL on the target itself; NULL when it leads elsewhere (*host is where). */
static const char *path_here(const struct target *t, const char *url, char *host, size_t cap)
{
    enum tri https;
    uint16_t port;
    if (*url == '/' && url[1] != '/')
        return url;
    if (!url_host(url, host, cap, &https, &port) || https == TRI_UNKNOWN) {
        str_copy(host, cap, "");
        return NULL;
    }
    /* a namespace that the server itself was asked by is still this server, here at its own address */
    if (https != TRI_YES || port != PROBE_PORT || !str_ieq(host, t->fqdn))
        return NULL;
    const char *path = strchr(strstr(url, "://") + 3, '/');
    return path ? path : "/";
}

static bool was_asked(const struct walk *w, const char *path)
{
    for (size_t i = 0; i < w->n; i++)
        if (str_eq(w->urls[i], path))
            return true;
    return false;
}

/* A redirect's target without its query, which repeats the whole address. */
static void add_hop(struct walk *w, int status, const char *where)
{
    buf_addf(&w->chain, "%s%d", w->n > 1 ? ", " : "", status);
    if (where)
        buf_addf(&w->chain, " to %.*s", (int)strcspn(where, "?"), where);
}

/* Forms in the directory mean a form on the wire, and the other way round. */
static void judge_form(const struct walk *w, const struct app_step *s, const struct http_answer *a,
                       const struct owa_page *page)
{
    const struct vdir *v = server_vdir(w->t->server, w->protocol);
    bool told = v && v->has_iis_auth, forms = told && v->iis_auth & AUTH_FBA;
    char why[128];
    if (!app_body_is_whole(a, why, sizeof why))
        app_step_end(s, OUTCOME_FAILED, "%s", why);
    else if (page->form == OWA_FORM_NONE)
        app_step_end(s, OUTCOME_FAILED, "200 without credentials and without a form that asks for them%s",
                     forms ? ": the directory says forms-based authentication" : "");
    else if (told && !forms)
        app_step_end(s, OUTCOME_FAILED,
                     "a logon form, but the directory does not say forms-based authentication");
    else
        app_step_end(s, OUTCOME_OK, "logon form, sent to %s",
                     page->form == OWA_FORM_AUTH_OWA      ? "/owa/auth.owa"
                     : page->form == OWA_FORM_OWAAUTH_DLL ? "/owa/auth/owaauth.dll"
                                                          : "a page that is not Exchange's own");
}

static void note_version(const struct walk *w, const struct http_answer *a, const struct owa_page *page)
{
    char header[64], url[APP_URL_MAX];
    struct version v;
    str_fmt(url, sizeof url, "https://%s%s", w->t->fqdn, w->urls[w->n - 1]);
    url[strcspn(url, "?")] = '\0';
    app_header(a, "X-OWA-Version", header, sizeof header);
    if (owa_version(header, &v))
        app_note_build(w->t, w->protocol, url, v, "as X-OWA-Version says");
    else if (page->has_version)
        app_note_build(w->t, w->protocol, url, page->version, "as the logon page shows");
}

static void read_page(struct walk *w, const struct http_answer *a)
{
    struct owa_page page;
    struct app_step s;
    owa_page_read(&page, buf_str(&a->body), a->body.len);
    app_step_begin(&s, w->t, w->protocol, "form", "https://%s%s", w->t->fqdn, w->urls[w->n - 1]);
    s.subject[strcspn(s.subject, "?")] = '\0';
    judge_form(w, &s, a, &page);
    note_version(w, a, &page);
}

/* A 401 is how a server without forms asks: good, unless the directory says forms. */
static void judge_challenge(const struct walk *w, const struct app_step *s, const struct http_answer *a)
{
    const struct vdir *v = server_vdir(w->t->server, w->protocol);
    struct buf offers;
    buf_init(&offers, 1024);
    (void)challenge_words(&offers, &a->challenge);
    if (v && v->has_iis_auth && v->iis_auth & AUTH_FBA)
        app_step_end(s, OUTCOME_FAILED, "%s, offers %s: the directory says forms-based authentication",
                     buf_str(&w->chain), buf_str(&offers));
    else
        app_step_end(s, OUTCOME_OK, "%s, offers %s: no form, as the directory has it", buf_str(&w->chain),
                     buf_str(&offers));
    buf_fini(&offers);
}

/* Ends the step; true when the last answer is a page to be read. */
static bool judge_end(struct walk *w, const struct app_step *s, const struct http_answer *a)
{
    const char *more = status_words(a->status, w->protocol);
    add_hop(w, a->status, NULL);
    if (a->status == 401) {
        judge_challenge(w, s, a);
    } else if (a->status == 200) {
        app_step_end(s, OUTCOME_OK, "%s", buf_str(&w->chain));
        return true;
    } else {
        app_step_end(s, OUTCOME_FAILED, "%s%s%s", buf_str(&w->chain), more ? ": " : "", more ? more : "");
    }
    return false;
}

/* One answer of the chain. False: it ended here, and the step is recorded. */
static bool follow(struct walk *w, const struct app_step *s, const struct http_answer *a)
{
    char host[PROBE_NAME_MAX], location[APP_URL_MAX];
    app_header(a, "Location", location, sizeof location);
    if (a->status < 300 || a->status >= 400 || !*location) {
        if (judge_end(w, s, a))
            read_page(w, a);
        return false;
    }
    add_hop(w, a->status, location);
    const char *path = path_here(w->t, location, host, sizeof host);
    if (!path) {
        bool ours = *host && app_host_is_ours(w->t, host);
        app_step_end(s, ours ? OUTCOME_OK : OUTCOME_FAILED, "%s: %s, not followed", buf_str(&w->chain),
                     !*host ? "no address"
                     : ours ? "another server of the organisation"
                            : "no server of this organisation");
        return false;
    }
    if (was_asked(w, path)) {
        app_step_end(s, OUTCOME_FAILED, "redirect loop: %s", buf_str(&w->chain));
        return false;
    }
    if (w->n > HOPS_MAX || !str_copy(w->urls[w->n], APP_URL_MAX, path)) {
        app_step_end(s, OUTCOME_FAILED, "more than %d redirects: %s", HOPS_MAX, buf_str(&w->chain));
        return false;
    }
    w->n++;
    return true;
}

static void walk(struct target *t, enum protocol p, bool last)
{
    struct walk w = {.t = t, .protocol = p, .n = 1};
    struct errinfo ei = {0};
    struct app_step s;
    bool more = true;
    buf_init(&w.chain, 4096);
    str_copy(w.urls[0], APP_URL_MAX, protocol_path(p));
    app_step_begin(&s, t, p, "redirects", "https://%s%s", t->fqdn, protocol_path(p));
    while (more) {
        struct http_answer a = {0};
        const struct http_request req = {.method = "GET", .path = w.urls[w.n - 1], .keep = HTTP_BODY_MAX};
        enum err e = app_ask(t, &req, last, &a, &ei);
        if (e)
            app_step_error(&s, e, &ei);
        more = !e && follow(&w, &s, &a);
        http_answer_fini(&a);
    }
    buf_fini(&w.chain);
}

void app_owa(struct target *t, bool last)
{
    walk(t, PROTOCOL_OWA, last);
}

void app_rollup(struct target *t)
{
    bool answered = false;
    for (size_t i = 0; i < t->e->items.n && !answered; i++)
        answered = t->e->items.v[i].kind == OBSERVATION_CHALLENGE && t->e->items.v[i].u.challenge.status;
    if (answered && generation_is_legacy(t->server->generation))
        walk(t, PROTOCOL_OWA, true);
}

void app_ecp(struct target *t, bool last)
{
    if (t->server->generation != GENERATION_2007) /* which has none */
        walk(t, PROTOCOL_ECP, last);
}
