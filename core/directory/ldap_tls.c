/*
 * Why TLS with a controller failed. libldap (over GnuTLS) refuses a certificate without saying what is wrong with it, so that the
 * handshake is made once more by OpenSSL, for its verdict only: nothing is sent over it.
 */
#include "core/directory/ldap_session.h"

#include "core/base/str.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char *advice(long verdict)
{
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "renew the controller's certificate; is this machine's clock right?";
    case X509_V_ERR_HOSTNAME_MISMATCH: return "name the controller as its certificate does";
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return "name the controller as its certificate does, not by address";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "its authority is not known here: set trust to its PEM file";
    default: return "check the controller's certificate and the authorities in trust";
    }
}

void ldap_explain_tls(const struct ldap_session *s, const struct profile *p, const char *host, uint16_t port,
                      const struct stop *stop, struct errinfo *ei)
{
    static const struct timeval patience = {.tv_sec = 5};
    const char *trust = p ? profile_get(p, PROFILE_trust, NULL) : NULL;
    unsigned char address[16];
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = NULL;
    int fd = -1;
    if (!ctx || hostmap_connect(p ? &p->hosts : NULL, host, port, false, stop, &fd, NULL))
        goto out;
    SSL_CTX_set_default_verify_paths(ctx);
    if (trust)
        SSL_CTX_load_verify_locations(ctx, trust, NULL);
    ssl = SSL_new(ctx);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!ssl || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0 || !SSL_set_fd(ssl, fd))
        goto out;
    if (ldap_is_address(s->host, address))
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), s->host);
    else if (!SSL_set1_host(ssl, s->host) || !SSL_set_tlsext_host_name(ssl, s->host))
        goto out;
    if (SSL_connect(ssl) == 1) {
        long verdict = SSL_get_verify_result(ssl);
        if (verdict != X509_V_OK)
            err_set(ei, ERR_TLS, advice(verdict), "%s: the certificate is not accepted: %s", s->uri,
                    X509_verify_cert_error_string(verdict));
    } else {
        err_set(ei, ERR_TLS, "does this port speak TLS (636, 3269)?", "%s: no TLS session comes about",
                s->uri);
    }
out:
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    if (fd >= 0)
        close(fd);
}
