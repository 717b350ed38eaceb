#include "remoting/ssh_trial.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/str.h"

#define TURN_MS        200 /* how soon an interruption is noticed */
#define IDENTITIES_MAX 10000

struct ssh_trial { /* of one identity */
    struct ssh_trials *all;
    char *user;
    const struct secret *password;
    struct ssh_conn *alone; /* whose login the others wait for */
    bool accepted;          /* and not refused since */
    bool rejected;          /* while it was not accepted */
    char by[256];           /* who refused it */
};

struct ssh_trials {
    pthread_mutex_t lock; /* guards everything */
    pthread_cond_t told;
    VEC(struct ssh_trial *) v;
};

struct ssh_trials *ssh_trials_new(void)
{
    struct ssh_trials *t = calloc(1, sizeof *t);
    pthread_condattr_t monotonic;
    if (!t)
        return NULL;
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&t->told, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return t;
}

void ssh_trials_free(struct ssh_trials **trials)
{
    struct ssh_trials *t = *trials;
    *trials = NULL;
    if (!t)
        return;
    for (size_t i = 0; i < t->v.n; i++) {
        free(t->v.v[i]->user);
        free(t->v.v[i]);
    }
    VEC_FREE(&t->v);
    (void)pthread_cond_destroy(&t->told);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

/* The same user with the same password, whichever section they stand in. lock is held; NULL: no memory. */
static struct ssh_trial *find(struct ssh_trials *t, const struct ssh_settings *s)
{
    for (size_t i = 0; i < t->v.n; i++) {
        struct ssh_trial *one = t->v.v[i];
        if (str_ieq(one->user, s->user) && one->password->len == s->password->len &&
            memcmp(one->password->bytes, s->password->bytes, s->password->len) == 0)
            return one;
    }
    struct ssh_trial *made = calloc(1, sizeof *made);
    if (made) {
        *made = (struct ssh_trial){.all = t, .user = strdup(s->user), .password = s->password};
        if (made->user && VEC_PUSH(&t->v, IDENTITIES_MAX, made))
            return made;
        free(made->user);
    }
    free(made);
    return NULL;
}

/* lock is held, and given up meanwhile */
static enum err await_turn(struct ssh_trial *one, const struct ssh_conn *c, struct errinfo *ei)
{
    enum err e = ERR_OK;
    while (one->alone && !one->rejected &&
           !(e = stop_check(c->stop, ei, "waiting for another login of the same user"))) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TURN_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        (void)pthread_cond_timedwait(&one->all->told, &one->all->lock, &until);
    }
    return e;
}

/* A server does not wait for ever (LoginGraceTime): one that has hung up cannot refuse the password, and must not seem to. */
static enum err check_there(const struct ssh_conn *c, struct errinfo *ei)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    if (poll(&p, 1, 0) <= 0 || !(p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
        return ERR_OK;
    return err_set(ei, ERR_UNREACHABLE, "LoginGraceTime or MaxAuthTries in sshd_config?",
                   "%s: the server closed the connection before the password was offered", c->host);
}

enum err ssh_trial_begin(struct ssh_conn *c, const struct ssh_settings *s, struct ssh_trial **out,
                         struct errinfo *ei)
{
    int64_t begun = clock_mono_ms();
    (void)pthread_mutex_lock(&s->trials->lock);
    struct ssh_trial *one = find(s->trials, s);
    enum err e =
        one ? await_turn(one, c, ei) : err_set(ei, ERR_NOMEM, NULL, "%s: no memory to log in", c->host);
    if (e == ERR_OK && one->rejected)
        e = err_set(ei, ERR_AUTH, "correct it first: failed logins count towards a lock-out",
                    "%s: the password of %s was not tried here, %s has just refused it", c->host, s->user,
                    one->by);
    if (e == ERR_OK)
        e = check_there(c, ei);
    if (e == ERR_OK && !one->accepted)
        one->alone = c;
    (void)pthread_mutex_unlock(&s->trials->lock);
    if (c->login_deadline_ms)
        c->login_deadline_ms += clock_mono_ms() - begun;
    if (e == ERR_OK)
        *out = one;
    return e;
}

void ssh_trial_end(struct ssh_conn *c, struct ssh_trial *one, enum ssh_verdict verdict)
{
    (void)pthread_mutex_lock(&one->all->lock);
    if (verdict == SSH_ACCEPTED) {
        one->accepted = true;
        one->rejected = false; /* side by side with the refusals: it is right, and not locked */
    } else if (verdict == SSH_REJECTED) {
        one->rejected = !one->accepted;
        one->accepted = false;
        str_copy(one->by, sizeof one->by, c->host);
    }
    if (one->alone == c)
        one->alone = NULL;
    (void)pthread_cond_broadcast(&one->all->told);
    (void)pthread_mutex_unlock(&one->all->lock);
}
