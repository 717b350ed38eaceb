/*
 * What others do to the store, as it happens. One job for the console's life waits on a watch; when something moved it reads what is
 * being shown and hands that over as a value. The UI thread never touches the store.
 */
#include "tui/session_int.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_MS  200 /* how long leaving the console may take */
#define PAUSE_MS 250 /* between two looks: a busy run is read a few times a second, not at each record */
#define RETRY_MS                                                                                             \
    3000 /* a store that is not there yet, or no more; a holder who may have ended: of that nobody is told */

struct watcher {
    struct session *session;
    char host[256];
    int64_t seen; /* newest record looked at */
    struct sight sight;
};

struct watch_note {
    struct session *session;
    struct sight sight;
    struct store_moved moved;
    bool has_runs, has_records;
    journal_runs runs;
    journal_records records;
    char run[40];
};

static bool ending(const struct session *s)
{
    return stop_is_raised(&s->watch.stop);
}

static void rest(const struct session *s, int ms)
{
    for (; ms > 0 && !ending(s); ms -= POLL_MS)
        poll(NULL, 0, ms < POLL_MS ? ms : POLL_MS);
}

static void note_free(struct watch_note *n)
{
    journal_runs_free(&n->runs);
    journal_records_free(&n->records);
    free(n);
}

static void take_note(void *arg)
{
    struct watch_note *n = arg;
    struct session *s = n->session;
    s->sight = n->sight;
    if (n->has_runs) {
        journal_runs_free(&s->runs);
        s->runs = n->runs;
        memset(&n->runs, 0, sizeof n->runs);
    }
    if (n->has_records && str_eq(s->run, n->run)) {
        journal_records_free(&s->records);
        s->records = n->records;
        memset(&n->records, 0, sizeof n->records);
    }
    if ((n->has_runs || n->has_records) && !s->tasks[TASK_JOURNAL].running) /* it can be read again */
        memset(&s->tasks[TASK_JOURNAL].error, 0, sizeof s->tasks[TASK_JOURNAL].error);
    if (n->moved.progress && (s->progress_known || s->tasks[TASK_STATE].running))
        session_progress_load(s);
    session_tell(s, SESSION_JOURNAL | SESSION_PLAN);
    note_free(n);
}

static void see_holder(struct watcher *w, struct store *store, struct errinfo *ei, enum err *e)
{
    struct store_holder h = {0};
    struct sight *out = &w->sight;
    out->held = out->ended = false;
    *e = store_lock_holder(store, &h, ei);
    if (*e == ERR_OK && !(h.pid == getpid() && str_eq(h.host, w->host))) {
        out->held = true;
        out->ended = h.ended;
        out->since = h.since;
        str_show_fixed(out->who, sizeof out->who, h.who, strlen(h.who));
        str_show_fixed(out->host, sizeof out->host, h.host, strlen(h.host));
        str_show_fixed(out->reason, sizeof out->reason, h.reason, strlen(h.reason));
    }
    store_holder_fini(&h);
    *e = *e == ERR_NOTFOUND ? ERR_OK : *e;
}

static void see_newest(struct watcher *w, struct store *store, struct errinfo *ei, enum err *e)
{
    size_t n = 0;
    do {
        journal_records more = {0};
        *e = *e == ERR_OK ? journal_read_after(store, w->seen, NULL, &more, ei) : *e;
        for (size_t i = 0; i < more.n; i++) {
            const struct journal_record *r = &more.v[i];
            w->seen = r->id;
            if (strcmp(r->run, JOURNAL_NO_RUN) == 0)
                continue;
            str_copy(w->sight.run, sizeof w->sight.run, r->run);
            str_copy(w->sight.server, sizeof w->sight.server, r->server ? r->server : "");
            str_copy(w->sight.phase, sizeof w->sight.phase, r->phase);
            w->sight.at = r->at;
        }
        n = more.n;
        journal_records_free(&more);
    } while (*e == ERR_OK && n > 0);
}

