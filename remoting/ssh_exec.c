/*
 * One command on an open connection. From the first call of exec on it may have left for the server, so from
 * there on every failure leaves the outcome open: nothing here tries again.
 */
#include <string.h>

#include "core/base/str.h"
#include "remoting/ssh_int.h"

#define CHUNK 32768

enum err ssh_open_channel(struct ssh_conn *c, LIBSSH2_CHANNEL **out, struct errinfo *ei)
{
    for (;;) {
        *out = libssh2_channel_open_session(c->session);
        if (*out)
            return ERR_OK;
        int rc = libssh2_session_last_errno(c->session);
        if (rc != LIBSSH2_ERROR_EAGAIN)
            return ssh_conn_error(c, rc, "opening a channel", ei);
        enum err err = ssh_conn_wait(c, "opening a channel", ei);
        if (err != ERR_OK)
            return err;
    }
}

static enum err request(struct ssh_conn *c, LIBSSH2_CHANNEL *channel, const char *line, struct exec_output *o,
                        struct errinfo *ei)
{
    int rc;
    o->sent = true;
    while ((rc = libssh2_channel_exec(channel, line)) == LIBSSH2_ERROR_EAGAIN) {
        enum err err = ssh_conn_wait(c, "starting PowerShell", ei);
        if (err != ERR_OK)
            return err;
    }
    /* Refused is an answer: nothing ran. */
    if (rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED)
        o->sent = false;
    return rc == 0 ? ERR_OK : ssh_conn_error(c, rc, "starting PowerShell", ei);
}

/* As much as is there of one stream. *any: something was read. */
static ssize_t drain(LIBSSH2_CHANNEL *channel, int stream, struct buf *to, bool *cut, bool *any)
{
    char chunk[CHUNK];
    ssize_t n;
    while ((n = libssh2_channel_read_ex(channel, stream, chunk, sizeof chunk)) > 0) {
        *any = true;
        exec_output_add(to, cut, chunk, (size_t)n);
    }
    return n;
}

/* What goes in, what comes out. PowerShell 2 does not end before its input has, so the end is told even when
 * there is none. */
struct exchange {
    const char *input;
    size_t left;
    bool eof_told;
};

static ssize_t feed(LIBSSH2_CHANNEL *channel, struct exchange *x)
{
    while (x->left > 0) {
        ssize_t n = libssh2_channel_write(channel, x->input, x->left < CHUNK ? x->left : CHUNK);
        if (n < 0)
            return n;
        x->input += n;
        x->left -= (size_t)n;
    }
    int rc = x->eof_told ? 0 : libssh2_channel_send_eof(channel);
    x->eof_told = x->eof_told || rc == 0;
    return rc;
}

/* A command may end without reading its input; what counts is what comes back. */
static bool feed_failed(ssize_t rc)
{
    return rc < 0 && rc != LIBSSH2_ERROR_EAGAIN && rc != LIBSSH2_ERROR_CHANNEL_CLOSED &&
           rc != LIBSSH2_ERROR_CHANNEL_EOF_SENT;
}

static enum err converse(struct ssh_conn *c, LIBSSH2_CHANNEL *channel, const struct script *script,
                         struct exec_output *o, struct errinfo *ei)
{
    struct exchange x = {buf_str(&script->input), script->input.len, false};
    while (!libssh2_channel_eof(channel)) {
        bool any = false;
        ssize_t fed = x.eof_told ? 0 : feed(channel, &x);
        if (feed_failed(fed))
            return ssh_conn_error(c, (int)fed, "sending the script", ei);
        x.eof_told = x.eof_told || (fed < 0 && fed != LIBSSH2_ERROR_EAGAIN);
        /* While a packet of ours is half out, reading could want to send another: libssh2 cannot. */
        bool half_out = fed == LIBSSH2_ERROR_EAGAIN &&
                        (libssh2_session_block_directions(c->session) & LIBSSH2_SESSION_BLOCK_OUTBOUND);
        if (!half_out) {
            /* Both streams in turn: one left unread would stall the window of the other. */
            ssize_t n = drain(channel, 0, &o->out, &o->out_cut, &any);
            if (n >= 0 || n == LIBSSH2_ERROR_EAGAIN)
                n = drain(channel, SSH_EXTENDED_DATA_STDERR, &o->err, &o->err_cut, &any);
            if (n < 0 && n != LIBSSH2_ERROR_EAGAIN)
                return ssh_conn_error(c, (int)n, "waiting for the answer", ei);
        }
        if (any) {
            enum err err = stop_check(c->stop, ei, c->host);
            if (err != ERR_OK)
                return err;
            continue;
        }
        if (libssh2_channel_eof(channel))
            break;
        enum err err = ssh_conn_wait(c, "waiting for the answer", ei);
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

/* The exit status comes after the streams' end and before the channel's. */
static enum err finish(struct ssh_conn *c, LIBSSH2_CHANNEL *channel, struct exec_output *o,
                       struct errinfo *ei)
{
    char *signal = NULL;
    size_t len = 0;
    int rc;
    while ((rc = libssh2_channel_wait_closed(channel)) == LIBSSH2_ERROR_EAGAIN) {
        enum err err = ssh_conn_wait(c, "waiting for the exit code", ei);
        if (err != ERR_OK)
            return err;
    }
    if (rc < 0)
        return ssh_conn_error(c, rc, "waiting for the exit code", ei);
    o->complete = true;
    o->exit_code = libssh2_channel_get_exit_status(channel);
    if (libssh2_channel_get_exit_signal(channel, &signal, &len, NULL, NULL, NULL, NULL) == 0 && signal) {
        str_show_fixed(o->signal, sizeof o->signal, signal, len);
        libssh2_free(c->session, signal);
    }
    return ERR_OK;
}

enum err ssh_exec(struct ssh_conn *c, const struct script *script, struct exec_output *out,
                  struct errinfo *ei)
{
    LIBSSH2_CHANNEL *channel = NULL;
    enum err err = ssh_open_channel(c, &channel, ei);
    if (err != ERR_OK)
        return err;
    err = request(c, channel, buf_str(&script->line), out, ei);
    if (err == ERR_OK)
        err = converse(c, channel, script, out, ei);
    if (err == ERR_OK)
        err = finish(c, channel, out, ei);
    /* One attempt: the session's end closes what is still open. */
    (void)libssh2_channel_free(channel);
    return err;
}
