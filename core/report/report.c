#include "core/report/report_int.h"

#include "core/base/str.h"
#include "core/report/json.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_MAX     ((size_t)256 * 1024 * 1024)
#define MAX_LOCATIONS 4096
#define PLAN_MAX      ((size_t)64 * 1024 * 1024)

/* ---- routes */

static const struct server *arriving_at(const struct report_input *in)
{
    const struct server *best = NULL;
    for (size_t i = 0; i < in->org->n_servers; i++) {
        const struct server *s = &in->org->servers[i];
        if (!server_is_cas(s) || s->generation != in->findings->target)
            continue;
        /* one that clients will reach before one that they will not */
        if (!best || (server_is_published(s) && !server_is_published(best)))
            best = s;
    }
    return best;
}

static int by_place(const void *x, const void *y)
{
    const struct report_location *a = x, *b = y;
    int c = str_icmp(a->site->name, b->site->name);
    return c ? c : (a->generation > b->generation) - (a->generation < b->generation);
}

static bool collect_locations(struct report *r)
{
    const struct org *org = r->in.org;
    VEC(struct report_location) list = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        size_t k = 0;
        if (!server_is_mailbox(s) || !s->site || s->generation < GENERATION_2007)
            continue;
        while (k < list.n && (list.v[k].site != s->site || list.v[k].generation != s->generation))
            k++;
        if (k < list.n)
            list.v[k].servers++;
        else if (list.n < MAX_LOCATIONS)
            ok = VEC_PUSH(
                &list, MAX_LOCATIONS,
                (struct report_location){
                    .site = s->site, .generation = s->generation, .mailbox_server = s, .servers = 1});
    }
    if (ok && list.n) {
        qsort(list.v, list.n, sizeof *list.v, by_place);
        r->locations = arena_dup(&r->arena, list.v, list.n * sizeof *list.v);
        r->n_locations = r->locations ? list.n : 0;
        ok = r->locations != NULL;
    }
    VEC_FREE(&list);
    return ok;
}

static enum err decide(struct report *r, struct errinfo *ei)
{
    for (size_t i = 0; r->arriving && i < r->n_locations; i++) {
        struct report_location *l = &r->locations[i];
        for (unsigned p = 0; p < PROTOCOL_COUNT; p++) {
            const struct route_request req = {.arriving = r->arriving,
                                              .protocol = (enum protocol)p,
                                              .mailbox_generation = l->generation,
                                              .mailbox_site = l->site,
                                              .mailbox_server = l->mailbox_server};
            enum err e = route_decide(r->in.org, &req, r->in.findings, &r->arena, &l->routes[p], ei);
            if (e)
                return e;
            if (l->routes[p].row)
                r->protocols |= 1u << p;
        }
    }
    return ERR_OK;
}

enum route_state report_route_state(const struct route_decision *d)
{
    if (d->row && d->row->legal && d->action == ROUTE_REFUSE)
        return ROUTE_NOT_OFFERED;
    return d->works == TRI_YES ? ROUTE_WORKS : d->works == TRI_NO ? ROUTE_FAILS : ROUTE_NOT_KNOWN;
}

struct tally report_tally(const struct report *r, enum protocol p)
{
    struct tally t = {0};
    for (size_t i = 0; i < r->n_locations; i++) {
        switch (report_route_state(&r->locations[i].routes[p])) {
        case ROUTE_WORKS: t.works++; break;
        case ROUTE_FAILS: t.fails++; break;
        case ROUTE_NOT_KNOWN: t.unknown++; break;
        case ROUTE_NOT_OFFERED: t.not_offered++; break;
        }
    }
    return t;
}

enum tri report_location_works(const struct report *r, const struct report_location *l)
{
    enum tri all = TRI_YES;
    for (unsigned p = 0; p < PROTOCOL_COUNT; p++) {
        enum route_state state = report_route_state(&l->routes[p]);
        if (!(r->protocols & 1u << p))
            continue;
        if (state == ROUTE_FAILS)
            return TRI_NO;
        /* nobody here knows of POP3 and IMAP4, and most organisations leave both off: their cells say so, the place is not doubted */
        if (state == ROUTE_NOT_KNOWN && p != PROTOCOL_POP && p != PROTOCOL_IMAP)
            all = TRI_UNKNOWN;
    }
    return all;
}

/* ---- certificates */

static int by_end(const void *x, const void *y)
{
    const struct seen_certificate *a = x, *b = y;
    return (a->cert->not_after > b->cert->not_after) - (a->cert->not_after < b->cert->not_after);
}

