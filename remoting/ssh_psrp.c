/*
 * Objects over SSH: PSRP through the subsystem "powershell" of an open connection. PowerShell 6 and later serve it, and know Exchange's
 * cmdlets only where the server's own configuration brings them; hence it is an offer to be asked for (ssh_psrp), not the rule.
 */
#include <string.h>

#include "core/base/str.h"
#include "remoting/outofproc.h"
#include "remoting/ssh_int.h"

#define KEPT_ERRORS 1024 /* bytes of standard error, for a message */

struct stream {
    struct ssh_conn *conn;
    LIBSSH2_CHANNEL *channel;
    char errors[KEPT_ERRORS];
    size_t n_errors;
};

static enum err request(struct ssh_conn *c, LIBSSH2_CHANNEL *channel, bool *absent, struct errinfo *ei)
{
    int rc;
    while ((rc = libssh2_channel_subsystem(channel, "powershell")) == LIBSSH2_ERROR_EAGAIN) {
        enum err err = ssh_conn_wait(c, "asking for the powershell subsystem", ei);
        if (err != ERR_OK)
            return err;
    }
    *absent = rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED;
    if (*absent)
        return err_set(ei, ERR_DENIED, "Subsystem powershell ... -sshs in its sshd_config, or ssh_psrp = no",
                       "%s: the SSH server has no powershell subsystem", c->host);
    return rc == 0 ? ERR_OK : ssh_conn_error(c, rc, "asking for the powershell subsystem", ei);
}

/* Standard error is read too, or its window would fill; the begin is kept. */
static void drain_errors(struct stream *s)
{
    char chunk[4096];
    ssize_t n;
    while ((n = libssh2_channel_read_stderr(s->channel, chunk, sizeof chunk)) > 0) {
        size_t room = sizeof s->errors - s->n_errors, keep = (size_t)n < room ? (size_t)n : room;
        memcpy(s->errors + s->n_errors, chunk, keep);
        s->n_errors += keep;
    }
}

static enum err stream_write(void *arg, const void *data, size_t len, const struct stop *stop,
                             struct errinfo *ei)
{
    struct stream *s = arg;
    const struct stop *usual = s->conn->stop;
    enum err err = ERR_OK;
    s->conn->stop = stop;
    while (len > 0 && err == ERR_OK) {
        ssize_t n = libssh2_channel_write(s->channel, data, len);
        if (n > 0) {
            data = (const char *)data + n;
            len -= (size_t)n;
        } else if (n == LIBSSH2_ERROR_EAGAIN || n == 0) {
            err = ssh_conn_wait(s->conn, "sending to PowerShell", ei);
        } else {
            err = ssh_conn_error(s->conn, (int)n, "sending to PowerShell", ei);
        }
    }
    s->conn->stop = usual;
    return err;
}

static enum err stream_read(void *arg, void *data, size_t cap, size_t *got, const struct stop *stop,
                            struct errinfo *ei)
{
    struct stream *s = arg;
    const struct stop *usual = s->conn->stop;
    enum err err = ERR_OK;
    s->conn->stop = stop;
    for (*got = 0; err == ERR_OK;) {
        ssize_t n = libssh2_channel_read(s->channel, data, cap);
        if (n > 0) {
            *got = (size_t)n;
            err = stop_check(stop, ei, s->conn->host);
            break;
        }
        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN) {
            err = ssh_conn_error(s->conn, (int)n, "waiting for PowerShell", ei);
            break;
        }
        drain_errors(s);
        if (libssh2_channel_eof(s->channel))
            break;
        err = ssh_conn_wait(s->conn, "waiting for PowerShell", ei);
    }
    s->conn->stop = usual;
    return err;
}

static void add_what_it_said(const struct stream *s, struct errinfo *ei)
{
    char shown[160];
    if (s->n_errors == 0 || !ei)
        return;
    str_show_fixed(shown, sizeof shown, s->errors, s->n_errors < 120 ? s->n_errors : 120);
    err_hint(ei, "its standard error: %s", shown);
}

/* The PowerShell behind the subsystem is another one than that with Exchange's snap-in. */
static enum err explain_unknown(const struct cmdlet *cmdlet, struct remote_result *out)
{
    static const char text[] =
        "the PowerShell behind the SSH subsystem does not know this cmdlet: ssh_psrp = no starts Windows "
        "PowerShell with Exchange's snap-in instead";
    for (size_t i = 0; i < out->errors.n; i++) {
        const struct remote_error *e = &out->errors.v[i];
        if (!str_eq(e->id, "CommandNotFoundException") || !e->target || !str_ieq(e->target, cmdlet->name))
            continue;
        char *copy = strdup(text);
        if (copy && VEC_PUSH(&out->warnings, 100000, copy))
            return ERR_OK;
        free(copy);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

enum err ssh_psrp(struct ssh_conn *c, const struct cmdlet *cmdlet, struct remote_result *out, bool *absent,
                  struct errinfo *ei)
{
    struct stream s = {.conn = c};
    struct outofproc *session = NULL;
    *absent = false;
    enum err err = ssh_open_channel(c, &s.channel, ei);
    if (err != ERR_OK)
        return err;
    err = request(c, s.channel, absent, ei);
    if (err == ERR_OK) {
        err = outofproc_open(&session, &(struct outofproc_io){&s, stream_write, stream_read}, c->stop, ei);
        /* Something else than PowerShell answered, or nothing did and left: no command was sent to it. */
        *absent = err == ERR_PROTOCOL || (err == ERR_UNREACHABLE && !c->hung_up);
    }
    if (err == ERR_OK)
        err = outofproc_run(session, cmdlet, c->stop, out, ei);
    if (err == ERR_OK)
        err = explain_unknown(cmdlet, out);
    else
        add_what_it_said(&s, ei);
    outofproc_close(&session);
    (void)libssh2_channel_free(s.channel);
    return err;
}
