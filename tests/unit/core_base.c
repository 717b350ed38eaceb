/* core/base: what every other room stands on. */
#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/hostmap.h"
#include "core/base/ini.h"
#include "core/base/job.h"
#include "core/base/name_map.h"
#include "core/base/path.h"
#include "core/base/secret.h"
#include "core/base/str.h"
#include "core/base/vec.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void buffer_has_a_limit(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_int_equal(buf_adds(&b, "12345"), ERR_OK);
    assert_int_equal(buf_addf(&b, "%s", "678901"), ERR_LIMIT);
    assert_int_equal(b.failed, ERR_LIMIT);
    assert_int_equal(buf_addc(&b, 'x'), ERR_LIMIT); /* sticks */
    assert_string_equal(buf_str(&b), "12345");
    buf_reset(&b);
    assert_int_equal(buf_adds(&b, "1234567890"), ERR_OK);
    buf_drop(&b, 4);
    assert_string_equal(buf_str(&b), "567890");
    char *taken = buf_take(&b);
    assert_string_equal(taken, "567890");
    assert_string_equal(buf_str(&b), "");
    free(taken);
    buf_fini(&b);
}

static void arena_keeps_within_its_limit(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 100000);
    char *first = arena_fmt(&a, "%d-%s", 7, "x");
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&a, 100));
    assert_non_null(arena_array(&a, 10, 1000));
    assert_string_equal(first, "7-x");
    assert_null(arena_alloc(&a, 90000));
    assert_true(a.failed);
    assert_null(arena_array(&a, SIZE_MAX / 2, 4));
    arena_fini(&a);
}

static void vector_stops_at_its_limit(void **state)
{
    (void)state;
    VEC(int) v = {0};
    for (int i = 0; i < 20; i++)
        assert_true(VEC_PUSH(&v, 20, i));
    assert_false(VEC_PUSH(&v, 20, 20));
    assert_int_equal(v.n, 20);
    assert_int_equal(v.v[19], 19);
    VEC_FREE(&v);
}

static void hostile_text_is_made_visible(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"plain", "plain"},
        {"a\nb\tc", "a\xe2\x90\x8a"
                    "b\xe2\x90\x89"
                    "c"},
        {"\x1b[31mred", "\xe2\x90\x9b[31mred"},
        {"\x7f", "\xe2\x90\xa1"},
        {"\xc2\x9b"
         "x",
         "<U+009B>x"},
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x80\xae"
         "abc",
         "<U+202E>abc"},
        {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"\xe6\x97\xa5", "\xe6\x97\xa5"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b;
        buf_init(&b, 1000);
        assert_int_equal(str_show(&b, rows[i].in, strlen(rows[i].in)), ERR_OK);
        assert_string_equal(buf_str(&b), rows[i].out);
        buf_fini(&b);
    }
    char small[8];
    str_show_fixed(small, sizeof small, "abcdefghij", 10);
    assert_string_equal(small, "abcd...");
    str_show_fixed(small, sizeof small, "abcdefg", 7);
    assert_string_equal(small, "abcdefg");
    str_show_fixed(small, sizeof small, "\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5", 9);
    assert_string_equal(small, "\xe6\x97\xa5...");
    str_show_fixed(small, sizeof small, "a\x7f\n", 2);
    assert_string_equal(small, "a\xe2\x90\xa1");
    str_show_fixed(small, sizeof small, "a\xff", 2);
    assert_string_equal(small, "a\xef\xbf\xbd");
    assert_false(str_copy(small, 5, "abc\xc3\xbc"));
    assert_string_equal(small, "abc");
    assert_false(str_fmt(small, 5, "abc%s", "\xc3\xbc"));
    assert_string_equal(small, "abc");
}

