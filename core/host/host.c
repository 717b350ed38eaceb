#include "core/host/host.h"

#include "core/base/clock.h"
#include "core/base/job.h"
#include "core/base/str.h"
#include "core/iis/iis.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_LIMIT    ((size_t)1 << 20)
#define EVIDENCE_LIMIT ((size_t)4 << 20) /* of one server */
#define DETAIL_MAX     400
#define UPDATE         "KB3140410"
#define SERVICE_HOST   "MSExchangeServiceHost" /* the configurator is a servicelet of it (cmdlets.md 7) */
#define R2_VERSION     "6.1"                   /* Windows Server 2008 R2, as operatingSystemVersion begins */
/* Assumed: Windows stands where it usually does. */
#define IIS_FILE "C:\\Windows\\System32\\inetsrv\\config\\applicationHost.config"

struct asking {
    const struct server *server;
    struct transport *transport;
    const struct stop *stop;
    struct evidence *e;
    struct arena arena;
};

/* ---- the questions */

static bool always(const struct server *s, const char **why_not)
{
    (void)s, (void)why_not;
    return true;
}

static bool is_web(const struct server *s, const char **why_not)
{
    *why_not = "it has no web site of Exchange";
    return server_is_cas(s) || s->generation >= GENERATION_2013; /* a back end's too */
}

static bool may_be_r2(const struct server *s, const char **why_not)
{
    *why_not = "only Windows Server 2008 R2 needs it";
    return server_is_cas(s) && (!s->os_version || str_istarts(s->os_version, R2_VERSION));
}

/* Where setup puts it when the directory does not say (assumed). */
static const char *install_path(const struct server *s)
{
    static const char base[] = "C:\\Program Files\\Microsoft\\Exchange Server";
    static const char *const folders[GENERATION_COUNT] = {
        [GENERATION_2007] = base,
        [GENERATION_2010] = "C:\\Program Files\\Microsoft\\Exchange Server\\V14",
    };
    if (s->install_path)
        return s->install_path;
    return folders[s->generation] ? folders[s->generation]
                                  : "C:\\Program Files\\Microsoft\\Exchange Server\\V15";
}

static enum err ask_build(struct asking *a, struct cmdlet *c)
{
    const char *path = arena_fmt(&a->arena, "%s\\bin\\ExSetup.exe", install_path(a->server));
    cmdlet_init(c, &a->arena, "Get-ItemProperty");
    enum err e = cmdlet_string(c, "LiteralPath", path);
    return e ? e : cmdlet_string(c, "Name", "VersionInfo");
}

static enum err ask_update(struct asking *a, struct cmdlet *c)
{
    cmdlet_init(c, &a->arena, "Get-HotFix");
    return cmdlet_string(c, "Id", UPDATE);
}

static enum err ask_service(struct asking *a, struct cmdlet *c)
{
    cmdlet_init(c, &a->arena, "Get-Service");
    return cmdlet_string(c, "Name", SERVICE_HOST);
}

static enum err ask_iis(struct asking *a, struct cmdlet *c)
{
    cmdlet_init(c, &a->arena, "Get-Content");
    return cmdlet_string(c, "LiteralPath", IIS_FILE);
}

/* ---- the answers; false: it says nothing of what was asked */

static const char *answer_text(const struct remote_result *r)
{
    return r->output_json ? r->output_json : r->output ? r->output : "";
}

static bool take_build(struct asking *a, const struct remote_result *r, struct observation *o)
{
    struct version v;
    char text[VERSION_TEXT_SIZE], product[96];
    if (!remote_result_ok(r) || !host_parse_build(answer_text(r), &v))
        return false;
    o->outcome = OUTCOME_OK;
    o->u.build.version = v;
    o->detail = arena_fmt(&a->e->arena, "%s (%s)", version_text(v, text),
                          version_product(v, product, sizeof product));
    return true;
}

