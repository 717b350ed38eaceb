#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/late.h"
#include "core/probe/probe_int.h"

#include <stdlib.h>
#include <string.h>

/* A KDC that was silent for less may only have met a deadline that was nearly over. */
#define KDC_PATIENCE_MS 2000

/* RPC over HTTP is asked as Outlook asks it (MS-RPCH 2.1.2.1.5: an echo request), everything else as a browser would. */
static struct http_request request_for(enum protocol p)
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

static void url_of(const struct target *t, enum protocol p, char *out, size_t cap)
{
    str_fmt(out, cap, "https://%s%s", t->fqdn, protocol_path(p));
}

/* The words for a status that is no challenge; NULL when the number says it all. */
static const char *status_words(int status, enum protocol p)
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

static bool is_form_based(enum protocol p)
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
    } else {
        const char *more = status_words(status, p);
        target_say(t, o, OUTCOME_FAILED, "%d%s%s", status, more ? ": " : "", more ? more : "");
    }
    buf_fini(&words);
}

/* Opens the session when there is none yet. */
static enum err ask(struct target *t, const struct http_request *req, bool last, struct http_answer *out,
                    struct errinfo *ei)
{
    struct stop share;
    if (!t->http) {
        char addr[64];
        reach_address(&t->reach, t->which, addr, sizeof addr);
        enum err e = http_session_new(&t->http, t->fqdn, addr, t->reach.port, t->fd, ei);
        if (e)
            return e;
        t->fd = -1;
    }
    target_share(t, last, &share);
    return http_ask(t->http, req, &share, out, ei);
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
    url_of(t, p, url, sizeof url);
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
    struct http_request req = request_for(p);
    enum err e = ask(t, &req, last, &a, &ei);
    o->elapsed_ms = a.elapsed_ms;
    if (e) {
        target_say(t, o, OUTCOME_ERROR, "%s", ei.what);
        return 0;
    }
    o->u.challenge.status = a.status;
    o->u.challenge.offered = a.challenge.offered;
    o->u.challenge.anonymous = a.status >= 200 && a.status < 300;
    o->u.challenge.server_header = *a.server ? arena_str(&t->e->arena, a.server) : NULL;
    o->u.challenge.fe_server = *a.fe_server ? arena_str(&t->e->arena, a.fe_server) : NULL;
    judge_challenge(t, o, p, &a);
    return a.status;
}

/* A ticket request that may outlive the probe. */
struct asked_ticket {
    struct krb_login *login;
    char spn[PROBE_NAME_MAX + 8];
    struct krb_ticket ticket;
    enum err err;
    struct errinfo ei;
};

static void get_ticket(void *arg)
{
    struct asked_ticket *k = arg;
    k->err = krb_ticket_get(k->login, k->spn, &k->ticket, &k->ei);
}

static void ticket_free(void *arg)
{
    struct asked_ticket *k = arg;
    krb_login_free(&k->login);
    free(k);
}

static void judge_ticket(struct target *t, struct observation *o, const struct asked_ticket *k)
{
    char until[CLOCK_TEXT_SIZE];
    o->u.ticket.etype = k->ticket.etype;
    o->u.ticket.kvno = k->ticket.kvno;
    o->u.ticket.end_time = k->ticket.end_time;
    o->u.ticket.error = k->ticket.error;
    if (k->err)
        target_say(t, o, k->ticket.error ? OUTCOME_FAILED : OUTCOME_ERROR, "%s", k->ei.what);
    else
        target_say(t, o, OUTCOME_OK, "%s%s, kvno %d, until %s", krb_etype_name(k->ticket.etype),
                   krb_etype_is_weak(k->ticket.etype) ? " (weak)" : "", k->ticket.kvno,
                   clock_rfc3339(k->ticket.end_time, until));
}

static const char *domain_of(const char *fqdn)
{
    const char *dot = strchr(fqdn, '.');
    return dot ? dot + 1 : fqdn;
}

static bool kdc_is_dead(struct prober *b, const char *fqdn)
{
    bool dead = false;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->n_dead && !dead; i++)
        dead = str_ieq(b->dead[i], domain_of(fqdn));
    pthread_mutex_unlock(&b->lock);
    return dead;
}

static void kdc_died(struct prober *b, const char *fqdn)
{
    if (kdc_is_dead(b, fqdn))
        return;
    pthread_mutex_lock(&b->lock);
    if (b->n_dead < PROBE_DEAD_MAX)
        str_copy(b->dead[b->n_dead++], PROBE_NAME_MAX, domain_of(fqdn));
    pthread_mutex_unlock(&b->lock);
}

