/*
 * URLs that the directory publishes: the legacy namespace, internal URLs, server names, Autodiscover.
 */
#include "core/rules/rules_int.h"

#include "core/base/str.h"

#include <string.h>

#define HOST_SIZE 256

static bool host_of(const char *url, char out[static HOST_SIZE], enum tri *https)
{
    uint16_t port;
    return url && *url && url_host(url, out, HOST_SIZE, https, &port);
}

static bool has_generation(const struct rule_run *run, enum generation g)
{
    for (size_t i = 0; i < run->facts.n_legacy; i++)
        if (run->facts.legacy[i]->generation == g)
            return true;
    return false;
}

/* The certificate of a 2007 CAS holds the legacy name; unknown when no handshake showed one. A wildcard covers one label. */
static enum tri certificate_holds(struct rule_run *run, const struct server *s, const char *host)
{
    const struct observation *o = facts_newest(run, s->name, OBSERVATION_TLS, PROTOCOL_UNKNOWN, NULL);
    if (!o || (o->outcome != OUTCOME_OK && o->outcome != OUTCOME_FAILED) || !o->u.tls.cert.not_after)
        return TRI_UNKNOWN;
    const char *dot = strchr(host, '.');
    for (size_t i = 0; i < o->u.tls.cert.n_names; i++) {
        const char *name = o->u.tls.cert.names[i];
        if (str_ieq(name, host) || (dot && strncmp(name, "*.", 2) == 0 && str_ieq(name + 1, dot)))
            return TRI_YES;
    }
    return TRI_NO;
}

/* What is wrong with the external URL of 2007 OWA or EWS; NULL when nothing is. */
static const char *legacy_fault(struct rule_run *run, const struct vdir *v, char host[static HOST_SIZE])
{
    enum tri https = TRI_UNKNOWN;
    const char *words = protocol_words(v->protocol);
    if (!host_of(v->external_url, host, &https))
        return rule_text(run, "%s of %s has no external URL: the new CAS has nowhere to send its users",
                         words, v->server->name);
    if (facts_is_namespace(run, host))
        return rule_text(run,
                         "%s of %s is published as %s, which the new CAS takes: a redirect there comes back "
                         "to the new CAS for ever",
                         words, v->server->name, host);
    if (run->in->legacy_namespace && !str_ieq(run->in->legacy_namespace, host))
        return rule_text(run, "%s of %s is published as %s and not under the legacy name %s", words,
                         v->server->name, host, run->in->legacy_namespace);
    if (https != TRI_YES)
        return rule_text(run, "%s of %s is published without https: the new CAS redirects to https only",
                         words, v->server->name);
    return NULL;
}

static void legacy_namespace_of(struct rule_run *run, const struct server *s)
{
    static const enum protocol protocols[] = {PROTOCOL_OWA, PROTOCOL_EWS};
    bool bad = false, unseen = false;
    char host[HOST_SIZE];
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        const struct vdir *v = server_vdir(s, protocols[i]);
        const char *fault = v ? legacy_fault(run, v, host) : NULL;
        enum tri held = v && !fault ? certificate_holds(run, s, host) : TRI_YES;
        struct draft d;
        draft_init(&d, run, s);
        if (fault) {
            const char *want = run->in->legacy_namespace;
            bad = true;
            draft_prove_attribute(run, &d, v->dn, "msExchExternalHostName",
                                  v->external_url ? v->external_url : "absent",
                                  rule_text(run, "https://%s%s", want ? want : "a legacy name of its own",
                                            protocols[i] == PROTOCOL_OWA ? "/owa" : "/EWS/Exchange.asmx"));
            if (want)
                d.f.fix =
                    fix_vdir_url(run, v, "ExternalUrl",
                                 rule_text(run, "https://%s%s", want,
                                           protocols[i] == PROTOCOL_OWA ? "/owa" : "/EWS/Exchange.asmx"),
                                 true);
            rule_found(run, &d, "%s", fault);
        } else if (held == TRI_NO) {
            const struct observation *o = facts_newest(run, s->name, OBSERVATION_TLS, PROTOCOL_UNKNOWN, NULL);
            bad = true;
            draft_prove_observation(run, &d, o, "no such name in the certificate", host);
            rule_found(run, &d,
                       "The certificate of %s does not hold %s, where %s users of 2007 mailboxes are sent",
                       s->name, host, protocol_words(protocols[i]));
            return;
        } else if (held == TRI_UNKNOWN) {
            unseen = true;
        }
    }
    if (bad)
        return;
    if (unseen)
        rule_unknown(run, s, "the URLs are right; whether the certificate holds the legacy name is open (%s)",
                     rule_why_unseen(run, facts_newest(run, s->name, OBSERVATION_TLS, PROTOCOL_UNKNOWN, NULL),
                                     "certificate"));
    else
        rule_pass(run, s);
}

