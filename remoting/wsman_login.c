/*
 * Logging a connection in. What is posted here has no body: nothing is asked for before both sides know each other, and nothing is
 * lost when a leg fails.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/str.h"
#include "core/probe/certificate.h"
#include "remoting/fault.h"
#include "remoting/wsman_int.h"

#define LEGS_MAX      8
#define LOGIN_WAIT_MS 30000
#define SOAP_TYPE     "application/soap+xml;charset=UTF-8"

struct leg {
    struct wsman *w;
    enum conv_scheme scheme;
    struct krb_login *login; /* NULL: NTLM */
    const struct stop *stop;
    struct buf token; /* ours, raw */
    bool proved;      /* NTLM: what left last was made with the password */
};

static enum err basic(struct wsman *w, struct buf *out)
{
    struct buf pair;
    buf_init(&pair, 4096);
    (void)buf_addf(&pair, "%s:", w->identity->user);
    (void)buf_add(&pair, w->identity->password.bytes, w->identity->password.len);
    (void)buf_adds(out, "Basic ");
    enum err e = pair.failed ? pair.failed : base64_encode(out, pair.data, pair.len);
    if (pair.data)
        explicit_bzero(pair.data, pair.len);
    buf_fini(&pair);
    return e;
}

enum err wsman_authorize(void *arg, X509 *peer, struct buf *out, struct errinfo *ei)
{
    struct wsman *w = arg;
    (void)peer;
    if (w->identity->auth != WSMAN_AUTH_BASIC)
        return ERR_OK;
    return basic(w, out) ? err_set(ei, ERR_CONFIG, NULL, "winrm_user is too long") : ERR_OK;
}

/* The first token needs the certificate, so it is made when TLS stands. */
static enum err begin(struct leg *l, X509 *peer, struct errinfo *ei)
{
    struct wsman *w = l->w;
    unsigned char binding[CERTIFICATE_BINDING_MAX];
    size_t binding_len = 0;
    if (peer && !certificate_binding(peer, binding, &binding_len))
        return err_set(ei, ERR_TLS, NULL, "the server's certificate has no hash to bind the login to");
    struct conv_settings s = {
        .scheme = l->scheme,
        .login = l->login,
        .user = w->identity->user,
        .password = &w->identity->password,
        .spn = w->spn,
        .binding = peer ? binding : NULL,
        .binding_len = binding_len,
        .seal = !w->url.tls,
    };
    enum err e = conv_new(&w->conv, &s, ei);
    if (!e && l->login)
        return wsman_kdc_step(&w->conv, &l->token, l->stop, ei);
    return e ? e : conv_step(w->conv, NULL, 0, &l->token, ei);
}

static enum err authorize_leg(void *arg, X509 *peer, struct buf *out, struct errinfo *ei)
{
    struct leg *l = arg;
    enum err e = l->w->conv ? ERR_OK : begin(l, peer, ei);
    if (e)
        return e;
    (void)buf_addf(out, "%s ", conv_scheme_name(l->scheme));
    return base64_encode(out, buf_str(&l->token), l->token.len)
               ? err_set(ei, ERR_LIMIT, NULL, "a login token of %zu bytes", l->token.len)
               : ERR_OK;
}

/* "Negotiate oYG..." among the WWW-Authenticate lines; false: none with a token. */
static bool find_token(const struct wsman_answer *a, enum conv_scheme scheme, struct buf *out, bool *bad)
{
    const char *name = conv_scheme_name(scheme);
    size_t n = strlen(name);
    *bad = false;
    for (const char *s = buf_str(&a->authenticate); *s;) {
        size_t line = strcspn(s, "\n");
        if (line > n + 1 && str_incmp(s, name, n) == 0 && s[n] == ' ') {
            const char *token = s + n + strspn(s + n, " ");
            size_t len = strcspn(token, "\n, ");
            *bad = base64_decode(out, token, len) != ERR_OK;
            return len > 0;
        }
        s += line + (s[line] == '\n');
    }
    return false;
}

