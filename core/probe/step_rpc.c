#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/probe_int.h"
#include "core/probe/rpc.h"
#include "core/rpch/rts.h"

#include <string.h>

/* As Outlook asks (rpc-over-http.md 2.3): some servers answer an echo only when it has a body, the spec allows 0 to 16 bytes. */
static const char echo_body[4] = {'e', 'c', 'h', 'o'};

static void judge_echo(struct target *t, struct observation *o, const struct http_answer *a)
{
    struct rts_pdu pdu;
    bool whole = rts_decode((const uint8_t *)buf_str(&a->body), a->body.len, &pdu);
    const char *words = status_words(a->status, PROTOCOL_OA);
    if (a->status != 200)
        target_say(t, o, OUTCOME_FAILED, "%d%s%s", a->status, words ? ": " : "", words ? words : "");
    else if (whole && (pdu.flags & RTS_FLAG_ECHO))
        target_say(t, o, OUTCOME_OK, "the RPC proxy echoes");
    else
        target_say(t, o, OUTCOME_FAILED, "200, but no RPC proxy's echo: %zu bytes of something else",
                   a->body.len);
}

static void step_echo(struct target *t, enum logon_method m, const char *step, const char *method)
{
    char url[PROBE_NAME_MAX + 64];
    struct errinfo ei = {0};
    struct http_answer a = {0};
    struct stop share;
    struct http_request req = {.method = method,
                               .path = protocol_path(PROTOCOL_OA),
                               .agent = "MSRPC",
                               .accept = "application/rpc",
                               .body = echo_body,
                               .body_len = sizeof echo_body};
    protocol_url(t, PROTOCOL_OA, url, sizeof url);
    struct observation *o = target_note(t, OBSERVATION_STEP, EVIDENCE_WIRE, step, PROTOCOL_OA, url, t->fqdn);
    if (!o)
        return;
    int64_t from = clock_mono_ms();
    target_share(t, false, &share);
    enum err e = target_ask_as(t, m, NULL, &req, &share, &a, &ei);
    o->elapsed_ms = (int)(clock_mono_ms() - from);
    if (e)
        target_say(t, o, e == ERR_REFUSED ? OUTCOME_SKIPPED : OUTCOME_ERROR, "%s", ei.what);
    else
        judge_echo(t, o, &a);
    http_answer_fini(&a);
}

/* A mailbox server of the generation, best in the server's own site. NULL: there is none. */
static const struct server *mailbox_server(const struct target *t)
{
    const struct org *org = t->prober->org;
    const struct server *found = NULL;
    for (size_t i = 0; org && i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        if (!(s->roles & ROLE_MAILBOX) || s->generation != t->server->generation || !s->fqdn)
            continue;
        if (s->site == t->server->site)
            return s;
        if (!found)
            found = s;
    }
    return found;
}

/* Which RPC server to ask for (rpc-over-http.md 2.1): that of the mailbox; without one the server that holds the service in its
   generation. False: there is no name, why tells. */
static bool rpc_server_name(const struct target *t, char *out, size_t cap, const char **why)
{
    const struct mailbox *box = t->prober->req.user.mailbox;
    enum generation g = box ? box->generation : t->server->generation;
    const char *name = NULL;
    *why = NULL;
    if (g >= GENERATION_2013) {
        const char *at = box ? strchr(*box->mail ? box->mail : box->user, '@') : NULL;
        if (at && *box->guid && is_host_name(at + 1)) /* it goes into a request's first line */
            return str_fmt(out, cap, "%s%s", box->guid, at);
        *why = box ? "the mailbox has no GUID or no address of a mail domain"
                   : "from Exchange 2013 on the RPC server is named by a mailbox: give one with --user";
        return false;
    }
    if (box && g == GENERATION_2010 && box->database)
        name = box->database->rpc_client_access_server;
    if (!name && box && box->server)
        name = box->server->fqdn;
    if (!name && !box) {
        const struct server *s =
            g == GENERATION_2010 || (t->server->roles & ROLE_MAILBOX) ? t->server : mailbox_server(t);
        name = s ? s->fqdn : NULL;
    }
    if (!name)
        *why = "the directory names no RPC server for it";
    else if (!is_host_name(name))
        *why = "the RPC server's name in the directory is no host name";
    return !*why && str_copy(out, cap, name);
}

static void step_port(struct target *t, enum logon_method m, const char *server, enum rpc_interface i,
                      bool last)
{
    char url[2 * PROBE_NAME_MAX + 64], step[16];
    struct errinfo ei = {0};
    struct rpc_answer a;
    struct stop share;
    str_fmt(step, sizeof step, "rpc-%u", rpc_interface_port(i));
    str_fmt(url, sizeof url, "https://%s%s?%s:%u", t->fqdn, protocol_path(PROTOCOL_OA), server,
            rpc_interface_port(i));
    struct observation *o = target_note(t, OBSERVATION_STEP, EVIDENCE_WIRE, step, PROTOCOL_OA, url, t->fqdn);
    if (!o)
        return;
    int64_t from = clock_mono_ms();
    target_share(t, last, &share);
    enum err e = rpc_bind(t, m, server, i, &share, &a, &ei);
    o->elapsed_ms = (int)(clock_mono_ms() - from);
    if (e)
        target_say(t, o, e == ERR_REFUSED ? OUTCOME_SKIPPED : OUTCOME_ERROR, "%s", ei.what);
    else
        target_say(t, o, a.bound ? OUTCOME_OK : OUTCOME_FAILED, "%s", a.words);
}

void step_rpc(struct target *t, bool last)
{
    char server[PROBE_NAME_MAX], url[PROBE_NAME_MAX + 64];
    const char *why = NULL;
    enum logon_method m = target_method(t, PROTOCOL_OA);
    if (!t->prober->tls)
        why = t->prober->trust_error.what;
    step_echo(t, m, "echo-in", "RPC_IN_DATA");
    step_echo(t, m, "echo-out", "RPC_OUT_DATA");
    if (!why && rpc_server_name(t, server, sizeof server, &why)) {
        for (int i = 0; i < RPC_INTERFACES; i++)
            step_port(t, m, server, (enum rpc_interface)i, last && i + 1 == RPC_INTERFACES);
        return;
    }
    protocol_url(t, PROTOCOL_OA, url, sizeof url);
    target_say(t, target_note(t, OBSERVATION_STEP, EVIDENCE_WIRE, "rpc", PROTOCOL_OA, url, t->fqdn),
               OUTCOME_SKIPPED, "%s", why ? why : "the RPC server's name is too long");
}
