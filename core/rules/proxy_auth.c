/*
 * Web services and Autodiscover of 2010: the new CAS passes both on with Kerberos and nothing else (routing.md 3), as it does Outlook
 * Anywhere. Forms in front of OWA and ECP are left out: whether the hop wants Windows authentication beside them nobody has confirmed.
 */
#include "core/rules/rules_int.h"

#include "core/base/str.h"

/* An answer on the wire that shows the methods; NULL. */
static const struct observation *seen_methods(const struct rule_run *run, const struct vdir *v)
{
    const struct observation *o =
        facts_newest(run, v->server->name, OBSERVATION_CHALLENGE, v->protocol, NULL);
    return o && (o->outcome == OUTCOME_OK || o->outcome == OUTCOME_FAILED) && o->u.challenge.status == 401
               ? o
               : NULL;
}

/* IIS answers by its own settings: where they were seen, what the directory says of them proves nothing (auth-drift tells of it). */
static void judge_one(struct rule_run *run, const struct vdir *v, bool *found, const struct vdir **open)
{
    const struct server *s = v->server;
    enum tri holds = judge_has_windows(v);
    const struct observation *wire = seen_methods(run, v);
    struct draft d;
    if (wire && wire->u.challenge.offered & (AUTH_NEGOTIATE | AUTH_KERBEROS))
        return;
    if (holds == TRI_UNKNOWN)
        *open = v;
    if (holds != TRI_NO && !wire)
        return;
    *found = true;
    draft_init(&d, run, s);
    if (holds == TRI_NO)
        draft_prove_attribute(
            run, &d, v->dn, "msExchInternalAuthenticationMethods",
            rule_text(run, "%s (%lld)", rule_auth_text(run, v->iis_auth), (long long)v->iis_auth_raw),
            rule_auth_text(run, v->iis_auth | AUTH_WINDOWS));
    if (wire)
        draft_prove_observation(
            run, &d, wire,
            wire->u.challenge.offered
                ? rule_text(run, "401, offers %s", rule_auth_text(run, wire->u.challenge.offered))
                : "401, offers nothing",
            "401, offers negotiate");
    if (holds == TRI_NO)
        d.f.fix = fix_windows_auth(run, v);
    rule_found(run, &d,
               "%s of %s offers no Windows authentication%s: %s logs on there with Kerberos for %s and gets "
               "401",
               protocol_words(v->protocol), s->name, holds == TRI_NO ? "" : " on the wire",
               rule_arriving_text(run), rule_place_text(run, s));
}

void judge_proxy_auth(struct rule_run *run)
{
    static const enum protocol protocols[] = {PROTOCOL_EWS, PROTOCOL_AUTODISCOVER};
    for (size_t i = 0; i < run->facts.n_legacy; i++) {
        const struct server *s = run->facts.legacy[i];
        const struct vdir *open = NULL;
        bool found = false, any = false;
        if (s->generation != GENERATION_2010)
            continue; /* clients of a 2007 mailbox are told the 2007 server's own URL */
        for (size_t k = 0; k < ARRAY_LEN(protocols); k++) {
            const struct vdir *v = server_vdir(s, protocols[k]);
            any |= v != NULL;
            if (v)
                judge_one(run, v, &found, &open);
        }
        if (found || !any)
            continue;
        if (open)
            rule_unknown(run, s, "msExchInternalAuthenticationMethods of %s is %s: see what the wire offers",
                         open->name, open->has_iis_auth ? "0" : "absent");
        else
            rule_pass(run, s);
    }
}
