#include "core/plan/plan_int.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Findings that one cmdlet answers. */
struct group {
    const struct server *server;
    struct cmdlet cmdlet;
    const char *target; /* value of its target parameter */
    const char **findings;
    size_t n_findings;
};

struct draft {
    struct plan *plan;
    const struct org *org;
    bool nudge;
    const char *twice; /* server of that name that was left out last */
    VEC(struct group) groups;
};

#define MAX_FINDINGS_A_STEP 16

enum err plan_new(struct plan **out, struct errinfo *ei)
{
    struct plan *p = calloc(1, sizeof *p);
    char id[32];
    if (!p)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a plan");
    arena_init(&p->arena, PLAN_ARENA_LIMIT);
    journal_new_run(id); /* a plan's id has the form of a run's */
    p->id = arena_str(&p->arena, id);
    p->made_at = clock_unix();
    if (!p->id) {
        plan_free(&p);
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a plan");
    }
    *out = p;
    return ERR_OK;
}

void plan_free(struct plan **p)
{
    if (*p) {
        arena_fini(&(*p)->arena);
        free(*p);
    }
    *p = NULL;
}

static bool is_in(const char *const *list, size_t n, const char *s)
{
    for (size_t i = 0; i < n; i++)
        if (str_ieq(list[i], s))
            return true;
    return n == 0;
}

static bool wanted(const struct draft *b, const struct finding *f, const struct plan_filter *filter)
{
    if (!f->fix || f->accepted || !f->fix->server)
        return false;
    /* Who names the rule has chosen. */
    bool named = filter && filter->n_findings && is_in(filter->findings, filter->n_findings, f->id);
    if (!f->fix->automatic && !(f->fix->choice && named))
        return false;
    if (!filter)
        return true;
    const struct server *s = org_server(b->org, f->fix->server);
    const char *fqdn = s && s->fqdn ? s->fqdn : f->fix->server;
    return is_in(filter->findings, filter->n_findings, f->id) &&
           (is_in(filter->servers, filter->n_servers, f->fix->server) ||
            is_in(filter->servers, filter->n_servers, fqdn));
}

enum err plan_server(const struct org *org, const char *name, const struct server **out, struct errinfo *ei)
{
    const struct server *found = org_server(org, name);
    if (!found)
        return err_set(ei, ERR_STALE, "plan again", "the server %s is not in the directory", name);
    size_t i = (size_t)(found - org->servers);
    if ((i > 0 && str_ieq(org->servers[i - 1].name, found->name)) ||
        (i + 1 < org->n_servers && str_ieq(org->servers[i + 1].name, found->name)))
        return err_set(ei, ERR_REFUSED, "remove the object that is left over from the directory",
                       "two servers are called %s", found->name);
    if (!found->fqdn)
        return err_set(ei, ERR_INPUT, "networkAddress of the server object has no ncacn_ip_tcp value",
                       "the directory knows no full name for %s: it cannot be reached", found->name);
    *out = found;
    return ERR_OK;
}

static const char *target_of(const struct cmdlet *c)
{
    const struct plan_cmdlet *info = plan_cmdlet_find(c->name);
    const struct cmdlet_param *p = info ? cmdlet_param(c, info->target) : NULL;
    return p && p->value.kind == CMDLET_STRING ? p->value.strings[0] : NULL;
}

static bool same_value(const struct cmdlet_value *a, const struct cmdlet_value *b)
{
    if (a->kind != b->kind || a->n != b->n || a->flag != b->flag || a->number != b->number)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!str_ieq(a->strings[i], b->strings[i]))
            return false;
    return true;
}

static enum err add_param(struct cmdlet *c, const struct cmdlet_param *p)
{
    const struct cmdlet_value *v = &p->value;
    const char *const *s = (const char *const *)v->strings;
    switch (v->kind) {
    case CMDLET_STRING: return cmdlet_string(c, p->name, s[0]);
    case CMDLET_WORD:
    case CMDLET_WORDS: return cmdlet_words(c, p->name, s, v->n);
    case CMDLET_LIST: return cmdlet_list(c, p->name, s, v->n);
    case CMDLET_BOOL: return cmdlet_bool(c, p->name, v->flag);
    case CMDLET_NULL: return cmdlet_null(c, p->name);
    case CMDLET_SWITCH: return cmdlet_switch(c, p->name);
    case CMDLET_INT: return cmdlet_int(c, p->name, v->number);
    }
    return ERR_INTERNAL;
}

