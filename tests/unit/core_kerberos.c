/* Kerberos against a KDC of our own: logins told apart, tickets, tokens, threads. */
#include "core/kerberos/kerberos.h"

#include "core/base/clock.h"
#include "tests/unit/kdc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <pthread.h>

static struct kdc kdc;
static bool have_kdc;

static const char script[] = "addprinc -pw " KDC_PASSWORD " alice\n"
                             "addprinc -pw " KDC_PASSWORD " +requires_preauth bob\n"
                             "addprinc -pw " KDC_PASSWORD " -allow_tix locked\n"
                             "addprinc -pw " KDC_PASSWORD " -pwexpire 2020-01-01 stale\n"
                             "addprinc -pw " KDC_PASSWORD " -expire 2020-01-01 gone\n"
                             "addprinc -randkey EX13CAS01$\n"
                             "addprinc -randkey HTTP/cas01.contoso.lab\n"
                             "addprinc -randkey -e arcfour-hmac:normal HTTP/old.contoso.lab\n"
                             "ktadd -k %s/cas01.keytab HTTP/cas01.contoso.lab\n"
                             "ktadd -k %s/machine.keytab EX13CAS01$\n"
                             "ktadd -k %s/wrong.keytab EX13CAS01$\n"
                             "ktadd -k %s/machine.keytab EX13CAS01$\n";

static int start(void **state)
{
    (void)state;
    have_kdc = kdc_start(&kdc, script);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    kdc_stop(&kdc);
    return 0;
}

#define NEED_KDC()                                                                                           \
    if (!have_kdc)                                                                                           \
    skip()

static void secret_from(struct secret *s, const char *text)
{
    *s = (struct secret){0};
    assert_int_equal(secret_set(s, text, strlen(text)), ERR_OK);
}

static enum err login(const char *user, const char *password, struct krb_login **out, struct errinfo *ei)
{
    struct secret s;
    secret_from(&s, password);
    *ei = (struct errinfo){0};
    enum err e = krb_login_password(out, user, &s, ei);
    secret_fini(&s);
    return e;
}

static void test_password(void **state)
{
    static const struct {
        const char *user, *password;
        enum err err;
        int code;
        const char *name_or_text;
    } cases[] = {
        {"alice", KDC_PASSWORD, ERR_OK, 0, "alice@CONTOSO.LAB"},
        {"alice@CONTOSO.LAB", KDC_PASSWORD, ERR_OK, 0, "alice@CONTOSO.LAB"},
        {"alice@contoso.lab", KDC_PASSWORD, ERR_OK, 0, "alice@CONTOSO.LAB"},
        {"CONTOSO\\alice", KDC_PASSWORD, ERR_OK, 0, "alice@CONTOSO.LAB"},
        {"contoso\\alice", KDC_PASSWORD, ERR_OK, 0, "alice@CONTOSO.LAB"},
        {"contoso.lab\\alice", KDC_PASSWORD, ERR_OK, 0, "alice@CONTOSO.LAB"},
        {"bob", KDC_PASSWORD, ERR_OK, 0, "bob@CONTOSO.LAB"},
        {"bob", "wrong", ERR_AUTH, 24, "wrong password"},
        {"nobody", KDC_PASSWORD, ERR_AUTH, 6, "no such user"},
        {"alice@mail.example", KDC_PASSWORD, ERR_AUTH, 6, "no such user"},
        {"locked", KDC_PASSWORD, ERR_AUTH, 18, "disabled or locked"},
        {"stale", KDC_PASSWORD, ERR_AUTH, 23, "password has expired"},
        {"gone", KDC_PASSWORD, ERR_AUTH, 1, "account has expired"},
        {"alice@OTHER.LAB", KDC_PASSWORD, ERR_UNREACHABLE, -1, "no KDC"},
        {"alice@NOWHERE.LAB", KDC_PASSWORD, ERR_CONFIG, -1, "no KDC is known"},
        {"NOWHERE\\alice", KDC_PASSWORD, ERR_AUTH, 0, "no realm is known"},
        {"contoso\\alice\\x", KDC_PASSWORD, ERR_AUTH, 0, "no user name"},
        {"contoso\\alice@CONTOSO.LAB", KDC_PASSWORD, ERR_AUTH, 0, "no user name"},
        {"\\alice", KDC_PASSWORD, ERR_AUTH, 0, "no user name"},
        {"alice@", KDC_PASSWORD, ERR_AUTH, 0, "no user name"},
        {"@CONTOSO.LAB", KDC_PASSWORD, ERR_AUTH, 0, "no user name"},
        {"", KDC_PASSWORD, ERR_AUTH, 0, "no user name"},
        {"al\nice", KDC_PASSWORD, ERR_AUTH, 0, "no user name"},
        {"alice", "", ERR_AUTH, 0, "empty"},
    };
    (void)state;
    NEED_KDC();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct krb_login *l = NULL;
        struct errinfo ei;
        enum err e = login(cases[i].user, cases[i].password, &l, &ei);
        if (e != cases[i].err)
            fail_msg("%s: %s, %s (%d)", cases[i].user, err_name(e), ei.what, ei.sys);
        if (e) {
            assert_null(l);
            if (!strstr(ei.what, cases[i].name_or_text) || strstr(ei.what, KDC_PASSWORD))
                fail_msg("%s: %s", cases[i].user, ei.what);
            if (cases[i].code >= 0 && ei.sys != cases[i].code)
                fail_msg("%s: code %d (%s)", cases[i].user, ei.sys, ei.what);
        } else {
            assert_string_equal(krb_login_name(l), cases[i].name_or_text);
            assert_true(krb_login_end(l) > clock_unix() + 3600);
        }
        krb_login_free(&l);
    }
}

