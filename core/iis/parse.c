/*
 * The reader: SAX events against a small table of elements. What stands elsewhere in the file (handlers, modules, pools) is
 * passed over by depth alone and never kept.
 */
#include "core/iis/iis_int.h"

#include "core/base/path.h"
#include "core/base/str.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 64
#define MAX_SITES 4096
#define MAX_PATHS 20000
#define MAX_SPNS  1024
#define PIECE     ((size_t)64 * 1024)
#define IGNORED   NODE_COUNT

enum node {
    NODE_ROOT,
    NODE_CONFIGURATION,
    NODE_LOCATION,
    NODE_WEB_SERVER,
    NODE_SECURITY,
    NODE_ACCESS,
    NODE_AUTHENTICATION,
    NODE_ANONYMOUS,
    NODE_BASIC,
    NODE_DIGEST,
    NODE_WINDOWS,
    NODE_PROVIDERS,
    NODE_PROVIDER_ADD,
    NODE_PROVIDER_REMOVE,
    NODE_PROVIDER_CLEAR,
    NODE_PROTECTION,
    NODE_SPN,
    NODE_SPN_CLEAR,
    NODE_IP,
    NODE_IP_ADD,
    NODE_IP_CLEAR,
    NODE_APPLICATION_HOST,
    NODE_SITES,
    NODE_SITE,
    NODE_APPLICATION,
    NODE_DIRECTORY,
    NODE_COUNT
};

static const struct {
    enum node parent;
    const char *name;
    enum node node;
} elements[] = {
    {NODE_ROOT, "configuration", NODE_CONFIGURATION},
    {NODE_CONFIGURATION, "location", NODE_LOCATION},
    {NODE_CONFIGURATION, "system.webServer", NODE_WEB_SERVER},
    {NODE_LOCATION, "system.webServer", NODE_WEB_SERVER},
    {NODE_WEB_SERVER, "security", NODE_SECURITY},
    {NODE_SECURITY, "access", NODE_ACCESS},
    {NODE_SECURITY, "authentication", NODE_AUTHENTICATION},
    {NODE_AUTHENTICATION, "anonymousAuthentication", NODE_ANONYMOUS},
    {NODE_AUTHENTICATION, "basicAuthentication", NODE_BASIC},
    {NODE_AUTHENTICATION, "digestAuthentication", NODE_DIGEST},
    {NODE_AUTHENTICATION, "windowsAuthentication", NODE_WINDOWS},
    {NODE_WINDOWS, "providers", NODE_PROVIDERS},
    {NODE_PROVIDERS, "add", NODE_PROVIDER_ADD},
    {NODE_PROVIDERS, "remove", NODE_PROVIDER_REMOVE},
    {NODE_PROVIDERS, "clear", NODE_PROVIDER_CLEAR},
    {NODE_WINDOWS, "extendedProtection", NODE_PROTECTION},
    {NODE_PROTECTION, "spn", NODE_SPN},
    {NODE_PROTECTION, "clearSpns", NODE_SPN_CLEAR},
    {NODE_SECURITY, "ipSecurity", NODE_IP},
    {NODE_IP, "add", NODE_IP_ADD},
    {NODE_IP, "clear", NODE_IP_CLEAR},
    {NODE_CONFIGURATION, "system.applicationHost", NODE_APPLICATION_HOST},
    {NODE_APPLICATION_HOST, "sites", NODE_SITES},
    {NODE_SITES, "site", NODE_SITE},
    {NODE_SITE, "application", NODE_APPLICATION},
    {NODE_APPLICATION, "virtualDirectory", NODE_DIRECTORY},
};

struct reading {
    struct iis_config *c;
    xmlParserCtxt *xml;
    enum node stack[MAX_DEPTH + 1];
    size_t depth;                   /* elements open; deeper ones than MAX_DEPTH are refused */
    size_t location;                /* index of the one under way; 0 outside of any */
    char application[IIS_TEXT_MAX]; /* path of the one under way */
    bool in_site;
    enum err failed;
    char why[200];
    int line;
};

