/* The store in a PostgreSQL database, for several admins and jump hosts. */
#include "core/store/postgres.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define VALUES_MAX    16
#define ADVISORY_TEXT "1129529927" /* STORE_APPLICATION_ID: the first half of our advisory locks' names */

/* A long way is slow, not silent: 32 MiB of evidence may take this many times as long as an answer, if something moves all the while. */
#define SLOWEST 20
#define LOOK_MS 250

int store_answer_ms = STORE_ANSWER_MS;

static const char *const sql[] = {
#define X(name, reads, text) text,
    STORE_COMMON_MAP(X)
#undef X
#define X(name, reads, sqlite, text) text,
        STORE_DIALECT_MAP(X)
#undef X
};

static const bool only_reads[] = {
#define X(name, reads, ...) reads,
    STORE_COMMON_MAP(X) STORE_DIALECT_MAP(X)
#undef X
};

/* Until something can be read, or the time is over. What is still to be sent goes out meanwhile. */
static bool move(struct store *s, int timeout_ms, bool *moved)
{
    struct store_server *p = s->handle;
    int unsent = PQflush(p->conn);
    struct pollfd fd = {PQsocket(p->conn), (short)(POLLIN | (unsent > 0 ? POLLOUT : 0)), 0};
    if (unsent < 0 || fd.fd < 0)
        return false;
    *moved = poll(&fd, 1, timeout_ms) > 0;
    return !*moved || !(fd.revents & (POLLIN | POLLERR | POLLHUP | POLLNVAL)) || PQconsumeInput(p->conn) == 1;
}

bool pg_read(struct store *s, int timeout_ms)
{
    bool moved;
    return move(s, timeout_ms, &moved);
}

/* What the kernel has of ours that the other end has not acknowledged (tcp(7)): megabytes may be on their way without a word from it. */
static int on_its_way(const struct store_server *p)
{
    int n = 0;
    return ioctl(PQsocket(p->conn), SIOCOUTQ, &n) == 0 ? n : 0;
}

static enum err await(struct store *s, struct errinfo *ei)
{
    struct store_server *p = s->handle;
    int64_t begun = clock_mono_ms(), end = begun + store_answer_ms,
            last = begun + (int64_t)SLOWEST * store_answer_ms;
    int queued = 0;
    while (PQisBusy(p->conn)) {
        bool moved = false;
        int64_t left = (end < last ? end : last) - clock_mono_ms();
        if (left <= 0) {
            pg_disconnect(s);
            return err_set(ei, ERR_UNREACHABLE,
                           "see what the server is doing; what was not confirmed was not kept",
                           "the store %s has not answered for %d s", s->path, store_answer_ms / 1000);
        }
        if (!move(s, left < LOOK_MS ? (int)left : LOOK_MS, &moved))
            return pg_lost(s, "while an answer was awaited", ei);
        int still = on_its_way(p);
        if (moved || still != queued)
            end = clock_mono_ms() + store_answer_ms;
        queued = still;
    }
    return ERR_OK;
}

static enum err hand_row(const PGresult *r, int i, store_row_fn *row, void *arg, struct errinfo *ei)
{
    struct store_row out = {.n = (size_t)PQnfields(r)};
    ASSERT(out.n <= STORE_COLUMNS_MAX);
    for (size_t k = 0; k < out.n; k++)
        out.v[k] = PQgetisnull(r, i, (int)k) ? NULL : PQgetvalue(r, i, (int)k);
    return row(arg, &out, ei);
}

/* The rest of an answer nobody wants any more: small, or the connection goes. */
static void forget_answer(struct store *s)
{
    struct store_server *p = s->handle;
    for (int i = 0; p->conn && i < 1000; i++) {
        if (PQisBusy(p->conn) && await(s, NULL) != ERR_OK)
            return;
        PGresult *r = PQgetResult(p->conn);
        if (!r)
            return;
        PQclear(r);
    }
    pg_disconnect(s);
}

static enum err take_results(struct store *s, store_row_fn *row, void *arg, struct errinfo *ei)
{
    struct store_server *p = s->handle;
    enum err e = ERR_OK;
    for (;;) {
        enum err waited = await(s, e == ERR_OK ? ei : NULL);
        if (waited != ERR_OK)
            return e == ERR_OK ? waited : e;
        PGresult *r = PQgetResult(p->conn);
        if (!r)
            return e;
        ExecStatusType st = PQresultStatus(r);
        if (st != PGRES_COMMAND_OK && st != PGRES_TUPLES_OK && st != PGRES_SINGLE_TUPLE && e == ERR_OK)
            e = pg_result_error(s, r, ei);
        for (int i = 0; e == ERR_OK && row && i < PQntuples(r); i++) {
            e = hand_row(r, i, row, arg, ei);
            if (e != ERR_OK) {
                PQclear(r);
                forget_answer(s);
                return e;
            }
        }
        PQclear(r);
        if (PQstatus(p->conn) != CONNECTION_OK)
            return pg_lost(s, "while an answer was awaited", ei);
    }
}

