#include "tui/world.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/report/accept.h"
#include "core/rules/rules.h"

#include <stdlib.h>
#include <string.h>

#define EVIDENCE_LIMIT ((size_t)64 << 20)
#define NAMESPACES_MAX 8

struct org_box *org_box_new(struct org *own_org)
{
    struct org_box *b = calloc(1, sizeof *b);
    if (!b) {
        org_free(&own_org);
        return NULL;
    }
    b->refs = 1;
    b->org = own_org;
    return b;
}

struct org_box *org_box_ref(struct org_box *b)
{
    b->refs++;
    return b;
}

void org_box_unref(struct org_box *b)
{
    if (!b || --b->refs > 0)
        return;
    org_free(&b->org);
    free(b);
}

enum state severity_state(enum severity s)
{
    switch (s) {
    case SEVERITY_INFO: return STATE_INFO;
    case SEVERITY_WARNING: return STATE_WARNING;
    case SEVERITY_ERROR: return STATE_ERROR;
    case SEVERITY_BLOCKER: return STATE_BLOCKER;
    }
    return STATE_UNKNOWN;
}

enum state finding_state(const struct finding *f)
{
    return f->accepted ? STATE_INFO : severity_state(f->severity);
}

enum state verdict_state(enum verdict v)
{
    switch (v) {
    case VERDICT_READY: return STATE_OK;
    case VERDICT_NOT_READY: return STATE_ERROR;
    case VERDICT_BLOCKED: return STATE_BLOCKER;
    case VERDICT_UNKNOWN: break;
    }
    return STATE_UNKNOWN;
}

const char *verdict_words(enum verdict v)
{
    switch (v) {
    case VERDICT_READY: return "READY";
    case VERDICT_NOT_READY: return "NOT READY";
    case VERDICT_BLOCKED: return "BLOCKED";
    case VERDICT_UNKNOWN: break;
    }
    return "UNKNOWN";
}

static enum generation pick_target(const struct org *org, enum generation wanted)
{
    if (wanted != GENERATION_UNKNOWN)
        return wanted;
    enum generation newest = org_newest(org);
    return newest >= GENERATION_2013 ? newest : GENERATION_2013;
}

/* To look is not a reason to make a store; one that cannot be read is said, and everything counts. */
static void mark_accepted(struct world *w, const struct profile *profile, int64_t now)
{
    const char *spec = profile_get(profile, PROFILE_store, NULL);
    struct store *store = NULL;
    acceptances list = {0};
    struct errinfo ei = {0};
    if (!w->org->name || !store_exists(spec))
        return;
    enum err e = store_open_profile(&store, profile, &ei);
    if (e == ERR_OK)
        e = store_accepted(store, w->org->name, &list, &ei);
    if (e == ERR_OK)
        e = accept_apply(&w->findings, &list, w->org->name, now, &ei);
    if (e != ERR_OK && e != ERR_NOTFOUND) {
        err_wrap(&ei, "accepted findings are not known");
        log_err(&ei);
    }
    acceptances_free(&list);
    store_close(&store);
}

static void evaluate(struct world *w, const struct profile *profile)
{
    char names[NAMESPACES_MAX][256];
    const char *list[NAMESPACES_MAX];
    size_t n = 0;
    while (n < NAMESPACES_MAX && profile_namespace(profile, n, names[n], sizeof names[n])) {
        list[n] = names[n];
        n++;
    }
    struct rule_input in = {
        .org = w->org,
        .evidence = &w->evidence,
        .target = w->target,
        .namespaces = list,
        .n_namespaces = n,
        .legacy_namespace = profile_get(profile, PROFILE_legacy_namespace, NULL),
        .probed = w->probed_at > 0,
        .now = clock_unix(),
        .poll_interval_s = profile_int(profile, PROFILE_poll_interval, 900),
    };
    w->has_findings = rules_evaluate(&in, &w->findings, &w->rules_error) == ERR_OK;
    if (w->has_findings)
        mark_accepted(w, profile, in.now);
}

static struct server_summary *summary_of(struct world *w, const char *server)
{
    const struct server *s = server ? org_server(w->org, server) : NULL;
    return s ? &w->servers[s - w->org->servers] : NULL;
}

