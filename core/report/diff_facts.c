/* An organisation and its evidence, taken apart into facts. */
#include "core/report/diff_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <inttypes.h>
#include <string.h>

#define MAX_FACTS 4000000

static bool put(struct facts *f, struct fact fact)
{
    return VEC_PUSH(&f->list, MAX_FACTS, fact);
}

/* The thing itself; what follows are its properties. */
static void thing(struct facts *f, enum diff_area area, const char *subject, const char *value)
{
    f->order = 0;
    if (!subject || !put(f, (struct fact){.area = area, .subject = subject, .value = value ? value : ""}))
        f->arena->failed = true;
}

static void property_of(struct facts *f, const char *property, const char *value, bool is_set)
{
    const struct fact *last = f->list.n ? &f->list.v[f->list.n - 1] : NULL;
    if (!is_set)
        f->order++;
    if (!value || !last)
        return;
    const struct fact fact = {.area = last->area,
                              .order = f->order,
                              .is_set = is_set,
                              .subject = last->subject,
                              .property = property,
                              .value = value};
    if (!put(f, fact))
        f->arena->failed = true;
}

static void property(struct facts *f, const char *name, const char *value)
{
    property_of(f, name, value, false);
}

static void values(struct facts *f, const char *name, const char *const *list, size_t n)
{
    f->order++;
    for (size_t i = 0; i < n; i++)
        property_of(f, name, list[i], true);
}

static void number(struct facts *f, const char *name, bool known, int64_t n)
{
    property(f, name, known ? arena_fmt(f->arena, "%" PRId64, n) : NULL);
}

static const char *time_text(struct facts *f, int64_t at)
{
    char text[CLOCK_TEXT_SIZE];
    return at > 0 ? arena_str(f->arena, clock_rfc3339(at, text)) : NULL;
}

static void yes_no(struct facts *f, const char *name, enum tri t)
{
    property(f, name, t == TRI_UNKNOWN ? NULL : t == TRI_YES ? "yes" : "no");
}

static const char *methods_text(struct facts *f, auth_set set)
{
    struct buf b;
    buf_init(&b, 1024);
    auth_set_text(&b, set);
    const char *text = arena_str(f->arena, buf_str(&b));
    buf_fini(&b);
    return text;
}

static void methods(struct facts *f, const char *name, bool known, auth_set set)
{
    property(f, name, known ? methods_text(f, set) : NULL);
}

static const char *roles_text(struct facts *f, const struct server *s)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } roles[] = {{ROLE_MAILBOX, "mailbox"},
                 {ROLE_HUB, "hub transport"},
                 {ROLE_UM, "unified messaging"},
                 {ROLE_EDGE, "edge"},
                 {ROLE_FRONTEND_TRANSPORT, "frontend transport"}};
    char text[200] = "";
    if (server_is_cas(s))
        str_copy(text, sizeof text, "client access");
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        size_t n = strlen(text);
        if (s->roles & roles[i].bit)
            str_fmt(text + n, sizeof text - n, "%s%s", n ? ", " : "", roles[i].name);
    }
    return arena_str(f->arena, text);
}

static void vdir_facts(struct facts *f, const struct vdir *v)
{
    thing(f, DIFF_VDIR, arena_fmt(f->arena, "%s\\%s", v->server ? v->server->name : "?", v->name),
          v->protocol < PROTOCOL_COUNT ? protocol_words(v->protocol) : NULL);
    property(f, "internal URL", v->internal_url);
    property(f, "external URL", v->external_url);
    property(f, "internal host name", v->internal_hostname);
    property(f, "external host name", v->external_hostname);
    methods(f, "IIS methods", v->has_iis_auth, v->iis_auth);
    methods(f, "client methods", v->has_client_auth, v->client_auth);
    methods(f, "internal client methods", v->has_internal_client_auth, v->internal_client_auth);
    yes_no(f, "SSL offloading", v->ssl_offloading);
    yes_no(f, "internal SSL", v->internal_ssl);
    yes_no(f, "external SSL", v->external_ssl);
    property(f, "metabase path", v->metabase_path);
    property(f, "Exchange 2003 URL", v->exchange2003_url);
    property(f, "InternalNLBBypassUrl", v->nlb_bypass_url);
    property(f, "URL in the directory", v->xrop_url);
}

static void server_facts(struct facts *f, const struct server *s)
{
    char text[VERSION_TEXT_SIZE];
    thing(f, DIFF_SERVER, s->name, s->product);
    property(f, "version", s->has_version ? arena_str(f->arena, version_text(s->version, text)) : NULL);
    property(f, "roles", roles_text(f, s));
    property(f, "site", s->site ? s->site->name : NULL);
    property(f, "FQDN", s->fqdn);
    property(f, "Windows version", s->os_version);
    yes_no(f, "RPC encryption required", s->rpc_encryption);
    property(f, "availability group", s->dag_dn);
    values(f, "SPN", s->spns, s->n_spns);
    property(f, "encryption types", s->has_enctypes ? arena_fmt(f->arena, "0x%x", s->enctypes) : NULL);
    property(f, "computer password set", time_text(f, s->pwd_last_set));
    for (size_t i = 0; i < s->n_vdirs; i++)
        vdir_facts(f, s->vdirs[i]);
}

