/*
 * The WinRM shell as a transport: powershell -EncodedCommand in a cmd shell of WS-Management, one shell a command (remoting.md 2.2, 6.1).
 *
 * The command goes through cmd.exe (WINRS_SKIP_CMD_SHELL = FALSE): it finds powershell in the path, where CreateProcess wants the full
 * one, which differs between servers; a script too long for cmd.exe comes by standard input. The shell is deleted whatever happens, for
 * shells left open use up the user's quota; a command that is over its time is terminated on the server.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "remoting/exec_output.h"
#include "remoting/outcome.h"
#include "remoting/remoting.h"
#include "remoting/script.h"
#include "remoting/soap.h"
#include "remoting/wsman.h"

#define SHELL_CMD   "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd"
#define DEFAULT_URL "http://{fqdn}:5985/wsman"
#define PARKED_MAX  64
#define PARKED_MS   30000 /* http.sys closes idle connections after two minutes */

struct parked { /* a session between two runs: connected and logged in, without a shell */
    char *server;
    struct wsman *w;
    int64_t since; /* clock_mono_ms() */
};

struct winrm_transport {
    struct transport base; /* first: the vtable's self */
    const struct profile *profile;
    struct wsman_access *access;
    pthread_mutex_t lock; /* guards parked */
    VEC(struct parked) parked;
};

static void winrm_free(struct transport *self)
{
    struct winrm_transport *t = (struct winrm_transport *)self;
    if (!t)
        return;
    for (size_t i = 0; i < t->parked.n; i++) {
        wsman_free(&t->parked.v[i].w);
        free(t->parked.v[i].server);
    }
    VEC_FREE(&t->parked);
    (void)pthread_mutex_destroy(&t->lock);
    wsman_access_free(&t->access);
    free(t);
}

/* A login costs more than all the rest of a short command, so the next run on a server goes on with the last one's connection. */
static struct wsman *unpark(struct winrm_transport *t, const char *server)
{
    struct wsman *w = NULL;
    (void)pthread_mutex_lock(&t->lock);
    for (size_t i = t->parked.n; i-- > 0 && !w;) {
        struct parked p = t->parked.v[i];
        bool old = clock_mono_ms() - p.since > PARKED_MS;
        if (!old && !str_ieq(p.server, server))
            continue;
        t->parked.v[i] = t->parked.v[--t->parked.n];
        free(p.server);
        if (old)
            wsman_free(&p.w);
        else
            w = p.w;
    }
    (void)pthread_mutex_unlock(&t->lock);
    return w;
}

static void park(struct winrm_transport *t, const char *server, struct wsman **w)
{
    struct parked p = {strdup(server), *w, clock_mono_ms()};
    wsman_reuse(*w, NULL);
    (void)pthread_mutex_lock(&t->lock);
    bool kept = p.server && VEC_PUSH(&t->parked, PARKED_MAX, p);
    (void)pthread_mutex_unlock(&t->lock);
    if (kept)
        *w = NULL;
    else
        free(p.server);
}

static enum err create(struct wsman *w, bool named, struct errinfo *ei)
{
    static const struct wsman_option options[] = {{"WINRS_NOPROFILE", "TRUE", false},
                                                  {"WINRS_CODEPAGE", "65001", false}};
    char id[SOAP_UUID_MAX];
    soap_uuid(id);
    struct wsman_shell shell = {.resource = SHELL_CMD,
                                .shell_id = named ? id + sizeof "uuid:" - 1 : NULL,
                                .input = "stdin",
                                .output = "stdout stderr",
                                .options = options,
                                .n_options = ARRAY_LEN(options)};
    return wsman_create(w, &shell, ei);
}

/* Under a name of ours, that it can be deleted by when the answer does not come; under another one when the server hung up on a kept
   connection meanwhile, or has that name already: it had carried out what it then wanted a login for. */
static enum err open_shell(struct wsman *w, bool kept, struct errinfo *ei)
{
    enum err e = create(w, true, ei);
    const struct wsman_fault *f = wsman_last_fault(w);
    if ((e == ERR_UNREACHABLE && kept && !f->http_status) || (e && f->code == WSMAN_FAULT_INVALID_SELECTORS))
        return create(w, true, ei);
    return e && str_ieq(f->subcode, "SchemaValidationError") ? create(w, false, ei) : e;
}

/* Nothing ran when the server answers so: another shell is as good as the first. */
static bool wants_new_shell(const struct wsman *w, enum err e)
{
    uint32_t code = wsman_last_fault(w)->code;
    return e && !wsman_outcome_unknown(w) &&
           (code == WSMAN_FAULT_TOO_MANY_COMMANDS || code == WSMAN_FAULT_INVALID_SELECTORS);
}

static enum err start(struct wsman *w, const struct script *script, char id[static WSMAN_ID_MAX],
                      struct exec_output *o, struct errinfo *ei)
{
    const struct wsman_option options[] = {
        {"WINRS_CONSOLEMODE_STDIN", script->input.len ? "FALSE" : "TRUE", false},
        {"WINRS_SKIP_CMD_SHELL", "FALSE", false}};
    struct wsman_command c = {
        .line = buf_str(&script->line), .options = options, .n_options = ARRAY_LEN(options)};
    enum err e = wsman_command(w, &c, id, ei);
    if (wants_new_shell(w, e)) {
        (void)!wsman_delete(w, NULL);
        e = open_shell(w, false, ei);
        e = e ? e : wsman_command(w, &c, id, ei);
    }
    o->sent = e == ERR_OK || wsman_outcome_unknown(w);
    return e;
}

