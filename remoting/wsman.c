#include "remoting/wsman.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/str.h"
#include "remoting/fault.h"
#include "remoting/wsman_int.h"

#define CONFIG_URI "http://schemas.microsoft.com/wbem/wsman/1/config"
#define ASK_S      5 /* OperationTimeout of a question that can go unanswered */

/* The session's place is w->url; everything that depends on it. */
static enum err settle(struct wsman *w, struct errinfo *ei)
{
    const struct profile *p = w->access->profile;
    const char *spn = profile_get(p, PROFILE_winrm_spn, w->server);
    struct remote_target target = {.server = w->server, .fqdn = w->fqdn};
    if (w->identity->auth == WSMAN_AUTH_BASIC && !w->url.tls)
        return err_set(ei, ERR_REFUSED, "use https, or negotiate, kerberos or ntlm",
                       "winrm_auth = basic would show the password to everybody between: %.200s is not https",
                       w->url.text);
    if (spn && (!wsman_text_expand(w->spn, sizeof w->spn, spn, &target) || !strchr(w->spn, '/')))
        return err_set(ei, ERR_CONFIG, "write HTTP/{fqdn} or WSMAN/{fqdn}",
                       "winrm_spn: \"%.100s\" is no service name", spn);
    if (!spn)
        str_fmt(w->spn, sizeof w->spn, "HTTP/%s", w->url.host);
    str_fmt(w->peer, sizeof w->peer, strchr(w->url.host, ':') ? "[%s]:%u" : "%s:%u", w->url.host,
            w->url.port);
    struct wsman_http_settings s = {.url = &w->url,
                                    .hosts = &p->hosts,
                                    .trust = profile_get(p, PROFILE_trust, w->server),
                                    .loopback_only = w->identity->auth == WSMAN_AUTH_NONE};
    wsman_http_free(&w->http);
    return wsman_http_new(&w->http, &s, ei);
}

enum err wsman_new(struct wsman **out, struct wsman_access *a, const struct remote_target *target,
                   const char *url, const struct stop *stop, struct errinfo *ei)
{
    struct wsman *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a session");
    w->access = a;
    w->identity = wsman_identity_find(a, target->server);
    w->stop = stop;
    w->max_envelope = WSMAN_ENVELOPE_SAFE;
    w->timeout_s = WSMAN_OPERATION_S;
    wsman_answer_init(&w->answer);
    buf_init(&w->envelope, WSMAN_ENVELOPE_MAX);
    buf_init(&w->body, 2 * WSMAN_ENVELOPE_MAX);
    buf_init(&w->plain, WSMAN_REPLY_MAX);
    soap_uuid(w->session_id);
    str_copy(w->server, sizeof w->server, target->server);
    str_copy(w->fqdn, sizeof w->fqdn, target->fqdn && *target->fqdn ? target->fqdn : target->server);
    enum err e = wsman_url_expand(&w->url, url, target, ei);
    e = e ? e : settle(w, ei);
    if (e)
        wsman_free(&w);
    else
        *out = w;
    return e;
}

void wsman_free(struct wsman **session)
{
    struct wsman *w = *session;
    *session = NULL;
    if (!w)
        return;
    struct errinfo ei = {0};
    if (w->open && wsman_delete(w, &ei))
        log_line(LOG_LEVEL_DEBUG, "%s: a shell was left open: %s", w->peer, ei.what);
    conv_free(&w->conv);
    wsman_http_free(&w->http);
    wsman_answer_fini(&w->answer);
    if (w->envelope.data)
        explicit_bzero(w->envelope.data, w->envelope.len);
    buf_fini(&w->envelope);
    buf_fini(&w->body);
    buf_fini(&w->plain);
    free(w);
}

void wsman_reuse(struct wsman *w, const struct stop *stop)
{
    ASSERT(!w->open);
    w->stop = stop;
    w->max_envelope = WSMAN_ENVELOPE_SAFE;
    w->timeout_s = WSMAN_OPERATION_S;
    w->unknown = w->tidying = w->lost_answer = false;
    w->kept = true;
    w->fault = (struct wsman_fault){.wait_ms = -1};
    w->resource[0] = w->shell_id[0] = '\0';
    soap_uuid(w->session_id);
}

void wsman_set_envelope(struct wsman *w, size_t bytes)
{
    w->max_envelope = bytes < WSMAN_ENVELOPE_MAX ? bytes : WSMAN_ENVELOPE_MAX;
}

void wsman_set_operation_timeout(struct wsman *w, int seconds)
{
    w->timeout_s = seconds;
}

/* What a server counts besides the payload: all headers, and the seal's share (remoting.md 2.4). */
static size_t room_in(const struct wsman *w, size_t envelope)
{
    size_t frame = 2048 + strlen(w->url.text) + sizeof w->resource + 256;
    return envelope > frame ? (envelope - frame) / 4 * 3 : 0;
}

