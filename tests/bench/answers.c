/*
 * answers CERTIFICATE KEY COUNT PORT: COUNT web servers on loopback, an address each, for clients to be measured against.
 *
 * One thread, as little work as TLS allows. Each request is answered as IIS answers an anonymous one on /rpc: 401, Negotiate, NTLM
 * and Basic. Prints "127.N.0.0 PORT" when it listens (server i is 127.N.i/250.i%250 + 1) and ends when standard input does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PER_NET     250
#define MAX_SERVERS 5000
#define FIRST_NET   220 /* the lab takes those below */
#define LAST_NET    250
#define REQUEST_MAX 8192
#define EVENTS      64

static const char answer[] = "HTTP/1.1 401 Unauthorized\r\n"
                             "Content-Type: text/html\r\n"
                             "Server: Microsoft-IIS/7.5\r\n"
                             "WWW-Authenticate: Negotiate\r\n"
                             "WWW-Authenticate: NTLM\r\n"
                             "WWW-Authenticate: Basic realm=\"contoso.lab\"\r\n"
                             "X-Powered-By: ASP.NET\r\n"
                             "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                             "Content-Length: 0\r\n\r\n";

struct peer {
    int fd;
    SSL *ssl; /* NULL: a listener, or standard input */
    bool shaken;
    size_t len;
    char request[REQUEST_MAX];
};

static int epoll_fd;
static SSL_CTX *tls;

static void watch(struct peer *p, int op, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = p};
    if (epoll_ctl(epoll_fd, op, p->fd, &e) < 0)
        perror("answers: epoll_ctl");
}

static int listen_on(unsigned net, unsigned i, uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sa.sin_addr.s_addr = htonl(127u << 24 | net << 16 | i / PER_NET << 8 | (i % PER_NET + 1));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 64) < 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* All of the addresses, in a net that nobody uses; false when this one is taken. */
static bool take_net(unsigned net, unsigned count, uint16_t port, struct peer *listeners)
{
    for (unsigned i = 0; i < count; i++) {
        listeners[i].fd = listen_on(net, i, port);
        if (listeners[i].fd < 0) {
            while (i--)
                close(listeners[i].fd);
            return false;
        }
    }
    for (unsigned i = 0; i < count; i++)
        watch(&listeners[i], EPOLL_CTL_ADD, EPOLLIN);
    return true;
}

static void drop(struct peer *p)
{
    SSL_free(p->ssl);
    close(p->fd);
    free(p);
    ERR_clear_error();
}

static void take(const struct peer *listener)
{
    int on = 1, fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct peer *p = fd >= 0 ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        if (fd >= 0)
            close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    p->fd = fd;
    p->ssl = SSL_new(tls);
    if (!p->ssl || !SSL_set_fd(p->ssl, fd)) {
        drop(p);
        return;
    }
    SSL_set_accept_state(p->ssl);
    watch(p, EPOLL_CTL_ADD, EPOLLIN);
}

/* False when it is over with this client. */
static bool serve(struct peer *p)
{
    while (!p->shaken) {
        int rc = SSL_do_handshake(p->ssl);
        if (rc != 1)
            return SSL_get_error(p->ssl, rc) == SSL_ERROR_WANT_READ;
        p->shaken = true;
    }
    for (;;) {
        int n = SSL_read(p->ssl, p->request + p->len, (int)(sizeof p->request - 1 - p->len));
        if (n <= 0)
            return SSL_get_error(p->ssl, n) == SSL_ERROR_WANT_READ;
        p->len += (size_t)n;
        p->request[p->len] = '\0';
        if (strstr(p->request, "\r\n\r\n")) {
            p->len = 0;
            if (SSL_write(p->ssl, answer, sizeof answer - 1) <= 0)
                return false;
        } else if (p->len == sizeof p->request - 1) {
            return false;
        }
    }
}

static void loop(const struct peer *input)
{
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            char unused[64];
            if (p == input) {
                if (read(p->fd, unused, sizeof unused) <= 0)
                    return;
            } else if (!p->ssl) {
                take(p);
            } else if (!serve(p)) {
                drop(p);
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct peer *listeners, input = {.fd = STDIN_FILENO};
    if (argc != 5) {
        fprintf(stderr, "usage: answers CERTIFICATE KEY COUNT PORT\n");
        return 2;
    }
    unsigned long count = strtoul(argv[3], NULL, 10), port = strtoul(argv[4], NULL, 10);
    signal(SIGPIPE, SIG_IGN);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    tls = SSL_CTX_new(TLS_server_method());
    listeners = calloc(count ? count : 1, sizeof *listeners);
    if (count == 0 || count > MAX_SERVERS || port == 0 || port > 65535 || !listeners || epoll_fd < 0 ||
        !tls || SSL_CTX_use_certificate_chain_file(tls, argv[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, argv[2], SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "answers: cannot serve %lu addresses with %s\n", count, argv[1]);
        return 1;
    }
    unsigned net = FIRST_NET;
    while (net <= LAST_NET && !take_net(net, (unsigned)count, (uint16_t)port, listeners))
        net++;
    if (net > LAST_NET) {
        fprintf(stderr, "answers: no free addresses: %s\n", strerror(errno));
        return 1;
    }
    printf("127.%u.0.0 %lu\n", net, port);
    fflush(stdout);
    watch(&input, EPOLL_CTL_ADD, EPOLLIN);
    loop(&input);
    return 0;
}
