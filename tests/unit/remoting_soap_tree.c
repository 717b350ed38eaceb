/* Answers as trees: what belongs to which element, and what is refused. */
#include "remoting/soap_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"

#define DEPTH 64

static enum err read_text(struct soap_tree *t, const char *xml)
{
    return soap_tree_read(t, xml, strlen(xml), DEPTH);
}

static void assert_text(const struct soap_node *n, const char *wanted)
{
    size_t len;
    const char *s = soap_node_text(n, &len);
    assert_int_equal(len, strlen(wanted));
    assert_memory_equal(s, wanted, len);
}

static void test_elements(void **state)
{
    struct soap_tree t;
    (void)state;
    assert_int_equal(
        read_text(&t,
                  "<?xml version='1.0' encoding='ISO-8859-1'?><a:r xmlns:a='urn:a' xmlns='urn:b'><!-- no -->"
                  "<c/><a:c n='1' a:n='2'>x<c>y&amp;</c><![CDATA[<z>]]><!-- no -->&#x41;</a:c> </a:r>"),
        ERR_OK);
    assert_true(soap_node_is(t.root, "urn:a", "r"));
    const struct soap_node *c = soap_node_child(t.root, "urn:a", "c"),
                           *inner = soap_node_child(c, "urn:b", "c");
    assert_non_null(inner);
    assert_ptr_not_equal(soap_node_child(t.root, "urn:b", "c"), c);
    assert_null(soap_node_child(t.root, "", "c"));
    assert_null(soap_node_child(NULL, "urn:a", "c"));
    assert_text(inner, "y&");
    assert_text(c, "xy&<z>A"); /* its own and that of all below, in order */
    assert_text(soap_node_child(t.root, "urn:b", "c"), "");
    assert_text(t.root, "xy&<z>A ");
    assert_text(NULL, "");
    assert_string_equal(soap_node_attribute(c, "n"), "1"); /* not the one of a namespace */
    assert_string_equal(soap_node_attribute(c, "m"), "");
    soap_tree_fini(&t);
}

static void test_depth(void **state)
{
    struct soap_tree t;
    struct buf xml;
    (void)state;
    buf_init(&xml, 4096);
    for (int levels = DEPTH; levels <= DEPTH + 2; levels++) { /* below the root */
        buf_reset(&xml);
        for (int i = 0; i <= levels; i++)
            assert_int_equal(buf_adds(&xml, "<a>"), ERR_OK);
        for (int i = 0; i <= levels; i++)
            assert_int_equal(buf_adds(&xml, "</a>"), ERR_OK);
        assert_int_equal(read_text(&t, buf_str(&xml)), levels > DEPTH ? ERR_LIMIT : ERR_OK);
        soap_tree_fini(&t);
    }
    buf_fini(&xml);
}

static void test_refused(void **state)
{
    static const char *const no[] = {"",
                                     "text",
                                     "<a>",
                                     "<a></b>",
                                     "<a/><b/>",
                                     "<a>&x;</a>",
                                     "<a>\xff</a>",
                                     "<a b='\xc3'/>",
                                     "<x:a/>x",
                                     "<!DOCTYPE a><a/>",
                                     "<a>\x01</a>",
                                     "<a b='1' b='2'/>",
                                     "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"};
    struct soap_tree t;
    struct buf wide;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        assert_int_equal(read_text(&t, no[i]), ERR_PROTOCOL);
        soap_tree_fini(&t);
    }
    /* a DTD is one in every encoding that could be guessed */
    buf_init(&wide, 4096);
    assert_int_equal(utf16le_encode(&wide, no[ARRAY_LEN(no) - 1], strlen(no[ARRAY_LEN(no) - 1])), ERR_OK);
    assert_int_equal(soap_tree_read(&t, wide.data, wide.len, DEPTH), ERR_PROTOCOL);
    soap_tree_fini(&t);
    buf_fini(&wide);
}

/* Elements cost memory that text does not: they are counted apart. */
static void test_many(void **state)
{
    struct soap_tree t;
    size_t n = (size_t)2 << 20, len = 3 + 4 * n + 4;
    char *xml = malloc(len), *at = xml + 3;
    (void)state;
    assert_non_null(xml);
    memcpy(xml, "<r>", 3);
    for (size_t i = 0; i < n; i++, at += 4)
        memcpy(at, "<a/>", 4);
    memcpy(at, "</r>", 4);
    assert_int_equal(soap_tree_read(&t, xml, len, DEPTH), ERR_LIMIT);
    soap_tree_fini(&t);
    free(xml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_elements), cmocka_unit_test(test_depth),
                                       cmocka_unit_test(test_refused), cmocka_unit_test(test_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
