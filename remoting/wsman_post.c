#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/base/str.h"
#include "remoting/wsman.h"
#include "remoting/wsman_http_int.h"

#define SLICE_MS 200 /* how soon an interruption is noticed */

/* What the callbacks of one POST share. */
struct posting {
    struct wsman_http *h;
    const struct wsman_request *req;
    struct wsman_answer *out;
    struct curl_slist *headers;
    size_t at; /* of the body, sent */
    size_t header_bytes;
    bool corked;
    enum err refused; /* by authorize */
    struct errinfo why;
    bool too_long;
};

void wsman_answer_init(struct wsman_answer *a)
{
    memset(a, 0, sizeof *a);
    buf_init(&a->authenticate, WSMAN_HEADERS_MAX);
    buf_init(&a->body, WSMAN_REPLY_MAX + WSMAN_REPLY_MAX / 8); /* sealed is longer than plain */
}

void wsman_answer_fini(struct wsman_answer *a)
{
    buf_fini(&a->authenticate);
    buf_fini(&a->body);
}

static bool add_header(struct curl_slist **list, const char *text)
{
    struct curl_slist *more = curl_slist_append(*list, text);
    if (more)
        *list = more;
    return more != NULL;
}

/* The same server as at first? A login or a shell of one must not go on with another. */
static enum err check_certificate(struct wsman_http *h, X509 *peer, struct errinfo *ei)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (!peer || X509_digest(peer, EVP_sha256(), digest, &n) != 1 || n != sizeof h->certificate)
        return err_set(ei, ERR_TLS, NULL, "the server has no certificate");
    if (h->has_certificate && memcmp(h->certificate, digest, n) != 0)
        return err_set(ei, ERR_TLS, "several servers behind one name? Name one of them in the URL",
                       "the server has another certificate than a moment ago");
    memcpy(h->certificate, digest, n);
    h->has_certificate = true;
    return ERR_OK;
}

static enum err prepare_headers(struct posting *p, X509 *peer)
{
    struct buf value, line;
    buf_init(&value, WSMAN_HEADERS_MAX);
    buf_init(&line, WSMAN_HEADERS_MAX + 64);
    enum err e = p->req->authorize ? p->req->authorize(p->req->arg, peer, &value, &p->why) : ERR_OK;
    if (!e && value.len) {
        (void)buf_addf(&line, "Authorization: %s", buf_str(&value));
        if (line.failed || !add_header(&p->headers, buf_str(&line)) ||
            curl_easy_setopt(p->h->curl, CURLOPT_HTTPHEADER, p->headers) != CURLE_OK)
            e = err_set(&p->why, ERR_NOMEM, NULL, "no memory for a request");
    }
    if (value.data)
        explicit_bzero(value.data, value.len);
    if (line.data)
        explicit_bzero(line.data, line.len);
    buf_fini(&value);
    buf_fini(&line);
    return e;
}

/* Head and body leave together: libcurl writes them one after the other, and a server that is woken by the head alone has nothing to
   do yet. Not during the handshake of TLS, whose small messages are waited for. */
