#include "core/base/hostmap.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_ENTRIES   100000
#define MAX_ADDRESSES 16

void hostmap_fini(struct hostmap *m)
{
    for (size_t i = 0; i < m->entries.n; i++) {
        free(m->entries.v[i].name);
        free(m->entries.v[i].addr);
    }
    VEC_FREE(&m->entries);
}

/* "name", "name:443", "name/443", "[::1]:443", "::1" -> the part without the port, and the port (0 when absent). */
static bool split_port(const char *s, size_t len, const char **host, size_t *host_len, uint16_t *port)
{
    char digits[8];
    const char *sep = NULL;
    *port = 0;
    if (len && s[0] == '[') {
        const char *close = memchr(s, ']', len);
        if (!close)
            return false;
        *host = s + 1;
        *host_len = (size_t)(close - s) - 1;
        if (close + 1 == s + len)
            return *host_len > 0;
        sep = close + 1;
        if (*sep != ':' && *sep != '/')
            return false;
    } else {
        size_t colons = 0;
        for (size_t i = 0; i < len; i++) {
            if (s[i] == ':' || s[i] == '/') {
                sep = s + i;
                colons += s[i] == ':';
            }
        }
        if (colons > 1) /* an IPv6 address without brackets */
            sep = NULL;
        *host = s;
        *host_len = sep ? (size_t)(sep - s) : len;
    }
    if (!sep)
        return *host_len > 0;
    size_t n = len - (size_t)(sep + 1 - s);
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, sep + 1, n);
    digits[n] = '\0';
    return *host_len > 0 && str_to_port(digits, port);
}

enum err hostmap_add_pair(struct hostmap *m, const char *name, const char *addr, struct errinfo *ei)
{
    static const char hint[] = "write NAME=ADDR or NAME=ADDR:PORT, e.g. excas01.contoso.lab=10.1.0.5:443";
    const char *n, *a;
    size_t n_len, a_len;
    struct host_entry entry = {0};
    if (!split_port(name, strlen(name), &n, &n_len, &entry.for_port) || n_len > 255)
        return err_set(ei, ERR_USAGE, hint, "host: \"%s\" is no host name", name);
    if (!split_port(addr, strlen(addr), &a, &a_len, &entry.port) || a_len > 255)
        return err_set(ei, ERR_USAGE, hint, "host %s: \"%s\" is no address", name, addr);
    entry.name = strndup(n, n_len);
    entry.addr = strndup(a, a_len);
    if (!entry.name || !entry.addr)
        goto nomem;
    for (size_t i = 0; i < m->entries.n; i++) {
        struct host_entry *old = &m->entries.v[i];
        if (old->for_port == entry.for_port && str_ieq(old->name, entry.name)) {
            free(old->name);
            free(old->addr);
            *old = entry;
            return ERR_OK;
        }
    }
    if (VEC_PUSH(&m->entries, MAX_ENTRIES, entry))
        return ERR_OK;
nomem:
    free(entry.name);
    free(entry.addr);
    return err_set(ei, ERR_NOMEM, NULL, "no memory for one more host entry");
}

enum err hostmap_add(struct hostmap *m, const char *spec, struct errinfo *ei)
{
    const char *eq = strchr(spec, '=');
    if (!eq || eq == spec)
        return err_set(ei, ERR_USAGE, "write NAME=ADDR[:PORT]", "--host: \"%s\" names no address", spec);
    char *name = strndup(spec, (size_t)(eq - spec));
    if (!name)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for one more host entry");
    enum err e = hostmap_add_pair(m, name, eq + 1, ei);
    free(name);
    return e;
}

bool hostmap_find(const struct hostmap *m, const char *name, uint16_t port, bool address_only,
                  const char **addr, uint16_t *port_out)
{
    const struct host_entry *best = NULL;
    for (size_t i = 0; m && i < m->entries.n; i++) {
        const struct host_entry *e = &m->entries.v[i];
        if (!str_ieq(e->name, name) || (e->for_port && e->for_port != port))
            continue;
        if (!best || e->for_port)
            best = e;
    }
    if (!best)
        return false;
    *addr = best->addr;
    *port_out = best->port && (!address_only || best->for_port) ? best->port : port;
    return true;
}

