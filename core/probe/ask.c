#include "core/base/str.h"
#include "core/probe/probe_int.h"

#include <string.h>

/* RPC over HTTP is asked as Outlook asks it (MS-RPCH 2.1.2.1.5: an echo request), everything else as a browser would. */
struct http_request plain_request(enum protocol p)
{
    struct http_request r = {.method = "GET", .path = protocol_path(p), .agent = "casbridge"};
    if (p == PROTOCOL_OA) {
        r.method = "RPC_IN_DATA";
        r.agent = "MSRPC";
        r.accept = "application/rpc";
        r.empty_body = true;
    }
    return r;
}

void protocol_url(const struct target *t, enum protocol p, char *out, size_t cap)
{
    str_fmt(out, cap, "https://%s%s", t->fqdn, protocol_path(p));
}

/* The words for a status that is no challenge; NULL when the number says it all. */
const char *status_words(int status, enum protocol p)
{
    switch (status) {
    case 403: return "forbidden (client certificate, address restriction or missing right)";
    case 404: return "there is no such virtual directory";
    case 405:
    case 501:
        return p == PROTOCOL_OA ? "the method is not known: no RPC proxy there, or a device before it"
                                : "method not known";
    case 500: return "internal error of the server";
    case 502:
    case 504: return "a device before the server cannot reach it";
    case 503: return "service unavailable (application pool stopped?)";
    default: return NULL;
    }
}

bool is_form_based(enum protocol p)
{
    return p == PROTOCOL_OWA || p == PROTOCOL_ECP;
}

static void judge_challenge(struct target *t, struct observation *o, enum protocol p,
                            const struct http_answer *a)
{
    struct buf words;
    buf_init(&words, 1024);
    int status = a->status;
    if (status == 401 && a->challenge.schemes == 0) {
        target_say(t, o, OUTCOME_FAILED, "401 without any WWW-Authenticate");
    } else if (status == 401) {
        (void)challenge_words(&words, &a->challenge);
        target_say(t, o, OUTCOME_OK, "401, offers %s", buf_str(&words));
    } else if (status >= 200 && status < 300) {
        bool fine = is_form_based(p);
        target_say(t, o, p == PROTOCOL_OA ? OUTCOME_FAILED : OUTCOME_OK, "%d without credentials%s", status,
                   fine ? "" : ": anonymous requests are let in");
    } else if (status >= 300 && status < 400) {
        target_say(t, o, is_form_based(p) ? OUTCOME_OK : OUTCOME_FAILED, "%d, redirects to %s (not followed)",
                   status, *a->location ? a->location : "nowhere");
    } else if (status == 403 && memmem(buf_str(&a->body), a->body.len, "403.7", 5)) {
        /* IIS says its sub-status in the page only; asked for within the session (access@sslFlags), so no handshake showed it */
        target_say(t, o, OUTCOME_FAILED, "403.7: the virtual directory requires a client certificate");
    } else {
        const char *more = status_words(status, p);
        target_say(t, o, OUTCOME_FAILED, "%d%s%s", status, more ? ": " : "", more ? more : "");
    }
    buf_fini(&words);
}

static bool is_http(enum protocol p)
{
    return *protocol_path(p) == '/';
}

int step_challenge(struct target *t, enum protocol p, bool last)
{
    char url[PROBE_NAME_MAX + 64];
    struct errinfo ei = {0};
    struct http_answer a = {0};
    protocol_url(t, p, url, sizeof url);
    if (!is_http(p))
        str_fmt(url, sizeof url, "%s", t->fqdn ? t->fqdn : t->server->name);
    struct observation *o =
        target_note(t, OBSERVATION_CHALLENGE, EVIDENCE_WIRE, "challenge", p, url, t->fqdn);
    if (!o)
        return 0;
    if (!is_http(p)) {
        target_say(t, o, OUTCOME_SKIPPED, "%s has no HTTP challenge", protocol_words(p));
        return 0;
    }
    if (!t->reached) {
        target_say(t, o, OUTCOME_ERROR, "%s", t->unreached);
        return 0;
    }
    struct http_request req = plain_request(p);
    req.keep = HTTP_BODY_SMALL;
    struct stop share;
    target_share(t, last, &share);
    enum err e = target_ask(t, NULL, &req, &share, &a, &ei);
    int status = a.status;
    o->elapsed_ms = a.elapsed_ms;
    if (e) {
        target_say(t, o, OUTCOME_ERROR, "%s", ei.what);
        status = 0;
        goto out;
    }
    t->status[p] = a.status;
    t->offered[p] = logon_offered(&a.challenge);
    o->u.challenge.status = a.status;
    o->u.challenge.offered = a.challenge.offered;
    o->u.challenge.anonymous = a.status >= 200 && a.status < 300;
    o->u.challenge.server_header = *a.server ? arena_str(&t->e->arena, a.server) : NULL;
    o->u.challenge.fe_server = *a.fe_server ? arena_str(&t->e->arena, a.fe_server) : NULL;
    judge_challenge(t, o, p, &a);
out:
    http_answer_fini(&a);
    return status;
}

/* The folder of the protocol's path: "/rpc/", "/Microsoft-Server-ActiveSync/". */
static void health_path(enum protocol p, char *out, size_t cap)
{
    const char *path = protocol_path(p), *slash = strrchr(path, '/');
    if (slash == path)
        str_fmt(out, cap, "%s/healthcheck.htm", path);
    else
        str_fmt(out, cap, "%.*s/healthcheck.htm", (int)(slash - path), path);
}

void step_health(struct target *t, enum protocol p, bool last)
{
    char path[128], url[PROBE_NAME_MAX + 160];
    struct errinfo ei = {0};
    struct http_answer a = {0};
    struct stop share;
    if (!is_http(p) || t->server->generation < GENERATION_2013)
        return;
    health_path(p, path, sizeof path);
    str_fmt(url, sizeof url, "https://%s%s", t->fqdn, path);
    struct observation *o = target_note(t, OBSERVATION_STEP, EVIDENCE_WIRE, "healthcheck", p, url, t->fqdn);
    if (!o)
        return;
    struct http_request req = {.method = "GET", .path = path};
    target_share(t, last, &share);
    enum err e = target_ask(t, NULL, &req, &share, &a, &ei);
    o->elapsed_ms = a.elapsed_ms;
    if (e)
        target_say(t, o, OUTCOME_ERROR, "%s", ei.what);
    else if (a.status == 200)
        target_say(t, o, OUTCOME_OK, "200: managed availability calls the protocol healthy");
    else
        target_say(t, o, OUTCOME_FAILED, "%d: a load balancer takes the server out for this protocol",
                   a.status);
    http_answer_fini(&a);
}
