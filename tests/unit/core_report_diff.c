/* What moved: every kind of thing, in an admin's words, and nothing when nothing did. */
#include "core/report/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/org_builder.h"

struct fixture {
    struct org_builder ba, bb;
    struct org *a, *b;
    struct evidence ea, eb;
    struct findings fa, fb;
    struct diff d;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->a = story(&f->ba);
    f->b = story(&f->bb);
    evidence_init(&f->ea, (size_t)1 << 20);
    evidence_init(&f->eb, (size_t)1 << 20);
    findings_init(&f->fa);
    findings_init(&f->fb);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    diff_fini(&f->d);
    evidence_fini(&f->ea);
    evidence_fini(&f->eb);
    findings_fini(&f->fa);
    findings_fini(&f->fb);
    builder_free(&f->a);
    builder_free(&f->b);
    free(f);
    return 0;
}

static void build(struct fixture *f)
{
    const struct diff_side a = {f->a, &f->ea, &f->fa}, b = {f->b, &f->eb, &f->fb};
    struct errinfo ei = {0};
    if (diff_build(&f->d, &a, &b, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
}

/* "-" stands for NULL. */
static void assert_change(const struct fixture *f, enum diff_area area, const char *subject,
                          const char *property, const char *before, const char *after)
{
#define OR_DASH(s) ((s) ? (s) : "-")
    for (size_t i = 0; i < f->d.changes.n; i++) {
        const struct diff_change *c = &f->d.changes.v[i];
        if (c->area == area && str_eq(c->subject, subject) && str_eq(OR_DASH(c->property), property) &&
            str_eq(OR_DASH(c->before), before) && str_eq(OR_DASH(c->after), after))
            return;
    }
    for (size_t i = 0; i < f->d.changes.n; i++)
        print_message("%s | %s | %s | %s | %s\n", diff_area_id(f->d.changes.v[i].area),
                      f->d.changes.v[i].subject, OR_DASH(f->d.changes.v[i].property),
                      OR_DASH(f->d.changes.v[i].before), OR_DASH(f->d.changes.v[i].after));
    fail_msg("no change %s %s: %s -> %s", subject, property, before, after);
}

static void test_nothing(void **state)
{
    struct fixture *f = *state;
    build(f);
    assert_int_equal(f->d.changes.n, 0);
}

static void test_properties(void **state)
{
    struct fixture *f = *state;
    struct server *s = builder_server(f->b, "EXCAS01");
    static const char *spns[] = {"HTTP/b", "HTTP/a"}, *other[] = {"HTTP/a", "HTTP/c"};
    set_auth(builder_vdir(f->b, "EXCAS01", PROTOCOL_OA), AUTH_BASIC | AUTH_NTLM, AUTH_BASIC);
    builder_vdir(f->b, "EXCAS01", PROTOCOL_OWA)->external_url = NULL;
    builder_vdir(f->b, "EXCAS01", PROTOCOL_EWS)->internal_url = "https://new/EWS";
    assert_true(version_parse("14.3.400.1", &s->version));
    s->site = &f->b->sites[1];
    s->roles |= ROLE_MAILBOX;
    s->rpc_encryption = TRI_NO;
    s->spns = other;
    s->n_spns = 2;
    builder_server(f->a, "EXCAS01")->spns = spns;
    builder_server(f->a, "EXCAS01")->n_spns = 2;
    f->b->links[0].cost = 20;
    f->b->databases[0].owner = s;
    f->b->scps[0].url = "https://mail.contoso.lab/x";
    f->b->arrays[0].fqdn = "cas.contoso.lab";
    f->b->sites[2].internet_facing = false;
    build(f);
    assert_change(f, DIFF_VDIR, "EXCAS01\\Rpc (Default Web Site)", "IIS methods", "basic", "basic, ntlm");
    assert_change(f, DIFF_VDIR, "EXCAS01\\owa (Default Web Site)", "external URL",
                  "https://mail.contoso.lab/owa", "-");
    assert_change(f, DIFF_VDIR, "EXCAS01\\EWS (Default Web Site)", "internal URL",
                  "https://excas01.contoso.lab/EWS/Exchange.asmx", "https://new/EWS");
    assert_change(f, DIFF_SERVER, "EXCAS01", "version", "14.3.123.4", "14.3.400.1");
    assert_change(f, DIFF_SERVER, "EXCAS01", "site", "Barcelona", "Dublin");
    assert_change(f, DIFF_SERVER, "EXCAS01", "roles", "client access, hub transport",
                  "client access, mailbox, hub transport");
    assert_change(f, DIFF_SERVER, "EXCAS01", "RPC encryption required", "yes", "no");
    assert_change(f, DIFF_SERVER, "EXCAS01", "SPN", "HTTP/b", "-");
    assert_change(f, DIFF_SERVER, "EXCAS01", "SPN", "-", "HTTP/c");
    assert_change(f, DIFF_LINK, "Barcelona-Dublin", "cost", "10", "20");
    assert_change(f, DIFF_DATABASE, "DB10-BCN01", "owner", "EXMBX01", "EXCAS01");
    assert_change(f, DIFF_AUTODISCOVER, "E2K7CAS01", "URL",
                  "https://autodiscover.contoso.lab/Autodiscover/Autodiscover.xml",
                  "https://mail.contoso.lab/x");
    assert_change(f, DIFF_ARRAY, "outlook.contoso.lab", "FQDN", "outlook.contoso.lab", "cas.contoso.lab");
    assert_change(f, DIFF_SITE, "Seattle", "Internet-facing", "yes", "no");
    assert_int_equal(f->d.changes.n, 14);
}

/* A server that comes is one change, not one for each property; so is a virtual directory that goes. */
static void test_come_and_go(void **state)
{
    struct fixture *f = *state;
    struct server *s = add_server(&f->bb, "ZCAS", &f->bb.org->sites[0], "15.0.1497.2", BUILDER_ROLES_CAFE);
    add_outlook_anywhere(&f->bb, s, "mail.contoso.lab", AUTH_BASIC, AUTH_BASIC);
    struct server *c1 = builder_server(f->b, "EXCAS01");
    for (size_t i = 0; i + 1 < c1->n_vdirs; i++)
        c1->vdirs[i] = c1->vdirs[i + 1];
    c1->n_vdirs--;
    build(f);
    assert_change(f, DIFF_SERVER, "ZCAS", "-", "-", "Exchange 2013 CU23");
    assert_change(f, DIFF_VDIR, "ZCAS\\Rpc (Default Web Site)", "-", "-", "Outlook Anywhere");
    assert_change(f, DIFF_VDIR, "EXCAS01\\Rpc (Default Web Site)", "-", "Outlook Anywhere", "-");
    assert_int_equal(f->d.changes.n, 3);
}

static void see(struct evidence *e, const char *server, const char *sha, int status, auth_set offered)
{
    struct observation *o = evidence_add(e, OBSERVATION_TLS, EVIDENCE_WIRE);
    o->server = server;
    o->by_name = "mail.contoso.lab";
    o->u.tls.cert =
        (struct certificate){.subject_cn = "cn", .sha256 = sha, .not_after = BUILDER_TIME, .chain_ok = true};
    o = evidence_add(e, OBSERVATION_CHALLENGE, EVIDENCE_WIRE);
    o->server = server;
    o->by_name = "mail.contoso.lab";
    o->protocol = PROTOCOL_OA;
    o->u.challenge.status = status;
    o->u.challenge.offered = offered;
}

static void test_evidence(void **state)
{
    struct fixture *f = *state;
    see(&f->ea, "EXCAS01", "aaaaaaaaaaaaaaaaaaaaaaaa", 401, AUTH_BASIC);
    see(&f->eb, "EXCAS01", "bbbbbbbbbbbbbbbbbbbbbbbb", 401, AUTH_BASIC | AUTH_NTLM);
    see(&f->eb, "EXCAS02", "cccccccccccccccccccccccc", 404, 0); /* not asked before: no change */
    build(f);
    assert_change(f, DIFF_CERTIFICATE, "EXCAS01 as mail.contoso.lab", "certificate",
                  "cn, until 2026-11-24T03:00:00Z (aaaaaaaaaaaaaaaa...)",
                  "cn, until 2026-11-24T03:00:00Z (bbbbbbbbbbbbbbbb...)");
    assert_change(f, DIFF_WIRE, "EXCAS01 oa as mail.contoso.lab", "offers", "basic", "basic, ntlm");
    assert_int_equal(f->d.changes.n, 2);
}

static void find(struct findings *f, const char *id, const char *server, const char *summary)
{
    assert_true(VEC_PUSH(
        &f->found, 100,
        (struct finding){.id = id, .severity = SEVERITY_ERROR, .server = server, .summary = summary}));
}

static void test_findings(void **state)
{
    struct fixture *f = *state;
    find(&f->fa, "oa-wire", "EXCAS01", "offers basic");
    find(&f->fa, "oa-wire", "EXCAS02", "offers nothing");
    find(&f->fa, "certificate", "EXCAS01", "30 days left");
    find(&f->fb, "certificate", "EXCAS01", "29 days left");
    find(&f->fb, "tls-version", "EXCAS01", "TLS 1.0");
    assert_true(VEC_PUSH(&f->fb.passed, 10, (struct finding_ref){"oa-wire", "EXCAS01", NULL}));
    assert_true(VEC_PUSH(&f->fb.unknown, 10, (struct finding_ref){"oa-wire", "EXCAS02", "not probed"}));
    build(f);
    assert_change(f, DIFF_FINDING, "oa-wire EXCAS01", "-", "error: offers basic", "passed");
    assert_change(f, DIFF_FINDING, "oa-wire EXCAS02", "-", "error: offers nothing", "unknown: not probed");
    assert_change(f, DIFF_FINDING, "certificate EXCAS01", "what it says", "error: 30 days left",
                  "error: 29 days left");
    assert_change(f, DIFF_FINDING, "tls-version EXCAS01", "-", "-", "error: TLS 1.0");
    assert_int_equal(f->d.changes.n, 4);
}

static void say(struct findings *f, bool passed, const char *id, const char *server, const char *why)
{
    if (passed)
        assert_true(VEC_PUSH(&f->passed, 10, (struct finding_ref){id, server, NULL}));
    else
        assert_true(VEC_PUSH(&f->unknown, 10, (struct finding_ref){id, server, why}));
}

/* What nobody knew and now is well, and the other way round; what both sides do not know is none, whatever they say of why. */
static void test_known_by_now(void **state)
{
    struct fixture *f = *state;
    say(&f->fa, false, "oa-wire", "EXCAS01", "not probed");
    say(&f->fb, true, "oa-wire", "EXCAS01", NULL);
    say(&f->fa, true, "certificate", "EXCAS02", NULL);
    say(&f->fb, false, "certificate", "excas02", "timed out");
    say(&f->fa, false, "version-floor", NULL, "one");
    say(&f->fb, false, "version-floor", NULL, "two");
    say(&f->fa, false, "tls-version", "EXCAS01", "not probed");
    say(&f->fb, true, "tls-version", "EXCAS01", NULL);
    say(&f->fb, false, "tls-version", "EXCAS01", "one name was not probed");
    say(&f->fa, false, "site-consistency", "EXCAS01", "only in one"); /* the rule is not asked any more */
    find(&f->fb, "spn-unique", "EXCAS01", "two owners");
    say(&f->fa, false, "spn-unique", "EXCAS01", "not looked up");
    build(f);
    assert_change(f, DIFF_FINDING, "oa-wire EXCAS01", "-", "unknown: not probed", "passed");
    assert_change(f, DIFF_FINDING, "certificate EXCAS02", "-", "passed", "unknown: timed out");
    assert_change(f, DIFF_FINDING, "spn-unique EXCAS01", "-", "unknown: not looked up", "error: two owners");
    assert_int_equal(f->d.changes.n, 3);
    for (size_t i = 1; i < f->d.changes.n; i++)
        assert_true(strcmp(f->d.changes.v[i - 1].subject, f->d.changes.v[i].subject) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_properties, setup, teardown),
        cmocka_unit_test_setup_teardown(test_come_and_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evidence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_findings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_known_by_now, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
