/* EWS, MAPI/HTTP, the offline address book, Remote PowerShell. */
#include "core/base/str.h"
#include "core/probe/app_answers.h"
#include "core/probe/app_autodiscover.h"
#include "core/probe/app_int.h"

#include <string.h>

/* ---- EWS (admin-tools.md 5.5; W5 without writing anything) */

/* A person without a mailbox still shows that EWS works, unless it is the very user that was named. */
static bool has_no_mailbox(const struct target *t, const char *code)
{
    return !t->prober->req.user.name &&
           (str_ieq(code, "ErrorNonExistentMailbox") || str_ieq(code, "ErrorMissingEmailAddress"));
}

/* A mailbox of another site or version is asked for there, and that server's version is the answer. */
static bool is_served_here(const struct target *t)
{
    const struct mailbox *box = t->prober->req.user.mailbox;
    return !box || (box->site == t->server->site && box->generation == t->server->generation);
}

static void judge_ews(const struct app_step *s, const struct http_answer *a)
{
    struct ews_answer e;
    struct errinfo ei = {0};
    char why[128], came[128], version[VERSION_TEXT_SIZE + 32] = "", text[VERSION_TEXT_SIZE];
    if (!app_body_is_whole(a, why, sizeof why)) {
        app_step_end(s, OUTCOME_FAILED, "%s", why);
        return;
    }
    if (ews_parse(&e, buf_str(&a->body), a->body.len, &ei)) {
        app_step_end(s, OUTCOME_FAILED, "%s, but no answer of EWS: %s", app_came(a, came, sizeof came),
                     ei.what);
        return;
    }
    if (e.has_version)
        str_fmt(version, sizeof version, ", answered by version %s", version_text(e.version, text));
    const char *words = ews_code_words(e.code);
    if (e.is_success && str_eq(e.code, "NoError"))
        app_step_end(s, OUTCOME_OK, "%d, the folder %s answers%s", a->status, *e.folder ? e.folder : "inbox",
                     version);
    else if (has_no_mailbox(s->t, e.code))
        app_step_end(s, OUTCOME_OK, "%d, EWS answers (the account has no mailbox: --user names one)%s",
                     a->status, version);
    else
        app_step_end(s, OUTCOME_FAILED, "%d %s%s%s%s%s", a->status, *e.code ? e.code : "without a code",
                     words ? ": " : "", words ? words : "", words || !*e.text ? "" : ": ",
                     words ? "" : e.text);
    if (e.has_version && is_served_here(s->t))
        app_note_build(s->t, s->protocol, s->subject, e.version, "as EWS says");
}

void app_ews(struct target *t, bool last)
{
    static const char *const headers[] = {"Content-Type: text/xml; charset=utf-8", NULL};
    struct http_answer a = {0};
    struct errinfo ei = {0};
    struct app_step s;
    struct buf body;
    app_step_begin(&s, t, PROTOCOL_EWS, "get-folder", "https://%s%s", t->fqdn, protocol_path(PROTOCOL_EWS));
    buf_init(&body, 65536);
    enum err e = ews_request(&body);
    const struct http_request req = {.method = "POST",
                                     .path = protocol_path(PROTOCOL_EWS),
                                     .headers = headers,
                                     .body = body.data,
                                     .body_len = body.len,
                                     .keep = HTTP_BODY_MAX};
    if (!e)
        e = app_ask_as(t, PROTOCOL_EWS, &req, last, &a, &ei);
    if (e)
        app_step_error(&s, e, &ei);
    else if (a.status == 200 || a.status == 500) /* a fault comes as 500 */
        judge_ews(&s, &a);
    else
        app_step_status(&s, &a);
    http_answer_fini(&a);
    buf_fini(&body);
}

/* ---- MAPI/HTTP */

static void judge_mapi(const struct app_step *s, const struct http_answer *a)
{
    char code_text[16], application[64], came[128];
    uint64_t code;
    struct version v;
    app_header(a, "X-ResponseCode", code_text, sizeof code_text);
    app_header(a, "X-ServerApplication", application, sizeof application);
    if (!str_to_u64(code_text, strlen(code_text), &code)) {
        app_step_end(s, OUTCOME_FAILED, "%s without X-ResponseCode: this is no MAPI endpoint",
                     app_came(a, came, sizeof came));
        return;
    }
    const char *words = code < 1000 ? mapi_code_words((unsigned)code) : NULL;
    app_step_end(s, code == 0 ? OUTCOME_OK : OUTCOME_FAILED,
                 "PING is answered with X-ResponseCode %s%s%s%s%s", code_text, words ? ": " : "",
                 words ? words : "", *application ? ", " : "", application);
    if (mapi_version(application, &v))
        app_note_build(s->t, s->protocol, s->subject, v, "as X-ServerApplication says");
}

static void mapi_ping(struct target *t, const char *name, const char *path, bool last)
{
    static const char *const headers[] = {"Content-Type: application/mapi-http",
                                          "X-RequestType: PING",
                                          "X-RequestId: {1c1f4d0b-3d3e-4a1b-9c55-6ad7b3c1a001}:1",
                                          "X-ClientInfo: {1c1f4d0b-3d3e-4a1b-9c55-6ad7b3c1a002}:1",
                                          "X-ClientApplication: Outlook/15.0.4815.1002",
                                          NULL};
    const struct http_request req = {
        .method = "POST", .path = path, .headers = headers, .empty_body = true, .keep = 4096};
    struct http_answer a = {0};
    struct errinfo ei = {0};
    struct app_step s;
    app_step_begin(&s, t, PROTOCOL_MAPI, name, "https://%s%s", t->fqdn, path);
    enum err e = app_ask_as(t, PROTOCOL_MAPI, &req, last, &a, &ei);
    if (e)
        app_step_error(&s, e, &ei);
    else if (a.status == 200)
        judge_mapi(&s, &a);
    else
        app_step_status(&s, &a);
    http_answer_fini(&a);
}