static void error_texts_are_safe_and_gain_context(void **state)
{
    (void)state;
    struct errinfo ei;
    assert_int_equal(err_set(&ei, ERR_AUTH, "check\x1b it", "server %s", "a\nb"), ERR_AUTH);
    assert_string_equal(ei.what, "server a\xe2\x90\x8a"
                                 "b");
    assert_string_equal(ei.hint, "check\xe2\x90\x9b it");
    err_wrap(&ei, "reading %d", 7);
    assert_string_equal(ei.what, "reading 7: server a\xe2\x90\x8a"
                                 "b");
    assert_int_equal(ei.code, ERR_AUTH);
    assert_int_equal(err_exit_code(ERR_AUTH), 5);
    assert_int_equal(err_exit_code(ERR_STALE), 8);
    assert_int_equal(err_exit_code(ERR_INTERRUPTED), 130);
    assert_int_equal(err_set(NULL, ERR_TLS, NULL, "x"), ERR_TLS);
}

static void numbers_are_strict(void **state)
{
    (void)state;
    uint64_t u;
    int64_t s;
    uint16_t p;
    assert_true(str_to_u64("18446744073709551615", 20, &u) && u == UINT64_MAX);
    assert_false(str_to_u64("18446744073709551616", 20, &u));
    assert_false(str_to_u64(" 1", 2, &u) || str_to_u64("", 0, &u) || str_to_u64("+1", 2, &u));
    assert_true(str_to_i64("-9223372036854775808", 20, &s) && s == INT64_MIN);
    assert_false(str_to_i64("9223372036854775808", 19, &s));
    assert_true(str_to_port("65535", &p));
    assert_false(str_to_port("0", &p) || str_to_port("65536", &p));
}

static void an_arena_is_filled_again(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    arena_reset(&a); /* of nothing */
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3000; i++) {
            char *p = arena_alloc(&a, 100);
            assert_non_null(p);
            assert_int_equal(p[0] | p[99], 0);
            memset(p, 'x', 100);
        }
        assert_non_null(arena_alloc(&a, 500000)); /* a block of its own is not kept */
        assert_null(arena_alloc(&a, 400000));
        arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    arena_fini(&a);
}

static void base64_of_any_length(void **state)
{
    (void)state;
    struct buf text, back;
    unsigned char data[100];
    buf_init(&text, 1000);
    buf_init(&back, 1000);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 37);
    for (size_t n = 0; n <= sizeof data; n++) {
        buf_reset(&text);
        buf_reset(&back);
        assert_int_equal(base64_encode(&text, data, n), ERR_OK);
        assert_int_equal(base64_decode(&back, buf_str(&text), text.len), ERR_OK);
        assert_int_equal(back.len, n);
        assert_memory_equal(buf_str(&back), data, n);
        for (size_t cut = 0; cut < text.len; cut++) { /* a line end anywhere */
            char folded[200];
            memcpy(folded, text.data, cut);
            memcpy(folded + cut, "\r\n", 2);
            memcpy(folded + cut + 2, text.data + cut, text.len - cut);
            buf_reset(&back);
            assert_int_equal(base64_decode(&back, folded, text.len + 2), ERR_OK);
            assert_int_equal(back.len, n);
            assert_memory_equal(buf_str(&back), data, n);
        }
    }
    buf_fini(&text);
    buf_fini(&back);
}

