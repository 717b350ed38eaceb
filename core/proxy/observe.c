/* What an observer may ask of a running engine: rows, phases, counters, and ending one request. */
#include "core/proxy/proxy_int.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Newest first; an open row outranks an ended one only when there is no room for both. */
static int newest_first(const void *a, const void *b)
{
    const struct proxy_row *x = a, *y = b;
    return x->id < y->id ? 1 : x->id > y->id ? -1 : 0;
}

struct candidate {
    uint64_t rank; /* open rows above all ended ones, then by id */
    uint32_t engine, slot;
};

static int best_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->rank < y->rank ? 1 : x->rank > y->rank ? -1 : 0;
}

size_t proxy_rows(struct proxy *p, struct proxy_row *out, size_t max)
{
    size_t total = 0, n = 0, kept = 0;
    for (unsigned i = 0; i < p->n_engines; i++)
        total += rows_high(&p->engines[i].rows);
    struct candidate *all = total > 0 && max > 0 ? malloc(total * sizeof *all) : NULL;
    struct proxy_row *one = malloc(sizeof *one);
    if (all == NULL || one == NULL)
        goto out;
    for (unsigned i = 0; i < p->n_engines; i++) {
        uint32_t high = rows_high(&p->engines[i].rows);
        for (uint32_t k = 0; k < high && n < total; k++)
            if (rows_read(&p->engines[i].rows, k, one))
                all[n++] = (struct candidate){one->id | (one->ended_ms == 0 ? 1ull << 63 : 0), i, k};
    }
    qsort(all, n, sizeof *all, best_first);
    for (size_t i = 0; i < n && kept < max; i++)
        if (rows_read(&p->engines[all[i].engine].rows, all[i].slot, &out[kept]))
            kept++;
    qsort(out, kept, sizeof *out, newest_first);
out:
    free(one);
    free(all);
    return kept;
}

size_t proxy_events(struct proxy *p, uint64_t row, struct proxy_event *out, size_t max)
{
    return monitor_events(p->monitor, row, out, max);
}

void proxy_stats(struct proxy *p, struct proxy_stats *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < p->n_engines; i++) {
        struct engine *e = &p->engines[i];
#define X(name) out->name += atomic_load_explicit(&e->count.name, memory_order_relaxed);
        COUNTER_MAP(X)
#undef X
        out->dropped_events += ring_dropped(&e->events) + ring_dropped(&e->ended);
        clockid_t clock;
        struct timespec ts;
        if (e->started && !p->stopped && pthread_getcpuclockid(e->thread, &clock) == 0 &&
            clock_gettime(clock, &ts) == 0)
            out->cpu_seconds += (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
        else
            out->cpu_seconds += e->cpu_seconds; /* left behind by the thread */
    }
}

struct kill_message {
    struct engine *e;
    uint64_t row;
};

static void on_kill(void *arg)
{
    struct kill_message *m = arg;
    for (struct conn *c = m->e->conns; c != NULL; c = c->next) {
        const struct proxy_row *r = row_of(c);
        if (r != NULL && r->id == m->row) {
            conn_close(c, "ended by hand");
            break;
        }
    }
    free(m);
}

bool proxy_kill(struct proxy *p, uint64_t row)
{
    struct proxy_row *one = malloc(sizeof *one);
    bool found = false;
    for (unsigned i = 0; one != NULL && !found && i < p->n_engines; i++) {
        struct engine *e = &p->engines[i];
        uint32_t high = rows_high(&e->rows);
        for (uint32_t k = 0; k < high && !found; k++)
            found = rows_read(&e->rows, k, one) && one->id == row && one->ended_ms == 0;
        struct kill_message *m = found ? malloc(sizeof *m) : NULL;
        if (m == NULL)
            continue;
        *m = (struct kill_message){e, row};
        if (job_pool_post(e->jobs, on_kill, m) != ERR_OK) {
            free(m);
            found = false;
        }
    }
    free(one);
    return found;
}
