/*
 * A value of PowerShell as JSON, in the manner of ConvertTo-Json but without losing what it loses. Pure.
 *
 *     null                       Nil
 *     true, 42, 0.1              B, whole numbers, Sg Db D; a string where JSON readers have no such number: whole numbers out of 64
 *                                bits (U64, D), "NaN", "Infinity", "-Infinity", reals out of double's range
 *     "text"                     S, C, G, Version, URI, SBK, XD; DT as ISO 8601; TS as PowerShell prints it: "00:15:30", "-1.02:03:04.5"
 *     "AAECAw=="                 BA, base64
 *     "(SecureString, refused)"  SS
 *     { "text": "Tuesday", "value": 2 }   an enum
 *     [ ... ]                    LST, IE, QUE, STK (first out comes first)
 *     { "key": ... }             DCT; a key that is no string is its text
 *     { "Name": ... }            an object: its adapted properties, then the extended ones; one that has both ways counts once, as
 *                                extended. A property set is an object in it.
 *     { "value": ..., "Extra": 7 }   a primitive or a list that carries properties; an object that wraps another
 *                                one has the properties of both
 *     "10.1.0.5"                 an object of which only its ToString came; {} when not even that
 *     { "$ref": 3 }              an object within itself, deeper than PS_MAX_DEPTH, or referred to again when more than
 *                                PSJSON_MAX_REPEATED values were written for repeated references: its RefId, or null
 *     { "Activity": ..., "PercentComplete": ... }   a record of progress
 *
 * A lone surrogate becomes U+FFFD; U+0000 is \u0000 (jansson reads it with JSON_ALLOW_NUL), in a name U+FFFD (jansson takes none there).
 */
#ifndef REMOTING_PSJSON_H
#define REMOTING_PSJSON_H

#include "core/base/buf.h"
#include "remoting/psobject.h"

#define PSJSON_MAX_REPEATED 100000

/* Appends v, compact. ERR_LIMIT and ERR_NOMEM are the buffer's. */
enum err psjson_write(struct buf *out, const struct ps_value *v) MUST_CHECK;

/* "PT15M30S" (ISO 8601) as PowerShell prints it; false: it is none of days, hours, minutes, seconds. */
bool psjson_timespan(char *out, size_t cap, const char *text);

#endif
