/* What a request is about, from its method and path. Paths compare without case, as IIS does. */
#include "core/proxy/proxy_int.h"

#include "core/base/str.h"

#include <string.h>

static const struct {
    const char *prefix;
    enum path_kind kind;
} prefixes[] = {
    {"/rpc", PATH_OA},
    {"/rpcwithcert", PATH_OA},
    {"/mapi", PATH_MAPI},
    {"/owa", PATH_OWA},
    {"/exchange", PATH_OWA},
    {"/ecp", PATH_ECP},
    {"/ews", PATH_EWS},
    {"/microsoft-server-activesync", PATH_EAS},
    {"/oab", PATH_OAB},
    {"/autodiscover", PATH_AUTODISCOVER},
    {"/powershell", PATH_POWERSHELL},
};

static const struct {
    const char *name;
    enum protocol protocol;
} kinds[] = {
    [PATH_OTHER] = {"other", PROTOCOL_UNKNOWN},
    [PATH_OA_IN] = {"oa-in", PROTOCOL_OA},
    [PATH_OA_OUT] = {"oa-out", PROTOCOL_OA},
    [PATH_OA_ECHO] = {"oa-echo", PROTOCOL_OA},
    [PATH_OA] = {"oa", PROTOCOL_OA},
    [PATH_MAPI] = {"mapi", PROTOCOL_MAPI},
    [PATH_OWA] = {"owa", PROTOCOL_OWA},
    [PATH_ECP] = {"ecp", PROTOCOL_ECP},
    [PATH_EWS] = {"ews", PROTOCOL_EWS},
    [PATH_EAS] = {"eas", PROTOCOL_EAS},
    [PATH_EAS_PING] = {"eas-ping", PROTOCOL_EAS},
    [PATH_OAB] = {"oab", PROTOCOL_OAB},
    [PATH_AUTODISCOVER] = {"autodiscover", PROTOCOL_AUTODISCOVER},
    [PATH_POWERSHELL] = {"powershell", PROTOCOL_POWERSHELL},
    [PATH_HEALTH] = {"health", PROTOCOL_UNKNOWN},
};

const char *policy_path_name(enum path_kind k)
{
    return (size_t)k < ARRAY_LEN(kinds) ? kinds[k].name : "other";
}

enum protocol policy_protocol(enum path_kind k)
{
    return (size_t)k < ARRAY_LEN(kinds) ? kinds[k].protocol : PROTOCOL_UNKNOWN;
}

static enum path_kind of_rpc(const struct http1_head *h, const char *raw)
{
    bool in = h->method_len == 11 && memcmp(raw + h->method, "RPC_IN_DATA", 11) == 0;
    bool out = h->method_len == 12 && memcmp(raw + h->method, "RPC_OUT_DATA", 12) == 0;
    if (!in && !out)
        return PATH_OA;
    /* MS-RPCH 2.1.2.1.5: an echo request announces at most 16 bytes */
    if (!h->chunked && h->length <= 0x10)
        return PATH_OA_ECHO;
    return in ? PATH_OA_IN : PATH_OA_OUT;
}

enum path_kind policy_path_kind(const struct http1_head *h, const char *raw)
{
    char target[512];
    size_t n = h->target_len < sizeof target ? h->target_len : sizeof target - 1;
    memcpy(target, raw + h->target, n);
    target[n] = '\0';
    char *query = strchr(target, '?');
    if (query != NULL)
        *query++ = '\0';
    if (str_iends(target, "/healthcheck.htm"))
        return PATH_HEALTH;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        size_t len = strlen(prefixes[i].prefix);
        if (!str_istarts(target, prefixes[i].prefix) || (target[len] != '\0' && target[len] != '/'))
            continue;
        if (prefixes[i].kind == PATH_OA)
            return of_rpc(h, raw);
        if (prefixes[i].kind == PATH_EAS && query != NULL && str_icontains(query, "cmd=ping") != NULL)
            return PATH_EAS_PING;
        return prefixes[i].kind;
    }
    return PATH_OTHER;
}

/* Does the name of a query's parameter speak of something that lets somebody in? OWA has X-OWA-CANARY and tokens there. */
static bool is_secret_name(const char *name, size_t len)
{
    static const char *const parts[] = {"canary", "token",   "passw", "pwd", "ticket", "secret",
                                        "cookie", "session", "auth",  "sig", "-cat",   "code"};
    char text[64];
    if (len >= sizeof text)
        return true;
    memcpy(text, name, len);
    text[len] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (str_icontains(text, parts[i]) != NULL)
            return true;
    return false;
}

void policy_path_show(char *out, size_t cap, const char *target, size_t len)
{
    char kept[512]; /* more than is shown */
    size_t n = 0;
    const char *end = target + len, *p = memchr(target, '?', len);
    p = p != NULL ? p + 1 : end;
    n = (size_t)(p - target) < sizeof kept ? (size_t)(p - target) : sizeof kept;
    memcpy(kept, target, n);
    while (p < end) {
        const char *next = memchr(p, '&', (size_t)(end - p));
        next = next != NULL ? next + 1 : end;
        const char *equals = memchr(p, '=', (size_t)(next - p));
        bool hide = equals != NULL && is_secret_name(p, (size_t)(equals - p));
        const char *upto = hide ? equals + 1 : next;
        for (const char *q = p; q < upto && n < sizeof kept; q++)
            kept[n++] = *q;
        for (const char *q = hide ? (next[-1] == '&' ? "***&" : "***") : ""; *q != '\0' && n < sizeof kept;
             q++)
            kept[n++] = *q;
        p = next;
    }
    str_show_fixed(out, cap, kept, n);
}
