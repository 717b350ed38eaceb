/* Life and book-keeping of the session; what the tasks do is in session_*.c. */
#include "tui/session_int.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/probe/budget.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POOL_THREADS 5 /* one of them looks on the store */

struct message { /* from a job or another thread to the UI thread */
    struct session *session;
    enum task task;
    unsigned done, total;
    enum log_level level;
    char text[512];
};

void session_tell(struct session *s, unsigned events)
{
    s->changed(s->changed_arg, events);
}

static void take_log(void *arg)
{
    struct message *m = arg;
    struct session *s = m->session;
    if (s->n_log == LOG_RING) {
        free(s->log[0].text);
        memmove(s->log, s->log + 1, (LOG_RING - 1) * sizeof *s->log);
        s->n_log--;
    }
    char *text = strdup(m->text);
    if (text) {
        s->log[s->n_log++] = (struct log_entry){clock_unix(), (int)m->level, text};
        s->log_problems += m->level <= LOG_LEVEL_WARNING;
    }
    free(m);
    session_tell(s, SESSION_LOG);
}

static void log_to_session(void *arg, enum log_level level, const char *line)
{
    struct session *s = arg;
    struct message *m = calloc(1, sizeof *m);
    if (!m)
        return;
    m->session = s;
    m->level = level;
    str_copy(m->text, sizeof m->text, line);
    if (job_pool_post(s->pool, take_log, m) != ERR_OK)
        free(m);
}

enum err session_new(struct session **out, const struct console_config *c, session_changed *changed,
                     void *arg, struct errinfo *ei)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the console");
    s->config = c;
    s->changed = changed;
    s->changed_arg = arg;
    enum err e = job_pool_new(&s->pool, POOL_THREADS, ei);
    if (e == ERR_OK)
        e = session_secrets_open(s, ei);
    if (e != ERR_OK) {
        job_pool_free(&s->pool);
        free(s);
        return e;
    }
    for (int t = 0; t < TASK_COUNT; t++)
        stop_init(&s->tasks[t].stop, 0, NULL);
    stop_init(&s->watch.stop, 0, NULL);
    pthread_mutex_init(&s->watch.mutex, NULL);
    log_set_sink(log_to_session, s);
    *out = s;
    return ERR_OK;
}

void session_end(struct session *s)
{
    s->closing = true; /* what ends now begins nothing new */
    for (int t = 0; t < TASK_COUNT; t++)
        stop_raise(&s->tasks[t].stop);
    stop_raise(&s->watch.stop);
    session_secrets_close(s);
    job_pool_wait(s->pool);
}

void session_free(struct session **sp)
{
    struct session *s = *sp;
    if (!s)
        return;
    session_end(s);
    session_engine_free(s);
    session_secrets_free(s);
    log_set_sink(NULL, NULL);
    job_pool_free(&s->pool);
    session_plan_free(s);
    session_journal_free(s);
    logon_budget_free(&s->logons);
    world_unref(s->world);
    session_progress_free(s);
    pthread_mutex_destroy(&s->watch.mutex);
    for (size_t i = 0; i < s->n_log; i++)
        free(s->log[i].text);
    free(s);
    *sp = NULL;
}

void session_collect(struct session *s)
{
    job_pool_collect(s->pool);
}

bool task_begin(struct session *s, enum task t, int timeout_ms, const char *text)
{
    struct task_status *st = &s->tasks[t];
    if (st->running || s->closing)
        return false;
    st->running = true;
    st->began_ms = clock_mono_ms();
    st->done = st->total = 0;
    stop_init(&st->stop, timeout_ms, NULL);
    str_copy(st->text, sizeof st->text, text);
    session_tell(s, SESSION_TASK);
    return true;
}

void task_end(struct session *s, enum task t, enum err e, const struct errinfo *ei, const char *text)
{
    struct task_status *st = &s->tasks[t];
    st->running = false;
    st->done = st->total = 0;
    memset(&st->error, 0, sizeof st->error);
    if (e != ERR_OK) {
        st->error = *ei;
        if (st->error.code == ERR_OK)
            (void)err_set(&st->error, e, NULL, "%s", err_text(e));
        log_err(&st->error);
        if (e == ERR_AUTH) /* a password that was refused must not be offered again */
            session_secrets_forget(s);
    } else if (text) {
        str_copy(st->text, sizeof st->text, text);
    }
    session_tell(s, SESSION_TASK);
}

void task_submit(struct session *s, enum task t, job_fn *run, job_fn *done, void *arg)
{
    if (job_pool_submit(s->pool, run, done, arg) == ERR_OK)
        return;
    stop_raise(&s->tasks[t].stop);
    run(arg); /* its stop is raised: it ends at its first check, with the error that says so */
    done(arg);
}

static void take_progress(void *arg)
{
    struct message *m = arg;
    struct task_status *st = &m->session->tasks[m->task];
    if (st->running) {
        st->done = m->done;
        st->total = m->total;
        str_copy(st->text, sizeof st->text, m->text);
        session_tell(m->session, SESSION_TASK);
    }
    free(m);
}

void task_say(struct session *s, enum task t, unsigned done, unsigned total, const char *fmt, ...)
{
    struct message *m = calloc(1, sizeof *m);
    if (!m)
        return;
    m->session = s;
    m->task = t;
    m->done = done;
    m->total = total;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(m->text, sizeof m->text, fmt, ap);
    va_end(ap);
    if (job_pool_post(s->pool, take_progress, m) != ERR_OK)
        free(m);
}

void session_cancel(struct session *s, enum task t)
{
    if (!s->tasks[t].running)
        return;
    stop_raise(&s->tasks[t].stop);
    str_copy(s->tasks[t].text, sizeof s->tasks[t].text,
             t == TASK_APPLY ? "stopping after the host in hand" : "stopping");
    session_tell(s, SESSION_TASK);
}

const char *session_why_not_change(const struct session *s)
{
    if (s->config->read_only || profile_flag(s->config->profile, PROFILE_read_only, false))
        return "this console was started read-only";
    if (!s->world)
        return "no organisation has been read yet";
    if (!s->unlocked)
        return "read-only until unlocked (:unlock)";
    return NULL;
}

bool session_unlock(struct session *s, const char *name)
{
    if (!s->world || s->config->read_only || profile_flag(s->config->profile, PROFILE_read_only, false))
        return false;
    if (!str_ieq(s->world->org->name, name))
        return false;
    s->unlocked = true;
    session_tell(s, SESSION_TASK);
    return true;
}

void session_lock(struct session *s)
{
    s->unlocked = false;
    session_tell(s, SESSION_TASK);
}

bool session_is_busy(const struct session *s)
{
    return s->tasks[TASK_APPLY].running || s->engine.proxy != NULL;
}

unsigned session_running(const struct session *s)
{
    unsigned n = 0;
    for (int t = 0; t < TASK_COUNT; t++)
        n += s->tasks[t].running;
    return n;
}

const char *session_source(const struct session *s)
{
    return s->config->source ? s->config->source : profile_get(s->config->profile, PROFILE_source, NULL);
}

const char *session_who(const struct session *s)
{
    if (s->config->who)
        return s->config->who;
    const struct passwd *pw = getpwuid(getuid());
    return pw ? pw->pw_name : "unknown";
}
