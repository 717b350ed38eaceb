/*
 * The way of one message: a connection that is logged in, the envelope, its seal, one POST, and back. Here it is decided what may be
 * said again: nothing that changes something once a byte of it has left.
 */
#include <poll.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "remoting/fault.h"
#include "remoting/multipart.h"
#include "remoting/wsman_int.h"

#define SOAP_TYPE "application/soap+xml;charset=UTF-8"

static const char *resource_of(const struct wsman *w, const struct wsman_call *c)
{
    return c->op == SOAP_OP_CREATE ? c->shell->resource : c->op == SOAP_OP_GET ? c->streams : w->resource;
}

enum err wsman_write(struct wsman *w, const struct wsman_call *c, const char *message_id, struct errinfo *ei)
{
    bool nobodys = c->op == SOAP_OP_CREATE || (c->op == SOAP_OP_GET && !c->of_shell);
    struct soap_head h = {.to = w->url.text,
                          .message_id = message_id,
                          .session_id = w->session_id,
                          .resource = resource_of(w, c),
                          .shell_id = nobodys ? NULL : w->shell_id,
                          .options = c->options,
                          .n_options = c->n_options,
                          .max_envelope = w->max_envelope,
                          .timeout_s = w->timeout_s};
    struct buf *out = &w->envelope;
    enum err e = ERR_INTERNAL;
    buf_reset(out);
    switch (c->op) {
    case SOAP_OP_CREATE: e = soap_write_create(out, &h, c->shell); break;
    case SOAP_OP_COMMAND: e = soap_write_command(out, &h, c->command); break;
    case SOAP_OP_RECEIVE: e = soap_write_receive(out, &h, c->id, c->streams); break;
    case SOAP_OP_SEND: e = soap_write_send(out, &h, c->streams, c->id, c->data, c->len, c->end); break;
    case SOAP_OP_SIGNAL: e = soap_write_signal(out, &h, c->id, c->signal); break;
    case SOAP_OP_DELETE: e = soap_write_delete(out, &h); break;
    case SOAP_OP_GET: e = soap_write_get(out, &h); break;
    case SOAP_OP_COUNT: break;
    }
    if (e)
        return err_set(ei, e, NULL, "%s: the message cannot be written: %s", soap_op_words(c->op),
                       err_text(e));
    return out->len <= w->max_envelope
               ? ERR_OK
               : err_set(ei, ERR_LIMIT, NULL, "%s: a message of %zu bytes, %zu are allowed",
                         soap_op_words(c->op), out->len, w->max_envelope);
}

static bool is_sealed(const struct wsman *w)
{
    return w->conv && !w->url.tls;
}

/* What is sent: the envelope, or its seal in parts. */
static enum err dress(struct wsman *w, char *type, size_t cap, const struct buf **body, struct errinfo *ei)
{
    struct conv_sealed s;
    const char *protocol =
        w->conv && conv_scheme(w->conv) == CONV_SCHEME_KERBEROS ? MULTIPART_KERBEROS : MULTIPART_SPNEGO;
    *body = &w->envelope;
    str_copy(type, cap, SOAP_TYPE);
    if (!is_sealed(w))
        return ERR_OK;
    enum err e = conv_seal(w->conv, w->envelope.data, w->envelope.len, &s, ei);
    if (e)
        return e;
    struct multipart_part p = {s.head, s.head_len, s.data, s.data_len, s.length};
    multipart_content_type(protocol, type, cap);
    buf_reset(&w->body);
    e = multipart_write(&w->body, protocol, &p);
    *body = &w->body;
    return e ? err_set(ei, e, NULL, "no room for a message of %zu bytes", w->envelope.len) : ERR_OK;
}

static enum err unseal(struct wsman *w, struct errinfo *ei)
{
    struct multipart_part parts[64];
    size_t n = 0;
    enum err e = multipart_read(w->answer.content_type, buf_str(&w->answer.body), w->answer.body.len, parts,
                                ARRAY_LEN(parts), &n, ei);
    buf_reset(&w->plain);
    for (size_t i = 0; !e && i < n; i++)
        e = conv_open(w->conv, parts[i].head, parts[i].head_len, parts[i].data, parts[i].data_len, &w->plain,
                      ei);
    return e;
}

static bool is_envelope(const struct wsman_answer *a)
{
    return a->body.len > 0 && str_icontains(a->content_type, "xml") &&
           !str_icontains(a->content_type, "html");
}

