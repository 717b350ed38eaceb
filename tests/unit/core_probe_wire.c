/* Probes against TLS servers of the test's own: what each answer becomes as evidence, and that nothing takes longer than it may. */
#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/probe/late.h"
#include "core/probe/probe.h"
#include "tests/unit/test_cert.h"
#include "tests/unit/tls_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DAY 86400L

static EVP_PKEY *ca_key, *key;
static X509 *ca, *good;
static char ca_file[] = "/tmp/casbridge-ca-XXXXXX";

static const struct test_cert good_spec = {
    .cn = "cas01",
    .names = {TEST_NAME("cas01.contoso.lab"), TEST_NAME("mail.contoso.lab")},
    .n_names = 2,
    .from_s = -DAY,
    .until_s = 300 * DAY};

static int set_up(void **state)
{
    const struct test_cert spec = {.cn = "Test CA", .from_s = -DAY, .until_s = 3000 * DAY, .ca = true};
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    ca_key = test_key();
    key = test_key();
    ca = test_cert_make(&spec, ca_key, NULL, NULL);
    good = test_cert_make(&good_spec, key, ca, ca_key);
    int fd = mkstemp(ca_file);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool ok = f && ca && good && PEM_write_X509(f, ca) == 1;
    return f && fclose(f) == 0 && ok ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(ca_file);
    X509_free(ca);
    X509_free(good);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    return 0;
}

/* One server of an organisation, reached at a port of ours. */
struct bench {
    struct profile profile;
    struct server server;
    struct evidence e;
    struct probe_request req;
    int took_ms;
};

static void bench_init(struct bench *b, uint16_t port)
{
    char addr[32];
    *b =
        (struct bench){.server = {.name = "CAS01", .fqdn = "cas01.contoso.lab"}, .req = {.timeout_ms = 8000}};
    str_fmt(addr, sizeof addr, "127.0.0.1:%u", port);
    assert_int_equal(hostmap_add_pair(&b->profile.hosts, "cas01.contoso.lab", addr, NULL), ERR_OK);
    assert_int_equal(profile_set(&b->profile, PROFILE_trust, ca_file, NULL), ERR_OK);
    evidence_init(&b->e, 1 << 20);
}

static void bench_fini(struct bench *b)
{
    evidence_fini(&b->e);
    profile_fini(&b->profile);
}

static void bench_probe(struct bench *b)
{
    int64_t from = clock_mono_ms();
    probe_server(&b->profile, NULL, &b->server, &b->req, NULL, &b->e);
    b->took_ms = (int)(clock_mono_ms() - from);
    for (size_t i = 0; i < b->e.items.n; i++) {
        const struct observation *o = &b->e.items.v[i];
        assert_non_null(o->detail);
        assert_string_equal(o->server, b->server.name);
        assert_true(utf8_valid(o->detail, strlen(o->detail)));
        for (const char *p = o->detail; *p; p++)
            assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
    }
}

static const struct observation *seen(const struct bench *b, const char *step, const char *by_name)
{
    for (size_t i = 0; i < b->e.items.n; i++) {
        const struct observation *o = &b->e.items.v[i];
        if (str_eq(o->step, step) && (!by_name || str_eq(o->by_name, by_name)))
            return o;
    }
    fail_msg("no step %s", step);
    return NULL;
}

static void is(const struct observation *o, enum outcome outcome, const char *detail)
{
    if (o->outcome != outcome || !strstr(o->detail, detail))
        fail_msg("%s: %s, \"%s\" instead of \"%s\"", o->step, outcome_name(o->outcome), o->detail, detail);
}

static bool say_arg(struct tls_peer *p, const char *head)
{
    (void)head;
    return tls_peer_say(p, p->server->arg);
}

/* The answer of a server that says `answer` to every request. */
static void probe_answer(struct bench *b, const char *answer, bool (*serve)(struct tls_peer *, const char *),
                         int timeout_ms)
{
    struct tls_server s = {.serve = serve ? serve : say_arg, .arg = answer};
    assert_true(tls_server_start(&s, good, key));
    bench_init(b, s.port);
    b->req.timeout_ms = timeout_ms;
    bench_probe(b);
    tls_server_stop(&s);
}

