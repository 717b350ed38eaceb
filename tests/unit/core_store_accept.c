/* Accepted findings: kept, listed, taken back, in the journal; a store of the layout before learns about them. */
#include "core/base/str.h"
#include "core/report/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#define STORE_FIXTURE_BOTH
#include "tests/unit/store_fixture.h"

static struct acceptance sample(void)
{
    static char org[] = "Contoso", rule[] = "oa-wire", server[] = "EXCAS01", by[] = "admin",
                why[] = "gone soon";
    return (struct acceptance){.organization = org,
                               .rule = rule,
                               .server = server,
                               .by = by,
                               .reason = why,
                               .at = 100,
                               .until = 200};
}

static void test_keep(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    acceptances list = {0};
    journal_records records = {0};
    struct acceptance a = sample(), b = sample();
    static char elsewhere[] = "Fabrikam";
    size_t n = 0;
    b.organization = elsewhere;
    b.server = NULL;
    b.until = 0;
    assert_int_equal(store_accept(f->store, &a, &ei), ERR_OK);
    assert_int_equal(store_accept(f->store, &b, &ei), ERR_OK);
    assert_true(a.n == 1 && b.n == 2);
    assert_int_equal(store_accepted(f->store, "Contoso", &list, &ei), ERR_OK);
    assert_int_equal(list.n, 1);
    assert_string_equal(list.v[0].rule, "oa-wire");
    assert_string_equal(list.v[0].server, "EXCAS01");
    assert_string_equal(list.v[0].reason, "gone soon");
    assert_true(list.v[0].n == 1 && list.v[0].at == 100 && list.v[0].until == 200);
    acceptances_free(&list);
    assert_int_equal(store_accepted(f->store, NULL, &list, &ei), ERR_OK);
    assert_int_equal(list.n, 2);
    assert_null(list.v[1].server);
    acceptances_free(&list);

    assert_int_equal(store_accept_remove(f->store, 1, "bob", &ei), ERR_OK);
    assert_int_equal(store_accept_remove(f->store, 1, "bob", &ei), ERR_NOTFOUND);
    assert_int_equal(store_accept_remove(f->store, 0, "bob", &ei), ERR_NOTFOUND);
    a.n = 0;
    assert_int_equal(store_accept(f->store, &a, &ei), ERR_OK);
    assert_int_equal(a.n, 3); /* a number is never used again */

    assert_int_equal(journal_read(f->store, NULL, &records, &ei), ERR_OK);
    assert_int_equal(records.n, 4);
    assert_string_equal(records.v[0].phase, "accept");
    assert_string_equal(records.v[0].why, "gone soon");
    assert_non_null(strstr(records.v[0].detail, "oa-wire"));
    assert_string_equal(records.v[2].phase, "unaccept");
    assert_string_equal(records.v[2].who, "bob");
    journal_records_free(&records);
    assert_int_equal(journal_verify(f->store, &n, &ei), ERR_OK);
}

static void test_refused(void **state)
{
    struct store_fixture *f = *state;
    struct errinfo ei = {0};
    static char empty[] = "", bytes[] = "\xff";
    struct acceptance a = sample();
    acceptances list = {0};
    a.reason = empty;
    assert_int_equal(store_accept(f->store, &a, &ei), ERR_USAGE);
    a.reason = NULL;
    assert_int_equal(store_accept(f->store, &a, &ei), ERR_USAGE);
    a.reason = bytes;
    assert_int_equal(store_accept(f->store, &a, &ei), ERR_INPUT);
    char *long_text = calloc(1, 5000);
    memset(long_text, 'x', 4999);
    a.reason = long_text;
    assert_int_equal(store_accept(f->store, &a, &ei), ERR_LIMIT);
    free(long_text);
    assert_int_equal(store_accepted(f->store, NULL, &list, &ei), ERR_OK);
    assert_int_equal(list.n, 0);
    acceptances_free(&list);
}

static void alter(const char *file, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* What an older casbridge left: everything in it stays, and what is new can be used. */
static void test_layout_before(void **state)
{
    struct store_fixture *f = *state;
    static const char *const before[] = {
        "DROP TABLE accepted; DROP TABLE progress; DROP TABLE evidence; PRAGMA user_version = 1",
        "DROP TABLE progress; DROP TABLE evidence; PRAGMA user_version = 2",
    };
    static char run[] = "-", phase[] = "lock", who[] = "admin", gate[] = "G3", settled[] = "settled";
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        struct errinfo ei = {0};
        struct acceptance a = sample();
        struct journal_record r = {.run = run, .phase = phase, .who = who};
        struct store_progress p = {.organization = who, .gate = gate, .state = settled, .who = who};
        size_t n = 0;
        assert_int_equal(journal_append(f->store, &r, &ei), ERR_OK);
        store_close(&f->store);
        alter(f->file, before[i]);
        if (store_open(&f->store, f->spec, &ei) != ERR_OK)
            fail_msg("%s", ei.what);
        assert_int_equal(store_accept(f->store, &a, &ei), ERR_OK);
        assert_int_equal(store_progress_put(f->store, &p, &ei), ERR_OK);
        assert_int_equal(journal_verify(f->store, &n, &ei), ERR_OK);
        assert_int_equal(n, 2 * (i + 1)); /* what was there is there */
    }
}

static void test_exists(void **state)
{
    struct store_fixture *f = *state;
    char other[200];
    assert_true(store_exists(f->spec));
    snprintf(other, sizeof other, "sqlite:%s/none/x.db", f->folder);
    assert_false(store_exists(other));
    assert_false(store_exists("nonsense"));
}

static void test_apply(void **state)
{
    static char by[] = "admin", why[] = "known", org[] = "contoso", fabrikam[] = "Fabrikam",
                wire[] = "oa-wire", cert[] = "certificate", cas1[] = "excas01";
    struct acceptance rows[] = {{1, org, wire, cas1, by, why, 1, 0},
                                {2, org, cert, NULL, by, why, 1, 500},
                                {3, fabrikam, wire, NULL, by, why, 1, 0}};
    static const struct {
        const char *id, *server;
        int64_t now;
        bool accepted;
    } cases[] = {
        {"oa-wire", "EXCAS01", 100, true},     {"oa-wire", "EXCAS02", 100, false},
        {"certificate", "EXCAS02", 100, true}, {"certificate", "EXCAS02", 500, false},
        {"certificate", NULL, 100, true},      {"oa-iis-auth", "EXCAS01", 100, false},
    };
    const acceptances list = {rows, ARRAY_LEN(rows), ARRAY_LEN(rows)};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct findings f;
        findings_init(&f);
        f.verdict = VERDICT_NOT_READY;
        assert_true(VEC_PUSH(
            &f.found, 10,
            (struct finding){.id = cases[i].id, .severity = SEVERITY_ERROR, .server = cases[i].server}));
        assert_int_equal(accept_apply(&f, &list, "Contoso", cases[i].now, NULL), ERR_OK);
        assert_int_equal(f.found.v[0].accepted != NULL, cases[i].accepted);
        assert_int_equal(f.verdict, cases[i].accepted ? VERDICT_READY : VERDICT_NOT_READY);
        findings_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_keep),     BOTH(test_refused), SQLITE(test_layout_before),
        SQLITE(test_exists), ALONE(test_apply),
    };
    return store_fixture_run(tests, ARRAY_LEN(tests));
}
