/* core/directory over LDAP: against a controller of the test's own that pages, cuts, refuses, falls silent. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/directory/directory.h"
#include "core/directory/ldap_session.h"
#include "core/directory/mailbox.h"
#include "tests/unit/fake_ldap.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

struct lab {
    struct fake fake;
    struct profile profile;
    char source[64];
};

static void lab_start(struct lab *l)
{
    struct errinfo ei;
    setenv("CASBRIDGE_TEST_PASSWORD", "secret", 1);
    l->profile = (struct profile){0};
    assert_int_equal(profile_set(&l->profile, PROFILE_ldap_user, "CN=reader,DC=contoso,DC=lab", &ei), ERR_OK);
    assert_int_equal(profile_set(&l->profile, PROFILE_ldap_password, "env:CASBRIDGE_TEST_PASSWORD", &ei),
                     ERR_OK);
    assert_int_equal(fake_start(&l->fake), 0);
    str_fmt(l->source, sizeof l->source, "ldap://127.0.0.1:%u", l->fake.port);
}

static void lab_stop(struct lab *l)
{
    fake_stop(&l->fake);
    profile_fini(&l->profile);
}

static enum err lab_read(struct lab *l, struct org **org, struct errinfo *ei)
{
    struct stop stop;
    stop_init(&stop, 20000, NULL);
    *ei = (struct errinfo){0};
    return directory_read(org, &l->profile, l->source, &stop, ei);
}

static bool noted(const struct org *o, const char *text)
{
    for (size_t i = 0; i < o->n_notes; i++)
        if (strstr(o->notes[i].text, text))
            return true;
    return false;
}

static void pages_are_followed(void **state)
{
    (void)state;
    struct lab l = {.fake = {.servers = 25, .page = 10}};
    struct errinfo ei;
    struct org *org = NULL;
    lab_start(&l);
    assert_int_equal(lab_read(&l, &org, &ei), ERR_OK);
    assert_int_equal(org->n_servers, 25);
    assert_string_equal(org->controller, "dc1.contoso.lab");
    assert_string_equal(org->source, l.source);
    assert_string_equal(org->name, "Contoso");
    assert_string_equal(org_server(org, "ex0024.contoso.lab")->name, "EX0024");
    assert_int_equal(org_server(org, "EX0000")->n_spns, 1);
    assert_int_equal(l.fake.connections, 1);
    assert_int_equal(l.fake.unpaged, 0);
    assert_false(noted(org, "only a part"));
    org_free(&org);
    lab_stop(&l);
}

/* servicePrincipalName;range=0-1, then ;range=2-* */
static void ranges_are_completed(void **state)
{
    (void)state;
    struct lab l = {.fake = {.servers = 1, .page = 10, .spns = 3, .range = 2}};
    struct errinfo ei;
    struct org *org = NULL;
    lab_start(&l);
    assert_int_equal(lab_read(&l, &org, &ei), ERR_OK);
    assert_int_equal(org->servers[0].n_spns, 3);
    assert_string_equal(org->servers[0].spns[2], "HOST/2");
    org_free(&org);
    lab_stop(&l);
}

static void a_lost_controller_is_asked_again(void **state)
{
    (void)state;
    struct lab l = {.fake = {.servers = 25, .page = 10, .lose_after = 15, .lose_times = 1}};
    struct errinfo ei;
    struct org *org = NULL;
    lab_start(&l);
    assert_int_equal(lab_read(&l, &org, &ei), ERR_OK);
    assert_int_equal(org->n_servers, 25);
    assert_int_equal(l.fake.connections, 2);
    assert_false(noted(org, "only a part"));
    org_free(&org);
    lab_stop(&l);
}

static unsigned warnings;

static void count_warning(void *arg, enum log_level level, const char *line)
{
    (void)arg, (void)line;
    warnings += level == LOG_LEVEL_WARNING;
}

