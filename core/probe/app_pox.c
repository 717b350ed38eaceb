#include "core/probe/app_pox.h"

#include "core/base/str.h"
#include "core/probe/app_xml.h"

#include <string.h>

#define ARENA_LIMIT ((size_t)2 << 20)
#define PROTOCOL    "Autodiscover/Response/Account/Protocol"
#define MOBILE      "Autodiscover/Response/Action/"

static const char *const setting_paths[POX_SETTING_COUNT] = {
#define X(name, path) path,
    POX_PROTOCOL_MAP(X)
#undef X
};

enum document_value {
    ERROR_CODE,
    ERROR_TEXT,
    ACTION,
    REDIRECT_ADDRESS,
    REDIRECT_URL,
    DISPLAY_NAME,
    LEGACY_DN,
    MOBILE_ERROR,
    MOBILE_ERROR_TEXT,
    MOBILE_REDIRECT,
    MOBILE_URL,
    VALUE_COUNT
};

static const char *const value_paths[VALUE_COUNT] = {
    [ERROR_CODE] = "Autodiscover/Response/Error/ErrorCode",
    [ERROR_TEXT] = "Autodiscover/Response/Error/Message",
    [ACTION] = "Autodiscover/Response/Account/Action",
    [REDIRECT_ADDRESS] = "Autodiscover/Response/Account/RedirectAddr",
    [REDIRECT_URL] = "Autodiscover/Response/Account/RedirectUrl",
    [DISPLAY_NAME] = "Autodiscover/Response/User/DisplayName",
    [LEGACY_DN] = "Autodiscover/Response/User/LegacyDN",
    [MOBILE_ERROR] = MOBILE "Error/Status",
    [MOBILE_ERROR_TEXT] = MOBILE "Error/Message",
    [MOBILE_REDIRECT] = MOBILE "Redirect",
    [MOBILE_URL] = MOBILE "Settings/Server/Url",
};

struct parse {
    struct pox *x;
    const char *values[VALUE_COUNT];
    struct pox_protocol *protocol; /* under way */
    bool is_autodiscover, has_response;
};

static bool on_open(void *arg, const char *path, const struct xml_attributes *a)
{
    struct parse *p = arg;
    char type[64];
    if (!strchr(path, '/'))
        return p->is_autodiscover = str_ieq(path, "Autodiscover");
    if (str_ieq(path, "Autodiscover/Response"))
        p->has_response = true;
    if (!str_ieq(path, PROTOCOL))
        return true;
    if (p->x->n_protocols == POX_MAX_PROTOCOLS) {
        p->x->cut = true;
        p->protocol = NULL;
        return true;
    }
    p->protocol = &p->x->protocols[p->x->n_protocols++];
    if (xml_attribute(a, "Type", type, sizeof type))
        p->protocol->settings[POX_TYPE] = arena_str(&p->x->arena, type);
    return true;
}

/* The first of several wins: WEB lists its OWA URLs in the order they are to be tried. */
static bool keep(struct parse *p, const char **slot, const char *text)
{
    if (!*slot && *text)
        *slot = arena_str(&p->x->arena, text);
    return true;
}

static bool on_close(void *arg, const char *path, const char *text)
{
    struct parse *p = arg;
    for (size_t i = 0; i < VALUE_COUNT; i++)
        if (str_ieq(path, value_paths[i]))
            return keep(p, &p->values[i], text);
    if (!p->protocol || !str_istarts(path, PROTOCOL "/"))
        return true;
    for (size_t i = 0; i < POX_SETTING_COUNT; i++)
        if (str_ieq(path + strlen(PROTOCOL "/"), setting_paths[i]))
            return keep(p, &p->protocol->settings[i], text);
    return true;
}

