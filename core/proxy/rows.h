/*
 * Live rows: a fixed array of slots an engine thread, written only by that thread, each under a seqlock, read by one observer
 * that never stops the writer. The writer works on its own copy and publishes it; ended rows are kept, the newest ROWS_KEPT of them.
 */
#ifndef CORE_PROXY_ROWS_H
#define CORE_PROXY_ROWS_H

#include "core/base/err.h"
#include "core/proxy/proxy.h"

#include <stdatomic.h>

#define ROWS_KEPT 1024u
#define ROW_NONE  UINT32_MAX
#define ROW_WORDS ((sizeof(struct proxy_row) + 7) / 8)

struct row_slot {
    _Atomic uint32_t seq; /* odd: being written */
    uint32_t next;
    bool dirty;
    struct proxy_row own;
    _Atomic uint64_t words[ROW_WORDS];
};

struct rows {
    struct row_slot *slots;
    uint32_t n;
    _Atomic uint32_t high; /* slots ever used */
    uint32_t free, ended_first, ended_last, n_ended;
    uint32_t *dirty;
    uint32_t n_dirty;
};

/* Room for max_open rows at once. */
enum err rows_init(struct rows *r, uint32_t max_open) MUST_CHECK;
void rows_fini(struct rows *r);
/* A zeroed row with its id; ROW_NONE when all slots are open ones. */
uint32_t rows_open(struct rows *r, uint64_t id);
static inline struct proxy_row *rows_own(struct rows *r, uint32_t i)
{
    return &r->slots[i].own;
}
/* Remembers that the observer should see the row as it is now, at the next rows_flush(). */
void rows_touch(struct rows *r, uint32_t i);
void rows_flush(struct rows *r);
/* Publishes and lets the slot go, to be reused when ROWS_KEPT others have ended. */
void rows_end(struct rows *r, uint32_t i);

/* Observer: a consistent copy of slot i; false when it was never used. */
bool rows_read(const struct rows *r, uint32_t i, struct proxy_row *out);
uint32_t rows_high(const struct rows *r);

#endif
