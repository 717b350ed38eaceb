/* The tables of a SQLite store, layout by layout. */
#include "core/store/sqlite.h"

#include "core/base/str.h"

/*
 * The triggers are not there against an attacker, who owns the file, but against a careless hand: what the chain would only find
 * afterwards is refused at once, INSERT OR REPLACE (which deletes without asking the DELETE trigger) included.
 */
static const char schema[] =
    "CREATE TABLE journal (id INTEGER PRIMARY KEY, run TEXT NOT NULL, at INTEGER NOT NULL,"
    " step INTEGER NOT NULL, server TEXT, phase TEXT NOT NULL, who TEXT NOT NULL, origin TEXT, why TEXT,"
    " cmdlet TEXT, before TEXT, after TEXT, detail TEXT, hash TEXT NOT NULL, prev TEXT NOT NULL) STRICT;"
    "CREATE INDEX journal_run ON journal (run, id);"
    "CREATE INDEX journal_step ON journal (run, step, id);"
    "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER NOT NULL,"
    " hash TEXT NOT NULL) STRICT;"
    "CREATE TABLE lock (one INTEGER PRIMARY KEY CHECK (one = 1), who TEXT NOT NULL, host TEXT NOT NULL,"
    " place TEXT NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL, reason TEXT NOT NULL,"
    " since INTEGER NOT NULL) STRICT;"
    "CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;"
    "CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;"
    "CREATE TRIGGER journal_in_order BEFORE INSERT ON journal"
    " WHEN NEW.id <> (SELECT id + 1 FROM head) OR NEW.prev <> (SELECT hash FROM head)"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;"
    "CREATE TRIGGER head_no_delete BEFORE DELETE ON head"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;";

/* Layout 2. The numbers are what people write down: never used twice. */
static const char schema_accepted[] =
    "CREATE TABLE accepted (n INTEGER PRIMARY KEY AUTOINCREMENT, organization TEXT NOT NULL,"
    " rule TEXT NOT NULL, server TEXT, who TEXT NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL,"
    " until INTEGER NOT NULL) STRICT;";

/* Layout 3. version counts the changes of the whole table: who watches compares one number. */
static const char schema_progress[] =
    "CREATE TABLE progress (organization TEXT NOT NULL, gate TEXT NOT NULL, state TEXT NOT NULL,"
    " who TEXT NOT NULL, at INTEGER NOT NULL, note TEXT NOT NULL, version INTEGER NOT NULL,"
    " PRIMARY KEY (organization, gate)) STRICT;"
    "CREATE TABLE evidence (organization TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL,"
    " at INTEGER NOT NULL, who TEXT NOT NULL, origin TEXT, probed INTEGER NOT NULL, n INTEGER NOT NULL,"
    " lines TEXT NOT NULL) STRICT;";

/* What leads from the layout before to each. */
static const char *const layouts[STORE_SCHEMA] = {schema, schema_accepted, schema_progress};

static enum err make_head(struct store *s, struct errinfo *ei)
{
    char text[256];
    str_fmt(text, sizeof text,
            "INSERT INTO head (one, id, hash) VALUES (1, 0, '%s'); PRAGMA application_id = %d",
            journal_genesis, STORE_APPLICATION_ID);
    return sqlite_text(s, text, ei);
}

enum err sqlite_prepare_schema(struct store *s, struct errinfo *ei)
{
    int64_t version = 0, app = 0, tables = 0;
    char text[64];
    enum err e = sqlite_number(s, "PRAGMA user_version", &version, ei);
    if (e == ERR_OK)
        e = sqlite_number(s, "PRAGMA application_id", &app, ei);
    if (e == ERR_OK)
        e = sqlite_number(s, "SELECT count(*) FROM sqlite_schema", &tables, ei);
    if (e != ERR_OK)
        return e;
    if ((tables && app != STORE_APPLICATION_ID) || version < 0)
        return err_set(ei, ERR_CONFIG, "name another file (store = sqlite:FILE)",
                       "%s is a database of another program", s->path);
    if (version > STORE_SCHEMA)
        return store_is_newer(s->path, version, ei);
    if (version == STORE_SCHEMA)
        return ERR_OK;
    for (int64_t i = version; e == ERR_OK && i < STORE_SCHEMA; i++) {
        e = sqlite_text(s, layouts[i], ei);
        if (e == ERR_OK && i == 0)
            e = make_head(s, ei);
    }
    str_fmt(text, sizeof text, "PRAGMA user_version = %d", STORE_SCHEMA);
    return e == ERR_OK ? sqlite_text(s, text, ei) : e;
}