static void test_answers(void **state)
{
    static const struct {
        const char *answer;
        int status;
        auth_set offered;
        bool anonymous;
        enum outcome outcome;
        const char *detail;
    } cases[] = {
        {"HTTP/1.1 401 Unauthorized\r\nServer: Microsoft-IIS/7.5\r\nWWW-Authenticate: Basic "
         "realm=\"cas01\"\r\n"
         "X-FEServer: FE1\r\nContent-Length: 5\r\n\r\nHello",
         401, AUTH_BASIC, false, OUTCOME_OK, "401, offers Basic only"},
        {"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nwww-authenticate: NTLM\r\n"
         "WWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n",
         401, AUTH_NEGOTIATE | AUTH_NTLM | AUTH_BASIC, false, OUTCOME_OK,
         "401, offers Negotiate, NTLM, Basic"},
        {"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate, NTLM\r\nContent-Length: 0\r\n\r\n", 401,
         AUTH_NEGOTIATE | AUTH_NTLM, false, OUTCOME_OK, "401, offers Negotiate, NTLM"},
        {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401, 0, false, OUTCOME_FAILED,
         "401 without any WWW-Authenticate"},
        {"HTTP/1.1 100 Continue\r\nWWW-Authenticate: NTLM\r\n\r\nHTTP/1.1 401 No\r\nWWW-Authenticate: "
         "Basic\r\n"
         "Content-Length: 0\r\n\r\n",
         401, AUTH_BASIC, false, OUTCOME_OK, "401, offers Basic only"},
        {"HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 2\r\n\r\nhi", 200, 0, true,
         OUTCOME_FAILED, "200 without credentials: anonymous requests are let in"},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, 0, false, OUTCOME_FAILED,
         "404: there is no such virtual directory"},
        {"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n", 405, 0, false, OUTCOME_FAILED,
         "no RPC proxy there"},
        {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 503, 0, false, OUTCOME_FAILED,
         "503: service unavailable (application pool stopped?)"},
        {"HTTP/1.1 302 Found\r\nLocation: https://mail.contoso.lab/owa\r\nContent-Length: 0\r\n\r\n", 302, 0,
         false, OUTCOME_FAILED, "302, redirects to https://mail.contoso.lab/owa (not followed)"},
        {"HTTP/1.1 302 Found\r\nLocation: /\x1b[2J\xff\r\nContent-Length: 0\r\n\r\n", 302, 0, false,
         OUTCOME_FAILED, "302, redirects to /"},
        {"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n", 418, 0, false, OUTCOME_FAILED, "418"},
        {"HTTP/1.0 401 No\r\nWWW-Authenticate: NTLM\r\n\r\nno length, so the end of the connection ends it",
         401, AUTH_NTLM, false, OUTCOME_OK, "401, offers NTLM only"},
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", 0, 0, false, OUTCOME_ERROR, "the answer is not HTTP"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench b;
        probe_answer(&b, cases[i].answer, NULL, 8000);
        const struct observation *o =
            evidence_find(&b.e, OBSERVATION_CHALLENGE, "CAS01", PROTOCOL_OA, "challenge");
        assert_non_null(o);
        is(o, cases[i].outcome, cases[i].detail);
        assert_int_equal(o->u.challenge.status, cases[i].status);
        assert_int_equal(o->u.challenge.offered, cases[i].offered);
        assert_int_equal(o->u.challenge.anonymous, cases[i].anonymous);
        assert_string_equal(o->subject, "https://cas01.contoso.lab/rpc/rpcproxy.dll");
        if (i == 0) {
            assert_string_equal(o->u.challenge.server_header, "Microsoft-IIS/7.5");
            assert_string_equal(o->u.challenge.fe_server, "FE1");
        }
        bench_fini(&b);
    }
}

/* What goes over the wire: an echo request as Outlook makes it, and nothing that would change the answer. */
static bool check_request(struct tls_peer *p, const char *head)
{
    static const char *const must[] = {"\r\nHost: cas01.contoso.lab\r\n", "\r\nContent-Length: 0\r\n",
                                       "\r\nUser-Agent: MSRPC\r\n", "\r\nAccept: application/rpc\r\n"};
    static const char *const must_not[] = {"Authorization", "Expect", "Content-Type", "Transfer-Encoding",
                                           "Upgrade"};
    char answer[256], wrong[64] = "";
    if (strncmp(head, "RPC_IN_DATA /rpc/rpcproxy.dll HTTP/1.1\r\n", 40) != 0)
        str_copy(wrong, sizeof wrong, "request line");
    for (size_t i = 0; i < ARRAY_LEN(must); i++)
        if (!strstr(head, must[i]))
            str_copy(wrong, sizeof wrong, must[i] + 2);
    for (size_t i = 0; i < ARRAY_LEN(must_not); i++)
        if (str_icontains(head, must_not[i]))
            str_copy(wrong, sizeof wrong, must_not[i]);
    wrong[strcspn(wrong, "\r")] = '\0';
    str_fmt(answer, sizeof answer,
            "HTTP/1.1 401 x\r\nServer: [%s]\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n", wrong);
    return tls_peer_say(p, answer);
}

static void test_request(void **state)
{
    (void)state;
    struct bench b;
    setenv("https_proxy", "http://127.0.0.1:9", 1); /* must not be used */
    probe_answer(&b, NULL, check_request, 8000);
    unsetenv("https_proxy");
    assert_string_equal(seen(&b, "challenge", NULL)->u.challenge.server_header, "[]");
    bench_fini(&b);
}

