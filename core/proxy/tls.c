/* TLS contexts. */
#include "core/proxy/tls.h"

#include "core/base/str.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define SELF_SIGNED_DAYS 30

static enum err fail(struct errinfo *ei, enum err code, const char *hint, const char *what, const char *name)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;
    ERR_clear_error();
    return err_set(ei, code, hint, "%s%s%s: %s", what, name != NULL ? " " : "", name != NULL ? name : "",
                   reason != NULL ? reason : "failed");
}

static bool fingerprint(X509 *x, char *out)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (X509_digest(x, EVP_sha256(), md, &n) != 1 || n != 32)
        return false;
    for (unsigned i = 0; i < n; i++)
        (void)snprintf(out + 3 * i, 4, i + 1 < n ? "%02X:" : "%02X", md[i]);
    return true;
}

static bool add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e != NULL && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

/* Built from structures, not from configuration text: a name with a comma stays a name. */
static bool add_names(X509 *x, const char *const *names)
{
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    bool ok = all != NULL;
    for (size_t i = 0; ok && names[i] != NULL; i++) {
        unsigned char ip[16];
        int ip_len = inet_pton(AF_INET, names[i], ip) == 1    ? 4
                     : inet_pton(AF_INET6, names[i], ip) == 1 ? 16
                                                              : 0;
        GENERAL_NAME *g = GENERAL_NAME_new();
        ASN1_STRING *s = ASN1_STRING_type_new(ip_len != 0 ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
        ok = g != NULL && s != NULL &&
             ASN1_STRING_set(s, ip_len != 0 ? (const void *)ip : names[i],
                             ip_len != 0 ? ip_len : (int)strlen(names[i])) == 1;
        if (!ok || sk_GENERAL_NAME_push(all, g) == 0) {
            GENERAL_NAME_free(g);
            ASN1_STRING_free(s);
            ok = false;
        } else {
            GENERAL_NAME_set0_value(g, ip_len != 0 ? GEN_IPADD : GEN_DNS, s);
        }
    }
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(all);
    return ok;
}

/* P-256: signing costs a fifth of RSA-2048's (proxy-engine.md 5). */
static enum err self_signed(struct tls_identity *id, const char *const *names, struct errinfo *ei)
{
    enum err r = ERR_OK;
    X509 *x = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIGNUM *serial = BN_new();
    X509_NAME *subject = x != NULL ? X509_get_subject_name(x) : NULL;
    bool ok = x != NULL && key != NULL && serial != NULL &&
              BN_rand(serial, 63, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) != NULL && X509_set_version(x, 2) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(x), -300) != NULL &&
              X509_time_adj_ex(X509_getm_notAfter(x), SELF_SIGNED_DAYS, 0, NULL) != NULL &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)names[0], -1,
                                         -1, 0) == 1 &&
              X509_set_issuer_name(x, subject) == 1 && X509_set_pubkey(x, key) == 1 && add_names(x, names) &&
              add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(x, NID_key_usage, "critical,digitalSignature") &&
              add_extension(x, NID_ext_key_usage, "serverAuth") && X509_sign(x, key, EVP_sha256()) > 0;
    BN_free(serial);
    if (ok) {
        id->certificate = x;
        id->key = key;
        id->self_signed = true;
    } else {
        r = fail(ei, ERR_TLS, "give a certificate with --certificate and --key", "making a certificate",
                 NULL);
        X509_free(x);
        EVP_PKEY_free(key);
    }
    return r;
}

/* A key file that asks for a passphrase must not block on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)rwflag;
    (void)arg;
    if (size > 0)
        buf[0] = '\0';
    return 0;
}

static enum err load_files(struct tls_identity *id, const char *certificate, const char *key,
                           struct errinfo *ei)
{
    enum err r = ERR_OK;
    BIO *in = BIO_new_file(certificate, "r");
    if (in == NULL)
        return fail(ei, ERR_CONFIG, "is it there, and readable?", "certificate", certificate);
    id->certificate = PEM_read_bio_X509_AUX(in, NULL, no_passphrase, NULL);
    if (id->certificate == NULL || (id->chain = sk_X509_new_null()) == NULL) {
        r = fail(ei, ERR_CONFIG, "a PEM certificate, then its chain", "certificate", certificate);
        goto out;
    }
    for (X509 *x; (x = PEM_read_bio_X509(in, NULL, no_passphrase, NULL)) != NULL;)
        if (sk_X509_push(id->chain, x) == 0)
            X509_free(x);
    ERR_clear_error();
    BIO_free(in);
    in = BIO_new_file(key, "r");
    id->key = in != NULL ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, NULL) : NULL;
    if (id->key == NULL)
        r = fail(ei, ERR_CONFIG, "a PEM key without a passphrase", "key", key);
    else if (X509_check_private_key(id->certificate, id->key) != 1)
        r = fail(ei, ERR_CONFIG, "the key of another certificate?", "key", key);
out:
    BIO_free(in);
    return r;
}

enum err tls_identity_load(struct tls_identity *out, const char *certificate, const char *key,
                           const char *const *names, struct errinfo *ei)
{
    struct tls_identity id = {0};
    enum err r = certificate != NULL ? load_files(&id, certificate, key != NULL ? key : certificate, ei)
                                     : self_signed(&id, names, ei);
    if (r == ERR_OK && !fingerprint(id.certificate, id.fingerprint))
        r = fail(ei, ERR_TLS, NULL, "fingerprint of the certificate", certificate);
    if (r == ERR_OK)
        *out = id;
    else
        tls_identity_fini(&id);
    return r;
}

void tls_identity_fini(struct tls_identity *id)
{
    X509_free(id->certificate);
    sk_X509_pop_free(id->chain, X509_free);
    EVP_PKEY_free(id->key);
    memset(id, 0, sizeof *id);
}

static int choose_http11(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
                         unsigned inlen, void *arg)
{
    (void)ssl;
    (void)arg;
    for (unsigned i = 0; i < inlen; i += 1u + in[i])
        if (in[i] == 8 && i + 9 <= inlen && memcmp(in + i + 1, "http/1.1", 8) == 0) {
            *out = in + i + 1;
            *outlen = 8;
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_NOACK; /* connection-bound authentication has no place in h2 */
}

