/*
 * PSRP over WS-Management as a transport: Exchange's own endpoint (http://FQDN/PowerShell/, Microsoft.Exchange, no language) and
 * Microsoft.PowerShell (MS-PSRP 3.1.5.3, remoting.md 4.3, 4.4, 5). One shell and pool a command; the shell is deleted whatever happens,
 * for shells left open use up the user's quota of them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "remoting/outcome.h"
#include "remoting/psrp_result.h"
#include "remoting/remoting.h"
#include "remoting/wsman.h"

#define RESOURCE      "http://schemas.microsoft.com/powershell/"
#define DEFAULT_URL   "http://{fqdn}/PowerShell/"
#define CONFIGURATION "Microsoft.Exchange"
#define OPEN_MS       120000 /* until the pool is open: Exchange builds a session from the user's roles */
#define POOL_LOOK_S   1 /* OperationTimeout of a look at the pool's own stream while a pipeline is silent */
#define GRACE_MS      5000 /* for an interrupted command to say how it ended */

struct psrp_transport {
    struct transport base; /* first: the vtable's self */
    const struct profile *profile;
    struct wsman_access *access;
};

struct conversation {
    struct wsman *w;
    struct stop
        stop; /* the caller's, until it is raised or over: then what is left to learn has a time of its own */
    struct psrp *psrp;
    struct psrp_result *result; /* of the pipeline, once it was started */
    char command[WSMAN_ID_MAX]; /* the server's name of the pipeline; "" before */
    bool opened, closed, gap, done;
    bool silent; /* the last Receive brought nothing in all its time */
    char why[256];
};

static void psrp_transport_free(struct transport *self)
{
    struct psrp_transport *t = (struct psrp_transport *)self;
    if (!t)
        return;
    wsman_access_free(&t->access);
    free(t);
}

static void on_event(void *arg, const struct psrp_event *e)
{
    struct conversation *c = arg;
    if (e->kind == PSRP_EVENT_OPENED)
        c->opened = true;
    if (e->kind == PSRP_EVENT_CLOSED) {
        c->closed = true;
        str_show_fixed(c->why, sizeof c->why, e->text ? e->text : "", e->text ? strlen(e->text) : 0);
    }
    if (c->result)
        psrp_result_event(c->result, e);
}

static enum err broken_pool(const struct conversation *c, struct errinfo *ei)
{
    return err_set(ei, ERR_REMOTE, NULL, "%s: the server closed the runspace pool%s%s", wsman_peer(c->w),
                   c->why[0] ? ": " : "", c->why);
}

/* ---- what comes ---- */

/* One Receive, of the pool or of the pipeline. */
static enum err receive(struct conversation *c, const char *command, struct errinfo *ei)
{
    static const struct wsman_option options[] = {{"WSMAN_CMDSHELL_OPTION_KEEPALIVE", "TRUE", false}};
    struct wsman_output out;
    wsman_output_init(&out);
    enum err err = wsman_receive(c->w, command, "stdout", options, ARRAY_LEN(options), &out, ei);
    for (size_t i = 0; err == ERR_OK && i < out.chunks.n; i++)
        err = psrp_receive(c->psrp, out.data.data + out.chunks.v[i].at, out.chunks.v[i].len, ei);
    if (err == ERR_OK) {
        c->gap = c->gap || out.gap;
        c->silent = out.timed_out;
        c->done = c->done || (command && out.state == WSMAN_STATE_DONE);
    }
    wsman_output_fini(&out);
    return err;
}

/* ---- what goes ---- */

static enum err send_waiting(struct conversation *c, struct errinfo *ei)
{
    struct psrp_packet packet;
    struct buf bytes;
    enum err err = ERR_OK;
    buf_init(&bytes, PSRP_MAX_OBJECT);
    while (err == ERR_OK && psrp_take(c->psrp, wsman_room(c->w), &bytes, &packet)) {
        err = wsman_send(c->w, packet.answer ? "pr" : "stdin", packet.pipeline ? c->command : NULL,
                         buf_str(&bytes), bytes.len, false, ei);
        buf_reset(&bytes);
    }
    buf_fini(&bytes);
    return err;
}

/* Ids as Windows writes them. */
static void upper(char *id)
{
    for (; *id; id++)
        if (*id >= 'a' && *id <= 'f')
            *id = (char)(*id - 'a' + 'A');
}

/* "Microsoft.Exchange", or a whole URI. */
static enum err resource(char *out, size_t cap, const char *configuration, struct errinfo *ei)
{
    bool whole = strstr(configuration, "://") != NULL;
    if (!str_fmt(out, cap, "%s%s", whole ? "" : RESOURCE, configuration))
        return err_set(ei, ERR_CONFIG, NULL, "psrp_configuration is too long");
    return ERR_OK;
}

