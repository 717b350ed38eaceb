/*
 * OpenSSH's known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): reading, judging a key, remembering one.
 *
 * Own, because libssh2's reader gives up the whole file at a line it does not know (@cert-authority, a new
 * key type) and cannot say which key it expected. Understood: comments, lists of patterns with * ? and !,
 * [host]:port, hashed names (HMAC-SHA1), @revoked; @cert-authority lines are passed over, libssh2 checks no
 * host certificates. Reading and judging are pure.
 */
#ifndef REMOTING_KNOWN_HOSTS_H
#define REMOTING_KNOWN_HOSTS_H

#include "core/base/buf.h"
#include "core/base/vec.h"

#include <stdbool.h>
#include <stdint.h>

#define KNOWN_HOSTS_MAX_FILE    (4 << 20) /* bytes */
#define KNOWN_HOSTS_MAX_ENTRIES 100000
#define KNOWN_HOSTS_MAX_KEYS    64   /* of one host */
#define HOST_KEY_MAX            4096 /* bytes of a key blob (RFC 4253 6.6) */
#define FINGERPRINT_SIZE        64   /* "SHA256:" and 43 characters of base64 */

struct known_key {
    char type[48]; /* "ssh-ed25519" */
    uint8_t blob[HOST_KEY_MAX];
    size_t len;
    bool revoked;
    unsigned line; /* of the file, from 1 */
};

enum host_key_verdict {
    HOST_KEY_KNOWN,
    HOST_KEY_UNKNOWN,    /* nothing is known about the host */
    HOST_KEY_OTHER_TYPE, /* keys of other types are known, none of this one */
    HOST_KEY_CHANGED,    /* another key of this type is known */
    HOST_KEY_REVOKED,
};

struct known_host { /* what a file says about one host */
    VEC(struct known_key) keys;
};

void known_host_fini(struct known_host *h);
/* "host" or "[host]:port", in lower case, as the file names it. */
enum err known_host_name(struct buf *out, const char *host, uint16_t port) MUST_CHECK;
/* Everything the file's text says about name (known_host_name). Lines that cannot be read are passed over.
 * out must be zeroed. */
enum err known_host_find(struct known_host *out, const char *text, size_t len, const char *name) MUST_CHECK;
/* *expected (may be NULL): the key of that type that is known instead, or any known one for OTHER_TYPE;
 * borrowed. */
enum host_key_verdict known_host_judge(const struct known_host *h, const uint8_t *blob, size_t len,
                                       const struct known_key **expected);

/* The type a key blob names; "" when it is malformed. */
void host_key_type(const uint8_t *blob, size_t len, char *out, size_t cap);
/* "SHA256:..." as ssh-keygen -l prints it. */
void host_key_fingerprint(const uint8_t *blob, size_t len, char out[static FINGERPRINT_SIZE]);

/* Appends "name type base64" to the file (made with its folder when absent, 0600). Not thread-safe for one
 * file: the caller locks. */
enum err known_hosts_remember(const char *path, const char *name, const uint8_t *blob, size_t len,
                              struct errinfo *ei) MUST_CHECK;

#endif
