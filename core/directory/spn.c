#include "core/directory/spn.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/name_map.h"
#include "core/base/str.h"
#include "core/directory/forest.h"

#include <stdlib.h>
#include <string.h>

/* Hosts in one filter, two names each: far from AD's limit of a query. */
#define HOSTS_AT_ONCE   25
#define FILTER_LIMIT    ((size_t)64 * 1024)
#define MAX_OWNERS      100000
#define MAX_OTHERS      16
#define MAX_SPN         512
#define OWNERS_LIMIT    ((size_t)64 << 20)
#define ACCOUNT_DISABLE 0x2 /* userAccountControl, [MS-ADTS] 2.2.16 */
#define DES_KEY_ONLY    0x200000
#define ENCTYPES_DES    3u /* msDS-SupportedEncryptionTypes, [MS-KILE] 2.2.7 */

/* An account that owns at least one of the names. */
struct owner {
    const char *dn, *account;
    bool is_computer, is_disabled, is_partial, has_enctypes;
    uint32_t enctypes;
    int64_t pwd_last_set;
    const char **spns;
    size_t n_spns;
};

struct looking {
    struct directory *d;
    const struct spn_host *hosts;
    size_t n_hosts;
    struct name_map by_name; /* places in hosts; of equal names the first */
    struct arena arena;
    VEC(struct owner) owners;
    size_t kept; /* owners of the searches before the one under way */
    const char
        *known;   /* naming context whose accounts were read in full: those of the catalogue add nothing */
    bool partial; /* the catalogue has some attributes only */
};

/* The host whose web service the name is of. */
static bool host_of(const struct looking *l, const char *spn, size_t *host)
{
    return (str_istarts(spn, "http/") || str_istarts(spn, "host/")) &&
           name_map_find(&l->by_name, spn + 5, host);
}

static enum err no_room(struct errinfo *ei)
{
    return err_set(ei, ERR_LIMIT, NULL, "more owners of service names than can be kept");
}

static enum err take_owner(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct looking *l = arg;
    struct owner o = {.is_computer = e->classes & CLASS_COMPUTER, .is_partial = l->partial};
    char text[MAX_SPN];
    int64_t number;
    size_t n = 0, host;
    bool bad, wanted = false;
    if (l->known && dn_equal(dn_domain(e->dn), l->known))
        return ERR_OK;
    for (size_t i = 0; i < e->n; i++)
        n += e->values[i].attribute == ATTRIBUTE_SPN;
    if (!n)
        return ERR_OK;
    o.spns = arena_array(&l->arena, n, sizeof *o.spns);
    if (!o.spns)
        return no_room(ei);
    for (size_t i = 0; i < e->n; i++) {
        const struct entry_value *v = &e->values[i];
        if (v->attribute != ATTRIBUTE_SPN || !v->len || v->len >= sizeof text ||
            !utf8_valid(v->data, v->len) || memchr(v->data, '\0', v->len))
            continue;
        const char *spn = arena_strn(&l->arena, v->data, v->len);
        if (!spn)
            return no_room(ei);
        wanted |= host_of(l, spn, &host);
        o.spns[o.n_spns++] = spn;
    }
    if (!wanted)
        return ERR_OK;
    o.dn = arena_str(&l->arena, e->dn);
    o.account = arena_str(&l->arena, entry_text(e, ATTRIBUTE_SAM, text, sizeof text) ? text : NULL);
    if (entry_int(e, ATTRIBUTE_ENCTYPES, &number, &bad)) {
        o.has_enctypes = true;
        o.enctypes = (uint32_t)number;
    }
    if (entry_int(e, ATTRIBUTE_ACCOUNT_CONTROL, &number, &bad)) {
        o.is_disabled = number & ACCOUNT_DISABLE;
        if (number & DES_KEY_ONLY) {
            o.has_enctypes = true;
            o.enctypes = ENCTYPES_DES;
        }
    }
    /* FILETIME: 100 ns since 1601 */
    if (entry_int(e, ATTRIBUTE_PWD_LAST_SET, &number, &bad) && number > INT64_C(116444736000000000))
        o.pwd_last_set = number / 10000000 - INT64_C(11644473600);
    if (!o.dn || l->arena.failed || !VEC_PUSH(&l->owners, MAX_OWNERS, o))
        return no_room(ei);
    return ERR_OK;
}

static void forget_owners(void *arg)
{
    struct looking *l = arg;
    l->owners.n = l->kept;
}

