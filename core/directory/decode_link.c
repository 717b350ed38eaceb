/* The second phase: every reference by DN or name becomes a pointer. */
#include "core/directory/decode_int.h"

#include "core/base/str.h"

#include <string.h>

struct linking {
    struct decode *d;
    struct org *org;
    struct dn_map servers, sites, databases;
};

/* ---- order and copies into the arena */

static int by_site(const void *a, const void *b)
{
    return str_icmp(((const struct site *)a)->name, ((const struct site *)b)->name);
}

static int by_server(const void *a, const void *b)
{
    return str_icmp(((const struct server *)a)->name, ((const struct server *)b)->name);
}

static int by_database(const void *a, const void *b)
{
    return str_icmp(((const struct raw_database *)a)->d.name, ((const struct raw_database *)b)->d.name);
}

static int by_scp(const void *a, const void *b)
{
    return str_icmp(((const struct scp *)a)->server_name, ((const struct scp *)b)->server_name);
}

static int by_protocol(const void *a, const void *b)
{
    const struct vdir *x = *(const struct vdir *const *)a, *y = *(const struct vdir *const *)b;
    return x->protocol != y->protocol ? (x->protocol < y->protocol ? -1 : 1) : str_icmp(x->name, y->name);
}

#define SORT(vec, compare)                                                                                   \
    do {                                                                                                     \
        if ((vec).n)                                                                                         \
            qsort((vec).v, (vec).n, sizeof *(vec).v, compare);                                               \
    } while (0)

static void drop_duplicates(struct linking *l)
{
    struct decode *d = l->d;
    size_t kept = 0;
    bool again;
    for (size_t i = 0; i < d->servers.n; i++) {
        if (dn_map_add(&l->servers, d->servers.v[i].dn, kept, &again))
            d->servers.v[kept++] = d->servers.v[i];
        else
            decode_note(d, d->servers.v[i].dn,
                        again ? "this server came twice: the first is taken"
                              : "this is no distinguished name: the server was left out");
    }
    d->servers.n = kept;
    kept = 0;
    for (size_t i = 0; i < d->sites.n; i++)
        if (dn_map_add(&l->sites, d->sites.v[i].dn, kept, &again))
            d->sites.v[kept++] = d->sites.v[i];
    d->sites.n = kept;
    kept = 0;
    for (size_t i = 0; i < d->databases.n; i++)
        if (dn_map_add(&l->databases, d->databases.v[i].d.dn, kept, &again))
            d->databases.v[kept++] = d->databases.v[i];
    d->databases.n = kept;
}

static bool copy_lists(struct linking *l)
{
    struct decode *d = l->d;
    struct org *org = l->org;
    SORT(d->sites, by_site);
    SORT(d->servers, by_server);
    SORT(d->databases, by_database);
    SORT(d->scps, by_scp);
    if (dn_map_init(&l->servers, d->servers.n) || dn_map_init(&l->sites, d->sites.n) ||
        dn_map_init(&l->databases, d->databases.n))
        return false;
    drop_duplicates(l);
    org->sites = arena_dup(&org->arena, d->sites.v, d->sites.n * sizeof *org->sites);
    org->n_sites = d->sites.n;
    org->servers = arena_dup(&org->arena, d->servers.v, d->servers.n * sizeof *org->servers);
    org->n_servers = d->servers.n;
    org->scps = arena_dup(&org->arena, d->scps.v, d->scps.n * sizeof *org->scps);
    org->n_scps = d->scps.n;
    org->domains = arena_dup(&org->arena, d->domains.v, d->domains.n * sizeof *org->domains);
    org->n_domains = d->domains.n;
    org->vdirs = arena_array(&org->arena, d->vdirs.n, sizeof *org->vdirs);
    org->databases = arena_array(&org->arena, d->databases.n, sizeof *org->databases);
    org->arrays = arena_array(&org->arena, d->arrays.n, sizeof *org->arrays);
    org->links = arena_array(&org->arena, d->links.n, sizeof *org->links);
    return !org->arena.failed;
}

/* ---- sites */

static const struct site *site_of(struct linking *l, const char *dn)
{
    size_t i;
    return dn && dn_map_find(&l->sites, dn, &i) ? &l->org->sites[i] : NULL;
}

