#include "core/probe/rpc.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/channel.h"
#include "core/probe/probe_int.h"
#include "core/proxy/http1.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define IN_LENGTH    1073741824u /* what Windows says the IN channel is long */
#define HEAD_MAX     16384u
#define LEG_BODY_MAX 65536u

/* One of the two channels. */
struct leg {
    const char *method; /* "RPC_IN_DATA" */
    uint64_t length;
    struct channel c;
    struct logon logon;
    struct buf in; /* a head as it comes */
    size_t scanned;
    struct http1_head *head;
    bool has_head;
    int status;
};

struct rpc {
    struct target *t;
    const char *server;
    enum rpc_interface interface;
    struct leg ins, outs;
    struct vc vc;
    struct http1_head head; /* large; one at a time is looked at */
    struct rpc_answer *answer;
    bool over;
};

static void leg_init(struct leg *l, const char *method, uint64_t length, struct http1_head *head)
{
    *l = (struct leg){.method = method, .length = length, .head = head};
    channel_init(&l->c);
    buf_init(&l->in, HEAD_MAX + LEG_BODY_MAX);
}

static void leg_fini(struct leg *l)
{
    logon_close(&l->logon, l->status);
    channel_fini(&l->c);
    buf_fini(&l->in);
}

/* The head that l->in begins with. ERR_OK without l->has_head: more is needed. */
static enum err leg_head(struct leg *l, struct errinfo *ei)
{
    const char *why = NULL;
    enum http1_result r = http1_scan(l->in.data, l->in.len, &l->scanned, &why);
    if (r == HTTP1_MORE)
        return l->in.len > HEAD_MAX ? err_set(ei, ERR_LIMIT, NULL, "the answer's head is too long") : ERR_OK;
    if (r == HTTP1_DONE)
        r = http1_parse(l->head, l->in.data, l->scanned, true);
    if (r != HTTP1_DONE)
        return err_set(ei, ERR_PROTOCOL, NULL, "the answer is not HTTP");
    l->has_head = true;
    l->status = l->head->status;
    return ERR_OK;
}

/* The whole answer to a message of the logon that is not the last, so that the connection can serve the next. */
static enum err leg_answer(struct leg *l, struct buf *token, const struct stop *stop, struct errinfo *ei)
{
    char data[4096];
    size_t n;
    enum err e = ERR_OK;
    buf_reset(&l->in);
    buf_reset(token);
    l->scanned = 0;
    l->has_head = false;
    while (!e && (!l->has_head || l->in.len < l->scanned + l->head->length)) {
        if ((e = channel_recv(&l->c, data, sizeof data, &n, stop, ei)))
            return e;
        if (n == 0)
            return err_set(ei, ERR_PROTOCOL, "does a device between share or cut connections?",
                           "the connection was closed between two messages of the logon");
        if ((e = buf_add(&l->in, data, n)))
            return err_set(ei, e, NULL, "the answer to the logon is too long");
        if (!l->has_head)
            e = leg_head(l, ei);
    }
    const struct http1_field *f;
    for (size_t i = 0; !e && (f = http1_find_name(l->head, l->in.data, "www-authenticate", i)); i++)
        if (logon_token(l->in.data + f->value, f->value_len, logon_scheme(l->logon.method), token))
            return ERR_OK;
    return e;
}

static enum err leg_ask(struct leg *l, const struct rpc *r, const struct buf *authorization, uint64_t length,
                        const struct stop *stop, struct errinfo *ei)
{
    struct buf head;
    buf_init(&head, LOGON_HEADER_MAX + 4096);
    buf_addf(
        &head,
        "%s %s?%s:%u HTTP/1.1\r\nAccept: application/rpc\r\nUser-Agent: MSRPC\r\nHost: %s\r\n"
        "Cache-Control: no-cache\r\nPragma: No-cache\r\nConnection: Keep-Alive\r\nContent-Length: %llu\r\n",
        l->method, protocol_path(PROTOCOL_OA), r->server, rpc_interface_port(r->interface), r->t->fqdn,
        (unsigned long long)length);
    buf_addf(&head, "Authorization: %s\r\n\r\n", buf_str(authorization));
    enum err e = head.failed ? err_set(ei, head.failed, NULL, "no room for a request")
                             : channel_send(&l->c, head.data, head.len, stop, ei);
    if (head.data)
        explicit_bzero(head.data, head.len);
    buf_fini(&head);
    return e;
}

