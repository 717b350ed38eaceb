/*
 * Kerberos: owners of service names, and what the KDC gives for them.
 */
#include "core/rules/rules_int.h"

#include "core/base/str.h"
#include "core/kerberos/kerberos.h"

#include <stdlib.h>
#include <string.h>

#define KDC_ERR_S_PRINCIPAL_UNKNOWN  7
#define KDC_ERR_PRINCIPAL_NOT_UNIQUE 8
#define KDC_ERR_ETYPE_NOSUPP         14

/* One http/ name of one account. */
struct owner {
    const char *host; /* what follows the slash, without instance parts */
    size_t len;
    const struct server *server;
};

static int compare_owners(const void *a, const void *b)
{
    const struct owner *x = a, *y = b;
    int d = str_incmp(x->host, y->host, x->len < y->len ? x->len : y->len);
    if (!d)
        d = (x->len > y->len) - (x->len < y->len);
    return d ? d : (x->server > y->server) - (x->server < y->server);
}

static bool same_host(const struct owner *x, const struct owner *y)
{
    return x->len == y->len && str_incmp(x->host, y->host, x->len) == 0;
}

/* All http/ names of the servers' accounts, sorted by host; n of them. NULL when there is no room. */
static struct owner *collect(struct rule_run *run, size_t *n)
{
    const struct org *org = run->in->org;
    size_t max = 0;
    for (size_t i = 0; i < org->n_servers; i++)
        max += org->servers[i].n_spns;
    struct owner *v = arena_array(&run->scratch, max, sizeof *v);
    *n = 0;
    if (!v) {
        run->failed = run->failed ? run->failed : ERR_LIMIT;
        return NULL;
    }
    for (size_t i = 0; i < org->n_servers; i++) {
        for (size_t k = 0; k < org->servers[i].n_spns; k++) {
            const char *spn = org->servers[i].spns[k];
            if (!str_istarts(spn, "http/"))
                continue;
            v[(*n)++] = (struct owner){spn + 5, strcspn(spn + 5, "/:"), &org->servers[i]};
        }
    }
    if (*n)
        qsort(v, *n, sizeof *v, compare_owners);
    return v;
}

