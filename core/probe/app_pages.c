/* Pages of OWA and ECP, ActiveSync's OPTIONS and status numbers, MAPI/HTTP's headers, the offline address book's manifest. */
#include "core/base/str.h"
#include "core/probe/app_answers.h"
#include "core/probe/app_xml.h"

#include <string.h>

/* ---- OWA, ECP */

bool owa_version(const char *text, struct version *out)
{
    char number[32];
    struct version v;
    size_t n = strspn(text, "0123456789.");
    if (n == 0 || n >= sizeof number || !str_fmt(number, sizeof number, "%.*s", (int)n, text) ||
        !version_parse(number, &v) || v.major < 8 || v.major > 15)
        return false;
    if (v.major < 15) {
        v.has_revision = false;
        v.revision = 0;
    }
    *out = v;
    return true;
}

/* The next place of needle (lower case) in html, without regard to case; NULL. */
static const char *find(const char *at, const char *end, const char *needle)
{
    size_t n = strlen(needle);
    for (; (size_t)(end - at) >= n; at++)
        if ((*at | 32) == (*needle | 32) && str_incmp(at, needle, n) == 0)
            return at;
    return NULL;
}

/* The part of a page up to where something ends, as text. */
static const char *piece(const char *at, const char *end, char *out, size_t cap)
{
    size_t n = (size_t)(end - at) < cap - 1 ? (size_t)(end - at) : cap - 1;
    memcpy(out, at, n);
    out[n] = '\0';
    return out;
}

static enum owa_form form_of(const char *tag)
{
    return str_icontains(tag, "owaauth.dll") ? OWA_FORM_OWAAUTH_DLL
           : str_icontains(tag, "auth.owa")  ? OWA_FORM_AUTH_OWA
                                             : OWA_FORM_OTHER;
}

void owa_page_read(struct owa_page *out, const char *html, size_t len)
{
    const char *end = html + len, *form = NULL;
    char text[512];
    *out = (struct owa_page){0};
    for (const char *p = html; (p = find(p, end, "/owa/")) && !out->has_version;) {
        p += strlen("/owa/");
        piece(p, end, text, 64);
        const char *number = str_istarts(text, "auth/") ? text + strlen("auth/") : text;
        out->has_version = owa_version(number, &out->version);
    }
    /* the last form before the first password field is the one it belongs to */
    const char *password = find(html, end, "type=\"password\"");
    for (const char *p = html; password && (p = find(p, password, "<form")); p += 5)
        form = p;
    if (form) {
        piece(form, password, text, sizeof text);
        text[strcspn(text, ">")] = '\0';
        out->form = form_of(text);
    }
}

bool owa_is_logon_url(const char *url)
{
    const char *host = strstr(url, "://");
    const char *path = host ? strchr(host + 3, '/') : url;
    return path && (str_istarts(path, "/owa/auth/logon.aspx") || str_istarts(path, "/owa/auth/logon.asp"));
}

/* ---- ActiveSync */

static const char *const eas_known[] = {"16.1", "16.0", "14.1", "14.0", "12.1", "12.0", "2.5"};

/* A word of a list separated by commas. */
static bool lists(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p && *p;) {
        p += strspn(p, " \t,");
        size_t len = strcspn(p, ",");
        size_t trimmed = len;
        while (trimmed && (p[trimmed - 1] == ' ' || p[trimmed - 1] == '\t'))
            trimmed--;
        if (trimmed == n && str_incmp(p, word, n) == 0)
            return true;
        p += len;
    }
    return false;
}

const char *eas_newest(const char *versions)
{
    for (size_t i = 0; versions && i < ARRAY_LEN(eas_known); i++)
        if (lists(versions, eas_known[i]))
            return eas_known[i];
    return NULL;
}

enum outcome eas_judge_options(const char *server, const char *versions, const char *commands,
                               struct buf *detail)
{
    static const char *const needed[] = {"Sync", "FolderSync", "Provision"};
    const char *newest = eas_newest(versions);
    if (!server || !versions) {
        buf_addf(detail,
                 "OPTIONS is answered without %s: this is not Exchange ActiveSync, or a device before it "
                 "takes headers away",
                 server ? "MS-ASProtocolVersions" : "MS-Server-ActiveSync");
        return OUTCOME_FAILED;
    }
    buf_addf(detail, "ActiveSync of %s, protocol versions %s", server, versions);
    if (!newest) {
        buf_adds(detail, ": none of them is one that devices speak (2.5, 12.0 and later)");
        return OUTCOME_FAILED;
    }
    for (size_t i = 0; commands && i < ARRAY_LEN(needed); i++)
        if (!lists(commands, needed[i])) {
            buf_addf(detail, "; the command %s is not offered", needed[i]);
            return OUTCOME_FAILED;
        }
    return OUTCOME_OK;
}

struct meaning {
    int code;
    bool ok;
    const char *words;
};

static const char *meaning_of(const struct meaning *table, size_t n, int code, bool *ok)
{
    for (size_t i = 0; i < n; i++)
        if (table[i].code == code) {
            *ok = table[i].ok;
            return table[i].words;
        }
    return NULL;
}

const char *eas_status_words(int status, bool *ok)
{
    /* admin-tools.md 5.4 E7, routing.md 7 */
    static const struct meaning table[] = {
        {400, false, "the server did not understand the request"},
        {401, false,
         "the logon was refused here although it was good before: is Windows authentication on where the "
         "request is proxied to (.../Proxy of the legacy server)?"},
        {403, false,
         "forbidden: ActiveSync is disabled for the mailbox, the device is blocked, or the account may not"},
        {404, false, "there is no ActiveSync here"},
        {441, false,
         "the server behind asks the proxy for the user's token: a proxy's answer that a client must never "
         "see"},
        {449, true,
         "the mailbox answers; its policy asks the device to provision first, which is not done here"},
        {451, false, "the mailbox is served elsewhere"},
        {500, false,
         "internal error: does the user object inherit permissions (event 1053: the server cannot create "
         "its ActiveSyncDevices container)?"},
        {501, false, "the command or the protocol version is not known to the server"},
        {502, false, "a device before the server cannot reach it"},
        {503, false, "service unavailable: the mailbox database is down, or the server throttles"},
        {507, false, "the mailbox is full"},
    };
    return meaning_of(table, ARRAY_LEN(table), status, ok);
}

