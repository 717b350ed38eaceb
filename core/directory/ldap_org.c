#include "core/directory/ldap_org.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/directory/decode.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CONTROLLERS 16
/* Names in one filter, and filters sent ahead of their answers. A controller tries each candidate against the whole filter, so that
   many short ones cost it less than a few long ones. */
#define COMPUTERS_AT_ONCE 20
#define SEARCHES_AHEAD    4

/* directory.md section 3, F1 to F3 together: one walk of the organisation's subtree. Arrays come too, the decoder tells them apart. */
static const char org_filter[] = "(|(objectClass=msExchExchangeServer)"
                                 "(&(objectClass=msExchVirtualDirectory)(!(objectClass=container)))"
                                 "(objectClass=msExchProtocolCfgExchangeRpcService)"
                                 "(objectClass=msExchMDB)(objectClass=msExchMDBCopy)"
                                 "(objectClass=msExchAcceptedDomain)"
                                 "(&(objectClass=serviceConnectionPoint)"
                                 "(|(keywords=67661D7F-8FC4-4fa7-BFAC-E1D7794C1F68)"
                                 "(keywords=77378F46-2C66-4aa9-A6A6-3E7A48B19596))))";
static const char site_filter[] = "(|(objectClass=site)(objectClass=subnet)(objectClass=siteLink))";

struct reading {
    struct ldap_session *s;
    struct decode *d;
    const struct stop *stop;
};

static enum err take_entry(void *arg, const struct entry *e, struct errinfo *ei)
{
    return decode_entry(arg, e, ei);
}

static enum err begin(struct reading *r, struct ldap_search **x, const char *base, int scope,
                      const char *filter, unsigned who, const char *what, struct errinfo *ei)
{
    const struct ldap_query q = {.base = base, .scope = scope, .filter = filter, .who = who, .what = what};
    return ldap_search_begin(x, r->s, &q, ei);
}

static enum err finish_search(struct reading *r, struct ldap_search **x, struct errinfo *ei)
{
    return ldap_search_finish(x, take_entry, r->d, r->stop, ei);
}

/* What an organisation can be shown without: its absence is a note, unless the connection itself is the reason. */
static enum err finish_optional(struct reading *r, struct ldap_search **x, const char *base,
                                struct errinfo *ei)
{
    struct errinfo why = {0};
    enum err e = finish_search(r, x, &why);
    if (!e || r->s->lost || e == ERR_TIMEOUT || e == ERR_INTERRUPTED || e == ERR_NOMEM || e == ERR_LIMIT) {
        if (e && ei)
            *ei = why;
        return e;
    }
    decode_note(r->d, base, "%s", why.what);
    return ERR_OK;
}

static enum err find_organization(struct reading *r, struct errinfo *ei)
{
    char base[ENTRY_DN_MAX];
    str_fmt(base, sizeof base, "CN=Microsoft Exchange,CN=Services,%s", r->s->config_nc);
    struct ldap_search *x = NULL;
    enum err e = begin(r, &x, base, LDAP_SCOPE_ONELEVEL, "(objectClass=msExchOrganizationContainer)", FOR_ORG,
                       "looking for the Exchange organisation", ei);
    if (!e)
        e = finish_search(r, &x, ei);
    if (!e && !decode_has_organization(r->d))
        e = err_set(
            ei, ERR_DENIED,
            "either this forest has no Exchange, or this account may not read the configuration partition",
            "%s: no Exchange organisation is to be seen below %s", r->s->controller, base);
    return e;
}

static enum err begin_computers(struct reading *r, struct ldap_search **x, size_t from, struct errinfo *ei)
{
    struct buf filter;
    size_t n = decode_servers(r->d);
    buf_init(&filter, (size_t)256 * 1024);
    buf_adds(&filter, "(&(objectClass=computer)(|");
    for (size_t k = from; k < n && k < from + COMPUTERS_AT_ONCE; k++) {
        const char *name = decode_server_name(r->d, k);
        buf_adds(&filter, "(sAMAccountName=");
        ldap_filter_escape(&filter, name, strlen(name));
        buf_adds(&filter, "$)");
    }
    enum err e = buf_adds(&filter, "))")
                     ? err_set(ei, ERR_LIMIT, NULL, "the servers' names do not fit a filter")
                     : begin(r, x, r->s->default_nc, LDAP_SCOPE_SUBTREE, buf_str(&filter), FOR_COMPUTER,
                             "reading the servers' computer accounts", ei);
    buf_fini(&filter);
    return e;
}

static enum err read_computers(struct reading *r, struct errinfo *ei)
{
    struct ldap_search *under_way[SEARCHES_AHEAD] = {NULL};
    size_t n = (decode_servers(r->d) + COMPUTERS_AT_ONCE - 1) / COMPUTERS_AT_ONCE, sent = 0;
    enum err e = ERR_OK;
    for (size_t i = 0; !e && i < n; i++) {
        for (; !e && sent < n && sent < i + SEARCHES_AHEAD; sent++)
            e = begin_computers(r, &under_way[sent % SEARCHES_AHEAD], sent * COMPUTERS_AT_ONCE, ei);
        if (!e)
            e = finish_optional(r, &under_way[i % SEARCHES_AHEAD], r->s->default_nc, ei);
    }
    for (size_t i = 0; i < SEARCHES_AHEAD; i++)
        ldap_search_drop(&under_way[i]);
    return e;
}