size_t wsman_room(const struct wsman *w)
{
    return room_in(w, w->max_envelope);
}

static void ask_what_it_takes(struct wsman *w)
{
    struct errinfo why = {0};
    char text[WSMAN_VALUE_MAX] = "";
    uint64_t kb;
    int usual = w->timeout_s;
    w->timeout_s = ASK_S;
    enum err e = wsman_get(w, CONFIG_URI, false, "MaxEnvelopeSizekb", text, &why);
    w->timeout_s = usual;
    w->asked = true;
    if (!e && str_to_u64(text, strlen(text), &kb) && kb >= WSMAN_ENVELOPE_LEAST >> 10 && kb <= UINT32_MAX)
        w->server_takes = (size_t)kb << 10;
    else
        log_line(LOG_LEVEL_DEBUG, "%s does not say how large an envelope it takes: %s", w->peer,
                 e ? why.what : text);
}

enum err wsman_make_room(struct wsman *w, size_t bytes, struct errinfo *ei)
{
    if (bytes <= room_in(w, WSMAN_ENVELOPE_LEAST))
        return ERR_OK;
    if (!w->asked)
        ask_what_it_takes(w);
    if (w->server_takes)
        wsman_set_envelope(w, w->server_takes);
    return stop_check(w->stop, ei, w->peer);
}

const char *wsman_shell_id(const struct wsman *w)
{
    return w->shell_id;
}

const char *wsman_peer(const struct wsman *w)
{
    return w->peer;
}

bool wsman_outcome_unknown(const struct wsman *w)
{
    return w->unknown;
}

const struct wsman_fault *wsman_last_fault(const struct wsman *w)
{
    return &w->fault;
}

void wsman_output_init(struct wsman_output *o)
{
    memset(o, 0, sizeof *o);
    buf_init(&o->data, WSMAN_REPLY_MAX);
}

void wsman_output_fini(struct wsman_output *o)
{
    buf_fini(&o->data);
    VEC_FREE(&o->chunks);
}

/* A fault becomes an error in words. */
static enum err call(struct wsman *w, const struct wsman_call *c, struct soap_reply *reply,
                     struct errinfo *ei)
{
    char what[400];
    enum err e = wsman_exchange(w, c, reply, ei);
    if (e || !reply->is_fault)
        return e;
    str_fmt(what, sizeof what, "%s: %s", w->peer, soap_op_words(c->op));
    return fault_words(&reply->fault, what, ei);
}

/* The name without its first label: two hosts of one domain have the same. An address has no domain. */
static const char *domain_of(const char *host)
{
    const char *dot = strchr(host, '.'), *last = strrchr(host, '.');
    bool address = strchr(host, ':') || (last && strspn(last + 1, "0123456789") == strlen(last + 1));
    return dot && dot != last && !address ? dot + 1 : NULL;
}

/* Goes where the server sends us when that was allowed, is in the same domain and no less protected. */
static bool follow(struct wsman *w, struct errinfo *ei)
{
    struct wsman_url to;
    if (!w->access->redirect || !w->fault.redirect[0] || wsman_url_parse(&to, w->fault.redirect, NULL))
        return false;
    const char *here = domain_of(w->url.host), *there = domain_of(to.host);
    if (!here || !there || !str_ieq(here, there) || (w->url.tls && !to.tls)) {
        err_hint(ei, "winrm_redirect does not allow %.120s: another domain, or less protected",
                 w->fault.redirect);
        return false;
    }
    log_line(LOG_LEVEL_WARNING, "%s sends us to %s", w->peer, to.text);
    conv_free(&w->conv);
    w->url = to;
    return settle(w, ei) == ERR_OK;
}

/* The answer never came, cannot be read, is that of somebody between who did not get one either, or says that the name is taken: the shell
   may be there, under the name that was asked for. */
static bool is_unheard(const struct wsman *w)
{
    bool fault = w->fault.code || w->fault.subcode[0];
    return w->answer.sent && (w->answer.status < 300 || (w->answer.status >= 500 && !fault) ||
                              w->fault.code == WSMAN_FAULT_INVALID_SELECTORS);
}

static void discard_unheard(struct wsman *w, const struct wsman_shell *shell)
{
    struct errinfo ei = {0};
    struct wsman_fault fault = w->fault;
    const struct stop *usual = w->stop;
    struct stop soon;
    stop_init(&soon, WSMAN_CLEANUP_MS, NULL);
    w->stop = &soon;
    str_copy(w->shell_id, sizeof w->shell_id, shell->shell_id);
    str_copy(w->resource, sizeof w->resource, shell->resource);
    w->open = true;
    if (wsman_delete(w, &ei))
        log_line(LOG_LEVEL_DEBUG, "%s: a shell may have been left open: %s", w->peer, ei.what);
    w->shell_id[0] = '\0';
    w->fault = fault;
    w->stop = usual;
    w->tidying = false;
}

