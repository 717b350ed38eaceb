/*
 * TLS contexts of the engine: one server and one client context per engine thread. Certificates are read (or made) once and shared.
 */
#ifndef CORE_PROXY_TLS_H
#define CORE_PROXY_TLS_H

#include "core/base/err.h"

#include <openssl/ssl.h>

#include <stdbool.h>

#define TLS_TICKET_KEYS 80

/* What the front end shows: a certificate chain and its key. Reference counted by OpenSSL. */
struct tls_identity {
    X509 *certificate;
    STACK_OF(X509) * chain;
    EVP_PKEY *key;
    bool self_signed; /* made by us */
    char fingerprint[3 * 32];
};

/* PEM files; both NULL: a self-signed certificate for the names (NULL-terminated, host names or addresses; first one = subject). */
enum err tls_identity_load(struct tls_identity *out, const char *certificate, const char *key,
                           const char *const *names, struct errinfo *ei) MUST_CHECK;
void tls_identity_fini(struct tls_identity *id);

/* Server context: TLS 1.2 or newer, http/1.1 only, tickets under the given keys (the same in all threads, so that sessions resume in any). */
enum err tls_server_context(SSL_CTX **out, const struct tls_identity *id,
                            const unsigned char ticket_keys[TLS_TICKET_KEYS], struct errinfo *ei) MUST_CHECK;

struct tls_client_options {
    const char *ca, *trust; /* PEM files, NULL; the system's authorities are always there */
    bool insecure;
};
/* Client context for servers of any age: TLS 1.0 and security level 0, for an Exchange 2007 speaks nothing newer. */
enum err tls_client_context(SSL_CTX **out, const struct tls_client_options *o, struct errinfo *ei) MUST_CHECK;

/* tls-server-end-point binding of the peer (RFC 5929): the hash of its certificate. Length, 0 when there is none. */
size_t tls_end_point_hash(SSL *ssl, unsigned char out[static EVP_MAX_MD_SIZE]);

#endif
