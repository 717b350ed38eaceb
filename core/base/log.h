/*
 * Diagnostics: one line each, "casbridge: what went wrong: hint", to standard error (batch) or to a ring that the
 * console shows. Thread-safe. Everything is made safe to show; secrets have no way in.
 */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H

#include "core/base/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

typedef void log_sink(void *arg, enum log_level level, const char *line);

/* NULL: standard error. Set before threads start. Levels above max are dropped. */
void log_set_sink(log_sink *sink, void *arg);
void log_set_level(enum log_level max);
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "what: hint" of an errinfo. */
void log_err(const struct errinfo *ei);

#endif
