#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/hello.h"
#include "core/probe/probe_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/rand.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert((int)HELLO_VERSIONS == TLS_VERSIONS, "bits are those of the model");

/* A server that has just shaken hands and says nothing to an old version is not worth more of the deadline. */
#define PATIENCE_MS 1500

enum tried { OFFERED, REFUSED, UNKNOWN };

static bool wait_for(int fd, short events, const struct stop *stop)
{
    struct pollfd p = {.fd = fd, .events = events};
    for (int ms; (ms = stop_left_ms(stop, 250)) > 0;)
        if (poll(&p, 1, ms) > 0)
            return true;
    return false;
}

/* Sends the hello and reads until the answer says which. The connection is dropped then: nothing was begun. */
static enum tried converse(int fd, enum hello_version v, const uint8_t *hello, size_t len,
                           const struct stop *stop)
{
    uint8_t in[HELLO_READ_MAX], alert;
    size_t have = 0;
    enum hello_version chosen;
    /* a fresh connection takes a few hundred bytes at once */
    if (!wait_for(fd, POLLOUT, stop))
        return UNKNOWN;
    if (send(fd, hello, len, MSG_NOSIGNAL) != (ssize_t)len)
        return REFUSED;
    while (wait_for(fd, POLLIN, stop)) {
        ssize_t n = recv(fd, in + have, sizeof in - have, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0) /* Schannel closes or resets where others send an alert */
            return REFUSED;
        have += (size_t)n;
        enum hello_answer a = hello_read(in, have, &chosen, &alert);
        if (a == HELLO_AGREED)
            return chosen == v ? OFFERED : REFUSED;
        if (a != HELLO_MORE)
            return REFUSED;
    }
    return UNKNOWN;
}

static enum tried try_version(struct target *t, enum hello_version v)
{
    unsigned char addr[sizeof(struct in6_addr)];
    uint8_t hello[HELLO_SIZE], random[32];
    bool numeric = inet_pton(AF_INET, t->fqdn, addr) == 1 || inet_pton(AF_INET6, t->fqdn, addr) == 1;
    struct stop share;
    int fd, left = stop_left_ms(t->stop, 2 * PATIENCE_MS);
    if (left <= 1 || RAND_bytes(random, sizeof random) != 1)
        return UNKNOWN;
    size_t len = hello_build(v, numeric ? NULL : t->fqdn, random, hello);
    stop_init(&share, left / 2, (struct stop *)t->stop);
    if (!len || reach_connect_one(&t->reach, t->which, &share, &fd, NULL))
        return UNKNOWN;
    enum tried got = converse(fd, v, hello, len, &share);
    close(fd);
    return got;
}

static void list(struct buf *out, uint32_t set)
{
    const char *sep = "";
    for (int v = 0; v < HELLO_VERSIONS; v++)
        if (set & (1u << v)) {
            buf_addf(out, "%s%s", sep, hello_version_words((enum hello_version)v));
            sep = ", ";
        }
}

void step_versions(struct target *t, const char *agreed)
{
    char subject[PROBE_NAME_MAX + 8];
    struct buf words;
    str_fmt(subject, sizeof subject, "%s:%u", t->fqdn, PROBE_PORT);
    struct observation *o =
        target_note(t, OBSERVATION_STEP, EVIDENCE_WIRE, "tls-versions", PROTOCOL_UNKNOWN, subject, t->fqdn);
    if (!o)
        return;
    int64_t from = clock_mono_ms();
    for (int v = 0; v < HELLO_VERSIONS; v++) {
        enum tried got = agreed && str_eq(agreed, tls_version_name((unsigned)v))
                             ? OFFERED
                             : try_version(t, (enum hello_version)v);
        if (got != UNKNOWN)
            t->tls_tried |= 1u << v;
        if (got == OFFERED)
            t->tls_offered |= 1u << v;
    }
    o->elapsed_ms = (int)(clock_mono_ms() - from);
    buf_init(&words, 1024);
    if (t->tls_offered)
        list(&words, t->tls_offered);
    else
        buf_adds(&words, "none");
    buf_adds(&words, t->tls_offered ? " offered" : " was taken");
    uint32_t unknown = ~t->tls_tried & ((1u << HELLO_VERSIONS) - 1);
    if (unknown) {
        buf_adds(&words, "; no answer to ");
        list(&words, unknown);
    }
    if (t->tls_offered & (1u << HELLO_SSL_3_0))
        buf_adds(&words, " (SSL 3.0 is broken: POODLE)");
    bool good = (t->tls_offered & (1u << HELLO_TLS_1_2 | 1u << HELLO_TLS_1_3)) &&
                !(t->tls_offered & (1u << HELLO_SSL_3_0));
    target_say(t, o,
               !t->tls_tried ? OUTCOME_ERROR
               : good        ? OUTCOME_OK
                             : OUTCOME_FAILED,
               "%s", buf_str(&words));
    buf_fini(&words);
}
