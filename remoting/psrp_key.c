/*
 * The answer to a server that wants a key before it sends a SecureString (MS-PSRP 2.2.2.3, 3.1.5.4.3). Servers before protocol 2.2 wait
 * for it in the middle of the pipeline and take no signal meanwhile, so one must be given; it is one whose private half is gone before
 * it is sent: what it locks nobody reads.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <string.h>

#include "core/base/str.h"
#include "remoting/psrp_int.h"

#define BITS 2048 /* what the specification has */

/* As CryptoAPI writes public keys; the numbers little-endian. */
static const unsigned char head[] = {6,   2,   0,   0,   0, 0xa4, 0, 0, /* a public key, for key exchange */
                                     'R', 'S', 'A', '1', 0, 8,    0, 0, /* bits */
                                     1,   0,   1,   0};                 /* exponent: OpenSSL's */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static unsigned char
    blob[sizeof head + BITS / 8]; /* the process' one: nobody can use it, so all may share it */
static bool made;

static void make(void)
{
    BIGNUM *n = NULL, *e = NULL;
    EVP_PKEY *key = EVP_RSA_gen(BITS);
    memcpy(blob, head, sizeof head);
    made = key && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
           EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_word(e, 65537) &&
           BN_bn2lebinpad(n, blob + sizeof head, BITS / 8) == BITS / 8;
    BN_free(n);
    BN_free(e);
    EVP_PKEY_free(key);
}

enum err psrp_key(struct buf *out, struct errinfo *ei)
{
    (void)pthread_once(&once, make);
    if (!made)
        return err_set(ei, ERR_SYSTEM, NULL, "PSRP: no key could be made");
    enum err err = base64_encode(out, blob, sizeof blob);
    return err == ERR_OK ? ERR_OK : err_set(ei, err, NULL, "PSRP: no room for a key");
}
