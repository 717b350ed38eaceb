/* Evidence as lines: every member there and back, and lines that are no observation. */
#include "core/base/str.h"
#include "core/report/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)

static struct observation *add(struct evidence *e, enum observation_kind kind)
{
    struct observation *o = evidence_add(e, kind, EVIDENCE_KERBEROS);
    o->outcome = OUTCOME_FAILED;
    o->server = "EXCAS01";
    o->step = "step";
    o->protocol = PROTOCOL_EWS;
    o->subject = "https://x/\xc3\xa9\"\\";
    o->by_name = "mail.contoso.lab";
    o->detail = "a \"detail\", \xe2\x82\xac";
    o->at = 1795489200;
    o->elapsed_ms = 17;
    return o;
}

/* There and back again, then there: the two lines must be the same, so nothing the writer knows is lost by the reader. */
static struct observation *round_trip(struct evidence *to, const struct observation *o)
{
    struct buf line, again;
    struct errinfo ei = {0};
    buf_init(&line, MIB);
    buf_init(&again, MIB);
    assert_int_equal(lines_write(o, &line, &ei), ERR_OK);
    assert_true(line.len && line.data[line.len - 1] == '\n');
    if (lines_read(line.data, line.len - 1, to, &ei) != ERR_OK)
        fail_msg("%s: %s", ei.what, line.data);
    struct observation *back = &to->items.v[to->items.n - 1];
    assert_int_equal(lines_write(back, &again, &ei), ERR_OK);
    assert_string_equal(line.data, again.data);
    buf_fini(&line);
    buf_fini(&again);
    assert_int_equal(back->kind, o->kind);
    assert_int_equal(back->source, o->source);
    assert_int_equal(back->outcome, o->outcome);
    assert_int_equal(back->protocol, o->protocol);
    assert_string_equal(back->server, o->server);
    assert_string_equal(back->subject, o->subject);
    assert_string_equal(back->detail, o->detail);
    assert_int_equal(back->at, o->at);
    assert_int_equal(back->elapsed_ms, o->elapsed_ms);
    return back;
}