static bool link_sites(struct linking *l)
{
    struct decode *d = l->d;
    struct org *org = l->org;
    size_t i;
    for (size_t k = 0; k < d->servers.n; k++) {
        struct server *s = &org->servers[k];
        s->site = site_of(l, s->site_dn);
        if (s->site)
            org->sites[s->site - org->sites].n_servers++;
        else
            decode_note(d, s->name,
                        s->site_dn ? "msExchServerSite names a site that is not there"
                                   : "the server has no site: msExchServerSite is not set");
    }
    for (size_t k = 0; k < d->subnets.n; k++)
        if (d->subnets.v[k].site_dn && dn_map_find(&l->sites, d->subnets.v[k].site_dn, &i))
            org->sites[i].n_subnets++;
    for (size_t k = 0; k < org->n_sites; k++) {
        struct site *s = &org->sites[k];
        s->servers = arena_array(&org->arena, s->n_servers, sizeof *s->servers);
        s->subnets = arena_array(&org->arena, s->n_subnets, sizeof *s->subnets);
        if (org->arena.failed)
            return false;
        s->n_servers = s->n_subnets = 0;
    }
    for (size_t k = 0; k < org->n_servers; k++) {
        struct site *s = org->servers[k].site ? &org->sites[org->servers[k].site - org->sites] : NULL;
        if (s)
            s->servers[s->n_servers++] = &org->servers[k];
    }
    for (size_t k = 0; k < d->subnets.n; k++)
        if (d->subnets.v[k].site_dn && dn_map_find(&l->sites, d->subnets.v[k].site_dn, &i))
            org->sites[i].subnets[org->sites[i].n_subnets++] = d->subnets.v[k].name;
    for (size_t k = 0; k < d->links.n; k++) {
        struct raw_link *r = &d->links.v[k];
        r->l.sites = arena_array(&org->arena, r->n, sizeof *r->l.sites);
        for (size_t j = 0; r->l.sites && j < r->n; j++) {
            const struct site *s = site_of(l, r->dns[j]);
            if (s)
                r->l.sites[r->l.n_sites++] = s;
        }
        if (org->arena.failed)
            return false;
        org->links[org->n_links++] = r->l;
    }
    return true;
}

/* ---- virtual directories */

/* "mail.contoso.com", "https://mail.contoso.com/rpc" -> host, scheme, URL */
static void oa_name(struct decode *d, const char *dn, const char *raw, const char **host, enum tri *ssl,
                    const char **url)
{
    char name[256];
    uint16_t port;
    if (!raw)
        return;
    if (!url_host(raw, name, sizeof name, ssl, &port)) {
        decode_note(d, dn, "an Outlook Anywhere host name cannot be read: taken as absent");
        return;
    }
    struct arena *a = &d->org->arena;
    const char *scheme = *ssl == TRI_NO ? "http" : "https";
    bool usual = port == 0 || port == (*ssl == TRI_NO ? 80 : 443);
    *host = arena_str(a, name);
    *url = usual ? arena_fmt(a, "%s://%s/rpc", scheme, name)
                 : arena_fmt(a, "%s://%s:%u/rpc", scheme, name, port);
}

void decode_oa_hosts(struct decode *d, struct raw_vdir *v)
{
    bool modern = v->v.server->generation >= GENERATION_2013;
    oa_name(d, v->v.dn, v->external_host, &v->v.external_hostname, &v->v.external_ssl, &v->v.external_url);
    if (modern) /* 2007 and 2010 have no internal name */
        oa_name(d, v->v.dn, v->internal_host, &v->v.internal_hostname, &v->v.internal_ssl,
                &v->v.internal_url);
    if (modern && v->v.has_iis_auth && v->v.iis_auth_raw == 0) /* directory.md 9: read so by 2013 CU23 */
        v->v.iis_auth = AUTH_BASIC | AUTH_NTLM | AUTH_NEGOTIATE;
}

/* Setup gives every 2010 server one: where none is to be seen, it is the attribute's assumed name that is wrong. */
static void judge_nlb_bypass(struct org *org)
{
    bool known = false;
    for (size_t k = 0; k < org->n_vdirs; k++)
        known |= org->vdirs[k].protocol == PROTOCOL_EWS && org->vdirs[k].nlb_bypass_url;
    for (size_t k = 0; known && k < org->n_vdirs; k++)
        if (org->vdirs[k].protocol == PROTOCOL_EWS)
            org->vdirs[k].nlb_bypass = org->vdirs[k].nlb_bypass_url ? TRI_YES : TRI_NO;
}

static bool link_vdirs(struct linking *l)
{
    struct decode *d = l->d;
    struct org *org = l->org;
    size_t i;
    for (size_t k = 0; k < d->vdirs.n; k++) {
        struct raw_vdir *r = &d->vdirs.v[k];
        if (!dn_map_find_above(&l->servers, r->v.dn, &i)) {
            decode_note(d, r->v.dn, "this virtual directory belongs to no server that was read: left out");
            continue;
        }
        r->v.server = &org->servers[i];
        org->servers[i].n_vdirs++;
        if (r->v.protocol == PROTOCOL_OA)
            decode_oa_hosts(d, r);
        org->vdirs[org->n_vdirs++] = r->v;
    }
    judge_nlb_bypass(org);
    for (size_t k = 0; k < org->n_servers; k++) {
        struct server *s = &org->servers[k];
        s->vdirs = arena_array(&org->arena, s->n_vdirs, sizeof *s->vdirs);
        if (org->arena.failed)
            return false;
        s->n_vdirs = 0;
    }
    for (size_t k = 0; k < org->n_vdirs; k++) {
        struct server *s = &org->servers[org->vdirs[k].server - org->servers];
        s->vdirs[s->n_vdirs++] = &org->vdirs[k];
    }
    for (size_t k = 0; k < org->n_servers; k++) {
        struct server *s = &org->servers[k];
        if (s->n_vdirs)
            qsort(s->vdirs, s->n_vdirs, sizeof *s->vdirs, by_protocol);
        if (s->site && server_is_published(s))
            org->sites[s->site - org->sites].internet_facing = true;
    }
    return true;
}

