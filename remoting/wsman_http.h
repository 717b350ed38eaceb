/*
 * POSTs over one connection that is never exchanged for another behind our back.
 *
 * libcurl re-sends a request on a fresh connection when a kept one turns out dead (remoting.md 7). That would send a command twice,
 * and, with a login that belongs to the connection, sealed bytes to where nobody can open them. Here libcurl never makes a connection:
 * it is handed the one socket that http_connect() opened, once; when it wants another it gets none, and the POST fails as lost.
 * One thread at a time.
 */
#ifndef REMOTING_WSMAN_HTTP_H
#define REMOTING_WSMAN_HTTP_H

#include "core/base/buf.h"
#include "core/base/hostmap.h"
#include "core/base/stop.h"
#include "core/probe/challenge.h"
#include "core/transport.h"

#include <openssl/x509.h>

#define WSMAN_HEADERS_MAX                                                                                    \
    ((size_t)512 * 1024) /* of one answer; a login token may have 128 KiB before base64 */

struct wsman_url {
    bool tls;
    char host[256]; /* without brackets */
    uint16_t port;
    char path[512];
    char text[800]; /* the whole, as it goes into a:To */
};
/* "http://host[:port]/path"; ports 80 and 443 when none is named. ERR_CONFIG: anything else, a user in it, blanks. */
enum err wsman_url_parse(struct wsman_url *out, const char *text, struct errinfo *ei) MUST_CHECK;
/* The same after {fqdn} and {server} have been replaced by the target's (its name where it has no full one). */
enum err wsman_url_expand(struct wsman_url *out, const char *text, const struct remote_target *target,
                          struct errinfo *ei) MUST_CHECK;
/* Only the replacing; false: too long. */
bool wsman_text_expand(char *out, size_t cap, const char *text, const struct remote_target *target);

struct wsman_http;
struct wsman_http_settings { /* borrowed until wsman_http_free() */
    const struct wsman_url *url;
    const struct hostmap *hosts;
    const char *trust;  /* PEM besides the system's; NULL */
    bool loopback_only; /* refuse any other address */
};
enum err wsman_http_new(struct wsman_http **out, const struct wsman_http_settings *s,
                        struct errinfo *ei) MUST_CHECK;
void wsman_http_free(struct wsman_http **h);

/* A new TCP connection, the old one is closed. ERR_REFUSED: not loopback where that is a must. */
enum err wsman_http_connect(struct wsman_http *h, const struct stop *stop, struct errinfo *ei) MUST_CHECK;
/* Connected, and the other side has neither closed nor spoken unasked. */
bool wsman_http_is_up(const struct wsman_http *h);
void wsman_http_close(struct wsman_http *h);
/* "127.0.10.1:5985", connected to now or last. */
const char *wsman_http_address(const struct wsman_http *h);

struct wsman_request {
    const char *content_type;
    const void *body;
    size_t len;
    /* Called once TLS stands (peer NULL without TLS) and before anything is said: fills the Authorization value, may refuse. NULL: none. */
    enum err (*authorize)(void *arg, X509 *peer, struct buf *authorization, struct errinfo *ei);
    void *arg;
    int wait_ms; /* at most, beside stop */
};

struct wsman_answer {
    int status;
    char content_type[256], location[512]; /* safe to show */
    struct challenge_set offered;          /* of WWW-Authenticate */
    struct buf authenticate;               /* its lines, each ended by LF */
    struct buf body;
    bool sent;    /* the body began to leave */
    bool lost;    /* no whole answer came: the connection is gone */
    bool closing; /* "Connection: close": the next request needs another connection */
};
void wsman_answer_init(struct wsman_answer *a);
void wsman_answer_fini(struct wsman_answer *a);
/* ERR_OK: a whole answer, whatever its status. Otherwise the connection is closed and *out says how far it came. */
enum err wsman_http_post(struct wsman_http *h, const struct wsman_request *req, const struct stop *stop,
                         struct wsman_answer *out, struct errinfo *ei) MUST_CHECK;

#endif
