/* core/model: encodings of versions and methods, and the profile reader. Numbers are of directory.md sections 5 and 7. */
#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/model/auth.h"
#include "core/model/finding.h"
#include "core/model/profile.h"
#include "core/model/version.h"

#include "core/base/path.h"
#include "core/base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void version_numbers(void **state)
{
    (void)state;
    static const struct {
        int64_t number;
        const char *text;
        enum generation g;
    } rows[] = {
        {1912636077, "8.0.685", GENERATION_2007},   {1912766640, "8.2.176", GENERATION_2007},
        {1912832083, "8.3.83", GENERATION_2007},    {1937801855, "14.0.639", GENERATION_2010},
        {1937997947, "14.3.123", GENERATION_2010},  {1941996036, "15.0.516", GENERATION_2013},
        {1941997017, "15.0.1497", GENERATION_2013}, {1942063563, "15.1.2507", GENERATION_2016},
        {1942128340, "15.2.1748", GENERATION_2019}, {1942129154, "15.2.2562", GENERATION_SE},
        {6944, "6.5.6944", GENERATION_2003},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct version v;
        char text[VERSION_TEXT_SIZE];
        assert_true(version_from_number(rows[i].number, &v));
        assert_string_equal(version_text(v, text), rows[i].text);
        assert_int_equal(generation_of(v), rows[i].g);
        if (rows[i].g != GENERATION_2003)
            assert_int_equal(version_to_number(v), rows[i].number);
    }
    struct version v;
    assert_false(version_from_number(0, &v));
    assert_false(version_from_number(-1, &v)); /* format 15 */
    assert_false(version_from_number(INT64_MAX, &v));
}

static void serial_numbers(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Version 15.1 (Build 31034.26)", "15.1.1034.26"},
        {"Version 14.3 (Build 30123.4)", "14.3.123.4"},
        {"Version 14.3 (Build 123.4)", "14.3.123.4"},
        {"Version 6.5 (Build 6944.4)", "6.5.6944.4"},
        {"Version 6.5 (Build 7638.2: Service Pack 2)", "6.5.7638.2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct version v;
        char text[VERSION_TEXT_SIZE];
        assert_true(version_from_serial(rows[i][0], &v));
        assert_string_equal(version_text(v, text), rows[i][1]);
    }
    struct version v;
    static const char *const bad[] = {
        "", "15.1", "Version", "Version 15.1", "Version x.1 (Build 1)", "Version 15.1 (Build 99999.1)"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(version_from_serial(bad[i], &v));
}

static void products(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"14.3.123.4", "Exchange 2010 SP3"},
        {"14.3.123", "Exchange 2010 SP3"},
        {"8.3.298.3", "Exchange 2007 SP3 RU10"},
        {"8.3.297.2", "Exchange 2007 SP3 RU9"},
        {"15.0.1497.2", "Exchange 2013 CU23"},
        {"15.0.1497.48", "Exchange 2013 CU23 Mar23SU"},
        {"15.0.1497", "Exchange 2013 CU23"},
        {"15.2.2562.17", "Exchange SE RTM"},
        {"14.3.999.1", "Exchange 2010 SP3 (14.3.999.1)"},
        {"16.0.1.1", "Exchange, unknown version 16.0.1.1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct version v;
        char out[80];
        assert_true(version_parse(rows[i][0], &v));
        assert_string_equal(version_product(v, out, sizeof out), rows[i][1]);
    }
    assert_int_equal(builds_count, 399);
}

static void every_pair_has_a_floor(void **state)
{
    (void)state;
    for (int t = GENERATION_2013; t < GENERATION_COUNT; t++)
        for (int l = GENERATION_2003; l <= t; l++)
            assert_non_null(version_floor_find((enum generation)t, (enum generation)l));
    assert_false(version_floor_find(GENERATION_2016, GENERATION_2007)->allowed);
    assert_true(version_floor_find(GENERATION_2013, GENERATION_2007)->rollup);
    assert_null(version_floor_find(GENERATION_2013, GENERATION_2016));
}

