/*
 * Inside core/kerberos only: the login, principal forms, errors.
 */
#ifndef CORE_KERBEROS_KERBEROS_INT_H
#define CORE_KERBEROS_KERBEROS_INT_H

#include "core/kerberos/kerberos.h"

#include <gssapi/gssapi.h>
#include <krb5.h>
#include <pthread.h>
#include <stdatomic.h>

#define KRB_NAME_MAX  256
#define KRB_CACHE_MAX 64

enum krb_login_kind { KRB_LOGIN_DEFAULT, KRB_LOGIN_KEYTAB, KRB_LOGIN_PASSWORD };

/* An acquired GSSAPI credential, shared by the calls that use it while a refresh may already have put another in its place. */
struct krb_gss_cred {
    atomic_uint refs;
    gss_cred_id_t cred;
};

struct krb_login {
    atomic_uint refs;
    enum krb_login_kind kind;
    pthread_mutex_t refresh_lock; /* held across the network: one refresh at a time */
    pthread_mutex_t lock;         /* never held across the network; guards all below */
    krb5_context ctx;             /* names only */
    char name[KRB_NAME_MAX];
    char cache[KRB_CACHE_MAX];   /* "MEMORY:..." */
    char retired[KRB_CACHE_MAX]; /* the one before: calls under way may still read it */
    char *keytab;
    int64_t end;
    struct krb_gss_cred *gss; /* NULL until the first token */
};
void krb_gss_cred_drop(struct krb_gss_cred *c); /* NULL is fine */

/* Fills ei from a krb5 code and returns the matching enum err. what: "logging in as alice@X". Never fails. */
enum err krb_error_set(krb5_context ctx, krb5_error_code code, struct errinfo *ei, const char *what);
/* The RFC 4120 number of a krb5 code (errinfo.sys); codes of the library itself come back unchanged. */
int krb_error_number(krb5_error_code code);

/* A fresh, unique "MEMORY:..." name. */
void krb_cache_name(char out[static KRB_CACHE_MAX]);

/* A user name in any of the forms of krb_login_password(). *enterprise: a UPN the KDC must look up; *second is then the same user
   in the realm of that DNS domain, to try when the KDC does not know the UPN. All are freed with krb5_free_principal. */
struct krb_user {
    krb5_principal first, second;
    bool enterprise;
};
enum err krb_user_parse(krb5_context ctx, const char *text, struct krb_user *out,
                        struct errinfo *ei) MUST_CHECK;
void krb_user_fini(krb5_context ctx, struct krb_user *u);

/* "HTTP/host" or "HTTP/host@REALM" without any DNS look-up; the realm comes from [domain_realm], else the KDC refers. */
enum err krb_service_parse(krb5_context ctx, const char *spn, krb5_principal *out,
                           struct errinfo *ei) MUST_CHECK;

/* "tls-server-end-point:" and the hash, as GSSAPI takes it; cb points into bound. hash NULL: nothing is set. */
#define KRB_BINDING_SIZE 96
enum err krb_binding_set(char bound[static KRB_BINDING_SIZE], struct gss_channel_bindings_struct *cb,
                         const void *hash, size_t len, struct errinfo *ei) MUST_CHECK;

/* Logs in by keytab into the cache named. One AS exchange. */
enum err krb_keytab_into(krb5_context ctx, const char *principal, const char *keytab, const char *cache,
                         char name[static KRB_NAME_MAX], int64_t *end, struct errinfo *ei) MUST_CHECK;

#endif