static enum err merge(struct group *g, const struct finding *f, struct errinfo *ei)
{
    const struct cmdlet *from = &f->fix->cmdlet;
    for (size_t i = 0; i < from->n_params; i++) {
        const struct cmdlet_param *have = cmdlet_param(&g->cmdlet, from->params[i].name);
        if (have && !same_value(&have->value, &from->params[i].value))
            return err_set(ei, ERR_REFUSED, "plan them one after the other, with --finding",
                           "%s: the fixes of %s and %s set -%s differently", g->server->name, g->findings[0],
                           f->id, have->name);
        if (!have && add_param(&g->cmdlet, &from->params[i]) != ERR_OK)
            return err_set(ei, ERR_LIMIT, NULL, "%s: too many parameters", g->server->name);
    }
    if (g->n_findings < MAX_FINDINGS_A_STEP && !is_in(g->findings, g->n_findings, f->id))
        g->findings[g->n_findings++] = f->id;
    return ERR_OK;
}

static enum err collect(struct draft *b, const struct finding *f, struct errinfo *ei)
{
    const struct server *server = org_server(b->org, f->fix->server);
    const char *target = target_of(&f->fix->cmdlet);
    struct arena *a = &b->plan->arena;
    struct errinfo why;
    /* A cmdlet names it by its name alone: nobody could say which of the two is meant. */
    if (server && plan_server(b->org, server->name, &server, &why) == ERR_REFUSED) {
        if (!str_ieq(b->twice, server->name))
            log_line(LOG_LEVEL_WARNING, "%s: it is left out of the plan: %s", why.what, why.hint);
        b->twice = server->name;
        return ERR_OK;
    }
    if (!server || !target)
        return err_set(ei, ERR_INTERNAL, NULL, "the fix of %s for %s names no object of the organisation",
                       f->id, f->fix->server);
    for (size_t i = b->groups.n; i > 0; i--) {
        struct group *g = &b->groups.v[i - 1];
        if (g->server == server && str_ieq(g->cmdlet.name, f->fix->cmdlet.name) && str_ieq(g->target, target))
            return merge(g, f, ei);
    }
    struct group g = {.server = server, .n_findings = 1};
    g.findings = arena_array(a, MAX_FINDINGS_A_STEP, sizeof *g.findings);
    if (!g.findings || cmdlet_copy(&g.cmdlet, a, &f->fix->cmdlet) != ERR_OK)
        return err_set(ei, ERR_LIMIT, NULL, "the plan is too large");
    g.findings[0] = f->id;
    g.target = target_of(&g.cmdlet);
    if (!VEC_PUSH(&b->groups, PLAN_MAX_STEPS, g))
        return err_set(ei, ERR_LIMIT, "plan for fewer servers, with --server", "more than %d steps",
                       PLAN_MAX_STEPS);
    return ERR_OK;
}

static int order(const void *x, const void *y)
{
    const struct group *a = x, *b = y;
    const struct plan_cmdlet *p = plan_cmdlet_find(a->cmdlet.name), *q = plan_cmdlet_find(b->cmdlet.name);
    int d = str_icmp(a->server->name, b->server->name);
    if (!d && p && q)
        d = (p->action != PLAN_ENABLE) - (q->action != PLAN_ENABLE);
    if (!d && p && q)
        d = (int)p->protocol - (int)q->protocol;
    if (!d)
        d = str_icmp(a->cmdlet.name, b->cmdlet.name);
    return d ? d : str_icmp(a->target, b->target);
}

struct object {
    const char *dn;
    const struct vdir *vdir;
    const struct scp *scp;
};

