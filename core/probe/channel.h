/*
 * A byte stream to the server being probed, in the clear or within TLS, for the protocols that libcurl does not speak: RPC channels,
 * POP, IMAP. Blocking under a deadline. One thread at a time.
 */
#ifndef CORE_PROBE_CHANNEL_H
#define CORE_PROBE_CHANNEL_H

#include "core/base/stop.h"

#include <openssl/ssl.h>

struct channel {
    int fd;
    SSL *ssl; /* NULL: in the clear */
};

/* A channel that owns nothing yet: fd -1. */
void channel_init(struct channel *c);
void channel_fini(struct channel *c);
/* TLS over c->fd from here on. */
enum err channel_secure(struct channel *c, SSL_CTX *client, const char *name, const struct stop *stop,
                        struct errinfo *ei) MUST_CHECK;
enum err channel_send(struct channel *c, const void *data, size_t len, const struct stop *stop,
                      struct errinfo *ei) MUST_CHECK;
/* At least one byte, or *n 0: the peer ended the stream. */
enum err channel_recv(struct channel *c, void *data, size_t cap, size_t *n, const struct stop *stop,
                      struct errinfo *ei) MUST_CHECK;
/* What is there now: *n 0 without *ended: nothing (TLS has messages of its own). */
enum err channel_read(struct channel *c, void *data, size_t cap, size_t *n, bool *ended,
                      struct errinfo *ei) MUST_CHECK;
/* Waits until one of two has something; returns a bit per channel (1: a, 2: b), 0 when the time is over. */
unsigned channel_wait(struct channel *a, struct channel *b, const struct stop *stop);

#endif
