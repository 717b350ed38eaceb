#include "core/report/redact.h"

#include "core/base/str.h"
#include "core/base/vec.h"

#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 200000
#define MAX_ARENA ((size_t)64 * 1024 * 1024)
#define BUCKETS   8192
#define PREFIX    4 /* letters that choose a bucket */
#define MIN_WORD  2
#define FREE_FROM 6 /* from this length on a name is found inside of other words too */
#define KINDS     16

struct word {
    const char *from, *to;
    size_t len;
    uint32_t next; /* of the bucket, longest first; 0 ends */
};

struct redactor {
    struct arena arena;
    VEC(struct word) words; /* [0] unused */
    uint32_t buckets[BUCKETS], short_words;
    struct {
        const char *kind;
        unsigned n;
    } counts[KINDS];
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_alnum(char c)
{
    c = lower(c);
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

static uint32_t *bucket_of(struct redactor *r, const char *s, size_t len)
{
    uint32_t h = 2166136261u;
    if (len < PREFIX)
        return &r->short_words;
    for (size_t i = 0; i < PREFIX; i++)
        h = (h ^ (unsigned char)lower(s[i])) * 16777619u;
    return &r->buckets[h % BUCKETS];
}

static unsigned next_number(struct redactor *r, const char *kind)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (!r->counts[i].kind)
            r->counts[i].kind = kind;
        if (str_eq(r->counts[i].kind, kind))
            return ++r->counts[i].n;
    }
    return 0;
}

static const struct word *find_whole(struct redactor *r, const char *s, size_t len)
{
    for (uint32_t i = *bucket_of(r, s, len); i; i = r->words.v[i].next)
        if (r->words.v[i].len == len && str_incmp(r->words.v[i].from, s, len) == 0)
            return &r->words.v[i];
    return NULL;
}

/* Nothing to hide: what every Exchange organisation has, and what would only make the text unreadable. */
static bool is_common(const char *s, size_t len)
{
    static const char *const common[] = {
        "localhost",
        "Default-First-Site-Name",
        "Exchange Administrative Group (FYDIBOHF23SPDLT)",
        "Default Offline Address Book",
        "Computers",
        "Domain Controllers",
        "com",
        "net",
        "org",
        "local",
    };
    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        if (strlen(common[i]) == len && str_incmp(common[i], s, len) == 0)
            return true;
    return false;
}

static const char *learn(struct redactor *r, const char *s, size_t len, const char *to)
{
    if (!s || len < MIN_WORD || !to || is_common(s, len))
        return NULL;
    const struct word *known = find_whole(r, s, len);
    if (known)
        return known->to;
    struct word w = {.from = arena_strn(&r->arena, s, len), .to = arena_str(&r->arena, to), .len = len};
    if (!w.from || !w.to)
        return NULL;
    uint32_t *head = bucket_of(r, s, len), before = 0;
    for (w.next = *head; w.next && r->words.v[w.next].len > len; w.next = r->words.v[w.next].next)
        before = w.next;
    if (!VEC_PUSH(&r->words, MAX_WORDS, w)) {
        r->arena.failed = true;
        return NULL;
    }
    *(before ? &r->words.v[before].next : head) = (uint32_t)(r->words.n - 1);
    return w.to;
}

/* A new name of a kind: "site-03", hosts and domains "host-03.example". */
static const char *learn_kind(struct redactor *r, const char *s, size_t len, const char *kind)
{
    char to[80];
    if (!s || len < MIN_WORD || is_common(s, len))
        return NULL;
    const struct word *known = find_whole(r, s, len);
    if (known)
        return known->to;
    bool host = str_eq(kind, "host") || str_eq(kind, "domain");
    str_fmt(to, sizeof to, "%s-%02u%s", kind, next_number(r, kind), host ? ".example" : "");
    return learn(r, s, len, to);
}

void redactor_add(struct redactor *r, const char *name, const char *kind)
{
    if (name)
        learn_kind(r, name, strlen(name), kind);
}