static void common(SSL_CTX *c)
{
    SSL_CTX_set_read_ahead(c, 1);
    (void)SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_AUTO_RETRY);
    (void)SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
}

enum err tls_server_context(SSL_CTX **out, const struct tls_identity *id,
                            const unsigned char ticket_keys[TLS_TICKET_KEYS], struct errinfo *ei)
{
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());
    if (c == NULL)
        return fail(ei, ERR_TLS, NULL, "a TLS context", NULL);
    common(c);
    (void)SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    static const unsigned char session_id[] = "casbridge";
    unsigned char keys[TLS_TICKET_KEYS];
    memcpy(keys, ticket_keys, sizeof keys);
    bool ok = SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1 &&
              SSL_CTX_set_session_id_context(c, session_id, sizeof session_id - 1) == 1 &&
              SSL_CTX_set_tlsext_ticket_keys(c, keys, sizeof keys) == 1 &&
              SSL_CTX_set_num_tickets(c, 1) == 1 && SSL_CTX_use_certificate(c, id->certificate) == 1 &&
              SSL_CTX_use_PrivateKey(c, id->key) == 1 &&
              (id->chain == NULL || SSL_CTX_set1_chain(c, id->chain) == 1);
    OPENSSL_cleanse(keys, sizeof keys);
    SSL_CTX_set_alpn_select_cb(c, choose_http11, NULL);
    (void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_SERVER);
    (void)SSL_CTX_sess_set_cache_size(c, 4096);
    if (!ok) {
        SSL_CTX_free(c);
        return fail(ei, ERR_TLS, "is the certificate usable for a server?", "the front end's TLS context",
                    NULL);
    }
    *out = c;
    return ERR_OK;
}

enum err tls_client_context(SSL_CTX **out, const struct tls_client_options *o, struct errinfo *ei)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    if (c == NULL)
        return fail(ei, ERR_TLS, NULL, "a TLS context", NULL);
    common(c);
    (void)SSL_CTX_set_options(c, SSL_OP_LEGACY_SERVER_CONNECT);
    SSL_CTX_set_security_level(c, 0);
    static const unsigned char alpn[] = "\x08http/1.1";
    bool ok = SSL_CTX_set_min_proto_version(c, TLS1_VERSION) == 1 &&
              SSL_CTX_set_cipher_list(c, "DEFAULT:@SECLEVEL=0") == 1 &&
              SSL_CTX_set_alpn_protos(c, alpn, sizeof alpn - 1) == 0;
    (void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_verify(c, o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    enum err r = ok ? ERR_OK : fail(ei, ERR_TLS, NULL, "the upstream TLS context", NULL);
    if (r == ERR_OK && !o->insecure) {
        (void)SSL_CTX_set_default_verify_paths(c);
        const char *files[] = {o->ca, o->trust};
        for (size_t i = 0; i < ARRAY_LEN(files) && r == ERR_OK; i++)
            if (files[i] != NULL && SSL_CTX_load_verify_file(c, files[i]) != 1)
                r = fail(ei, ERR_CONFIG, "a PEM file of authorities is wanted", "authorities in", files[i]);
    }
    ERR_clear_error();
    if (r == ERR_OK)
        *out = c;
    else
        SSL_CTX_free(c);
    return r;
}

size_t tls_end_point_hash(SSL *ssl, unsigned char out[static EVP_MAX_MD_SIZE])
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    int md_nid = NID_undef;
    unsigned n = 0;
    if (x == NULL)
        return 0;
    (void)X509_get_signature_info(x, &md_nid, NULL, NULL, NULL);
    const EVP_MD *md = EVP_get_digestbynid(md_nid);
    /* RFC 5929 4.1: MD5 and SHA-1 become SHA-256; EdDSA and the like have none of their own */
    if (md == NULL || md_nid == NID_md5 || md_nid == NID_sha1)
        md = EVP_sha256();
    return X509_digest(x, md, out, &n) == 1 ? n : 0;
}
