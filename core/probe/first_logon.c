#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/late.h"
#include "core/probe/probe_int.h"

#include <stdlib.h>
#include <string.h>

/* A login that may outlive the probe. */
struct first_logon {
    char user[PROBE_NAME_MAX];
    struct secret password;
    struct krb_login *login;
    enum err err;
    struct errinfo ei;
};

static void log_on(void *arg)
{
    struct first_logon *f = arg;
    f->err = krb_login_password(&f->login, f->user, &f->password, &f->ei);
}

static void first_logon_free(void *arg)
{
    struct first_logon *f = arg;
    secret_fini(&f->password);
    krb_login_free(&f->login);
    free(f);
}

/* Once for a run, of no server. */
static void record(struct evidence *e, const char *user, enum outcome outcome, const char *detail, int ms)
{
    char shown[400];
    struct observation *o = evidence_add(e, OBSERVATION_LOGON, EVIDENCE_KERBEROS);
    if (!o)
        return;
    o->step = "login";
    o->subject = arena_str(&e->arena, user);
    o->u.logon.method = "password";
    o->u.logon.user = o->subject;
    str_show_fixed(shown, sizeof shown, detail, strlen(detail));
    o->detail = arena_str(&e->arena, shown);
    o->outcome = outcome;
    o->elapsed_ms = ms;
}

/* RFC 4120: account disabled, expired or locked (18), expired password (23), wrong password (24). */
static bool kdc_refuses_for_good(int code)
{
    return code == 18 || code == 23 || code == 24;
}

/* The KDC is the cheapest judge of a password: one that it refuses is not shown to a single server, where each try would count. */
void prober_logon(struct prober *b, const struct stop *stop, struct evidence *e)
{
    const struct probe_user *u = &b->req.user;
    struct stop share;
    if (!u->name || !u->password || !secret_is_set(u->password))
        return;
    if (!b->budget || !logon_budget_take(b->budget, u->name)) {
        str_fmt(b->no_password, sizeof b->no_password,
                "not tried: the domain locks an account after %lld failed logons",
                (long long)(b->org ? b->org->lockout_threshold : -1));
        str_copy(b->no_user_login, sizeof b->no_user_login, b->no_password);
        return;
    }
    struct first_logon *f = calloc(1, sizeof *f);
    if (!f || !str_copy(f->user, sizeof f->user, u->name) ||
        secret_set(&f->password, u->password->bytes, u->password->len)) {
        str_copy(b->no_user_login, sizeof b->no_user_login, "no memory for a login");
        if (f)
            first_logon_free(f);
        return;
    }
    stop_init(&share, b->req.timeout_ms / 2, (struct stop *)stop);
    int64_t from = clock_mono_ms();
    enum err late = late_run(log_on, first_logon_free, f, &share);
    int took = (int)(clock_mono_ms() - from);
    if (late) { /* the attempt stays counted: nobody knows what became of it */
        str_copy(b->no_user_login, sizeof b->no_user_login, "no answer from the KDC in time");
        if (late != ERR_TIMEOUT && late != ERR_INTERRUPTED)
            first_logon_free(f);
        record(e, u->name, OUTCOME_ERROR, b->no_user_login, took);
        return;
    }
    if (f->err == ERR_OK) {
        b->user_login = f->login;
        f->login = NULL;
        b->password_good = true; /* no thread but this one yet */
        record(e, u->name, OUTCOME_OK, "the KDC takes the password", took);
    } else {
        str_copy(b->no_user_login, sizeof b->no_user_login, f->ei.what);
        record(e, u->name, f->err == ERR_AUTH ? OUTCOME_FAILED : OUTCOME_ERROR, f->ei.what, took);
    }
    if (f->err == ERR_AUTH && kdc_refuses_for_good(f->ei.sys))
        str_fmt(b->no_password, sizeof b->no_password,
                "the KDC was asked first; the password is shown to no server: %s", f->ei.what);
    if (f->err != ERR_AUTH)
        logon_budget_succeeded(b->budget, u->name);
    first_logon_free(f);
}
