/*
 * The reader: SAX events against a small table of elements. What stands elsewhere in the file (handlers, modules, pools) is
 * passed over by depth alone and never kept.
 */
#include "core/iis/iis_int.h"

#include "core/base/path.h"
#include "core/base/str.h"
#include "core/base/xml.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 64
#define MAX_SITES 4096
#define MAX_PATHS 20000
#define MAX_SPNS  1024
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
    struct xml_reading *xml;
    enum node stack[MAX_DEPTH + 1];
    size_t depth;                   /* elements open; deeper ones than MAX_DEPTH are refused */
    size_t location;                /* index of the one under way; 0 outside of any */
    char application[IIS_TEXT_MAX]; /* path of the one under way */
    bool in_site;
};

static void no_room(struct reading *r)
{
    xml_stop(r->xml, ERR_LIMIT, "it holds more than any IIS");
}

/* ---- attributes */

static enum tri boolean(const struct xml_attributes *a, const char *name)
{
    char text[16];
    if (!xml_attribute(a, name, text, sizeof text))
        return TRI_UNKNOWN;
    return str_ieq(text, "true") ? TRI_YES : str_ieq(text, "false") ? TRI_NO : TRI_UNKNOWN;
}

static void set_switch(enum tri *slot, enum tri value)
{
    if (value != TRI_UNKNOWN)
        *slot = value;
}

/* ---- elements */

static void begin_location(struct reading *r, const struct xml_attributes *a)
{
    char path[IIS_TEXT_MAX] = "";
    (void)xml_attribute(a, "path", path, sizeof path);
    if (iis_location_make(r->c, path, &r->location))
        no_room(r);
}

