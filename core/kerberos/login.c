#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/kerberos/kerberos_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void krb_cache_name(char out[static KRB_CACHE_MAX])
{
    static atomic_uint counter;
    str_fmt(out, KRB_CACHE_MAX, "MEMORY:casbridge-%ld-%u", (long)getpid(), atomic_fetch_add(&counter, 1) + 1);
}

static void cache_destroy(krb5_context ctx, char name[static KRB_CACHE_MAX])
{
    krb5_ccache cc;
    if (*name && krb5_cc_resolve(ctx, name, &cc) == 0)
        krb5_cc_destroy(ctx, cc);
    *name = '\0';
}

/* What an AS exchange gave, into a cache that holds nothing else. */
static krb5_error_code store(krb5_context ctx, krb5_creds *creds, const char *cache)
{
    krb5_ccache cc = NULL;
    krb5_error_code code = krb5_cc_resolve(ctx, cache, &cc);
    if (!code)
        code = krb5_cc_initialize(ctx, cc, creds->client);
    if (!code)
        code = krb5_cc_store_cred(ctx, cc, creds);
    if (cc)
        krb5_cc_close(ctx, cc);
    return code;
}

/* One AS exchange. krb5_init_creds_get() asks one KDC once: unlike krb5_get_init_creds_password() it never repeats a
   wrong password at the primary KDC, which would count twice towards a lock-out. */
static krb5_error_code exchange(krb5_context ctx, krb5_principal who, bool canonicalize, const char *password,
                                krb5_keytab keytab, const char *cache, char name[static KRB_NAME_MAX],
                                int64_t *end)
{
    krb5_get_init_creds_opt *opt = NULL;
    krb5_init_creds_context icc = NULL;
    krb5_creds creds = {0};
    char *text = NULL;
    krb5_error_code code = krb5_get_init_creds_opt_alloc(ctx, &opt);
    if (code)
        goto out;
    krb5_get_init_creds_opt_set_canonicalize(opt, canonicalize);
    krb5_get_init_creds_opt_set_change_password_prompt(opt, 0);
    code = krb5_init_creds_init(ctx, who, NULL, NULL, 0, opt, &icc);
    if (!code)
        code = password ? krb5_init_creds_set_password(ctx, icc, password)
                        : krb5_init_creds_set_keytab(ctx, icc, keytab);
    if (!code)
        code = krb5_init_creds_get(ctx, icc);
    if (!code)
        code = krb5_init_creds_get_creds(ctx, icc, &creds);
    if (!code)
        code = krb5_unparse_name(ctx, creds.client, &text);
    if (!code)
        code = store(ctx, &creds, cache);
    if (!code) {
        str_copy(name, KRB_NAME_MAX, text);
        *end = creds.times.endtime;
    }
out:
    krb5_free_unparsed_name(ctx, text);
    krb5_free_cred_contents(ctx, &creds);
    if (icc)
        krb5_init_creds_free(ctx, icc);
    krb5_get_init_creds_opt_free(ctx, opt);
    return code;
}

enum err krb_keytab_into(krb5_context ctx, const char *principal, const char *keytab, const char *cache,
                         char name[static KRB_NAME_MAX], int64_t *end, struct errinfo *ei)
{
    krb5_principal who = NULL;
    krb5_keytab kt = NULL;
    krb5_error_code code = krb5_parse_name(ctx, principal, &who);
    if (!code)
        code = krb5_kt_resolve(ctx, keytab, &kt);
    if (!code)
        code = exchange(ctx, who, false, NULL, kt, cache, name, end);
    enum err e = ERR_OK;
    if (code) {
        e = krb_error_set(ctx, code, ei, principal);
        err_wrap(ei, "keytab %s", keytab);
    }
    if (kt)
        krb5_kt_close(ctx, kt);
    krb5_free_principal(ctx, who);
    return e;
}

static enum err login_new(struct krb_login **out, enum krb_login_kind kind, struct errinfo *ei)
{
    struct krb_login *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a Kerberos login");
    krb5_error_code code = krb5_init_context(&l->ctx);
    if (code) {
        free(l);
        return krb_error_set(NULL, code, ei, "starting");
    }
    atomic_init(&l->refs, 1);
    l->kind = kind;
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->refresh_lock, NULL);
    krb_cache_name(l->cache);
    *out = l;
    return ERR_OK;
}

