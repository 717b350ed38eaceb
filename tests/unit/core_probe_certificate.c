/* Leaf certificates: what is decoded, which names match, what is said about them. */
#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/certificate.h"
#include "tests/unit/test_cert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DAY 86400L

static EVP_PKEY *key;

static int make_key(void **state)
{
    (void)state;
    return (key = test_key()) ? 0 : -1;
}

static int free_key(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    return 0;
}

static void test_decode(void **state)
{
    const struct test_cert spec = {.cn = "EXCAS01",
                                   .names = {TEST_NAME("mail.contoso.lab"), TEST_NAME("*.contoso.lab")},
                                   .n_names = 2,
                                   .from_s = -DAY,
                                   .until_s = 12 * DAY};
    (void)state;
    struct arena a;
    struct certificate c;
    arena_init(&a, 1 << 20);
    X509 *x = test_cert_make(&spec, key, NULL, NULL);
    assert_non_null(x);
    int64_t now = clock_unix();
    assert_int_equal(certificate_decode(&a, x, &c), ERR_OK);
    assert_string_equal(c.subject_cn, "EXCAS01");
    assert_string_equal(c.issuer, "CN=EXCAS01");
    assert_int_equal(c.n_names, 2);
    assert_string_equal(c.names[0], "mail.contoso.lab");
    assert_string_equal(c.key_type, "EC");
    assert_int_equal(c.key_bits, 256);
    assert_string_equal(c.signature_hash, "sha256");
    assert_int_equal(strlen(c.sha256), 64);
    assert_in_range(c.not_after - now, 12 * DAY - 5, 12 * DAY + 5);
    assert_in_range(now - c.not_before, DAY - 5, DAY + 5);
    X509_free(x);

    const struct test_cert bare = {.cn = "old.contoso.lab", .from_s = -DAY, .until_s = DAY, .md = EVP_sha1()};
    x = test_cert_make(&bare, key, NULL, NULL);
    assert_int_equal(certificate_decode(&a, x, &c), ERR_OK);
    assert_int_equal(c.n_names, 1);
    assert_string_equal(c.names[0], "old.contoso.lab");
    assert_string_equal(c.signature_hash, "sha1");
    X509_free(x);

    const struct test_cert hostile = {.cn = "a\x1b[2J\nb",
                                      .names = {{"mail.contoso.lab\0.evil.example", 30}},
                                      .n_names = 1,
                                      .from_s = 0,
                                      .until_s = DAY};
    x = test_cert_make(&hostile, key, NULL, NULL);
    assert_int_equal(certificate_decode(&a, x, &c), ERR_OK);
    assert_null(strchr(c.subject_cn, '\x1b'));
    assert_null(strchr(c.subject_cn, '\n'));
    assert_string_not_equal(c.names[0], "mail.contoso.lab"); /* the NUL is shown, not an end */
    assert_non_null(strstr(c.names[0], ".evil.example"));
    X509_free(x);

    const struct test_cert empty = {.from_s = 0, .until_s = DAY};
    x = test_cert_make(&empty, key, NULL, NULL);
    assert_int_equal(certificate_decode(&a, x, &c), ERR_OK);
    assert_null(c.subject_cn);
    assert_int_equal(c.n_names, 0);
    struct arena tiny;
    arena_init(&tiny, 16);
    assert_int_equal(certificate_decode(&tiny, x, &c), ERR_LIMIT);
    arena_fini(&tiny);
    X509_free(x);
    arena_fini(&a);
}

