/* From bytes to lines: byte order marks, UTF-16, and where in the file a line began. */
#include "core/directory/ldif_int.h"

static void put_utf8(struct buf *out, uint32_t c)
{
    char b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        b[i] = (char)(0x80 | (c & 0x3f));
    b[0] = (char)(lead[n] | c);
    buf_add(out, b, n);
}

/* Converted line by line, so that the position of every line is one of the file's own. */
static enum err flush_converted(struct ldif *p, struct errinfo *ei)
{
    p->position = p->converted_at;
    enum err e = ldif_feed_lines(p, buf_str(&p->converted), p->converted.len, ei);
    buf_reset(&p->converted);
    return e;
}

static enum err feed_utf16(struct ldif *p, const unsigned char *data, size_t len, uint64_t at,
                           struct errinfo *ei)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < len && !e; i++) {
        if (!p->n_head) {
            p->head[0] = data[i];
            p->n_head = 1;
            continue;
        }
        p->n_head = 0;
        uint32_t unit = p->encoding == LDIF_UTF16LE ? (uint32_t)(p->head[0] | data[i] << 8)
                                                    : (uint32_t)(p->head[0] << 8 | data[i]);
        if (!p->converted.len && !p->high)
            p->converted_at = at + i - 1;
        if (p->high && unit >= 0xdc00 && unit < 0xe000) {
            put_utf8(&p->converted, 0x10000 + ((p->high - 0xd800) << 10) + (unit - 0xdc00));
            p->high = 0;
        } else {
            if (p->high)
                put_utf8(&p->converted, 0xfffd);
            p->high = unit >= 0xd800 && unit < 0xdc00 ? unit : 0;
            if (!p->high)
                put_utf8(&p->converted, unit >= 0xdc00 && unit < 0xe000 ? 0xfffd : unit);
        }
        if (unit == '\n' || p->converted.len >= LDIF_LINE_MAX)
            e = flush_converted(p, ei);
    }
    return e;
}

static enum err feed_known(struct ldif *p, const char *data, size_t len, uint64_t at, struct errinfo *ei)
{
    if (p->encoding != LDIF_UTF8)
        return feed_utf16(p, (const unsigned char *)data, len, at, ei);
    p->position = at;
    return ldif_feed_lines(p, data, len, ei);
}

/* RFC 2849 knows UTF-8 only; ldifde -u writes UTF-16 behind a byte order mark, and editors put one before UTF-8. */
static enum err detect(struct ldif *p, bool last, struct errinfo *ei)
{
    unsigned char head[3] = {p->head[0], p->head[1], p->head[2]};
    size_t n = p->n_head, mark = 0;
    if (n >= 2 && head[0] == 0xff && head[1] == 0xfe) {
        p->encoding = LDIF_UTF16LE;
        mark = 2;
    } else if (n >= 2 && head[0] == 0xfe && head[1] == 0xff) {
        p->encoding = LDIF_UTF16BE;
        mark = 2;
    } else if (n == 3 || last || (n && head[0] != 0xef && head[0] < 0xfe)) {
        p->encoding = LDIF_UTF8;
        if (n == 3 && head[0] == 0xef && head[1] == 0xbb && head[2] == 0xbf)
            mark = 3;
    } else {
        return ERR_OK;
    }
    p->n_head = 0;
    return feed_known(p, (const char *)head + mark, n - mark, mark, ei);
}

enum err ldif_feed(struct ldif *p, const char *data, size_t len, struct errinfo *ei)
{
    enum err e = ERR_OK;
    while (p->encoding == LDIF_DETECT && len && !e) {
        p->head[p->n_head++] = (unsigned char)*data++;
        len--;
        p->fed++;
        e = detect(p, false, ei);
    }
    if (!e && len)
        e = feed_known(p, data, len, p->fed, ei);
    p->fed += len;
    return e;
}

void ldif_pass(struct ldif *p, const struct ldif_passed *passed)
{
    p->fed = passed->to;
    p->line += passed->lines;
    p->entries += passed->entries;
    p->with_class += passed->with_class;
}

enum err ldif_finish(struct ldif *p, bool *cut, struct errinfo *ei)
{
    enum err e = ERR_OK;
    if (p->encoding == LDIF_DETECT)
        e = detect(p, true, ei);
    bool half = p->encoding != LDIF_UTF8 && (p->n_head || p->high);
    if (!e && p->converted.len)
        e = flush_converted(p, ei);
    *cut = half || p->carrying;
    return e ? e : ldif_end_lines(p, half, ei);
}
