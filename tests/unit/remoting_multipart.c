/* multipart/encrypted: written and read, as Windows, Exchange and OMI write it, cut anywhere, with boundaries inside the sealed bytes. */
#include "remoting/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/base/str.h"

#define TYPE "multipart/encrypted;protocol=\"" MULTIPART_SPNEGO "\";boundary=\"Encrypted Boundary\""

static enum err parse(const char *type, const void *body, size_t len, struct multipart_part *p, size_t *n)
{
    struct errinfo ei = {0};
    enum err e = multipart_read(type, body, len, p, 4, n, &ei);
    assert_true(e == ERR_OK || ei.what[0]);
    return e;
}

static void test_layout(void **state)
{
    /* remoting.md 3.2, byte by byte */
    static const char expected[] = "--Encrypted Boundary\r\n"
                                   "Content-Type: application/HTTP-SPNEGO-session-encrypted\r\n"
                                   "OriginalContent: type=application/soap+xml;charset=UTF-8;Length=5\r\n"
                                   "--Encrypted Boundary\r\n"
                                   "Content-Type: application/octet-stream\r\n"
                                   "\x04\0\0\0HEADabcde--Encrypted Boundary--\r\n";
    struct multipart_part p = {"HEAD", 4, "abcde", 5, 5}, got[4];
    struct buf out;
    char type[256];
    size_t n;
    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(multipart_write(&out, MULTIPART_SPNEGO, &p), ERR_OK);
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.data, expected, out.len);
    multipart_content_type(MULTIPART_SPNEGO, type, sizeof type);
    assert_string_equal(type, TYPE);
    assert_true(multipart_is(type) && multipart_is("Multipart/X-Multi-Encrypted; x") &&
                !multipart_is("text/xml"));
    assert_int_equal(parse(type, out.data, out.len, got, &n), ERR_OK);
    assert_int_equal(n, 1);
    assert_int_equal(got[0].head_len, 4);
    assert_int_equal(got[0].data_len, 5);
    assert_memory_equal(got[0].data, "abcde", 5);
    /* cut anywhere but in what follows the last boundary: refused */
    for (size_t len = 0; len < out.len - 2; len++) {
        char *copy = malloc(len ? len : 1); /* of exactly that size, so that a byte too many is noticed */
        assert_non_null(copy);
        memcpy(copy, out.data, len);
        assert_int_equal(parse(type, copy, len, got, &n), ERR_PROTOCOL);
        free(copy);
    }
    for (size_t at = 0; at < out.len; at++) {
        for (int bit = 0; bit < 8; bit++) {
            char *copy = malloc(out.len);
            assert_non_null(copy);
            memcpy(copy, out.data, out.len);
            copy[at] = (char)(copy[at] ^ 1 << bit);
            if (parse(type, copy, out.len, got, &n) == ERR_OK)
                assert_true(n >= 1 && got[0].data_len <= out.len);
            free(copy);
        }
    }
    buf_fini(&out);
}

static void test_forms(void **state)
{
#define SEALED "\x02\0\0\0HHxx--Encrypted Boundaryyy"
    static const struct {
        const char *body;
        size_t len, n, data_len, length;
        const char *type;
    } rows[] = {
#define ROW(text, n, data_len, length, type) {text, sizeof text - 1, n, data_len, length, type}
        /* tabs, as pypsrp and Windows write them */
        ROW("--Encrypted Boundary\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n"
            "\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=24\r\n--Encrypted Boundary\r\n"
            "\tContent-Type: application/octet-stream\r\n" SEALED "--Encrypted Boundary--\r\n",
            1, 24, 24, TYPE),
        /* blanks after the dashes, as Exchange writes them */
        ROW("-- Encrypted Boundary\r\nContent-Type: x\r\nOriginalContent: type=a;charset=UTF-16;Length=24\r\n"
            "-- Encrypted Boundary\r\nContent-Type: application/octet-stream\r\n" SEALED
            "-- Encrypted Boundary--\r\n",
            1, 24, 24, TYPE),
        /* padding that the length does not count; a boundary of another name */
        ROW("--B\r\nOriginalContent: Length=23\r\n--B\r\nContent-Type: application/octet-stream\r\n" SEALED
            "--B--",
            1, 24, 23, "multipart/encrypted; boundary=B; x=y"),
        /* two messages */
        ROW("--B\r\nOriginalContent: Length=1\r\n--B\r\nContent-Type: application/octet-stream\r\n\0\0\0\0a"
            "--B\r\nOriginalContent: Length=1\r\n--B\r\nContent-Type: "
            "application/octet-stream\r\n\0\0\0\0b--B--\r\n",
            2, 1, 1, "multipart/x-multi-encrypted;boundary=\"B\""),
    };
    struct multipart_part p[4];
    size_t n;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(parse(rows[i].type, rows[i].body, rows[i].len, p, &n), ERR_OK);
        assert_int_equal(n, rows[i].n);
        assert_int_equal(p[0].data_len, rows[i].data_len);
        assert_int_equal(p[0].length, rows[i].length);
    }
}

