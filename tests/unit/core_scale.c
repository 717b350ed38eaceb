/* core/directory where there is much of everything: users that nobody asked for, values by the thousand, controllers that go away. */
#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/directory/decode.h"
#include "core/directory/decode_int.h"
#include "core/directory/directory.h"
#include "core/directory/ldif.h"
#include "tests/unit/fake_ldap.h"

#include <netdb.h>
#include <resolv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- DNS: two controllers of contoso.lab, dc1 first. Takes the place of the C library's. */

static unsigned dns_asked;

int res_nquery(res_state state, const char *name, int class, int type, unsigned char *answer, int max)
{
    static const unsigned char two[] = "\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0"
                                       "\x05_ldap\x04_tcp\x07"
                                       "contoso\x03lab\0\0\x21\0\x01"
                                       "\xc0\x0c\0\x21\0\x01\0\0\0\x3c\0\x0c\0\0\0\x64\x01\x85\x03"
                                       "dc1\xc0\x17"
                                       "\xc0\x0c\0\x21\0\x01\0\0\0\x3c\0\x0c\0\x0a\0\x64\x01\x85\x03"
                                       "dc2\xc0\x17";
    (void)class, (void)type;
    dns_asked++;
    if (!str_ieq(name, "_ldap._tcp.dc._msdcs.CONTOSO.LAB") || max < (int)sizeof two) {
        state->res_h_errno = HOST_NOT_FOUND;
        return -1;
    }
    memcpy(answer, two, sizeof two - 1);
    return sizeof two - 1;
}

/* A profile that logs on with a password, and finds dc1 and dc2 at the two fakes. */
static void profile_of(struct profile *p, const struct fake *one, const struct fake *two)
{
    struct errinfo ei;
    char where[64];
    setenv("CASBRIDGE_TEST_PASSWORD", "secret", 1);
    *p = (struct profile){0};
    assert_int_equal(profile_set(p, PROFILE_ldap_user, "CN=reader,DC=contoso,DC=lab", &ei), ERR_OK);
    assert_int_equal(profile_set(p, PROFILE_ldap_password, "env:CASBRIDGE_TEST_PASSWORD", &ei), ERR_OK);
    str_fmt(where, sizeof where, "127.0.0.1:%u", one->port);
    assert_int_equal(hostmap_add_pair(&p->hosts, "dc1.contoso.lab", where, &ei), ERR_OK);
    if (!two)
        return;
    str_fmt(where, sizeof where, "127.0.0.1:%u", two->port);
    assert_int_equal(hostmap_add_pair(&p->hosts, "dc2.contoso.lab", where, &ei), ERR_OK);
}

static const char *noted(const struct org *o, const char *text)
{
    for (size_t i = 0; i < o->n_notes; i++)
        if (strstr(o->notes[i].text, text))
            return o->notes[i].text;
    return NULL;
}

