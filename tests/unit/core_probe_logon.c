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

static void probe_with(struct bench *b, struct tls_server *s, const char *password, int64_t threshold)
{
    struct secret secret = {0};
    struct org org = {.lockout_threshold = threshold};
    assert_true(tls_server_start(s, good, key));
    bench_init(b, s->port);
    assert_int_equal(secret_set(&secret, password, strlen(password)), ERR_OK);
    b->req = (struct probe_request){.protocols = FIVE,
                                    .deep = true,
                                    .timeout_ms = 8000,
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
        cmocka_unit_test(test_ntlm_cut),
        cmocka_unit_test(test_bodies),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
