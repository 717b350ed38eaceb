/*
 * Small organisations for tests, made by hand instead of read from a directory.
 *
 *     struct org_builder b;
 *     org_begin(&b, "Contoso", "contoso.lab");
 *     struct site *bcn = add_site(&b, "Barcelona", "10.1.0.0/16");
 *     struct server *s = add_server(&b, "EXCAS01", bcn, "14.3.123.4", ROLE_CLIENT_ACCESS | ROLE_HUB);
 *     add_outlook_anywhere(&b, s, "mail.contoso.lab", AUTH_BASIC, AUTH_BASIC);
 *     struct org *org = org_end(&b);
 *     ...
 *     builder_free(&org);
 *
 * Pointers stay valid and writable until builder_free(), so a test may spoil one value of a sound organisation (after
 * org_end too, as long as the order of names does not change). Servers may be added in any order of sites but in the
 * order of their names, as the decoder leaves them: anything else is an assertion. Everything lives in the org's arena.
 * story() makes the organisation that the whole project tells its story with.
 */
#ifndef TESTS_UNIT_ORG_BUILDER_H
#define TESTS_UNIT_ORG_BUILDER_H

#include "core/base/str.h"
#include "core/model/org.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUILDER_SITES         256
#define BUILDER_SERVERS       1024
#define BUILDER_VDIRS_PER     24
#define BUILDER_OTHERS        1024
#define BUILDER_TIME          INT64_C(1795489200) /* 2026-11-24T03:00:00Z, of everything that has a time */
#define BUILDER_UNUSED        __attribute__((unused))
#define BUILDER_ROLES_LEGACY  (ROLE_CLIENT_ACCESS | ROLE_HUB)
#define BUILDER_ROLES_CAFE    (ROLE_CAFE | ROLE_FRONTEND_TRANSPORT)
#define BUILDER_ROLES_BACKEND (ROLE_MAILBOX | ROLE_CLIENT_ACCESS | ROLE_UM | ROLE_HUB)

struct org_builder {
    struct org *org;
    struct arena *arena;
};

BUILDER_UNUSED static void org_begin(struct org_builder *b, const char *name, const char *domain)
{
    struct org *org = calloc(1, sizeof *org);
    ASSERT(org);
    arena_init(&org->arena, (size_t)256 << 20);
    *b = (struct org_builder){org, &org->arena};
    org->name = arena_str(b->arena, name);
    org->domain = arena_str(b->arena, domain);
    org->config_naming_context = "CN=Configuration,DC=contoso,DC=lab";
    org->default_naming_context = org->root_naming_context = "DC=contoso,DC=lab";
    org->dn =
        arena_fmt(b->arena, "CN=%s,CN=Microsoft Exchange,CN=Services,%s", name, org->config_naming_context);
    org->source = "ldif:test";
    org->taken_at = BUILDER_TIME;
    org->lockout_threshold = -1;
    org->sites = arena_array(b->arena, BUILDER_SITES, sizeof *org->sites);
    org->links = arena_array(b->arena, BUILDER_SITES, sizeof *org->links);
    org->servers = arena_array(b->arena, BUILDER_SERVERS, sizeof *org->servers);
    org->vdirs = arena_array(b->arena, BUILDER_SERVERS * BUILDER_VDIRS_PER, sizeof *org->vdirs);
    org->databases = arena_array(b->arena, BUILDER_OTHERS, sizeof *org->databases);
    org->scps = arena_array(b->arena, BUILDER_OTHERS, sizeof *org->scps);
    org->arrays = arena_array(b->arena, BUILDER_SITES, sizeof *org->arrays);
    ASSERT(org->sites && org->links && org->servers && org->vdirs && org->databases && org->scps &&
           org->arrays);
}