/* The first RDN's value as it is written in the DN, escapes and all. */
static size_t raw_rdn(const char *dn, const char **value)
{
    const char *eq = dn ? strchr(dn, '=') : NULL;
    if (!eq)
        return 0;
    size_t n = 0;
    *value = eq + 1;
    while ((*value)[n] && (*value)[n] != ',')
        n += (*value)[n] == '\\' && (*value)[n + 1] ? 2 : 1;
    return n;
}

/* An object by its name and by what its DN makes of it. */
static void add_object(struct redactor *r, const char *name, const char *dn, const char *kind)
{
    const char *raw, *to = name ? learn_kind(r, name, strlen(name), kind) : NULL;
    size_t n = raw_rdn(dn, &raw);
    if (n && to)
        learn(r, raw, n, to);
    else if (n && !name)
        learn_kind(r, raw, n, kind);
}

static void add_domain(struct redactor *r, const char *domain)
{
    const char *to = domain ? learn_kind(r, domain, strlen(domain), "domain") : NULL;
    if (!to)
        return;
    /* "contoso" of DC=contoso and CONTOSO\user; the last label is nobody's */
    for (const char *label = domain, *dot; (dot = strchr(label, '.')) != NULL; label = dot + 1)
        if (dot - label > 2)
            learn_kind(r, label, (size_t)(dot - label), "name");
}

static void add_host(struct redactor *r, const char *host)
{
    if (!host || !strchr(host, '.'))
        return;
    if (host[0] == '*' && host[1] == '.')
        host += 2;
    learn_kind(r, host, strlen(host), "host");
}

static void add_url(struct redactor *r, const char *url)
{
    char host[256];
    uint16_t port;
    if (url && url_host(url, host, sizeof host, NULL, &port))
        add_host(r, host);
}

/* "service/host:port/name" */
static void add_spn(struct redactor *r, const char *spn)
{
    char host[256];
    const char *at = spn ? strchr(spn, '/') : NULL;
    if (at && str_fmt(host, sizeof host, "%.*s", (int)strcspn(at + 1, ":/"), at + 1))
        add_host(r, host);
}

static void add_server(struct redactor *r, const struct server *s)
{
    char fqdn[80];
    const char *to = s->name ? learn_kind(r, s->name, strlen(s->name), "server") : NULL, *raw;
    size_t n = raw_rdn(s->dn, &raw);
    if (to && n)
        learn(r, raw, n, to);
    str_fmt(fqdn, sizeof fqdn, "%s.example", to ? to : "server");
    if (s->fqdn)
        learn(r, s->fqdn, strlen(s->fqdn), fqdn);
    add_object(r, NULL, s->dag_dn, "group");
    for (const char *dn = s->computer_dn ? dn_parent(s->computer_dn) : NULL; dn; dn = dn_parent(dn))
        if (!str_istarts(dn, "DC="))
            add_object(r, NULL, dn, "unit");
    /* .../CN=NAME,CN=Servers,CN=<administrative group>,... */
    const char *up = s->dn ? dn_parent(s->dn) : NULL;
    add_object(r, NULL, up ? dn_parent(up) : NULL, "group");
    for (size_t i = 0; i < s->n_vdirs; i++) {
        const struct vdir *v = s->vdirs[i];
        add_url(r, v->internal_url);
        add_url(r, v->external_url);
        add_host(r, v->internal_hostname);
        add_host(r, v->external_hostname);
        add_url(r, v->xrop_url);
        add_url(r, v->exchange2003_url);
        add_url(r, v->nlb_bypass_url);
    }
    for (size_t i = 0; i < s->n_spns; i++)
        add_spn(r, s->spns[i]);
}