static enum err build_filter(const struct looking *l, size_t from, struct buf *out, struct errinfo *ei)
{
    buf_reset(out);
    buf_adds(out, "(|");
    for (size_t i = from; i < l->n_hosts && i < from + HOSTS_AT_ONCE; i++) {
        for (int k = 0; k < 2; k++) {
            buf_addf(out, "(servicePrincipalName=%s/", k ? "host" : "http");
            ldap_filter_escape(out, l->hosts[i].host, strlen(l->hosts[i].host));
            buf_addc(out, ')');
        }
    }
    return buf_addc(out, ')') ? err_set(ei, ERR_LIMIT, NULL, "the names do not fit a filter") : ERR_OK;
}

/* All hosts, over the directory's own connection or that of the global catalogue. */
static enum err search_all(struct looking *l, bool forest, const char *base, const struct stop *stop,
                           struct errinfo *ei)
{
    struct buf filter;
    enum err e = ERR_OK;
    buf_init(&filter, FILTER_LIMIT);
    for (size_t i = 0; !e && i < l->n_hosts; i += HOSTS_AT_ONCE) {
        l->kept = l->owners.n;
        e = build_filter(l, i, &filter, ei);
        const struct ldap_query q = {.base = base,
                                     .scope = LDAP_SCOPE_SUBTREE,
                                     .filter = buf_str(&filter),
                                     .who = FOR_OWNER,
                                     .what = "looking for the owners of service names"};
        if (!e)
            e = (forest ? forest_search : directory_search)(l->d, &q, take_owner, l, forget_owners, stop, ei);
    }
    buf_fini(&filter);
    return e;
}

/* ---- the forest */

static enum err look_live(struct looking *l, bool *whole, const struct stop *stop, struct errinfo *ei)
{
    struct errinfo why = {0};
    /* the first search also brings a lost connection back, which tells the naming contexts anew */
    size_t domains = forest_domains(l->d, stop);
    char base[ENTRY_DN_MAX]; /* a copy: a new connection forgets what the old one said */
    bool there = l->d->session.default_nc && str_copy(base, sizeof base, l->d->session.default_nc);
    *whole = domains == 1;
    enum err e = there ? search_all(l, false, base, stop, ei)
                       : err_set(ei, ERR_UNREACHABLE, NULL, "%s: the connection is gone", l->d->controller);
    if (e || domains == 1)
        return e;
    l->known = base; /* read in full: the catalogue's copies say less */
    l->partial = true;
    e = search_all(l, true, "", stop, &why);
    if (!e)
        *whole = true;
    else if (e == ERR_INTERRUPTED || e == ERR_NOMEM || e == ERR_LIMIT) {
        if (ei)
            *ei = why;
        return e;
    } else
        log_line(LOG_LEVEL_WARNING, "service names of other domains are not known: %s", why.what);
    return ERR_OK;
}

static enum err look_offline(struct looking *l, const struct stop *stop, struct errinfo *ei)
{
    struct ldif_scan scan;
    const struct ldif_wants wants = {.who = FOR_OWNER,
                                     .wanted = CLASS_USER | CLASS_COMPUTER,
                                     .entry = take_owner,
                                     .note = directory_ignore_note,
                                     .arg = l};
    return ldif_file_scan(&l->d->file, &wants, stop, &scan, ei);
}

/* ---- evidence */

static struct observation *note(struct evidence *e, const struct spn_host *host, int64_t at, bool whole)
{
    struct observation *o = evidence_add(e, OBSERVATION_SPN, EVIDENCE_DIRECTORY);
    if (!o)
        return NULL;
    o->server = arena_str(&e->arena, host->server);
    o->by_name = arena_str(&e->arena, host->host);
    o->step = "spn-owner";
    o->at = at;
    o->u.spn.whole_forest = whole;
    return o;
}

/* What else the account is for: names of Exchange's and of the web on it. */
static void add_others(struct evidence *e, struct observation *o, const struct owner *owner, const char *spn)
{
    static const char *const telling[] = {"http/", "exchangeMDB/", "exchangeRFR/", "exchangeAB/"};
    const char **list = arena_array(&e->arena, MAX_OTHERS, sizeof *list);
    for (size_t i = 0; list && i < owner->n_spns && o->u.spn.n_others < MAX_OTHERS; i++)
        for (size_t k = 0; k < ARRAY_LEN(telling); k++)
            if (!str_ieq(owner->spns[i], spn) && str_istarts(owner->spns[i], telling[k]))
                list[o->u.spn.n_others++] = arena_str(&e->arena, owner->spns[i]);
    o->u.spn.others = list;
}

