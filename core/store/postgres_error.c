/* What PostgreSQL and libpq say, as this program's errors. */
#include "core/store/postgres.h"

#include "core/base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RIGHTS_HINT                                                                                          \
    "its owner, in that database: GRANT USAGE ON SCHEMA casbridge TO YOU; GRANT ALL ON ALL TABLES IN SCHEMA" \
    " casbridge TO YOU; GRANT ALL ON ALL SEQUENCES IN SCHEMA casbridge TO YOU"
#define GONE_HINT "see that PostgreSQL runs and can be reached; what was not confirmed was not kept"

/* SQLSTATE: the longest beginning that fits counts. */
static const struct {
    const char *state;
    enum err code;
    int sys;
    const char *hint;
} states[] = {
    {"25006", ERR_CONFIG, 0,
     "a standby, or set to read only: name the primary, or target_session_attrs=read-write"},
    {"42501", ERR_DENIED, 0, RIGHTS_HINT},
    {"3F000", ERR_CONFIG, 0, "name another database"},
    {"42P01", ERR_CONFIG, 0, "it is not a store of this casbridge: name another database"},
    {"42703", ERR_CONFIG, 0, "it is not a store of this casbridge: name another database"},
    {"53100", ERR_SYSTEM, ENOSPC, "make room on the server's disk; nothing of this was kept"},
    {"53300", ERR_UNREACHABLE, 0, "the server has no connection left: raise max_connections, or close some"},
    {"55P03", ERR_LOCKED, 0, "another casbridge is writing to it; try again"},
    {"57014", ERR_TIMEOUT, 0, "the server is busy; try again"},
    {"57P", ERR_UNREACHABLE, 0, GONE_HINT},
    {"08", ERR_UNREACHABLE, 0, GONE_HINT},
    {"28", ERR_AUTH, 0, "check user and password (store_password, PGPASSFILE) and the server's pg_hba.conf"},
    {"22", ERR_INPUT, 0, NULL},
    {"53", ERR_SYSTEM, 0, "the server has run out of something; nothing of this was kept"},
    {"58", ERR_SYSTEM, 0, "look into the server's log"},
};

/*
 * No connection, so no SQLSTATE either: only the words. Languages other than English end in the last row. Several hosts may have been
 * tried, or one with TLS and without: who was refused counts more than who was not reached. A server that breaks off is no fault of TLS,
 * and what has run out is no fault of the name that is said with it.
 */
static const struct {
    const char *words;
    enum err code;
    const char *hint;
} refusals[] = {
    {"no password supplied", ERR_AUTH, "store_password = file:PATH, env:NAME or ask; or PGPASSFILE"},
    {"authentication failed", ERR_AUTH, "check user and password (store_password, PGPASSFILE)"},
    {"pg_hba.conf", ERR_AUTH, "the server's pg_hba.conf has to let this user in from here"},
    {"not permitted to log in", ERR_AUTH, "let an administrator say: ALTER ROLE that user LOGIN"},
    {"permission denied", ERR_DENIED, "let its owner say: GRANT CONNECT ON DATABASE that one TO that user"},
    {"too many c", ERR_UNREACHABLE,
     "raise the limit (of the server, the database or the role), or close some"},
    {"connection slots", ERR_UNREACHABLE, "raise max_connections, or close some"},
    {"could not translate", ERR_UNREACHABLE, "check the host's name in the store's address, and DNS"},
    {"SYSCALL error", ERR_UNREACHABLE, "see that PostgreSQL runs and can be reached from here"},
    {"unexpected eof", ERR_UNREACHABLE, "see that PostgreSQL runs and can be reached from here"},
    {"certificate", ERR_TLS, "check sslmode, sslrootcert and the name in the address"},
    {"SSL", ERR_TLS, "check sslmode and whether the server offers TLS"},
    {"database \"", ERR_CONFIG, "make it first: createdb -E UTF8 NAME"},
    {"role \"", ERR_AUTH, "make the user first, or name another"},
    {"invalid", ERR_CONFIG, "check the parameters of the store's address"},
    {"", ERR_UNREACHABLE, "see that PostgreSQL runs and can be reached from here"},
};

/* The first line is enough, and the last says the most where a host was tried again without TLS. */
static void first_line(const char *text, char *out, size_t cap)
{
    str_fmt(out, cap, "%.*s", (int)strcspn(text, "\n"), text);
}

enum err pg_result_error(struct store *s, const PGresult *r, struct errinfo *ei)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *said = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    char line[200];
    first_line(said ? said : PQresultErrorMessage(r), line, sizeof line);
    for (size_t i = 0; state && i < ARRAY_LEN(states); i++) {
        if (strncmp(state, states[i].state, strlen(states[i].state)) != 0)
            continue;
        err_set(ei, states[i].code, states[i].hint, "the store %s: %s", s->path, line);
        if (ei)
            ei->sys = states[i].sys;
        return states[i].code;
    }
    return err_set(ei, ERR_SYSTEM, NULL, "the store %s: %s (%s)", s->path, line, state ? state : "?");
}

enum err pg_connect_error(struct store *s, struct errinfo *ei)
{
    const struct store_server *p = s->handle;
    const char *said = p->conn ? PQerrorMessage(p->conn) : "no memory";
    char line[200];
    size_t i = 0;
    while (!strstr(said, refusals[i].words))
        i++;
    /* the line that was understood, when there are several */
    const char *at = strstr(said, refusals[i].words);
    while (at > said && at[-1] != '\n')
        at--;
    first_line(at, line, sizeof line);
    return err_set(ei, refusals[i].code, refusals[i].hint, "the store %s cannot be opened: %s", s->path,
                   line);
}

enum err pg_lost(struct store *s, const char *what, struct errinfo *ei)
{
    struct store_server *p = s->handle;
    char line[160];
    first_line(p->conn ? PQerrorMessage(p->conn) : "", line, sizeof line);
    pg_disconnect(s);
    return err_set(ei, ERR_UNREACHABLE, GONE_HINT, "the store %s: the connection was lost %s%s%s", s->path,
                   what, line[0] ? ": " : "", line);
}
