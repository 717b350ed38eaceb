/*
 * A hashed timer wheel: 4096 slots of one second (68 minutes: longer than an EAS Ping or an RPC idle period), lazily re-armed.
 * Moving a deadline later costs one store; the timer is put into its new slot only when the old one comes round.
 * Seconds are those of the owner's own clock. Not thread-safe.
 */
#ifndef CORE_PROXY_WHEEL_H
#define CORE_PROXY_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_SLOTS 4096u

struct timer;
typedef void timer_fn(void *arg, struct timer *t);

struct timer {
    struct timer *next, **link; /* link NULL: not in the wheel */
    uint8_t tag;                /* the owner's: whose timer it is */
    uint32_t slot_at;           /* the second it will be looked at */
    uint32_t deadline;          /* the second it is due; 0: never */
};

struct wheel {
    struct timer *slots[WHEEL_SLOTS];
    uint32_t now; /* last second handled */
};

void wheel_init(struct wheel *w, uint32_t now);
/* Due at w->now + seconds (at least 1, at most 30 days). */
void wheel_set(struct wheel *w, struct timer *t, uint32_t seconds);
void wheel_cancel(struct timer *t);
/* Handles every second up to now; fn is called for each timer that is due (it is out of the wheel by then and may be set again). */
void wheel_advance(struct wheel *w, uint32_t now, timer_fn *fn, void *arg);

#endif