static enum err read_sites(struct reading *r, struct errinfo *ei)
{
    struct ldap_search *x = NULL;
    char base[ENTRY_DN_MAX];
    str_fmt(base, sizeof base, "CN=Sites,%s", r->s->config_nc);
    enum err e = begin(r, &x, base, LDAP_SCOPE_SUBTREE, site_filter, FOR_ORG, "reading the sites", ei);
    return e ? e : finish_optional(r, &x, base, ei);
}

/* Single objects. */
static enum err read_versions(struct reading *r, struct errinfo *ei)
{
    struct ldap_search *schema = NULL, *policy = NULL;
    char base[ENTRY_DN_MAX];
    enum err e = begin(r, &policy, r->s->default_nc, LDAP_SCOPE_BASE, "(objectClass=*)", FOR_ORG,
                       "reading the domain's policy", ei);
    if (!e && r->s->schema_nc) {
        str_fmt(base, sizeof base, "CN=ms-Exch-Schema-Version-Pt,%s", r->s->schema_nc);
        e = begin(r, &schema, base, LDAP_SCOPE_BASE, "(objectClass=*)", FOR_ORG, "reading the schema version",
                  ei);
        if (!e)
            e = finish_optional(r, &schema, base, ei);
    }
    if (!e)
        e = finish_optional(r, &policy, r->s->default_nc, ei);
    ldap_search_drop(&policy);
    return e;
}

static enum err read_servers(struct reading *r, struct errinfo *ei)
{
    struct ldap_search *x = NULL;
    enum err e = begin(r, &x, decode_organization_dn(r->d), LDAP_SCOPE_SUBTREE, org_filter, FOR_ORG,
                       "reading the Exchange organisation", ei);
    if (!e)
        e = finish_search(r, &x, ei);
    if (!e && !decode_servers(r->d))
        e = err_set(
            ei, ERR_DENIED,
            "log in as somebody who may read the Exchange configuration (View-Only Organization Management)",
            "%s: the organisation is there, but not one server in it is to be seen", r->s->controller);
    return e;
}

static enum err read_all(struct reading *r, struct errinfo *ei)
{
    enum err e = find_organization(r, ei);
    if (!e)
        e = read_servers(r, ei);
    if (!e)
        e = read_sites(r, ei);
    if (!e)
        e = read_versions(r, ei);
    return e ? e : read_computers(r, ei);
}

/* ---- controllers */

struct controllers {
    char uris[MAX_CONTROLLERS + 2][300];
    size_t n;
};

static void add_uri(struct controllers *c, const char *uri)
{
    if (c->n < MAX_CONTROLLERS + 2 && str_copy(c->uris[c->n], sizeof c->uris[0], uri))
        c->n++;
}

static enum err add_located(struct controllers *c, const char *domain, const char *but, struct errinfo *ei)
{
    struct ldap_target found[MAX_CONTROLLERS];
    size_t n;
    char uri[300];
    enum err e = ldap_locate(domain, found, MAX_CONTROLLERS, &n, ei);
    for (size_t i = 0; !e && i < n; i++) {
        if (but && str_ieq(found[i].host, but))
            continue;
        str_fmt(uri, sizeof uri, "ldap://%s:%u", found[i].host, found[i].port);
        add_uri(c, uri);
    }
    return e;
}

static enum err list_controllers(struct controllers *c, const char *source, struct errinfo *ei)
{
    *c = (struct controllers){0};
    if (!source)
        return add_located(c, NULL, NULL, ei);
    if (strlen(source) >= sizeof c->uris[0])
        return err_set(ei, ERR_USAGE, NULL, "the source is longer than any LDAP URI");
    add_uri(c, source);
    return ERR_OK;
}

/* Another controller may do what this one could not; a refused login or a wrong option is the same everywhere. */
static bool worth_another(enum err e)
{
    return e == ERR_UNREACHABLE || e == ERR_TLS || e == ERR_PROTOCOL || e == ERR_TIMEOUT;
}

enum err ldap_open_any(struct ldap_session *s, const struct profile *p, const char *source,
                       const struct stop *stop, struct errinfo *ei)
{
    struct controllers c;
    struct errinfo first = {0}, why = {0};
    enum err e = list_controllers(&c, source, ei);
    if (e)
        return e;
    for (size_t i = 0; i < c.n; i++) {
        e = ldap_session_open(s, p, c.uris[i], stop, &why);
        if (!e)
            return ERR_OK;
        if (i == 0)
            first = why;
        if (!worth_another(e) || stop_check(stop, NULL, ""))
            break;
    }
    if (ei)
        *ei = worth_another(e) ? first : why;
    return worth_another(e) ? first.code : e;
}

