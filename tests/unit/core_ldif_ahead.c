/* core/directory: an LDIF file is read the same whether its users are read, passed over at once, or passed over by other threads. */
#include "core/base/path.h"
#include "core/directory/ldif_ahead.h"
#include "tests/unit/ldif_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/casbridge-ahead-XXXXXX";
static char path[64];

static void write_file(const char *text, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void scan(struct ldif_said *s, size_t piece, unsigned threads)
{
    struct ldif_file f;
    struct ldif_scan found;
    struct errinfo ei;
    struct ldif_wants w = ldif_say(s);
    assert_int_equal(ldif_file_open(&f, path, &ei), ERR_OK);
    assert_int_equal(ldif_file_scan_in(&f, &w, piece, threads, NULL, &found, &ei), ERR_OK);
    ldif_say_figures(s, found.entries, found.with_class, found.lines, found.cut);
    ldif_file_close(&f);
}

/* The file in pieces of several sizes, by several threads; each time what the slow reading says. */
static void same_every_way(const char *text, size_t len)
{
    static const size_t pieces[] = {2, 63, 200, 1000, 4096, 1 << 20};
    struct ldif_said slow, fast;
    assert_true(ldif_read_slowly(&slow, text, len));
    write_file(text, len);
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        for (unsigned threads = 0; threads < 4; threads += 1 + threads) {
            if (len / pieces[i] > 2000)
                continue;
            scan(&fast, pieces[i], threads);
            assert_string_equal(buf_str(&fast.text), buf_str(&slow.text));
            assert_int_equal(fast.text.len, slow.text.len);
            buf_fini(&fast.text);
        }
    buf_fini(&slow.text);
}

static void passed_over_is_as_read(void **state)
{
    (void)state;
    srandom(11);
    for (int round = 0; round < 150; round++) {
        uint8_t choice[60];
        struct buf text;
        buf_init(&text, 1 << 20);
        /* mostly the users at the beginning of the table */
        for (size_t i = 0; i < sizeof choice; i++)
            choice[i] = (uint8_t)(random() % 4 ? random() % 4 + (random() % 3 ? 0 : 200) : random() % 256);
        ldif_make(&text, choice, sizeof choice);
        same_every_way(buf_str(&text), text.len);
        buf_fini(&text);
    }
}

/* An export that is still under way: whoever reads it must not believe that it is all. */
static enum err write_more(void *arg, const struct entry *e, struct errinfo *ei)
{
    FILE *f = fopen(path, "ab");
    (void)e, (void)ei;
    assert_non_null(f);
    assert_true(fputs("dn: CN=more\nobjectClass: site\n\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    return ldif_say_entry(arg, e, ei);
}

static void a_file_that_grows(void **state)
{
    (void)state;
    static const char text[] = "dn: CN=s\nobjectClass: site\n\n";
    for (int grows = 0; grows < 2; grows++) {
        struct ldif_said s;
        struct ldif_file f;
        struct ldif_scan found;
        struct errinfo ei;
        struct ldif_wants w = ldif_say(&s);
        struct ldif_wants once = w;
        once.entry = grows ? write_more : w.entry;
        write_file(text, sizeof text - 1);
        assert_int_equal(ldif_file_open(&f, path, &ei), ERR_OK);
        assert_int_equal(ldif_file_scan_in(&f, &once, 1000, 0, NULL, &found, &ei), ERR_OK);
        ldif_file_close(&f);
        assert_int_equal(strstr(buf_str(&s.text), "was written to while it was read") != NULL, grows);
        buf_fini(&s.text);
    }
}

/* What differs from the user before in one thing only. */
static void what_begins_otherwise(void **state)
{
    (void)state;
    static const char *const between[] = {
        "dn: CN=x\nobjectClass: top\nobjectClass: site\ncn: x\n\n",
        "dn: CN=x\nobjectClass: top\nobjectClass: user\nurl: x\nobjectClass: site\n\n",
        "dn: CN=x\nobjectClass: top\nobjectClass: user\nobjectClass: site\ncn: x\n\n",
        "dn: CN=x\nobjectClass: top\nobjectClass: user\n cn: x\ncn: x\n\n",
        "dn: CN=x\n y\nobjectClass: top\nobjectClass: user\ncn: x\n\n",
        "dn:: !\nobjectClass: top\nobjectClass: user\ncn: x\n\n",
        "dn: CN=x\nobjectClass: top\nobjectClass: user\ncn: x\nDN: CN=y\nobjectClass: site\n\n",
        "dn: CN=x\nrubbish\nobjectClass: top\nobjectClass: user\ncn: x\n\n",
        "dn: CN=x\nchangetype: modify\nobjectClass: top\nobjectClass: user\ncn: x\n\n",
        "dn: CN=x\nobjectClass: top\nobjectClass: user\nchangetype: modify\ncn: x\n\n",
        "url: x\n\nresult: 4 no\n\n",
        "dn: CN=x\nobjectClass: site\nurl: x\r\r\n\n\n\n",
    };
    static const char user[] =
        "dn: CN=u\nobjectClass: top\nobjectClass: user\ncn: u\ndescription: d\ndc: d\n\n";
    for (size_t i = 0; i < ARRAY_LEN(between); i++) {
        struct buf text;
        buf_init(&text, 1 << 20);
        buf_adds(&text, "version: 1\n\n");
        for (int n = 0; n < 200; n++)
            buf_adds(&text, n % 50 > 47 ? between[i] : user);
        same_every_way(buf_str(&text), text.len);
        buf_fini(&text);
    }
}

/* A DN that is too long or holds a NUL is noted, however the entry goes on. */
static void dn_that_is_refused(void **state)
{
    (void)state;
    static const char rest[] = "\nobjectClass: top\nobjectClass: user\ncn: u\n\n";
    struct buf text;
    buf_init(&text, 1 << 20);
    for (size_t len = ENTRY_DN_MAX - 6; len < ENTRY_DN_MAX + 6; len++) {
        buf_adds(&text, "dn: ");
        for (size_t i = 0; i < len; i++)
            buf_addc(&text, 'x');
        buf_adds(&text, rest);
    }
    buf_add(&text, "dn: CN=\0x", 9);
    buf_adds(&text, rest);
    same_every_way(buf_str(&text), text.len);
    struct ldif_said s;
    scan(&s, 1 << 20, 0);
    assert_non_null(strstr(buf_str(&s.text), "note 37 -: a DN is longer"));
    assert_non_null(strstr(buf_str(&s.text), "note 62 -: a DN holds a NUL"));
    buf_fini(&s.text);
    buf_fini(&text);
}

/* Pieces and threads as a large file has them; and that something is passed over at all. */
static void large_file(void **state)
{
    (void)state;
    static const char user[] =
        "dn: CN=u%u,OU=Staff,DC=contoso,DC=lab\nobjectClass: top\nobjectClass: person\n"
        "objectClass: user\ncn: u%u\ndisplayName: User %u\n\n";
    struct buf text;
    struct ldif_said s;
    struct ldif_passed passed;
    buf_init(&text, 1 << 25);
    for (unsigned i = 0; i < 70000; i++) {
        if (i % 30000 == 29999)
            buf_addf(&text, "dn: CN=s%u\nobjectClass: site\nrubbish\n\n", i);
        buf_addf(&text, user, i, i, i);
    }
    assert_true(ldif_read_slowly(&s, buf_str(&text), text.len));
    write_file(buf_str(&text), text.len);
    const char *slow = buf_str(&s.text);
    for (int i = 0; i < 2; i++) {
        struct ldif_said fast;
        if (i)
            scan(&fast, (size_t)2 << 20, 3);
        else {
            struct ldif_file f;
            struct ldif_scan found;
            struct ldif_wants w = ldif_say(&fast);
            assert_int_equal(ldif_file_open(&f, path, NULL), ERR_OK);
            assert_int_equal(ldif_file_scan(&f, &w, NULL, &found, NULL), ERR_OK);
            ldif_say_figures(&fast, found.entries, found.with_class, found.lines, found.cut);
            ldif_file_close(&f);
        }
        assert_string_equal(buf_str(&fast.text), slow);
        buf_fini(&fast.text);
    }
    buf_fini(&s.text);
    struct ldif_wants w = ldif_say(&s);
    assert_true(ldif_skim(buf_str(&text) + 1000, 100000, &w, &passed));
    assert_true(passed.from < 300 && passed.to > 99700 && passed.entries > 600);
    assert_int_equal(passed.lines, passed.entries * 7);
    assert_false(ldif_skim(buf_str(&text), text.len, &w, &passed)); /* a site */
    buf_fini(&s.text);
    buf_fini(&text);
}

/* A stop ends it while others are under way. */
static void stopped(void **state)
{
    (void)state;
    struct ldif_file f;
    struct ldif_scan found;
    struct ldif_said s;
    struct ldif_wants w = ldif_say(&s);
    struct stop stop;
    struct errinfo ei;
    stop_init(&stop, 0, NULL);
    stop_raise(&stop);
    assert_int_equal(ldif_file_open(&f, path, &ei), ERR_OK);
    assert_int_equal(ldif_file_scan_in(&f, &w, 1000, 3, &stop, &found, &ei), ERR_INTERRUPTED);
    ldif_file_close(&f);
    buf_fini(&s.text);
}

/* ---- one entry out of the middle */

static void only_the_first(void **state)
{
    (void)state;
    static const char text[] = "dn: CN=a\nobjectClass: site\n\ndn: CN=b\nobjectClass: site\n\ndn: CN=c\n\n";
    struct ldif_file f;
    struct ldif_said s;
    struct ldif_wants w = ldif_say(&s);
    write_file(text, sizeof text - 1);
    assert_int_equal(ldif_file_open(&f, path, NULL), ERR_OK);
    assert_int_equal(ldif_file_entry(&f, 28, &w, NULL), ERR_OK);
    assert_non_null(strstr(buf_str(&s.text), "CN=b"));
    assert_null(strstr(buf_str(&s.text), "CN=c"));
    ldif_file_close(&f);
    buf_fini(&s.text);
}

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    return str_fmt(path, sizeof path, "%s/x.ldif", dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passed_over_is_as_read),
        cmocka_unit_test(what_begins_otherwise),
        cmocka_unit_test(a_file_that_grows),
        cmocka_unit_test(dn_that_is_refused),
        cmocka_unit_test(large_file),
        cmocka_unit_test(stopped),
        cmocka_unit_test(only_the_first),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