struct krb_login *krb_login_ref(struct krb_login *login)
{
    atomic_fetch_add(&login->refs, 1);
    return login;
}

void krb_gss_cred_drop(struct krb_gss_cred *c)
{
    OM_uint32 minor;
    if (c && atomic_fetch_sub(&c->refs, 1) == 1) {
        gss_release_cred(&minor, &c->cred);
        free(c);
    }
}

void krb_login_free(struct krb_login **login)
{
    struct krb_login *l = *login;
    *login = NULL;
    if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
        return;
    krb_gss_cred_drop(l->gss);
    cache_destroy(l->ctx, l->cache);
    cache_destroy(l->ctx, l->retired);
    krb5_free_context(l->ctx);
    pthread_mutex_destroy(&l->lock);
    pthread_mutex_destroy(&l->refresh_lock);
    free(l->keytab);
    free(l);
}

const char *krb_login_name(const struct krb_login *login)
{
    return login->name;
}

int64_t krb_login_end(const struct krb_login *login)
{
    struct krb_login *l = (struct krb_login *)login; /* the lock is no part of the value */
    pthread_mutex_lock(&l->lock);
    int64_t end = l->end;
    pthread_mutex_unlock(&l->lock);
    return end;
}

static bool is_tgt(krb5_context ctx, const krb5_creds *c)
{
    return !krb5_is_config_principal(ctx, c->server) && c->server->length == 2 &&
           c->server->data[0].length == 6 && memcmp(c->server->data[0].data, "krbtgt", 6) == 0;
}

/* Copies the ticket granting tickets of a cache that have not ended; service tickets are asked for anew, for
   what a cache remembers proves nothing about the KDC of today. */
static krb5_error_code copy_tgts(krb5_context ctx, krb5_ccache from, const char *cache,
                                 char name[static KRB_NAME_MAX], int64_t *end)
{
    krb5_principal who = NULL;
    krb5_ccache to = NULL;
    krb5_cc_cursor cursor = NULL;
    krb5_creds c;
    char *text = NULL;
    bool any = false;
    int64_t latest = 0, now = clock_unix();
    krb5_error_code code = krb5_cc_get_principal(ctx, from, &who);
    if (!code)
        code = krb5_unparse_name(ctx, who, &text);
    if (!code)
        code = krb5_cc_resolve(ctx, cache, &to);
    if (!code)
        code = krb5_cc_initialize(ctx, to, who);
    if (!code)
        code = krb5_cc_start_seq_get(ctx, from, &cursor);
    if (code)
        goto out;
    while (!code && krb5_cc_next_cred(ctx, from, &cursor, &c) == 0) {
        if (is_tgt(ctx, &c)) {
            any = true;
            if (c.times.endtime > now) {
                code = krb5_cc_store_cred(ctx, to, &c);
                if (c.times.endtime > latest)
                    latest = c.times.endtime;
            }
        }
        krb5_free_cred_contents(ctx, &c);
    }
    krb5_cc_end_seq_get(ctx, from, &cursor);
    if (!code && !latest)
        code = any ? KRB5KRB_AP_ERR_TKT_EXPIRED : KRB5_CC_NOTFOUND;
    if (!code) {
        str_copy(name, KRB_NAME_MAX, text);
        *end = latest;
    }
out:
    krb5_free_unparsed_name(ctx, text);
    krb5_free_principal(ctx, who);
    if (to)
        krb5_cc_close(ctx, to);
    return code;
}

static enum err default_into(krb5_context ctx, const char *cache, char name[static KRB_NAME_MAX],
                             int64_t *end, struct errinfo *ei)
{
    krb5_ccache from = NULL;
    krb5_error_code code = krb5_cc_default(ctx, &from);
    if (!code)
        code = copy_tgts(ctx, from, cache, name, end);
    enum err e = code ? krb_error_set(ctx, code, ei, krb5_cc_default_name(ctx)) : ERR_OK;
    if (from)
        krb5_cc_close(ctx, from);
    return e;
}