static void add_org(struct redactor *r, const struct org *org)
{
    /* domains before hosts, servers before hosts: the more telling replacement wins */
    if (org->name)
        learn(r, org->name, strlen(org->name), "Organisation");
    if (org->source && !str_istarts(org->source, "ldap")) /* a path says who and where */
        learn(r, org->source, strlen(org->source), "a file");
    add_domain(r, org->domain);
    for (size_t i = 0; i < org->n_domains; i++)
        add_domain(r, org->domains[i].name);
    for (size_t i = 0; i < org->n_sites; i++) {
        add_object(r, org->sites[i].name, org->sites[i].dn, "site");
        for (size_t k = 0; k < org->sites[i].n_subnets; k++)
            redactor_add(r, org->sites[i].subnets[k], "subnet");
    }
    for (size_t i = 0; i < org->n_links; i++)
        redactor_add(r, org->links[i].name, "link");
    for (size_t i = 0; i < org->n_servers; i++)
        add_server(r, &org->servers[i]);
    for (size_t i = 0; i < org->n_databases; i++) {
        add_object(r, org->databases[i].name, org->databases[i].dn, "database");
        add_object(r, NULL, org->databases[i].oab_dn, "addressbook");
    }
    for (size_t i = 0; i < org->n_arrays; i++) {
        add_host(r, org->arrays[i].fqdn);
        add_object(r, org->arrays[i].name, org->arrays[i].dn, "array");
    }
    for (size_t i = 0; i < org->n_scps; i++) {
        redactor_add(r, org->scps[i].server_name, "server");
        add_url(r, org->scps[i].url);
    }
    add_host(r, org->controller);
    add_url(r, org->source && str_istarts(org->source, "ldap") ? org->source : NULL);
}

static void add_user(struct redactor *r, const char *user)
{
    const char *at = user ? strchr(user, '@') : NULL, *back = user ? strrchr(user, '\\') : NULL;
    if (!user)
        return;
    if (back)
        user = back + 1;
    learn_kind(r, user, at && at > user ? (size_t)(at - user) : strlen(user), "user");
}

/* The account that has a service name: a computer is called as its server is, anybody else is a user. */
static void add_owner(struct redactor *r, const struct observation *o)
{
    const char *account = o->u.spn.account;
    size_t len = account ? strlen(account) : 0;
    if (len > 1 && account[len - 1] == '$')
        len--;
    learn_kind(r, account, len, o->u.spn.is_computer ? "server" : "user");
    add_object(r, NULL, o->u.spn.dn, o->u.spn.is_computer ? "server" : "user");
    for (const char *dn = o->u.spn.dn ? dn_parent(o->u.spn.dn) : NULL; dn; dn = dn_parent(dn))
        if (!str_istarts(dn, "DC="))
            add_object(r, NULL, dn, "unit");
    add_spn(r, o->u.spn.spn);
    for (size_t i = 0; i < o->u.spn.n_others; i++)
        add_spn(r, o->u.spn.others[i]);
}

static void add_evidence(struct redactor *r, const struct evidence *e)
{
    for (size_t i = 0; i < e->items.n; i++) {
        const struct observation *o = &e->items.v[i];
        add_host(r, o->by_name);
        if (o->subject && strstr(o->subject, "://"))
            add_url(r, o->subject);
        if (o->kind == OBSERVATION_LOGON)
            add_user(r, o->u.logon.user);
        if (o->kind == OBSERVATION_SPN)
            add_owner(r, o);
        if (o->kind != OBSERVATION_TLS)
            continue;
        const struct certificate *c = &o->u.tls.cert;
        redactor_add(r, c->issuer, "authority");
        add_host(r, c->subject_cn);
        for (size_t k = 0; k < c->n_names; k++)
            add_host(r, c->names[k]);
    }
}

enum err redactor_new(struct redactor **out, const struct org *org, const struct evidence *e,
                      const char *const *users, struct errinfo *ei)
{
    struct redactor *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(ei, ERR_NOMEM, NULL, "no memory to replace the names");
    arena_init(&r->arena, MAX_ARENA);
    if (VEC_PUSH(&r->words, MAX_WORDS, (struct word){0})) {
        add_org(r, org);
        add_evidence(r, e);
        for (; users && *users; users++)
            add_user(r, *users);
    } else {
        r->arena.failed = true;
    }
    if (r->arena.failed) {
        redactor_free(&r);
        return err_set(ei, ERR_LIMIT, NULL, "there are more names than can be replaced");
    }
    *out = r;
    return ERR_OK;
}