static void base64_and_utf16(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_reset(&b);
        assert_int_equal(base64_encode(&b, rows[i][0], strlen(rows[i][0])), ERR_OK);
        assert_string_equal(buf_str(&b), rows[i][1]);
        buf_reset(&b);
        assert_int_equal(base64_decode(&b, rows[i][1], strlen(rows[i][1])), ERR_OK);
        assert_string_equal(buf_str(&b), rows[i][0]);
    }
    buf_reset(&b);
    buf_adds(&b, "kept");
    static const char *const bad[] = {"Zg", "Zg=", "Z===", "Zg==Zg==", "Zm\x01v", "===="};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(base64_decode(&b, bad[i], strlen(bad[i])), ERR_INPUT);
    assert_string_equal(buf_str(&b), "kept");
    buf_reset(&b);
    assert_int_equal(utf16le_encode(&b, "a\xc3\xbc\xf0\x9f\x98\x80", 7), ERR_OK);
    assert_int_equal(b.len, 8);
    assert_memory_equal(b.data, "a\0\xfc\0\x3d\xd8\x00\xde", 8);
    struct buf c;
    buf_init(&c, 100);
    assert_int_equal(utf16_decode(&c, b.data, b.len, false), ERR_OK);
    assert_string_equal(buf_str(&c), "a\xc3\xbc\xf0\x9f\x98\x80");
    buf_reset(&c);
    assert_int_equal(utf16_decode(&c, "\xd8\x00\x00\x41", 4, true), ERR_OK);
    assert_string_equal(buf_str(&c), "\xef\xbf\xbd"
                                     "A");
    assert_int_equal(utf16le_encode(&c, "\xff", 1), ERR_INPUT);
    buf_fini(&b);
    buf_fini(&c);
}

static void times(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    int64_t t;
    assert_true(clock_parse_rfc3339("2026-11-24T03:00:00Z", &t));
    assert_string_equal(clock_rfc3339(t, text), "2026-11-24T03:00:00Z");
    assert_true(clock_parse_generalized("20240229120000.0Z", &t));
    assert_string_equal(clock_rfc3339(t, text), "2024-02-29T12:00:00Z");
    assert_false(clock_parse_generalized("20230229120000Z", &t));
    assert_false(clock_parse_generalized("20240229120000", &t));
    assert_false(clock_parse_rfc3339("2026-13-24T03:00:00Z", &t));
    assert_int_equal(clock_from_civil(1970, 1, 1, 0, 0, 0), 0);
    assert_string_equal(clock_rfc3339(0, text), "-");
}

