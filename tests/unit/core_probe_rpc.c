/* Outlook Anywhere to its end, against RPC proxies of the test: one that does it right, and each way to fail named. */
#include "core/probe/probe_int.h"
#include "core/rpch/rts.h"
#include "tests/unit/probe_bench.h"

enum manner {
    RIGHT,
    NOT_THERE,     /* 503 RPC Error: 6ba on OUT */
    NOT_ALLOWED,   /* ... 5 on IN */
    NO_ECHO,       /* a login page instead */
    SILENT_OUT,    /* no answer to OUT */
    BUFFERED_OUT,  /* a head, and nothing after it */
    NO_C2,         /* the IN channel leads nowhere */
    SILENT_SERVER, /* open, but no answer to the bind */
    CLOSES,
    GARBAGE,
    REFUSES_BIND,
    OTHER_CERTIFICATE, /* from the first channel on */
    MANNERS
};

static X509 *other; /* for the same names, by nobody */

/* What the two channels share. */
static struct {
    atomic_int manner;
    atomic_bool in_open, bound;
} proxy;

static const char out_head[] =
    "HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 1073741824\r\n\r\n";
static const uint8_t echo[] = {5, 0, 20, 3, 0x10, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0};
static const uint8_t a3[] = {5, 0, 20, 3, 0x10, 0, 0, 0, 28, 0, 0, 0,    0, 0,
                             0, 0, 0,  0, 1,    0, 2, 0, 0,  0, 0, 0xd4, 1, 0};
static const uint8_t c2[] = {5, 0, 20, 3, 0x10, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0,    6, 0,
                             0, 0, 1,  0, 0,    0, 0, 0, 0,  0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0xd4, 1, 0};
static const uint8_t ping[] = {5, 0, 20, 3, 0x10, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};

static bool take(struct tls_peer *p, void *out, int n)
{
    for (int have = 0; have < n;) {
        int k = SSL_read(p->ssl, (char *)out + have, n - have);
        if (k <= 0)
            return false;
        have += k;
    }
    return true;
}

static bool give(struct tls_peer *p, const void *data, size_t n)
{
    return tls_peer_send(p, data, n);
}

static bool wait_on(struct tls_peer *p, atomic_bool *flag)
{
    while (!atomic_load(flag) && !tls_server_stopping(p->server))
        poll(NULL, 0, 2);
    return atomic_load(flag);
}

static bool serve_out(struct tls_peer *p, int manner)
{
    uint8_t a1[76], ack[16 + 24 + 24] = {5, 0, 12, 3, 0x10, 0, 0, 0, 60, 0, 0, 0, 1, 0, 0, 0};
    struct rts_pdu pdu;
    if (!take(p, a1, sizeof a1) || !rts_decode(a1, sizeof a1, &pdu) || strcmp(rts_name(&pdu), "CONN/A1") != 0)
        return false;
    if (manner == NOT_THERE)
        return tls_peer_say(p, "HTTP/1.0 503 RPC Error: 6ba, EEInfo: AAAA\r\nContent-Length: 0\r\n\r\n") &&
               false;
    if (manner == SILENT_OUT)
        return tls_server_nap(p->server, 60000), false;
    if (!tls_peer_say(p, out_head))
        return false;
    if (manner == BUFFERED_OUT)
        return tls_server_nap(p->server, 60000), false;
    if (manner == GARBAGE)
        return tls_peer_say(p, "<html>please log in</html>") && false;
    give(p, a3, 5); /* in two writes, cut within the header */
    give(p, a3 + 5, sizeof a3 - 5);
    if (manner == CLOSES)
        return false;
    if (manner == NO_C2 || !wait_on(p, &proxy.in_open))
        return tls_server_nap(p->server, 60000), false;
    give(p, c2, sizeof c2);
    give(p, ping, sizeof ping);
    if (manner == SILENT_SERVER || !wait_on(p, &proxy.bound))
        return tls_server_nap(p->server, 60000), false;
    ack[16 + 8] = 5; /* "6001" */
    memcpy(ack + 16 + 10, "6001", 5);
    ack[16 + 16] = 1;
    if (manner == REFUSES_BIND)
        ack[16 + 20] = 2, ack[16 + 22] = 1;
    give(p, ack, 60);
    tls_server_nap(p->server, 60000);
    return false;
}

