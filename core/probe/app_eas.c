/* Exchange ActiveSync (admin-tools.md 5.4): OPTIONS, a provisioned command, and the door for a newer front end. */
#include "core/base/str.h"
#include "core/probe/app_answers.h"
#include "core/probe/app_int.h"
#include "core/probe/app_wbxml.h"

#include <string.h>

#define PATH "/Microsoft-Server-ActiveSync"

static void judge_folders(const struct app_step *s, const struct http_answer *a)
{
    struct folder_sync f;
    struct errinfo ei = {0};
    char why[128], came[128];
    bool ok = false;
    if (!app_body_is_whole(a, why, sizeof why)) {
        app_step_end(s, OUTCOME_FAILED, "FolderSync: %s", why);
    } else if (folder_sync_parse(&f, buf_str(&a->body), a->body.len, &ei)) {
        app_step_end(s, OUTCOME_FAILED, "FolderSync: %s, but: %s", app_came(a, came, sizeof came), ei.what);
    } else if (f.status == 1) {
        app_step_end(s, OUTCOME_OK, "FolderSync: 200, status 1, %u folder%s", f.folders,
                     f.folders == 1 ? "" : "s");
    } else {
        const char *words = eas_folder_words(f.status, &ok);
        app_step_end(s, ok ? OUTCOME_OK : OUTCOME_FAILED, "FolderSync: 200, but status %d%s%s", f.status,
                     words ? ": " : "", words ? words : "");
    }
}

/* 451 says where to go instead; a device would go there with the password, we only show it. */
static void judge_moved(const struct app_step *s, const struct http_answer *a)
{
    char where[300];
    app_header(a, "X-MS-Location", where, sizeof where);
    if (*where)
        app_step_end(
            s, OUTCOME_FAILED,
            "451: the mailbox is served elsewhere, at %s (not followed): is an external URL set on a server "
            "of another site?",
            where);
    else
        app_step_end(s, OUTCOME_FAILED,
                     "451 without X-MS-Location: the mailbox is served elsewhere, or its database is down");
}

static void add_query(struct buf *b, const char *s)
{
    for (; *s; s++)
        if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == '.' ||
            *s == '-')
            buf_addc(b, *s);
        else
            buf_addf(b, "%%%02X", (unsigned char)*s);
}

/* A device that asks for its folders. Exchange remembers it as a partnership of the mailbox, always the same one. */
static void folder_sync(struct target *t, const char *version, bool last)
{
    char version_line[64];
    const char *const headers[] = {"Content-Type: application/vnd.ms-sync.wbxml", version_line,
                                   "X-MS-PolicyKey: 0", NULL};
    const char *user = t->prober->req.user.name;
    struct http_answer a = {0};
    struct errinfo ei = {0};
    struct app_step s;
    struct buf body, path;
    bool ok = false;
    app_step_begin(&s, t, PROTOCOL_EAS, "folder-sync", "https://%s" PATH "?Cmd=FolderSync", t->fqdn);
    if (!user) {
        app_step_end(&s, OUTCOME_SKIPPED, "FolderSync needs a mailbox: --user names one");
        return;
    }
    buf_init(&body, 1024);
    buf_init(&path, 4096);
    str_fmt(version_line, sizeof version_line, "MS-ASProtocolVersion: %s", version);
    folder_sync_request(&body);
    buf_adds(&path, PATH "?Cmd=FolderSync&DeviceId=casbridgeprobe1&DeviceType=casbridge&User=");
    add_query(&path, user);
    enum err e = path.failed ? path.failed : body.failed;
    const struct http_request req = {.method = "POST",
                                     .path = buf_str(&path),
                                     .headers = headers,
                                     .body = body.data,
                                     .body_len = body.len,
                                     .keep = HTTP_BODY_MAX};
    if (!e)
        e = app_ask_as(t, PROTOCOL_EAS, &req, last, &a, &ei);
    const char *words = e ? NULL : eas_status_words(a.status, &ok);
    if (e)
        app_step_error(&s, e, &ei);
    else if (a.status == 200)
        judge_folders(&s, &a);
    else if (a.status == 451)
        judge_moved(&s, &a);
    else if (words)
        app_step_end(&s, ok ? OUTCOME_OK : OUTCOME_FAILED, "FolderSync: %d: %s", a.status, words);
    else
        app_step_status(&s, &a);
    http_answer_fini(&a);
    buf_fini(&body);
    buf_fini(&path);
}

