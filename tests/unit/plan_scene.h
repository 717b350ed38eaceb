/* One plan, one world, one store: what a test of applying, resuming and rolling back stands on. Include after cmocka.h. */
#ifndef TESTS_UNIT_PLAN_SCENE_H
#define TESTS_UNIT_PLAN_SCENE_H

#include "tests/unit/plan_world.h"

struct scene {
    struct store_fixture *store;
    struct org *org;
    struct world *world;
    struct plan *plan;
    struct plan_io io;
    struct stop stop;
    struct plan_apply_options o;
    struct plan_outcome out;
    struct errinfo ei;
    char phases[16][256]; /* of each server, as progress told them */
    const char *names[16];
    char details[8192];
};

BUILDER_UNUSED static void scene_progress(void *arg, const char *run, const struct plan_step *step,
                                          enum plan_phase phase, const char *detail)
{
    struct scene *s = arg;
    const char *name = plan_phase_name(phase);
    size_t i = 0;
    assert_true(run[0]);
    while (s->names[i] && strcmp(s->names[i], step->server) != 0)
        i++;
    s->names[i] = step->server;
    size_t len = strlen(s->phases[i]), last = strlen(name);
    if (len < last || strcmp(s->phases[i] + len - last, name) != 0)
        snprintf(s->phases[i] + len, sizeof s->phases[i] - len, "%s%s", len ? " " : "", name);
    len = strlen(s->details);
    snprintf(s->details + len, sizeof s->details - len, "%s\n", detail);
}

BUILDER_UNUSED static int scene_setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    struct org_builder b;
    void *store = NULL;
    if (!s || store_fixture_setup(&store) != 0)
        return -1;
    s->store = store;
    s->org = story(&b);
    s->world = world_new(s->org);
    s->plan = story_plan(s->org);
    s->io = world_io(s->world);
    stop_init(&s->stop, 0, NULL);
    s->o = (struct plan_apply_options){.org = s->org,
                                       .store = s->store->store,
                                       .transport = &world_transport,
                                       .who = "admin@CONTOSO.LAB",
                                       .from = "jump1",
                                       .why = "change 4711",
                                       .parallel = 2,
                                       .poll_interval_s = 3,
                                       .stop = &s->stop,
                                       .progress = scene_progress,
                                       .arg = s};
    s->world->watch_store = s->store->spec;
    *state = s;
    return 0;
}

BUILDER_UNUSED static int scene_teardown(void **state)
{
    struct scene *s = *state;
    void *store = s->store;
    for (size_t i = 0; i < s->world->n_servers; i++)
        if (s->world->servers[i].without_intent) {
            fprintf(stderr, "pushed to %s without an intent in the journal\n", s->world->servers[i].name);
            return -1;
        }
    plan_free(&s->plan);
    world_free(s->world);
    builder_free(&s->org);
    store_fixture_teardown(&store);
    free(s);
    return 0;
}

BUILDER_UNUSED static enum err apply(struct scene *s)
{
    memset(s->phases, 0, sizeof s->phases);
    memset(s->names, 0, sizeof s->names);
    s->details[0] = '\0';
    s->ei = (struct errinfo){0};
    return run_apply(s->plan, &s->o, &s->io, &s->out, &s->ei);
}

BUILDER_UNUSED static const char *phases(const struct scene *s, const char *server)
{
    for (size_t i = 0; s->names[i]; i++)
        if (strcmp(s->names[i], server) == 0)
            return s->phases[i];
    return "";
}

