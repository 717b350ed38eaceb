/* certificate, tls-version, kerberos-ticket, spn-unique. */
#include "tests/unit/rules_check.h"

#define DAY 86400

static struct observation *handshake(struct bench *t, const char *server, const char *name,
                                     const char *sha256)
{
    static const char *names[] = {"mail.contoso.lab", "excas01.contoso.lab"};
    struct observation *o = observe(t, OBSERVATION_TLS, EVIDENCE_WIRE, server, OUTCOME_OK, NOW);
    o->step = "certificate";
    o->subject = o->by_name = name;
    o->u.tls.version = "TLSv1.2";
    o->u.tls.name_ok = true;
    o->u.tls.cert = (struct certificate){.subject_cn = "mail.contoso.lab",
                                         .issuer = "Contoso CA",
                                         .names = names,
                                         .n_names = 2,
                                         .not_before = NOW - 100 * DAY,
                                         .not_after = NOW + 200 * DAY,
                                         .key_type = "RSA",
                                         .key_bits = 2048,
                                         .signature_hash = "sha256",
                                         .sha256 = sha256,
                                         .chain_ok = true};
    t->in.probed = true;
    return o;
}

static void certificate(void **state)
{
    (void)state;
    static const struct {
        int64_t from, to; /* days from now */
        const char *type;
        int bits;
        const char *hash;
        bool chain, own_name, namespace;
        char said;
        enum severity severity;
        const char *words;
    } cases[] = {
        {-100, 200, "RSA", 2048, "sha256", true, true, true, 'P', 0, NULL},
        {-100, 61, "EC", 256, "sha384", true, true, true, 'P', 0, NULL},
        {-100, 60, "RSA", 2048, "sha256", true, true, true, 'P', 0, NULL},
        {-100, 59, "RSA", 2048, "sha256", true, true, true, 'F', SEVERITY_WARNING, "ends in 59 days"},
        {-100, 30, "RSA", 2048, "sha256", true, true, true, 'F', SEVERITY_WARNING, "ends in 30 days"},
        {-100, 29, "RSA", 2048, "sha256", true, true, true, 'F', SEVERITY_ERROR, "ends in 29 days"},
        {-100, -1, "RSA", 2048, "sha256", true, true, true, 'F', SEVERITY_ERROR, "ended at"},
        {1, 100, "RSA", 2048, "sha256", true, true, true, 'F', SEVERITY_ERROR, "not valid before"},
        {-100, 200, "RSA", 1024, "sha256", true, true, true, 'F', SEVERITY_ERROR, "1024 bits"},
        {-100, 200, "EC", 192, "sha256", true, true, true, 'F', SEVERITY_ERROR, "192 bits"},
        {-100, 200, "RSA", 2048, "sha1", true, true, true, 'F', SEVERITY_ERROR, "sha1"},
        {-100, 200, "RSA", 2048, "md5WithRSA", true, true, true, 'F', SEVERITY_ERROR, "md5"},
        {-100, 200, "RSA", 2048, "sha256", false, true, true, 'F', SEVERITY_ERROR, "not trusted"},
        {-100, 200, "RSA", 2048, "sha256", true, false, true, 'F', SEVERITY_ERROR,
         "does not hold excas01.contoso.lab"},
        {-100, 200, "RSA", 2048, "sha256", true, true, false, 'F', SEVERITY_ERROR,
         "does not hold mail.contoso.lab"},
        {-100, 45, "RSA", 1024, "sha256", true, true, true, 'F', SEVERITY_ERROR, "; its RSA key"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, true);
        for (int k = 0; k < 2; k++) {
            struct observation *o =
                handshake(&t, "EXCAS01", k ? "mail.contoso.lab" : "excas01.contoso.lab", "aa");
            struct certificate *c = &o->u.tls.cert;
            c->not_before = NOW + cases[i].from * DAY;
            c->not_after = NOW + cases[i].to * DAY;
            c->key_type = cases[i].type;
            c->key_bits = cases[i].bits;
            c->signature_hash = cases[i].hash;
            c->chain_ok = cases[i].chain;
            c->chain_error = cases[i].chain ? NULL : "unable to get local issuer certificate";
            o->u.tls.name_ok = k ? cases[i].namespace : cases[i].own_name;
        }
        bench_run(&t);
        print_message("case %zu\n", i);
        assert_said(&t, "certificate", "EXCAS01", cases[i].said);
        assert_said(&t, "certificate", "EX10NTLM", 'U');
        const struct finding *f = found(&t, "certificate", "EXCAS01");
        if (f) {
            assert_int_equal(f->severity, cases[i].severity);
            assert_non_null(strstr(f->summary, cases[i].words));
            /* the same certificate by two names is blamed once */
            const char *first = strstr(f->summary, cases[i].words);
            assert_null(strstr(first + 1, cases[i].words));
        }
        bench_fini(&t);
    }
}

/* An internal CAS that nobody reaches by the namespace: its missing name is a warning. */
static void name_of_an_internal_cas(void **state)
{
    (void)state;
    struct bench t;
    bench_init(&t, true);
    handshake(&t, "EXCAS02", "excas02.contoso.lab", "aa");
    handshake(&t, "EXCAS02", "mail.contoso.lab", "aa")->u.tls.name_ok = false;
    bench_run(&t);
    assert_int_equal(found(&t, "certificate", "EXCAS02")->severity, SEVERITY_WARNING);
    bench_fini(&t);
}

