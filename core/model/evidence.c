#include "core/model/evidence.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdint.h>
#include <string.h>

#define MAX_OBSERVATIONS 1000000
#define NO_ITEM          UINT32_MAX

const char *evidence_source_name(enum evidence_source s)
{
    static const char *const names[] = {
        [EVIDENCE_DIRECTORY] = "directory", [EVIDENCE_WIRE] = "wire", [EVIDENCE_IIS] = "iis",
        [EVIDENCE_KERBEROS] = "kerberos",   [EVIDENCE_HOST] = "host",
    };
    return (size_t)s < ARRAY_LEN(names) ? names[s] : "unknown";
}

const char *tls_version_name(unsigned bit)
{
    static const char *const names[TLS_VERSIONS] = {"SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    return bit < TLS_VERSIONS ? names[bit] : "unknown";
}

const char *outcome_name(enum outcome o)
{
    static const char *const names[] = {
        [OUTCOME_OK] = "ok",
        [OUTCOME_FAILED] = "failed",
        [OUTCOME_ERROR] = "error",
        [OUTCOME_SKIPPED] = "skipped",
    };
    return (size_t)o < ARRAY_LEN(names) ? names[o] : "unknown";
}

void evidence_init(struct evidence *e, size_t limit)
{
    memset(e, 0, sizeof *e);
    arena_init(&e->arena, limit);
}

void evidence_fini(struct evidence *e)
{
    arena_fini(&e->arena);
    VEC_FREE(&e->items);
    free(e->by_server.heads);
    free(e->by_server.next);
    memset(&e->by_server, 0, sizeof e->by_server);
}

struct observation *evidence_add(struct evidence *e, enum observation_kind kind, enum evidence_source source)
{
    struct observation o = {
        .kind = kind,
        .source = source,
        .outcome = OUTCOME_SKIPPED,
        .protocol = PROTOCOL_UNKNOWN,
        .at = clock_unix(),
    };
    return VEC_PUSH(&e->items, MAX_OBSERVATIONS, o) ? &e->items.v[e->items.n - 1] : NULL;
}

/* Copies one string; false when there was one and the arena had no room. */
static bool copy_str(struct arena *a, const char **s)
{
    const char *from = *s;
    *s = arena_str(a, from);
    return !from || *s;
}

static bool copy_list(struct arena *a, const char ***list, size_t n)
{
    const char **from = *list;
    *list = NULL;
    if (n == 0)
        return true;
    const char **copy = arena_array(a, n, sizeof *copy);
    if (!copy)
        return false;
    for (size_t i = 0; i < n; i++) {
        copy[i] = from[i];
        if (!copy_str(a, &copy[i]))
            return false;
    }
    *list = copy;
    return true;
}

static bool copy_certificate(struct arena *a, struct certificate *c)
{
    return copy_str(a, &c->subject_cn) && copy_str(a, &c->issuer) && copy_str(a, &c->key_type) &&
           copy_str(a, &c->signature_hash) && copy_str(a, &c->sha256) && copy_str(a, &c->chain_error) &&
           copy_list(a, &c->names, c->n_names);
}

/* Makes *o independent of the arena it came from. */
static bool copy_strings(struct arena *a, struct observation *o)
{
    if (!copy_str(a, &o->server) || !copy_str(a, &o->step) || !copy_str(a, &o->subject) ||
        !copy_str(a, &o->by_name) || !copy_str(a, &o->detail))
        return false;
    switch (o->kind) {
    case OBSERVATION_CHALLENGE:
        return copy_str(a, &o->u.challenge.server_header) && copy_str(a, &o->u.challenge.fe_server);
    case OBSERVATION_TLS:
        return copy_str(a, &o->u.tls.version) && copy_str(a, &o->u.tls.cipher) &&
               copy_certificate(a, &o->u.tls.cert);
    case OBSERVATION_LOGON: return copy_str(a, &o->u.logon.method) && copy_str(a, &o->u.logon.user);
    case OBSERVATION_IIS: return copy_str(a, &o->u.iis.path);
    case OBSERVATION_SPN:
        return copy_str(a, &o->u.spn.spn) && copy_str(a, &o->u.spn.dn) && copy_str(a, &o->u.spn.account) &&
               copy_list(a, &o->u.spn.others, o->u.spn.n_others);
    case OBSERVATION_STEP:
    case OBSERVATION_TICKET:
    case OBSERVATION_BUILD: break;
    }
    return true;
}

/* Everything that is still referred to moves to a fresh arena; what replaced observations left behind goes. */
static enum err compact(struct evidence *e)
{
    struct arena fresh;
    arena_init(&fresh, e->arena.limit);
    struct observation *items = malloc((e->items.n ? e->items.n : 1) * sizeof *items);
    if (!items)
        return ERR_NOMEM;
    for (size_t i = 0; i < e->items.n; i++) {
        items[i] = e->items.v[i];
        if (!copy_strings(&fresh, &items[i])) {
            free(items);
            arena_fini(&fresh);
            return ERR_LIMIT;
        }
    }
    if (e->items.n)
        memcpy(e->items.v, items, e->items.n * sizeof *items);
    free(items);
    arena_fini(&e->arena);
    e->arena = fresh;
    return ERR_OK;
}

static uint32_t server_hash(const char *server)
{
    uint32_t h = 2166136261u; /* FNV-1a over the name in lower case */
    for (const char *p = server ? server : ""; *p; p++) {
        unsigned char c = (unsigned char)*p;
        h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 16777619u;
    }
    return h;
}

static void chain(struct evidence *e, size_t i)
{
    uint32_t *head = &e->by_server.heads[server_hash(e->items.v[i].server) % e->by_server.n_heads];
    e->by_server.next[i] = *head;
    *head = (uint32_t)i;
}

/* Chains all items. Without memory the rest stays unchained: searches are slower then, not wrong. */
static void index_items(struct evidence *e)
{
    size_t n = e->items.n;
    if (n > e->by_server.cap) {
        size_t cap = n < 64 ? 64 : n * 2;
        uint32_t *next = realloc(e->by_server.next, cap * sizeof *next);
        if (!next)
            return;
        e->by_server.next = next;
        uint32_t *heads = realloc(e->by_server.heads, cap * sizeof *heads);
        if (!heads)
            return;
        e->by_server.heads = heads;
        e->by_server.cap = e->by_server.n_heads = cap;
        e->by_server.n = 0;
        memset(heads, 0xff, cap * sizeof *heads);
    }
    while (e->by_server.n < n)
        chain(e, e->by_server.n++);
}

static bool same_fact(const struct observation *a, const struct observation *b)
{
    return a->kind == b->kind && a->protocol == b->protocol && str_ieq(a->server, b->server) &&
           str_eq(a->step, b->step) && str_eq(a->subject, b->subject) && str_ieq(a->by_name, b->by_name);
}

static struct observation *find_same(struct evidence *e, const struct observation *o)
{
    if (e->by_server.n) {
        uint32_t i = e->by_server.heads[server_hash(o->server) % e->by_server.n_heads];
        for (; i != NO_ITEM; i = e->by_server.next[i])
            if (same_fact(&e->items.v[i], o))
                return &e->items.v[i];
    }
    for (size_t i = e->by_server.n; i < e->items.n; i++)
        if (same_fact(&e->items.v[i], o))
            return &e->items.v[i];
    return NULL;
}

static enum err merge_one(struct evidence *dst, const struct observation *o)
{
    struct observation *old = find_same(dst, o);
    if (old && old->at > o->at)
        return ERR_OK;
    struct observation copy = *o;
    if (!copy_strings(&dst->arena, &copy)) {
        enum err e = compact(dst);
        if (e)
            return e;
        copy = *o;
        if (!copy_strings(&dst->arena, &copy))
            return ERR_LIMIT;
    }
    if (old)
        *old = copy;
    else if (!VEC_PUSH(&dst->items, MAX_OBSERVATIONS, copy))
        return ERR_LIMIT;
    index_items(dst);
    return ERR_OK;
}

enum err evidence_merge(struct evidence *dst, const struct evidence *src)
{
    index_items(dst);
    for (size_t i = 0; i < src->items.n; i++) {
        enum err e = merge_one(dst, &src->items.v[i]);
        if (e)
            return e;
    }
    return ERR_OK;
}

/* Of a and b (either may be NULL) the newer; of two equally old ones that with the higher place. */
static const struct observation *newer(const struct observation *a, const struct observation *b)
{
    if (!a || !b)
        return a ? a : b;
    if (a->at != b->at)
        return a->at > b->at ? a : b;
    return a > b ? a : b;
}

const struct observation *evidence_find(const struct evidence *e, enum observation_kind kind,
                                        const char *server, enum protocol protocol, const char *step)
{
    const struct observation *best = NULL;
    size_t rest = 0;
#define MATCHES(o)                                                                                           \
    ((o)->kind == kind && (protocol == PROTOCOL_UNKNOWN || (o)->protocol == protocol) &&                     \
     (!server || str_ieq((o)->server, server)) && (!step || str_eq((o)->step, step)))
    if (server && e->by_server.n) {
        rest = e->by_server.n;
        uint32_t i = e->by_server.heads[server_hash(server) % e->by_server.n_heads];
        for (; i != NO_ITEM; i = e->by_server.next[i])
            if (MATCHES(&e->items.v[i]))
                best = newer(best, &e->items.v[i]);
    }
    for (size_t i = rest; i < e->items.n; i++)
        if (MATCHES(&e->items.v[i]))
            best = newer(best, &e->items.v[i]);
#undef MATCHES
    return best;
}
