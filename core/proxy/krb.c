/*
 * Kerberos towards the servers: a ticket is fetched by a job before it is needed, the token is then made in the engine thread in
 * 40 microseconds, once a connection and in its first request, so that no 401 round trip is paid (proxy-engine.md 8).
 */
#include "core/proxy/auth_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define REFRESH_S 600

/* Who the engine is towards the server for this request. */
static struct ident *upstream_ident(const struct conn *c)
{
    const struct auth_state *a = c->e->p->auth;
    return a->mode == PROXY_AUTH_KEYTAB ? a->engine : c->ident;
}

struct ticket_job {
    struct pjob base;
    struct ident *ident;
    char host[256];
    enum err r;
    struct errinfo ei;
};

static void ticket_run(struct pjob *j)
{
    struct ticket_job *tj = (struct ticket_job *)j;
    struct krb_ticket t;
    char spn[270];
    (void)str_fmt(spn, sizeof spn, "HTTP/%s", tj->host);
    int64_t end = krb_login_end(tj->ident->login);
    tj->r = krb_login_refresh(tj->ident->login, REFRESH_S, &tj->ei);
    if (krb_login_end(tj->ident->login) != end)
        ident_forget_tickets(tj->ident); /* they stayed behind in the old cache */
    if (tj->r == ERR_OK)
        tj->r = krb_ticket_get(tj->ident->login, spn, &t, &tj->ei);
    if (tj->r == ERR_OK)
        ident_add_ticket(tj->ident, tj->host, t.end_time);
}

static void ticket_done(struct pjob *j)
{
    struct ticket_job *tj = (struct ticket_job *)j;
    struct conn *c = j->c;
    if (c != NULL) {
        if (tj->r == ERR_OK) {
            c->ticket = c->target;
            row_event(c, PROXY_EVENT_AUTH, "ticket for HTTP/%.70s", tj->host);
            request_routed(c);
        } else {
            answer_status(c, 500, "kerberos-ticket", tj->ei.what);
        }
        conn_run(c);
    }
    ident_unref(&tj->ident);
    free(tj);
}

bool krb_prepare(struct conn *c)
{
    struct engine *e = c->e;
    if (e->p->cfg.auth == PROXY_AUTH_PASS || (c->ticket != NULL && c->ticket == c->target))
        return true;
    struct ident *i = upstream_ident(c);
    if (i == NULL || i->login == NULL) {
        answer_status(c, 500, "kerberos-ticket", "there is no Kerberos login to go on with");
        return false;
    }
    if (ident_has_ticket(i, c->target->host, engine_unix_ms(e) / 1000)) {
        c->ticket = c->target;
        return true;
    }
    struct ticket_job *tj = calloc(1, sizeof *tj);
    if (tj != NULL) {
        tj->base.run = ticket_run;
        tj->base.done = ticket_done;
        tj->ident = ident_ref(i);
        (void)str_copy(tj->host, sizeof tj->host, c->target->host);
        row_state(c, PROXY_STATE_AUTH);
        if (pjob_start(e, c, &tj->base))
            return false;
        ident_unref(&tj->ident);
        free(tj);
    }
    answer_status(c, 503, "", "too many ticket requests wait");
    return false;
}

bool krb_token(struct conn *c, char **token)
{
    struct ident *i = upstream_ident(c);
    unsigned char binding[EVP_MAX_MD_SIZE];
    struct errinfo ei = {0};
    struct buf raw, b64;
    buf_init(&raw, 65536);
    buf_init(&b64, 96 * 1024);
    size_t n = tls_end_point_hash(c->up->ep.ssl, binding);
    enum err r = spnego_token(i->login, "HTTP", c->target->host, n > 0 ? binding : NULL, n, &raw, &ei);
    if (r == ERR_OK && (r = base64_encode(&b64, raw.data, raw.len)) == ERR_OK &&
        (*token = buf_take(&b64)) == NULL)
        r = err_set(&ei, ERR_NOMEM, NULL, "no memory for a token");
    buf_fini(&raw);
    buf_fini(&b64);
    if (r == ERR_OK)
        return true;
    answer_status(c, 500, "kerberos-ticket", ei.what);
    return false;
}

void krb_explain_401(struct conn *c, const struct http1_head *h, const char *raw)
{
    struct buf offers;
    auth_set set = 0;
    char text[256];
    for (size_t i = 0; i < h->n_fields; i++) {
        const struct http1_field *f = &h->fields[i];
        if (f->id != HTTP1_WWW_AUTHENTICATE)
            continue;
        size_t n = 0;
        while (n < f->value_len && raw[f->value + n] != ' ' && raw[f->value + n] != ',')
            n++;
        set |= auth_from_scheme(raw + f->value, n);
    }
    buf_init(&offers, 256);
    (void)auth_set_cmdlet(&offers, set);
    bool oa = policy_protocol(c->path_kind) == PROTOCOL_OA;
    if (set & (AUTH_NEGOTIATE | AUTH_KERBEROS)) {
        (void)str_fmt(text, sizeof text,
                      "%s offers Negotiate but refused the Kerberos ticket for HTTP/%s: another key for that "
                      "name there, the clock, or the user may not use it",
                      c->target->name, c->target->host);
        request_fail(c, "kerberos-ticket", text);
    } else {
        (void)str_fmt(text, sizeof text, "%s offers %s; the new CAS speaks only Negotiate (Kerberos)%s",
                      c->target->name,
                      set == 0            ? "no method"
                      : set == AUTH_BASIC ? "Basic only"
                                          : buf_str(&offers),
                      oa ? ": Outlook will prompt for ever" : "");
        request_fail(c, oa ? "oa-iis-auth" : "", text);
    }
    buf_fini(&offers);
}
