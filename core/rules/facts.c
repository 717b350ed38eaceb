#include "core/rules/rules_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const char *a, const char *b)
{
    return a && b ? str_icmp(a, b) : (a != NULL) - (b != NULL);
}

static int compare(const void *a, const void *b)
{
    const struct observation *x = *(const struct observation *const *)a,
                             *y = *(const struct observation *const *)b;
    int d = by_name(x->server, y->server);
    if (!d)
        d = (int)x->kind - (int)y->kind;
    if (!d)
        d = (int)x->protocol - (int)y->protocol;
    if (!d)
        d = (x->at < y->at) - (x->at > y->at);
    /* later in the set is newer when the clock does not tell */
    return d ? d : (x < y) - (x > y);
}

static bool has(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (str_ieq(names[i], name))
            return true;
    return false;
}

/* The generation whose Outlook Anywhere names are the new ones: the newest CAS that publishes one. */
static enum generation naming_generation(const struct org *org)
{
    enum generation best = GENERATION_UNKNOWN;
    for (size_t i = 0; i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        const struct vdir *v = server_is_cas(s) ? server_vdir(s, PROTOCOL_OA) : NULL;
        if (v && v->external_hostname && s->generation > best)
            best = s->generation;
    }
    return best;
}

/* By custom autodiscover.* is never the Outlook Anywhere name, although it stands among the namespaces. */
static const char *first_namespace(const struct rule_input *in)
{
    for (size_t i = 0; i < in->n_namespaces; i++)
        if (!str_istarts(in->namespaces[i], "autodiscover."))
            return in->namespaces[i];
    return NULL;
}

const char *rules_oa_name(const struct rule_input *in)
{
    const char *name = first_namespace(in);
    if (name)
        return name;
    enum generation g = naming_generation(in->org);
    for (size_t i = 0; g != GENERATION_UNKNOWN && i < in->org->n_servers; i++) {
        const struct server *s = &in->org->servers[i];
        const struct vdir *v = s->generation == g && server_is_cas(s) ? server_vdir(s, PROTOCOL_OA) : NULL;
        if (!v || !v->external_hostname)
            continue;
        /* no new CAS yet: it will take the name of the old ones, if that is one name */
        if (name && generation_is_legacy(g) && !str_ieq(name, v->external_hostname))
            return NULL;
        if (!name)
            name = v->external_hostname;
    }
    return name;
}

static bool collect_names(struct rule_run *run)
{
    const struct rule_input *in = run->in;
    struct rule_facts *f = &run->facts;
    enum generation g = naming_generation(in->org);
    f->naming = g;
    f->oa_name = rules_oa_name(in);
    f->oa_names = arena_array(&run->scratch, in->n_namespaces + f->n_cas + 1, sizeof *f->oa_names);
    if (!f->oa_names)
        return false;
    for (size_t i = 0; i < in->n_namespaces; i++)
        if (!str_istarts(in->namespaces[i], "autodiscover.") &&
            !has(f->oa_names, f->n_oa_names, in->namespaces[i]))
            f->oa_names[f->n_oa_names++] = in->namespaces[i];
    for (size_t i = 0; i < f->n_cas && !generation_is_legacy(g); i++) {
        const struct vdir *v = f->cas[i]->generation == g ? server_vdir(f->cas[i], PROTOCOL_OA) : NULL;
        if (v && v->external_hostname && !has(f->oa_names, f->n_oa_names, v->external_hostname))
            f->oa_names[f->n_oa_names++] = v->external_hostname;
    }
    return true;
}

/* Where the observations of each server begin, in the sorted list; the first group is that of no server. */
static bool group(struct rule_run *run)
{
    struct rule_facts *f = &run->facts;
    const char *last = NULL;
    size_t n = 1;
    for (size_t i = 0; i < f->n_observations; i++) {
        n += by_name(f->by_server[i]->server, last) != 0;
        last = f->by_server[i]->server;
    }
    f->groups = arena_array(&run->scratch, n + 1, sizeof *f->groups);
    if (!f->groups || name_map_init(&f->group_of, n))
        return false;
    last = NULL;
    n = 0;
    for (size_t i = 0; i < f->n_observations; i++) {
        const char *server = f->by_server[i]->server;
        if (by_name(server, last) != 0) {
            f->groups[++n] = i;
            name_map_add(&f->group_of, server, n);
        }
        last = server;
    }
    f->groups[n + 1] = f->n_observations;
    return true;
}

