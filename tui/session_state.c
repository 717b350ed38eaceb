/* The wizard's progress, kept in the store: whoever opens a console on it sees the same gates. What was settled waits in a queue while the
   store is at work, so that nobody waits for it. */
#include "tui/session_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define SETTLING_MAX 100

struct state_job {
    struct session *session;
    store_progresses put, all;
    bool read;
    enum err e;
    struct errinfo ei;
};

static void state_run(void *arg)
{
    struct state_job *j = arg;
    const struct profile *p = j->session->config->profile;
    struct store *store = NULL;
    if (!j->put.n && !store_exists(profile_get(p, PROFILE_store, NULL))) { /* none is how everybody starts */
        j->read = true;
        return;
    }
    j->e = store_open_profile(&store, p, &j->ei);
    for (size_t i = 0; i < j->put.n && j->e == ERR_OK; i++)
        j->e = store_progress_put(store, &j->put.v[i], &j->ei);
    if (j->e == ERR_NOTFOUND)
        j->e = ERR_OK;
    else if (j->e == ERR_OK)
        j->e = store_progress_get(store, NULL, &j->all, &j->ei);
    j->read = j->e == ERR_OK;
    store_close(&store);
}

static void state_start(struct session *s);

static void state_done(void *arg)
{
    struct state_job *j = arg;
    struct session *s = j->session;
    if (j->read) {
        store_progresses_free(&s->progress);
        s->progress = j->all;
        s->progress_known = true;
        memset(&j->all, 0, sizeof j->all);
    }
    store_progresses_free(&j->all);
    task_end(s, TASK_STATE, j->e, &j->ei, j->put.n ? "progress kept" : "progress read");
    if (j->e == ERR_OK)
        session_watch_again(s);
    store_progresses_free(&j->put);
    free(j);
    if (s->settling.n > 0 || s->progress_again)
        state_start(s);
    session_tell(s, SESSION_STATE); /* after an error too: what is shown goes back to what is kept */
}

static void state_start(struct session *s)
{
    bool puts = s->settling.n > 0;
    if (s->tasks[TASK_STATE].running)
        return;
    struct state_job *j = calloc(1, sizeof *j);
    if (!j || !task_begin(s, TASK_STATE, 0,
                          puts ? "keeping the wizard's progress" : "reading the wizard's progress")) {
        free(j);
        return;
    }
    s->progress_again = false;
    j->session = s;
    j->put = s->settling;
    memset(&s->settling, 0, sizeof s->settling);
    task_submit(s, TASK_STATE, state_run, state_done, j);
}

void session_progress_put(struct session *s, const char *gate, bool settled, const char *note)
{
    if (!s->world || !s->world->org->name)
        return;
    struct store_progress p = {.organization = strdup(s->world->org->name),
                               .gate = strdup(gate),
                               .state = strdup(settled ? PROGRESS_SETTLED : PROGRESS_OPEN),
                               .who = strdup(session_who(s)),
                               .note = strdup(note)};
    if (!p.organization || !p.gate || !p.state || !p.who || !p.note ||
        !VEC_PUSH(&s->settling, SETTLING_MAX, p))
        store_progress_fini(&p);
    session_secrets_ask_again(s);
    state_start(s);
}

void session_progress_load(struct session *s)
{
    s->progress_again = s->tasks[TASK_STATE].running; /* it may have read before what moved */
    state_start(s);
}

void session_progress_free(struct session *s)
{
    store_progresses_free(&s->progress);
    store_progresses_free(&s->settling);
}
