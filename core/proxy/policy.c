/*
 * Where a request goes: the plain relay has one answer; the engine that arrives as a CAS asks the directory whose mailbox it is
 * and the routing table what that CAS does with it.
 */
#include "core/proxy/proxy_int.h"

#include "core/base/str.h"
#include "core/proxy/mailboxes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DECISION_TTL_MS 60000

struct policy {
    struct proxy *p;
    struct mailboxes *mailboxes;
};

/* A decision of the routing table, kept by a connection for its next requests. */
struct decision {
    /* what it was made for */
    uint64_t org_version;
    enum protocol protocol;
    char who[160], rpc_server[128], host_name[96];
    int64_t until_ms;
    /* what it says */
    enum route_action action;
    enum route_style style;
    int status;
    char name[64], site[48], host[128], url[512], prefix[64];
    uint16_t port;
    char rule[32], why[192];
    char fails[192]; /* the precondition `rule` that does not hold, in words */
};

enum err policy_new(struct policy **out, struct proxy *p, struct errinfo *ei)
{
    struct policy *pl = calloc(1, sizeof *pl);
    if (pl == NULL || (p->cfg.arrive != NULL &&
                       mailboxes_new(&pl->mailboxes, p->cfg.profile, p->cfg.source, p->cfg.org) != ERR_OK)) {
        free(pl);
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the engine");
    }
    pl->p = p;
    *out = pl;
    return ERR_OK;
}

void policy_organisation(struct policy *pl, const struct org *org, uint64_t version)
{
    if (pl->mailboxes != NULL)
        mailboxes_organisation(pl->mailboxes, org, version);
}

void policy_stop(struct policy *pl)
{
    if (pl->mailboxes != NULL)
        mailboxes_stop(pl->mailboxes);
}

void policy_free(struct policy **plp)
{
    if (*plp == NULL)
        return;
    mailboxes_free(&(*plp)->mailboxes);
    free(*plp);
    *plp = NULL;
}

void decision_unref(struct decision **d)
{
    free(*d);
    *d = NULL;
}

void policy_forget(struct conn *c)
{
    decision_unref(&c->decision);
}

const char *policy_prefix(const struct conn *c)
{
    return c->decision != NULL && c->decision->prefix[0] != '\0' ? c->decision->prefix : NULL;
}

/* --- what is asked */

static void field_text(const struct http1_field *f, const char *raw, char *out, size_t cap)
{
    size_t n = f == NULL ? 0 : f->value_len < cap ? f->value_len : cap - 1;
    if (f != NULL)
        memcpy(out, raw + f->value, n);
    out[n] = '\0';
}

/* SERVER of /rpc/rpcproxy.dll?SERVER:PORT */
static void rpc_server(const struct http1_head *h, const char *raw, char *out, size_t cap)
{
    const char *t = raw + h->target, *end = t + h->target_len;
    const char *q = memchr(t, '?', h->target_len);
    size_t n = 0;
    if (q != NULL) {
        const char *colon = memchr(q, ':', (size_t)(end - q));
        const char *stop = colon != NULL ? colon : end;
        n = (size_t)(stop - (q + 1));
        if (n >= cap)
            n = cap - 1;
        memcpy(out, q + 1, n);
    }
    out[n] = '\0';
}

static void request_key(struct conn *c, struct decision *k)
{
    const struct http1_head *h = request_head(c);
    const char *raw = iobuf_head(c->in);
    memset(k, 0, offsetof(struct decision, until_ms));
    k->org_version = atomic_load(&c->e->p->org_version);
    k->protocol = policy_protocol((enum path_kind)c->path_kind);
    field_text(http1_find(h, HTTP1_HOST), raw, k->host_name, sizeof k->host_name);
    char *colon = strrchr(k->host_name, ':');
    if (colon != NULL && strchr(colon, ']') == NULL)
        *colon = '\0';
    if (k->protocol == PROTOCOL_OA)
        rpc_server(h, raw, k->rpc_server, sizeof k->rpc_server);
    if (c->ident != NULL)
        (void)str_copy(k->who, sizeof k->who, c->ident->user);
    else if (c->basic && row_of(c) != NULL) /* passed on unchecked: the name is all that is known */
        (void)str_copy(k->who, sizeof k->who, row_of(c)->user);
    else if (strchr(k->rpc_server, '@') != NULL) /* mailboxguid@domain */
        (void)str_copy(k->who, sizeof k->who, k->rpc_server);
}