const char *eas_folder_words(int status, bool *ok)
{
    static const struct meaning table[] = {
        {1, true, "success"},
        {6, false, "an error of the server or the mailbox store"},
        {8, false, "the request timed out at the server"},
        {9, false, "the synchronisation key is not accepted"},
        {10, false, "the server did not understand the request"},
        {11, false, "an unknown error of the server"},
        {110, false, "an error of the server"},
        {111, false, "the server is busy: try again later"},
        {112, false, "the directory refuses the server access to the user object"},
        {113, false, "the mailbox is over its quota"},
        {114, false, "the mailbox server is offline"},
        {126, false, "the account is disabled for ActiveSync"},
        {127, false, "the mailbox is on a newer server, which this one cannot serve"},
        {128, false, "the mailbox is on a legacy server, which this one cannot serve"},
        {129, false, "the device is blocked for this user"},
        {130, false, "the policy lets no device in"},
        {131, false, "the account is disabled"},
        {132, false, "the mailbox store refuses the account"},
        {140, true, "the mailbox answers; a wipe of the device was asked for, which is not done here"},
        {141, true, "the mailbox answers; its policy asks for provisioning"},
        {142, true, "the mailbox answers; its policy asks for provisioning"},
        {143, true, "the mailbox answers; its policy asks for provisioning anew"},
        {144, true, "the mailbox answers; its policy asks for provisioning"},
        {177, false, "the account has too many devices"},
    };
    return meaning_of(table, ARRAY_LEN(table), status, ok);
}

/* ---- MAPI/HTTP */

const char *mapi_code_words(unsigned code)
{
    static const char *const words[] = {
        [0] = "success",
        [1] = "an unknown failure",
        [2] = "the verb is not taken",
        [3] = "the path is not taken",
        [4] = "a header is not taken",
        [5] = "the request type is not known",
        [6] = "the session's cookie does not hold",
        [7] = "a header is missing",
        [8] = "anonymous requests are not taken",
        [9] = "the request is too large",
        [10] = "the session is not known",
        [11] = "the account may not",
        [12] = "the body is not understood",
        [13] = "a cookie is missing",
        [15] = "the request is out of sequence",
        [16] = "the endpoint is disabled",
        [17] = "the server's own answer was not valid",
        [18] = "the endpoint is shutting down",
    };
    return code < ARRAY_LEN(words) ? words[code] : NULL;
}

bool mapi_version(const char *s, struct version *out)
{
    /* parts are padded: "15.00.1497.002" */
    uint64_t parts[4];
    const char *p = strchr(s, '/');
    if (!p || !str_istarts(s, "Exchange/"))
        return false;
    p++;
    for (int i = 0; i < 4; i++) {
        size_t n = strspn(p, "0123456789");
        if (!str_to_u64(p, n, &parts[i]) || parts[i] > UINT16_MAX || (i < 3 && p[n] != '.'))
            return false;
        p += n + (i < 3);
    }
    *out = (struct version){.major = (uint16_t)parts[0],
                            .minor = (uint16_t)parts[1],
                            .build = (uint16_t)parts[2],
                            .revision = (uint16_t)parts[3],
                            .has_revision = true};
    return *p == '\0' && out->major >= 15;
}

/* ---- OAB */

struct oab_parse {
    struct oab_manifest *out;
    bool is_oab;
};

static uint64_t number_of(const struct xml_attributes *a, const char *name)
{
    char text[24];
    uint64_t n = 0;
    if (xml_attribute(a, name, text, sizeof text))
        (void)str_to_u64(text, strlen(text), &n);
    return n;
}

static bool on_open(void *arg, const char *path, const struct xml_attributes *a)
{
    struct oab_parse *p = arg;
    struct oab_manifest *m = p->out;
    if (!strchr(path, '/'))
        return p->is_oab = str_eq(path, "OAB");
    if (str_eq(path, "OAB/OAL")) {
        if (m->lists++ == 0)
            (void)xml_attribute(a, "name", m->name, sizeof m->name);
    } else if (str_eq(path, "OAB/OAL/Full")) {
        m->full++;
        m->is_version4 = m->is_version4 || number_of(a, "ver") == 32;
        uint64_t sequence = number_of(a, "seq"), bytes = number_of(a, "size");
        m->sequence = sequence > m->sequence ? sequence : m->sequence;
        m->bytes += bytes < (uint64_t)1 << 40 ? bytes : 0;
    } else if (str_eq(path, "OAB/OAL/Diff")) {
        m->diffs++;
    } else if (str_eq(path, "OAB/OAL/Template")) {
        m->templates++;
    }
    return true;
}

enum err oab_parse(struct oab_manifest *out, const char *data, size_t len, struct errinfo *ei)
{
    struct oab_parse p = {.out = out};
    const struct app_xml_reader reader = {on_open, NULL, &p};
    memset(out, 0, sizeof *out);
    enum err e = app_xml_read(data, len, &reader, ei);
    if (!e && !p.is_oab)
        e = err_set(ei, ERR_INPUT, NULL, "XML, but its root is not <OAB>");
    if (!e && !out->lists)
        e = err_set(ei, ERR_INPUT, NULL, "the manifest lists no address list");
    return e;
}