static void test_every_kind(void **state)
{
    (void)state;
    static const char *names[] = {"a.contoso.lab", "*.contoso.lab"};
    struct evidence from, to;
    evidence_init(&from, MIB);
    evidence_init(&to, MIB);
    round_trip(&to, add(&from, OBSERVATION_STEP));

    struct observation *o = add(&from, OBSERVATION_CHALLENGE), *x;
    o->u.challenge.status = 401;
    o->u.challenge.offered = AUTH_BASIC | AUTH_NEGOTIATE;
    o->u.challenge.anonymous = true;
    o->u.challenge.server_header = "Microsoft-IIS/7.5";
    o->u.challenge.fe_server = "EX13CAS01";
    x = round_trip(&to, o);
    assert_true(x->u.challenge.status == 401 && x->u.challenge.offered == (AUTH_BASIC | AUTH_NEGOTIATE));
    assert_true(x->u.challenge.anonymous);
    assert_string_equal(x->u.challenge.server_header, "Microsoft-IIS/7.5");
    assert_string_equal(x->u.challenge.fe_server, "EX13CAS01");

    o = add(&from, OBSERVATION_TLS);
    o->u.tls.version = "TLSv1.2";
    o->u.tls.cipher = "c";
    o->u.tls.name_ok = true;
    o->u.tls.cert = (struct certificate){.subject_cn = "a",
                                         .issuer = "b",
                                         .names = names,
                                         .n_names = 2,
                                         .not_before = 1,
                                         .not_after = INT64_MAX,
                                         .key_type = "RSA",
                                         .key_bits = 2048,
                                         .signature_hash = "sha256",
                                         .sha256 = "00ff",
                                         .chain_ok = true,
                                         .chain_error = "none"};
    x = round_trip(&to, o);
    assert_int_equal(x->u.tls.cert.n_names, 2);
    assert_string_equal(x->u.tls.cert.names[1], "*.contoso.lab");
    assert_true(x->u.tls.cert.not_after == INT64_MAX && x->u.tls.cert.not_before == 1 && x->u.tls.name_ok);
    assert_true(x->u.tls.cert.chain_ok && x->u.tls.cert.key_bits == 2048);
    assert_string_equal(x->u.tls.cert.sha256, "00ff");
    assert_string_equal(x->u.tls.cert.key_type, "RSA");

    o = add(&from, OBSERVATION_TICKET);
    o->u.ticket.etype = 18;
    o->u.ticket.kvno = 3;
    o->u.ticket.end_time = 5;
    o->u.ticket.error = -7;
    x = round_trip(&to, o);
    assert_true(x->u.ticket.etype == 18 && x->u.ticket.kvno == 3 && x->u.ticket.end_time == 5);
    assert_int_equal(x->u.ticket.error, -7);

    o = add(&from, OBSERVATION_LOGON);
    o->u.logon.method = "basic";
    o->u.logon.user = "alice";
    o->u.logon.status = 200;
    x = round_trip(&to, o);
    assert_string_equal(x->u.logon.user, "alice");
    assert_int_equal(x->u.logon.status, 200);

    o = add(&from, OBSERVATION_IIS);
    o->u.iis.path = "Default Web Site/Rpc";
    o->u.iis.basic = o->u.iis.digest = true;
    o->u.iis.has_providers = o->u.iis.ip_filtered = true;
    o->u.iis.providers = IIS_PROVIDER_NTLM;
    o->u.iis.ssl_flags = UINT32_MAX;
    o->u.iis.token = IIS_TOKEN_REQUIRE;
    o->u.iis.protection_flags = IIS_PROTECTION_PROXY;
    x = round_trip(&to, o);
    assert_true(x->u.iis.has_providers && x->u.iis.ip_filtered && x->u.iis.providers == IIS_PROVIDER_NTLM);
    assert_true(x->u.iis.ssl_flags == UINT32_MAX && x->u.iis.token == IIS_TOKEN_REQUIRE);
    assert_int_equal(x->u.iis.protection_flags, IIS_PROTECTION_PROXY);
    assert_true(x->u.iis.basic && x->u.iis.digest && !x->u.iis.windows && !x->u.iis.anonymous);

    o = add(&from, OBSERVATION_SPN);
    o->u.spn.spn = "http/mail.contoso.lab";
    o->u.spn.dn = "CN=EXCAS01,DC=contoso,DC=lab";
    o->u.spn.account = "EXCAS01$";
    o->u.spn.is_computer = o->u.spn.is_disabled = o->u.spn.whole_forest = o->u.spn.has_enctypes = true;
    o->u.spn.enctypes = 28;
    o->u.spn.pwd_last_set = 9;
    o->u.spn.others = names;
    o->u.spn.n_others = 1;
    x = round_trip(&to, o);
    assert_string_equal(x->u.spn.account, "EXCAS01$");
    assert_true(x->u.spn.is_computer && x->u.spn.is_disabled && x->u.spn.whole_forest && !x->u.spn.is_alias);
    assert_true(x->u.spn.has_enctypes && x->u.spn.enctypes == 28 && x->u.spn.pwd_last_set == 9);
    assert_true(x->u.spn.n_others == 1 && !x->u.spn.is_partial);
    assert_string_equal(x->u.spn.others[0], "a.contoso.lab");

    o = add(&from, OBSERVATION_BUILD);
    o->u.build.version = (struct version){14, 3, 123, 4, true};
    x = round_trip(&to, o);
    assert_true(x->u.build.version.build == 123 && x->u.build.version.revision == 4 &&
                x->u.build.version.has_revision);
    evidence_fini(&from);
    evidence_fini(&to);
}

