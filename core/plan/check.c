/* What a step must be before it is believed: a plan file may have been edited, or made for something else. */
#include "core/plan/plan_int.h"

#include "core/base/str.h"

#include <string.h>

static enum err check_generations(const struct plan_step *s, const struct watches *w, unsigned generations,
                                  struct errinfo *ei)
{
    unsigned left = generations & w->cmdlet->generations;
    if (!left)
        return err_set(ei, ERR_INPUT, "plan again", "%s does not exist in this version of Exchange",
                       s->cmdlet.name);
    for (size_t i = 0; i < s->cmdlet.n_params; i++) {
        const struct property *p = plan_parameter(w->cmdlet, s->cmdlet.params[i].name);
        if (!p)
            continue; /* the target, or -Confirm */
        left &= p->generations;
        if (!left)
            return err_set(ei, ERR_INPUT, "plan again", "%s has no -%s in this version of Exchange",
                           s->cmdlet.name, s->cmdlet.params[i].name);
    }
    return ERR_OK;
}

static enum err check_target(const struct plan_step *s, const struct watches *w, struct errinfo *ei)
{
    const struct cmdlet_param *p = cmdlet_param(&s->cmdlet, w->cmdlet->target);
    char rdn[256];
    if (!p || p->value.kind != CMDLET_STRING)
        return err_set(ei, ERR_INPUT, "plan again", "%s needs -%s 'text'", s->cmdlet.name, w->cmdlet->target);
    const char *identity = p->value.strings[0];
    size_t server = strlen(s->server);
    bool vdir = w->cmdlet->object == PLAN_OBJECT_VDIR && w->cmdlet->action != PLAN_ENABLE;
    bool own = vdir ? strlen(identity) > server && str_incmp(identity, s->server, server) == 0 &&
                          identity[server] == '\\'
                    : str_ieq(identity, s->server);
    if (!own)
        return err_set(ei, ERR_INPUT, "one step changes one server",
                       "-%s '%s' is not on the step's server %s", p->name, identity, s->server);
    if (!dn_rdn(w->dn, rdn, sizeof rdn))
        return err_set(ei, ERR_INPUT, "plan again", "'%s' is no distinguished name", w->dn);
    if (vdir && !str_ieq(rdn, identity + server + 1))
        return err_set(ei, ERR_INPUT, "plan again", "-%s '%s' is not the object of the preconditions, %s",
                       p->name, identity, w->dn);
    return ERR_OK;
}

static enum err check_confirm(const struct plan_step *s, const struct watches *w, struct errinfo *ei)
{
    const struct cmdlet_param *p = cmdlet_param(&s->cmdlet, "Confirm");
    if (w->cmdlet->action != PLAN_DISABLE)
        return ERR_OK; /* an unknown parameter there: step_watches has refused it */
    if (s->cmdlet.n_params != 2 || !p || p->value.kind != CMDLET_BOOL || p->value.flag)
        return err_set(ei, ERR_INPUT, "nobody is there to answer its question",
                       "%s must have -%s and -Confirm:$false, and nothing else", s->cmdlet.name,
                       w->cmdlet->target);
    return ERR_OK;
}

static enum err same_text(const struct cmdlet *a, const struct cmdlet *b, bool *same, struct errinfo *ei)
{
    struct buf x, y;
    buf_init(&x, PLAN_MAX_TEXT);
    buf_init(&y, PLAN_MAX_TEXT);
    enum err e = cmdlet_text(&x, a, ei);
    if (e == ERR_OK)
        e = cmdlet_text(&y, b, ei);
    *same = e == ERR_OK && str_ieq(buf_str(&x), buf_str(&y));
    buf_fini(&x);
    buf_fini(&y);
    return e;
}

static enum err check_inverse(const struct plan_step *s, const struct watches *w, struct arena *a,
                              struct errinfo *ei)
{
    struct cmdlet wanted = {0};
    bool same = false;
    enum err e = step_inverse(&wanted, a, s, w, ei);
    if (e == ERR_OK)
        e = same_text(&wanted, &s->inverse, &same, ei);
    if (e != ERR_OK || same)
        return e;
    struct buf b;
    buf_init(&b, PLAN_MAX_TEXT);
    e = cmdlet_text(&b, &wanted, ei);
    if (e == ERR_OK) {
        e = err_set(ei, ERR_INPUT, NULL, "the inverse does not restore what was before");
        err_hint(ei, "it would be: %s", buf_str(&b));
    }
    buf_fini(&b);
    return e;
}

static enum err check_changes(const struct plan_step *s, const struct watches *w, struct arena *a,
                              struct errinfo *ei)
{
    struct plan_step derived = *s;
    enum err e = step_derive(&derived, a, w, ei);
    if (e != ERR_OK)
        return e;
    if (!derived.n_after)
        return err_set(ei, ERR_INPUT, "leave it out", "the step changes nothing");
    const struct {
        const char *name, *follows;
        const struct plan_change *given, *wanted;
        size_t n;
    } sides[] = {{"before", "the preconditions", s->before, derived.before, s->n_before},
                 {"after", "the cmdlet", s->after, derived.after, s->n_after}};
    for (size_t k = 0; k < ARRAY_LEN(sides); k++) {
        json_t *given = changes_to_json(sides[k].given, sides[k].n);
        json_t *wanted = changes_to_json(sides[k].wanted, derived.n_after);
        if (!given || !wanted)
            e = err_set(ei, ERR_NOMEM, NULL, "no memory for a plan");
        else if (!json_equal(given, wanted))
            e = err_set(ei, ERR_INPUT, "plan again; or edit both", "%s does not follow from %s",
                        sides[k].name, sides[k].follows);
        json_decref(given);
        json_decref(wanted);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

enum err step_check(const struct plan_step *s, unsigned generations, struct watches *w, struct arena *a,
                    struct errinfo *ei)
{
    enum err e = step_watches(w, a, s, ei);
    if (e == ERR_OK)
        e = check_generations(s, w, generations, ei);
    if (e == ERR_OK)
        e = check_target(s, w, ei);
    if (e == ERR_OK)
        e = check_confirm(s, w, ei);
    if (e == ERR_OK)
        e = check_changes(s, w, a, ei);
    if (e == ERR_OK)
        e = check_inverse(s, w, a, ei);
    if (e == ERR_OK)
        e = nudge_check(s, w, generations, ei);
    if (e == ERR_OK && !s->verify_directory)
        e = err_set(ei, ERR_INPUT, "\"verify\": [\"directory\"] at least", "the step is not verified");
    if (e == ERR_OK && s->verify_wire && !step_shows_on_wire(w))
        e = err_set(ei, ERR_INPUT, "\"verify\": [\"directory\"]",
                    "the wire does not show what this step changes");
    return e;
}
