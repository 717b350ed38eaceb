/*
 * Every statement of the store, once for both back ends: parameters are $1, $2 ... (SQLite takes them for names, and they are bound by
 * name). Types that PostgreSQL could not guess are cast; where the two cannot agree there are two texts.
 */
#ifndef CORE_STORE_STATEMENTS_H
#define CORE_STORE_STATEMENTS_H

#define STORE_COLUMNS                                                                                        \
    "id, run, at, step, server, phase, who, origin, why, cmdlet, before, after, detail, hash, prev"
#define STORE_PROGRESS_COLUMNS "organization, gate, state, who, at, note, version"
#define STORE_EVIDENCE_COLUMNS "organization, version, at, who, origin, probed, n, lines"

/* name, reads only, SQL for both */
#define STORE_COMMON_MAP(X)                                                                                  \
    X(HEAD_MOVE, 0, "UPDATE head SET id = $1, hash = $2")                                                    \
    X(APPEND, 0,                                                                                             \
      "INSERT INTO journal (" STORE_COLUMNS                                                                  \
      ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)")                         \
    X(FIND, 1, "SELECT id FROM journal WHERE id = $1 AND hash = $2")                                         \
    X(READ_ALL, 1, "SELECT " STORE_COLUMNS " FROM journal ORDER BY id")                                      \
    X(READ_RUN, 1, "SELECT " STORE_COLUMNS " FROM journal WHERE run = $1 ORDER BY id")                       \
    X(READ_AFTER, 1,                                                                                         \
      "SELECT " STORE_COLUMNS " FROM journal WHERE id > $1 AND (CAST($2 AS text) IS NULL OR run = $2)"       \
      " ORDER BY id LIMIT 1000")                                                                             \
    X(OUTLINE, 1,                                                                                            \
      "SELECT run, phase, at, who, after FROM journal WHERE step = 0 AND run <> '-' ORDER BY id")            \
    X(ENDS, 1,                                                                                               \
      "SELECT run, phase, count(*) FROM (SELECT run, phase, row_number() OVER"                               \
      " (PARTITION BY run, step ORDER BY id DESC) AS back FROM journal"                                      \
      " WHERE step > 0 AND phase IN ('done', 'failed')) AS ends WHERE back = 1 GROUP BY run, phase")         \
    X(LOCK_READ, 1, "SELECT who, host, place, pid, started, reason, since FROM lock")                        \
    X(LOCK_PUT, 0,                                                                                           \
      "INSERT INTO lock (one, who, host, place, pid, started, reason, since)"                                \
      " VALUES (1, $1, $2, $3, $4, $5, $6, $7) ON CONFLICT (one) DO UPDATE SET who = excluded.who,"          \
      " host = excluded.host, place = excluded.place, pid = excluded.pid, started = excluded.started,"       \
      " reason = excluded.reason, since = excluded.since")                                                   \
    X(LOCK_DROP, 0,                                                                                          \
      "DELETE FROM lock WHERE host = $1 AND place = $2 AND pid = $3 AND started = $4 AND since = $5")        \
    X(ACCEPT, 0,                                                                                             \
      "INSERT INTO accepted (organization, rule, server, who, reason, at, until)"                            \
      " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING n")                                                    \
    X(ACCEPT_COPY, 0,                                                                                        \
      "INSERT INTO accepted (n, organization, rule, server, who, reason, at, until)"                         \
      " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")                                                            \
    X(ACCEPTED, 1,                                                                                           \
      "SELECT n, organization, rule, server, who, reason, at, until FROM accepted"                           \
      " WHERE (CAST($1 AS text) IS NULL OR organization = $1) AND (CAST($2 AS bigint) = 0 OR n = $2)"        \
      " ORDER BY n")                                                                                         \
    X(ACCEPT_DROP, 0, "DELETE FROM accepted WHERE n = $1")                                                   \
    X(PROGRESS, 1,                                                                                           \
      "SELECT " STORE_PROGRESS_COLUMNS " FROM progress"                                                      \
      " WHERE (CAST($1 AS text) IS NULL OR organization = $1) ORDER BY organization, gate")                  \
    X(PROGRESS_PUT, 0,                                                                                       \
      "INSERT INTO progress (" STORE_PROGRESS_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7)"                \
      " ON CONFLICT (organization, gate) DO UPDATE SET state = excluded.state, who = excluded.who,"          \
      " at = excluded.at, note = excluded.note, version = excluded.version")                                 \
    X(PROGRESS_VERSION, 1, "SELECT coalesce(max(version), 0) FROM progress")                                 \
    X(EVIDENCE, 1,                                                                                           \
      "SELECT " STORE_EVIDENCE_COLUMNS " FROM evidence"                                                      \
      " WHERE (CAST($1 AS text) IS NULL OR organization = $1) ORDER BY organization")                        \
    X(EVIDENCE_PUT, 0,                                                                                       \
      "INSERT INTO evidence (" STORE_EVIDENCE_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"            \
      " ON CONFLICT (organization) DO UPDATE SET version = excluded.version, at = excluded.at,"              \
      " who = excluded.who, origin = excluded.origin, probed = excluded.probed, n = excluded.n,"             \
      " lines = excluded.lines")                                                                             \
    X(EVIDENCE_SEEN, 1, "SELECT coalesce((SELECT version FROM evidence WHERE organization = $1), -1)")       \
    X(EVIDENCE_VERSION, 1, "SELECT coalesce(max(version), 0) FROM evidence")                                 \
    X(COUNTS, 1,                                                                                             \
      "SELECT (SELECT count(*) FROM journal), (SELECT count(*) FROM accepted), (SELECT count(*) FROM"        \
      " progress), (SELECT count(*) FROM evidence)")                                                         \
    X(MARKS, 1,                                                                                              \
      "SELECT coalesce((SELECT id FROM head), 0), coalesce((SELECT run FROM journal WHERE run <> '-'"        \
      " ORDER BY id DESC LIMIT 1), ''),"                                                                     \
      " coalesce((SELECT host || ' ' || pid || ' ' || started || ' ' || since FROM lock), ''),"              \
      " (SELECT coalesce(max(version), 0) FROM progress),"                                                   \
      " (SELECT coalesce(max(version), 0) FROM evidence),"                                                   \
      " coalesce((SELECT count(*) || ' ' || max(n) FROM accepted), '')")

/* name, reads only, SQL for SQLite, for PostgreSQL */
#define STORE_DIALECT_MAP(X)                                                                                 \
    X(HEAD, 1, "SELECT id, hash, (SELECT user_version FROM pragma_user_version) FROM head",                  \
      "SELECT id, hash, (SELECT layout FROM meta) FROM head")                                                \
    X(ACCEPT_LAST, 1, "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'accepted'), 0)",       \
      "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM accepted_n")                               \
    X(ACCEPT_NEXT, 0, "SELECT $1", "SELECT setval('accepted_n', $1)")

enum store_statement {
#define X(name, reads, ...) STORE_##name,
    STORE_COMMON_MAP(X) STORE_DIALECT_MAP(X)
#undef X
        STORE_STATEMENT_COUNT
};

#endif