static void host_map(void **state)
{
    (void)state;
    struct hostmap m = {0};
    struct errinfo ei;
    const char *addr;
    uint16_t port;
    assert_int_equal(hostmap_add(&m, "excas01.contoso.lab=127.0.0.9:10443", &ei), ERR_OK);
    assert_int_equal(hostmap_add(&m, "excas01.contoso.lab:444=127.0.0.8:4444", &ei), ERR_OK);
    assert_int_equal(hostmap_add_pair(&m, "v6/389", "[::1]:10389", &ei), ERR_OK);
    assert_int_equal(hostmap_add_pair(&m, "bare6", "::1", &ei), ERR_OK);
    assert_true(hostmap_find(&m, "EXCAS01.contoso.lab", 443, false, &addr, &port));
    assert_string_equal(addr, "127.0.0.9");
    assert_int_equal(port, 10443);
    assert_true(hostmap_find(&m, "excas01.contoso.lab", 22, true, &addr, &port));
    assert_int_equal(port, 22);
    assert_true(hostmap_find(&m, "excas01.contoso.lab", 444, false, &addr, &port));
    assert_string_equal(addr, "127.0.0.8");
    assert_false(hostmap_find(&m, "v6", 443, false, &addr, &port));
    assert_true(hostmap_find(&m, "v6", 389, false, &addr, &port));
    assert_string_equal(addr, "::1");
    assert_true(hostmap_find(&m, "bare6", 443, false, &addr, &port));
    assert_string_equal(addr, "::1");
    assert_int_equal(port, 443);
    static const char *const bad[] = {
        "", "x", "=1.2.3.4", "x=", "x=1.2.3.4:0", "x=1.2.3.4:99999", "x=[::1", "x:y=1.2.3.4"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(hostmap_add(&m, bad[i], &ei), ERR_USAGE);
    hostmap_fini(&m);
}

static void connecting_tells_refused_from_unknown(void **state)
{
    (void)state;
    struct hostmap m = {0};
    struct errinfo ei;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    int s = socket(AF_INET, SOCK_STREAM, 0), fd = -1;
    assert_int_equal(bind(s, (struct sockaddr *)&sa, sizeof sa), 0);
    getsockname(s, (struct sockaddr *)&sa, &len);
    char spec[64];
    snprintf(spec, sizeof spec, "cas.example=127.0.0.1:%u", ntohs(sa.sin_port));
    assert_int_equal(hostmap_add(&m, spec, &ei), ERR_OK);
    struct stop stop;
    stop_init(&stop, 5000, NULL);
    assert_int_equal(hostmap_connect(&m, "cas.example", 443, false, &stop, &fd, &ei), ERR_UNREACHABLE);
    assert_non_null(strstr(ei.what, "connection refused"));
    listen(s, 1);
    assert_int_equal(hostmap_connect(&m, "cas.example", 443, false, &stop, &fd, &ei), ERR_OK);
    close(fd);
    stop_raise(&stop);
    assert_int_equal(hostmap_connect(&m, "cas.example", 443, false, &stop, &fd, &ei), ERR_INTERRUPTED);
    close(s);
    hostmap_fini(&m);
}

static void count_up(void *arg)
{
    ++*(int *)arg;
}

static void jobs_run_and_report(void **state)
{
    (void)state;
    struct job_pool *pool;
    struct errinfo ei;
    int done = 0, ran[50] = {0};
    (void)done;
    assert_int_equal(job_pool_new(&pool, 4, &ei), ERR_OK);
    for (int i = 0; i < 50; i++)
        assert_int_equal(job_pool_submit(pool, count_up, count_up, &ran[i]), ERR_OK);
    job_pool_wait(pool);
    for (int i = 0; i < 50; i++)
        assert_int_equal(ran[i], 2);
    assert_int_equal(job_pool_post(pool, count_up, &ran[0]), ERR_OK);
    assert_int_equal(job_pool_collect(pool), 1);
    assert_int_equal(ran[0], 3);
    job_pool_free(&pool);
    assert_null(pool);
}

struct seen {
    char text[1000];
};

static enum err note(void *arg, const char *section, const char *key, const char *value, unsigned line,
                     struct errinfo *ei)
{
    struct seen *s = arg;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof s->text - n, "%u:%s|%s|%s;", line, section, key ? key : "",
             value ? value : "");
    return key && strcmp(key, "bad") == 0 ? err_set(ei, ERR_CONFIG, NULL, "told so") : ERR_OK;
}

static void ini_files(void **state)
{
    (void)state;
    struct errinfo ei;
    struct seen s = {""};
    const char text[] =
        "\xef\xbb\xbf# c\r\n[one]\r\n a = b ; c\n url=http://x/#y;z\nhost.a:1 = 2\n[two words] ; c\nk =";
    assert_int_equal(ini_parse(text, sizeof text - 1, "f", note, &s, &ei), ERR_OK);
    assert_string_equal(
        s.text, "2:one||;3:one|a|b;4:one|url|http://x/#y;z;5:one|host.a:1|2;6:two words||;7:two words|k|;");
    static const char *const bad[] = {"[x", "word", "=v", "[]", "[a] b", "[a]\nbad = 1", "a\xff = 1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(ini_parse(bad[i], strlen(bad[i]), "f.ini", note, &s, &ei), ERR_CONFIG);
        assert_memory_equal(ei.what, "f.ini:", 6);
    }
}

