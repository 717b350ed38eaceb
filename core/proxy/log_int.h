/* The files that ended rows are written to: JSON lines (cli.md, proxy --events) and HAR 1.2. Used by the monitor thread only. */
#ifndef CORE_PROXY_LOG_INT_H
#define CORE_PROXY_LOG_INT_H

#include "core/proxy/proxy_int.h"

struct event_log;

/* events: a file, "-" for standard output, NULL; har: a file, NULL. */
enum err event_log_new(struct event_log **out, const char *events, const char *har,
                       struct errinfo *ei) MUST_CHECK;
void event_log_row(struct event_log *l, const struct proxy_row *r);
void event_log_flush(struct event_log *l);
/* Completes the HAR file. NULL is fine. */
void event_log_free(struct event_log **l);
/* One JSON line with its newline. */
enum err event_json(struct buf *out, const struct proxy_row *r) MUST_CHECK;

#endif
