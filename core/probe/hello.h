/*
 * The first message of a TLS handshake and the answer to it, and nothing more: which protocol version a server takes, without a key
 * exchange of ours and without a library that may no longer speak the old ones (OpenSSL of Debian knows no SSL 3.0). RFC 6101, 5246,
 * 8446. Pure; the answer is hostile.
 */
#ifndef CORE_PROBE_HELLO_H
#define CORE_PROBE_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits of a set of versions, numbered as in core/model/evidence.h. name, number on the wire, words */
#define HELLO_VERSION_MAP(X)                                                                                 \
    X(SSL_3_0, 0x0300, "SSL 3.0")                                                                            \
    X(TLS_1_0, 0x0301, "TLS 1.0")                                                                            \
    X(TLS_1_1, 0x0302, "TLS 1.1")                                                                            \
    X(TLS_1_2, 0x0303, "TLS 1.2")                                                                            \
    X(TLS_1_3, 0x0304, "TLS 1.3")

enum hello_version {
#define X(name, number, words) HELLO_##name,
    HELLO_VERSION_MAP(X)
#undef X
        HELLO_VERSIONS
};
const char *hello_version_words(enum hello_version v);

#define HELLO_SIZE     1024 /* of a message of ours, at most */
#define HELLO_READ_MAX 4096 /* of an answer; what matters is in its first hundred bytes */

/* A ClientHello that offers exactly this version (as the highest: before 1.3 a server may answer with a lower one). name goes to SNI
   unless NULL (SSL 3.0 has none). Returns its length, 0 when name is too long. */
size_t hello_build(enum hello_version v, const char *name, const uint8_t random[static 32],
                   uint8_t out[static HELLO_SIZE]);

enum hello_answer {
    HELLO_MORE,    /* not enough yet */
    HELLO_AGREED,  /* *version is what the server chose, one we know */
    HELLO_ALERT,   /* *alert is its description */
    HELLO_GARBAGE, /* no TLS, or nothing we know */
};
/* What came so far, from its first byte. A HelloRetryRequest is an agreement. */
enum hello_answer hello_read(const uint8_t *p, size_t n, enum hello_version *version, uint8_t *alert);

#endif
