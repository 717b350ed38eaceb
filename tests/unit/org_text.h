/* An organisation as text, everything in it: two are the same when their texts are. */
#ifndef TESTS_UNIT_ORG_TEXT_H
#define TESTS_UNIT_ORG_TEXT_H

#include "core/model/org.h"

static const char *or_dash(const char *s)
{
    return s ? s : "-";
}

static void org_text_vdir(struct buf *b, const struct vdir *v)
{
    buf_addf(b, "  vdir %s %s [%s]%s int=%s ext=%s inthost=%s exthost=%s ssl=%d/%d", protocol_id(v->protocol),
             v->name, or_dash(v->website), v->back_end ? " back" : "", or_dash(v->internal_url),
             or_dash(v->external_url), or_dash(v->internal_hostname), or_dash(v->external_hostname),
             v->internal_ssl, v->external_ssl);
    buf_addf(b, " iis=%d:%u:%lld client=%d:%u:%lld inner=%d:%u offload=%d", v->has_iis_auth, v->iis_auth,
             (long long)v->iis_auth_raw, v->has_client_auth, v->client_auth, (long long)v->client_auth_raw,
             v->has_internal_client_auth, v->internal_client_auth, v->ssl_offloading);
    buf_addf(b, " base=%s xrop=%s 2003=%s dn=%s\n", or_dash(v->metabase_path), or_dash(v->xrop_url),
             or_dash(v->exchange2003_url), v->dn);
}

static void org_text_server(struct buf *b, const struct server *s)
{
    char version[VERSION_TEXT_SIZE];
    buf_addf(b, "server %s fqdn=%s legacy=%s site=%s version=%s %s %s roles=%u changed=%lld\n", s->name,
             or_dash(s->fqdn), or_dash(s->legacy_dn), s->site ? s->site->name : "-",
             s->has_version ? version_text(s->version, version) : "-", generation_name(s->generation),
             s->product, s->roles, (long long)s->changed_at);
    buf_addf(b, "  cas=%d published=%d rpc=%d:%d dag=%s computer=%s enctypes=%d:%u pwd=%lld os=%s\n",
             server_is_cas(s), server_is_published(s), s->has_rpc_client_access, s->rpc_encryption,
             or_dash(s->dag_dn), or_dash(s->computer_dn), s->has_enctypes, s->enctypes,
             (long long)s->pwd_last_set, or_dash(s->os_version));
    for (size_t i = 0; i < s->n_spns; i++)
        buf_addf(b, "  spn %s\n", s->spns[i]);
    for (size_t i = 0; i < s->n_vdirs; i++)
        org_text_vdir(b, s->vdirs[i]);
}

/* Not in it: the source and the time, which differ from reading to reading; notes, on request. */
static void org_text(struct buf *b, const struct org *o, bool notes)
{
    buf_addf(b, "org %s domain=%s default=%s config=%s version=%lld schema=%lld lockout=%lld\n",
             or_dash(o->name), or_dash(o->domain), or_dash(o->default_naming_context),
             or_dash(o->config_naming_context), (long long)o->object_version, (long long)o->schema_version,
             (long long)o->lockout_threshold);
    for (size_t i = 0; i < o->n_sites; i++) {
        buf_addf(b, "site %s internet=%d servers=%zu", o->sites[i].name, o->sites[i].internet_facing,
                 o->sites[i].n_servers);
        for (size_t k = 0; k < o->sites[i].n_subnets; k++)
            buf_addf(b, " %s", o->sites[i].subnets[k]);
        buf_addc(b, '\n');
    }
    for (size_t i = 0; i < o->n_links; i++) {
        buf_addf(b, "link %s cost=%d", o->links[i].name, o->links[i].cost);
        for (size_t k = 0; k < o->links[i].n_sites; k++)
            buf_addf(b, " %s", o->links[i].sites[k]->name);
        buf_addc(b, '\n');
    }
    for (size_t i = 0; i < o->n_servers; i++)
        org_text_server(b, &o->servers[i]);
    for (size_t i = 0; i < o->n_databases; i++) {
        const struct database *d = &o->databases[i];
        buf_addf(b, "database %s owner=%s rpc=%s oab=%s public=%d", d->name, d->owner ? d->owner->name : "-",
                 or_dash(d->rpc_client_access_server), or_dash(d->oab_dn), d->is_public);
        for (size_t k = 0; k < d->n_servers; k++)
            buf_addf(b, " %s", d->servers[k]->name);
        buf_addc(b, '\n');
    }
    for (size_t i = 0; i < o->n_scps; i++) {
        const struct scp *s = &o->scps[i];
        buf_addf(b, "scp %s server=%s url=%s pointer=%d sites=%zu %s\n", s->server_name,
                 s->server ? s->server->name : "-", or_dash(s->url), s->is_pointer, s->n_sites,
                 s->n_sites ? s->sites[0] : "");
    }
    for (size_t i = 0; i < o->n_arrays; i++)
        buf_addf(b, "array %s fqdn=%s site=%s\n", o->arrays[i].name, or_dash(o->arrays[i].fqdn),
                 o->arrays[i].site ? o->arrays[i].site->name : "-");
    for (size_t i = 0; i < o->n_domains; i++)
        buf_addf(b, "domain %s default=%d\n", o->domains[i].name, o->domains[i].is_default);
    for (size_t i = 0; notes && i < o->n_notes; i++)
        buf_addf(b, "note %s: %s\n", or_dash(o->notes[i].subject), o->notes[i].text);
}

#endif
