#include "core/store/store_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct holder {
    struct store_process process;
    char who[256], reason[512];
    int64_t since;
    bool held;
};

static bool read_small(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, cap - 1);
    close(fd);
    if (n < 0)
        return false;
    out[n] = '\0';
    return true;
}

/* Field 22 of /proc/PID/stat, clock ticks since boot: with the pid it names one process for ever. proc(5): the second field
   may hold spaces and parentheses, so count from the last one. The third is its state: one that was killed stays there, as a zombie,
   until its parent asks, which may be never. */
static bool start_time(int64_t pid, int64_t *out)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
    if (!read_small(path, text, sizeof text))
        return false;
    char *p = strrchr(text, ')');
    if (p && p[1] == ' ' && (p[2] == 'Z' || p[2] == 'X'))
        return false;
    for (int field = 2; p && field < 22; field++)
        if ((p = strchr(p + 1, ' ')) == NULL)
            return false;
    return p && str_to_i64(p + 1, strcspn(p + 1, " \n"), out);
}

enum err store_process_self(struct store_process *out, struct errinfo *ei)
{
    struct store_process p = {.pid = getpid()};
    char boot[64] = "", ns[64] = "";
    if (gethostname(p.host, sizeof p.host - 1) < 0)
        return err_errno(ei, ERR_SYSTEM, NULL, "this host has no name");
    if (!start_time(p.pid, &p.started))
        return err_set(ei, ERR_SYSTEM, "is /proc mounted?", "cannot tell when this process was started");
    /* Where one of the two cannot be read the place stays as it is: equal places are still the same place. */
    if (read_small("/proc/sys/kernel/random/boot_id", boot, sizeof boot))
        boot[strcspn(boot, "\n")] = '\0';
    ssize_t n = readlink("/proc/self/ns/pid", ns, sizeof ns - 1);
    ns[n > 0 ? n : 0] = '\0';
    str_fmt(p.place, sizeof p.place, "%s %s", boot, ns);
    *out = p;
    return ERR_OK;
}

bool store_process_may_live(const struct store_process *holder, const struct store_process *self)
{
    size_t boot = strcspn(holder->place, " ");
    int64_t started;
    if (strcmp(holder->host, self->host) != 0)
        return true;
    if (boot != strcspn(self->place, " ") || strncmp(holder->place, self->place, boot) != 0)
        return false; /* the host was started again since */
    if (strcmp(holder->place, self->place) != 0)
        return true; /* another pid namespace: its pids mean nothing here */
    if (start_time(holder->pid, &started))
        return started == holder->started;
    return kill((pid_t)holder->pid, 0) < 0 && errno == EPERM; /* another user's, which /proc may hide */
}

/*
 * When the row cannot be removed (a full disk) it stays behind while this process lives on. Whether one of its stores still holds that
 * lock only it can know; to others it is a holder that lives.
 */
static pthread_mutex_t holders_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct store *holders;

static void let_go(struct store *s)
{
    pthread_mutex_lock(&holders_mutex);
    for (struct store **p = &holders; *p; p = &(*p)->next_holder)
        if (*p == s) {
            *p = s->next_holder;
            break;
        }
    pthread_mutex_unlock(&holders_mutex);
}

static void hold(struct store *s, int64_t since)
{
    let_go(s);
    pthread_mutex_lock(&holders_mutex);
    s->held_since = since;
    s->next_holder = holders;
    holders = s;
    pthread_mutex_unlock(&holders_mutex);
}

static bool is_held_here(int64_t since)
{
    bool found = false;
    pthread_mutex_lock(&holders_mutex);
    for (const struct store *p = holders; p && !found; p = p->next_holder)
        found = p->held_since == since;
    pthread_mutex_unlock(&holders_mutex);
    return found;
}

static void copy_column(const struct store_row *row, size_t i, char *out, size_t cap)
{
    str_copy(out, cap, row->v[i] ? row->v[i] : "");
}

static enum err take_holder(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct holder *h = arg;
    (void)ei;
    h->held = true;
    copy_column(row, 0, h->who, sizeof h->who);
    copy_column(row, 1, h->process.host, sizeof h->process.host);
    copy_column(row, 2, h->process.place, sizeof h->process.place);
    h->process.pid = store_row_number(row, 3);
    h->process.started = store_row_number(row, 4);
    copy_column(row, 5, h->reason, sizeof h->reason);
    h->since = store_row_number(row, 6);
    return ERR_OK;
}

