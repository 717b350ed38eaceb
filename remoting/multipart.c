#include "remoting/multipart.h"

#include <stdint.h>
#include <string.h>

#include "core/base/str.h"

#define BOUNDARY     "Encrypted Boundary"
#define BOUNDARY_MAX 70  /* RFC 2046 5.1.1 */
#define PADDING_MAX  128 /* bytes that a seal may add without saying so in the length */
#define LENGTH_MAX   (64 << 20)

void multipart_content_type(const char *protocol, char *out, size_t cap)
{
    str_fmt(out, cap, "multipart/encrypted;protocol=\"%s\";boundary=\"" BOUNDARY "\"", protocol);
}

enum err multipart_write(struct buf *out, const char *protocol, const struct multipart_part *p)
{
    unsigned char len[4] = {(unsigned char)p->head_len, (unsigned char)(p->head_len >> 8),
                            (unsigned char)(p->head_len >> 16), (unsigned char)(p->head_len >> 24)};
    /* No white space before the names: OMI drops the connection at a TAB. */
    (void)buf_addf(out,
                   "--" BOUNDARY "\r\nContent-Type: %s\r\n"
                   "OriginalContent: type=application/soap+xml;charset=UTF-8;Length=%zu\r\n"
                   "--" BOUNDARY "\r\nContent-Type: application/octet-stream\r\n",
                   protocol, p->length);
    (void)buf_add(out, len, sizeof len);
    (void)buf_add(out, p->head, p->head_len);
    (void)buf_add(out, p->data, p->data_len);
    (void)buf_adds(out, "--" BOUNDARY "--\r\n");
    return out->failed;
}

bool multipart_is(const char *content_type)
{
    return str_istarts(content_type, "multipart/encrypted") ||
           str_istarts(content_type, "multipart/x-multi-encrypted");
}

struct reading {
    const char *at, *end;
    char boundary[BOUNDARY_MAX + 1];
    size_t boundary_len;
    struct errinfo *ei;
};

static enum err wrong(struct reading *r, const char *what)
{
    return err_set(r->ei, ERR_PROTOCOL, NULL, "the encrypted answer is no good: %s", what);
}

/* boundary="..." of the content type; what everybody says when it is not given. */
static bool find_boundary(struct reading *r, const char *content_type)
{
    const char *s = str_icontains(content_type, "boundary=");
    size_t len;
    if (!s)
        return str_copy(r->boundary, sizeof r->boundary, BOUNDARY);
    s += strlen("boundary=");
    if (*s == '"') {
        s++;
        len = strcspn(s, "\"");
        if (s[len] != '"')
            return false;
    } else {
        len = strcspn(s, "; \t");
    }
    return len > 0 && len <= BOUNDARY_MAX && str_fmt(r->boundary, sizeof r->boundary, "%.*s", (int)len, s);
}

static const char *skip_blanks(const struct reading *r, const char *s)
{
    while (s < r->end && (*s == ' ' || *s == '\t'))
        s++;
    return s;
}

/* "--", blanks, the boundary; NULL when it is not there. Exchange puts a blank. */
static const char *boundary_at(const struct reading *r, const char *s)
{
    if (r->end - s < 2 || memcmp(s, "--", 2) != 0)
        return NULL;
    s = skip_blanks(r, s + 2);
    if ((size_t)(r->end - s) < r->boundary_len || memcmp(s, r->boundary, r->boundary_len) != 0)
        return NULL;
    return s + r->boundary_len;
}

/* The end of a line at s, NULL when there is none. */
static const char *line_end(const struct reading *r, const char *s)
{
    s = skip_blanks(r, s);
    if (s < r->end && *s == '\r')
        s++;
    return s < r->end && *s == '\n' ? s + 1 : NULL;
}

static enum err pass_boundary(struct reading *r)
{
    const char *s = boundary_at(r, r->at);
    s = s ? line_end(r, s) : NULL;
    if (!s)
        return wrong(r, "a part does not begin where it should");
    r->at = s;
    return ERR_OK;
}

