/*
 * How a running job is told to end: a flag that anybody may raise, and a deadline.
 * One struct stop is shared by the owner and the job; it may be read from any thread.
 */
#ifndef CORE_BASE_STOP_H
#define CORE_BASE_STOP_H

#include "core/base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct stop {
    atomic_bool raised;
    int64_t deadline_ms; /* clock_mono_ms(); 0: none. Set before the job starts. */
    struct stop *parent; /* also asked; NULL: none. Must outlive this one. */
};

void stop_init(struct stop *s, int64_t timeout_ms, struct stop *parent); /* timeout_ms 0: none */
void stop_raise(struct stop *s);
bool stop_is_raised(const struct stop *s); /* NULL: never */
/* Milliseconds left, at most max_ms; 0 when over or raised. NULL: max_ms. */
int stop_left_ms(const struct stop *s, int max_ms);
/* ERR_OK, ERR_INTERRUPTED or ERR_TIMEOUT, with a text naming what was under way. */
enum err stop_check(const struct stop *s, struct errinfo *ei, const char *what) MUST_CHECK;

#endif
