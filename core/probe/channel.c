#include "core/probe/channel.h"

#include "core/probe/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void channel_init(struct channel *c)
{
    *c = (struct channel){.fd = -1};
}

void channel_fini(struct channel *c)
{
    SSL_free(c->ssl);
    if (c->fd >= 0)
        close(c->fd);
    ERR_clear_error();
    channel_init(c);
}

enum err channel_secure(struct channel *c, SSL_CTX *client, const char *name, const struct stop *stop,
                        struct errinfo *ei)
{
    bool asked = false; /* for the context's callback, which notes it there */
    c->ssl = SSL_new(client);
    if (!c->ssl || !SSL_set_app_data(c->ssl, &asked) || !SSL_set_fd(c->ssl, c->fd))
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a TLS connection");
    tls_set_name(c->ssl, name);
    enum err e = tls_shake(c->ssl, c->fd, stop, ei);
    SSL_set_cert_cb(c->ssl, NULL, NULL); /* `asked` ends here */
    return e;
}

/* Waits as the last call wished: 0, or why not. */
static enum err wait_for(struct channel *c, short events, const struct stop *stop, struct errinfo *ei)
{
    enum err e = stop_check(stop, ei, "waiting for the server");
    if (!e) {
        struct pollfd p = {.fd = c->fd, .events = events};
        (void)poll(&p, 1, stop_left_ms(stop, 250));
    }
    return e;
}

static enum err lost(struct errinfo *ei, int why)
{
    return err_set(ei, ERR_PROTOCOL, NULL, "the connection was lost%s%s", why ? ": " : "",
                   why ? strerror(why) : "");
}

enum err channel_send(struct channel *c, const void *data, size_t len, const struct stop *stop,
                      struct errinfo *ei)
{
    const char *p = data;
    while (len > 0) {
        short events = POLLOUT;
        ssize_t n;
        if (c->ssl) {
            ERR_clear_error();
            n = SSL_write(c->ssl, p, len < INT32_MAX ? (int)len : INT32_MAX);
            int code = n > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, (int)n);
            if (code == SSL_ERROR_WANT_READ)
                events = POLLIN;
            else if (code != SSL_ERROR_NONE && code != SSL_ERROR_WANT_WRITE)
                return lost(ei, 0);
        } else {
            n = send(c->fd, p, len, MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                return lost(ei, errno);
        }
        if (n > 0) {
            p += n;
            len -= (size_t)n;
            continue;
        }
        enum err e = wait_for(c, events, stop, ei);
        if (e)
            return e;
    }
    return ERR_OK;
}

enum err channel_read(struct channel *c, void *data, size_t cap, size_t *n, bool *ended, struct errinfo *ei)
{
    *n = 0;
    *ended = false;
    if (c->ssl) {
        ERR_clear_error();
        int got = SSL_read(c->ssl, data, (int)cap);
        int code = got > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, got);
        if (got > 0)
            *n = (size_t)got;
        else /* with close_notify or without */
            *ended = code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE;
        return ERR_OK;
    }
    ssize_t got = recv(c->fd, data, cap, 0);
    if (got < 0 && errno != EAGAIN && errno != EINTR)
        return lost(ei, errno);
    *n = got > 0 ? (size_t)got : 0;
    *ended = got == 0;
    return ERR_OK;
}

enum err channel_recv(struct channel *c, void *data, size_t cap, size_t *n, const struct stop *stop,
                      struct errinfo *ei)
{
    bool ended;
    for (;;) {
        enum err e = channel_read(c, data, cap, n, &ended, ei);
        if (e || *n || ended || (e = wait_for(c, POLLIN, stop, ei)))
            return e;
    }
}

unsigned channel_wait(struct channel *a, struct channel *b, const struct stop *stop)
{
    unsigned ready =
        (a->ssl && SSL_pending(a->ssl) > 0 ? 1u : 0) | (b->ssl && SSL_pending(b->ssl) > 0 ? 2u : 0);
    while (!ready) {
        struct pollfd p[2] = {{.fd = a->fd, .events = POLLIN}, {.fd = b->fd, .events = POLLIN}};
        int ms = stop_left_ms(stop, 250);
        if (ms == 0)
            return 0;
        if (poll(p, 2, ms) > 0)
            ready = (p[0].revents ? 1u : 0) | (p[1].revents ? 2u : 0);
    }
    return ready;
}
