/*
 * Between the CLIXML reader's files: psxml_scan.c finds tags and texts, psxml_read.c builds the tree from them, psxml_text.c undoes the
 * layers of a text.
 */
#ifndef REMOTING_PSXML_INT_H
#define REMOTING_PSXML_INT_H

#include "core/base/vec.h"
#include "remoting/psxml.h"

#define PSXML_MAX_FRAMES (3 * PS_MAX_DEPTH + 8) /* an object, its list, an entry of it */

/* Where we are: what may stand here is decided by it. */
enum place {
    IN_DOCUMENT,
    IN_OBJS,
    IN_OBJECT,
    IN_TYPES,
    IN_TYPE,
    IN_TO_STRING,
    IN_PROPERTIES,
    IN_ITEMS,
    IN_DICT,
    IN_ENTRY,
    IN_PRIMITIVE,
    IN_EMPTY,
    IN_PROGRESS
};

struct frame {
    enum place place;
    const char *element; /* static text */
    struct ps_value *value;
    struct ps_list *list;
    union {
        struct ps_types *types;
        struct ps_list entry;
    } u;
};

struct tag {
    const char *name;
    size_t len;
    bool closing, empty;
    const char *n; /* attribute N, raw; NULL */
    size_t n_len;
    bool has_ref;
    uint64_t ref;
};

struct psxml_reader {
    struct arena arena;
    struct buf pending; /* the begin of a tag or of a text that is not whole yet */
    size_t looked;      /* of pending: no end of the text in there */
    struct frame frames[PSXML_MAX_FRAMES];
    unsigned n_frames, depth;
    struct ps_list top;
    const struct ps_value *given;
    VEC(struct ps_object *) refs;
    VEC(struct ps_types *) types;
    VEC(const char *) type_names; /* of the TN that is open */
    size_t values;
    uint64_t offset; /* of the document, for messages */
    bool begun, done;
    struct errinfo why; /* the first error; everything after it says the same */
};

/* The first error stays; returns code. */
enum err psxml_fail(struct psxml_reader *r, enum err code, const char *fmt, ...) PRINTF_LIKE(3, 4);
enum err psxml_open(struct psxml_reader *r, const struct tag *t) MUST_CHECK;
enum err psxml_close(struct psxml_reader *r, const struct tag *t) MUST_CHECK;
enum err psxml_take_text(struct psxml_reader *r, const char *s, size_t len) MUST_CHECK;
bool psxml_is_space(const char *s, size_t len);

/* XML's own layer of a text or an attribute's value, then CLIXML's escapes, undone in place: it only ever gets shorter. NULL, or what
   is wrong with it. */
const char *psxml_decode(char *s, size_t *len, bool attribute);
/* Is the text what an element of that kind may hold? Numbers within their range, true or false, base64; the rest is text. */
bool psxml_primitive_is_valid(enum ps_kind kind, const char *text, size_t len);

#endif
