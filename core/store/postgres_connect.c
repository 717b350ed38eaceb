/* The address of a PostgreSQL store, and the connection to it. */
#include "core/store/postgres.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define ADDRESS_HINT  "write postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full"
#define PASSWORD_HINT "store_password = file:PATH, env:NAME or ask in the profile; or ~/.pgpass (PGPASSFILE)"

/* What is asked for unless the address says otherwise: no call may wait for a server that has gone away in silence. */
static const struct {
    const char *keyword, *value;
} defaults[] = {
    {"connect_timeout", "5"},     {"tcp_user_timeout", "15000"}, {"keepalives_idle", "10"},
    {"keepalives_interval", "5"}, {"keepalives_count", "3"},     {"application_name", "casbridge"},
};

bool store_is_postgres(const char *spec)
{
    return spec && (strncmp(spec, "postgresql://", 13) == 0 || strncmp(spec, "postgres://", 11) == 0);
}

/* What may differ between two addresses of one server: who asks there, for what, and how he is called. */
static bool is_of_the_session(const char *keyword)
{
    static const char *const keywords[] = {"user", "dbname", "connect_timeout", "application_name",
                                           "fallback_application_name"};
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (strcmp(keyword, keywords[i]) == 0)
            return true;
    return false;
}

static const char *said_or_default(const PQconninfoOption *options, const PQconninfoOption *usual,
                                   const char *keyword)
{
    for (const PQconninfoOption *o = options; o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0 && o->val && *o->val)
            return o->val;
    for (const PQconninfoOption *o = usual; o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o->val && *o->val ? o->val : NULL;
    return NULL;
}

static bool same_way(const PQconninfoOption *a, const PQconninfoOption *b, const PQconninfoOption *usual)
{
    for (const PQconninfoOption *o = usual; o->keyword; o++) {
        const char *x = said_or_default(a, usual, o->keyword), *y = said_or_default(b, usual, o->keyword);
        bool host = strcmp(o->keyword, "host") == 0;
        if (!is_of_the_session(o->keyword) && !(host ? str_ieq(x, y) : str_eq(x, y)))
            return false;
    }
    return true;
}

bool store_same_server(const char *a, const char *b)
{
    if (!store_is_postgres(a) || !store_is_postgres(b))
        return false;
    PQconninfoOption *x = PQconninfoParse(a, NULL), *y = PQconninfoParse(b, NULL), *usual = PQconndefaults();
    bool same = x && y && usual && same_way(x, y, usual);
    PQconninfoFree(x);
    PQconninfoFree(y);
    PQconninfoFree(usual);
    return same;
}

static bool add(struct store_server *p, const char *keyword, const char *value)
{
    if (p->n == PG_PARAMETERS_MAX)
        return false;
    p->keywords[p->n] = strdup(keyword);
    p->values[p->n] = strdup(value);
    return p->keywords[p->n] && p->values[p->n++];
}

static const char *find(const struct store_server *p, const char *keyword)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->keywords[i], keyword) == 0)
            return p->values[i];
    return NULL;
}

/* What people are shown: never the text they wrote, which might hold what it must not. */
static char *shown_name(const struct store_server *p)
{
    const char *user = find(p, "user"), *host = find(p, "host"), *port = find(p, "port"),
               *name = find(p, "dbname");
    struct buf b;
    buf_init(&b, 1024);
    buf_addf(&b, "postgresql://%s%s%s%s%s/%s", user ? user : "", user ? "@" : "", host ? host : "",
             port ? ":" : "", port ? port : "", name ? name : "");
    char *out = buf_take(&b);
    buf_fini(&b);
    return out;
}