static enum err open_pool(struct conversation *c, const char *configuration, struct errinfo *ei)
{
    static const struct wsman_option options[] = {{"protocolversion", "2.3", true}};
    char uri[512], id[PSRP_GUID_TEXT];
    struct psrp_packet packet;
    struct buf creation;
    int64_t deadline = clock_mono_ms() + OPEN_MS;
    enum err err = resource(uri, sizeof uri, configuration, ei);
    if (err != ERR_OK)
        return err;
    buf_init(&creation, PSRP_MAX_OBJECT);
    (void)psrp_take(c->psrp, wsman_room(c->w), &creation, &packet);
    psrp_guid_text(psrp_pool_id(c->psrp), id);
    upper(id);
    err = wsman_create(c->w,
                       &(struct wsman_shell){.resource = uri,
                                             .shell_id = id,
                                             .input = "stdin pr",
                                             .output = "stdout",
                                             .options = options,
                                             .n_options = ARRAY_LEN(options),
                                             .creation = buf_str(&creation),
                                             .creation_len = creation.len},
                       ei);
    buf_fini(&creation);
    while (err == ERR_OK && !c->opened) {
        if (c->closed)
            return broken_pool(c, ei);
        err = receive(c, NULL, ei);
        if (err == ERR_OK && psrp_server_is(c->psrp, 2, 2))
            wsman_set_envelope(c->w, WSMAN_ENVELOPE_NEWER);
        if (err == ERR_OK) /* answers to its host calls: else they would go with the command */
            err = send_waiting(c, ei);
        if (err == ERR_OK && !c->opened && c->gap && c->silent)
            err = err_set(ei, ERR_UNREACHABLE, NULL,
                          "%s: the connection was lost while the runspace pool was being opened",
                          wsman_peer(c->w));
        if (err == ERR_OK)
            err = stop_check(&c->stop, ei, wsman_peer(c->w));
        if (err == ERR_OK && !c->opened && clock_mono_ms() > deadline)
            err = err_set(ei, ERR_TIMEOUT, NULL, "%s: the runspace pool did not open within %d s",
                          wsman_peer(c->w), OPEN_MS / 1000);
    }
    c->gap = false; /* nothing was missing */
    return err;
}

/* The first fragments travel with the Command itself, the rest by Send. From here on the command may have run. */
static enum err start(struct conversation *c, struct remote_result *out, struct errinfo *ei)
{
    char id[PSRP_GUID_TEXT];
    struct psrp_packet packet;
    struct buf first;
    buf_init(&first, PSRP_MAX_OBJECT);
    (void)psrp_take(c->psrp, wsman_room(c->w), &first, &packet);
    psrp_guid_text(psrp_pipeline_id(c->psrp), id);
    upper(id);
    enum err err = wsman_command(
        c->w, &(struct wsman_command){.id = id, .line = "", .raw = buf_str(&first), .raw_len = first.len},
        c->command, ei);
    buf_fini(&first);
    out->sent = err == ERR_OK || wsman_outcome_unknown(c->w);
    return err == ERR_OK ? send_waiting(c, ei) : err;
}

/* What concerns the pool comes on its own stream: that it broke, a call for a host or a key that the pipeline waits for. */
static enum err look_at_pool(struct conversation *c, struct errinfo *ei)
{
    wsman_set_operation_timeout(c->w, POOL_LOOK_S);
    enum err err = receive(c, NULL, ei);
    wsman_set_operation_timeout(c->w, WSMAN_OPERATION_S);
    return err;
}

static enum err until_ended(struct conversation *c, struct errinfo *ei)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && !psrp_pipeline_has_ended(c->psrp)) {
        if (c->closed)
            return broken_pool(c, ei);
        if (c->done)
            return err_set(ei, ERR_PROTOCOL, NULL,
                           "%s: the command is done, but the server did not say how it ended%s",
                           wsman_peer(c->w), c->gap ? ": the connection was lost meanwhile" : "");
        err = receive(c, c->command, ei);
        if (err == ERR_OK && c->silent)
            err = look_at_pool(c, ei);
        if (err == ERR_OK && !psrp_pipeline_has_ended(c->psrp))
            err = send_waiting(c, ei);
        if (err == ERR_OK && !psrp_pipeline_has_ended(c->psrp))
            err = stop_check(&c->stop, ei, wsman_peer(c->w));
    }
    return err;
}

