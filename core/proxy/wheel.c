/* The timer wheel. A timer may be looked at before it is due (lazy re-arming) or wrap around for long times; both just re-insert it. */
#include "core/proxy/wheel.h"

#include <stddef.h>
#include <string.h>

#define MAX_SECONDS (30u * 24 * 3600)

void wheel_init(struct wheel *w, uint32_t now)
{
    memset(w, 0, sizeof *w);
    w->now = now;
}

static void insert(struct wheel *w, struct timer *t)
{
    uint32_t left = t->deadline - w->now;
    /* never the slot under the hand: it was handled already */
    t->slot_at = w->now + (left == 0 ? 1 : left < WHEEL_SLOTS ? left : WHEEL_SLOTS - 1);
    struct timer **head = &w->slots[t->slot_at % WHEEL_SLOTS];
    t->next = *head;
    if (t->next != NULL)
        t->next->link = &t->next;
    t->link = head;
    *head = t;
}

static void unlink_timer(struct timer *t)
{
    *t->link = t->next;
    if (t->next != NULL)
        t->next->link = t->link;
    t->link = NULL;
    t->next = NULL;
}

void wheel_set(struct wheel *w, struct timer *t, uint32_t seconds)
{
    if (seconds < 1)
        seconds = 1;
    if (seconds > MAX_SECONDS)
        seconds = MAX_SECONDS;
    t->deadline = w->now + seconds;
    if (t->link != NULL) {
        if (t->slot_at - w->now <= seconds)
            return; /* looked at early enough: re-armed then */
        unlink_timer(t);
    }
    insert(w, t);
}

void wheel_cancel(struct timer *t)
{
    if (t->link != NULL)
        unlink_timer(t);
    t->deadline = 0;
}

void wheel_advance(struct wheel *w, uint32_t now, timer_fn *fn, void *arg)
{
    while ((int32_t)(now - w->now) > 0) {
        w->now++;
        /* the whole list is taken off first: fn may put timers anywhere, and cancel others of this list */
        struct timer *due = w->slots[w->now % WHEEL_SLOTS];
        w->slots[w->now % WHEEL_SLOTS] = NULL;
        if (due != NULL)
            due->link = &due;
        while (due != NULL) {
            struct timer *t = due;
            unlink_timer(t);
            if ((int32_t)(t->deadline - w->now) > 0) {
                insert(w, t);
            } else {
                t->deadline = 0;
                fn(arg, t);
            }
        }
    }
}
