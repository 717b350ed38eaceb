/*
 * Time: monotonic milliseconds for deadlines, Unix seconds for evidence, RFC 3339 UTC for people and JSON.
 */
#ifndef CORE_BASE_CLOCK_H
#define CORE_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_SIZE 24 /* "2026-11-24T03:00:00Z" and its NUL */

int64_t clock_mono_ms(void);
int64_t clock_mono_ns(void);
int64_t clock_unix(void);
/* "2026-11-24T03:00:00Z"; "-" for t <= 0. Returns out. */
const char *clock_rfc3339(int64_t t, char out[static CLOCK_TEXT_SIZE]);
bool clock_parse_rfc3339(const char *s, int64_t *t);
/* LDAP generalized time "20261124030000Z" or "20261124030000.0Z". */
bool clock_parse_generalized(const char *s, int64_t *t);
/* Proleptic Gregorian, UTC; month 1..12. */
int64_t clock_from_civil(int year, int month, int day, int hour, int minute, int second);

#endif
