/*
 * auth-drift: three witnesses of one virtual directory - the directory (what should be), IIS as read from its file, the wire.
 *
 * Classes, and how they are told apart (admin-tools.md 7.2, cmdlets.md 7):
 * - benign: another spelling of the same thing (order, Ntlm for WindowsIntegrated, Fba which is no IIS switch). Passed.
 * - pending: /rpc, and the directory changed less than two polling intervals before the server was seen. One interval for the
 *   poll of RpcHttpConfigurator, one for the change to replicate to the domain controller that it reads.
 * - will-be-overwritten: /rpc, and the directory has been as it is for longer. Then IIS had its chance to follow, so somebody edited
 *   IIS since: the next poll puts the directory's methods back, whether the edit added a method or took one away. One look
 *   cannot prove that the service polls at all, and the summary says so.
 * - stuck: nothing will mend it. Either proof that nothing polls: the same difference seen twice, more than two intervals
 *   apart and both after the change, or the host's own word (an observation of step "rpchttp-configurator" that failed); or IIS already
 *   has the directory's methods and the wire is still old (application pool not recycled); or the virtual directory
 *   is not /rpc, which no service copies anything to; or the Negotiate provider is gone, which is no switch of the directory.
 */
#include "core/rules/rules_int.h"

#include "core/base/str.h"

#define HTTP_METHODS (AUTH_BASIC | AUTH_NTLM | AUTH_NEGOTIATE | AUTH_DIGEST)

/* What one witness says, in the directory's terms. */
struct witness {
    const struct observation *o;
    auth_set methods; /* HTTP_METHODS */
    bool anonymous;
};

/* Windows authentication is one switch that shows as Negotiate, NTLM or both. */
static auth_set folded(auth_set methods)
{
    auth_set windows = methods & (AUTH_NEGOTIATE | AUTH_NTLM);
    return (methods & (AUTH_BASIC | AUTH_DIGEST)) | (windows ? AUTH_NEGOTIATE | AUTH_NTLM : 0);
}

/* False when the answer does not show the methods: not 401 and not anonymous, or forms authentication in front. */
static bool wire_witness(const struct vdir *v, const struct observation *o, struct witness *w)
{
    if (o->kind != OBSERVATION_CHALLENGE || o->protocol != v->protocol || o->outcome == OUTCOME_ERROR ||
        o->outcome == OUTCOME_SKIPPED || judge_has_fba(v) == TRI_YES)
        return false;
    bool anonymous = o->u.challenge.anonymous;
    if (o->u.challenge.status != 401 && !anonymous)
        return false;
    *w = (struct witness){o, o->u.challenge.offered & HTTP_METHODS, anonymous};
    return true;
}

static bool iis_witness(const struct vdir *v, const struct observation *o, struct witness *w)
{
    if (o->kind != OBSERVATION_IIS || o->protocol != v->protocol || o->outcome != OUTCOME_OK)
        return false;
    auth_set m = (o->u.iis.basic ? AUTH_BASIC : 0) | (o->u.iis.digest ? AUTH_DIGEST : 0);
    /* no provider at all is how an empty list reads: the inherited ones, both */
    bool listed = o->u.iis.has_providers && o->u.iis.providers;
    if (o->u.iis.windows &&
        (!listed || o->u.iis.providers & (IIS_PROVIDER_NEGOTIATE | IIS_PROVIDER_KERBEROS)))
        m |= AUTH_NEGOTIATE;
    if (o->u.iis.windows && (!listed || o->u.iis.providers & IIS_PROVIDER_NTLM))
        m |= AUTH_NTLM;
    *w = (struct witness){o, m, o->u.iis.anonymous};
    return true;
}

static bool differs(const struct vdir *v, const struct witness *w)
{
    auth_set expected = auth_expected_challenge(v->iis_auth);
    if (w->anonymous && w->o->kind == OBSERVATION_CHALLENGE)
        return !auth_expects_anonymous(v->iis_auth) && !(v->iis_auth & AUTH_FBA);
    if (folded(w->methods) != folded(expected))
        return true;
    /* Kerberos travels by Negotiate: NTLM alone is Windows authentication with its first provider removed */
    return v->protocol == PROTOCOL_OA && (expected & AUTH_NEGOTIATE) && !(w->methods & AUTH_NEGOTIATE);
}

/* Newest of each kind, and the oldest wire difference after the directory's last change: what proves that nothing polls. */
struct sight {
    struct witness wire, iis;
    bool has_wire, has_iis;
    int64_t first_seen; /* of a difference on the wire, 0 none */
    bool stopped;       /* the host says that the configurator does not run */
    const struct observation *host;
};

static void look(struct observations all, const struct vdir *v, struct sight *s)
{
    *s = (struct sight){0};
    for (size_t i = 0; i < all.n; i++) {
        const struct observation *o = all.v[i];
        struct witness w;
        if (o->source == EVIDENCE_HOST && o->outcome == OUTCOME_FAILED &&
            str_eq(o->step, "rpchttp-configurator")) {
            s->stopped = true;
            s->host = o;
        }
        if (iis_witness(v, o, &w) && (!s->has_iis || o->at > s->iis.o->at)) {
            s->iis = w;
            s->has_iis = true;
        }
        if (!wire_witness(v, o, &w))
            continue;
        if (!s->has_wire || o->at > s->wire.o->at) {
            s->wire = w;
            s->has_wire = true;
        }
        if (v->changed_at && o->at > v->changed_at && differs(v, &w) &&
            (!s->first_seen || o->at < s->first_seen))
            s->first_seen = o->at;
    }
}

