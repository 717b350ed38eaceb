/*
 * The PostgreSQL back end's own: one connection, made again when it was lost. Every wait has an end: a server that says nothing is
 * given up, never waited for.
 */
#ifndef CORE_STORE_POSTGRES_H
#define CORE_STORE_POSTGRES_H

#include "core/store/store_int.h"

#include <libpq-fe.h>

#define PG_PARAMETERS_MAX 64
#define PG_CHANNEL        "casbridge" /* NOTIFY; a channel belongs to one database */

/* More than statement_timeout: where the server is there, it is the one to say that it took too long. Tests make it less. */
#define STORE_ANSWER_MS 15000
extern int store_answer_ms;

struct store_server {                                                      /* store.handle */
    PGconn *conn;                                                          /* NULL: not connected */
    char *keywords[PG_PARAMETERS_MAX + 1], *values[PG_PARAMETERS_MAX + 1]; /* without a password */
    size_t n;
    struct secret password;
    bool in_turn, prepared; /* prepared: the tables were looked at once */
    bool listening;         /* every connection is to be told what moves */
    unsigned heard;         /* store.session whose notifications were waited for last */
};

/* Takes the address apart; refuses a password in it. */
enum err pg_parameters(struct store *s, const char *spec, const struct secret *password,
                       struct errinfo *ei) MUST_CHECK;
/* Connects when there is no connection, and counts it as a new session. */
enum err pg_connect(struct store *s, struct errinfo *ei) MUST_CHECK;
void pg_disconnect(struct store *s);

/* Sends and waits for all results; the SQL may be several statements when there are no values. */
enum err pg_query(struct store *s, const char *sql, const struct store_value *values, size_t n,
                  store_row_fn *row, void *arg, struct errinfo *ei) MUST_CHECK;
/* Reads what has come in; false when the connection is lost. */
bool pg_read(struct store *s, int timeout_ms);

/* From a result, in words. */
enum err pg_result_error(struct store *s, const PGresult *r, struct errinfo *ei);
/* From a connection that could not be made. */
enum err pg_connect_error(struct store *s, struct errinfo *ei);
/* Gives the connection up; what: what was under way. */
enum err pg_lost(struct store *s, const char *what, struct errinfo *ei);

/* In order, each following the one before: one statement. */
enum err pg_append_many(struct store *s, const struct journal_record *r, size_t n,
                        struct errinfo *ei) MUST_CHECK;
/* Whether this journal takes many records by one statement. One that was made before it could is taught to, inside of the turn, if this
   user owns it. */
enum err pg_prepare_order(struct store *s, bool *many, struct errinfo *ei) MUST_CHECK;
/* Makes the tables, or brings them to this layout, or says why that database is no store. */
enum err pg_prepare_schema(struct store *s, struct errinfo *ei) MUST_CHECK;

#endif
