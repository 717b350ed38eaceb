#include "core/probe/http.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/tls.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct http_session {
    CURL *curl;
    struct curl_slist *connect_to;
    int fd; /* connected already, for the first request; -1 */
    bool plain;
    unsigned char pin[CERTIFICATE_BINDING_MAX];
    size_t pin_len; /* 0: any certificate will do */
    bool is_other;  /* the last connection showed another one */
    char host[256];
    unsigned char binding[CERTIFICATE_BINDING_MAX];
    size_t binding_len;
    char error[CURL_ERROR_SIZE];
};

/* What the callbacks of one request share. */
struct exchange {
    struct http_session *session;
    struct http_answer *answer;
    const struct stop *stop;
    size_t keep;
    size_t header_bytes, body_bytes;
    int status; /* of the head being read */
    bool head_done, too_long;
    int64_t head_at; /* clock_mono_ms() when it was complete */
};

/* The head is what we came for; the body is read so that the connection can serve again, and only as long as that is quick. */
#define BODY_PATIENCE_MS 1000

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* In the handshake, so that a stranger learns nothing of the request. */
static int is_pinned(X509_STORE_CTX *chain, void *arg)
{
    struct http_session *s = arg;
    unsigned char binding[CERTIFICATE_BINDING_MAX];
    size_t len;
    X509 *leaf = X509_STORE_CTX_get0_cert(chain);
    s->is_other = !leaf || !certificate_binding(leaf, binding, &len) || len != s->pin_len ||
                  memcmp(binding, s->pin, len) != 0;
    X509_STORE_CTX_set_error(chain, s->is_other ? X509_V_ERR_CERT_REJECTED : X509_V_OK);
    return !s->is_other;
}

static CURLcode prepare_tls(CURL *curl, void *ctx, void *arg)
{
    struct http_session *s = arg;
    (void)curl;
    tls_allow_old(ctx);
    if (s->pin_len) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_cert_verify_callback(ctx, is_pinned, s);
    }
    return CURLE_OK;
}

enum err http_session_new(struct http_session **out, const char *host, const char *addr, uint16_t port,
                          bool plain, int fd, struct errinfo *ei)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char connect_to[512];
    pthread_once(&once, init_curl);
    struct http_session *s = calloc(1, sizeof *s);
    if (!s)
        goto nomem;
    s->fd = -1; /* the caller's until we succeed */
    s->plain = plain;
    s->curl = curl_easy_init();
    bool v6 = strchr(addr, ':') != NULL;
    if (!str_copy(s->host, sizeof s->host, host) ||
        !str_fmt(connect_to, sizeof connect_to, "::%s%s%s:%u", v6 ? "[" : "", addr, v6 ? "]" : "", port)) {
        http_session_free(&s);
        return err_set(ei, ERR_INPUT, NULL, "%s: the host name is too long", host);
    }
    s->connect_to = curl_slist_append(NULL, connect_to);
    if (!s->curl || !s->connect_to)
        goto nomem;
    s->fd = fd;
    *out = s;
    return ERR_OK;
nomem:
    http_session_free(&s);
    return err_set(ei, ERR_NOMEM, NULL, "no memory for an HTTP client");
}

void http_session_pin(struct http_session *s, const unsigned char *binding, size_t len)
{
    memcpy(s->pin, binding, len);
    s->pin_len = len;
}

void http_session_free(struct http_session **session)
{
    struct http_session *s = *session;
    *session = NULL;
    if (!s)
        return;
    curl_easy_cleanup(s->curl);
    if (s->fd >= 0)
        close(s->fd);
    curl_slist_free_all(s->connect_to);
    free(s);
}

