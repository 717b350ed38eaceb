/*
 * One TLS handshake as evidence: what an old server still speaks is spoken, what is wrong with its certificate is reported.
 */
#ifndef CORE_PROBE_TLS_H
#define CORE_PROBE_TLS_H

#include "core/base/stop.h"

#include <openssl/ssl.h>

struct tls_answer {
    char version[16], cipher[64];
    X509 *leaf; /* owned */
    bool chain_ok;
    const char *chain_error;   /* static text, NULL when chain_ok */
    bool asks_for_certificate; /* sent a CertificateRequest */
    bool needs_certificate;    /* and does without none: also set when the handshake failed for that */
    int elapsed_ms;
};

/* A client context that trusts the system's authorities and those of a PEM file (NULL: none). Shared by any number of handshakes
   and threads; freed with SSL_CTX_free(). */
enum err tls_client_new(SSL_CTX **out, const char *pem_file, struct errinfo *ei) MUST_CHECK;

/* Handshake over fd (non-blocking; closed in any case) with name in SNI unless it is an address. TLS 1.0 to 1.3, weak keys
   and old renegotiation allowed. An untrusted chain or another name is no error. A server that turned us away for want of a client
   certificate is ERR_OK when its own was seen: out->needs_certificate. */
enum err tls_handshake(int fd, const char *name, SSL_CTX *client, const struct stop *stop,
                       struct tls_answer *out, struct errinfo *ei) MUST_CHECK;
void tls_answer_fini(struct tls_answer *a);
/* Only the handshake: ssl is bound to fd (non-blocking) by the caller, who keeps both. */
enum err tls_shake(SSL *ssl, int fd, const struct stop *stop, struct errinfo *ei) MUST_CHECK;
/* An address gets no SNI (RFC 6066 3). */
void tls_set_name(SSL *ssl, const char *name);

/* The same leniency for a context that somebody else made (libcurl's). */
void tls_allow_old(SSL_CTX *ctx);

#endif