static bool serve_in(struct tls_peer *p, int manner)
{
    uint8_t b1[104], bind[72];
    struct rts_pdu pdu;
    if (!take(p, b1, sizeof b1) || !rts_decode(b1, sizeof b1, &pdu) || strcmp(rts_name(&pdu), "CONN/B1") != 0)
        return false;
    if (manner == NOT_ALLOWED)
        return tls_peer_say(p, "HTTP/1.0 503 RPC Error: 5\r\nContent-Length: 0\r\n\r\n") && false;
    if (manner == NO_C2)
        return tls_server_nap(p->server, 60000), false;
    atomic_store(&proxy.in_open, true);
    if (!take(p, bind, sizeof bind) || !rts_decode(bind, sizeof bind, &pdu) || pdu.ptype != 11)
        return false;
    atomic_store(&proxy.bound, true);
    tls_server_nap(p->server, 60000);
    return false;
}

static bool serve(struct tls_peer *p, const char *head)
{
    char body[4];
    int manner = atomic_load(&proxy.manner);
    if (!strstr(head, "Authorization: Basic "))
        return tls_peer_say(p,
                            "HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n");
    if (strstr(head, "Content-Length: 0\r\n") || strstr(head, "Content-Length: 4\r\n")) {
        if (strstr(head, "Content-Length: 4\r\n") && !take(p, body, sizeof body))
            return false;
        if (manner == OTHER_CERTIFICATE && strncmp(head, "RPC_OUT_DATA ", 13) == 0 &&
            SSL_CTX_use_certificate(p->server->ctx, other) != 1)
            return false;
        if (manner == NO_ECHO)
            return tls_peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nWelcome!");
        return tls_peer_say(
                   p,
                   "HTTP/1.1 200 Success\r\nContent-Type: application/rpc\r\nContent-Length: 20\r\n\r\n") &&
               give(p, echo, sizeof echo);
    }
    if (!strstr(head, "/rpc/rpcproxy.dll?cas01.contoso.lab:600"))
        return false;
    if (strncmp(head, "RPC_OUT_DATA ", 13) == 0) {
        atomic_store(&proxy.in_open, false);
        atomic_store(&proxy.bound, false);
        return serve_out(p, manner);
    }
    return strstr(head, "Content-Length: 1073741824\r\n") && serve_in(p, manner);
}

