/* A server's certificate, DER: decoded, matched against a name, put into words. */
#include "core/probe/certificate.h"
#include "core/base/str.h"

#include <openssl/err.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const unsigned char *p = data;
    X509 *x = d2i_X509(NULL, &p, size > 65536 ? 65536 : (long)size);
    struct arena a;
    struct certificate c;
    arena_init(&a, 1 << 20);
    if (x && certificate_decode(&a, x, &c) == ERR_OK) {
        unsigned char hash[CERTIFICATE_BINDING_MAX];
        size_t len = 0;
        struct buf words;
        ASSERT(c.n_names <= CERTIFICATE_MAX_NAMES);
        for (size_t i = 0; i < c.n_names; i++)
            ASSERT(utf8_valid(c.names[i], strlen(c.names[i])));
        ASSERT(c.key_type && c.signature_hash && strlen(c.sha256) == 64);
        bool ok = certificate_has_name(x, "mail.contoso.lab");
        buf_init(&words, 4096);
        certificate_words(&words, &c, ok, "mail.contoso.lab", 1795489200);
        ASSERT(utf8_valid(buf_str(&words), words.len));
        buf_fini(&words);
        ASSERT(!certificate_binding(x, hash, &len) || (len >= 20 && len <= sizeof hash));
    }
    X509_free(x);
    arena_fini(&a);
    ERR_clear_error();
    return 0;
}
