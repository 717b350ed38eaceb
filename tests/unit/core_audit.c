/* The audit of service names: states, problems, guesses, and the lines for an admin. Then the same through spn-unique. */
#include "core/audit/spn.h"

#include "tests/unit/rules_check.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/directory/spn.h"

#define WHEN (BUILDER_TIME + 100)

/* One owner in a table of owners; name NULL ends it. */
struct own {
    const char *host, *server, *spn, *account;
    uint32_t enctypes; /* 0: not set */
    bool disabled, partial_forest;
    const char *other;
};

static void add_owner(struct evidence *e, const struct own *w, int64_t at)
{
    struct observation *o = evidence_add(e, OBSERVATION_SPN, EVIDENCE_DIRECTORY);
    assert_non_null(o);
    o->server = w->server;
    o->by_name = w->host;
    o->step = "spn-owner";
    o->at = at;
    o->outcome = w->spn ? OUTCOME_OK : OUTCOME_FAILED;
    o->u.spn.whole_forest = !w->partial_forest;
    o->subject = w->spn ? arena_fmt(&e->arena, "%s on %s", w->spn, w->account) : w->host;
    if (!w->spn)
        return;
    o->u.spn.spn = w->spn;
    o->u.spn.account = w->account;
    o->u.spn.dn = arena_fmt(&e->arena, "CN=%.*s,CN=Computers,DC=contoso,DC=lab",
                            (int)strcspn(w->account, "$"), w->account);
    o->u.spn.is_computer = strchr(w->account, '$') != NULL;
    o->u.spn.is_alias = str_istarts(w->spn, "host/");
    o->u.spn.is_disabled = w->disabled;
    o->u.spn.has_enctypes = w->enctypes != 0;
    o->u.spn.enctypes = w->enctypes;
    o->u.spn.pwd_last_set = BUILDER_TIME - 86400;
    if (w->other) {
        o->u.spn.others = arena_array(&e->arena, 1, sizeof *o->u.spn.others);
        o->u.spn.others[0] = w->other;
        o->u.spn.n_others = 1;
    }
}

static void add_ticket(struct evidence *e, const char *host, const char *server, int etype, int error)
{
    struct observation *o = evidence_add(e, OBSERVATION_TICKET, EVIDENCE_KERBEROS);
    assert_non_null(o);
    o->server = server;
    o->step = "ticket";
    o->by_name = host;
    o->subject = "HTTP";
    o->at = WHEN;
    o->outcome = error ? OUTCOME_FAILED : OUTCOME_OK;
    o->u.ticket.etype = etype;
    o->u.ticket.error = error;
}

#define CAS01 .host = "excas01.contoso.lab", .server = "EXCAS01"
#define MAIL  .host = "mail.contoso.lab", .server = NULL