static void stop_reading(struct reading *r, enum err e, const char *why)
{
    if (r->failed)
        return;
    r->failed = e;
    r->line = xmlSAX2GetLineNumber(r->xml);
    str_copy(r->why, sizeof r->why, why);
    xmlStopParser(r->xml);
}

static void no_room(struct reading *r)
{
    stop_reading(r, ERR_LIMIT, "it holds more than any IIS");
}

/* ---- attributes */

/* libxml2 hands five pointers an attribute: local name, prefix, URI, value, its end. Copies the value; false when it is not there or
   longer than any that is meant here. A literal & comes as "&#38;" because no entity is ever replaced. */
static bool attribute(const xmlChar **attrs, int n, const char *name, char *out, size_t cap)
{
    for (int i = 0; i < n; i++, attrs += 5) {
        if (strcmp((const char *)attrs[0], name) != 0)
            continue;
        const char *from = (const char *)attrs[3], *end = (const char *)attrs[4];
        size_t len = 0;
        while (from < end) {
            if (len + 1 >= cap)
                return false;
            if (end - from >= 5 && memcmp(from, "&#38;", 5) == 0) {
                out[len++] = '&';
                from += 5;
            } else {
                out[len++] = *from++;
            }
        }
        out[len] = '\0';
        return true;
    }
    return false;
}

static enum tri boolean(const xmlChar **attrs, int n, const char *name)
{
    char text[16];
    if (!attribute(attrs, n, name, text, sizeof text))
        return TRI_UNKNOWN;
    return str_ieq(text, "true") ? TRI_YES : str_ieq(text, "false") ? TRI_NO : TRI_UNKNOWN;
}

static void set_switch(enum tri *slot, enum tri value)
{
    if (value != TRI_UNKNOWN)
        *slot = value;
}

/* ---- elements */

static void begin_location(struct reading *r, const xmlChar **attrs, int n)
{
    char path[IIS_TEXT_MAX] = "";
    (void)attribute(attrs, n, "path", path, sizeof path);
    if (iis_location_make(r->c, path, &r->location))
        no_room(r);
}

static void begin_site(struct reading *r, const xmlChar **attrs, int n)
{
    char name[IIS_TEXT_MAX], id[32];
    struct iis_site site = {0};
    r->in_site = false;
    if (!attribute(attrs, n, "name", name, sizeof name))
        return;
    if (attribute(attrs, n, "id", id, sizeof id))
        (void)str_to_i64(id, strlen(id), &site.id);
    site.name = arena_str(&r->c->arena, name);
    if (!site.name || !VEC_PUSH(&r->c->sites, MAX_SITES, site))
        no_room(r);
    else
        r->in_site = true;
}

static void add_path(struct reading *r, const char *path)
{
    struct iis_site *site = &r->c->sites.v[r->c->sites.n - 1];
    const char *copy = arena_str(&r->c->arena, path);
    if (!copy || !VEC_PUSH(&site->paths, MAX_PATHS, copy))
        no_room(r);
}

static void begin_application(struct reading *r, const xmlChar **attrs, int n)
{
    if (!attribute(attrs, n, "path", r->application, sizeof r->application))
        r->application[0] = '\0';
    else if (r->in_site)
        add_path(r, r->application);
}

static void begin_directory(struct reading *r, const xmlChar **attrs, int n)
{
    char path[IIS_TEXT_MAX], whole[2 * IIS_TEXT_MAX];
    if (!r->in_site || !attribute(attrs, n, "path", path, sizeof path) || strcmp(path, "/") == 0)
        return;
    str_fmt(whole, sizeof whole, "%s%s", strcmp(r->application, "/") == 0 ? "" : r->application, path);
    add_path(r, whole);
}

static void begin_spn(struct reading *r, struct iis_location *l, const xmlChar **attrs, int n)
{
    char name[IIS_TEXT_MAX];
    if (!attribute(attrs, n, "name", name, sizeof name))
        return;
    const char *copy = arena_str(&r->c->arena, name);
    if (!copy || !VEC_PUSH(&l->spns, MAX_SPNS, copy))
        no_room(r);
}