enum err pg_query(struct store *s, const char *text, const struct store_value *values, size_t n,
                  store_row_fn *row, void *arg, struct errinfo *ei)
{
    struct store_server *p = s->handle;
    const char *params[VALUES_MAX];
    char numbers[VALUES_MAX][24];
    ASSERT(n <= VALUES_MAX);
    for (size_t i = 0; i < n; i++) {
        if (values[i].is_number)
            snprintf(numbers[i], sizeof numbers[i], "%lld", (long long)values[i].number);
        params[i] = values[i].is_number ? numbers[i] : values[i].text;
    }
    int sent = n || row ? PQsendQueryParams(p->conn, text, (int)n, NULL, params, NULL, NULL, 0)
                        : PQsendQuery(p->conn, text);
    if (!sent)
        return pg_lost(s, "before it was asked", ei);
    if (row)
        PQsetSingleRowMode(p->conn);
    return take_results(s, row, arg, ei);
}

struct counted {
    store_row_fn *row;
    void *arg;
    size_t n;
};

static enum err count_row(void *arg, const struct store_row *row, struct errinfo *ei)
{
    struct counted *c = arg;
    c->n++;
    return c->row ? c->row(c->arg, row, ei) : ERR_OK;
}

/*
 * Outside of a turn a statement that reads may be asked once more on a new connection, unless rows were handed over already; one that
 * writes is sent once: a new connection is made for it when there is none, but what was sent is not sent again.
 */
static enum err run(struct store *s, enum store_statement which, const struct store_value *values, size_t n,
                    store_row_fn *row, void *arg, struct errinfo *ei)
{
    struct store_server *p = s->handle;
    struct counted c = {row, arg, 0};
    bool reads = only_reads[which], was_in_turn = p->in_turn;
    if (!p->conn && was_in_turn) /* nothing more may run as if it were the turn */
        return pg_lost(s, "in the middle of a change", ei);
    for (int attempt = 0;; attempt++) {
        bool kept = p->conn != NULL;
        enum err e = pg_connect(s, ei);
        if (e == ERR_OK)
            e = pg_query(s, sql[which], values, n, reads || row ? count_row : NULL, &c, ei);
        bool lost = e != ERR_OK && !p->conn;
        if (!lost || !kept || !reads || was_in_turn || attempt || c.n)
            return e;
    }
}

/*
 * Whoever writes holds the chain's head from the first moment: appends stand in a row, and after a lost connection the next turn begins
 * only once that one's fate is sealed. Who reads or fills a store may take long: rows keep moving, or we leave; a store that is filled
 * is idle while the one it is filled from is checked.
 */
