/* What auth.c and krb.c share. */
#ifndef CORE_PROXY_AUTH_INT_H
#define CORE_PROXY_AUTH_INT_H

#include "core/base/clock.h"
#include "core/proxy/ident.h"
#include "core/proxy/logon.h"
#include "core/proxy/proxy_int.h"

#include <openssl/evp.h>

struct auth_state {
    enum proxy_auth mode;
    struct ident *engine; /* PROXY_AUTH_KEYTAB: who the engine is */
    struct logon_book *book;
    unsigned char key[32]; /* of this run */
    pthread_mutex_t mac_lock;
    EVP_MAC_CTX *mac;
};

bool auth_digest(struct auth_state *a, const char *label, const void *data, size_t len,
                 uint8_t out[static LOGON_DIGEST]);

#endif