static void tls_version(void **state)
{
    (void)state;
    static const struct {
        const char *version;
        enum outcome outcome;
        char said;
    } cases[] = {
        {"TLSv1.2", OUTCOME_OK, 'P'}, {"TLSv1.3", OUTCOME_OK, 'P'}, {"TLSv1", OUTCOME_OK, 'F'},
        {"TLSv1.1", OUTCOME_OK, 'F'}, {"SSLv3", OUTCOME_OK, 'F'},   {NULL, OUTCOME_FAILED, 'U'},
        {NULL, OUTCOME_ERROR, 'U'},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, true);
        struct observation *o = handshake(&t, "EXCAS01", "excas01.contoso.lab", "aa");
        o->u.tls.version = cases[i].version;
        o->outcome = cases[i].outcome;
        bench_run(&t);
        assert_said(&t, "tls-version", "EXCAS01", cases[i].said);
        assert_said(&t, "tls-version", "EX13CAS01", 'U');
        bench_fini(&t);
    }
}

static void ticket(void **state)
{
    (void)state;
    static const struct {
        enum outcome outcome;
        int etype, error;
        char ticket, spn;
        const char *words;
    } cases[] = {
        {OUTCOME_OK, 18, 0, 'P', 'P', NULL},
        {OUTCOME_OK, 17, 0, 'P', 'P', NULL},
        {OUTCOME_OK, 20, 0, 'P', 'P', NULL},
        {OUTCOME_OK, 23, 0, 'F', 'P', "AES"},
        {OUTCOME_FAILED, 23, 0, 'F', 'P', "AES"},
        {OUTCOME_OK, 3, 0, 'F', 'P', "AES"},
        {OUTCOME_FAILED, 0, 7, 'F', 'U', "knows no HTTP/excas01.contoso.lab"},
        {OUTCOME_FAILED, 0, 8, 'F', 'F', "several owners"},
        {OUTCOME_FAILED, 0, 14, 'F', 'U', "encryption type"},
        {OUTCOME_FAILED, 0, 60, 'F', 'U', "generic"},
        {OUTCOME_ERROR, 0, 0, 'U', 'U', "generic"},
        {OUTCOME_SKIPPED, 0, 0, 'U', 'U', "generic"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench t;
        bench_init(&t, true);
        struct observation *o =
            observe(&t, OBSERVATION_TICKET, EVIDENCE_KERBEROS, "EXCAS01", cases[i].outcome, NOW);
        o->subject = "HTTP/excas01.contoso.lab";
        o->detail = "generic error";
        o->u.ticket.etype = cases[i].etype;
        o->u.ticket.error = cases[i].error;
        t.in.probed = true;
        bench_run(&t);
        print_message("case %zu\n", i);
        assert_said(&t, "kerberos-ticket", "EXCAS01", cases[i].ticket);
        assert_said(&t, "spn-unique", "EXCAS01", cases[i].spn);
        const struct finding *f = found(&t, "kerberos-ticket", "EXCAS01");
        if (cases[i].words)
            assert_non_null(
                strstr(f ? f->summary : unknown(&t, "kerberos-ticket", "EXCAS01"), cases[i].words));
        bench_fini(&t);
    }
    struct bench t;
    bench_init(&t, true);
    bench_run(&t);
    assert_non_null(strstr(unknown(&t, "kerberos-ticket", "EXCAS01"), "not probed"));
    assert_said(&t, "kerberos-ticket", "EXMBX01", '-'); /* no CAS */
    bench_fini(&t);
}

static void spn(void **state)
{
    (void)state;
    static const char *own[] = {"HOST/excas01.contoso.lab", "http/EXCAS01.contoso.lab",
                                "HTTP/mail.contoso.lab"};
    static const char *foreign[] = {"HTTP/excas02.contoso.lab:443", "exchangeMDB/x"},
                      *shared[] = {"http/MAIL.contoso.lab"};
    struct bench t;
    bench_init(&t, true);
    struct server *s = builder_server(t.b.org, "EXCAS01");
    s->spns = own;
    s->n_spns = 3;
    bench_run(&t);
    assert_said(&t, "spn-unique", "EXCAS01", 'U'); /* accounts of others in the forest were not read */
    assert_int_equal(count_found(&t, "spn-unique"), 0);
    s = builder_server(t.b.org, "EXMBX01");
    s->spns = foreign;
    s->n_spns = 2;
    bench_run(&t);
    assert_said(&t, "spn-unique", "EXCAS02", 'F');
    assert_non_null(strstr(found(&t, "spn-unique", "EXCAS02")->summary, "EXMBX01"));
    s = builder_server(t.b.org, "EX10NTLM");
    s->spns = shared;
    s->n_spns = 1;
    bench_run(&t);
    assert_said(&t, "spn-unique", NULL, 'F');
    assert_int_equal(found(&t, "spn-unique", NULL)->n_evidence, 2);
    bench_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificate), cmocka_unit_test(name_of_an_internal_cas),
        cmocka_unit_test(tls_version), cmocka_unit_test(ticket),
        cmocka_unit_test(spn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