static void site_facts(struct facts *f, const struct site *s)
{
    thing(f, DIFF_SITE, s->name, NULL);
    property(f, "Internet-facing", s->internet_facing ? "yes" : "no");
    values(f, "subnet", s->subnets, s->n_subnets);
}

static void link_facts(struct facts *f, const struct site_link *l)
{
    thing(f, DIFF_LINK, l->name, NULL);
    number(f, "cost", true, l->cost);
    f->order++;
    for (size_t i = 0; i < l->n_sites; i++)
        property_of(f, "site", l->sites[i] ? l->sites[i]->name : NULL, true);
}

static void database_facts(struct facts *f, const struct database *d)
{
    thing(f, DIFF_DATABASE, d->name, NULL);
    property(f, "owner", d->owner ? d->owner->name : NULL);
    property(f, "RPC client access server", d->rpc_client_access_server);
    property(f, "offline address book", d->oab_dn);
    f->order++;
    for (size_t i = 0; i < d->n_servers; i++)
        property_of(f, "copy on", d->servers[i] ? d->servers[i]->name : NULL, true);
}

static void scp_facts(struct facts *f, const struct scp *s)
{
    thing(f, DIFF_AUTODISCOVER, s->server_name, NULL);
    property(f, "URL", s->url);
    values(f, "site", s->sites, s->n_sites);
}

static void org_facts(struct facts *f, const struct org *o)
{
    thing(f, DIFF_ORGANIZATION, o->name ? o->name : "(no name)", NULL);
    number(f, "object version", o->has_object_version, o->object_version);
    number(f, "schema version", o->schema_version > 0, o->schema_version);
    number(f, "lockout threshold", o->lockout_threshold >= 0, o->lockout_threshold);
    for (size_t i = 0; i < o->n_domains; i++) {
        thing(f, DIFF_DOMAIN, o->domains[i].name, NULL);
        property(f, "default", o->domains[i].is_default ? "yes" : "no");
    }
    for (size_t i = 0; i < o->n_sites; i++)
        site_facts(f, &o->sites[i]);
    for (size_t i = 0; i < o->n_links; i++)
        link_facts(f, &o->links[i]);
    for (size_t i = 0; i < o->n_servers; i++)
        server_facts(f, &o->servers[i]);
    for (size_t i = 0; i < o->n_databases; i++)
        database_facts(f, &o->databases[i]);
    for (size_t i = 0; i < o->n_scps; i++)
        scp_facts(f, &o->scps[i]);
    for (size_t i = 0; i < o->n_arrays; i++) {
        thing(f, DIFF_ARRAY, o->arrays[i].name, NULL);
        property(f, "FQDN", o->arrays[i].fqdn);
        property(f, "site", o->arrays[i].site ? o->arrays[i].site->name : NULL);
    }
}

static void certificate_facts(struct facts *f, const struct observation *o)
{
    const struct certificate *c = &o->u.tls.cert;
    char until[CLOCK_TEXT_SIZE];
    if (!c->sha256)
        return;
    thing(f, DIFF_CERTIFICATE,
          arena_fmt(f->arena, "%s as %s", o->server ? o->server : "-", o->by_name ? o->by_name : "-"), NULL);
    property(f, "certificate",
             arena_fmt(f->arena, "%s, until %s (%.16s...)", c->subject_cn ? c->subject_cn : "without a name",
                       clock_rfc3339(c->not_after, until), c->sha256));
    property(f, "chain", c->chain_ok ? "trusted" : c->chain_error ? c->chain_error : "not trusted");
    property(f, "name matches", o->u.tls.name_ok ? "yes" : "no");
    property(f, "protocol", o->u.tls.version);
}

/* Only what was seen: a server that did not answer has not changed what it offers. */
static void wire_facts(struct facts *f, const struct observation *o)
{
    if (!o->u.challenge.status || o->protocol >= PROTOCOL_COUNT)
        return;
    thing(f, DIFF_WIRE,
          arena_fmt(f->arena, "%s %s as %s", o->server ? o->server : "-", protocol_id(o->protocol),
                    o->by_name ? o->by_name : "-"),
          NULL);
    property(f, "status", arena_fmt(f->arena, "%d", o->u.challenge.status));
    property(f, "offers", methods_text(f, o->u.challenge.offered));
    property(f, "anonymous", o->u.challenge.anonymous ? "yes" : "no");
}

/* One of perhaps several owners of the names of a host. */
static void owner_facts(struct facts *f, const struct observation *o)
{
    thing(f, DIFF_SPN, o->by_name ? o->by_name : "-", NULL);
    f->order++;
    if (o->u.spn.spn)
        property_of(f, "owner",
                    arena_fmt(f->arena, "%s of %s", o->u.spn.spn, o->u.spn.account ? o->u.spn.account : "?"),
                    true);
}

enum err facts_collect(struct facts *f, const struct diff_side *side)
{
    org_facts(f, side->org);
    for (size_t i = 0; side->evidence && i < side->evidence->items.n; i++) {
        const struct observation *o = &side->evidence->items.v[i];
        if (o->kind == OBSERVATION_TLS)
            certificate_facts(f, o);
        else if (o->kind == OBSERVATION_CHALLENGE)
            wire_facts(f, o);
        else if (o->kind == OBSERVATION_SPN)
            owner_facts(f, o);
    }
    return f->arena->failed ? ERR_LIMIT : ERR_OK;
}