/* ---- what else belongs to a server */

static struct server *named(struct linking *l, const char *name)
{
    const struct server *s = org_server(l->org, name);
    return s ? &l->org->servers[s - l->org->servers] : NULL;
}

static void link_details(struct linking *l)
{
    struct decode *d = l->d;
    struct org *org = l->org;
    size_t i;
    for (size_t k = 0; k < d->rpcs.n; k++) {
        if (!dn_map_find_above(&l->servers, d->rpcs.v[k].dn, &i))
            continue;
        org->servers[i].has_rpc_client_access = true;
        org->servers[i].rpc_encryption = d->rpcs.v[k].required;
    }
    for (size_t k = 0; k < org->n_scps; k++) {
        struct scp *s = &org->scps[k];
        bool below = dn_map_find_above(&l->servers, s->dn, &i);
        s->server = below ? &org->servers[i] : named(l, s->server_name);
        if (!s->server)
            decode_note(d, s->dn, "this Autodiscover connection point is of a server that is not there");
    }
    for (size_t k = 0; k < d->arrays.n; k++) {
        struct raw_array *r = &d->arrays.v[k];
        r->a.site = site_of(l, r->site_dn);
        org->arrays[org->n_arrays++] = r->a;
    }
    for (size_t k = 0; k < d->computers.n; k++) {
        const struct raw_computer *r = &d->computers.v[k];
        struct server *s = named(l, r->server);
        /* the same name may exist in another domain: the one with the server's FQDN wins */
        if (!s || (s->computer_dn && !str_ieq(r->host_name, s->fqdn)))
            continue;
        s->computer_dn = r->dn;
        s->spns = r->spns;
        s->n_spns = r->n_spns;
        s->has_enctypes = r->has_enctypes;
        s->enctypes = r->enctypes;
        s->pwd_last_set = r->pwd_last_set;
        s->os_version = r->os_version;
    }
}

/* ---- databases */

static const struct server *copy_server(struct linking *l, const struct raw_copy *c)
{
    size_t i;
    char name[256];
    if (c->server_dn && dn_map_find(&l->servers, c->server_dn, &i))
        return &l->org->servers[i];
    return dn_rdn(c->dn, name, sizeof name) ? org_server(l->org, name) : NULL;
}

static void add_holder(struct database *b, const struct server *s)
{
    for (size_t i = 0; i < b->n_servers; i++)
        if (b->servers[i] == s)
            return;
    if (s)
        b->servers[b->n_servers++] = s;
}

static bool link_databases(struct linking *l)
{
    struct decode *d = l->d;
    struct org *org = l->org;
    size_t i;
    for (size_t k = 0; k < d->databases.n; k++) {
        struct raw_database *r = &d->databases.v[k];
        if ((r->owner_dn && dn_map_find(&l->servers, r->owner_dn, &i)) ||
            (!r->owner_dn && dn_map_find_above(&l->servers, r->d.dn, &i))) /* 2003, 2007: below its server */
            r->d.owner = &org->servers[i];
        else
            decode_note(d, r->d.dn, "the database's owner is not there");
        r->d.n_servers = 1;
        org->databases[org->n_databases++] = r->d;
    }
    for (size_t k = 0; k < d->copies.n; k++)
        if (dn_map_find_above(&l->databases, d->copies.v[k].dn, &i))
            org->databases[i].n_servers++;
    for (size_t k = 0; k < org->n_databases; k++) {
        struct database *b = &org->databases[k];
        b->servers = arena_array(&org->arena, b->n_servers, sizeof *b->servers);
        if (org->arena.failed)
            return false;
        b->n_servers = 0;
        add_holder(b, b->owner);
    }
    for (size_t k = 0; k < d->copies.n; k++)
        if (dn_map_find_above(&l->databases, d->copies.v[k].dn, &i))
            add_holder(&org->databases[i], copy_server(l, &d->copies.v[k]));
    return true;
}

enum err decode_link(struct decode *d, struct errinfo *ei)
{
    struct linking l = {.d = d, .org = d->org};
    bool done = copy_lists(&l) && link_sites(&l) && link_vdirs(&l) && link_databases(&l);
    if (done)
        link_details(&l);
    done = done && !d->org->arena.failed && !l.servers.keys.failed && !l.sites.keys.failed &&
           !l.databases.keys.failed;
    dn_map_fini(&l.servers);
    dn_map_fini(&l.sites);
    dn_map_fini(&l.databases);
    return done ? ERR_OK : err_set(ei, ERR_LIMIT, NULL, "no memory to link the organisation together");
}
