/*
 * The monitor thread: empties the rings of the engine threads, keeps the phases of recent requests for the observer, and writes the
 * event and HAR files, so that a slow disk never holds an engine.
 */
#include "core/proxy/log_int.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HISTORY 32768u
#define BUSY_MS 10
#define IDLE_MS 20

struct monitor {
    struct proxy *p;
    pthread_t thread;
    bool started;
    atomic_bool stop;
    struct event_log *log;
    pthread_mutex_t lock;        /* history */
    struct proxy_event *history; /* a circle of HISTORY */
    uint64_t n_history;
};

static bool drain(struct monitor *m)
{
    bool any = false;
    for (unsigned i = 0; i < m->p->n_engines; i++) {
        struct engine *e = &m->p->engines[i];
        struct proxy_event ev;
        struct proxy_row row;
        (void)pthread_mutex_lock(&m->lock);
        while (ring_pop(&e->events, &ev)) {
            m->history[m->n_history++ % HISTORY] = ev;
            any = true;
        }
        (void)pthread_mutex_unlock(&m->lock);
        while (e->ended.items != NULL && ring_pop(&e->ended, &row)) {
            event_log_row(m->log, &row);
            any = true;
        }
    }
    if (m->log != NULL)
        event_log_flush(m->log);
    return any;
}

static void *monitor_main(void *arg)
{
    struct monitor *m = arg;
    while (!atomic_load_explicit(&m->stop, memory_order_acquire)) {
        int ms = drain(m) ? BUSY_MS : IDLE_MS;
        const struct timespec ts = {.tv_nsec = ms * 1000000L};
        (void)nanosleep(&ts, NULL);
    }
    return NULL;
}

enum err monitor_new(struct monitor **out, struct proxy *p, struct errinfo *ei)
{
    struct monitor *m = calloc(1, sizeof *m);
    enum err r = ERR_OK;
    if (m == NULL)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the monitor");
    m->p = p;
    (void)pthread_mutex_init(&m->lock, NULL);
    m->history = calloc(HISTORY, sizeof *m->history);
    if (m->history == NULL)
        r = err_set(ei, ERR_NOMEM, NULL, "no memory for the monitor");
    if (r == ERR_OK && (p->cfg.events != NULL || p->cfg.har != NULL))
        r = event_log_new(&m->log, p->cfg.events, p->cfg.har, ei);
    if (r == ERR_OK && pthread_create(&m->thread, NULL, monitor_main, m) != 0)
        r = err_set(ei, ERR_SYSTEM, NULL, "the monitor thread could not be started");
    m->started = r == ERR_OK;
    if (r == ERR_OK)
        *out = m;
    else
        monitor_free(&m);
    return r;
}

void monitor_stop(struct monitor *m)
{
    if (m == NULL || !m->started)
        return;
    atomic_store_explicit(&m->stop, true, memory_order_release);
    (void)pthread_join(m->thread, NULL);
    m->started = false;
    (void)drain(m); /* what came after its last round; the engines have ended by now */
    event_log_free(&m->log);
}

void monitor_free(struct monitor **mp)
{
    struct monitor *m = *mp;
    if (m == NULL)
        return;
    monitor_stop(m);
    event_log_free(&m->log);
    (void)pthread_mutex_destroy(&m->lock);
    free(m->history);
    free(m);
    *mp = NULL;
}

size_t monitor_events(struct monitor *m, uint64_t row, struct proxy_event *out, size_t max)
{
    size_t n = 0;
    (void)pthread_mutex_lock(&m->lock);
    uint64_t first = m->n_history > HISTORY ? m->n_history - HISTORY : 0;
    for (uint64_t i = first; i < m->n_history && n < max; i++)
        if (m->history[i % HISTORY].row == row)
            out[n++] = m->history[i % HISTORY];
    (void)pthread_mutex_unlock(&m->lock);
    return n;
}
