/*
 * Nudges: commands that make a server take what the directory says at once instead of at its next reading. They change nothing that the
 * directory holds, so they have no inverse and nothing to verify; without them the same happens later. They are wanted, never a default.
 * Sources: cmdlets.md 7.1 (assumed, as the file says itself); admin-tools.md 2.4 and 7 (ExchangeDsc #21).
 */
#include "core/plan/plan_int.h"

#include "core/base/str.h"

#define G(x)  (1u << GENERATION_##x)
#define G2013 (G(2013) | G(2016) | G(2019) | G(SE))
#define G2007 (G(2007) | G(2010) | G2013)

/* In the order in which they are sent: the service writes IIS, then the pool reads it. */
static const struct nudge {
    const char *cmdlet, *parameter, *value;
    unsigned generations;
    const char *interrupts;
} nudges[] = {
    {"Restart-Service", "Name", "MSExchangeServiceHost", G2007,
     "The nudge restarts MSExchangeServiceHost: its other work (certificates, alternate service account) "
     "pauses for some seconds. That "
     "the restart makes it read the directory at once is assumed."},
    {"Restart-WebAppPool", "Name", "MSExchangeRpcProxyFrontEndAppPool", G2013,
     "The nudge recycles MSExchangeRpcProxyFrontEndAppPool: Outlook Anywhere connections of this server are "
     "dropped and made again."},
};

static const struct nudge *find(const struct cmdlet *c)
{
    for (size_t i = 0; i < ARRAY_LEN(nudges); i++) {
        const struct cmdlet_param *p = cmdlet_param(c, nudges[i].parameter);
        if (str_ieq(c->name, nudges[i].cmdlet) && c->n_params == 1 && p && p->value.kind == CMDLET_STRING &&
            str_ieq(p->value.strings[0], nudges[i].value))
            return &nudges[i];
    }
    return NULL;
}

enum err nudge_add(struct plan_step *s, struct arena *a, const struct watches *w, unsigned generation_bit)
{
    if (!step_waits_for_service(w))
        return ERR_OK;
    struct cmdlet *list = arena_array(a, ARRAY_LEN(nudges), sizeof *list);
    size_t n = 0;
    for (size_t i = 0; list && i < ARRAY_LEN(nudges); i++) {
        if (!(nudges[i].generations & generation_bit))
            continue;
        cmdlet_init(&list[n], a, nudges[i].cmdlet);
        enum err e = cmdlet_string(&list[n++], nudges[i].parameter, nudges[i].value);
        if (e != ERR_OK)
            return e;
    }
    if (!list)
        return ERR_LIMIT;
    s->nudges = list;
    s->n_nudges = n;
    return ERR_OK;
}

enum err nudge_check(const struct plan_step *s, const struct watches *w, unsigned generations,
                     struct errinfo *ei)
{
    if (s->n_nudges && !step_waits_for_service(w))
        return err_set(ei, ERR_INPUT, "leave \"nudge\" out",
                       "nothing of what the step changes waits for a service");
    for (size_t i = 0; i < s->n_nudges; i++) {
        const struct nudge *n = find(&s->nudges[i]);
        if (!n)
            return err_set(ei, ERR_INPUT, "casbridge pushes only cmdlets of its own table",
                           "%s is not a nudge that a plan may hold", s->nudges[i].name);
        if (!(n->generations & generations))
            return err_set(ei, ERR_INPUT, "plan again", "there is no %s in this version of Exchange",
                           n->value);
    }
    return ERR_OK;
}

const char *nudge_interrupts(const struct plan_step *s, struct arena *a)
{
    const char *text = "";
    for (size_t i = 0; text && i < s->n_nudges; i++) {
        const struct nudge *n = find(&s->nudges[i]);
        text = n ? arena_fmt(a, "%s %s", text, n->interrupts) : text;
    }
    return text;
}
