/*
 * Calls that may ask a KDC: libkrb5 knows no deadline and cannot be interrupted (25 s for a KDC that is silent, and more where there
 * are several). So each works on copies and owners of its own, and is left behind when it is late.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/probe/late.h"
#include "remoting/wsman_int.h"

static enum err not_in_time(enum err e, struct errinfo *ei)
{
    static const char hint[] = "is port 88 open to a domain controller? does krb5.conf (or DNS) name it?";
    if (e == ERR_INTERRUPTED)
        return err_set(ei, e, NULL, "waiting for the KDC: interrupted");
    if (e == ERR_TIMEOUT)
        return err_set(ei, e, hint, "no answer from the KDC in time");
    return err_set(ei, e, hint, "the KDC cannot be asked: too many requests to it hang already");
}

struct login_call {
    struct krb_login *login; /* one owner is ours; NULL: to be made */
    char *user;              /* NULL: the ticket's */
    struct secret password;
    enum err err;
    struct errinfo ei;
};

static void log_in(void *arg)
{
    struct login_call *c = arg;
    if (c->login)
        c->err = krb_login_refresh(c->login, WSMAN_RENEW_S, &c->ei);
    else if (c->user)
        c->err = krb_login_password(&c->login, c->user, &c->password, &c->ei);
    else
        c->err = krb_login_default(&c->login, &c->ei);
}

static void login_call_free(void *arg)
{
    struct login_call *c = arg;
    krb_login_free(&c->login);
    secret_fini(&c->password);
    free(c->user);
    free(c);
}

static struct login_call *login_call_new(struct krb_login *old, const char *user,
                                         const struct secret *password)
{
    struct login_call *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    if (old) {
        c->login = krb_login_ref(old);
    } else if (user && (!(c->user = strdup(user)) ||
                        secret_set(&c->password, password->bytes ? password->bytes : "", password->len))) {
        login_call_free(c);
        return NULL;
    }
    return c;
}

enum err wsman_kdc_login(struct krb_login **out, struct krb_login *old, const char *user,
                         const struct secret *password, const struct stop *stop, struct errinfo *ei)
{
    struct login_call *c = login_call_new(old, user, password);
    if (!c)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a Kerberos login");
    enum err e = late_run(log_in, login_call_free, c, stop);
    if (e == ERR_TIMEOUT || e == ERR_INTERRUPTED) /* c is the late call's now */
        return not_in_time(e, ei);
    if (e) {
        (void)not_in_time(e, ei);
    } else if ((e = c->err)) {
        if (ei)
            *ei = c->ei;
    } else if (!old) {
        *out = c->login;
        c->login = NULL;
    }
    login_call_free(c);
    return e;
}

struct step_call {
    struct conv *conv;
    struct buf token;
    enum err err;
    struct errinfo ei;
};

static void step(void *arg)
{
    struct step_call *c = arg;
    c->err = conv_step(c->conv, NULL, 0, &c->token, &c->ei);
}

static void step_call_free(void *arg)
{
    struct step_call *c = arg;
    conv_free(&c->conv);
    if (c->token.data)
        explicit_bzero(c->token.data, c->token.len);
    buf_fini(&c->token);
    free(c);
}

enum err wsman_kdc_step(struct conv **conv, struct buf *token, const struct stop *stop, struct errinfo *ei)
{
    struct step_call *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a login");
    buf_init(&c->token, CONV_TOKEN_MAX);
    c->conv = *conv;
    *conv = NULL;
    enum err e = late_run(step, step_call_free, c, stop);
    if (e == ERR_TIMEOUT || e == ERR_INTERRUPTED) /* c is the late call's now */
        return not_in_time(e, ei);
    *conv = c->conv;
    c->conv = NULL;
    if (e)
        (void)not_in_time(e, ei);
    else if ((e = c->err) && ei)
        *ei = c->ei;
    else if (!e && buf_add(token, buf_str(&c->token), c->token.len))
        e = err_set(ei, ERR_LIMIT, NULL, "no room for a login token of %zu bytes", c->token.len);
    step_call_free(c);
    return e;
}
