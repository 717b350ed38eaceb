/* WWW-Authenticate as a set. */
#include "core/base/str.h"
#include "core/probe/challenge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_table(void **state)
{
    static const struct {
        const char *value;
        auth_set offered;
        unsigned schemes, unknown;
        bool malformed;
    } cases[] = {
        {"Negotiate", AUTH_NEGOTIATE, 1, 0, false},
        {"NTLM", AUTH_NTLM, 1, 0, false},
        {"basic realm=\"excas01.contoso.lab\"", AUTH_BASIC, 1, 0, false},
        {"Negotiate, NTLM", AUTH_NEGOTIATE | AUTH_NTLM, 2, 0, false},
        {"Negotiate,NTLM,Basic realm=\"x\"", AUTH_NEGOTIATE | AUTH_NTLM | AUTH_BASIC, 3, 0, false},
        {"Basic realm=\"a, NTLM, b\"", AUTH_BASIC, 1, 0, false},
        {"Basic realm=\"quote \\\" , NTLM\", Negotiate", AUTH_BASIC | AUTH_NEGOTIATE, 2, 0, false},
        {"Digest qop=\"auth\", algorithm=MD5-sess, nonce=\"+Up=\", charset=utf-8, realm=\"Digest\", NTLM",
         AUTH_DIGEST | AUTH_NTLM, 2, 0, false},
        {"Digest realm = \"x\" , nonce = y , Basic realm=z", AUTH_DIGEST | AUTH_BASIC, 2, 0, false},
        {"Negotiate oYG1MIGyoAMKAQChCwYJKoZIgvcSAQIC", AUTH_NEGOTIATE, 1, 0, false},
        {"Negotiate YII==, NTLM TlRMTVNTUAACAAAA", AUTH_NEGOTIATE | AUTH_NTLM, 2, 0, false},
        {"Bearer client_id=\"1\", trusted_issuers=\"2@*\", token_types=\"app_asserted\"", AUTH_OAUTH, 1, 0,
         false},
        {"LiveIdBasic, Wlid1.1 realm=x, Basic", AUTH_BASIC, 3, 2, false},
        {"", 0, 0, 0, false},
        {" , ,, ", 0, 0, 0, false},
        {" ,\tBasic , ", AUTH_BASIC, 1, 0, false},
        {"=x, Basic", AUTH_BASIC, 1, 0, true},
        {"\"NTLM\", Basic", AUTH_BASIC, 1, 0, true},
        {"Basic/1, NTLM", AUTH_NTLM, 1, 0, true},
        {"Basic realm=\"never ends, NTLM", AUTH_BASIC, 1, 0, true},
        {"Basic realm=\"x\"; y, NTLM", AUTH_BASIC | AUTH_NTLM, 2, 0, true},
        {"realm=\"x\", Basic", AUTH_BASIC, 1, 0, true},
        {"Negoti\xc3\xa4te, NTLM", AUTH_NTLM, 1, 0, true},
        {"Basic realm=", AUTH_BASIC, 1, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct challenge_set s = {0};
        challenge_add(&s, cases[i].value, strlen(cases[i].value));
        if (s.offered != cases[i].offered || s.schemes != cases[i].schemes || s.unknown != cases[i].unknown ||
            s.malformed != cases[i].malformed || s.cut)
            fail_msg("%s: %#x, %u schemes, %u unknown, malformed %d", cases[i].value, s.offered, s.schemes,
                     s.unknown, s.malformed);
    }
}

static void words_are(const char *const *lines, const char *expected)
{
    struct challenge_set s = {0};
    struct buf b;
    for (; *lines; lines++)
        challenge_add(&s, *lines, strlen(*lines));
    buf_init(&b, 4096);
    assert_int_equal(challenge_words(&b, &s), ERR_OK);
    assert_string_equal(buf_str(&b), expected);
    buf_fini(&b);
}

static void test_words(void **state)
{
    (void)state;
    words_are((const char *const[]){"Basic realm=x", NULL}, "Basic only");
    words_are((const char *const[]){"Basic realm=x", "NTLM", "Negotiate", NULL}, "Negotiate, NTLM, Basic");
    words_are((const char *const[]){NULL}, "nothing");
    words_are((const char *const[]){"Odd\x1b[31m x", "Basic", NULL},
              "Basic only"); /* ESC is no tchar: no scheme */
    words_are((const char *const[]){"LiveIdBasic", NULL}, "LiveIdBasic only");
    words_are((const char *const[]){"Basic", "LiveIdBasic", "X2", NULL},
              "Basic, LiveIdBasic and 1 more we do not know");
    words_are((const char *const[]){"X1", "X2", "X3", NULL}, "X1 and 2 more we do not know");
}

static void test_bounded(void **state)
{
    (void)state;
    struct challenge_set s = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 500; i++)
        buf_addf(&b, "%sScheme%d realm=\"r\"", i ? ", " : "", i);
    buf_adds(&b, ", NTLM");
    challenge_add(&s, b.data, b.len);
    assert_int_equal(s.schemes, CHALLENGE_MAX_SCHEMES);
    assert_true(s.cut);
    assert_int_equal(s.offered, 0);
    buf_reset(&b);
    assert_int_equal(challenge_words(&b, &s), ERR_OK);
    assert_string_equal(buf_str(&b), "Scheme0 and 63 more we do not know, and more than 64 in all");
    buf_reset(&b);
    for (int i = 0; i < 60000; i++)
        buf_addc(&b, 'A');
    s = (struct challenge_set){0};
    challenge_add(&s, b.data, b.len);
    assert_int_equal(s.schemes, 1);
    assert_true(strlen(s.other) < sizeof s.other);
    buf_fini(&b);
}

/* Whatever comes: no read outside (the copy has no byte to spare), the counts agree. */
static void test_noise(void **state)
{
    static const char alphabet[] = "aB=\",; \t/\\NTLMBasic\x01\xff";
    (void)state;
    srand(4711);
    for (int i = 0; i < 20000; i++) {
        size_t n = (size_t)(rand() % 40);
        char *text = malloc(n ? n : 1);
        assert_non_null(text);
        for (size_t k = 0; k < n; k++)
            text[k] = alphabet[(size_t)rand() % (sizeof alphabet - 1)];
        struct challenge_set s = {0};
        challenge_add(&s, text, n);
        assert_true(s.unknown <= s.schemes && s.schemes <= CHALLENGE_MAX_SCHEMES);
        assert_true((s.offered == 0) == (s.schemes == s.unknown));
        assert_true(utf8_valid(s.other, strlen(s.other)));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