static void a_krb5_conf(char path[static 40])
{
    static const char text[] = "[libdefaults]\n default_realm = CONTOSO.LAB\n";
    str_copy(path, 40, "/tmp/casbridge-scale-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    setenv("KRB5_CONFIG", path, 1);
    setenv("KRB5CCNAME", "FILE:/proc/nonexistent/ccache", 1);
}

/* Lost after 15 of 25 servers: the next one is read from the beginning, nothing is there twice, and a note says so. */
static void another_controller_takes_over(void **state)
{
    (void)state;
    struct fake dc1 = {.servers = 25, .page = 10, .lose_after = 15, .lose_times = 99},
                dc2 = {.servers = 25, .page = 10};
    struct profile p;
    struct errinfo ei = {0};
    struct org *org = NULL;
    struct stop stop;
    char conf[40];
    a_krb5_conf(conf);
    assert_int_equal(fake_start(&dc1), 0);
    assert_int_equal(fake_start(&dc2), 0);
    profile_of(&p, &dc1, &dc2);
    stop_init(&stop, 20000, NULL);
    dns_asked = 0;
    assert_int_equal(directory_read(&org, &p, NULL, &stop, &ei), ERR_OK);
    assert_int_equal(dns_asked, 1);
    assert_int_equal(dc1.connections, 1);
    assert_int_equal(dc2.connections, 1);
    assert_int_equal(org->n_servers, 25);
    assert_string_equal(org->source, "ldap://dc2.contoso.lab:389");
    assert_null(noted(org, "came twice"));
    assert_null(noted(org, "only a part"));
    const char *note = noted(org, "read from the beginning here");
    assert_non_null(note);
    assert_non_null(strstr(note, "dc1.contoso.lab"));
    org_free(&org);
    fake_stop(&dc1);
    fake_stop(&dc2);
    profile_fini(&p);
    unlink(conf);
}

/* 4,000 values, of which a controller gives 1,500 at a time; all of them, once each, in order. */
static void long_ranges_are_followed(void **state)
{
    (void)state;
    struct fake dc = {.servers = 1, .page = 10, .spns = 4000, .range = 1500};
    struct profile p;
    struct errinfo ei = {0};
    struct org *org = NULL;
    char text[32];
    assert_int_equal(fake_start(&dc), 0);
    profile_of(&p, &dc, NULL);
    assert_int_equal(directory_read(&org, &p, "ldap://dc1.contoso.lab", NULL, &ei), ERR_OK);
    assert_int_equal(org->servers[0].n_spns, 4000);
    for (size_t i = 0; i < 4000; i++) {
        snprintf(text, sizeof text, "HOST/%zu", i);
        assert_string_equal(org->servers[0].spns[i], text);
    }
    assert_non_null(strstr(dc.asked, "servicePrincipalName;range=1500-*"));
    assert_non_null(strstr(dc.asked, "servicePrincipalName;range=3000-*"));
    org_free(&org);
    fake_stop(&dc);
    profile_fini(&p);
}

/* Below the domain only the domain itself and computers by their names are asked for; a mailbox only by its own name. */
static void mailboxes_are_never_listed(void **state)
{
    (void)state;
    struct fake dc = {.servers = 45, .page = 10, .users = 1};
    struct profile p;
    struct errinfo ei = {0};
    struct org *org = NULL;
    struct directory *d = NULL;
    struct mailbox box;
    unsigned below = 0, names = 0;
    assert_int_equal(fake_start(&dc), 0);
    profile_of(&p, &dc, NULL);
    assert_int_equal(directory_read(&org, &p, "ldap://dc1.contoso.lab", NULL, &ei), ERR_OK);
    assert_int_equal(org->n_servers, 45);
    for (char *line = dc.asked, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        const char *base = strchr(line, ' ') + 1;
        bool one = line[0] == '0'; /* of a single object */
        if (one || !str_istarts(base, "DC=contoso,DC=lab|"))
            continue;
        below++;
        assert_non_null(strstr(base, "computer"));
        for (const char *at = base; (at = strstr(at, "EX00")); at++)
            names++;
        assert_null(strstr(base, "homeMDB"));
        assert_null(strstr(base, "mail"));
    }
    assert_int_equal(below, 3);
    assert_int_equal(names, 45);
    assert_int_equal(dc.unpaged, 0);
    dc.asked[0] = '\0';
    assert_int_equal(directory_open(&d, &p, "ldap://dc1.contoso.lab", NULL, &ei), ERR_OK);
    assert_int_equal(directory_mailbox(d, org, "alice@contoso.com", &box, NULL, &ei), ERR_OK);
    assert_non_null(strstr(dc.asked, "alice@contoso.com"));
    directory_close(&d);
    org_free(&org);
    fake_stop(&dc);
    profile_fini(&p);
}

/* A byte every 20 ms is not silence, but the deadline holds all the same. */
static void slow_bytes_end_with_the_deadline(void **state)
{
    (void)state;
    struct fake dc = {.servers = 25, .page = 10, .slow_ms = 20};
    struct profile p;
    struct errinfo ei = {0};
    struct org *org = NULL;
    struct stop stop;
    assert_int_equal(fake_start(&dc), 0);
    profile_of(&p, &dc, NULL);
    stop_init(&stop, 500, NULL);
    int64_t from = clock_mono_ms();
    assert_int_equal(directory_read(&org, &p, "ldap://dc1.contoso.lab", &stop, &ei), ERR_TIMEOUT);
    assert_true(clock_mono_ms() - from < 5000);
    assert_non_null(strstr(ei.what, "timed out"));
    fake_stop(&dc);
    profile_fini(&p);
}

/* ---- an export with many users */

struct seen {
    struct buf text;
    struct decode *decode; /* NULL: into text */
};

static enum err see_entry(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct seen *s = arg;
    if (s->decode)
        return decode_entry(s->decode, e, ei);
    buf_addf(&s->text, "%llu@%llu:%s\n", (unsigned long long)e->line, (unsigned long long)e->position, e->dn);
    return ERR_OK;
}

static void see_note(void *arg, uint64_t line, const char *subject, const char *text)
{
    struct seen *s = arg;
    (void)subject;
    if (!s->decode)
        buf_addf(&s->text, "note %llu: %s\n", (unsigned long long)line, text);
}

static const char user[] =
    "dn: CN=user%u,OU=Staff,DC=contoso,DC=lab\nobjectClass: top\nobjectClass: user\n"
    "displayName: Test User, whose name is long enough to fill more than one block\n"
    "dNSHostName: dn.example\ndescription:: w6TDtsO8\nd: dn\nDN-like: no\n"
    "homeMDB: CN=DB%u,CN=Databases,CN=Exchange Administrative Group (FYDIBOHF23SPDLT)\n"
    " ,CN=Administrative Groups,CN=Contoso,CN=Microsoft Exchange,CN=Services,CN=Conf\n"
    "proxyAddresses: SMTP:user%u@contoso.lab\nx: 1\ny:2\nz:\n\n";
static const char site[] = "dn: CN=Site%u,CN=Sites,CN=Configuration,DC=contoso,DC=lab\nobjectClass: site\n\n";

/* Where an entry ends and the next begins must be seen whatever stands before: other line ends, no empty line, no end at all. */
static void make_export(struct buf *out)
{
    buf_init(out, (size_t)1 << 20);
    for (unsigned i = 0; i < 200; i++) {
        size_t from = out->len;
        buf_addf(out, user, i, i, i);
        out->len--;
        buf_addf(out, "cn:%*s\n\n", (int)(i / 3), ""); /* the end comes at every place of a block */
        if (i % 5 == 1) {                              /* CRLF */
            char *copy = strdup(out->data + from);
            assert_non_null(copy);
            out->len = from;
            for (const char *p = copy; *p; p++)
                buf_add(out, *p == '\n' ? "\r\n" : p, *p == '\n' ? 2 : 1);
            free(copy);
        } else if (i % 5 == 2) { /* the next one follows at once */
            out->len--;
        }
        if (i % 3 == 0)
            buf_addf(out, site, i);
    }
    out->len--; /* the file ends in the middle of a line */
    assert_int_equal(out->failed, ERR_OK);
}

static char *parse(const struct buf *text, size_t step)
{
    struct seen s = {0};
    struct ldif p;
    struct errinfo ei;
    bool cut;
    const struct ldif_wants wants = {
        .who = FOR_ORG, .wanted = CLASSES_OF_ORG, .entry = see_entry, .note = see_note, .arg = &s};
    buf_init(&s.text, (size_t)1 << 20);
    ldif_init(&p, &wants, LDIF_DETECT);
    for (size_t at = 0; at < text->len; at += step) {
        size_t len = text->len - at < step ? text->len - at : step;
        char *piece = malloc(len); /* no byte more: the sanitizer sees who reads beyond it */
        assert_non_null(piece);
        memcpy(piece, text->data + at, len);
        assert_int_equal(ldif_feed(&p, piece, len, &ei), ERR_OK);
        free(piece);
    }
    assert_int_equal(ldif_finish(&p, &cut, &ei), ERR_OK);
    buf_addf(&s.text, "%llu lines, %llu entries\n", (unsigned long long)p.line,
             (unsigned long long)p.entries);
    ldif_fini(&p);
    return buf_take(&s.text);
}

/* Users are passed over in blocks: byte by byte there are none, and every step shifts them. */
static void users_are_passed_over_in_any_pieces(void **state)
{
    (void)state;
    struct buf text;
    make_export(&text);
    char *bytewise = parse(&text, 1);
    assert_non_null(strstr(bytewise, "267 entries"));
    assert_non_null(strstr(bytewise, "no empty line before the next entry"));
    for (size_t step = 2; step < 700; step += 3) {
        char *other = parse(&text, step);
        assert_string_equal(other, bytewise);
        free(other);
    }
    char *whole = parse(&text, text.len);
    assert_string_equal(whole, bytewise);
    free(whole);
    free(bytewise);
    buf_fini(&text);
}

/* Everything that a reading holds, after so many users. */
static size_t held_after(unsigned users)
{
    struct seen s = {0};
    struct ldif p;
    struct errinfo ei;
    struct buf text;
    bool cut;
    assert_int_equal(decode_new(&s.decode, &ei), ERR_OK);
    const struct ldif_wants wants = {.who = FOR_ORG | FOR_COMPUTER,
                                     .wanted = CLASSES_OF_ORG | CLASS_COMPUTER,
                                     .entry = see_entry,
                                     .note = see_note,
                                     .arg = &s};
    buf_init(&text, (size_t)1 << 20);
    ldif_init(&p, &wants, LDIF_DETECT);
    for (unsigned i = 0; i < users || i < 100; i++) {
        buf_reset(&text);
        if (i < 100)
            buf_addf(&text, site, i);
        if (i < users)
            buf_addf(&text, user, i, i, i);
        assert_int_equal(ldif_feed(&p, text.data, text.len, &ei), ERR_OK);
    }
    assert_int_equal(ldif_finish(&p, &cut, &ei), ERR_OK);
    assert_int_equal(p.entries, users + 100);
    assert_int_equal(s.decode->sites.n, 100);
    size_t held = s.decode->org->arena.used + s.decode->notes.cap + p.carry.cap + p.value.cap + p.bytes.cap +
                  p.decoded.cap + p.converted.cap + p.dn.cap + p.values.cap * sizeof *p.values.v +
                  p.delivered.cap * sizeof *p.delivered.v;
    ldif_fini(&p);
    decode_free(&s.decode);
    buf_fini(&text);
    return held;
}

static void memory_is_that_of_the_organisation(void **state)
{
    (void)state;
    assert_int_equal(held_after(100000), held_after(10));
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_controller_takes_over),
        cmocka_unit_test(long_ranges_are_followed),
        cmocka_unit_test(mailboxes_are_never_listed),
        cmocka_unit_test(slow_bytes_end_with_the_deadline),
        cmocka_unit_test(users_are_passed_over_in_any_pieces),
        cmocka_unit_test(memory_is_that_of_the_organisation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
