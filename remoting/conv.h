/*
 * One GSSAPI conversation: logging in to a server over HTTP, then sealing messages (MS-WSMV 3.1.4.1.x, RFC 4559; remoting.md 3).
 *
 * A conversation belongs to one connection and one thread; it ends with the connection and cannot be repaired: after a lost or
 * doubled message nothing more is sealed or opened with it.
 */
#ifndef REMOTING_CONV_H
#define REMOTING_CONV_H

#include "core/base/buf.h"
#include "core/base/secret.h"
#include "core/kerberos/kerberos.h"

#define CONV_TOKEN_MAX ((size_t)128 * 1024) /* an AD ticket with a large PAC stays below 64 KiB */

enum conv_scheme { CONV_SCHEME_NEGOTIATE, CONV_SCHEME_KERBEROS, CONV_SCHEME_NTLM };
const char *conv_scheme_name(enum conv_scheme s); /* as in WWW-Authenticate */

struct conv_settings { /* all borrowed, for conv_new() only but for what Kerberos' cache holds */
    enum conv_scheme scheme;
    struct krb_login *login; /* Kerberos; NULL: NTLM with user and password */
    const char *user;        /* "DOMAIN\user", "user@domain", "user" */
    const struct secret *password;
    const char *spn;     /* "HTTP/host" */
    const void *binding; /* hash of the server's certificate (RFC 5929), NULL without TLS */
    size_t binding_len;
    bool seal; /* messages will be encrypted: the conversation is worth nothing without */
};

struct conv;
enum err conv_new(struct conv **out, const struct conv_settings *s, struct errinfo *ei) MUST_CHECK;
void conv_free(struct conv **c);

/* Takes the server's token (NULL at first), appends ours (nothing when there is none to send). ERR_AUTH in words: no ticket, the
   server's proof is wrong, refused. */
enum err conv_step(struct conv *c, const void *in, size_t len, struct buf *out,
                   struct errinfo *ei) MUST_CHECK;
/* Nothing is missing: with Kerberos the server has proved who it is, and encryption is there when it was asked for. */
bool conv_is_complete(const struct conv *c);
enum conv_scheme conv_scheme(const struct conv *c);
bool conv_is_kerberos(const struct conv *c); /* once complete */

struct conv_sealed { /* owned by the conversation until the next seal */
    const void *head, *data;
    size_t head_len, data_len;
    size_t length; /* plain length and padding */
};
enum err conv_seal(struct conv *c, const void *plain, size_t len, struct conv_sealed *out,
                   struct errinfo *ei) MUST_CHECK;
/* Appends the plain text. Any failure, and a message out of order, ends the conversation (ERR_PROTOCOL). */
enum err conv_open(struct conv *c, const void *head, size_t head_len, const void *data, size_t data_len,
                   struct buf *out, struct errinfo *ei) MUST_CHECK;

#endif
