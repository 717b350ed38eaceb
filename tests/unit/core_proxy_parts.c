/* The engine's small parts: timer wheel, ring, address ranges, rows under a seqlock, the book of logons, path kinds, RTS PDUs. */
#include "core/base/str.h"
#include "core/proxy/cidr.h"
#include "core/proxy/logon.h"
#include "core/proxy/proxy_int.h"
#include "core/proxy/ring.h"
#include "core/proxy/rows.h"
#include "core/proxy/wheel.h"
#include "core/rpch/rts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>

#include <cmocka.h>

/* --- wheel */

struct fired {
    struct wheel *w;
    unsigned n;
    struct timer *last, *again;
    uint32_t at;
};

static void on_fire(void *arg, struct timer *t)
{
    struct fired *f = arg;
    f->n++;
    f->last = t;
    f->at = f->w->now;
    if (t == f->again) /* sets itself again */
        wheel_set(f->w, t, 5);
}

static void test_wheel(void **state)
{
    (void)state;
    struct wheel *w = malloc(sizeof *w);
    struct timer t[4] = {0};
    struct fired f = {.w = w};
    wheel_init(w, 1000);
    wheel_set(w, &t[0], 10);
    wheel_advance(w, 1009, on_fire, &f);
    assert_int_equal(f.n, 0);
    wheel_set(w, &t[0], 10); /* lazily later: 1019 */
    wheel_advance(w, 1018, on_fire, &f);
    assert_int_equal(f.n, 0);
    wheel_advance(w, 1019, on_fire, &f);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.at, 1019);
    wheel_set(w, &t[1], 100);
    wheel_set(w, &t[1], 3); /* earlier: moved */
    wheel_advance(w, 1022, on_fire, &f);
    assert_int_equal(f.n, 2);
    wheel_set(w, &t[2], 10000); /* longer than the wheel */
    wheel_set(w, &t[3], 20);
    wheel_cancel(&t[3]);
    wheel_advance(w, 1022 + 9999, on_fire, &f);
    assert_int_equal(f.n, 2);
    wheel_advance(w, 1022 + 10000, on_fire, &f);
    assert_int_equal(f.n, 3);
    assert_ptr_equal(f.last, &t[2]);
    f.again = &t[0];
    wheel_set(w, &t[0], 1);
    wheel_advance(w, w->now + 12, on_fire, &f); /* at +1, +6, +11 */
    assert_int_equal(f.n, 6);
    free(w);
}

/* --- ring */

#define ITEMS 200000u

static void *produce(void *arg)
{
    struct ring *r = arg;
    for (uint64_t i = 1; i <= ITEMS; i++) {
        uint64_t *slot = ring_claim(r);
        if (slot != NULL) {
            *slot = i;
            ring_commit(r);
        }
    }
    return NULL;
}

static void test_ring(void **state)
{
    (void)state;
    struct ring r;
    uint64_t v = 0, last = 0, got = 0;
    assert_int_equal(ring_init(&r, sizeof v, 3), ERR_OK);
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t *slot = ring_claim(&r);
        assert_non_null(slot);
        *slot = i;
        ring_commit(&r);
    }
    assert_null(ring_claim(&r)); /* full: counted, not waited for */
    assert_int_equal(ring_dropped(&r), 1);
    assert_true(ring_pop(&r, &v));
    assert_int_equal(v, 0);
    assert_non_null(ring_claim(&r));
    ring_fini(&r);

    pthread_t t;
    assert_int_equal(ring_init(&r, sizeof v, 256), ERR_OK);
    assert_int_equal(pthread_create(&t, NULL, produce, &r), 0);
    while (last != ITEMS && got + ring_dropped(&r) < ITEMS) {
        if (!ring_pop(&r, &v))
            continue;
        assert_true(v > last);
        last = v;
        got++;
    }
    (void)pthread_join(t, NULL);
    while (ring_pop(&r, &v))
        got++;
    assert_int_equal(got + ring_dropped(&r), ITEMS);
    ring_fini(&r);
}

/* --- rows */

#define ROUNDS 30000

