/* The text layers of CLIXML: XML 1.0 (2.2, 2.4, 2.11, 3.3.3, 4.1) and the escapes of MS-PSRP 2.2.5.3.2. */
#include <string.h>

#include "core/base/str.h"
#include "remoting/psxml_int.h"

enum { PLAIN, CARE, ESCAPE };

/* One look tells whether a byte needs any thought; nearly none does. */
static const unsigned char
    classes[256] =
        {
            CARE,      CARE,      CARE,         CARE,         CARE,         CARE,
            CARE,      CARE,      CARE,         CARE,         CARE,         CARE,
            CARE,      CARE,      CARE,         CARE,         CARE,         CARE,
            CARE,      CARE,      CARE,         CARE,         CARE,         CARE,
            CARE,      CARE,      CARE,         CARE,         CARE,         CARE,
            CARE,      CARE,      ['&'] = CARE, ['<'] = CARE, [']'] = CARE, ['_'] = ESCAPE,
#define ROW(n)                                                                                               \
    [n] = CARE, [n + 1] = CARE, [n + 2] = CARE, [n + 3] = CARE, [n + 4] = CARE, [n + 5] = CARE,              \
    [n + 6] = CARE, [n + 7] = CARE
            ROW(0x80), ROW(0x88), ROW(0x90),    ROW(0x98),    ROW(0xa0),    ROW(0xa8),
            ROW(0xb0), ROW(0xb8), ROW(0xc0),    ROW(0xc8),    ROW(0xd0),    ROW(0xd8),
            ROW(0xe0), ROW(0xe8), ROW(0xf0),    ROW(0xf8),
#undef ROW
};