static void cork(struct posting *p, bool on)
{
    int value = on;
    p->corked = on && setsockopt(p->h->socket, IPPROTO_TCP, TCP_CORK, &value, sizeof value) == 0;
    if (!on)
        (void)setsockopt(p->h->socket, IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

/* After the connection (and TLS) stands, before the head is made: the last moment to look at both. */
static int before_request(void *arg, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
    struct posting *p = arg;
    struct wsman_http *h = p->h;
    X509 *peer = NULL;
    struct curl_tlssessioninfo *tls = NULL;
    (void)peer_ip, (void)local_ip, (void)peer_port;
    if (local_port != h->local_port)
        p->refused = err_set(&p->why, ERR_INTERNAL, NULL, "another connection than the one that was made");
    if (!p->refused && h->settings.url->tls) {
        if (curl_easy_getinfo(h->curl, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK && tls && tls->internals)
            peer = SSL_get1_peer_certificate(tls->internals);
        p->refused = check_certificate(h, peer, &p->why);
    }
    if (!p->refused)
        p->refused = prepare_headers(p, peer);
    X509_free(peer);
    if (!p->refused && p->req->len)
        cork(p, true);
    return p->refused ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* There is no seek function on purpose: what libcurl cannot rewind it cannot send twice. */
static size_t give_body(char *to, size_t size, size_t n, void *arg)
{
    struct posting *p = arg;
    size_t left = p->req->len - p->at, take = left < size * n ? left : size * n;
    p->out->sent = true;
    memcpy(to, (const char *)p->req->body + p->at, take);
    p->at += take;
    return take;
}

static bool header_value(const char *line, size_t len, const char *name, const char **value, size_t *n)
{
    size_t k = strlen(name);
    if (len <= k || line[k] != ':' || str_incmp(line, name, k) != 0)
        return false;
    for (k++; k < len && (line[k] == ' ' || line[k] == '\t'); k++)
        ;
    *value = line + k;
    *n = len - k;
    return true;
}

static void take_header(struct wsman_answer *a, const char *line, size_t len)
{
    const char *v;
    size_t n;
    if (header_value(line, len, "WWW-Authenticate", &v, &n)) {
        challenge_add(&a->offered, v, n);
        (void)buf_add(&a->authenticate, v, n);
        (void)buf_addc(&a->authenticate, '\n');
    } else if (header_value(line, len, "Content-Type", &v, &n)) {
        str_show_fixed(a->content_type, sizeof a->content_type, v, n);
    } else if (header_value(line, len, "Location", &v, &n)) {
        str_show_fixed(a->location, sizeof a->location, v, n);
    } else if (header_value(line, len, "Connection", &v, &n)) {
        a->closing = a->closing || (n == 5 && str_incmp(v, "close", 5) == 0);
    }
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct posting *p = arg;
    struct wsman_answer *a = p->out;
    size_t whole = size * n, len = whole;
    p->header_bytes += whole;
    if (p->header_bytes > WSMAN_HEADERS_MAX) {
        p->too_long = true;
        return 0;
    }
    while (len && strchr("\r\n \t", data[len - 1]))
        len--;
    if (len > 5 && memcmp(data, "HTTP/", 5) == 0) { /* an interim answer may have come before */
        a->content_type[0] = a->location[0] = '\0';
        a->offered = (struct challenge_set){0};
        buf_reset(&a->authenticate);
        a->closing = len > 8 && memcmp(data, "HTTP/1.0", 8) == 0;
    } else {
        take_header(a, data, len);
    }
    return whole;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct posting *p = arg;
    if (buf_add(&p->out->body, data, size * n) == ERR_OK)
        return size * n;
    p->too_long = true;
    return 0;
}

static enum err failed(struct posting *p, CURLcode rc, struct errinfo *ei)
{
    struct wsman_http *h = p->h;
    const char *text = *h->error ? h->error : curl_easy_strerror(rc);
    if (p->refused) {
        if (ei)
            *ei = p->why;
        return p->refused;
    }
    if (p->too_long)
        return err_set(ei, ERR_LIMIT, NULL, "the answer is longer than is taken");
    switch (rc) {
    case CURLE_PEER_FAILED_VERIFICATION:
        return err_set(ei, ERR_TLS, "add its authority with trust, or use the name in its certificate",
                       "the server's certificate: %s", text);
    case CURLE_SSL_CACERT_BADFILE:
        return err_set(ei, ERR_CONFIG, "trust names a PEM file of authorities", "the authorities in %s",
                       h->settings.trust ? h->settings.trust : "the system's store");
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
        return err_set(ei, ERR_TLS, "does the server speak TLS 1.2? http with encryption needs no TLS",
                       "TLS: %s", text);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return err_set(ei, ERR_PROTOCOL, "is that the port of WinRM?", "the answer is not HTTP");
    case CURLE_COULDNT_CONNECT: /* it wanted another one and did not get it */
    case CURLE_SEND_FAIL_REWIND:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
        return err_set(ei, ERR_UNREACHABLE,
                       "was the server restarted, or does something between cut connections?",
                       "the connection was lost");
    default: return err_set(ei, ERR_PROTOCOL, NULL, "HTTP: %s", text);
    }
}

/* Runs until done, stopped or too late. */
static enum err drive(struct posting *p, const struct stop *stop, bool *done, CURLcode *rc,
                      struct errinfo *ei)
{
    int64_t until = clock_mono_ms() + p->req->wait_ms;
    int running = 0, left_in_queue;
    *done = false;
    for (;;) {
        if (curl_multi_perform(p->h->multi, &running) != CURLM_OK)
            return err_set(ei, ERR_INTERNAL, NULL, "libcurl failed");
        if (p->corked && p->at == p->req->len)
            cork(p, false);
        CURLMsg *m = curl_multi_info_read(p->h->multi, &left_in_queue);
        if (m && m->msg == CURLMSG_DONE) {
            *rc = m->data.result;
            *done = true;
            return ERR_OK;
        }
        enum err e = stop_check(stop, ei, "waiting for the server");
        if (e)
            return e;
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            return err_set(ei, ERR_TIMEOUT, "is the server overloaded, or its WinRM service hung?",
                           "no answer within %d s", p->req->wait_ms / 1000);
        int slice = stop_left_ms(stop, left < SLICE_MS ? (int)left : SLICE_MS);
        (void)curl_multi_poll(p->h->multi, NULL, 0, slice, NULL);
    }
}

enum err wsman_http_post(struct wsman_http *h, const struct wsman_request *req, const struct stop *stop,
                         struct wsman_answer *out, struct errinfo *ei)
{
    struct posting p = {.h = h, .req = req, .out = out};
    CURLcode rc = CURLE_OK;
    char type[320];
    bool done = false;
    long status = 0;
    buf_reset(&out->body);
    buf_reset(&out->authenticate);
    out->offered = (struct challenge_set){0};
    out->content_type[0] = out->location[0] = '\0';
    out->status = 0;
    out->sent = out->lost = out->closing = false;
    if (!h->up)
        return err_set(ei, ERR_INTERNAL, NULL, "no connection");
    *h->error = '\0';
    str_fmt(type, sizeof type, "Content-Type: %s", req->content_type);
    bool ok = add_header(&p.headers, type) && add_header(&p.headers, "Expect:") &&
              add_header(&p.headers, "Connection: Keep-Alive");
#define SET(option, value) ok = ok && curl_easy_setopt(h->curl, option, value) == CURLE_OK
    SET(CURLOPT_READFUNCTION, give_body);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_HTTPHEADER, p.headers);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->len);
    SET(CURLOPT_READDATA, &p);
    SET(CURLOPT_HEADERDATA, &p);
    SET(CURLOPT_WRITEDATA, &p);
    SET(CURLOPT_PREREQDATA, &p);
#undef SET
    enum err e = ok && curl_multi_add_handle(h->multi, h->curl) == CURLM_OK
                     ? drive(&p, stop, &done, &rc, ei)
                     : err_set(ei, ERR_NOMEM, NULL, "no memory for a request");
    (void)curl_multi_remove_handle(h->multi, h->curl);
    if (!e && rc != CURLE_OK)
        e = failed(&p, rc, ei);
    if (!e && (curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status == 0))
        e = err_set(ei, ERR_PROTOCOL, NULL, "the answer has no status");
    out->status = (int)status;
    for (struct curl_slist *s = p.headers; s; s = s->next) /* a password, or a token */
        if (str_istarts(s->data, "Authorization:"))
            explicit_bzero(s->data, strlen(s->data));
    if (h->curl)
        (void)curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(p.headers);
    if (e) {
        out->lost = true;
        wsman_http_close(h);
    } else if (out->closing) {
        wsman_http_close(h);
    }
    return e;
}