/* One line without its end and the blanks around it; false when there is no whole one. */
static bool next_line(struct reading *r, const char **line, size_t *len)
{
    const char *nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
    if (!nl || nl - r->at > 1024)
        return false;
    const char *s = skip_blanks(r, r->at), *e = nl;
    while (e > s && strchr(" \t\r", e[-1]))
        e--;
    *line = s;
    *len = e > s ? (size_t)(e - s) : 0;
    r->at = nl + 1;
    return true;
}

/* "OriginalContent: type=application/soap+xml;charset=UTF-8;Length=1360" */
static bool read_original(const char *line, size_t len, struct multipart_part *p)
{
    char text[1025];
    uint64_t n;
    str_fmt(text, sizeof text, "%.*s", (int)len, line);
    const char *length = str_icontains(text, "Length=");
    length = length ? length + strlen("Length=") : "";
    size_t digits = strspn(length, "0123456789");
    if (!str_to_u64(length, digits, &n) || n > LENGTH_MAX)
        return false;
    p->length = (size_t)n;
    return true;
}

static enum err describe(struct reading *r, struct multipart_part *p)
{
    const char *line;
    size_t len;
    bool original = false;
    enum err e = pass_boundary(r);
    while (!e && !boundary_at(r, r->at)) {
        if (!next_line(r, &line, &len))
            return wrong(r, "its description is cut short");
        if (len >= 16 && str_incmp(line, "OriginalContent:", 16) == 0)
            original = read_original(line, len, p);
    }
    return e || original ? e : wrong(r, "it does not say how long the message is");
}

/* Where the sealed bytes end: after the length, or after padding that the length does not count. */
static const char *sealed_end(const struct reading *r, size_t length)
{
    size_t left = (size_t)(r->end - r->at);
    for (size_t pad = 0; pad <= PADDING_MAX && length + pad <= left; pad++)
        if (boundary_at(r, r->at + length + pad))
            return r->at + length + pad;
    return NULL;
}

static enum err contents(struct reading *r, struct multipart_part *p)
{
    const char *line;
    size_t len;
    enum err e = pass_boundary(r);
    if (e)
        return e;
    if (!next_line(r, &line, &len) || len < 13 || str_incmp(line, "Content-Type:", 13) != 0)
        return wrong(r, "sealed bytes are not announced");
    if (r->end - r->at < 4)
        return wrong(r, "it is cut short");
    const unsigned char *n = (const unsigned char *)r->at;
    p->head_len = (size_t)n[0] | (size_t)n[1] << 8 | (size_t)n[2] << 16 | (size_t)n[3] << 24;
    r->at += 4;
    if (p->head_len > MULTIPART_HEAD_MAX || p->head_len > (size_t)(r->end - r->at))
        return wrong(r, "a seal of absurd length");
    p->head = r->at;
    r->at += p->head_len;
    const char *end = sealed_end(r, p->length);
    if (!end)
        return wrong(r, "it is not as long as it says");
    p->data = r->at;
    p->data_len = (size_t)(end - r->at);
    r->at = end;
    return ERR_OK;
}

enum err multipart_read(const char *content_type, const void *body, size_t len, struct multipart_part *parts,
                        size_t max, size_t *n, struct errinfo *ei)
{
    struct reading r = {.at = body, .end = (const char *)body + len, .ei = ei};
    *n = 0;
    if (!find_boundary(&r, content_type))
        return wrong(&r, "it names no boundary");
    r.boundary_len = strlen(r.boundary);
    for (;;) {
        if (*n == max)
            return err_set(ei, ERR_LIMIT, NULL, "the encrypted answer has more than %zu parts", max);
        struct multipart_part p = {0};
        enum err e = describe(&r, &p);
        if (!e)
            e = contents(&r, &p);
        if (e)
            return e;
        parts[(*n)++] = p;
        const char *after = boundary_at(&r, r.at);
        if (after && r.end - after >= 2 && memcmp(after, "--", 2) == 0)
            return ERR_OK;
    }
}
