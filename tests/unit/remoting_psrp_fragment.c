/* PSRP's fragments, in any cuts and order: put together, refused, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "remoting/psrp_fragment.h"

#define LIMIT (8 << 20)

static void test_guid(void **state)
{
    static const uint8_t wire[16] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
                                     0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    struct psrp_guid g, other;
    char text[PSRP_GUID_TEXT];
    (void)state;
    assert_true(psrp_guid_parse(&g, "00112233-4455-6677-8899-AABBCCDDEEFF", 36));
    assert_memory_equal(g.bytes, wire, 16);
    psrp_guid_text(&g, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");
    assert_false(psrp_guid_parse(&g, "00112233-4455-6677-8899-aabbccddeef", 35));
    assert_false(psrp_guid_parse(&g, "00112233x4455-6677-8899-aabbccddeeff", 36));
    assert_false(psrp_guid_parse(&g, "0011223g-4455-6677-8899-aabbccddeeff", 36));
    assert_int_equal(psrp_guid_new(&g, NULL), ERR_OK);
    assert_int_equal(psrp_guid_new(&other, NULL), ERR_OK);
    assert_false(psrp_guid_eq(&g, &other));
    psrp_guid_text(&g, text);
    assert_int_equal(text[14], '4');
    assert_non_null(strchr("89ab", text[19]));
}

static void add_fragment(struct buf *b, uint64_t object, uint64_t number, int flags, const char *data,
                         uint32_t len)
{
    uint8_t h[PSRP_FRAGMENT_HEADER] = {0};
    for (int i = 0; i < 8; i++) {
        h[7 - i] = (uint8_t)(object >> 8 * i);
        h[15 - i] = (uint8_t)(number >> 8 * i);
    }
    h[16] = (uint8_t)flags;
    for (int i = 0; i < 4; i++)
        h[20 - i] = (uint8_t)(len >> 8 * i);
    assert_int_equal(buf_add(b, h, sizeof h), ERR_OK);
    assert_int_equal(buf_add(b, data, strlen(data)), ERR_OK);
}

static enum err note_object(void *arg, const void *data, size_t len, struct errinfo *ei)
{
    (void)ei;
    (void)buf_add(arg, data, len);
    return buf_addc(arg, '|');
}

/* cut 0: random; each piece on its own, so that a look beyond it is seen. */
static enum err join(const struct buf *in, size_t cut, struct buf *out, struct errinfo *ei, bool *idle)
{
    struct psrp_joiner j;
    enum err err = ERR_OK;
    psrp_joiner_init(&j);
    buf_reset(out);
    for (size_t at = 0, n; at < in->len && err == ERR_OK; at += n) {
        n = cut ? cut : 1 + (size_t)rand() % 30;
        n = n < in->len - at ? n : in->len - at;
        char *piece = malloc(n);
        memcpy(piece, in->data + at, n);
        err = psrp_joiner_feed(&j, piece, n, note_object, out, ei);
        free(piece);
    }
    *idle = psrp_joiner_is_idle(&j);
    if (err != ERR_OK)
        assert_int_equal(psrp_joiner_feed(&j, "x", 1, note_object, out, NULL), ERR_PROTOCOL);
    psrp_joiner_fini(&j);
    return err;
}

static void test_fragments_interleaved(void **state)
{
    struct buf in, out;
    bool idle;
    (void)state;
    buf_init(&in, LIMIT);
    buf_init(&out, LIMIT);
    add_fragment(&in, 1, 0, 1, "a1", 2);
    add_fragment(&in, 1ull << 60, 0, 1, "b1", 2);
    add_fragment(&in, 3, 0, 3, "alone", 5);
    add_fragment(&in, 1, 1, 0, "a2", 2);
    add_fragment(&in, 1ull << 60, 1, 2, "b2", 2);
    add_fragment(&in, 1, 2, 0, "", 0);
    add_fragment(&in, 1, 3, 2, "a3", 2);
    add_fragment(&in, 1, 0, 3, "", 0); /* a number may come again once its object has ended */
    for (size_t cut = 1; cut <= in.len; cut++) {
        assert_int_equal(join(&in, cut, &out, NULL, &idle), ERR_OK);
        assert_string_equal(buf_str(&out), "alone|b1b2|a1a2a3||");
        assert_true(idle);
    }
    srand(2);
    for (int i = 0; i < 200; i++)
        assert_int_equal(join(&in, 0, &out, NULL, &idle), ERR_OK);
    in.len--;
    assert_int_equal(join(&in, 7, &out, NULL, &idle), ERR_OK);
    assert_false(idle);
    buf_fini(&in);
    buf_fini(&out);
}

