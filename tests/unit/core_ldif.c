/* core/directory: the LDIF reader. However the bytes arrive and are encoded, the organisation is the same; what is broken is noted. */
#include "core/base/str.h"
#include "core/directory/decode.h"
#include "core/directory/directory.h"
#include "core/directory/ldif.h"
#include "core/directory/ldif_file.h"
#include "tests/unit/org_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "core/base/path.h"

static const char fixture_path[] = "tests/unit/data/org.ldif";
static struct buf fixture;
static char dir[] = "/tmp/casbridge-ldif-XXXXXX";

/* ---- a small sink: entries and notes as text */

struct seen {
    struct buf text;
    unsigned entries, notes;
    uint64_t last_position;
};

static enum err see_entry(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct seen *s = arg;
    (void)ei;
    s->entries++;
    s->last_position = e->position;
    buf_addf(&s->text, "%llu:%s", (unsigned long long)e->line, e->dn);
    for (size_t i = 0; i < e->n; i++) {
        buf_addf(&s->text, "|%s%s=",
                 e->values[i].attribute == ATTRIBUTE_EXTRA ? "x" : attribute_name(e->values[i].attribute),
                 e->values[i].cut ? "(cut)" : "");
        buf_add(&s->text, e->values[i].data, e->values[i].len < 60 ? e->values[i].len : 60);
    }
    buf_addc(&s->text, '\n');
    return ERR_OK;
}

static void see_note(void *arg, uint64_t line, const char *subject, const char *text)
{
    struct seen *s = arg;
    s->notes++;
    buf_addf(&s->text, "note %llu %s: %s\n", (unsigned long long)line, or_dash(subject), text);
}

static const struct ldif_wants everything = {
    .who = FOR_ORG | FOR_MAILBOX | FOR_COMPUTER, .everything = true, .entry = see_entry, .note = see_note};

/* step 0: all at once; else so many bytes at a time */
static const char *parse(struct seen *s, const struct ldif_wants *base, const char *text, size_t len,
                         size_t step)
{
    struct ldif p;
    struct errinfo ei;
    struct ldif_wants w = *base;
    bool cut;
    *s = (struct seen){0};
    buf_init(&s->text, 1 << 22);
    w.arg = s;
    ldif_init(&p, &w, LDIF_DETECT);
    for (size_t at = 0; at < len;) {
        size_t n = step && step < len - at ? step : len - at;
        /* a copy of its own: a byte read too far is then seen */
        char *piece = malloc(n);
        assert_non_null(piece);
        memcpy(piece, text + at, n);
        assert_int_equal(ldif_feed(&p, piece, n, &ei), ERR_OK);
        free(piece);
        at += n;
    }
    assert_int_equal(ldif_finish(&p, &cut, &ei), ERR_OK);
    ldif_fini(&p);
    return buf_str(&s->text);
}