/* The password itself goes to no other server than the one that was looked at. */
static enum err leg_pinned(const struct leg *l, const struct target *t, struct errinfo *ei)
{
    unsigned char binding[CERTIFICATE_BINDING_MAX];
    size_t n = 0;
    X509 *leaf = SSL_get1_peer_certificate(l->c.ssl);
    bool same = leaf && certificate_binding(leaf, binding, &n) && n == t->binding_len &&
                memcmp(binding, t->binding, n) == 0;
    X509_free(leaf);
    return same ? ERR_OK
                : err_set(
                      ei, ERR_TLS, "is there more than one server behind the address?",
                      "the server shows another certificate than a moment ago, so no credentials are sent");
}

/* Connects, logs on as far as it goes without the body, and sends the head of the channel's request. */
static enum err leg_open(struct leg *l, struct rpc *r, enum logon_method m, const struct stop *stop,
                         struct errinfo *ei)
{
    struct target *t = r->t;
    struct buf header, token;
    bool final = false;
    buf_init(&header, LOGON_HEADER_MAX);
    buf_init(&token, LOGON_TOKEN_MAX);
    enum err e = logon_open(&l->logon, t, m, t->fqdn, stop, ei);
    if (!e)
        e = reach_connect_one(&t->reach, t->which, stop, &l->c.fd, ei);
    if (!e)
        e = channel_secure(&l->c, t->prober->tls, t->fqdn, stop, ei);
    if (!e && m == LOGON_BASIC)
        e = leg_pinned(l, t, ei);
    for (int i = 0; !e && !final && i < LOGON_LEGS_MAX; i++) {
        e = logon_next(&l->logon, i ? &token : NULL, t->binding, t->binding_len, &header, &final, ei);
        if (!e)
            e = leg_ask(l, r, &header, final ? l->length : 0, stop, ei);
        if (!e && !final && !(e = leg_answer(l, &token, stop, ei)) && token.len == 0)
            e = err_set(ei, ERR_PROTOCOL, NULL, "%d instead of the server's part of the logon", l->status);
    }
    buf_reset(&l->in);
    l->scanned = 0;
    l->has_head = false;
    l->status = 0;
    if (header.data)
        explicit_bzero(header.data, header.len);
    buf_fini(&header);
    buf_fini(&token);
    return e;
}

static void say(struct rpc *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct rpc *r, const char *fmt, ...)
{
    va_list ap;
    char raw[400];
    va_start(ap, fmt);
    int n = vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    str_show_fixed(r->answer->words, sizeof r->answer->words, raw,
                   n < 0                    ? 0
                   : (size_t)n < sizeof raw ? (size_t)n
                                            : sizeof raw - 1);
    r->over = true;
}

/* A status that opens no channel. */
static void judge_status(struct rpc *r, const struct leg *l)
{
    const char *side = l == &r->ins ? "IN" : "OUT", *reason = l->in.data + l->head->reason;
    uint32_t status;
    if (rpc_error_in_reason(reason, l->head->reason_len, &status)) {
        const char *words = rpc_status_words(status);
        say(r, "%s channel: RPC error %u (0x%x)%s%s%s", side, status, status, words ? ": " : "",
            words ? words : "",
            status == 5       ? "; is the name in ValidPorts?"
            : status == 0x6ba ? "; is the service behind it running?"
                              : "");
    } else if (l->status == 401) {
        say(r, "%s channel: 401, the logon is refused", side);
    } else {
        const char *words = status_words(l->status, PROTOCOL_OA);
        say(r, "%s channel: %d %.*s%s%s%s", side, l->status, (int)l->head->reason_len, reason,
            words ? " (" : "", words ? words : "", words ? ")" : "");
    }
}

/* Bytes of a channel: its head, then of OUT the PDUs. The IN channel answers only to complain. */
static enum err leg_take(struct rpc *r, struct leg *l, struct errinfo *ei)
{
    uint8_t data[4096];
    size_t n;
    bool ended;
    enum err e = channel_read(&l->c, data, sizeof data, &n, &ended, ei);
    if (e)
        return e;
    if (ended) {
        say(r, "the server closed the %s channel%s", l == &r->ins ? "IN" : "OUT",
            l->has_head ? "" : " without an answer");
        return ERR_OK;
    }
    if (l->has_head) {
        if (l == &r->outs && !vc_feed(&r->vc, data, n))
            say(r, "the OUT channel is broken: %s", r->vc.why);
        return ERR_OK;
    }
    if ((e = buf_add(&l->in, data, n)))
        return err_set(ei, e, NULL, "the answer's head is too long");
    if (n == 0 || (e = leg_head(l, ei)) || !l->has_head)
        return e;
    if (l->status != 200 || l == &r->ins)
        judge_status(r, l);
    else if (!vc_feed(&r->vc, (const uint8_t *)l->in.data + l->scanned, l->in.len - l->scanned))
        say(r, "the OUT channel is broken: %s", r->vc.why);
    return ERR_OK;
}