/* A wrong password is shown to the KDC once: everything else would lock accounts twice as fast. */
static void test_wrong_password_once(void **state)
{
    (void)state;
    NEED_KDC();
    struct krb_login *l = NULL;
    struct errinfo ei;
    char path[128], line[1024];
    kdc_path(&kdc, "kdc.log", path, sizeof path);
    int before = 0, after = 0;
    for (int round = 0; round < 2; round++) {
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        int n = 0;
        while (fgets(line, sizeof line, f))
            n += strstr(line, "PREAUTH_FAILED") != NULL && strstr(line, "bob@") != NULL;
        fclose(f);
        if (round == 0) {
            before = n;
            assert_int_equal(login("bob", "wrong", &l, &ei), ERR_AUTH);
        } else {
            after = n;
        }
    }
    assert_int_equal(after - before, 1);
}

static void keytab_path(const char *name, char *out, size_t cap)
{
    kdc_path(&kdc, name, out, cap);
}

static void test_keytab(void **state)
{
    (void)state;
    NEED_KDC();
    char path[128];
    struct krb_login *l = NULL;
    struct errinfo ei = {0};
    keytab_path("machine.keytab", path, sizeof path);
    if (krb_login_keytab(&l, "EX13CAS01$", path, &ei))
        fail_msg("%s", ei.what);
    assert_string_equal(krb_login_name(l), "EX13CAS01$@CONTOSO.LAB");
    int64_t end = krb_login_end(l);
    assert_int_equal(krb_login_refresh(l, 60, &ei), ERR_OK); /* not about to end: nothing happens */
    assert_true(krb_login_end(l) == end);
    struct krb_ticket t;
    struct buf token;
    buf_init(&token, 65536);
    assert_int_equal(spnego_token(l, "HTTP", "cas01.contoso.lab", NULL, 0, &token, &ei), ERR_OK);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100 * 1000 * 1000}, NULL);
    assert_int_equal(krb_login_refresh(l, 365 * 86400, &ei), ERR_OK);
    assert_true(krb_login_end(l) > end);
    assert_int_equal(krb_ticket_get(l, "HTTP/cas01.contoso.lab", &t, &ei), ERR_OK);
    buf_reset(&token);
    assert_int_equal(spnego_token(l, "HTTP", "cas01.contoso.lab", NULL, 0, &token, &ei), ERR_OK);
    buf_fini(&token);
    krb_login_free(&l);

    keytab_path("wrong.keytab", path, sizeof path); /* keys from before the last change */
    assert_int_equal(krb_login_keytab(&l, "EX13CAS01$", path, &ei), ERR_AUTH);
    assert_non_null(strstr(ei.what, "wrong password (or key)"));
    assert_int_equal(krb_login_keytab(&l, "alice", path, &ei), ERR_AUTH);
    assert_non_null(strstr(ei.what, "no key"));
    assert_int_equal(krb_login_keytab(&l, "alice", "/proc/nonexistent/keytab", &ei), ERR_CONFIG);
    assert_null(l);
}