/* The connection we were given first, then ones of libcurl's making. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct http_session *s = arg;
    int fd = s->fd;
    (void)purpose;
    s->fd = -1;
    return fd >= 0 ? fd : socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static int socket_is_connected(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    (void)arg, (void)purpose;
    return getpeername(fd, (struct sockaddr *)&peer, &len) == 0 ? CURL_SOCKOPT_ALREADY_CONNECTED
                                                                : CURL_SOCKOPT_OK;
}

static bool header_is(const char *line, size_t len, const char *name, const char **value, size_t *value_len)
{
    size_t n = strlen(name);
    if (len <= n || line[n] != ':' || str_incmp(line, name, n) != 0)
        return false;
    for (n++; n < len && (line[n] == ' ' || line[n] == '\t'); n++)
        ;
    while (len > n && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    *value = line + n;
    *value_len = len - n;
    return true;
}

/* libcurl shows its connection only while a request is under way. */
static void keep_binding(struct http_session *s)
{
    struct curl_tlssessioninfo *tls = NULL;
    if (s->plain || curl_easy_getinfo(s->curl, CURLINFO_TLS_SSL_PTR, &tls) || !tls || !tls->internals)
        return;
    X509 *leaf = SSL_get1_peer_certificate(tls->internals);
    if (!leaf || !certificate_binding(leaf, s->binding, &s->binding_len))
        s->binding_len = 0;
    X509_free(leaf);
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    struct http_answer *a = x->answer;
    size_t len = size * n, whole = len, value_len;
    const char *value;
    x->header_bytes += len;
    a->bytes += len;
    if (x->header_bytes > HTTP_HEADERS_MAX) {
        x->too_long = true;
        return 0;
    }
    while (len && (data[len - 1] == '\r' || data[len - 1] == '\n'))
        len--;
    if (len > 5 && memcmp(data, "HTTP/", 5) == 0) { /* an interim answer may have come before */
        long status = 0;
        x->head_done = false;
        a->challenge = (struct challenge_set){0};
        *a->server = *a->fe_server = *a->location = '\0';
        buf_reset(&a->head);
        keep_binding(x->session);
        const char *p = memchr(data, ' ', len);
        for (int i = 0; p && i < 3 && p + 1 + i < data + len && p[1 + i] >= '0' && p[1 + i] <= '9'; i++)
            status = status * 10 + (p[1 + i] - '0');
        x->status = (int)status;
    } else if (len == 0) {
        if (x->status >= 200 && !x->head_done) {
            x->head_done = true;
            x->head_at = clock_mono_ms();
            a->status = x->status;
        }
    } else if (x->head_done) { /* a trailer */
        return whole;
    } else if (header_is(data, len, "WWW-Authenticate", &value, &value_len)) {
        challenge_add(&a->challenge, value, value_len);
    } else if (header_is(data, len, "Server", &value, &value_len)) {
        str_show_fixed(a->server, sizeof a->server, value, value_len);
    } else if (header_is(data, len, "X-FEServer", &value, &value_len)) {
        str_show_fixed(a->fe_server, sizeof a->fe_server, value, value_len);
    } else if (header_is(data, len, "Location", &value, &value_len)) {
        str_show_fixed(a->location, sizeof a->location, value, value_len);
    }
    if (len && !x->head_done && !(len > 5 && memcmp(data, "HTTP/", 5) == 0)) {
        buf_add(&a->head, data, len);
        buf_addc(&a->head, '\n');
    }
    return whole;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    struct http_answer *a = x->answer;
    size_t len = size * n, room = x->keep > a->body.len ? x->keep - a->body.len : 0;
    buf_add(&a->body, data, len < room ? len : room);
    a->bytes += len;
    x->body_bytes += len;
    return x->body_bytes > HTTP_BODY_MAX ? 0 : len;
}

/* A body that nobody wants may not cost the deadline. */
static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    struct exchange *x = arg;
    return stop_left_ms(x->stop, 1) == 0 ||
           (x->head_done && x->keep <= HTTP_BODY_SMALL && clock_mono_ms() - x->head_at > BODY_PATIENCE_MS);
}

