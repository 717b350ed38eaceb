#include "core/base/str.h"
#include "core/probe/probe_int.h"

#include <string.h>

enum err logon_open(struct logon *l, struct target *t, enum logon_method m, const char *host,
                    const struct stop *stop, struct errinfo *ei)
{
    const char *why;
    *l = (struct logon){.t = t, .method = m, .host = host};
    if (m >= LOGON_COUNT)
        return err_set(ei, ERR_INTERNAL, NULL, "no method to log on with");
    if (!(l->user = target_user(t, m, &why)))
        return err_set(ei, ERR_REFUSED, NULL, "%s", why);
    if (m == LOGON_BASIC && str_ieq(host, t->fqdn) && *t->untrusted)
        return err_set(ei, ERR_REFUSED, NULL, "%s", t->untrusted);
    if (m == LOGON_KERBEROS)
        return ticket_fetch(t, target_login(t), host, stop, &t->ticket, ei);
    if (m != LOGON_BASIC)
        return ntlm_exchange_new(&l->ntlm, m == LOGON_NEGOTIATE_NTLM, l->user, t->prober->req.user.password,
                                 "HTTP", host, ei);
    return ERR_OK;
}

/* What a failed attempt costs is taken before; the answer shows later whether it failed. */
static enum err take_attempt(struct logon *l, struct errinfo *ei)
{
    struct logon_budget *budget = l->t->prober->budget;
    if (!budget || !logon_budget_take(budget, l->user))
        return err_set(
            ei, ERR_REFUSED, NULL,
            "%s is not tried again: the domain locks an account after a few failed logons, and the %lld "
            "that may be risked were refused, got no clear answer, or are under way",
            l->user, (long long)(budget ? logon_budget_size(budget) : 0));
    l->taken = true;
    return ERR_OK;
}

static enum err basic(struct logon *l, struct buf *token, struct errinfo *ei)
{
    const struct secret *password = l->t->prober->req.user.password;
    buf_addf(token, "%s:", l->user);
    enum err e = buf_add(token, password->bytes, password->len);
    return e ? e : take_attempt(l, ei);
}

/* The chain of the certificate is not insisted on: neither does the new CAS when it proxies, and a service ticket shown to the wrong
   server is of no use to it beyond what the channel binding of this very certificate lets it relay. */
static enum err kerberos(struct logon *l, const unsigned char *binding, size_t n, struct buf *token,
                         struct errinfo *ei)
{
    return spnego_token(target_login(l->t), "HTTP", l->host, n ? binding : NULL, n, token, ei);
}

static enum err ntlm(struct logon *l, const struct buf *in, const unsigned char *binding, size_t n,
                     struct buf *token, struct errinfo *ei)
{
    bool done;
    enum err e = ntlm_exchange_step(l->ntlm, in ? in->data : NULL, in ? in->len : 0, n ? binding : NULL, n,
                                    token, &done, ei);
    return !e && token->len && l->leg == 1 ? take_attempt(l, ei) : e; /* the second token is the proof */
}

enum err logon_next(struct logon *l, const struct buf *in, const unsigned char *binding, size_t n,
                    struct buf *header, bool *final, struct errinfo *ei)
{
    struct buf token;
    enum err e = ERR_INTERNAL;
    buf_init(&token, LOGON_TOKEN_MAX);
    buf_reset(header);
    switch (l->method) {
    case LOGON_BASIC: e = l->leg ? ERR_OK : basic(l, &token, ei); break;
    case LOGON_KERBEROS: e = l->leg ? ERR_OK : kerberos(l, binding, n, &token, ei); break;
    case LOGON_NTLM:
    case LOGON_NEGOTIATE_NTLM: e = ntlm(l, in, binding, n, &token, ei); break;
    case LOGON_COUNT: break;
    }
    *final = l->leg > 0 || l->method == LOGON_BASIC || l->method == LOGON_KERBEROS;
    l->leg++;
    if (!e && token.len) {
        buf_addf(header, "%s ", logon_scheme(l->method));
        e = base64_encode(header, token.data, token.len);
    }
    if (token.data)
        explicit_bzero(token.data, token.len);
    buf_fini(&token);
    return e;
}

bool logon_token(const char *value, size_t len, const char *scheme, struct buf *out)
{
    size_t n = strlen(scheme);
    if (len <= n || value[n] != ' ' || str_incmp(value, scheme, n) != 0)
        return false;
    for (n++; n < len && value[n] == ' '; n++)
        ;
    buf_reset(out);
    return base64_decode(out, value + n, len - n) == ERR_OK && out->len > 0;
}

/* Only a page behind the logon, or the KDC, shows that the password is right: a device that logs on in the server's place may say a wrong
   one with its form (a redirect), 403 or 500. What such answers cost stays counted until something else shows it. */
static void settle(struct prober *b, const char *user, int status)
{
    pthread_mutex_lock(&b->lock);
    b->password_good |= status >= 200 && status < 300;
    b->unsettled++;
    for (; b->password_good && b->unsettled; b->unsettled--)
        logon_budget_succeeded(b->budget, user);
    pthread_mutex_unlock(&b->lock);
}

void logon_close(struct logon *l, int status)
{
    if (l->taken && status && status != 401)
        settle(l->t->prober, l->user, status);
    ntlm_exchange_free(&l->ntlm);
}