static bool same_key(const struct decision *a, const struct decision *b)
{
    return a->org_version == b->org_version && a->protocol == b->protocol && str_eq(a->who, b->who) &&
           str_ieq(a->rpc_server, b->rpc_server) && str_ieq(a->host_name, b->host_name);
}

/* --- deciding */

static bool is_down(const struct engine *e, const char *host)
{
    const struct target *t = host != NULL && host[0] != '\0' ? target_find(e, host) : NULL;
    return t != NULL && t->down_until_ms > e->now_ms;
}

/* Passive: who could not be connected to a moment ago is left out. */
static bool healthy(void *arg, const struct server *s, enum protocol p)
{
    (void)p;
    return !is_down(arg, s->fqdn);
}

static void first_failing(const struct route_decision *rd, struct decision *d)
{
    for (size_t i = 0; i < rd->n_preconditions; i++) {
        const struct route_precondition *pc = &rd->preconditions[i];
        if (pc->holds != TRI_NO)
            continue;
        (void)str_copy(d->rule, sizeof d->rule, pc->rule);
        (void)str_copy(d->fails, sizeof d->fails, pc->why != NULL ? pc->why : "");
        return;
    }
}

/* The path towards the target where it is not the client's own: ActiveSync goes to ".../Proxy" (routing.md 2). */
static void path_prefix(struct decision *d)
{
    const char *path = strstr(d->url, "://");
    path = path != NULL ? strchr(path + 3, '/') : NULL;
    size_t n = path != NULL ? strlen(path) : 0;
    d->prefix[0] = '\0';
    while (n > 0 && path[n - 1] == '/')
        n--;
    if (n >= sizeof d->prefix)
        return;
    if (n > 0)
        memcpy(d->prefix, path, n);
    d->prefix[n] = '\0';
    if (!str_iends(d->prefix, "/Proxy"))
        d->prefix[0] = '\0';
}

static enum err decide(struct conn *c, struct decision *d, const struct mailbox *mb, struct errinfo *ei)
{
    struct engine *e = c->e;
    const struct org *org = atomic_load(&e->p->org);
    struct arena arena;
    struct route_decision rd;
    struct route_request rq = {.arriving = org_server(org, e->p->cfg.arrive),
                               .protocol = d->protocol,
                               .user = d->who[0] != '\0' ? d->who : NULL,
                               .host_name = d->host_name[0] != '\0' ? d->host_name : NULL,
                               .rpc_server = d->rpc_server[0] != '\0' ? d->rpc_server : NULL,
                               .anchor_hash = route_anchor(d->who),
                               .healthy = healthy,
                               .healthy_arg = e};
    if (mb != NULL) {
        rq.mailbox_generation = mb->generation;
        rq.mailbox_site = mb->site;
        rq.database = mb->database;
        rq.mailbox_server = mb->server;
    } else {
        const struct server *s = org_server(org, d->rpc_server);
        if (s == NULL) /* a reload between two looks at the organisation */
            return err_set(ei, ERR_NOTFOUND, NULL, "no server is called %s any more", d->rpc_server);
        rq.mailbox_generation = s->generation;
        rq.mailbox_site = s->site;
        rq.mailbox_server = s;
    }
    arena_init(&arena, 4u << 20);
    enum err r = route_decide(org, &rq, atomic_load(&e->p->findings), &arena, &rd, ei);
    if (r == ERR_OK) {
        d->action = rd.action;
        d->style = rd.style;
        d->status = rd.status;
        d->port = 443;
        d->host[0] = d->rule[0] = d->fails[0] = '\0';
        (void)str_copy(d->name, sizeof d->name, rd.target != NULL ? rd.target->name : "");
        (void)str_copy(d->site, sizeof d->site,
                       rd.target != NULL && rd.target->site != NULL ? rd.target->site->name : "");
        (void)str_copy(d->url, sizeof d->url, rd.url != NULL ? rd.url : "");
        (void)str_copy(d->why, sizeof d->why, rd.why != NULL ? rd.why : "");
        uint16_t port = 0;
        if (rd.url != NULL && url_host(rd.url, d->host, sizeof d->host, NULL, &port) && port != 0)
            d->port = port;
        first_failing(&rd, d);
        path_prefix(d);
        d->until_ms = e->now_ms + DECISION_TTL_MS;
    }
    arena_fini(&arena);
    return r;
}

