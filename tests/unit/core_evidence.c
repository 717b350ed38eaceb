/* Evidence sets: adding, merging, finding, and what happens at the limit. */
#include "core/base/str.h"
#include "core/model/evidence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)

static struct observation *add(struct evidence *e, const char *server, const char *detail, int64_t at)
{
    struct observation *o = evidence_add(e, OBSERVATION_CHALLENGE, EVIDENCE_WIRE);
    assert_non_null(o);
    o->server = arena_str(&e->arena, server);
    o->step = arena_str(&e->arena, "challenge");
    o->subject = arena_str(&e->arena, "https://x/rpc");
    o->by_name = arena_str(&e->arena, "x");
    o->detail = arena_str(&e->arena, detail);
    o->protocol = PROTOCOL_OA;
    o->outcome = OUTCOME_OK;
    o->at = at;
    return o;
}

static void test_add(void **state)
{
    (void)state;
    struct evidence e;
    evidence_init(&e, MIB);
    struct observation *o = evidence_add(&e, OBSERVATION_STEP, EVIDENCE_HOST);
    assert_true(o->at > 1600000000 && o->protocol == PROTOCOL_UNKNOWN && o->outcome == OUTCOME_SKIPPED);
    assert_null(o->server);
    assert_string_equal(evidence_source_name(o->source), "host");
    assert_string_equal(outcome_name(o->outcome), "skipped");
    assert_string_equal(evidence_source_name((enum evidence_source)99), "unknown");
    assert_string_equal(outcome_name((enum outcome)99), "unknown");
    evidence_fini(&e);
    evidence_fini(&e); /* twice is harmless */
}

static void test_merge_replaces(void **state)
{
    (void)state;
    struct evidence a, b;
    evidence_init(&a, MIB);
    evidence_init(&b, MIB);
    add(&a, "EXCAS01", "old", 100);
    add(&a, "EXCAS02", "other server", 100);
    add(&b, "excas01", "new", 200); /* names of servers have no case */
    add(&b, "EXCAS02", "older than what is there", 50);
    struct observation *o = add(&b, "EXCAS01", "by another name", 200);
    o->by_name = arena_str(&b.arena, "mail.contoso.lab");
    o = add(&b, "EXCAS01", "another protocol", 200);
    o->protocol = PROTOCOL_EWS;
    o = add(&b, NULL, "of no server", 200);
    assert_int_equal(evidence_merge(&a, &b), ERR_OK);
    evidence_fini(&b); /* nothing of it may be used any more */
    assert_int_equal(a.items.n, 5);
    assert_string_equal(a.items.v[0].detail, "new");
    assert_string_equal(a.items.v[1].detail, "other server");
    assert_string_equal(evidence_find(&a, OBSERVATION_CHALLENGE, "ExCas01", PROTOCOL_EWS, NULL)->detail,
                        "another protocol");
    assert_string_equal(evidence_find(&a, OBSERVATION_CHALLENGE, "EXCAS02", PROTOCOL_OA, "challenge")->detail,
                        "other server");
    assert_null(evidence_find(&a, OBSERVATION_CHALLENGE, "EXCAS02", PROTOCOL_EWS, NULL));
    assert_null(evidence_find(&a, OBSERVATION_CHALLENGE, "EXCAS02", PROTOCOL_OA, "logon"));
    assert_null(evidence_find(&a, OBSERVATION_TLS, "EXCAS02", PROTOCOL_UNKNOWN, NULL));
    /* of the newest the one added last, over all servers too */
    assert_string_equal(evidence_find(&a, OBSERVATION_CHALLENGE, "EXCAS01", PROTOCOL_OA, NULL)->detail,
                        "by another name");
    assert_string_equal(evidence_find(&a, OBSERVATION_CHALLENGE, NULL, PROTOCOL_UNKNOWN, NULL)->detail,
                        "of no server");
    add(&a, "EXCAS02", "added after the merge", 300);
    assert_string_equal(evidence_find(&a, OBSERVATION_CHALLENGE, "EXCAS02", PROTOCOL_UNKNOWN, NULL)->detail,
                        "added after the merge");
    evidence_fini(&a);
}

