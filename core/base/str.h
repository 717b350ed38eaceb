/*
 * Strings: comparison without locale, UTF-8, and making hostile text safe to show.
 */
#ifndef CORE_BASE_STR_H
#define CORE_BASE_STR_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* ASCII case folding only; NULL equals only NULL. */
bool str_ieq(const char *a, const char *b);
bool str_eq(const char *a, const char *b);
int str_icmp(const char *a, const char *b);
int str_incmp(const char *a, const char *b, size_t n);
bool str_istarts(const char *s, const char *prefix);
bool str_iends(const char *s, const char *suffix);
/* Finds needle without regard to ASCII case; NULL when absent. */
const char *str_icontains(const char *s, const char *needle);

/* Copies with truncation at a UTF-8 boundary; always terminated. Returns false when it was cut. */
bool str_copy(char *dst, size_t cap, const char *src);
bool str_fmt(char *dst, size_t cap, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Whole string, no sign unless allowed by the type, no white space. False on anything else or overflow. */
bool str_to_u64(const char *s, size_t len, uint64_t *out);
bool str_to_i64(const char *s, size_t len, int64_t *out);
bool str_to_port(const char *s, uint16_t *out); /* 1..65535 */

/* Length of the valid UTF-8 sequence at s (1..4), 0 when there is none within len bytes. Overlong forms,
   surrogates and values above U+10FFFF are invalid (RFC 3629). *cp may be NULL. */
size_t utf8_next(const char *s, size_t len, uint32_t *cp);
bool utf8_valid(const char *s, size_t len);
/* Nothing but ASCII that prints, space to tilde. */
bool str_is_plain(const char *s, size_t len);

/* Appends s made safe to show: invalid bytes become U+FFFD, C0/C1 controls, DEL, bidirectional and zero-width
   controls become visible symbols (U+2400 block or <U+XXXX>). Newlines and tabs are controls too. */
enum err str_show(struct buf *out, const char *s, size_t len);
/* The same into a fixed buffer, truncated with "..." when it does not fit. */
void str_show_fixed(char *dst, size_t cap, const char *s, size_t len);

/* Edits (insert, delete, replace, swap) between two words of at most 40 bytes each; for guessing what was meant. */
size_t str_distance(const char *a, const char *b);

/* Base64, RFC 4648 with padding. Decoding ignores CR LF and space, refuses anything else. */
enum err base64_encode(struct buf *out, const void *data, size_t len) MUST_CHECK;
enum err base64_decode(struct buf *out, const char *s, size_t len) MUST_CHECK;
/* UTF-8 to UTF-16LE; ERR_INPUT on invalid UTF-8. */
enum err utf16le_encode(struct buf *out, const char *s, size_t len) MUST_CHECK;
/* UTF-16LE (or BE) to UTF-8; lone surrogates become U+FFFD. len in bytes; an odd last byte is dropped. */
enum err utf16_decode(struct buf *out, const void *data, size_t len, bool big_endian) MUST_CHECK;

#endif
