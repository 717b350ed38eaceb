#include "core/report/accept.h"

#include "core/base/str.h"
#include "core/rules/rules.h"

static const struct acceptance *find(const acceptances *list, const struct finding *f,
                                     const char *organization, int64_t now)
{
    for (size_t i = list->n; i > 0; i--) { /* the latest word counts */
        const struct acceptance *a = &list->v[i - 1];
        if (str_eq(a->rule, f->id) && str_ieq(a->organization, organization) &&
            (!a->server || str_ieq(a->server, f->server)) && (!a->until || a->until > now))
            return a;
    }
    return NULL;
}

enum err accept_apply(struct findings *f, const acceptances *list, const char *organization, int64_t now,
                      struct errinfo *ei)
{
    if (!list->n)
        return ERR_OK;
    for (size_t i = 0; i < f->found.n; i++) {
        const struct acceptance *a = find(list, &f->found.v[i], organization, now);
        if (!a)
            continue;
        struct accepted copy = {arena_str(&f->arena, a->by), arena_str(&f->arena, a->reason), a->until};
        f->found.v[i].accepted = arena_dup(&f->arena, &copy, sizeof copy);
        if (!copy.by || !copy.reason || !f->found.v[i].accepted)
            return err_set(ei, ERR_NOMEM, NULL, "no memory for the accepted findings");
    }
    f->verdict = rules_verdict(f);
    return ERR_OK;
}
