/* A job may need a password that only the user knows, while the terminal belongs to curses: the job waits here, the question goes to
   the UI thread as a message, the answer comes back under a lock. */
#include "tui/session_int.h"

#include "core/base/secret.h"
#include "core/base/str.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX  8
#define PROMPT_MAX 400

struct secrets {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    bool asking, answered, closed;
    bool question; /* of yes or no, not for a password */
    char prompt[PROMPT_MAX];
    struct secret answer; /* empty: refused */
    struct {
        char prompt[PROMPT_MAX];
        struct secret secret;
    } known[KNOWN_MAX];
    size_t n_known;
    char refused[KNOWN_MAX][PROMPT_MAX]; /* until the user begins something that may need it */
    size_t n_refused;
};

static void question_came(void *arg)
{
    session_tell(arg, SESSION_QUESTION);
}

/* lock is held */
static enum err copy(struct secret *out, const struct secret *from, struct errinfo *ei)
{
    return secret_set(out, from->bytes, from->len) == ERR_OK
               ? ERR_OK
               : err_set(ei, ERR_NOMEM, NULL, "no memory for a password");
}

/* lock is held */
static const struct secret *find_known(const struct secrets *k, const char *prompt)
{
    for (size_t i = 0; i < k->n_known; i++) {
        if (strcmp(k->known[i].prompt, prompt) == 0)
            return &k->known[i].secret;
    }
    return NULL;
}

/* lock is held */
static void remember(struct secrets *k)
{
    if (k->n_known == KNOWN_MAX ||
        secret_set(&k->known[k->n_known].secret, k->answer.bytes, k->answer.len) != ERR_OK)
        return; /* it will be asked for again */
    str_copy(k->known[k->n_known].prompt, sizeof k->known[0].prompt, k->prompt);
    k->n_known++;
}

/* lock is held */
static bool is_refused(const struct secrets *k, const char *prompt)
{
    for (size_t i = 0; i < k->n_refused; i++)
        if (strcmp(k->refused[i], prompt) == 0)
            return true;
    return false;
}

/* On a job thread. */
static enum err ask(void *arg, const char *prompt, bool question, struct secret *out, struct errinfo *ei)
{
    struct session *s = arg;
    struct secrets *k = s->secrets;
    char what[PROMPT_MAX];
    enum err e;
    str_copy(what, sizeof what, prompt);
    pthread_mutex_lock(&k->lock);
    while (k->asking && !k->closed && !find_known(k, what) &&
           !is_refused(k, what)) /* one question at a time */
        pthread_cond_wait(&k->moved, &k->lock);
    const struct secret *known = find_known(k, what);
    if (known) {
        e = copy(out, known, ei);
        goto out;
    }
    bool refused = is_refused(k, what); /* whoever said no once is not asked by every job anew */
    if (!refused && !k->closed && job_pool_post(s->pool, question_came, s) == ERR_OK) {
        k->asking = true;
        k->answered = false;
        k->question = question;
        str_copy(k->prompt, sizeof k->prompt, what);
        while (!k->answered && !k->closed)
            pthread_cond_wait(&k->moved, &k->lock);
    }
    if (!refused && secret_is_set(&k->answer)) {
        if (!question) /* what yes settles is written down elsewhere */
            remember(k);
        e = copy(out, &k->answer, ei);
    } else {
        if (!refused && !question && k->n_refused < KNOWN_MAX)
            str_copy(k->refused[k->n_refused++], sizeof k->refused[0], what);
        e = err_set(ei, ERR_REFUSED, "r asks again; file:PATH or env:NAME in the profile asks nobody",
                    "%s was not given", what);
    }
    if (refused) /* another's question may be on the screen */
        goto out;
    secret_fini(&k->answer);
    k->asking = false;
    pthread_cond_broadcast(&k->moved);
out:
    pthread_mutex_unlock(&k->lock);
    return e;
}

enum err session_secrets_open(struct session *s, struct errinfo *ei)
{
    s->secrets = calloc(1, sizeof *s->secrets);
    if (!s->secrets)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the console");
    pthread_mutex_init(&s->secrets->lock, NULL);
    pthread_cond_init(&s->secrets->moved, NULL);
    secret_set_asker(ask, s);
    return ERR_OK;
}

void session_secrets_close(struct session *s)
{
    pthread_mutex_lock(&s->secrets->lock);
    s->secrets->closed = true;
    pthread_cond_broadcast(&s->secrets->moved);
    pthread_mutex_unlock(&s->secrets->lock);
}

void session_secrets_ask_again(struct session *s)
{
    pthread_mutex_lock(&s->secrets->lock);
    s->secrets->n_refused = 0;
    pthread_mutex_unlock(&s->secrets->lock);
}

void session_secrets_forget(struct session *s)
{
    struct secrets *k = s->secrets;
    pthread_mutex_lock(&k->lock);
    while (k->n_known > 0)
        secret_fini(&k->known[--k->n_known].secret);
    pthread_mutex_unlock(&k->lock);
}

void session_secrets_free(struct session *s)
{
    secret_set_asker(NULL, NULL);
    session_secrets_forget(s);
    secret_fini(&s->secrets->answer);
    pthread_mutex_destroy(&s->secrets->lock);
    pthread_cond_destroy(&s->secrets->moved);
    free(s->secrets);
    s->secrets = NULL;
}

bool session_question(struct session *s, char *prompt, size_t cap)
{
    struct secrets *k = s->secrets;
    pthread_mutex_lock(&k->lock);
    bool wanted = k->asking && !k->answered;
    if (wanted)
        str_copy(prompt, cap, k->prompt);
    pthread_mutex_unlock(&k->lock);
    return wanted;
}

bool session_question_is_yes_no(struct session *s)
{
    pthread_mutex_lock(&s->secrets->lock);
    bool is = s->secrets->question;
    pthread_mutex_unlock(&s->secrets->lock);
    return is;
}

void session_answer(struct session *s, const char *password)
{
    struct secrets *k = s->secrets;
    pthread_mutex_lock(&k->lock);
    if (k->asking && !k->answered) {
        secret_fini(&k->answer);
        if (password && secret_set(&k->answer, password, strlen(password)) != ERR_OK)
            secret_fini(&k->answer);
        k->answered = true;
        pthread_cond_broadcast(&k->moved);
    }
    pthread_mutex_unlock(&k->lock);
}
