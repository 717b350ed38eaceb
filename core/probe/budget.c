#include "core/probe/budget.h"

#include "core/base/str.h"
#include "core/base/vec.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN       2 /* somebody's own mistyping in the meantime */
#define MAX_ACCOUNTS 10000
#define NAME_MAX_LEN 256

struct spent {
    char name[NAME_MAX_LEN];
    int64_t n;
};

struct logon_budget {
    pthread_mutex_t lock;
    int64_t size; /* -1: without end */
    VEC(struct spent) accounts;
};

struct logon_budget *logon_budget_new(int64_t lockout_threshold)
{
    struct logon_budget *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    pthread_mutex_init(&b->lock, NULL);
    if (lockout_threshold == 0)
        b->size = -1;
    else if (lockout_threshold < 0)
        b->size = 1;
    else
        b->size = lockout_threshold > MARGIN ? lockout_threshold - MARGIN : 0;
    return b;
}

void logon_budget_free(struct logon_budget **b)
{
    if (!*b)
        return;
    VEC_FREE(&(*b)->accounts);
    pthread_mutex_destroy(&(*b)->lock);
    free(*b);
    *b = NULL;
}

int64_t logon_budget_size(const struct logon_budget *b)
{
    return b->size;
}

/* The bare name in lower case. A name too long to keep shares one place with all of its kind. */
static void bare_name(const char *account, char out[static NAME_MAX_LEN])
{
    const char *slash = strrchr(account, '\\');
    const char *from = slash ? slash + 1 : account;
    size_t len = strcspn(from, "@");
    if (len >= NAME_MAX_LEN)
        len = 0;
    for (size_t i = 0; i < len; i++)
        out[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] + 32) : from[i];
    out[len] = '\0';
}

/* Under the lock. NULL when it is not there and could not be made. */
static struct spent *find(struct logon_budget *b, const char *account, bool make)
{
    struct spent s = {.n = 0};
    bare_name(account, s.name);
    for (size_t i = 0; i < b->accounts.n; i++)
        if (strcmp(b->accounts.v[i].name, s.name) == 0)
            return &b->accounts.v[i];
    return make && VEC_PUSH(&b->accounts, MAX_ACCOUNTS, s) ? &b->accounts.v[b->accounts.n - 1] : NULL;
}

bool logon_budget_take(struct logon_budget *b, const char *account)
{
    if (b->size < 0)
        return true;
    pthread_mutex_lock(&b->lock);
    struct spent *s = find(b, account, true);
    bool yes = s && s->n < b->size;
    if (yes)
        s->n++;
    pthread_mutex_unlock(&b->lock);
    return yes;
}

void logon_budget_succeeded(struct logon_budget *b, const char *account)
{
    pthread_mutex_lock(&b->lock);
    struct spent *s = find(b, account, false);
    if (s && s->n > 0)
        s->n--;
    pthread_mutex_unlock(&b->lock);
}

int64_t logon_budget_left(struct logon_budget *b, const char *account)
{
    if (b->size < 0)
        return -1;
    pthread_mutex_lock(&b->lock);
    const struct spent *s = find(b, account, false);
    int64_t left = b->size - (s ? s->n : 0);
    pthread_mutex_unlock(&b->lock);
    return left;
}
