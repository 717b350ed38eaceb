/* The tables of a PostgreSQL store: a schema of its own in any database, layout by layout as in SQLite. */
#include "core/store/postgres.h"

#include "core/base/str.h"

#include <string.h>

/*
 * Layouts 1 to 3 came with this back end at once. The triggers are there against a careless hand (an owner may drop them): the
 * journal grows at its end and nowhere else, TRUNCATE included. Whatever moves is told to whoever listens, by the database, so
 * that no writer can forget it.
 */
static const char tables[] =
    "CREATE TABLE casbridge.meta (one integer PRIMARY KEY CHECK (one = 1), application bigint NOT NULL,"
    " layout integer NOT NULL);"
    "CREATE TABLE casbridge.journal (id bigint PRIMARY KEY, run text NOT NULL, at bigint NOT NULL,"
    " step integer NOT NULL, server text, phase text NOT NULL, who text NOT NULL, origin text, why text,"
    " cmdlet text, before text, after text, detail text, hash text NOT NULL, prev text NOT NULL);"
    "CREATE INDEX journal_run ON casbridge.journal (run, id);"
    "CREATE INDEX journal_step ON casbridge.journal (run, step, id);"
    "CREATE TABLE casbridge.head (one integer PRIMARY KEY CHECK (one = 1), id bigint NOT NULL,"
    " hash text NOT NULL);"
    "CREATE TABLE casbridge.lock (one integer PRIMARY KEY CHECK (one = 1), who text NOT NULL,"
    " host text NOT NULL, place text NOT NULL, pid bigint NOT NULL, started bigint NOT NULL,"
    " reason text NOT NULL, since bigint NOT NULL);"
    "CREATE SEQUENCE casbridge.lock_number AS integer CYCLE;"
    "CREATE SEQUENCE casbridge.accepted_n;"
    "CREATE TABLE casbridge.accepted (n bigint PRIMARY KEY DEFAULT nextval('casbridge.accepted_n'),"
    " organization text NOT NULL, rule text NOT NULL, server text, who text NOT NULL,"
    " reason text NOT NULL, at bigint NOT NULL, until bigint NOT NULL);"
    "CREATE TABLE casbridge.progress (organization text NOT NULL, gate text NOT NULL, state text NOT NULL,"
    " who text NOT NULL, at bigint NOT NULL, note text NOT NULL, version bigint NOT NULL,"
    " PRIMARY KEY (organization, gate));"
    "CREATE TABLE casbridge.evidence (organization text PRIMARY KEY, version bigint NOT NULL,"
    " at bigint NOT NULL, who text NOT NULL, origin text, probed bigint NOT NULL, n bigint NOT NULL,"
    " lines text NOT NULL);";

/*
 * What one statement adds is looked at as a whole: the first record follows the head, each other one its neighbour. A copy appends many
 * at once and moves the head once for all of them; were it moved for each, every move would leave a version of its row that the next
 * look has to step over until the transaction ends.
 */
static const char order[] =
    "CREATE OR REPLACE FUNCTION casbridge.in_order() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN IF EXISTS (SELECT 1 FROM (SELECT a.id, a.prev, lag(a.id, 1, h.id) OVER w AS last_id,"
    " lag(a.hash, 1, h.hash) OVER w AS last_hash FROM added a LEFT JOIN casbridge.head h ON true"
    " WINDOW w AS (ORDER BY a.id)) AS chain"
    " WHERE id IS DISTINCT FROM last_id + 1 OR prev IS DISTINCT FROM last_hash) THEN"
    " RAISE EXCEPTION 'the journal is append-only' USING ERRCODE = 'integrity_constraint_violation';"
    " END IF; RETURN NULL; END $$;"
    "CREATE TRIGGER in_order AFTER INSERT ON casbridge.journal REFERENCING NEW TABLE AS added"
    " FOR EACH STATEMENT EXECUTE FUNCTION casbridge.in_order();";

static const char triggers[] =
    "CREATE FUNCTION casbridge.refuse() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'the journal is append-only' USING ERRCODE = 'integrity_constraint_violation';"
    " END $$;"
    "CREATE FUNCTION casbridge.tell() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_notify('" PG_CHANNEL "', TG_TABLE_NAME); RETURN NULL; END $$;"
    "CREATE TRIGGER no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON casbridge.journal"
    " EXECUTE FUNCTION casbridge.refuse();"
    "CREATE TRIGGER no_delete BEFORE DELETE OR TRUNCATE ON casbridge.head"
    " EXECUTE FUNCTION casbridge.refuse();"
    "CREATE TRIGGER tell AFTER INSERT ON casbridge.journal EXECUTE FUNCTION casbridge.tell();"
    "CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON casbridge.lock"
    " EXECUTE FUNCTION casbridge.tell();"
    "CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON casbridge.accepted"
    " EXECUTE FUNCTION casbridge.tell();"
    "CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON casbridge.progress"
    " EXECUTE FUNCTION casbridge.tell();"
    "CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON casbridge.evidence"
    " EXECUTE FUNCTION casbridge.tell();";

struct found {
    int64_t schema, meta, others;
    bool utf8;
};

