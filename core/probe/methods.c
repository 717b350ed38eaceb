#include "core/base/str.h"
#include "core/probe/probe_int.h"

#include <string.h>
#include <unistd.h>

#define TOKEN_MAX  ((size_t)128 * 1024)
#define HEADER_MAX ((size_t)192 * 1024)

static const char no_user[] = "no test user: name one with --user";
static const char no_password[] = "the test user's password was not given: --password ask";

static const char no_ticket[] = "no Kerberos login: run kinit, or give a test user and the password";

static const struct probe_user *user_of(const struct target *t)
{
    return &t->prober->req.user;
}

static bool has_password(const struct probe_user *u)
{
    return u->name && u->password && secret_is_set(u->password);
}

/* NULL: nobody's. */
static struct krb_login *login_of(const struct target *t)
{
    const struct prober *b = t->prober;
    return b->user_login || has_password(&b->req.user) ? b->user_login : b->req.login;
}

const char *target_user(const struct target *t, enum logon_method m, const char **why)
{
    const struct prober *b = t->prober;
    *why = NULL;
    if (m == LOGON_KERBEROS) {
        struct krb_login *login = login_of(t);
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

/* Everything of one logon. */
struct attempt {
    struct target *t;
    enum logon_method method;
    const struct probe_place *place;
    const struct http_request *req;
    const struct stop *stop;
    struct http_session *http;
    struct http_answer *out;
    struct errinfo *ei;
    const char *user;
};

static enum err ask_with(struct attempt *a, const char *scheme, const struct buf *token, bool whole)
{
    struct buf header;
    struct http_request req = *a->req;
    buf_init(&header, HEADER_MAX);
    buf_addf(&header, "%s ", scheme);
    enum err e = base64_encode(&header, token->data, token->len);
    if (!e) {
        req.authorization = buf_str(&header);
        if (!whole) { /* the body goes with the token that ends the exchange, as clients do it */
            req.body = NULL;
            req.body_len = 0;
            req.empty_body = a->req->body || a->req->empty_body;
            req.keep = 0;
        }
        e = http_ask(a->http, &req, a->stop, a->out, a->ei);
    }
    if (header.data)
        explicit_bzero(header.data, header.len);
    buf_fini(&header);
    return e;
}

/* What a failed attempt costs was taken before; anything but a 401 shows that none was counted. */
static enum err take_attempt(const struct attempt *a)
{
    struct logon_budget *budget = a->t->prober->budget;
    if (logon_budget_take(budget, a->user))
        return ERR_OK;
    return err_set(
        a->ei, ERR_REFUSED, NULL,
        "%s may not be tried again: the account locks after a few failed logons, and %lld of this run "
        "failed or are under way",
        a->user, (long long)logon_budget_size(budget));
}

static void return_attempt(const struct attempt *a)
{
    if (a->out->status && a->out->status != 401)
        logon_budget_succeeded(a->t->prober->budget, a->user);
}

static enum err by_basic(struct attempt *a)
{
    const struct secret *password = user_of(a->t)->password;
    struct buf text;
    buf_init(&text, 2 * SECRET_MAX);
    buf_addf(&text, "%s:", a->user);
    buf_add(&text, password->bytes, password->len);
    enum err e = text.failed;
    if (!e)
        e = take_attempt(a);
    if (!e) {
        e = ask_with(a, "Basic", &text, true);
        return_attempt(a);
    }
    if (text.data)
        explicit_bzero(text.data, text.len);
    buf_fini(&text);
    return e;
}

/* The token that the server answered with, after "NTLM " or "Negotiate ". */
static bool server_token(const struct http_answer *a, const char *scheme, struct buf *out)
{
    char value[16384];
    size_t n = strlen(scheme);
    for (unsigned i = 0; http_answer_header(a, "WWW-Authenticate", i, value, sizeof value); i++)
        if (str_incmp(value, scheme, n) == 0 && value[n] == ' ') {
            buf_reset(out);
            return base64_decode(out, value + n + 1, strlen(value + n + 1)) == ERR_OK && out->len > 0;
        }
    return false;
}

static enum err by_ntlm(struct attempt *a)
{
    const char *scheme = logon_scheme(a->method), *host = a->place ? a->place->host : a->t->fqdn;
    unsigned char binding[CERTIFICATE_BINDING_MAX];
    struct ntlm_exchange *x = NULL;
    struct buf in, token;
    bool done = false, taken = false;
    buf_init(&in, TOKEN_MAX);
    buf_init(&token, TOKEN_MAX);
    enum err e = ntlm_exchange_new(&x, a->method == LOGON_NEGOTIATE_NTLM, a->user, user_of(a->t)->password,
                                   "HTTP", host, a->ei);
    /* NTLM has three messages, SPNEGO may wrap one more around them */
    for (int leg = 0; !e && leg < 4; leg++) {
        size_t n = http_session_binding(a->http, binding);
        buf_reset(&token);
        e = ntlm_exchange_step(x, leg ? in.data : NULL, in.len, n ? binding : NULL, n, &token, &done, a->ei);
        if (e || (leg && token.len == 0))
            break;
        if (leg == 1) {
            if ((e = take_attempt(a)))
                break;
            taken = true;
        }
        http_answer_fini(a->out);
        e = ask_with(a, scheme, &token, leg > 0);
        if (!e && leg && a->out->connections > 0)
            e = err_set(a->ei, ERR_PROTOCOL, "does a device between share or cut connections?",
                        "NTLM: the connection was closed between two messages of the logon");
        if (e || a->out->status != 401 || !server_token(a->out, scheme, &in))
            break;
    }
    if (taken)
        return_attempt(a);
    ntlm_exchange_free(&x);
    buf_fini(&in);
    buf_fini(&token);
    return e;
}

/* The chain of the certificate is not insisted on: neither does the new CAS when it proxies, and a service ticket shown to the wrong
   server is of no use to it beyond what the channel binding of this very certificate lets it relay. */
static enum err by_kerberos(struct attempt *a)
{
    struct target *t = a->t;
    struct krb_login *login = login_of(t);
    const char *host = a->place ? a->place->host : t->fqdn;
    unsigned char other[CERTIFICATE_BINDING_MAX];
    const unsigned char *binding = t->binding;
    size_t n = t->binding_len;
    struct krb_ticket ticket;
    struct buf token;
    buf_init(&token, TOKEN_MAX);
    enum err e = ticket_fetch(t, login, host, a->stop, &ticket, a->ei);
    if (!e && (a->place || n == 0)) { /* which certificate is there must be known before the only token */
        struct http_request first = *a->req;
        first.authorization = NULL;
        first.body = NULL;
        first.body_len = 0;
        first.keep = 0;
        first.empty_body = a->req->body || a->req->empty_body;
        e = http_ask(a->http, &first, a->stop, a->out, a->ei);
        http_answer_fini(a->out);
        n = http_session_binding(a->http, other);
        binding = other;
    }
    if (!e)
        e = spnego_token(login, "HTTP", host, n ? binding : NULL, n, &token, a->ei);
    if (!e)
        e = ask_with(a, "Negotiate", &token, true);
    buf_fini(&token);
    return e;
}

enum err target_ask_as(struct target *t, enum logon_method m, const struct probe_place *place,
                       const struct http_request *req, const struct stop *stop, struct http_answer *out,
                       struct errinfo *ei)
{
    struct attempt a = {.t = t, .method = m, .place = place, .req = req, .stop = stop, .out = out, .ei = ei};
    const char *why;
    int none = -1;
    *out = (struct http_answer){0};
    if (!(a.user = target_user(t, m, &why)))
        return err_set(ei, ERR_REFUSED, NULL, "%s", why);
    if (place && place->plain)
        return err_set(ei, ERR_REFUSED, NULL, "%s: no credentials are sent without TLS", place->host);
    enum err e = session_to(t, place, &none, stop, &a.http, ei);
    if (e)
        return e;
    switch (m) {
    case LOGON_BASIC: e = by_basic(&a); break;
    case LOGON_NTLM:
    case LOGON_NEGOTIATE_NTLM: e = by_ntlm(&a); break;
    case LOGON_KERBEROS: e = by_kerberos(&a); break;
    case LOGON_COUNT: e = err_set(ei, ERR_INTERNAL, NULL, "no method to log on with"); break;
    }
    http_session_free(&a.http);
    return e;
}