/* What was waited for when the time was over. */
static const char *waiting_for(const struct rpc *r)
{
    if (!r->outs.has_head)
        return "the OUT channel does not answer";
    if (!r->vc.has_a3)
        return "the OUT channel is open, but nothing comes on it (something buffers the answer)";
    if (!r->vc.has_c2)
        return "the OUT channel is open, but the IN channel does not reach the RPC server (something buffers "
               "the "
               "request, or the server behind is silent)";
    return "the virtual connection is open, but the RPC server does not answer the bind";
}

static enum err converse(struct rpc *r, int64_t from, const struct stop *stop, struct errinfo *ei)
{
    uint8_t bind[VC_BIND_SIZE];
    int64_t asked = from;
    enum err e = ERR_OK;
    while (!e && !r->over) {
        unsigned ready = channel_wait(&r->outs.c, &r->ins.c, stop);
        if (!ready) {
            e = stop_check(stop, ei, "the RPC channels");
            return e == ERR_TIMEOUT ? err_set(ei, e, NULL, "%s", waiting_for(r)) : e;
        }
        if (ready & 1)
            e = leg_take(r, &r->outs, ei);
        if (!e && !r->over && (ready & 2))
            e = leg_take(r, &r->ins, ei);
        if (!e && !r->over && r->vc.state == VC_OPEN) {
            asked = clock_mono_ms();
            r->answer->open_ms = (int)(asked - from);
            vc_bind(&r->vc, r->interface, bind);
            e = channel_send(&r->ins.c, bind, sizeof bind, stop, ei);
        } else if (r->vc.state == VC_BOUND) {
            r->answer->bound = true;
            r->answer->bind_ms = (int)(clock_mono_ms() - asked);
            say(r, "%s answers: virtual connection in %d ms, bind in %d ms",
                rpc_interface_words(r->interface), r->answer->open_ms, r->answer->bind_ms);
        } else if (r->vc.state == VC_REFUSED) {
            r->answer->bind_ms = (int)(clock_mono_ms() - asked);
            say(r, "%s refuses the bind: %s", rpc_interface_words(r->interface), r->vc.why);
        }
    }
    return e;
}

enum err rpc_bind(struct target *t, enum logon_method m, const char *server, enum rpc_interface i,
                  const struct stop *stop, struct rpc_answer *out, struct errinfo *ei)
{
    uint8_t random[64], a1[VC_A1_SIZE], b1[VC_B1_SIZE];
    struct rpc *r = calloc(1, sizeof *r);
    *out = (struct rpc_answer){.open_ms = -1, .bind_ms = -1};
    if (!r || RAND_bytes(random, sizeof random) != 1) {
        free(r);
        return err_set(ei, ERR_NOMEM, NULL, "no memory for RPC channels");
    }
    *r = (struct rpc){.t = t, .server = server, .interface = i, .answer = out};
    leg_init(&r->ins, "RPC_IN_DATA", IN_LENGTH, &r->head);
    leg_init(&r->outs, "RPC_OUT_DATA", VC_A1_SIZE, &r->head);
    vc_init(&r->vc, random);
    vc_out_open(&r->vc, a1);
    vc_in_open(&r->vc, b1);
    int64_t from = clock_mono_ms();
    enum err e = leg_open(&r->outs, r, m, stop, ei);
    if (!e)
        e = channel_send(&r->outs.c, a1, sizeof a1, stop, ei);
    if (!e)
        e = leg_open(&r->ins, r, m, stop, ei);
    if (!e)
        e = channel_send(&r->ins.c, b1, sizeof b1, stop, ei);
    if (!e)
        e = converse(r, from, stop, ei);
    if (!r->ins.status && r->vc.has_c2)
        r->ins.status = 200; /* it never answers, but it let us in */
    leg_fini(&r->ins);
    leg_fini(&r->outs);
    free(r);
    return e;
}
