/* The address of a store on PostgreSQL: what is refused, what is never said, who is let in and who is handed the password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/base/str.h"
#include "core/model/profile.h"
#define STORE_FIXTURE_BOTH
#include "tests/unit/store_fixture.h"

#define SECRET_WORD "hunter2-very-secret"

static enum err append(struct store *s, const char *phase, struct errinfo *ei)
{
    struct journal_record r = {.run = (char *)"r",
                               .step = 1,
                               .phase = (char *)phase,
                               .who = (char *)"ann",
                               .server = (char *)"EXCAS01"};
    return journal_append(s, &r, ei);
}

static void assert_says_no_secret(const struct errinfo *ei)
{
    assert_null(strstr(ei->what, "hunter2"));
    assert_null(strstr(ei->hint, "hunter2"));
}

/* Addresses that are refused before anybody is asked, and what they must not give away. */
static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *what;
    } rows[] = {
        {"postgresql://ann:" SECRET_WORD "@127.0.0.1/x", "holds a password"},
        {"postgresql://127.0.0.1/x?password=" SECRET_WORD, "holds a password"},
        {"postgres://127.0.0.1/x?sslpassword=" SECRET_WORD, "holds a password"},
        {"postgresql://ann:" SECRET_WORD "%zz@127.0.0.1/x", "cannot be read"},
        {"postgresql://127.0.0.1/x?no_such=" SECRET_WORD, "cannot be read"},
        {"postgresql+tls://ann:" SECRET_WORD "@h/x", "no store is known"},
        {"mysql://ann:" SECRET_WORD "@h/x", "no store is known for 'mysql'"},
        {"ann:" SECRET_WORD "@h", "no store is known"},
        {"sqlite:", "no file's name"},
        {"sqlite::memory:", "no file's name"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store *s = NULL;
        struct errinfo ei = {0};
        assert_int_equal(store_open(&s, rows[i].spec, &ei), ERR_CONFIG);
        assert_null(s);
        if (!strstr(ei.what, rows[i].what))
            fail_msg("row %zu: %s", i, ei.what);
        assert_true(ei.hint[0]);
        assert_says_no_secret(&ei);
    }
}

