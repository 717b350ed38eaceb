/* CLIXML: read in any cuts, written as PowerShell writes it, shown as JSON; what is refused, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "remoting/psjson.h"
#include "remoting/psxml.h"

#define MEMORY (1 << 20)

static const char sample[] =
    "\xef\xbb\xbf<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">\r\n"
    "  <Obj RefId=\"0\"><TN RefId=\"0\"><T>A.B</T><T>System.Object</T></TN><ToString>x &lt;y&gt; "
    "_x0041_</ToString>"
    "<Props><I32 N=\"n &quot;q&quot;\">-5</I32><S N=\"nl_x000A_\">  a_x000D__x000A_\xe2\x82\xac  </S><Nil "
    "N=\"nothing\" /></Props>"
    "<MS><Obj N=\"list\" RefId=\"1\"><TNRef RefId=\"0\" /><LST><B>true</B><Db>0.1</Db><Ref RefId=\"0\" "
    "/></LST></Obj>"
    "<MS N=\"set\"><S N=\"in\">side</S></MS></MS></Obj>\n"
    "<!-- between -->\n<S S=\"Error\">two</S><S></S><Obj RefId=\"2\"><DCT><En><S N=\"Key\">k</S><I32 "
    "N=\"Value\">1</I32></En>"
    "<En><I32 N=\"Key\">7</I32><Nil N=\"Value\" /></En></DCT></Obj></Objs>\n";
static const char sample_json[] =
    "{\"n \\\"q\\\"\":-5,\"nl\\n\":\"  a\\r\\n\xe2\x82\xac  "
    "\",\"nothing\":null,\"list\":[true,0.1,{\"$ref\":0}],\"set\":{\"in\":\"side\"}}\n"
    "\"two\"\n\"\"\n{\"k\":1,\"7\":null}\n";

/* All values as lines of JSON; the error when there is one. cut 0: random. */
static enum err read_cut(struct psxml_reader *r, const char *text, size_t len, size_t cut, struct buf *out,
                         struct errinfo *ei)
{
    enum err err = ERR_OK;
    const struct ps_value *v;
    psxml_reader_reset(r);
    buf_reset(out);
    for (size_t at = 0, n; at < len && err == ERR_OK; at += n) {
        n = cut ? cut : 1 + (size_t)rand() % 40;
        n = n < len - at ? n : len - at;
        char *piece = malloc(n); /* so that a look beyond it is seen */
        memcpy(piece, text + at, n);
        err = psxml_feed(r, piece, n, ei);
        free(piece);
        while (err == ERR_OK && (v = psxml_next(r)) != NULL) {
            assert_int_equal(psjson_write(out, v), ERR_OK);
            assert_int_equal(buf_addc(out, '\n'), ERR_OK);
        }
    }
    return err == ERR_OK ? psxml_end(r, ei) : err;
}

static void test_any_cuts(void **state)
{
    struct psxml_reader *r = NULL;
    struct buf out;
    struct errinfo ei = {0};
    (void)state;
    buf_init(&out, MEMORY);
    assert_int_equal(psxml_reader_new(&r, MEMORY), ERR_OK);
    for (size_t cut = 1; cut < sizeof sample; cut += cut < 20 ? 1 : 97) {
        assert_int_equal(read_cut(r, sample, sizeof sample - 1, cut, &out, &ei), ERR_OK);
        assert_string_equal(buf_str(&out), sample_json);
    }
    srand(1);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(read_cut(r, sample, sizeof sample - 1, 0, &out, &ei), ERR_OK);
        assert_string_equal(buf_str(&out), sample_json);
    }
    /* Ended anywhere but behind the last element it is not whole, and says so. */
    for (size_t len = 0; len + 2 < sizeof sample; len++)
        assert_int_equal(read_cut(r, sample, len, len ? len : 1, &out, &ei), ERR_INPUT);
    psxml_reader_free(&r);
    buf_fini(&out);
}

static void expect_json(const char *text, const char *json)
{
    struct psxml_reader *r = NULL;
    const struct ps_value *v;
    struct errinfo ei = {0};
    struct buf out;
    buf_init(&out, MEMORY);
    assert_int_equal(psxml_reader_new(&r, MEMORY), ERR_OK);
    if (psxml_read_one(r, text, strlen(text), &v, &ei) != ERR_OK)
        fail_msg("%s: %s", text, ei.what);
    assert_int_equal(psjson_write(&out, v), ERR_OK);
    assert_string_equal(buf_str(&out), json);
    psxml_reader_free(&r);
    buf_fini(&out);
}