enum err facts_init(struct rule_run *run, struct errinfo *ei)
{
    const struct org *org = run->in->org;
    const struct evidence *e = run->in->evidence;
    struct rule_facts *f = &run->facts;
    size_t n = org->n_servers;
    f->legacy = arena_array(&run->scratch, n, sizeof *f->legacy);
    f->arriving = arena_array(&run->scratch, n, sizeof *f->arriving);
    f->cas = arena_array(&run->scratch, n, sizeof *f->cas);
    f->by_server = arena_array(&run->scratch, e->items.n, sizeof *f->by_server);
    if (!f->legacy || !f->arriving || !f->cas || !f->by_server)
        goto limit;
    for (size_t i = 0; i < n; i++) {
        const struct server *s = &org->servers[i];
        if (!server_is_cas(s))
            continue;
        f->cas[f->n_cas++] = s;
        if (server_is_legacy_cas(s) && s->generation != run->in->target)
            f->legacy[f->n_legacy++] = s;
        if (s->generation == run->in->target)
            f->arriving[f->n_arriving++] = s;
    }
    for (size_t i = 0; i < e->items.n; i++)
        f->by_server[i] = &e->items.v[i];
    f->n_observations = e->items.n;
    if (f->n_observations)
        qsort(f->by_server, f->n_observations, sizeof *f->by_server, compare);
    if (group(run) && collect_names(run))
        return ERR_OK;
limit:
    return err_set(ei, ERR_LIMIT, "this organisation is larger than the rules were made for",
                   "no room left to evaluate the rules");
}

struct observations facts_of(const struct rule_run *run, const char *server)
{
    const struct rule_facts *f = &run->facts;
    size_t group = 0; /* that of no server */
    if (server && !name_map_find(&f->group_of, server, &group))
        return (struct observations){f->by_server, 0};
    return (struct observations){f->by_server + f->groups[group], f->groups[group + 1] - f->groups[group]};
}

#define DAY_S 86400

const struct observation *facts_build(const struct rule_run *run, const struct server *s)
{
    struct observations all = facts_of(run, s->name);
    const struct observation *host = NULL, *other = NULL;
    for (size_t i = 0; i < all.n; i++) {
        const struct observation *o = all.v[i];
        const struct observation **best = o->source == EVIDENCE_HOST ? &host : &other;
        if (o->kind == OBSERVATION_BUILD && o->outcome == OUTCOME_OK && (!*best || o->at > (*best)->at))
            *best = o;
    }
    return host && (!other || host->at >= other->at - DAY_S) ? host : other;
}

const struct observation *facts_newest(const struct rule_run *run, const char *server,
                                       enum observation_kind kind, enum protocol protocol, const char *name)
{
    const struct observation *poor = NULL, *good = NULL;
    struct observations all = facts_of(run, server);
    for (size_t i = 0; i < all.n; i++) {
        const struct observation *o = all.v[i];
        if (o->kind != kind || (protocol != PROTOCOL_UNKNOWN && o->protocol != protocol) ||
            (name && !str_ieq(o->by_name, name)))
            continue;
        bool says = o->outcome == OUTCOME_OK || o->outcome == OUTCOME_FAILED;
        const struct observation **slot = says ? &good : &poor;
        if (!*slot || o->at > (*slot)->at)
            *slot = o;
    }
    return good ? good : poor;
}

void facts_fini(struct rule_run *run)
{
    name_map_fini(&run->facts.group_of);
}

const char *facts_oa_name(const struct rule_run *run, const struct server *s)
{
    enum generation g = run->facts.naming;
    for (size_t i = 0; s->site && !generation_is_legacy(g) && i < s->site->n_servers; i++) {
        const struct server *c = s->site->servers[i];
        const struct vdir *v = c->generation == g && server_is_cas(c) ? server_vdir(c, PROTOCOL_OA) : NULL;
        if (v && v->external_hostname)
            return v->external_hostname;
    }
    return run->facts.oa_name;
}

bool facts_is_namespace(const struct rule_run *run, const char *name)
{
    return has(run->in->namespaces, run->in->n_namespaces, name) ||
           has(run->facts.oa_names, run->facts.n_oa_names, name);
}
