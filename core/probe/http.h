/*
 * One HTTP/1.1 request as evidence, through libcurl: no redirect is followed, no proxy used, no certificate insisted on (tls.h reports
 * on those), the answer's heads and body bounded, everything under the caller's deadline.
 */
#ifndef CORE_PROBE_HTTP_H
#define CORE_PROBE_HTTP_H

#include "core/base/stop.h"
#include "core/probe/challenge.h"

#include <stdint.h>

#define HTTP_HEADERS_MAX ((size_t)64 * 1024)
#define HTTP_BODY_MAX    ((size_t)256 * 1024)

struct http_session; /* one server, one kept connection; one thread at a time */

struct http_request {
    const char *method; /* "GET", "RPC_IN_DATA" */
    const char *path;   /* "/rpc/rpcproxy.dll" */
    const char *agent;  /* User-Agent */
    const char *accept; /* Accept; NULL: any */
    const char *
        authorization; /* NULL: anonymous. Makes a connection of its own, closed after: it is authenticated. */
    bool empty_body;   /* Content-Length: 0 */
};

struct http_answer {
    int status;                                      /* of the last complete head, 0 when none came */
    struct challenge_set challenge;                  /* all WWW-Authenticate of it */
    char server[128], fe_server[128], location[512]; /* safe to show; "" */
    char body[32];                                   /* its first bytes */
    size_t body_len;                                 /* of those */
    size_t bytes;                                    /* all that came */
    int elapsed_ms;
};

/* host is the name in the URL and in SNI; addr ("10.0.0.1", "::1") and port where it is. fd: a TCP connection to there for the
   first request, taken over on success; -1: none. */
enum err http_session_new(struct http_session **out, const char *host, const char *addr, uint16_t port,
                          int fd, struct errinfo *ei) MUST_CHECK;
void http_session_free(struct http_session **s);
/* ERR_OK: a complete head came (whatever became of the body). Otherwise *out says how far it came. */
enum err http_ask(struct http_session *s, const struct http_request *req, const struct stop *stop,
                  struct http_answer *out, struct errinfo *ei) MUST_CHECK;

#endif