static void *write_rows(void *arg)
{
    struct rows *r = arg;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        uint32_t k = rows_open(r, i);
        struct proxy_row *own = rows_own(r, k);
        own->up_bytes = own->down_bytes = i;
        memset(own->reason, 'a' + (int)(i % 26), sizeof own->reason - 1);
        memset(own->path, 'a' + (int)(i % 26), sizeof own->path - 1);
        rows_flush(r);
        rows_end(r, k);
    }
    return NULL;
}

static void test_rows(void **state)
{
    (void)state;
    struct rows r;
    struct proxy_row row;
    pthread_t t;
    assert_int_equal(rows_init(&r, 2), ERR_OK);
    assert_int_equal(pthread_create(&t, NULL, write_rows, &r), 0);
    uint64_t newest = 0;
    while (newest < ROUNDS) {
        uint32_t high = rows_high(&r);
        for (uint32_t i = 0; i < high; i++) {
            if (!rows_read(&r, i, &row))
                continue;
            if (row.id > newest)
                newest = row.id;
            /* never half of one and half of another */
            assert_int_equal(row.up_bytes, row.down_bytes);
            assert_int_equal(row.up_bytes, row.id);
            assert_int_equal(row.reason[0], 'a' + (int)(row.id % 26));
            assert_int_equal(row.reason[sizeof row.reason - 2], row.reason[0]);
            assert_int_equal(row.path[sizeof row.path - 2], row.reason[0]);
        }
    }
    (void)pthread_join(t, NULL);
    assert_true(rows_high(&r) <= ROWS_KEPT + 2);
    /* the slots are there for open ones first, and ended ones give way */
    uint32_t open[3];
    for (size_t i = 0; i < 3; i++)
        open[i] = rows_open(&r, 100000 + i);
    assert_true(open[0] != ROW_NONE && open[1] != ROW_NONE && open[2] != ROW_NONE);
    rows_fini(&r);
}

/* --- address ranges */

static void test_cidr(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } texts[] = {{"10.0.0.0/8", true},
                 {"10.1.2.3", true},
                 {"0.0.0.0/0", true},
                 {"2001:db8::/32", true},
                 {"::/0", true},
                 {"10.0.0.1/8", false},
                 {"10.0.0.0/33", false},
                 {"10.0.0/8", false},
                 {"", false},
                 {"/8", false},
                 {"10.0.0.0/", false},
                 {"10.0.0.0/-1", false},
                 {"2001:db8::1/32", false},
                 {"::/129", false},
                 {"example.com", false},
                 {"10.0.0.0/8 ", false}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct cidr c;
        if ((cidr_parse(texts[i].text, &c, NULL) == ERR_OK) != texts[i].ok)
            fail_msg("%s", texts[i].text);
    }
    struct cidr_list l = {0};
    assert_int_equal(cidr_list_add(&l, "10.1.0.0/17", NULL), ERR_OK);
    assert_int_equal(cidr_list_add(&l, "2001:db8::/33", NULL), ERR_OK);
    static const struct {
        const char *addr;
        bool allowed;
    } addrs[] = {{"10.1.127.255", true},      {"10.1.128.0", false},      {"10.0.255.255", false},
                 {"127.0.0.1", true},         {"127.9.9.9", true},        {"::1", true},
                 {"::ffff:10.1.2.3", true},   {"::ffff:10.2.2.3", false}, {"2001:db8:7fff::1", true},
                 {"2001:db8:8000::1", false}, {"8.8.8.8", false}};
    for (size_t i = 0; i < ARRAY_LEN(addrs); i++) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        const struct sockaddr *sa = (struct sockaddr *)&v4;
        if (inet_pton(AF_INET, addrs[i].addr, &v4.sin_addr) != 1) {
            assert_int_equal(inet_pton(AF_INET6, addrs[i].addr, &v6.sin6_addr), 1);
            sa = (struct sockaddr *)&v6;
        }
        if (cidr_list_allows(&l, sa) != addrs[i].allowed)
            fail_msg("%s", addrs[i].addr);
    }
}

/* --- logons */

static unsigned drops, takes;

static void *take(void *i)
{
    takes++;
    return i;
}
static void drop(void *i)
{
    (void)i;
    drops++;
}

static enum logon_answer check(struct logon_book *b, uint8_t who, const char *user, int64_t now)
{
    uint8_t digest[LOGON_DIGEST] = {who};
    char why[160];
    void *ident = NULL;
    return logon_check(b, digest, user, now, 1, &ident, why, sizeof why);
}