/* All protocols over one connection, beside the one that was only for TLS. */
static void test_one_connection(void **state)
{
    (void)state;
    struct tls_server s = {.serve = say_arg,
                           .arg = "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM\r\nContent-Length: 3\r\n\r\nabc"};
    struct bench b;
    assert_true(tls_server_start(&s, good, key));
    bench_init(&b, s.port);
    b.req.protocols = (1u << PROTOCOL_COUNT) - 1;
    bench_probe(&b);
    tls_server_stop(&s);
    assert_int_equal(s.n_peers, 2);
    assert_int_equal(s.n_requests, 9);
    int asked = 0, skipped = 0;
    for (size_t i = 0; i < b.e.items.n; i++) {
        const struct observation *o = &b.e.items.v[i];
        if (o->kind != OBSERVATION_CHALLENGE)
            continue;
        asked += o->u.challenge.offered == AUTH_NTLM;
        skipped += o->outcome == OUTCOME_SKIPPED;
    }
    assert_int_equal(asked, 9);
    assert_int_equal(skipped, 2); /* POP3 and IMAP4 */
    bench_fini(&b);
}

static bool drip(struct tls_peer *p, const char *head)
{
    static const char text[] = "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM\r\nX: ";
    (void)head;
    for (size_t i = 0; !tls_server_stopping(p->server); i++) {
        if (!tls_peer_send(p, i < sizeof text - 1 ? text + i : "y", 1))
            return false;
        tls_server_nap(p->server, i < 40 ? 1 : 40);
    }
    return false;
}

static bool say_nothing(struct tls_peer *p, const char *head)
{
    (void)head;
    tls_server_nap(p->server, 60000);
    return false;
}

static bool close_at_once(struct tls_peer *p, const char *head)
{
    (void)p, (void)head;
    return false;
}

static bool many_headers(struct tls_peer *p, const char *head)
{
    char line[1100];
    (void)head;
    memset(line, 'h', sizeof line);
    memcpy(line, "X-Pad: ", 7);
    memcpy(line + 1000, "\r\n", 3);
    if (!tls_peer_say(p, "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM\r\n"))
        return false;
    for (int i = 0; i < 100000 && !tls_server_stopping(p->server); i++)
        if (!tls_peer_say(p, line))
            return false;
    return false;
}

static bool one_long_header(struct tls_peer *p, const char *head)
{
    char part[1024];
    (void)head;
    memset(part, 'h', sizeof part);
    if (!tls_peer_say(p, "HTTP/1.1 401 x\r\nX-Long: "))
        return false;
    for (int i = 0; i < 1000 && !tls_server_stopping(p->server); i++)
        if (!tls_peer_send(p, part, sizeof part))
            return false;
    return false;
}

static bool endless_body(struct tls_peer *p, const char *head)
{
    char part[1024];
    (void)head;
    memset(part, 'b', sizeof part);
    if (!tls_peer_say(p, "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM\r\nContent-Length: 1073741824\r\n\r\n"))
        return false;
    while (!tls_server_stopping(p->server))
        if (!tls_peer_send(p, part, sizeof part))
            return false;
    return false;
}

static bool many_schemes(struct tls_peer *p, const char *head)
{
    struct buf b;
    (void)head;
    buf_init(&b, 1 << 20);
    buf_adds(&b, "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"x\"\r\n");
    for (int i = 0; i < 500; i++)
        buf_addf(&b, "WWW-Authenticate: Scheme%d realm=\"y\"\r\n", i);
    buf_adds(&b, "Content-Length: 0\r\n\r\n");
    bool ok = tls_peer_send(p, b.data, b.len);
    buf_fini(&b);
    return ok;
}

static void test_hostile(void **state)
{
    static const struct {
        bool (*serve)(struct tls_peer *, const char *);
        int timeout_ms, at_least_ms, at_most_ms;
        enum outcome outcome;
        const char *detail;
    } cases[] = {
        {drip, 1200, 500, 7000, OUTCOME_ERROR, "the answer is too slow: "},
        {say_nothing, 1000, 500, 7000, OUTCOME_ERROR, "no answer within "},
        {close_at_once, 8000, 0, 7000, OUTCOME_ERROR, "the connection was closed without an answer"},
        {many_headers, 8000, 0, 7000, OUTCOME_ERROR, "more than 64 KiB of headers"},
        {one_long_header, 8000, 0, 7000, OUTCOME_ERROR, "a header line of more than 64 KiB"},
        {endless_body, 8000, 0, 7000, OUTCOME_OK, "401, offers NTLM only"},
        {many_schemes, 8000, 0, 7000, OUTCOME_OK,
         "401, offers Basic, Scheme0 and 62 more we do not know, and more than 64"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench b;
        probe_answer(&b, NULL, cases[i].serve, cases[i].timeout_ms);
        is(seen(&b, "challenge", NULL), cases[i].outcome, cases[i].detail);
        is(seen(&b, "tls", NULL), OUTCOME_OK, "TLSv1.3"); /* what came before is kept */
        if (b.took_ms < cases[i].at_least_ms || b.took_ms > cases[i].at_most_ms)
            fail_msg("%s took %d ms", cases[i].detail, b.took_ms);
        bench_fini(&b);
    }
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
         "certificate ends in 12 days",
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
        assert_string_equal(s.peers[1].sni, "mail.contoso.lab");
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
    b->req.timeout_ms = 1500;
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

    assert_int_equal(profile_set(&b.profile, PROFILE_trust, "/nonexistent/ca.pem", NULL), ERR_OK);
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
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_one_connection),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_old_tls),
        cmocka_unit_test(test_challenge_alone),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_late),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