static void begin_element(struct reading *r, enum node node, const xmlChar **attrs, int n)
{
    struct iis_location *l = &r->c->locations.v[r->location];
    char text[IIS_TEXT_MAX];
    switch (node) {
    case NODE_LOCATION: begin_location(r, attrs, n); break;
    case NODE_SITE: begin_site(r, attrs, n); break;
    case NODE_APPLICATION: begin_application(r, attrs, n); break;
    case NODE_DIRECTORY: begin_directory(r, attrs, n); break;
    case NODE_ANONYMOUS: set_switch(&l->anonymous, boolean(attrs, n, "enabled")); break;
    case NODE_BASIC: set_switch(&l->basic, boolean(attrs, n, "enabled")); break;
    case NODE_DIGEST: set_switch(&l->digest, boolean(attrs, n, "enabled")); break;
    case NODE_WINDOWS:
        set_switch(&l->windows, boolean(attrs, n, "enabled"));
        set_switch(&l->kernel_mode, boolean(attrs, n, "useKernelMode"));
        set_switch(&l->pool_credentials, boolean(attrs, n, "useAppPoolCredentials"));
        break;
    case NODE_PROVIDER_CLEAR:
        l->providers_cleared = true;
        l->providers = l->removed = 0;
        break;
    case NODE_PROVIDER_ADD:
    case NODE_PROVIDER_REMOVE:
        if (attribute(attrs, n, "value", text, sizeof text)) {
            uint32_t p = iis_provider_from(text);
            l->providers = node == NODE_PROVIDER_ADD ? l->providers | p : l->providers & ~p;
            l->removed = node == NODE_PROVIDER_ADD ? l->removed & ~p : l->removed | p;
        }
        break;
    case NODE_PROTECTION:
        if (attribute(attrs, n, "tokenChecking", text, sizeof text))
            l->has_token = iis_token_from(text, &l->token);
        if (attribute(attrs, n, "flags", text, sizeof text)) {
            l->has_protection_flags = true;
            l->protection_flags = iis_protection_flags_from(text);
        }
        break;
    case NODE_SPN: begin_spn(r, l, attrs, n); break;
    case NODE_SPN_CLEAR: l->spns.n = 0; break;
    case NODE_ACCESS:
        if (attribute(attrs, n, "sslFlags", text, sizeof text)) {
            l->has_ssl_flags = true;
            l->ssl_flags = iis_flags_from(text);
        }
        break;
    case NODE_IP: set_switch(&l->ip_allow_unlisted, boolean(attrs, n, "allowUnlisted")); break;
    case NODE_IP_ADD: l->n_ip_allowed += boolean(attrs, n, "allowed") == TRI_YES; break;
    case NODE_IP_CLEAR: l->n_ip_allowed = 0; break;
    default: break;
    }
}

/* ---- events */

static void on_start(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int n_namespaces, const xmlChar **namespaces, int n_attrs, int n_defaulted,
                     const xmlChar **attrs)
{
    struct reading *r = ctx;
    enum node parent = r->stack[r->depth], node = IGNORED;
    (void)prefix, (void)uri, (void)n_namespaces, (void)namespaces, (void)n_defaulted;
    if (r->failed)
        return;
    if (r->depth == MAX_DEPTH) {
        stop_reading(r, ERR_INPUT, "its elements are nested deeper than IIS ever writes them");
        return;
    }
    for (size_t i = 0; parent != IGNORED && i < ARRAY_LEN(elements); i++)
        if (elements[i].parent == parent && strcmp(elements[i].name, (const char *)name) == 0)
            node = elements[i].node;
    if (r->depth == 0 && node == IGNORED) {
        stop_reading(r, ERR_INPUT, "its root is not <configuration>");
        return;
    }
    r->stack[++r->depth] = node;
    if (node != IGNORED)
        begin_element(r, node, attrs, n_attrs);
}

static void on_end(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct reading *r = ctx;
    (void)name, (void)prefix, (void)uri;
    if (r->failed || !r->depth)
        return;
    if (r->stack[r->depth] == NODE_LOCATION)
        r->location = 0;
    else if (r->stack[r->depth] == NODE_SITE)
        r->in_site = false;
    r->depth--;
}