static void methods(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 200);
    auth_set_text(&b, 8195);
    assert_string_equal(buf_str(&b), "basic, ntlm, negotiate");
    buf_reset(&b);
    auth_set_cmdlet(&b, AUTH_NTLM | AUTH_BASIC);
    assert_string_equal(buf_str(&b), "Basic,NTLM");
    buf_reset(&b);
    auth_set_text(&b, 0);
    assert_string_equal(buf_str(&b), "none");
    buf_fini(&b);
    auth_set one;
    assert_true(auth_from_ordinal(0, &one) &&
                one == AUTH_BASIC); /* the trap: 0 and 1 mean other things than as flags */
    assert_true(auth_from_ordinal(1, &one) && one == AUTH_DIGEST);
    assert_true(auth_from_ordinal(2, &one) && one == AUTH_NTLM);
    assert_false(auth_from_ordinal(99, &one));
    assert_true(auth_from_name("windowsintegrated", &one) && one == AUTH_WINDOWS);
    assert_int_equal(auth_expected_challenge(AUTH_BASIC | AUTH_FBA), AUTH_BASIC);
    assert_int_equal(auth_expected_challenge(AUTH_NTLM), AUTH_NTLM | AUTH_NEGOTIATE);
    assert_int_equal(auth_expected_challenge(AUTH_WINDOWS | AUTH_WSSECURITY), AUTH_NTLM | AUTH_NEGOTIATE);
    assert_true(auth_expects_anonymous(AUTH_WSSECURITY));
    assert_int_equal(auth_from_scheme("nEGOTIATE", 9), AUTH_NEGOTIATE);
    assert_int_equal(auth_from_scheme("NegotiateX", 10), 0);
}

static char dir[] = "/tmp/casbridge-test-XXXXXX";

static enum err load(const char *text, const char *name, struct profile *p, struct errinfo *ei)
{
    char path[64];
    snprintf(path, sizeof path, "%s/config.ini", dir);
    assert_int_equal(path_write(path, text, strlen(text), 0600, ei), ERR_OK);
    return profile_load(p, path, name, ei);
}

