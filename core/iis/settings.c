/* What holds for a path: inheritance, and the table of Extended Protection. */
#include "core/iis/iis_int.h"

#include "core/base/str.h"

#include <string.h>

#define FRONT "Default Web Site/"
#define BACK  "Exchange Back End/"

const struct iis_row iis_rows[IIS_ROWS] = {
    {FRONT "API", false, IIS_TOKEN_REQUIRE},
    {FRONT "Autodiscover", false, IIS_TOKEN_NONE},
    {FRONT "ecp", false, IIS_TOKEN_REQUIRE},
    {FRONT "EWS", false, IIS_TOKEN_ALLOW},
    {FRONT "Microsoft-Server-ActiveSync", false, IIS_TOKEN_ALLOW},
    {FRONT "Microsoft-Server-ActiveSync/Proxy", false, IIS_TOKEN_ALLOW},
    {FRONT "OAB", false, IIS_TOKEN_ALLOW},
    {FRONT "PowerShell", false, IIS_TOKEN_NONE},
    {FRONT "owa", false, IIS_TOKEN_REQUIRE},
    {FRONT "Rpc", false, IIS_TOKEN_REQUIRE},
    {FRONT "mapi", false, IIS_TOKEN_REQUIRE},
    {BACK "API", true, IIS_TOKEN_REQUIRE},
    {BACK "Autodiscover", true, IIS_TOKEN_NONE},
    {BACK "ecp", true, IIS_TOKEN_REQUIRE},
    {BACK "EWS", true, IIS_TOKEN_REQUIRE},
    {BACK "Microsoft-Server-ActiveSync", true, IIS_TOKEN_REQUIRE},
    {BACK "Microsoft-Server-ActiveSync/Proxy", true, IIS_TOKEN_REQUIRE},
    {BACK "OAB", true, IIS_TOKEN_REQUIRE},
    {BACK "PowerShell", true, IIS_TOKEN_REQUIRE},
    {BACK "owa", true, IIS_TOKEN_REQUIRE},
    {BACK "Rpc", true, IIS_TOKEN_REQUIRE},
    {BACK "PushNotifications", true, IIS_TOKEN_REQUIRE},
    {BACK "RpcWithCert", true, IIS_TOKEN_REQUIRE},
    {BACK "mapi/emsmdb", true, IIS_TOKEN_REQUIRE},
    {BACK "mapi/nspi", true, IIS_TOKEN_REQUIRE},
};

/* Without the slashes at its ends. */
static const char *trimmed(const char *path, size_t *len)
{
    while (*path == '/')
        path++;
    *len = strlen(path);
    while (*len && path[*len - 1] == '/')
        --*len;
    return path;
}

static const struct iis_location *find(const struct iis_config *c, const char *path, size_t len)
{
    for (size_t i = 0; i < c->locations.n; i++)
        if (strlen(c->locations.v[i].path) == len && str_incmp(c->locations.v[i].path, path, len) == 0)
            return &c->locations.v[i];
    return NULL;
}

const struct iis_location *iis_location(const struct iis_config *c, const char *path)
{
    size_t len;
    path = trimmed(path, &len);
    return find(c, path, len);
}

enum err iis_location_make(struct iis_config *c, const char *path, size_t *index)
{
    size_t len;
    path = trimmed(path, &len);
    const struct iis_location *known = find(c, path, len);
    if (known) {
        if (index)
            *index = (size_t)(known - c->locations.v);
        return ERR_OK;
    }
    struct iis_location l = {.path = arena_strn(&c->arena, path, len),
                             .anonymous = TRI_UNKNOWN,
                             .basic = TRI_UNKNOWN,
                             .windows = TRI_UNKNOWN,
                             .digest = TRI_UNKNOWN,
                             .kernel_mode = TRI_UNKNOWN,
                             .pool_credentials = TRI_UNKNOWN,
                             .ip_allow_unlisted = TRI_UNKNOWN};
    if (!l.path || !VEC_PUSH(&c->locations, IIS_MAX_LOCATIONS, l))
        return ERR_LIMIT;
    if (index)
        *index = c->locations.n - 1;
    return ERR_OK;
}

const struct iis_site *iis_site_by_id(const struct iis_config *c, int64_t id)
{
    for (size_t i = 0; id && i < c->sites.n; i++)
        if (c->sites.v[i].id == id)
            return &c->sites.v[i];
    return NULL;
}

static bool is_application(const struct iis_config *c, const char *path, size_t len)
{
    for (size_t i = 0; i < c->sites.n; i++) {
        const struct iis_site *s = &c->sites.v[i];
        size_t name = strlen(s->name);
        if (len <= name || path[name] != '/' || str_incmp(s->name, path, name) != 0)
            continue;
        for (size_t k = 0; k < s->paths.n; k++)
            if (strlen(s->paths.v[k]) == len - name && str_incmp(s->paths.v[k], path + name, len - name) == 0)
                return true;
    }
    return false;
}

static void take(bool *slot, enum tri value)
{
    if (value != TRI_UNKNOWN)
        *slot = value == TRI_YES;
}

/* One level of the inheritance, from the top down: what is written replaces what came from above. */
static void apply(struct iis_settings *s, const struct iis_location *l)
{
    take(&s->anonymous, l->anonymous);
    take(&s->basic, l->basic);
    take(&s->windows, l->windows);
    take(&s->digest, l->digest);
    take(&s->kernel_mode, l->kernel_mode);
    s->providers = ((l->providers_cleared ? 0 : s->providers) & ~l->removed) | l->providers;
    if (l->has_ssl_flags)
        s->ssl_flags = l->ssl_flags;
    if (l->ip_allow_unlisted != TRI_UNKNOWN)
        s->ip_filtered = l->ip_allow_unlisted == TRI_NO;
}

static bool protects(struct iis_settings *s, const struct iis_location *l)
{
    if (!l || !l->has_token)
        return false;
    s->token = l->token;
    s->protection_flags = l->protection_flags;
    s->protection_from = l->path;
    s->spns = l->spns.n ? l : NULL;
    return true;
}

void iis_settings(const struct iis_config *c, const char *path, struct iis_settings *out)
{
    size_t len;
    *out = (struct iis_settings){.path = path,
                                 .anonymous = true, /* the schema's defaults */
                                 .kernel_mode = true,
                                 .token = IIS_TOKEN_NONE};
    const char *p = trimmed(path, &len);
    apply(out, &c->locations.v[0]);
    for (size_t end = 0; end < len;) {
        const char *slash = memchr(p + end + 1, '/', len - end - 1);
        end = slash ? (size_t)(slash - p) : len;
        const struct iis_location *l = find(c, p, end);
        if (l)
            apply(out, l);
    }
    const struct iis_location *own = find(c, p, len);
    size_t parent = len;
    while (parent && p[parent] != '/')
        parent--;
    if (!protects(out, own) && parent)
        (void)protects(out, find(c, p, parent));
    out->present = own || is_application(c, p, len);
}
