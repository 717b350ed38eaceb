/* End points: OpenSSL over a socket BIO that knows when the kernel is empty. */
#include "core/proxy/ep.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int bio_read(BIO *b, char *buf, int len)
{
    struct ep *ep = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (ep->drained) { /* asking the kernel again would only give EAGAIN */
        BIO_set_retry_read(b);
        return -1;
    }
    ssize_t n;
    do
        n = recv(ep->fd, buf, (size_t)len, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        ep->drained = true;
        BIO_set_retry_read(b);
        return -1;
    }
    /* after a FIN a short read proves nothing: the end is still to be read, and no event will announce it again */
    if (n > 0 && n < len && !ep->hup)
        ep->drained = true;
    return (int)n;
}

static int bio_write(BIO *b, const char *buf, int len)
{
    struct ep *ep = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t n;
    do
        n = send(ep->fd, buf, (size_t)len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        BIO_set_retry_write(b);
    return (int)n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)num;
    (void)ptr;
    switch (cmd) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP: return 1;
    case BIO_CTRL_GET_CLOSE: return BIO_get_shutdown(b);
    default: return 0;
    }
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "casbridge socket");
    if (m != NULL && BIO_meth_set_read(m, bio_read) == 1 && BIO_meth_set_write(m, bio_write) == 1 &&
        BIO_meth_set_ctrl(m, bio_ctrl) == 1)
        method = m;
    else
        BIO_meth_free(m);
}

const BIO_METHOD *ep_bio_method(void)
{
    (void)pthread_once(&method_once, make_method);
    return method;
}

bool ep_init(struct ep *ep, enum ep_kind kind, int fd, SSL_CTX *ctx, bool server, int epoll_fd)
{
    BIO *bio = NULL;
    memset(ep, 0, sizeof *ep);
    ep->kind = (uint8_t)kind;
    ep->fd = fd;
    const BIO_METHOD *m = ep_bio_method();
    if (m == NULL || (ep->ssl = SSL_new(ctx)) == NULL || (bio = BIO_new(m)) == NULL)
        goto fail;
    BIO_set_data(bio, ep);
    BIO_set_init(bio, 1);
    SSL_set_bio(ep->ssl, bio, bio);
    SSL_set_app_data(ep->ssl, (char *)ep);
    if (server)
        SSL_set_accept_state(ep->ssl);
    else
        SSL_set_connect_state(ep->ssl);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = ep};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0)
        return true;
fail:
    SSL_free(ep->ssl);
    ep->ssl = NULL;
    (void)close(fd);
    ep->fd = -1;
    return false;
}

void ep_fini(struct ep *ep)
{
    if (ep->ssl != NULL) {
        ERR_clear_error();
        if (ep->fd >= 0 && SSL_is_init_finished(ep->ssl) &&
            (SSL_get_shutdown(ep->ssl) & SSL_SENT_SHUTDOWN) == 0)
            (void)SSL_shutdown(ep->ssl);
        ERR_clear_error();
        SSL_free(ep->ssl);
        ep->ssl = NULL;
    }
    if (ep->fd >= 0)
        (void)close(ep->fd); /* epoll forgets it with the last descriptor */
    ep->fd = -1;
}

void ep_event(struct ep *ep, uint32_t events)
{
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ep->hup = true;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        ep->rd = true;
        ep->drained = false;
        if (ep->swapped)
            ep->wr = true;
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        ep->wr = true;
        if (ep->swapped)
            ep->rd = true;
    }
}

/* Turns the outcome of an SSL call into a result and the flags. */
static enum ep_result outcome(struct ep *ep, int r, bool reading)
{
    switch (SSL_get_error(ep->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        if (reading)
            ep->rd = false;
        else
            ep->wr = false;
        ep->swapped = !reading;
        return EP_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        if (reading)
            ep->rd = false;
        else
            ep->wr = false;
        ep->swapped = reading;
        return EP_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return EP_EOF;
    default: return EP_ERROR;
    }
}

enum ep_result ep_handshake(struct ep *ep)
{
    ERR_clear_error();
    int r = SSL_do_handshake(ep->ssl);
    if (r == 1) {
        ep->swapped = false;
        ep->rd = ep->wr = true; /* the peer's first bytes may have come along */
        return EP_OK;
    }
    switch (SSL_get_error(ep->ssl, r)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return EP_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return EP_EOF;
    default: return EP_ERROR;
    }
}

enum ep_result ep_read(struct ep *ep, void *buf, size_t len, size_t *n)
{
    ERR_clear_error();
    ep->quiet = false;
    int r = SSL_read_ex(ep->ssl, buf, len, n);
    if (r == 1) {
        if (*n < len && ep->drained && !SSL_has_pending(ep->ssl))
            ep->rd = false;
        return EP_OK;
    }
    return outcome(ep, r, true);
}

enum ep_result ep_write(struct ep *ep, const void *buf, size_t len, size_t *n)
{
    ERR_clear_error();
    ep->quiet = false;
    int r = SSL_write_ex(ep->ssl, buf, len, n);
    return r == 1 ? EP_OK : outcome(ep, r, false);
}

void ep_shutdown(struct ep *ep)
{
    ERR_clear_error();
    if (SSL_is_init_finished(ep->ssl))
        (void)SSL_shutdown(ep->ssl);
    ERR_clear_error();
    (void)shutdown(ep->fd, SHUT_WR);
}

void ep_quiet(struct ep *ep)
{
    if (!ep->quiet && ep->ssl != NULL)
        ep->quiet = SSL_free_buffers(ep->ssl) == 1;
}

void ep_error_text(const struct ep *ep, char *out, size_t cap)
{
    int saved = errno;
    unsigned long code = ERR_get_error();
    long verify = ep->ssl != NULL ? SSL_get_verify_result(ep->ssl) : X509_V_OK;
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    if (verify != X509_V_OK && code != 0)
        (void)snprintf(out, cap, "certificate: %s", X509_verify_cert_error_string(verify));
    else if (reason != NULL)
        (void)snprintf(out, cap, "TLS: %s", reason);
    else if (code != 0)
        (void)snprintf(out, cap, "TLS error %lx", code);
    else if (saved != 0)
        (void)snprintf(out, cap, "%s", strerror(saved));
    else
        (void)snprintf(out, cap, "the connection was closed");
    ERR_clear_error();
}