void wsman_note_status(struct wsman *w)
{
    w->fault = (struct wsman_fault){.wait_ms = -1, .http_status = w->answer.status};
    if (w->answer.status >= 300 && w->answer.status < 400)
        str_copy(w->fault.redirect, sizeof w->fault.redirect, w->answer.location);
}

/* The answer's envelope. What came in the clear where a seal was agreed upon is believed in nothing but its status. */
static enum err understand(struct wsman *w, const struct wsman_call *c, const char *message_id,
                           struct soap_reply *reply, struct errinfo *ei)
{
    char what[360];
    const struct buf *xml = &w->answer.body;
    bool sealed = is_sealed(w);
    enum err e = ERR_OK;
    str_fmt(what, sizeof what, "%s: %s", w->peer, soap_op_words(c->op));
    if (sealed && multipart_is(w->answer.content_type)) {
        e = unseal(w, ei);
        xml = &w->plain;
    } else if (sealed && w->answer.status < 300) {
        e = err_set(ei, ERR_PROTOCOL, "a proxy between, or an attack",
                    "the answer to an encrypted message is not encrypted");
    } else if (sealed || !is_envelope(&w->answer)) {
        wsman_note_status(w);
        return fault_http_words(w->answer.status, w->answer.location, what, ei);
    }
    if (!e)
        e = soap_read(reply, c->op, message_id, c->id, buf_str(xml), xml->len, c->output, ei);
    if (e) {
        wsman_http_close(w->http); /* nothing more is to be expected of this conversation */
        err_wrap(ei, "%s", what);
        return e;
    }
    reply->fault.http_status = w->answer.status;
    w->fault = reply->fault;
    return ERR_OK;
}

/* Signal and Delete get time of their own once there is too little left; a server that hangs on a Signal leaves Delete its share. */
static const struct stop *stop_for(struct wsman *w, enum soap_op op)
{
    if (!soap_op_tidies(op) || stop_left_ms(w->stop, WSMAN_CLEANUP_MS) == WSMAN_CLEANUP_MS)
        return w->stop;
    if (!w->tidying || op == SOAP_OP_DELETE)
        stop_init(&w->tidy, WSMAN_CLEANUP_MS, NULL);
    w->tidying = true;
    return &w->tidy;
}

/* What a status says of Basic's password. A proxy, or a server that looks at addresses first, says nothing of it. */
static enum wsman_verdict verdict(int status)
{
    return status == 401 ? WSMAN_REJECTED : status < 300 || status == 500 ? WSMAN_ACCEPTED : WSMAN_UNTOLD;
}

static enum err post(struct wsman *w, const struct wsman_call *c, const struct stop *stop,
                     const char *message_id, struct errinfo *ei)
{
    char type[256];
    const struct buf *body;
    w->answer.sent = w->answer.lost = false;
    enum err e = wsman_write(w, c, message_id, ei);
    if (!e && !wsman_http_is_up(w->http))
        e = wsman_login(w, stop, ei);
    w->answer.sent = w->answer.lost = false; /* of the login's legs */
    w->answer.status = 0;
    if (!e)
        e = dress(w, type, sizeof type, &body, ei);
    if (!e && w->identity->auth == WSMAN_AUTH_BASIC)
        e = wsman_trial_begin(w, stop, ei);
    if (e)
        return e;
    struct wsman_request req = {.content_type = type,
                                .body = body->data,
                                .len = body->len,
                                .authorize = wsman_authorize,
                                .arg = w,
                                .wait_ms = (w->timeout_s + WSMAN_READ_MARGIN_S) * 1000};
    e = wsman_http_post(w->http, &req, stop, &w->answer, ei);
    if (e)
        err_wrap(ei, "%s: %s", w->peer, soap_op_words(c->op));
    if (w->identity->auth == WSMAN_AUTH_BASIC)
        wsman_trial_end(w, e ? WSMAN_UNTOLD : verdict(w->answer.status));
    return e;
}

/* What runs something on the server. */
static bool runs(enum soap_op op)
{
    return op == SOAP_OP_COMMAND || op == SOAP_OP_SEND;
}