/* "DC=contoso,DC=lab" -> "contoso.lab" */
static bool domain_of(const char *dn, char *out, size_t cap)
{
    char label[256];
    size_t len = 0;
    out[0] = '\0';
    for (; dn; dn = dn_parent(dn)) {
        if (!dn_rdn(dn, label, sizeof label) || !str_fmt(out + len, cap - len, "%s%s", len ? "." : "", label))
            return false;
        len = strlen(out);
    }
    return len > 0;
}

static enum err finish(struct decode **d, const struct ldap_session *s, const char *source, struct buf *kept,
                       struct org **out, struct errinfo *ei)
{
    char shown[300];
    str_fmt(shown, sizeof shown, "%s", source);
    const struct decode_context context = {.source = shown,
                                           .controller = s->controller,
                                           .default_naming_context = s->default_nc,
                                           .config_naming_context = s->config_nc,
                                           .root_naming_context = s->root_nc,
                                           .taken_at = clock_unix()};
    if (kept)
        decode_take_entries(*d, kept);
    return decode_finish(d, &context, out, ei);
}

struct partial { /* the fullest of the readings that were broken off, and where it came from */
    struct decode *d;
    struct ldap_session from; /* names only, no connection */
    char uri[300];
};

static void keep_partial(struct partial *best, struct reading *r, const char *uri)
{
    if (!decode_servers(r->d) || (best->d && decode_servers(best->d) >= decode_servers(r->d)))
        return;
    decode_free(&best->d);
    ldap_session_close(&best->from);
    best->d = r->d;
    r->d = NULL;
    best->from = *r->s;
    best->from.ld = NULL;
    best->from.values.v = NULL;
    r->s->default_nc = r->s->config_nc = r->s->root_nc = r->s->schema_nc = NULL;
    str_copy(best->uri, sizeof best->uri, uri);
}

/* One controller, whole. before: how the last one was lost, or empty. lost: this one went away in the middle. domain: where its
   neighbours are found, who may be asked instead; not set for one on loopback, which is a tunnel or a laboratory and has none. */
static enum err read_from(const struct profile *p, const char *uri, const char *before,
                          const struct stop *stop, struct partial *best, char *domain, size_t cap, bool *lost,
                          struct buf *kept, struct org **out, struct errinfo *ei)
{
    struct ldap_session s;
    struct reading r = {.s = &s, .stop = stop};
    *lost = false;
    enum err e = ldap_session_open(&s, p, uri, stop, ei);
    if (e)
        return e;
    if (!s.is_local)
        domain_of(s.default_nc, domain, cap);
    e = decode_new(&r.d, ei);
    if (!e && kept)
        decode_keep_entries(r.d, DECODE_KEPT_MAX);
    if (!e)
        e = read_all(&r, ei);
    if (!e) {
        if (*before)
            decode_note(r.d, s.controller, "read from the beginning here, after this: %s", before);
        e = finish(&r.d, &s, uri, kept, out, ei);
    } else if (s.lost) {
        *lost = true;
        keep_partial(best, &r, uri);
    }
    decode_free(&r.d);
    ldap_session_close(&s);
    return e;
}

enum err ldap_read_org(struct org **out, struct buf *kept, const struct profile *p, const char *source,
                       const struct stop *stop, struct errinfo *ei)
{
    struct controllers c;
    struct partial best = {0};
    struct errinfo first = {0}, why = {0};
    char domain[256] = "", before[sizeof why.what] = "";
    bool widened = source == NULL, lost = false;
    enum err e = list_controllers(&c, source, &first);
    for (size_t i = 0; !e && i < c.n; i++) {
        e = read_from(p, c.uris[i], before, stop, &best, domain, sizeof domain, &lost, kept, out, &why);
        if (!e)
            goto out;
        if (i == 0 || !first.what[0])
            first = why;
        log_line(LOG_LEVEL_DEBUG, "%s", why.what);
        if (lost)
            str_copy(before, sizeof before, why.what);
        if (lost && !widened) { /* it may be restarting; after that, its neighbours */
            widened = true;
            add_uri(&c, source);
            if (domain[0] && add_located(&c, domain, NULL, NULL))
                log_line(LOG_LEVEL_DEBUG, "no other controller of %s is known", domain);
        }
        if ((!lost && !worth_another(e)) || stop_check(stop, NULL, ""))
            break;
        e = i + 1 < c.n ? ERR_OK : e;
    }
    if (best.d && e != ERR_INTERRUPTED) {
        decode_note(
            best.d, best.uri,
            "the controller was lost while reading and nobody else could finish: only a part is here (%s)",
            first.what);
        log_line(LOG_LEVEL_WARNING, "%s: the organisation was read in part only", first.what);
        e = finish(&best.d, &best.from, best.uri, kept, out, ei);
    } else {
        e = first.code ? first.code : e;
        if (ei)
            *ei = first;
    }
out:
    decode_free(&best.d);
    ldap_session_close(&best.from);
    return e;
}
