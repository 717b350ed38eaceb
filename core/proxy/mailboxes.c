/* The mailbox cache. */
#include "core/proxy/mailboxes.h"

#include "core/base/str.h"
#include "core/kerberos/kerberos.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS    512u
#define MAX_CACHED 4096u
#define LOOKUP_MS  20000

struct known {
    struct known *next;
    char who[256];
    uint64_t version; /* of the organisation it points into */
    int64_t until_ms;
    enum err r;
    struct errinfo ei;
    struct mailbox mailbox;
};

struct mailboxes {
    const struct profile *profile;
    const char *source;
    struct stop stop;
    pthread_rwlock_t org_lock; /* read: a look-up is under way */
    const struct org *org;
    uint64_t version;
    pthread_mutex_t open_lock; /* opening may block, looking at the cache must not */
    struct directory *directory;
    pthread_mutex_t lock;
    struct known *buckets[BUCKETS];
    size_t n;
};

enum err mailboxes_new(struct mailboxes **out, const struct profile *profile, const char *source,
                       const struct org *org)
{
    struct mailboxes *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ERR_NOMEM;
    m->profile = profile;
    m->source = source;
    m->org = org;
    /* look-ups come one over the other: a reload must not wait for a moment without any */
    pthread_rwlockattr_t attr;
    (void)pthread_rwlockattr_init(&attr);
    (void)pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    (void)pthread_rwlock_init(&m->org_lock, &attr);
    (void)pthread_rwlockattr_destroy(&attr);
    stop_init(&m->stop, 0, NULL);
    (void)pthread_mutex_init(&m->open_lock, NULL);
    (void)pthread_mutex_init(&m->lock, NULL);
    *out = m;
    return ERR_OK;
}

void mailboxes_stop(struct mailboxes *m)
{
    stop_raise(&m->stop);
}

void mailboxes_free(struct mailboxes **mp)
{
    struct mailboxes *m = *mp;
    if (m == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (m->buckets[i] != NULL) {
            struct known *k = m->buckets[i];
            m->buckets[i] = k->next;
            free(k);
        }
    directory_close(&m->directory);
    (void)pthread_rwlock_destroy(&m->org_lock);
    (void)pthread_mutex_destroy(&m->open_lock);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
    *mp = NULL;
}

static struct known **bucket(struct mailboxes *m, const char *who)
{
    uint32_t h = 2166136261u;
    for (; *who != '\0'; who++)
        h = (h ^ (uint32_t)(*who >= 'A' && *who <= 'Z' ? *who | 0x20 : *who)) * 16777619u;
    return &m->buckets[h % BUCKETS];
}

enum err mailboxes_peek(struct mailboxes *m, uint64_t version, const char *who, int64_t now_ms,
                        struct mailbox *out, struct errinfo *ei)
{
    enum err r = ERR_STALE;
    (void)pthread_mutex_lock(&m->lock);
    for (struct known **k = bucket(m, who); *k != NULL;) {
        struct known *x = *k;
        if (x->version != version || x->until_ms <= now_ms) {
            *k = x->next;
            free(x);
            m->n--;
            continue;
        }
        if (str_ieq(x->who, who)) {
            r = x->r;
            if (r == ERR_OK)
                *out = x->mailbox;
            else
                *ei = x->ei;
            break;
        }
        k = &x->next;
    }
    (void)pthread_mutex_unlock(&m->lock);
    return r;
}

static void remember(struct mailboxes *m, uint64_t version, const char *who, int64_t now_ms, enum err r,
                     const struct mailbox *mailbox, const struct errinfo *ei)
{
    struct known *k = calloc(1, sizeof *k);
    if (k == NULL || !str_copy(k->who, sizeof k->who, who)) {
        free(k);
        return;
    }
    k->version = version;
    k->until_ms = now_ms + MAILBOX_TTL_MS;
    k->r = r;
    if (r == ERR_OK)
        k->mailbox = *mailbox;
    else
        k->ei = *ei;
    (void)pthread_mutex_lock(&m->lock);
    if (m->n >= MAX_CACHED) {
        /* full of fresh ones: start anew rather than keep order, it refills in one look-up each */
        for (size_t i = 0; i < BUCKETS; i++)
            while (m->buckets[i] != NULL) {
                struct known *x = m->buckets[i];
                m->buckets[i] = x->next;
                free(x);
            }
        m->n = 0;
    }
    struct known **b = bucket(m, who);
    k->next = *b;
    *b = k;
    m->n++;
    (void)pthread_mutex_unlock(&m->lock);
}

void mailboxes_organisation(struct mailboxes *m, const struct org *org, uint64_t version)
{
    (void)pthread_rwlock_wrlock(&m->org_lock);
    m->org = org;
    m->version = version;
    (void)pthread_rwlock_unlock(&m->org_lock);
}

enum err mailboxes_lookup(struct mailboxes *m, const char *who, int64_t now_ms, struct mailbox *out,
                          uint64_t *org_version, struct errinfo *ei)
{
    struct stop stop;
    stop_init(&stop, LOOKUP_MS, &m->stop);
    enum err r = ERR_OK;
    (void)pthread_rwlock_rdlock(&m->org_lock);
    *org_version = m->version;
    (void)pthread_mutex_lock(&m->open_lock);
    /* a run of days outlives its ticket, and the connection may have to be made anew at any look-up */
    struct errinfo ticket;
    (void)!krb_setup_refresh(600, &ticket);
    if (m->directory == NULL)
        r = directory_open(&m->directory, m->profile, m->source, &stop, ei);
    (void)pthread_mutex_unlock(&m->open_lock);
    if (r == ERR_OK) {
        r = directory_mailbox(m->directory, m->org, who, out, &stop, ei);
        if (r == ERR_OK || r == ERR_NOTFOUND || r == ERR_INPUT)
            remember(m, m->version, who, now_ms, r, out, ei);
    }
    (void)pthread_rwlock_unlock(&m->org_lock);
    return r;
}
