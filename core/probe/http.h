/*
 * One HTTP/1.1 request as evidence, through libcurl: no redirect is followed, no proxy used, no certificate insisted on (tls.h reports
 * on those), the answer's heads and body bounded, everything under the caller's deadline.
 */
#ifndef CORE_PROBE_HTTP_H
#define CORE_PROBE_HTTP_H

#include "core/base/buf.h"
#include "core/base/stop.h"
#include "core/probe/certificate.h"
#include "core/probe/challenge.h"

#include <stdint.h>

#define HTTP_HEADERS_MAX ((size_t)64 * 1024)
#define HTTP_BODY_MAX    ((size_t)1024 * 1024)
#define HTTP_BODY_FIRST  32   /* kept of every body */
#define HTTP_BODY_SMALL  4096 /* up to here a body is worth a second, not the deadline */

struct http_session; /* one server, one kept connection; one thread at a time */

struct http_request {
    const char *method; /* "GET", "RPC_IN_DATA" */
    const char *path;   /* "/rpc/rpcproxy.dll" */
    const char *agent;  /* User-Agent; NULL: ours */
    const char *accept; /* Accept; NULL: any */
    const char
        *authorization; /* NULL: none. The connection is authenticated after: for a session of its own. */
    const char *const *headers; /* more of them, "Name: value", ended by NULL; NULL: none */
    const void *body;           /* NULL: none */
    size_t body_len;
    bool empty_body; /* Content-Length: 0 */
    size_t
        keep; /* bytes of the answer's body wanted, at most HTTP_BODY_MAX; up to HTTP_BODY_SMALL only if they come quickly */
};

struct http_answer {
    int status;                                      /* of the last complete head, 0 when none came */
    struct challenge_set challenge;                  /* all WWW-Authenticate of it */
    char server[128], fe_server[128], location[512]; /* safe to show; "" */
    struct buf head;                                 /* its header lines as they came, '\n' after each */
    struct buf body;                                 /* as much as was wanted */
    bool body_whole;                                 /* all of it came and was kept */
    size_t bytes;                                    /* all that came */
    unsigned connections;                            /* made for this request */
    int elapsed_ms;
};

/* host is the name in the URL and in SNI; addr ("10.0.0.1", "::1") and port where it is. fd: a TCP connection to there for the
   first request, taken over on success; -1: none. plain: http instead of https. */
enum err http_session_new(struct http_session **out, const char *host, const char *addr, uint16_t port,
                          bool plain, int fd, struct errinfo *ei) MUST_CHECK;
/* From now on only a server with this certificate is spoken to, as http_session_binding() tells it: for what nobody else may read. */
void http_session_pin(struct http_session *s, const unsigned char *binding, size_t len);
void http_session_free(struct http_session **s);
/* ERR_OK: a complete head came (whatever became of the body). Otherwise *out says how far it came. http_answer_fini() in any case. */
enum err http_ask(struct http_session *s, const struct http_request *req, const struct stop *stop,
                  struct http_answer *out, struct errinfo *ei) MUST_CHECK;
void http_answer_fini(struct http_answer *a);
/* The hash for tls-server-end-point of the certificate that the session's last connection showed; 0 bytes: none yet. */
size_t http_session_binding(const struct http_session *s, unsigned char out[static CERTIFICATE_BINDING_MAX]);
/* The n-th value (from 0) of a header of the answer, without case; false: there is none. out is cut at cap and made safe to show. */
bool http_answer_header(const struct http_answer *a, const char *name, unsigned n, char *out, size_t cap);

#endif