static void test_names(void **state)
{
    static const struct {
        const char *cn;
        struct test_name san;
        const char *asked;
        bool matches;
    } cases[] = {
        {"x", TEST_NAME("mail.contoso.lab"), "mail.contoso.lab", true},
        {"x", TEST_NAME("mail.contoso.lab"), "MAIL.Contoso.LAB", true},
        {"x", TEST_NAME("mail.contoso.lab"), "mail.contoso.lab.", true},
        {"x", TEST_NAME("mail.contoso.lab"), "mail.contoso.la", false},
        {"x", TEST_NAME("mail.contoso.lab"), "amail.contoso.lab", false},
        {"x", TEST_NAME("mail.contoso.lab"), "", false},
        {"x", TEST_NAME("*.contoso.lab"), "mail.contoso.lab", true},
        {"x", TEST_NAME("*.contoso.lab"), "a.mail.contoso.lab", false},
        {"x", TEST_NAME("*.contoso.lab"), "contoso.lab", false},
        {"x", TEST_NAME("*.contoso.lab"), ".contoso.lab", false},
        {"x", TEST_NAME("m*.contoso.lab"), "mail.contoso.lab", false},
        {"x", TEST_NAME("*ail.contoso.lab"), "mail.contoso.lab", false},
        {"x", TEST_NAME("mail.*.lab"), "mail.contoso.lab", false},
        {"x", TEST_NAME("*.lab"), "contoso.lab", false},
        {"x", TEST_NAME("*"), "contoso", false},
        {"x", {"mail.contoso.lab\0.evil.example", 30}, "mail.contoso.lab", false},
        {"x", {"mail.contoso.lab\0", 17}, "mail.contoso.lab", false},
        {"mail.contoso.lab", TEST_NAME("other.contoso.lab"), "mail.contoso.lab",
         false}, /* the CN does not count then */
        {"mail.contoso.lab", {NULL, 0}, "mail.contoso.lab", true},
        {"*.contoso.lab", {NULL, 0}, "mail.contoso.lab", true},
        {"x", TEST_NAME("127.0.0.1"), "127.0.0.1", false}, /* an address is no DNS name */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_cert spec = {.cn = cases[i].cn,
                                 .names = {cases[i].san},
                                 .n_names = cases[i].san.bytes ? 1 : 0,
                                 .from_s = 0,
                                 .until_s = DAY};
        X509 *x = test_cert_make(&spec, key, NULL, NULL);
        assert_non_null(x);
        if (certificate_has_name(x, cases[i].asked) != cases[i].matches)
            fail_msg("%s for %s", cases[i].san.bytes ? cases[i].san.bytes : cases[i].cn, cases[i].asked);
        X509_free(x);
    }
}

static void test_binding(void **state)
{
    (void)state;
    static const struct {
        const char *md;
        size_t len;
    } cases[] = {{"SHA1", 32}, {"SHA256", 32}, {"SHA384", 48}, {"SHA512", 64}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_cert spec = {.cn = "x", .until_s = DAY, .md = EVP_get_digestbyname(cases[i].md)};
        X509 *x = test_cert_make(&spec, key, NULL, NULL);
        unsigned char hash[CERTIFICATE_BINDING_MAX], want[EVP_MAX_MD_SIZE];
        size_t len = 0;
        unsigned want_len = 0;
        assert_non_null(x);
        assert_true(certificate_binding(x, hash, &len));
        assert_int_equal(len, cases[i].len);
        assert_true(X509_digest(x, i == 0 ? EVP_sha256() : spec.md, want, &want_len));
        assert_memory_equal(hash, want, len);
        X509_free(x);
    }
}

static void test_words(void **state)
{
    static const char *names[] = {"mail.contoso.lab", "x"};
    static const struct {
        long from, until;
        bool name_ok, chain_ok, good;
        const char *words;
    } cases[] = {
        {-1, 100 * DAY, true, true, true, ""},
        {-1, 12 * DAY + 10, true, true, true, "ends in 12 days"},
        {-1, DAY + 10, true, true, true, "ends in 1 day"},
        {-1, 60 * DAY - 1, true, true, true, "ends in 59 days"},
        {-9 * DAY, -3 * DAY - 5, true, false, false, "expired 3 days ago"},
        {-9 * DAY, -5, true, true, false, "expired today"},
        {DAY, 100 * DAY, true, true, false, "not valid before 2026-11-25T03:00:00Z"},
        {-1, 100 * DAY, false, true, false,
         "not for the name legacy.contoso.lab (it is for mail.contoso.lab and others)"},
        {-1, 12 * DAY, false, false, false,
         "ends in 12 days; not for the name legacy.contoso.lab (it is for mail.contoso.lab and others); "
         "chain not trusted: "
         "self-signed certificate"},
    };
    (void)state;
    int64_t now = clock_from_civil(2026, 11, 24, 3, 0, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct certificate c = {.names = names,
                                .n_names = 2,
                                .not_before = now + cases[i].from,
                                .not_after = now + cases[i].until,
                                .chain_ok = cases[i].chain_ok,
                                .chain_error = "self-signed certificate"};
        struct buf b;
        buf_init(&b, 4096);
        bool good = certificate_words(&b, &c, cases[i].name_ok, "legacy.contoso.lab", now);
        assert_string_equal(buf_str(&b), cases[i].words);
        assert_int_equal(good, cases[i].good);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, make_key, free_key);
}
