/* ClientHello of each version, judged by OpenSSL's server; its answers read whole, byte by byte and at random cuts; hostile ones. */
#include "core/base/str.h"
#include "core/probe/hello.h"
#include "tests/unit/test_cert.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t random_bytes[32] = "0123456789abcdef0123456789abcde";
static EVP_PKEY *key;
static X509 *cert;
static char named[256];

static int set_up(void **state)
{
    const struct test_cert spec = {.cn = "cas01", .from_s = -86400, .until_s = 86400};
    (void)state;
    key = EVP_RSA_gen(2048);
    cert = test_cert_make(&spec, key, NULL, NULL);
    return key && cert ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    X509_free(cert);
    EVP_PKEY_free(key);
    return 0;
}

/* What a server of versions min..max answers to the hello. Returns the answer's length. */
static size_t answer_of(int min, int max, const uint8_t *hello, size_t len, uint8_t *out, size_t cap)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0");
    assert_true(SSL_CTX_set_min_proto_version(ctx, min) && SSL_CTX_set_max_proto_version(ctx, max));
    assert_true(SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *from = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, from);
    assert_int_equal(BIO_write(in, hello, (int)len), (int)len);
    (void)SSL_accept(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    str_copy(named, sizeof named, name ? name : "");
    int n = BIO_read(from, out, (int)cap);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return n > 0 ? (size_t)n : 0;
}

static void test_each_version(void **state)
{
    static const struct {
        int min, max;
        enum hello_version ask;
        enum hello_answer answer;
        enum hello_version chosen;
    } cases[] = {
        {TLS1_VERSION, TLS1_3_VERSION, HELLO_TLS_1_0, HELLO_AGREED, HELLO_TLS_1_0},
        {TLS1_VERSION, TLS1_3_VERSION, HELLO_TLS_1_1, HELLO_AGREED, HELLO_TLS_1_1},
        {TLS1_VERSION, TLS1_3_VERSION, HELLO_TLS_1_2, HELLO_AGREED, HELLO_TLS_1_2},
        {TLS1_VERSION, TLS1_3_VERSION, HELLO_TLS_1_3, HELLO_AGREED, HELLO_TLS_1_3}, /* asks for a key share */
        {TLS1_VERSION, TLS1_3_VERSION, HELLO_SSL_3_0, HELLO_ALERT, 0},
        {TLS1_2_VERSION, TLS1_3_VERSION, HELLO_TLS_1_0, HELLO_ALERT, 0},
        {TLS1_2_VERSION, TLS1_3_VERSION, HELLO_TLS_1_1, HELLO_ALERT, 0},
        {TLS1_VERSION, TLS1_VERSION, HELLO_TLS_1_2, HELLO_AGREED,
         HELLO_TLS_1_0}, /* a lower one: not what was asked */
        {TLS1_VERSION, TLS1_2_VERSION, HELLO_TLS_1_3, HELLO_ALERT, 0},
        {TLS1_3_VERSION, TLS1_3_VERSION, HELLO_TLS_1_2, HELLO_ALERT, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t hello[HELLO_SIZE], in[8192], alert = 0;
        enum hello_version v = HELLO_VERSIONS;
        size_t len = hello_build(cases[i].ask, "cas01.contoso.lab", random_bytes, hello);
        assert_in_range(len, 50, HELLO_SIZE);
        size_t n = answer_of(cases[i].min, cases[i].max, hello, len, in, sizeof in);
        assert_true(n > 0);
        assert_int_equal(hello_read(in, n, &v, &alert), cases[i].answer);
        if (cases[i].answer == HELLO_AGREED) {
            assert_int_equal(v, cases[i].chosen);
            assert_string_equal(named, "cas01.contoso.lab");
        } else {
            assert_true(alert == 40 || alert == 70 || alert == 109);
        }
        /* a prefix is undecided or says the same, never something else */
        bool decided = false;
        for (size_t cut = 0; cut < n; cut++) {
            uint8_t *exact = malloc(cut + 1);
            memcpy(exact, in, cut);
            enum hello_answer a = hello_read(exact, cut, &v, &alert);
            assert_true(a == (decided ? cases[i].answer : HELLO_MORE) || a == cases[i].answer);
            decided = decided || a != HELLO_MORE;
            free(exact);
        }
    }
}

static void test_no_name(void **state)
{
    uint8_t hello[HELLO_SIZE], in[8192], alert;
    char name[300];
    enum hello_version v;
    (void)state;
    size_t len = hello_build(HELLO_TLS_1_2, NULL, random_bytes, hello);
    size_t n = answer_of(TLS1_VERSION, TLS1_3_VERSION, hello, len, in, sizeof in);
    assert_int_equal(hello_read(in, n, &v, &alert), HELLO_AGREED);
    assert_string_equal(named, "");
    memset(name, 'a', sizeof name);
    name[255] = '\0';
    assert_in_range(hello_build(HELLO_TLS_1_3, name, random_bytes, hello), 300, HELLO_SIZE);
    name[255] = 'a';
    name[256] = '\0';
    assert_int_equal(hello_build(HELLO_TLS_1_3, name, random_bytes, hello), 0);
}

static void test_answers(void **state)
{
    uint8_t ssl3[49] = {22, 3, 0, 0, 44, 2, 0, 0, 40, 3, 0}; /* the shortest ServerHello there is */
    uint8_t warned[7 + sizeof ssl3] = {21, 3, 0, 0, 2, 1, 112};
    static const struct {
        size_t n;
        uint8_t p[16];
        enum hello_answer answer;
    } cases[] = {
        {4, "HTTP", HELLO_GARBAGE},
        {1, {22}, HELLO_MORE},
        {7, {21, 3, 1, 0, 2, 2, 70}, HELLO_ALERT},
        {8, {21, 3, 1, 0, 3, 2, 70, 1}, HELLO_GARBAGE},
        {7, {22, 2, 1, 0, 2, 2, 70}, HELLO_GARBAGE},
        {5, {22, 3, 1, 0, 0}, HELLO_GARBAGE},
        {6, {22, 3, 1, 0, 1, 1}, HELLO_GARBAGE},
        {9, {22, 3, 1, 0, 4, 2, 0, 0, 10}, HELLO_GARBAGE},
        {9, {22, 3, 1, 0, 4, 2, 255, 255, 255}, HELLO_MORE},
        {11, {22, 3, 1, 0, 6, 2, 0, 0, 40, 9, 9}, HELLO_GARBAGE},
    };
    enum hello_version v = HELLO_VERSIONS;
    uint8_t alert = 0;
    (void)state;
    assert_int_equal(hello_read(ssl3, sizeof ssl3, &v, &alert), HELLO_AGREED);
    assert_int_equal(v, HELLO_SSL_3_0);
    memcpy(warned + 7, ssl3, sizeof ssl3); /* "no such name" is only a warning */
    assert_int_equal(hello_read(warned, sizeof warned, &v, &alert), HELLO_AGREED);
    assert_int_equal(alert, 112);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(hello_read(cases[i].p, cases[i].n, &v, &alert), cases[i].answer);
    uint8_t *endless = calloc(1, 2 * HELLO_READ_MAX); /* records of one byte that never make a message */
    for (size_t i = 0; i + 6 <= 2 * HELLO_READ_MAX; i += 6)
        memcpy(endless + i, (const uint8_t[]){22, 3, 1, 0, 1, (uint8_t)(i ? 255 : 2)}, 6);
    assert_int_equal(hello_read(endless, 2 * HELLO_READ_MAX, &v, &alert), HELLO_GARBAGE);
    free(endless);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_version),
        cmocka_unit_test(test_no_name),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