struct piece {
    uint64_t object, number;
    int flags;
    uint32_t len;
};

static void test_fragments_refused(void **state)
{
    static const struct {
        struct piece first, second;
        enum err err;
        const char *why;
    } rows[] = {
        {{1, 0, 1, 1}, {1, 2, 2, 1}, ERR_PROTOCOL, "fragment 2 of object 1 where 1 should be"},
        {{1, 0, 1, 1}, {1, 0, 0, 1}, ERR_PROTOCOL, "where 1 should be"},
        {{1, 0, 1, 1}, {1, 0, 1, 1}, ERR_PROTOCOL, "begins again"},
        {{1, 0, 3, 1}, {1, 1, 2, 1}, ERR_PROTOCOL, "whose first never came"},
        {{1, 0, 3, 1}, {2, 1, 1, 1}, ERR_PROTOCOL, "not its first"},
        {{1, 0, 3, 1}, {2, 0, 0, 1}, ERR_PROTOCOL, "whose first never came"},
        {{1, 0, 3, 1}, {2, 0, 0x83, 1}, ERR_PROTOCOL, "unknown flags"},
        {{1, 0, 3, 1}, {2, 0, 3, 0xffffffff}, ERR_PROTOCOL, "a fragment of 4294967295 bytes"},
        {{1, 0, 3, 1}, {2, 0, 3, PSRP_MAX_FRAGMENT + 1}, ERR_PROTOCOL, "a fragment of"},
    };
    struct buf in, out;
    bool idle;
    (void)state;
    buf_init(&in, LIMIT);
    buf_init(&out, LIMIT);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct errinfo ei = {0};
        buf_reset(&in);
        add_fragment(&in, rows[i].first.object, rows[i].first.number, rows[i].first.flags, "x",
                     rows[i].first.len);
        add_fragment(&in, rows[i].second.object, rows[i].second.number, rows[i].second.flags, "x",
                     rows[i].second.len);
        for (size_t cut = 1; cut < 60; cut += 19) {
            assert_int_equal(join(&in, cut, &out, &ei, &idle), rows[i].err);
            if (!strstr(ei.what, rows[i].why))
                fail_msg("\"%s\" does not say \"%s\"", ei.what, rows[i].why);
        }
    }
    buf_reset(&in);
    for (unsigned i = 0; i <= PSRP_MAX_OPEN; i++)
        add_fragment(&in, i, 0, 1, "x", 1);
    assert_int_equal(join(&in, in.len, &out, NULL, &idle), ERR_LIMIT);
    buf_fini(&in);
    buf_fini(&out);
}

/* An object that grows beyond all bounds is refused before it is held. */
static void test_fragments_bounded(void **state)
{
    struct psrp_joiner j;
    struct buf one;
    enum err err = ERR_OK;
    (void)state;
    buf_init(&one, LIMIT);
    psrp_joiner_init(&j);
    char *data = calloc(1, (1 << 20) + 1);
    memset(data, 'x', 1 << 20);
    for (unsigned i = 0; i < 100 && err == ERR_OK; i++) {
        buf_reset(&one);
        add_fragment(&one, 1, i, i ? 0 : 1, data, 1 << 20);
        err = psrp_joiner_feed(&j, one.data, one.len, note_object, &one, NULL);
        assert_true(psrp_joiner_memory(&j) <= 2 * (size_t)PSRP_MAX_OBJECT);
    }
    assert_int_equal(err, ERR_LIMIT);
    psrp_joiner_fini(&j);
    buf_fini(&one);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guid), cmocka_unit_test(test_fragments_interleaved),
        cmocka_unit_test(test_fragments_refused), cmocka_unit_test(test_fragments_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
