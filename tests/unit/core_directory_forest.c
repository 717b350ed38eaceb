/* Owners of service names, and mailboxes, over LDAP: one domain, a forest with a global catalogue, one whose catalogue does not answer. */
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
        bool silent;
    } cases[] = {
        {1, false, true, true, 1, 0, false},  /* nobody else to ask */
        {3, true, true, true, 2, 0, false},   /* the second owner is in a domain below this one */
        {3, false, true, false, 1, 1, false}, /* a port that is no catalogue's */
        {3, true, false, false, 1, 1, false}, /* nothing there */
        {0, true, true, true, 2, 0, false},   /* how many domains there are is not to be seen: ask */
        {3, true, true, false, 1, 1, true},   /* silent: the rest of the deadline is for the tickets */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake dc = {.domains = cases[i].domains},
                    gc = {.catalogue = cases[i].catalogue, .silent = cases[i].silent};
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
        stop_init(&stop, 300000, NULL);
        evidence_init(&e, (size_t)1 << 20);
        assert_int_equal(directory_open(&d, &p, source, &stop, &ei), ERR_OK);
        warnings = 0;
        log_set_sink(count_warning, NULL);
        enum err err = directory_spn_owners(d, hosts, 1, &e, &stop, &ei);
        log_set_sink(NULL, NULL);
        if (err)
            fail_msg("case %zu: %s", i, ei.what);
        assert_true(stop_left_ms(&stop, 300000) > 150000);
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

static void test_mailboxes(void **state)
{
    (void)state;
    static const struct {
        const char *who;
        int domains, users; /* of the controller's own domain */
        bool catalogue;
        enum err err;
        const char *sam, *text; /* found; of the error */
        int asked;              /* searches of the catalogue, its rootDSE apart */
    } cases[] = {
        {"alice", 3, 1, true, ERR_OK, "alice", NULL, 0},
        {"zoe@child.example", 3, 0, true, ERR_OK, "zoe", NULL, 1},
        {"zoe@child.example", 1, 0, true, ERR_NOTFOUND, NULL, "no mailbox zoe@child.example on", 0},
        {"zoe@child.example", 3, 0, false, ERR_NOTFOUND, NULL, "other domains could not be asked", 1},
        {"nobody@child.example", 3, 0, true, ERR_NOTFOUND, NULL, "in the forest of", 1},
        {"CHILD\\zoe", 3, 1, true, ERR_OK, "zoe", NULL, 1}, /* not the one of that name here */
        {"Contoso\\alice", 3, 1, true, ERR_OK, "alice", NULL, 0},
        {"CONTOSO\\zoe", 3, 0, true, ERR_NOTFOUND, NULL, "no mailbox zoe on", 0},
        /* below that domain, in one of its own */
        {"PARENT\\zoe", 3, 0, true, ERR_NOTFOUND, NULL, "in the forest of", 1},
        {"OTHER\\zoe", 3, 1, true, ERR_NOTFOUND, NULL, "no domain other", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake dc = {.domains = cases[i].domains, .users = cases[i].users, .servers = 1, .page = 10};
        struct fake gc = {.catalogue = cases[i].catalogue};
        struct profile p = {0};
        struct errinfo ei = {0};
        struct directory *d = NULL;
        struct org *org = NULL;
        struct mailbox m;
        char source[64], where[64];
        setenv("CASBRIDGE_TEST_PASSWORD", "secret", 1);
        assert_int_equal(profile_set(&p, PROFILE_ldap_user, "CN=reader,DC=contoso,DC=lab", &ei), ERR_OK);
        assert_int_equal(profile_set(&p, PROFILE_ldap_password, "env:CASBRIDGE_TEST_PASSWORD", &ei), ERR_OK);
        assert_int_equal(fake_start(&dc), 0);
        assert_int_equal(fake_start(&gc), 0);
        str_fmt(where, sizeof where, "127.0.0.1:%u", gc.port);
        assert_int_equal(hostmap_add_pair(&p.hosts, "dc1.contoso.lab:3268", where, &ei), ERR_OK);
        str_fmt(source, sizeof source, "ldap://127.0.0.1:%u", dc.port);
        assert_int_equal(directory_read(&org, &p, source, NULL, &ei), ERR_OK);
        assert_int_equal(directory_open(&d, &p, source, NULL, &ei), ERR_OK);
        for (int twice = 0; twice < 2; twice++) {
            int before = gc.searches;
            enum err e = directory_mailbox(d, org, cases[i].who, &m, NULL, &ei);
            if (e != cases[i].err || (e && !strstr(ei.what, cases[i].text)) ||
                (!e && strcmp(m.sam, cases[i].sam) != 0))
                fail_msg("%s: %d %s", cases[i].who, e, e ? ei.what : m.sam);
            /* the catalogue's connection is kept: its rootDSE is read once */
            assert_int_equal(gc.searches - before, cases[i].asked * (twice ? 1 : 2));
        }
        directory_close(&d);
        org_free(&org);
        fake_stop(&dc);
        fake_stop(&gc);
        profile_fini(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forest), cmocka_unit_test(test_mailboxes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
