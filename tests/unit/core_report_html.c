/* The report: hostile names are escaped in every format, redaction leaves none of them, and nothing of ours is lost by it. */
#include "core/report/json.h"
#include "core/report/report.h"
#include "core/rules/rules.h"

#include <libxml/parser.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/org_builder.h"

#define MIB ((size_t)1 << 20)

struct fixture {
    struct org_builder b;
    struct org *org;
    struct evidence e;
    struct findings f;
    struct report *r;
    struct buf out;
};

static const char *const no_names[1];

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->org = story(&f->b);
    evidence_init(&f->e, 4 * MIB);
    findings_init(&f->f);
    buf_init(&f->out, 64 * MIB);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    report_free(&f->r);
    findings_fini(&f->f);
    evidence_fini(&f->e);
    builder_free(&f->org);
    buf_fini(&f->out);
    free(f);
    return 0;
}

static void observe(struct fixture *f, const char *server, const char *detail)
{
    struct observation *o = evidence_add(&f->e, OBSERVATION_CHALLENGE, EVIDENCE_WIRE);
    o->server = server;
    o->step = "challenge";
    o->protocol = PROTOCOL_OA;
    o->subject = arena_fmt(&f->e.arena, "https://%s.contoso.lab/rpc/rpcproxy.dll", server);
    o->by_name = "mail.contoso.lab";
    o->outcome = OUTCOME_FAILED;
    o->detail = detail;
    o->at = BUILDER_TIME;
    o = evidence_add(&f->e, OBSERVATION_TLS, EVIDENCE_WIRE);
    o->server = server;
    o->step = "tls";
    o->by_name = "mail.contoso.lab";
    o->outcome = OUTCOME_OK;
    o->at = BUILDER_TIME;
    static const char *names[] = {"mail.contoso.lab", "*.secretname.example.org"};
    o->u.tls.cert = (struct certificate){.subject_cn = "mail.contoso.lab",
                                         .issuer = "CN=Private Authority of Contoso",
                                         .names = names,
                                         .n_names = 2,
                                         .not_before = BUILDER_TIME - 86400,
                                         .not_after = BUILDER_TIME + 20 * 86400,
                                         .key_type = "RSA",
                                         .key_bits = 2048,
                                         .signature_hash = "sha256",
                                         .sha256 = "00112233"};
}

static void build(struct fixture *f, bool redacted)
{
    struct errinfo ei = {0};
    const struct rule_input in = {.org = f->org,
                                  .evidence = &f->e,
                                  .target = GENERATION_2013,
                                  .namespaces = no_names,
                                  .probed = true,
                                  .now = BUILDER_TIME,
                                  .poll_interval_s = 900};
    const struct report_input input = {.org = f->org,
                                       .evidence = &f->e,
                                       .findings = &f->f,
                                       .made_at = BUILDER_TIME,
                                       .as_of = BUILDER_TIME,
                                       .made_by = "carol@CONTOSO.LAB",
                                       .program = "casbridge test",
                                       .probed = true,
                                       .redact = redacted};
    assert_int_equal(rules_evaluate(&in, &f->f, &ei), ERR_OK);
    if (report_build(&f->r, &input, &ei) != ERR_OK)
        fail_msg("%s", ei.what);
}

enum { HTML, CSV, XML, JSON, FORMATS };

static const char *write(struct fixture *f, int format)
{
    struct errinfo ei = {0};
    json_t *j;
    char *text;
    buf_reset(&f->out);
    switch (format) {
    case HTML: assert_int_equal(report_html(f->r, &f->out, &ei), ERR_OK); break;
    case CSV: assert_int_equal(report_csv(f->r, &f->out, &ei), ERR_OK); break;
    case XML: assert_int_equal(report_xml(f->r, &f->out, &ei), ERR_OK); break;
    default:
        j = report_json(f->r);
        text = json_dumps(j, JSON_INDENT(1));
        assert_non_null(text);
        assert_int_equal(buf_adds(&f->out, text), ERR_OK);
        free(text);
        json_decref(j);
    }
    return buf_str(&f->out);
}