static enum err read_holder(struct store *s, struct holder *h, struct errinfo *ei)
{
    *h = (struct holder){0};
    return store_run(s, STORE_LOCK_READ, NULL, 0, take_holder, h, ei);
}

static enum err put_holder(struct store *s, const char *who, const char *reason, int64_t since,
                           struct errinfo *ei)
{
    const struct store_value values[] = {
        STORE_TEXT(who),           STORE_TEXT(s->self.host),      STORE_TEXT(s->self.place),
        STORE_NUMBER(s->self.pid), STORE_NUMBER(s->self.started), STORE_TEXT(reason),
        STORE_NUMBER(since),
    };
    return store_run(s, STORE_LOCK_PUT, values, ARRAY_LEN(values), NULL, NULL, ei);
}

static enum err record_takeover(struct store *s, const struct holder *h, const char *who, const char *reason,
                                bool forced, struct errinfo *ei)
{
    char since[CLOCK_TEXT_SIZE], detail[1200], run[] = JOURNAL_NO_RUN, phase[] = "lock";
    str_fmt(detail, sizeof detail, "the lock of %s on %s (process %" PRId64 ", since %s: %s) was taken %s",
            h->who, h->process.host, h->process.pid, clock_rfc3339(h->since, since), h->reason,
            forced ? "away by force" : "over: its holder has ended");
    /* journal_append_locked only reads the texts */
    struct journal_record r = {.run = run,
                               .phase = phase,
                               .who = (char *)who,
                               .from = s->self.host,
                               .why = (char *)reason,
                               .detail = detail};
    return journal_append_locked(s, &r, ei);
}

static bool is_us(const struct store *s, const struct store_process *p)
{
    return p->pid == s->self.pid && p->started == s->self.started && strcmp(p->host, s->self.host) == 0 &&
           strcmp(p->place, s->self.place) == 0;
}

static enum err may_live(struct store *s, const struct holder *h, bool *alive, struct errinfo *ei)
{
    if (is_us(s, &h->process) && !is_held_here(h->since)) {
        *alive = false;
        return ERR_OK;
    }
    return s->backend->lock_alive(s, &h->process, alive, ei);
}

static enum err take(struct store *s, const char *who, const char *reason, bool force, struct errinfo *ei)
{
    struct holder h;
    char since[CLOCK_TEXT_SIZE];
    bool alive = false;
    int64_t now = clock_unix();
    enum err e = read_holder(s, &h, ei);
    if (e == ERR_OK && h.held)
        e = may_live(s, &h, &alive, ei);
    if (e != ERR_OK)
        return e;
    if (alive && !force)
        return err_set(ei, ERR_LOCKED, "wait until that run has ended",
                       "%s holds the lock on %s (process %" PRId64 ") since %s: %s", h.who, h.process.host,
                       h.process.pid, clock_rfc3339(h.since, since), h.reason);
    if (h.held)
        e = record_takeover(s, &h, who, reason, alive, ei);
    if (e == ERR_OK)
        e = s->backend->lock_take(s, ei);
    if (e == ERR_OK)
        e = put_holder(s, who, reason, now, ei);
    if (e == ERR_OK) {
        s->locked_since = now;
        s->lock_session = s->session;
    }
    return e;
}

static enum err lost_with_connection(struct store *s, struct errinfo *ei)
{
    return err_set(ei, ERR_LOCKED, "see that the store stands, then casbridge resume",
                   "the connection to the store %s was lost, and the lock with it", s->path);
}

static enum err lock(struct store *s, const char *who, const char *reason, bool force, struct errinfo *ei)
{
    char safe_who[256], safe_reason[512];
    str_show_fixed(safe_who, sizeof safe_who, who, strlen(who));
    str_show_fixed(safe_reason, sizeof safe_reason, reason ? reason : "", reason ? strlen(reason) : 0);
    pthread_mutex_lock(&s->mutex);
    int64_t was = s->locked_since;
    unsigned was_session = s->lock_session;
    struct store_process self = s->self;
    enum err e = store_begin(s, STORE_TURN_WRITE, ei);
    if (e == ERR_OK)
        e = store_end(s, take(s, safe_who, safe_reason, force, ei), ei);
    if (e == ERR_OK && s->lock_session != s->session) /* recorded, but on a connection that is gone */
        e = lost_with_connection(s, ei);
    if (e == ERR_OK)
        hold(s, s->locked_since);
    else {
        if (memcmp(&self, &s->self, sizeof self) != 0)
            s->backend->lock_drop(s);
        s->self = self;
        s->locked_since = was;
        s->lock_session = was_session;
    }
    pthread_mutex_unlock(&s->mutex);
    return e;
}