/* What is on the screen is read again; nothing is, nothing is read. */
static enum err look(struct watcher *w, struct store *store, const struct store_moved *moved,
                     struct errinfo *ei)
{
    struct session *s = w->session;
    enum err e = ERR_OK;
    struct watch_note *n = calloc(1, sizeof *n);
    if (!n)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for what moved");
    see_holder(w, store, ei, &e);
    see_newest(w, store, ei, &e);
    pthread_mutex_lock(&s->watch.mutex);
    bool list = s->watch.list;
    str_copy(n->run, sizeof n->run, s->watch.run);
    pthread_mutex_unlock(&s->watch.mutex);
    if (e == ERR_OK && moved->journal && list)
        n->has_runs = (e = journal_list(store, &n->runs, ei)) == ERR_OK;
    if (e == ERR_OK && moved->journal && n->run[0])
        n->has_records = journal_read(store, n->run, &n->records, ei) == ERR_OK;
    n->session = s;
    n->sight = w->sight;
    n->moved = *moved;
    if (e != ERR_OK || job_pool_post(s->pool, take_note, n) != ERR_OK)
        note_free(n);
    return e;
}

/* From opening until an error or the end. */
static enum err watch_store(struct watcher *w, struct errinfo *ei)
{
    struct session *s = w->session;
    struct store *store = NULL;
    struct store_watch *watch = NULL;
    /* what is shown may be older than the watch */
    struct store_moved moved = {.journal = true, .progress = true};
    int64_t looked = clock_mono_ms();
    enum err e = store_open_profile(&store, s->config->profile, ei);
    if (e == ERR_OK)
        e = store_watch_open(&watch, store, ei);
    if (e == ERR_OK && !w->seen) { /* the newest is enough to begin with */
        e = journal_last(store, &w->seen, ei);
        w->seen -= w->seen > 0;
    }
    if (e == ERR_OK)
        e = look(w, store, &moved, ei);
    while (e == ERR_OK && !ending(s)) {
        e = store_watch_poll(watch, POLL_MS, &moved, ei);
        bool doubt = w->sight.held && !w->sight.ended && clock_mono_ms() - looked >= RETRY_MS;
        if (e != ERR_OK || !(moved.journal || moved.lock || moved.progress || doubt))
            continue;
        e = look(w, store, &moved, ei);
        looked = clock_mono_ms();
        rest(s, PAUSE_MS);
    }
    store_watch_close(&watch);
    return e;
}

/* A server that is away comes back. What somebody has to mend, or has refused to say, is not asked for again and again: an account would
   be locked, a question would never go away. */
static bool may_pass(enum err e)
{
    return e == ERR_OK || e == ERR_UNREACHABLE || e == ERR_TIMEOUT || e == ERR_LOCKED || e == ERR_SYSTEM ||
           e == ERR_NOMEM;
}

static void watch_run(void *arg)
{
    struct watcher *w = arg;
    struct session *s = w->session;
    const char *spec = profile_get(s->config->profile, PROFILE_store, NULL);
    if (gethostname(w->host, sizeof w->host - 1) != 0)
        w->host[0] = '\0';
    enum err before = ERR_OK;
    while (!ending(s)) {
        struct errinfo ei = {0};
        enum err e = store_exists(spec) ? watch_store(w, &ei) : ERR_OK;
        if (e == ERR_NOTFOUND) /* read-only, and nobody has made one yet */
            e = ERR_OK;
        if (e == ERR_AUTH)
            session_secrets_forget(s);
        if (!may_pass(e))
            return; /* whoever opens it next is told why; when that goes well, this begins again */
        if (e != ERR_OK && e != before)
            log_err(&ei);
        before = e;
        rest(s, RETRY_MS);
    }
}

static void watch_done(void *arg)
{
    struct watcher *w = arg;
    w->session->watch.ended = true;
    free(w);
}

void session_watch(struct session *s)
{
    struct watcher *w = calloc(1, sizeof *w);
    if (!w)
        return;
    w->session = s;
    if (job_pool_submit(s->pool, watch_run, watch_done, w) != ERR_OK)
        free(w);
}

void session_watch_again(struct session *s)
{
    if (!s->watch.ended || s->closing)
        return;
    s->watch.ended = false;
    session_watch(s);
}

void session_watch_shows(struct session *s, const char *run)
{
    pthread_mutex_lock(&s->watch.mutex);
    if (run)
        str_copy(s->watch.run, sizeof s->watch.run, run);
    else
        s->watch.list = true;
    pthread_mutex_unlock(&s->watch.mutex);
}
