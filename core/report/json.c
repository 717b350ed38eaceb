#include "core/report/json.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/iis/iis.h"

#include <string.h>

json_t *json_text(const char *s)
{
    if (!s)
        return json_null();
    size_t len = strlen(s);
    if (utf8_valid(s, len))
        return json_stringn_nocheck(s, len);
    struct buf b;
    buf_init(&b, len * 3 + 16);
    for (size_t i = 0, n; i < len; i += n) {
        n = utf8_next(s + i, len - i, NULL);
        if (n)
            buf_add(&b, s + i, n);
        else
            buf_adds(&b, "\xef\xbf\xbd");
        n = n ? n : 1;
    }
    json_t *out = b.failed ? NULL : json_string(buf_str(&b));
    buf_fini(&b);
    return out;
}

json_t *json_time(int64_t t)
{
    char text[CLOCK_TEXT_SIZE];
    return t > 0 ? json_string(clock_rfc3339(t, text)) : json_null();
}

json_t *json_auth(bool known, auth_set set)
{
    if (!known)
        return json_null();
    json_t *list = json_array();
    for (auth_set one = 1; one <= AUTH_ALL; one <<= 1)
        if (set & one)
            json_array_append_new(list, json_string(auth_name(one)));
    if (json_array_size(list) == 0)
        json_array_append_new(list, json_string("none"));
    return list;
}

static json_t *json_tri(enum tri t)
{
    return t == TRI_UNKNOWN ? json_null() : json_boolean(t == TRI_YES);
}

static json_t *names_of(const char *const *names, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_text(names[i]));
    return list;
}

/* roles of cli.md; the ClientAccess bit of a 2013+ server is its back end and no front end for clients. */
static json_t *roles_of(const struct server *s)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } roles[] = {{ROLE_MAILBOX, "mailbox"},
                 {ROLE_HUB, "hub_transport"},
                 {ROLE_UM, "unified_messaging"},
                 {ROLE_EDGE, "edge"},
                 {ROLE_FRONTEND_TRANSPORT, "frontend_transport"}};
    json_t *list = json_array();
    if (server_is_cas(s))
        json_array_append_new(list, json_string("client_access"));
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        if (s->roles & roles[i].bit)
            json_array_append_new(list, json_string(roles[i].name));
    return list;
}

static json_t *vdir_json(const struct vdir *v)
{
    json_t *o = json_object();
    json_object_set_new(o, "protocol",
                        v->protocol < PROTOCOL_COUNT ? json_string(protocol_id(v->protocol)) : json_null());
    json_object_set_new(o, "name", json_text(v->name));
    json_object_set_new(o, "back_end", json_boolean(v->back_end));
    json_object_set_new(o, "internal_url", json_text(v->internal_url));
    json_object_set_new(o, "external_url", json_text(v->external_url));
    if (v->protocol == PROTOCOL_OA) {
        json_object_set_new(o, "external_hostname", json_text(v->external_hostname));
        json_object_set_new(o, "internal_hostname", json_text(v->internal_hostname));
    }
    json_object_set_new(o, "client_auth", json_auth(v->has_client_auth, v->client_auth));
    json_object_set_new(o, "iis_auth", json_auth(v->has_iis_auth, v->iis_auth));
    if (v->protocol == PROTOCOL_OA)
        json_object_set_new(o, "ssl_offloading", json_tri(v->ssl_offloading));
    return o;
}

static json_t *server_json(const struct server *s)
{
    char text[VERSION_TEXT_SIZE];
    json_t *o = json_object(), *vdirs = json_array();
    json_object_set_new(o, "name", json_text(s->name));
    json_object_set_new(o, "fqdn", json_text(s->fqdn));
    json_object_set_new(o, "site", json_text(s->site ? s->site->name : NULL));
    json_object_set_new(o, "version",
                        s->has_version ? json_string(version_text(s->version, text)) : json_null());
    json_object_set_new(o, "product", json_text(s->product));
    json_object_set_new(o, "generation",
                        s->generation == GENERATION_UNKNOWN ? json_null()
                                                            : json_string(generation_name(s->generation)));
    json_object_set_new(o, "roles", roles_of(s));
    for (size_t i = 0; i < s->n_vdirs; i++)
        json_array_append_new(vdirs, vdir_json(s->vdirs[i]));
    json_object_set_new(o, "virtual_directories", vdirs);
    return o;
}