/* --- carrying it out */

void policy_explain(struct conn *c, int status)
{
    const struct decision *d = c->decision;
    if (status >= 400 && d != NULL && d->action == ROUTE_PROXY && d->rule[0] != '\0')
        request_fail(c, d->rule, d->fails[0] != '\0' ? d->fails : d->why);
}

static bool carry_out(struct conn *c)
{
    const struct decision *d = c->decision;
    struct proxy_row *row = row_of(c);
    if (row != NULL) {
        (void)str_copy(row->action, sizeof row->action,
                       d->action == ROUTE_UNKNOWN ? "refuse" : route_action_name(d->action));
        (void)str_copy(row->target, sizeof row->target, d->name);
        (void)str_copy(row->target_site, sizeof row->target_site, d->site);
    }
    row_event(c, PROXY_EVENT_ROUTE, "%s %s%s%s", route_action_name(d->action), d->name,
              d->rule[0] != '\0' ? ", does not hold: " : "", d->rule);
    switch (d->action) {
    case ROUTE_PROXY:
        if (d->host[0] == '\0' || (c->target = target_get(c->e, d->name[0] != '\0' ? d->name : d->host,
                                                          d->site, d->host, d->port)) == NULL) {
            answer_status(c, 503, d->rule, d->why[0] != '\0' ? d->why : "no server to go on to");
            return false;
        }
        return true;
    case ROUTE_REDIRECT:
        if (d->url[0] == '\0')
            answer_status(c, 500, d->rule, d->why);
        else if (d->style == ROUTE_STYLE_SSO)
            answer_sso(c, d->url);
        else if (d->status == 451)
            answer_moved(c, d->url);
        else
            answer_redirect(c, d->url);
        return false;
    case ROUTE_SERVE: answer_served(c); return false;
    case ROUTE_REFUSE:
    case ROUTE_UNKNOWN: break;
    }
    answer_status(c, d->status >= 400 && d->status < 600 ? d->status : 404, d->rule,
                  d->why[0] != '\0' ? d->why : "the routing table says nothing about this request");
    return false;
}

/* mb NULL: by the RPC server's name. */
static bool decided(struct conn *c, const struct decision *key, const struct mailbox *mb)
{
    struct errinfo ei = {0};
    struct decision *d = malloc(sizeof *d);
    if (d == NULL) {
        answer_status(c, 500, "", "out of memory");
        return false;
    }
    *d = *key;
    if (decide(c, d, mb, &ei) != ERR_OK) {
        free(d);
        answer_status(c, 500, "", ei.what);
        return false;
    }
    decision_unref(&c->decision);
    c->decision = d;
    return carry_out(c);
}

