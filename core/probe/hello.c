#include "core/probe/hello.h"

#include <string.h>

static const struct {
    uint16_t number;
    const char *words;
} versions[HELLO_VERSIONS] = {
#define X(name, number, words) {number, words},
    HELLO_VERSION_MAP(X)
#undef X
};

/* Everything a Windows server of the last twenty years may insist on, best first. */
static const uint16_t suites[] = {
    0xc02c, 0xc02b, 0xc030, 0xc02f, 0xcca9, 0xcca8, /* ECDHE with GCM, ChaCha20 */
    0x009f, 0x009e,                                 /* DHE with GCM */
    0xc024, 0xc023, 0xc028, 0xc027, 0xc00a, 0xc009, 0xc014,
    0xc013, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f, /* RSA with AES */
    0x006b, 0x0067, 0x0039, 0x0033, 0x0038, 0x0032,         /* DHE with AES */
    0x000a, 0x0016, 0x0013, 0x0005, 0x0004, 0x0009, 0x00ff  /* 3DES, RC4, DES; renegotiation is secure */
};
static const uint16_t suites_1_3[] = {0x1302, 0x1301, 0x1303};
static const uint16_t groups[] = {0x001d, 0x0017, 0x0018, 0x0019};
static const uint16_t signatures[] = {0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401,
                                      0x0501, 0x0601, 0x0203, 0x0201, 0x0402, 0x0202};

enum {
    EXT_NAME = 0,
    EXT_GROUPS = 10,
    EXT_POINTS = 11,
    EXT_SIGNATURES = 13,
    EXT_VERSIONS = 43,
    EXT_SHARE = 51
};

struct writer {
    uint8_t *p;
    size_t n;
};

static void put8(struct writer *w, unsigned v)
{
    w->p[w->n++] = (uint8_t)v;
}

static void put16(struct writer *w, unsigned v)
{
    put8(w, v >> 8);
    put8(w, v & 0xff);
}

static void put_list(struct writer *w, const uint16_t *list, size_t bytes)
{
    put16(w, (unsigned)bytes);
    for (size_t i = 0; i < bytes / 2; i++)
        put16(w, list[i]);
}

/* A length to be filled in when what follows is written. */
static size_t open16(struct writer *w)
{
    put16(w, 0);
    return w->n;
}

static void close16(struct writer *w, size_t from)
{
    w->p[from - 2] = (uint8_t)((w->n - from) >> 8);
    w->p[from - 1] = (uint8_t)(w->n - from);
}

static void put_extensions(struct writer *w, enum hello_version v, const char *name)
{
    size_t all = open16(w), one;
    if (name) {
        size_t len = strlen(name);
        put16(w, EXT_NAME);
        put16(w, (unsigned)len + 5);
        put16(w, (unsigned)len + 3);
        put8(w, 0);
        put16(w, (unsigned)len);
        memcpy(w->p + w->n, name, len);
        w->n += len;
    }
    put16(w, EXT_GROUPS);
    one = open16(w);
    put_list(w, groups, sizeof groups);
    close16(w, one);
    put16(w, EXT_POINTS);
    put16(w, 2);
    put16(w, 0x0100); /* one: uncompressed */
    if (v >= HELLO_TLS_1_2) {
        put16(w, EXT_SIGNATURES);
        one = open16(w);
        put_list(w, signatures, sizeof signatures);
        close16(w, one);
    }
    if (v == HELLO_TLS_1_3) {
        put16(w, EXT_VERSIONS);
        put16(w, 3);
        put8(w, 2);
        put16(w, versions[v].number);
        put16(w, EXT_SHARE); /* no share: the server asks for one, which is all we want to know */
        put16(w, 2);
        put16(w, 0);
    }
    close16(w, all);
}