/* False when there is no use in asking on. */
static bool options(struct target *t, char *version, size_t cap)
{
    const struct http_request req = {.method = "OPTIONS", .path = PATH};
    char server[64], versions[256], commands[512];
    struct http_answer a = {0};
    struct errinfo ei = {0};
    struct app_step s;
    struct buf detail;
    enum outcome outcome = OUTCOME_ERROR;
    app_step_begin(&s, t, PROTOCOL_EAS, "options", "https://%s" PATH, t->fqdn);
    buf_init(&detail, 4096);
    enum err e = app_ask_as(t, PROTOCOL_EAS, &req, false, &a, &ei);
    if (e) {
        app_step_error(&s, e, &ei);
    } else if (a.status == 401) {
        app_step_end(
            &s, OUTCOME_FAILED,
            "401 to OPTIONS after a good logon: in coexistence Windows authentication is missing on the "
            "ActiveSync of the legacy server (.../Proxy) behind");
    } else if (a.status != 200) {
        app_step_status(&s, &a);
    } else {
        bool has_server = http_answer_header(&a, "MS-Server-ActiveSync", 0, server, sizeof server);
        bool has_versions = http_answer_header(&a, "MS-ASProtocolVersions", 0, versions, sizeof versions);
        bool has_commands = http_answer_header(&a, "MS-ASProtocolCommands", 0, commands, sizeof commands - 1);
        outcome = eas_judge_options(has_server ? server : NULL, has_versions ? versions : NULL,
                                    has_commands ? commands : NULL, &detail);
        app_step_end(&s, outcome, "%s", buf_str(&detail));
        const char *newest = has_versions ? eas_newest(versions) : NULL;
        str_copy(version, cap, newest ? newest : "12.1");
    }
    http_answer_fini(&a);
    buf_fini(&detail);
    return outcome == OUTCOME_OK;
}

/* A new CAS sends what is for a 2010 mailbox to .../Proxy of the 2010 server, with Kerberos (routing.md section 5). That 2010 sets Windows
   authentication up there by default is assumed, not documented. */
static void proxy_door(struct target *t, bool last)
{
    const struct http_request req = {.method = "OPTIONS", .path = PATH "/Proxy"};
    struct http_answer a = {0};
    struct errinfo ei = {0};
    struct app_step s;
    struct buf offers;
    app_step_begin(&s, t, PROTOCOL_EAS, "proxy-door", "https://%s" PATH "/Proxy", t->fqdn);
    buf_init(&offers, 1024);
    enum err e = app_ask(t, &req, last, &a, &ei);
    if (e) {
        app_step_error(&s, e, &ei);
    } else if (a.status == 401) {
        bool kerberos = a.challenge.offered & (AUTH_NEGOTIATE | AUTH_KERBEROS);
        (void)challenge_words(&offers, &a.challenge);
        app_step_end(&s, kerberos ? OUTCOME_OK : OUTCOME_FAILED, "401, offers %s%s", buf_str(&offers),
                     kerberos
                         ? ": a newer front end can log on with Kerberos"
                         : ": a newer front end needs Windows authentication here, devices of this server's "
                           "mailboxes would fail");
    } else if (a.status == 404) {
        app_step_end(&s, OUTCOME_FAILED, "404: a newer front end finds no ActiveSync to pass requests to");
    } else {
        app_step_status(&s, &a);
    }
    http_answer_fini(&a);
    buf_fini(&offers);
}

void app_eas(struct target *t, bool last)
{
    char version[16];
    bool legacy = t->server->generation == GENERATION_2010;
    if (options(t, version, sizeof version))
        folder_sync(t, version, last && !legacy);
    if (legacy)
        proxy_door(t, last);
}
