/*
 * The SQLite back end's own: one open file, its prepared statements.
 */
#ifndef CORE_STORE_SQLITE_H
#define CORE_STORE_SQLITE_H

#include "core/store/store_int.h"

#include <sqlite3.h>

struct store_file { /* store.handle */
    sqlite3 *db;
    sqlite3_stmt *statements[STORE_STATEMENT_COUNT];
    int64_t data_version; /* as wait saw it last */
};

/* Makes the tables, or brings them to this layout, or says why the file is no store of ours. */
enum err sqlite_prepare_schema(struct store *s, struct errinfo *ei) MUST_CHECK;
/* The error of the last call on the database: what was under way, in words. */
enum err sqlite_error(struct store *s, int rc, struct errinfo *ei, const char *what);
enum err sqlite_number(struct store *s, const char *sql, int64_t *out, struct errinfo *ei) MUST_CHECK;
enum err sqlite_text(struct store *s, const char *sql, struct errinfo *ei) MUST_CHECK;

#endif