/* The group of names equal to host; false when nobody owns it. */
static bool find(const struct owner *v, size_t n, const char *host, size_t *from, size_t *to)
{
    const struct owner key = {host, strlen(host), NULL};
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare_owners(&v[mid], &key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *from = *to = low;
    while (*to < n && same_host(&v[*to], &key))
        ++*to;
    return *to > *from;
}

/* Says found when another account than the server's own has HTTP/<fqdn>. */
static bool foreign_owner(struct rule_run *run, const struct server *s, const struct owner *v, size_t n)
{
    size_t from, to;
    const struct server *other = NULL;
    if (!s->fqdn || !find(v, n, s->fqdn, &from, &to))
        return false;
    for (size_t i = from; i < to; i++)
        if (v[i].server != s)
            other = v[i].server;
    if (!other)
        return false;
    struct draft d;
    draft_init(&d, run, s);
    draft_prove_attribute(run, &d, other->computer_dn, "servicePrincipalName",
                          rule_text(run, "HTTP/%s", s->fqdn),
                          rule_text(run, "only on the account of %s, or nowhere (HOST serves)", s->name));
    rule_found(run, &d,
               "HTTP/%s belongs to the account of %s: tickets for %s cannot be read there, and proxied "
               "connections fail",
               s->fqdn, other->name, s->name);
    return true;
}

/* Names of no server that several servers' accounts own: a namespace can have one account only. */
static void shared_names(struct rule_run *run, const struct owner *v, size_t n)
{
    for (size_t i = 0, next; i < n; i = next) {
        bool several = false, own = false;
        for (next = i; next < n && same_host(&v[i], &v[next]); next++) {
            several |= v[next].server != v[i].server;
            own |= v[next].server->fqdn && strlen(v[next].server->fqdn) == v[i].len &&
                   str_incmp(v[next].server->fqdn, v[i].host, v[i].len) == 0;
        }
        if (!several || own || service_names_row(run, v[i].host, v[i].len))
            continue;
        struct draft d;
        draft_init(&d, run, NULL);
        for (size_t k = i; k < next; k++)
            draft_prove_attribute(run, &d, v[k].server->computer_dn, "servicePrincipalName",
                                  rule_text(run, "HTTP/%.*s", (int)v[k].len, v[k].host),
                                  "on one account only");
        rule_found(run, &d,
                   "HTTP/%.*s is owned by several accounts: the KDC gives no ticket for it, and clients fall "
                   "back to NTLM or "
                   "fail",
                   (int)(v[i].len < 255 ? v[i].len : 255), v[i].host);
    }
}

static const struct observation *ticket_of(struct rule_run *run, const struct server *s)
{
    return facts_newest(run, s->name, OBSERVATION_TICKET, PROTOCOL_UNKNOWN, NULL);
}

/* rows are in the order of the servers: *from is where those before s ended. */
static const struct spn_row *row_of(const struct rule_run *run, const struct server *s, size_t *from)
{
    const struct spn_audit *a = &run->names;
    while (*from < a->n_rows && (!a->rows[*from].server || a->rows[*from].server < s))
        ++*from;
    const struct spn_row *r = *from < a->n_rows ? &a->rows[*from] : NULL;
    return r && r->server == s && r->state != SPN_UNKNOWN ? r : NULL;
}

void judge_spn_unique(struct rule_run *run)
{
    size_t n, n_names = 0, n_sound = 0, row = 0;
    const struct owner *v = collect(run, &n);
    if (!v)
        return;
    for (size_t i = 0; i < run->facts.n_cas; i++) {
        const struct server *s = run->facts.cas[i];
        const struct observation *o = ticket_of(run, s);
        const struct spn_row *looked_up = row_of(run, s, &row);
        if (!looked_up && foreign_owner(run, s, v, n))
            continue;
        if (o && o->outcome == OUTCOME_FAILED && o->u.ticket.error == KDC_ERR_PRINCIPAL_NOT_UNIQUE &&
            (!looked_up || looked_up->state == SPN_OK || looked_up->state == SPN_ALIAS)) {
            struct draft d;
            draft_init(&d, run, s);
            draft_prove_observation(run, &d, o, o->detail, "one owner");
            rule_found(run, &d,
                       "The KDC finds several owners of the service name of %s: find the second one with "
                       "setspn -F -Q",
                       s->name);
        } else if (looked_up) {
            (void)service_names_judge(run, looked_up);
        } else if (o && (o->outcome == OUTCOME_OK || (o->outcome == OUTCOME_FAILED && o->u.ticket.etype))) {
            rule_pass(run, s); /* a KDC issues a ticket for a name with one owner only */
        } else {
            rule_unknown(run, s,
                         "only the accounts of the Exchange servers were read: a ticket or a forest-wide "
                         "search will show whether another "
                         "account owns HTTP/%s too",
                         s->fqdn ? s->fqdn : s->name);
        }
    }
    for (size_t i = 0; i < run->names.n_rows; i++) {
        const struct spn_row *r = &run->names.rows[i];
        if (r->server || r->state == SPN_UNKNOWN)
            continue;
        size_t before = run->out->found.n + run->out->unknown.n;
        n_names++;
        n_sound += service_names_judge(run, r) && run->out->found.n + run->out->unknown.n == before;
    }
    if (n_names && n_sound == n_names)
        rule_pass(run, NULL);
    shared_names(run, v, n);
}

static const char *refusal(struct rule_run *run, const struct server *s, const struct observation *o)
{
    const char *name = s->fqdn ? s->fqdn : s->name;
    switch (o->u.ticket.error) {
    case KDC_ERR_S_PRINCIPAL_UNKNOWN:
        return rule_text(run,
                         "the KDC knows no HTTP/%s: neither that name nor HOST/%s is on an account, or two "
                         "accounts have it",
                         name, name);
    case KDC_ERR_PRINCIPAL_NOT_UNIQUE: return rule_text(run, "HTTP/%s has several owners", name);
    case KDC_ERR_ETYPE_NOSUPP:
        return rule_text(run, "the KDC and the account of HTTP/%s have no encryption type in common", name);
    default:
        return rule_text(run, "the KDC refuses a ticket for HTTP/%s (%s)", name,
                         o->detail ? o->detail : "no reason given");
    }
}

void judge_kerberos_ticket(struct rule_run *run)
{
    for (size_t i = 0; i < run->in->org->n_servers; i++) {
        const struct server *s = &run->in->org->servers[i];
        const struct observation *o = ticket_of(run, s);
        if (!o && !server_is_cas(s))
            continue;
        if (!o || (o->outcome != OUTCOME_OK && o->outcome != OUTCOME_FAILED)) {
            rule_unknown(run, s, "%s", rule_why_unseen(run, o, "service ticket"));
            continue;
        }
        bool weak = o->u.ticket.etype && krb_etype_is_weak(o->u.ticket.etype);
        if (o->outcome == OUTCOME_OK && !weak) {
            rule_pass(run, s);
            continue;
        }
        struct draft d;
        draft_init(&d, run, s);
        draft_prove_observation(run, &d, o,
                                weak        ? krb_etype_name(o->u.ticket.etype)
                                : o->detail ? o->detail
                                            : "refused",
                                "a ticket with an AES key");
        if (weak)
            rule_found(run, &d,
                       "The ticket for %s comes with %s: it stops being issued when that type is turned off; "
                       "the account needs AES keys "
                       "(msDS-SupportedEncryptionTypes, and a password set since)",
                       s->name, krb_etype_name(o->u.ticket.etype));
        else
            rule_found(run, &d, "No service ticket for %s: %s; %s cannot log on to it", s->name,
                       refusal(run, s, o), rule_arriving_text(run));
    }
}
