#include "core/probe/late.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* Hanging calls of a whole run: beyond that a broken resolver costs no more threads. */
#define LEFT_BEHIND_MAX 128

static atomic_uint left_behind;

struct call {
    pthread_mutex_t lock;
    pthread_cond_t ended_cond;
    void (*run)(void *arg);
    void (*release)(void *arg);
    void *arg;
    bool ended, abandoned;
};

static void call_free(struct call *c)
{
    pthread_cond_destroy(&c->ended_cond);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void *runner(void *p)
{
    struct call *c = p;
    c->run(c->arg);
    pthread_mutex_lock(&c->lock);
    c->ended = true;
    bool abandoned = c->abandoned;
    pthread_cond_signal(&c->ended_cond);
    pthread_mutex_unlock(&c->lock);
    if (abandoned) { /* otherwise the caller frees, and c may be gone already */
        c->release(c->arg);
        call_free(c);
        atomic_fetch_sub(&left_behind, 1);
    }
    return NULL;
}

static struct call *call_new(void (*run)(void *arg), void (*release)(void *arg), void *arg)
{
    pthread_condattr_t attr;
    struct call *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    *c = (struct call){.run = run, .release = release, .arg = arg};
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->ended_cond, &attr);
    pthread_condattr_destroy(&attr);
    return c;
}

/* In slices: a stop may be raised from any thread, and nobody would wake us. */
static void wait_slice(struct call *c, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&c->ended_cond, &c->lock, &until);
}

enum err late_run(void (*run)(void *arg), void (*release)(void *arg), void *arg, const struct stop *stop)
{
    pthread_attr_t attr;
    pthread_t id;
    if (atomic_load(&left_behind) >= LEFT_BEHIND_MAX)
        return ERR_LIMIT;
    struct call *c = call_new(run, release, arg);
    if (!c)
        return ERR_SYSTEM;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&id, &attr, runner, c);
    pthread_attr_destroy(&attr);
    if (rc) {
        call_free(c);
        return ERR_SYSTEM;
    }
    pthread_mutex_lock(&c->lock);
    for (int ms; !c->ended && (ms = stop_left_ms(stop, 250)) > 0;)
        wait_slice(c, ms);
    bool ended = c->ended;
    if (!ended) {
        c->abandoned = true;
        atomic_fetch_add(&left_behind, 1);
    }
    pthread_mutex_unlock(&c->lock);
    if (!ended)
        return stop_is_raised(stop) ? ERR_INTERRUPTED : ERR_TIMEOUT;
    call_free(c);
    return ERR_OK;
}
