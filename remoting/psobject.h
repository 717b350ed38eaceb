/*
 * PowerShell's values as CLIXML carries them (MS-PSRP 2.2.5): a tree in an arena. psxml.h reads and writes it, psjson.h shows it.
 *
 * Text is UTF-8 with its length and a NUL behind it; it may hold U+0000, and a lone surrogate (PowerShell's strings are UTF-16) stands
 * in three bytes as if it were a character. An object that is referred to twice is there once: the tree is a graph and may have cycles.
 * Built by one thread, read-only after but for the marks of a writer: not to be written by two threads at once.
 */
#ifndef REMOTING_PSOBJECT_H
#define REMOTING_PSOBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/arena.h"

#define PS_MAX_DEPTH 100 /* objects within objects; PowerShell itself stops far above that */

/* kind, element (2.2.5.1) */
#define PS_PRIMITIVE_MAP(X)                                                                                  \
    X(STRING, "S")                                                                                           \
    X(I32, "I32")                                                                                            \
    X(BOOL, "B")                                                                                             \
    X(NULL, "Nil")                                                                                           \
    X(I64, "I64")                                                                                            \
    X(DATETIME, "DT")                                                                                        \
    X(GUID, "G")                                                                                             \
    X(TIMESPAN, "TS")                                                                                        \
    X(VERSION, "Version")                                                                                    \
    X(CHAR, "C")                                                                                             \
    X(U8, "By")                                                                                              \
    X(I8, "SB")                                                                                              \
    X(U16, "U16")                                                                                            \
    X(I16, "I16")                                                                                            \
    X(U32, "U32")                                                                                            \
    X(U64, "U64")                                                                                            \
    X(SINGLE, "Sg")                                                                                          \
    X(DOUBLE, "Db")                                                                                          \
    X(DECIMAL, "D")                                                                                          \
    X(BYTES, "BA")                                                                                           \
    X(URI, "URI")                                                                                            \
    X(XML, "XD")                                                                                             \
    X(SCRIPT, "SBK")                                                                                         \
    X(SECRET, "SS")

enum ps_kind {
#define X(kind, element) PS_##kind,
    PS_PRIMITIVE_MAP(X)
#undef X
    /* A record of progress (element PR): items, each with its element as its name. */
    PS_PROGRESS,
    PS_OBJECT,
    /* A property set: members without an object of their own (element MS with a name). */
    PS_MEMBER_SET
};

enum ps_container { PS_NO_CONTAINER, PS_LIST, PS_ENUMERABLE, PS_QUEUE, PS_STACK, PS_DICT };

struct ps_value {
    enum ps_kind kind;
    uint32_t name_len;
    const char *name; /* of a property; NULL */
    /* Primitives: as written in the element, escapes undone. C is the UTF-16 unit in decimal, BA base64, DT and TS ISO 8601. SS is
       always empty: what it holds is never kept. */
    const char *text;
    size_t len;
    struct ps_object *object; /* OBJECT, MEMBER_SET, PROGRESS */
    struct ps_value *next;
};

struct ps_list {
    struct ps_value *first, *last;
    size_t n;
};

struct ps_types { /* most derived first: "System.Object[]", "System.Array", "System.Object" */
    const char **names;
    size_t n;
    uint32_t mark; /* the writer's */
};

struct ps_object {
    struct ps_types *types; /* NULL: none */
    const char *to_string;  /* NULL: none */
    size_t to_string_len;
    struct ps_value *base; /* what it wraps: an enum's number, a string with notes, another object; NULL */
    enum ps_container container;
    bool has_ref, shared;   /* shared: referred to besides where it stands */
    bool open, shown;       /* being shown; it was shown */
    uint32_t ref;           /* RefId as read */
    uint32_t mark;          /* the writer's */
    struct ps_list items;   /* of the container; a dictionary's key, value, key, value */
    struct ps_list props;   /* adapted: what the type has */
    struct ps_list members; /* extended: what was added, or all there is of a custom object */
};

const char *ps_kind_element(enum ps_kind kind);
bool ps_is_primitive(enum ps_kind kind);

/* ---- looking ---- */

/* The property of that name, extended before adapted, without regard to case; in a dictionary the value of that key. NULL: none, or v
   is no object. */
const struct ps_value *ps_get(const struct ps_value *v, const char *name);
/* What PowerShell would print for it: a primitive's text, a wrapped one's, an object's ToString; NULL for the rest and for null. */
const char *ps_text(const struct ps_value *v);
/* ps_text(ps_get(v, name)). */
const char *ps_get_text(const struct ps_value *v, const char *name);
/* A whole number, also an enum's. False: none, or out of range. */
bool ps_get_int(const struct ps_value *v, const char *name, int64_t *out);
bool ps_to_int(const struct ps_value *v, int64_t *out);
bool ps_has_type(const struct ps_value *v, const char *type);

/* ---- building: NULL when the arena is full, and passed on, so that one check at the end is enough ---- */

struct ps_value *ps_new(struct arena *a, enum ps_kind kind, const char *text); /* copies; a primitive */
struct ps_value *ps_new_int(struct arena *a, enum ps_kind kind, int64_t number);
struct ps_value *ps_new_object(struct arena *a, const char *const *types, size_t n_types);
struct ps_value *ps_new_list(struct arena *a, struct ps_types *types);
/* An enum: ToString and its number in 32 bits. */
struct ps_value *ps_new_enum(struct arena *a, struct ps_types *types, const char *text, int32_t number);
struct ps_types *ps_new_types(struct arena *a, const char *const *names, size_t n); /* names are borrowed */
void ps_append(struct ps_list *list, struct ps_value *v);
/* object must be one; names are borrowed. */
void ps_add_member(struct ps_value *object, const char *name, struct ps_value *v);
void ps_add_item(struct ps_value *object, struct ps_value *v);

#endif