static void test_story(void **state)
{
    struct fixture *f = *state;
    observe(f, "EXCAS01", "401, offers basic");
    build(f, false);
    const char *html = write(f, HTML);
    static const char *const wanted[] = {
        "<h1 class=\"bad\">Not ready</h1>",
        "What blocks",
        "What is unknown",
        "Readiness by protocol",
        "Before and after",
        "Certificates",
        "The plan",
        "Sites and servers",
        "Evidence",
        "EXCAS02",
        "<span>-IISAuthenticationMethods</span> Basic,NTLM",
        "prefers-color-scheme",
        "@media print",
        "401, offers basic",
        "<title id=\"t1\">",
        /* POP3 and IMAP4 nobody has looked at: said so, and no reason to doubt the place */
        ">\xe2\x9c\x93 8 of 10 protocols work, 2 not known<",
        "CN=HTTP,<wbr>CN=Protocols,<wbr>CN=EXCAS02,",
        "<td>https://<wbr>mail.contoso.lab/<wbr>owa</td>",
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (!strstr(html, wanted[i]))
            fail_msg("no %s", wanted[i]);
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "src="));
    assert_null(strstr(html, "href=\"http"));
}

static void test_hostile(void **state)
{
    struct fixture *f = *state;
    static const char evil[] = "\"><script>alert('x')</script>&\x1b[31m\xff";
    struct server *s = builder_server(f->org, "EXCAS01");
    observe(f, "EXCAS01", evil);
    f->e.items.v[0].subject = f->e.items.v[0].by_name = evil;
    f->e.items.v[1].u.tls.cert.subject_cn = f->e.items.v[1].u.tls.cert.issuer = evil;
    s->product = evil;
    f->org->name = evil;
    f->org->sites[0].name = evil;
    builder_vdir(f->org, "EXCAS01", PROTOCOL_OWA)->external_url = evil;
    builder_vdir(f->org, "EXCAS01", PROTOCOL_OWA)->name = evil;
    build(f, false);
    for (int format = 0; format < FORMATS; format++) {
        const char *text = write(f, format);
        assert_true(utf8_valid(text, f->out.len));
        assert_null(strchr(text, '\x1b'));
        if (format == HTML || format == XML)
            assert_null(strstr(text, "<script>"));
        if (format == XML) {
            xmlDocPtr doc = xmlReadMemory(text, (int)f->out.len, NULL, NULL, XML_PARSE_NONET);
            assert_non_null(doc);
            xmlFreeDoc(doc);
        }
    }
    xmlCleanupParser();
}

/* Well-formed as XML once what only HTML allows is taken away: every element is closed where it should be. */
static void test_tags_balance(void **state)
{
    struct fixture *f = *state;
    observe(f, "EXCAS01", "401 <b>&amp;</b>");
    build(f, false);
    const char *p = write(f, HTML);
    static const char *const empty[] = {"meta", "br", "rect", "line", "path", "wbr", "!doctype"};
    char open[64][16];
    size_t depth = 0;
    p = strstr(p, "</style>");
    for (p += 8; (p = strchr(p, '<')) != NULL;) {
        char name[16] = "";
        bool close = p[1] == '/', is_empty = false;
        size_t n = strcspn(p + 1 + close, " />\n");
        snprintf(name, sizeof name, "%.*s", (int)n, p + 1 + close);
        for (size_t i = 0; i < ARRAY_LEN(empty); i++)
            is_empty = is_empty || str_ieq(name, empty[i]);
        const char *end = strchr(p, '>');
        assert_non_null(end);
        if (close) {
            if (depth == 0 && str_eq(name, "head")) {
                p = end;
                continue;
            }
            if (!depth && (str_eq(name, "html")))
                break;
            assert_true(depth > 0);
            if (!str_eq(open[depth - 1], name))
                fail_msg("</%s> closes <%s>: %.80s", name, open[depth - 1], p - 60);
            depth--;
        } else if (!is_empty) {
            assert_true(depth < ARRAY_LEN(open));
            snprintf(open[depth++], sizeof open[0], "%s", name);
        }
        p = end;
    }
    assert_int_equal(depth, 0);
}

