/*
 * An end point: a non-blocking TLS socket under edge-triggered epoll.
 *
 * The socket BIO is our own: it remembers that the kernel had no more to give (drained), so that a read that could only return
 * EAGAIN is never made, and it sends with MSG_NOSIGNAL. rd and wr say what may be worth trying; ep_event() sets them from
 * epoll, ep_read() and ep_write() clear them. Not thread-safe.
 */
#ifndef CORE_PROXY_EP_H
#define CORE_PROXY_EP_H

#include <openssl/ssl.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ep_kind { EP_LISTEN, EP_JOBS, EP_CONN, EP_UP };
enum ep_result { EP_OK, EP_AGAIN, EP_EOF, EP_ERROR };

struct ep {
    uint8_t kind;
    bool rd, wr;  /* may be readable, writable */
    bool drained; /* nothing more in the kernel until the next event */
    bool hup;     /* the peer will send nothing more: read on to its end */
    bool swapped; /* TLS wants the other direction first (renegotiation, key update) */
    bool quiet;   /* buffers were given back */
    int fd;       /* -1: closed */
    SSL *ssl;
};

/* BIO method for end points; made once per process. NULL without memory. */
const BIO_METHOD *ep_bio_method(void);
void ep_bio_method_free(void);

/* Takes fd over, also on failure (then it is closed and false is returned). */
bool ep_init(struct ep *ep, enum ep_kind kind, int fd, SSL_CTX *ctx, bool server, int epoll_fd);
/* Sends close_notify when the handshake is done, then closes. */
void ep_fini(struct ep *ep);
void ep_event(struct ep *ep, uint32_t events);
enum ep_result ep_handshake(struct ep *ep);
/* EP_OK: *n > 0 bytes. EP_AGAIN: wait for an event. */
enum ep_result ep_read(struct ep *ep, void *buf, size_t len, size_t *n);
enum ep_result ep_write(struct ep *ep, const void *buf, size_t len, size_t *n);
/* close_notify and FIN; reading goes on. */
void ep_shutdown(struct ep *ep);
/* Gives the TLS buffers back while the connection is silent. */
void ep_quiet(struct ep *ep);
/* What went wrong last, in words, from OpenSSL's queue or errno; the queue is emptied. */
void ep_error_text(const struct ep *ep, char *out, size_t cap);

#endif
