/*
 * multipart/encrypted: how WS-Management carries messages that GSSAPI sealed (MS-WSMV 2.2.9.1; remoting.md 3.2). Pure.
 *
 * The two kinds of part alternate: a description with the kind of protection and the plain length, then a 32-bit little-endian length,
 * the seal's header and the sealed bytes, with no line end before the next boundary. Sealed bytes are anything, the boundary's text
 * too: their end is counted, never searched for.
 */
#ifndef REMOTING_MULTIPART_H
#define REMOTING_MULTIPART_H

#include "core/base/buf.h"

#include <stdbool.h>

#define MULTIPART_HEAD_MAX 1024 /* bytes of a seal's header */

#define MULTIPART_SPNEGO   "application/HTTP-SPNEGO-session-encrypted"
#define MULTIPART_KERBEROS "application/HTTP-Kerberos-session-encrypted"

struct multipart_part { /* borrowed */
    const void *head;
    size_t head_len;
    const void *data;
    size_t data_len;
    size_t length; /* as OriginalContent says: the message with what padding the seal added */
};

/* "multipart/encrypted;protocol="...";boundary="Encrypted Boundary"". */
void multipart_content_type(const char *protocol, char *out, size_t cap);
/* Appends one message as a whole body. */
enum err multipart_write(struct buf *out, const char *protocol, const struct multipart_part *part) MUST_CHECK;

bool multipart_is(const char *content_type);
/* Takes a whole body apart. parts borrow from it. ERR_PROTOCOL: not of this form or cut short; ERR_LIMIT: more than max parts. */
enum err multipart_read(const char *content_type, const void *body, size_t len, struct multipart_part *parts,
                        size_t max, size_t *n, struct errinfo *ei) MUST_CHECK;

#endif