static const struct {
    const char *what;
    struct own owners[4];
    const char *name; /* the row looked at */
    enum spn_state state;
    int problems;
    char rule;           /* of spn-unique: for the server, or the organisation */
    const char *command; /* the first one begins so; NULL: none */
} cases[] = {
    {"HOST serves",
     {{CAS01, "HOST/excas01.contoso.lab", "EXCAS01$", 28}},
     "excas01.contoso.lab",
     SPN_ALIAS,
     0,
     'P',
     NULL},
    {"its own http",
     {{CAS01, "HTTP/excas01.contoso.lab", "EXCAS01$", 28},
      {CAS01, "HOST/excas01.contoso.lab", "EXCAS01$", 28}},
     "excas01.contoso.lab",
     SPN_OK,
     0,
     'P',
     NULL},
    {"http on another",
     {{CAS01, "http/excas01.contoso.lab", "WEB01$", 28}, {CAS01, "HOST/excas01.contoso.lab", "EXCAS01$", 28}},
     "excas01.contoso.lab",
     SPN_FOREIGN,
     0,
     'F',
     "setspn -D http/excas01.contoso.lab WEB01$"},
    {"two of them",
     {{CAS01, "http/excas01.contoso.lab", "WEB01$", 28}, {CAS01, "HTTP/excas01.contoso.lab", "EXCAS01$", 28}},
     "excas01.contoso.lab",
     SPN_DUPLICATE,
     0,
     'F',
     "setspn -D http/excas01.contoso.lab WEB01$"},
    {"two HOST",
     {{CAS01, "host/excas01.contoso.lab", "OLD01$", 28}, {CAS01, "HOST/excas01.contoso.lab", "EXCAS01$", 28}},
     "excas01.contoso.lab",
     SPN_DUPLICATE,
     0,
     'F',
     "setspn -D host/excas01.contoso.lab OLD01$"},
    {"nobody", {{CAS01, NULL, NULL}}, "excas01.contoso.lab", SPN_MISSING, 0, 'F', "setspn -R EXCAS01"},
    {"not the whole forest",
     {{CAS01, NULL, NULL, .partial_forest = true}},
     "excas01.contoso.lab",
     SPN_MISSING,
     0,
     'U',
     "setspn -R EXCAS01"},
    {"one, in a part",
     {{CAS01, "HOST/excas01.contoso.lab", "EXCAS01$", 28, .partial_forest = true}},
     "excas01.contoso.lab",
     SPN_ALIAS,
     0,
     'U',
     NULL},
    {"namespace on one",
     {{MAIL, "http/mail.contoso.lab", "EXCHASA$", 24}},
     "mail.contoso.lab",
     SPN_OK,
     0,
     'P',
     NULL},
    {"namespace on two",
     {{MAIL, "http/mail.contoso.lab", "EXCHASA$", 24}, {MAIL, "HTTP/mail.contoso.lab", "WEB01$", 24}},
     "mail.contoso.lab",
     SPN_DUPLICATE,
     0,
     'F',
     "setspn -D HTTP/mail.contoso.lab WEB01$"},
    {"namespace on two unknown",
     {{MAIL, "http/mail.contoso.lab", "WEB02$", 24}, {MAIL, "HTTP/mail.contoso.lab", "WEB01$", 24}},
     "mail.contoso.lab",
     SPN_DUPLICATE,
     0,
     'F',
     "rem choose"},
    {"namespace on nobody",
     {{MAIL, NULL, NULL}},
     "mail.contoso.lab",
     SPN_MISSING,
     0,
     'F',
     "rem setspn -S http/mail.contoso.lab"},
    {"namespace on one of several servers",
     {{MAIL, "http/mail.contoso.lab", "EXCAS01$", 28}},
     "mail.contoso.lab",
     SPN_OK,
     SPN_ONE_SERVER,
     'P',
     NULL},
    {"RC4 only",
     {{MAIL, "http/mail.contoso.lab", "EXCHASA$", 4}},
     "mail.contoso.lab",
     SPN_OK,
     SPN_RC4_ONLY,
     'P',
     NULL},
    {"DES",
     {{MAIL, "http/mail.contoso.lab", "EXCHASA$", 3}},
     "mail.contoso.lab",
     SPN_OK,
     SPN_DES | SPN_NO_AES,
     'P',
     NULL},
    {"DES beside AES",
     {{MAIL, "http/mail.contoso.lab", "EXCHASA$", 31}},
     "mail.contoso.lab",
     SPN_OK,
     SPN_DES,
     'P',
     NULL},
    {"not set",
     {{MAIL, "http/mail.contoso.lab", "svc-mail", 0}},
     "mail.contoso.lab",
     SPN_OK,
     SPN_ETYPES_UNSET,
     'P',
     NULL},
    {"disabled",
     {{MAIL, "http/mail.contoso.lab", "EXCHASA$", 24, .disabled = true}},
     "mail.contoso.lab",
     SPN_OK,
     SPN_DISABLED,
     'P',
     NULL},
    {"tampered",
     {{CAS01, "http/excas01.contoso.lab", "X & del *$", 28}},
     "excas01.contoso.lab",
     SPN_FOREIGN,
     0,
     'F',
     "rem by hand"},
};

static const struct spn_row *row(const struct spn_audit *a, const char *name)
{
    for (size_t i = 0; i < a->n_rows; i++)
        if (str_ieq(a->rows[i].name, name))
            return &a->rows[i];
    return NULL;
}

static void audit(struct bench *t, struct spn_audit *a)
{
    static const char *const names[] = {"mail.contoso.lab"};
    struct errinfo ei = {0};
    t->org = org_end(&t->b);
    const struct spn_input in = {
        .org = t->org, .evidence = &t->evidence, .namespaces = names, .n_namespaces = 1, .now = NOW};
    assert_int_equal(spn_audit(&in, a, &ei), ERR_OK);
}

