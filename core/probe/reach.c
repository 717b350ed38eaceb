#include "core/probe/reach.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/late.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A look-up that may outlive its caller: it owns all it touches. */
struct lookup {
    char name[256];
    uint16_t port;
    struct host_addr addrs[REACH_MAX_ADDRESSES];
    size_t n;
    enum err err;
    struct errinfo ei;
};

static void look_up(void *arg)
{
    struct lookup *l = arg;
    l->err = hostmap_resolve(NULL, l->name, l->port, false, l->addrs, REACH_MAX_ADDRESSES, &l->n, &l->ei);
}

static bool is_numeric(const char *s)
{
    unsigned char addr[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, s, addr) == 1 || inet_pton(AF_INET6, s, addr) == 1;
}

static bool same_address(const struct host_addr *a, const struct host_addr *b)
{
    return a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0;
}

enum err reach_resolve(const struct hostmap *hosts, const char *name, uint16_t port, const struct stop *stop,
                       struct reach *out, struct buf *detail, struct errinfo *ei)
{
    const char *addr = name;
    struct reach r = {.port = port};
    r.configured = hosts && hostmap_find(hosts, name, port, false, &addr, &r.port);
    struct lookup *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a look-up");
    l->port = r.port;
    enum err e = ERR_OK;
    if (!str_copy(l->name, sizeof l->name, addr)) {
        e = err_set(ei, ERR_INPUT, NULL, "%s: the name is too long", addr);
        goto out;
    }
    if (is_numeric(addr))
        look_up(l); /* no name server is asked */
    else
        e = late_run(look_up, free, l, stop);
    if (e == ERR_TIMEOUT || e == ERR_INTERRUPTED) {
        l = NULL; /* it belongs to the look-up now */
        err_set(ei, e, "check the name servers in /etc/resolv.conf",
                e == ERR_TIMEOUT ? "%s: no name server answers in time" : "%s: interrupted", addr);
        goto out;
    }
    if (e) {
        err_set(ei, e, NULL, "%s: too many look-ups hang already", addr);
        goto out;
    }
    if (l->err) {
        if (ei)
            *ei = l->ei;
        e = l->err;
        goto out;
    }
    for (size_t i = 0; i < l->n; i++) {
        bool seen = false;
        for (size_t k = 0; k < r.n && !seen; k++)
            seen = same_address(&r.addrs[k], &l->addrs[i]);
        if (!seen)
            r.addrs[r.n++] = l->addrs[i];
    }
    *out = r;
    for (size_t i = 0; i < r.n; i++) {
        char text[INET6_ADDRSTRLEN];
        reach_address(&r, i, text, sizeof text);
        buf_addf(detail, "%s%s", i ? ", " : "", text);
    }
    if (r.port != port)
        buf_addf(detail, " port %u", r.port);
    if (r.configured)
        buf_adds(detail, " (configured)");
out:
    free(l);
    return e;
}

void reach_address(const struct reach *r, size_t which, char *out, size_t cap)
{
    char text[INET6_ADDRSTRLEN] = "?";
    const struct host_addr *a = &r->addrs[which];
    getnameinfo((const struct sockaddr *)&a->sa, a->len, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    str_copy(out, cap, text);
}

/* 0, or an errno; ETIMEDOUT when the share of time is over. */
static int try_connect(const struct host_addr *a, const struct stop *stop, int share_ms, int *fd)
{
    int on = 1, why = 0;
    int s = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s < 0)
        return errno;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(s, (const struct sockaddr *)&a->sa, a->len) < 0)
        why = errno;
    int64_t until = clock_mono_ms() + share_ms;
    while (why == EINPROGRESS) {
        int64_t left = until - clock_mono_ms();
        int wait = left > 0 ? stop_left_ms(stop, left < 250 ? (int)left : 250) : 0;
        struct pollfd p = {.fd = s, .events = POLLOUT};
        if (wait == 0) {
            why = ETIMEDOUT;
        } else if (poll(&p, 1, wait) > 0) {
            socklen_t len = sizeof why;
            if (getsockopt(s, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
                why = errno;
        }
    }
    if (why)
        close(s);
    else
        *fd = s;
    return why;
}

static void why_words(int why, const char *addr, char *out, size_t cap)
{
    if (why == ECONNREFUSED)
        str_fmt(out, cap, "refused by %s", addr);
    else if (why == ETIMEDOUT)
        str_fmt(out, cap, "no answer from %s", addr);
    else
        str_fmt(out, cap, "%s: %s", addr, strerror(why));
}

enum err reach_connect(const struct reach *r, const struct stop *stop, int *fd, size_t *which,
                       struct buf *detail, struct errinfo *ei)
{
    char addr[INET6_ADDRSTRLEN], words[160];
    struct buf failed;
    int why = ETIMEDOUT;
    enum err e = ERR_OK;
    buf_init(&failed, 4096);
    for (size_t i = 0; i < r->n; i++) {
        int left = stop_left_ms(stop, 30000);
        if (left == 0)
            break;
        reach_address(r, i, addr, sizeof addr);
        why = try_connect(&r->addrs[i], stop, i + 1 < r->n ? left / 2 : left, fd);
        if (why == 0) {
            *which = i;
            buf_addf(detail, "TCP %u open at %s%s%s", r->port, addr, failed.len ? "; " : "",
                     buf_str(&failed));
            goto out;
        }
        why_words(why, addr, words, sizeof words);
        buf_addf(&failed, "%s%s", failed.len ? ", " : "", words);
    }
    if (stop_is_raised(stop)) {
        e = err_set(ei, ERR_INTERRUPTED, NULL, "TCP %u: interrupted", r->port);
    } else {
        e = why == ETIMEDOUT ? ERR_TIMEOUT : ERR_UNREACHABLE;
        err_set(ei, e,
                why == ETIMEDOUT      ? "a firewall between? is the host up?"
                : why == ECONNREFUSED ? "the host is up, but nothing listens there"
                                      : "check the route to it",
                "TCP %u %s", r->port, failed.len ? buf_str(&failed) : "not tried: the time is over");
    }
out:
    buf_fini(&failed);
    return e;
}

enum err reach_connect_one(const struct reach *r, size_t which, const struct stop *stop, int *fd,
                           struct errinfo *ei)
{
    struct reach one = {.n = 1, .port = r->port, .addrs = {r->addrs[which]}};
    struct buf unused;
    size_t zero;
    buf_init(&unused, 4096);
    enum err e = reach_connect(&one, stop, fd, &zero, &unused, ei);
    buf_fini(&unused);
    return e;
}
