/*
 * XML that a server sent (core/base/xml.h), element by element, by the path and the text of each: bounded size, depth, number and text.
 *
 * A path is the local names from the root, joined by '/': "Envelope/Body/Fault/faultstring".
 */
#ifndef CORE_PROBE_APP_XML_H
#define CORE_PROBE_APP_XML_H

#include "core/base/xml.h"

#define APP_XML_MAX          ((size_t)1 << 20) /* bytes of a document */
#define APP_XML_DEPTH_MAX    32
#define APP_XML_ELEMENTS_MAX 50000
#define APP_XML_TEXT_MAX     4096 /* of one element; more is cut */

struct app_xml_reader {
    /* An element begins; false stops reading (what was read stands, no error). NULL: not interested. */
    bool (*open)(void *arg, const char *path, const struct xml_attributes *attributes);
    /* It ends; text is what stood directly in it, trimmed, valid UTF-8, control characters NOT removed. */
    bool (*close)(void *arg, const char *path, const char *text);
    void *arg;
};

/* ERR_INPUT: not well-formed, empty, a document type, nested too deep; ERR_LIMIT: too large. The text names the line. */
enum err app_xml_read(const char *data, size_t len, const struct app_xml_reader *r,
                      struct errinfo *ei) MUST_CHECK;

#endif