/* A character, or a surrogate as if it were one. */
static size_t put_utf8(char *s, uint32_t c)
{
    if (c < 0x80) {
        s[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        s[0] = (char)(0xc0 | c >> 6);
        s[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        s[0] = (char)(0xe0 | c >> 12);
        s[1] = (char)(0x80 | (c >> 6 & 63));
        s[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    s[0] = (char)(0xf0 | c >> 18);
    s[1] = (char)(0x80 | (c >> 12 & 63));
    s[2] = (char)(0x80 | (c >> 6 & 63));
    s[3] = (char)(0x80 | (c & 63));
    return 4;
}

static bool is_xml_char(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c < 0xd800) || (c >= 0xe000 && c <= 0xfffd) ||
           (c >= 0x10000 && c <= 0x10ffff);
}

static int digit(char c, int base)
{
    int d = c >= '0' && c <= '9'   ? c - '0'
            : c >= 'a' && c <= 'f' ? c - 'a' + 10
            : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                   : 99;
    return d < base ? d : -1;
}

/* "&amp;", "&#10;" or "&#x1F600;" at s; its length or 0. */
static size_t reference(const char *s, size_t len, uint32_t *c)
{
    static const struct {
        const char *text;
        size_t len;
        char c;
    } named[] = {
        {"&lt;", 4, '<'}, {"&gt;", 4, '>'}, {"&amp;", 5, '&'}, {"&quot;", 6, '"'}, {"&apos;", 6, '\''}};
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        if (len >= named[i].len && memcmp(s, named[i].text, named[i].len) == 0) {
            *c = (uint32_t)named[i].c;
            return named[i].len;
        }
    }
    if (len < 4 || s[1] != '#')
        return 0;
    int base = s[2] == 'x' ? 16 : 10;
    size_t at = base == 16 ? 3 : 2, first = at;
    *c = 0;
    for (int d; at < len && (d = digit(s[at], base)) >= 0; at++)
        if ((*c = *c * (uint32_t)base + (uint32_t)d) > 0x10ffff)
            return 0;
    return at > first && at < len && s[at] == ';' && is_xml_char(*c) ? at + 1 : 0;
}

/* "_xHHHH_" at s; the unit or -1. */
static int32_t escaped_unit(const char *s, size_t len)
{
    int32_t unit = 0;
    if (len < 7 || s[0] != '_' || s[1] != 'x' || s[6] != '_')
        return -1;
    for (int i = 2; i < 6; i++) {
        int d = digit(s[i], 16);
        if (d < 0)
            return -1;
        unit = unit * 16 + d;
    }
    return unit;
}

size_t psxml_unescape(char *s, size_t len)
{
    char *at = memchr(s, '_', len);
    if (!at)
        return len;
    const char *end = s + len;
    for (const char *from = at; from < end;) {
        int32_t unit = escaped_unit(from, (size_t)(end - from));
        if (unit < 0) {
            const char *next = memchr(from + 1, '_', (size_t)(end - from) - 1);
            size_t plain = (size_t)((next ? next : end) - from);
            memmove(at, from, plain);
            at += plain;
            from += plain;
            continue;
        }
        from += 7;
        int32_t low = unit >= 0xd800 && unit <= 0xdbff ? escaped_unit(from, (size_t)(end - from)) : -1;
        if (low >= 0xdc00 && low <= 0xdfff) {
            from += 7;
            unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
        at += put_utf8(at, (uint32_t)unit);
    }
    return (size_t)(at - s);
}

/* One thing at *from that is not plain: to *to. NULL or what is wrong. */
static const char *careful(char **to, const char **from, const char *end, bool attribute)
{
    const char *s = *from;
    unsigned char first = (unsigned char)*s;
    uint32_t c = 0;
    size_t n;
    if (first == '&') {
        if (!(n = reference(s, (size_t)(end - s), &c)))
            return "a reference that is none of the five, nor a character";
        *to += put_utf8(*to, c);
        *from = s + n;
        return NULL;
    }
    if (first == '\r' || first == '\n' || first == '\t') {
        *from = s + 1 + (first == '\r' && s + 1 < end && s[1] == '\n');
        *(*to)++ = attribute ? ' ' : first == '\t' ? '\t' : '\n';
        return NULL;
    }
    if (first == '<' || (first == ']' && !attribute && end - s >= 3 && s[1] == ']' && s[2] == '>'))
        return first == '<' ? "\"<\" in a value" : "\"]]>\" in a text";
    if (first < 0x80 && first >= 0x20) {
        *(*to)++ = *s;
        *from = s + 1;
        return NULL;
    }
    n = utf8_next(s, (size_t)(end - s), &c);
    if (!n)
        return "a byte that is no UTF-8";
    if (!is_xml_char(c))
        return "a character that XML does not allow";
    memmove(*to, s, n);
    *to += n;
    *from = s + n;
    return NULL;
}

const char *psxml_decode(char *s, size_t *len, bool attribute)
{
    const char *from = s, *end = s + *len;
    unsigned escapes = 0;
    while (from < end && classes[(unsigned char)*from] != CARE)
        escapes |= classes[(unsigned char)*from++];
    char *to = s + (from - s);
    while (from < end) {
        if (classes[(unsigned char)*from] == CARE) {
            const char *wrong = careful(&to, &from, end, attribute);
            if (wrong)
                return wrong;
            /* "&#95;" is an underscore like any other. */
            escapes |= to[-1] == '_' ? ESCAPE : 0;
        } else {
            escapes |= classes[(unsigned char)*from];
            *to++ = *from++;
        }
    }
    *len = (size_t)(to - s);
    if (escapes & ESCAPE)
        *len = psxml_unescape(s, *len);
    return NULL;
}

/* ---- the other way ---- */

/* The character at s, a surrogate in three bytes too; its length, 0 when it is neither. */
static size_t next_char(const char *s, size_t len, uint32_t *c)
{
    size_t n = utf8_next(s, len, c);
    const unsigned char *u = (const unsigned char *)s;
    if (n || len < 3 || u[0] != 0xed || u[1] < 0xa0 || u[1] > 0xbf || (u[2] & 0xc0) != 0x80)
        return n;
    *c = 0xd000 | (uint32_t)(u[1] & 63) << 6 | (u[2] & 63);
    return 3;
}

static enum err add_escape(struct buf *out, uint32_t unit)
{
    return buf_addf(out, "_x%04X_", unit);
}

static enum err add_char(struct buf *out, const char *s, size_t n, uint32_t c, bool attribute)
{
    if (c == '&')
        return buf_adds(out, "&amp;");
    if (c == '<')
        return buf_adds(out, "&lt;");
    if (c == '>')
        return buf_adds(out, "&gt;");
    if (c == '"' && attribute)
        return buf_adds(out, "&quot;");
    if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0xd800 && c < 0xe000))
        return add_escape(out, c);
    if (c >= 0x10000) {
        (void)add_escape(out, 0xd800 + ((c - 0x10000) >> 10));
        return add_escape(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
    }
    return buf_add(out, s, n);
}

enum err psxml_escape(struct buf *out, const char *s, size_t len, bool attribute)
{
    size_t plain = 0;
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c = (unsigned char)s[i];
        n = 1;
        if (c >= 0x20 && c < 0x7f && c != '&' && c != '<' && c != '>' && c != '"' && c != '_')
            continue;
        n = next_char(s + i, len - i, &c);
        if (!n || c == 0xfffe || c == 0xffff)
            return out->failed = ERR_INPUT;
        if (c == '_' && (i + 1 == len || (s[i + 1] != 'x' && s[i + 1] != 'X')))
            continue;
        (void)buf_add(out, s + plain, i - plain);
        (void)(c == '_' ? add_escape(out, '_') : add_char(out, s + i, n, c, attribute));
        plain = i + n;
    }
    return buf_add(out, s + plain, len - plain);
}

enum err psxml_check_text(const char *text, size_t len, const char *what, struct errinfo *ei)
{
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c;
        n = next_char(text + i, len - i, &c);
        if (!n)
            return err_set(ei, ERR_INPUT, NULL, "%s: the value is no valid UTF-8", what);
        if (c == 0xfffe || c == 0xffff)
            return err_set(ei, ERR_INPUT, "PowerShell itself refuses to send it",
                           "%s: the value holds U+%04X, which cannot travel in CLIXML", what, c);
    }
    return ERR_OK;
}

