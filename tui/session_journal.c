/* The journal as the console reads it. The store is opened by each job anew: it may be on a slow disk or far away, and another console
   may use it too. */
#include "tui/session_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

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
    if (j->e == ERR_NOTFOUND && j->kind == JOURNAL_LIST) /* read-only, and nothing was ever done from here */
        j->e = ERR_OK;
    if (!store)
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
    if (e == ERR_OK)
        session_watch_again(s);
    free(j);
    session_tell(s, SESSION_JOURNAL);
}

static void journal_start(struct session *s, enum journal_kind kind, const char *run)
{
    session_secrets_ask_again(s);
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
    session_watch_shows(s, NULL);
    journal_start(s, JOURNAL_LIST, "");
}

void session_journal_read(struct session *s, const char *run)
{
    session_watch_shows(s, run);
    journal_start(s, JOURNAL_READ, run);
}

void session_journal_verify(struct session *s)
{
    journal_start(s, JOURNAL_VERIFY, "");
}