/* subnet may be NULL. */
BUILDER_UNUSED static struct site *add_site(struct org_builder *b, const char *name, const char *subnet)
{
    struct org *org = b->org;
    ASSERT(org->n_sites < BUILDER_SITES);
    struct site *s = &org->sites[org->n_sites++];
    s->name = arena_str(b->arena, name);
    s->dn = arena_fmt(b->arena, "CN=%s,CN=Sites,%s", name, org->config_naming_context);
    if (subnet) {
        s->subnets = arena_alloc(b->arena, sizeof *s->subnets);
        s->subnets[0] = arena_str(b->arena, subnet);
        s->n_subnets = 1;
    }
    s->servers = arena_array(b->arena, BUILDER_SERVERS, sizeof *s->servers);
    ASSERT(s->dn && s->servers);
    return s;
}

BUILDER_UNUSED static void add_link(struct org_builder *b, const struct site *x, const struct site *y,
                                    int cost)
{
    struct org *org = b->org;
    ASSERT(org->n_links < BUILDER_SITES);
    const struct site *pair[] = {x, y};
    org->links[org->n_links++] = (struct site_link){
        .name = arena_fmt(b->arena, "%s-%s", x->name, y->name),
        .sites = arena_dup(b->arena, pair, sizeof pair),
        .n_sites = 2,
        .cost = cost,
    };
}

/* version NULL: the directory has none; site NULL: no site. */
BUILDER_UNUSED static struct server *add_server(struct org_builder *b, const char *name, struct site *site,
                                                const char *version, uint32_t roles)
{
    struct org *org = b->org;
    ASSERT(org->n_servers < BUILDER_SERVERS);
    ASSERT(org->n_servers == 0 || str_icmp(org->servers[org->n_servers - 1].name, name) < 0);
    struct server *s = &org->servers[org->n_servers++];
    char lower[128], product[96];
    size_t i = 0;
    for (; name[i] && i + 1 < sizeof lower; i++)
        lower[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] - 'A' + 'a' : name[i]);
    lower[i] = '\0';
    s->name = arena_str(b->arena, name);
    s->fqdn = arena_fmt(b->arena, "%s.%s", lower, org->domain);
    s->dn = arena_fmt(b->arena, "CN=%s,CN=Servers,CN=AG,CN=Administrative Groups,%s", name, org->dn);
    s->legacy_dn = arena_fmt(b->arena, "/o=%s/ou=AG/cn=Configuration/cn=Servers/cn=%s", org->name, name);
    s->computer_dn = arena_fmt(b->arena, "CN=%s,CN=Computers,%s", name, org->default_naming_context);
    s->roles = roles;
    s->rpc_encryption = TRI_UNKNOWN;
    s->changed_at = BUILDER_TIME - 86400;
    if (version) {
        ASSERT(version_parse(version, &s->version));
        s->has_version = true;
        s->generation = generation_of(s->version);
        s->product = arena_str(b->arena, version_product(s->version, product, sizeof product));
    }
    s->vdirs = arena_array(b->arena, BUILDER_VDIRS_PER, sizeof *s->vdirs);
    ASSERT(s->dn && s->vdirs);
    if (site) {
        s->site = site;
        s->site_dn = site->dn;
        site->servers[site->n_servers++] = s;
    }
    return s;
}