static enum err take_options(struct store *s, const PQconninfoOption *options, struct errinfo *ei)
{
    struct store_server *p = s->handle;
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        if (!o->val || !*o->val)
            continue;
        int64_t seconds = 0;
        if (strcmp(o->keyword, "connect_timeout") == 0 && str_to_i64(o->val, strlen(o->val), &seconds) &&
            seconds <= 0)
            continue; /* for ever, to libpq: the default is less */
        if (strcmp(o->keyword, "password") == 0 || strcmp(o->keyword, "sslpassword") == 0)
            return err_set(ei, ERR_CONFIG, PASSWORD_HINT, "the store's address holds a password");
        if (!add(p, o->keyword, o->val))
            return err_set(ei, ERR_LIMIT, NULL, "the store's address says too much");
    }
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (!find(p, defaults[i].keyword) && !add(p, defaults[i].keyword, defaults[i].value))
            return err_set(ei, ERR_LIMIT, NULL, "the store's address says too much");
    return ERR_OK;
}

enum err pg_parameters(struct store *s, const char *spec, const struct secret *password, struct errinfo *ei)
{
    struct store_server *p = calloc(1, sizeof *p);
    char *said = NULL; /* may quote the address, and with it a password: not shown */
    if (!(s->handle = p) || !(s->path = strdup("postgresql://")))
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the store");
    PQconninfoOption *options = PQconninfoParse(spec, &said);
    PQfreemem(said);
    if (!options)
        return err_set(ei, ERR_CONFIG, ADDRESS_HINT, "the store's address cannot be read");
    enum err e = take_options(s, options, ei);
    for (PQconninfoOption *o = options; o->keyword; o++)
        if (o->val && strstr(o->keyword, "password"))
            explicit_bzero(o->val, strlen(o->val));
    PQconninfoFree(options);
    if (e == ERR_OK && password && secret_is_set(password))
        e = secret_set(&p->password, password->bytes, password->len);
    char *name = e == ERR_OK ? shown_name(p) : NULL;
    if (name) {
        free(s->path);
        s->path = name;
    }
    str_copy(s->self.place, sizeof s->self.place, "postgresql");
    s->self.started = 0;
    return e;
}

/* A server at the other end may be configured in any way: what the store relies on is said to each session. Waiting is bounded on
   both sides; synchronous_commit is only ever made stricter. A turn that waited for another's must see what that one wrote. */
static const char session_text[] =
    "SET search_path = casbridge, pg_temp; SET statement_timeout = 10000; SET lock_timeout = 8000;"
    " SET idle_in_transaction_session_timeout = 60000; SET standard_conforming_strings = on;"
    " SET default_transaction_isolation = 'read committed';"
    " SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
    " SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'";

static void be_quiet(void *arg, const PGresult *r)
{
    (void)arg, (void)r;
}

enum err pg_connect(struct store *s, struct errinfo *ei)
{
    struct store_server *p = s->handle;
    const char *keywords[PG_PARAMETERS_MAX + 4], *values[PG_PARAMETERS_MAX + 4];
    size_t n = 0;
    if (p->conn)
        return ERR_OK;
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->keywords[i], "client_encoding") == 0)
            continue;
        keywords[n] = p->keywords[i];
        values[n++] = p->values[i];
    }
    keywords[n] = "client_encoding";
    values[n++] = "UTF8";
    if (secret_is_set(&p->password)) {
        keywords[n] = "password";
        values[n++] = p->password.bytes;
    }
    keywords[n] = values[n] = NULL;
    p->conn = PQconnectdbParams(keywords, values, 0);
    if (PQstatus(p->conn) != CONNECTION_OK) {
        enum err e = pg_connect_error(s, ei);
        pg_disconnect(s);
        return e;
    }
    PQsetNoticeReceiver(p->conn, be_quiet, NULL);
    PQsetnonblocking(p->conn, 1);
    s->session++;
    p->in_turn = false;
    enum err e = pg_query(s, session_text, NULL, 0, NULL, NULL, ei);
    if (e == ERR_OK && !p->prepared)
        e = pg_prepare_schema(s, ei);
    if (e == ERR_OK && p->listening) /* whoever makes the connection anew, a reader too */
        e = pg_query(s, "LISTEN " PG_CHANNEL, NULL, 0, NULL, NULL, ei);
    if (e == ERR_OK)
        p->prepared = true;
    else
        pg_disconnect(s);
    return e;
}

void pg_disconnect(struct store *s)
{
    struct store_server *p = s->handle;
    PQfinish(p->conn);
    p->conn = NULL;
}