/* A document type is the door to entities (billion laughs, files of ours in the text). IIS writes none. */
static void on_doctype(void *ctx, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    stop_reading(ctx, ERR_INPUT, "it declares a document type, which IIS never writes");
}

static void on_error(void *ctx, xmlErrorPtr error)
{
    struct reading *r = ctx;
    char raw[256];
    if (r->failed || !error || error->level < XML_ERR_ERROR)
        return;
    str_copy(raw, sizeof raw, error->message ? error->message : "it is not well-formed");
    raw[strcspn(raw, "\r\n")] = '\0';
    stop_reading(r, ERR_INPUT, raw);
    r->line = error->line;
}

static pthread_once_t xml_once =
    PTHREAD_ONCE_INIT; /* libxml2's first use must not happen in two threads at once */

static enum err feed(struct reading *r, const char *data, size_t len, struct errinfo *ei)
{
    xmlSAXHandler sax = {
        .internalSubset = on_doctype,
        .startElementNs = on_start,
        .endElementNs = on_end,
        .serror = on_error,
        .initialized = XML_SAX2_MAGIC,
    };
    pthread_once(&xml_once, xmlInitParser);
    r->xml = xmlCreatePushParserCtxt(&sax, r, NULL, 0, NULL);
    if (!r->xml)
        return err_set(ei, ERR_NOMEM, NULL, "no memory to read XML");
    xmlCtxtUseOptions(r->xml, XML_PARSE_NONET);
    for (size_t at = 0; at < len && !r->failed; at += PIECE)
        if (xmlParseChunk(r->xml, data + at, (int)(len - at < PIECE ? len - at : PIECE), 0) && !r->failed)
            stop_reading(r, ERR_INPUT, "it is not well-formed XML");
    if (!r->failed && xmlParseChunk(r->xml, NULL, 0, 1) && !r->failed)
        stop_reading(r, ERR_INPUT, "it ends too early");
    if (r->xml->myDoc) /* made by libxml2 itself in some of its error paths */
        xmlFreeDoc(r->xml->myDoc);
    xmlFreeParserCtxt(r->xml);
    if (!r->failed)
        return ERR_OK;
    return err_set(ei, r->failed,
                   "copy %windir%\\System32\\inetsrv\\config\\applicationHost.config of the server again",
                   "line %d: %s", r->line, r->why);
}

enum err iis_parse(struct iis_config *out, const char *data, size_t len, struct errinfo *ei)
{
    struct reading *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(ei, ERR_NOMEM, NULL, "no memory to read XML");
    *out = (struct iis_config){0};
    arena_init(&out->arena, IIS_ARENA_LIMIT);
    r->c = out;
    enum err e = iis_location_make(out, "", NULL);
    if (e)
        err_set(ei, e, NULL, "no memory to read XML");
    else if (len > IIS_MAX_FILE)
        e = err_set(ei, ERR_INPUT, NULL, "it is larger than %zu MiB", IIS_MAX_FILE >> 20);
    else
        e = feed(r, data, len, ei);
    if (!e && out->sites.n == 0 && out->locations.n == 1)
        e = err_set(ei, ERR_INPUT, "name a server's applicationHost.config, not a web.config",
                    "it holds no site and no location");
    if (e)
        iis_fini(out);
    free(r);
    return e;
}

enum err iis_read(struct iis_config *out, const char *path, int64_t *modified, struct errinfo *ei)
{
    struct buf text;
    struct stat st;
    buf_init(&text, IIS_MAX_FILE);
    enum err e = path_read(&text, path, ei);
    if (!e && modified && stat(path, &st) == 0)
        *modified = (int64_t)st.st_mtime;
    if (!e) {
        e = iis_parse(out, buf_str(&text), text.len, ei);
        if (e)
            err_wrap(ei, "%s", path);
    }
    buf_fini(&text);
    return e;
}

void iis_fini(struct iis_config *c)
{
    for (size_t i = 0; i < c->locations.n; i++)
        VEC_FREE(&c->locations.v[i].spns);
    for (size_t i = 0; i < c->sites.n; i++)
        VEC_FREE(&c->sites.v[i].paths);
    VEC_FREE(&c->locations);
    VEC_FREE(&c->sites);
    arena_fini(&c->arena);
}
