/*
 * Outlook Anywhere of the legacy CAS, all sites: the new CAS proxies every Outlook connection of an old mailbox to them and
 * speaks Kerberos only (routing.md 3, cmdlets.md 2.5).
 */
#include "core/rules/rules_int.h"

#include "core/base/str.h"

void judge_oa_enabled(struct rule_run *run)
{
    for (size_t i = 0; i < run->facts.n_legacy; i++) {
        const struct server *s = run->facts.legacy[i];
        if (judge_oa_is_enabled(s) == TRI_YES) {
            rule_pass(run, s);
            continue;
        }
        struct draft d;
        draft_init(&d, run, s);
        draft_prove(run, &d, EVIDENCE_DIRECTORY, rule_text(run, "CN=HTTP,CN=Protocols,%s", s->dn),
                    "no msExchRpcHttpVirtualDirectory below it", "one: Outlook Anywhere enabled",
                    run->in->org->taken_at);
        d.f.fix = fix_oa_enable(run, s);
        rule_found(
            run, &d,
            "Outlook Anywhere is not enabled on %s: %s will proxy Outlook Anywhere of %s to %s, which has "
            "none, "
            "and Outlook stays disconnected (404)%s",
            s->name, rule_arriving_text(run), rule_place_text(run, s), s->name,
            d.f.fix ? judge_is_2007_rtm(s)
                          ? "; 2007 RTM cannot be told its IIS methods, so bring it to a service pack first"
                          : ""
                    : "; the external host name to enable it with is not known: name the namespace");
    }
}

static void auth_found(struct rule_run *run, const struct server *s, const struct vdir *v)
{
    struct draft d;
    draft_init(&d, run, s);
    draft_prove_attribute(
        run, &d, v->dn, "msExchInternalAuthenticationMethods",
        rule_text(run, "%s (%lld)", rule_auth_text(run, v->iis_auth), (long long)v->iis_auth_raw),
        rule_text(run, "%s", rule_auth_text(run, v->iis_auth | AUTH_NTLM)));
    const struct observation *o = facts_newest(run, s->name, OBSERVATION_CHALLENGE, PROTOCOL_OA, NULL);
    if (o && o->outcome != OUTCOME_SKIPPED && o->outcome != OUTCOME_ERROR && o->u.challenge.status == 401)
        draft_prove_observation(run, &d, o,
                                rule_text(run, "401, offers %s", rule_auth_text(run, o->u.challenge.offered)),
                                "401, offers negotiate, ntlm");
    d.f.fix = fix_oa_auth(run, v);
    rule_found(
        run, &d,
        "Outlook Anywhere of %s lets IIS offer %s only: %s will proxy Outlook Anywhere of %s to %s with "
        "Kerberos, gets 401 "
        "for ever, and Outlook asks for the password again and again%s",
        s->name, rule_auth_text(run, v->iis_auth), rule_arriving_text(run), rule_place_text(run, s), s->name,
        judge_is_2007_rtm(s) ? "; 2007 RTM has no parameter for the IIS methods: install a service pack first"
        : d.f.fix            ? ""
                             : "; its methods cannot be written with Set-OutlookAnywhere as they are");
}

void judge_oa_iis_auth(struct rule_run *run)
{
    for (size_t i = 0; i < run->facts.n_legacy; i++) {
        const struct server *s = run->facts.legacy[i];
        const struct vdir *v = server_vdir(s, PROTOCOL_OA);
        if (!v)
            continue; /* oa-enabled speaks of it */
        enum tri holds = judge_oa_has_windows(v);
        if (holds == TRI_YES)
            rule_pass(run, s);
        else if (holds == TRI_NO)
            auth_found(run, s, v);
        else
            rule_unknown(run, s,
                         "msExchInternalAuthenticationMethods of %s is %s, and what this version makes of "
                         "that nobody has "
                         "confirmed: see what the wire offers",
                         v->name, v->has_iis_auth ? "0" : "absent");
    }
}

