/* A store that is only looked at, by a profile that is read_only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "core/model/profile.h"
#define STORE_FIXTURE_BOTH
#include "tests/unit/store_fixture.h"

/* Who only looks leaves no schema behind in a database, which may be the wrong one; and sees what is there. */
static void test_a_look_makes_nothing(void **state)
{
    struct store_fixture *f = *state;
    struct profile p = {0};
    struct errinfo ei = {0};
    struct store *s = NULL;
    char spec[200], other[32], file[160];
    struct stat st;
    size_t n = 0;
    assert_true(pg_database(&store_pg, NULL, other, sizeof other));
    pg_url(&store_pg, other, spec, sizeof spec);
    assert_int_equal(profile_set(&p, PROFILE_read_only, "yes", &ei), ERR_OK);
    assert_int_equal(profile_set(&p, PROFILE_store, spec, &ei), ERR_OK);
    assert_int_equal(store_open_profile(&s, &p, &ei), ERR_NOTFOUND);
    assert_non_null(strstr(ei.what, "no store yet"));
    assert_true(pg_sql(&store_pg, other, "CREATE SCHEMA casbridge")); /* there is none */
    snprintf(file, sizeof file, "%s/none/store.db", f->folder);
    snprintf(spec, sizeof spec, "sqlite:%s", file);
    assert_int_equal(profile_set(&p, PROFILE_store, spec, &ei), ERR_OK);
    assert_int_equal(store_open_profile(&s, &p, &ei), ERR_NOTFOUND);
    snprintf(file, sizeof file, "%s/none", f->folder);
    assert_int_equal(stat(file, &st), -1);
    struct journal_record r = {.run = (char *)"r", .phase = (char *)"begin", .who = (char *)"ann"};
    assert_int_equal(journal_append(f->store, &r, &ei), ERR_OK);
    assert_int_equal(profile_set(&p, PROFILE_store, f->spec, &ei), ERR_OK);
    assert_int_equal(store_open_profile(&s, &p, &ei), ERR_OK);
    assert_int_equal(journal_verify(s, &n, &ei), ERR_OK);
    assert_int_equal(n, 1);
    store_close(&s);
    profile_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        POSTGRES(test_a_look_makes_nothing),
    };
    return store_fixture_run(tests, ARRAY_LEN(tests));
}
