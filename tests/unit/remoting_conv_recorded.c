/* NTLM with a challenge that Windows was recorded to send. */
#include "remoting/conv.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/base/str.h"

/* gss-ntlmssp 1.2.0 leaves an OpenSSL context behind with every login */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:CRYPTO_zalloc\nleak:gssntlmssp.so\n";
}

/* The time in the challenge (MsvAvTimestamp, 100 ns since 1601), for a client refuses one of years ago. */
static void set_time(struct buf *challenge, time_t now)
{
    unsigned char *at = memmem(challenge->data, challenge->len, "\7\0\x8\0", 4);
    uint64_t ticks = ((uint64_t)now + 11644473600u) * 10000000u;
    assert_non_null(at);
    for (int i = 0; i < 8; i++)
        at[4 + i] = (unsigned char)(ticks >> (8 * i));
}

/* Of all the recorded tokens raw NTLM takes Windows' challenge alone: not as it was recorded, but as it would be said today. */
static void test_recorded_challenge(void **state)
{
    static const struct {
        const char *name, *says; /* says: NULL: it is answered */
    } rows[] = {{"ntlm_challenge", "clocks are too far apart"},
                {"ntlm_challenge", NULL},
                {"ntlm_negotiate", ""},
                {"ntlm_authenticate", ""},
                {"neg_token_resp", ""},
                {"krb_error", ""}};
    const char *shared = getenv("CASBRIDGE_SHARED");
    struct secret password = {0};
    struct buf token, out;
    (void)state;
    /* kept loaded: unloaded at exit it would leave OpenSSL contexts behind that nobody points to */
    if (!dlopen("/usr/lib/x86_64-linux-gnu/gssntlmssp/gssntlmssp.so", RTLD_NOW | RTLD_NODELETE)) {
        print_message("skipped: gss-ntlmssp is not installed\n");
        skip();
    }
    buf_init(&token, 1 << 16);
    buf_init(&out, CONV_TOKEN_MAX);
    assert_int_equal(secret_set(&password, "Passw0rd", 8), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char path[600];
        struct conv *c = NULL;
        struct errinfo ei = {0};
        str_fmt(path, sizeof path, "%s/fixtures/winrm/pyspnego-tokens/%s", shared ? shared : "../shared",
                rows[i].name);
        buf_reset(&token);
        buf_reset(&out);
        if (path_read(&token, path, &ei) != ERR_OK) {
            print_message("skipped: the recordings (../shared/fixtures/winrm) are not here\n");
            break;
        }
        if (!rows[i].says)
            set_time(&token, time(NULL));
        struct conv_settings s = {.scheme = CONV_SCHEME_NTLM,
                                  .user = "DOM\\bob",
                                  .password = &password,
                                  .spn = "HTTP/cas01.contoso.lab",
                                  .seal = true};
        assert_int_equal(conv_new(&c, &s, &ei), ERR_OK);
        assert_int_equal(conv_step(c, NULL, 0, &out, &ei), ERR_OK);
        assert_memory_equal(out.data, "NTLMSSP\0\1", 9);
        buf_reset(&out);
        enum err e = conv_step(c, token.data, token.len, &out, &ei);
        if ((e == ERR_OK) != !rows[i].says || (rows[i].says && !strstr(ei.what, rows[i].says)))
            fail_msg("%s: %s", rows[i].name, ei.what);
        if (!rows[i].says) {
            assert_memory_equal(out.data, "NTLMSSP\0\3", 9);
            assert_non_null(memmem(out.data, out.len, "b\0o\0b", 5));
            assert_true(conv_is_complete(c));
        }
        conv_free(&c);
    }
    secret_fini(&password);
    buf_fini(&token);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_recorded_challenge)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