/* What the values together mean; false when they mean nothing. */
static bool classify(struct pox *x, const struct parse *p)
{
    const char *const *v = p->values;
    if (v[ERROR_CODE] || v[MOBILE_ERROR]) {
        x->kind = POX_ERROR;
        x->error_code = v[ERROR_CODE] ? v[ERROR_CODE] : v[MOBILE_ERROR];
        x->error_text = v[ERROR_CODE] ? v[ERROR_TEXT] : v[MOBILE_ERROR_TEXT];
    } else if (v[REDIRECT_ADDRESS] || v[MOBILE_REDIRECT]) {
        x->kind = POX_REDIRECT_ADDRESS;
        x->redirect = v[REDIRECT_ADDRESS] ? v[REDIRECT_ADDRESS] : v[MOBILE_REDIRECT];
    } else if (v[REDIRECT_URL]) {
        x->kind = POX_REDIRECT_URL;
        x->redirect = v[REDIRECT_URL];
    } else if (v[MOBILE_URL]) {
        x->kind = POX_MOBILE;
        x->mobile_url = v[MOBILE_URL];
    } else if (x->n_protocols || str_ieq(v[ACTION], "settings")) {
        x->kind = POX_SETTINGS;
    } else {
        return false;
    }
    x->display_name = v[DISPLAY_NAME];
    x->legacy_dn = v[LEGACY_DN];
    return true;
}

enum err pox_parse(struct pox *out, const char *data, size_t len, struct errinfo *ei)
{
    struct parse p = {.x = out};
    const struct app_xml_reader reader = {on_open, on_close, &p};
    memset(out, 0, sizeof *out);
    arena_init(&out->arena, ARENA_LIMIT);
    enum err e = app_xml_read(data, len, &reader, ei);
    if (!e && !p.is_autodiscover)
        e = err_set(ei, ERR_INPUT, NULL, "XML, but its root is not <Autodiscover>");
    else if (!e && !p.has_response)
        e = err_set(ei, ERR_INPUT, NULL, "an <Autodiscover> without <Response>");
    else if (!e && out->arena.failed)
        e = err_set(ei, ERR_LIMIT, NULL, "the answer holds more text than any Autodiscover answer");
    else if (!e && !classify(out, &p))
        e = err_set(ei, ERR_INPUT, NULL, "a <Response> with neither settings nor an error nor a redirect");
    if (e)
        pox_fini(out);
    return e;
}

void pox_fini(struct pox *x)
{
    arena_fini(&x->arena);
    x->n_protocols = 0;
}

const struct pox_protocol *pox_protocol(const struct pox *x, const char *type)
{
    for (size_t i = 0; i < x->n_protocols; i++)
        if (str_ieq(x->protocols[i].settings[POX_TYPE], type))
            return &x->protocols[i];
    return NULL;
}

static void add_escaped(struct buf *b, const char *s)
{
    for (; *s; s++) {
        const char *word = *s == '&'   ? "&amp;"
                           : *s == '<' ? "&lt;"
                           : *s == '>' ? "&gt;"
                           : *s == '"' ? "&quot;"
                                       : NULL;
        if (word)
            buf_adds(b, word);
        else if ((unsigned char)*s >= ' ')
            buf_addc(b, *s);
    }
}

enum err pox_request(struct buf *out, const char *address, bool mobile)
{
    static const char schemas[] = "http://schemas.microsoft.com/exchange/autodiscover/";
    const char *ask = mobile ? "mobilesync/requestschema/2006" : "outlook/requestschema/2006";
    const char *want = mobile ? "mobilesync/responseschema/2006" : "outlook/responseschema/2006a";
    buf_addf(out,
             "<?xml version=\"1.0\" encoding=\"utf-8\"?><Autodiscover xmlns=\"%s%s\"><Request>"
             "<EMailAddress>",
             schemas, ask);
    add_escaped(out, address);
    buf_addf(out,
             "</EMailAddress><AcceptableResponseSchema>%s%s</AcceptableResponseSchema></Request>"
             "</Autodiscover>",
             schemas, want);
    return out->failed;
}

const char *pox_error_words(const char *code)
{
    /* MS-OXDSCLI 2.2.4.1.1.1.1.2 and MS-ASCMD 2.2.3.177.1 (mobilesync: Status) */
    static const struct {
        const char *code, *words;
    } codes[] = {
        {"1", "success, says an error node"},
        {"2", "a protocol error, says an error node of the devices' schema"},
        {"500", "the server does not know the address, or cannot serve its mailbox"},
        {"501", "bad address: the directory has none such"},
        {"600", "invalid request: the server did not understand the question"},
        {"601", "no provider for the answer's schema"},
        {"602", "bad address: it leads to no configuration"},
        {"603", "invalid user: the mailbox is in another organisation"},
    };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (str_eq(codes[i].code, code))
            return codes[i].words;
    return NULL;
}
