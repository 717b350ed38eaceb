#include "core/probe/certificate.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#define NAME_SHOWN_MAX 512
#define DAY            86400

static int64_t time_of(const ASN1_TIME *t)
{
    struct tm tm = {0};
    if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
        return 0;
    return clock_from_civil(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static const char *shown(struct arena *a, const void *data, size_t len)
{
    char text[NAME_SHOWN_MAX];
    str_show_fixed(text, sizeof text, data, len);
    return arena_str(a, text);
}

/* NULL when there is none. */
static const char *common_name(struct arena *a, const X509 *cert)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (i < 0)
        return NULL;
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
    const char *out = len < 0 ? NULL : shown(a, text, (size_t)len);
    OPENSSL_free(text);
    return out;
}

static const char *issuer_of(struct arena *a, const X509 *cert)
{
    BIO *b = BIO_new(BIO_s_mem());
    const char *out = NULL;
    char *text;
    if (b &&
        X509_NAME_print_ex(b, X509_get_issuer_name(cert), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        long len = BIO_get_mem_data(b, &text);
        out = shown(a, text, len > 0 ? (size_t)len : 0);
    }
    BIO_free(b);
    return out;
}

static enum err decode_names(struct arena *a, X509 *cert, struct certificate *out)
{
    GENERAL_NAMES *san = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int n = san ? sk_GENERAL_NAME_num(san) : 0;
    enum err e = ERR_OK;
    out->names = arena_array(a, (n < CERTIFICATE_MAX_NAMES ? (size_t)n : CERTIFICATE_MAX_NAMES) + 1,
                             sizeof *out->names);
    if (!out->names) {
        e = ERR_LIMIT;
        goto out;
    }
    for (int i = 0; i < n && out->n_names < CERTIFICATE_MAX_NAMES; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(san, i);
        if (g->type != GEN_DNS)
            continue;
        const char *name =
            shown(a, ASN1_STRING_get0_data(g->d.dNSName), (size_t)ASN1_STRING_length(g->d.dNSName));
        if (!name) {
            e = ERR_LIMIT;
            goto out;
        }
        out->names[out->n_names++] = name;
    }
    if (out->n_names == 0 && out->subject_cn)
        out->names[out->n_names++] = out->subject_cn;
out:
    GENERAL_NAMES_free(san);
    return e;
}

static const char *hash_of(struct arena *a, X509 *cert)
{
    int md = NID_undef, key = NID_undef;
    char text[32];
    if (!X509_get_signature_info(cert, &md, &key, NULL, NULL))
        return "unknown";
    str_copy(text, sizeof text, OBJ_nid2sn(md != NID_undef ? md : key)); /* Ed25519 has its hash built in */
    for (char *p = text; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return arena_str(a, text);
}

enum err certificate_decode(struct arena *a, X509 *cert, struct certificate *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
    *out = (struct certificate){0};
    out->subject_cn = common_name(a, cert);
    out->issuer = issuer_of(a, cert);
    out->not_before = time_of(X509_get0_notBefore(cert));
    out->not_after = time_of(X509_get0_notAfter(cert));
    EVP_PKEY *key = X509_get0_pubkey(cert);
    const char *type = key ? EVP_PKEY_get0_type_name(key) : NULL;
    out->key_type = arena_str(a, type ? type : "unknown");
    out->key_bits = key ? EVP_PKEY_get_bits(key) : 0;
    out->signature_hash = hash_of(a, cert);
    if (X509_digest(cert, EVP_sha256(), digest, &len))
        for (unsigned i = 0; i < len; i++)
            str_fmt(hex + (size_t)2 * i, 3, "%02x", digest[i]);
    out->sha256 = arena_str(a, hex);
    enum err e = decode_names(a, cert, out);
    return e ? e : a->failed ? ERR_LIMIT : ERR_OK;
}

bool certificate_has_name(X509 *cert, const char *name)
{
    unsigned char addr[sizeof(struct in6_addr)];
    size_t len = strlen(name);
    if (inet_pton(AF_INET, name, addr) == 1 || inet_pton(AF_INET6, name, addr) == 1)
        return X509_check_ip_asc(cert, name, 0) == 1;
    if (len && name[len - 1] == '.')
        len--;
    /* OpenSSL would measure a name of length 0 itself, and takes a leading dot for "anything below" */
    return len && *name != '.' &&
           X509_check_host(cert, name, len, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

bool certificate_binding(X509 *cert, unsigned char out[static CERTIFICATE_BINDING_MAX], size_t *len)
{
    int nid = NID_undef;
    unsigned n = 0;
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (!X509_get_signature_info(cert, &nid, NULL, NULL, NULL) || nid == NID_md5 || nid == NID_sha1)
        nid = NID_undef;
    const EVP_MD *md = nid == NID_undef ? EVP_sha256() : EVP_get_digestbynid(nid);
    if (!X509_digest(cert, md ? md : EVP_sha256(), digest, &n) || n > CERTIFICATE_BINDING_MAX)
        return false;
    memcpy(out, digest, n);
    *len = n;
    return true;
}

bool certificate_words(struct buf *out, const struct certificate *c, bool name_ok, const char *name,
                       int64_t now)
{
    bool good = true;
    const char *sep = "";
    int64_t left = c->not_after - now;
    if (left <= 0) {
        int64_t days = -left / DAY;
        buf_addf(out, days ? "expired %lld day%s ago" : "expired today", (long long)days,
                 days == 1 ? "" : "s");
        good = false;
        sep = "; ";
    } else if (c->not_before > now) {
        char text[CLOCK_TEXT_SIZE];
        buf_addf(out, "not valid before %s", clock_rfc3339(c->not_before, text));
        good = false;
        sep = "; ";
    } else if (left < 60 * (int64_t)DAY) {
        buf_addf(out, "ends in %lld day%s", (long long)(left / DAY), left / DAY == 1 ? "" : "s");
        sep = "; ";
    }
    if (!name_ok) {
        buf_addf(out, "%snot for the name %s (it is for %s%s)", sep, name,
                 c->n_names ? c->names[0] : "no name", c->n_names > 1 ? " and others" : "");
        good = false;
        sep = "; ";
    }
    if (!c->chain_ok && left > 0) { /* an expired one was said already */
        buf_addf(out, "%schain not trusted: %s", sep, c->chain_error ? c->chain_error : "unknown reason");
        good = false;
    }
    return good;
}