/* The command was told to end: how did it? What it says of that goes into the result. False: the server takes no signals. */
static bool interrupt(struct conversation *c, struct errinfo *ei)
{
    stop_init(&c->stop, GRACE_MS, NULL);
    psrp_withdraw(c->psrp);
    if (wsman_signal(c->w, c->command, WSMAN_SIGNAL_PS_CTRL_C, NULL) != ERR_OK)
        return false;
    if (ei)
        err_wrap(ei, "it was told to stop");
    if (until_ended(c, NULL) != ERR_OK)
        log_line(LOG_LEVEL_DEBUG, "%s: the command did not say how it ended", wsman_peer(c->w));
    return true;
}

static enum err converse(struct conversation *c, const struct cmdlet *cmdlet, const char *configuration,
                         struct remote_result *out, struct errinfo *ei)
{
    struct errinfo closing = {0};
    enum err err = open_pool(c, configuration, ei);
    if (err == ERR_OK)
        err = psrp_start(c->psrp, cmdlet, ei);
    if (err == ERR_OK)
        err = wsman_make_room(c->w, psrp_waiting(c->psrp), ei);
    if (err == ERR_OK)
        err = start(c, out, ei);
    if (err == ERR_OK)
        err = until_ended(c, ei);
    bool hears = c->command[0];
    if (hears && (err == ERR_INTERRUPTED || err == ERR_TIMEOUT))
        hears = interrupt(c, ei);
    if (hears && wsman_signal(c->w, c->command, WSMAN_SIGNAL_TERMINATE, &closing) != ERR_OK)
        log_line(LOG_LEVEL_DEBUG, "%s: %s", wsman_peer(c->w), closing.what);
    if (wsman_shell_id(c->w)[0] && wsman_delete(c->w, &closing) != ERR_OK)
        log_line(LOG_LEVEL_DEBUG, "%s: a shell was left open: %s", wsman_peer(c->w), closing.what);
    return err;
}

/* ---- the transport ---- */

static enum err report(struct conversation *c, struct remote_result *out, enum err err, struct errinfo *ei)
{
    bool ended = c->result && (c->result->state == PSRP_COMPLETED || c->result->state == PSRP_FAILED);
    out->outcome_unknown = out->sent && !ended;
    if (ended && err != ERR_OK)
        err = ERR_OK; /* what failed was the farewell */
    if (err == ERR_OK && out->outcome_unknown)
        err = err_set(ei, ERR_REMOTE, NULL, "%s: the server stopped the command", wsman_peer(c->w));
    if (err != ERR_OK && out->outcome_unknown)
        outcome_note_unknown(ei);
    if (c->gap && out->sent && outcome_note_gap(out) != ERR_OK && err == ERR_OK)
        err = err_set(ei, ERR_NOMEM, NULL, "no memory for a warning");
    return err;
}

static enum err psrp_run(struct transport *self, const struct remote_target *target,
                         const struct cmdlet *cmdlet, const struct stop *stop, struct remote_result *out,
                         struct errinfo *ei)
{
    struct psrp_transport *t = (struct psrp_transport *)self;
    const char *url = profile_get(t->profile, PROFILE_psrp_url, target->server);
    const char *configuration = profile_get(t->profile, PROFILE_psrp_configuration, target->server);
    struct conversation c = {0};
    struct psrp_result result;
    int64_t begun = clock_mono_ms();
    psrp_result_init(&result, out);
    c.result = &result;
    stop_init(&c.stop, 0, (struct stop *)stop);
    enum err err = psrp_new(&c.psrp, 0, on_event, &c, ei);
    if (err == ERR_OK)
        err = wsman_new(&c.w, t->access, target, url ? url : DEFAULT_URL, &c.stop, ei);
    if (err == ERR_OK) {
        err = converse(&c, cmdlet, configuration ? configuration : CONFIGURATION, out, ei);
        err = report(&c, out, err, ei);
    }
    if (out->sent) {
        enum err kept = psrp_result_finish(&result, err == ERR_OK ? ei : NULL);
        err = err != ERR_OK ? err : kept;
    }
    out->elapsed_ms = (int)(clock_mono_ms() - begun);
    wsman_free(&c.w);
    psrp_free(&c.psrp);
    psrp_result_fini(&result);
    return err;
}

enum err remoting_psrp_new(struct transport **out, const struct profile *p, remoting_ask_host_key *ask,
                           void *arg, struct errinfo *ei)
{
    struct psrp_transport *t = calloc(1, sizeof *t);
    (void)ask, (void)arg; /* of SSH */
    if (!t)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the PSRP transport");
    t->base = (struct transport){.name = "psrp", .run = psrp_run, .free = psrp_transport_free};
    t->profile = p;
    enum err err = wsman_access_new(&t->access, p, ei);
    if (err != ERR_OK) {
        free(t);
        return err;
    }
    *out = &t->base;
    return ERR_OK;
}
