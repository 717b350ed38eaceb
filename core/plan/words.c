/* What a step means, in words: when it takes effect and what it interrupts. Sources: cmdlets.md 2.3, 5, 7.1; migration.md 3. */
#include "core/plan/plan_int.h"

#include "core/base/str.h"

static bool changes(const struct watches *w, const char *property)
{
    for (size_t i = 0; i < w->n; i++)
        if (str_eq(w->v[i].property->name, property))
            return !change_equal(w->v[i].property, &w->v[i].before, &w->v[i].after);
    return false;
}

static bool changes_iis(const struct watches *w)
{
    return changes(w, "iis_auth") || changes(w, "ssl_offloading");
}

bool step_waits_for_service(const struct watches *w)
{
    return w->cmdlet->object == PLAN_OBJECT_VDIR && w->cmdlet->protocol == PROTOCOL_OA &&
           (w->cmdlet->action != PLAN_SET || changes_iis(w));
}

/* Of the first such parameter; the others of a cmdlet are of the same kind. */
static const struct property *unsure(const struct watches *w)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct watch *x = &w->v[i];
        if (x->property->note &&
            (w->cmdlet->action != PLAN_SET || !change_equal(x->property, &x->before, &x->after)))
            return x->property;
    }
    return NULL;
}

bool step_describe(struct plan_step *s, struct arena *a, const struct watches *w, unsigned generation)
{
    s->takes_effect = step_takes_effect(w, s->n_nudges > 0);
    s->impact = arena_fmt(a, "%s%s", step_impact(w), nudge_interrupts(s, a));
    const struct property *p = unsure(w);
    const char *no_page = w->cmdlet->assumed & generation
                              ? "that the cmdlet has these parameters in this version is assumed."
                              : NULL;
    if (p)
        s->note = arena_fmt(a, "-%s and %s: %s%s%s", p->parameter, p->attribute, p->note,
                            no_page ? " And " : "", no_page ? no_page : "");
    else if (no_page)
        s->note = arena_fmt(a, "%s: %s", w->cmdlet->name, no_page);
    return s->impact && !a->failed;
}

const char *step_takes_effect(const struct watches *w, bool nudged)
{
    if (nudged)
        return "when the nudge has run, a minute or so; without it within 15 min";
    switch (w->cmdlet->object) {
    case PLAN_OBJECT_SCP: return "when the directory has replicated and a client asks Autodiscover again";
    case PLAN_OBJECT_RPC: return "for connections made after the RPC Client Access service has read it again";
    case PLAN_OBJECT_VDIR: break;
    }
    if (w->cmdlet->protocol != PROTOCOL_OA)
        return "URLs when a client asks Autodiscover again; authentication after iisreset /noforce on the "
               "server";
    if (w->cmdlet->action == PLAN_ENABLE)
        return "within 15 min, or when the service is asked; up to an hour where the directory replicates "
               "slowly";
    if (w->cmdlet->action == PLAN_DISABLE || changes_iis(w))
        return "within 15 min, or when the service is asked";
    return "when a client asks Autodiscover again";
}

const char *step_impact(const struct watches *w)
{
    if (w->cmdlet->object == PLAN_OBJECT_RPC)
        return "Outlook profiles without encryption are refused while it is required (Outlook 2003's "
               "default).";
    if (w->cmdlet->object == PLAN_OBJECT_SCP)
        return "Nothing is interrupted; Outlook in the domain asks the new address from then on.";
    if (w->cmdlet->protocol != PROTOCOL_OA)
        return "Clients learn the new URL; an iisreset drops the connections of that server.";
    if (w->cmdlet->action == PLAN_ENABLE)
        return "Nothing is interrupted: this server begins to offer Outlook Anywhere. Autodiscover hands"
               " the name to the mailboxes of its site.";
    if (w->cmdlet->action == PLAN_DISABLE)
        return "Outlook Anywhere through this server ends.";
    if (changes_iis(w) && (changes(w, "client_auth") || changes(w, "external_hostname")))
        return "IIS reads the settings of /rpc again: Outlook Anywhere connections of this server may "
               "reconnect"
               " once; clients learn the rest from Autodiscover.";
    if (changes_iis(w))
        return "IIS reads the settings of /rpc again: Outlook Anywhere connections of this server may "
               "reconnect"
               " once. What clients are told stays as it is.";
    return "Nothing is interrupted; clients learn it from Autodiscover.";
}

void plan_outcome_text(const struct plan_outcome *o, char *out, size_t cap)
{
    str_fmt(out, cap, "%u done, %u failed, %u put back, %u not begun, %u unfinished", o->done, o->failed,
            o->undone, o->skipped, o->unfinished);
}