json_t *json_inventory(const struct org *org)
{
    json_t *o = json_object(), *list;
    json_object_set_new(o, "organization", json_text(org->name));
    json_object_set_new(o, "domain", json_text(org->domain));
    json_object_set_new(o, "source", json_text(org->source));
    json_object_set_new(o, "controller", json_text(org->controller));
    json_object_set_new(o, "taken_at", json_time(org->taken_at));
    list = json_array();
    for (size_t i = 0; i < org->n_sites; i++) {
        const struct site *s = &org->sites[i];
        json_t *site = json_object(), *servers = json_array();
        json_object_set_new(site, "name", json_text(s->name));
        json_object_set_new(site, "internet_facing", json_boolean(s->internet_facing));
        json_object_set_new(site, "subnets", names_of(s->subnets, s->n_subnets));
        for (size_t k = 0; k < s->n_servers; k++)
            json_array_append_new(servers, json_text(s->servers[k]->name));
        json_object_set_new(site, "servers", servers);
        json_array_append_new(list, site);
    }
    json_object_set_new(o, "sites", list);
    list = json_array();
    for (size_t i = 0; i < org->n_servers; i++)
        json_array_append_new(list, server_json(&org->servers[i]));
    json_object_set_new(o, "servers", list);
    list = json_array();
    for (size_t i = 0; i < org->n_databases; i++) {
        const struct database *d = &org->databases[i];
        json_t *db = json_object(), *servers = json_array();
        json_object_set_new(db, "name", json_text(d->name));
        json_object_set_new(db, "owner", json_text(d->owner ? d->owner->name : NULL));
        for (size_t k = 0; k < d->n_servers; k++)
            json_array_append_new(servers, json_text(d->servers[k]->name));
        json_object_set_new(db, "servers", servers);
        json_array_append_new(list, db);
    }
    json_object_set_new(o, "databases", list);
    list = json_array();
    for (size_t i = 0; i < org->n_scps; i++) {
        const struct scp *s = &org->scps[i];
        json_t *scp = json_object();
        json_object_set_new(scp, "server", json_text(s->server_name));
        json_object_set_new(scp, "url", json_text(s->url));
        json_object_set_new(scp, "sites", names_of(s->sites, s->n_sites));
        json_array_append_new(list, scp);
    }
    json_object_set_new(o, "autodiscover", list);
    list = json_array();
    for (size_t i = 0; i < org->n_arrays; i++) {
        json_t *a = json_object();
        json_object_set_new(a, "name", json_text(org->arrays[i].name));
        json_object_set_new(a, "fqdn", json_text(org->arrays[i].fqdn));
        json_object_set_new(a, "site", json_text(org->arrays[i].site ? org->arrays[i].site->name : NULL));
        json_array_append_new(list, a);
    }
    json_object_set_new(o, "arrays", list);
    list = json_array();
    for (size_t i = 0; i < org->n_notes; i++) {
        json_t *n = json_object();
        json_object_set_new(n, "subject", json_text(org->notes[i].subject));
        json_object_set_new(n, "text", json_text(org->notes[i].text));
        json_array_append_new(list, n);
    }
    json_object_set_new(o, "notes", list);
    return o;
}

static json_t *proof_json(const struct proof *p)
{
    json_t *o = json_object();
    json_object_set_new(o, "source", json_string(evidence_source_name(p->source)));
    json_object_set_new(o, "subject", json_text(p->subject));
    json_object_set_new(o, "observed", json_text(p->observed));
    json_object_set_new(o, "expected", json_text(p->expected));
    json_object_set_new(o, "at", json_time(p->at));
    return o;
}

static json_t *fix_json(const struct fix *f)
{
    if (!f)
        return json_null();
    struct buf text;
    buf_init(&text, 65536);
    json_t *o = NULL;
    if (cmdlet_text(&text, &f->cmdlet, NULL) == ERR_OK) {
        o = json_object();
        json_object_set_new(o, "server", json_text(f->server));
        json_object_set_new(o, "cmdlet", json_text(buf_str(&text)));
        json_object_set_new(o, "automatic", json_boolean(f->automatic));
    }
    buf_fini(&text);
    return o ? o : json_null();
}

