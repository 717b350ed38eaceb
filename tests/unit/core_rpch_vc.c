/* A client's virtual connection against recordings of an independent server (fixtures/rpch) and against hostile bytes. */
#include "core/base/str.h"
#include "core/rpch/rts.h"
#include "core/rpch/vc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t cookies[64];

static void test_messages(void **state)
{
    struct vc vc;
    struct rts_pdu pdu;
    uint8_t a1[VC_A1_SIZE], b1[VC_B1_SIZE], bind[VC_BIND_SIZE];
    (void)state;
    for (size_t i = 0; i < sizeof cookies; i++)
        cookies[i] = (uint8_t)(i * 7 + 1);
    vc_init(&vc, cookies);
    vc_out_open(&vc, a1);
    vc_in_open(&vc, b1);
    assert_true(rts_decode(a1, sizeof a1, &pdu));
    assert_string_equal(rts_name(&pdu), "CONN/A1");
    assert_memory_equal(pdu.cookies[0], cookies, 16);
    assert_memory_equal(pdu.cookies[1], cookies + 32, 16);
    uint64_t session = rts_session(&pdu);
    assert_true(rts_decode(b1, sizeof b1, &pdu));
    assert_string_equal(rts_name(&pdu), "CONN/B1");
    assert_memory_equal(pdu.cookies[1], cookies + 16, 16);
    assert_true(rts_session(&pdu) == session); /* that is what pairs the channels */
    assert_int_equal(pdu.keepalive_ms, 300000);
    vc_bind(&vc, RPC_NSPI, bind);
    assert_true(rts_decode(bind, sizeof bind, &pdu));
    assert_string_equal(rts_name(&pdu), "bind");
    assert_int_equal(vc.state, VC_BINDING);
}

/* ---- recordings */

struct stream {
    uint8_t *p;
    size_t n;
};

static bool load(struct stream *s, const char *file, const char *want)
{
    const char *shared = getenv("CASBRIDGE_SHARED");
    char path[512], line[512], who[32];
    bool ours = false;
    s->n = 0;
    str_fmt(path, sizeof path, "%s/fixtures/rpch/%s.rec", shared ? shared : "../shared", file);
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("skipped: %s is not there\n", path);
        return false;
    }
    while (fgets(line, sizeof line, f)) {
        char dir[8] = "", conn[16] = "";
        if (line[0] == '@') {
            ours = sscanf(line, "@ %*s %7s conn%15s", dir, conn) == 2 &&
                   str_fmt(who, sizeof who, "%s %s", dir, conn) && str_eq(who, want);
            continue;
        }
        unsigned v;
        for (const char *h = line; ours && sscanf(h, "%2x", &v) == 1 && h[0] != '\n'; h += 2)
            s->p[s->n++] = (uint8_t)v;
    }
    fclose(f);
    return true;
}

/* From the OUT channel's first PDU on. */
static size_t body_at(const struct stream *s)
{
    for (size_t i = 0; i + 4 <= s->n; i++)
        if (memcmp(s->p + i, "\r\n\r\n", 4) == 0)
            return i + 4;
    fail_msg("no head");
    return 0;
}

/* Feeds in pieces of the sizes that cut() gives; binds when the connection is open. Returns the state at the end. */
static enum vc_state play(const uint8_t *p, size_t n, size_t piece, unsigned seed)
{
    struct vc vc;
    uint8_t bind[VC_BIND_SIZE];
    vc_init(&vc, cookies);
    for (size_t at = 0; at < n;) {
        size_t k = piece ? piece : 1 + (seed = seed * 1103515245 + 12345) / 65536 % 97;
        if (k > n - at)
            k = n - at;
        uint8_t *exact = malloc(k);
        memcpy(exact, p + at, k);
        bool ok = vc_feed(&vc, exact, k);
        free(exact);
        assert_int_equal(ok, vc.state != VC_BROKEN);
        if (vc.state == VC_OPEN) {
            assert_int_equal(vc.timeout_ms, 180000);
            assert_int_equal(vc.window, 262144);
            vc_bind(&vc, RPC_EMSMDB, bind);
        }
        at += k;
    }
    return vc.state;
}

static void test_recorded(void **state)
{
    static const char *const files[] = {"01-nspi-bind", "02-emsmdb-bind", "04-nspi-list",
                                        "11-idle-server-ping"};
    struct stream s = {malloc(1 << 20), 0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (!load(&s, files[i], "S>C 2")) {
            free(s.p);
            skip();
        }
        size_t at = body_at(&s);
        /* A3 and C2 share a block with the bind_ack nowhere: the bind is ours to time, so feed what came before it first */
        assert_int_equal(play(s.p + at, 28, 28, 0), VC_OPENING);
        assert_int_equal(play(s.p + at, 28 + 44, 1, 0), VC_BINDING);
        assert_int_equal(play(s.p + at, s.n - at, 1, 0), VC_BOUND);
        for (unsigned seed = 1; seed < 40; seed++) {
            enum vc_state got = play(s.p + at, s.n - at, 0, seed);
            /* a piece that holds the end of C2 and the answer to a bind not sent yet: nobody asked for it */
            assert_true(got == VC_BOUND || got == VC_BROKEN);
        }
        /* our bind is the recorded client's, but for its logon and its fragment size */
        struct stream in = {malloc(1 << 20), 0};
        uint8_t bind[VC_BIND_SIZE];
        struct vc vc;
        assert_true(load(&in, files[i], "C>S 1"));
        enum rpc_interface which = i == 1 ? RPC_EMSMDB : RPC_NSPI;
        vc_init(&vc, cookies);
        vc_bind(&vc, which, bind);
        bool found = false;
        for (size_t k = 0; k + VC_BIND_SIZE <= in.n && !found; k++)
            found =
                memcmp(in.p + k, bind, 4) == 0 && memcmp(in.p + k + 24, bind + 24, VC_BIND_SIZE - 24) == 0;
        assert_true(found);
        free(in.p);
    }
    free(s.p);
}