static void records(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"dn: CN=a\nurl: x\n\n", "1:CN=a|url=x\n"},
        {"dn: CN=a\r\nurl: x\r\n\r\n", "1:CN=a|url=x\n"},
        {"dn:CN=a\nURL:x\n\n", "1:CN=a|url=x\n"},
        {"dn: CN=a\nurl: x\n y\n  z\n\n", "1:CN=a|url=xy z\n"},
        {"dn: CN=a,\n DC=b\nurl:: aGVs\n bG8=\n\n", "1:CN=a,DC=b|url=hello\n"},
        {"dn:: Q049YQ==\nurl:\n\n", "1:CN=a|url=\n"},
        {"version: 1\n\ndn: CN=a\n\ndn: CN=b\n", "3:CN=a\n5:CN=b\n"},
        {"version: 1\ndn: CN=a\n\n", "2:CN=a\n"},
        {"version: 2\ndn: CN=a\n\n",
         "note 2 -: the file says another LDIF version than 1; read as 1\n2:CN=a\n"},
        {"# c\n d\ndn: CN=a\n# c\n more: x\nurl: x\n\n", "3:CN=a|url=x\n"},
        {"\n\n\ndn: CN=a\n\n\n\n", "4:CN=a\n"},
        {"dn: CN=a\nchangetype: add\nurl: x\n\n", "1:CN=a|url=x\n"},
        {"dn: CN=a\nchangetype: modify\nadd: url\nurl: x\n-\n\ndn: CN=b\n",
         "note 3 CN=a: a change record that is no add was left out\n7:CN=b\n"},
        {"dn: CN=a\nurl:< file:///etc/passwd\nurl: y\n\n",
         "note 3 CN=a: a value is given by URL; files and URLs are not read, the value was left "
         "out\n1:CN=a|url=y\n"},
        {"dn: CN=a\nurl:: !!\nurl: y\n\n",
         "note 3 CN=a: the base64 of a value is broken: the value was left out\n1:CN=a|url=y\n"},
        {"dn:: !!\nurl: y\n\ndn: CN=b\n",
         "note 2 -: the base64 of a DN is broken: the entry was left out\n4:CN=b\n"},
        {"dn: CN=a\nurl;lang-en: y\nservicePrincipalName;range=0-9: z\n\n",
         "1:CN=a|url=y|servicePrincipalName=z\n"},
        {"dn: CN=a\nrubbish\nurl: y\n\n",
         "note 2 CN=a: a line that is neither attribute nor comment was left out\n1:CN=a|url=y\n"},
        {"dn: CN=a\nurl: y\ndn: CN=b\n\n",
         "note 3 CN=a: no empty line before the next entry\n1:CN=a|url=y\n3:CN=b\n"},
        {"url: y\n\ndn: CN=b\n", "note 1 -: lines that belong to no entry were left out\n3:CN=b\n"},
        {"dn: CN=b\n\n# search result\nsearch: 2\nresult: 0 Success\n\n# numEntries: 1\n", "1:CN=b\n"},
        {"dn: CN=b\n\nsearch: 2\nresult: 4 Size limit exceeded\n",
         "1:CN=b\nnote 4 -: the search that made this export ended with result 4 Size limit exceeded: it is "
         "not complete\n"},
        {"dn: CN=b\nurl: x",
         "note 2 CN=b: the file ends in the middle of a line: if it was cut, this entry is not whole "
         "and others are missing\n1:CN=b|url=x\n"},
        {"\xef\xbb\xbf"
         "dn: CN=a\n\n",
         "1:CN=a\n"},
        {"\xff\xfe"
         "d\0n\0:\0C\0N\0=\0\xf6\0\n\0\n\0",
         "1:CN=\xc3\xb6\n"},
        {"\xfe\xff"
         "\0d\0n\0:\0C\0N\0=\xd8\x3d\xde\0\0\n",
         "1:CN=\xf0\x9f\x98\x80\n"},
        {"", ""},
        {"d", "note 1 -: a line that is neither attribute nor comment was left out\n"
              "note 1 -: the file ends in the middle of a line: if it was cut, this entry is not whole and "
              "others are missing\n"},
    };
    static const size_t utf16_lengths[] = {[24] = 20, [25] = 20};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len =
            i < ARRAY_LEN(utf16_lengths) && utf16_lengths[i] ? utf16_lengths[i] : strlen(rows[i].text);
        for (size_t step = 0; step <= 3; step++) {
            struct seen s;
            assert_string_equal(parse(&s, &everything, rows[i].text, len, step), rows[i].expected);
            buf_fini(&s.text);
        }
    }
}

/* An entry of no interest is passed over, whatever it holds; one of interest is delivered whole. */
static void interest(void **state)
{
    (void)state;
    static const char text[] = "dn: CN=u\nobjectClass: top\nobjectClass: user\nurl: no\n more\nrubbish\n\n"
                               "dn: CN=c\nurl: early\nobjectClass: user\nobjectClass: computer\nurl: yes\n\n"
                               "dn: CN=n\nurl: no\n\n"
                               "dn: CN=s\nobjectClass: site\n\n";
    struct ldif_wants w = {
        .who = FOR_ORG, .wanted = CLASS_COMPUTER | CLASS_SITE, .entry = see_entry, .note = see_note};
    for (size_t step = 0; step < 4; step++) {
        struct seen s;
        assert_string_equal(parse(&s, &w, text, sizeof text - 1, step),
                            "8:CN=c|url=early|url=yes\n17:CN=s\n");
        buf_fini(&s.text);
    }
    w.unwanted = CLASS_COMPUTER;
    w.extra = "objectclass";
    struct seen s;
    assert_string_equal(parse(&s, &w, text, sizeof text - 1, 0), "17:CN=s|x=site\n");
    buf_fini(&s.text);
}