enum err krb_login_default(struct krb_login **out, struct errinfo *ei)
{
    struct krb_login *l = NULL;
    enum err e = login_new(&l, KRB_LOGIN_DEFAULT, ei);
    if (!e)
        e = krb_setup_refresh(300, ei);
    if (!e)
        e = default_into(l->ctx, l->cache, l->name, &l->end, ei);
    if (e)
        krb_login_free(&l);
    else
        *out = l;
    return e;
}

bool krb_login_default_name(char *out, size_t cap)
{
    struct krb_login *l = NULL;
    struct errinfo ei;
    if (krb_login_default(&l, &ei) != ERR_OK)
        return false;
    str_copy(out, cap, krb_login_name(l));
    krb_login_free(&l);
    return true;
}

enum err krb_login_keytab(struct krb_login **out, const char *principal, const char *keytab,
                          struct errinfo *ei)
{
    struct krb_login *l = NULL;
    enum err e = login_new(&l, KRB_LOGIN_KEYTAB, ei);
    if (!e && !(l->keytab = strdup(keytab)))
        e = err_set(ei, ERR_NOMEM, NULL, "no memory for a Kerberos login");
    if (!e)
        e = krb_keytab_into(l->ctx, principal, keytab, l->cache, l->name, &l->end, ei);
    if (e)
        krb_login_free(&l);
    else
        *out = l;
    return e;
}

enum err krb_login_password(struct krb_login **out, const char *principal, const struct secret *password,
                            struct errinfo *ei)
{
    struct krb_login *l = NULL;
    struct krb_user user = {0};
    if (!secret_is_set(password) || password->len == 0) /* an empty password would make libkrb5 ask for one */
        return err_set(ei, ERR_AUTH, NULL, "Kerberos: %s: the password is empty", principal);
    enum err e = login_new(&l, KRB_LOGIN_PASSWORD, ei);
    if (e)
        return e;
    if ((e = krb_user_parse(l->ctx, principal, &user, ei)))
        goto out;
    krb5_error_code code =
        exchange(l->ctx, user.first, user.enterprise, password->bytes, NULL, l->cache, l->name, &l->end);
    if (code == KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN && user.second) {
        krb5_error_code again =
            exchange(l->ctx, user.second, false, password->bytes, NULL, l->cache, l->name, &l->end);
        if (again == 0 || krb_error_number(again) > 0) /* a KDC of that realm did answer */
            code = again;
    }
    if (code)
        e = krb_error_set(l->ctx, code, ei, principal);
out:
    krb_user_fini(l->ctx, &user);
    if (e)
        krb_login_free(&l);
    else
        *out = l;
    return e;
}

enum err krb_login_refresh(struct krb_login *l, int64_t within_s, struct errinfo *ei)
{
    char cache[KRB_CACHE_MAX], name[KRB_NAME_MAX];
    krb5_context ctx = NULL;
    int64_t end = 0;
    enum err e = ERR_OK;
    if (l->kind == KRB_LOGIN_PASSWORD)
        return ERR_OK;
    pthread_mutex_lock(&l->refresh_lock);
    if (krb_login_end(l) - clock_unix() > within_s)
        goto out;
    krb5_error_code code = krb5_init_context(&ctx);
    if (code) {
        e = krb_error_set(NULL, code, ei, "starting");
        goto out;
    }
    krb_cache_name(cache);
    if (l->kind == KRB_LOGIN_KEYTAB) {
        e = krb_keytab_into(ctx, l->name, l->keytab, cache, name, &end, ei);
    } else {
        e = krb_setup_refresh(within_s, ei);
        if (!e)
            e = default_into(ctx, cache, name, &end, ei);
    }
    if (e || end <= krb_login_end(l)) { /* the old one may still serve */
        cache_destroy(ctx, cache);
        goto out;
    }
    pthread_mutex_lock(&l->lock);
    cache_destroy(l->ctx, l->retired);
    str_copy(l->retired, sizeof l->retired, l->cache);
    str_copy(l->cache, sizeof l->cache, cache);
    l->end = end;
    struct krb_gss_cred *old = l->gss;
    l->gss = NULL;
    pthread_mutex_unlock(&l->lock);
    krb_gss_cred_drop(old);
out:
    pthread_mutex_unlock(&l->refresh_lock);
    if (ctx)
        krb5_free_context(ctx);
    return e;
}
