#include "core/directory/ldif_ahead.h"

#include "core/directory/ldif_int.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_THREADS   4
#define MAX_STRETCHES ((uint64_t)1000000)
#define MAX_MISSES    8 /* more than what was passed over: the file is not one that this helps with */

enum state { WAITING, TAKEN, PASSED, TO_READ };

struct stretch {
    enum state state;
    struct ldif_passed passed;
};

struct ldif_ahead {
    const struct ldif_file *file;
    const struct ldif_wants *wants;
    size_t length;
    pthread_t ids[MAX_THREADS];
    unsigned threads;
    pthread_mutex_t lock; /* what is below */
    pthread_cond_t changed;
    size_t n, next; /* next: none before it waits */
    size_t hits, misses;
    bool closing;
    struct stretch *stretches;
};

/* ---- one stretch */

static enum err refuse(void *arg, const struct entry *e, struct errinfo *ei)
{
    (void)arg, (void)e, (void)ei;
    return ERR_LIMIT;
}

static void remember(void *arg, uint64_t line, const char *subject, const char *text)
{
    (void)line, (void)subject, (void)text;
    *(bool *)arg = true;
}

/* Behind the newline at s[at], past an empty line; 0 when there is none. */
static size_t past_empty(const char *s, size_t at, size_t len)
{
    size_t next = at + 1 < len && s[at + 1] == '\r' ? at + 2 : at + 1;
    return next < len && s[next] == '\n' ? next + 1 : 0;
}

static size_t first_boundary(const char *s, size_t len)
{
    for (const char *at = s; (at = memchr(at, '\n', len - (size_t)(at - s))); at++) {
        size_t past = past_empty(s, (size_t)(at - s), len);
        if (past)
            return past;
    }
    return 0;
}

static size_t last_boundary(const char *s, size_t len)
{
    const char *at;
    for (size_t left = len; (at = memrchr(s, '\n', left)); left = (size_t)(at - s)) {
        size_t past = past_empty(s, (size_t)(at - s), len);
        if (past)
            return past;
    }
    return 0;
}

bool ldif_skim(const char *data, size_t len, const struct ldif_wants *wants, struct ldif_passed *out)
{
    size_t from = first_boundary(data, len), to = from ? last_boundary(data, len) : 0;
    if (to <= from)
        return false;
    bool noted = false;
    struct ldif p;
    struct ldif_wants w = *wants;
    w.entry = refuse;
    w.note = remember;
    w.arg = &noted;
    ldif_init(&p, &w, LDIF_UTF8);
    p.entries = 1; /* of an entry before these: "version" is no more what it is in front of all */
    enum err e = ldif_feed(&p, data + from, to - from, NULL);
    *out = (struct ldif_passed){from, to, p.line, p.entries - 1, p.with_class};
    ldif_fini(&p);
    return !e && !noted;
}

/* ---- threads */

/* Takes the next stretch that waits and looks at it. Called with the lock held, which it gives up meanwhile. */
static bool skim_next(struct ldif_ahead *a, char *room)
{
    while (a->next < a->n && a->stretches[a->next].state != WAITING)
        a->next++;
    if (a->closing || a->next >= a->n || a->misses > a->hits + MAX_MISSES)
        return false;
    uint64_t at = (uint64_t)a->next * a->length;
    struct stretch *s = &a->stretches[a->next++];
    struct ldif_passed passed = {0};
    size_t got = 0;
    s->state = TAKEN;
    pthread_mutex_unlock(&a->lock);
    bool pass =
        !ldif_file_read(a->file, room, a->length, at, &got, NULL) && ldif_skim(room, got, a->wants, &passed);
    passed.from += at;
    passed.to += at;
    pthread_mutex_lock(&a->lock);
    s->passed = passed;
    s->state = pass ? PASSED : TO_READ;
    if (pass)
        a->hits++;
    else
        a->misses++;
    pthread_cond_broadcast(&a->changed);
    return true;
}

static void *look_ahead(void *arg)
{
    struct ldif_ahead *a = arg;
    char *room = ldif_file_room(a->length);
    pthread_mutex_lock(&a->lock);
    while (room && skim_next(a, room))
        ;
    pthread_mutex_unlock(&a->lock);
    free(room);
    return NULL;
}

struct ldif_ahead *ldif_ahead_start(const struct ldif_file *f, const struct ldif_wants *wants, uint64_t size,
                                    size_t stretch, unsigned threads)
{
    uint64_t n = size / stretch;
    if (n < 2 || n > MAX_STRETCHES || !threads)
        return NULL;
    struct ldif_ahead *a = malloc(sizeof *a);
    if (!a)
        return NULL;
    *a = (struct ldif_ahead){.file = f, .wants = wants, .length = stretch, .n = (size_t)n, .next = 1};
    a->stretches = calloc(a->n, sizeof *a->stretches);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    while (a->stretches && a->threads < threads && a->threads < MAX_THREADS &&
           pthread_create(&a->ids[a->threads], NULL, look_ahead, a) == 0)
        a->threads++;
    if (!a->threads)
        ldif_ahead_stop(&a);
    return a;
}

const struct ldif_passed *ldif_ahead_of(struct ldif_ahead *a, uint64_t at, char *room)
{
    if (!a || at % a->length || at / a->length >= a->n)
        return NULL;
    struct stretch *s = &a->stretches[at / a->length];
    pthread_mutex_lock(&a->lock);
    if (s->state == WAITING)
        s->state = TO_READ;
    while (s->state == TAKEN)
        if (!skim_next(a, room))
            pthread_cond_wait(&a->changed, &a->lock);
    bool pass = s->state == PASSED;
    pthread_mutex_unlock(&a->lock);
    return pass ? &s->passed : NULL;
}

void ldif_ahead_stop(struct ldif_ahead **ap)
{
    struct ldif_ahead *a = *ap;
    *ap = NULL;
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->closing = true;
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < a->threads; i++)
        pthread_join(a->ids[i], NULL);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a->stretches);
    free(a);
}
