/*
 * LDIF (RFC 2849) as a push parser without I/O: feed bytes as they come, get entries.
 *
 * Understands what ldifde, ldapsearch and slapcat write: base64, folding, comments, options of attributes, CRLF, a byte
 * order mark, UTF-16 in either order behind a mark, records with "changetype: add", ldapsearch's closing lines. Refuses with a note,
 * and goes on: other change types, values by URL (no file is ever opened), broken base64, lines that are nothing.
 * An entry is decided on as soon as its run of objectClass lines ends; of one that nobody wants only line ends are looked at (one that
 * begins as one of the last such did is not decided on again), and nothing is allocated. Memory is bounded by the limits of entry.h.
 *
 * Private to core/directory. Not thread-safe.
 */
#ifndef CORE_DIRECTORY_LDIF_H
#define CORE_DIRECTORY_LDIF_H

#include "core/base/buf.h"
#include "core/base/vec.h"
#include "core/directory/entry.h"
#include "core/directory/ldif_skip.h"

enum ldif_encoding { LDIF_DETECT, LDIF_UTF8, LDIF_UTF16LE, LDIF_UTF16BE };

/* What the reader wants and where it goes. Borrowed by the parser. */
struct ldif_wants {
    unsigned who; /* FOR_*: attributes to collect */
    uint32_t wanted,
        unwanted;      /* an entry is delivered when it has a class of the first and none of the second */
    bool everything;   /* ... or always */
    bool single;       /* nothing is read behind the first entry delivered */
    const char *extra; /* also collect this attribute, as ATTRIBUTE_EXTRA; NULL */
    enum err (*entry)(void *arg, const struct entry *e, struct errinfo *ei); /* an error ends the reading */
    void (*note)(void *arg, uint64_t line, const char *subject, const char *text); /* subject: DN or NULL */
    void *arg;
};

struct ldif_value {
    enum attribute attribute;
    bool cut;
    size_t at, len; /* in bytes */
};

struct ldif {
    const struct ldif_wants *wants;
    enum ldif_encoding encoding;
    uint64_t position; /* of the next byte fed to feed_lines */
    uint64_t fed;      /* bytes fed altogether */
    uint64_t line;     /* lines begun */
    uint64_t entries, with_class;
    bool done;                     /* the single entry was delivered */
    unsigned char head[3], n_head; /* while the encoding is not known; later the odd byte of UTF-16 */
    uint32_t high;                 /* a high surrogate that waits for its mate */
    struct buf converted;          /* UTF-16: the line under way, as UTF-8 */
    uint64_t converted_at;
    /* a physical line that the last feed did not end */
    struct buf carry;
    bool carrying, carry_cut;
    uint64_t carry_at;
    /* the logical line under way */
    int kind;
    enum attribute attribute;
    bool base64, by_url, value_cut;
    const char *piece; /* borrowed from the bytes being fed; NULL: in value */
    size_t piece_len;
    struct buf value;
    /* the entry under way */
    int state;
    bool seen_class, too_large;
    uint32_t classes;
    uint64_t entry_at, entry_line;
    const char
        *head_from; /* the line behind the dn line, borrowed; NULL: not among the bytes being fed, or noted */
    struct ldif_head heads[LDIF_HEADS];
    unsigned last_head, next_head; /* which matched last; which is learnt next */
    struct buf dn, bytes, decoded;
    VEC(struct ldif_value) values;
    VEC(struct entry_value) delivered;
};

/* What of a file was looked at by somebody else: bytes from..to, whole lines between empty ones. */
struct ldif_passed {
    uint64_t from, to;
    uint64_t lines, entries, with_class;
};

void ldif_init(struct ldif *p, const struct ldif_wants *wants, enum ldif_encoding encoding);
void ldif_fini(struct ldif *p);
/* ERR_NOMEM or what wants->entry returned; after an error feed no more. */
enum err ldif_feed(struct ldif *p, const char *data, size_t len, struct errinfo *ei) MUST_CHECK;
/* Goes on behind bytes that hold nothing to deliver or note. All before them was fed; only in UTF-8. */
void ldif_pass(struct ldif *p, const struct ldif_passed *passed);
/* The end of the input: delivers the last entry. *cut when the last line had no end. */
enum err ldif_finish(struct ldif *p, bool *cut, struct errinfo *ei) MUST_CHECK;

#endif
