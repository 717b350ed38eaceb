#include "core/base/str.h"
#include "core/probe/apps.h"
#include "core/probe/probe_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void prober_init(struct prober *b, const struct profile *p, const struct org *org,
                        const struct probe_request *req)
{
    memset(b, 0, sizeof *b);
    b->profile = p;
    b->org = org;
    if (req)
        b->req = *req;
    if (b->req.timeout_ms <= 0)
        b->req.timeout_ms = PROBE_TIMEOUT_MS;
    if (b->req.parallel == 0)
        b->req.parallel = PROBE_PARALLEL;
    if (b->req.protocols == 0)
        b->req.protocols = 1u << PROTOCOL_OA;
    b->budget = b->req.budget ? b->req.budget : logon_budget_new(org ? org->lockout_threshold : -1);
    pthread_mutex_init(&b->lock, NULL);
}

static enum err prober_trust(struct prober *b, struct errinfo *ei)
{
    enum err e = tls_client_new(&b->tls, profile_get(b->profile, PROFILE_trust, NULL), &b->trust_error);
    if (e && ei)
        *ei = b->trust_error;
    return e;
}

static void prober_fini(struct prober *b)
{
    SSL_CTX_free(b->tls);
    krb_login_free(&b->user_login);
    if (b->budget != b->req.budget)
        logon_budget_free(&b->budget);
    pthread_mutex_destroy(&b->lock);
}

static void target_init(struct target *t, struct prober *b, const struct server *server,
                        const struct stop *stop, struct evidence *e)
{
    memset(t, 0, sizeof *t);
    t->prober = b;
    t->server = server;
    t->fqdn = server->fqdn;
    t->e = e;
    t->stop = stop;
    t->fd = -1;
    str_copy(t->untrusted, sizeof t->untrusted,
             "the password itself is not sent: the server's certificate was not seen");
}

static void target_fini(struct target *t)
{
    if (t->fd >= 0)
        close(t->fd);
    http_session_free(&t->http);
}

static const char no_fqdn[] =
    "the directory names no FQDN for this server (networkAddress has no ncacn_ip_tcp)";

/* Nothing can be asked; each step that would have been is there, with the reason. */
static void skip_all(struct target *t, const char *why)
{
    const struct probe_request *req = &t->prober->req;
    target_say(
        t, target_note(t, OBSERVATION_STEP, EVIDENCE_WIRE, "dns", PROTOCOL_UNKNOWN, t->server->name, NULL),
        OUTCOME_SKIPPED, "%s", why);
    target_say(t,
               target_note(t, OBSERVATION_TLS, EVIDENCE_WIRE, "tls", PROTOCOL_UNKNOWN, t->server->name, NULL),
               OUTCOME_SKIPPED, "%s", why);
    if (req->tickets)
        target_say(t,
                   target_note(t, OBSERVATION_TICKET, EVIDENCE_KERBEROS, "ticket", PROTOCOL_UNKNOWN,
                               t->server->name, NULL),
                   OUTCOME_SKIPPED, "%s", why);
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        if (req->protocols & (1u << p))
            target_say(t,
                       target_note(t, OBSERVATION_CHALLENGE, EVIDENCE_WIRE, "challenge", (enum protocol)p,
                                   t->server->name, NULL),
                       OUTCOME_SKIPPED, "%s", why);
}

static const char *unusable(const struct server *s)
{
    return !s->fqdn ? no_fqdn : !is_host_name(s->fqdn) ? "the FQDN in the directory is no host name" : NULL;
}

/* last: no other protocol comes after. A server that did not answer without a token is not asked again with one. */
static void probe_protocol(struct target *t, enum protocol p, bool ticket, bool last)
{
    bool deep = t->prober->req.deep, with_ticket = !deep && ticket && p == PROTOCOL_OA;
    if (deep && (p == PROTOCOL_POP || p == PROTOCOL_IMAP)) { /* ports of their own: web server or not */
        step_mail(t, p, last);
        return;
    }
    int status = step_challenge(t, p, last && !deep && !with_ticket);
    if (with_ticket && status)
        step_method(t, p, LOGON_KERBEROS, last);
    if (!deep || !t->reached)
        return;
    if (status == 401 || (status >= 200 && status < 400))
        step_methods(t, p, false);
    if (status)
        step_health(t, p, false);
    if (p == PROTOCOL_OA && target_method(t, p) != LOGON_NONE)
        step_rpc(t, last);
    app_probe(t, p, last);
}

static void probe_one(struct prober *b, const struct server *server, const struct stop *outer,
                      struct evidence *e)
{
    struct stop stop;
    struct target t;
    bool ticket = false;
    uint32_t left = b->req.protocols;
    stop_init(&stop, b->req.timeout_ms, (struct stop *)outer);
    target_init(&t, b, server, &stop, e);
    const char *why = unusable(server);
    if (why) {
        skip_all(&t, why);
        goto out;
    }
    step_reach(&t, true);
    step_tls(&t);
    /* before the requests: what the KDC says does not depend on a server that is slow to answer */
    if (b->req.tickets)
        step_ticket(&t, &ticket);
    for (int p = 0; p < PROTOCOL_COUNT; p++)
        if (left & (1u << p)) {
            left &= ~(1u << p);
            probe_protocol(&t, (enum protocol)p, ticket, left == 0);
        }
    if (!b->req.deep)
        app_rollup(&t);
out:
    target_fini(&t);
}