static const char *const beginnings[] = {
    [STORE_TURN_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0",
    [STORE_TURN_WRITE] = "BEGIN; SELECT one FROM head FOR UPDATE",
    [STORE_TURN_FILL] =
        ("BEGIN; SET LOCAL statement_timeout = 0;"
         " SET LOCAL idle_in_transaction_session_timeout = 600000; SELECT one FROM head FOR UPDATE"),
};

static enum err begin(struct store *s, enum store_turn t, struct errinfo *ei)
{
    struct store_server *p = s->handle;
    p->in_turn = false;
    for (int attempt = 0;; attempt++) {
        bool kept = p->conn != NULL;
        enum err e = pg_connect(s, ei);
        if (e == ERR_OK)
            e = pg_query(s, beginnings[t], NULL, 0, NULL, NULL, ei);
        if (e == ERR_OK && t == STORE_TURN_FILL)
            e = pg_prepare_order(s, &s->turn.many, ei);
        if (e == ERR_OK)
            p->in_turn = true;
        else if (p->conn && pg_query(s, "ROLLBACK", NULL, 0, NULL, NULL, NULL) != ERR_OK && p->conn)
            pg_disconnect(s);
        if (e == ERR_OK || p->conn || !kept || attempt)
            return e;
        /* A turn that has not begun has written nothing: an idle connection that a restart has cut is made anew. */
    }
}

static void rollback(struct store *s)
{
    struct store_server *p = s->handle;
    p->in_turn = false;
    if (p->conn && pg_query(s, "ROLLBACK", NULL, 0, NULL, NULL, NULL) != ERR_OK && p->conn)
        pg_disconnect(s);
}

static enum err commit(struct store *s, struct errinfo *ei)
{
    struct store_server *p = s->handle;
    if (!p->conn) {
        p->in_turn = false;
        return pg_lost(s, "before the end of a change", ei);
    }
    /* A failed statement makes COMMIT a ROLLBACK that succeeds: but then an error was returned, and this is not reached. */
    enum err e = pg_query(s, "COMMIT", NULL, 0, NULL, NULL, ei);
    p->in_turn = false;
    s->in_doubt = e != ERR_OK && !p->conn;
    if (e != ERR_OK && p->conn)
        rollback(s);
    return e;
}

static enum err open_store(struct store *s, const char *spec, const struct secret *password,
                           struct errinfo *ei)
{
    enum err e = pg_parameters(s, spec, password, ei);
    return e == ERR_OK ? pg_connect(s, ei) : e;
}

static void close_store(struct store *s)
{
    struct store_server *p = s->handle;
    if (!p)
        return;
    pg_disconnect(s);
    for (size_t i = 0; i < p->n; i++) {
        free(p->keywords[i]);
        free(p->values[i]);
    }
    secret_fini(&p->password);
    free(p);
    s->handle = NULL;
}

static enum err take_number(void *arg, const struct store_row *row, struct errinfo *ei)
{
    (void)ei;
    *(int64_t *)arg = store_row_number(row, 0);
    return ERR_OK;
}

/*
 * A lock is an advisory lock of the session, under a number that was never given out before: the server lets go of it when the session
 * ends, however it ends. The row in the table says who that is.
 */
static enum err lock_take(struct store *s, struct errinfo *ei)
{
    static const char number[] = "SELECT nextval('lock_number')";
    static const char take[] = "SELECT 1 FROM pg_advisory_lock(" ADVISORY_TEXT ", CAST($1 AS integer))";
    int64_t n = 0;
    enum err e = pg_query(s, number, NULL, 0, take_number, &n, ei);
    if (e == ERR_OK)
        e = pg_query(s, take, (struct store_value[]){STORE_NUMBER(n)}, 1, NULL, NULL, ei);
    if (e == ERR_OK)
        s->self.started = n;
    return e;
}

static void lock_drop(struct store *s)
{
    struct store_server *p = s->handle;
    const struct store_value values[] = {STORE_NUMBER(s->self.started)};
    enum err e = p->conn ? pg_query(s, "SELECT pg_advisory_unlock(" ADVISORY_TEXT ", CAST($1 AS integer))",
                                    values, 1, NULL, NULL, NULL)
                         : ERR_OK;
    (void)e; /* a session that is gone has let go */
}

static enum err lock_alive(struct store *s, const struct store_process *holder, bool *alive,
                           struct errinfo *ei)
{
    static const char text[] =
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND CAST(classid AS bigint) = " ADVISORY_TEXT " AND CAST(objid AS bigint) = CAST($1 AS bigint)";
    int64_t n = 0;
    enum err e =
        pg_query(s, text, (struct store_value[]){STORE_NUMBER(holder->started)}, 1, take_number, &n, ei);
    if (e == ERR_OK)
        *alive = n > 0;
    return e;
}

static enum err listen_store(struct store *s, struct errinfo *ei)
{
    struct store_server *p = s->handle;
    bool kept = p->conn != NULL;
    p->listening = true;
    enum err e = pg_connect(s, ei);
    if (e == ERR_OK && kept)
        e = pg_query(s, "LISTEN " PG_CHANNEL, NULL, 0, NULL, NULL, ei);
    p->heard = s->session;
    return e;
}

static bool any_notification(PGconn *conn)
{
    bool any = false;
    for (PGnotify *n; (n = PQnotifies(conn)); PQfreemem(n))
        any = true;
    return any;
}

static enum err wait_store(struct store *s, int timeout_ms, bool *woken, struct errinfo *ei)
{
    struct store_server *p = s->handle;
    int64_t end = clock_mono_ms() + timeout_ms;
    *woken = false;
    enum err e = pg_connect(s, ei);
    if (e != ERR_OK)
        return e;
    if (p->heard != s->session) { /* what happened between the two is not known: worth a look */
        p->heard = s->session;
        *woken = true;
        return ERR_OK;
    }
    while (!(*woken = any_notification(p->conn))) {
        int64_t left = end - clock_mono_ms();
        if (left <= 0)
            return ERR_OK;
        if (!pg_read(s, (int)left))
            return pg_lost(s, "while nothing happened", ei);
    }
    return ERR_OK;
}

const struct store_backend store_postgres = {
    .kind = "postgresql",
    .open = open_store,
    .close = close_store,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .run = run,
    .append_many = pg_append_many,
    .lock_take = lock_take,
    .lock_drop = lock_drop,
    .lock_alive = lock_alive,
    .listen = listen_store,
    .wait = wait_store,
};
