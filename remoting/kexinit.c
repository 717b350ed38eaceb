#include "remoting/kexinit.h"

#include <stdint.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/str.h"

#define SSH_MSG_KEXINIT 20
#define COOKIE_LEN      16

static const char *const list_names[KEXINIT_LISTS] = {
    [KEXINIT_KEX] = "key exchange",
    [KEXINIT_HOST_KEY] = "host key",
    [KEXINIT_CIPHER_OUT] = "cipher",
    [KEXINIT_CIPHER_IN] = "cipher (from the server)",
    [KEXINIT_MAC_OUT] = "message authentication",
    [KEXINIT_MAC_IN] = "message authentication (from the server)",
};

const char *kexinit_list_name(enum kexinit_list list)
{
    ASSERT(list < KEXINIT_LISTS);
    return list_names[list];
}

static size_t read_u32(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

/* The packet after the banner: u32 length, u8 padding, u8 message, 16 bytes, then ten name-lists, each u32
 * and text. */
static bool read_packet(struct kexinit *out, const uint8_t *p, size_t len)
{
    size_t at = 6 + COOKIE_LEN;
    if (len < at || p[5] != SSH_MSG_KEXINIT)
        return false;
    for (int i = 0; i < KEXINIT_LISTS; i++) {
        if (len - at < 4)
            return false;
        size_t n = read_u32(p + at);
        at += 4;
        if (n > len - at)
            return false;
        str_show_fixed(out->lists[i], sizeof out->lists[i], (const char *)p + at, n);
        at += n;
    }
    return true;
}

void kexinit_read(struct kexinit *out, const void *data, size_t len)
{
    const char *at = data, *end = at + len;
    memset(out, 0, sizeof *out);
    /* A server may say other lines before its banner (RFC 4253 4.2). */
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        size_t n = (size_t)(stop - at);
        if (n > 0 && at[n - 1] == '\r')
            n--;
        if (n >= 4 && memcmp(at, "SSH-", 4) == 0) {
            str_show_fixed(out->banner, sizeof out->banner, at, n);
            if (newline)
                out->has_lists = read_packet(out, (const uint8_t *)newline + 1, (size_t)(end - newline) - 1);
            return;
        }
        if (out->said[0] == '\0' && n > 0)
            str_show_fixed(out->said, sizeof out->said, at, n);
        at = newline ? newline + 1 : end;
    }
}

bool kexinit_agree(const char *a, const char *b)
{
    while (*a) {
        size_t n = strcspn(a, ",");
        for (const char *p = b; *p;) {
            size_t m = strcspn(p, ",");
            if (n > 0 && n == m && memcmp(a, p, n) == 0)
                return true;
            p += m;
            p += *p == ',';
        }
        a += n;
        a += *a == ',';
    }
    return false;
}