void probe_server(const struct profile *p, const struct org *org, const struct server *server,
                  const struct probe_request *req, const struct stop *stop, struct evidence *e)
{
    struct prober b;
    prober_init(&b, p, org, req);
    (void)!prober_trust(&b, NULL); /* recorded at the step that needs it */
    prober_logon(&b, stop, e);
    probe_one(&b, server, stop, e);
    prober_fini(&b);
}

void probe_challenge(const struct profile *p, const struct server *server, enum protocol protocol,
                     const struct stop *stop, struct evidence *e)
{
    struct prober b;
    struct target t;
    struct stop limit;
    struct probe_request req = {.protocols = 1u << protocol};
    prober_init(&b, p, NULL, &req);
    stop_init(&limit, b.req.timeout_ms, (struct stop *)stop);
    target_init(&t, &b, server, &limit, e);
    const char *why = unusable(server);
    if (why) {
        target_say(
            &t,
            target_note(&t, OBSERVATION_CHALLENGE, EVIDENCE_WIRE, "challenge", protocol, server->name, NULL),
            OUTCOME_SKIPPED, "%s", why);
    } else {
        step_reach(&t, false);
        step_challenge(&t, protocol, true);
    }
    target_fini(&t);
    prober_fini(&b);
}

/* One server of a run. */
struct work {
    struct prober *prober;
    const struct server *server;
    const struct stop *stop;
    struct evidence e;
    bool begun;
    probe_progress *progress;
    void *progress_arg;
};

static void work_run(void *arg)
{
    struct work *w = arg;
    if (stop_left_ms(w->stop, 1) == 0)
        return; /* the whole run is over: nothing was observed here */
    w->begun = true;
    probe_one(w->prober, w->server, w->stop, &w->e);
}

static void work_done(void *arg)
{
    struct work *w = arg;
    if (w->begun && w->progress)
        w->progress(w->progress_arg, w->server, &w->e);
}

static enum err run_all(struct prober *b, struct work *works, size_t n, struct errinfo *ei)
{
    struct job_pool *pool = NULL;
    unsigned threads = b->req.parallel < n ? b->req.parallel : (unsigned)n;
    enum err e = job_pool_new(&pool, threads, ei);
    for (size_t i = 0; i < n && !e; i++)
        if ((e = job_pool_submit(pool, work_run, work_done, &works[i])))
            err_set(ei, e, NULL, "cannot start the probe of %s: %s", works[i].server->name, err_text(e));
    if (pool)
        job_pool_wait(pool);
    job_pool_free(&pool);
    return e;
}

enum err probe_run(const struct profile *p, const struct org *org, const struct server *const *servers,
                   size_t n, const struct probe_request *req, const struct stop *stop,
                   probe_progress *progress, void *arg, struct evidence *e, struct errinfo *ei)
{
    struct prober b;
    struct work *works = NULL;
    size_t n_works = 0, wanted = servers ? n : org->n_servers;
    enum err err = ERR_OK;
    prober_init(&b, p, org, req);
    if ((err = prober_trust(&b, ei)))
        goto out;
    if (!(works = calloc(wanted ? wanted : 1, sizeof *works))) {
        err = err_set(ei, ERR_NOMEM, NULL, "no memory to probe %zu servers", wanted);
        goto out;
    }
    for (size_t i = 0; i < wanted; i++) {
        const struct server *s = servers ? servers[i] : &org->servers[i];
        if (!servers && !server_is_cas(s))
            continue;
        struct work *w = &works[n_works++];
        *w =
            (struct work){.prober = &b, .server = s, .stop = stop, .progress = progress, .progress_arg = arg};
        evidence_init(&w->e, PROBE_EVIDENCE_MAX);
    }
    if (n_works)
        prober_logon(&b, stop, e);
    if (n_works)
        err = run_all(&b, works, n_works, ei);
    /* In the servers' order, not that of their answers, so that two runs read alike. */
    for (size_t i = 0; i < n_works; i++) {
        enum err merged = evidence_merge(e, &works[i].e);
        if (merged && !err)
            err = err_set(ei, merged, NULL, "no room for the evidence about %s", works[i].server->name);
    }
    if (!err && stop_is_raised(stop))
        err = err_set(ei, ERR_INTERRUPTED, NULL, "probing: interrupted; what was seen so far is kept");
out:
    for (size_t i = 0; i < n_works; i++)
        evidence_fini(&works[i].e);
    free(works);
    prober_fini(&b);
    return err;
}
