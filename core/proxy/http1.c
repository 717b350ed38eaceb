/* The head parser. One pass over complete heads; the scanner does the waiting, so no parser state lives in a connection. */
#include "core/proxy/http1.h"

#include <string.h>

/* RFC 9110 token characters */
static const uint8_t tchar[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1,
    ['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,  ['0'] = 1, ['1'] = 1, ['2'] = 1,
    ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1,  ['9'] = 1, ['A'] = 1, ['B'] = 1,
    ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1,  ['I'] = 1, ['J'] = 1, ['K'] = 1,
    ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1,  ['R'] = 1, ['S'] = 1, ['T'] = 1,
    ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1,  ['a'] = 1, ['b'] = 1, ['c'] = 1,
    ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1,  ['j'] = 1, ['k'] = 1, ['l'] = 1,
    ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1,  ['s'] = 1, ['t'] = 1, ['u'] = 1,
    ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1};

static bool is_text(unsigned char c)
{
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

enum http1_result http1_scan(const char *p, size_t len, size_t *pos, const char **why)
{
    size_t at = *pos;
    while (at < len) {
        const char *nl = memchr(p + at, '\n', len - at);
        const char *end = nl != NULL ? nl : p + len;
        if (memchr(p + at, '\0', (size_t)(end - (p + at))) != NULL) {
            *why = "a NUL byte in the head";
            return HTTP1_BAD;
        }
        at = (size_t)(end - p);
        if (nl == NULL)
            break;
        if (at == 0 || p[at - 1] != '\r') {
            *why = "a line that ends without CR";
            return HTTP1_BAD;
        }
        at++;
        if (at == 2 || (at >= 4 && p[at - 4] == '\r' && p[at - 3] == '\n')) {
            if (at > HTTP1_MAX_HEAD)
                break;
            *pos = at;
            return HTTP1_DONE;
        }
    }
    if (at > HTTP1_MAX_HEAD) {
        *why = "a head longer than 64 KiB";
        return HTTP1_BAD;
    }
    *pos = at;
    return HTTP1_MORE;
}

static bool equal_fold(const char *p, const char *lower, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 'A' && c <= 'Z')
            c |= 0x20;
        if (c != (unsigned char)lower[i])
            return false;
    }
    return true;
}

static const struct {
    const char *name;
    uint8_t len, id;
} known[] = {
#define X(id, name) {name, sizeof name - 1, HTTP1_##id},
    HTTP1_FIELD_MAP(X)
#undef X
};

static uint8_t field_id(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].len == len && (name[0] | 0x20) == known[i].name[0] &&
            equal_fold(name, known[i].name, len))
            return known[i].id;
    return HTTP1_OTHER;
}

bool http1_field_is(const char *p, const struct http1_field *f, const char *lower_name)
{
    return strlen(lower_name) == f->name_len && equal_fold(p + f->name, lower_name, f->name_len);
}

const struct http1_field *http1_find(const struct http1_head *h, enum http1_field_id id)
{
    for (size_t i = 0; i < h->n_fields; i++)
        if (h->fields[i].id == id)
            return &h->fields[i];
    return NULL;
}

const struct http1_field *http1_find_name(const struct http1_head *h, const char *p, const char *name,
                                          size_t n)
{
    for (size_t i = 0; i < h->n_fields; i++)
        if (http1_field_is(p, &h->fields[i], name) && n-- == 0)
            return &h->fields[i];
    return NULL;
}

/* Walks a comma-separated list; *at moves on. False at the end. */
static bool list_next(const char *v, size_t len, size_t *at, const char **item, size_t *item_len)
{
    size_t i = *at;
    while (i < len && (v[i] == ',' || v[i] == ' ' || v[i] == '\t'))
        i++;
    if (i >= len)
        return false;
    size_t start = i;
    while (i < len && v[i] != ',')
        i++;
    size_t end = i;
    while (end > start && (v[end - 1] == ' ' || v[end - 1] == '\t'))
        end--;
    *at = i;
    *item = v + start;
    *item_len = end - start;
    return true;
}

bool http1_list_has(const char *value, size_t len, const char *token)
{
    size_t at = 0, n = strlen(token), item_len;
    const char *item;
    while (list_next(value, len, &at, &item, &item_len))
        if (item_len == n && equal_fold(item, token, n))
            return true;
    return false;
}

static enum http1_result bad(struct http1_head *h, const char *why)
{
    h->why = why;
    return HTTP1_BAD;
}

