#include "core/model/finding.h"

#include "core/base/str.h"

/* 500 servers with every rule found take about 2 MiB; the limit is for hostile input, not for large organisations. */
#define FINDINGS_LIMIT ((size_t)64 << 20)

const char *severity_name(enum severity s)
{
    static const char *const names[] = {"info", "warning", "error", "blocker"};
    return (unsigned)s < sizeof names / sizeof *names ? names[s] : "info";
}

const char *verdict_name(enum verdict v)
{
    static const char *const names[] = {"unknown", "ready", "not_ready", "blocked"};
    return (unsigned)v < sizeof names / sizeof *names ? names[v] : "unknown";
}

const char *verdict_text(enum verdict v)
{
    return v == VERDICT_NOT_READY ? "not ready" : verdict_name(v);
}

void findings_init(struct findings *f)
{
    *f = (struct findings){.verdict = VERDICT_UNKNOWN};
    arena_init(&f->arena, FINDINGS_LIMIT);
}

void findings_fini(struct findings *f)
{
    VEC_FREE(&f->found);
    VEC_FREE(&f->passed);
    VEC_FREE(&f->unknown);
    arena_fini(&f->arena);
    name_map_fini(&f->by_rule);
}

#define KEY_MAX 400

static size_t said(const struct findings *f)
{
    return f->found.n + f->passed.n + f->unknown.n;
}

static bool key_of(char out[static KEY_MAX], const char *rule, const char *server)
{
    return str_fmt(out, KEY_MAX, "%s/%s", rule, server ? server : "");
}

/* All three lists one after the other, as one list: the place of what is said first. */
static bool entry(const struct findings *f, size_t i, const char **rule, const char **server)
{
    size_t passed = i - f->found.n, unknown = passed - f->passed.n;
    if (i >= said(f))
        return false;
    const struct finding_ref *r = i < f->found.n         ? NULL
                                  : passed < f->passed.n ? &f->passed.v[passed]
                                                         : &f->unknown.v[unknown];
    *rule = r ? r->id : f->found.v[i].id;
    *server = r ? r->server : f->found.v[i].server;
    return true;
}

void findings_index(struct findings *f)
{
    const char *rule, *server;
    char key[KEY_MAX];
    name_map_fini(&f->by_rule);
    bool ok = !name_map_init(&f->by_rule, said(f));
    for (size_t i = 0; ok && entry(f, i, &rule, &server); i++) {
        const char *kept = key_of(key, rule, server) ? arena_str(&f->arena, key) : NULL;
        ok = kept != NULL;
        if (ok)
            name_map_add(&f->by_rule, kept, i);
    }
    if (!ok)
        name_map_fini(&f->by_rule);
}

static bool is_about(const struct findings *f, size_t i, const char *rule, const char *server)
{
    const char *id, *about;
    return entry(f, i, &id, &about) && str_eq(id, rule) && str_ieq(about, server);
}

enum finding_word findings_say(const struct findings *f, const char *rule, const char *server,
                               const char **why)
{
    char key[KEY_MAX];
    size_t n = said(f), i = n;
    bool indexed = f->by_rule.size && key_of(key, rule, server);
    *why = NULL;
    if (indexed && !name_map_find(&f->by_rule, key, &i))
        return FINDING_NOTHING;
    if (!indexed ||
        !is_about(f, i, rule, server)) /* not made yet, or the lists were put in another order since */
        for (i = 0; i < n && !is_about(f, i, rule, server); i++)
            ;
    if (i >= n)
        return FINDING_NOTHING;
    if (i < f->found.n) {
        *why = f->found.v[i].summary;
        return FINDING_FOUND;
    }
    if (i < f->found.n + f->passed.n)
        return FINDING_PASSED;
    *why = f->unknown.v[i - f->found.n - f->passed.n].why;
    return FINDING_UNKNOWN;
}