void step_ticket(struct target *t, bool *have_ticket)
{
    struct prober *b = t->prober;
    struct stop share;
    char spn[PROBE_NAME_MAX + 8];
    *have_ticket = false;
    str_fmt(spn, sizeof spn, "HTTP/%s", t->fqdn);
    struct observation *o =
        target_note(t, OBSERVATION_TICKET, EVIDENCE_KERBEROS, "ticket", PROTOCOL_UNKNOWN, spn, t->fqdn);
    if (!o)
        return;
    if (!b->req.login) {
        target_say(t, o, OUTCOME_SKIPPED,
                   "no Kerberos login: run kinit, or set krb5_principal and krb5_keytab");
        return;
    }
    if (kdc_is_dead(b, t->fqdn)) {
        target_say(t, o, OUTCOME_ERROR, "no KDC answered for another server; not asked again");
        return;
    }
    struct asked_ticket *k = calloc(1, sizeof *k);
    if (!k)
        return;
    k->login = krb_login_ref(b->req.login);
    str_copy(k->spn, sizeof k->spn, spn);
    int64_t from = clock_mono_ms();
    target_share(t, false, &share);
    enum err e = late_run(get_ticket, ticket_free, k, &share);
    o->elapsed_ms = (int)(clock_mono_ms() - from);
    if (e == ERR_TIMEOUT || e == ERR_INTERRUPTED) { /* k is the late call's now */
        target_say(t, o, OUTCOME_ERROR, "no answer from the KDC within %d.%d s", o->elapsed_ms / 1000,
                   o->elapsed_ms / 100 % 10);
        if (e == ERR_TIMEOUT && o->elapsed_ms >= KDC_PATIENCE_MS)
            kdc_died(b, t->fqdn);
        return;
    }
    if (e) {
        target_say(t, o, OUTCOME_ERROR, "the KDC cannot be asked: too many requests to it hang already");
    } else {
        judge_ticket(t, o, k);
        *have_ticket = k->err == ERR_OK;
        if (k->err == ERR_UNREACHABLE)
            kdc_died(b, t->fqdn);
    }
    ticket_free(k);
}

static void judge_logon(struct target *t, struct observation *o, const struct http_answer *a, enum protocol p)
{
    struct buf words;
    int status = a->status;
    buf_init(&words, 1024);
    if (status == 401) {
        (void)challenge_words(&words, &a->challenge);
        target_say(t, o, OUTCOME_FAILED, "401: the Kerberos ticket is refused, the server offers %s",
                   buf_str(&words));
    } else if (status >= 200 && status < 300) {
        bool echo = p == PROTOCOL_OA && a->body_len >= 20 && a->body[0] == 5 &&
                    a->body[2] == 0x14; /* MS-RPCH 2.2.4.48 */
        target_say(t, o, OUTCOME_OK, "%d with a Kerberos ticket%s", status,
                   echo ? ", the RPC proxy echoes" : "");
    } else {
        const char *more = status_words(status, p);
        target_say(t, o, status == 302 && is_form_based(p) ? OUTCOME_OK : OUTCOME_FAILED,
                   "%d with a Kerberos ticket%s%s", status, more ? ": " : "", more ? more : "");
    }
    buf_fini(&words);
}

/* The chain of the certificate is not insisted on: neither does the new CAS when it proxies, and a service ticket shown to the wrong
   server is of no use to it beyond what the channel binding of this very certificate lets it relay. */
void step_logon(struct target *t, enum protocol p)
{
    char url[PROBE_NAME_MAX + 64];
    struct errinfo ei = {0};
    struct http_answer a = {0};
    struct buf token, header;
    url_of(t, p, url, sizeof url);
    struct observation *o =
        target_note(t, OBSERVATION_LOGON, EVIDENCE_WIRE, "logon-negotiate", p, url, t->fqdn);
    if (!o)
        return;
    o->u.logon.method = arena_str(&t->e->arena, "negotiate");
    o->u.logon.user = arena_str(&t->e->arena, krb_login_name(t->prober->req.login));
    if (!t->reached) {
        target_say(t, o, OUTCOME_ERROR, "%s", t->unreached);
        return;
    }
    buf_init(&token, (size_t)128 * 1024);
    buf_init(&header, (size_t)192 * 1024);
    /* the ticket was fetched a moment ago: this needs no KDC */
    enum err e = spnego_token(t->prober->req.login, "HTTP", t->fqdn, t->binding_len ? t->binding : NULL,
                              t->binding_len, &token, &ei);
    if (!e)
        e = buf_adds(&header, "Negotiate ");
    if (!e)
        e = base64_encode(&header, token.data, token.len);
    if (!e) {
        struct http_request req = request_for(p);
        req.authorization = buf_str(&header);
        e = ask(t, &req, true, &a, &ei);
    }
    o->elapsed_ms = a.elapsed_ms;
    o->u.logon.status = a.status;
    if (e)
        target_say(t, o, OUTCOME_ERROR, "%s", *ei.what ? ei.what : err_text(e));
    else
        judge_logon(t, o, &a, p);
    if (header.data)
        explicit_bzero(header.data, header.len);
    buf_fini(&token);
    buf_fini(&header);
}