static bool version(const char *p, const char *end, uint8_t *minor)
{
    if (end - p != 8 || memcmp(p, "HTTP/1.", 7) != 0 || (p[7] != '0' && p[7] != '1'))
        return false;
    *minor = (uint8_t)(p[7] - '0');
    return true;
}

/* line .. end without CRLF */
static enum http1_result request_line(struct http1_head *h, const char *p, const char *line, const char *end)
{
    const char *q = line;
    while (q < end && tchar[(unsigned char)*q])
        q++;
    h->method = (uint32_t)(line - p);
    h->method_len = (uint32_t)(q - line);
    if (q == line || q == end || *q != ' ' || h->method_len > HTTP1_MAX_METHOD)
        return bad(h, "the method is no token");
    const char *target = ++q;
    while (q < end && (unsigned char)*q > 0x20 && *q != 0x7f)
        q++;
    if (q == target || q == end || *q != ' ')
        return bad(h, "the request target");
    const char *target_end = q;
    if (!version(q + 1, end, &h->minor))
        return bad(h, "not HTTP/1.0 or HTTP/1.1");
    if (*target != '/' && !(target_end - target == 1 && *target == '*')) {
        /* absolute form: the path is what counts, Host names the rest (RFC 9112, 3.2.2) */
        size_t scheme = target_end - target > 8 && equal_fold(target, "https://", 8)  ? 8
                        : target_end - target > 7 && equal_fold(target, "http://", 7) ? 7
                                                                                      : 0;
        const char *slash =
            scheme == 0 ? NULL : memchr(target + scheme, '/', (size_t)(target_end - target) - scheme);
        if (slash == NULL)
            return bad(h, "the request target is no path");
        target = slash;
    }
    h->target = (uint32_t)(target - p);
    h->target_len = (uint32_t)(target_end - target);
    return HTTP1_DONE;
}

static enum http1_result status_line(struct http1_head *h, const char *p, const char *line, const char *end)
{
    if (end - line < 12 || !version(line, line + 8, &h->minor) || line[8] != ' ')
        return bad(h, "no HTTP/1.x status line");
    unsigned status = 0;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return bad(h, "the status code");
        status = status * 10 + (unsigned)(line[i] - '0');
    }
    if (status < 100 || (end - line > 12 && line[12] != ' '))
        return bad(h, "the status code");
    h->status = (uint16_t)status;
    const char *reason = end - line > 12 ? line + 13 : end;
    for (const char *q = reason; q < end; q++)
        if (!is_text((unsigned char)*q))
            return bad(h, "a control character in the reason phrase");
    h->reason = (uint32_t)(reason - p);
    h->reason_len = (uint32_t)(end - reason);
    return HTTP1_DONE;
}

static enum http1_result content_length(struct http1_head *h, const char *v, size_t len)
{
    uint64_t n = 0;
    if (len == 0 || len > 19)
        return bad(h, "the Content-Length");
    for (size_t i = 0; i < len; i++) {
        if (v[i] < '0' || v[i] > '9')
            return bad(h, "the Content-Length");
        n = n * 10 + (uint64_t)(v[i] - '0'); /* 19 digits fit in 64 bits */
    }
    if (n > INT64_MAX)
        return bad(h, "the Content-Length");
    if (h->has_length && h->length != n)
        return bad(h, "two different Content-Lengths");
    h->has_length = true;
    h->length = n;
    return HTTP1_DONE;
}

static enum http1_result note_field(struct http1_head *h, const char *p, struct http1_field *f,
                                    unsigned *hosts)
{
    const char *v = p + f->value;
    switch (f->id) {
    case HTTP1_HOST:
        if (++*hosts > 1)
            return bad(h, "two Host fields");
        break;
    case HTTP1_CONNECTION:
        f->hop = true;
        h->close |= http1_list_has(v, f->value_len, "close");
        h->keep_alive |= http1_list_has(v, f->value_len, "keep-alive");
        break;
    case HTTP1_UPGRADE:
        h->upgrade = true;
        f->hop = true;
        break;
    case HTTP1_KEEP_ALIVE:
    case HTTP1_PROXY_CONNECTION:
    case HTTP1_TE: f->hop = true; break;
    case HTTP1_TRANSFER_ENCODING:
        if (h->chunked || f->value_len != 7 || !equal_fold(v, "chunked", 7))
            return bad(h, "a transfer coding other than chunked");
        h->chunked = true;
        break;
    case HTTP1_AUTHORIZATION: /* one would be checked or pooled by, the other believed by the server */
        if (http1_find(h, HTTP1_AUTHORIZATION) != f)
            return bad(h, "two Authorization fields");
        break;
    case HTTP1_CONTENT_LENGTH: return content_length(h, v, f->value_len);
    case HTTP1_EXPECT: h->expect_continue |= f->value_len == 12 && equal_fold(v, "100-continue", 12); break;
    default: break;
    }
    return HTTP1_DONE;
}