enum err hostmap_resolve(const struct hostmap *m, const char *name, uint16_t port, bool address_only,
                         struct host_addr *out, size_t max, size_t *n, struct errinfo *ei)
{
    const char *addr = name;
    uint16_t real_port = port;
    bool mapped = hostmap_find(m, name, port, address_only, &addr, &real_port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
    char service[8];
    str_fmt(service, sizeof service, "%u", real_port);
    int rc = getaddrinfo(addr, service, &hints, &list);
    if (rc == EAI_ADDRFAMILY || rc == EAI_NONAME ||
        rc == EAI_NODATA) { /* loopback only has no "configured" family */
        hints.ai_flags = AI_NUMERICHOST;
        if (getaddrinfo(addr, service, &hints, &list) == 0)
            rc = 0;
    }
    if (rc) {
        err_set(ei, ERR_UNREACHABLE,
                mapped ? "correct the host entry"
                       : "check the name, or say where it is with --host NAME=ADDR",
                "%s: the name cannot be resolved: %s", addr,
                rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        return ERR_UNREACHABLE;
    }
    *n = 0;
    for (struct addrinfo *a = list; a && *n < max; a = a->ai_next) {
        if (a->ai_addrlen > sizeof out->sa)
            continue;
        memset(&out[*n], 0, sizeof out[*n]);
        memcpy(&out[*n].sa, a->ai_addr, a->ai_addrlen);
        out[(*n)++].len = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return *n ? ERR_OK : err_set(ei, ERR_UNREACHABLE, NULL, "%s has no address", addr);
}

void host_addr_text(const struct host_addr *a, char *out, size_t cap)
{
    char host[INET6_ADDRSTRLEN] = "?", port[8] = "?";
    getnameinfo((const struct sockaddr *)&a->sa, a->len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    str_fmt(out, cap, a->sa.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* One attempt; 0, or an errno. */
static int connect_one(const struct host_addr *a, const struct stop *stop, int share_ms, int *fd)
{
    int s = socket(a->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (s < 0)
        return errno;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int why = connect(s, (const struct sockaddr *)&a->sa, a->len) == 0 ? 0 : errno;
    int64_t until = clock_mono_ms() + share_ms;
    while (why == EINPROGRESS || why == EINTR) {
        int64_t left = until - clock_mono_ms();
        int wait = stop_left_ms(stop, left < 250 ? (int)(left > 0 ? left : 0) : 250);
        if (wait == 0) {
            why = ETIMEDOUT;
            break;
        }
        struct pollfd p = {.fd = s, .events = POLLOUT};
        if (poll(&p, 1, wait) > 0) {
            socklen_t len = sizeof why;
            if (getsockopt(s, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
                why = errno;
            break;
        }
    }
    if (why)
        close(s);
    else
        *fd = s;
    return why;
}

enum err hostmap_connect(const struct hostmap *m, const char *name, uint16_t port, bool address_only,
                         const struct stop *stop, int *fd, struct errinfo *ei)
{
    struct host_addr addrs[MAX_ADDRESSES];
    size_t n = 0;
    enum err e = hostmap_resolve(m, name, port, address_only, addrs, MAX_ADDRESSES, &n, ei);
    if (e)
        return e;
    int why = 0;
    char text[64] = "";
    for (size_t i = 0; i < n; i++) {
        int left = stop_left_ms(stop, 30000);
        if (left == 0)
            break;
        why = connect_one(&addrs[i], stop, i + 1 < n ? left / 2 : left, fd);
        host_addr_text(&addrs[i], text, sizeof text);
        if (why == 0)
            return ERR_OK;
    }
    if (stop_is_raised(stop))
        return err_set(ei, ERR_INTERRUPTED, NULL, "connecting to %s: interrupted", name);
    bool late = why == ETIMEDOUT || why == 0;
    err_set(ei, late ? ERR_TIMEOUT : ERR_UNREACHABLE,
            late                  ? "a firewall between? is the host up?"
            : why == ECONNREFUSED ? "the host is up, but nothing listens there"
                                  : "check the route to it",
            "%s (%s): %s", name, text,
            late                  ? "no answer in time"
            : why == ECONNREFUSED ? "connection refused"
                                  : strerror(why));
    if (ei)
        ei->sys = why;
    return late ? ERR_TIMEOUT : ERR_UNREACHABLE;
}
