#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/foreign.h"
#include "core/base/str.h"
#include "remoting/ssh_int.h"

#define KEEPALIVE_S  15
#define LOST_AFTER_S 60  /* without an acknowledgement of what we sent */
#define SLICE_MS     200 /* how soon an interruption is noticed */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_rc;

static void start_library(void)
{
    library_rc = libssh2_init(0);
}

/* libssh2 does not say what a server offered, so the first bytes are kept on their way in. */
static LIBSSH2_RECV_FUNC(receive)
{
    struct ssh_conn *c = *abstract;
    ssize_t n = recv(socket, buffer, length, flags);
    c->hung_up = c->hung_up || n == 0 || (n < 0 && errno == ECONNRESET);
    if (n < 0)
        return -errno;
    if (c->peeking && c->n_peek < sizeof c->peek) {
        size_t room = sizeof c->peek - c->n_peek;
        size_t take = (size_t)n < room ? (size_t)n : room;
        memcpy(c->peek + c->n_peek, buffer, take);
        c->n_peek += take;
    }
    return n;
}

static enum err wait_check(struct ssh_conn *c, const char *what, struct errinfo *ei)
{
    char text[160];
    str_fmt(text, sizeof text, "%s: %s", c->host, what);
    enum err err = stop_check(c->stop, ei, text);
    if (err == ERR_OK && c->login_deadline_ms && clock_mono_ms() >= c->login_deadline_ms)
        err = err_set(ei, ERR_TIMEOUT, "it accepts connections but does not answer: look at its sshd",
                      "%s: %s: nothing came back within %d s", c->host, what, SSH_LOGIN_MS / 1000);
    return err;
}

enum err ssh_conn_wait(struct ssh_conn *c, const char *what, struct errinfo *ei)
{
    enum err err = wait_check(c, what, ei);
    if (err != ERR_OK)
        return err;
    int directions = libssh2_session_block_directions(c->session);
    bool sending = directions & LIBSSH2_SESSION_BLOCK_OUTBOUND;
    struct pollfd p = {.fd = c->fd, .events = sending ? POLLOUT : 0};
    if (!sending || (directions & LIBSSH2_SESSION_BLOCK_INBOUND))
        p.events |= POLLIN;
    int n = poll(&p, 1, stop_left_ms(c->stop, SLICE_MS));
    if (n < 0 && errno != EINTR)
        return err_errno(ei, ERR_SYSTEM, NULL, "%s: poll", c->host);
    /* Not into the middle of another packet: libssh2 refuses a second one until the first is out. */
    if (n == 0 && c->logged_in && !sending) {
        int next = 0;
        (void)libssh2_keepalive_send(c->session, &next);
    }
    return ERR_OK;
}

enum err ssh_conn_error(struct ssh_conn *c, int rc, const char *what, struct errinfo *ei)
{
    char *text = NULL;
    (void)libssh2_session_last_error(c->session, &text, NULL, 0);
    switch (rc) {
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_SEND:
    case LIBSSH2_ERROR_CHANNEL_CLOSED:
    case LIBSSH2_ERROR_CHANNEL_EOF_SENT:
        return err_set(ei, ERR_UNREACHABLE,
                       "was the server restarted, or does something between cut connections?",
                       "%s: %s: the connection was lost", c->host, what);
    case LIBSSH2_ERROR_ALLOC: return err_set(ei, ERR_NOMEM, NULL, "%s: %s: out of memory", c->host, what);
    case LIBSSH2_ERROR_CHANNEL_FAILURE:
    case LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED:
        return err_set(ei, ERR_DENIED,
                       "may this user run commands there (ForceCommand, PermitOpen, MaxSessions)?",
                       "%s: %s: the server refused it", c->host, what);
    default: break;
    }
    return err_set(ei, ERR_PROTOCOL, NULL, "%s: %s: %s (libssh2 error %d)", c->host, what, text ? text : "?",
                   rc);
}

/* libssh2's own list for a method, comma-separated. */
static void own_algorithms(struct ssh_conn *c, int method, char *out, size_t cap)
{
    const char **names = NULL;
    int n = libssh2_session_supported_algs(c->session, method, &names);
    out[0] = '\0';
    for (int i = 0; i < n; i++) {
        size_t len = strlen(out);
        (void)str_fmt(out + len, cap - len, "%s%s", i ? "," : "", names[i]);
    }
    if (n > 0)
        libssh2_free(c->session, names);
}

static const struct {
    enum kexinit_list list;
    int method;
    const char *hint;
} agreements[] = {
    {KEXINIT_KEX, LIBSSH2_METHOD_KEX,
     "allow one that libssh2 knows: KexAlgorithms +curve25519-sha256 in sshd_config"},
    {KEXINIT_HOST_KEY, LIBSSH2_METHOD_HOSTKEY,
     "give the server an ed25519 or ecdsa host key (ssh-keygen -A)"},
    {KEXINIT_CIPHER_OUT, LIBSSH2_METHOD_CRYPT_CS, "allow one: Ciphers +aes256-ctr in sshd_config"},
    {KEXINIT_CIPHER_IN, LIBSSH2_METHOD_CRYPT_SC, "allow one: Ciphers +aes256-ctr in sshd_config"},
    {KEXINIT_MAC_OUT, LIBSSH2_METHOD_MAC_CS, "allow one: MACs +hmac-sha2-256 in sshd_config"},
    {KEXINIT_MAC_IN, LIBSSH2_METHOD_MAC_SC, "allow one: MACs +hmac-sha2-256 in sshd_config"},
};