/* name NULL: "owa (Default Web Site)" and the like. URLs may be NULL. Add them in the order of enum protocol. */
BUILDER_UNUSED static struct vdir *add_vdir(struct org_builder *b, struct server *s, enum protocol protocol,
                                            const char *name, const char *internal_url,
                                            const char *external_url)
{
    static const char *const names[PROTOCOL_COUNT] = {
        [PROTOCOL_OA] = "Rpc",     [PROTOCOL_MAPI] = "mapi",
        [PROTOCOL_OWA] = "owa",    [PROTOCOL_ECP] = "ecp",
        [PROTOCOL_EWS] = "EWS",    [PROTOCOL_EAS] = "Microsoft-Server-ActiveSync",
        [PROTOCOL_OAB] = "OAB",    [PROTOCOL_AUTODISCOVER] = "Autodiscover",
        [PROTOCOL_POP] = "POP3",   [PROTOCOL_POWERSHELL] = "PowerShell",
        [PROTOCOL_IMAP] = "IMAP4",
    };
    struct org *org = b->org;
    ASSERT(org->n_vdirs < (size_t)BUILDER_SERVERS * BUILDER_VDIRS_PER && s->n_vdirs < BUILDER_VDIRS_PER);
    struct vdir *v = &org->vdirs[org->n_vdirs++];
    v->name =
        name ? arena_str(b->arena, name) : arena_fmt(b->arena, "%s (Default Web Site)", names[protocol]);
    v->back_end = strstr(v->name, "(Exchange Back End)") != NULL;
    v->website = v->back_end ? "Exchange Back End" : "Default Web Site";
    v->dn = arena_fmt(b->arena, "CN=%s,CN=HTTP,CN=Protocols,%s", v->name, s->dn);
    v->protocol = protocol;
    v->server = s;
    v->internal_url = arena_str(b->arena, internal_url);
    v->external_url = arena_str(b->arena, external_url);
    v->external_ssl = v->internal_ssl = TRI_UNKNOWN;
    v->ssl_offloading = v->nlb_bypass = TRI_UNKNOWN;
    v->changed_at = BUILDER_TIME - 86400;
    s->vdirs[s->n_vdirs++] = v;
    return v;
}

BUILDER_UNUSED static void set_auth(struct vdir *v, auth_set iis, auth_set client)
{
    v->has_iis_auth = v->has_client_auth = true;
    v->iis_auth = iis;
    v->iis_auth_raw = iis;
    v->client_auth = client;
    v->client_auth_raw = client;
}

/* Enabled Outlook Anywhere. host NULL: the attribute is absent. */
BUILDER_UNUSED static struct vdir *add_outlook_anywhere(struct org_builder *b, struct server *s,
                                                        const char *host, auth_set client, auth_set iis)
{
    char url[300] = "";
    if (host)
        snprintf(url, sizeof url, "https://%s/rpc", host);
    struct vdir *v = add_vdir(b, s, PROTOCOL_OA, NULL, NULL, host ? url : NULL);
    v->external_hostname = arena_str(b->arena, host);
    v->external_ssl = host ? TRI_YES : TRI_UNKNOWN;
    v->ssl_offloading = TRI_NO;
    set_auth(v, iis, client);
    return v;
}

/* The virtual directories of a sound CAS of its generation besides Outlook Anywhere; external: published host, NULL none.
   Forms authentication is on where a host is published. */
BUILDER_UNUSED static void add_client_access(struct org_builder *b, struct server *s, const char *external)
{
    static const struct {
        enum protocol protocol;
        const char *path;
        enum generation first;
        auth_set iis;
    } table[] = {
        {PROTOCOL_MAPI, "mapi", GENERATION_2013, AUTH_NTLM | AUTH_NEGOTIATE | AUTH_OAUTH},
        {PROTOCOL_OWA, "owa", GENERATION_2007, AUTH_BASIC | AUTH_FBA},
        {PROTOCOL_ECP, "ecp", GENERATION_2010, AUTH_BASIC | AUTH_FBA},
        {PROTOCOL_EWS, "EWS/Exchange.asmx", GENERATION_2007, AUTH_NTLM | AUTH_WINDOWS | AUTH_WSSECURITY},
        {PROTOCOL_EAS, "Microsoft-Server-ActiveSync", GENERATION_2007, AUTH_BASIC},
        {PROTOCOL_OAB, "OAB", GENERATION_2007, AUTH_WINDOWS},
        {PROTOCOL_AUTODISCOVER, NULL, GENERATION_2007,
         AUTH_BASIC | AUTH_NTLM | AUTH_WINDOWS | AUTH_WSSECURITY},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char in[300], out[300];
        if (s->generation < table[i].first)
            continue;
        snprintf(in, sizeof in, "https://%s/%s", s->fqdn, table[i].path ? table[i].path : "");
        snprintf(out, sizeof out, "https://%s/%s", external ? external : "",
                 table[i].path ? table[i].path : "");
        struct vdir *v = add_vdir(b, s, table[i].protocol, NULL, table[i].path ? in : NULL,
                                  table[i].path && external ? out : NULL);
        auth_set iis = table[i].iis;
        if ((iis & AUTH_FBA) && !external)
            iis = AUTH_BASIC | AUTH_WINDOWS;
        set_auth(v, iis, iis & AUTH_FBA ? AUTH_FBA : iis);
        if (v->protocol == PROTOCOL_EWS) {
            v->nlb_bypass = s->generation == GENERATION_2010 ? TRI_YES : TRI_NO;
            v->nlb_bypass_url = v->nlb_bypass == TRI_YES ? v->internal_url : NULL;
        }
    }
}

