#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/str.h"
#include "remoting/wsman_http_int.h"

#define MAX_AGE_S                                                                                            \
    86400 /* libcurl would not use again what was idle for 118 s; whether it is alive we ask ourselves */

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static curl_socket_t hand_over(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct wsman_http *h = arg;
    int fd = h->fd;
    (void)purpose, (void)a;
    h->fd = -1;
    return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    struct wsman_http *h = arg;
    if (fd == h->socket) {
        h->socket = -1;
        h->up = false;
    }
    return close(fd);
}

static int already_connected(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    (void)arg, (void)fd, (void)purpose;
    return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static CURLcode trust_more(CURL *curl, void *ctx, void *arg)
{
    const struct wsman_http *h = arg;
    (void)curl;
    bool ok = !h->settings.trust || SSL_CTX_load_verify_file(ctx, h->settings.trust) == 1;
    ERR_clear_error();
    return ok ? CURLE_OK : CURLE_SSL_CACERT_BADFILE;
}

enum err wsman_http_new(struct wsman_http **out, const struct wsman_http_settings *s, struct errinfo *ei)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_curl);
    struct wsman_http *h = calloc(1, sizeof *h);
    if (!h)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for an HTTP client");
    h->settings = *s;
    h->fd = h->socket = -1;
    *out = h;
    return ERR_OK;
}

void wsman_http_close(struct wsman_http *h)
{
    curl_easy_cleanup(h->curl);
    curl_multi_cleanup(h->multi);
    curl_slist_free_all(h->connect_to);
    if (h->fd >= 0)
        close(h->fd);
    h->curl = NULL;
    h->multi = NULL;
    h->connect_to = NULL;
    h->fd = h->socket = -1;
    h->up = false;
}

void wsman_http_free(struct wsman_http **http)
{
    struct wsman_http *h = *http;
    *http = NULL;
    if (!h)
        return;
    wsman_http_close(h);
    free(h);
}

const char *wsman_http_address(const struct wsman_http *h)
{
    return h->address;
}

bool wsman_http_is_up(const struct wsman_http *h)
{
    if (!h->up)
        return false;
    struct pollfd p = {.fd = h->socket, .events = POLLIN | POLLRDHUP};
    int n = poll(&p, 1, 0);
    if (n <= 0)
        return n == 0;
    /* TLS 1.3 sends tickets when it likes; anything else unasked, or an end, and it is of no use any more. */
    char byte;
    return !(p.revents & (POLLHUP | POLLERR | POLLRDHUP)) && h->settings.url->tls &&
           recv(h->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return a->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static enum err check_address(struct wsman_http *h, const struct host_addr *a, struct errinfo *ei)
{
    char text[64];
    if (!h->settings.loopback_only || is_loopback(&a->sa))
        return ERR_OK;
    host_addr_text(a, text, sizeof text);
    return err_set(ei, ERR_REFUSED, "use negotiate, kerberos or ntlm, or https",
                   "winrm_auth = none is for loopback only, and %s is at %s", h->settings.url->host, text);
}

/* Before a connection is made, so that nobody outside hears of us; what is connected to is looked at again. */
static enum err check_addresses(struct wsman_http *h, struct errinfo *ei)
{
    struct host_addr addrs[16];
    size_t n = 0;
    const struct wsman_url *u = h->settings.url;
    enum err e = hostmap_resolve(h->settings.hosts, u->host, u->port, true, addrs, ARRAY_LEN(addrs), &n, ei);
    for (size_t i = 0; i < n && !e; i++)
        e = check_address(h, &addrs[i], ei);
    return e;
}

static CURLcode configure(struct wsman_http *h)
{
    CURLcode rc = CURLE_OK;
#define SET(option, value) rc = rc ? rc : curl_easy_setopt(h->curl, option, value)
    SET(CURLOPT_ERRORBUFFER, h->error);
    SET(CURLOPT_URL, h->settings.url->text);
    SET(CURLOPT_PROTOCOLS_STR, h->settings.url->tls ? "https" : "http");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_CONNECT_TO, h->connect_to);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSL_ENABLE_ALPN, 0L);
    SET(CURLOPT_SSL_CTX_FUNCTION, trust_more);
    SET(CURLOPT_SSL_CTX_DATA, h);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_MAXAGE_CONN, (long)MAX_AGE_S);
    SET(CURLOPT_CONNECTTIMEOUT_MS, 600000L);
    SET(CURLOPT_OPENSOCKETFUNCTION, hand_over);
    SET(CURLOPT_OPENSOCKETDATA, h);
    SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    SET(CURLOPT_CLOSESOCKETDATA, h);
    SET(CURLOPT_SOCKOPTFUNCTION, already_connected);
    SET(CURLOPT_USERAGENT, "casbridge");
    SET(CURLOPT_POST, 1L);
#undef SET
    return rc;
}

static enum err made(struct wsman_http *h, struct errinfo *ei)
{
    struct host_addr peer = {.len = sizeof peer.sa}, local = {.len = sizeof local.sa};
    char connect_to[80];
    if (getpeername(h->fd, (struct sockaddr *)&peer.sa, &peer.len) < 0 ||
        getsockname(h->fd, (struct sockaddr *)&local.sa, &local.len) < 0)
        return err_errno(ei, ERR_UNREACHABLE, NULL, "%s: the connection was lost at once",
                         h->settings.url->host);
    host_addr_text(&peer, h->address, sizeof h->address);
    enum err e = check_address(h, &peer, ei);
    if (e)
        return e;
    h->local_port = ntohs(local.sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&local.sa)->sin6_port
                                                         : ((struct sockaddr_in *)&local.sa)->sin_port);
    str_fmt(connect_to, sizeof connect_to, "::%s", h->address);
    h->connect_to = curl_slist_append(NULL, connect_to);
    h->multi = curl_multi_init();
    h->curl = curl_easy_init();
    if (!h->connect_to || !h->multi || !h->curl || configure(h) != CURLE_OK)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for an HTTP client");
    h->socket = h->fd;
    h->up = true;
    return ERR_OK;
}

enum err wsman_http_connect(struct wsman_http *h, const struct stop *stop, struct errinfo *ei)
{
    wsman_http_close(h);
    enum err e = h->settings.loopback_only ? check_addresses(h, ei) : ERR_OK;
    if (!e)
        e = hostmap_connect(h->settings.hosts, h->settings.url->host, h->settings.url->port, true, stop,
                            &h->fd, ei);
    if (!e)
        e = made(h, ei);
    if (e)
        wsman_http_close(h);
    return e;
}
