/*
 * A look at a private key file before libssh2 opens it: what kind of key, is it encrypted? Pure but for
 * reading the file; only what stands outside of the encryption is looked at. libssh2 says no more than
 * "unable to extract public key".
 */
#ifndef REMOTING_KEYFILE_H
#define REMOTING_KEYFILE_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define KEYFILE_MAX 65536 /* bytes */

enum keyfile_format {
    KEYFILE_UNKNOWN,
    KEYFILE_OPENSSH, /* openssh-key-v1 (PROTOCOL.key) */
    KEYFILE_PEM,     /* RFC 1421, RFC 5915, RFC 5958 */
    KEYFILE_PUTTY,
    KEYFILE_PUBLIC, /* the .pub file by mistake */
};

struct keyfile {
    enum keyfile_format format;
    char type[48]; /* "ssh-ed25519", "ssh-rsa", "ecdsa"; "" when it does not say */
    bool encrypted;
};

void keyfile_look(struct keyfile *out, const char *text, size_t len);
/* ERR_CONFIG when it cannot be opened or is no private key that can be used. */
enum err keyfile_read(struct keyfile *out, const char *path, struct errinfo *ei) MUST_CHECK;

#endif