static enum err feed(struct wsman *w, const char *id, const struct script *script, struct errinfo *ei)
{
    size_t room = wsman_room(w), len = script->input.len;
    enum err e = ERR_OK;
    for (size_t at = 0; at < len && !e; at += room) {
        size_t n = len - at < room ? len - at : room;
        e = wsman_send(w, "stdin", id, buf_str(&script->input) + at, n, at + n == len, ei);
    }
    /* A command may end without reading its input; what counts is what comes back. */
    return e && wsman_last_fault(w)->code == WSMAN_FAULT_INVALID_SELECTORS ? ERR_OK : e;
}

static void keep(struct exec_output *o, const struct wsman_output *r)
{
    for (size_t i = 0; i < r->chunks.n; i++) {
        const struct wsman_chunk *c = &r->chunks.v[i];
        bool err = str_ieq(c->stream, "stderr");
        exec_output_add(err ? &o->err : &o->out, err ? &o->err_cut : &o->out_cut, r->data.data + c->at,
                        c->len);
    }
}

static enum err collect(struct wsman *w, const char *id, const struct stop *stop, struct exec_output *o,
                        bool *gap, struct errinfo *ei)
{
    struct wsman_output r;
    enum err e = ERR_OK;
    wsman_output_init(&r);
    while (!e && !o->complete) {
        e = wsman_receive(w, id, "stdout stderr", NULL, 0, &r, ei);
        if (e)
            break;
        keep(o, &r);
        *gap = *gap || r.gap;
        if (r.state == WSMAN_STATE_DONE && !r.has_exit_code) {
            e = err_set(ei, ERR_PROTOCOL, NULL, "%s: the command ended without an exit code", wsman_peer(w));
        } else if (r.state == WSMAN_STATE_DONE) {
            o->complete = true;
            o->exit_code = (int)r.exit_code;
        } else {
            e = stop_check(stop, ei, wsman_peer(w));
        }
    }
    wsman_output_fini(&r);
    return e;
}

static enum err converse(struct wsman *w, bool kept, const struct script *script, const struct stop *stop,
                         struct exec_output *o, bool *gap, struct errinfo *ei)
{
    char id[WSMAN_ID_MAX] = "";
    enum err e = open_shell(w, kept, ei);
    if (!e)
        e = wsman_make_room(w, script->input.len, ei);
    if (!e)
        e = start(w, script, id, o, ei);
    if (!e)
        e = feed(w, id, script, ei);
    if (!e)
        e = collect(w, id, stop, o, gap, ei);
    if (e && id[0] && wsman_signal(w, id, WSMAN_SIGNAL_TERMINATE, NULL) == ERR_OK && ei)
        err_wrap(ei, "it was terminated on the server");
    struct errinfo closing = {0};
    if (wsman_shell_id(w)[0] && wsman_delete(w, &closing))
        log_line(LOG_LEVEL_DEBUG, "%s: a shell was left open: %s", wsman_peer(w), closing.what);
    return e;
}

static enum err winrm_run(struct transport *self, const struct remote_target *target,
                          const struct cmdlet *cmdlet, const struct stop *stop, struct remote_result *out,
                          struct errinfo *ei)
{
    struct winrm_transport *t = (struct winrm_transport *)self;
    const char *url = profile_get(t->profile, PROFILE_winrm_url, target->server);
    struct wsman *w = NULL;
    struct script script;
    struct exec_output output;
    bool gap = false;
    int64_t begun = clock_mono_ms();
    script_init(&script);
    exec_output_init(&output);
    enum err e = script_build(&script, NULL, target->generation, cmdlet, ei);
    bool kept = !e && (w = unpark(t, target->server));
    if (kept)
        wsman_reuse(w, stop);
    else if (!e)
        e = wsman_new(&w, t->access, target, url ? url : DEFAULT_URL, stop, ei);
    if (!e)
        e = converse(w, kept, &script, stop, &output, &gap, ei);
    bool whole = !e && !gap && !wsman_shell_id(w)[0];
    e = exec_report(out, &output, e, ei);
    if (gap && outcome_note_gap(out) && !e)
        e = err_set(ei, ERR_NOMEM, NULL, "no memory for a warning");
    out->elapsed_ms = (int)(clock_mono_ms() - begun);
    if (whole)
        park(t, target->server, &w);
    wsman_free(&w);
    exec_output_fini(&output);
    script_fini(&script);
    return e;
}

enum err remoting_winrm_new(struct transport **out, const struct profile *p, remoting_ask_host_key *ask,
                            void *arg, struct errinfo *ei)
{
    struct winrm_transport *t = calloc(1, sizeof *t);
    (void)ask, (void)arg; /* of SSH */
    if (!t)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the WinRM transport");
    t->base = (struct transport){.name = "winrm", .run = winrm_run, .free = winrm_free};
    t->profile = p;
    (void)pthread_mutex_init(&t->lock, NULL);
    enum err e = wsman_access_new(&t->access, p, ei);
    if (e) {
        winrm_free(&t->base);
        return e;
    }
    *out = &t->base;
    return ERR_OK;
}
