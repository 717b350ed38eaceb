/* Probes of servers that are not there, silent, old or badly certified; runs over many; calls that are late. */
#include "core/probe/late.h"
#include "tests/unit/probe_bench.h"

static bool close_at_once(struct tls_peer *p, const char *head)
{
    (void)p, (void)head;
    return false;
}
static void test_no_tls(void **state)
{
    (void)state;
    struct bench b;
    struct tls_server silent = {.plain_silence = true}, plain = {.plain_text = "HTTP/1.1 400 Bad\r\n\r\n"},
                      closing = {.plain_text = ""};
    assert_true(tls_server_start(&silent, NULL, NULL));
    bench_init(&b, silent.port);
    b.req.timeout_ms = 1200;
    bench_probe(&b);
    is(seen(&b, "tcp", NULL), OUTCOME_OK, "open at 127.0.0.1");
    is(seen(&b, "tls", NULL), OUTCOME_ERROR, "TLS: no answer within ");
    is(seen(&b, "challenge", NULL), OUTCOME_ERROR, "TLS: no answer within ");
    assert_true(b.took_ms < 7000);
    bench_fini(&b);
    tls_server_stop(&silent);

    assert_true(tls_server_start(&plain, NULL, NULL));
    bench_init(&b, plain.port);
    bench_probe(&b);
    is(seen(&b, "tls", NULL), OUTCOME_FAILED, "TLS: the answer is not TLS");
    assert_int_equal(seen(&b, "challenge", NULL)->outcome, OUTCOME_ERROR);
    bench_fini(&b);
    tls_server_stop(&plain);

    assert_true(tls_server_start(&closing, NULL, NULL));
    bench_init(&b, closing.port);
    bench_probe(&b);
    is(seen(&b, "tls", NULL), OUTCOME_FAILED, "TLS: the connection was closed in the handshake");
    bench_fini(&b);
    tls_server_stop(&closing);

    bench_init(&b, closing.port); /* nobody listens any more */
    bench_probe(&b);
    char detail[64];
    str_fmt(detail, sizeof detail, "TCP %u refused by 127.0.0.1", closing.port);
    is(seen(&b, "dns", NULL), OUTCOME_OK, "127.0.0.1 port ");
    is(seen(&b, "dns", NULL), OUTCOME_OK, " (configured)");
    is(seen(&b, "tcp", NULL), OUTCOME_FAILED, detail);
    is(seen(&b, "tls", NULL), OUTCOME_ERROR, detail);
    is(seen(&b, "challenge", NULL), OUTCOME_ERROR, detail);
    bench_fini(&b);
}