/* rpc: server part of legacyExchangeDN, NULL none. */
BUILDER_UNUSED static struct database *add_database(struct org_builder *b, const char *name,
                                                    const struct server *owner, const char *rpc)
{
    struct org *org = b->org;
    ASSERT(org->n_databases < BUILDER_OTHERS);
    struct database *d = &org->databases[org->n_databases++];
    d->name = arena_str(b->arena, name);
    d->dn = arena_fmt(b->arena, "CN=%s,CN=Databases,CN=AG,CN=Administrative Groups,%s", name, org->dn);
    d->owner = owner;
    d->servers = arena_dup(b->arena, &owner, sizeof owner);
    d->n_servers = 1;
    d->rpc_client_access_server = arena_str(b->arena, rpc);
    d->oab_dn = arena_fmt(b->arena, "CN=Default Offline Address Book,%s", org->dn);
    return d;
}

BUILDER_UNUSED static struct scp *add_scp(struct org_builder *b, const struct server *s, const char *url)
{
    struct org *org = b->org;
    ASSERT(org->n_scps < BUILDER_OTHERS);
    struct scp *p = &org->scps[org->n_scps++];
    p->dn = arena_fmt(b->arena, "CN=%s,CN=Autodiscover,CN=Protocols,%s", s->name, s->dn);
    p->url = arena_str(b->arena, url);
    p->server_name = s->name;
    p->server = s;
    return p;
}

BUILDER_UNUSED static struct cas_array *add_array(struct org_builder *b, const char *fqdn,
                                                  const struct site *site)
{
    struct org *org = b->org;
    ASSERT(org->n_arrays < BUILDER_SITES);
    struct cas_array *a = &org->arrays[org->n_arrays++];
    a->name = a->fqdn = arena_str(b->arena, fqdn);
    a->dn = arena_fmt(b->arena, "CN=%s,CN=Arrays,CN=AG,CN=Administrative Groups,%s", fqdn, org->dn);
    a->site = site;
    return a;
}

/* Also works out which sites face the Internet. May be called again after a change. */
BUILDER_UNUSED static struct org *org_end(struct org_builder *b)
{
    struct org *org = b->org;
    ASSERT(!org->arena.failed);
    for (size_t i = 0; i < org->n_sites; i++) {
        struct site *site = &org->sites[i];
        site->internet_facing = false;
        for (size_t k = 0; k < site->n_servers; k++)
            for (size_t n = 0; n < site->servers[k]->n_vdirs; n++) {
                const struct vdir *v = site->servers[k]->vdirs[n];
                if (!v->back_end && (v->external_url || v->external_hostname))
                    site->internet_facing = true;
            }
    }
    return org;
}

BUILDER_UNUSED static void builder_free(struct org **org)
{
    if (*org) {
        arena_fini(&(*org)->arena);
        free(*org);
    }
    *org = NULL;
}

BUILDER_UNUSED static struct server *builder_server(const struct org *org, const char *name)
{
    for (size_t i = 0; i < org->n_servers; i++)
        if (str_ieq(org->servers[i].name, name))
            return &org->servers[i];
    return NULL;
}

BUILDER_UNUSED static struct vdir *builder_vdir(const struct org *org, const char *server, enum protocol p)
{
    for (size_t i = 0; i < org->n_vdirs; i++)
        if (!org->vdirs[i].back_end && org->vdirs[i].protocol == p &&
            str_ieq(org->vdirs[i].server->name, server))
            return &org->vdirs[i];
    return NULL;
}

