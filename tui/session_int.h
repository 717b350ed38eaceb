/*
 * Between the files of the session.
 */
#ifndef TUI_SESSION_INT_H
#define TUI_SESSION_INT_H

#include "tui/session.h"

/* Marks a task as running; false (and nothing is done) when it runs already. The stop is made new. */
bool task_begin(struct session *s, enum task t, int timeout_ms, const char *text);
/* e and ei as the job left them; text for a good end, NULL: keep. */
void task_end(struct session *s, enum task t, enum err e, const struct errinfo *ei, const char *text);
/* Submits; a pool that takes no more ends the task with an error and calls done, which frees arg. */
void task_submit(struct session *s, enum task t, job_fn *run, job_fn *done, void *arg);
/* From a job thread: text and count of a running task. */
void task_say(struct session *s, enum task t, unsigned done, unsigned total, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
void session_tell(struct session *s, unsigned events);

/* Jobs' own view of the source: as given, or the profile's. NULL: found by DNS. */
const char *session_source(const struct session *s);

void session_plan_free(struct session *s);
void session_engine_free(struct session *s);
/* A new organisation for the running engine. */
void session_engine_reload(struct session *s);
void session_journal_free(struct session *s);
void session_progress_free(struct session *s);
/* What the screen shows of the journal: records of a run, or (NULL) the runs. */
void session_watch_shows(struct session *s, const char *run);

/* The store was to be had after all: look on again, where that was given up. */
void session_watch_again(struct session *s);

/* Passwords that the profile says to ask for: the job waits, the user is asked, the answer serves until the console ends or a logon is
   refused. */
enum err session_secrets_open(struct session *s, struct errinfo *ei) MUST_CHECK;
void session_secrets_close(struct session *s); /* who waits is refused */
void session_secrets_free(struct session *s);  /* once nobody can wait any more */
void session_secrets_forget(struct session *s);
/* The console's way to the servers: as config->transport_new, but a password that a server refuses is forgotten, so that the next
   attempt asks again. On a job thread. */
enum err session_transport(struct session *s, const char *via, struct transport **out,
                           struct errinfo *ei) MUST_CHECK;
/* The user begins something: what was refused before may be asked for once more. */
void session_secrets_ask_again(struct session *s);

#endif
