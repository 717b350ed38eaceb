/* From settings to evidence. */
#include "core/iis/iis_int.h"

#include "core/base/str.h"

#include <string.h>

/* "IIS://host/W3SVC/1/ROOT/Rpc": the web site's number, 0 when there is none, and what follows ROOT. */
static int64_t metabase(const char *path, const char **rest)
{
    const char *at = path ? str_icontains(path, "/W3SVC/") : NULL;
    int64_t id;
    *rest = NULL;
    if (!at)
        return 0;
    at += strlen("/W3SVC/");
    size_t digits = strspn(at, "0123456789");
    if (!str_to_i64(at, digits, &id) || !str_istarts(at + digits, "/ROOT/"))
        return 0;
    *rest = at + digits + strlen("/ROOT/");
    return id;
}

/* Where IIS has a virtual directory: the metabase path names the web site by number and survives that site's renaming; else
   "Rpc (Default Web Site)". */
static bool path_of(const struct iis_config *c, const struct vdir *v, char *out, size_t cap)
{
    const char *rest;
    const struct iis_site *site = iis_site_by_id(c, metabase(v->metabase_path, &rest));
    if (site && rest && *rest)
        return str_fmt(out, cap, "%s/%s", site->name, rest);
    if (!v->website || !v->name)
        return false;
    const char *bracket = strrchr(v->name, '(');
    size_t len = bracket ? (size_t)(bracket - v->name) : strlen(v->name);
    while (len && v->name[len - 1] == ' ')
        len--;
    return len && str_fmt(out, cap, "%s/%.*s", v->website, (int)len, v->name);
}

static enum err add(const struct iis_config *c, const struct server *server, const char *path,
                    enum protocol protocol, int64_t at, struct evidence *e)
{
    struct iis_settings s;
    struct buf words;
    iis_settings(c, path, &s);
    if (!s.present)
        return ERR_OK;
    struct observation *o = evidence_add(e, OBSERVATION_IIS, EVIDENCE_IIS);
    if (!o)
        return ERR_LIMIT;
    buf_init(&words, 1024);
    buf_addf(&words, "%s%s%s%s", s.anonymous ? "anonymous, " : "", s.basic ? "basic, " : "",
             s.digest ? "digest, " : "", s.windows ? "windows (" : "");
    if (s.windows) {
        iis_providers_text(&words, s.providers);
        buf_adds(&words, "), ");
    }
    buf_adds(&words, "ssl ");
    iis_flags_text(&words, s.ssl_flags);
    buf_addf(&words, ", Extended Protection %s%s%s", iis_token_name(s.token),
             s.spns ? " with SPNs of its own" : "", s.ip_filtered ? ", listed addresses only" : "");
    o->server = arena_str(&e->arena, server->name);
    o->step = "iis";
    o->protocol = protocol;
    o->subject = arena_str(&e->arena, path);
    o->detail = arena_str(&e->arena, buf_str(&words));
    o->outcome = OUTCOME_OK;
    o->at = at;
    o->u.iis.path = o->subject;
    o->u.iis.anonymous = s.anonymous;
    o->u.iis.basic = s.basic;
    o->u.iis.windows = s.windows;
    o->u.iis.digest = s.digest;
    o->u.iis.has_providers = true;
    o->u.iis.providers = s.providers;
    o->u.iis.ssl_flags = s.ssl_flags;
    o->u.iis.token = s.token;
    o->u.iis.protection_flags = s.protection_flags;
    o->u.iis.ip_filtered = s.ip_filtered;
    buf_fini(&words);
    return e->arena.failed ? ERR_LIMIT : ERR_OK;
}

enum err iis_observe(const struct iis_config *c, const struct server *server, int64_t at, struct evidence *e,
                     struct errinfo *ei)
{
    char path[2 * IIS_TEXT_MAX];
    enum err err = ERR_OK;
    bool done[IIS_ROWS] = {false};
    for (size_t i = 0; !err && i < server->n_vdirs; i++) {
        const struct vdir *v = server->vdirs[i];
        if (!path_of(c, v, path, sizeof path))
            continue;
        /* a protocol means the front end: that is what the wire and the directory are compared with */
        err = add(c, server, path, v->back_end ? PROTOCOL_UNKNOWN : v->protocol, at, e);
        for (size_t k = 0; k < IIS_ROWS; k++)
            done[k] |= str_ieq(iis_rows[k].path, path);
    }
    for (size_t k = 0; !err && k < IIS_ROWS; k++)
        if (!done[k])
            err = add(c, server, iis_rows[k].path, PROTOCOL_UNKNOWN, at, e);
    return err ? err_set(ei, err, NULL, "no room for the evidence about IIS of %s", server->name) : ERR_OK;
}
