/*
 * A deadline for calls that know none: getaddrinfo() and libkrb5 may block far longer than a probe may take. The call runs on a
 * thread of its own; when it is late it is left behind with its data, which it frees when it ends at last.
 */
#ifndef CORE_PROBE_LATE_H
#define CORE_PROBE_LATE_H

#include "core/base/stop.h"

/*
 * Runs run(arg). ERR_OK: it ended; arg is the caller's again. ERR_TIMEOUT, ERR_INTERRUPTED: arg belongs to the thread, which
 * calls release(arg) after run(). ERR_LIMIT, ERR_SYSTEM: not begun, arg is the caller's (too many were left behind; no thread).
 */
enum err late_run(void (*run)(void *arg), void (*release)(void *arg), void *arg,
                  const struct stop *stop) MUST_CHECK;

#endif
