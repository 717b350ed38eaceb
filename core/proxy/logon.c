/* The book of logons. One lock: it is held for a few hash-table steps, on new connections and in jobs only. */
#include "core/proxy/logon.h"

#include "core/base/str.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUCKETS        1024u
#define MAX_ENTRIES    8192u
#define GOOD_S         300
#define KNOWN_S        (8 * 3600)
#define WINDOW_S       1800 /* Active Directory's default observation window */
#define REFUSED_S      10
#define DEFAULT_BUDGET 3
#define NO_LOCK_BUDGET 10

enum state { UNKNOWN, PENDING, GOOD, BAD };

struct entry {
    struct entry *next;
    uint8_t digest[LOGON_DIGEST];
    enum state state;
    unsigned wrong; /* times in a row */
    bool known;     /* was right once */
    int64_t until;  /* of GOOD or BAD */
    int64_t good_at, used;
    void *ident;
    char why[160];
};

struct account {
    struct account *next;
    char name[64];
    unsigned wrong, asking; /* asking: questions under way, which may all turn out wrong */
    int64_t since;          /* the last wrong one: the controller counts its window from there */
};

struct logon_book {
    pthread_mutex_t lock;
    pthread_cond_t settled;
    void *(*take)(void *);
    logon_drop_fn *drop;
    unsigned budget;
    struct entry *entries[BUCKETS];
    size_t n_entries;
    struct account *accounts[BUCKETS];
    size_t n_accounts;
};

enum err logon_book_new(struct logon_book **out, void *(*take)(void *), logon_drop_fn *drop)
{
    struct logon_book *b = calloc(1, sizeof *b);
    pthread_condattr_t attr;
    if (b == NULL)
        return ERR_NOMEM;
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&b->settled, &attr);
    (void)pthread_condattr_destroy(&attr);
    b->take = take;
    b->drop = drop;
    b->budget = DEFAULT_BUDGET;
    *out = b;
    return ERR_OK;
}

static void entry_free(struct logon_book *b, struct entry *e)
{
    if (e->ident != NULL)
        b->drop(e->ident);
    free(e);
}

void logon_book_free(struct logon_book **bp)
{
    struct logon_book *b = *bp;
    if (b == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (b->entries[i] != NULL) {
            struct entry *e = b->entries[i];
            b->entries[i] = e->next;
            entry_free(b, e);
        }
        while (b->accounts[i] != NULL) {
            struct account *a = b->accounts[i];
            b->accounts[i] = a->next;
            free(a);
        }
    }
    (void)pthread_cond_destroy(&b->settled);
    (void)pthread_mutex_destroy(&b->lock);
    free(b);
    *bp = NULL;
}

void logon_budget(struct logon_book *b, int64_t threshold)
{
    (void)pthread_mutex_lock(&b->lock);
    b->budget = threshold < 0    ? DEFAULT_BUDGET
                : threshold == 0 ? NO_LOCK_BUDGET
                : threshold <= 3 ? 1
                                 : (unsigned)(threshold > 100 ? 100 : threshold) - 2;
    (void)pthread_mutex_unlock(&b->lock);
}

void logon_account(const char *user, char *out, size_t cap)
{
    const char *slash = strchr(user, '\\');
    if (slash != NULL)
        user = slash + 1;
    size_t n = 0;
    for (; n + 1 < cap && user[n] != '\0' && user[n] != '@'; n++)
        out[n] = (char)(user[n] >= 'A' && user[n] <= 'Z' ? user[n] | 0x20 : user[n]);
    out[n] = '\0';
}

static struct entry **slot(struct logon_book *b, const uint8_t *digest)
{
    struct entry **e = &b->entries[(digest[0] | (unsigned)digest[1] << 8) % BUCKETS];
    while (*e != NULL && memcmp((*e)->digest, digest, LOGON_DIGEST) != 0)
        e = &(*e)->next;
    return e;
}

/* Makes room: what says nothing any more goes, and if all still does, what was not used just now. */
static void prune(struct logon_book *b, int64_t now)
{
    for (int pass = 0; pass < 2 && b->n_entries >= MAX_ENTRIES; pass++)
        for (size_t i = 0; i < BUCKETS; i++)
            for (struct entry **e = &b->entries[i]; *e != NULL;) {
                struct entry *x = *e;
                bool over =
                    x->state != PENDING && x->until < now && (!x->known || now - x->good_at > KNOWN_S);
                if (over || (pass == 1 && x->state != PENDING && now - x->used > 1)) {
                    *e = x->next;
                    entry_free(b, x);
                    b->n_entries--;
                } else {
                    e = &x->next;
                }
            }
}

static struct entry *entry_get(struct logon_book *b, const uint8_t *digest, int64_t now)
{
    struct entry *e = *slot(b, digest);
    if (e == NULL) {
        if (b->n_entries >= MAX_ENTRIES)
            prune(b, now);
        if (b->n_entries >= MAX_ENTRIES || (e = calloc(1, sizeof *e)) == NULL)
            return NULL;
        memcpy(e->digest, digest, LOGON_DIGEST);
        struct entry **s = slot(b, digest);
        *s = e;
        b->n_entries++;
    }
    e->used = now;
    return e;
}