/* Not on a version that has no such endpoint: its 404 was said already. */
static bool has_mapi(const struct target *t)
{
    return !generation_is_legacy(t->server->generation) || t->offered[PROTOCOL_MAPI];
}

void app_mapi(struct target *t, bool last)
{
    if (!has_mapi(t))
        return;
    mapi_ping(t, "ping-emsmdb", "/mapi/emsmdb/", false);
    mapi_ping(t, "ping-nspi", "/mapi/nspi/", last);
}

/* ---- Offline address book */

static void judge_manifest(const struct app_step *s, const struct http_answer *a)
{
    struct oab_manifest m;
    struct errinfo ei = {0};
    char why[128], came[128];
    if (!app_body_is_whole(a, why, sizeof why))
        app_step_end(s, OUTCOME_FAILED, "%s", why);
    else if (oab_parse(&m, buf_str(&a->body), a->body.len, &ei))
        app_step_end(s, OUTCOME_FAILED, "%s, but no manifest: %s", app_came(a, came, sizeof came), ei.what);
    else if (!m.is_version4)
        app_step_end(
            s, OUTCOME_FAILED,
            "the manifest of %s lists no complete file of version 4: was the address book generated?",
            m.name);
    else
        app_step_end(s, OUTCOME_OK,
                     "manifest of %s, sequence %llu, %u complete and %u change files, %llu bytes", m.name,
                     (unsigned long long)m.sequence, m.full, m.diffs, (unsigned long long)m.bytes);
}

/* Where the address book lies is told by Autodiscover alone: the folder's name is a GUID that no client could guess. */
void app_oab(struct target *t, bool last)
{
    char path[APP_URL_MAX - 32];
    struct http_answer a = {0};
    struct errinfo ei = {0};
    struct app_step s;
    app_step_begin(&s, t, PROTOCOL_OAB, "manifest", "https://%s%s", t->fqdn, protocol_path(PROTOCOL_OAB));
    enum err e = autodiscover_oab_path(t, path, sizeof path, &ei);
    if (!e) {
        const struct http_request req = {.method = "GET", .path = path, .keep = HTTP_BODY_MAX};
        str_fmt(s.subject, sizeof s.subject, "https://%s%s", t->fqdn, path);
        e = app_ask_as(t, PROTOCOL_OAB, &req, last, &a, &ei);
    }
    if (e)
        app_step_error(&s, e, &ei);
    else if (a.status == 200)
        judge_manifest(&s, &a);
    else if (a.status == 404)
        app_step_end(&s, OUTCOME_FAILED,
                     "404: the address book of the test user's mailbox is not on this server (is it "
                     "distributed here?)");
    else
        app_step_status(&s, &a);
    http_answer_fini(&a);
}

/* ---- Remote PowerShell */

static void judge_plain(const struct app_step *s, const struct http_answer *a)
{
    struct buf offers;
    buf_init(&offers, 1024);
    (void)challenge_words(&offers, &a->challenge);
    bool kerberos = a->challenge.offered & (AUTH_NEGOTIATE | AUTH_KERBEROS);
    if (a->status == 401)
        app_step_end(s, kerberos ? OUTCOME_OK : OUTCOME_FAILED, "401 over http, offers %s%s",
                     buf_str(&offers), kerberos ? "" : ": remoting inside the domain needs Kerberos");
    else if (a->status == 403)
        app_step_end(
            s, OUTCOME_FAILED,
            "403: RequireSsl is on, which the shell of Exchange (http://server/PowerShell/) cannot use");
    else
        app_step_status(s, a);
    buf_fini(&offers);
}

/* https was asked by the challenge. Exchange's own shell connects by http: messages are sealed by Kerberos. */
void app_powershell(struct target *t, bool last)
{
    const char *path = protocol_path(PROTOCOL_POWERSHELL);
    const struct probe_place place = {.host = t->fqdn, .port = 80, .plain = true};
    const struct http_request req = {.method = "GET", .path = path};
    struct http_answer a = {0};
    struct errinfo ei = {0};
    struct app_step s;
    struct stop share;
    if (t->server->generation == GENERATION_2007)
        return; /* its shell is local */
    app_step_begin(&s, t, PROTOCOL_POWERSHELL, "http", "http://%s%s", t->fqdn, path);
    if (!app_has_plain_port(t, t->fqdn)) {
        app_step_end(&s, OUTCOME_SKIPPED, "the host map has one port for this name: add %s/80 for http",
                     t->fqdn);
        return;
    }
    target_share(t, last, &share);
    enum err e = target_ask(t, &place, &req, &share, &a, &ei);
    if (e == ERR_UNREACHABLE)
        app_step_end(&s, OUTCOME_FAILED, "%s: Exchange's own shell connects by http", ei.what);
    else if (e)
        app_step_error(&s, e, &ei);
    else
        judge_plain(&s, &a);
    http_answer_fini(&a);
}