static void lost_for_good_leaves_a_part(void **state)
{
    (void)state;
    struct lab l = {.fake = {.servers = 25, .page = 10, .lose_after = 15, .lose_times = 99}};
    struct errinfo ei;
    struct org *org = NULL;
    lab_start(&l);
    warnings = 0;
    log_set_sink(count_warning, NULL);
    assert_int_equal(lab_read(&l, &org, &ei), ERR_OK);
    log_set_sink(NULL, NULL);
    assert_int_equal(org->n_servers, 15);
    assert_true(noted(org, "only a part is here"));
    assert_int_equal(warnings, 1);
    org_free(&org);
    lab_stop(&l);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        struct fake fake;
        enum err code;
        const char *what, *hint;
    } rows[] = {
        {{.bind_code = 49,
          .bind_text =
              "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1"},
         ERR_AUTH,
         "wrong password",
         "kinit"},
        {{.bind_code = 49, .bind_text = "80090308: LdapErr: x, data 525, v1db1"},
         ERR_AUTH,
         "no such user",
         ""},
        {{.bind_code = 49, .bind_text = "80090308: LdapErr: x, data 532, v1db1"},
         ERR_AUTH,
         "has expired",
         ""},
        {{.bind_code = 49, .bind_text = "80090308: LdapErr: x, data 533, v1db1"}, ERR_AUTH, "disabled", ""},
        {{.bind_code = 49, .bind_text = "80090308: LdapErr: x, data 775, v1db1"}, ERR_AUTH, "locked", ""},
        {{.bind_code = 8, .bind_text = "Transport encryption required."},
         ERR_AUTH,
         "wants a protected connection",
         "ldaps://"},
        {{.bind_code = 53, .bind_text = "no"}, ERR_AUTH, "refused the login", ""},
        {{.no_ad = true}, ERR_PROTOCOL, "no Active Directory", "--source"},
        {{.servers = 3, .page = 10, .org_code = 4}, ERR_PROTOCOL, "size limit", "paged"},
        {{.servers = 3, .page = 10, .org_code = 50}, ERR_DENIED, "no permission", "View-Only"},
        {{.servers = 0, .page = 10}, ERR_DENIED, "not one server", "View-Only"},
        {{.garbage = true}, ERR_UNREACHABLE, "the connection was lost", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct lab l;
        struct errinfo ei;
        struct org *org = NULL;
        memcpy(&l.fake, &rows[i].fake, sizeof l.fake);
        lab_start(&l);
        assert_int_equal(lab_read(&l, &org, &ei), rows[i].code);
        assert_null(org);
        assert_int_equal(ei.code, rows[i].code);
        assert_non_null(strstr(ei.what, rows[i].what));
        assert_non_null(strstr(ei.hint, rows[i].hint));
        lab_stop(&l);
    }
}

static void what_can_be_missing_is_a_note(void **state)
{
    (void)state;
    struct lab l = {.fake = {.servers = 2, .page = 10, .sites_code = 50}};
    struct errinfo ei;
    struct org *org = NULL;
    lab_start(&l);
    assert_int_equal(lab_read(&l, &org, &ei), ERR_OK);
    assert_int_equal(org->n_servers, 2);
    assert_true(noted(org, "reading the sites: no permission"));
    org_free(&org);
    lab_stop(&l);
}

static void silence_ends_with_the_deadline(void **state)
{
    (void)state;
    struct lab l = {.fake = {.silent = true}};
    struct errinfo ei;
    struct org *org = NULL;
    struct stop stop;
    lab_start(&l);
    stop_init(&stop, 300, NULL);
    assert_int_equal(directory_read(&org, &l.profile, l.source, &stop, &ei), ERR_TIMEOUT);
    assert_non_null(strstr(ei.what, "timed out"));
    stop_init(&stop, 0, NULL);
    stop_raise(&stop);
    assert_int_equal(directory_read(&org, &l.profile, l.source, &stop, &ei), ERR_INTERRUPTED);
    lab_stop(&l);
    assert_int_equal(lab_read(&l, &org, &ei), ERR_UNREACHABLE); /* nobody listens any more */
    assert_non_null(strstr(ei.what, "refused"));
}

static void a_simple_bind_needs_a_password(void **state)
{
    (void)state;
    struct lab l = {.fake = {.servers = 1, .page = 10}};
    struct errinfo ei;
    struct org *org = NULL;
    lab_start(&l);
    setenv("CASBRIDGE_TEST_PASSWORD", "", 1);
    assert_int_not_equal(lab_read(&l, &org, &ei), ERR_OK);
    assert_int_equal(l.fake.searches, 0);
    lab_stop(&l);
}