/* Barcelona (Internet-facing), Dublin (internal), Seattle; 2007, 2010 and 2013; the three faults of the story: EXCAS01 and
   E2K7CAS01 have Outlook Anywhere with Basic only, EXCAS02 has none. Everything else is sound. */
BUILDER_UNUSED static struct org *story(struct org_builder *b)
{
    static const char mail[] = "mail.contoso.lab", legacy[] = "legacy.contoso.lab";
    static const char scp_url[] = "https://autodiscover.contoso.lab/Autodiscover/Autodiscover.xml";
    org_begin(b, "Contoso", "contoso.lab");
    struct site *bcn = add_site(b, "Barcelona", "10.1.0.0/16"), *dub = add_site(b, "Dublin", "10.2.0.0/16"),
                *sea = add_site(b, "Seattle", "10.3.0.0/16");
    add_link(b, bcn, dub, 10);
    add_link(b, bcn, sea, 50);
    struct server *e7 = add_server(b, "E2K7CAS01", sea, "8.3.83.6", BUILDER_ROLES_LEGACY);
    struct server *m7 = add_server(b, "E2K7MBX01", sea, "8.3.83.6", ROLE_MAILBOX);
    struct server *ok = add_server(b, "EX10NTLM", sea, "14.3.123.4", BUILDER_ROLES_LEGACY | ROLE_MAILBOX);
    struct server *c13 = add_server(b, "EX13CAS01", bcn, "15.0.1497.2", BUILDER_ROLES_CAFE);
    struct server *m13 = add_server(b, "EX13MBX01", bcn, "15.0.1497.2", BUILDER_ROLES_BACKEND);
    struct server *c1 = add_server(b, "EXCAS01", bcn, "14.3.123.4", BUILDER_ROLES_LEGACY);
    struct server *c2 = add_server(b, "EXCAS02", dub, "14.3.123.4", BUILDER_ROLES_LEGACY);
    struct server *m1 = add_server(b, "EXMBX01", bcn, "14.3.123.4", ROLE_MAILBOX);
    struct server *m2 = add_server(b, "EXMBX02", dub, "14.3.123.4", ROLE_MAILBOX);
    add_outlook_anywhere(b, e7, mail, AUTH_BASIC, AUTH_BASIC);
    add_client_access(b, e7, legacy);
    add_outlook_anywhere(b, ok, mail, AUTH_BASIC, AUTH_BASIC | AUTH_NTLM);
    add_client_access(b, ok, mail);
    struct vdir *v = add_outlook_anywhere(b, c13, mail, AUTH_BASIC, AUTH_BASIC | AUTH_NTLM | AUTH_NEGOTIATE);
    v->internal_hostname = mail;
    v->internal_ssl = TRI_YES;
    add_client_access(b, c13, mail);
    add_outlook_anywhere(b, c1, mail, AUTH_BASIC, AUTH_BASIC);
    add_client_access(b, c1, mail);
    add_client_access(b, c2, NULL);
    for (size_t i = 0; i < b->org->n_servers; i++) {
        struct server *s = &b->org->servers[i];
        if (s->generation >= GENERATION_2010 && (s->roles & (ROLE_CLIENT_ACCESS | ROLE_CAFE))) {
            s->has_rpc_client_access = true;
            s->rpc_encryption = TRI_YES;
        }
        if (s->roles & (ROLE_CLIENT_ACCESS | ROLE_CAFE) && s != m13)
            add_scp(b, s, scp_url);
    }
    add_array(b, "outlook.contoso.lab", bcn);
    add_database(b, "DB10-BCN01", m1, "outlook.contoso.lab");
    add_database(b, "DB10-DUB01", m2, "EXCAS02.contoso.lab");
    add_database(b, "DB10-SEA01", ok, "EX10NTLM.contoso.lab");
    add_database(b, "DB13-BCN01", m13, NULL);
    add_database(b, "Mailbox Database 2007", m7, NULL);
    return org_end(b);
}

#endif