static void test_refused(void **state)
{
#define MADE(length, head)                                                                                   \
    "--B\r\nOriginalContent: Length=" length "\r\n--B\r\nContent-Type: application/octet-stream\r\n" head    \
    "a--B--"
    static const struct {
        const char *body;
        size_t len;
    } rows[] = {
#define BODY(text) {text, sizeof text - 1}
        BODY(MADE("99", "\0\0\0\0")),
        BODY(MADE("1", "\xff\xff\xff\xff")),
        BODY(MADE("1", "\0\x10\0\0")),
        BODY(MADE("x", "\0\0\0\0")),
        BODY(MADE("99999999999999999999", "\0\0\0\0")),
        BODY("--B\r\nContent-Type: x\r\n--B\r\nContent-Type: application/octet-stream\r\n\0\0\0\0a--B--"),
        BODY("--B\r\nOriginalContent: Length=1\r\n--B\r\n\0\0\0\0a--B--"),
        BODY("--C\r\n"),
    };
    struct multipart_part p[4];
    struct buf many;
    size_t n;
    (void)state;
    assert_int_equal(parse("multipart/encrypted;boundary=B", MADE("1", "\0\0\0\0"),
                           sizeof MADE("1", "\0\0\0\0") - 1, p, &n),
                     ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (parse("multipart/encrypted;boundary=B", rows[i].body, rows[i].len, p, &n) != ERR_PROTOCOL)
            fail_msg("row %zu was taken", i);
    assert_int_equal(parse("multipart/encrypted;boundary=\"B", "--B", 3, p, &n), ERR_PROTOCOL);
    buf_init(&many, 4096);
    for (int i = 0; i < 5; i++)
        assert_int_equal(buf_add(&many, MADE("1", "\0\0\0\0"), sizeof MADE("1", "\0\0\0\0") - 6), ERR_OK);
    assert_int_equal(parse("multipart/encrypted;boundary=B", many.data, many.len, p, &n), ERR_LIMIT);
    buf_fini(&many);
}

/* The bodies that omicli and omiserver sent each other. */
static void test_omi(void **state)
{
    static const struct {
        const char *file;
        size_t head;
    } rows[] = {{"omi-ntlm-encrypted.rec", 16}, {"omi-kerberos-encrypted.rec", 0}};
    const char *shared = getenv("CASBRIDGE_SHARED");
    struct buf rec;
    (void)state;
    buf_init(&rec, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char path[600];
        struct errinfo ei = {0};
        size_t messages = 0;
        buf_reset(&rec);
        str_fmt(path, sizeof path, "%s/fixtures/winrm/omi/%s", shared ? shared : "../shared", rows[i].file);
        if (path_read(&rec, path, &ei) != ERR_OK) {
            print_message("skipped: the recordings (../shared/fixtures/winrm) are not here\n");
            buf_fini(&rec);
            skip();
        }
        const char *end = rec.data + rec.len;
        for (const char *s = rec.data; (s = memmem(s, (size_t)(end - s), "multipart/encrypted", 19));
             messages++) {
            struct multipart_part p[4];
            char type[256];
            size_t n = 0, len = 0;
            str_fmt(type, sizeof type, "%.*s", (int)strcspn(s, "\r"), s);
            const char *body = memmem(s, (size_t)(end - s), "\r\n\r\n", 4), *head = s;
            assert_non_null(body);
            body += 4;
            while (head > rec.data && memcmp(head, "@@", 2) != 0)
                head--;
            const char *length = memmem(head, (size_t)(body - head), "Content-Length:", 15);
            assert_non_null(length);
            for (length += 15; *length == ' ' || (*length >= '0' && *length <= '9'); length++)
                len = *length == ' ' ? len : len * 10 + (size_t)(*length - '0');
            assert_true(len <= (size_t)(end - body));
            assert_int_equal(parse(type, body, len, p, &n), ERR_OK);
            assert_int_equal(n, 1);
            assert_true(p[0].head_len > 0 && (rows[i].head == 0 || p[0].head_len == rows[i].head));
            s = body + len;
        }
        assert_true(messages >= 2);
    }
    buf_fini(&rec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_omi),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
