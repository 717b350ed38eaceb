/* Base64 and UTF-16: the encodings that remoting, LDIF and HTTP share. */
#include "core/base/str.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum err base64_encode(struct buf *out, const void *data, size_t len)
{
    const unsigned char *p = data;
    if (len > SIZE_MAX / 4 * 3 - 3)
        return out->failed = ERR_LIMIT;
    char *to = buf_reserve(out, (len + 2) / 3 * 4);
    if (!to)
        return out->failed;
    size_t n = 0;
    for (; len >= 3; p += 3, len -= 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        to[n++] = alphabet[v >> 18];
        to[n++] = alphabet[v >> 12 & 63];
        to[n++] = alphabet[v >> 6 & 63];
        to[n++] = alphabet[v & 63];
    }
    if (len) {
        uint32_t v = (uint32_t)p[0] << 16 | (len == 2 ? (uint32_t)p[1] << 8 : 0);
        to[n++] = alphabet[v >> 18];
        to[n++] = alphabet[v >> 12 & 63];
        to[n++] = len == 2 ? alphabet[v >> 6 & 63] : '=';
        to[n++] = '=';
    }
    buf_commit(out, n);
    return ERR_OK;
}

/* Of each byte the value and one, 0: no digit of base64. */
static const unsigned char digit_of[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64};

/* Four digits into three bytes, as long as there are nothing but digits; how many were taken. */
static size_t decode_fours(const char *s, size_t len, char *to)
{
    size_t i = 0;
    for (; i + 4 <= len; i += 4, to += 3) {
        uint32_t a = digit_of[(unsigned char)s[i]], b = digit_of[(unsigned char)s[i + 1]],
                 c = digit_of[(unsigned char)s[i + 2]], d = digit_of[(unsigned char)s[i + 3]];
        if (!a || !b || !c || !d)
            break;
        uint32_t v = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
        to[0] = (char)(v >> 16);
        to[1] = (char)(v >> 8);
        to[2] = (char)v;
    }
    return i;
}

enum err base64_decode(struct buf *out, const char *s, size_t len)
{
    size_t begun = out->len, digits = 0, pads = 0;
    uint32_t v = 0;
    char *to = buf_reserve(out, len / 4 * 3 + 3);
    if (!to)
        return out->failed;
    size_t n = decode_fours(s, len, to) / 4 * 3;
    for (size_t i = digits = n / 3 * 4; i < len; i++) {
        if (s[i] == '\r' || s[i] == '\n' || s[i] == ' ')
            continue;
        if (s[i] == '=') {
            pads++;
            continue;
        }
        unsigned d = digit_of[(unsigned char)s[i]];
        if (!d || pads)
            goto bad;
        v = v << 6 | (d - 1);
        if (++digits % 4 == 0) {
            to[n++] = (char)(v >> 16);
            to[n++] = (char)(v >> 8);
            to[n++] = (char)v;
            v = 0;
        }
    }
    if ((digits + pads) % 4 || pads > 2)
        goto bad;
    if (digits % 4 == 2) {
        to[n++] = (char)(v >> 4);
    } else if (digits % 4 == 3) {
        to[n++] = (char)(v >> 10);
        to[n++] = (char)(v >> 2);
    }
    buf_commit(out, n);
    return ERR_OK;
bad:
    out->len = begun;
    if (out->data)
        out->data[begun] = '\0';
    return ERR_INPUT;
}

static void put16(struct buf *out, uint32_t unit)
{
    char two[2] = {(char)(unit & 0xff), (char)(unit >> 8)};
    buf_add(out, two, 2);
}

enum err utf16le_encode(struct buf *out, const char *s, size_t len)
{
    size_t begun = out->len;
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c;
        n = utf8_next(s + i, len - i, &c);
        if (!n) {
            out->len = begun;
            if (out->data)
                out->data[begun] = '\0';
            return ERR_INPUT;
        }
        if (c >= 0x10000) {
            put16(out, 0xd800 + ((c - 0x10000) >> 10));
            put16(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
        } else {
            put16(out, c);
        }
    }
    return out->failed;
}

static void put8(struct buf *out, uint32_t c)
{
    char b[4];
    size_t n = 0;
    if (c < 0x80) {
        b[n++] = (char)c;
    } else if (c < 0x800) {
        b[n++] = (char)(0xc0 | c >> 6);
        b[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        b[n++] = (char)(0xe0 | c >> 12);
        b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        b[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        b[n++] = (char)(0xf0 | c >> 18);
        b[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        b[n++] = (char)(0x80 | (c & 0x3f));
    }
    buf_add(out, b, n);
}

enum err utf16_decode(struct buf *out, const void *data, size_t len, bool big_endian)
{
    const unsigned char *p = data;
    uint32_t high = 0;
    for (size_t i = 0; i + 1 < len; i += 2) {
        uint32_t u = big_endian ? (uint32_t)p[i] << 8 | p[i + 1] : (uint32_t)p[i + 1] << 8 | p[i];
        if (high && u >= 0xdc00 && u < 0xe000) {
            put8(out, 0x10000 + ((high - 0xd800) << 10) + (u - 0xdc00));
            high = 0;
            continue;
        }
        if (high)
            put8(out, 0xfffd);
        high = 0;
        if (u >= 0xd800 && u < 0xdc00)
            high = u;
        else
            put8(out, u >= 0xdc00 && u < 0xe000 ? 0xfffd : u);
    }
    if (high)
        put8(out, 0xfffd);
    return out->failed;
}
