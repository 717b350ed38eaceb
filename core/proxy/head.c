/*
 * Rewriting heads: hop-by-hop fields go, the rest stays as it was sent, in order and with its duplicates.
 */
#include "core/proxy/proxy_int.h"

#include "core/base/str.h"

#include <stdio.h>
#include <string.h>

/*
 * A back end or a CAS believes these from an account that may proxy (routing.md 4), which is what the engine logs on as with a
 * keytab. Nobody but the engine may say them where the engine's own ticket goes along: whoever could would be anybody.
 */
static bool is_front_ends_word(const struct http1_field *f, const char *raw)
{
    static const char *const names[] = {"x-commonaccesstoken", "x-isfromcafe",   "x-sourcecafeserver",
                                        "x-isfrombackend",     "msexchproxyuri", "x-proxytargetserver"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (f->id == HTTP1_OTHER && http1_field_is(raw, f, names[i]))
            return true;
    return false;
}

struct out {
    struct iobuf *b;
    bool failed;
};

static void put(struct out *o, const char *p, size_t n)
{
    if (iobuf_add(o->b, p, n) != n)
        o->failed = true;
}
static void puts_(struct out *o, const char *s)
{
    put(o, s, strlen(s));
}

static void put_field(struct out *o, const struct http1_field *f, const char *raw)
{
    put(o, raw + f->name, f->name_len);
    put(o, ": ", 2);
    put(o, raw + f->value, f->value_len);
    put(o, "\r\n", 2);
}

static void put_target(struct out *o, const struct http1_head *h, const char *raw, const char *prefix)
{
    const char *t = raw + h->target;
    size_t n = h->target_len;
    if (prefix == NULL) {
        put(o, t, n);
        return;
    }
    const char *q = memchr(t, '?', n);
    puts_(o, prefix);
    if (q != NULL)
        put(o, q, n - (size_t)(q - t));
}

bool head_request(struct iobuf *out, const struct http1_head *h, const char *raw, const char *host_header,
                  const char *target_prefix, bool ours, const char *token)
{
    struct out o = {.b = out};
    bool length_sent = false;
    put(&o, raw + h->method, h->method_len);
    put(&o, " ", 1);
    put_target(&o, h, raw, target_prefix);
    puts_(&o, h->minor == 1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
    if (host_header != NULL) {
        puts_(&o, "Host: ");
        puts_(&o, host_header);
        puts_(&o, "\r\n");
    }
    for (size_t i = 0; i < h->n_fields; i++) {
        const struct http1_field *f = &h->fields[i];
        if (f->hop || (f->id == HTTP1_HOST && host_header != NULL) ||
            (ours && (f->id == HTTP1_AUTHORIZATION || is_front_ends_word(f, raw))) ||
            (f->id == HTTP1_CONTENT_LENGTH && length_sent))
            continue;
        length_sent |= f->id == HTTP1_CONTENT_LENGTH;
        put_field(&o, f, raw);
    }
    if (token != NULL) {
        puts_(&o, "Authorization: Negotiate ");
        puts_(&o, token);
        puts_(&o, "\r\n");
    }
    if (h->minor == 0)
        puts_(&o, "Connection: keep-alive\r\n");
    put(&o, "\r\n", 2);
    return !o.failed;
}

bool head_response(struct iobuf *out, const struct http1_head *h, const char *raw, const char *connection,
                   const char *challenge)
{
    struct out o = {.b = out};
    char line[24];
    bool length_sent = false;
    (void)snprintf(line, sizeof line, "HTTP/1.1 %03u ", h->status);
    puts_(&o, line);
    put(&o, raw + h->reason, h->reason_len);
    put(&o, "\r\n", 2);
    for (size_t i = 0; i < h->n_fields; i++) {
        const struct http1_field *f = &h->fields[i];
        /* what the server says about our own authentication is not for the client */
        bool ours = challenge != NULL && (f->id == HTTP1_WWW_AUTHENTICATE || f->id == HTTP1_PERSISTENT_AUTH);
        if (f->hop || ours || (f->id == HTTP1_CONTENT_LENGTH && length_sent))
            continue;
        length_sent |= f->id == HTTP1_CONTENT_LENGTH;
        put_field(&o, f, raw);
    }
    if (challenge != NULL)
        puts_(&o, challenge);
    if (connection != NULL) {
        puts_(&o, "Connection: ");
        puts_(&o, connection);
        puts_(&o, "\r\n");
    }
    put(&o, "\r\n", 2);
    return !o.failed;
}
