/*
 * What PowerShell wrote to standard error, in plain text. Pure.
 *
 * Windows PowerShell started with -EncodedCommand writes CLIXML there: "#< CLIXML", then <Objs> with <S
 * S="Error"> lines of the error view or whole records (MS-PSRP 2.2.5; remoting.md 4.5, 6.1). There may be
 * several such blocks, and plain text of native programs before, between and after. Errors are taken apart
 * (errorview.h), warnings and notes become lines, progress is dropped. A block that is not well-formed is
 * handed on as plain text: never lost, never half-understood.
 */
#ifndef REMOTING_CLIXML_H
#define REMOTING_CLIXML_H

#include "remoting/errorview.h"

#define CLIXML_MAX_INPUT (4 << 20) /* bytes */
#define CLIXML_MAX_LINES 1000      /* warnings; notes; more are dropped */

struct text_list {
    char **v;
    size_t n, cap;
};
void text_list_fini(struct text_list *l);
/* Copies; nothing happens above CLIXML_MAX_LINES. */
enum err text_list_add(struct text_list *l, const char *text) MUST_CHECK;

struct note_list {
    struct remote_note *v;
    size_t n, cap;
};
void note_list_fini(struct note_list *l);
/* Copies the text; stream must stay. Nothing happens above CLIXML_MAX_LINES. */
enum err note_list_add(struct note_list *l, const char *stream, const char *text) MUST_CHECK;

struct clixml {
    struct error_list errors;
    struct text_list warnings; /* without "WARNING: " */
    struct note_list notes;    /* verbose, debug, information */
    char *plain;               /* what was no CLIXML, trimmed; NULL: none */
    bool malformed;            /* a block could not be read and is in plain */
};

void clixml_fini(struct clixml *c);
/* text: valid UTF-8, len bytes without NUL. Fills a zeroed struct. ERR_LIMIT above CLIXML_MAX_INPUT;
 * otherwise only memory can fail. */
enum err clixml_decode(struct clixml *out, const char *text, size_t len) MUST_CHECK;

/* Appends s with _xHHHH_ decoded: UTF-16 units, pairs joined, a lone surrogate or NUL becomes U+FFFD. */
enum err clixml_unescape(struct buf *out, const char *s) MUST_CHECK;

#endif
