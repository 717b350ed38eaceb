/*
 * Servers that must agree with each other: forms authentication across a redirect, SSL offloading and everything else within a site,
 * RPC encryption.
 */
#include "core/rules/rules_int.h"

#include "core/base/str.h"

#include <string.h>

/* ---- fba-match */

/* OWA of this legacy CAS is where the new CAS redirects to (routing.md 2): every 2007; a 2010 of another site with an
   external URL of its own name. Elsewhere the new CAS proxies and forms do not matter. */
static bool is_redirect_target(const struct rule_run *run, const struct server *s, const struct vdir *v)
{
    char host[256];
    enum tri https;
    uint16_t port;
    if (s->generation == GENERATION_2007)
        return true;
    if (!v->external_url || !url_host(v->external_url, host, sizeof host, &https, &port) ||
        facts_is_namespace(run, host))
        return false;
    for (size_t i = 0; i < run->facts.n_arriving; i++)
        if (run->facts.arriving[i]->site == s->site)
            return false;
    return true;
}

void judge_fba_match(struct rule_run *run)
{
    const struct server *front = NULL;
    enum tri ours = TRI_UNKNOWN;
    for (size_t i = 0; i < run->facts.n_arriving && ours == TRI_UNKNOWN; i++) {
        const struct vdir *v = server_vdir(run->facts.arriving[i], PROTOCOL_OWA);
        ours = v ? judge_has_fba(v) : TRI_UNKNOWN;
        front = run->facts.arriving[i];
    }
    for (size_t i = 0; i < run->facts.n_legacy; i++) {
        const struct server *s = run->facts.legacy[i];
        const struct vdir *v = server_vdir(s, PROTOCOL_OWA);
        if (!v || !is_redirect_target(run, s, v))
            continue;
        enum tri theirs = judge_has_fba(v);
        if (ours == TRI_UNKNOWN || theirs == TRI_UNKNOWN) {
            rule_unknown(run, s, "the directory does not say whether %s uses forms authentication",
                         ours != TRI_UNKNOWN ? s->name
                         : front             ? front->name
                                             : "the new CAS, which is not there yet,");
            continue;
        }
        if (ours == theirs) {
            rule_pass(run, s);
            continue;
        }
        struct draft d;
        draft_init(&d, run, s);
        draft_prove_attribute(run, &d, v->dn, "msExchInternalAuthenticationMethods",
                              rule_auth_text(run, v->iis_auth),
                              ours == TRI_YES ? "fba among them" : "no fba");
        const struct vdir *own = server_vdir(front, PROTOCOL_OWA);
        draft_prove_attribute(run, &d, own->dn, "msExchInternalAuthenticationMethods",
                              rule_auth_text(run, own->iis_auth), "the same on both sides");
        if (ours == TRI_YES)
            d.f.fix = fix_owa_forms(run, v);
        rule_found(run, &d,
                   "%s redirects Outlook Web App users to %s, but only %s uses forms authentication: they "
                   "log on twice",
                   front->name, s->name, ours == TRI_YES ? front->name : s->name);
    }
}

/* ---- ssl-offloading */

static bool is_cas_of(const struct site *site, size_t i, enum generation g)
{
    return server_is_cas(site->servers[i]) && (g == GENERATION_UNKNOWN || site->servers[i]->generation == g);
}