static void test_states(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        struct spn_audit a;
        bench_init(&t, true);
        for (size_t k = 0; k < 4 && cases[i].owners[k].host; k++)
            add_owner(&t.evidence, &cases[i].owners[k], WHEN);
        audit(&t, &a);
        const struct spn_row *r = row(&a, cases[i].name);
        if (r->state != cases[i].state || r->problems != cases[i].problems)
            fail_msg("%s: %s, problems %x", cases[i].what, spn_state_name(r->state), (unsigned)r->problems);
        bool plain = r->state == SPN_OK || r->state == SPN_ALIAS;
        assert_int_equal(spn_row_is_bad(r), !plain || (r->problems & SPN_BAD));
        if ((cases[i].command == NULL) != (a.n_commands == 0) ||
            (cases[i].command && !str_istarts(a.commands[0].text, cases[i].command)))
            fail_msg("%s: %s", cases[i].what, a.n_commands ? a.commands[0].text : "no command");
        for (size_t k = 0; k < a.n_commands; k++)
            assert_true(str_istarts(a.commands[k].text, "rem ") ||
                        !strpbrk(a.commands[k].text, "&|<>^%\"'\n"));
        spn_audit_fini(&a);
        bench_run(&t);
        if (said(&t, "spn-unique", cases[i].owners[0].server) != cases[i].rule)
            fail_msg("%s: spn-unique says %c", cases[i].what,
                     said(&t, "spn-unique", cases[i].owners[0].server));
        bench_fini(&t);
    }
}

static void test_newest_look_up_counts(void **state)
{
    (void)state;
    struct bench t;
    struct spn_audit a;
    const struct own before[] = {{MAIL, "http/mail.contoso.lab", "EXCHASA$", 24},
                                 {MAIL, "HTTP/mail.contoso.lab", "WEB01$", 24}};
    bench_init(&t, true);
    add_owner(&t.evidence, &before[0], WHEN);
    add_owner(&t.evidence, &before[1], WHEN);
    add_owner(&t.evidence, &before[0], WHEN + 60);
    audit(&t, &a);
    assert_int_equal(row(&a, "mail.contoso.lab")->state, SPN_OK);
    assert_int_equal(row(&a, "excas01.contoso.lab")->state, SPN_UNKNOWN);
    assert_true(a.looked && a.whole_forest && a.at == WHEN + 60);
    spn_audit_fini(&a);
    bench_fini(&t);
}

static void test_tickets(void **state)
{
    (void)state;
    static const struct {
        uint32_t enctypes;
        int etype, error, problems;
    } rows[] = {
        {28, 18, 0, 0},
        {0, 18, 0, 0}, /* nothing set, and the KDC's default is a good one */
        {0, 23, 0, SPN_ETYPES_UNSET | SPN_WEAK_TICKET},
        {28, 23, 0, SPN_WEAK_TICKET},
        {28, 0, 7, SPN_NO_TICKET},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bench t;
        struct spn_audit a;
        const struct own w = {MAIL, "http/mail.contoso.lab", "EXCHASA$", rows[i].enctypes};
        bench_init(&t, true);
        add_owner(&t.evidence, &w, WHEN);
        add_ticket(&t.evidence, "mail.contoso.lab", NULL, rows[i].etype, rows[i].error);
        audit(&t, &a);
        if (row(&a, "mail.contoso.lab")->problems != rows[i].problems)
            fail_msg("row %zu: %x", i, (unsigned)row(&a, "mail.contoso.lab")->problems);
        spn_audit_fini(&a);
        bench_fini(&t);
    }
}