static void settle(struct logon_book *b, uint8_t who, const char *user, int64_t now, enum logon_outcome o)
{
    uint8_t digest[LOGON_DIGEST] = {who};
    static int identity;
    logon_settle(b, digest, user, now, o, o == LOGON_RIGHT ? &identity : NULL, "no");
}

static void test_logons(void **state)
{
    (void)state;
    struct logon_book *b = NULL;
    drops = takes = 0;
    assert_int_equal(logon_book_new(&b, take, drop), ERR_OK);
    logon_budget(b, 5); /* three wrong ones in half an hour */
    int64_t t = 100000;
    /* right: asked once, believed five minutes, the second asker waits for the first */
    assert_int_equal(check(b, 1, "alice", t), LOGON_ASK);
    assert_int_equal(check(b, 1, "alice", t), LOGON_PENDING);
    settle(b, 1, "alice", t, LOGON_RIGHT);
    assert_int_equal(check(b, 1, "alice", t + 299), LOGON_YES);
    assert_int_equal(takes, 1);
    assert_int_equal(check(b, 1, "alice", t + 300), LOGON_ASK);
    settle(b, 1, "alice", t + 300, LOGON_RIGHT);
    /* questions under way count: four at once for one user are one too many until one is settled */
    for (uint8_t k = 30; k < 33; k++)
        assert_int_equal(check(b, k, "dora", t), LOGON_ASK);
    assert_int_equal(check(b, 33, "DORA@x", t), LOGON_PENDING);
    settle(b, 30, "dora", t, LOGON_RIGHT);
    assert_int_equal(check(b, 33, "dora", t), LOGON_ASK);
    for (uint8_t k = 31; k < 34; k++)
        settle(b, k, "dora", t, LOGON_WRONG);
    assert_int_equal(check(b, 34, "dora", t + 1), LOGON_NO);
    /* the same wrong one over and over: asked at 0, 10 s, 70 s and no more, for the account has three */
    unsigned asked = 0;
    for (int64_t s = 0; s < 1790; s++)
        if (check(b, 2, s % 2 == 0 ? "CONTOSO\\Bob" : "bob@contoso.lab", t + s) == LOGON_ASK) {
            asked++;
            settle(b, 2, "bob", t + s, LOGON_WRONG);
        }
    assert_int_equal(asked, 3);
    /* nor may anybody else try for that user, by whatever name */
    assert_int_equal(check(b, 3, "BOB@other", t + 1700), LOGON_NO);
    /* but after the window */
    assert_int_equal(check(b, 3, "bob", t + 1900), LOGON_ASK);
    settle(b, 3, "bob", t + 1900, LOGON_FAILED); /* KDC down: nothing is learnt */
    assert_int_equal(check(b, 3, "bob", t + 1901), LOGON_ASK);
    settle(b, 3, "bob", t + 1901, LOGON_REFUSED);
    assert_int_equal(check(b, 3, "bob", t + 1902), LOGON_NO);
    assert_int_equal(check(b, 3, "bob", t + 1912), LOGON_ASK);
    settle(b, 3, "bob", t + 1912, LOGON_REFUSED);
    /* the controller's half hour begins anew with each wrong one, and so must ours */
    assert_int_equal(check(b, 61, "erin", t + 40000), LOGON_ASK);
    settle(b, 61, "erin", t + 40000, LOGON_WRONG);
    for (uint8_t k = 62; k < 64; k++) {
        assert_int_equal(check(b, k, "erin", t + 41790), LOGON_ASK);
        settle(b, k, "erin", t + 41790, LOGON_WRONG);
    }
    assert_int_equal(check(b, 64, "erin", t + 41900),
                     LOGON_NO); /* half an hour after the first, not after the last */
    assert_int_equal(check(b, 64, "erin", t + 41790 + 1801), LOGON_ASK);
    settle(b, 64, "erin", t + 41790 + 1801, LOGON_FAILED);
    /* who was right before is asked for even when others used the budget up */
    t += 10000;
    assert_int_equal(check(b, 4, "carol", t), LOGON_ASK);
    settle(b, 4, "carol", t, LOGON_RIGHT);
    for (uint8_t k = 10; k < 13; k++) {
        assert_int_equal(check(b, k, "carol", t + 1), LOGON_ASK);
        settle(b, k, "carol", t + 1, LOGON_WRONG);
    }
    assert_int_equal(check(b, 20, "carol", t + 400), LOGON_NO);
    assert_int_equal(check(b, 4, "carol", t + 400), LOGON_ASK);
    settle(b, 4, "carol", t + 400, LOGON_WRONG); /* changed meanwhile */
    assert_int_equal(check(b, 4, "carol", t + 420), LOGON_NO);
    logon_book_free(&b);
    assert_int_equal(drops, 4); /* alice's replaced and last, dora's, carol's */
}

