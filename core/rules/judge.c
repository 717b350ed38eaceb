#include "core/rules/judge.h"

#include "core/base/str.h"

#include <string.h>

enum tri judge_oa_is_enabled(const struct server *s)
{
    return server_vdir(s, PROTOCOL_OA) ? TRI_YES : TRI_NO;
}

bool judge_is_2007_rtm(const struct server *s)
{
    return s->has_version && s->version.major == 8 && s->version.minor == 0;
}

enum tri judge_oa_has_windows(const struct vdir *v)
{
    if (judge_is_2007_rtm(v->server) && !v->has_iis_auth)
        return TRI_YES;
    /* absent or 0: 2013 reads it as all three methods; what 2007 and 2010 make of it nobody has confirmed (directory.md 9) */
    if (!v->has_iis_auth || v->iis_auth == 0)
        return v->server->generation >= GENERATION_2013 ? TRI_YES : TRI_UNKNOWN;
    return v->iis_auth & JUDGE_WINDOWS ? TRI_YES : TRI_NO;
}

enum tri judge_has_windows(const struct vdir *v)
{
    if (!v->has_iis_auth || v->iis_auth == 0)
        return TRI_UNKNOWN;
    return v->iis_auth & JUDGE_WINDOWS ? TRI_YES : TRI_NO;
}

enum tri judge_oa_has_name(const struct vdir *v, const char *const *names, size_t n)
{
    if (n == 0)
        return TRI_UNKNOWN;
    for (size_t i = 0; i < n; i++)
        if (v->external_hostname && str_ieq(v->external_hostname, names[i]))
            return TRI_YES;
    return TRI_NO;
}

enum tri judge_has_fba(const struct vdir *v)
{
    auth_set set = (v->has_iis_auth ? v->iis_auth : 0) | (v->has_client_auth ? v->client_auth : 0);
    if (set & AUTH_FBA)
        return TRI_YES;
    return v->has_iis_auth ? TRI_NO : TRI_UNKNOWN;
}

enum tri judge_has_internal_url(const struct server *s, enum protocol p)
{
    const struct vdir *v = server_vdir(s, p);
    return v && v->internal_url && *v->internal_url ? TRI_YES : TRI_NO;
}

enum tri judge_is_2008r2(const struct server *s)
{
    if (!s->os_version)
        return TRI_UNKNOWN;
    return strncmp(s->os_version, "6.1", 3) == 0 && (s->os_version[3] == '\0' || s->os_version[3] == ' ')
               ? TRI_YES
               : TRI_NO;
}

bool judge_is_own_name(const struct server *s, const char *host)
{
    return str_ieq(host, s->name) || (s->fqdn && str_ieq(host, s->fqdn));
}