void redactor_free(struct redactor **r)
{
    if (!*r)
        return;
    arena_fini(&(*r)->arena);
    VEC_FREE(&(*r)->words);
    free(*r);
    *r = NULL;
}

/* ---- replacing */

static const struct word *match(struct redactor *r, const char *s, size_t len, bool starts_word)
{
    uint32_t lists[] = {len >= PREFIX ? *bucket_of(r, s, PREFIX) : 0, r->short_words};
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        for (uint32_t i = lists[k]; i; i = r->words.v[i].next) {
            const struct word *w = &r->words.v[i];
            if (w->len > len || str_incmp(w->from, s, w->len) != 0)
                continue;
            bool ends_word = w->len == len || !is_alnum(s[w->len]);
            if ((starts_word && ends_word) || w->len >= FREE_FROM)
                return w;
        }
    }
    return NULL;
}

/* Four numbers up to 255; not Exchange's own versions (8.x, 14.x, 15.x). Its length, else 0. */
static size_t ipv4(const char *s, size_t len)
{
    unsigned n[4];
    size_t i = 0;
    for (unsigned k = 0; k < 4; k++) {
        size_t digits = 0;
        for (n[k] = 0; i < len && digits < 4 && s[i] >= '0' && s[i] <= '9'; i++, digits++)
            n[k] = n[k] * 10 + (unsigned)(s[i] - '0');
        if (!digits || n[k] > 255 || (k < 3 && (i >= len || s[i++] != '.')))
            return 0;
    }
    if (i < len && (is_alnum(s[i]) || (s[i] == '.' && i + 1 < len && is_alnum(s[i + 1]))))
        return 0;
    return (n[0] == 8 || n[0] == 14 || n[0] == 15) && n[1] <= 3 ? 0 : i;
}

/* Hexadecimal with "::" or seven colons; a time of day has two. */
static size_t ipv6(const char *s, size_t len)
{
    size_t i = 0, colons = 0;
    bool twice = false;
    for (; i < len &&
           (s[i] == ':' || (lower(s[i]) >= 'a' && lower(s[i]) <= 'f') || (s[i] >= '0' && s[i] <= '9'));
         i++) {
        colons += s[i] == ':';
        twice = twice || (s[i] == ':' && i + 1 < len && s[i + 1] == ':');
    }
    return colons >= 2 && (twice || colons == 7) && i > 2 ? i : 0;
}

static bool in_local_part(char c)
{
    return is_alnum(c) || strchr("._%+-", c) != NULL;
}

/* "somebody" of "somebody@somewhere", when it begins here. */
static size_t local_part(const char *s, size_t len)
{
    size_t i = 0;
    while (i < len && s[i] && in_local_part(s[i]))
        i++;
    return i && i + 1 < len && s[i] == '@' && is_alnum(s[i + 1]) ? i : 0;
}

enum err redact(struct redactor *r, const char *s, size_t len, struct buf *out)
{
    if (!r)
        return buf_add(out, s, len);
    bool starts = true, replaced = false;
    for (size_t i = 0; i < len;) {
        size_t n;
        const char *to = NULL;
        const struct word *w;
        if (starts && (n = ipv4(s + i, len - i)) > 0) {
            to = learn_kind(r, s + i, n, "address");
        } else if (starts && (n = ipv6(s + i, len - i)) > 0) {
            to = learn_kind(r, s + i, n, "address");
        } else if (starts && (n = local_part(s + i, len - i)) > 0) {
            to = learn_kind(r, s + i, n, "user");
        } else if ((w = match(r, s + i, len - i, starts)) != NULL) {
            to = w->to;
            n = w->len;
        }
        /* a name found inside of a word: the rest must not make another name together with what took its place */
        if (replaced && is_alnum(to ? to[0] : s[i]))
            buf_addc(out, '_');
        replaced = to != NULL;
        if (to) {
            buf_adds(out, to);
            i += n;
            starts = true; /* what follows a name without a boundary may be another one */
            continue;
        }
        buf_addc(out, s[i]);
        starts = !is_alnum(s[i]);
        i++;
    }
    return out->failed;
}
