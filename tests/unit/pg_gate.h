/*
 * A gate between a client and its PostgreSQL: passes everything on, until told to fall silent, or to cut the connection at the n-th
 * message that the client sends from then on, before it gets through or after its answer came back (and was kept). One thread.
 * A message is what one read() brings: libpq sends a request and waits.
 */
#ifndef TESTS_UNIT_PG_GATE_H
#define TESTS_UNIT_PG_GATE_H

#include "tests/unit/pg_server.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#define PG_GATE_MAX 8

struct pg_gate {
    int listener, port, upstream;
    pthread_t thread;
    atomic_bool ending, silent, after, was_cut;
    atomic_int cut_at;  /* counts down to the message; 0: never */
    atomic_int slow_ms; /* a pause before each read() is passed on */
    struct {
        int client, server;
        bool cutting; /* the answer is still to come, and not to be passed on */
    } pairs[PG_GATE_MAX];
};

static inline void pg_gate_drop(struct pg_gate *g, int i)
{
    close(g->pairs[i].client);
    close(g->pairs[i].server);
    g->pairs[i].client = g->pairs[i].server = -1;
    g->pairs[i].cutting = false;
}

static inline void pg_gate_accept(struct pg_gate *g)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)g->upstream)};
    int client = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC), i = 0;
    while (i < PG_GATE_MAX && g->pairs[i].client >= 0)
        i++;
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (i == PG_GATE_MAX || connect(server, (struct sockaddr *)&a, sizeof a) < 0) {
        close(client);
        close(server);
        return;
    }
    g->pairs[i].client = client;
    g->pairs[i].server = server;
}

static inline void pg_gate_move(struct pg_gate *g, int i, bool from_client)
{
    char data[65536];
    ssize_t n = read(from_client ? g->pairs[i].client : g->pairs[i].server, data, sizeof data);
    if (atomic_load(&g->slow_ms))
        pg_pause(atomic_load(&g->slow_ms));
    if (n <= 0 || (!from_client && g->pairs[i].cutting)) {
        pg_gate_drop(g, i);
        return;
    }
    if (from_client && atomic_load(&g->cut_at) > 0 && atomic_fetch_sub(&g->cut_at, 1) == 1) {
        atomic_store(&g->was_cut, true);
        if (!atomic_load(&g->after)) {
            pg_gate_drop(g, i);
            return;
        }
        g->pairs[i].cutting = true;
    }
    ssize_t sent = write(from_client ? g->pairs[i].server : g->pairs[i].client, data, (size_t)n);
    if (sent != n)
        pg_gate_drop(g, i);
}

static inline void *pg_gate_run(void *arg)
{
    struct pg_gate *g = arg;
    while (!atomic_load(&g->ending)) {
        struct pollfd fds[1 + 2 * PG_GATE_MAX] = {{g->listener, POLLIN, 0}};
        bool silent = atomic_load(&g->silent);
        for (int i = 0; i < PG_GATE_MAX; i++) {
            fds[1 + 2 * i] = (struct pollfd){silent ? -1 : g->pairs[i].client, POLLIN, 0};
            fds[2 + 2 * i] = (struct pollfd){silent ? -1 : g->pairs[i].server, POLLIN, 0};
        }
        if (silent)
            fds[0].fd = -1;
        if (poll(fds, 1 + 2 * PG_GATE_MAX, 20) <= 0)
            continue;
        if (fds[0].revents)
            pg_gate_accept(g);
        for (int i = 0; i < PG_GATE_MAX; i++) {
            if (fds[1 + 2 * i].revents && g->pairs[i].client >= 0)
                pg_gate_move(g, i, true);
            if (fds[2 + 2 * i].revents && g->pairs[i].server >= 0)
                pg_gate_move(g, i, false);
        }
    }
    return NULL;
}

static inline bool pg_gate_open(struct pg_gate *g, int upstream)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    memset(g, 0, sizeof *g);
    for (int i = 0; i < PG_GATE_MAX; i++)
        g->pairs[i].client = g->pairs[i].server = -1;
    g->upstream = upstream;
    g->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int small = 65536; /* of what a client sends little is on this side of it */
    setsockopt(g->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (bind(g->listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(g->listener, 16) < 0 ||
        getsockname(g->listener, (struct sockaddr *)&a, &len) < 0)
        return false;
    g->port = ntohs(a.sin_port);
    return pthread_create(&g->thread, NULL, pg_gate_run, g) == 0;
}

/* at: which message from now on; 0: let everything through again. */
static inline void pg_gate_cut(struct pg_gate *g, int at, bool after)
{
    atomic_store(&g->after, after);
    atomic_store(&g->was_cut, false);
    atomic_store(&g->cut_at, at);
}

static inline bool pg_gate_was_cut(struct pg_gate *g)
{
    return atomic_load(&g->was_cut);
}

static inline void pg_gate_silence(struct pg_gate *g, bool silent)
{
    atomic_store(&g->silent, silent);
}

static inline void pg_gate_close(struct pg_gate *g)
{
    atomic_store(&g->ending, true);
    pthread_join(g->thread, NULL);
    for (int i = 0; i < PG_GATE_MAX; i++)
        if (g->pairs[i].client >= 0)
            pg_gate_drop(g, i);
    close(g->listener);
}

#endif