void judge_ssl_offloading(struct rule_run *run)
{
    for (size_t i = 0; i < run->in->org->n_sites; i++) {
        const struct site *site = &run->in->org->sites[i];
        const struct vdir *first = NULL;
        for (size_t k = 0; k < site->n_servers; k++) {
            const struct server *s = site->servers[k];
            const struct vdir *v =
                is_cas_of(site, k, GENERATION_UNKNOWN) ? server_vdir(s, PROTOCOL_OA) : NULL;
            if (!v)
                continue;
            if (v->ssl_offloading == TRI_UNKNOWN) {
                rule_unknown(
                    run, s, "msExchRpcHttpFlags is absent, and the documents disagree about what that means");
                continue;
            }
            if (!first)
                first = v;
            if (first->ssl_offloading == v->ssl_offloading) {
                rule_pass(run, s);
                continue;
            }
            struct draft d;
            draft_init(&d, run, s);
            draft_prove_attribute(run, &d, v->dn, "msExchRpcHttpFlags (SSL offloading)",
                                  v->ssl_offloading ? "on" : "off", first->ssl_offloading ? "on" : "off");
            draft_prove_attribute(run, &d, first->dn, "msExchRpcHttpFlags (SSL offloading)",
                                  first->ssl_offloading ? "on" : "off", "the same within the site");
            d.f.fix = fix_oa_offloading(run, v, first->ssl_offloading == TRI_YES);
            rule_found(run, &d,
                       "SSL offloading of Outlook Anywhere is %s on %s and %s on %s of the same site: behind "
                       "one balancer some "
                       "connections fail",
                       v->ssl_offloading ? "on" : "off", s->name, first->ssl_offloading ? "on" : "off",
                       first->server->name);
        }
    }
}

/* ---- site-consistency */

enum trait { TRAIT_IIS, TRAIT_CLIENT, TRAIT_EXTERNAL, TRAIT_INTERNAL, TRAIT_COUNT };

static const char *const trait_words[] = {"methods of", "client methods of", "external URL of",
                                          "internal URL of"};
static const char *const trait_attributes[] = {"msExchInternalAuthenticationMethods",
                                               "msExchExternalAuthenticationMethods",
                                               "msExchExternalHostName", "msExchInternalHostName"};

/* One trait of one virtual directory as text that is equal when the trait is; a server's own name counts as itself. */
static const char *trait_text(struct rule_run *run, const struct server *s, enum protocol p, enum trait t)
{
    const struct vdir *v = server_vdir(s, p);
    char host[256];
    enum tri https;
    uint16_t port;
    if (!v)
        return "no virtual directory";
    if (t == TRAIT_IIS)
        return v->has_iis_auth ? rule_auth_text(run, v->iis_auth) : "not set";
    if (t == TRAIT_CLIENT)
        return v->has_client_auth ? rule_auth_text(run, v->client_auth) : "not set";
    const char *url = t == TRAIT_EXTERNAL ? v->external_url : v->internal_url;
    if (!url)
        return "none";
    if (url_host(url, host, sizeof host, &https, &port) && judge_is_own_name(s, host))
        return "its own name";
    return url;
}

/* The value most of a group have, if more than half do; else that of one of them. Linear (Boyer and Moore). */
static const char *usual(const char *const *v, size_t n)
{
    const char *best = v[0];
    size_t lead = 0;
    for (size_t i = 0; i < n; i++) {
        if (lead == 0)
            best = v[i], lead = 1;
        else if (str_ieq(best, v[i]))
            lead++;
        else
            lead--;
    }
    return best;
}

struct group {
    const struct server **v;
    struct draft *drafts;
    struct buf *texts;
    size_t n;
};

static void note_difference(struct rule_run *run, struct group *g, size_t i, const char *what, const char *dn,
                            const char *attribute, const char *have, const char *want)
{
    draft_prove_attribute(run, &g->drafts[i], dn, attribute, have, want);
    buf_addf(&g->texts[i], "%s%s", g->texts[i].len ? ", " : "", what);
}

static void compare_traits(struct rule_run *run, struct group *g, const char **values)
{
    for (int p = 0; p < PROTOCOL_COUNT; p++) {
        for (int t = 0; t < TRAIT_COUNT; t++) {
            for (size_t i = 0; i < g->n; i++)
                values[i] = trait_text(run, g->v[i], (enum protocol)p, (enum trait)t);
            const char *want = usual(values, g->n);
            for (size_t i = 0; i < g->n; i++) {
                const struct vdir *v = server_vdir(g->v[i], (enum protocol)p);
                if (!str_ieq(values[i], want))
                    note_difference(run, g, i,
                                    rule_text(run, "%s %s", trait_words[t], protocol_words((enum protocol)p)),
                                    v ? v->dn : g->v[i]->dn, trait_attributes[t], values[i], want);
            }
        }
    }
}

