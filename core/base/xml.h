/*
 * XML from outside, read event by event: no document type (and so no entity that grows, no file of ours in the text), no network, and
 * nothing kept, so that the cost is that of the bytes. How deep, how many and how large is for the reader of each format to say, with
 * xml_stop(). Not for documents of ours.
 *
 * Namespaces are not judged: names come without prefix, and servers get prefixes wrong more often than names.
 */
#ifndef CORE_BASE_XML_H
#define CORE_BASE_XML_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct xml_reading;    /* one document under way */
struct xml_attributes; /* of the element that begins, only during start() */

struct xml_events {
    void (*start)(void *arg, struct xml_reading *x, const char *name, const struct xml_attributes *a);
    void (*end)(void *arg, struct xml_reading *x);
    /* A piece of what stands directly in the element under way: whole UTF-8 characters, CDATA too. NULL: not wanted. */
    void (*text)(void *arg, struct xml_reading *x, const char *text, size_t len);
    void *arg;
};

/* No event comes after it. ERR_OK: enough was read, and that is no error. why is copied. The first one counts. */
void xml_stop(struct xml_reading *x, enum err e, const char *why);
/* Copies an attribute's value by its local name (without case); false when it is not there or longer than cap - 1. */
bool xml_attribute(const struct xml_attributes *a, const char *name, char *out, size_t cap);
/* ERR_INPUT: not well-formed, cut, empty, or a document type; else what xml_stop() was given. The text names the line; hint may be NULL. */
enum err xml_read(const char *data, size_t len, const struct xml_events *events, const char *hint,
                  struct errinfo *ei) MUST_CHECK;

#endif