enum err wsman_create(struct wsman *w, const struct wsman_shell *shell, struct errinfo *ei)
{
    struct wsman_call c = {
        .op = SOAP_OP_CREATE, .shell = shell, .options = shell->options, .n_options = shell->n_options};
    struct soap_reply reply;
    if (w->open)
        return err_set(ei, ERR_INTERNAL, NULL, "a session has one shell");
    enum err e = call(w, &c, &reply, ei);
    for (int i = 0; e == ERR_REFUSED && i < WSMAN_REDIRECTS_MAX && follow(w, ei); i++)
        e = call(w, &c, &reply, ei);
    if (e && shell->shell_id && is_unheard(w))
        discard_unheard(w, shell);
    if (e)
        return e;
    str_copy(w->shell_id, sizeof w->shell_id, reply.shell_id);
    str_copy(w->resource, sizeof w->resource, reply.resource[0] ? reply.resource : shell->resource);
    w->open = true;
    return ERR_OK;
}

static enum err has_shell(const struct wsman *w, struct errinfo *ei)
{
    return w->open ? ERR_OK : err_set(ei, ERR_INTERNAL, NULL, "the session has no shell");
}

enum err wsman_command(struct wsman *w, const struct wsman_command *command, char id[static WSMAN_ID_MAX],
                       struct errinfo *ei)
{
    struct wsman_call c = {.op = SOAP_OP_COMMAND,
                           .command = command,
                           .options = command->options,
                           .n_options = command->n_options};
    struct soap_reply reply;
    enum err e = has_shell(w, ei);
    e = e ? e : call(w, &c, &reply, ei);
    if (!e)
        str_copy(id, WSMAN_ID_MAX, reply.command_id);
    return e;
}

enum err wsman_send(struct wsman *w, const char *stream, const char *command, const void *data, size_t len,
                    bool end, struct errinfo *ei)
{
    struct wsman_call c = {
        .op = SOAP_OP_SEND, .streams = stream, .id = command, .data = data, .len = len, .end = end};
    struct soap_reply reply;
    enum err e = has_shell(w, ei);
    return e ? e : call(w, &c, &reply, ei);
}

enum err wsman_receive(struct wsman *w, const char *command, const char *streams,
                       const struct wsman_option *options, size_t n_options, struct wsman_output *out,
                       struct errinfo *ei)
{
    struct wsman_call c = {.op = SOAP_OP_RECEIVE,
                           .id = command,
                           .streams = streams,
                           .options = options,
                           .n_options = n_options,
                           .output = out};
    struct soap_reply reply;
    enum err e = has_shell(w, ei);
    e = e ? e : wsman_exchange(w, &c, &reply, ei);
    if (e || !reply.is_fault)
        return e;
    if (reply.fault.code == WSMAN_FAULT_TIMED_OUT ||
        (reply.fault.code == 0 && str_ieq(reply.fault.subcode, "TimedOut"))) {
        out->timed_out = true;
        return ERR_OK;
    }
    char what[400];
    str_fmt(what, sizeof what, "%s: %s", w->peer, soap_op_words(c.op));
    return fault_words(&reply.fault, what, ei);
}

enum err wsman_signal(struct wsman *w, const char *command, enum wsman_signal signal, struct errinfo *ei)
{
    struct wsman_call c = {.op = SOAP_OP_SIGNAL, .id = command, .signal = signal};
    struct soap_reply reply;
    enum err e = has_shell(w, ei);
    return e ? e : call(w, &c, &reply, ei);
}

enum err wsman_get(struct wsman *w, const char *resource, bool of_shell, const char *name,
                   char value[static WSMAN_VALUE_MAX], struct errinfo *ei)
{
    struct wsman_call c = {.op = SOAP_OP_GET, .streams = resource, .id = name, .of_shell = of_shell};
    struct soap_reply reply;
    enum err e = of_shell ? has_shell(w, ei) : ERR_OK;
    e = e ? e : call(w, &c, &reply, ei);
    if (!e)
        str_copy(value, WSMAN_VALUE_MAX, reply.value);
    return e;
}

enum err wsman_delete(struct wsman *w, struct errinfo *ei)
{
    struct wsman_call c = {.op = SOAP_OP_DELETE};
    struct soap_reply reply;
    enum err e = has_shell(w, ei);
    e = e ? e : wsman_exchange(w, &c, &reply, ei);
    w->open = false; /* once asked for: a shell that is gone already is as good */
    if (!e && reply.is_fault && reply.fault.code != WSMAN_FAULT_INVALID_SELECTORS) {
        char what[400];
        str_fmt(what, sizeof what, "%s: %s", w->peer, soap_op_words(c.op));
        e = fault_words(&reply.fault, what, ei);
    }
    if (!e)
        w->shell_id[0] = '\0';
    return e;
}
