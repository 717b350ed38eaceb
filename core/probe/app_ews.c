#include "core/base/str.h"
#include "core/probe/app_answers.h"
#include "core/probe/app_xml.h"

#include <string.h>

#define BODY "Envelope/Body/"

enum err ews_request(struct buf *out)
{
    /* Exchange2007_SP1 is the oldest version every server from 2007 SP1 on accepts; newer servers answer it as well */
    buf_adds(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>"
                  "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
                  "xmlns:t=\"http://schemas.microsoft.com/exchange/services/2006/types\" "
                  "xmlns:m=\"http://schemas.microsoft.com/exchange/services/2006/messages\">"
                  "<s:Header><t:RequestServerVersion Version=\"Exchange2007_SP1\"/></s:Header>"
                  "<s:Body><m:GetFolder><m:FolderShape><t:BaseShape>Default</t:BaseShape></m:FolderShape>"
                  "<m:FolderIds><t:DistinguishedFolderId Id=\"inbox\"/></m:FolderIds></m:GetFolder></s:Body>"
                  "</s:Envelope>");
    return out->failed;
}

struct parse {
    struct ews_answer *a;
    bool is_envelope, has_body;
};

static bool part(const struct xml_attributes *a, const char *name, uint16_t *out)
{
    char text[16];
    uint64_t n;
    if (!xml_attribute(a, name, text, sizeof text) || !str_to_u64(text, strlen(text), &n) || n > UINT16_MAX)
        return false;
    *out = (uint16_t)n;
    return true;
}

static bool on_open(void *arg, const char *path, const struct xml_attributes *a)
{
    struct parse *p = arg;
    struct version v = {0};
    char word[32];
    if (!strchr(path, '/'))
        return p->is_envelope = str_eq(path, "Envelope");
    if (str_eq(path, "Envelope/Body"))
        p->has_body = true;
    if (str_eq(path, "Envelope/Header/ServerVersionInfo") && part(a, "MajorVersion", &v.major) &&
        part(a, "MinorVersion", &v.minor) && part(a, "MajorBuildNumber", &v.build)) {
        v.has_revision = part(a, "MinorBuildNumber", &v.revision);
        p->a->version = v;
        p->a->has_version = true;
    }
    if (str_iends(path, "ResponseMessage") && xml_attribute(a, "ResponseClass", word, sizeof word))
        p->a->is_success = str_eq(word, "Success") || str_eq(word, "Warning");
    if (str_eq(path, BODY "Fault"))
        p->a->is_fault = true;
    return true;
}

/* "a:ErrorSchemaValidation" without its prefix. */
static const char *local(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static bool on_close(void *arg, const char *path, const char *text)
{
    struct ews_answer *a = ((struct parse *)arg)->a;
    if (str_istarts(path, BODY "Fault/")) {
        if (str_iends(path, "/ResponseCode") || (str_iends(path, "/faultcode") && !*a->code))
            str_copy(a->code, sizeof a->code, local(text));
        else if (str_iends(path, "/faultstring") || (str_iends(path, "/Message") && !*a->text))
            str_copy(a->text, sizeof a->text, text);
    } else if (str_iends(path, "ResponseMessage/ResponseCode")) {
        str_copy(a->code, sizeof a->code, text);
    } else if (str_iends(path, "ResponseMessage/MessageText")) {
        str_copy(a->text, sizeof a->text, text);
    } else if (str_iends(path, "/DisplayName") && !*a->folder) {
        str_copy(a->folder, sizeof a->folder, text);
    }
    return true;
}

enum err ews_parse(struct ews_answer *out, const char *data, size_t len, struct errinfo *ei)
{
    struct parse p = {.a = out};
    const struct app_xml_reader reader = {on_open, on_close, &p};
    memset(out, 0, sizeof *out);
    enum err e = app_xml_read(data, len, &reader, ei);
    if (!e && (!p.is_envelope || !p.has_body))
        e = err_set(ei, ERR_INPUT, NULL, "XML, but no SOAP envelope");
    return e;
}

const char *ews_code_words(const char *code)
{
    /* MS-OXWSCDATA 2.2.5.24, those that a first request meets */
    static const struct {
        const char *code, *words;
    } codes[] = {
        {"ErrorAccessDenied", "the account may not read this mailbox"},
        {"ErrorAccountDisabled", "the account is disabled"},
        {"ErrorConnectionFailed", "the server cannot reach the mailbox server"},
        {"ErrorFolderNotFound", "the mailbox has no inbox that the account can see"},
        {"ErrorImpersonateUserDenied", "no right to impersonate"},
        {"ErrorIncorrectSchemaVersion", "the request is of a version that the server does not know"},
        {"ErrorInternalServerError", "internal error of the server: its event log says more"},
        {"ErrorInternalServerTransientError", "the server has a passing trouble: try again"},
        {"ErrorInvalidServerVersion", "the request's version is not known to the server"},
        {"ErrorMailboxFailover", "the database is moving to another copy: try again"},
        {"ErrorMailboxMoveInProgress", "the mailbox is being moved"},
        {"ErrorMailboxStoreUnavailable", "the mailbox database is not mounted or its server is down"},
        {"ErrorMissingEmailAddress", "the account has no mailbox"},
        {"ErrorNoRespondingCASInDestinationSite", "no Client Access Server of the mailbox's site answers"},
        {"ErrorNonExistentMailbox", "there is no mailbox of that address"},
        {"ErrorPasswordExpired", "the password has expired"},
        {"ErrorProxiedSubscriptionCallFailure", "the server behind refused the proxied request"},
        {"ErrorProxyCallFailed", "the server behind could not be asked"},
        {"ErrorProxyGroupSidLimitExceeded", "the account is in too many groups for proxying"},
        {"ErrorProxyRequestNotAllowed",
         "the mailbox is in another site, and no server there takes proxied requests (Windows "
         "authentication, InternalNLBBypassUrl)"},
        {"ErrorProxyRequestProcessingFailed", "the server behind did not understand the proxied request"},
        {"ErrorSchemaValidation", "the server did not understand the request"},
        {"ErrorServerBusy", "the server throttles this account"},
        {"InvalidSecurity", "the endpoint takes WS-Security only: /wssecurity is no place for a user"},
    };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (str_ieq(codes[i].code, code))
            return codes[i].words;
    return NULL;
}