static enum err not_accepted(struct leg *l, bool tried, struct errinfo *ei)
{
    struct wsman *w = l->w;
    char offers[200] = "";
    struct buf words;
    buf_init(&words, 1024);
    if (challenge_words(&words, &w->answer.offered) == ERR_OK)
        str_copy(offers, sizeof offers, buf_str(&words));
    buf_fini(&words);
    const char *who = l->login ? krb_login_name(l->login) : w->identity->user;
    if (!tried)
        return err_set(ei, ERR_AUTH,
                       "enable it there (winrm get winrm/config/service/auth), or choose with winrm_auth",
                       "the server does not offer %s; it offers: %s", conv_scheme_name(l->scheme), offers);
    if (l->proved)
        wsman_trial_end(w, WSMAN_REJECTED);
    return err_set(
        ei, ERR_AUTH,
        l->login ? "is the user allowed to log on there, and the clock right? winrm_spn names another service"
        : l->proved ? "wrong password, or NTLM not allowed? It is not tried again: failed logins count"
                    : "is NTLM allowed there? The password was not asked for",
        "the server did not accept %s by %s%s", who, conv_scheme_name(l->scheme),
        l->login ? " (Kerberos)" : " (NTLM)");
}

/* What the answer to one leg means. *done: logged in. */
static enum err hear(struct leg *l, bool *done, struct errinfo *ei)
{
    struct wsman *w = l->w;
    struct buf theirs;
    bool bad = false;
    enum err e = ERR_OK;
    buf_init(&theirs, CONV_TOKEN_MAX);
    bool token = find_token(&w->answer, l->scheme, &theirs, &bad);
    buf_reset(&l->token);
    *done = false;
    if (bad)
        e = err_set(ei, ERR_PROTOCOL, NULL, "the server's login token cannot be read");
    else if (token && !conv_is_complete(w->conv))
        e = conv_step(w->conv, theirs.data, theirs.len, &l->token, ei);
    else if (w->answer.status == 401)
        e = not_accepted(l, true, ei);
    else if (!conv_is_complete(w->conv) &&
             w->answer.status >= 300) { /* nobody asked who we are: not there, or elsewhere */
        wsman_note_status(w);
        e = fault_http_words(w->answer.status, w->answer.location, "the server wants no login", ei);
    } else if (!conv_is_complete(w->conv))
        e = err_set(ei, ERR_AUTH, "a proxy between, or not a WinRM listener?",
                    "the server let us in without proving who it is (HTTP %d)", w->answer.status);
    if (e == ERR_AUTH && w->answer.status == 401 && l->proved) /* a no, wrapped in a token */
        wsman_trial_end(w, WSMAN_REJECTED);
    if (!e && conv_is_complete(w->conv) && l->token.len == 0) {
        if (w->answer.status == 401) /* its last word, for all that */
            e = not_accepted(l, true, ei);
        *done = !e;
    }
    buf_fini(&theirs);
    return e;
}

