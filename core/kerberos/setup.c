#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/kerberos/kerberos_int.h"

#include <stdlib.h>
#include <string.h>

/* The process-wide login: libldap's GSSAPI and everybody else who looks at KRB5CCNAME finds it there. */
static struct {
    pthread_mutex_t lock;
    bool active;
    char principal[KRB_NAME_MAX], keytab[1024], cache[KRB_CACHE_MAX];
    int64_t end;
} setup = {.lock = PTHREAD_MUTEX_INITIALIZER};

static enum err set_env(const char *name, const char *value, struct errinfo *ei)
{
    return setenv(name, value, 1) == 0 ? ERR_OK : err_errno(ei, ERR_NOMEM, NULL, "cannot set %s", name);
}

/* lock is held */
static enum err log_in(struct errinfo *ei)
{
    char name[KRB_NAME_MAX];
    krb5_context ctx = NULL;
    krb5_error_code code = krb5_init_context(&ctx);
    if (code)
        return krb_error_set(NULL, code, ei, "reading krb5.conf");
    enum err e = krb_keytab_into(ctx, setup.principal, setup.keytab, setup.cache, name, &setup.end, ei);
    krb5_free_context(ctx);
    return e;
}

enum err krb_setup_names(const struct profile *p, struct errinfo *ei)
{
    const char *config = profile_get(p, PROFILE_krb5_config, NULL);
    const char *ccache = profile_get(p, PROFILE_krb5_ccache, NULL);
    const char *principal = profile_get(p, PROFILE_krb5_principal, NULL);
    const char *keytab = profile_get(p, PROFILE_krb5_keytab, NULL);
    enum err e = config ? set_env("KRB5_CONFIG", config, ei) : ERR_OK;
    if (!e && ccache)
        e = set_env("KRB5CCNAME", ccache, ei);
    pthread_mutex_lock(&setup.lock);
    setup.active = false;
    if (e || !principal || !keytab)
        goto out;
    if (!str_copy(setup.principal, sizeof setup.principal, principal) ||
        !str_copy(setup.keytab, sizeof setup.keytab, keytab)) {
        e = err_set(ei, ERR_CONFIG, NULL, "krb5_principal or krb5_keytab is too long");
        goto out;
    }
    if (!*setup.cache)
        krb_cache_name(setup.cache);
    setup.end = 0;
    setup.active = true;
    e = set_env("KRB5CCNAME", setup.cache, ei);
out:
    pthread_mutex_unlock(&setup.lock);
    return e;
}

enum err krb_setup(const struct profile *p, struct errinfo *ei)
{
    enum err e = krb_setup_names(p, ei);
    pthread_mutex_lock(&setup.lock);
    if (!e && setup.active)
        e = log_in(ei);
    pthread_mutex_unlock(&setup.lock);
    return e;
}

enum err krb_setup_refresh(int64_t within_s, struct errinfo *ei)
{
    enum err e = ERR_OK;
    pthread_mutex_lock(&setup.lock);
    if (setup.active && setup.end - clock_unix() <= within_s) {
        int64_t old = setup.end;
        e = log_in(ei);
        if (e && old > clock_unix()) /* what there is still serves */
            e = ERR_OK;
    }
    pthread_mutex_unlock(&setup.lock);
    return e;
}