static const char *class_of(struct rule_run *run, const struct vdir *v, const struct sight *s,
                            const struct witness *w, const char **why)
{
    int64_t poll = run->in->poll_interval_s > 0 ? run->in->poll_interval_s : 900, seen = w->o->at;
    bool providers = folded(w->methods) == folded(auth_expected_challenge(v->iis_auth)) && !w->anonymous;
    if (v->protocol != PROTOCOL_OA) {
        *why = "no service copies the directory's methods to this virtual directory: set it again with its "
               "cmdlet";
        return "stuck";
    }
    if (providers) {
        *why = "Windows authentication is on but its provider Negotiate is missing in IIS, and no cmdlet "
               "writes providers";
        return "stuck";
    }
    if (v->changed_at && seen < v->changed_at + 2 * poll) {
        *why = rule_text(run, "the directory changed at %s; IIS follows by %s",
                         rule_time_text(run, v->changed_at), rule_time_text(run, v->changed_at + 2 * poll));
        return "pending";
    }
    if (s->stopped) {
        *why = "the server says that RpcHttpConfigurator does not run: start MSExchangeServiceHost, or set "
               "PeriodicPollingMinutes";
        return "stuck";
    }
    if (s->has_iis && s->has_wire && w->o == s->wire.o && !differs(v, &s->iis) &&
        s->iis.o->at >= v->changed_at) {
        *why = "IIS already has the directory's methods and the wire does not: recycle "
               "MSExchangeRpcProxyAppPool";
        return "stuck";
    }
    if (s->first_seen && seen - s->first_seen > 2 * poll) {
        *why = rule_text(
            run,
            "the same difference was seen at %s: nothing polls; see whether MSExchangeServiceHost runs and "
            "PeriodicPollingMinutes is not 0",
            rule_time_text(run, s->first_seen));
        return "stuck";
    }
    *why = rule_text(run,
                     "the directory did not change lately, so IIS was edited by hand: the next poll puts the "
                     "directory's methods "
                     "back, unless MSExchangeServiceHost is stopped (look again after %s)",
                     rule_time_text(run, seen + 2 * poll));
    return "will-be-overwritten";
}

static const char *seen_text(struct rule_run *run, const struct witness *w)
{
    return w->anonymous && w->o->kind == OBSERVATION_CHALLENGE ? "lets anonymous requests in"
                                                               : rule_auth_text(run, w->methods);
}

static void drift_found(struct rule_run *run, const struct vdir *v, const struct sight *s,
                        const struct witness *w)
{
    auth_set expected = auth_expected_challenge(v->iis_auth);
    const char *why = "", *want = rule_auth_text(run, expected);
    struct draft d;
    draft_init(&d, run, v->server);
    d.f.drift_class = class_of(run, v, s, w, &why);
    draft_prove_attribute(
        run, &d, v->dn, "msExchInternalAuthenticationMethods", rule_auth_text(run, v->iis_auth),
        rule_text(run, "%s offers %s", w->o->kind == OBSERVATION_IIS ? "IIS" : "the wire", want));
    if (s->has_wire)
        draft_prove_observation(run, &d, s->wire.o, seen_text(run, &s->wire), want);
    if (s->has_iis)
        draft_prove_observation(run, &d, s->iis.o, seen_text(run, &s->iis), want);
    if (s->host)
        draft_prove_observation(run, &d, s->host, s->host->detail, "RpcHttpConfigurator runs");
    rule_found(run, &d, "%s: %s of %s %s %s where the directory means %s: %s", d.f.drift_class,
               protocol_words(v->protocol), v->server->name,
               w->o->kind == OBSERVATION_IIS ? "has in IIS" : "offers on the wire", seen_text(run, w), want,
               why);
}

/* What may be compared: a virtual directory whose methods the directory knows and that mean something to IIS. */
static bool is_comparable(const struct vdir *v)
{
    return !v->back_end && v->has_iis_auth && auth_expected_challenge(v->iis_auth) != 0;
}

static const char *why_not_compared(struct rule_run *run, const struct server *server)
{
    const struct observation *o =
        facts_newest(run, server->name, OBSERVATION_CHALLENGE, PROTOCOL_UNKNOWN, NULL);
    if (o && (o->outcome == OUTCOME_OK || o->outcome == OUTCOME_FAILED))
        return "what it answered to anonymous requests shows no methods to compare";
    return rule_why_unseen(run, o, "answer to an anonymous request");
}

static void drift_of(struct rule_run *run, const struct server *server)
{
    bool compared = false, found = false, known = false, stale = false;
    struct observations all = facts_of(run, server->name);
    for (size_t i = 0; i < server->n_vdirs; i++) {
        const struct vdir *v = server->vdirs[i];
        struct sight s;
        if (!is_comparable(v))
            continue;
        known = true;
        look(all, v, &s);
        const struct witness *w = s.has_wire && differs(v, &s.wire) ? &s.wire
                                  : s.has_iis && differs(v, &s.iis) ? &s.iis
                                                                    : NULL;
        if (w && v->changed_at && w->o->at < v->changed_at) {
            stale = true; /* seen before the directory changed: says nothing about what is there now */
            continue;
        }
        if (w) {
            found = true;
            drift_found(run, v, &s, w);
        }
        compared |= s.has_wire || s.has_iis;
    }
    if (found)
        return;
    if (stale)
        rule_unknown(run, server, "the directory changed after the server was probed: probe it again");
    else if (compared)
        rule_pass(run, server);
    else if (known)
        rule_unknown(run, server, "%s", why_not_compared(run, server));
    else
        rule_unknown(run, server,
                     "the directory does not say which methods its virtual directories must offer");
}

void judge_auth_drift(struct rule_run *run)
{
    for (size_t i = 0; i < run->facts.n_cas; i++)
        drift_of(run, run->facts.cas[i]);
}