/* All legs with one scheme over one connection. *other: the server wants another scheme, and this one. */
static enum err converse(struct leg *l, const struct stop *stop, bool *other, enum conv_scheme *next,
                         struct errinfo *ei)
{
    struct wsman *w = l->w;
    bool done = false;
    *other = false;
    conv_free(&w->conv);
    buf_reset(&l->token);
    enum err e = wsman_http_connect(w->http, stop, ei);
    for (int leg = 0; !e && !done; leg++) {
        struct wsman_request req = {
            .content_type = SOAP_TYPE, .authorize = authorize_leg, .arg = l, .wait_ms = LOGIN_WAIT_MS};
        if (leg == LEGS_MAX)
            return err_set(ei, ERR_PROTOCOL, NULL, "the login does not come to an end");
        if (leg > 0 && !wsman_http_is_up(w->http))
            return err_set(ei, ERR_AUTH, "such a login lives on one connection: is a proxy between?",
                           "the server closed the connection in the middle of the login");
        /* NTLM's first token is the same whoever we are; with the second the password counts. */
        l->proved = !l->login && leg > 0;
        e = l->proved ? wsman_trial_begin(w, stop, ei) : ERR_OK;
        e = e ? e : wsman_http_post(w->http, &req, stop, &w->answer, ei);
        if (e)
            return e;
        auth_set offered = w->answer.offered.offered;
        if (leg == 0 && w->answer.status == 401 && l->scheme == CONV_SCHEME_NEGOTIATE &&
            !(offered & AUTH_NEGOTIATE)) {
            *other = (offered & (l->login ? AUTH_KERBEROS : AUTH_NTLM)) != 0;
            if (!*other)
                return not_accepted(l, false, ei);
            *next = l->login ? CONV_SCHEME_KERBEROS : CONV_SCHEME_NTLM;
            return ERR_OK;
        }
        e = hear(l, &done, ei);
    }
    if (!e && !wsman_http_is_up(w->http))
        e = err_set(ei, ERR_PROTOCOL, "such a login lives on one connection: is a proxy between?",
                    "the server closes the connection after the login");
    return e;
}

static enum err negotiate(struct wsman *w, const struct stop *stop, struct errinfo *ei)
{
    struct leg l = {.w = w, .scheme = CONV_SCHEME_NEGOTIATE, .stop = stop};
    bool other = false;
    buf_init(&l.token, CONV_TOKEN_MAX);
    enum err e = wsman_identity_login(w->identity, stop, &l.login, ei);
    if (!e && w->ntlm)
        krb_login_free(&l.login);
    if (!e && !l.login)
        e = wsman_identity_may_try(w->identity, ei);
    if (!e)
        e = converse(&l, stop, &other, &l.scheme, ei);
    if (!e && other)
        e = converse(&l, stop, &other, &l.scheme, ei);
    /* As Windows does: a server that Kerberos knows no service of is asked by NTLM. */
    bool unknown = e == ERR_AUTH && ei && ei->sys == 7 && l.login && !w->ntlm;
    if (unknown && w->identity->auth == WSMAN_AUTH_NEGOTIATE && w->identity->user) {
        log_line(LOG_LEVEL_INFO, "%s: no ticket for %s, so NTLM", w->peer, w->spn);
        w->ntlm = true;
        krb_login_free(&l.login);
        l.scheme = CONV_SCHEME_NEGOTIATE;
        e = wsman_identity_may_try(w->identity, ei);
        if (!e)
            e = converse(&l, stop, &other, &l.scheme, ei);
        if (!e && other)
            e = converse(&l, stop, &other, &l.scheme, ei);
    }
    if (!e && !l.login)
        wsman_trial_end(w, WSMAN_ACCEPTED);
    krb_login_free(&l.login);
    if (l.token.data)
        explicit_bzero(l.token.data, l.token.len);
    buf_fini(&l.token);
    return e;
}

enum err wsman_login(struct wsman *w, const struct stop *stop, struct errinfo *ei)
{
    struct errinfo why = {0};
    enum err e;
    conv_free(&w->conv);
    if (w->identity->auth == WSMAN_AUTH_NONE || w->identity->auth == WSMAN_AUTH_BASIC) {
        e = w->identity->auth == WSMAN_AUTH_BASIC ? wsman_identity_may_try(w->identity, &why) : ERR_OK;
        if (!e)
            e = wsman_http_connect(w->http, stop, &why);
    } else {
        e = negotiate(w, stop, &why);
    }
    if (e) {
        wsman_trial_end(w, WSMAN_UNTOLD);
        wsman_http_close(w->http);
        conv_free(&w->conv);
        if (ei)
            *ei = why;
        err_wrap(ei, "%s: logging in", w->peer);
    }
    return e;
}
