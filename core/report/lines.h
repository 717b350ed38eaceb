/*
 * Evidence as JSON lines: one observation a line, nothing lost, for snapshots. Every member of struct observation is a row
 * of one table here; a new member wants a new row (tests/unit/core_report_lines.c compares both ways).
 *
 * Pure; not thread-safe. Lines are input like any other: bounded, strict, never trusted.
 */
#ifndef CORE_REPORT_LINES_H
#define CORE_REPORT_LINES_H

#include "core/model/evidence.h"

#define LINES_MAX ((size_t)1024 * 1024) /* bytes of one line */

/* Appends one line with its newline. */
enum err lines_write(const struct observation *o, struct buf *out, struct errinfo *ei) MUST_CHECK;
/* One line without its newline; adds the observation to e. ERR_INPUT says what is wrong with it. */
enum err lines_read(const char *line, size_t len, struct evidence *e, struct errinfo *ei) MUST_CHECK;

#endif