/* Certificates count when every server of the group showed one by the namespace. */
static void compare_certificates(struct rule_run *run, struct group *g, const char **values)
{
    for (size_t k = 0; k < run->facts.n_oa_names; k++) {
        const char *name = run->facts.oa_names[k];
        bool all = true;
        for (size_t i = 0; i < g->n && all; i++) {
            const struct observation *o =
                facts_newest(run, g->v[i]->name, OBSERVATION_TLS, PROTOCOL_UNKNOWN, name);
            values[i] =
                o && (o->outcome == OUTCOME_OK || o->outcome == OUTCOME_FAILED) ? o->u.tls.cert.sha256 : NULL;
            all = values[i] != NULL;
        }
        const char *want = all ? usual(values, g->n) : NULL;
        for (size_t i = 0; i < g->n && all; i++) {
            if (str_ieq(values[i], want))
                continue;
            const struct observation *o =
                facts_newest(run, g->v[i]->name, OBSERVATION_TLS, PROTOCOL_UNKNOWN, name);
            draft_prove_observation(run, &g->drafts[i], o, values[i], want);
            buf_addf(&g->texts[i], "%scertificate for %s", g->texts[i].len ? ", " : "", name);
        }
    }
}

static void consistency_of(struct rule_run *run, struct group *g, const char **values)
{
    for (size_t i = 0; i < g->n; i++) {
        draft_init(&g->drafts[i], run, g->v[i]);
        buf_init(&g->texts[i], 1200);
    }
    if (g->n > 1) {
        compare_traits(run, g, values);
        compare_certificates(run, g, values);
    }
    for (size_t i = 0; i < g->n; i++) {
        if (g->texts[i].len)
            rule_found(run, &g->drafts[i], "%s differs from the other %s CAS of %s: %s", g->v[i]->name,
                       generation_name(g->v[i]->generation), g->v[i]->site->name, buf_str(&g->texts[i]));
        else
            rule_pass(run, g->v[i]);
        buf_fini(&g->texts[i]);
    }
}

void judge_site_consistency(struct rule_run *run)
{
    size_t max = 0;
    for (size_t i = 0; i < run->in->org->n_sites; i++)
        if (run->in->org->sites[i].n_servers > max)
            max = run->in->org->sites[i].n_servers;
    struct group g = {
        .v = arena_array(&run->scratch, max, sizeof *g.v),
        .drafts = arena_array(&run->scratch, max, sizeof *g.drafts),
        .texts = arena_array(&run->scratch, max, sizeof *g.texts),
    };
    const char **values = arena_array(&run->scratch, max, sizeof *values);
    if (!g.v || !g.drafts || !g.texts || !values) {
        run->failed = run->failed ? run->failed : ERR_LIMIT;
        return;
    }
    for (size_t i = 0; i < run->in->org->n_sites; i++) {
        const struct site *site = &run->in->org->sites[i];
        for (int gen = GENERATION_2007; gen < GENERATION_COUNT; gen++) {
            g.n = 0;
            for (size_t k = 0; k < site->n_servers; k++)
                if (is_cas_of(site, k, (enum generation)gen))
                    g.v[g.n++] = site->servers[k];
            if (g.n)
                consistency_of(run, &g, values);
        }
    }
}

/* ---- rpc-encryption */