/* Whoever is behind another address is not told the password that was meant for this one. */
static void test_same_server(void **state)
{
    (void)state;
    static const char profile[] = "postgresql://ann@db1.contoso.com/casbridge?sslmode=verify-full";
    static const struct {
        const char *spec;
        bool same;
    } rows[] = {
        {"postgresql://ann@db1.contoso.com/casbridge?sslmode=verify-full", true},
        {"postgres://bob@DB1.contoso.com:5432/other?sslmode=verify-full&connect_timeout=2", true},
        {"postgresql:///other?host=db1.contoso.com&sslmode=verify-full", true},
        {"postgresql://ann@db2.contoso.com/casbridge?sslmode=verify-full", false},
        {"postgresql://ann@db1.contoso.com,db2.contoso.com/casbridge?sslmode=verify-full", false},
        {"postgresql://ann@db1.contoso.com/casbridge?sslmode=verify-full&hostaddr=192.0.2.1", false},
        {"postgresql://ann@db1.contoso.com:5433/casbridge?sslmode=verify-full", false},
        {"postgresql://ann@db1.contoso.com/casbridge?sslmode=prefer", false},
        {"postgresql://ann@db1.contoso.com/casbridge", false},
        {"postgresql://ann@db1.contoso.com/casbridge?sslmode=verify-full&sslrootcert=/tmp/x", false},
        {"postgresql://ann@db1.contoso.com/casbridge?sslmode=verify-full&service=x", false},
        {"postgresql:///casbridge?sslmode=verify-full", false},
        {"postgresql://ann@db1.contoso.com/casbridge?no_such=1", false},
        {"sqlite:/tmp/x", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (store_same_server(rows[i].spec, profile) != rows[i].same ||
            store_same_server(profile, rows[i].spec) != rows[i].same)
            fail_msg("%s", rows[i].spec);
    assert_false(store_same_server(profile, NULL));
    assert_false(store_same_server(NULL, NULL));
    assert_false(store_same_server("sqlite:/tmp/x", "sqlite:/tmp/x"));
}

static void open_fails(const char *spec, enum err expected, const char *what)
{
    struct store *s = NULL;
    struct errinfo ei = {0};
    enum err e = store_open(&s, spec, &ei);
    if (e != expected || s || !strstr(ei.what, what) || !ei.hint[0])
        fail_msg("%s: %s, %s (%s)", spec, err_name(e), ei.what, ei.hint);
}

static void test_who_is_refused(void **state)
{
    struct store_fixture *f = *state;
    char spec[240], port[8], other[32], sql[160];
    snprintf(port, sizeof port, "%d", store_pg.port);
    assert_true(pg_sql(&store_pg, NULL, "CREATE ROLE stranger LOGIN"));
    assert_true(pg_sql(&store_pg, NULL, "CREATE ROLE keeper LOGIN PASSWORD '" SECRET_WORD "'"));
    assert_true(pg_sql(&store_pg, NULL, "CREATE ROLE guest LOGIN"));
    snprintf(spec, sizeof spec, "postgresql://stranger@127.0.0.1:%s/%s?gssencmode=disable", port,
             f->database);
    open_fails(spec, ERR_AUTH, "pg_hba.conf");
    snprintf(spec, sizeof spec, "postgresql://nobody@127.0.0.1:%s/%s?gssencmode=disable", port, f->database);
    open_fails(spec, ERR_AUTH, "role");
    snprintf(spec, sizeof spec, "postgresql://casbridge@127.0.0.1:%s/none?gssencmode=disable", port);
    open_fails(spec, ERR_CONFIG, "database");
    snprintf(spec, sizeof spec, "postgresql://keeper@127.0.0.1:%s/%s?gssencmode=disable", port, f->database);
    open_fails(spec, ERR_AUTH, "password");
    snprintf(spec, sizeof spec, "postgresql://casbridge@127.0.0.1:%s/%s?sslmode=require", port, f->database);
    open_fails(spec, ERR_TLS, "SSL"); /* TLS parameters get through */
    /* let in, but no rights on what is there */
    snprintf(spec, sizeof spec, "postgresql://guest@127.0.0.1:%s/%s?gssencmode=disable", port, f->database);
    open_fails(spec, ERR_DENIED, "permission denied");
    /* known, but kept out: of the database, for want of a connection, altogether */
    assert_true(pg_database(&store_pg, NULL, other, sizeof other));
    snprintf(sql, sizeof sql, "REVOKE CONNECT ON DATABASE %s FROM PUBLIC", other);
    assert_true(pg_sql(&store_pg, NULL, sql));
    snprintf(spec, sizeof spec, "postgresql://guest@127.0.0.1:%s/%s?gssencmode=disable", port, other);
    open_fails(spec, ERR_DENIED, "permission denied");
    snprintf(sql, sizeof sql, "GRANT CONNECT ON DATABASE %s TO PUBLIC; ALTER DATABASE %s CONNECTION LIMIT 0",
             other, other);
    assert_true(pg_sql(&store_pg, NULL, sql));
    open_fails(spec, ERR_UNREACHABLE, "too many connections");
    assert_true(pg_sql(&store_pg, NULL, "ALTER ROLE guest CONNECTION LIMIT 0"));
    snprintf(spec, sizeof spec, "postgresql://guest@127.0.0.1:%s/%s?gssencmode=disable", port, f->database);
    open_fails(spec, ERR_UNREACHABLE, "too many connections");
    assert_true(pg_sql(&store_pg, NULL, "ALTER ROLE guest NOLOGIN"));
    open_fails(spec, ERR_AUTH, "log in");
    assert_true(pg_sql(&store_pg, NULL, "DROP ROLE stranger; DROP ROLE guest"));
    open_fails("postgresql://casbridge@certificate.invalid/x", ERR_UNREACHABLE, "could not translate");
    snprintf(spec, sizeof spec, "postgresql://casbridge@127.0.0.1:%d/x", pg_free_port());
    open_fails(spec, ERR_UNREACHABLE, "refused");
}

/* The password by reference, as in a profile: env: and file:, right and wrong. */
static void test_password_by_reference(void **state)
{
    struct store_fixture *f = *state;
    struct profile p = {0};
    struct errinfo ei = {0};
    struct store *s = NULL;
    char spec[240], ref[200], grant[200];
    assert_true(pg_sql(&store_pg, NULL,
                       "DROP ROLE IF EXISTS keeper; CREATE ROLE keeper LOGIN PASSWORD '" SECRET_WORD "'"));
    snprintf(
        grant, sizeof grant,
        "GRANT USAGE ON SCHEMA casbridge TO keeper; GRANT ALL ON ALL TABLES IN SCHEMA casbridge TO keeper;"
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA casbridge TO keeper");
    assert_true(pg_sql(&store_pg, f->database, grant));
    snprintf(spec, sizeof spec, "postgresql://keeper@127.0.0.1:%d/%s?gssencmode=disable", store_pg.port,
             f->database);
    snprintf(ref, sizeof ref, "file:%s/password", f->folder);
    assert_int_equal(path_write(ref + 5, SECRET_WORD "\n", sizeof SECRET_WORD, 0600, &ei), ERR_OK);
    assert_int_equal(profile_set(&p, PROFILE_store, spec, &ei), ERR_OK);
    assert_int_equal(profile_set(&p, PROFILE_store_password, ref, &ei), ERR_OK);
    if (store_open_profile(&s, &p, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    assert_int_equal(append(s, "intent", &ei),
                     ERR_OK); /* a user who may, with rights granted as the hint says */
    assert_int_equal(store_lock(s, "keeper", "x", &ei), ERR_OK);
    assert_null(strstr(store_name(s), "hunter2"));
    store_close(&s);
    setenv("STORE_TEST_WORD", "wrong-" SECRET_WORD, 1);
    assert_int_equal(profile_set(&p, PROFILE_store_password, "env:STORE_TEST_WORD", &ei), ERR_OK);
    assert_int_equal(store_open_profile(&s, &p, &ei), ERR_AUTH);
    assert_says_no_secret(&ei);
    assert_int_equal(profile_set(&p, PROFILE_store_password, SECRET_WORD, &ei),
                     ERR_CONFIG); /* no reference */
    profile_fini(&p);
    assert_true(pg_sql(&store_pg, f->database, "DROP OWNED BY keeper"));
    assert_true(pg_sql(&store_pg, NULL, "DROP ROLE keeper"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(test_addresses),
        ALONE(test_same_server),
        POSTGRES(test_who_is_refused),
        POSTGRES(test_password_by_reference),
    };
    return store_fixture_run(tests, ARRAY_LEN(tests));
}