static void test_merge_copies_all_kinds(void **state)
{
    (void)state;
    struct evidence a, b;
    evidence_init(&a, MIB);
    evidence_init(&b, MIB);
    struct observation *o = evidence_add(&b, OBSERVATION_TLS, EVIDENCE_WIRE);
    const char **names = arena_array(&b.arena, 2, sizeof *names);
    names[0] = arena_str(&b.arena, "mail.contoso.lab");
    names[1] = arena_str(&b.arena, "*.contoso.lab");
    o->u.tls.version = arena_str(&b.arena, "TLSv1.2");
    o->u.tls.cipher = arena_str(&b.arena, "AES");
    o->u.tls.cert = (struct certificate){.subject_cn = arena_str(&b.arena, "cn"),
                                         .issuer = arena_str(&b.arena, "ca"),
                                         .names = names,
                                         .n_names = 2,
                                         .key_type = arena_str(&b.arena, "RSA"),
                                         .signature_hash = arena_str(&b.arena, "sha256"),
                                         .sha256 = arena_str(&b.arena, "00ff"),
                                         .chain_error = arena_str(&b.arena, "self-signed")};
    o = evidence_add(&b, OBSERVATION_LOGON, EVIDENCE_WIRE);
    o->u.logon.method = arena_str(&b.arena, "negotiate");
    o->u.logon.user = arena_str(&b.arena, "alice");
    o = evidence_add(&b, OBSERVATION_IIS, EVIDENCE_IIS);
    o->u.iis.path = arena_str(&b.arena, "Default Web Site/Rpc");
    o = add(&b, "S", "d", 1);
    o->u.challenge.server_header = arena_str(&b.arena, "IIS");
    o->u.challenge.fe_server = arena_str(&b.arena, "FE");
    o = evidence_add(&b, OBSERVATION_TICKET, EVIDENCE_KERBEROS);
    o->u.ticket.etype = 18;
    o = evidence_add(&b, OBSERVATION_BUILD, EVIDENCE_HOST);
    o->u.build.version.major = 14;
    assert_int_equal(evidence_merge(&a, &b), ERR_OK);
    memset(names, 0, 2 * sizeof *names);
    evidence_fini(&b);
    const struct certificate *c = &a.items.v[0].u.tls.cert;
    assert_string_equal(a.items.v[0].u.tls.version, "TLSv1.2");
    assert_string_equal(c->names[1], "*.contoso.lab");
    assert_string_equal(c->chain_error, "self-signed");
    assert_string_equal(c->sha256, "00ff");
    assert_string_equal(a.items.v[1].u.logon.user, "alice");
    assert_string_equal(a.items.v[2].u.iis.path, "Default Web Site/Rpc");
    assert_string_equal(a.items.v[3].u.challenge.fe_server, "FE");
    assert_int_equal(a.items.v[4].u.ticket.etype, 18);
    assert_int_equal(a.items.v[5].u.build.version.major, 14);
    evidence_fini(&a);
}

/* Re-probing for ever does not fill the set: what was replaced is dropped. Distinct facts do, and say so. */
static void test_limit(void **state)
{
    (void)state;
    struct evidence a, b;
    char text[4000], name[32];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    evidence_init(&a, 64 * 1024);
    for (int i = 0; i < 200; i++) {
        evidence_init(&b, MIB);
        add(&b, "EXCAS01", text, 100 + i);
        add(&b, "EXCAS02", "short", 100 + i);
        assert_int_equal(evidence_merge(&a, &b), ERR_OK);
        evidence_fini(&b);
    }
    assert_int_equal(a.items.n, 2);
    assert_true(a.items.v[0].at == 299);
    assert_int_equal(strlen(a.items.v[0].detail), sizeof text - 1);
    enum err e = ERR_OK;
    for (int i = 0; i < 100 && !e; i++) {
        evidence_init(&b, MIB);
        str_fmt(name, sizeof name, "S%d", i);
        add(&b, name, text, 1);
        e = evidence_merge(&a, &b);
        evidence_fini(&b);
    }
    assert_int_equal(e, ERR_LIMIT);
    assert_true(a.items.n > 10);
    for (size_t i = 2; i < a.items.n; i++)
        assert_int_equal(strlen(a.items.v[i].detail), sizeof text - 1);
    evidence_fini(&a);
}

static void test_many_servers(void **state)
{
    (void)state;
    struct evidence a, b;
    char name[32];
    evidence_init(&a, 16 * MIB);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3000; i++) {
            evidence_init(&b, MIB);
            str_fmt(name, sizeof name, round ? "ex%04d" : "EX%04d", i);
            add(&b, name, name, 100 + round);
            assert_int_equal(evidence_merge(&a, &b), ERR_OK);
            evidence_fini(&b);
        }
    }
    assert_int_equal(a.items.n, 3000);
    for (int i = 0; i < 3000; i++) {
        str_fmt(name, sizeof name, "ex%04d", i);
        const struct observation *o =
            evidence_find(&a, OBSERVATION_CHALLENGE, name, PROTOCOL_OA, "challenge");
        assert_non_null(o);
        assert_string_equal(o->detail, name);
    }
    evidence_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_merge_replaces),
        cmocka_unit_test(test_merge_copies_all_kinds),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_many_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
