/* Between the two halves of the LDIF parser. */
#ifndef CORE_DIRECTORY_LDIF_INT_H
#define CORE_DIRECTORY_LDIF_INT_H

#include "core/directory/ldif.h"

/* Longest physical line kept: an attribute name and base64 of the longest value. */
#define LDIF_LINE_MAX ((size_t)128 * 1024)

/* UTF-8 whose first byte stands at p->position of the file. */
enum err ldif_feed_lines(struct ldif *p, const char *data, size_t len, struct errinfo *ei) MUST_CHECK;
/* cut: the encoding already knows that the end is missing. */
enum err ldif_end_lines(struct ldif *p, bool cut, struct errinfo *ei) MUST_CHECK;

#endif
