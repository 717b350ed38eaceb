#include "core/base/str.h"

#include <stdio.h>
#include <string.h>

static unsigned char fold(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

int str_icmp(const char *a, const char *b)
{
    return str_incmp(a, b, SIZE_MAX);
}

int str_incmp(const char *a, const char *b, size_t n)
{
    for (; n; a++, b++, n--) {
        if (*a != *b) { /* names that are equal are mostly written alike */
            int d = fold(*a) - fold(*b);
            if (d)
                return d;
        } else if (!*a) {
            return 0;
        }
    }
    return 0;
}

bool str_ieq(const char *a, const char *b)
{
    return a && b ? str_icmp(a, b) == 0 : a == b;
}

bool str_eq(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool str_istarts(const char *s, const char *prefix)
{
    return str_incmp(s, prefix, strlen(prefix)) == 0;
}

bool str_iends(const char *s, const char *suffix)
{
    size_t a = strlen(s), b = strlen(suffix);
    return a >= b && str_icmp(s + a - b, suffix) == 0;
}

const char *str_icontains(const char *s, const char *needle)
{
    size_t n = strlen(needle);
    unsigned char first = fold(*needle);
    for (; *s || !n; s++) {
        if ((!n || fold(*s) == first) && str_incmp(s, needle, n) == 0)
            return s;
        if (!*s)
            break;
    }
    return NULL;
}

/* The longest prefix of at most len bytes that does not cut a UTF-8 sequence. */
static size_t cut_at(const char *s, size_t len)
{
    size_t at = len;
    while (at && ((unsigned char)s[at] & 0xc0) == 0x80 && len - at < 4)
        at--;
    return at;
}

bool str_copy(char *dst, size_t cap, const char *src)
{
    size_t len = strlen(src);
    if (cap == 0)
        return false;
    bool whole = len < cap;
    if (!whole)
        len = cut_at(src, cap - 1);
    memmove(dst, src, len);
    dst[len] = '\0';
    return whole;
}

bool str_fmt(char *dst, size_t cap, const char *fmt, ...)
{
    if (cap == 0)
        return false;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(dst, cap, fmt, ap);
    va_end(ap);
    if (n < 0) {
        dst[0] = '\0';
        return false;
    }
    if ((size_t)n < cap)
        return true;
    size_t last = cap - 1; /* the tail may be half a character */
    for (size_t back = 1; back <= 3 && back <= last; back++) {
        unsigned char c = (unsigned char)dst[last - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        if (need > back)
            dst[last - back] = '\0';
        break;
    }
    return false;
}

bool str_to_u64(const char *s, size_t len, uint64_t *out)
{
    uint64_t v = 0;
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        uint64_t d = (uint64_t)(s[i] - '0');
        if (v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *out = v;
    return true;
}

bool str_to_i64(const char *s, size_t len, int64_t *out)
{
    uint64_t v;
    bool minus = len && s[0] == '-';
    if (!str_to_u64(s + minus, len - minus, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + minus)
        return false;
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool str_to_port(const char *s, uint16_t *out)
{
    uint64_t v;
    if (!str_to_u64(s, strlen(s), &v) || v == 0 || v > 65535)
        return false;
    *out = (uint16_t)v;
    return true;
}

size_t utf8_next(const char *s, size_t len, uint32_t *cp)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (len == 0)
        return 0;
    unsigned char c = (unsigned char)s[0];
    size_t need = c < 0x80                ? 1
                  : c >= 0xc2 && c < 0xe0 ? 2
                  : c >= 0xe0 && c < 0xf0 ? 3
                  : c >= 0xf0 && c < 0xf5 ? 4
                                          : 0;
    if (need == 0 || need > len)
        return 0;
    uint32_t v = need == 1 ? c : c & (0xffu >> (need + 1));
    for (size_t i = 1; i < need; i++) {
        unsigned char d = (unsigned char)s[i];
        if ((d & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (d & 0x3f);
    }
    if (v < least[need] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return 0;
    if (cp)
        *cp = v;
    return need;
}

#define EIGHT(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t eight_at(const char *s)
{
    uint64_t v;
    memcpy(&v, s, sizeof v);
    return v;
}

bool str_is_plain(const char *s, size_t len)
{
    uint64_t odd = 0;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t v = eight_at(s + i);
        /* the high bit of a byte: set in v; borrowed below a space; carried from DEL, the one value that ends at it */
        odd |= v | (v - EIGHT(0x20)) | (v + EIGHT(0x01));
    }
    if (odd & EIGHT(0x80))
        return false;
    for (; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] >= 0x7f)
            return false;
    return true;
}

bool utf8_valid(const char *s, size_t len)
{
    size_t i = 0;
    while (i + 8 <= len && !(eight_at(s + i) & EIGHT(0x80)))
        i += 8;
    for (size_t n; i < len; i += n) {
        n = utf8_next(s + i, len - i, NULL);
        if (!n)
            return false;
    }
    return true;
}

/* Characters that move the cursor, hide, or reverse what follows. */
static bool is_unsafe(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c & 0xfffe) == 0xfffe || (c >= 0xe0000 && c <= 0xe0fff);
}

/* What stands for one character of hostile text; returns bytes written to out (at most 12). */
static size_t show_one(char out[static 16], const char *s, size_t len, size_t *used)
{
    uint32_t c;
    *used = utf8_next(s, len, &c);
    if (!*used) {
        *used = 1;
        memcpy(out, "\xef\xbf\xbd", 3);
        return 3;
    }
    if (!is_unsafe(c)) {
        memcpy(out, s, *used);
        return *used;
    }
    if (c < 0x20 || c == 0x7f) { /* U+2400 SYMBOL FOR NULL and its block */
        uint32_t symbol = c == 0x7f ? 0x2421 : 0x2400 + c;
        out[0] = (char)0xe2;
        out[1] = (char)(0x80 | (symbol >> 6 & 0x3f));
        out[2] = (char)(0x80 | (symbol & 0x3f));
        return 3;
    }
    int n = snprintf(out, 16, "<U+%04X>", (unsigned)c);
    return n > 0 ? (size_t)n : 0;
}

enum err str_show(struct buf *out, const char *s, size_t len)
{
    char one[16];
    for (size_t i = 0, used; i < len; i += used) {
        size_t n = show_one(one, s + i, len - i, &used);
        buf_add(out, one, n);
    }
    return out->failed;
}

static bool is_plain(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] > 0x7e)
            return false;
    return true;
}

void str_show_fixed(char *dst, size_t cap, const char *s, size_t len)
{
    char one[16];
    size_t at = 0, safe = 0; /* safe: where "..." still fits */
    if (cap == 0)
        return;
    if (len > 0 && len < cap && is_plain(s, len)) { /* as it mostly is */
        memcpy(dst, s, len);
        dst[len] = '\0';
        return;
    }
    for (size_t i = 0, used; i < len; i += used) {
        size_t n = show_one(one, s + i, len - i, &used);
        if (at + n >= cap) {
            if (cap > 4) {
                memcpy(dst + safe, "...", 4);
                return;
            }
            break;
        }
        memcpy(dst + at, one, n);
        at += n;
        if (at + 4 <= cap)
            safe = at;
    }
    dst[at] = '\0';
}

size_t str_distance(const char *a, const char *b)
{
    enum { CAP = 40 };
    size_t la = strnlen(a, CAP), lb = strnlen(b, CAP), row[3][CAP + 1];
    for (size_t j = 0; j <= lb; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *cur = row[i % 3], *up = row[(i - 1) % 3], *up2 = row[(i + 1) % 3];
        cur[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = up[j - 1] + (a[i - 1] != b[j - 1]);
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (cur[j - 1] + 1 < best)
                best = cur[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            cur[j] = best;
        }
    }
    return row[la % 3][lb];
}
