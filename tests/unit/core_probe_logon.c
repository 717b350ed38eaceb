/* Logging on method by method: what is sent, what a refusal costs, who is not tried, and answers with heads and bodies. */
#include "core/probe/http.h"
#include "core/probe/probe_int.h"
#include "tests/unit/probe_bench.h"

static char conf_file[] = "/tmp/casbridge-krb5-XXXXXX";

static int set_up(void **state)
{
    if (!bench_no_kdc(conf_file))
        return -1;
    return bench_set_up(state);
}

static int tear_down(void **state)
{
    unlink(conf_file);
    return bench_tear_down(state);
}

#define FIVE                                                                                                 \
    (1u << PROTOCOL_OA | 1u << PROTOCOL_EWS | 1u << PROTOCOL_EAS | 1u << PROTOCOL_OAB |                      \
     1u << PROTOCOL_AUTODISCOVER)
static const char basic_401[] =
    "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n";

/* "alice@contoso.lab:right" */
static const char right[] = "Authorization: Basic YWxpY2VAY29udG9zby5sYWI6cmlnaHQ=\r\n";
static atomic_uint tried;

static bool judge_basic(struct tls_peer *p, const char *head)
{
    if (!strstr(head, "Authorization: "))
        return tls_peer_say(p, basic_401);
    atomic_fetch_add(&tried, 1);
    return tls_peer_say(p, strstr(head, right) ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" : basic_401);
}

static X509 *shown;                   /* by the server; NULL: the good one */
static struct logon_budget *kept;     /* over several runs; NULL: each has its own */
static const char *namespaces = NULL; /* of the profile */

static void probe_with(struct bench *b, struct tls_server *s, const char *password, int64_t threshold)
{
    struct secret secret = {0};
    struct org org = {.lockout_threshold = threshold};
    assert_true(tls_server_start(s, shown ? shown : good, key));
    bench_init(b, s->port);
    if (namespaces)
        assert_int_equal(profile_set(&b->profile, PROFILE_namespace, namespaces, NULL), ERR_OK);
    assert_int_equal(secret_set(&secret, password, strlen(password)), ERR_OK);
    b->req = (struct probe_request){.protocols = FIVE,
                                    .deep = true,
                                    .timeout_ms = 8000,
                                    .budget = kept,
                                    .user = {.name = "alice@contoso.lab", .password = &secret}};
    atomic_store(&tried, 0);
    probe_server(&b->profile, &org, &b->server, &b->req, NULL, &b->e);
    tls_server_stop(s);
    secret_fini(&secret);
}

static unsigned count(const struct bench *b, const char *step, enum outcome outcome, const char *detail)
{
    unsigned n = 0;
    for (size_t i = 0; i < b->e.items.n; i++) {
        const struct observation *o = &b->e.items.v[i];
        n += str_eq(o->step, step) && o->outcome == outcome && strstr(o->detail, detail);
    }
    return n;
}

/* Wrong everywhere: never more attempts than lockoutThreshold - 2, whatever there is to try. */
static void test_budget(void **state)
{
    static const struct {
        int64_t threshold;
        unsigned tried;
    } cases[] = {{4, 2}, {3, 1}, {2, 0}, {-1, 1}, {0, 5}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_server s = {.serve = judge_basic};
        struct bench b;
        probe_with(&b, &s, "wrong", cases[i].threshold);
        assert_int_equal(atomic_load(&tried), cases[i].tried);
        assert_int_equal(count(&b, "logon-basic", OUTCOME_FAILED, "401: user and password are refused"),
                         cases[i].tried);
        assert_int_equal(count(&b, "logon-basic", OUTCOME_SKIPPED, "locks an account"), 5 - cases[i].tried);
        bench_fini(&b);
    }
}

/* Right: each attempt gives its place back, so one is enough for all. */
static void test_success(void **state)
{
    struct tls_server s = {.serve = judge_basic};
    struct bench b;
    (void)state;
    probe_with(&b, &s, "right", 3);
    assert_int_equal(count(&b, "logon-basic", OUTCOME_OK, "200 with Basic"), 5);
    assert_int_equal(count(&b, "login", OUTCOME_ERROR, ""), 1); /* no KDC: said once, and no hindrance */
    assert_int_equal(count(&b, "logon-negotiate", OUTCOME_SKIPPED, ""), 1);
    for (size_t i = 0; i < b.e.items.n; i++) {
        assert_null(strstr(b.e.items.v[i].detail, "right"));
        if (str_eq(b.e.items.v[i].step, "logon-basic"))
            assert_string_equal(b.e.items.v[i].u.logon.user, "alice@contoso.lab");
    }
    bench_fini(&b);
}

/* The key pressed again and again in the console: one budget for all. */
static void test_budget_over_runs(void **state)
{
    unsigned all = 0;
    (void)state;
    kept = logon_budget_new(5);
    assert_non_null(kept);
    for (int i = 0; i < 3; i++) {
        struct tls_server s = {.serve = judge_basic};
        struct bench b;
        probe_with(&b, &s, "wrong", 5);
        all += atomic_load(&tried);
        bench_fini(&b);
    }
    logon_budget_free(&kept);
    assert_int_equal(all, 3);
}

/* A device that logs on for the server: who knows what its 503 to a password means? A page behind it tells. */
static bool basic_then_503(struct tls_peer *p, const char *head)
{
    if (!strstr(head, "Authorization: "))
        return tls_peer_say(p, basic_401);
    atomic_fetch_add(&tried, 1);
    return tls_peer_say(p, "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n");
}

static bool oa_then_503(struct tls_peer *p, const char *head)
{
    return strstr(head, "/rpc/") ? judge_basic(p, head) : basic_then_503(p, head);
}

static void test_no_answer_is_no_success(void **state)
{
    (void)state;
    for (int oa = 0; oa < 2; oa++) {
        struct tls_server s = {.serve = oa ? oa_then_503 : basic_then_503};
        struct bench b;
        probe_with(&b, &s, "right", 5);
        if (oa)
            assert_int_equal(count(&b, "logon-basic", OUTCOME_SKIPPED, ""), 0);
        else
            assert_int_equal(atomic_load(&tried), 3);
        bench_fini(&b);
    }
}

/* A healthy application has no page for a browser: that is no fault, and a 503 still is. */
static bool no_pages(struct tls_peer *p, const char *head)
{
    bool device = strstr(head, "/Microsoft-Server-ActiveSync") || strstr(head, "/EWS/");
    if (!strstr(head, "Authorization: "))
        return tls_peer_say(p, basic_401);
    return tls_peer_say(p, device ? "HTTP/1.1 501 x\r\nContent-Length: 0\r\n\r\n"
                                  : "HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n");
}

static void test_no_page_is_no_fault(void **state)
{
    struct tls_server s = {.serve = no_pages};
    struct bench b;
    (void)state;
    probe_with(&b, &s, "right", 0);
    assert_int_equal(count(&b, "logon-basic", OUTCOME_OK, "no page for a browser"), 1);
    assert_int_equal(count(&b, "logon-basic", OUTCOME_OK, "the folder is not listed"), 1);
    assert_int_equal(count(&b, "logon-basic", OUTCOME_FAILED, ""), 3); /* elsewhere the same is a fault */
    bench_fini(&b);
}

/* The password itself goes only to who is known to be the server. */
static void test_untrusted(void **state)
{
    static const struct {
        const char *name, *namespaces;
        bool issued, sent;
        const char *why;
    } cases[] = {
        {"cas01.contoso.lab", NULL, false, false, "certificate is not trusted"},
        {"other.contoso.lab", NULL, true, false, "certificate is for other names"},
        {"outlook.contoso.lab", "outlook.contoso.lab", true, true, ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct test_cert spec = {.cn = "x",
                                       .names = {{cases[i].name, strlen(cases[i].name)}},
                                       .n_names = 1,
                                       .from_s = -DAY,
                                       .until_s = 300 * DAY};
        struct tls_server s = {.serve = judge_basic};
        struct bench b;
        shown = test_cert_make(&spec, key, cases[i].issued ? ca : NULL, cases[i].issued ? ca_key : NULL);
        namespaces = cases[i].namespaces;
        probe_with(&b, &s, "right", 0);
        X509_free(shown);
        shown = NULL;
        namespaces = NULL;
        assert_int_equal(atomic_load(&tried) > 0, cases[i].sent);
        assert_int_equal(count(&b, "logon-basic", OUTCOME_OK, ""), cases[i].sent ? 5 : 0);
        assert_int_equal(count(&b, "logon-basic", OUTCOME_SKIPPED, cases[i].why), cases[i].sent ? 0 : 5);
        bench_fini(&b);
    }
}

/* The good certificate to whoever looks, another one to the connection after: what came between gets no password. */
static X509 *evil;

static bool swap_then_judge(struct tls_peer *p, const char *head)
{
    if (SSL_CTX_use_certificate(p->server->ctx, evil) != 1)
        return false;
    return judge_basic(p, head);
}

static void test_swapped_certificate(void **state)
{
    struct tls_server s = {.serve = swap_then_judge};
    struct bench b;
    (void)state;
    evil = test_cert_make(&good_spec, key, NULL, NULL);
    assert_non_null(evil);
    probe_with(&b, &s, "right", 0);
    assert_int_equal(atomic_load(&tried), 0);
    assert_int_equal(count(&b, "logon-basic", OUTCOME_ERROR, "another certificate than a moment ago"), 5);
    bench_fini(&b);
    X509_free(evil);
}

/* NTLM through GSSAPI: the first message anonymous, the proof on the same connection or not at all. */
static bool ntlm_then_close(struct tls_peer *p, const char *head)
{
    /* a type 2 message of a server called X */
    static const char challenge[] = "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM "
                                    "TlRMTVNTUAACAAAAAgACADgAAAAFgooCASNFZ4mrze8AAAAAAAAAABQAFAA6AAAA"
                                    "BgGxHQAAAA9YAAIAAgBYAAEAAgBYAAcACAAAgD7V3rGdAQAAAAA=\r\nContent-Length: "
                                    "0\r\nConnection: close\r\n\r\n";
    if (!strstr(head, "Authorization: NTLM"))
        return tls_peer_say(p, "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n");
    atomic_fetch_add(&tried, 1);
    tls_peer_say(p, challenge);
    return false;
}

static void test_ntlm_cut(void **state)
{
    struct tls_server s = {.serve = ntlm_then_close};
    struct bench b;
    (void)state;
    probe_with(&b, &s, "right", 10);
    if (count(&b, "logon-ntlm", OUTCOME_SKIPPED, "does not know it")) {
        printf("skipped: gss-ntlmssp is not there\n");
        bench_fini(&b);
        skip();
    }
    assert_int_equal(count(&b, "logon-ntlm", OUTCOME_OK, ""), 0);
    assert_int_equal(count(&b, "logon-ntlm", OUTCOME_ERROR, ""), 5);
    assert_true(atomic_load(&tried) >= 5);
    bench_fini(&b);
}

/* ---- requests and answers that the protocols behind need */

static bool echo_request(struct tls_peer *p, const char *head)
{
    char body[65], answer[256];
    if (strstr(head, "HEAD /"))
        return tls_peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    if (!strstr(head, "Content-Length: 64\r\n") || !strstr(head, "X-One: 1\r\n") ||
        !strstr(head, "Content-Type: text/xml\r\n") || strstr(head, "Expect"))
        return tls_peer_say(p, "HTTP/1.1 400 wrong\r\nContent-Length: 0\r\n\r\n");
    for (int n = 0; n < 64;) {
        int k = SSL_read(p->ssl, body + n, 64 - n);
        if (k <= 0)
            return false;
        n += k;
    }
    body[64] = '\0';
    str_fmt(answer, sizeof answer,
            "HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:  two\x01 \r\nContent-Length: 64\r\n\r\n%s", body);
    return tls_peer_say(p, answer);
}

static void test_bodies(void **state)
{
    struct tls_server s = {.serve = echo_request};
    struct http_session *http = NULL;
    struct http_answer a;
    struct stop stop;
    char value[32], body[64];
    unsigned char binding[CERTIFICATE_BINDING_MAX];
    const char *const headers[] = {"X-One: 1", "Content-Type: text/xml", NULL};
    struct http_request req = {
        .method = "POST", .path = "/", .headers = headers, .body = body, .body_len = 64, .keep = 1000};
    (void)state;
    memset(body, 'b', sizeof body);
    assert_true(tls_server_start(&s, good, key));
    stop_init(&stop, 5000, NULL);
    assert_int_equal(http_session_new(&http, "cas01.contoso.lab", "127.0.0.1", s.port, false, -1, NULL),
                     ERR_OK);
    assert_int_equal(http_session_binding(http, binding), 0);
    assert_int_equal(http_ask(http, &req, &stop, &a, NULL), ERR_OK);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body.len, 64);
    assert_memory_equal(a.body.data, body, 64);
    assert_true(a.body_whole);
    assert_int_equal(a.connections, 1);
    assert_true(http_answer_header(&a, "x-A", 0, value, sizeof value));
    assert_string_equal(value, "1");
    assert_true(http_answer_header(&a, "X-A", 1, value, sizeof value));
    assert_string_equal(value, "two\xe2\x90\x81");
    assert_false(http_answer_header(&a, "X-A", 2, value, sizeof value));
    assert_int_equal(http_session_binding(http, binding), 32);
    http_answer_fini(&a);
    req.keep = 40; /* no more than wanted, and said so */
    assert_int_equal(http_ask(http, &req, &stop, &a, NULL), ERR_OK);
    assert_int_equal(a.body.len, 40);
    assert_false(a.body_whole);
    assert_int_equal(a.connections, 0);
    http_answer_fini(&a);
    req = (struct http_request){.method = "HEAD", .path = "/"}; /* a length, and no body to wait for */
    assert_int_equal(http_ask(http, &req, &stop, &a, NULL), ERR_OK);
    assert_int_equal(a.status, 200);
    assert_true(a.elapsed_ms < 1000);
    http_answer_fini(&a);
    http_session_free(&http);
    tls_server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_success),
        cmocka_unit_test(test_budget_over_runs),
        cmocka_unit_test(test_no_answer_is_no_success),
        cmocka_unit_test(test_no_page_is_no_fault),
        cmocka_unit_test(test_untrusted),
        cmocka_unit_test(test_swapped_certificate),
        cmocka_unit_test(test_ntlm_cut),
        cmocka_unit_test(test_bodies),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
