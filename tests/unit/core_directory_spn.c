/* Owners of service names over LDAP: one domain, a forest with a global catalogue, one whose catalogue does not answer. */
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/directory/spn.h"
#include "tests/unit/fake_ldap.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static unsigned warnings;

static void count_warning(void *arg, enum log_level level, const char *line)
{
    (void)arg, (void)line;
    warnings += level == LOG_LEVEL_WARNING;
}

static void test_forest(void **state)
{
    (void)state;
    static const struct {
        int domains;
        bool catalogue, answers, whole;
        size_t owners;
        unsigned warnings;
    } cases[] = {
        {1, false, true, true, 1, 0},  /* nobody else to ask */
        {3, true, true, true, 2, 0},   /* the second owner is in another domain */
        {3, false, true, false, 1, 1}, /* a port that is no catalogue's */
        {3, true, false, false, 1, 1}, /* nothing there */
        {0, true, true, true, 2, 0},   /* how many domains there are is not to be seen: ask */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake dc = {.domains = cases[i].domains}, gc = {.catalogue = cases[i].catalogue};
        struct profile p = {0};
        struct errinfo ei = {0};
        struct directory *d = NULL;
        struct evidence e;
        struct stop stop;
        char source[64], where[64];
        static const struct spn_host hosts[] = {{"mail.contoso.lab", NULL}};
        setenv("CASBRIDGE_TEST_PASSWORD", "secret", 1);
        assert_int_equal(profile_set(&p, PROFILE_ldap_user, "CN=reader,DC=contoso,DC=lab", &ei), ERR_OK);
        assert_int_equal(profile_set(&p, PROFILE_ldap_password, "env:CASBRIDGE_TEST_PASSWORD", &ei), ERR_OK);
        assert_int_equal(fake_start(&dc), 0);
        assert_int_equal(fake_start(&gc), 0);
        uint16_t gc_port = gc.port;
        if (!cases[i].answers)
            fake_stop(&gc);
        str_fmt(where, sizeof where, "127.0.0.1:%u", gc_port);
        assert_int_equal(hostmap_add_pair(&p.hosts, "dc1.contoso.lab:3268", where, &ei), ERR_OK);
        str_fmt(source, sizeof source, "ldap://127.0.0.1:%u", dc.port);
        stop_init(&stop, 20000, NULL);
        evidence_init(&e, (size_t)1 << 20);
        assert_int_equal(directory_open(&d, &p, source, &stop, &ei), ERR_OK);
        warnings = 0;
        log_set_sink(count_warning, NULL);
        enum err err = directory_spn_owners(d, hosts, 1, &e, &stop, &ei);
        log_set_sink(NULL, NULL);
        if (err)
            fail_msg("case %zu: %s", i, ei.what);
        if (e.items.n != cases[i].owners || e.items.v[0].u.spn.whole_forest != cases[i].whole ||
            warnings != cases[i].warnings)
            fail_msg("case %zu: %zu owners, %u warnings", i, e.items.n, warnings);
        assert_string_equal(e.items.v[0].u.spn.account, "ASA$");
        assert_true(e.items.v[0].u.spn.has_enctypes && !e.items.v[0].u.spn.is_partial);
        if (cases[i].owners == 2) { /* the catalogue's copy of the first was left out: it says less */
            assert_string_equal(e.items.v[1].u.spn.account, "WEB$");
            assert_true(e.items.v[1].u.spn.is_partial && !e.items.v[1].u.spn.has_enctypes);
        }
        directory_close(&d);
        evidence_fini(&e);
        fake_stop(&dc);
        if (cases[i].answers)
            fake_stop(&gc);
        profile_fini(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