json_t *json_check(const struct findings *f)
{
    json_t *o = json_object(), *list = json_array();
    json_object_set_new(o, "target", json_string(generation_name(f->target)));
    json_object_set_new(o, "verdict", json_string(verdict_name(f->verdict)));
    for (size_t i = 0; i < f->found.n; i++) {
        const struct finding *x = &f->found.v[i];
        json_t *j = json_object(), *proofs = json_array(), *accepted = json_null();
        json_object_set_new(j, "id", json_text(x->id));
        json_object_set_new(j, "severity", json_string(severity_name(x->severity)));
        json_object_set_new(j, "server", json_text(x->server));
        json_object_set_new(j, "site", json_text(x->site));
        if (x->drift_class)
            json_object_set_new(j, "class", json_text(x->drift_class));
        json_object_set_new(j, "summary", json_text(x->summary));
        for (size_t k = 0; k < x->n_evidence; k++)
            json_array_append_new(proofs, proof_json(&x->evidence[k]));
        json_object_set_new(j, "evidence", proofs);
        json_object_set_new(j, "fix", fix_json(x->fix));
        if (x->accepted) {
            accepted = json_object();
            json_object_set_new(accepted, "by", json_text(x->accepted->by));
            json_object_set_new(accepted, "reason", json_text(x->accepted->reason));
            json_object_set_new(accepted, "until", json_time(x->accepted->until));
        }
        json_object_set_new(j, "accepted", accepted);
        json_array_append_new(list, j);
    }
    json_object_set_new(o, "findings", list);
    list = json_array();
    for (size_t i = 0; i < f->passed.n; i++) {
        json_t *j = json_object();
        json_object_set_new(j, "id", json_text(f->passed.v[i].id));
        json_object_set_new(j, "server", json_text(f->passed.v[i].server));
        json_array_append_new(list, j);
    }
    json_object_set_new(o, "passed", list);
    list = json_array();
    for (size_t i = 0; i < f->unknown.n; i++) {
        json_t *j = json_object();
        json_object_set_new(j, "id", json_text(f->unknown.v[i].id));
        json_object_set_new(j, "server", json_text(f->unknown.v[i].server));
        json_object_set_new(j, "why", json_text(f->unknown.v[i].why));
        json_array_append_new(list, j);
    }
    json_object_set_new(o, "unknown", list);
    return o;
}

/* null: not tried. */
static json_t *tls_versions(const struct observation *o)
{
    json_t *list = o->u.tls.versions_tried ? json_array() : json_null();
    for (unsigned i = 0; i < TLS_VERSIONS; i++)
        if (o->u.tls.versions_tried & o->u.tls.versions_offered & (1u << i))
            json_array_append_new(list, json_string(tls_version_name(i)));
    return list;
}

static void put_details(json_t *j, const struct observation *o)
{
    switch (o->kind) {
    case OBSERVATION_CHALLENGE:
        json_object_set_new(j, "status",
                            o->u.challenge.status ? json_integer(o->u.challenge.status) : json_null());
        json_object_set_new(j, "offered", json_auth(o->outcome != OUTCOME_ERROR, o->u.challenge.offered));
        json_object_set_new(j, "anonymous", json_boolean(o->u.challenge.anonymous));
        break;
    case OBSERVATION_TLS: {
        const struct certificate *c = &o->u.tls.cert;
        json_t *cert = json_object();
        json_object_set_new(j, "tls_version", json_text(o->u.tls.version));
        json_object_set_new(j, "cipher", json_text(o->u.tls.cipher));
        json_object_set_new(j, "versions_offered", tls_versions(o));
        json_object_set_new(j, "client_certificate",
                            json_string(o->u.tls.needs_certificate      ? "required"
                                        : o->u.tls.asks_for_certificate ? "asked"
                                                                        : "no"));
        json_object_set_new(j, "name_ok", json_boolean(o->u.tls.name_ok));
        json_object_set_new(cert, "subject", json_text(c->subject_cn));
        json_object_set_new(cert, "issuer", json_text(c->issuer));
        json_object_set_new(cert, "names", names_of(c->names, c->n_names));
        json_object_set_new(cert, "not_before", json_time(c->not_before));
        json_object_set_new(cert, "not_after", json_time(c->not_after));
        json_object_set_new(cert, "key_type", json_text(c->key_type));
        json_object_set_new(cert, "key_bits", json_integer(c->key_bits));
        json_object_set_new(cert, "signature_hash", json_text(c->signature_hash));
        json_object_set_new(cert, "sha256", json_text(c->sha256));
        json_object_set_new(cert, "chain_ok", json_boolean(c->chain_ok));
        json_object_set_new(cert, "chain_error", json_text(c->chain_error));
        json_object_set_new(j, "certificate", cert);
        break;
    }
    case OBSERVATION_TICKET:
        json_object_set_new(j, "etype", o->u.ticket.etype ? json_integer(o->u.ticket.etype) : json_null());
        json_object_set_new(j, "kvno", o->u.ticket.kvno ? json_integer(o->u.ticket.kvno) : json_null());
        json_object_set_new(j, "end_time", json_time(o->u.ticket.end_time));
        json_object_set_new(j, "error", o->u.ticket.error ? json_integer(o->u.ticket.error) : json_null());
        break;
    case OBSERVATION_LOGON:
        json_object_set_new(j, "method", json_text(o->u.logon.method));
        json_object_set_new(j, "user", json_text(o->u.logon.user));
        json_object_set_new(j, "status", o->u.logon.status ? json_integer(o->u.logon.status) : json_null());
        break;
    case OBSERVATION_IIS:
        json_object_set_new(j, "anonymous", json_boolean(o->u.iis.anonymous));
        json_object_set_new(j, "basic", json_boolean(o->u.iis.basic));
        json_object_set_new(j, "windows", json_boolean(o->u.iis.windows));
        json_object_set_new(j, "digest", json_boolean(o->u.iis.digest));
        json_object_set_new(j, "extended_protection", json_string(iis_token_name(o->u.iis.token)));
        break;
    case OBSERVATION_SPN:
        json_object_set_new(j, "spn", json_text(o->u.spn.spn));
        json_object_set_new(j, "account", json_text(o->u.spn.account));
        json_object_set_new(j, "dn", json_text(o->u.spn.dn));
        break;
    case OBSERVATION_BUILD:
    case OBSERVATION_STEP: break;
    }
}