static void mailboxes_and_attributes(void **state)
{
    (void)state;
    struct lab l = {.fake = {.servers = 1, .page = 10, .users = 1}};
    struct errinfo ei;
    struct org *org = NULL;
    struct directory *d = NULL;
    struct mailbox m;
    struct directory_values v;
    lab_start(&l);
    assert_int_equal(lab_read(&l, &org, &ei), ERR_OK);
    assert_int_equal(directory_open(&d, &l.profile, l.source, NULL, &ei), ERR_OK);
    assert_string_equal(directory_controller(d), "dc1.contoso.lab");
    assert_int_equal(directory_mailbox(d, org, "al*(ice)@contoso.com", &m, NULL, &ei), ERR_OK);
    assert_string_equal(m.mail, "alice@contoso.com");
    assert_string_equal(m.sam, "alice");
    assert_non_null(
        strstr(l.fake.filter_seen, "proxyAddresses")); /* unescaped by libldap: it came through as data */
    assert_non_null(strstr(l.fake.filter_seen, "smtp:al*(ice)@contoso.com"));
    assert_int_equal(directory_attribute(d, "CN=x,DC=contoso,DC=lab", "URL", &v, NULL, &ei), ERR_OK);
    assert_int_equal(v.n, 2);
    assert_string_equal(v.v[1], "2");
    directory_values_free(&v);
    assert_int_equal(directory_attribute(d, "CN=x,DC=contoso,DC=lab", "mail", &v, NULL, &ei), ERR_OK);
    assert_int_equal(v.n, 0);
    directory_values_free(&v);
    assert_int_equal(directory_attribute(d, "CN=gone,DC=contoso,DC=lab", "url", &v, NULL, &ei), ERR_NOTFOUND);
    l.fake.users = 2;
    assert_int_equal(directory_mailbox(d, org, "alice", &m, NULL, &ei), ERR_INPUT);
    l.fake.users = 0;
    assert_int_equal(directory_mailbox(d, org, "alice", &m, NULL, &ei), ERR_NOTFOUND);
    l.fake.users = 1;
    l.fake.garbage = true; /* the connection breaks: a new one is made, once */
    int before = l.fake.connections;
    assert_int_equal(directory_mailbox(d, org, "alice", &m, NULL, &ei), ERR_UNREACHABLE);
    assert_int_equal(l.fake.connections, before + 1);
    l.fake.garbage = false;
    assert_int_equal(directory_mailbox(d, org, "alice", &m, NULL, &ei), ERR_OK);
    directory_close(&d);
    directory_close(&d);
    org_free(&org);
    lab_stop(&l);
}

