/* The journal as the console reads it, and the small text that keeps the wizard's progress. The store is opened by each job anew:
   it may be on a slow disk, and another console may use it too. */
#include "tui/session_int.h"

#include "core/base/path.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_FILE     "wizard.tsv"
#define STATE_FILE_MAX 65536u

enum journal_kind { JOURNAL_LIST, JOURNAL_READ, JOURNAL_VERIFY };

struct journal_job {
    struct session *session;
    enum journal_kind kind;
    char run[40];
    journal_runs runs;
    journal_records records;
    size_t n;
    enum err e;
    struct errinfo ei;
};

void session_journal_free(struct session *s)
{
    journal_runs_free(&s->runs);
    journal_records_free(&s->records);
}

static void journal_job_run(void *arg)
{
    struct journal_job *j = arg;
    struct store *store = NULL;
    j->e = store_open_profile(&store, j->session->config->profile, &j->ei);
    if (j->e != ERR_OK)
        return;
    switch (j->kind) {
    case JOURNAL_LIST: j->e = journal_list(store, &j->runs, &j->ei); break;
    case JOURNAL_READ: j->e = journal_read(store, j->run, &j->records, &j->ei); break;
    case JOURNAL_VERIFY: j->e = journal_verify(store, &j->n, &j->ei); break;
    }
    store_close(&store);
}

static void journal_job_done(void *arg)
{
    struct journal_job *j = arg;
    struct session *s = j->session;
    enum err e = j->e;
    if (j->kind == JOURNAL_VERIFY && (e == ERR_OK || e == ERR_INPUT)) { /* a broken chain is an answer */
        s->chain_state = e == ERR_OK ? STATE_OK : STATE_ERROR;
        if (e == ERR_OK)
            str_fmt(s->chain, sizeof s->chain, "the chain of %zu records is whole", j->n);
        else
            str_copy(s->chain, sizeof s->chain, j->ei.what);
        e = ERR_OK;
    } else if (e == ERR_OK && j->kind == JOURNAL_LIST) {
        journal_runs_free(&s->runs);
        s->runs = j->runs;
        memset(&j->runs, 0, sizeof j->runs);
    } else if (e == ERR_OK) {
        journal_records_free(&s->records);
        s->records = j->records;
        memset(&j->records, 0, sizeof j->records);
        str_copy(s->run, sizeof s->run, j->run);
    }
    journal_runs_free(&j->runs);
    journal_records_free(&j->records);
    task_end(s, TASK_JOURNAL, e, &j->ei, "journal read");
    free(j);
    session_tell(s, SESSION_JOURNAL);
}

static void journal_start(struct session *s, enum journal_kind kind, const char *run)
{
    if (!task_begin(s, TASK_JOURNAL, 0, "reading the journal"))
        return;
    struct journal_job *j = calloc(1, sizeof *j);
    if (!j) {
        struct errinfo ei;
        enum err e = err_set(&ei, ERR_NOMEM, NULL, "out of memory");
        task_end(s, TASK_JOURNAL, e, &ei, NULL);
        return;
    }
    j->session = s;
    j->kind = kind;
    str_copy(j->run, sizeof j->run, run);
    task_submit(s, TASK_JOURNAL, journal_job_run, journal_job_done, j);
}

void session_journal_list(struct session *s)
{
    journal_start(s, JOURNAL_LIST, "");
}

void session_journal_read(struct session *s, const char *run)
{
    journal_start(s, JOURNAL_READ, run);
}

void session_journal_verify(struct session *s)
{
    journal_start(s, JOURNAL_VERIFY, "");
}

struct state_job {
    struct session *session;
    bool save;
    struct buf text;
    enum err e;
    struct errinfo ei;
};

static void state_run(void *arg)
{
    struct state_job *j = arg;
    struct buf path;
    buf_init(&path, 4096);
    j->e = path_state(&path, STATE_FILE, &j->ei);
    if (j->e == ERR_OK && j->save) {
        j->e = path_make_parents(buf_str(&path), &j->ei);
        if (j->e == ERR_OK)
            j->e = path_write(buf_str(&path), j->text.data, j->text.len, 0600, &j->ei);
    } else if (j->e == ERR_OK && access(buf_str(&path), F_OK) == 0) { /* none is how everybody starts */
        j->e = path_read(&j->text, buf_str(&path), &j->ei);
    }
    buf_fini(&path);
}

static void state_start(struct session *s, bool save, const char *text);

static void state_done(void *arg)
{
    struct state_job *j = arg;
    struct session *s = j->session;
    if (j->e == ERR_OK && !j->save && !s->state_pending) {
        free(s->saved_state);
        s->saved_state = strdup(buf_str(&j->text));
        session_tell(s, SESSION_STATE);
    }
    task_end(s, TASK_STATE, j->e, &j->ei, "progress kept");
    buf_fini(&j->text);
    free(j);
    if (s->state_pending && s->saved_state) {
        s->state_pending = false;
        state_start(s, true, s->saved_state);
    }
}

static void state_start(struct session *s, bool save, const char *text)
{
    struct state_job *j = calloc(1, sizeof *j);
    if (!j || !task_begin(s, TASK_STATE, 0,
                          save ? "keeping the wizard's progress" : "reading the wizard's progress")) {
        free(j);
        return;
    }
    j->session = s;
    j->save = save;
    buf_init(&j->text, STATE_FILE_MAX);
    if (save)
        buf_adds(&j->text, text);
    task_submit(s, TASK_STATE, state_run, state_done, j);
}

void session_state_save(struct session *s, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return;
    free(s->saved_state);
    s->saved_state = copy;
    if (s->tasks[TASK_STATE].running) /* written when that one ends */
        s->state_pending = true;
    else
        state_start(s, true, text);
}

void session_state_load(struct session *s)
{
    state_start(s, false, "");
}