static const char look[] = "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'casbridge'),"
                           " (SELECT count(*) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace"
                           " WHERE s.nspname = 'casbridge' AND c.relname = 'meta' AND c.relkind = 'r'),"
                           " (SELECT count(*) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace"
                           " WHERE s.nspname = 'casbridge'), (SELECT count(*) FROM pg_database"
                           " WHERE datname = current_database() AND pg_encoding_to_char(encoding) = 'UTF8')";

static enum err take_found(void *arg, const struct store_row *row, struct errinfo *ei)
{
    (void)ei;
    *(struct found *)arg = (struct found){.schema = store_row_number(row, 0),
                                          .meta = store_row_number(row, 1),
                                          .others = store_row_number(row, 2),
                                          .utf8 = store_row_number(row, 3) > 0};
    return ERR_OK;
}

struct meta {
    int64_t application, layout;
};

static enum err take_meta(void *arg, const struct store_row *row, struct errinfo *ei)
{
    (void)ei;
    *(struct meta *)arg =
        (struct meta){.application = store_row_number(row, 0), .layout = store_row_number(row, 1)};
    return ERR_OK;
}

static enum err make(struct store *s, const struct found *f, struct errinfo *ei)
{
    char text[512];
    enum err e = f->schema ? ERR_OK : pg_query(s, "CREATE SCHEMA casbridge", NULL, 0, NULL, NULL, ei);
    if (e == ERR_OK)
        e = pg_query(s, tables, NULL, 0, NULL, NULL, ei);
    if (e == ERR_OK)
        e = pg_query(s, triggers, NULL, 0, NULL, NULL, ei);
    if (e == ERR_OK)
        e = pg_query(s, order, NULL, 0, NULL, NULL, ei);
    str_fmt(text, sizeof text,
            "INSERT INTO casbridge.head (one, id, hash) VALUES (1, 0, '%s');"
            "INSERT INTO casbridge.meta (one, application, layout) VALUES (1, %d, %d)",
            journal_genesis, STORE_APPLICATION_ID, STORE_SCHEMA);
    if (e == ERR_OK)
        e = pg_query(s, text, NULL, 0, NULL, NULL, ei);
    if (e == ERR_DENIED)
        err_hint(ei, "let an administrator say: CREATE SCHEMA casbridge AUTHORIZATION that user");
    return e;
}

static enum err make_or_check(struct store *s, struct errinfo *ei)
{
    struct found f = {0};
    struct meta m = {0};
    enum err e = pg_query(s, look, NULL, 0, take_found, &f, ei);
    if (e != ERR_OK)
        return e;
    if (!f.utf8)
        return err_set(ei, ERR_CONFIG, "make one that is: createdb -E UTF8 -T template0 NAME",
                       "the database of the store %s is not in UTF-8", s->path);
    if (!f.meta && !f.others)
        return s->must_exist ? store_none_yet(s->path, ei) : make(s, &f, ei);
    if (f.meta)
        e = pg_query(s, "SELECT application, layout FROM casbridge.meta", NULL, 0, take_meta, &m, ei);
    if (e != ERR_OK && e != ERR_CONFIG)
        return e;
    if (m.application != STORE_APPLICATION_ID || m.layout < 1)
        return err_set(ei, ERR_CONFIG, "name another database",
                       "the schema casbridge in %s is of another program", s->path);
    if (m.layout > STORE_SCHEMA)
        return store_is_newer(s->path, m.layout, ei);
    return ERR_OK;
}

enum err pg_prepare_schema(struct store *s, struct errinfo *ei)
{
    /* an advisory lock, so that two first openers do not both make the tables */
    enum err e = pg_query(s, "BEGIN; SELECT pg_advisory_xact_lock(1129529927, 0)", NULL, 0, NULL, NULL, ei);
    if (e == ERR_OK)
        e = make_or_check(s, ei);
    if (e == ERR_OK)
        return pg_query(s, "COMMIT", NULL, 0, NULL, NULL, ei);
    struct store_server *p = s->handle;
    if (p->conn && pg_query(s, "ROLLBACK", NULL, 0, NULL, NULL, NULL) != ERR_OK)
        pg_disconnect(s);
    return e;
}

/* Row by row or statement by statement, and whether this user may change that. */
static const char look_order[] =
    "SELECT CASE WHEN t.tgtype & 1 = 0 THEN 1 ELSE 0 END, CASE WHEN pg_has_role(c.relowner, 'USAGE') THEN 1"
    " ELSE 0 END FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " WHERE t.tgrelid = CAST('casbridge.journal' AS regclass) AND t.tgname = 'in_order'";

struct order {
    bool by_statement, ours;
};

static enum err take_order(void *arg, const struct store_row *row, struct errinfo *ei)
{
    (void)ei;
    *(struct order *)arg = (struct order){store_row_number(row, 0) > 0, store_row_number(row, 1) > 0};
    return ERR_OK;
}

enum err pg_prepare_order(struct store *s, bool *many, struct errinfo *ei)
{
    struct order o = {0};
    enum err e = pg_query(s, look_order, NULL, 0, take_order, &o, ei);
    if (e == ERR_OK && !o.by_statement && o.ours) {
        e = pg_query(s, "DROP TRIGGER IF EXISTS in_order ON casbridge.journal", NULL, 0, NULL, NULL, ei);
        if (e == ERR_OK)
            e = pg_query(s, order, NULL, 0, NULL, NULL, ei);
        o.by_statement = e == ERR_OK;
    }
    *many = o.by_statement;
    return e;
}