static void test_names(void **state)
{
    static const struct {
        const char *fqdn;
        enum outcome outcome;
        const char *why;
    } cases[] = {
        {NULL, OUTCOME_SKIPPED, "no FQDN"},
        {"", OUTCOME_SKIPPED, "no host name"},
        {"cas 01\r\nX: y", OUTCOME_SKIPPED, "no host name"},
        {"http://cas01", OUTCOME_SKIPPED, "no host name"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench b;
        bench_init(&b, 1);
        b.server.fqdn = cases[i].fqdn;
        b.req.tickets = true;
        bench_probe(&b);
        is(seen(&b, "dns", NULL), cases[i].outcome, cases[i].why);
        is(seen(&b, "challenge", NULL), cases[i].outcome, cases[i].why);
        is(seen(&b, "ticket", NULL), cases[i].outcome, cases[i].why);
        evidence_fini(&b.e);
        evidence_init(&b.e, 1 << 20);
        probe_challenge(&b.profile, &b.server, PROTOCOL_OA, NULL, &b.e);
        is(seen(&b, "challenge", NULL), cases[i].outcome, cases[i].why);
        bench_fini(&b);
    }
    struct bench b; /* a name that resolves nowhere: an answer or silence of DNS, in time either way */
    bench_init(&b, 1);
    b.server.fqdn = "casbridge-test.invalid";
    b.req.timeout_ms = 2000;
    b.req.tickets = true;
    bench_probe(&b);
    assert_true(seen(&b, "dns", NULL)->outcome == OUTCOME_FAILED ||
                seen(&b, "dns", NULL)->outcome == OUTCOME_ERROR);
    is(seen(&b, "challenge", NULL), OUTCOME_ERROR, "casbridge-test.invalid");
    is(seen(&b, "ticket", NULL), OUTCOME_SKIPPED, "no Kerberos login");
    assert_true(b.took_ms < 8000);
    bench_fini(&b);
}

static void test_certificates(void **state)
{
    static const struct {
        struct test_cert spec;
        bool self_signed;
        enum outcome own, namespace;
        const char *own_detail, *namespace_detail;
        bool chain_ok;
    } cases[] = {
        {{.cn = "x",
          .names = {TEST_NAME("cas01.contoso.lab"), TEST_NAME("mail.contoso.lab")},
          .n_names = 2,
          .from_s = -DAY,
          .until_s = 300 * DAY},
         false,
         OUTCOME_OK,
         OUTCOME_OK,
         "good for cas01.contoso.lab until ",
         "good for mail.contoso.lab until ",
         true},
        {{.cn = "x",
          .names = {TEST_NAME("*.contoso.lab")},
          .n_names = 1,
          .from_s = -DAY,
          .until_s = 12 * DAY + 600},
         false,
         OUTCOME_OK,
         OUTCOME_OK,
         "certificate ends in 12 days",
         "certificate ends in 12 days (as mail.contoso.lab)",
         true},
        {{.cn = "cas01.contoso.lab", .from_s = -DAY, .until_s = 300 * DAY},
         true,
         OUTCOME_FAILED,
         OUTCOME_FAILED,
         "certificate chain not trusted: self-signed certificate",
         "not for the name mail.contoso.lab (it is for cas01.contoso.lab); chain not trusted",
         false},
        {{.cn = "x",
          .names = {TEST_NAME("cas01.contoso.lab")},
          .n_names = 1,
          .from_s = -9 * DAY,
          .until_s = -3 * DAY - 600},
         false,
         OUTCOME_FAILED,
         OUTCOME_FAILED,
         "certificate expired 3 days ago",
         "not for the name",
         false},
        {{.cn = "x",
          .names = {{"cas01.contoso.lab\0.evil.example", 31}},
          .n_names = 1,
          .from_s = -DAY,
          .until_s = 300 * DAY},
         false,
         OUTCOME_FAILED,
         OUTCOME_FAILED,
         "not for the name cas01.contoso.lab (it is for cas01.contoso.lab",
         "not for",
         true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_server s = {.serve = close_at_once};
        struct bench b;
        X509 *x = test_cert_make(&cases[i].spec, key, cases[i].self_signed ? NULL : ca,
                                 cases[i].self_signed ? NULL : ca_key);
        assert_non_null(x);
        assert_true(tls_server_start(&s, x, key));
        bench_init(&b, s.port);
        assert_int_equal(
            profile_set(&b.profile, PROFILE_namespace, "mail.contoso.lab, cas01.contoso.lab", NULL), ERR_OK);
        bench_probe(&b);
        is(seen(&b, "certificate", "cas01.contoso.lab"), cases[i].own, cases[i].own_detail);
        is(seen(&b, "certificate", "mail.contoso.lab"), cases[i].namespace, cases[i].namespace_detail);
        const struct observation *o = seen(&b, "tls", "mail.contoso.lab");
        assert_string_equal(o->u.tls.version, "TLSv1.3");
        assert_int_equal(o->u.tls.cert.chain_ok, cases[i].chain_ok);
        assert_string_equal(s.peers[0].sni, "cas01.contoso.lab");
        assert_string_equal(s.peers[5].sni, "mail.contoso.lab"); /* after four other versions */
        tls_server_stop(&s);
        bench_fini(&b);
        X509_free(x);
    }
}

/* Servers of 2007 still speak TLS 1.0 with SHA-1 and short keys: that is found out, not refused. */
static void test_old_tls(void **state)
{
    (void)state;
    const struct test_cert spec = {
        .cn = "cas01.contoso.lab", .from_s = -DAY, .until_s = 300 * DAY, .md = EVP_sha1()};
    EVP_PKEY *weak = EVP_RSA_gen(1024);
    X509 *x = test_cert_make(&spec, weak, NULL, NULL);
    struct tls_server s = {.serve = say_arg,
                           .arg = "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"};
    struct bench b;
    assert_non_null(x);
    assert_true(tls_server_start(&s, x, weak));
    SSL_CTX_set_max_proto_version(s.ctx, TLS1_VERSION);
    SSL_CTX_set_cipher_list(s.ctx, "AES128-SHA:@SECLEVEL=0");
    bench_init(&b, s.port);
    bench_probe(&b);
    is(seen(&b, "tls", NULL), OUTCOME_OK, "TLSv1, AES128-SHA");
    is(seen(&b, "tls-versions", NULL), OUTCOME_FAILED, "TLS 1.0 offered");
    assert_int_equal(seen(&b, "tls", NULL)->u.tls.versions_tried, 31);
    assert_int_equal(seen(&b, "tls", NULL)->u.tls.versions_offered, TLS_1_0);
    const struct certificate *c = &seen(&b, "tls", NULL)->u.tls.cert;
    assert_string_equal(c->key_type, "RSA");
    assert_int_equal(c->key_bits, 1024);
    assert_string_equal(c->signature_hash, "sha1");
    is(seen(&b, "challenge", NULL), OUTCOME_OK, "401, offers Basic only");
    tls_server_stop(&s);
    bench_fini(&b);
    X509_free(x);
    EVP_PKEY_free(weak);
}

/* A server that wants a client certificate: some only ask, some insist, and TLS 1.3 tells only afterwards. */
static int any_certificate(int ok, X509_STORE_CTX *store)
{
    (void)ok, (void)store;
    return 1;
}

static void test_client_certificate(void **state)
{
    (void)state;
    static const struct {
        int max_version, mode;
        enum outcome outcome;
        const char *words;
        bool needs;
    } cases[] = {
        {TLS1_2_VERSION, SSL_VERIFY_PEER, OUTCOME_OK, "asked for, but not required", false},
        {TLS1_3_VERSION, SSL_VERIFY_PEER, OUTCOME_OK, "asked for, but not required", false},
        {TLS1_2_VERSION, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, OUTCOME_FAILED,
         "required: ", true},
        {TLS1_3_VERSION, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, OUTCOME_FAILED,
         "required: ", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_server s = {
            .serve = say_arg, .arg = "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"};
        struct bench b;
        assert_true(tls_server_start(&s, good, key));
        SSL_CTX_set_max_proto_version(s.ctx, cases[i].max_version);
        SSL_CTX_set_verify(s.ctx, cases[i].mode, any_certificate);
        bench_init(&b, s.port);
        bench_probe(&b);
        is(seen(&b, "client-certificate", NULL), cases[i].outcome, cases[i].words);
        is(seen(&b, "certificate", NULL), OUTCOME_OK, "good for cas01.contoso.lab");
        assert_true(seen(&b, "tls", NULL)->u.tls.asks_for_certificate);
        assert_int_equal(seen(&b, "tls", NULL)->u.tls.needs_certificate, cases[i].needs);
        is(seen(&b, "challenge", NULL), cases[i].needs ? OUTCOME_ERROR : OUTCOME_OK, "");
        tls_server_stop(&s);
        bench_fini(&b);
    }
}

static void test_challenge_alone(void **state)
{
    (void)state;
    struct tls_server s = {.serve = say_arg,
                           .arg = "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"};
    struct bench b;
    assert_true(tls_server_start(&s, good, key));
    bench_init(&b, s.port);
    probe_challenge(&b.profile, &b.server, PROTOCOL_OA, NULL, &b.e);
    assert_int_equal(b.e.items.n, 1);
    is(&b.e.items.v[0], OUTCOME_OK, "401, offers NTLM only");
    tls_server_stop(&s);
    assert_int_equal(s.n_peers, 1);
    bench_fini(&b);
}

struct count {
    unsigned n, dead;
};

static void counted(void *arg, const struct server *server, const struct evidence *partial)
{
    struct count *c = arg;
    const struct observation *o =
        evidence_find(partial, OBSERVATION_CHALLENGE, server->name, PROTOCOL_OA, NULL);
    c->n++;
    c->dead += !o || o->outcome != OUTCOME_OK;
}

#define N_SERVERS 24

static void run_servers(struct bench *b, struct server *servers, char (*names)[2][32], uint16_t port,
                        uint16_t silent)
{
    char addr[32];
    bench_init(b, port);
    b->req.timeout_ms = 4000; /* six connections a server, under a sanitizer on a busy machine */
    b->req.parallel = 8;
    for (int i = 0; i < N_SERVERS; i++) {
        str_fmt(names[i][0], sizeof names[i][0], "S%02d", i);
        str_fmt(names[i][1], sizeof names[i][1], "s%02d.contoso.lab", i);
        servers[i] = (struct server){.name = names[i][0],
                                     .fqdn = names[i][1],
                                     .roles = ROLE_CLIENT_ACCESS,
                                     .generation = GENERATION_2010};
        str_fmt(addr, sizeof addr, "127.0.0.1:%u", i % 8 == 3 ? silent : port);
        assert_int_equal(hostmap_add_pair(&b->profile.hosts, names[i][1], addr, NULL), ERR_OK);
    }
}

static void test_run(void **state)
{
    (void)state;
    struct tls_server s = {.serve = say_arg,
                           .arg = "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"},
                      silent = {.plain_silence = true};
    struct server servers[N_SERVERS + 1];
    char names[N_SERVERS][2][32];
    struct bench b;
    struct count c = {0};
    struct errinfo ei;
    assert_true(tls_server_start(&s, good, key) && tls_server_start(&silent, NULL, NULL));
    run_servers(&b, servers, names, s.port, silent.port);
    servers[N_SERVERS] = (struct server){.name = "MBX", .roles = ROLE_MAILBOX, .generation = GENERATION_2010};
    struct org org = {.servers = servers, .n_servers = N_SERVERS + 1};
    int64_t from = clock_mono_ms();
    assert_int_equal(probe_run(&b.profile, &org, NULL, 0, &b.req, NULL, counted, &c, &b.e, &ei), ERR_OK);
    assert_true(clock_mono_ms() - from < 15000);
    assert_int_equal(c.n, N_SERVERS); /* the mailbox server is none of them */
    assert_int_equal(c.dead, N_SERVERS / 8);
    const char *last = "";
    for (size_t i = 0; i < b.e.items.n; i++) { /* in the order of the servers */
        assert_true(str_icmp(last, b.e.items.v[i].server) <= 0);
        last = b.e.items.v[i].server;
    }
    const struct server *two[] = {&servers[3], &servers[5]};
    c = (struct count){0};
    size_t before = b.e.items.n;
    assert_int_equal(probe_run(&b.profile, &org, two, 2, &b.req, NULL, counted, &c, &b.e, &ei), ERR_OK);
    assert_int_equal(c.n, 2);
    assert_int_equal(b.e.items.n, before); /* newer observations take the place of the old */

    struct stop stop;
    stop_init(&stop, 0, NULL);
    stop_raise(&stop);
    c = (struct count){0};
    assert_int_equal(probe_run(&b.profile, &org, NULL, 0, &b.req, &stop, counted, &c, &b.e, &ei),
                     ERR_INTERRUPTED);
    assert_int_equal(c.n, 0);
    assert_int_equal(b.e.items.n, before);

    assert_int_equal(profile_set(&b.profile, PROFILE_trust, "/proc/nonexistent/ca.pem", NULL), ERR_OK);
    assert_int_equal(probe_run(&b.profile, &org, two, 2, &b.req, NULL, NULL, NULL, &b.e, &ei), ERR_CONFIG);
    tls_server_stop(&s);
    tls_server_stop(&silent);
    bench_fini(&b);
}

static void sleeps(void *arg)
{
    poll(NULL, 0, *(int *)arg);
}

static void test_late(void **state)
{
    (void)state;
    struct stop stop;
    int quick = 0, *slow = malloc(sizeof *slow);
    assert_non_null(slow);
    *slow = 1200;
    stop_init(&stop, 200, NULL);
    assert_int_equal(late_run(sleeps, free, &quick, &stop), ERR_OK);
    assert_int_equal(late_run(sleeps, free, slow, &stop), ERR_TIMEOUT); /* slow is the thread's now */
    stop_init(&stop, 0, NULL);
    stop_raise(&stop);
    slow = malloc(sizeof *slow);
    assert_non_null(slow);
    *slow = 300;
    assert_int_equal(late_run(sleeps, free, slow, &stop), ERR_INTERRUPTED);
    poll(NULL, 0, 1400); /* both end and free what is theirs */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_old_tls),
        cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_challenge_alone),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_late),
    };
    return cmocka_run_group_tests(tests, bench_set_up, bench_tear_down);
}