static enum err words(struct http_session *s, CURLcode rc, const struct exchange *x, int waited_ms,
                      struct errinfo *ei)
{
    if (stop_is_raised(x->stop))
        return err_set(ei, ERR_INTERRUPTED, NULL, "interrupted");
    if (s->is_other)
        return err_set(ei, ERR_TLS, "is there more than one server behind the address?",
                       "the server shows another certificate than a moment ago, so no credentials are sent");
    if (x->too_long)
        return err_set(ei, ERR_LIMIT, NULL, "the answer has more than %zu KiB of headers",
                       HTTP_HEADERS_MAX / 1024);
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_ABORTED_BY_CALLBACK:
        if (x->answer->bytes)
            return err_set(ei, ERR_TIMEOUT, "the server or something before it is overloaded or broken",
                           "the answer is too slow: %zu bytes of it in %d.%d s", x->answer->bytes,
                           waited_ms / 1000, waited_ms / 100 % 10);
        return err_set(ei, ERR_TIMEOUT, "is the web site's application pool running?",
                       "no answer within %d.%d s", waited_ms / 1000, waited_ms / 100 % 10);
    case CURLE_COULDNT_CONNECT: return err_set(ei, ERR_UNREACHABLE, NULL, "the connection was refused");
    case CURLE_GOT_NOTHING:
        return err_set(ei, ERR_PROTOCOL, NULL, "the connection was closed without an answer");
    case CURLE_UNSUPPORTED_PROTOCOL: /* what libcurl says to HTTP/0.9 */
    case CURLE_WEIRD_SERVER_REPLY: return err_set(ei, ERR_PROTOCOL, NULL, "the answer is not HTTP");
    case CURLE_SSL_CONNECT_ERROR:
        return err_set(ei, ERR_TLS, NULL, "TLS: %s", *s->error ? s->error : "the handshake failed");
    case CURLE_OUT_OF_MEMORY: /* also what libcurl 7.88 says to a header line above 100 KiB */
        return err_set(ei, ERR_LIMIT, NULL, "the answer has a header line of more than 64 KiB");
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return err_set(ei, ERR_PROTOCOL, NULL, "the connection was reset before the answer");
    default: return err_set(ei, ERR_PROTOCOL, NULL, "%s", *s->error ? s->error : curl_easy_strerror(rc));
    }
}

/* Options are set anew for each request; the handle keeps its connection. */
static CURLcode prepare(struct http_session *s, const struct http_request *req, struct curl_slist *headers,
                        struct exchange *x, const char *url, long timeout_ms)
{
    CURL *c = s->curl;
    CURLcode rc = CURLE_OK;
    curl_easy_reset(c);
    *s->error = '\0';
    s->is_other = false;
#define SET(option, value) rc = rc ? rc : curl_easy_setopt(c, option, value)
    SET(CURLOPT_ERRORBUFFER, s->error);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, s->plain ? "http" : "https");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_CONNECT_TO, s->connect_to);
    SET(CURLOPT_HTTP_VERSION,
        (long)CURL_HTTP_VERSION_1_1); /* over HTTP/2 IIS knows no connection authentication */
    SET(CURLOPT_SSL_ENABLE_ALPN, 0L);
    SET(CURLOPT_SSL_VERIFYPEER, 0L);
    SET(CURLOPT_SSL_VERIFYHOST, 0L);
    SET(CURLOPT_CAINFO, NULL);
    SET(CURLOPT_CAPATH, NULL);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_0);
    SET(CURLOPT_SSL_CTX_FUNCTION, prepare_tls);
    SET(CURLOPT_SSL_CTX_DATA, s);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TIMEOUT_MS, timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, s);
    SET(CURLOPT_SOCKOPTFUNCTION, socket_is_connected);
    SET(CURLOPT_USERAGENT, req->agent ? req->agent : "casbridge");
    SET(CURLOPT_HTTPHEADER, headers);
    if (req->empty_body || req->body) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDS, req->body ? req->body : "");
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
    } else if (str_ieq(req->method, "HEAD")) {
        SET(CURLOPT_NOBODY, 1L); /* else libcurl waits for the body it was told of */
    }
    SET(CURLOPT_CUSTOMREQUEST, req->method);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, x);
#undef SET
    return rc;
}

static bool add_header(struct curl_slist **list, const char *text)
{
    struct curl_slist *more = curl_slist_append(*list, text);
    if (more)
        *list = more;
    return more != NULL;
}

static bool names_header(const struct http_request *req, const char *name)
{
    const char *value;
    size_t len;
    for (size_t i = 0; req->headers && req->headers[i]; i++)
        if (header_is(req->headers[i], strlen(req->headers[i]), name, &value, &len))
            return true;
    return false;
}