/* --- path kinds */

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *line, *fields, *name;
        enum protocol protocol;
    } t[] = {
        {"RPC_IN_DATA /rpc/rpcproxy.dll?a:6001", "Content-Length: 1073741824\r\n", "oa-in", PROTOCOL_OA},
        {"RPC_OUT_DATA /RPC/RpcProxy.dll?a:6001", "Content-Length: 76\r\n", "oa-out", PROTOCOL_OA},
        {"RPC_IN_DATA /rpc/rpcproxy.dll?a:6001", "Content-Length: 16\r\n", "oa-echo", PROTOCOL_OA},
        {"RPC_OUT_DATA /rpcwithcert/rpcproxy.dll?a:6001", "Content-Length: 0\r\n", "oa-echo", PROTOCOL_OA},
        {"GET /rpc/", "", "oa", PROTOCOL_OA},
        {"POST /EWS/Exchange.asmx", "", "ews", PROTOCOL_EWS},
        {"POST /Microsoft-Server-ActiveSync?Cmd=Ping&User=a", "", "eas-ping", PROTOCOL_EAS},
        {"OPTIONS /microsoft-server-activesync", "", "eas", PROTOCOL_EAS},
        {"GET /owa", "", "owa", PROTOCOL_OWA},
        {"GET /owa2/", "", "other", PROTOCOL_UNKNOWN},
        {"GET /ecp/?x", "", "ecp", PROTOCOL_ECP},
        {"POST /AutoDiscover/AutoDiscover.xml", "", "autodiscover", PROTOCOL_AUTODISCOVER},
        {"GET /OAB/x/oab.xml", "", "oab", PROTOCOL_OAB},
        {"POST /mapi/emsmdb/?MailboxId=x", "", "mapi", PROTOCOL_MAPI},
        {"POST /PowerShell/", "", "powershell", PROTOCOL_POWERSHELL},
        {"GET /owa/healthcheck.htm", "", "health", PROTOCOL_UNKNOWN},
        {"GET /", "", "other", PROTOCOL_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        char text[512];
        struct http1_head h;
        (void)snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: x\r\n%s\r\n", t[i].line, t[i].fields);
        assert_int_equal(http1_parse(&h, text, strlen(text), false), HTTP1_DONE);
        enum path_kind k = policy_path_kind(&h, text);
        assert_string_equal(policy_path_name(k), t[i].name);
        assert_int_equal(policy_protocol(k), t[i].protocol);
    }
}

static void test_paths_shown(void **state)
{
    (void)state;
    static const struct {
        const char *target, *shown;
    } t[] = {
        {"/rpc/rpcproxy.dll?excas01:6001", "/rpc/rpcproxy.dll?excas01:6001"},
        {"/Microsoft-Server-ActiveSync?Cmd=Ping&User=alice",
         "/Microsoft-Server-ActiveSync?Cmd=Ping&User=alice"},
        {"/owa/service.svc?action=GetItem&X-OWA-CANARY=s3cr3t&n=1",
         "/owa/service.svc?action=GetItem&X-OWA-CANARY=***&n=1"},
        {"/owa/x?id=1&ToKeN=s3cr3t", "/owa/x?id=1&ToKeN=***"},
        {"/powershell/?X-Rps-CAT=s3cr3t&Password=s3cr3t", "/powershell/?X-Rps-CAT=***&Password=***"},
        {"/a?&=&b", "/a?&=&b"},
        {"/a?", "/a?"},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        char out[128];
        policy_path_show(out, sizeof out, t[i].target, strlen(t[i].target));
        assert_string_equal(out, t[i].shown);
    }
    char small[20], long_target[2000];
    memset(long_target, 'q', sizeof long_target);
    memcpy(long_target, "/owa?token=", 11);
    policy_path_show(small, sizeof small, long_target, sizeof long_target);
    assert_string_equal(small, "/owa?token=***");
}

