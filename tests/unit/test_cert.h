/*
 * Certificates for unit tests, made on the spot with OpenSSL. Header only.
 */
#ifndef TESTS_UNIT_TEST_CERT_H
#define TESTS_UNIT_TEST_CERT_H

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct test_name {
    const char *bytes;
    size_t len; /* a NUL may be inside */
};
#define TEST_NAME(s)                                                                                         \
    {                                                                                                        \
        (s), sizeof(s) - 1                                                                                   \
    }

struct test_cert {
    const char *cn; /* NULL: empty subject */
    struct test_name names[4];
    size_t n_names;
    long from_s, until_s; /* seconds from now */
    const EVP_MD *md;     /* NULL: SHA-256 */
    bool ca;
};

static inline EVP_PKEY *test_key(void)
{
    return EVP_EC_gen("P-256");
}

/* Signed by issuer (NULL: by itself). NULL when OpenSSL refuses. */
static inline X509 *test_cert_make(const struct test_cert *c, EVP_PKEY *key, X509 *issuer,
                                   EVP_PKEY *issuer_key)
{
    static long serial = 1;
    X509 *x = X509_new();
    GENERAL_NAMES *san = c->n_names ? sk_GENERAL_NAME_new_null() : NULL;
    bool ok = x && X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), serial++) &&
              X509_gmtime_adj(X509_getm_notBefore(x), c->from_s) &&
              X509_gmtime_adj(X509_getm_notAfter(x), c->until_s) && X509_set_pubkey(x, key);
    if (ok && c->cn)
        ok = X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                                        (const unsigned char *)c->cn, -1, -1, 0);
    ok = ok && X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
    for (size_t i = 0; ok && i < c->n_names; i++) {
        GENERAL_NAME *g = GENERAL_NAME_new();
        ASN1_IA5STRING *s = ASN1_IA5STRING_new();
        ok = g && s && ASN1_STRING_set(s, c->names[i].bytes, (int)c->names[i].len);
        if (ok) {
            GENERAL_NAME_set0_value(g, GEN_DNS, s);
            ok = sk_GENERAL_NAME_push(san, g) > 0;
        }
    }
    if (ok && san)
        ok = X509_add1_ext_i2d(x, NID_subject_alt_name, san, 0, X509V3_ADD_DEFAULT) == 1;
    if (ok && c->ca) {
        BASIC_CONSTRAINTS b = {.ca = 0xff};
        ok = X509_add1_ext_i2d(x, NID_basic_constraints, &b, 1, X509V3_ADD_DEFAULT) == 1;
    }
    ok = ok && X509_sign(x, issuer_key ? issuer_key : key, c->md ? c->md : EVP_sha256());
    GENERAL_NAMES_free(san);
    if (!ok) {
        X509_free(x);
        x = NULL;
    }
    return x;
}

#endif