/* Nobody writes so, but it is LDIF: an entry passed over as another kind that then says that it is of a wanted one too is not lost
   without a word, also behind others that begin alike. */
static void a_class_that_comes_late(void **state)
{
    (void)state;
    static const char begin[] = "dn: CN=u\nobjectClass: top\nobjectClass: user\ncn: u\n";
    static const char plain[] = "description: 0123456789012345678901234567890123456789\n\n";
    static const char *const lines[] = {
        "objectClass: site\n",        "OBJECTCLASS: Site\r\n", /* these are of it */
        "objectClass;x-a: si\n te\n", "objectClass:: c2l0ZQ==\n", "objectClass: person\n",
        "objectClassX: site\n", /* these are not */
        "objectCategory: site\n",     "# objectClass: site\n",    "o: x\n objectClass: site\n"};
    const struct ldif_wants w = {.who = FOR_ORG, .wanted = CLASS_SITE, .entry = see_entry, .note = see_note};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct buf b;
        struct seen s;
        char expected[200];
        buf_init(&b, 1 << 20);
        for (int n = 0; n < 21; n++)
            buf_addf(&b, "%s%s%s", begin, n == 9 ? lines[i] : "", plain);
        str_fmt(expected, sizeof expected, "note %d CN=u: an objectClass stands apart",
                60 + (strstr(lines[i], "\n ") != NULL));
        for (size_t step = 0; step < 4; step++) {
            const char *text = parse(&s, &w, buf_str(&b), b.len, step);
            assert_int_equal(s.notes, i < 4);
            assert_int_equal(strstr(text, expected) != NULL, i < 4);
            buf_fini(&s.text);
        }
        buf_fini(&b);
    }
}

static void long_values_are_cut(void **state)
{
    (void)state;
    size_t big = (size_t)10 * 1024 * 1024;
    struct buf b;
    buf_init(&b, big * 3);
    char *fill = malloc(big);
    assert_non_null(fill);
    memset(fill, 'Q', big);
    buf_adds(&b, "dn: CN=a\nurl: ");
    buf_add(&b, fill, big);
    buf_adds(&b, "\nurl:: ");
    buf_add(&b, fill, big);
    buf_adds(&b, "\nkeywords: k\n\ndn: CN=");
    buf_add(&b, fill, 5000);
    buf_adds(&b, "\nurl: x\n\n");
    for (size_t step = 0; step < 2; step++) {
        struct seen s;
        const char *text = parse(&s, &everything, buf_str(&b), b.len, step * 70001);
        assert_int_equal(s.entries, 1);
        assert_int_equal(s.notes, 1);
        assert_non_null(strstr(text, "|url(cut)=QQQQ"));
        assert_non_null(strstr(text, "|keywords=k"));
        assert_non_null(strstr(text, "a DN is longer than 4,096 bytes"));
        buf_fini(&s.text);
    }
    free(fill);
    buf_fini(&b);
}

static void too_many_values(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_adds(&b, "dn: CN=a\n");
    for (int i = 0; i < 30000; i++)
        buf_adds(&b, "url: x\n");
    buf_adds(&b, "\ndn: CN=b\n\n");
    struct seen s;
    const char *text = parse(&s, &everything, buf_str(&b), b.len, 0);
    assert_int_equal(s.entries, 2);
    assert_int_equal(s.notes, 1);
    assert_non_null(strstr(text, "too many values"));
    buf_fini(&s.text);
    buf_fini(&b);
}

/* ---- whole organisations */

static enum err to_decoder(void *arg, const struct entry *e, struct errinfo *ei)
{
    return decode_entry(arg, e, ei);
}

static void note_to_decoder(void *arg, uint64_t line, const char *subject, const char *text)
{
    decode_note(arg, subject, "line %llu: %s", (unsigned long long)line, text);
}

