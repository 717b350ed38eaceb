/*
 * spn-unique where somebody looked the owners up: the audit of core/audit judges, this says so in findings.
 */
#include "core/rules/rules_int.h"

#include "core/base/str.h"

#include <string.h>

static const char *owner_text(struct rule_run *run, const struct spn_owner *o)
{
    return rule_text(run, "%s owns %s", o->account->account ? o->account->account : o->account->dn, o->spn);
}

static void prove_owners(struct rule_run *run, struct draft *d, const struct spn_row *r, const char *expected)
{
    for (size_t i = 0; i < r->n_owners; i++)
        draft_prove(run, d, EVIDENCE_DIRECTORY,
                    rule_text(run, "%s servicePrincipalName", r->owners[i].account->dn),
                    owner_text(run, &r->owners[i]), expected, run->names.at);
    if (!r->n_owners)
        draft_prove(run, d, EVIDENCE_DIRECTORY, rule_text(run, "servicePrincipalName=http/%s", r->name),
                    "on no account", expected, run->names.at);
}

static const char *owners_text(struct rule_run *run, const struct spn_row *r)
{
    const char *text = "";
    for (size_t i = 0; i < r->n_owners && i < 4; i++)
        text = rule_text(run, "%s%s%s", text, i ? ", " : "",
                         r->owners[i].account->account ? r->owners[i].account->account
                                                       : r->owners[i].account->dn);
    return text;
}

/* The KDC answered for this name: whoever owns it, it is one account. */
static bool ticket_speaks_for(const struct spn_row *r)
{
    return r->ticket && (r->ticket->outcome == OUTCOME_OK ||
                         (r->ticket->outcome == OUTCOME_FAILED && r->ticket->u.ticket.etype));
}

static void found(struct rule_run *run, const struct spn_row *r)
{
    struct draft d;
    draft_init(&d, run, r->server);
    prove_owners(run, &d, r,
                 r->server ? "on the server's own account only (HOST serves)" : "on one account only");
    switch (r->state) {
    case SPN_DUPLICATE:
        rule_found(run, &d,
                   "http/%s is owned by several accounts (%s): the KDC gives no ticket for it, or one that "
                   "cannot be read; %s",
                   r->name, owners_text(run, r),
                   r->server ? "proxied connections fail" : "clients fall back to NTLM or fail");
        break;
    case SPN_FOREIGN:
        rule_found(run, &d,
                   "http/%s belongs to %s and not to %s: tickets for it cannot be read there, and proxied "
                   "connections "
                   "fail",
                   r->name, owners_text(run, r), r->server->name);
        break;
    default:
        if (r->server) {
            rule_found(run, &d, "no account owns http/%s or HOST/%s: %s gets no ticket for %s", r->name,
                       r->name, rule_arriving_text(run), r->server->name);
        } else {
            /* NTLM goes on working: staying with it is a choice (migration.md G16) */
            d.f.severity = SEVERITY_WARNING;
            rule_found(run, &d,
                       "no account owns http/%s: clients that come by this name cannot use Kerberos and stay "
                       "on NTLM",
                       r->name);
        }
    }
}

bool service_names_judge(struct rule_run *run, const struct spn_row *r)
{
    switch (r->state) {
    case SPN_UNKNOWN: return false;
    case SPN_DUPLICATE:
    case SPN_FOREIGN: found(run, r); return true;
    case SPN_MISSING:
        if (ticket_speaks_for(r))
            break; /* another domain's account, not seen from here */
        if (!run->names.whole_forest)
            rule_unknown(run, r->server,
                         "no account owns http/%s in what was searched, which is not the whole forest",
                         r->name);
        else
            found(run, r);
        return true;
    case SPN_OK:
    case SPN_ALIAS:
        if (!run->names.whole_forest && !ticket_speaks_for(r)) {
            rule_unknown(run, r->server,
                         "one account owns http/%s (%s) in what was searched, which is not the whole forest, "
                         "and no ticket "
                         "shows that it is the only one",
                         r->name, owners_text(run, r));
            return true;
        }
        break;
    }
    if (r->server)
        rule_pass(run, r->server);
    return true;
}

const struct spn_row *service_names_row(const struct rule_run *run, const char *host, size_t len)
{
    for (size_t i = 0; i < run->names.n_rows; i++)
        if (run->names.rows[i].state != SPN_UNKNOWN && strlen(run->names.rows[i].name) == len &&
            str_incmp(run->names.rows[i].name, host, len) == 0)
            return &run->names.rows[i];
    return NULL;
}

/* Namespaces that were looked up: those of no server. */
bool service_names_audit(struct rule_run *run)
{
    const struct evidence *e = run->in->evidence;
    size_t n = 0;
    const char **names = arena_array(&run->scratch, e->items.n + 1, sizeof *names);
    for (size_t i = 0; names && i < e->items.n; i++) {
        const struct observation *o = &e->items.v[i];
        bool known = false;
        if (o->kind != OBSERVATION_SPN || o->server || !o->by_name)
            continue;
        for (size_t k = 0; k < n && !known; k++)
            known = str_ieq(names[k], o->by_name);
        if (!known)
            names[n++] = o->by_name;
    }
    const struct spn_input in = {
        .org = run->in->org, .evidence = e, .namespaces = names, .n_namespaces = n, .now = run->in->now};
    return names && spn_audit(&in, &run->names, NULL) == ERR_OK;
}