static bool find_object(struct object *o, struct arena *a, const struct org *org, const struct server *s,
                        const struct plan_cmdlet *info, const char *target)
{
    const char *name = identity_name(target);
    switch (info->object) {
    case PLAN_OBJECT_SCP:
        for (size_t i = 0; i < org->n_scps; i++)
            if (org->scps[i].server == s && !org->scps[i].is_pointer)
                o->scp = &org->scps[i];
        o->dn = o->scp ? o->scp->dn : NULL;
        break;
    case PLAN_OBJECT_RPC:
        if (s->has_rpc_client_access)
            o->dn = arena_fmt(a, "CN=RpcClientAccess,CN=Protocols,%s", s->dn);
        break;
    case PLAN_OBJECT_VDIR:
        if (info->action == PLAN_ENABLE) /* directory.md 2: the cmdlet makes it below the default web site */
            o->dn = arena_fmt(a, "CN=Rpc (Default Web Site),CN=HTTP,CN=Protocols,%s", s->dn);
        for (size_t i = 0; name && i < s->n_vdirs; i++)
            if (s->vdirs[i]->protocol == info->protocol && str_ieq(s->vdirs[i]->name, name))
                o->vdir = s->vdirs[i];
        if (o->vdir)
            o->dn = o->vdir->dn;
        break;
    }
    return o->dn != NULL;
}

static const char *ordinal_text(struct arena *a, auth_set one)
{
    auth_set found;
    for (int64_t i = 0; i < 32; i++)
        if (auth_from_ordinal(i, &found) && found == one)
            return arena_fmt(a, "%" PRId64, i);
    return NULL;
}

static const char *tri_text(enum tri t, const char *yes, const char *no)
{
    return t == TRI_UNKNOWN ? NULL : t == TRI_YES ? yes : no;
}

/* The attribute as the organisation keeps it; *ok false when the arena is full. NULL: absent. */
static const char *raw_value(struct arena *a, const struct object *o, const struct server *s,
                             const struct property *p)
{
    const struct vdir *v = o->vdir;
    bool out = str_ieq(p->attribute, "msExchExternalHostName");
    switch (p->kind) {
    case PROPERTY_ORDINAL:
        return v->has_internal_client_auth ? ordinal_text(a, v->internal_client_auth) : NULL;
    case PROPERTY_HOST:
    case PROPERTY_SCHEME:
        if ((out ? v->external_ssl : v->internal_ssl) == TRI_UNKNOWN)
            return out ? v->external_hostname : v->internal_hostname;
        return out ? v->external_url : v->internal_url;
    case PROPERTY_TEXT: return o->scp ? o->scp->url : out ? v->external_url : v->internal_url;
    case PROPERTY_BOOL: return tri_text(s->rpc_encryption, "TRUE", "FALSE");
    case PROPERTY_FLAG:
        if (str_ieq(p->attribute, "msExchRpcHttpFlags"))
            return tri_text(v->ssl_offloading, "1", "0");
        return v->has_iis_auth ? arena_fmt(a, "%" PRId64, v->iis_auth_raw) : NULL;
    case PROPERTY_AUTH:
        if (str_ieq(p->attribute, "msExchExternalAuthenticationMethods"))
            return v->has_client_auth ? arena_fmt(a, "%" PRId64, v->client_auth_raw) : NULL;
        return v->has_iis_auth ? arena_fmt(a, "%" PRId64, v->iis_auth_raw) : NULL;
    case PROPERTY_EXISTS: break;
    }
    return NULL;
}

static bool has_precondition(const struct plan_step *s, const char *attribute)
{
    for (size_t i = 0; i < s->n_preconditions; i++)
        if (str_ieq(s->preconditions[i].attribute, attribute))
            return true;
    return false;
}

static enum err make_preconditions(struct plan_step *s, struct arena *a, const struct object *o,
                                   const struct server *server, const struct plan_cmdlet *info)
{
    s->preconditions = arena_array(a, s->cmdlet.n_params + 1, sizeof *s->preconditions);
    if (!s->preconditions)
        return ERR_LIMIT;
    if (info->action == PLAN_ENABLE) {
        s->preconditions[s->n_preconditions++] =
            (struct plan_precondition){.dn = arena_str(a, o->dn), .attribute = plan_exists.attribute};
        return ERR_OK;
    }
    for (size_t i = 0; i < s->cmdlet.n_params; i++) {
        const struct property *p = plan_parameter(info, s->cmdlet.params[i].name);
        if (p && !has_precondition(s, p->attribute))
            s->preconditions[s->n_preconditions++] =
                (struct plan_precondition){.dn = arena_str(a, o->dn),
                                           .attribute = p->attribute,
                                           .value = arena_str(a, raw_value(a, o, server, p))};
    }
    return a->failed ? ERR_LIMIT : ERR_OK;
}

