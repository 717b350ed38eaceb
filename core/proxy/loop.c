/*
 * An engine thread: epoll, edge-triggered, both directions registered once; one coarse clock reading a round; a one-second wheel.
 * Connections that end while a round's events are handled are freed after it, because a later event of the round may still name them.
 */
#include "core/proxy/proxy_int.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <openssl/err.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS       256
#define FLUSH_MS     50
#define JOB_THREADS  8
#define POOL_BUFFERS 1024

static int64_t coarse_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void read_clock(struct engine *e)
{
    e->now_ms = coarse_ms();
}

static void set_offset(struct engine *e)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    e->unix_offset = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 - coarse_ms();
}

static enum err add_level(struct engine *e, struct ep *ep, enum ep_kind kind, int fd, struct errinfo *ei)
{
    memset(ep, 0, sizeof *ep);
    ep->kind = (uint8_t)kind;
    ep->fd = fd;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = ep};
    if (epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
        return err_errno(ei, ERR_SYSTEM, NULL, "epoll_ctl");
    return ERR_OK;
}

enum err engine_init(struct engine *e, struct proxy *p, unsigned index, struct errinfo *ei)
{
    memset(e, 0, sizeof *e);
    e->p = p;
    e->index = index;
    e->listen_fd = -1;
    e->accepting = true;
    iobuf_pool_init(&e->pool, POOL_BUFFERS);
    read_clock(e);
    set_offset(e);
    wheel_init(&e->wheel, (uint32_t)(e->now_ms / 1000));
    if ((e->epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        return err_errno(ei, ERR_SYSTEM, NULL, "epoll");
    enum err r = job_pool_new(&e->jobs, JOB_THREADS, ei);
    if (r == ERR_OK)
        r = add_level(e, &e->jobs_ep, EP_JOBS, job_pool_fd(e->jobs), ei);
    if (r == ERR_OK && rows_init(&e->rows, p->max_connections) != ERR_OK)
        r = err_set(ei, ERR_NOMEM, "fewer --max-connections", "no memory for the connection table");
    if (r == ERR_OK && ring_init(&e->events, sizeof(struct proxy_event), 4096) != ERR_OK)
        r = err_set(ei, ERR_NOMEM, NULL, "no memory for the event ring");
    if (r == ERR_OK && (p->cfg.events != NULL || p->cfg.har != NULL) &&
        ring_init(&e->ended, sizeof(struct proxy_row), 2048) != ERR_OK)
        r = err_set(ei, ERR_NOMEM, NULL, "no memory for the log ring");
    if (r == ERR_OK)
        r = tls_server_context(&e->server_ctx, &p->identity, p->ticket_keys, ei);
    if (r == ERR_OK) {
        const struct tls_client_options o = {
            .ca = p->cfg.upstream_ca,
            .trust = p->cfg.profile != NULL ? profile_get(p->cfg.profile, PROFILE_trust, NULL) : NULL,
            .insecure = p->cfg.upstream_insecure};
        r = tls_client_context(&e->client_ctx, &o, ei);
        if (r == ERR_OK)
            up_context(e->client_ctx);
    }
    return r;
}

static void on_timer(void *arg, struct timer *t)
{
    (void)arg;
    if (t->tag == EP_UP)
        up_timer((struct up *)((char *)t - offsetof(struct up, timer)));
    else
        conn_timer((struct conn *)((char *)t - offsetof(struct conn, timer)));
}

static void free_dead(struct engine *e)
{
    while (e->dead_conns != NULL) {
        struct conn *c = e->dead_conns;
        e->dead_conns = c->next;
        conn_free(c);
    }
    while (e->dead_ups != NULL) {
        struct up *u = e->dead_ups;
        e->dead_ups = u->next;
        up_free(u);
    }
}

static void unready(struct conn *c)
{
    *c->ready_link = c->ready_next;
    if (c->ready_next != NULL)
        c->ready_next->ready_link = c->ready_link;
    c->ready_link = NULL;
    c->ready_next = NULL;
}

/* Those that stopped of their own will. Taken off as a whole, because they may put themselves on again. */
static void run_ready(struct engine *e)
{
    struct conn *list = e->ready;
    e->ready = NULL;
    if (list != NULL)
        list->ready_link = &list;
    while (list != NULL) {
        struct conn *c = list;
        unready(c);
        conn_run(c);
    }
}

static void handle(struct engine *e, struct ep *ep, uint32_t events)
{
    switch ((enum ep_kind)ep->kind) {
    case EP_LISTEN: listen_accept(e); break;
    case EP_JOBS: (void)job_pool_collect(e->jobs); break;
    case EP_CONN: {
        struct conn *c = (struct conn *)ep;
        if (c->state != CONN_DEAD) {
            ep_event(ep, events);
            conn_run(c);
        }
        break;
    }
    case EP_UP: {
        struct up *u = (struct up *)ep;
        if (ep->fd >= 0) {
            ep_event(ep, events);
            up_run(u);
        }
        break;
    }
    }
}

/* Draining: no new connections, idle ones end now, the others when their exchange does or time is over. */
static bool draining_over(struct engine *e)
{
    if (e->drain_until_ms == 0 && atomic_load_explicit(&e->stop, memory_order_relaxed))
        e->drain_until_ms = e->now_ms;
    if (e->drain_until_ms == 0)
        return false;
    if (e->accepting) {
        e->accepting = false;
        if (e->listen_fd >= 0)
            (void)close(e->listen_fd);
        e->listen_fd = e->listen_ep.fd = -1;
    }
    bool late = e->now_ms >= e->drain_until_ms;
    for (struct conn *c = e->conns, *next; c != NULL; c = next) {
        next = c->next;
        bool idle = c->state == CONN_HANDSHAKE || c->state == CONN_LINGER ||
                    (c->state == CONN_HEAD && iobuf_len(c->in) == 0);
        if (late || idle)
            conn_close(c, late && !idle ? "the engine was stopped" : NULL);
    }
    return e->conns == NULL;
}

static int wait_ms(const struct engine *e)
{
    if (e->ready != NULL)
        return 0;
    int ms = 1000 - (int)(e->now_ms % 1000);
    if ((e->rows.n_dirty > 0 || e->drain_until_ms != 0) && ms > FLUSH_MS)
        ms = FLUSH_MS;
    return ms;
}

static void *engine_main(void *arg)
{
    struct engine *e = arg;
    struct epoll_event ev[EVENTS];
    while (!draining_over(e)) {
        int n = epoll_wait(e->epoll_fd, ev, EVENTS, wait_ms(e));
        read_clock(e);
        run_ready(e);
        for (int i = 0; i < n; i++)
            handle(e, ev[i].data.ptr, ev[i].events);
        uint32_t now = (uint32_t)(e->now_ms / 1000);
        if (now != e->wheel.now) {
            set_offset(e); /* the wall clock may have been set */
            wheel_advance(&e->wheel, now, on_timer, e);
        }
        if (e->now_ms - e->flushed_ms >= FLUSH_MS) {
            rows_flush(&e->rows);
            e->flushed_ms = e->now_ms;
        }
        free_dead(e);
    }
    free_dead(e);
    rows_flush(&e->rows);
    struct timespec ts;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0)
        e->cpu_seconds = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
    OPENSSL_thread_stop();
    return NULL;
}

enum err engine_start(struct engine *e, struct errinfo *ei)
{
    enum err r = add_level(e, &e->listen_ep, EP_LISTEN, e->listen_fd, ei);
    if (r != ERR_OK)
        return r;
    if (pthread_create(&e->thread, NULL, engine_main, e) != 0)
        return err_set(ei, ERR_SYSTEM, NULL, "an engine thread could not be started");
    e->started = true;
    return ERR_OK;
}

/* After the thread has ended (or never ran). */
void engine_fini(struct engine *e)
{
    while (e->conns != NULL)
        conn_close(e->conns, NULL);
    free_dead(e);
    job_pool_free(&e->jobs);
    free_dead(e);
    targets_fini(e);
    free_dead(e);
    SSL_CTX_free(e->server_ctx);
    SSL_CTX_free(e->client_ctx);
    ring_fini(&e->events);
    ring_fini(&e->ended);
    rows_fini(&e->rows);
    iobuf_pool_fini(&e->pool);
    if (e->listen_fd >= 0)
        (void)close(e->listen_fd);
    if (e->epoll_fd > 0)
        (void)close(e->epoll_fd);
    e->listen_fd = e->epoll_fd = -1;
}

static void job_run(void *arg)
{
    struct pjob *j = arg;
    j->run(j);
}

static void job_done(void *arg)
{
    struct pjob *j = arg;
    if (j->c != NULL)
        j->c->job = NULL;
    j->done(j);
}

bool pjob_start(struct engine *e, struct conn *c, struct pjob *j)
{
    j->e = e;
    j->c = c;
    if (job_pool_submit(e->jobs, job_run, job_done, j) != ERR_OK)
        return false;
    c->job = j;
    c->state = CONN_WAIT;
    return true;
}
