/*
 * INI text: [section], key = value, comments from ; or # at the start of a line, and from ';' after white space
 * behind a value. One reader for the configuration file and themes. (inih as Debian builds it cuts lines at 199
 * bytes and tells no line numbers, which the configuration file's errors must name.)
 *
 * Pure: text in, calls out. Keys and values are trimmed; keys end at the first '='. Lines up to 8 KiB; UTF-8 BOM and CR LF are fine.
 */
#ifndef CORE_BASE_INI_H
#define CORE_BASE_INI_H

#include "core/base/err.h"

/* Called for each key, and for each section with key and value NULL. Anything but ERR_OK ends the reading with that code;
   the handler sets *ei then, and file and line are put before it. section is "" before the first one. */
typedef enum err ini_handler(void *arg, const char *section, const char *key, const char *value,
                             unsigned line, struct errinfo *ei);

/* name stands in error texts: "config.ini:12: ...". Errors of syntax are ERR_CONFIG. */
enum err ini_parse(const char *text, size_t len, const char *name, ini_handler *handler, void *arg,
                   struct errinfo *ei) MUST_CHECK;

#endif