static void test_absent_stays_absent(void **state)
{
    (void)state;
    struct evidence from, to;
    evidence_init(&from, MIB);
    evidence_init(&to, MIB);
    struct observation *o = evidence_add(&from, OBSERVATION_CHALLENGE, EVIDENCE_WIRE);
    struct buf line;
    struct errinfo ei = {0};
    buf_init(&line, MIB);
    assert_int_equal(lines_write(o, &line, &ei), ERR_OK);
    assert_int_equal(lines_read(line.data, line.len - 1, &to, &ei), ERR_OK);
    o = &to.items.v[0];
    assert_null(o->server);
    assert_null(o->subject);
    assert_null(o->u.challenge.server_header);
    assert_int_equal(o->protocol, PROTOCOL_UNKNOWN);
    assert_int_equal(o->outcome, OUTCOME_SKIPPED);
    buf_fini(&line);
    evidence_fini(&from);
    evidence_fini(&to);
}

static void test_no_observations(void **state)
{
    (void)state;
#define START "{\"kind\":\"tls\",\"source\":\"wire\",\"outcome\":\"ok\""
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"", "JSON"},
        {"[]", "JSON"},
        {"{}", "kind"},
        {"{\"kind\":\"dream\",\"source\":\"wire\",\"outcome\":\"ok\"}", "kind"},
        {"{\"kind\":7,\"source\":\"wire\",\"outcome\":\"ok\"}", "kind"},
        {"{\"kind\":\"tls\",\"source\":\"rumour\",\"outcome\":\"ok\"}", "source"},
        {"{\"kind\":\"tls\",\"source\":\"wire\",\"outcome\":\"fine\"}", "outcome"},
        {START ",\"protocol\":\"gopher\"}", "protocol"},
        {START ",\"server\":5}", "server"},
        {START ",\"key_bits\":4294967296}", "key_bits"},
        {START ",\"key_bits\":1.5}", "key_bits"},
        {START ",\"name_ok\":1}", "name_ok"},
        {START ",\"names\":\"x\"}", "names"},
        {START ",\"names\":[\"x\",null]}", "names"},
        {START ",\"at\":\"now\"}", "at"},
        {START ",\"server\":\"a\",\"server\":\"b\"}", "JSON"},
        {START ",\"server\":\"a\\u0000b\"}", "JSON"},
        {"{\"kind\":\"build\",\"source\":\"host\",\"outcome\":\"ok\",\"build\":[1,2,3,65536,true]}", "build"},
        {"{\"kind\":\"build\",\"source\":\"host\",\"outcome\":\"ok\",\"build\":[1,2]}", "build"},
        {"{\"kind\":\"challenge\",\"source\":\"wire\",\"outcome\":\"ok\",\"offered\":65536}", "offered"},
    };
    struct evidence e;
    evidence_init(&e, MIB);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct errinfo ei = {0};
        assert_int_equal(lines_read(bad[i].line, strlen(bad[i].line), &e, &ei), ERR_INPUT);
        if (!strstr(ei.what, bad[i].says))
            fail_msg("%s: says %s", bad[i].line, ei.what);
        assert_int_equal(e.items.n, 0);
    }
    evidence_fini(&e);
}

static void test_hostile_detail(void **state)
{
    (void)state;
    static const char line[] =
        "{\"kind\":\"step\",\"source\":\"wire\",\"outcome\":\"ok\",\"detail\":\"a\\u001b[31mred\\nb\"}";
    struct evidence e;
    struct errinfo ei;
    evidence_init(&e, MIB);
    assert_int_equal(lines_read(line, strlen(line), &e, &ei), ERR_OK);
    assert_null(strpbrk(e.items.v[0].detail, "\x1b\n"));
    assert_non_null(strstr(e.items.v[0].detail, "red"));
    evidence_fini(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_absent_stays_absent),
        cmocka_unit_test(test_no_observations),
        cmocka_unit_test(test_hostile_detail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