static void encryption_found(struct rule_run *run, const struct server *s, const struct server *other)
{
    struct draft d;
    draft_init(&d, run, s);
    draft_prove_attribute(run, &d, rule_text(run, "CN=RpcClientAccess,CN=Protocols,%s", s->dn),
                          "msExchEncryptionRequired", s->rpc_encryption == TRI_YES ? "TRUE" : "FALSE",
                          other ? other->rpc_encryption == TRI_YES ? "TRUE" : "FALSE" : "TRUE");
    d.f.fix = fix_rpc_encryption(run, s, !other || other->rpc_encryption == TRI_YES);
    if (other) {
        rule_found(run, &d,
                   "%s %s encrypted RPC and %s of the same site %s: whether Outlook 2003 gets in depends on "
                   "the server it meets",
                   s->name, s->rpc_encryption == TRI_YES ? "requires" : "does not require", other->name,
                   other->rpc_encryption == TRI_YES ? "does" : "does not");
        return;
    }
    d.f.severity = SEVERITY_INFO;
    rule_found(run, &d,
               "%s does not require encrypted RPC: Outlook 2003 still gets in there, and will be cut off for "
               "good when its mailbox "
               "moves or the new CAS takes its name",
               s->name);
}

void judge_rpc_encryption(struct rule_run *run)
{
    for (size_t i = 0; i < run->in->org->n_sites; i++) {
        const struct site *site = &run->in->org->sites[i];
        const struct server *first[GENERATION_COUNT] = {NULL};
        for (size_t k = 0; k < site->n_servers; k++) {
            const struct server *s = site->servers[k];
            if (!s->has_rpc_client_access)
                continue;
            if (s->rpc_encryption == TRI_UNKNOWN) {
                rule_unknown(run, s,
                             "msExchEncryptionRequired is not set, and its default changed between 2010 RTM "
                             "and SP1: read it with "
                             "Get-RpcClientAccess");
                continue;
            }
            const struct server **peer = &first[s->generation];
            if (*peer && (*peer)->rpc_encryption != s->rpc_encryption) {
                encryption_found(run, s, *peer);
                continue;
            }
            if (!*peer)
                *peer = s;
            if (s->rpc_encryption == TRI_NO)
                encryption_found(run, s, NULL);
            else
                rule_pass(run, s);
        }
    }
}

/* ---- kb3140410 */

void judge_kb3140410(struct rule_run *run)
{
    for (size_t i = 0; i < run->facts.n_legacy; i++) {
        const struct server *s = run->facts.legacy[i];
        enum tri r2 = judge_is_2008r2(s);
        const struct observation *asked = NULL;
        struct observations all = facts_of(run, s->name);
        for (size_t k = 0; k < all.n; k++)
            if (all.v[k]->source == EVIDENCE_HOST && str_eq(all.v[k]->step, "kb3140410") &&
                (all.v[k]->outcome == OUTCOME_OK || all.v[k]->outcome == OUTCOME_FAILED) &&
                (!asked || all.v[k]->at > asked->at))
                asked = all.v[k];
        if (r2 == TRI_NO || (asked && asked->outcome == OUTCOME_OK)) {
            rule_pass(run, s);
        } else if (!asked) {
            rule_unknown(run, s,
                         r2 == TRI_YES
                             ? "runs on Windows Server 2008 R2; whether KB3140410 is installed only the "
                               "server itself can say"
                             : "the directory shows no operating system of it, and the server was not asked");
        } else if (r2 == TRI_UNKNOWN) {
            rule_unknown(
                run, s,
                "KB3140410 is not installed, but the directory shows no operating system of it: only "
                "Windows Server 2008 R2 needs it");
        } else {
            struct draft d;
            draft_init(&d, run, s);
            draft_prove_observation(run, &d, asked, asked->detail ? asked->detail : "not installed",
                                    "KB3140410 installed");
            rule_found(run, &d,
                       "%s runs on Windows Server 2008 R2 without KB3140410: after its machine password "
                       "changes, proxied Outlook "
                       "connections of %s ask for passwords until it is restarted",
                       s->name, rule_place_text(run, s));
        }
    }
}