static void test_manners(void **state)
{
    static const struct {
        enum outcome outcome;
        const char *words;
        int timeout_ms;
    } cases[MANNERS] = {
        [RIGHT] = {OUTCOME_OK, "the information store (EMSMDB) answers: virtual connection in ", 8000},
        [NOT_THERE] = {OUTCOME_FAILED, "OUT channel: RPC error 1722 (0x6ba): the RPC server is unavailable",
                       8000},
        [NOT_ALLOWED] = {OUTCOME_FAILED,
                         "IN channel: RPC error 5 (0x5): access denied; is the name in ValidPorts?", 8000},
        [NO_ECHO] = {OUTCOME_OK, "answers", 8000},
        [SILENT_OUT] = {OUTCOME_ERROR, "the OUT channel does not answer", 1800},
        [BUFFERED_OUT] = {OUTCOME_ERROR, "nothing comes on it", 1800},
        [NO_C2] = {OUTCOME_ERROR, "the IN channel does not reach the RPC server", 1800},
        [SILENT_SERVER] = {OUTCOME_ERROR, "does not answer the bind", 1800},
        [CLOSES] = {OUTCOME_FAILED, "the server closed the OUT channel", 8000},
        [GARBAGE] = {OUTCOME_FAILED, "the OUT channel is broken: what comes on the OUT channel is no RPC",
                     8000},
        [REFUSES_BIND] = {OUTCOME_FAILED, "refuses the bind: the interface is not served there", 8000},
        [OTHER_CERTIFICATE] = {OUTCOME_ERROR, "another certificate than a moment ago, so no credentials",
                               8000},
    };
    struct secret password = {0};
    (void)state;
    assert_int_equal(secret_set(&password, "right", 5), ERR_OK);
    other = test_cert_make(&good_spec, key, NULL, NULL);
    assert_non_null(other);
    for (int m = 0; m < MANNERS; m++) {
        struct tls_server s = {.serve = serve};
        struct bench b;
        assert_true(tls_server_start(&s, good, key));
        bench_init(&b, s.port);
        b.server.generation = GENERATION_2010;
        b.req = (struct probe_request){.deep = true,
                                       .timeout_ms = cases[m].timeout_ms,
                                       .user = {.name = "alice", .password = &password}};
        atomic_store(&proxy.manner, m);
        struct org org = {.lockout_threshold = 0};
        int64_t from = clock_mono_ms();
        probe_server(&b.profile, &org, &b.server, &b.req, NULL, &b.e);
        /* a silence waited out would be a minute */
        assert_true(clock_mono_ms() - from < cases[m].timeout_ms + 10000);
        is(seen(&b, "rpc-6001", NULL), cases[m].outcome, cases[m].words);
        assert_string_equal(seen(&b, "rpc-6001", NULL)->subject,
                            "https://cas01.contoso.lab/rpc/rpcproxy.dll?cas01.contoso.lab:6001");
        is(seen(&b, "echo-in", NULL), m == NO_ECHO ? OUTCOME_FAILED : OUTCOME_OK,
           m == NO_ECHO ? "no RPC proxy's echo: 8 bytes" : "the RPC proxy echoes");
        is(seen(&b, "echo-out", NULL), m == NO_ECHO ? OUTCOME_FAILED : OUTCOME_OK, "");
        (void)seen(&b, "rpc-6004", NULL); /* the others were tried all the same */
        tls_server_stop(&s);
        bench_fini(&b);
    }
    secret_fini(&password);
    X509_free(other);
}

/* A mailbox's address is its owner's to write, and goes into a request: only what is a name does. */
static void test_hostile_address(void **state)
{
    static const char *const mails[] = {"a@contoso.lab\r\nX: y", "a@contoso.lab HTTP/1.1", "a@b@c", "a"};
    struct secret password = {0};
    (void)state;
    assert_int_equal(secret_set(&password, "right", 5), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(mails); i++) {
        struct tls_server s = {.serve = serve};
        struct bench b;
        const struct org org = {.lockout_threshold = 0};
        struct mailbox box = {.generation = GENERATION_2013};
        str_copy(box.guid, sizeof box.guid, "1c1f4d0b-3d3e-4a1b-9c55-6ad7b3c1a001");
        str_copy(box.mail, sizeof box.mail, mails[i]);
        assert_true(tls_server_start(&s, good, key));
        bench_init(&b, s.port);
        b.server.generation = GENERATION_2013;
        b.req = (struct probe_request){.deep = true,
                                       .timeout_ms = 8000,
                                       .user = {.name = "alice", .mailbox = &box, .password = &password}};
        atomic_store(&proxy.manner, RIGHT);
        probe_server(&b.profile, &org, &b.server, &b.req, NULL, &b.e);
        is(seen(&b, "rpc", NULL), OUTCOME_SKIPPED, "no address of a mail domain");
        tls_server_stop(&s);
        bench_fini(&b);
    }
    secret_fini(&password);
}

static char conf_file[] = "/tmp/casbridge-krb5-XXXXXX";

static int set_up(void **state)
{
    return bench_no_kdc(conf_file) ? bench_set_up(state) : -1;
}

static int tear_down(void **state)
{
    unlink(conf_file);
    return bench_tear_down(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_manners),
                                       cmocka_unit_test(test_hostile_address)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