/* What Connection names is hop-by-hop too, but it must not take away what frames or routes the message. */
static enum http1_result connection_options(struct http1_head *h, const char *p)
{
    for (size_t i = 0; i < h->n_fields; i++) {
        const struct http1_field *c = &h->fields[i];
        size_t at = 0, len;
        const char *item;
        if (c->id != HTTP1_CONNECTION)
            continue;
        while (list_next(p + c->value, c->value_len, &at, &item, &len)) {
            for (size_t k = 0; k < h->n_fields; k++) {
                struct http1_field *f = &h->fields[k];
                if (f->name_len != len || f->hop)
                    continue;
                bool same = true;
                for (size_t j = 0; j < len && same; j++)
                    same = (item[j] | 0x20) == (p[f->name + j] | 0x20);
                if (!same)
                    continue;
                if (f->id == HTTP1_HOST || f->id == HTTP1_CONTENT_LENGTH ||
                    f->id == HTTP1_TRANSFER_ENCODING || f->id == HTTP1_AUTHORIZATION)
                    return bad(h, "Connection names a field that must not be dropped");
                f->hop = true;
            }
        }
    }
    return HTTP1_DONE;
}

static enum http1_result field_line(struct http1_head *h, const char *p, const char *line, const char *end,
                                    unsigned *hosts)
{
    if (*line == ' ' || *line == '\t')
        return bad(h, "a folded line");
    if (h->n_fields == HTTP1_MAX_FIELDS)
        return bad(h, "more than 200 fields");
    const char *colon = line;
    while (colon < end && tchar[(unsigned char)*colon])
        colon++;
    if (colon == line || colon == end || *colon != ':' || colon - line > 256)
        return bad(h, "a field name");
    const char *v = colon + 1;
    while (v < end && (*v == ' ' || *v == '\t'))
        v++;
    const char *v_end = end;
    while (v_end > v && (v_end[-1] == ' ' || v_end[-1] == '\t'))
        v_end--;
    for (const char *q = v; q < v_end; q++)
        if (!is_text((unsigned char)*q))
            return bad(h, "a control character in a field");
    struct http1_field *f = &h->fields[h->n_fields++];
    f->name = (uint32_t)(line - p);
    f->name_len = (uint16_t)(colon - line);
    f->value = (uint32_t)(v - p);
    f->value_len = (uint32_t)(v_end - v);
    f->id = field_id(line, f->name_len);
    f->hop = false;
    return note_field(h, p, f, hosts);
}

enum http1_result http1_parse(struct http1_head *h, const char *p, size_t len, bool is_response)
{
    const char *line = p, *all = p + len;
    unsigned hosts = 0;
    memset(h, 0, offsetof(struct http1_head, fields));
    h->why = NULL;
    h->len = len;
    h->is_response = is_response;
    if (len < 4 || len > HTTP1_MAX_HEAD || memcmp(all - 4, "\r\n\r\n", 4) != 0)
        return bad(h, "the head does not end");
    for (bool first = true;; first = false) {
        const char *nl = memchr(line, '\n', (size_t)(all - line));
        if (nl == NULL || nl == line || nl[-1] != '\r')
            return bad(h, "a line that ends without CR");
        const char *end = nl - 1;
        if (end == line)
            break; /* the empty line */
        enum http1_result r = !first        ? field_line(h, p, line, end, &hosts)
                              : is_response ? status_line(h, p, line, end)
                                            : request_line(h, p, line, end);
        if (r != HTTP1_DONE)
            return r;
        line = nl + 1;
    }
    if (line == p)
        return bad(h, "no first line");
    if (line + 2 != all)
        return bad(h, "the head ends early");
    if (h->chunked && (h->has_length || h->minor == 0))
        return bad(h,
                   h->has_length ? "Content-Length and Transfer-Encoding together" : "chunked in HTTP/1.0");
    if (!is_response && h->minor == 1 && hosts == 0)
        return bad(h, "no Host field");
    if (h->minor == 0 && !h->keep_alive)
        h->close = true;
    return connection_options(h, p);
}
