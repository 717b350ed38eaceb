/*
 * The arithmetic of one step. A step is its cmdlet and its preconditions; before, after, inverse and what there is to watch follow
 * from these two, so a plan file that contradicts itself is found by computing them again.
 */
#include "core/plan/plan_int.h"

#include "core/base/str.h"

#include <string.h>

const char *identity_name(const char *identity)
{
    const char *slash = strchr(identity, '\\');
    return slash && slash[1] ? slash + 1 : NULL;
}

static const struct plan_precondition *find_precondition(const struct plan_step *s, const char *attribute)
{
    for (size_t i = 0; i < s->n_preconditions; i++)
        if (str_ieq(s->preconditions[i].attribute, attribute))
            return &s->preconditions[i];
    return NULL;
}

static enum err add_watch(struct watches *w, struct arena *a, const struct plan_step *s,
                          const struct property *p, const struct plan_change *after, struct errinfo *ei)
{
    const struct plan_precondition *pre = find_precondition(s, p->attribute);
    struct watch *x = &w->v[w->n];
    enum err e = ERR_OK;
    x->property = p;
    x->after = *after;
    if (w->cmdlet->action == PLAN_ENABLE) {
        change_null(&x->before, p);
    } else if (!pre) {
        return err_set(ei, ERR_INPUT, "plan again", "%s is changed without a precondition on %s", p->name,
                       p->attribute);
    } else {
        e = change_from_raw(&x->before, a, p, &pre->value, pre->value != NULL);
        if (e == ERR_INPUT)
            return err_set(ei, e, "change it by hand on the server",
                           "%s is '%s', which no cmdlet could put back", p->attribute, pre->value);
    }
    if (e == ERR_OK)
        w->n++;
    return e == ERR_OK ? e : err_set(ei, e, NULL, "the plan is too large");
}