enum err report_certificates(const struct report *r, seen_certificates *out)
{
    const struct evidence *e = r->in.evidence;
    for (size_t i = 0; i < e->items.n; i++) {
        const struct observation *o = &e->items.v[i];
        size_t k = 0;
        if (o->kind != OBSERVATION_TLS || !o->u.tls.cert.sha256 || !o->server)
            continue;
        while (k < out->n && !str_eq(out->v[k].cert->sha256, o->u.tls.cert.sha256))
            k++;
        if (k == out->n && !VEC_PUSH(out, MAX_LOCATIONS, (struct seen_certificate){.cert = &o->u.tls.cert}))
            return ERR_LIMIT;
        struct seen_certificate *c = &out->v[k];
        if (!str_eq(c->last, o->server)) {
            c->first = c->first ? c->first : o->server;
            c->last = o->server;
            c->servers++;
        }
    }
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_end);
    return ERR_OK;
}

/* ---- life */

static enum err make_redactor(struct report *r, struct errinfo *ei)
{
    const struct findings *f = r->in.findings;
    const char *users[] = {r->in.made_by, NULL};
    enum err e = redactor_new(&r->redactor, r->in.org, r->in.evidence, users, ei);
    for (size_t i = 0; !e && i < f->found.n; i++)
        if (f->found.v[i].accepted)
            redactor_add(r->redactor, f->found.v[i].accepted->by, "user");
    return e;
}

enum err report_build(struct report **out, const struct report_input *in, struct errinfo *ei)
{
    const struct plan_filter all = {0};
    struct report *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a report");
    r->in = *in;
    arena_init(&r->arena, ARENA_MAX);
    r->arriving = arriving_at(in);
    enum err e =
        collect_locations(r) ? decide(r, ei) : err_set(ei, ERR_NOMEM, NULL, "no memory for a report");
    if (!e && in->redact)
        e = make_redactor(r, ei);
    if (!e && plan_build(&r->plan, in->org, in->findings, &all, in->made_by, &r->no_plan))
        r->plan = NULL; /* the report says so */
    if (e)
        report_free(&r);
    else
        *out = r;
    return e;
}

void report_free(struct report **rp)
{
    struct report *r = *rp;
    *rp = NULL;
    if (!r)
        return;
    plan_free(&r->plan);
    redactor_free(&r->redactor);
    arena_fini(&r->arena);
    free(r);
}

/* ---- JSON */

/* Every string of the tree; keys are ours. */
static void redact_json(struct redactor *r, json_t *j)
{
    const char *key;
    size_t i;
    json_t *v;
    if (json_is_object(j)) {
        json_object_foreach(j, key, v) redact_json(r, v);
    } else if (json_is_array(j)) {
        json_array_foreach(j, i, v) redact_json(r, v);
    } else if (json_is_string(j)) {
        struct buf b;
        buf_init(&b, (size_t)16 * 1024 * 1024);
        if (redact(r, json_string_value(j), json_string_length(j), &b) || json_string_set(j, buf_str(&b)))
            json_string_set(j, "(left out)");
        buf_fini(&b);
    }
}

static json_t *plan_json(const struct report *r)
{
    struct buf b;
    json_t *j = NULL;
    buf_init(&b, PLAN_MAX);
    if (r->plan && plan_to_json(r->plan, &b, NULL) == ERR_OK)
        j = json_loadb(buf_str(&b), b.len, 0, NULL);
    buf_fini(&b);
    return j ? j : json_null();
}

static json_t *routes_json(const struct report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; r->arriving && i < r->n_locations; i++) {
        const struct report_location *l = &r->locations[i];
        for (unsigned p = 0; p < PROTOCOL_COUNT; p++) {
            const struct route_request req = {.arriving = r->arriving,
                                              .protocol = (enum protocol)p,
                                              .mailbox_generation = l->generation,
                                              .mailbox_site = l->site};
            if (r->protocols & 1u << p)
                json_array_append_new(list, json_route(&req, &l->routes[p]));
        }
    }
    return list;
}

json_t *report_json(const struct report *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "program", json_text(r->in.program));
    json_object_set_new(o, "made_at", json_time(r->in.made_at));
    json_object_set_new(o, "made_by", json_text(r->in.made_by));
    json_object_set_new(o, "as_of", json_time(r->in.as_of));
    json_object_set_new(o, "probed", json_boolean(r->in.probed));
    json_object_set_new(o, "redacted", json_boolean(r->redactor != NULL));
    json_object_set_new(o, "check", json_check(r->in.findings));
    json_object_set_new(o, "inventory", json_inventory(r->in.org));
    json_object_set_new(o, "evidence", json_probe(r->in.evidence));
    json_object_set_new(o, "arriving", json_text(r->arriving ? r->arriving->name : NULL));
    json_object_set_new(o, "routes", routes_json(r));
    json_object_set_new(o, "plan", plan_json(r));
    if (r->redactor)
        redact_json(r->redactor, o);
    return o;
}