static void profiles(void **state)
{
    (void)state;
    struct profile p;
    struct errinfo ei;
    const char good[] = "[lab]\nsource = ldap://dc1.contoso.lab\nhost.dc1.contoso.lab = "
                        "127.0.0.1:389\nread_only = no\nnamespace = mail.x, auto.x\n"
                        "ssh_user = admin ; who\nssh_port = 10022\n[lab server EXCAS01]\nssh_user = "
                        "other\n[b]\nsource = ldif:x\n";
    assert_int_equal(load(good, "lab", &p, &ei), ERR_OK);
    assert_string_equal(profile_get(&p, PROFILE_source, NULL), "ldap://dc1.contoso.lab");
    assert_string_equal(profile_get(&p, PROFILE_ssh_user, "excas01"), "other");
    assert_string_equal(profile_get(&p, PROFILE_ssh_user, "excas02"), "admin");
    assert_int_equal(profile_port(&p, PROFILE_ssh_port, "EXCAS01", 22), 10022);
    assert_false(profile_flag(&p, PROFILE_read_only, true));
    char ns[20];
    assert_true(profile_namespace(&p, 1, ns, sizeof ns));
    assert_string_equal(ns, "auto.x");
    assert_false(profile_namespace(&p, 2, ns, sizeof ns));
    assert_int_equal(p.hosts.entries.n, 1);
    profile_fini(&p);

    static const struct {
        const char *text, *name, *what, *hint;
    } bad[] = {
        {"[a]\nsuorce = x\n", "a", ":2: unknown key", "did you mean source?"},
        {"[a]\nread_only = maybe\n", "a", "neither yes nor no", ""},
        {"[a]\nssh_port = 0\n", "a", "no port", ""},
        {"[a]\nssh_password = hunter2\n", "a", "no reference to a secret", "file:PATH"},
        {"[a]\ntarget = 2012\n", "a", "not known", ""},
        {"[a]\nhost.x = y:z\n", "a", "no address", ""},
        {"[a]\n[b]\n", "c", "no profile c", "it has a, b"},
        {"[a]\n[b]\n", NULL, "none was chosen", "a, b"},
        {"x = y\n", NULL, "before the first section", ""},
        {"[a server S]\nsource = x\n", "a", "not for one server", ""},
        {"[a]\nsource =\n", "a", "has no value", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(load(bad[i].text, bad[i].name, &p, &ei), ERR_CONFIG);
        assert_non_null(strstr(ei.what, bad[i].what));
        assert_non_null(strstr(ei.hint, bad[i].hint));
        assert_null(strstr(ei.what, "hunter2"));
    }
    assert_int_equal(profile_load(&p, "/proc/nonexistent/x.ini", NULL, &ei), ERR_CONFIG);
}

static void keep_line(void *arg, enum log_level level, const char *line)
{
    struct buf *b = arg;
    if (level == LOG_LEVEL_WARNING) {
        buf_adds(b, line);
        buf_adds(b, "\n");
    }
}

static void a_key_given_twice(void **state)
{
    (void)state;
    struct profile p;
    struct errinfo ei;
    struct buf said;
    buf_init(&said, 4096);
    log_set_sink(keep_line, &said);
    assert_int_equal(load("[a]\nssh_user = x\nvia = ssh\nssh_user = y\n", "a", &p, &ei), ERR_OK);
    assert_string_equal(profile_get(&p, PROFILE_ssh_user, NULL), "y");
    assert_non_null(strstr(buf_str(&said), ":4: ssh_user was given in line 2 already"));
    profile_fini(&p);
    buf_reset(&said); /* names of servers are the same in either case; another profile's are others */
    assert_int_equal(
        load("[a]\nvia = ssh\n[a server S]\nvia = psrp\n[b]\nvia = ssh\n[a server s]\nvia = ssh\n", "b", &p,
             &ei),
        ERR_OK);
    log_set_sink(NULL, NULL);
    assert_non_null(strstr(buf_str(&said), ":8: via was given in line 4 already"));
    assert_ptr_equal(strchr(buf_str(&said), '\n'), strrchr(buf_str(&said), '\n'));
    profile_fini(&p);
    buf_fini(&said);
}

static void a_secret_file_must_be_private(void **state)
{
    (void)state;
    struct profile p;
    struct errinfo ei;
    char path[64];
    snprintf(path, sizeof path, "%s/config.ini", dir);
    assert_int_equal(load("[a]\nssh_password = file:/x\n", "a", &p, &ei), ERR_OK);
    profile_fini(&p);
    chmod(path, 0644);
    assert_int_equal(profile_load(&p, path, "a", &ei), ERR_CONFIG);
    assert_non_null(strstr(ei.what, "readable by others"));
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/config.ini", dir);
    unlink(path);
    return rmdir(dir);
}

static void check_words(const struct findings *f)
{
    const char *why;
    assert_int_equal(findings_say(f, "oa-wire", "excas01", &why), FINDING_FOUND);
    assert_string_equal(why, "Basic only");
    assert_int_equal(findings_say(f, "oa-wire", "EXCAS02", &why), FINDING_PASSED);
    assert_null(why);
    assert_int_equal(findings_say(f, "certificate", "EXCAS02", &why), FINDING_UNKNOWN);
    assert_string_equal(why, "not probed");
    assert_int_equal(findings_say(f, "coexistence", NULL, &why), FINDING_PASSED);
    assert_int_equal(findings_say(f, "coexistence", "EXCAS01", &why), FINDING_NOTHING);
    assert_int_equal(findings_say(f, "oa-wire", NULL, &why), FINDING_NOTHING);
    assert_int_equal(findings_say(f, "oa", "EXCAS01", &why), FINDING_NOTHING);
}

/* With an index and without, and when the list was put in another order after it was made. */
static void what_a_rule_says(void **state)
{
    (void)state;
    struct findings f;
    findings_init(&f);
    const struct finding found[] = {{.id = "version-floor", .server = "EXCAS01", .summary = "SP2"},
                                    {.id = "oa-wire", .server = "EXCAS01", .summary = "Basic only"}};
    const struct finding_ref passed[] = {{.id = "oa-wire", .server = "EXCAS02"},
                                         {.id = "coexistence"},
                                         {.id = "oa-wire", .server = "EXCAS01"}}; /* found counts more */
    const struct finding_ref unknown = {.id = "certificate", .server = "EXCAS02", .why = "not probed"};
    for (size_t i = 0; i < 2; i++)
        assert_true(VEC_PUSH(&f.found, 10, found[i]));
    for (size_t i = 0; i < 3; i++)
        assert_true(VEC_PUSH(&f.passed, 10, passed[i]));
    assert_true(VEC_PUSH(&f.unknown, 10, unknown));
    check_words(&f);
    findings_index(&f);
    check_words(&f);
    f.found.v[0] = found[1];
    f.found.v[1] = found[0];
    check_words(&f);
    findings_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_numbers),
        cmocka_unit_test(what_a_rule_says),
        cmocka_unit_test(serial_numbers),
        cmocka_unit_test(products),
        cmocka_unit_test(every_pair_has_a_floor),
        cmocka_unit_test(methods),
        cmocka_unit_test(profiles),
        cmocka_unit_test(a_key_given_twice),
        cmocka_unit_test(a_secret_file_must_be_private),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