/* ---- what servers may answer */

static size_t pdu(uint8_t *p, unsigned ptype, const void *body, size_t n)
{
    const uint8_t head[16] = {5, 0, (uint8_t)ptype, 3, 0x10, 0, 0, 0, (uint8_t)(16 + n), 0, 0, 0, 1, 0, 0, 0};
    memcpy(p, head, 16);
    memcpy(p + 16, body, n);
    return 16 + n;
}

static const uint8_t a3_c2[] = {5,  0, 20, 3, 0x10, 0, 0, 0, 28, 0, 0, 0, 0,  0, 0,    0, 0, 0,
                                1,  0, 2,  0, 0,    0, 1, 0, 0,  0, 5, 0, 20, 3, 0x10, 0, 0, 0,
                                44, 0, 0,  0, 0,    0, 0, 0, 0,  0, 3, 0, 6,  0, 0,    0, 1, 0,
                                0,  0, 0,  0, 0,    0, 0, 0, 1,  0, 2, 0, 0,  0, 1,    0, 0, 0};

static void test_answers(void **state)
{
    static const struct {
        unsigned ptype;
        uint8_t body[40];
        size_t n;
        enum vc_state state;
        const char *why;
    } cases[] = {
        /* "6001" as secondary address, one result */
        {12,
         {0, 0, 0, 0, 0, 0, 0, 0, 5, 0, '6', '0', '0', '1', 0, 0, 1, 0, 0, 0, 0, 0, 0, 0},
         24,
         VC_BOUND,
         ""},
        {12,
         {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0},
         20,
         VC_REFUSED,
         "not served there"},
        {12,
         {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 99, 0},
         20,
         VC_REFUSED,
         "refused (result 2, reason 99)"},
        {12, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 20, VC_BROKEN, "too short"},
        {12, {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 10, VC_BROKEN, "too short"},
        {12, {0}, 4, VC_BROKEN, "too short"},
        {13, {4, 0, 0}, 3, VC_REFUSED, "reason 4"},
        {3, {0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0}, 12, VC_REFUSED, "access denied (fault 0x5)"},
        {3, {0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0x1c}, 12, VC_REFUSED, "the interface is not known there"},
        {3, {0}, 8, VC_BROKEN, "too short"},
        {2, {0}, 8, VC_BROKEN, "response instead of an answer to the bind"},
        {99, {0}, 8, VC_BROKEN, "unknown instead"},
        {20, {1, 0, 0, 0}, 4, VC_BINDING, ""},                    /* a ping */
        {20, {0x20, 0, 0, 0}, 4, VC_BROKEN, "ended the channel"}, /* EOF */
        {20, {0, 0, 200, 0}, 4, VC_BROKEN, "malformed"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t bytes[64], bind[VC_BIND_SIZE];
        struct vc vc;
        size_t n = pdu(bytes, cases[i].ptype, cases[i].body, cases[i].n);
        vc_init(&vc, cookies);
        assert_true(vc_feed(&vc, a3_c2, sizeof a3_c2));
        assert_int_equal(vc.state, VC_OPEN);
        vc_bind(&vc, RPC_EMSMDB, bind);
        vc_feed(&vc, bytes, n);
        if (vc.state != cases[i].state || !strstr(vc.why, cases[i].why))
            fail_msg("case %zu: state %d, \"%s\"", i, (int)vc.state, vc.why);
        struct vc early; /* an answer before anything was asked */
        vc_init(&early, cookies);
        if (cases[i].ptype != 20) {
            assert_false(vc_feed(&early, bytes, n));
            assert_non_null(strstr(early.why, "nobody asked for"));
        }
    }
}

static void test_hostile(void **state)
{
    struct vc vc;
    uint8_t big[16] = {5, 0, 12, 3, 0x10, 0, 0, 0, 0xff, 0xff};
    (void)state;
    vc_init(&vc, cookies);
    assert_false(vc_feed(&vc, (const uint8_t *)"<html>this is a login page", 26));
    assert_non_null(strstr(vc.why, "no RPC"));
    vc_init(&vc, cookies);
    assert_false(vc_feed(&vc, big, sizeof big));
    assert_non_null(strstr(vc.why, "absurd"));
}

static void test_reasons(void **state)
{
    static const struct {
        const char *reason;
        bool is;
        uint32_t status;
    } cases[] = {
        {"RPC Error: 6ba", true, 0x6ba},
        {"RPC Error: 5", true, 5},
        {"RPC Error: 6BA, EEInfo: AA==", true, 0x6ba},
        {"RPC Error: c0000022 x", true, 0xc0000022},
        {"RPC Error: ", false, 0},
        {"RPC Error: 123456789", false, 0},
        {"RPC Error: 6zz", false, 0},
        {"Service Unavailable", false, 0},
        {"", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t status = 0;
        bool is = rpc_error_in_reason(cases[i].reason, strlen(cases[i].reason), &status);
        assert_int_equal(is, cases[i].is);
        if (is)
            assert_int_equal(status, cases[i].status);
    }
    assert_string_equal(rpc_status_words(1722), "the RPC server is unavailable");
    assert_null(rpc_status_words(4711));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages), cmocka_unit_test(test_recorded), cmocka_unit_test(test_answers),
        cmocka_unit_test(test_hostile),  cmocka_unit_test(test_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