static void test_json(void **state)
{
    static const struct {
        const char *xml, *json;
    } rows[] = {
        {"<Nil />", "null"},
        {"<C>233</C>", "\"\\u00e9\""},
        {"<C>55296</C>", "\"\\ufffd\""},
        {"<S>\"\\\t/_x0001_\x7f</S>", "\"\\\"\\\\\\t/\\u0001\x7f\""},
        {"<S>_xD800_x</S>", "\"\\ufffdx\""},
        {"<S>_xD83D__xDE00_</S>", "\"\xf0\x9f\x98\x80\""},
        {"<S>&#x1F600;&#95;x0041_</S>", "\"\xf0\x9f\x98\x80"
                                        "A\""},
        {"<U64>9223372036854775807</U64>", "9223372036854775807"},
        {"<U64>9223372036854775808</U64>", "\"9223372036854775808\""},
        {"<I32>007</I32>", "\"007\""},
        {"<Db>-0</Db>", "-0"},
        {"<Db>.5</Db>", "\".5\""},
        {"<Db>1E+5</Db>", "1E+5"},
        {"<Db>1E+308</Db>", "\"1E+308\""},
        {"<Db>-1.7976931348623157E+308</Db>", "-1.7976931348623157E+308"},
        {"<Db>INF</Db>", "\"Infinity\""},
        {"<D>1.10</D>", "1.10"},
        {"<D>9223372036854775807</D>", "9223372036854775807"},
        {"<D>-9223372036854775809</D>", "\"-9223372036854775809\""},
        {"<D>79228162514264337593543950335</D>", "\"79228162514264337593543950335\""},
        {"<D>79228162514264337593543950335.0</D>", "79228162514264337593543950335.0"},
        {"<Db>100000000000000000000</Db>", "\"100000000000000000000\""},
        {"<TS>-P1DT2H3M4.5S</TS>", "\"-1.02:03:04.5\""},
        {"<TS>PT0S</TS>", "\"00:00:00\""},
        {"<TS>P1D</TS>", "\"1.00:00:00\""},
        {"<TS>P1M</TS>", "\"P1M\""},
        {"<TS>PT25H</TS>", "\"PT25H\""},
        {"<SS>cGFzcw==</SS>", "\"(SecureString, refused)\""},
        {"<Obj RefId=\"0\"><ToString>10.1.0.5</ToString></Obj>", "\"10.1.0.5\""},
        {"<Obj RefId=\"0\" />", "{}"},
        {"<Obj RefId=\"0\"><TN "
         "RefId=\"0\"><T>X</T><T>System.Enum</T></TN><ToString>Tuesday</ToString><I32>2</I32></Obj>",
         "{\"text\":\"Tuesday\",\"value\":2}"},
        {"<Obj RefId=\"0\"><S>base</S><MS><I32 N=\"Extra\">7</I32></MS></Obj>",
         "{\"value\":\"base\",\"Extra\":7}"},
        {"<Obj RefId=\"0\"><LST><S>a</S></LST><Props><I32 N=\"Count\">1</I32></Props></Obj>",
         "{\"value\":[\"a\"],\"Count\":1}"},
        {"<Obj RefId=\"0\"><Props><S N=\"Name\">old</S><S N=\"x\">1</S></Props><MS><S "
         "N=\"NAME\">new</S></MS></Obj>",
         "{\"x\":\"1\",\"NAME\":\"new\"}"},
        {"<Obj RefId=\"0\"><Obj RefId=\"1\"><Props><S N=\"a\">1</S><S N=\"b\">2</S></Props></Obj><MS><S "
         "N=\"b\">3</S></MS></Obj>",
         "{\"a\":\"1\",\"b\":\"3\"}"},
        {"<Obj RefId=\"0\"><QUE><S>first</S><S>second</S></QUE></Obj>", "[\"first\",\"second\"]"},
        {"<Obj RefId=\"0\"><DCT><En><S N=\"Value\">v</S><S N=\"Key\">k</S></En></DCT></Obj>",
         "{\"k\":\"v\"}"},
        {"<Obj RefId=\"0\"><DCT><En><S N=\"Key\">a_x0000_b</S><S N=\"Value\">c_x0000_</S></En></DCT></Obj>",
         "{\"a\\ufffdb\":\"c\\u0000\"}"},
        {"<Obj RefId=\"0\"><MS><Nil N=\"_x0000_\" /></MS></Obj>", "{\"\\ufffd\":null}"},
        {"<Obj RefId=\"3\"><MS><Ref N=\"me\" RefId=\"3\" /></MS></Obj>", "{\"me\":{\"$ref\":3}}"},
        {"<PR><AV>a</AV><AI>1</AI><Nil /><PI>-1</PI><PC>50</PC><T>Processing</T><SR>-1</SR><SD>s</SD></PR>",
         "{\"Activity\":\"a\",\"ActivityId\":1,\"ParentActivityId\":-1,\"PercentComplete\":50,\"Type\":"
         "\"Processing\","
         "\"SecondsRemaining\":-1,\"StatusDescription\":\"s\"}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_json(rows[i].xml, rows[i].json);
}

/* However large an object is that is referred to: what stands there for the first time is shown. */
static void test_json_repeated(void **state)
{
    static const char item[] = "<I32>1</I32>", leaf[] = "<Obj RefId=\"1\"><MS><S N=\"a\">1</S></MS></Obj>";
    struct psxml_reader *r = NULL;
    const struct ps_value *v;
    struct buf text, out;
    (void)state;
    buf_init(&text, 8 << 20);
    buf_init(&out, 8 << 20);
    (void)buf_adds(&text, "<Obj RefId=\"0\"><LST>");
    for (int i = 0; i <= PSJSON_MAX_REPEATED; i++)
        (void)buf_adds(&text, item);
    (void)buf_addf(&text, "%s<Ref RefId=\"1\" /><Ref RefId=\"0\" /></LST></Obj>", leaf);
    assert_int_equal(text.failed, ERR_OK);
    assert_int_equal(psxml_reader_new(&r, 64 << 20), ERR_OK);
    assert_int_equal(psxml_read_one(r, text.data, text.len, &v, NULL), ERR_OK);
    assert_int_equal(psjson_write(&out, v), ERR_OK);
    static const char end[] = ",1,{\"a\":\"1\"},{\"a\":\"1\"},{\"$ref\":0}]";
    assert_string_equal(out.data + out.len - (sizeof end - 1), end);
    psxml_reader_free(&r);
    buf_fini(&text);
    buf_fini(&out);
}

static void expect_refused(const char *text, size_t len, enum err code, const char *why)
{
    struct psxml_reader *r = NULL;
    struct errinfo ei = {0};
    struct buf out;
    buf_init(&out, MEMORY);
    assert_int_equal(psxml_reader_new(&r, MEMORY), ERR_OK);
    for (size_t cut = len ? len : 1; cut > 0; cut = cut == 1 ? 0 : 1) {
        memset(&ei, 0, sizeof ei);
        assert_int_equal(read_cut(r, text, len, cut, &out, &ei), code);
        if (!strstr(ei.what, why))
            fail_msg("%.60s: \"%s\" does not say \"%s\"", text, ei.what, why);
        /* Once broken it stays so, until the next document. */
        assert_int_equal(psxml_feed(r, "<S>a</S>", 8, NULL), code);
    }
    assert_int_equal(read_cut(r, "<S>a</S>", 8, 3, &out, &ei), ERR_OK);
    psxml_reader_free(&r);
    buf_fini(&out);
}

static void test_refused(void **state)
{
    static const struct {
        const char *xml, *why;
    } rows[] = {
        {"", "there is nothing"},
        {"plain text<", "text in"},
        {"<S>a</S><S>b</S>", "follows"},
        {"<X />", "<X> is not known"},
        {"<ps:S>a</ps:S>", "a tag that is none"},
        {"<!DOCTYPE x><S/>", "a document type"},
        {"<S><![CDATA[x]]></S>", "CDATA"},
        {"<S>&nbsp;</S>", "a reference"},
        {"<S>&#0;</S>", "a reference"},
        {"<S>&#xD800;</S>", "a reference"},
        {"<S>a]]></S>", "]]>"},
        {"<S N=a>b</S>", "without a value"},
        {"<S N=\"a\"X=\"b\">c</S>", "a tag that is none"},
        {"<S RefId=\"x\">b</S>", "RefId"},
        {"<I32></I32>", "<I32>"},
        {"<I32>1 </I32>", "<I32>"},
        {"<By>256</By>", "<By>"},
        {"<SB>-129</SB>", "<SB>"},
        {"<U32>-1</U32>", "<U32>"},
        {"<U64>18446744073709551616</U64>", "<U64>"},
        {"<Db>1e</Db>", "<Db>"},
        {"<Db>0x10</Db>", "<Db>"},
        {"<B>True</B>", "<B>"},
        {"<BA>AA=A</BA>", "<BA>"},
        {"<SS>A\x1f"
         "A</SS>",
         "<SS>"},
        {"<Nil>x</Nil>", "<Nil>"},
        {"<Obj><TN><S>a</S></TN></Obj>", "<S> is not known in <TN>"},
        {"<Obj><LST /><LST /></Obj>", "two lists"},
        {"<Obj><S>a</S><S>b</S></Obj>", "two values"},
        {"<Obj><TNRef RefId=\"0\" /></Obj>", "types that were not there"},
        {"<Objs><Ref RefId=\"0\" /></Objs>", "not there before"},
        {"<Obj RefId=\"99999\" />", "leaps"},
        {"<Obj><DCT><En><S N=\"Key\">a</S><S N=\"Key\">b</S></En></DCT></Obj>", "an entry"},
        {"</S>", "</S> where"},
        {"<S>\xc3(</S>", "no UTF-8"},
        {"<S>\x02</S>", "XML does not allow"},
        {"<S>\xef\xbf\xbf</S>", "XML does not allow"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_refused(rows[i].xml, strlen(rows[i].xml), ERR_INPUT, rows[i].why);
}

static void test_limits(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, MEMORY);
    for (int i = 0; i <= PS_MAX_DEPTH; i++)
        assert_int_equal(buf_adds(&b, "<Obj><LST>"), ERR_OK);
    expect_refused(buf_str(&b), b.len, ERR_LIMIT, "deeper");
    buf_reset(&b);
    assert_int_equal(buf_adds(&b, "<S N=\""), ERR_OK);
    for (int i = 0; i < PSXML_MAX_TAG + 1000; i++)
        (void)buf_addc(&b, 'n');
    expect_refused(buf_str(&b), b.len, ERR_LIMIT, "a tag longer");
    buf_fini(&b);
    buf_init(&b, 3 * MEMORY);
    assert_int_equal(buf_adds(&b, "<S>"), ERR_OK);
    for (int i = 0; i < 2 * MEMORY; i++)
        (void)buf_addc(&b, 'x');
    assert_int_equal(buf_adds(&b, "</S>"), ERR_OK);
    struct psxml_reader *r = NULL;
    assert_int_equal(psxml_reader_new(&r, MEMORY), ERR_OK);
    assert_int_equal(psxml_feed(r, b.data, b.len, NULL), ERR_LIMIT);
    /* The same cannot be done in small steps, and what was refused is not held. */
    psxml_reader_reset(r);
    enum err err = ERR_OK;
    for (size_t at = 0; at < b.len && err == ERR_OK; at += 4096)
        err = psxml_feed(r, b.data + at, b.len - at < 4096 ? b.len - at : 4096, NULL);
    assert_int_equal(err, ERR_LIMIT);
    psxml_reader_free(&r);
    buf_fini(&b);
}

/* Read, write, read, write: the same, and the form PowerShell uses. */
static void test_written(void **state)
{
    static const char *const same[] = {
        "<Nil />",
        "<S></S>",
        "<BA />",
        "<S>a_x000A_&amp;&lt;&gt;\"_x005F_x0041_ _x005F_X0041_ __ _</S>",
        "<S>_xD83D__xDE00__xD800_x_x0000__x007F__x0085_</S>",
        "<Obj RefId=\"0\"><TN RefId=\"0\"><T>A</T></TN><ToString>t</ToString><Props><S "
        "N=\"a&quot;_x000A_\">b</S></Props>"
        "<MS><Obj N=\"c\" RefId=\"1\"><TNRef RefId=\"0\" /><LST /></Obj><Ref N=\"d\" RefId=\"0\" /><MS "
        "N=\"e\"><B N=\"f\">true</B></MS></MS></Obj>",
        "<Obj RefId=\"0\"><I32>2</I32></Obj>",
        "<Obj RefId=\"0\"><DCT><En><S N=\"Key\">k</S><Nil N=\"Value\" /></En></DCT></Obj>",
        "<PR><AV>a</AV><AI>1</AI><Nil /><PI>-1</PI><PC>-1</PC><T>Processing</T><SR>-1</SR><SD>s</SD></PR>",
    };
    struct psxml_reader *r = NULL;
    struct buf out;
    (void)state;
    buf_init(&out, MEMORY);
    assert_int_equal(psxml_reader_new(&r, MEMORY), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        const struct ps_value *v;
        for (int twice = 0; twice < 2; twice++) { /* marks of the first writing are gone */
            buf_reset(&out);
            assert_int_equal(psxml_read_one(r, same[i], strlen(same[i]), &v, NULL), ERR_OK);
            assert_int_equal(psxml_write(&out, v, NULL), ERR_OK);
            assert_string_equal(buf_str(&out), same[i]);
        }
    }
    psxml_reader_free(&r);
    buf_fini(&out);
}

static void test_not_written(void **state)
{
    struct arena a;
    struct buf out;
    struct errinfo ei = {0};
    (void)state;
    arena_init(&a, MEMORY);
    buf_init(&out, MEMORY);
    struct ps_value *v = ps_new(&a, PS_STRING, "a\xef\xbf\xbe");
    v->name = "Identity";
    v->name_len = 8;
    assert_int_equal(psxml_write(&out, v, &ei), ERR_INPUT);
    assert_non_null(strstr(ei.what, "Identity"));
    assert_non_null(strstr(ei.what, "U+FFFE"));
    assert_int_equal(psxml_check_text("\xff", 1, "-Name", NULL), ERR_INPUT);
    assert_int_equal(psxml_check_text("\xed\xa0\x80", 3, "-Name", NULL),
                     ERR_OK); /* a lone surrogate travels */
    buf_reset(&out);
    memset(&ei, 0, sizeof ei);
    assert_int_equal(psxml_write(&out, ps_new(&a, PS_SECRET, ""), &ei), ERR_REFUSED);
    struct ps_value *deep = ps_new_list(&a, NULL), *at = deep;
    for (int i = 0; i < PS_MAX_DEPTH; i++) {
        struct ps_value *inner = ps_new_list(&a, NULL);
        ps_add_item(at, inner);
        at = inner;
    }
    buf_reset(&out);
    assert_int_equal(psxml_write(&out, deep, NULL), ERR_LIMIT);
    buf_fini(&out);
    arena_fini(&a);
}

static void test_looking(void **state)
{
    static const char text[] =
        "<Obj RefId=\"0\"><TN RefId=\"0\"><T>System.Enum</T></TN><ToString>t</ToString><I32>5</I32><Props><S "
        "N=\"Message\">p</S></Props>"
        "<MS><S N=\"message\">m</S><Obj N=\"h\" RefId=\"1\"><DCT><En><S N=\"Key\">Key1</S><I64 "
        "N=\"Value\">9</I64></En></DCT></Obj></MS></Obj>";
    struct psxml_reader *r = NULL;
    const struct ps_value *v;
    int64_t n = 0;
    (void)state;
    assert_int_equal(psxml_reader_new(&r, MEMORY), ERR_OK);
    assert_int_equal(psxml_read_one(r, text, sizeof text - 1, &v, NULL), ERR_OK);
    assert_string_equal(ps_get_text(v, "MESSAGE"), "m");
    assert_string_equal(ps_text(v), "t");
    assert_true(ps_to_int(v, &n) && n == 5);
    assert_true(ps_get_int(ps_get(v, "h"), "key1", &n) && n == 9);
    assert_true(ps_has_type(v, "system.enum") && !ps_has_type(v, "x") && !ps_has_type(NULL, "x"));
    assert_null(ps_get(v, "none"));
    assert_null(ps_get_text(NULL, "none"));
    psxml_reader_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_cuts), cmocka_unit_test(test_json),
                                       cmocka_unit_test(test_refused),  cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_written),  cmocka_unit_test(test_not_written),
                                       cmocka_unit_test(test_looking),  cmocka_unit_test(test_json_repeated)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