static struct account *account_get(struct logon_book *b, const char *user, int64_t now, bool make)
{
    char name[64];
    uint32_t h = 2166136261u;
    logon_account(user, name, sizeof name);
    for (const char *p = name; *p != '\0'; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    struct account **a = &b->accounts[h % BUCKETS], *found = NULL;
    while (*a != NULL) {
        struct account *x = *a;
        if (now - x->since > WINDOW_S && x->asking == 0) {
            *a = x->next;
            free(x);
            b->n_accounts--;
            continue;
        }
        if (str_eq(x->name, name))
            found = x;
        a = &x->next;
    }
    if (found == NULL && make && (found = calloc(1, sizeof *found)) != NULL) {
        memcpy(found->name, name, sizeof name);
        found->since = now;
        *a = found;
        b->n_accounts++;
    }
    return found;
}

static enum logon_answer judge(struct logon_book *b, struct entry *e, const char *user, int64_t now,
                               char *why, size_t cap)
{
    if (e->state == GOOD && now < e->until)
        return LOGON_YES;
    if (e->state == PENDING)
        return LOGON_PENDING;
    if (e->state == BAD && now < e->until) {
        (void)str_copy(why, cap, e->why);
        return LOGON_NO;
    }
    if (e->known && now - e->good_at <= KNOWN_S)
        return LOGON_ASK;
    const struct account *a = account_get(b, user, now, false);
    if ((a != NULL && a->wrong >= b->budget) || (a == NULL && b->n_accounts >= MAX_ENTRIES)) {
        (void)str_fmt(why, cap,
                      "too many wrong passwords for this user: the KDC is not asked for %lld min, so that "
                      "the account is not locked",
                      (long long)(a != NULL ? (WINDOW_S - (now - a->since)) / 60 + 1 : 1));
        return LOGON_NO;
    }
    return a != NULL && a->wrong + a->asking >= b->budget ? LOGON_PENDING : LOGON_ASK;
}

static struct timespec deadline(int wait_ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return until;
}

enum logon_answer logon_check(struct logon_book *b, const uint8_t digest[static LOGON_DIGEST],
                              const char *user, int64_t now, int wait_ms, void **ident, char *why, size_t cap)
{
    const struct timespec until = deadline(wait_ms);
    enum logon_answer r = LOGON_NO;
    struct entry *e;
    bool late = wait_ms == 0;
    (void)pthread_mutex_lock(&b->lock);
    for (;;) {
        if ((e = entry_get(b, digest, now)) == NULL) {
            (void)str_copy(why, cap, "too many different logons at once");
            break;
        }
        r = judge(b, e, user, now, why, cap);
        if (r != LOGON_PENDING || late)
            break;
        late = pthread_cond_timedwait(&b->settled, &b->lock, &until) == ETIMEDOUT;
    }
    if (r == LOGON_YES)
        *ident = b->take(e->ident);
    if (r == LOGON_ASK && wait_ms > 0) {
        struct account *a = account_get(b, user, now, true);
        if (a != NULL) {
            a->asking++;
            e->state = PENDING;
        } else {
            (void)str_copy(why, cap, "out of memory");
            r = LOGON_NO;
        }
    }
    (void)pthread_mutex_unlock(&b->lock);
    return r;
}

static void settle_wrong(struct logon_book *b, struct entry *e, const char *user, int64_t now)
{
    static const int64_t pause[] = {10, 60, 300, 1800};
    e->state = BAD;
    e->known = false;
    e->until = now + pause[e->wrong < ARRAY_LEN(pause) ? e->wrong : ARRAY_LEN(pause) - 1];
    e->wrong++;
    struct account *a = account_get(b, user, now, true);
    if (a != NULL) {
        a->wrong++;
        a->since = now;
    }
}

void logon_settle(struct logon_book *b, const uint8_t digest[static LOGON_DIGEST], const char *user,
                  int64_t now, enum logon_outcome outcome, void *ident, const char *why)
{
    void *old = NULL;
    (void)pthread_mutex_lock(&b->lock);
    struct account *a = account_get(b, user, now, false);
    if (a != NULL && a->asking > 0)
        a->asking--;
    struct entry *e = entry_get(b, digest, now);
    if (e == NULL && outcome == LOGON_WRONG && a != NULL) {
        a->wrong++; /* forgotten meanwhile, but it was asked */
        a->since = now;
    }
    if (e != NULL) {
        old = e->ident;
        e->ident = NULL;
        (void)str_copy(e->why, sizeof e->why, why != NULL ? why : "");
        switch (outcome) {
        case LOGON_RIGHT:
            e->state = GOOD;
            e->known = true;
            e->wrong = 0;
            e->good_at = now;
            e->until = now + GOOD_S;
            e->ident = ident;
            ident = NULL;
            if (a != NULL)
                a->wrong = 0; /* the domain controller forgets them too */
            break;
        case LOGON_WRONG: settle_wrong(b, e, user, now); break;
        case LOGON_REFUSED:
            e->state = BAD;
            e->until = now + REFUSED_S;
            break;
        case LOGON_FAILED: e->state = UNKNOWN; break;
        }
    }
    (void)pthread_cond_broadcast(&b->settled);
    (void)pthread_mutex_unlock(&b->lock);
    if (old != NULL)
        b->drop(old);
    if (ident != NULL)
        b->drop(ident);
}
