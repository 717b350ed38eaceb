/*
 * What POP3 (RFC 1939, 2449, 2595) and IMAP4 (RFC 3501) servers say about themselves, line by line, without I/O.
 */
#ifndef CORE_PROBE_MAIL_H
#define CORE_PROBE_MAIL_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum mail_kind { MAIL_POP, MAIL_IMAP };

struct mail_caps {
    bool starttls;                   /* STLS, STARTTLS */
    bool login_disabled;             /* IMAP: LOGIN is refused (without TLS) */
    bool user;                       /* a plain user and password: USER, or LOGIN unless disabled */
    bool plain, login, ntlm, gssapi; /* SASL mechanisms */
    unsigned others;                 /* further mechanisms */
};

enum mail_line { MAIL_MORE, MAIL_OK, MAIL_NO };

/* "+OK ..." or "* OK ...": a greeting that lets us go on; text is what follows. */
bool mail_greeting(enum mail_kind kind, const char *line, size_t len, const char **text, size_t *text_len);
/* One line of the answer to CAPA or "a CAPABILITY"; first: the first of them. OK: the answer ends here. NO: refused. */
enum mail_line mail_caps_line(enum mail_kind kind, struct mail_caps *caps, const char *line, size_t len,
                              bool first);
/* The answer to STLS or "a STARTTLS". */
enum mail_line mail_tls_line(enum mail_kind kind, const char *line, size_t len);
/* "user and password, PLAIN, NTLM; STARTTLS offered" */
void mail_caps_words(enum mail_kind kind, const struct mail_caps *caps, struct buf *out);

#endif
