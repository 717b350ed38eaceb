/* Listening sockets and accepting: one socket a thread (SO_REUSEPORT), an allow-list, a limit. */
#include "core/proxy/proxy_int.h"

#include "core/base/str.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG   4096
#define AT_ONCE   64
#define KEEPALIVE 120 /* NAT devices forget after five minutes (rpc-over-http.md 7.10) */

static enum err resolve_numeric(const char *addr, uint16_t port, struct sockaddr_storage *sa, socklen_t *len,
                                struct errinfo *ei)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_PASSIVE}, *ai = NULL;
    char bare[64];
    size_t n = strlen(addr);
    if (n > 2 && n < sizeof bare && addr[0] == '[' && addr[n - 1] == ']') {
        memcpy(bare, addr + 1, n - 2);
        bare[n - 2] = '\0';
        addr = bare;
    } else if (str_ieq(addr, "localhost")) {
        addr = "127.0.0.1";
    }
    if (getaddrinfo(addr, NULL, &hints, &ai) != 0)
        return err_set(ei, ERR_USAGE, "give an address, for example 127.0.0.1:8443", "%s is no address",
                       addr);
    memcpy(sa, ai->ai_addr, ai->ai_addrlen);
    *len = ai->ai_addrlen;
    freeaddrinfo(ai);
    if (sa->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)sa)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)sa)->sin_port = htons(port);
    return ERR_OK;
}

bool listen_is_loopback(const char *addr)
{
    static const struct cidr_list none;
    struct sockaddr_storage sa;
    socklen_t len;
    return resolve_numeric(addr, 0, &sa, &len, NULL) == ERR_OK &&
           cidr_list_allows(&none, (struct sockaddr *)&sa);
}

enum err listen_open(const char *addr, uint16_t port, bool share, int *fd_out, uint16_t *bound,
                     struct errinfo *ei)
{
    struct sockaddr_storage sa;
    socklen_t len;
    int on = 1, fd = -1;
    enum err r = resolve_numeric(addr, port, &sa, &len, ei);
    if (r != ERR_OK)
        return r;
    fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(ei, ERR_SYSTEM, NULL, "a socket for %s", addr);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (share)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&sa, len) != 0 || listen(fd, BACKLOG) != 0) {
        r = err_errno(ei, ERR_CONFIG,
                      errno == EADDRINUSE ? "another program listens there: choose another port"
                                          : "is it an address of this machine, and the port above 1023?",
                      "cannot listen on %s port %u", addr, port);
        (void)close(fd);
        return r;
    }
    len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
        *bound = ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
                                                : ((struct sockaddr_in *)&sa)->sin_port);
    *fd_out = fd;
    return ERR_OK;
}

static void client_text(const struct sockaddr_storage *sa, socklen_t len, char *out, size_t cap)
{
    char port[8];
    if (getnameinfo((const struct sockaddr *)sa, len, out, (socklen_t)cap, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        (void)str_copy(out, cap, "?");
    else if (strncmp(out, "::ffff:", 7) == 0)
        memmove(out, out + 7, strlen(out + 7) + 1);
}

static bool admit(struct engine *e, const struct sockaddr_storage *sa)
{
    struct proxy *p = e->p;
    if (!cidr_list_allows(&p->allow, (const struct sockaddr *)sa))
        return false;
    if (atomic_fetch_add_explicit(&p->open_connections, 1, memory_order_relaxed) < p->max_connections)
        return true;
    (void)atomic_fetch_sub_explicit(&p->open_connections, 1, memory_order_relaxed);
    return false;
}

void listen_accept(struct engine *e)
{
    for (int i = 0; i < AT_ONCE; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        int on = 1, idle = KEEPALIVE;
        int fd = accept4(e->listen_fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* out of descriptors: the limit on connections should have come first; the peer waits in the backlog */
            return;
        }
        if (!admit(e, &sa)) {
            count_add(&e->count.refused_connections, 1);
            (void)close(fd);
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        char client[48];
        client_text(&sa, len, client, sizeof client);
        conn_new(e, fd, client);
    }
}