enum err store_lock(struct store *s, const char *who, const char *reason, struct errinfo *ei)
{
    return lock(s, who, reason, false, ei);
}

enum err store_lock_force(struct store *s, const char *who, const char *reason, struct errinfo *ei)
{
    if (!reason || !*reason)
        return err_set(ei, ERR_USAGE, "say why", "the lock is taken away from its holder only with a reason");
    return lock(s, who, reason, true, ei);
}

/* Who took it away has let it go since: only the journal knows. */
static enum err lost_to_one_gone(struct store *s, int64_t since, struct errinfo *ei)
{
    journal_records all = {0};
    const struct journal_record *taker = NULL;
    if (since && journal_read(s, JOURNAL_NO_RUN, &all, NULL) == ERR_OK)
        for (size_t i = 0; i < all.n; i++)
            if (str_eq(all.v[i].phase, "lock") && all.v[i].at >= since)
                taker = &all.v[i];
    enum err e = taker ? err_set(ei, ERR_LOCKED, "ask them", "%s on %s took the lock away, and has ended: %s",
                                 taker->who, taker->from ? taker->from : "?", taker->why ? taker->why : "")
                       : err_set(ei, ERR_LOCKED, "begin again", "the lock is not held any more");
    journal_records_free(&all);
    return e;
}

enum err store_lock_check(struct store *s, struct errinfo *ei)
{
    struct holder h;
    pthread_mutex_lock(&s->mutex);
    int64_t since = s->locked_since;
    enum err e = read_holder(s, &h, ei);
    bool ours = h.held && since == h.since && is_us(s, &h.process);
    if (e == ERR_OK && ours && s->lock_session != s->session)
        e = lost_with_connection(s, ei);
    pthread_mutex_unlock(&s->mutex);
    if (e != ERR_OK || ours)
        return e;
    if (!h.held)
        return lost_to_one_gone(s, since, ei);
    return err_set(ei, ERR_LOCKED, "ask them", "%s on %s took the lock away: %s", h.who, h.process.host,
                   h.reason);
}

void store_unlock(struct store *s)
{
    pthread_mutex_lock(&s->mutex);
    if (s->locked_since) {
        const struct store_value values[] = {
            STORE_TEXT(s->self.host),      STORE_TEXT(s->self.place),     STORE_NUMBER(s->self.pid),
            STORE_NUMBER(s->self.started), STORE_NUMBER(s->locked_since),
        };
        /* A lock that stays behind is taken over once its holder has ended. */
        enum err e = store_run(s, STORE_LOCK_DROP, values, ARRAY_LEN(values), NULL, NULL, NULL);
        (void)e;
        s->backend->lock_drop(s);
    }
    s->locked_since = 0;
    let_go(s);
    pthread_mutex_unlock(&s->mutex);
}

void store_holder_fini(struct store_holder *h)
{
    free(h->who);
    free(h->host);
    free(h->reason);
    *h = (struct store_holder){0};
}

enum err store_lock_holder(struct store *s, struct store_holder *out, struct errinfo *ei)
{
    struct holder h;
    bool alive = true;
    pthread_mutex_lock(&s->mutex);
    enum err e = store_begin(s, STORE_TURN_READ, ei);
    if (e == ERR_OK) {
        e = read_holder(s, &h, ei);
        if (e == ERR_OK && h.held)
            e = may_live(s, &h, &alive, ei);
        e = store_end(s, e, ei);
    }
    pthread_mutex_unlock(&s->mutex);
    if (e != ERR_OK)
        return e;
    if (!h.held)
        return err_set(ei, ERR_NOTFOUND, NULL, "nobody holds the lock");
    struct store_holder r = {.who = strdup(h.who),
                             .host = strdup(h.process.host),
                             .reason = strdup(h.reason),
                             .pid = h.process.pid,
                             .since = h.since,
                             .ended = !alive};
    if (!r.who || !r.host || !r.reason) {
        store_holder_fini(&r);
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a name");
    }
    *out = r;
    return ERR_OK;
}