size_t hello_build(enum hello_version v, const char *name, const uint8_t random[static 32],
                   uint8_t out[static HELLO_SIZE])
{
    struct writer w = {out, 0};
    uint16_t number = versions[v < HELLO_TLS_1_3 ? v : HELLO_TLS_1_2].number;
    if (name && strlen(name) > 255)
        return 0;
    put8(&w, 22);
    put16(&w, v == HELLO_SSL_3_0 ? 0x0300 : 0x0301);
    size_t record = open16(&w);
    put8(&w, 1);
    put8(&w, 0);
    size_t message = open16(&w);
    put16(&w, number);
    memcpy(w.p + w.n, random, 32);
    w.n += 32;
    put8(&w, 0); /* no session */
    if (v == HELLO_TLS_1_3)
        put_list(&w, suites_1_3, sizeof suites_1_3);
    else
        put_list(&w, suites, sizeof suites);
    put16(&w, 0x0100); /* one: no compression */
    if (v != HELLO_SSL_3_0)
        put_extensions(&w, v, name);
    close16(&w, message);
    close16(&w, record);
    return w.n;
}

const char *hello_version_words(enum hello_version v)
{
    return v < HELLO_VERSIONS ? versions[v].words : "an unknown version";
}

static unsigned get16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static enum hello_answer agreed(unsigned number, enum hello_version *version)
{
    for (int v = 0; v < HELLO_VERSIONS; v++)
        if (versions[v].number == number) {
            *version = (enum hello_version)v;
            return HELLO_AGREED;
        }
    return HELLO_GARBAGE;
}

/* body .. n: what came of a ServerHello of `whole` bytes. */
static enum hello_answer server_hello(const uint8_t *body, size_t n, size_t whole,
                                      enum hello_version *version)
{
    if (whole < 38)
        return HELLO_GARBAGE;
    if (n < 2)
        return HELLO_MORE;
    unsigned number = get16(body);
    if (number != 0x0303)
        return agreed(number, version);
    if (n < whole) /* 1.2, or 1.3 in its clothes: an extension tells */
        return HELLO_MORE;
    size_t at = 34u + 1u + body[34] + 2 + 1;
    if (at + 2 > whole)
        return at == whole ? agreed(number, version) : HELLO_GARBAGE;
    size_t end = at + 2 + get16(body + at);
    if (end > whole)
        return HELLO_GARBAGE;
    for (at += 2; at + 4 <= end;) {
        unsigned type = get16(body + at), len = get16(body + at + 2);
        at += 4;
        if (len > end - at)
            return HELLO_GARBAGE;
        if (type == EXT_VERSIONS)
            return len == 2 ? agreed(get16(body + at), version) : HELLO_GARBAGE;
        at += len;
    }
    return agreed(number, version);
}

/* The message so far. */
static enum hello_answer judge(const uint8_t *message, size_t have, enum hello_version *version)
{
    if (have && message[0] != 2)
        return HELLO_GARBAGE;
    if (have < 4)
        return HELLO_MORE;
    size_t whole = (size_t)message[1] << 16 | get16(message + 2), came = have - 4;
    return server_hello(message + 4, came < whole ? came : whole, whole, version);
}

enum hello_answer hello_read(const uint8_t *p, size_t n, enum hello_version *version, uint8_t *alert)
{
    uint8_t message[HELLO_READ_MAX];
    size_t have = 0;
    if (n > HELLO_READ_MAX)
        n = HELLO_READ_MAX;
    for (size_t at = 0; at < n;) {
        if (p[at] != 22 && p[at] != 21)
            return HELLO_GARBAGE;
        if (n - at < 5)
            break;
        size_t len = get16(p + at + 3), here = n - at - 5;
        if (p[at + 1] != 3 || p[at + 2] > 4 || len == 0)
            return HELLO_GARBAGE;
        if (p[at] == 21) {
            if (len != 2 || have)
                return HELLO_GARBAGE;
            if (here < 2)
                break;
            *alert = p[at + 6];
            if (p[at + 5] == 2) /* fatal; a warning (no such name) may come before the answer */
                return HELLO_ALERT;
        } else {
            size_t take = len < here ? len : here; /* a message may be spread over several records */
            memcpy(message + have, p + at + 5, take);
            have += take;
            enum hello_answer a = judge(message, have, version);
            if (a != HELLO_MORE)
                return a;
        }
        if (len > here)
            break;
        at += 5 + len;
    }
    return n == HELLO_READ_MAX ? HELLO_GARBAGE : HELLO_MORE;
}