/* The phases in the journal of one step (or of the run, server NULL), joined. */
BUILDER_UNUSED static const char *records(struct scene *s, const char *server)
{
    static char text[1024];
    journal_records all = {0};
    struct errinfo ei = {0};
    size_t n = 0;
    text[0] = '\0';
    if (journal_read(s->o.store, s->out.run, &all, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    for (size_t i = 0; i < all.n; i++)
        if (str_eq(all.v[i].server, server)) {
            size_t len = strlen(text);
            snprintf(text + len, sizeof text - len, "%s%s", len ? " " : "", all.v[i].phase);
        }
    journal_records_free(&all);
    if (journal_verify(s->o.store, &n, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    return text;
}

/* What the last "failed" record of a server says of it: 'U' unchanged, 'P' to be put back, '-' neither, or no such record. */
BUILDER_UNUSED static char left(struct scene *s, const char *server)
{
    char found = '-';
    journal_records all = {0};
    assert_int_equal(journal_read(s->o.store, s->out.run, &all, NULL), ERR_OK);
    for (size_t i = 0; i < all.n; i++)
        if (str_eq(all.v[i].server, server) && str_eq(all.v[i].phase, "failed"))
            found = str_eq(all.v[i].after, "{\"unchanged\":true}")  ? 'U'
                    : str_eq(all.v[i].after, "{\"put_back\":true}") ? 'P'
                                                                    : '-';
    journal_records_free(&all);
    return found;
}

BUILDER_UNUSED static const char *status(struct scene *s)
{
    static char text[32];
    journal_runs runs = {0};
    assert_int_equal(journal_list(s->o.store, &runs, NULL), ERR_OK);
    snprintf(text, sizeof text, "%s", runs.n ? runs.v[runs.n - 1].status : "none");
    journal_runs_free(&runs);
    return text;
}

BUILDER_UNUSED static void assert_unlocked(struct scene *s)
{
    struct store_holder h = {0};
    assert_int_equal(store_lock_holder(s->o.store, &h, NULL), ERR_NOTFOUND);
}

BUILDER_UNUSED static const char *iis(struct scene *s, const char *server)
{
    return world_oa(s->world, server)->iis;
}

BUILDER_UNUSED static int pushes(struct scene *s)
{
    int n = 0;
    for (size_t i = 0; i < s->world->n_servers; i++)
        n += s->world->servers[i].pushes;
    return n;
}

BUILDER_UNUSED static void assert_outcome(struct scene *s, unsigned done, unsigned failed, unsigned undone,
                                          unsigned skipped)
{
    if (s->out.done != done || s->out.failed != failed || s->out.undone != undone ||
        s->out.skipped != skipped)
        fail_msg("done %u, failed %u, undone %u, skipped %u; %s", s->out.done, s->out.failed, s->out.undone,
                 s->out.skipped, s->ei.what);
}

/* Runs the apply in a child that dies after its n-th record; false when it lived. */
BUILDER_UNUSED static bool apply_and_die(struct scene *s, int n, bool resume, const char *run)
{
    s->world->records = 0;
    s->world->kill_at = n;
    pid_t child = fork();
    if (child == 0) {
        /* a handle of its own: SQLite's must not cross a fork */
        struct store *store = NULL;
        if (store_open(&store, s->store->spec, NULL) != ERR_OK)
            _exit(1);
        s->o.store = store;
        s->o.progress = NULL;
        enum err e = resume ? run_resume(run, &s->o, &s->io, &s->out, &s->ei) : apply(s);
        _exit(e == ERR_OK || e == ERR_PARTIAL ? 0 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    s->world->kill_at = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        fail_msg("the child failed with %d", WEXITSTATUS(status));
    return WIFSIGNALED(status);
}

BUILDER_UNUSED static void last_run(struct scene *s, char *run, size_t cap)
{
    journal_runs runs = {0};
    assert_int_equal(journal_list(s->o.store, &runs, NULL), ERR_OK);
    str_copy(run, cap, runs.n ? runs.v[runs.n - 1].run : "");
    journal_runs_free(&runs);
}

BUILDER_UNUSED static void assert_whole(struct scene *s)
{
    size_t n = 0;
    if (journal_verify(s->o.store, &n, &s->ei) != ERR_OK)
        fail_msg("%s", s->ei.what);
}

BUILDER_UNUSED static void assert_all_new(struct scene *s)
{
    assert_string_equal(iis(s, "EXCAS01"), "3");
    assert_string_equal(iis(s, "E2K7CAS01"), "3");
    assert_string_equal(iis(s, "EXCAS02"), "3");
    for (size_t i = 0; i < s->world->n_servers; i++)
        if (s->world->servers[i].resent)
            fail_msg("%s was sent what it had already", s->world->servers[i].name);
}

#endif