static void test_tickets(void **state)
{
    static const struct {
        const char *spn;
        enum err err;
        int etype, error;
    } cases[] = {
        {"HTTP/cas01.contoso.lab", ERR_OK, 18, 0},
        {"HTTP/cas01.contoso.lab@CONTOSO.LAB", ERR_OK, 18, 0},
        {"HTTP/old.contoso.lab", ERR_OK, 23, 0},
        {"HTTP/absent.contoso.lab", ERR_AUTH, 0, 7},
        {"HTTP/nowhere.example", ERR_AUTH, 0, 7},
        {"HTTP", ERR_INPUT, 0, 0},
        {"HTTP/", ERR_INPUT, 0, 0},
        {"HTTP/a b", ERR_INPUT, 0, 0},
        {"HTTP/a\\@b", ERR_INPUT, 0, 0},
    };
    (void)state;
    NEED_KDC();
    struct krb_login *l = NULL;
    struct errinfo ei;
    assert_int_equal(login("alice", KDC_PASSWORD, &l, &ei), ERR_OK);
    for (int round = 0; round < 2; round++) { /* the second round finds them cached */
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            struct krb_ticket t;
            enum err e = krb_ticket_get(l, cases[i].spn, &t, &ei);
            if (e != cases[i].err || t.etype != cases[i].etype || t.error != cases[i].error)
                fail_msg("%s: %s, etype %d, error %d: %s", cases[i].spn, err_name(e), t.etype, t.error,
                         e ? ei.what : "");
            if (!e) {
                assert_true(t.end_time > clock_unix());
                assert_true(t.kvno >= 1);
                assert_string_equal(t.spn, cases[i].spn);
            }
        }
    }
    assert_string_equal(krb_etype_name(23), "rc4-hmac");
    assert_true(krb_etype_is_weak(23) && krb_etype_is_weak(3) && !krb_etype_is_weak(18) &&
                !krb_etype_is_weak(20));
    assert_string_equal(krb_error_words(37), "the clocks differ by more than the KDC allows");
    krb_login_free(&l);
}

static OM_uint32 accept_token(const struct buf *token, const void *binding, size_t len, char *client,
                              size_t cap)
{
    return kdc_accept(&kdc, "cas01.keytab", token->data, token->len, binding, len, client, cap);
}

static void test_token(void **state)
{
    (void)state;
    NEED_KDC();
    struct krb_login *l = NULL;
    struct errinfo ei;
    struct buf t;
    char client[128] = "";
    assert_int_equal(login("alice", KDC_PASSWORD, &l, &ei), ERR_OK);
    buf_init(&t, 65536);
    assert_int_equal(spnego_token(l, "HTTP", "cas01.contoso.lab", NULL, 0, &t, &ei), ERR_OK);
    assert_int_equal((unsigned char)t.data[0], 0x60); /* SPNEGO's outer tag, RFC 4178 */
    assert_int_equal(accept_token(&t, NULL, 0, client, sizeof client), 0);
    assert_string_equal(client, "alice@CONTOSO.LAB");
    buf_reset(&t);
    assert_int_equal(spnego_token(l, "HTTP", "cas01.contoso.lab", "0123456789abcdef", 16, &t, &ei), ERR_OK);
    assert_int_equal(accept_token(&t, "0123456789abcdef", 16, NULL, 0), 0);
    assert_int_not_equal(accept_token(&t, "another hash....", 16, NULL, 0), 0);
    buf_reset(&t);
    assert_int_equal(spnego_token(l, "HTTP", "absent.contoso.lab", NULL, 0, &t, &ei), ERR_AUTH);
    assert_int_equal(ei.sys, 7);
    assert_int_equal(t.len, 0);
    assert_int_equal(spnego_token(l, "HTTP", "a/b", NULL, 0, &t, &ei), ERR_INPUT);
    buf_fini(&t);
    krb_login_free(&l);
}

