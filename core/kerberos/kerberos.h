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

/* Before any thread starts: KRB5_CONFIG and KRB5CCNAME from the profile. Also puts the login of krb5_principal/krb5_keytab, when
   both are configured, into a process-wide MEMORY ccache and points KRB5CCNAME at it, which is where libldap's GSSAPI looks.
   When that login fails (the KDC may be down, and not needed for a file) the settings stand all the same. */
enum err krb_setup(const struct profile *p, struct errinfo *ei) MUST_CHECK;
/* The same without the login, so without the network: for a program that must not wait here. krb_setup_refresh() then logs in, from
   any thread; so does krb_login_default(). */
enum err krb_setup_names(const struct profile *p, struct errinfo *ei) MUST_CHECK;
/* The login of krb_setup(), when there is one to be made or it ends within within_s, is made anew in place. */
enum err krb_setup_refresh(int64_t within_s, struct errinfo *ei) MUST_CHECK;

/* The ticket granting ticket of the default credential cache (KRB5CCNAME or what krb_setup made), copied. ERR_AUTH with a hint
   when there is none that has not ended. */
enum err krb_login_default(struct krb_login **out, struct errinfo *ei) MUST_CHECK;
/* Who that is, for a record of who did something; false when there is no ticket. */
bool krb_login_default_name(char *out, size_t cap);
enum err krb_login_keytab(struct krb_login **out, const char *principal, const char *keytab,
                          struct errinfo *ei) MUST_CHECK;
/* One AS exchange, never a second with the same password: failed ones count towards a lock-out. principal may be "user",
   "user@REALM", "user@dns.domain" (a UPN when no realm is called so) or "DOMAIN\user" (DOMAIN is the first label of a realm of
   krb5.conf). ERR_AUTH: errinfo.sys tells wrong password (24), unknown user (6), locked or disabled (18), expired password (23),
   expired account (1), clock skew (37) apart; ERR_UNREACHABLE: no KDC. The KDC itself is not authenticated by this. */
enum err krb_login_password(struct krb_login **out, const char *principal, const struct secret *password,
                            struct errinfo *ei) MUST_CHECK;
/* One more owner, for a call that may outlive its caller. Every owner calls krb_login_free(). */
struct krb_login *krb_login_ref(struct krb_login *login);
void krb_login_free(struct krb_login **login);
const char *krb_login_name(const struct krb_login *login); /* "admin@CONTOSO.LAB" */
int64_t krb_login_end(const struct krb_login *login);      /* Unix seconds the TGT ends; 0 unknown */
/* A new TGT when it is about to end: a keytab login asks the KDC, a default login reads its cache (and what krb_setup logged in)
   again, a password login cannot. Calls under way go on with the old one. */
enum err krb_login_refresh(struct krb_login *login, int64_t within_s, struct errinfo *ei) MUST_CHECK;

struct krb_ticket {
    char spn[256];
    int etype; /* of the ticket: RFC 3961 number */
    int kvno;
    int64_t end_time;
    int error; /* RFC 4120 code when refused: 7 unknown principal, 14 no common etype ... */
};
/* Asks for (or finds) a ticket for "HTTP/host"; no DNS look-up of the name is made. *out is always filled: spn, and out->error
   when the KDC refused. */
enum err krb_ticket_get(struct krb_login *login, const char *spn, struct krb_ticket *out,
                        struct errinfo *ei) MUST_CHECK;
const char *krb_etype_name(int etype); /* "aes256-cts-hmac-sha1-96"; never NULL */
bool krb_etype_is_weak(int etype);     /* DES, RC4 */

/* First SPNEGO token for service "HTTP" on host (raw bytes, not base64; appended). channel_binding: hash of the server's DER
   certificate for tls-server-end-point (RFC 5929), without the prefix, or NULL. Kerberos only, never NTLM. One token: mutual
   authentication is not asked for, so the exchange ends with it. Blocks on the KDC unless the ticket is cached: where that must
   not happen call krb_ticket_get() from a job first. */
enum err spnego_token(struct krb_login *login, const char *service, const char *host,
                      const void *channel_binding, size_t channel_binding_len, struct buf *out,
                      struct errinfo *ei) MUST_CHECK;

/* For a GSSAPI context made elsewhere (remoting's, which needs mutual authentication and protects messages): the credential cache
   of the login, "MEMORY:...", good until the login is refreshed for the second time or freed; and a service as Kerberos writes it,
   "HTTP/host@REALM", the realm by krb5.conf, without DNS. spn: "HTTP/host". */
void krb_login_cache(const struct krb_login *login, char *out, size_t cap);
enum err krb_service_name(struct krb_login *login, const char *spn, struct buf *out,
                          struct errinfo *ei) MUST_CHECK;
/*
 * NTLM with a password, for HTTP: tokens in turn with the server's, until done. Raw ("NTLM ...") or within SPNEGO ("Negotiate ...",
 * Kerberos not even offered). Needs the mechanism gss-ntlmssp: ERR_NOTFOUND without it. No network of its own. One thread at a time.
 */
struct ntlm_exchange;
/* user: "alice@contoso.lab", "CONTOSO\\alice" or "alice". service and host are the target's name, which the server may check. */
enum err ntlm_exchange_new(struct ntlm_exchange **out, bool spnego, const char *user,
                           const struct secret *password, const char *service, const char *host,
                           struct errinfo *ei) MUST_CHECK;
/* in: the server's token, NULL at first. Appends ours to out (nothing when done without one more). channel_binding as for spnego_token();
   the one of the last token counts. */
enum err ntlm_exchange_step(struct ntlm_exchange *x, const void *in, size_t in_len,
                            const void *channel_binding, size_t channel_binding_len, struct buf *out,
                            bool *done, struct errinfo *ei) MUST_CHECK;
void ntlm_exchange_free(struct ntlm_exchange **x);

/* Text for an RFC 4120 error code. */
const char *krb_error_words(int code);

#endif