static void begin_site(struct reading *r, const struct xml_attributes *a)
{
    char name[IIS_TEXT_MAX], id[32];
    struct iis_site site = {0};
    r->in_site = false;
    if (!xml_attribute(a, "name", name, sizeof name))
        return;
    if (xml_attribute(a, "id", id, sizeof id))
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

static void begin_application(struct reading *r, const struct xml_attributes *a)
{
    if (!xml_attribute(a, "path", r->application, sizeof r->application))
        r->application[0] = '\0';
    else if (r->in_site)
        add_path(r, r->application);
}

static void begin_directory(struct reading *r, const struct xml_attributes *a)
{
    char path[IIS_TEXT_MAX], whole[2 * IIS_TEXT_MAX];
    if (!r->in_site || !xml_attribute(a, "path", path, sizeof path) || strcmp(path, "/") == 0)
        return;
    str_fmt(whole, sizeof whole, "%s%s", strcmp(r->application, "/") == 0 ? "" : r->application, path);
    add_path(r, whole);
}

static void begin_spn(struct reading *r, struct iis_location *l, const struct xml_attributes *a)
{
    char name[IIS_TEXT_MAX];
    if (!xml_attribute(a, "name", name, sizeof name))
        return;
    const char *copy = arena_str(&r->c->arena, name);
    if (!copy || !VEC_PUSH(&l->spns, MAX_SPNS, copy))
        no_room(r);
}

static void begin_element(struct reading *r, enum node node, const struct xml_attributes *a)
{
    struct iis_location *l = &r->c->locations.v[r->location];
    char text[IIS_TEXT_MAX];
    switch (node) {
    case NODE_LOCATION: begin_location(r, a); break;
    case NODE_SITE: begin_site(r, a); break;
    case NODE_APPLICATION: begin_application(r, a); break;
    case NODE_DIRECTORY: begin_directory(r, a); break;
    case NODE_ANONYMOUS: set_switch(&l->anonymous, boolean(a, "enabled")); break;
    case NODE_BASIC: set_switch(&l->basic, boolean(a, "enabled")); break;
    case NODE_DIGEST: set_switch(&l->digest, boolean(a, "enabled")); break;
    case NODE_WINDOWS:
        set_switch(&l->windows, boolean(a, "enabled"));
        set_switch(&l->kernel_mode, boolean(a, "useKernelMode"));
        set_switch(&l->pool_credentials, boolean(a, "useAppPoolCredentials"));
        break;
    case NODE_PROVIDER_CLEAR:
        l->providers_cleared = true;
        l->providers = l->removed = 0;
        break;
    case NODE_PROVIDER_ADD:
    case NODE_PROVIDER_REMOVE:
        if (xml_attribute(a, "value", text, sizeof text)) {
            uint32_t p = iis_provider_from(text);
            l->providers = node == NODE_PROVIDER_ADD ? l->providers | p : l->providers & ~p;
            l->removed = node == NODE_PROVIDER_ADD ? l->removed & ~p : l->removed | p;
        }
        break;
    case NODE_PROTECTION:
        if (xml_attribute(a, "tokenChecking", text, sizeof text))
            l->has_token = iis_token_from(text, &l->token);
        if (xml_attribute(a, "flags", text, sizeof text)) {
            l->has_protection_flags = true;
            l->protection_flags = iis_protection_flags_from(text);
        }
        break;
    case NODE_SPN: begin_spn(r, l, a); break;
    case NODE_SPN_CLEAR: l->spns.n = 0; break;
    case NODE_ACCESS:
        if (xml_attribute(a, "sslFlags", text, sizeof text)) {
            l->has_ssl_flags = true;
            l->ssl_flags = iis_flags_from(text);
        }
        break;
    case NODE_IP: set_switch(&l->ip_allow_unlisted, boolean(a, "allowUnlisted")); break;
    case NODE_IP_ADD: l->n_ip_allowed += boolean(a, "allowed") == TRI_YES; break;
    case NODE_IP_CLEAR: l->n_ip_allowed = 0; break;
    default: break;
    }
}

/* ---- events */

static void on_start(void *arg, struct xml_reading *x, const char *name, const struct xml_attributes *a)
{
    struct reading *r = arg;
    enum node parent = r->stack[r->depth], node = IGNORED;
    r->xml = x;
    if (r->depth == MAX_DEPTH) {
        xml_stop(x, ERR_INPUT, "its elements are nested deeper than IIS ever writes them");
        return;
    }
    for (size_t i = 0; parent != IGNORED && i < ARRAY_LEN(elements); i++)
        if (elements[i].parent == parent && strcmp(elements[i].name, name) == 0)
            node = elements[i].node;
    if (r->depth == 0 && node == IGNORED) {
        xml_stop(x, ERR_INPUT, "its root is not <configuration>");
        return;
    }
    r->stack[++r->depth] = node;
    if (node != IGNORED)
        begin_element(r, node, a);
}

static void on_end(void *arg, struct xml_reading *x)
{
    struct reading *r = arg;
    (void)x;
    if (r->stack[r->depth] == NODE_LOCATION)
        r->location = 0;
    else if (r->stack[r->depth] == NODE_SITE)
        r->in_site = false;
    r->depth--;
}

enum err iis_parse(struct iis_config *out, const char *data, size_t len, struct errinfo *ei)
{
    struct reading *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(ei, ERR_NOMEM, NULL, "no memory to read XML");
    const struct xml_events events = {.start = on_start, .end = on_end, .arg = r};
    *out = (struct iis_config){0};
    arena_init(&out->arena, IIS_ARENA_LIMIT);
    r->c = out;
    enum err e = iis_location_make(out, "", NULL);
    if (e)
        err_set(ei, e, NULL, "no memory to read XML");
    else if (len > IIS_MAX_FILE)
        e = err_set(ei, ERR_INPUT, NULL, "it is larger than %zu MiB", IIS_MAX_FILE >> 20);
    else
        e = xml_read(data, len, &events,
                     "copy %windir%\\System32\\inetsrv\\config\\applicationHost.config of the server again",
                     ei);
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
