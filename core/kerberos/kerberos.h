/*
 * Kerberos: logging in, service tickets as evidence, SPNEGO tokens for a client, checking a password against the KDC.
 *
 * All functions may block on the KDC except spnego_token() when the service ticket is already cached. The credential lives in a
 * MEMORY ccache of its own. A struct krb_login may be used from several threads (it locks inside; GSSAPI contexts are per call).
 * Errors carry the RFC 4120 code in errinfo.sys and say what to do (skew, unknown principal, wrong password, locked, KDC unreachable).
 */
#ifndef CORE_KERBEROS_KERBEROS_H
#define CORE_KERBEROS_KERBEROS_H

#include "core/base/buf.h"
#include "core/base/secret.h"
#include "core/model/profile.h"

#include <stdbool.h>
#include <stdint.h>

struct krb_login; /* who we are: a credential */

/* Before any thread starts: KRB5_CONFIG from the profile. Also puts the login of krb5_principal/krb5_keytab, when configured,
   into a process-wide MEMORY ccache and points KRB5CCNAME at it, which is where libldap's GSSAPI looks. */
enum err krb_setup(const struct profile *p, struct errinfo *ei) MUST_CHECK;

/* The default credential cache (KRB5CCNAME or what krb_setup made). ERR_AUTH with a hint when there is no ticket. */
enum err krb_login_default(struct krb_login **out, struct errinfo *ei) MUST_CHECK;
enum err krb_login_keytab(struct krb_login **out, const char *principal, const char *keytab,
                          struct errinfo *ei) MUST_CHECK;
/* One AS exchange. principal may be "user", "user@REALM", "user@dns.domain" or "DOMAIN\user". ERR_AUTH: wrong password or unknown user. */
enum err krb_login_password(struct krb_login **out, const char *principal, const struct secret *password,
                            struct errinfo *ei) MUST_CHECK;
void krb_login_free(struct krb_login **login);
const char *krb_login_name(const struct krb_login *login); /* "admin@CONTOSO.LAB" */
int64_t krb_login_end(const struct krb_login *login);      /* Unix seconds the TGT ends; 0 unknown */
/* A new TGT when it is about to end (keytab logins only); no-op otherwise. */
enum err krb_login_refresh(struct krb_login *login, int64_t within_s, struct errinfo *ei) MUST_CHECK;

struct krb_ticket {
    char spn[256];
    int etype; /* of the ticket: RFC 3961 number */
    int kvno;
    int64_t end_time;
    int error; /* RFC 4120 code when refused: 7 unknown principal, 14 no common etype ... */
};
/* Asks for (or finds) a ticket for "HTTP/host". Fills out->error too when it fails. */
enum err krb_ticket_get(struct krb_login *login, const char *spn, struct krb_ticket *out,
                        struct errinfo *ei) MUST_CHECK;
const char *krb_etype_name(int etype); /* "aes256-cts-hmac-sha1-96"; never NULL */
bool krb_etype_is_weak(int etype);     /* DES, RC4 */

/* First SPNEGO token for HTTP@host (raw bytes, not base64). channel_binding: DER hash of tls-server-end-point (RFC 5929) or NULL.
   One token: mutual authentication is not asked for, so the exchange ends with it. */
enum err spnego_token(struct krb_login *login, const char *service, const char *host,
                      const void *channel_binding, size_t channel_binding_len, struct buf *out,
                      struct errinfo *ei) MUST_CHECK;

/* Text for an RFC 4120 error code. */
const char *krb_error_words(int code);

#endif