/* Get-HotFix finds nothing: an error of its own, or of an older version, nothing at all. */
static bool take_update(struct asking *a, const struct remote_result *r, struct observation *o)
{
    bool absent = r->errors.n == 0 && remote_result_ok(r);
    for (size_t i = 0; i < r->errors.n; i++)
        absent |= (r->errors.v[i].id && str_icontains(r->errors.v[i].id, "GetHotFixNoEntriesFound")) ||
                  (r->errors.v[i].message && str_icontains(r->errors.v[i].message, "requested hotfix"));
    bool there = remote_result_ok(r) && str_icontains(answer_text(r), UPDATE);
    if (!there && !absent)
        return false;
    o->outcome = there ? OUTCOME_OK : OUTCOME_FAILED;
    o->detail = arena_str(&a->e->arena, there ? UPDATE " is installed" : UPDATE " is not installed");
    return true;
}

static bool take_service(struct asking *a, const struct remote_result *r, struct observation *o)
{
    bool runs = str_icontains(answer_text(r), "Running"), stopped = str_icontains(answer_text(r), "Stopped");
    if (!remote_result_ok(r) || runs == stopped)
        return false;
    o->outcome = runs ? OUTCOME_OK : OUTCOME_FAILED;
    o->detail = arena_fmt(&a->e->arena, SERVICE_HOST " %s", runs ? "runs" : "is stopped");
    return true;
}

/* The settings become observations of their own; o says how reading them went. */
static bool take_iis(struct asking *a, const struct remote_result *r, struct observation *o)
{
    struct iis_config config;
    struct errinfo ei = {0};
    struct buf text;
    if (!remote_result_ok(r) || !*answer_text(r))
        return false;
    size_t at = (size_t)(o - a->e->items.v), before = a->e->items.n;
    buf_init(&text, IIS_MAX_FILE);
    enum err e = host_join_lines(&text, answer_text(r), r->output_json != NULL, &ei);
    if (!e)
        e = iis_parse(&config, buf_str(&text), text.len, &ei);
    if (!e) {
        e = iis_observe(&config, a->server, clock_unix(), a->e, &ei);
        iis_fini(&config);
    }
    buf_fini(&text);
    o = &a->e->items.v[at]; /* the set has grown under it */
    o->outcome = e ? OUTCOME_ERROR : OUTCOME_OK;
    o->detail = e ? arena_str(&a->e->arena, ei.what)
                  : arena_fmt(&a->e->arena, "%zu virtual directories", a->e->items.n - before);
    return true;
}

static const struct question {
    const char *step;
    enum observation_kind kind;
    bool (*applies)(const struct server *s, const char **why_not);
    enum err (*ask)(struct asking *a, struct cmdlet *c);
    bool (*take)(struct asking *a, const struct remote_result *r, struct observation *o);
} questions[] = {
    {"build", OBSERVATION_BUILD, always, ask_build, take_build},
    {"kb3140410", OBSERVATION_STEP, may_be_r2, ask_update, take_update},
    {"rpchttp-configurator", OBSERVATION_STEP, is_web, ask_service, take_service},
    {"iis-file", OBSERVATION_STEP, is_web, ask_iis, take_iis},
};

/* ---- asking */

static void say(struct evidence *e, struct observation *o, enum outcome outcome, const char *text)
{
    char shown[DETAIL_MAX];
    str_show_fixed(shown, sizeof shown, text, strlen(text));
    o->outcome = outcome;
    o->detail = arena_str(&e->arena, shown);
}

/* Why there is no answer: the transport's reason, or the server's. */
static const char *failure(const struct remote_result *r, enum err e, const struct errinfo *ei)
{
    if (e)
        return ei->what;
    return r->errors.n && r->errors.v[0].message ? r->errors.v[0].message
                                                 : "the server's answer does not say it";
}