void judge_legacy_namespace(struct rule_run *run)
{
    if (!has_generation(run, GENERATION_2007))
        return;
    for (size_t i = 0; i < run->facts.n_legacy; i++) {
        const struct server *s = run->facts.legacy[i];
        if (s->generation != GENERATION_2007)
            continue;
        if (run->in->n_namespaces == 0 && run->facts.n_oa_names == 0)
            rule_unknown(run, s, "the new namespace is not known, so nothing tells it from a legacy one");
        else
            legacy_namespace_of(run, s);
    }
}

void judge_internal_url(struct rule_run *run)
{
    static const enum protocol protocols[] = {PROTOCOL_OWA, PROTOCOL_ECP, PROTOCOL_EAS};
    for (size_t i = 0; i < run->facts.n_legacy; i++) {
        const struct server *s = run->facts.legacy[i];
        bool bad = false;
        if (s->generation != GENERATION_2010)
            continue;
        for (size_t k = 0; k < ARRAY_LEN(protocols); k++) {
            const struct vdir *v = server_vdir(s, protocols[k]);
            const char *path = protocols[k] == PROTOCOL_OWA   ? "owa"
                               : protocols[k] == PROTOCOL_ECP ? "ecp"
                                                              : "Microsoft-Server-ActiveSync";
            struct draft d;
            if (judge_has_internal_url(s, protocols[k]) == TRI_YES)
                continue;
            bad = true;
            draft_init(&d, run, s);
            const char *want = rule_text(run, "https://%s/%s", s->fqdn ? s->fqdn : s->name, path);
            draft_prove_attribute(run, &d, v ? v->dn : s->dn,
                                  v ? "msExchInternalHostName" : "virtual directory", "absent", want);
            if (v && s->fqdn)
                d.f.fix = fix_vdir_url(run, v, "InternalUrl", want, true);
            rule_found(run, &d, "%s of %s has no %s: %s does not choose it for %s",
                       protocol_words(protocols[k]), s->name, v ? "internal URL" : "virtual directory",
                       rule_arriving_text(run), rule_place_text(run, s));
        }
        if (!bad)
            rule_pass(run, s);
    }
}

static void nlb_bypass_of(struct rule_run *run, const struct server *s, const struct vdir *v)
{
    static const char attribute[] = "msExchInternalNLBBypassHostName";
    bool legacy = s->generation == GENERATION_2010;
    struct draft d;
    if (v->nlb_bypass == TRI_UNKNOWN) {
        rule_unknown(run, s,
                     "no web services of this organisation show one in %s, whose name is assumed: ask with "
                     "Get-WebServicesVirtualDirectory",
                     attribute);
        return;
    }
    if ((v->nlb_bypass == TRI_YES) == legacy) {
        rule_pass(run, s);
        return;
    }
    draft_init(&d, run, s);
    const char *want =
        legacy ? rule_text(run, "https://%s/ews/exchange.asmx", s->fqdn ? s->fqdn : s->name) : "absent";
    draft_prove_attribute(run, &d, v->dn, attribute, legacy ? "absent" : v->nlb_bypass_url, want);
    if (legacy) {
        if (s->fqdn)
            d.f.fix = fix_vdir_url(run, v, "InternalNLBBypassUrl", want, false);
        rule_found(run, &d,
                   "Web services of %s have no InternalNLBBypassUrl: %s does not choose it for web services "
                   "and Autodiscover of %s",
                   s->name, rule_arriving_text(run), rule_place_text(run, s));
    } else {
        d.f.severity = SEVERITY_WARNING;
        rule_found(
            run, &d,
            "The front end's web services of %s have an InternalNLBBypassUrl, which belongs to the back "
            "end alone: it can break since KB5001779",
            s->name);
    }
}