/* ---- primitives ---- */

static bool all_digits(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return len > 0;
}

static bool is_real(const char *s, size_t len)
{
    if (len > 0 && (*s == '-' || *s == '+')) {
        s++;
        len--;
    }
    const char *e = memchr(s, 'E', len);
    e = e ? e : memchr(s, 'e', len);
    if (e) {
        const char *power = e + 1;
        size_t n = len - (size_t)(power - s);
        if (n > 0 && (*power == '-' || *power == '+')) {
            power++;
            n--;
        }
        if (n > 6 || !all_digits(power, n))
            return false;
        len = (size_t)(e - s);
    }
    const char *dot = memchr(s, '.', len);
    if (!dot)
        return all_digits(s, len);
    size_t whole = (size_t)(dot - s), rest = len - whole - 1;
    return (whole == 0 || all_digits(s, whole)) && (rest == 0 || all_digits(dot + 1, rest)) &&
           whole + rest > 0;
}

static bool is_base64(const char *s, size_t len)
{
    size_t n = 0, pads = 0;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
            continue;
        bool pad = c == '=';
        pads += pad;
        n++;
        if (pad ? pads > 2
                : pads > 0 || !((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                                c == '+' || c == '/'))
            return false;
    }
    return n % 4 == 0;
}

bool psxml_primitive_is_valid(enum ps_kind kind, const char *text, size_t len)
{
    static const struct {
        enum ps_kind kind;
        int64_t min, max;
    } ranges[] = {{PS_I32, INT32_MIN, INT32_MAX}, {PS_I64, INT64_MIN, INT64_MAX},
                  {PS_U8, 0, UINT8_MAX},          {PS_I8, INT8_MIN, INT8_MAX},
                  {PS_U16, 0, UINT16_MAX},        {PS_I16, INT16_MIN, INT16_MAX},
                  {PS_U32, 0, UINT32_MAX},        {PS_CHAR, 0, UINT16_MAX}};
    int64_t number;
    uint64_t large;
    switch (kind) {
    case PS_STRING: return true;
    case PS_NULL: return len == 0;
    case PS_BOOL:
        return (len == 4 && memcmp(text, "true", 4) == 0) || (len == 5 && memcmp(text, "false", 5) == 0);
    case PS_U64: return str_to_u64(text, len, &large);
    case PS_SINGLE:
    case PS_DOUBLE:
        if (str_eq(text, "NaN") || str_eq(text, "INF") || str_eq(text, "-INF"))
            return true;
        return is_real(text, len);
    case PS_DECIMAL: return is_real(text, len);
    case PS_BYTES: return is_base64(text, len);
    default: break;
    }
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
        if (ranges[i].kind == kind)
            return str_to_i64(text, len, &number) && number >= ranges[i].min && number <= ranges[i].max;
    return true;
}