static void filters(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Alice@Contoso.com", "(|(userPrincipalName=alice@contoso.com)(mail=alice@contoso.com)("
                              "proxyAddresses=smtp:alice@contoso.com))"},
        {"smtp:a@b", "(|(userPrincipalName=a@b)(mail=a@b)(proxyAddresses=smtp:a@b))"},
        {"CONTOSO\\bob", "(sAMAccountName=bob)"},
        {"bob", "(sAMAccountName=bob)"},
        {"/o=A (x)/cn=b",
         "(|(legacyExchangeDN=/o=a \\28x\\29/cn=b)(proxyAddresses=x500:/o=a \\28x\\29/cn=b))"},
        {"x500:/o=A", "(|(legacyExchangeDN=/o=a)(proxyAddresses=x500:/o=a))"},
        {"03020100-0504-0706-0809-0A0b0c0d0e0f",
         "(msExchMailboxGuid=\\00\\01\\02\\03\\04\\05\\06\\07\\08\\09\\0a\\0b\\0c\\0d\\0e\\0f)"},
        {"{03020100-0504-0706-0809-0a0b0c0d0e0f}",
         "(msExchMailboxGuid=\\00\\01\\02\\03\\04\\05\\06\\07\\08\\09\\0a\\0b\\0c\\0d\\0e\\0f)"},
        {"03020100-0504-0706-0809-0a0b0c0d0e0f@contoso.com",
         "(msExchMailboxGuid=\\00\\01\\02\\03\\04\\05\\06\\07\\08\\09\\0a\\0b\\0c\\0d\\0e\\0f)"},
        {"03020100-0504-0706-0809-0a0b0c0d0e0fz", "(sAMAccountName=03020100-0504-0706-0809-0a0b0c0d0e0fz)"},
        {"a*)(b\xc3\xb6", "(sAMAccountName=a\\2a\\29\\28b\\c3\\b6)"},
    };
    static const char *const bad[] = {"",      "\\",    "A\\B\\c",
                                      "smtp:", "x500:", "{03020100-0504-0706-0809-0a0b0c0d0e0f"};
    struct mailbox_key k;
    struct errinfo ei;
    struct buf b;
    buf_init(&b, 4000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_reset(&b);
        assert_int_equal(mailbox_key_parse(&k, rows[i][0], &ei), ERR_OK);
        assert_int_equal(mailbox_key_filter(&k, &b), ERR_OK);
        char expected[400];
        str_fmt(expected, sizeof expected, "(&(objectClass=user)%s)", rows[i][1]);
        assert_string_equal(buf_str(&b), expected);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(mailbox_key_parse(&k, bad[i], &ei), ERR_INPUT);
    buf_fini(&b);
}

static void mailboxes_in_an_export(void **state)
{
    (void)state;
    static const char *const alice[] = {"alice",
                                        "ALICE@contoso.lab",
                                        "alice@old.contoso.com",
                                        "X\\alice",
                                        "/o=contoso/ou=x/cn=recipients/cn=ALICE",
                                        "x500:/o=Old/cn=alice",
                                        "03020100-0504-0706-0809-0a0b0c0d0e0f@any"};
    static const char source[] = "ldif:tests/unit/data/org.ldif";
    struct errinfo ei;
    struct org *org = NULL;
    struct directory *d = NULL;
    struct mailbox m;
    struct directory_values v;
    assert_int_equal(directory_read(&org, NULL, source, NULL, &ei), ERR_OK);
    assert_int_equal(directory_open(&d, NULL, source, NULL, &ei), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(alice); i++) {
        assert_int_equal(directory_mailbox(d, org, alice[i], &m, NULL, &ei), ERR_OK);
        assert_string_equal(m.user, "alice@contoso.lab");
        assert_string_equal(m.mail, "alice@contoso.com");
        assert_string_equal(m.guid, "03020100-0504-0706-0809-0a0b0c0d0e0f");
        assert_string_equal(m.database->name, "DB01");
        assert_string_equal(m.server->name, "EX13MBX01");
        assert_int_equal(m.generation, GENERATION_2013);
        assert_string_equal(m.site->name, "Barcelona");
        assert_false(m.is_disabled);
    }
    assert_int_equal(directory_mailbox(d, org, "bob@contoso.lab", &m, NULL, &ei), ERR_OK);
    assert_null(m.database); /* msExchHomeServerName alone */
    assert_string_equal(m.server->name, "E2K7CAS01");
    assert_true(m.is_disabled);
    assert_string_equal(m.guid, "");
    assert_int_equal(directory_mailbox(d, org, "shared@contoso.com", &m, NULL, &ei), ERR_INPUT);
    assert_non_null(strstr(ei.what, "Alice"));
    assert_int_equal(directory_mailbox(d, org, "EXCAS01$", &m, NULL, &ei),
                     ERR_NOTFOUND); /* a computer is nobody */
    assert_int_equal(directory_mailbox(d, org, "nobody@contoso.lab", &m, NULL, &ei), ERR_NOTFOUND);
    assert_int_equal(directory_attribute(d, "cn=alice example, cn=users, dc=contoso, dc=lab",
                                         "proxyaddresses", &v, NULL, &ei),
                     ERR_OK);
    assert_int_equal(v.n, 4);
    directory_values_free(&v);
    assert_int_equal(directory_attribute(d, "CN=nobody", "mail", &v, NULL, &ei), ERR_NOTFOUND);
    directory_close(&d);
    org_free(&org);
}

/* An answer with two SRV records, the second name by a pointer into the question; then every cut of it. */
static void srv_records(void **state)
{
    (void)state;
    static const unsigned char answer[] = "\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0"
                                          "\x05_ldap\x04_tcp\x07"
                                          "contoso\x03lab\0\0\x21\0\x01"
                                          "\xc0\x0c\0\x21\0\x01\0\0\0\x3c\0\x0c\0\x0a\0\x64\x01\x85\x03"
                                          "dc1\xc0\x17"
                                          "\xc0\x0c\0\x21\0\x01\0\0\0\x3c\0\x0c\0\0\0\x01\x01\x86\x03"
                                          "dc2\xc0\x17";
    struct ldap_target t[4];
    size_t n;
    assert_true(ldap_parse_srv(answer, sizeof answer - 1, t, 4, &n));
    assert_int_equal(n, 2);
    assert_string_equal(t[0].host, "dc1.contoso.lab");
    assert_int_equal(t[0].port, 389);
    assert_int_equal(t[0].priority, 10);
    assert_string_equal(t[1].host, "dc2.contoso.lab");
    assert_int_equal(t[1].port, 390);
    assert_true(ldap_parse_srv(answer, sizeof answer - 1, t, 1, &n));
    assert_int_equal(n, 1);
    for (size_t len = 0; len < sizeof answer - 1; len++) {
        unsigned char *copy = malloc(len ? len : 1);
        assert_non_null(copy);
        memcpy(copy, answer, len);
        assert_false(ldap_parse_srv(copy, len, t, 4, &n));
        free(copy);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_followed),
        cmocka_unit_test(ranges_are_completed),
        cmocka_unit_test(a_lost_controller_is_asked_again),
        cmocka_unit_test(lost_for_good_leaves_a_part),
        cmocka_unit_test(refusals),
        cmocka_unit_test(what_can_be_missing_is_a_note),
        cmocka_unit_test(silence_ends_with_the_deadline),
        cmocka_unit_test(a_simple_bind_needs_a_password),
        cmocka_unit_test(mailboxes_and_attributes),
        cmocka_unit_test(filters),
        cmocka_unit_test(mailboxes_in_an_export),
        cmocka_unit_test(srv_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