/* With the ticket cached no KDC is needed, whatever realm mapping the name has. */
static void test_token_without_kdc(void **state)
{
    (void)state;
    NEED_KDC();
    struct krb_login *l = NULL;
    struct errinfo ei;
    struct krb_ticket t;
    struct buf b;
    buf_init(&b, 65536);
    assert_int_equal(login("alice", KDC_PASSWORD, &l, &ei), ERR_OK);
    assert_int_equal(krb_ticket_get(l, "HTTP/cas01.contoso.lab", &t, &ei), ERR_OK);
    char path[128], old[256];
    str_copy(old, sizeof old, getenv("KRB5_CONFIG"));
    assert_true(kdc_write(&kdc, "dead.conf",
                          "[libdefaults]\n default_realm = CONTOSO.LAB\n dns_lookup_kdc = false\n"
                          "[realms]\n CONTOSO.LAB = {\n  kdc = 127.0.0.1:1\n }\n"
                          "[domain_realm]\n .contoso.lab = CONTOSO.LAB\n"));
    kdc_path(&kdc, "dead.conf", path, sizeof path);
    setenv("KRB5_CONFIG", path, 1);
    assert_int_equal(spnego_token(l, "HTTP", "cas01.contoso.lab", NULL, 0, &b, &ei), ERR_OK);
    assert_int_equal(krb_ticket_get(l, "HTTP/old.contoso.lab", &t, &ei), ERR_UNREACHABLE);
    assert_int_equal(t.error, 0);
    assert_int_equal(spnego_token(l, "HTTP", "old.contoso.lab", NULL, 0, &b, &ei), ERR_UNREACHABLE);
    struct krb_login *none = NULL;
    assert_int_equal(login("alice", KDC_PASSWORD, &none, &ei), ERR_UNREACHABLE);
    setenv("KRB5_CONFIG", old, 1);
    buf_fini(&b);
    krb_login_free(&l);
}

static void test_default_and_setup(void **state)
{
    (void)state;
    NEED_KDC();
    struct krb_login *l = NULL;
    struct errinfo ei = {0};
    char path[128];
    struct krb_ticket t;
    assert_int_equal(krb_login_default(&l, &ei), ERR_AUTH); /* the cache is not there */
    assert_non_null(strstr(ei.what, "no Kerberos ticket"));
    assert_non_null(strstr(ei.hint, "kinit"));
    struct profile p = {0};
    keytab_path("machine.keytab", path, sizeof path);
    assert_int_equal(profile_set(&p, PROFILE_krb5_principal, "EX13CAS01$", &ei), ERR_OK);
    assert_int_equal(profile_set(&p, PROFILE_krb5_keytab, path, &ei), ERR_OK);
    char before[256];
    str_copy(before, sizeof before, getenv("KRB5CCNAME"));
    if (krb_setup(&p, &ei))
        fail_msg("%s", ei.what);
    assert_int_equal(strncmp(getenv("KRB5CCNAME"), "MEMORY:", 7), 0);
    if (krb_login_default(&l, &ei))
        fail_msg("%s", ei.what);
    assert_string_equal(krb_login_name(l), "EX13CAS01$@CONTOSO.LAB");
    assert_int_equal(krb_ticket_get(l, "HTTP/cas01.contoso.lab", &t, &ei), ERR_OK);
    int64_t end = krb_login_end(l);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100 * 1000 * 1000}, NULL);
    assert_int_equal(krb_login_refresh(l, 365 * 86400, &ei), ERR_OK);
    assert_true(krb_login_end(l) > end);
    krb_login_free(&l);
    profile_fini(&p);
    struct profile none = {0};
    assert_int_equal(krb_setup(&none, &ei), ERR_OK);
    setenv("KRB5CCNAME", before, 1);
}

struct worker {
    struct krb_login *login;
    int failures;
};

static void *hammer(void *arg)
{
    struct worker *w = arg;
    struct buf b;
    struct krb_ticket t;
    buf_init(&b, 65536);
    for (int i = 0; i < 20; i++) {
        buf_reset(&b);
        w->failures += spnego_token(w->login, "HTTP", "cas01.contoso.lab", NULL, 0, &b, NULL) != ERR_OK;
        w->failures += krb_ticket_get(w->login, "HTTP/old.contoso.lab", &t, NULL) != ERR_OK;
        if (i % 5 == 0)
            w->failures += krb_login_refresh(w->login, 365 * 86400, NULL) != ERR_OK;
    }
    buf_fini(&b);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    NEED_KDC();
    char path[128];
    struct krb_login *l = NULL;
    struct errinfo ei = {0};
    keytab_path("machine.keytab", path, sizeof path);
    assert_int_equal(krb_login_keytab(&l, "EX13CAS01$@CONTOSO.LAB", path, &ei), ERR_OK);
    pthread_t ids[4];
    struct worker w[4];
    for (size_t i = 0; i < 4; i++) {
        w[i] = (struct worker){krb_login_ref(l), 0};
        assert_int_equal(pthread_create(&ids[i], NULL, hammer, &w[i]), 0);
    }
    krb_login_free(&l);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(ids[i], NULL);
        assert_int_equal(w[i].failures, 0);
        krb_login_free(&w[i].login);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_wrong_password_once),
        cmocka_unit_test(test_keytab),
        cmocka_unit_test(test_tickets),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_token_without_kdc),
        cmocka_unit_test(test_default_and_setup),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
