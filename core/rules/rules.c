#include "core/rules/rules_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

/* A generous multiple of what 500 servers need; texts in the making only. */
#define SCRATCH_LIMIT ((size_t)64 << 20)

/* The catalogue, in the order of cli.md. */
static const struct rule catalogue[] = {
    {{"coexistence", SEVERITY_BLOCKER, "Versions may stand side by side",
      "Setup refuses, or mail stops, when a version stands in the organisation that the new one cannot live "
      "with. Then "
      "another version has to come in between.",
      "migration.md 2; exchange-2013-system-requirements, ms-exch-setupreadiness"},
     judge_coexistence},
    {{"version-floor", SEVERITY_BLOCKER, "Service packs and updates at the floor",
      "Each older server must have the service pack or cumulative update that knows the new version. The "
      "directory shows "
      "service packs and cumulative updates but no rollups: those must be asked from the server.",
      "migration.md 2; directory.md 16.3"},
     judge_version_floor},
    {{"oa-enabled", SEVERITY_ERROR, "Outlook Anywhere enabled",
      "The new CAS proxies every Outlook connection of an old mailbox to Outlook Anywhere of an old CAS in "
      "the mailbox's site, "
      "also where no client ever came in from outside. Where it is not enabled Outlook gets 404 and stays "
      "disconnected.",
      "Outlook Anywhere (Exchange 2013 help); routing.md 5"},
     judge_oa_enabled},
    {{"oa-iis-auth", SEVERITY_ERROR, "Outlook Anywhere offers Windows authentication",
      "The new CAS logs on to the old one with Kerberos and nothing else. IIS offers that only when the IIS "
      "methods include "
      "NTLM; with Basic alone Outlook asks for the password for ever. What clients are told to use stays as "
      "it is.",
      "Outlook Anywhere (Exchange 2013 help); routing.md 3, 5; cmdlets.md 2.5"},
     judge_oa_iis_auth},
    {{"oa-external-hostname", SEVERITY_ERROR, "Outlook Anywhere published under the new CAS's name",
      "Old CAS hand their own external host name to clients by Autodiscover. It must be the name that the "
      "new CAS answers, or "
      "clients go past it; a CAS without one is never chosen as a stand-in.",
      "Outlook Anywhere (Exchange 2013 help); routing.md 5"},
     judge_oa_external_hostname},
    {{"oa-wire", SEVERITY_ERROR, "Outlook Anywhere answers as the new CAS needs it",
      "What the directory wants and what IIS does are two things. An anonymous request must be answered 401 "
      "with Negotiate or "
      "NTLM on offer: the new CAS pings for exactly that.",
      "routing.md 3, 10; admin-tools.md 5.3"},
     judge_oa_wire},
    {{"auth-drift", SEVERITY_WARNING, "Wire and IIS agree with the directory",
      "Every 15 minutes the servers copy Outlook Anywhere's methods from the directory to IIS. A difference "
      "is on its way "
      "(pending), a manual edit that will be undone (will-be-overwritten), or one that nothing will mend "
      "(stuck).",
      "admin-tools.md 7; cmdlets.md 7"},
     judge_auth_drift},
    {{"spn-unique", SEVERITY_ERROR, "HTTP service names have one owner",
      "A ticket is made for the account that owns HTTP/name. With two owners, or the wrong one, the server "
      "cannot read the "
      "ticket and the proxied connection fails with 500 or 401.",
      "routing.md 5; migration.md 6"},
     judge_spn_unique},
    {{"kerberos-ticket", SEVERITY_ERROR, "Service ticket for the server is issued",
      "The new CAS asks the KDC for HTTP/<server> before each proxied connection. No ticket, no connection; "
      "one with RC4 or DES "
      "stops working when these are turned off.",
      "routing.md 3; migration.md 6"},
     judge_kerberos_ticket},
    {{"certificate", SEVERITY_ERROR, "Certificates are valid for the names in use",
      "A wrong name, an expired or soon expiring certificate, an unknown issuer, a short key or an old hash: "
      "clients warn or "
      "refuse.",
      "migration.md 5, 7 (G14)"},
     judge_certificate},
    {{"legacy-namespace", SEVERITY_ERROR, "2007 has a namespace of its own",
      "Users of 2007 mailboxes are redirected for Outlook Web App and sent elsewhere for web services. That "
      "needs a legacy name, "
      "https, not the new namespace, and in the certificate of the 2007 CAS.",
      "routing.md 2, 5; migration.md 3 (15)"},
     judge_legacy_namespace},
    {{"internal-url", SEVERITY_ERROR, "2010 virtual directories have an internal URL",
      "The new CAS chooses only 2010 servers whose OWA, ECP and ActiveSync have an internal URL. Without "
      "any, requests are not "
      "proxied at all.",
      "routing.md 3.6, 5"},
     judge_internal_url},
    {{"nlb-bypass-url", SEVERITY_ERROR, "2010 web services have their bypass URL",
      "The new CAS chooses a 2010 server for web services and Autodiscover only when its "
      "InternalNLBBypassUrl is set: setup sets it, "
      "clean-ups remove it. On 2013 and later it belongs to the back end alone.",
      "routing.md 3.6, 5, 11 (7); migration.md 6 (15)"},
     judge_nlb_bypass},
    {{"proxy-auth", SEVERITY_ERROR, "2010 web services offer Windows authentication",
      "The new CAS passes web services and Autodiscover of a 2010 mailbox on with Kerberos and knows no "
      "other "
      "method. Without Windows authentication there calendars, free/busy and profile set-up fail with 401.",
      "routing.md 3; routing.csv R0047, R0049"},
     judge_proxy_auth},
    {{"fba-match", SEVERITY_WARNING, "Forms authentication on both sides of a redirect",
      "Single sign-on from the new CAS's Outlook Web App to an old one needs forms authentication on both. "
      "Otherwise users log on "
      "twice.",
      "routing.md 3.10, 5; KB981541"},
     judge_fba_match},
    {{"url-server-name", SEVERITY_WARNING, "No server name is published",
      "An external URL with a server's own name binds clients to that server and its certificate.",
      "migration.md 5"},
     judge_url_server_name},
    {{"autodiscover-scp", SEVERITY_WARNING, "Autodiscover points to the namespace",
      "A service connection point with a server's own name brings certificate warnings to every client in "
      "the domain, from the "
      "minute a new server is installed.",
      "migration.md 3 (10), 6 (8)"},
     judge_autodiscover_scp},
    {{"rpc-encryption", SEVERITY_WARNING, "RPC encryption is known and uniform",
      "Servers that require encrypted RPC cut off Outlook 2003, whose default is not to encrypt. A site "
      "whose servers differ "
      "lets a client in or not by chance.",
      "routing.md 9; directory.md 10"},
     judge_rpc_encryption},
    {{"tls-version", SEVERITY_WARNING, "TLS 1.2 and no SSL 3.0",
      "Clients and the new CAS must find a protocol version in common with each server; old ones are being "
      "turned off "
      "everywhere.",
      "migration.md 6 (14)"},
     judge_tls_version},
    {{"ssl-offloading", SEVERITY_WARNING, "SSL offloading uniform within a site",
      "SSL offloading turns Require SSL on /rpc off. Servers behind one balancer must agree, or some "
      "connections fail.",
      "cmdlets.md 2.4; migration.md 6 (13)"},
     judge_ssl_offloading},
    {{"site-consistency", SEVERITY_WARNING, "Servers of a site are configured alike",
      "The CAS of one version in one site stand in for each other. One that differs makes faults that come "
      "and go.",
      "admin-tools.md 7.2"},
     judge_site_consistency},
    {{"kb3140410", SEVERITY_WARNING, "Windows Server 2008 R2 has KB3140410",
      "Without it an old CAS on 2008 R2 refuses proxied connections for a while after its machine password "
      "changed: prompts that "
      "go away with a restart.",
      "KB3140410; routing.md 5"},
     judge_kb3140410},
    {{"extended-protection", SEVERITY_WARNING, "Extended Protection fits the servers in the path",
      "Extended Protection ties a logon to the TLS connection it came by (CVE-2024-21410). It must be off "
      "while 2010 is in the "
      "path or SSL is offloaded, needs the same certificate on the balancer and every CAS, and is turned on "
      "last, as recommended "
      "for each virtual directory.",
      "admin-tools.md 8; migration.md 6 (12), 7 (G22)"},
     judge_extended_protection},
};