void judge_nlb_bypass(struct rule_run *run)
{
    for (size_t i = 0; i < run->facts.n_cas; i++) {
        const struct server *s = run->facts.cas[i];
        const struct vdir *v = server_vdir(s, PROTOCOL_EWS);
        if (v && s->generation >= GENERATION_2010)
            nlb_bypass_of(run, s, v);
    }
}

void judge_url_server_name(struct rule_run *run)
{
    for (size_t i = 0; i < run->facts.n_cas; i++) {
        const struct server *s = run->facts.cas[i];
        struct draft d;
        size_t n = 0;
        draft_init(&d, run, s);
        for (size_t k = 0; k < s->n_vdirs; k++) {
            const struct vdir *v = s->vdirs[k];
            const char *url = v->external_url ? v->external_url : v->external_hostname;
            char host[HOST_SIZE];
            enum tri https;
            if (v->back_end || !host_of(url, host, &https) || !judge_is_own_name(s, host))
                continue;
            n++;
            draft_prove_attribute(run, &d, v->dn, "msExchExternalHostName", url, "the namespace, or nothing");
        }
        if (n)
            rule_found(run, &d,
                       "%s publishes its own name as external URL in %zu virtual director%s: clients are "
                       "bound to this one server",
                       s->name, n, n == 1 ? "y" : "ies");
        else
            rule_pass(run, s);
    }
}

/* The URL that the organisation's other connection points agree on, else the first namespace; NULL unknown. */
static const char *wanted_scp(struct rule_run *run)
{
    const struct org *org = run->in->org;
    for (size_t i = 0; i < run->in->n_namespaces; i++)
        if (str_istarts(run->in->namespaces[i], "autodiscover."))
            return rule_text(run, "https://%s/Autodiscover/Autodiscover.xml", run->in->namespaces[i]);
    const char *agreed = NULL;
    for (size_t i = 0; i < org->n_scps; i++) {
        const struct scp *p = &org->scps[i];
        char host[HOST_SIZE];
        enum tri https;
        if (p->is_pointer || !host_of(p->url, host, &https) ||
            (p->server && judge_is_own_name(p->server, host)))
            continue;
        if (agreed && !str_ieq(agreed, p->url))
            return NULL;
        agreed = p->url;
    }
    return agreed;
}

static void scp_of(struct rule_run *run, const struct scp *p, const char *wanted)
{
    char host[HOST_SIZE];
    enum tri https = TRI_UNKNOWN;
    const char *fault = NULL;
    const struct server *s = p->server;
    const char *name = s ? s->name : p->server_name ? p->server_name : "?";
    if (!host_of(p->url, host, &https))
        fault = "holds no URL";
    else if (s && judge_is_own_name(s, host))
        fault =
            "points to the server's own name: domain clients get that name and warn about its certificate";
    else if (https != TRI_YES)
        fault = "points to an URL without https";
    else if (!s)
        fault = "belongs to a server that is not there any more";
    if (!fault) {
        rule_pass(run, s);
        return;
    }
    struct draft d;
    draft_init(&d, run, s);
    draft_prove_attribute(run, &d, p->dn, "serviceBindingInformation", p->url ? p->url : "absent",
                          wanted ? wanted : "an https URL in the namespace");
    if (s && wanted)
        d.f.fix = fix_scp(run, s, wanted);
    rule_found(run, &d, "The Autodiscover connection point of %s %s", name, fault);
}

void judge_autodiscover_scp(struct rule_run *run)
{
    const struct org *org = run->in->org;
    const char *wanted = wanted_scp(run);
    for (size_t i = 0; i < org->n_scps; i++)
        if (!org->scps[i].is_pointer)
            scp_of(run, &org->scps[i], wanted);
}
