/* The other domain controllers of the forest ([MS-ADTS] 6.1.1.2.2.1.2: nTDSDSA below the server object, whose dNSHostName it is). */
#include "core/directory/directory_int.h"

#include "core/base/str.h"
#include "core/model/org.h"

#include <stdlib.h>
#include <string.h>

#define MAX_REPLICAS ((size_t)64)

struct texts {
    VEC(char *) v;
};

static void forget(void *arg)
{
    struct texts *t = arg;
    for (size_t i = 0; i < t->v.n; i++)
        free(t->v.v[i]);
    VEC_FREE(&t->v);
}

static enum err keep(struct texts *t, const char *text, size_t len, struct errinfo *ei)
{
    if (t->v.n == MAX_REPLICAS)
        return ERR_OK; /* a forest of more is asked in part */
    char *copy = strndup(text, len);
    if (copy && VEC_PUSH(&t->v, MAX_REPLICAS, copy))
        return ERR_OK;
    free(copy);
    return err_set(ei, ERR_NOMEM, NULL, "no memory for the names of controllers");
}

/* "CN=NTDS Settings,CN=DC2,CN=Servers,...": the server object is the parent. */
static enum err take_settings(void *arg, const struct entry *e, struct errinfo *ei)
{
    const char *parent = dn_parent(e->dn);
    return parent ? keep(arg, parent, strlen(parent), ei) : ERR_OK;
}

static enum err take_host(void *arg, const struct entry *e, struct errinfo *ei)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->values[i].attribute == ATTRIBUTE_EXTRA)
            return keep(arg, e->values[i].data, e->values[i].len, ei);
    return ERR_OK;
}

static enum err ask_forest(struct directory *d, struct texts *hosts, const struct stop *stop,
                           struct errinfo *ei)
{
    struct texts servers = {0};
    char base[512];
    if (!d->session.config_nc || !str_fmt(base, sizeof base, "CN=Sites,%s", d->session.config_nc))
        return err_set(ei, ERR_PROTOCOL, NULL, "%s names no configuration partition", d->controller);
    const struct ldap_query settings = {.base = base,
                                        .scope = LDAP_SCOPE_SUBTREE,
                                        .filter = "(objectClass=nTDSDSA)",
                                        .extra = "objectClass",
                                        .what = "looking for the controllers"};
    enum err e = directory_search(d, &settings, take_settings, &servers, forget, stop, ei);
    for (size_t i = 0; !e && i < servers.v.n; i++) {
        const struct ldap_query host = {.base = servers.v.v[i],
                                        .scope = LDAP_SCOPE_BASE,
                                        .filter = "(objectClass=*)",
                                        .extra = "dNSHostName",
                                        .what = "looking for the controllers"};
        size_t before = hosts->v.n;
        e = ldap_session_search(&d->session, &host, take_host, hosts, stop, ei);
        if (!e && hosts->v.n > before && str_ieq(hosts->v.v[before], d->controller))
            free(hosts->v.v[--hosts->v.n]);
        e = e == ERR_NOTFOUND ? ERR_OK : e; /* removed meanwhile */
    }
    forget(&servers);
    return e;
}

static enum err split(struct texts *hosts, const char *list, struct errinfo *ei)
{
    enum err e = ERR_OK;
    for (const char *s = list; !e && *s;) {
        s += strspn(s, " ,");
        size_t n = strcspn(s, " ,");
        e = n ? keep(hosts, s, n, ei) : ERR_OK;
        s += n;
    }
    return e;
}

/* A bare name is reached the way the source is. */
static enum err as_source(struct directory *d, char **host, struct errinfo *ei)
{
    char uri[600];
    if (strstr(*host, "://"))
        return ERR_OK;
    if (!url_host(*host, uri, sizeof uri, NULL, NULL))
        return err_set(ei, ERR_INPUT, NULL, "\"%.100s\" is no name of a controller", *host);
    str_fmt(uri, sizeof uri, "%s://%s", str_istarts(d->session.uri, "ldaps") ? "ldaps" : "ldap", *host);
    char *copy = strdup(uri);
    if (!copy)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the names of controllers");
    free(*host);
    *host = copy;
    return ERR_OK;
}

enum err directory_replicas(struct directory *d, struct directory_values *out, const struct stop *stop,
                            struct errinfo *ei)
{
    const char *list = d->profile ? profile_get(d->profile, PROFILE_controllers, NULL) : NULL;
    struct texts hosts = {0};
    enum err e = ERR_OK;
    *out = (struct directory_values){0};
    if (d->offline || str_ieq(list, "none"))
        return ERR_OK;
    if (list) {
        e = split(&hosts, list, ei);
    } else {
        pthread_mutex_lock(&d->lock);
        e = ask_forest(d, &hosts, stop, ei);
        pthread_mutex_unlock(&d->lock);
    }
    for (size_t i = 0; !e && i < hosts.v.n; i++)
        e = as_source(d, &hosts.v.v[i], ei);
    if (e) {
        forget(&hosts);
        return e;
    }
    *out = (struct directory_values){hosts.v.v, hosts.v.n};
    return ERR_OK;
}
