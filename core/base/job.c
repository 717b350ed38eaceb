#include "core/base/job.h"

#include "core/base/vec.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_THREADS 256
#define MAX_WAITING 65536

struct task {
    job_fn *run, *done;
    void *arg;
    struct task *next;
};

struct list {
    struct task *first, **last;
};

struct job_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list waiting, finished;
    unsigned limit, threads, idle, n_waiting, n_jobs; /* n_jobs: submitted, done() not yet called */
    bool closing;
    int fd;
    pthread_t ids[MAX_THREADS];
};

static void list_add(struct list *l, struct task *t)
{
    t->next = NULL;
    *l->last = t;
    l->last = &t->next;
}

static struct task *list_take(struct list *l)
{
    struct task *t = l->first;
    if (t && !(l->first = t->next))
        l->last = &l->first;
    return t;
}

static void ring(const struct job_pool *pool)
{
    uint64_t one = 1;
    ssize_t n;
    do
        n = write(pool->fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
}

static void *worker(void *arg)
{
    struct job_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct task *t = pool->closing ? NULL : list_take(&pool->waiting);
        if (!t) {
            if (pool->closing)
                break;
            pool->idle++;
            pthread_cond_wait(&pool->work, &pool->lock);
            pool->idle--;
            continue;
        }
        pool->n_waiting--;
        pthread_mutex_unlock(&pool->lock);
        t->run(t->arg);
        pthread_mutex_lock(&pool->lock);
        list_add(&pool->finished, t);
        ring(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

enum err job_pool_new(struct job_pool **out, unsigned threads, struct errinfo *ei)
{
    struct job_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a job pool");
    pool->limit = threads == 0 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    pool->waiting.last = &pool->waiting.first;
    pool->finished.last = &pool->finished.first;
    pool->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->fd < 0) {
        free(pool);
        return err_errno(ei, ERR_SYSTEM, "too many open files?", "cannot make an event descriptor");
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    *out = pool;
    return ERR_OK;
}

void job_pool_free(struct job_pool **pp)
{
    struct job_pool *pool = *pp;
    *pp = NULL;
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++)
        pthread_join(pool->ids[i], NULL);
    for (struct task *t; (t = list_take(&pool->waiting));)
        list_add(&pool->finished, t);
    job_pool_collect(pool);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    close(pool->fd);
    free(pool);
}

enum err job_pool_submit(struct job_pool *pool, job_fn *run, job_fn *done, void *arg)
{
    struct task *t = malloc(sizeof *t);
    if (!t)
        return ERR_NOMEM;
    *t = (struct task){.run = run, .done = done, .arg = arg};
    enum err e = ERR_OK;
    pthread_mutex_lock(&pool->lock);
    if (pool->n_waiting >= MAX_WAITING || pool->closing) {
        e = ERR_LIMIT;
        goto out;
    }
    if (pool->idle <= pool->n_waiting && pool->threads < pool->limit) {
        if (pthread_create(&pool->ids[pool->threads], NULL, worker, pool) == 0)
            pool->threads++;
        else if (pool->threads == 0) {
            e = ERR_SYSTEM;
            goto out;
        }
    }
    list_add(&pool->waiting, t);
    pool->n_waiting++;
    pool->n_jobs++;
    t = NULL;
    pthread_cond_signal(&pool->work);
out:
    pthread_mutex_unlock(&pool->lock);
    free(t);
    return e;
}

enum err job_pool_post(struct job_pool *pool, job_fn *fn, void *arg)
{
    struct task *t = malloc(sizeof *t);
    if (!t)
        return ERR_NOMEM;
    *t = (struct task){.done = fn, .arg = arg};
    pthread_mutex_lock(&pool->lock);
    list_add(&pool->finished, t);
    pool->n_jobs++;
    ring(pool);
    pthread_mutex_unlock(&pool->lock);
    return ERR_OK;
}

int job_pool_fd(const struct job_pool *pool)
{
    return pool->fd;
}

unsigned job_pool_collect(struct job_pool *pool)
{
    uint64_t count;
    unsigned n = 0;
    ssize_t got = read(pool->fd, &count, sizeof count);
    (void)got; /* nothing to read is fine: somebody collected already */
    for (;;) {
        pthread_mutex_lock(&pool->lock);
        struct task *t = list_take(&pool->finished);
        if (t)
            pool->n_jobs--;
        pthread_mutex_unlock(&pool->lock);
        if (!t)
            return n;
        if (t->done)
            t->done(t->arg);
        free(t);
        n++;
    }
}

void job_pool_wait(struct job_pool *pool)
{
    while (job_pool_pending(pool)) {
        if (job_pool_collect(pool))
            continue;
        struct pollfd p = {.fd = pool->fd, .events = POLLIN};
        poll(&p, 1, 200);
    }
}

unsigned job_pool_pending(struct job_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    unsigned n = pool->n_jobs;
    pthread_mutex_unlock(&pool->lock);
    return n;
}