/* cuts: ends of the pieces, ascending */
static char *decode_pieces(const char *text, size_t len, const size_t *cuts, size_t n_cuts)
{
    struct decode *d = NULL;
    struct ldif p;
    struct errinfo ei;
    struct org *org = NULL;
    struct buf out;
    bool cut;
    assert_int_equal(decode_new(&d, &ei), ERR_OK);
    const struct ldif_wants w = {.who = FOR_ORG | FOR_COMPUTER,
                                 .wanted = CLASSES_OF_ORG | CLASS_COMPUTER,
                                 .entry = to_decoder,
                                 .note = note_to_decoder,
                                 .arg = d};
    ldif_init(&p, &w, LDIF_DETECT);
    size_t at = 0;
    for (size_t i = 0; i <= n_cuts; i++) {
        size_t end = i < n_cuts ? cuts[i] : len;
        assert_int_equal(ldif_feed(&p, text + at, end - at, &ei), ERR_OK);
        at = end;
    }
    assert_int_equal(ldif_finish(&p, &cut, &ei), ERR_OK);
    ldif_fini(&p);
    const struct decode_context context = {.source = "test"};
    assert_int_equal(decode_finish(&d, &context, &org, &ei), ERR_OK);
    buf_init(&out, 1 << 20);
    org_text(&out, org, true);
    org_free(&org);
    return buf_take(&out);
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

static void pieces_make_no_difference(void **state)
{
    (void)state;
    char *whole = decode_pieces(fixture.data, fixture.len, NULL, 0);
    size_t *cuts = calloc(fixture.len, sizeof *cuts);
    assert_non_null(cuts);
    for (size_t i = 0; i < fixture.len; i++)
        cuts[i] = i;
    char *bytewise = decode_pieces(fixture.data, fixture.len, cuts, fixture.len);
    assert_string_equal(bytewise, whole);
    free(bytewise);
    srandom(7);
    for (int round = 0; round < 50; round++) {
        size_t n = (size_t)random() % 40 + 1;
        for (size_t i = 0; i < n; i++)
            cuts[i] = (size_t)random() % fixture.len;
        qsort(cuts, n, sizeof *cuts, by_size);
        char *cut = decode_pieces(fixture.data, fixture.len, cuts, n);
        assert_string_equal(cut, whole);
        free(cut);
    }
    free(cuts);
    free(whole);
}

static struct org *read_file(const char *text, size_t len, enum err expected, struct errinfo *ei)
{
    char path[64];
    struct org *org = NULL;
    char source[80];
    snprintf(path, sizeof path, "%s/org.ldif", dir);
    snprintf(source, sizeof source, "ldif:%s", path);
    assert_int_equal(path_write(path, text, len, 0600, ei), ERR_OK);
    assert_int_equal(directory_read(&org, NULL, source, NULL, ei), expected);
    return org;
}

static char *file_text(const char *text, size_t len, bool notes)
{
    struct errinfo ei;
    struct org *org = read_file(text, len, ERR_OK, &ei);
    struct buf out;
    buf_init(&out, 1 << 20);
    org_text(&out, org, notes);
    org_free(&org);
    return buf_take(&out);
}

/* ldifde's UTF-16, CRLF, no newline at the end, no folding: other bytes, the same organisation. */
static void encodings_make_no_difference(void **state)
{
    (void)state;
    struct buf other;
    char *plain = file_text(fixture.data, fixture.len, true);
    buf_init(&other, 1 << 20);
    for (int order = 0; order < 2; order++) {
        buf_reset(&other);
        buf_add(&other, "\xff\xfe", 2);
        assert_int_equal(utf16le_encode(&other, fixture.data, fixture.len), ERR_OK);
        for (size_t i = 0; order && i + 1 < other.len; i += 2) {
            char c = other.data[i];
            other.data[i] = other.data[i + 1];
            other.data[i + 1] = c;
        }
        char *wide = file_text(other.data, other.len, true);
        assert_string_equal(wide, plain);
        free(wide);
    }
    buf_reset(&other);
    buf_adds(&other, "\xef\xbb\xbf");
    for (size_t i = 0; i < fixture.len; i++) {
        if (fixture.data[i] == '\n')
            buf_addc(&other, '\r');
        buf_addc(&other, fixture.data[i]);
    }
    char *crlf = file_text(other.data, other.len, true);
    assert_string_equal(crlf, plain);
    free(crlf);
    buf_reset(&other);
    for (size_t i = 0; i < fixture.len; i++) {
        if (fixture.data[i] == '\n' && fixture.data[i + 1] == ' ')
            i++;
        else
            buf_addc(&other, fixture.data[i]);
    }
    char *unfolded = file_text(other.data, other.len, true);
    assert_string_equal(unfolded, plain);
    free(unfolded);
    free(plain);
    buf_fini(&other);
}

static unsigned warnings;

static void count_warning(void *arg, enum log_level level, const char *line)
{
    (void)arg, (void)line;
    warnings += level == LOG_LEVEL_WARNING;
}

/* Cut anywhere behind the first server: what stood before is kept, and it is said. */
static void a_cut_file(void **state)
{
    (void)state;
    const char *first = strstr(fixture.data, "dn: CN=E2K7CAS01");
    assert_non_null(first);
    log_set_sink(count_warning, NULL);
    for (size_t at = (size_t)(first - fixture.data); at < fixture.len; at += 97) {
        struct errinfo ei;
        warnings = 0;
        struct org *org = read_file(fixture.data, at, ERR_OK, &ei);
        assert_non_null(org_server(org, "EXCAS01"));
        bool said = false;
        for (size_t i = 0; i < org->n_notes; i++)
            said = said || strstr(org->notes[i].text, "middle of a line");
        assert_int_equal(said, fixture.data[at - 1] != '\n');
        assert_int_equal(warnings, said);
        org_free(&org);
    }
    log_set_sink(NULL, NULL);
}

static void files_that_cannot_be_used(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what, *hint;
    } rows[] = {
        {"", "holds no entries", "LDIF export"},
        {"root:x:0:0\nbin:x:1:1\n", ":1: lines that belong to no entry", "LDIF export"},
        {"dn: CN=a\ncn: a\n\n", "no Exchange server among its 1 entries", "objectClass"},
        {"dn: CN=a\nobjectClass: top\n\n", "no Exchange server", "CN=Configuration"},
        {"dn: CN=a\nobjectClass: top\nx\n\n", "line 3: a line that is neither", "CN=Configuration"},
    };
    struct errinfo ei;
    struct org *org = NULL;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        read_file(rows[i].text, strlen(rows[i].text), ERR_INPUT, &ei);
        assert_non_null(strstr(ei.what, rows[i].what));
        assert_non_null(strstr(ei.hint, rows[i].hint));
    }
    assert_int_equal(directory_read(&org, NULL, "ldif:/proc/nonexistent", NULL, &ei), ERR_INPUT);
    assert_int_equal(directory_read(&org, NULL, "ldif:/", NULL, &ei), ERR_INPUT);
    assert_int_equal(directory_read(&org, NULL, "ldif:/dev/null", NULL, &ei), ERR_INPUT);
    assert_int_equal(directory_read(&org, NULL, "gopher://x", NULL, &ei), ERR_USAGE);
    assert_int_equal(directory_read(&org, NULL, "snapshot:x", NULL, &ei), ERR_USAGE);
    struct stop stop;
    stop_init(&stop, 0, NULL);
    stop_raise(&stop);
    assert_int_equal(directory_read(&org, NULL, "ldif:tests/unit/data/org.ldif", &stop, &ei),
                     ERR_INTERRUPTED);
    assert_null(org);
}

static int setup(void **state)
{
    (void)state;
    struct errinfo ei;
    buf_init(&fixture, 1 << 20);
    return path_read(&fixture, fixture_path, &ei) || !mkdtemp(dir) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    char path[64];
    buf_fini(&fixture);
    snprintf(path, sizeof path, "%s/org.ldif", dir);
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records),
        cmocka_unit_test(interest),
        cmocka_unit_test(a_class_that_comes_late),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(too_many_values),
        cmocka_unit_test(pieces_make_no_difference),
        cmocka_unit_test(encodings_make_no_difference),
        cmocka_unit_test(a_cut_file),
        cmocka_unit_test(files_that_cannot_be_used),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