static void test_guesses(void **state)
{
    (void)state;
    static const struct {
        struct own owner;
        bool guess;
    } rows[] = {
        {{MAIL, "http/mail.contoso.lab", "EXCH2013ASA$", 28}, true},
        {{MAIL, "http/mail.contoso.lab", "KRB01$", 28, .other = "exchangeMDB/outlook.contoso.lab"}, true},
        {{MAIL, "http/mail.contoso.lab", "WEB01$", 28}, false},
        {{MAIL, "http/mail.contoso.lab", "EXCAS01$", 28, .other = "exchangeMDB/excas01"}, false},
        {{MAIL, "HOST/mail.contoso.lab", "NASA$", 28}, false}, /* a computer that is called so */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bench t;
        struct spn_audit a;
        bench_init(&t, true);
        add_owner(&t.evidence, &rows[i].owner, WHEN);
        audit(&t, &a);
        assert_int_equal(a.n_accounts, 1);
        if (a.accounts[0].is_guess != rows[i].guess)
            fail_msg("%s: %s", rows[i].owner.account, rows[i].guess ? "not guessed" : "guessed");
        assert_true(!rows[i].guess || a.accounts[0].n_why >= 2);
        spn_audit_fini(&a);
        bench_fini(&t);
    }
}

/* The same questions to an export. */
static void test_owners_of_an_export(void **state)
{
    (void)state;
    static const char text[] =
        "dn: CN=Configuration,DC=contoso,DC=lab\nobjectClass: configuration\n\n"
        "dn: CN=EXCAS01,CN=Computers,DC=contoso,DC=lab\nobjectClass: user\nobjectClass: "
        "computer\nsAMAccountName: EXCAS01$\n"
        "servicePrincipalName: HOST/EXCAS01.contoso.lab\nservicePrincipalName: exchangeMDB/excas01\n"
        "msDS-SupportedEncryptionTypes: 28\npwdLastSet: 134400000000000000\nuserAccountControl: 4096\n\n"
        "dn: CN=svc\\, mail,CN=Users,DC=contoso,DC=lab\nobjectClass: user\nsAMAccountName: svc-mail\n"
        "servicePrincipalName: HTTP/mail.contoso.lab\nuserAccountControl: 2097666\n\n"
        "dn: CN=alice,CN=Users,DC=contoso,DC=lab\nobjectClass: user\nsAMAccountName: alice\n"
        "servicePrincipalName: http/mail.contoso.lab.evil\nservicePrincipalName: httpx/mail.contoso.lab\n";
    static const struct spn_host hosts[] = {
        {"mail.contoso.lab", NULL}, {"excas01.contoso.lab", "EXCAS01"}, {"no*body)(", NULL}};
    char path[] = "/tmp/casbridge-audit-XXXXXX", source[64];
    struct profile p = {0};
    struct directory *d = NULL;
    struct evidence e;
    struct errinfo ei = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, sizeof text - 1) == sizeof text - 1);
    close(fd);
    snprintf(source, sizeof source, "ldif:%s", path);
    evidence_init(&e, (size_t)1 << 20);
    assert_int_equal(directory_open(&d, &p, source, NULL, &ei), ERR_OK);
    assert_int_equal(directory_spn_owners(d, hosts, 3, &e, NULL, &ei), ERR_OK);
    unlink(path);
    assert_int_equal(e.items.n, 3);
    const struct observation *mail = &e.items.v[0], *cas = &e.items.v[1], *nobody = &e.items.v[2];
    assert_string_equal(mail->u.spn.account, "svc-mail");
    assert_string_equal(mail->u.spn.spn, "HTTP/mail.contoso.lab");
    assert_true(mail->u.spn.is_disabled && !mail->u.spn.is_computer && !mail->u.spn.is_alias &&
                !mail->u.spn.whole_forest);
    assert_int_equal(mail->u.spn.enctypes, 3); /* USE_DES_KEY_ONLY */
    assert_true(cas->u.spn.is_alias && cas->u.spn.is_computer && cas->u.spn.has_enctypes &&
                !cas->u.spn.is_disabled);
    assert_int_equal(cas->u.spn.enctypes, 28);
    assert_int_equal(cas->u.spn.pwd_last_set, INT64_C(1795526400));
    assert_string_equal(cas->server, "EXCAS01");
    assert_int_equal(cas->u.spn.n_others, 1);
    assert_int_equal(nobody->outcome, OUTCOME_FAILED);
    assert_null(nobody->u.spn.spn);
    directory_close(&d);
    evidence_fini(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_newest_look_up_counts),
        cmocka_unit_test(test_tickets),
        cmocka_unit_test(test_guesses),
        cmocka_unit_test(test_owners_of_an_export),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
