#include "core/base/str.h"
#include "core/probe/probe_int.h"

#include <string.h>
#include <unistd.h>

static const char no_user[] = "no test user: name one with --user";
static const char no_password[] = "the test user's password was not given: --password ask";

static const char no_ticket[] = "no Kerberos login: run kinit, or give a test user and the password";

static bool has_password(const struct probe_user *u)
{
    return u->name && u->password && secret_is_set(u->password);
}

struct krb_login *target_login(const struct target *t)
{
    const struct prober *b = t->prober;
    return b->user_login || has_password(&b->req.user) ? b->user_login : b->req.login;
}

const char *target_user(const struct target *t, enum logon_method m, const char **why)
{
    const struct prober *b = t->prober;
    *why = NULL;
    if (m == LOGON_KERBEROS) {
        struct krb_login *login = target_login(t);
        if (!login)
            *why = *b->no_user_login ? b->no_user_login : no_ticket;
        return login ? krb_login_name(login) : NULL;
    }
    if (!b->req.user.name)
        *why = no_user;
    else if (!has_password(&b->req.user))
        *why = no_password;
    else if (*b->no_password)
        *why = b->no_password;
    return *why ? NULL : b->req.user.name;
}

enum logon_method target_method(const struct target *t, enum protocol p)
{
    static const enum logon_method order[] = {LOGON_KERBEROS, LOGON_NTLM, LOGON_NEGOTIATE_NTLM, LOGON_BASIC};
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        if (t->worked[p] & (1u << order[i]))
            return order[i];
    return LOGON_NONE;
}

/* A session to where the request goes; *fd, when not -1, is used up. */
static enum err session_to(struct target *t, const struct probe_place *place, int *fd,
                           const struct stop *stop, struct http_session **out, struct errinfo *ei)
{
    char addr[64];
    enum err e = ERR_OK;
    if (!place) {
        if (!t->reached)
            return err_set(ei, ERR_UNREACHABLE, NULL, "%s", t->unreached);
        reach_address(&t->reach, t->which, addr, sizeof addr);
        e = http_session_new(out, t->fqdn, addr, t->reach.port, false, *fd, ei);
        if (!e)
            *fd = -1;
        return e;
    }
    struct reach reach;
    struct buf unused;
    size_t which = 0;
    int s = -1;
    buf_init(&unused, 4096);
    e = reach_resolve(&t->prober->profile->hosts, place->host, place->port, stop, &reach, &unused, ei);
    if (!e)
        e = reach_connect(&reach, stop, &s, &which, &unused, ei);
    if (!e) {
        reach_address(&reach, which, addr, sizeof addr);
        e = http_session_new(out, place->host, addr, reach.port, place->plain, s, ei);
        if (e)
            close(s);
    }
    buf_fini(&unused);
    return e;
}

enum err target_ask(struct target *t, const struct probe_place *place, const struct http_request *req,
                    const struct stop *stop, struct http_answer *out, struct errinfo *ei)
{
    struct http_session *own = NULL, **s = place ? &own : &t->http;
    int none = -1;
    enum err e = ERR_OK;
    *out = (struct http_answer){0};
    if (!*s)
        e = session_to(t, place, place ? &none : &t->fd, stop, s, ei);
    if (!e)
        e = http_ask(*s, req, stop, out, ei);
    http_session_free(&own);
    return e;
}

/* header NULL: anonymous. Until the last token the body stays here, as clients do it. */
static enum err ask_with(struct http_session *http, const struct http_request *wanted,
                         const struct buf *header, bool whole, const struct stop *stop,
                         struct http_answer *out, struct errinfo *ei)
{
    struct http_request req = *wanted;
    req.authorization = header ? buf_str(header) : NULL;
    if (!whole) {
        req.body = NULL;
        req.body_len = 0;
        req.empty_body = wanted->body || wanted->empty_body;
        req.keep = 0;
    }
    return http_ask(http, &req, stop, out, ei);
}

/* The token that the server answered with, after "NTLM " or "Negotiate ". */
static bool server_token(const struct http_answer *a, const char *scheme, struct buf *out)
{
    char value[16384];
    for (unsigned i = 0; http_answer_header(a, "WWW-Authenticate", i, value, sizeof value); i++)
        if (logon_token(value, strlen(value), scheme, out))
            return true;
    return false;
}

enum err target_ask_as(struct target *t, enum logon_method m, const struct probe_place *place,
                       const struct http_request *req, const struct stop *stop, struct http_answer *out,
                       struct errinfo *ei)
{
    struct http_session *http = NULL;
    struct logon l = {0};
    struct buf header, token;
    unsigned char binding[CERTIFICATE_BINDING_MAX];
    bool final = false;
    int none = -1;
    *out = (struct http_answer){0};
    buf_init(&header, LOGON_HEADER_MAX);
    buf_init(&token, LOGON_TOKEN_MAX);
    enum err e = logon_open(&l, t, m, place ? place->host : t->fqdn, stop, ei);
    if (!e && place && place->plain)
        e = err_set(ei, ERR_REFUSED, NULL, "%s: no credentials are sent without TLS", place->host);
    if (!e && place && place->binding_len == 0)
        e = err_set(ei, ERR_REFUSED, NULL, "%s: its certificate is not known, so no credentials are sent",
                    place->host);
    if (!e)
        e = session_to(t, place, &none, stop, &http, ei);
    if (!e && (place || m == LOGON_BASIC))
        http_session_pin(http, place ? place->binding : t->binding,
                         place ? place->binding_len : t->binding_len);
    if (!e && m == LOGON_KERBEROS && (place || t->binding_len == 0)) {
        /* which certificate is there must be known before the only token */
        e = ask_with(http, req, NULL, false, stop, out, ei);
        http_answer_fini(out);
    }
    /* NTLM has three messages, SPNEGO may wrap one more around them */
    for (int leg = 0; !e && leg < LOGON_LEGS_MAX; leg++) {
        size_t n = http_session_binding(http, binding);
        if (n == 0 && !place) {
            n = t->binding_len;
            memcpy(binding, t->binding, n);
        }
        if ((e = logon_next(&l, leg ? &token : NULL, binding, n, &header, &final, ei)) || header.len == 0)
            break;
        http_answer_fini(out);
        e = ask_with(http, req, &header, final, stop, out, ei);
        if (!e && leg && out->connections > 0)
            e = err_set(ei, ERR_PROTOCOL, "does a device between share or cut connections?",
                        "the connection was closed between two messages of the logon");
        if (e || out->status != 401 || !server_token(out, logon_scheme(m), &token))
            break;
    }
    logon_close(&l, out->status);
    http_session_free(&http);
    if (header.data)
        explicit_bzero(header.data, header.len);
    buf_fini(&header);
    buf_fini(&token);
    return e;
}