/* What the engine leaves out when it logs on itself: the client's credentials, and what only a front end may say. */
static void test_own_head(void **state)
{
    (void)state;
    static const char text[] =
        "GET /ews HTTP/1.1\r\nHost: x\r\nAuthorization: Basic QTpC\r\n"
        "X-CommonAccessToken: forged\r\nX-IsFromCafe: 1\r\nmsExchProxyUri: https://x/\r\n"
        "X-AnchorMailbox: alice\r\n\r\n";
    struct http1_head h;
    struct iobuf_pool pool;
    assert_int_equal(http1_parse(&h, text, sizeof text - 1, false), HTTP1_DONE);
    iobuf_pool_init(&pool, 4);
    for (int ours = 0; ours < 2; ours++) {
        struct iobuf *b = iobuf_get(&pool);
        assert_true(head_request(b, &h, text, NULL, NULL, ours != 0, ours ? "VE9LRU4=" : NULL));
        (void)iobuf_add(b, "", 1);
        const char *got = iobuf_head(b);
        assert_int_equal(strstr(got, "forged") == NULL, ours);
        assert_int_equal(strstr(got, "X-IsFromCafe") == NULL, ours);
        assert_int_equal(strstr(got, "msExchProxyUri") == NULL, ours);
        assert_int_equal(strstr(got, "Basic QTpC") == NULL, ours);
        assert_non_null(strstr(got, "X-AnchorMailbox: alice"));
        iobuf_put(&pool, &b);
    }
    iobuf_pool_fini(&pool);
}

static void test_renewed_login(void **state)
{
    (void)state;
    struct ident *i = ident_new("alice", NULL);
    assert_non_null(i);
    ident_add_ticket(i, "cas01", 10000);
    assert_true(ident_has_ticket(i, "CAS01", 1000));
    ident_forget_tickets(i);
    assert_false(ident_has_ticket(i, "cas01", 1000));
    ident_add_ticket(i, "cas01", 20000);
    assert_true(ident_has_ticket(i, "cas01", 1000));
    ident_unref(&i);
}

/* --- RTS PDUs */

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
        unsigned v;
        if (sscanf(hex, "%2x", &v) != 1)
            break;
        out[n++] = (uint8_t)v;
    }
    return n;
}

static void test_rts(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *name; /* NULL: malformed */
    } t[] = {
        {"0500140310000000140000000000000040000000", "Echo"},
        {"0500140310000000140000000000000001000000", "Ping"},
        {"05001403100000001c00000000000000000001000200000000e09304", "CONN/A3"},
        {"05001403100000001c00000000000000020001000500000060ea0000", "Keep-alive"},
        {"0500140310000000180000000000000020000100 0a000000", NULL},
        {"05001403100000001800000000000000200001000a000000", "OUT_R2/B3"},
        {"0500140310000000140000000000000000000100", NULL}, /* a command is announced, none is there */
        {"05001403100000001800000000000000000001006300000000", NULL}, /* unknown command, and too long */
        {"050014031000000018000000000000000000010008000000", NULL},   /* padding without its length */
        {"0500140310000000130000000000000040000000", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        uint8_t raw[256];
        struct rts_pdu pdu;
        size_t n = from_hex(t[i].hex, raw);
        bool ok = rts_decode(raw, n, &pdu);
        if (ok != (t[i].name != NULL))
            fail_msg("pdu %zu", i);
        if (ok)
            assert_string_equal(rts_name(&pdu), t[i].name);
    }
    assert_int_equal(rts_length((const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18), -1);
    assert_int_equal(rts_length((const uint8_t *)"\x05\x00", 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_wheel),    cmocka_unit_test(test_ring),
                                       cmocka_unit_test(test_rows),     cmocka_unit_test(test_cidr),
                                       cmocka_unit_test(test_logons),   cmocka_unit_test(test_paths),
                                       cmocka_unit_test(test_rts),      cmocka_unit_test(test_paths_shown),
                                       cmocka_unit_test(test_own_head), cmocka_unit_test(test_renewed_login)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
