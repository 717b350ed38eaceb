/*
 * Prometheus text over plain HTTP on a loopback listener and thread of its own. One request at a time, a second each: what
 * scrapes it comes every few seconds.
 */
#include "core/proxy/proxy_int.h"

#include "core/base/str.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PATIENCE_MS 1000

struct metrics {
    struct proxy *p;
    int fd, wake;
    pthread_t thread;
    bool started;
};

static void one(struct buf *b, const char *name, const char *type, const char *help, double value)
{
    (void)buf_addf(b,
                   "# HELP casbridge_proxy_%s %s\n# TYPE casbridge_proxy_%s %s\ncasbridge_proxy_%s %.15g\n",
                   name, help, name, type, name, value);
}

static void body(struct buf *b, struct proxy *p)
{
    struct proxy_stats s;
    proxy_stats(p, &s);
    one(b, "connections_total", "counter", "Client connections accepted.", (double)s.connections);
    one(b, "connections_open", "gauge", "Client connections open.", (double)s.open_connections);
    one(b, "connections_refused_total", "counter", "Connections refused by the allow-list or the limit.",
        (double)s.refused_connections);
    one(b, "handshakes_total", "counter", "TLS handshakes with clients.", (double)s.handshakes);
    one(b, "requests_total", "counter", "Requests.", (double)s.requests);
    one(b, "requests_open", "gauge", "Requests under way.", (double)s.open_requests);
    one(b, "kerberos_tokens_total", "counter", "Kerberos tokens sent to servers.", (double)s.tokens);
    (void)buf_adds(b, "# HELP casbridge_proxy_logons_total Passwords checked.\n# TYPE "
                      "casbridge_proxy_logons_total counter\n");
    (void)buf_addf(b,
                   "casbridge_proxy_logons_total{result=\"ok\"} "
                   "%llu\ncasbridge_proxy_logons_total{result=\"failed\"} %llu\n",
                   (unsigned long long)s.logons_ok, (unsigned long long)s.logons_failed);
    (void)buf_adds(b, "# HELP casbridge_proxy_responses_total Answers to clients.\n# TYPE "
                      "casbridge_proxy_responses_total counter\n");
    const uint64_t by_class[] = {s.status_2xx, s.status_3xx, s.status_4xx, s.status_5xx};
    for (unsigned i = 0; i < ARRAY_LEN(by_class); i++)
        (void)buf_addf(b, "casbridge_proxy_responses_total{class=\"%uxx\"} %llu\n", i + 2,
                       (unsigned long long)by_class[i]);
    (void)buf_adds(
        b, "# HELP casbridge_proxy_bytes_total Bytes relayed.\n# TYPE casbridge_proxy_bytes_total counter\n");
    (void)buf_addf(b,
                   "casbridge_proxy_bytes_total{direction=\"up\"} "
                   "%llu\ncasbridge_proxy_bytes_total{direction=\"down\"} %llu\n",
                   (unsigned long long)s.up_bytes, (unsigned long long)s.down_bytes);
    one(b, "events_dropped_total", "counter", "Events the monitor was too slow for.",
        (double)s.dropped_events);
    one(b, "cpu_seconds_total", "counter", "CPU time of the engine threads.", s.cpu_seconds);
}

static bool wait_for(int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    return poll(&pfd, 1, PATIENCE_MS) == 1;
}

static void serve(struct metrics *m, int fd)
{
    char in[4096];
    size_t have = 0, pos = 0;
    const char *why;
    enum http1_result r = HTTP1_MORE;
    struct buf text, out;
    while (r == HTTP1_MORE && have < sizeof in && wait_for(fd, POLLIN)) {
        ssize_t n = recv(fd, in + have, sizeof in - have, 0);
        if (n <= 0)
            return;
        have += (size_t)n;
        r = http1_scan(in, have, &pos, &why);
    }
    if (r != HTTP1_DONE)
        return;
    bool ok = have > 12 && memcmp(in, "GET /metrics", 12) == 0 && (in[12] == ' ' || in[12] == '?');
    buf_init(&text, 65536);
    buf_init(&out, 131072);
    if (ok)
        body(&text, m->p);
    else
        (void)buf_adds(&text, "GET /metrics\n");
    (void)buf_addf(&out,
                   "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: "
                   "%zu\r\nConnection: close\r\n\r\n",
                   ok ? "200 OK" : "404 Not Found", text.len);
    (void)buf_add(&out, text.data, text.len);
    for (size_t at = 0; out.failed == ERR_OK && at < out.len && wait_for(fd, POLLOUT);) {
        ssize_t n = send(fd, out.data + at, out.len - at, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    buf_fini(&text);
    buf_fini(&out);
}

static void *metrics_main(void *arg)
{
    struct metrics *m = arg;
    for (;;) {
        struct pollfd pfd[2] = {{.fd = m->fd, .events = POLLIN}, {.fd = m->wake, .events = POLLIN}};
        (void)poll(pfd, 2, -1);
        if (pfd[1].revents != 0)
            return NULL;
        int fd = accept4(m->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        serve(m, fd);
        (void)close(fd);
    }
}

enum err metrics_new(struct metrics **out, struct proxy *p, struct errinfo *ei)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (m == NULL)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the metrics listener");
    m->p = p;
    m->wake = m->fd = -1;
    const char *addr = p->cfg.metrics_addr;
    enum err r = ERR_OK;
    if (!listen_is_loopback(addr))
        r = err_set(ei, ERR_REFUSED, "let it listen on 127.0.0.1 and put a collector beside it",
                    "metrics on %s would be open to the network", addr);
    if (r == ERR_OK)
        r = listen_open(addr, p->cfg.metrics_port, false, &m->fd, &p->metrics_bound, ei);
    if (r == ERR_OK && (m->wake = eventfd(0, EFD_CLOEXEC)) < 0)
        r = err_errno(ei, ERR_SYSTEM, NULL, "eventfd");
    if (r == ERR_OK && pthread_create(&m->thread, NULL, metrics_main, m) != 0)
        r = err_set(ei, ERR_SYSTEM, NULL, "the metrics thread could not be started");
    m->started = r == ERR_OK;
    if (r == ERR_OK)
        *out = m;
    else
        metrics_free(&m);
    return r;
}

void metrics_free(struct metrics **mp)
{
    struct metrics *m = *mp;
    if (m == NULL)
        return;
    if (m->started) {
        (void)eventfd_write(m->wake, 1);
        (void)pthread_join(m->thread, NULL);
    }
    if (m->fd >= 0)
        (void)close(m->fd);
    if (m->wake >= 0)
        (void)close(m->wake);
    free(m);
    *mp = NULL;
}
