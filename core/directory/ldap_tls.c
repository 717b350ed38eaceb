/*
 * TLS with a controller. libldap makes the handshake without a deadline of its own: a watchman closes the socket under it.
 *
 * When it fails, libldap (over GnuTLS) does not say what is wrong with a certificate, so that the handshake is made once more by
 * OpenSSL, for its verdict only: nothing is sent over it.
 */
#include "core/directory/ldap_session.h"

#include "core/base/clock.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HANDSHAKE_MS 10000

struct watchman {
    pthread_mutex_t lock;
    pthread_cond_t over;
    const struct stop *stop;
    int fd;
    bool done, fired;
};

static void *watch(void *arg)
{
    struct watchman *w = arg;
    int64_t until = clock_mono_ms() + HANDSHAKE_MS;
    pthread_mutex_lock(&w->lock);
    while (!w->done && !w->fired) {
        int64_t left = until - clock_mono_ms();
        if (left <= 0 || stop_left_ms(w->stop, 1) == 0) {
            w->fired = true;
            shutdown(w->fd, SHUT_RDWR);
            break;
        }
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_nsec += 100 * 1000000L; /* how soon a raised stop is seen */
        if (at.tv_nsec >= 1000000000L) {
            at.tv_sec++;
            at.tv_nsec -= 1000000000L;
        }
        pthread_cond_timedwait(&w->over, &w->lock, &at);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static enum err watched_handshake(struct ldap_session *s, struct watchman *w, int *rc, struct errinfo *ei)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, watch, w) != 0)
        return err_set(ei, ERR_SYSTEM, NULL, "%s: no thread to watch the TLS handshake", s->uri);
    *rc = ldap_install_tls(s->ld);
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->over);
    pthread_mutex_unlock(&w->lock);
    pthread_join(thread, NULL);
    return ERR_OK;
}

enum err ldap_session_start_tls(struct ldap_session *s, int fd, const struct stop *stop, struct errinfo *ei)
{
    static const char hint[] =
        "the controller's authority must be in the system's store or in the profile's trust, and its "
        "certificate must bear the name in the URI";
    struct watchman w = {.stop = stop, .fd = fd};
    pthread_condattr_t monotonic;
    int rc = LDAP_OTHER;
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0) /* libldap would spin */
        return err_errno(ei, ERR_SYSTEM, NULL, "%s", s->uri);
    pthread_mutex_init(&w.lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w.over, &monotonic);
    enum err e = watched_handshake(s, &w, &rc, ei);
    pthread_cond_destroy(&w.over);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_destroy(&w.lock);
    if (e || (rc == LDAP_SUCCESS && !w.fired))
        return e;
    if (w.fired) {
        e = stop_check(stop, ei, s->uri);
        return e ? e
                 : err_set(ei, ERR_TIMEOUT, "does this port speak TLS (636, 3269)?",
                           "%s: no TLS handshake in time", s->uri);
    }
    char *said = NULL;
    ldap_get_option(s->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &said);
    err_set(ei, ERR_TLS, hint, "%s: TLS failed: %.200s", s->uri, said && *said ? said : ldap_err2string(rc));
    ldap_memfree(said);
    return ERR_TLS;
}

/* ---- the verdict */

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
