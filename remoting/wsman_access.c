#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "remoting/wsman_int.h"

#define RENEW_S 300 /* a ticket that ends sooner is renewed first */
#define TURN_MS 200 /* how soon an interruption is noticed */

static const char *const auth_names[] = {"negotiate", "kerberos", "ntlm", "basic", "none"};

static void identity_free(struct wsman_identity *id)
{
    if (!id)
        return;
    secret_fini(&id->password);
    krb_login_free(&id->login);
    (void)pthread_mutex_destroy(&id->lock);
    (void)pthread_cond_destroy(&id->told);
    free(id);
}

void wsman_access_free(struct wsman_access **access)
{
    struct wsman_access *a = *access;
    *access = NULL;
    if (!a)
        return;
    for (size_t i = 0; i < a->n; i++)
        identity_free(a->identities[i]);
    free(a->identities);
    free(a);
}

static enum err read_identity(struct wsman_identity *id, const struct profile *p, const char *server,
                              struct errinfo *ei)
{
    const char *auth = profile_get(p, PROFILE_winrm_auth, server);
    const char *ref = profile_get(p, PROFILE_winrm_password, server);
    char prompt[300];
    pthread_condattr_t monotonic;
    (void)pthread_mutex_init(&id->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&id->told, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    id->server = server;
    id->user = profile_get(p, PROFILE_winrm_user, server);
    for (size_t i = 0; auth && i < ARRAY_LEN(auth_names); i++)
        if (str_ieq(auth, auth_names[i]))
            id->auth = (enum wsman_auth)i;
    str_fmt(prompt, sizeof prompt, "WinRM password%s%s%s%s: ", id->user ? " of " : "",
            id->user ? id->user : "", server ? " for " : "", server ? server : "");
    bool wanted = ref && id->auth != WSMAN_AUTH_NONE;
    enum err e = wanted ? secret_resolve(&id->password, ref, prompt, ei) : ERR_OK;
    if (e) {
        err_wrap(ei, "winrm_password");
        return e;
    }
    bool by_password = id->auth == WSMAN_AUTH_NTLM || id->auth == WSMAN_AUTH_BASIC;
    bool has_password = secret_is_set(&id->password) && id->password.len > 0;
    if (by_password && (!id->user || !has_password))
        return err_set(ei, ERR_CONFIG, "set them, or winrm_auth = kerberos with a ticket",
                       "winrm_auth = %s wants winrm_user and winrm_password", auth_names[id->auth]);
    if (has_password && !id->user && id->auth != WSMAN_AUTH_NONE)
        return err_set(ei, ERR_CONFIG, "write user@REALM or DOMAIN\\user",
                       "winrm_password has no winrm_user");
    if (id->user && !has_password && id->auth != WSMAN_AUTH_NONE)
        return err_set(ei, ERR_CONFIG, "leave winrm_user out to use the ticket (klist)",
                       "winrm_user has no winrm_password");
    return ERR_OK;
}

static bool has_own(const struct profile_server *s)
{
    return s->values[PROFILE_winrm_user] || s->values[PROFILE_winrm_password] ||
           s->values[PROFILE_winrm_auth];
}

static enum err add_identity(struct wsman_access *a, const char *server, struct errinfo *ei)
{
    struct wsman_identity *id = calloc(1, sizeof *id);
    if (!id)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the WinRM settings");
    enum err e = read_identity(id, a->profile, server, ei);
    if (e)
        identity_free(id);
    else
        a->identities[a->n++] = id;
    return e;
}

enum err wsman_access_new(struct wsman_access **out, const struct profile *p, struct errinfo *ei)
{
    struct wsman_access *a = calloc(1, sizeof *a);
    if (a)
        a->identities = calloc(p->servers.n + 1, sizeof *a->identities);
    if (!a || !a->identities) {
        free(a);
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the WinRM settings");
    }
    a->profile = p;
    a->redirect = profile_flag(p, PROFILE_winrm_redirect, false);
    enum err e = add_identity(a, NULL, ei);
    for (size_t i = 0; !e && i < p->servers.n; i++)
        if (has_own(&p->servers.v[i]))
            e = add_identity(a, p->servers.v[i].name, ei);
    if (e)
        wsman_access_free(&a);
    else
        *out = a;
    return e;
}

struct wsman_identity *wsman_identity_find(struct wsman_access *a, const char *server)
{
    for (size_t i = 1; i < a->n; i++)
        if (str_ieq(a->identities[i]->server, server))
            return a->identities[i];
    return a->identities[0];
}

/* lock is held */
static enum err log_in(struct wsman_identity *id, struct errinfo *ei)
{
    struct errinfo why = {0};
    if (!id->user)
        return krb_login_default(&id->login, ei);
    enum err e = krb_login_password(&id->login, id->user, &id->password, &why);
    /* As Windows does: where no KDC can be asked, NTLM. A KDC that said no has said no. */
    if (e && id->auth == WSMAN_AUTH_NEGOTIATE && (e != ERR_AUTH || why.sys == 0)) {
        log_line(LOG_LEVEL_INFO, "%s: no Kerberos (%s), so NTLM", id->user, why.what);
        id->no_kerberos = true;
        return ERR_OK;
    }
    if (e && ei)
        *ei = why;
    return e;
}

/* A login by password is made anew where one by ticket or keytab is refreshed; the old one is used to its end. lock is held. */
static enum err log_in_again(struct wsman_identity *id, struct errinfo *ei)
{
    struct krb_login *old = id->login;
    int64_t left = krb_login_end(old) - clock_unix();
    if (left > RENEW_S)
        return ERR_OK;
    id->login = NULL;
    enum err e = log_in(id, ei);
    if (left > 0 && !id->login) {
        id->login = old;
        id->no_kerberos = false;
        return ERR_OK;
    }
    krb_login_free(&old);
    return e;
}

enum err wsman_identity_login(struct wsman_identity *id, struct krb_login **out, struct errinfo *ei)
{
    enum err e = ERR_OK;
    *out = NULL;
    if (id->auth == WSMAN_AUTH_NTLM)
        return ERR_OK;
    (void)pthread_mutex_lock(&id->lock);
    if (id->rejected && !id->login)
        e = err_set(ei, ERR_AUTH, "correct it first: failed logins count towards a lock-out",
                    "%s: the password was refused a moment ago", id->user ? id->user : "the ticket");
    else if (!id->login && !id->no_kerberos)
        e = log_in(id, ei);
    else if (id->login)
        e = id->user ? log_in_again(id, ei) : krb_login_refresh(id->login, RENEW_S, ei);
    if (e && !id->login && id->user)
        id->rejected = id->rejected || e == ERR_AUTH;
    if (!e && id->login)
        *out = krb_login_ref(id->login);
    (void)pthread_mutex_unlock(&id->lock);
    return e;
}

/* lock is held */
static enum err may_try(const struct wsman_identity *id, struct errinfo *ei)
{
    return id->rejected && !id->accepted
               ? err_set(ei, ERR_AUTH, "correct it first: failed logins count towards a lock-out",
                         "%s: not tried, another server has just refused the password", id->user)
               : ERR_OK;
}

enum err wsman_identity_may_try(struct wsman_identity *id, struct errinfo *ei)
{
    (void)pthread_mutex_lock(&id->lock);
    enum err e = may_try(id, ei);
    (void)pthread_mutex_unlock(&id->lock);
    return e;
}

enum err wsman_trial_begin(struct wsman *w, const struct stop *stop, struct errinfo *ei)
{
    struct wsman_identity *id = w->identity;
    enum err e = ERR_OK;
    if (w->on_trial)
        return ERR_OK;
    (void)pthread_mutex_lock(&id->lock);
    while (id->on_trial && !(e = stop_check(stop, ei, "waiting for another server's word on the password"))) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TURN_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&id->told, &id->lock, &until);
    }
    if (!e)
        e = may_try(id, ei);
    if (!e && !id->accepted)
        w->on_trial = id->on_trial = true;
    (void)pthread_mutex_unlock(&id->lock);
    return e;
}

void wsman_trial_end(struct wsman *w, enum wsman_verdict verdict)
{
    struct wsman_identity *id = w->identity;
    if (!w->on_trial && verdict == WSMAN_UNTOLD)
        return;
    (void)pthread_mutex_lock(&id->lock);
    id->accepted = id->accepted || verdict == WSMAN_ACCEPTED;
    id->rejected = id->rejected || verdict == WSMAN_REJECTED;
    if (w->on_trial) {
        w->on_trial = id->on_trial = false;
        (void)pthread_cond_broadcast(&id->told);
    }
    (void)pthread_mutex_unlock(&id->lock);
}