static bool say_owner(struct evidence *e, const struct spn_host *host, const struct owner *owner,
                      const char *spn, int64_t at, bool whole)
{
    struct observation *o = note(e, host, at, whole);
    if (!o)
        return false;
    o->outcome = OUTCOME_OK;
    o->subject = arena_fmt(&e->arena, "%s on %s", spn, owner->dn);
    o->detail = arena_fmt(&e->arena, "%s owns %s", owner->account ? owner->account : owner->dn, spn);
    o->u.spn.spn = arena_str(&e->arena, spn);
    o->u.spn.dn = arena_str(&e->arena, owner->dn);
    o->u.spn.account = arena_str(&e->arena, owner->account);
    o->u.spn.is_computer = owner->is_computer;
    o->u.spn.is_alias = str_istarts(spn, "host/");
    o->u.spn.is_disabled = owner->is_disabled;
    o->u.spn.is_partial = owner->is_partial;
    o->u.spn.has_enctypes = owner->has_enctypes;
    o->u.spn.enctypes = owner->enctypes;
    o->u.spn.pwd_last_set = owner->pwd_last_set;
    add_others(e, o, owner, spn);
    return !e->arena.failed;
}

/* A name of an account that is one of a host's. */
struct claim {
    size_t host;
    const struct owner *owner;
    size_t name; /* place in owner->spns */
};

static int compare_claims(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    if (x->owner != y->owner) /* in the order they were read */
        return x->owner < y->owner ? -1 : 1;
    return (x->name > y->name) - (x->name < y->name);
}

static struct claim *sort_claims(struct looking *l, size_t *n)
{
    size_t max = 0;
    for (size_t i = 0; i < l->owners.n; i++)
        max += l->owners.v[i].n_spns;
    struct claim *claims = arena_array(&l->arena, max, sizeof *claims);
    *n = 0;
    for (size_t i = 0; claims && i < l->owners.n; i++) {
        const struct owner *o = &l->owners.v[i];
        for (size_t k = 0, host; k < o->n_spns; k++)
            if (host_of(l, o->spns[k], &host))
                claims[(*n)++] = (struct claim){host, o, k};
    }
    if (*n)
        qsort(claims, *n, sizeof *claims, compare_claims);
    return claims;
}

/* claims: sorted. */
static bool say_host(struct looking *l, const struct spn_host *host, const struct claim *claims, size_t n,
                     struct evidence *e, int64_t at, bool whole)
{
    size_t me = 0, low = 0, high = n;
    (void)name_map_find(&l->by_name, host->host, &me);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (claims[mid].host < me)
            low = mid + 1;
        else
            high = mid;
    }
    bool any = low < n && claims[low].host == me;
    for (; low < n && claims[low].host == me; low++)
        if (!say_owner(e, host, claims[low].owner, claims[low].owner->spns[claims[low].name], at, whole))
            return false;
    if (any)
        return true;
    struct observation *o = note(e, host, at, whole);
    if (!o)
        return false;
    o->outcome = OUTCOME_FAILED;
    o->subject = arena_fmt(&e->arena, "http/%s", host->host);
    o->detail = arena_fmt(&e->arena, "no account owns http/%s or HOST/%s", host->host, host->host);
    return !e->arena.failed;
}

enum err directory_spn_owners(struct directory *d, const struct spn_host *hosts, size_t n, struct evidence *e,
                              const struct stop *stop, struct errinfo *ei)
{
    struct looking l = {.d = d, .hosts = hosts, .n_hosts = n};
    bool whole = false;
    int64_t at = clock_unix();
    size_t n_claims;
    if (!n)
        return ERR_OK;
    if (name_map_init(&l.by_name, n))
        return err_set(ei, ERR_NOMEM, NULL, "no memory to look for the owners of service names");
    for (size_t i = 0; i < n; i++)
        name_map_add(&l.by_name, hosts[i].host, i);
    arena_init(&l.arena, OWNERS_LIMIT);
    pthread_mutex_lock(&d->lock);
    enum err err = d->offline ? look_offline(&l, stop, ei) : look_live(&l, &whole, stop, ei);
    pthread_mutex_unlock(&d->lock);
    const struct claim *claims = err ? NULL : sort_claims(&l, &n_claims);
    for (size_t i = 0; !err && i < n; i++)
        if (!claims || !say_host(&l, &hosts[i], claims, n_claims, e, at, whole))
            err = err_set(ei, ERR_LIMIT, NULL, "no room for the owners of service names");
    VEC_FREE(&l.owners);
    name_map_fini(&l.by_name);
    arena_fini(&l.arena);
    return err;
}
