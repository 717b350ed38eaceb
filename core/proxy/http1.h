/*
 * HTTP/1.1 heads and chunked framing (RFC 9112), without I/O.
 *
 * Strict about framing, because what two parties read differently is a hole: refused are Content-Length with Transfer-Encoding,
 * differing Content-Lengths, any coding but chunked, a bare LF or CR, line folding, NUL and other controls, white space before the
 * colon, a missing or second Host. Liberal about methods: any token (RPC_IN_DATA). Lengths are 64 bit. Order, case and
 * duplicates of fields are kept, and so is the reason phrase (MS-RPCH wants "Success").
 *
 * http1_scan() finds the end of a head as bytes come, from any cut, and refuses early what can be refused; http1_parse() then reads the
 * whole head once. Offsets point into the caller's bytes. No allocation, no state but the caller's.
 */
#ifndef CORE_PROXY_HTTP1_H
#define CORE_PROXY_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP1_MAX_HEAD   65536u
#define HTTP1_MAX_FIELDS 200u
#define HTTP1_MAX_METHOD 32u

enum http1_result { HTTP1_MORE, HTTP1_DONE, HTTP1_BAD };

/* Fields the engine looks at. */
#define HTTP1_FIELD_MAP(X)                                                                                   \
    X(HOST, "host")                                                                                          \
    X(CONNECTION, "connection")                                                                              \
    X(KEEP_ALIVE, "keep-alive")                                                                              \
    X(PROXY_CONNECTION, "proxy-connection")                                                                  \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                                \
    X(CONTENT_LENGTH, "content-length")                                                                      \
    X(UPGRADE, "upgrade")                                                                                    \
    X(TE, "te")                                                                                              \
    X(EXPECT, "expect")                                                                                      \
    X(AUTHORIZATION, "authorization")                                                                        \
    X(WWW_AUTHENTICATE, "www-authenticate")                                                                  \
    X(PERSISTENT_AUTH, "persistent-auth")                                                                    \
    X(USER_AGENT, "user-agent")                                                                              \
    X(PRAGMA, "pragma")

enum http1_field_id {
    HTTP1_OTHER,
#define X(id, name) HTTP1_##id,
    HTTP1_FIELD_MAP(X)
#undef X
};

struct http1_field {
    uint32_t name, value; /* offsets; the whole line is name .. value + value_len + trailing space + CRLF */
    uint32_t value_len;
    uint16_t name_len;
    uint8_t id;
    bool hop; /* hop-by-hop: Connection, what it names, and their kin; not to be forwarded */
};

struct http1_head {
    size_t len; /* of the whole head with its empty line */
    bool is_response;
    uint8_t minor;                   /* HTTP/1.minor */
    uint32_t method, method_len;     /* request */
    uint32_t target, target_len;     /* request target as sent; absolute form: from the path on */
    uint16_t status;                 /* response */
    uint32_t reason, reason_len;     /* response */
    bool has_length, chunked, close; /* close: the connection ends after this message */
    bool keep_alive;                 /* "Connection: keep-alive" was said (matters for HTTP/1.0) */
    bool expect_continue, upgrade;
    uint64_t length;
    size_t n_fields;
    struct http1_field fields[HTTP1_MAX_FIELDS];
    const char *why; /* when refused: what was wrong, a constant */
};

/* *pos is where to go on (0 at first), updated. DONE: *pos is the length of the head. BAD: *why tells. */
enum http1_result http1_scan(const char *p, size_t len, size_t *pos, const char **why);
/* p .. len is one complete head as http1_scan found it. DONE or BAD. */
enum http1_result http1_parse(struct http1_head *h, const char *p, size_t len, bool is_response);
/* The first field with that id, NULL. */
const struct http1_field *http1_find(const struct http1_head *h, enum http1_field_id id);
/* The n-th (from 0) field named name (lower case); NULL. */
const struct http1_field *http1_find_name(const struct http1_head *h, const char *p, const char *name,
                                          size_t n);
bool http1_field_is(const char *p, const struct http1_field *f, const char *lower_name);
/* True when the comma-separated list in a field value holds token (lower case). */
bool http1_list_has(const char *value, size_t len, const char *token);

/* Chunked coding, passed on as it is: the scanner only checks it and finds its end. */
struct http1_chunked {
    uint64_t left; /* of the chunk's data */
    uint32_t line; /* length of the current line, of all trailers */
    uint8_t state, digits;
};
void http1_chunked_init(struct http1_chunked *c);
/* Looks at len bytes. DONE: the body ended after *used of them. MORE: all belong to the body. BAD: refused. */
enum http1_result http1_chunked_scan(struct http1_chunked *c, const char *p, size_t len, size_t *used);

#endif