/* A step that cannot be made is left out, and said so: the others must not suffer from it. */
static enum err make_step(struct draft *b, const struct group *g, struct errinfo *ei)
{
    struct plan *plan = b->plan;
    struct arena *a = &plan->arena;
    const struct plan_cmdlet *info = plan_cmdlet_find(g->cmdlet.name);
    struct plan_step s = {.n = (int)plan->n_steps + 1, .cmdlet = g->cmdlet, .verify_directory = true};
    struct object o = {0};
    struct watches w;
    s.server = arena_str(a, g->server->name);
    s.finding = arena_str(a, g->findings[0]);
    s.also = arena_array(a, MAX_FINDINGS_A_STEP, sizeof *s.also);
    for (size_t i = 1; s.also && i < g->n_findings; i++)
        s.also[s.n_also++] = arena_str(a, g->findings[i]);
    enum err e = ERR_OK;
    if (!find_object(&o, a, b->org, g->server, info, g->target))
        e = err_set(ei, ERR_INPUT, NULL, "%s is not in the directory", g->target);
    if (e == ERR_OK && (e = make_preconditions(&s, a, &o, g->server, info)) != ERR_OK)
        return err_set(ei, e, NULL, "the plan is too large");
    if (e == ERR_OK)
        e = step_watches(&w, a, &s, ei);
    if (e == ERR_OK)
        e = step_derive(&s, a, &w, ei);
    if (e == ERR_OK && !s.n_after)
        return ERR_OK; /* right already */
    if (e == ERR_OK)
        e = step_inverse(&s.inverse, a, &s, &w, ei);
    if (e == ERR_OK && b->nudge)
        e = nudge_add(&s, a, &w, 1u << g->server->generation);
    if (e == ERR_OK) {
        s.verify_wire = step_shows_on_wire(&w);
        if (!step_describe(&s, a, &w, 1u << g->server->generation))
            e = err_set(ei, ERR_LIMIT, NULL, "the plan is too large");
    }
    if (e == ERR_OK)
        e = step_check(&s, 1u << g->server->generation, &w, a, ei);
    if (e == ERR_INPUT) {
        log_line(LOG_LEVEL_WARNING, "%s: %s is left out of the plan: %s", g->server->name, g->findings[0],
                 ei ? ei->what : "it cannot be put back");
        return ERR_OK;
    }
    if (e == ERR_OK)
        plan->steps[plan->n_steps++] = s;
    return e;
}

enum err plan_build(struct plan **out, const struct org *org, const struct findings *f,
                    const struct plan_filter *filter, const char *made_by, struct errinfo *ei)
{
    struct draft b = {.org = org, .nudge = filter && filter->nudge};
    struct errinfo own;
    if (!ei)
        ei = &own;
    enum err e = plan_new(&b.plan, ei);
    if (e != ERR_OK)
        return e;
    struct arena *a = &b.plan->arena;
    b.plan->organization = arena_str(a, org->name);
    b.plan->made_by = arena_str(a, made_by ? made_by : "");
    b.plan->target = f->target;
    for (size_t i = 0; e == ERR_OK && i < f->found.n; i++)
        if (wanted(&b, &f->found.v[i], filter))
            e = collect(&b, &f->found.v[i], ei);
    if (e == ERR_OK && b.groups.n) {
        qsort(b.groups.v, b.groups.n, sizeof *b.groups.v, order);
        b.plan->steps = arena_array(a, b.groups.n, sizeof *b.plan->steps);
        if (!b.plan->steps)
            e = err_set(ei, ERR_LIMIT, NULL, "the plan is too large");
    }
    for (size_t i = 0; e == ERR_OK && i < b.groups.n; i++)
        e = make_step(&b, &b.groups.v[i], ei);
    VEC_FREE(&b.groups);
    if (e != ERR_OK) {
        plan_free(&b.plan);
        return e;
    }
    *out = b.plan;
    return ERR_OK;
}
