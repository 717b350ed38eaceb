/*
 * A server's leaf certificate in our terms. Text in it is the server's: bounded and made safe to show here, once.
 */
#ifndef CORE_PROBE_CERTIFICATE_H
#define CORE_PROBE_CERTIFICATE_H

#include "core/base/buf.h"
#include "core/model/evidence.h"

#include <openssl/x509.h>

#define CERTIFICATE_MAX_NAMES   256
#define CERTIFICATE_BINDING_MAX 64

/* Strings go to the arena. chain_ok and chain_error are left to who verified. */
enum err certificate_decode(struct arena *a, X509 *cert, struct certificate *out) MUST_CHECK;
/* RFC 6125: DNS names of the subjectAltName, or the CN when there are none; a wildcard is the whole left-most label and stands for
   one label; a name with a NUL inside matches nothing. An IP address matches address names only. */
bool certificate_has_name(X509 *cert, const char *name);
/* The hash of tls-server-end-point (RFC 5929 4.1): the signature's own, SHA-256 where that is MD5, SHA-1 or unknown. */
bool certificate_binding(X509 *cert, unsigned char out[static CERTIFICATE_BINDING_MAX], size_t *len);
/* One line of what is wrong or noteworthy at time now, "" when nothing: "certificate ends in 12 days". Returns false when it is
   bad (expired, not yet valid, wrong name, chain). */
bool certificate_words(struct buf *out, const struct certificate *c, bool name_ok, const char *name,
                       int64_t now);

#endif