/* False when the server cannot be reached: nothing more is asked of it. */
static bool put(struct asking *a, const struct question *q, const char *unreached)
{
    struct remote_result r = {0};
    struct errinfo ei = {0};
    struct cmdlet c;
    struct buf text;
    const char *why_not = NULL;
    const struct server *s = a->server;
    if (!q->applies(s, &why_not))
        return true;
    struct observation *o = evidence_add(a->e, q->kind, EVIDENCE_HOST);
    if (!o)
        return false;
    o->server = arena_str(&a->e->arena, s->name);
    o->step = q->step;
    o->by_name = arena_str(&a->e->arena, s->fqdn);
    if (unreached) {
        say(a->e, o, OUTCOME_SKIPPED, unreached);
        return false;
    }
    int64_t from = clock_mono_ms();
    buf_init(&text, 4096);
    enum err e = q->ask(a, &c);
    if (!e)
        e = cmdlet_text(&text, &c, &ei);
    o->subject = arena_str(&a->e->arena, buf_str(&text));
    if (!e) {
        const struct remote_target target = {s->name, s->fqdn, s->generation};
        e = a->transport->run(a->transport, &target, &c, a->stop, &r, &ei);
    }
    o->elapsed_ms = (int)(clock_mono_ms() - from);
    if (e || !q->take(a, &r, o))
        say(a->e, o, OUTCOME_ERROR, failure(&r, e, &ei));
    buf_fini(&text);
    remote_result_fini(&r);
    return e == ERR_OK;
}

struct work {
    const struct server *server;
    const struct host_request *req;
    const struct stop *stop;
    struct evidence e;
    bool begun;
    size_t *done, *all; /* of the run */
};

static void run_one(void *arg)
{
    struct work *w = arg;
    struct stop stop;
    struct asking a = {.server = w->server, .transport = w->req->transport, .stop = &stop, .e = &w->e};
    const char *unreached = w->server->fqdn ? NULL : "the directory names no FQDN for this server";
    stop_init(&stop, w->req->timeout_ms > 0 ? w->req->timeout_ms : HOST_TIMEOUT_MS, (struct stop *)w->stop);
    if (stop_left_ms(w->stop, 1) == 0)
        return; /* the whole run is over: nothing was observed here */
    w->begun = true;
    arena_init(&a.arena, ARENA_LIMIT);
    for (size_t i = 0; i < ARRAY_LEN(questions); i++)
        if (!put(&a, &questions[i], unreached) && !unreached)
            unreached = "not asked: the server was not reached before";
    arena_fini(&a.arena);
}

static void one_ended(void *arg)
{
    struct work *w = arg;
    *w->done += w->begun;
    if (w->begun && w->req->progress)
        w->req->progress(w->req->progress_arg, w->server, *w->done, *w->all);
}

const char *host_via(const char *configured)
{
    return !configured || str_ieq(configured, "psrp") || str_ieq(configured, "auto") ? "ssh" : configured;
}

enum err host_ask(const struct org *org, const struct server *const *servers, size_t n,
                  const struct host_request *req, const struct stop *stop, struct evidence *e,
                  struct errinfo *ei)
{
    struct job_pool *pool = NULL;
    size_t wanted = servers ? n : org->n_servers, n_works = 0, done = 0;
    struct work *works = calloc(wanted ? wanted : 1, sizeof *works);
    enum err err = works ? ERR_OK : err_set(ei, ERR_NOMEM, NULL, "no memory to ask %zu servers", wanted);
    for (size_t i = 0; !err && i < wanted; i++) {
        const struct server *s = servers ? servers[i] : &org->servers[i];
        if (!servers && (s->roles & ROLE_EDGE))
            continue;
        struct work *w = &works[n_works++];
        *w = (struct work){.server = s, .req = req, .stop = stop, .done = &done, .all = &n_works};
        evidence_init(&w->e, EVIDENCE_LIMIT);
    }
    unsigned threads = req->parallel ? req->parallel : HOST_PARALLEL;
    if (!err && n_works)
        err = job_pool_new(&pool, threads < n_works ? threads : (unsigned)n_works, ei);
    for (size_t i = 0; i < n_works && !err; i++)
        if ((err = job_pool_submit(pool, run_one, one_ended, &works[i])))
            err_set(ei, err, NULL, "cannot ask %s: %s", works[i].server->name, err_text(err));
    if (pool)
        job_pool_wait(pool);
    job_pool_free(&pool);
    for (size_t i = 0; i < n_works; i++) {
        enum err merged = evidence_merge(e, &works[i].e);
        if (merged && !err)
            err = err_set(ei, merged, NULL, "no room for the evidence about %s", works[i].server->name);
        evidence_fini(&works[i].e);
    }
    free(works);
    if (!err && stop_is_raised(stop))
        err = err_set(ei, ERR_INTERRUPTED, NULL,
                      "asking the servers: interrupted; what was said so far is kept");
    return err;
}