static void nobody(struct conn *c, const struct decision *k, enum err r, const struct errinfo *ei)
{
    struct proxy_row *row = row_of(c);
    if (row != NULL)
        (void)str_copy(row->action, sizeof row->action, "refuse");
    /* an RPC server nobody knows is a 404 (routing.md 7); a directory that cannot be asked is our failure */
    answer_status(c, r == ERR_NOTFOUND || r == ERR_INPUT ? 404 : 503, "", ei->what);
    (void)k;
}

/* --- the look-up */

struct lookup_job {
    struct pjob base;
    struct mailboxes *mailboxes;
    uint64_t org_version;
    char who[256];
    int64_t now_ms;
    enum err r;
    struct errinfo ei;
    struct mailbox mailbox;
};

static void lookup_run(struct pjob *j)
{
    struct lookup_job *lj = (struct lookup_job *)j;
    lj->r = mailboxes_lookup(lj->mailboxes, lj->who, lj->now_ms, &lj->mailbox, &lj->org_version, &lj->ei);
}

static void lookup_done(struct pjob *j)
{
    struct lookup_job *lj = (struct lookup_job *)j;
    struct conn *c = j->c;
    if (c != NULL) {
        struct decision key;
        request_key(c, &key);
        /* a new organisation may have come meanwhile, and the mailbox points into the old one */
        if (key.org_version != lj->org_version) {
            if (policy_request(c))
                request_routed(c);
        } else if (lj->r != ERR_OK) {
            nobody(c, &key, lj->r, &lj->ei);
        } else if (decided(c, &key, &lj->mailbox)) {
            request_routed(c);
        }
        conn_run(c);
    }
    free(lj);
}

static void look_up(struct conn *c, const struct decision *key)
{
    struct lookup_job *lj = calloc(1, sizeof *lj);
    if (lj != NULL) {
        lj->base.run = lookup_run;
        lj->base.done = lookup_done;
        lj->mailboxes = c->e->p->policy->mailboxes;
        lj->now_ms = c->e->now_ms;
        (void)str_copy(lj->who, sizeof lj->who, key->who);
        row_state(c, PROXY_STATE_LOOKUP);
        if (pjob_start(c->e, c, &lj->base))
            return;
        free(lj);
    }
    answer_status(c, 503, "", "too many look-ups wait");
}

static bool relay_target(struct conn *c)
{
    const struct proxy *p = c->e->p;
    struct proxy_row *row = row_of(c);
    c->target = target_get(c->e, p->upstream_host, "", p->upstream_host, p->upstream_port);
    if (row != NULL)
        (void)str_copy(row->action, sizeof row->action, "proxy");
    if (c->target != NULL)
        return true;
    answer_status(c, 500, "", "out of memory");
    return false;
}

bool policy_request(struct conn *c)
{
    struct engine *e = c->e;
    struct decision key;
    struct mailbox mb;
    struct errinfo ei = {0};
    if (e->p->cfg.arrive == NULL)
        return relay_target(c);
    request_key(c, &key);
    if (key.protocol == PROTOCOL_UNKNOWN) {
        answer_status(c, 404, "", "no virtual directory of Exchange has this path");
        return false;
    }
    if (c->decision != NULL && c->decision->until_ms > e->now_ms && same_key(c->decision, &key) &&
        !is_down(e, c->decision->host))
        return carry_out(c);
    if (key.who[0] == '\0') {
        if (key.rpc_server[0] != '\0' && org_server(atomic_load(&e->p->org), key.rpc_server) != NULL)
            return decided(c, &key, NULL);
        answer_challenge(c, c->has_auth ? "without a user name from Basic the mailbox cannot be looked up"
                                        : NULL);
        return false;
    }
    enum err r = mailboxes_peek(e->p->policy->mailboxes, key.org_version, key.who, e->now_ms, &mb, &ei);
    if (r == ERR_OK)
        return decided(c, &key, &mb);
    if (r == ERR_STALE)
        look_up(c, &key);
    else
        nobody(c, &key, r, &ei);
    return false;
}