/* Everything of the head that is not libcurl's own. text is scratch. */
static bool head_lines(const struct http_request *req, struct buf *text, struct curl_slist **headers)
{
    bool ok = add_header(headers, "Expect:") &&
              (names_header(req, "Content-Type") || add_header(headers, "Content-Type:")) &&
              (names_header(req, "Cache-Control") || add_header(headers, "Cache-Control: no-cache"));
    buf_addf(text, "Accept: %s", req->accept ? req->accept : "*/*");
    ok = ok && !text->failed && add_header(headers, buf_str(text));
    buf_reset(text);
    if (req->authorization) {
        buf_addf(text, "Authorization: %s", req->authorization);
        ok = ok && !text->failed && add_header(headers, buf_str(text));
        if (text->data)
            explicit_bzero(text->data, text->len);
        buf_reset(text);
    }
    for (size_t i = 0; ok && req->headers && req->headers[i]; i++)
        ok = add_header(headers, req->headers[i]);
    return ok;
}

/* The list holds a password or a ticket. */
static void forget_headers(struct curl_slist *headers)
{
    for (struct curl_slist *h = headers; h; h = h->next)
        if (str_incmp(h->data, "Authorization", 13) == 0)
            explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(headers);
}

enum err http_ask(struct http_session *s, const struct http_request *req, const struct stop *stop,
                  struct http_answer *out, struct errinfo *ei)
{
    struct exchange x = {.session = s, .answer = out, .stop = stop, .keep = req->keep};
    struct curl_slist *headers = NULL;
    struct buf text;
    long connections = 0;
    if (x.keep < HTTP_BODY_FIRST)
        x.keep = HTTP_BODY_FIRST;
    if (x.keep > HTTP_BODY_MAX)
        x.keep = HTTP_BODY_MAX;
    *out = (struct http_answer){0};
    buf_init(&out->head, HTTP_HEADERS_MAX + 1);
    buf_init(&out->body, x.keep);
    buf_init(&text, (size_t)256 * 1024);
    enum err e = stop_check(stop, ei, "the request");
    if (e)
        goto out;
    int64_t from = clock_mono_ms();
    bool ok = head_lines(req, &text, &headers);
    buf_addf(&text, "%s://%s%s", s->plain ? "http" : "https", s->host, req->path);
    if (!ok || text.failed) {
        e = err_set(ei, ERR_NOMEM, NULL, "no memory for a request");
        goto out;
    }
    CURLcode rc = prepare(s, req, headers, &x, buf_str(&text), stop_left_ms(stop, 600000));
    if (!rc)
        rc = curl_easy_perform(s->curl);
    out->elapsed_ms = (int)(clock_mono_ms() - from);
    curl_easy_getinfo(s->curl, CURLINFO_NUM_CONNECTS, &connections);
    out->connections = connections > 0 ? (unsigned)connections : 0;
    out->body_whole = !rc && x.body_bytes <= x.keep && !out->body.failed;
    if (rc && !out->status)
        e = words(s, rc, &x, out->elapsed_ms, ei);
    else if (!out->status)
        e = err_set(ei, ERR_PROTOCOL, NULL, "the answer has no status");
out:
    forget_headers(headers);
    buf_fini(&text);
    return e;
}

void http_answer_fini(struct http_answer *a)
{
    buf_fini(&a->head);
    buf_fini(&a->body);
}

size_t http_session_binding(const struct http_session *s, unsigned char out[static CERTIFICATE_BINDING_MAX])
{
    memcpy(out, s->binding, s->binding_len);
    return s->binding_len;
}

bool http_answer_header(const struct http_answer *a, const char *name, unsigned n, char *out, size_t cap)
{
    const char *p = buf_str(&a->head), *value;
    size_t value_len;
    for (const char *end; (end = strchr(p, '\n')); p = end + 1)
        if (header_is(p, (size_t)(end - p), name, &value, &value_len) && n-- == 0) {
            str_show_fixed(out, cap, value, value_len);
            return true;
        }
    return false;
}
