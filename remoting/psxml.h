/*
 * CLIXML (MS-PSRP 2.2.5) to a tree of values and back. No I/O; bounded in memory, depth and count.
 *
 * The reader is a recogniser of this one dialect, not of XML at large: the elements of the specification, the five predefined entities
 * and character references, comments and an XML declaration; no document type, no entities, no CDATA, no namespaces but the default
 * one. What is not of the dialect is refused by name, never half-understood. Own beside libxml2 because of speed and strictness: by
 * bench-psrp libxml2's push parser with empty handlers needs about as long for small objects as this needs for the tree and the JSON
 * too, and an interned dictionary and entity machinery stand open in it that CLIXML has no use for. The fuzz target holds the two
 * against each other: what this takes, libxml2 must find well-formed.
 *
 * Escapes: _xHHHH_ is a UTF-16 unit, pairs are joined. Writing escapes what PowerShell escapes: controls, surrogates, and the "_" of
 * a literal "_x". U+FFFE and U+FFFF cannot travel (PowerShell refuses to write them); SecureString is read as "there is one", never
 * kept, and refused when written.
 */
#ifndef REMOTING_PSXML_H
#define REMOTING_PSXML_H

#include "core/base/buf.h"
#include "remoting/psobject.h"

#define PSXML_MAX_TAG    65536   /* bytes of one tag: a property's name stands there */
#define PSXML_MAX_VALUES 4000000 /* of one document */

/* ---- reading: feed bytes in any cuts, take values ---- */

struct psxml_reader;
/* memory: bytes that one document's tree may take. */
enum err psxml_reader_new(struct psxml_reader **out, size_t memory) MUST_CHECK;
void psxml_reader_free(struct psxml_reader **r); /* NULL is fine; the values go with it */
/* Begins a new document; the values of the last one are gone, their memory is kept for the next. */
void psxml_reader_reset(struct psxml_reader *r);
/* A document is one value, or <Objs> with any number of them; a byte order mark may stand before. ERR_INPUT: not CLIXML, the text says
   where; ERR_LIMIT: too large, too deep, too many. After an error only a reset helps. */
enum err psxml_feed(struct psxml_reader *r, const void *data, size_t len, struct errinfo *ei) MUST_CHECK;
/* There is no more: is the document whole? */
enum err psxml_end(struct psxml_reader *r, struct errinfo *ei) MUST_CHECK;
/* The next value of the document that is whole, in order; NULL: none yet. Valid until the reset. References among the values of one
   document are joined. */
const struct ps_value *psxml_next(struct psxml_reader *r);
/* Reset, feed and end in one, for a document of exactly one value. */
enum err psxml_read_one(struct psxml_reader *r, const void *data, size_t len, const struct ps_value **out,
                        struct errinfo *ei) MUST_CHECK;
/* Bytes the reader holds, for a test of the bound. */
size_t psxml_reader_memory(const struct psxml_reader *r);

/* ---- writing ---- */

/* Appends the value as one element (no <Objs>, no white space), as PowerShell does within a PSRP message. An object met again is a
   <Ref>, a list of types met again a <TNRef>. ERR_INPUT: a text that cannot travel, ERR_REFUSED: a SecureString, ERR_LIMIT: the
   buffer's, or too deep. */
enum err psxml_write(struct buf *out, const struct ps_value *v, struct errinfo *ei) MUST_CHECK;
/* The same for a list of values, within <Objs>. */
enum err psxml_write_document(struct buf *out, const struct ps_value *first, struct errinfo *ei) MUST_CHECK;
/* Can the text travel? ERR_INPUT, saying what it holds: no UTF-8, U+FFFE, U+FFFF. what: "-Identity". */
enum err psxml_check_text(const char *text, size_t len, const char *what, struct errinfo *ei) MUST_CHECK;

/* The two layers of text, for tests: appends with escapes made; undoes them in place and returns the new length. */
enum err psxml_escape(struct buf *out, const char *s, size_t len, bool attribute) MUST_CHECK;
size_t psxml_unescape(char *s, size_t len);

#endif