static enum err watch_params(struct watches *w, struct arena *a, const struct plan_step *s,
                             struct errinfo *ei)
{
    for (size_t i = 0; i < s->cmdlet.n_params; i++) {
        const struct cmdlet_param *p = &s->cmdlet.params[i];
        const struct property *property = plan_parameter(w->cmdlet, p->name);
        struct plan_change after;
        if (str_ieq(p->name, w->cmdlet->target))
            continue;
        if (!property)
            return err_set(ei, ERR_INPUT, "casbridge pushes only what it can read back",
                           "%s -%s is not a parameter that a plan may set", s->cmdlet.name, p->name);
        enum err e = change_from_param(&after, a, property, &p->value, ei);
        if (e != ERR_OK)
            return e == ERR_LIMIT ? err_set(ei, e, NULL, "the plan is too large") : e;
        if ((e = add_watch(w, a, s, property, &after, ei)) != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static enum err watch_object(struct watches *w, struct arena *a, const struct plan_step *s,
                             struct errinfo *ei)
{
    bool exists = w->cmdlet->action == PLAN_DISABLE;
    struct watch *x = &w->v[w->n++];
    x->property = &plan_exists;
    if (change_bool(&x->before, a, &plan_exists, exists) != ERR_OK ||
        change_bool(&x->after, a, &plan_exists, !exists) != ERR_OK)
        return err_set(ei, ERR_LIMIT, NULL, "the plan is too large");
    const struct plan_precondition *pre = find_precondition(s, plan_exists.attribute);
    if (exists ? pre != NULL : (s->n_preconditions != 1 || !pre || pre->value))
        return err_set(ei, ERR_INPUT, "plan again",
                       exists ? "what is disabled must exist: it has a precondition that it does not"
                              : "what is enabled must not exist: the one precondition is that");
    if (!exists)
        return ERR_OK;
    bool any = false;
    const struct property *p;
    for (size_t i = 0; (p = plan_property_at(w->cmdlet, i)); i++) {
        struct plan_change after;
        const struct plan_precondition *of = find_precondition(s, p->attribute);
        if (!of)
            continue;
        any = any || of->value;
        change_null(&after, p);
        enum err e = add_watch(w, a, s, p, &after, ei);
        if (e != ERR_OK)
            return e;
    }
    return any ? ERR_OK
               : err_set(ei, ERR_INPUT, "plan again", "what is disabled has no value that could be put back");
}

/* Preconditions: one object, each attribute once, no attribute that the cmdlet has nothing to do with. */
static enum err check_preconditions(struct watches *w, const struct plan_step *s, struct errinfo *ei)
{
    if (!s->n_preconditions)
        return err_set(ei, ERR_INPUT, "plan again", "there are no preconditions");
    w->dn = s->preconditions[0].dn;
    for (size_t i = 0; i < s->n_preconditions; i++) {
        const struct plan_precondition *p = &s->preconditions[i];
        bool known = str_ieq(p->attribute, plan_exists.attribute) && w->cmdlet->action != PLAN_SET;
        const struct property *q;
        if (!dn_equal(p->dn, w->dn))
            return err_set(ei, ERR_INPUT, "plan again", "the preconditions are of more than one object");
        if (find_precondition(s, p->attribute) != p)
            return err_set(ei, ERR_INPUT, "plan again", "%s has two preconditions", p->attribute);
        for (size_t k = 0; !known && (q = plan_property_at(w->cmdlet, k)); k++)
            known = str_ieq(q->attribute, p->attribute);
        if (!known)
            return err_set(ei, ERR_INPUT, "plan again", "%s has nothing to do with %s", p->attribute,
                           s->cmdlet.name);
    }
    return ERR_OK;
}

enum err step_watches(struct watches *out, struct arena *a, const struct plan_step *s, struct errinfo *ei)
{
    struct watches w = {.cmdlet = plan_cmdlet_find(s->cmdlet.name)};
    if (!w.cmdlet)
        return err_set(ei, ERR_INPUT, "casbridge pushes only cmdlets of its own table",
                       "%s is not a cmdlet that a plan may hold", s->cmdlet.name);
    enum err e = check_preconditions(&w, s, ei);
    if (e != ERR_OK)
        return e;
    w.v = arena_array(a, CMDLET_MAX_PARAMS + 1, sizeof *w.v);
    if (!w.v)
        return err_set(ei, ERR_LIMIT, NULL, "the plan is too large");
    if (w.cmdlet->action != PLAN_SET)
        e = watch_object(&w, a, s, ei);
    if (e == ERR_OK && w.cmdlet->action != PLAN_DISABLE)
        e = watch_params(&w, a, s, ei);
    if (e == ERR_OK)
        *out = w;
    return e;
}

enum err step_derive(struct plan_step *s, struct arena *a, const struct watches *w, struct errinfo *ei)
{
    size_t n = 0;
    struct plan_change *before = arena_array(a, w->n, sizeof *before),
                       *after = arena_array(a, w->n, sizeof *after);
    if (w->n && (!before || !after))
        return err_set(ei, ERR_LIMIT, NULL, "the plan is too large");
    for (size_t i = 0; i < w->n; i++)
        if (w->cmdlet->action != PLAN_SET ||
            !change_equal(w->v[i].property, &w->v[i].before, &w->v[i].after)) {
            before[n] = w->v[i].before;
            after[n++] = w->v[i].after;
        }
    s->before = before;
    s->after = after;
    s->n_before = s->n_after = n;
    return ERR_OK;
}

/* Enable-OutlookAnywhere has mandatory parameters (cmdlets.md 2.3): a value the directory has not must be given all the same. */
static enum err enable_again(struct cmdlet *c, const struct watches *w)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct watch *x = &w->v[i];
        if (x->property == &plan_exists)
            continue;
        if (x->before.is_null && x->property->kind != PROPERTY_FLAG)
            continue;
        enum err e = change_to_param(c, x->property, &x->before);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static enum err build_inverse(struct cmdlet *c, struct arena *a, const struct plan_step *s,
                              const struct watches *w)
{
    const struct cmdlet_param *target = cmdlet_param(&s->cmdlet, w->cmdlet->target);
    char name[256], identity[600];
    if (!target || target->value.kind != CMDLET_STRING)
        return ERR_INPUT;
    switch (w->cmdlet->action) {
    case PLAN_ENABLE:
        if (!dn_rdn(w->dn, name, sizeof name) ||
            !str_fmt(identity, sizeof identity, "%s\\%s", s->server, name))
            return ERR_INPUT;
        cmdlet_init(c, a, "Disable-OutlookAnywhere");
        (void)cmdlet_string(c, "Identity", identity);
        /* It asks before it removes, and -NonInteractive has nobody to answer. */
        (void)cmdlet_bool(c, "Confirm", false);
        break;
    case PLAN_DISABLE:
        cmdlet_init(c, a, "Enable-OutlookAnywhere");
        (void)cmdlet_string(c, "Server", s->server);
        if (enable_again(c, w) != ERR_OK)
            return ERR_INPUT;
        break;
    case PLAN_SET:
        cmdlet_init(c, a, w->cmdlet->name);
        (void)cmdlet_string(c, w->cmdlet->target, target->value.strings[0]);
        for (size_t i = 0; i < w->n; i++)
            if (change_to_param(c, w->v[i].property, &w->v[i].before) != ERR_OK)
                return c->failed != ERR_OK ? c->failed : ERR_INPUT;
        break;
    }
    return c->failed;
}

enum err step_inverse(struct cmdlet *out, struct arena *a, const struct plan_step *s, const struct watches *w,
                      struct errinfo *ei)
{
    struct cmdlet c = {0};
    enum err e = build_inverse(&c, a, s, w);
    if (e != ERR_OK)
        return err_set(ei, e, "change it by hand on the server", "no cmdlet could put %s back", w->dn);
    *out = c;
    return ERR_OK;
}

bool step_shows_on_wire(const struct watches *w)
{
    if (w->cmdlet->object != PLAN_OBJECT_VDIR || w->cmdlet->protocol != PROTOCOL_OA ||
        w->cmdlet->action == PLAN_DISABLE)
        return false;
    for (size_t i = 0; i < w->n; i++)
        if (str_eq(w->v[i].property->name, "iis_auth"))
            return w->cmdlet->action == PLAN_ENABLE ||
                   !change_equal(w->v[i].property, &w->v[i].before, &w->v[i].after);
    return false;
}
