/* Probes against TLS servers of the test's own: what each answer to the request becomes as evidence. */
#include "tests/unit/probe_bench.h"

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

/* All protocols over one connection, beside the one that was only for TLS and the four that asked for other versions of it. */
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
    assert_int_equal(s.n_peers, 6);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_one_connection),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, bench_set_up, bench_tear_down);
}
