#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/app_int.h"

#include <stdio.h>
#include <string.h>

void app_step_begin(struct app_step *s, struct target *t, enum protocol p, const char *name, const char *fmt,
                    ...)
{
    va_list ap;
    *s = (struct app_step){.t = t, .protocol = p, .name = name, .from = clock_mono_ms()};
    str_copy(s->by_name, sizeof s->by_name, t->fqdn);
    va_start(ap, fmt);
    (void)!vsnprintf(s->subject, sizeof s->subject, fmt, ap);
    va_end(ap);
}

void app_step_end(const struct app_step *s, enum outcome outcome, const char *fmt, ...)
{
    char text[2048], subject[APP_URL_MAX];
    va_list ap;
    str_show_fixed(subject, sizeof subject, s->subject, strlen(s->subject));
    struct observation *o =
        target_note(s->t, OBSERVATION_STEP, EVIDENCE_WIRE, s->name, s->protocol, subject, s->by_name);
    if (!o)
        return;
    if (s->no_server)
        o->server = NULL;
    va_start(ap, fmt);
    (void)!vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    o->elapsed_ms = (int)(clock_mono_ms() - s->from);
    target_say(s->t, o, outcome, "%s", text);
}

void app_step_error(const struct app_step *s, enum err e, const struct errinfo *ei)
{
    app_step_end(s, e == ERR_REFUSED ? OUTCOME_SKIPPED : OUTCOME_ERROR, "%s",
                 *ei->what ? ei->what : err_text(e));
}

/* Why nobody can ask for this protocol. */
static enum err nobody(struct target *t, enum protocol p, struct errinfo *ei)
{
    const char *why = NULL;
    for (int m = 0; m < LOGON_COUNT; m++)
        if (t->offered[p] & (1u << m) && target_user(t, (enum logon_method)m, &why))
            return err_set(ei, ERR_REFUSED, NULL, "no method let the test user in, see above");
    return err_set(ei, ERR_REFUSED, NULL, "%s",
                   why ? why : "the server offers no method that could be tried");
}

enum err app_ask_as(struct target *t, enum protocol p, const struct http_request *req, bool last,
                    struct http_answer *out, struct errinfo *ei)
{
    enum logon_method m = target_method(t, p);
    struct stop share;
    *out = (struct http_answer){0};
    if (m == LOGON_NONE)
        return nobody(t, p, ei);
    target_share(t, last, &share);
    return target_ask_as(t, m, NULL, req, &share, out, ei);
}

enum err app_ask(struct target *t, const struct http_request *req, bool last, struct http_answer *out,
                 struct errinfo *ei)
{
    struct stop share;
    target_share(t, last, &share);
    return target_ask(t, NULL, req, &share, out, ei);
}

const char *app_header(const struct http_answer *a, const char *name, char *out, size_t cap)
{
    if (!http_answer_header(a, name, 0, out, cap))
        *out = '\0';
    return out;
}

bool app_body_is_whole(const struct http_answer *a, char *why, size_t cap)
{
    if (a->body_whole)
        return true;
    if (a->bytes > HTTP_BODY_MAX)
        str_fmt(why, cap, "the answer is larger than %zu KiB and was not read to its end",
                HTTP_BODY_MAX / 1024);
    else
        str_fmt(why, cap, "the answer broke off or came too slowly, after %zu bytes", a->bytes);
    return false;
}

const char *app_came(const struct http_answer *a, char *out, size_t cap)
{
    char type[80];
    app_header(a, "Content-Type", type, sizeof type);
    type[strcspn(type, ";")] = '\0';
    str_fmt(out, cap, "%d %s", a->status, *type ? type : "without Content-Type");
    return out;
}

void app_step_status(const struct app_step *s, const struct http_answer *a)
{
    const char *more =
        a->status == 401
            ? "the logon was good before and is refused here: does the server pass the request on "
              "to another that does not take it?"
            : status_words(a->status, s->protocol);
    if (a->status >= 300 && a->status < 400)
        app_step_end(s, OUTCOME_FAILED, "%d, redirects to %s (not followed)", a->status,
                     *a->location ? a->location : "nowhere");
    else
        app_step_end(s, OUTCOME_FAILED, "%d%s%s", a->status, more ? ": " : "", more ? more : "");
}

void app_note_build(struct target *t, enum protocol p, const char *subject, struct version v,
                    const char *words)
{
    const struct server *s = t->server;
    char text[VERSION_TEXT_SIZE], shown[APP_URL_MAX];
    if (s->has_version && (s->version.major != v.major || s->version.minor != v.minor))
        return;
    if (v.major < 15)
        v.has_revision = false; /* of the application's own files then, one off from the server's */
    for (size_t i = 0; i < t->e->items.n; i++) {
        const struct observation *o = &t->e->items.v[i];
        if (o->kind == OBSERVATION_BUILD && (o->u.build.version.has_revision || !v.has_revision))
            return; /* known as exactly already */
    }
    str_show_fixed(shown, sizeof shown, subject, strlen(subject));
    struct observation *o = target_note(t, OBSERVATION_BUILD, EVIDENCE_WIRE, "build", p, shown, t->fqdn);
    if (!o)
        return;
    o->u.build.version = v;
    target_say(t, o, OUTCOME_OK, "build %s, %s", version_text(v, text), words);
}

/* ---- whose a name is */

static bool is_host_of(const char *url, const char *host)
{
    char name[PROBE_NAME_MAX];
    return url && url_host(url, name, sizeof name, NULL, NULL) && str_ieq(name, host);
}

bool app_domain_is_ours(const struct target *t, const char *domain)
{
    const struct org *org = t->prober->org;
    for (size_t i = 0; org && i < org->n_domains; i++)
        if (str_ieq(org->domains[i].name, domain))
            return true;
    return org && str_ieq(org->domain, domain);
}

bool app_host_is_ours(const struct target *t, const char *host)
{
    const struct org *org = t->prober->org;
    char name[PROBE_NAME_MAX];
    if (str_ieq(host, t->fqdn) ||
        is_host_of(profile_get(t->prober->profile, PROFILE_legacy_namespace, NULL), host))
        return true;
    for (size_t i = 0; profile_namespace(t->prober->profile, i, name, sizeof name); i++)
        if (str_ieq(name, host))
            return true;
    if (!org)
        return false;
    if (org_server(org, host) || app_domain_is_ours(t, host))
        return true;
    if (str_istarts(host, "autodiscover.") && app_domain_is_ours(t, strchr(host, '.') + 1))
        return true;
    for (size_t i = 0; i < org->n_vdirs; i++) {
        const struct vdir *v = &org->vdirs[i];
        if (is_host_of(v->internal_url, host) || is_host_of(v->external_url, host) ||
            str_ieq(v->internal_hostname, host) || str_ieq(v->external_hostname, host))
            return true;
    }
    for (size_t i = 0; i < org->n_scps; i++)
        if (is_host_of(org->scps[i].url, host))
            return true;
    for (size_t i = 0; i < org->n_arrays; i++)
        if (str_ieq(org->arrays[i].fqdn, host))
            return true;
    return false;
}

bool app_has_plain_port(const struct target *t, const char *host)
{
    const struct hostmap *map = &t->prober->profile->hosts;
    const char *addr;
    uint16_t plain = 80, tls = PROBE_PORT;
    return !hostmap_find(map, host, 80, false, &addr, &plain) ||
           !hostmap_find(map, host, PROBE_PORT, false, &addr, &tls) || plain != tls;
}
