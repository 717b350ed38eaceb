/* The proxy engine: started and stopped by jobs (it makes keys, it drains), read by the UI thread. */
#include "tui/session_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define DRAIN_MS 2000

struct engine_job {
    struct session *session;
    struct world *world;
    struct proxy_config config;
    struct proxy *proxy;
    enum err e;
    struct errinfo ei;
};

static void release_world(struct engine *e)
{
    world_unref(e->world);
    e->world = NULL;
}

void session_engine_free(struct session *s)
{
    struct engine *e = &s->engine;
    if (e->proxy) {
        proxy_stop(e->proxy, 0);
        proxy_free(&e->proxy);
    }
    release_world(e);
    free(e->rows);
    memset(e, 0, sizeof *e);
}

static void start_run(void *arg)
{
    struct engine_job *j = arg;
    j->e = proxy_start(&j->proxy, &j->config, &j->ei);
}

static void start_done(void *arg)
{
    struct engine_job *j = arg;
    struct session *s = j->session;
    struct engine *e = &s->engine;
    char text[160] = "";
    if (j->e == ERR_OK) {
        e->proxy = j->proxy;
        e->world = j->world;
        str_fmt(e->address, sizeof e->address, "%s:%u", j->config.listen_addr, proxy_port(j->proxy));
        str_fmt(text, sizeof text, "the engine listens on %s as %s", e->address, e->arrive);
    } else {
        world_unref(j->world);
    }
    task_end(s, TASK_ENGINE, j->e, &j->ei, text);
    free(j);
    session_engine_reload(s);
    session_tell(s, SESSION_ENGINE);
}

static void engine_start(struct session *s)
{
    const struct console_config *c = s->config;
    struct engine *e = &s->engine;
    struct errinfo ei = {.code = ERR_OK};
    if (!task_begin(s, TASK_ENGINE, 0, "starting the engine"))
        return;
    const struct server *cas = !s->world   ? NULL
                               : c->arrive ? org_server(s->world->org, c->arrive)
                                           : world_new_cas(s->world->org);
    struct engine_job *j = calloc(1, sizeof *j);
    if (!e->rows)
        e->rows = calloc(ENGINE_ROWS, sizeof *e->rows);
    if (!cas || !j || !e->rows) {
        enum err code =
            cas ? err_set(&ei, ERR_NOMEM, NULL, "out of memory")
                : err_set(&ei, ERR_NOTFOUND, "name the arriving server: --arrive SERVER",
                          "the organisation has no Client Access Server of 2013 or later to behave as");
        free(j);
        task_end(s, TASK_ENGINE, code, &ei, NULL);
        return;
    }
    str_copy(e->arrive, sizeof e->arrive, cas->name);
    e->n_rows = 0;
    memset(&e->stats, 0, sizeof e->stats);
    j->session = s;
    j->world = world_ref(s->world);
    j->config = (struct proxy_config){
        .listen_addr = c->listen_addr ? c->listen_addr : "127.0.0.1",
        .listen_port = c->listen_port,
        .threads = 1,
        .arrive = e->arrive,
        .auth = PROXY_AUTH_AS_CLIENT,
        .upstream_ca = profile_get(c->profile, PROFILE_trust, NULL),
        .header_timeout_s = 30,
        .idle_timeout_s = 1800,
        .profile = c->profile,
        .source = session_source(s),
        .org = s->world->org,
        .findings = s->world->has_findings ? &s->world->findings : NULL,
    };
    task_submit(s, TASK_ENGINE, start_run, start_done, j);
}

static void stop_run(void *arg)
{
    struct engine_job *j = arg;
    proxy_stop(j->proxy, DRAIN_MS);
    proxy_free(&j->proxy);
}

static void stop_done(void *arg)
{
    struct engine_job *j = arg;
    struct session *s = j->session;
    release_world(&s->engine);
    task_end(s, TASK_ENGINE, ERR_OK, NULL, "the engine has stopped");
    free(j);
    session_tell(s, SESSION_ENGINE);
}

static void engine_stop(struct session *s)
{
    struct engine_job *j = calloc(1, sizeof *j);
    if (!j || !task_begin(s, TASK_ENGINE, 0, "stopping the engine")) {
        free(j);
        return;
    }
    (void)session_engine_read(s); /* the last rows stay to be looked at */
    j->session = s;
    j->proxy = s->engine.proxy;
    s->engine.proxy = NULL;
    task_submit(s, TASK_ENGINE, stop_run, stop_done, j);
    session_tell(s, SESSION_ENGINE);
}

void session_engine_toggle(struct session *s)
{
    if (s->tasks[TASK_ENGINE].running)
        return;
    if (s->engine.proxy)
        engine_stop(s);
    else
        engine_start(s);
}

static void reload_run(void *arg)
{
    struct engine_job *j = arg;
    j->e = proxy_reload(j->proxy, j->world->org, j->world->has_findings ? &j->world->findings : NULL, &j->ei);
}

static void reload_done(void *arg)
{
    struct engine_job *j = arg;
    struct session *s = j->session;
    bool ok = j->e == ERR_OK;
    if (ok) /* the engine has let go of the one before */
        release_world(&s->engine);
    if (ok)
        s->engine.world = j->world;
    else
        world_unref(j->world);
    task_end(s, TASK_ENGINE, j->e, &j->ei, "");
    free(j);
    if (ok)
        session_engine_reload(s);
    session_tell(s, SESSION_ENGINE);
}

/* A job: the engine answers only when no request looks at the organisation before any more. */
void session_engine_reload(struct session *s)
{
    struct engine *e = &s->engine;
    if (!e->proxy || !s->world || e->world == s->world || s->tasks[TASK_ENGINE].running)
        return;
    struct engine_job *j = calloc(1, sizeof *j);
    if (!j || !task_begin(s, TASK_ENGINE, 0, "handing the engine the new organisation")) {
        free(j);
        return;
    }
    j->session = s;
    j->proxy = e->proxy;
    j->world = world_ref(s->world);
    task_submit(s, TASK_ENGINE, reload_run, reload_done, j);
}

bool session_engine_read(struct session *s)
{
    struct engine *e = &s->engine;
    if (!e->proxy)
        return false;
    struct proxy_stats stats;
    struct proxy_row *fresh = calloc(ENGINE_ROWS, sizeof *fresh);
    if (!fresh)
        return false;
    size_t n = proxy_rows(e->proxy, fresh, ENGINE_ROWS);
    proxy_stats(e->proxy, &stats);
    stats.cpu_seconds = 0; /* grows while nothing happens; not shown */
    bool changed = n != e->n_rows || memcmp(fresh, e->rows, n * sizeof *fresh) != 0 ||
                   memcmp(&stats, &e->stats, sizeof stats) != 0;
    if (changed) {
        free(e->rows);
        e->rows = fresh;
        e->n_rows = n;
        e->stats = stats;
    } else {
        free(fresh);
    }
    return changed;
}