static bool icontains(const char *text, const char *name)
{
    return str_icontains(text, name) != NULL;
}

static void test_redacted(void **state)
{
    struct fixture *f = *state;
    static const char *const secret[] = {
        "contoso",  "EXCAS0",   "EX13",       "EXMBX",
        "E2K7",     "EX10NTLM", "Barcelona",  "Dublin",
        "Seattle",  "DB10",     "DB13",       "Mailbox Database 2007",
        "carol",    "dave",     "secretname", "Private Authority",
        "10.1.0.0", "10.9.8.7", "fd00::",     "ldif:test",
    };
    struct buf plain;
    buf_init(&plain, 64 * MIB);
    observe(f, "EXCAS01",
            "10.9.8.7 and [fd00::17] said 401 to dave@contoso.lab, version 14.3.123.4, EXCAS01$");
    build(f, false);
    for (int format = 0; format < FORMATS; format++)
        assert_int_equal(buf_adds(&plain, write(f, format)), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(secret); i++) /* the test must be able to fail */
        if (!icontains(buf_str(&plain), secret[i]))
            fail_msg("%s is in no report to begin with", secret[i]);
    buf_fini(&plain);
    report_free(&f->r);
    findings_fini(&f->f);
    findings_init(&f->f);
    build(f, true);
    for (int format = 0; format < FORMATS; format++) {
        const char *text = write(f, format);
        for (size_t i = 0; i < ARRAY_LEN(secret); i++)
            if (icontains(text, secret[i]))
                fail_msg("format %d: %s: %.80s", format, secret[i], str_icontains(text, secret[i]) - 30);
        if (format != XML) {
            assert_non_null(strstr(text, "server-"));
            assert_non_null(strstr(text, "oa-iis-auth"));
        }
    }
    write(f, HTML);
    assert_non_null(strstr(buf_str(&f->out), "14.3.123.4")); /* a version is no address */
    assert_non_null(strstr(buf_str(&f->out), "Set-OutlookAnywhere"));
}

static void test_redact_text(void **state)
{
    struct fixture *f = *state;
    struct redactor *r = NULL;
    struct errinfo ei;
    static const char *const users[] = {"dave", NULL};
    static const struct {
        const char *text, *wanted;
    } cases[] = {
        {"EXCAS01 excas01 EXCAS02", "server-06 server-06 server-07"},
        {"excas01.contoso.lab:443", "server-06.example:443"},
        {"HTTP/excas01.contoso.lab@CONTOSO.LAB", "HTTP/server-06.example@domain-01.example"},
        {"CONTOSO\\dave", "Organisation\\user-01"},
        {"davenport", "davenport"},
        /* "...exampleXCAS01" would read as EXCAS01 */
        {"CAS.contoso.labXCAS01", "CAS.domain-01.example_XCAS01"},
        {"EXCAS01EXCAS02old", "server-06_server-07_old"},
        {"at 04:48:24Z, build 15.0.1497.2, 8.3.298.3", "at 04:48:24Z, build 15.0.1497.2, 8.3.298.3"},
        {"192.168.1.9, again 192.168.1.9", "address-01, again address-01"},
        {"", ""},
    };
    assert_int_equal(redactor_new(&r, f->org, &f->e, users, &ei), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_reset(&f->out);
        assert_int_equal(redact(r, cases[i].text, strlen(cases[i].text), &f->out), ERR_OK);
        assert_string_equal(buf_str(&f->out), cases[i].wanted);
    }
    redactor_free(&r);
    redactor_free(&r);
}

static void test_csv_formula(void **state)
{
    struct fixture *f = *state;
    observe(f, "EXCAS01", "=cmd|'/c calc'!A1");
    build(f, false);
    assert_non_null(strstr(write(f, CSV), "\"'=cmd|"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_story, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tags_balance, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redacted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redact_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_csv_formula, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
