#include "core/probe/tls.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* A leaf, a few intermediates; a server may send up to 100 KiB otherwise. */
#define CERTIFICATES_MAX (64 * 1024)
#define REFUSAL_MS       300

void tls_allow_old(SSL_CTX *ctx)
{
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(ctx, 0);
    SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT); /* Windows 2003/2008 without MS10-049 */
    SSL_CTX_set_cipher_list(ctx, "ALL:!aNULL:@SECLEVEL=0");
    SSL_CTX_set_max_cert_list(ctx, CERTIFICATES_MAX);
}

/* Called when the server asks for a client certificate: noted, none is given. */
static int no_client_certificate(SSL *ssl, void *arg)
{
    (void)arg;
    bool *asked = SSL_get_app_data(ssl);
    *asked = true;
    return 1;
}

enum err tls_client_new(SSL_CTX **out, const char *pem_file, struct errinfo *ei)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a TLS client");
    tls_allow_old(ctx);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); /* verified all the same; the result is read afterwards */
    SSL_CTX_set_cert_cb(ctx, no_client_certificate, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    /* A machine without the system's authorities still knows those of the profile. */
    SSL_CTX_set_default_verify_paths(ctx);
    if (pem_file && !SSL_CTX_load_verify_file(ctx, pem_file)) {
        SSL_CTX_free(ctx);
        ERR_clear_error();
        return err_set(ei, ERR_CONFIG, "trust must name a PEM file of certificates",
                       "%s: no certificates can be read", pem_file);
    }
    ERR_clear_error();
    *out = ctx;
    return ERR_OK;
}

void tls_set_name(SSL *ssl, const char *name)
{
    unsigned char addr[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, name, addr) != 1 && inet_pton(AF_INET6, name, addr) != 1)
        SSL_set_tlsext_host_name(ssl, name);
}

/* The alerts of RFC 5246 and 8446 that may mean "no certificate, no service" once one was asked for. */
static bool is_certificate_alert(unsigned long e)
{
    if (ERR_GET_LIB(e) != ERR_LIB_SSL)
        return false;
    switch (ERR_GET_REASON(e)) {
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED: return true;
    default: return false;
    }
}

/* In TLS 1.3 the server judges our certificate after we are done; its alert or its first ticket comes then, or (it waits for a request)
   nothing. */
static bool refused_afterwards(SSL *ssl, int fd, const struct stop *stop)
{
    struct stop soon;
    char byte;
    stop_init(&soon, stop_left_ms(stop, REFUSAL_MS), (struct stop *)stop);
    do {
        ERR_clear_error();
        int rc = SSL_peek(ssl, &byte, 1);
        if (rc > 0)
            return false;
        if (SSL_get_error(ssl, rc) != SSL_ERROR_WANT_READ)
            return is_certificate_alert(ERR_peek_last_error());
        struct pollfd p = {.fd = fd, .events = POLLIN};
        (void)poll(&p, 1, stop_left_ms(&soon, REFUSAL_MS));
    } while (stop_left_ms(&soon, 1) > 0);
    return false;
}

/* Why a handshake failed, in an admin's words where we have some. */
static enum err handshake_error(int code, int sys, struct errinfo *ei)
{
    unsigned long e = ERR_peek_last_error();
    int reason = ERR_GET_REASON(e);
    const char *words = NULL, *hint = NULL;
    if (e == 0 && code == SSL_ERROR_SYSCALL)
        return err_set(ei, ERR_TLS, "does the server have a certificate bound to the port?",
                       "TLS: the connection was closed in the handshake%s%s", sys ? ": " : "",
                       sys ? strerror(sys) : "");
    if (ERR_GET_LIB(e) == ERR_LIB_SSL) {
        switch (reason) {
        case SSL_R_UNEXPECTED_EOF_WHILE_READING:
            words = "the connection was closed in the handshake";
            hint = "does the server have a certificate bound to the port?";
            break;
        case SSL_R_WRONG_VERSION_NUMBER:
        case SSL_R_PACKET_LENGTH_TOO_LONG:
        case SSL_R_HTTP_REQUEST: words = "the answer is not TLS"; break;
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
            words = "no protocol version in common";
            hint = "the server offers less than TLS 1.0";
            break;
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE: words = "the server refused the handshake"; break;
        case SSL_R_TLSV1_UNRECOGNIZED_NAME: words = "the server knows no such name"; break;
        default: break;
        }
    }
    if (!words)
        words = ERR_reason_error_string(e);
    return err_set(ei, ERR_TLS, hint, "TLS: %s", words ? words : "the handshake failed");
}

enum err tls_shake(SSL *ssl, int fd, const struct stop *stop, struct errinfo *ei)
{
    for (;;) {
        ERR_clear_error();
        errno = 0;
        int rc = SSL_connect(ssl), sys = errno;
        if (rc == 1)
            return ERR_OK;
        int code = SSL_get_error(ssl, rc);
        if (code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE)
            return handshake_error(code, sys, ei);
        enum err e = stop_check(stop, ei, "TLS handshake");
        if (e)
            return e;
        struct pollfd p = {.fd = fd, .events = code == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT};
        (void)poll(&p, 1, stop_left_ms(stop, 250));
    }
}

enum err tls_handshake(int fd, const char *name, SSL_CTX *client, const struct stop *stop,
                       struct tls_answer *out, struct errinfo *ei)
{
    struct tls_answer a = {0};
    int64_t from = clock_mono_ms();
    enum err e = ERR_OK;
    SSL *ssl = SSL_new(client);
    if (!ssl || !SSL_set_app_data(ssl, &a.asks_for_certificate) || !SSL_set_fd(ssl, fd)) {
        e = err_set(ei, ERR_NOMEM, NULL, "no memory for a TLS connection");
        goto out;
    }
    tls_set_name(ssl, name);
    e = tls_shake(ssl, fd, stop, ei);
    if (e == ERR_TLS && a.asks_for_certificate && is_certificate_alert(ERR_peek_last_error())) {
        a.needs_certificate = true;
        e = ERR_OK;
    }
    if (e)
        goto out;
    if (!a.needs_certificate && a.asks_for_certificate && SSL_version(ssl) == TLS1_3_VERSION)
        a.needs_certificate = refused_afterwards(ssl, fd, stop);
    a.elapsed_ms = (int)(clock_mono_ms() - from);
    str_copy(a.version, sizeof a.version, SSL_get_version(ssl));
    str_copy(a.cipher, sizeof a.cipher, SSL_get_cipher_name(ssl));
    a.leaf = SSL_get1_peer_certificate(ssl);
    if (!a.leaf) {
        e = err_set(ei, ERR_TLS, NULL, "TLS: the server has no certificate");
        goto out;
    }
    long verify = SSL_get_verify_result(ssl);
    a.chain_ok = verify == X509_V_OK;
    a.chain_error = a.chain_ok ? NULL : X509_verify_cert_error_string(verify);
    if (!a.needs_certificate)
        SSL_shutdown(ssl); /* sends close_notify; the answer is not waited for */
    *out = a;
out:
    SSL_free(ssl);
    ERR_clear_error();
    close(fd);
    return e;
}

void tls_answer_fini(struct tls_answer *a)
{
    X509_free(a->leaf);
    *a = (struct tls_answer){0};
}
