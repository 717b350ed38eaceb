/*
 * What a Windows console wrote, as UTF-8. Pure.
 *
 * We ask for UTF-8; what ran before that, or ignores it, writes the OEM code page, which cannot be known from
 * afar. Valid UTF-8 stays as it is; any other byte is read as code page 850, which shares its letters with
 * 437. The text is for people.
 */
#ifndef REMOTING_CODEPAGE_H
#define REMOTING_CODEPAGE_H

#include "core/base/buf.h"

#include <stdbool.h>

/* Appends len bytes as valid UTF-8 without NUL; CR LF becomes LF, a byte order mark at the start is dropped.
   *repaired (may be NULL) tells whether any byte was none of UTF-8. */
enum err codepage_to_utf8(struct buf *out, const char *s, size_t len, bool *repaired) MUST_CHECK;

#endif