size_t rules_count(void)
{
    return ARRAY_LEN(catalogue);
}

const struct rule_info *rules_info(size_t i)
{
    return i < ARRAY_LEN(catalogue) ? &catalogue[i].info : NULL;
}

const struct rule_info *rules_find(const char *id)
{
    for (size_t i = 0; i < ARRAY_LEN(catalogue); i++)
        if (str_eq(catalogue[i].info.id, id))
            return &catalogue[i].info;
    return NULL;
}

enum verdict rules_verdict(const struct findings *f)
{
    enum verdict v = VERDICT_READY;
    for (size_t i = 0; i < f->found.n; i++) {
        const struct finding *x = &f->found.v[i];
        if (x->accepted && (x->accepted->until == 0 || x->accepted->until > f->at))
            continue;
        if (x->severity == SEVERITY_BLOCKER)
            return VERDICT_BLOCKED;
        if (x->severity == SEVERITY_ERROR)
            v = VERDICT_NOT_READY;
    }
    for (size_t i = 0; v == VERDICT_READY && i < f->unknown.n; i++) {
        const struct rule_info *r = rules_find(f->unknown.v[i].id);
        if (!r || r->severity >= SEVERITY_ERROR)
            v = VERDICT_UNKNOWN;
    }
    return v;
}

/* Severest first; within one severity as they came: rule order, then server. */
static enum err sort(struct findings *f)
{
    struct finding *sorted = malloc((f->found.n + 1) * sizeof *sorted);
    size_t n = 0;
    if (!sorted)
        return ERR_NOMEM;
    for (int s = SEVERITY_BLOCKER; s >= SEVERITY_INFO; s--)
        for (size_t i = 0; i < f->found.n; i++)
            if ((int)f->found.v[i].severity == s)
                sorted[n++] = f->found.v[i];
    if (n)
        memcpy(f->found.v, sorted, n * sizeof *sorted);
    free(sorted);
    return ERR_OK;
}

enum err rules_evaluate(const struct rule_input *in, struct findings *out, struct errinfo *ei)
{
    struct rule_run run = {.in = in, .out = out};
    arena_init(&run.scratch, SCRATCH_LIMIT);
    out->target = in->target;
    out->at = in->now;
    enum err e = facts_init(&run, ei);
    if (!e && !service_names_audit(&run))
        e = err_set(ei, ERR_LIMIT, "this organisation is larger than the rules were made for",
                    "no room left for the owners of service names");
    if (e)
        goto out;
    for (size_t i = 0; i < ARRAY_LEN(catalogue); i++) {
        run.rule = &catalogue[i];
        run.rule->judge(&run);
    }
    e = run.failed ? run.failed : sort(out);
    if (e) {
        e = err_set(ei, e, "this organisation is larger than the rules were made for",
                    "no room left for what the rules found");
        goto out;
    }
    out->verdict = rules_verdict(out);
    findings_index(out);
out:
    spn_audit_fini(&run.names);
    facts_fini(&run);
    arena_fini(&run.scratch);
    return e;
}
