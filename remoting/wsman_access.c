#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "remoting/wsman_int.h"

#define TURN_MS   200   /* how soon an interruption is noticed */
#define SILENT_MS 30000 /* a KDC that did not answer is not asked again for so long */

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
    str_fmt(prompt, sizeof prompt, "WinRM password%s%s%s%s", id->user ? " of " : "", id->user ? id->user : "",
            server ? " for " : "", server ? server : "");
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

/* Waits until nobody else asks a KDC or offers the password. lock is held, and given up meanwhile. */
static enum err await_turn(struct wsman_identity *id, const struct stop *stop, struct errinfo *ei)
{
    enum err e = ERR_OK;
    while (id->busy && !(e = stop_check(stop, ei, "waiting for another login of the same user"))) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TURN_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&id->told, &id->lock, &until);
    }
    return e;
}

static void end_turn(struct wsman_identity *id)
{
    id->busy = false;
    (void)pthread_cond_broadcast(&id->told);
}

/* A KDC that was silent is not asked again at once: each of many servers would wait as long for it as the first. The turn is ours and
   lock is held, but for the asking. *out NULL: use NTLM. */
static enum err log_in(struct wsman_identity *id, struct krb_login **out, const struct stop *stop,
                       struct errinfo *ei)
{
    struct errinfo why = id->silent;
    enum err e = why.code;
    if (clock_mono_ms() >= id->silent_until) {
        (void)pthread_mutex_unlock(&id->lock);
        e = wsman_kdc_login(out, NULL, id->user, &id->password, stop, &why);
        (void)pthread_mutex_lock(&id->lock);
    }
    if (e == ERR_UNREACHABLE && clock_mono_ms() >= id->silent_until) {
        id->silent = why;
        id->silent_until = clock_mono_ms() + SILENT_MS;
    }
    /* As Windows does: where no KDC can be asked, NTLM. A KDC that said no has said no. */
    bool no_kdc = e && e != ERR_TIMEOUT && e != ERR_INTERRUPTED && (e != ERR_AUTH || why.sys == 0);
    if (no_kdc && id->user && id->auth == WSMAN_AUTH_NEGOTIATE) {
        log_line(LOG_LEVEL_INFO, "%s: no Kerberos (%s), so NTLM", id->user, why.what);
        id->no_kerberos = true;
        return ERR_OK;
    }
    if (e && ei)
        *ei = why;
    return e;
}

/* A login by password is made anew where one by ticket or keytab is refreshed; what there is serves to its end. As log_in(). */
static enum err renew(struct wsman_identity *id, const struct stop *stop, struct errinfo *ei)
{
    struct krb_login *old = id->login, *made = NULL;
    struct errinfo why = {0};
    enum err e;
    if (krb_login_end(old) - clock_unix() > WSMAN_RENEW_S)
        return ERR_OK;
    if (id->user) {
        e = log_in(id, &made, stop, &why);
    } else {
        (void)pthread_mutex_unlock(&id->lock);
        e = wsman_kdc_login(NULL, old, NULL, NULL, stop, &why);
        (void)pthread_mutex_lock(&id->lock);
    }
    if (!made && krb_login_end(old) > clock_unix()) {
        id->no_kerberos = false;
        return ERR_OK;
    }
    if (id->user) {
        id->login = made;
        krb_login_free(&old);
    }
    if (e && ei)
        *ei = why;
    return e;
}

enum err wsman_identity_login(struct wsman_identity *id, const struct stop *stop, struct krb_login **out,
                              struct errinfo *ei)
{
    *out = NULL;
    if (id->auth == WSMAN_AUTH_NTLM)
        return ERR_OK;
    (void)pthread_mutex_lock(&id->lock);
    enum err e = await_turn(id, stop, ei);
    if (e)
        goto out;
    id->busy = true;
    if (id->rejected && !id->login)
        e = err_set(ei, ERR_AUTH, "correct it first: failed logins count towards a lock-out",
                    "%s: the password was refused a moment ago", id->user ? id->user : "the ticket");
    else if (id->login)
        e = renew(id, stop, ei);
    else if (!id->no_kerberos)
        e = log_in(id, &id->login, stop, ei);
    if (e && !id->login && id->user)
        id->rejected = id->rejected || e == ERR_AUTH;
    if (!e && id->login)
        *out = krb_login_ref(id->login);
    end_turn(id);
out:
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
    if (w->on_trial)
        return ERR_OK;
    (void)pthread_mutex_lock(&id->lock);
    enum err e = await_turn(id, stop, ei);
    e = e ? e : may_try(id, ei);
    if (!e && !id->accepted)
        w->on_trial = id->busy = true;
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
    if (w->on_trial)
        end_turn(id);
    w->on_trial = false;
    (void)pthread_mutex_unlock(&id->lock);
}