static void summarise(struct world *w)
{
    const struct findings *f = &w->findings;
    for (size_t i = 0; i < f->passed.n; i++) {
        struct server_summary *s = summary_of(w, f->passed.v[i].server);
        if (s) {
            s->passed++;
            s->state = s->state > STATE_OK ? s->state : STATE_OK;
        }
    }
    for (size_t i = 0; i < f->unknown.n; i++) {
        struct server_summary *s = summary_of(w, f->unknown.v[i].server);
        if (s)
            s->unknown++;
    }
    for (size_t i = 0; i < f->found.n; i++) {
        const struct finding *x = &f->found.v[i];
        if (x->accepted)
            w->accepted++;
        else
            w->by_severity[x->severity]++;
        struct server_summary *s = summary_of(w, x->server);
        if (s) {
            s->found++;
            enum state state = finding_state(x);
            s->state = s->state > state ? s->state : state;
        }
    }
    for (size_t i = 0; i < w->evidence.items.n; i++) {
        const struct observation *o = &w->evidence.items.v[i];
        if (o->kind != OBSERVATION_CHALLENGE || o->protocol != PROTOCOL_OA)
            continue;
        struct server_summary *s = summary_of(w, o->server);
        if (s && (!s->oa_wire || o->at >= s->oa_wire->at))
            s->oa_wire = o;
    }
    /* nothing found and nothing passed, yet something asked: not known */
    for (size_t i = 0; i < w->org->n_servers; i++) {
        if (w->servers[i].state == STATE_NONE && w->servers[i].unknown > 0)
            w->servers[i].state = STATE_UNKNOWN;
    }
}

struct world *world_new(struct org_box *box, const struct evidence *older, const struct evidence *newer,
                        int64_t probed_at, const struct profile *profile, enum generation target)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->servers = calloc(box->org->n_servers + 1, sizeof *w->servers);
    if (!w->servers) {
        free(w);
        return NULL;
    }
    w->refs = 1;
    w->box = box;
    w->org = box->org;
    w->probed_at = probed_at;
    w->target = pick_target(w->org, target);
    evidence_init(&w->evidence, EVIDENCE_LIMIT);
    findings_init(&w->findings);
    if ((older && evidence_merge(&w->evidence, older) != ERR_OK) ||
        (newer && evidence_merge(&w->evidence, newer) != ERR_OK))
        (void)err_set(&w->rules_error, ERR_LIMIT, "probe fewer servers at once",
                      "there is more evidence than fits");
    evaluate(w, profile);
    summarise(w);
    return w;
}

struct world *world_ref(struct world *w)
{
    w->refs++;
    return w;
}

void world_unref(struct world *w)
{
    if (!w || --w->refs > 0)
        return;
    findings_fini(&w->findings);
    evidence_fini(&w->evidence);
    free(w->servers);
    org_box_unref(w->box);
    free(w);
}

const struct server_summary *world_server(const struct world *w, const struct server *s)
{
    return &w->servers[s - w->org->servers];
}

static bool is_of(const char *id, const char *server, const char *rule, const char *wanted)
{
    return str_eq(id, rule) && (!wanted || str_ieq(server, wanted));
}

struct rule_summary world_rule(const struct world *w, const char *rule, const char *server)
{
    struct rule_summary s = {STATE_NONE, 0, 0, 0};
    for (size_t i = 0; i < w->findings.found.n; i++) {
        const struct finding *f = &w->findings.found.v[i];
        if (is_of(f->id, f->server, rule, server)) {
            s.found++;
            s.state = s.state > finding_state(f) ? s.state : finding_state(f);
        }
    }
    for (size_t i = 0; i < w->findings.unknown.n; i++)
        s.unknown += is_of(w->findings.unknown.v[i].id, w->findings.unknown.v[i].server, rule, server);
    for (size_t i = 0; i < w->findings.passed.n; i++)
        s.passed += is_of(w->findings.passed.v[i].id, w->findings.passed.v[i].server, rule, server);
    if (s.found == 0)
        s.state = s.unknown ? STATE_UNKNOWN : s.passed ? STATE_OK : STATE_NONE;
    return s;
}

const struct server *world_new_cas(const struct org *org)
{
    const struct server *best = NULL;
    for (size_t i = 0; i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        if (server_is_cas(s) && s->generation >= GENERATION_2013 &&
            (!best || s->generation > best->generation))
            best = s;
    }
    return best;
}