void judge_oa_external_hostname(struct rule_run *run)
{
    for (size_t i = 0; i < run->facts.n_legacy; i++) {
        const struct server *s = run->facts.legacy[i];
        const struct vdir *v = server_vdir(s, PROTOCOL_OA);
        if (!v)
            continue;
        const char *name = facts_oa_name(run, s);
        enum tri holds = judge_oa_has_name(v, run->facts.oa_names, run->facts.n_oa_names);
        if (holds == TRI_YES) {
            rule_pass(run, s);
            continue;
        }
        if (holds == TRI_UNKNOWN || !name) {
            rule_unknown(
                run, s,
                "the new CAS's Outlook Anywhere name is not known: no CAS of the new version publishes one "
                "and the profile names no namespace");
            continue;
        }
        struct draft d;
        draft_init(&d, run, s);
        draft_prove_attribute(run, &d, v->dn, "msExchExternalHostName",
                              v->external_hostname ? v->external_hostname : "absent", name);
        d.f.fix = fix_oa_hostname(run, v, name);
        rule_found(run, &d,
                   "Outlook Anywhere of %s is published as %s, not as %s: clients of %s are sent to a name "
                   "that the new CAS does not "
                   "answer, and %s is passed over when another CAS of its site fails",
                   s->name, v->external_hostname ? v->external_hostname : "nothing", name,
                   rule_place_text(run, s), s->name);
    }
}

/* What is wrong with an answer to the anonymous request; NULL when it is as it must be. */
static const char *wire_fault(struct rule_run *run, const struct server *s, const struct observation *o)
{
    int status = o->u.challenge.status;
    auth_set offered = o->u.challenge.offered;
    const char *proxy = rule_arriving_text(run), *place = rule_place_text(run, s);
    if (status == 401 && (offered & (AUTH_NEGOTIATE | AUTH_NTLM)))
        return NULL;
    if (status == 401 && offered == 0)
        return rule_text(run, "refuses with 401 but offers no authentication method at all");
    if (status == 401)
        return rule_text(run, "offers %s on the wire and neither Negotiate nor NTLM: %s cannot log on for %s",
                         rule_auth_text(run, offered), proxy, place);
    if (status == 404)
        return rule_text(
            run,
            "has no /rpc/rpcproxy.dll on the wire (404): %s takes it for dead, and Outlook of %s stays "
            "disconnected",
            proxy, place);
    if (o->u.challenge.anonymous || (status >= 200 && status < 300))
        return rule_text(run, "lets anonymous requests into /rpc/rpcproxy.dll (status %d)", status);
    if (status == 403)
        return rule_text(
            run,
            "forbids /rpc/rpcproxy.dll (403): it wants TLS in another form, a client certificate or another "
            "address");
    if (status >= 300 && status < 400)
        return rule_text(run, "redirects /rpc/rpcproxy.dll (status %d) where it must answer 401", status);
    return rule_text(
        run,
        "answers /rpc/rpcproxy.dll with status %d where it must answer 401, so that %s takes it for dead",
        status, proxy);
}

void judge_oa_wire(struct rule_run *run)
{
    for (size_t i = 0; i < run->facts.n_legacy; i++) {
        const struct server *s = run->facts.legacy[i];
        const struct observation *o = facts_newest(run, s->name, OBSERVATION_CHALLENGE, PROTOCOL_OA, NULL);
        if (!o || o->outcome == OUTCOME_ERROR || o->outcome == OUTCOME_SKIPPED ||
            o->u.challenge.status == 0) {
            rule_unknown(run, s, "%s", rule_why_unseen(run, o, "challenge of /rpc/rpcproxy.dll"));
            continue;
        }
        const char *fault = wire_fault(run, s, o);
        if (!fault) {
            rule_pass(run, s);
            continue;
        }
        const struct vdir *v = server_vdir(s, PROTOCOL_OA);
        struct draft d;
        draft_init(&d, run, s);
        draft_prove_observation(run, &d, o,
                                o->u.challenge.offered
                                    ? rule_text(run, "%d, offers %s", o->u.challenge.status,
                                                rule_auth_text(run, o->u.challenge.offered))
                                    : rule_text(run, "%d", o->u.challenge.status),
                                "401, offers negotiate, ntlm");
        /* the same cmdlet as the directory's rules propose: where the directory is already right, IIS is what must follow */
        if (!v)
            d.f.fix = fix_oa_enable(run, s);
        else if (judge_oa_has_windows(v) == TRI_NO)
            d.f.fix = fix_oa_auth(run, v);
        rule_found(run, &d, "%s %s", s->name, fault);
    }
}