static void files_and_secrets(void **state)
{
    (void)state;
    char dir[] = "/tmp/casbridge-test-XXXXXX", path[64], ref[80];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a/b/secret", dir);
    snprintf(ref, sizeof ref, "file:%s", path);
    struct errinfo ei;
    struct secret s = {0};
    assert_int_equal(path_make_parents(path, &ei), ERR_OK);
    assert_int_equal(path_write(path, "hunter2\nmore\n", 13, 0600, &ei), ERR_OK);
    assert_int_equal(secret_resolve(&s, ref, "p", &ei), ERR_OK);
    assert_string_equal(s.bytes, "hunter2");
    chmod(path, 0640);
    assert_int_equal(secret_resolve(&s, ref, "p", &ei), ERR_CONFIG);
    setenv("CASBRIDGE_TEST_SECRET", "e", 1);
    assert_int_equal(secret_resolve(&s, "env:CASBRIDGE_TEST_SECRET", "p", &ei), ERR_OK);
    assert_string_equal(s.bytes, "e");
    assert_int_equal(secret_resolve(&s, "plain", "p", &ei), ERR_CONFIG);
    assert_null(strstr(ei.what, "plain"));
    struct buf b;
    buf_init(&b, 5);
    assert_int_equal(path_read(&b, path, &ei), ERR_LIMIT);
    buf_fini(&b);
    buf_init(&b, 13);
    assert_int_equal(path_read(&b, path, &ei), ERR_OK);
    assert_int_equal(b.len, 13);
    buf_fini(&b);
    secret_fini(&s);
    unlink(path);
    snprintf(path, sizeof path, "%s/a/b", dir);
    rmdir(path);
    snprintf(path, sizeof path, "%s/a", dir);
    rmdir(path);
    assert_int_equal(rmdir(dir), 0);
}

/* Eight bytes are looked at together: each value at each place of them, beside values that carry and borrow. */
static void plain_text_is_told_from_other(void **state)
{
    (void)state;
    char text[21];
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < sizeof text; at++) {
            for (int rest = 0; rest < 2; rest++) {
                memset(text, rest ? '~' : ' ', sizeof text);
                text[at] = (char)c;
                assert_int_equal(str_is_plain(text, sizeof text), c >= 0x20 && c < 0x7f);
                assert_int_equal(utf8_valid(text, sizeof text), c < 0x80);
            }
        }
    }
    assert_true(str_is_plain("", 0));
    static const char sequence[] = "\xe2\x82\xac"; /* at each place, whole and cut */
    for (size_t at = 0; at + 3 <= sizeof text; at++) {
        memset(text, 'x', sizeof text);
        memcpy(text + at, sequence, 3);
        assert_true(utf8_valid(text, sizeof text));
        assert_false(utf8_valid(text, at + 2));
    }
}

static void names_are_found_in_any_case(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static char names[MANY][16];
    struct name_map m = {0};
    size_t number;
    assert_false(name_map_find(&m, "EX0001", &number)); /* before there is a map */
    assert_int_equal(name_map_init(&m, MANY), ERR_OK);
    for (size_t i = 0; i < MANY; i++) {
        str_fmt(names[i], sizeof names[i], "EX%04zu", i);
        assert_int_equal(name_map_add(&m, names[i], i), i);
    }
    assert_int_equal(name_map_add(&m, "ex0007", 9999), 7);
    for (size_t i = 0; i < MANY; i++) {
        char lower[16];
        str_fmt(lower, sizeof lower, "ex%04zu", i);
        assert_true(name_map_find(&m, lower, &number));
        assert_int_equal(number, i);
    }
    assert_false(name_map_find(&m, "EX3000", &number));
    assert_false(name_map_find(&m, "", &number));
    name_map_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffer_has_a_limit),
        cmocka_unit_test(arena_keeps_within_its_limit),
        cmocka_unit_test(vector_stops_at_its_limit),
        cmocka_unit_test(plain_text_is_told_from_other),
        cmocka_unit_test(names_are_found_in_any_case),
        cmocka_unit_test(hostile_text_is_made_visible),
        cmocka_unit_test(error_texts_are_safe_and_gain_context),
        cmocka_unit_test(numbers_are_strict),
        cmocka_unit_test(base64_and_utf16),
        cmocka_unit_test(base64_of_any_length),
        cmocka_unit_test(an_arena_is_filled_again),
        cmocka_unit_test(times),
        cmocka_unit_test(host_map),
        cmocka_unit_test(connecting_tells_refused_from_unknown),
        cmocka_unit_test(jobs_run_and_report),
        cmocka_unit_test(ini_files),
        cmocka_unit_test(files_and_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