static enum err handshake_error(struct ssh_conn *c, int rc, struct errinfo *ei)
{
    struct kexinit k;
    kexinit_read(&k, c->peek, c->n_peek);
    if (!k.banner[0] && k.said[0])
        return err_set(ei, ERR_PROTOCOL, "check ssh_port: something else listens there",
                       "%s is no SSH server: it said \"%s\"", c->host, k.said);
    if (!k.banner[0])
        return err_set(ei, ERR_UNREACHABLE,
                       "too many connections at once (MaxStartups), or an address that may not connect?",
                       "%s: the connection was closed before the server said anything", c->host);
    for (size_t i = 0; k.has_lists && i < ARRAY_LEN(agreements); i++) {
        char ours[1024];
        const char *theirs = k.lists[agreements[i].list];
        own_algorithms(c, agreements[i].method, ours, sizeof ours);
        if (!kexinit_agree(ours, theirs))
            return err_set(
                ei, ERR_PROTOCOL, agreements[i].hint,
                "%s: no common %s algorithm: the server (%.40s) offers %.90s; libssh2 offers %.90s", c->host,
                kexinit_list_name(agreements[i].list), k.banner, theirs, ours);
    }
    /* libssh2 calls it a failed exchange of keys. */
    if (c->hung_up)
        rc = LIBSSH2_ERROR_SOCKET_DISCONNECT;
    return ssh_conn_error(c, rc, "SSH handshake", ei);
}

/* Types of keys already known come first, so that the server shows one that can be checked. */
static void prefer_host_keys(struct ssh_conn *c, const char *types)
{
    char all[2048];
    size_t len = 0;
    if (!*types)
        return;
    (void)str_fmt(all, sizeof all, "%s,", types);
    len = strlen(all);
    own_algorithms(c, LIBSSH2_METHOD_HOSTKEY, all + len, sizeof all - len);
    /* Refused when libssh2 knows none: then its own order stands, and the handshake says what is wrong. */
    (void)libssh2_session_method_pref(c->session, LIBSSH2_METHOD_HOSTKEY, all);
}

/* libssh2 1.10 forgets the ephemeral keys of an exchange that is broken off. */
static int shake_hands(struct ssh_conn *c)
{
    FOREIGN_LEAKS_BEGIN();
    int rc = libssh2_session_handshake(c->session, c->fd);
    FOREIGN_LEAKS_END();
    return rc;
}

static enum err handshake(struct ssh_conn *c, struct errinfo *ei)
{
    int rc;
    while ((rc = shake_hands(c)) == LIBSSH2_ERROR_EAGAIN) {
        enum err err = ssh_conn_wait(c, "SSH handshake", ei);
        if (err != ERR_OK)
            return err;
    }
    c->peeking = false;
    return rc == 0 ? ERR_OK : handshake_error(c, rc, ei);
}

static void tune_socket(int fd)
{
    int on = 1;
    unsigned lost_ms = LOST_AFTER_S * 1000;
    /* Only a quicker notice of a dead server: what cannot be set stays as the system has it. */
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof lost_ms);
}

enum err ssh_conn_open(struct ssh_conn *c, const struct profile *p, const char *host, uint16_t port,
                       int own_fd, const char *host_key_types, const struct stop *stop, struct errinfo *ei)
{
    enum err err = ERR_OK;
    *c = (struct ssh_conn){.fd = own_fd, .host = host, .stop = stop, .peeking = true};
    (void)pthread_once(&library_once, start_library);
    if (library_rc != 0) {
        err = err_set(ei, ERR_SYSTEM, NULL, "libssh2 could not be started (%d)", library_rc);
        goto out;
    }
    if (c->fd < 0)
        err = hostmap_connect(&p->hosts, host, port, true, stop, &c->fd, ei);
    if (err != ERR_OK) {
        err_wrap(ei, "SSH");
        goto out;
    }
    tune_socket(c->fd);
    c->login_deadline_ms = clock_mono_ms() + SSH_LOGIN_MS;
    c->session = libssh2_session_init_ex(NULL, NULL, NULL, c);
    if (!c->session) {
        err = err_set(ei, ERR_NOMEM, NULL, "%s: no memory for an SSH session", host);
        goto out;
    }
    libssh2_session_set_blocking(c->session, 0);
    /* libssh2 keeps callbacks as void pointers. */
    LIBSSH2_RECV_FUNC((*callback)) = receive;
    void *as_pointer;
    memcpy(&as_pointer, &callback, sizeof as_pointer);
    (void)libssh2_session_callback_set(c->session, LIBSSH2_CALLBACK_RECV, as_pointer);
    libssh2_keepalive_config(c->session, 1, KEEPALIVE_S);
    prefer_host_keys(c, host_key_types);
    err = handshake(c, ei);
out:
    if (err != ERR_OK)
        ssh_conn_close(c);
    return err;
}

void ssh_conn_close(struct ssh_conn *c)
{
    if (c->session) {
        /* A word of farewell when it can be said at once; nobody waits for it. */
        (void)libssh2_session_disconnect(c->session, "done");
        for (int i = 0; i < 100 && libssh2_session_free(c->session) == LIBSSH2_ERROR_EAGAIN; i++) {
            struct pollfd p = {.fd = c->fd, .events = POLLIN | POLLOUT};
            /* Freeing waits for channels still open; without the socket it has nothing to wait for. */
            (void)shutdown(c->fd, SHUT_RDWR);
            (void)poll(&p, 1, 10);
        }
        c->session = NULL;
    }
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
}