json_t *json_probe(const struct evidence *e)
{
    json_t *o = json_object(), *list = json_array();
    for (size_t i = 0; i < e->items.n; i++) {
        const struct observation *x = &e->items.v[i];
        json_t *j = json_object();
        json_object_set_new(j, "server", json_text(x->server));
        json_object_set_new(j, "name", json_text(x->by_name));
        json_object_set_new(j, "protocol",
                            x->protocol < PROTOCOL_COUNT ? json_string(protocol_id(x->protocol))
                                                         : json_null());
        json_object_set_new(j, "step", json_text(x->step));
        json_object_set_new(j, "outcome", json_string(outcome_name(x->outcome)));
        json_object_set_new(j, "source", json_string(evidence_source_name(x->source)));
        json_object_set_new(j, "subject", json_text(x->subject));
        json_object_set_new(j, "detail", json_text(x->detail));
        put_details(j, x);
        json_object_set_new(j, "at", json_time(x->at));
        json_object_set_new(j, "elapsed_ms", json_integer(x->elapsed_ms));
        json_array_append_new(list, j);
    }
    json_object_set_new(o, "observations", list);
    return o;
}

json_t *json_route(const struct route_request *req, const struct route_decision *d)
{
    json_t *o = json_object(), *mailbox = json_object(), *list;
    json_object_set_new(o, "arriving", json_text(req->arriving->name));
    json_object_set_new(o, "protocol", json_string(protocol_id(req->protocol)));
    json_object_set_new(o, "user", json_text(req->user));
    json_object_set_new(mailbox, "generation", json_string(generation_name(req->mailbox_generation)));
    json_object_set_new(mailbox, "site", json_text(req->mailbox_site ? req->mailbox_site->name : NULL));
    json_object_set_new(mailbox, "database", json_text(req->database ? req->database->name : NULL));
    json_object_set_new(o, "mailbox", mailbox);
    json_object_set_new(o, "action",
                        d->action == ROUTE_UNKNOWN ? json_null() : json_string(route_action_name(d->action)));
    json_object_set_new(o, "style", json_text(route_style_name(d->style)));
    json_object_set_new(o, "status", d->status ? json_integer(d->status) : json_null());
    json_object_set_new(o, "target", json_text(d->target ? d->target->name : NULL));
    json_object_set_new(o, "url", json_text(d->url));
    list = json_array();
    for (size_t i = 0; i < d->n_hops; i++) {
        json_t *hop = json_object();
        json_object_set_new(hop, "from", json_text(d->hops[i].from));
        json_object_set_new(hop, "to", json_text(d->hops[i].to));
        json_object_set_new(hop, "auth", json_text(d->hops[i].auth));
        if (d->hops[i].spn)
            json_object_set_new(hop, "spn", json_text(d->hops[i].spn));
        json_array_append_new(list, hop);
    }
    json_object_set_new(o, "hops", list);
    list = json_array();
    for (size_t i = 0; i < d->n_preconditions; i++) {
        const struct route_precondition *p = &d->preconditions[i];
        json_t *j = json_object();
        json_object_set_new(j, "rule", json_text(p->rule));
        json_object_set_new(j, "server", json_text(p->server));
        json_object_set_new(j, "holds", json_tri(p->holds));
        if (p->why)
            json_object_set_new(j, "why", json_text(p->why));
        json_array_append_new(list, j);
    }
    json_object_set_new(o, "preconditions", list);
    json_object_set_new(o, "works", json_tri(d->works));
    json_object_set_new(o, "why", json_text(d->why));
    json_object_set_new(o, "confidence",
                        d->row ? json_string(route_confidence_name(d->confidence)) : json_null());
    list = json_array();
    for (const char *s = d->row ? d->row->sources : ""; *s;) { /* "a; b; c" */
        size_t n = strcspn(s, ";");
        char one[512];
        str_fmt(one, sizeof one, "%.*s", (int)(n < 500 ? n : 500), s);
        json_array_append_new(list, json_text(one));
        s += n;
        s += strspn(s, "; ");
    }
    json_object_set_new(o, "sources", list);
    json_object_set_new(o, "conflicts", names_of(d->conflicts, d->n_conflicts));
    return o;
}
