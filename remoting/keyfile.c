#include "remoting/keyfile.h"

#include <stdint.h>
#include <string.h>

#include "core/base/path.h"
#include "core/base/str.h"

static bool has(const char *text, size_t len, const char *what)
{
    return memmem(text, len, what, strlen(what)) != NULL;
}

static size_t read_u32(const uint8_t *p)
{
    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

/* One length-prefixed string at *at; NULL when it does not fit. */
static const uint8_t *read_string(const uint8_t *p, size_t len, size_t *at, size_t *n)
{
    if (len - *at < 4)
        return NULL;
    *n = read_u32(p + *at);
    *at += 4;
    if (*n > len - *at)
        return NULL;
    const uint8_t *s = p + *at;
    *at += *n;
    return s;
}

/* magic, cipher, kdf, kdf options, u32 keys, then the public key: PROTOCOL.key of OpenSSH. */
static void look_inside(struct keyfile *out, const uint8_t *p, size_t len)
{
    static const char magic[] = "openssh-key-v1";
    size_t at = sizeof magic, n = 0;
    if (len < at || memcmp(p, magic, sizeof magic) != 0)
        return;
    const uint8_t *cipher = read_string(p, len, &at, &n);
    if (!cipher)
        return;
    out->encrypted = n != 4 || memcmp(cipher, "none", 4) != 0;
    if (!read_string(p, len, &at, &n) || !read_string(p, len, &at, &n) || len - at < 4)
        return;
    at += 4;
    const uint8_t *key = read_string(p, len, &at, &n);
    size_t inner = 0, type_len = 0;
    const uint8_t *type = key ? read_string(key, n, &inner, &type_len) : NULL;
    if (type)
        str_show_fixed(out->type, sizeof out->type, (const char *)type, type_len);
}

static void look_openssh(struct keyfile *out, const char *text, size_t len)
{
    static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
    const char *from = memmem(text, len, begin, strlen(begin));
    struct buf raw;
    if (!from)
        return;
    from += strlen(begin);
    const char *end = memmem(from, (size_t)(text + len - from), "-----END", 8);
    buf_init(&raw, KEYFILE_MAX);
    if (end && base64_decode(&raw, from, (size_t)(end - from)) == ERR_OK)
        look_inside(out, (const uint8_t *)buf_str(&raw), raw.len);
    if (raw.data)
        explicit_bzero(raw.data, raw.len);
    buf_fini(&raw);
}

void keyfile_look(struct keyfile *out, const char *text, size_t len)
{
    static const char *const public_types[] = {"ssh-", "ecdsa-", "sk-", "---- BEGIN SSH2 PUBLIC KEY"};
    memset(out, 0, sizeof *out);
    if (has(text, len, "BEGIN OPENSSH PRIVATE KEY")) {
        out->format = KEYFILE_OPENSSH;
        look_openssh(out, text, len);
    } else if (has(text, len, "PRIVATE KEY-----")) {
        out->format = KEYFILE_PEM;
        out->encrypted = has(text, len, "ENCRYPTED");
        str_copy(out->type, sizeof out->type,
                 has(text, len, "BEGIN RSA")  ? "ssh-rsa"
                 : has(text, len, "BEGIN EC") ? "ecdsa"
                                              : "");
    } else if (len > 21 && memcmp(text, "PuTTY-User-Key-File", 19) == 0) {
        out->format = KEYFILE_PUTTY;
    } else {
        for (size_t i = 0; i < ARRAY_LEN(public_types); i++) {
            size_t n = strlen(public_types[i]);
            if (len >= n && memcmp(text, public_types[i], n) == 0)
                out->format = KEYFILE_PUBLIC;
        }
    }
}

enum err keyfile_read(struct keyfile *out, const char *path, struct errinfo *ei)
{
    struct buf text;
    buf_init(&text, KEYFILE_MAX);
    enum err err = path_read(&text, path, ei);
    if (err == ERR_OK)
        keyfile_look(out, buf_str(&text), text.len);
    if (text.data)
        explicit_bzero(text.data, text.cap);
    buf_fini(&text);
    if (err != ERR_OK) {
        err_wrap(ei, "ssh_key");
        return err == ERR_INPUT ? ERR_CONFIG : err;
    }
    switch (out->format) {
    case KEYFILE_OPENSSH:
    case KEYFILE_PEM: return ERR_OK;
    case KEYFILE_PUTTY:
        return err_set(ei, ERR_CONFIG, "convert it with puttygen: Conversions, Export OpenSSH key",
                       "ssh_key: %s is a PuTTY key", path);
    case KEYFILE_PUBLIC:
        return err_set(ei, ERR_CONFIG, "name the private key, without .pub", "ssh_key: %s is a public key",
                       path);
    case KEYFILE_UNKNOWN: break;
    }
    return err_set(ei, ERR_CONFIG, "make one with ssh-keygen -t ed25519", "ssh_key: %s is no private key",
                   path);
}
