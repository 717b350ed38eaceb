/* What POP3 and IMAP4 servers say of themselves. */
#include "core/base/str.h"
#include "core/probe/mail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_greetings(void **state)
{
    static const struct {
        enum mail_kind kind;
        const char *line, *text;
    } cases[] = {
        {MAIL_POP, "+OK The Microsoft Exchange POP3 service is ready.",
         "The Microsoft Exchange POP3 service is ready."},
        {MAIL_POP, "+OK", ""},
        {MAIL_POP, "+OKAY", NULL},
        {MAIL_POP, "-ERR too many connections", NULL},
        {MAIL_POP, "* OK ready", NULL},
        {MAIL_IMAP, "* OK ready", "ready"},
        {MAIL_IMAP, "* ok ready", "ready"},
        {MAIL_IMAP, "* BYE no", NULL},
        {MAIL_IMAP, "", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *text = NULL;
        size_t len = 0;
        bool good = mail_greeting(cases[i].kind, cases[i].line, strlen(cases[i].line), &text, &len);
        assert_int_equal(good, cases[i].text != NULL);
        if (good) {
            assert_int_equal(len, strlen(cases[i].text));
            assert_memory_equal(text, cases[i].text, len);
        }
    }
}

static void test_capabilities(void **state)
{
    static const struct {
        enum mail_kind kind;
        const char *lines[8];
        enum mail_line end;
        const char *words;
    } cases[] = {
        {MAIL_POP, {"+OK", "TOP", "UIDL", "STLS", "."}, MAIL_OK, "no login before TLS; STLS offered"},
        {MAIL_POP,
         {"+OK", "USER", "SASL PLAIN NTLM GSSAPI X-NEW", "."},
         MAIL_OK,
         "login by user and password, PLAIN, NTLM, GSSAPI and 1 more"},
        {MAIL_POP, {"+OK", "."}, MAIL_OK, "no way to log in offered"},
        {MAIL_POP, {"-ERR what?"}, MAIL_NO, ""},
        {MAIL_IMAP,
         {"* CAPABILITY IMAP4 IMAP4rev1 LOGINDISABLED STARTTLS UIDPLUS", "a OK CAPABILITY completed."},
         MAIL_OK,
         "no login before TLS; LOGINDISABLED; STARTTLS offered"},
        {MAIL_IMAP,
         {"* 3 EXISTS", "* CAPABILITY IMAP4rev1 auth=ntlm AUTH=PLAIN", "a OK"},
         MAIL_OK,
         "login by user and password, PLAIN, NTLM"},
        {MAIL_IMAP, {"a BAD Command Error. 10"}, MAIL_NO, ""},
        {MAIL_IMAP, {"b OK CAPABILITY completed."}, MAIL_NO, ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mail_caps caps = {0};
        enum mail_line l = MAIL_MORE;
        struct buf words;
        buf_init(&words, 1024);
        size_t n = 0;
        for (; l == MAIL_MORE && cases[i].lines[n]; n++)
            l = mail_caps_line(cases[i].kind, &caps, cases[i].lines[n], strlen(cases[i].lines[n]), n == 0);
        assert_int_equal(l, cases[i].end);
        assert_null(cases[i].lines[n]);
        mail_caps_words(cases[i].kind, &caps, &words);
        if (l == MAIL_OK)
            assert_string_equal(buf_str(&words), cases[i].words);
        buf_fini(&words);
    }
}

static void test_starttls(void **state)
{
    (void)state;
    assert_int_equal(mail_tls_line(MAIL_POP, "+OK Begin", 9), MAIL_OK);
    assert_int_equal(mail_tls_line(MAIL_POP, "-ERR no", 7), MAIL_NO);
    assert_int_equal(mail_tls_line(MAIL_IMAP, "* 1 EXISTS", 10), MAIL_MORE);
    assert_int_equal(mail_tls_line(MAIL_IMAP, "a OK go", 7), MAIL_OK);
    assert_int_equal(mail_tls_line(MAIL_IMAP, "a NO", 4), MAIL_NO);
    assert_int_equal(mail_tls_line(MAIL_IMAP, "", 0), MAIL_NO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greetings),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_starttls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