/* May the same be said once more after e? */
static bool may_repeat(const struct wsman *w, const struct wsman_call *c, const struct stop *stop, enum err e)
{
    if (!w->answer.lost || stop_left_ms(stop, 1) == 0)
        return false;
    if (!w->answer.sent)
        return e == ERR_UNREACHABLE; /* a kept connection that had died: nothing left */
    /* The server hung up on an idle connection while the first request was under way: at worst a shell too many. One with a name is
       asked for by another. */
    if (c->op == SOAP_OP_CREATE && w->kept && e == ERR_UNREACHABLE && !c->shell->shell_id)
        return true;
    return !soap_op_changes(c->op) && (e == ERR_UNREACHABLE || e == ERR_TIMEOUT);
}

/* The login is over as far as the server is concerned; what we asked it has not looked at. Only that a 401 comes in the clear: anybody
   between may have said it after the server has run the command, so a command is not said again. */
static bool wants_login(const struct wsman *w, enum soap_op op)
{
    bool has_login = w->identity->auth != WSMAN_AUTH_BASIC && w->identity->auth != WSMAN_AUTH_NONE;
    return w->answer.status == 401 && has_login && !runs(op);
}

/* A command may have reached the server, and nobody told us what became of it. 4xx and 3xx say that it was not taken, where they can
   be believed; everything else leaves it open. */
static void note_unknown(struct wsman *w, enum soap_op op)
{
    bool declined = w->answer.status >= 300 && w->answer.status < 500 && !is_sealed(w);
    w->unknown = w->unknown || (runs(op) && w->answer.sent && !declined);
}

/* Faults that say that it took too long or was broken off, not that it did not begin. */
static bool leaves_open(const struct wsman_fault *f)
{
    return f->code == WSMAN_FAULT_TIMED_OUT || f->code == WSMAN_FAULT_ABORTED ||
           (f->code == 0 && str_ieq(f->subcode, "TimedOut"));
}

/* Once: a Receive or Delete on a new connection, anything on one that died before it left, or that the server wants a login for. */
static enum err once(struct wsman *w, const struct wsman_call *c, const struct stop *stop,
                     struct soap_reply *reply, struct errinfo *ei)
{
    char id[SOAP_UUID_MAX];
    enum err e;
    bool again = false, lost = false;
    do {
        soap_uuid(id);
        e = post(w, c, stop, id, ei);
        if (e && !again && may_repeat(w, c, stop, e)) {
            lost = lost || (w->answer.sent && c->op == SOAP_OP_RECEIVE);
            again = true;
            continue;
        }
        if (!e && !again && wants_login(w, c->op)) {
            wsman_http_close(w->http);
            again = true;
            continue;
        }
        break;
    } while (again);
    w->lost_answer = w->lost_answer || lost;
    w->kept = false;
    if (!e)
        e = understand(w, c, id, reply, ei);
    if (e || (reply->is_fault && leaves_open(&reply->fault)))
        note_unknown(w, c->op);
    if (e)
        return e;
    if (c->output && w->lost_answer) {
        c->output->gap = true;
        w->lost_answer = false;
    }
    return ERR_OK;
}

/* A wait that the server named: only when there is time for it, and said aloud. */
static bool wait_as_told(struct wsman *w, const struct stop *stop, const char *why, int ms)
{
    if (ms > WSMAN_WAIT_MAX_MS || stop_left_ms(stop, ms + 1000) < ms + 1000)
        return false;
    log_line(LOG_LEVEL_WARNING, "%s asks to wait %d.%d s: %s", w->peer, ms / 1000, ms / 100 % 10, why);
    for (int64_t until = clock_mono_ms() + ms, now; (now = clock_mono_ms()) < until;) {
        int slice = stop_left_ms(stop, until - now < 200 ? (int)(until - now) : 200);
        if (slice == 0)
            return false;
        (void)poll(NULL, 0, slice);
    }
    return true;
}

enum err wsman_exchange(struct wsman *w, const struct wsman_call *c, struct soap_reply *reply,
                        struct errinfo *ei)
{
    const struct stop *stop = stop_for(w, c->op);
    w->fault = (struct wsman_fault){.wait_ms = -1};
    for (int waits = 0;; waits++) {
        enum err e = once(w, c, stop, reply, ei);
        bool starts = c->op == SOAP_OP_CREATE || c->op == SOAP_OP_COMMAND;
        /* A fault is a no: nothing has begun, so to ask again is no second time. */
        if (e || !reply->is_fault || w->unknown || reply->fault.wait_ms < 0 || !starts ||
            waits == WSMAN_WAITS_MAX || !wait_as_told(w, stop, reply->fault.reason, reply->fault.wait_ms))
            return e;
    }
}
