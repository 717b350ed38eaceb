#include "core/directory/forest.h"

#include "core/base/log.h"
#include "core/base/stop.h"
#include "core/base/str.h"

#include <string.h>

static enum err count(void *arg, const struct entry *e, struct errinfo *ei)
{
    (void)e, (void)ei;
    ++*(size_t *)arg;
    return ERR_OK;
}

static void forget_count(void *arg)
{
    *(size_t *)arg = 0;
}

static bool partitions(const struct directory *d, char out[static ENTRY_DN_MAX])
{
    return str_fmt(out, ENTRY_DN_MAX, "CN=Partitions,%s", d->session.config_nc ? d->session.config_nc : "");
}

size_t forest_domains(struct directory *d, const struct stop *stop)
{
    char base[ENTRY_DN_MAX];
    size_t n = 0;
    struct errinfo why = {0};
    const struct ldap_query q = {.base = base,
                                 .scope = LDAP_SCOPE_ONELEVEL,
                                 .filter = "(&(objectClass=crossRef)(nETBIOSName=*))",
                                 .extra = "nCName",
                                 .what = "counting the domains of the forest"};
    if (partitions(d, base) && !directory_search(d, &q, count, &n, forget_count, stop, &why))
        return n;
    log_line(LOG_LEVEL_DEBUG, "%s", why.what);
    return 0;
}

struct context {
    char *out;
    size_t cap;
    bool found;
};

static enum err take_context(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct context *c = arg;
    (void)ei;
    c->found |= entry_text(e, ATTRIBUTE_EXTRA, c->out, c->cap);
    return ERR_OK;
}

static void forget_context(void *arg)
{
    ((struct context *)arg)->found = false;
}

enum err forest_naming_context(struct directory *d, const char *short_name, char *out, size_t cap,
                               const struct stop *stop, struct errinfo *ei)
{
    char base[ENTRY_DN_MAX];
    struct buf filter;
    struct context c = {.out = out, .cap = cap};
    struct ldap_query q = {
        .base = base, .scope = LDAP_SCOPE_ONELEVEL, .extra = "nCName", .what = "looking a domain up"};
    buf_init(&filter, 2048);
    buf_adds(&filter, "(&(objectClass=crossRef)(nETBIOSName=");
    ldap_filter_escape(&filter, short_name, strlen(short_name));
    enum err e = buf_adds(&filter, "))");
    q.filter = buf_str(&filter);
    if (!e && partitions(d, base))
        e = directory_search(d, &q, take_context, &c, forget_context, stop, ei);
    buf_fini(&filter);
    if (!e && !c.found)
        e = err_set(ei, ERR_NOTFOUND, "check the name before the backslash, or give user@domain",
                    "the forest of %s has no domain %.64s", d->controller, short_name);
    return e;
}

/* The controller has answered just now on its other port: what is silent here is dropped on the way. */
#define OPEN_MS 5000

static enum err open_catalogue(struct directory *d, const struct stop *stop, struct errinfo *ei)
{
    struct stop share;
    const struct ldap_session *s = &d->session;
    const char *host = s->controller[0] ? s->controller : s->host;
    char uri[300];
    str_fmt(uri, sizeof uri, "%s://%s:%d", s->tls ? "ldaps" : "ldap", host, s->tls ? GC_TLS_PORT : GC_PORT);
    stop_init(&share, OPEN_MS, (struct stop *)stop);
    enum err e = ldap_session_open(&d->catalogue, d->profile, uri, &share, ei);
    if (e == ERR_TIMEOUT && stop_left_ms(stop, 1) > 0)
        return err_set(ei, ERR_UNREACHABLE, "a firewall between?",
                       "%s: the global catalogue does not answer within %d s", uri, OPEN_MS / 1000);
    return e;
}

enum err forest_search(struct directory *d, const struct ldap_query *q, ldap_entry_sink *sink, void *arg,
                       void (*reset)(void *arg), const struct stop *stop, struct errinfo *ei)
{
    bool kept = d->catalogue.ld != NULL;
    enum err e = kept ? ERR_OK : open_catalogue(d, stop, ei);
    if (!e)
        e = ldap_session_search(&d->catalogue, q, sink, arg, stop, ei);
    if (!e || !kept || !d->catalogue.lost)
        return e;
    reset(arg); /* the kept connection had died meanwhile */
    ldap_session_close(&d->catalogue);
    e = open_catalogue(d, stop, ei);
    return e ? e : ldap_session_search(&d->catalogue, q, sink, arg, stop, ei);
}
