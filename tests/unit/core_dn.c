/* core/model: distinguished names, host names, look-ups. */
#include "core/base/str.h"
#include "core/model/org.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void equal_dns(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"CN=A,DC=x", "cn=a,dc=X", true},
        {"CN=A,DC=x", "CN=A , DC = x", true},
        {"CN=A, DC=x", "CN=A,DC=x", true},
        {"CN=a\\,b,DC=x", "CN=a\\2Cb,DC=x", true},
        {"CN=a\\,b,DC=x", "CN=a,b,DC=x", false},
        {"CN=Rpc (Default Web Site),DC=x", "CN=Rpc \\28Default Web Site\\29,DC=x", true},
        {"CN=a  b,DC=x", "CN=a b,DC=x", true},
        {"CN=a\\20,DC=x", "CN=a,DC=x", true},
        {"CN=\\C3\\B6,DC=x", "CN=\xc3\xb6,DC=x", true},
        {"CN=a=b,DC=x", "CN=a\\=b,DC=x", true},
        {"CN=#0403,DC=x", "CN=\\#0403,DC=x", false},
        {"CN=a#b,DC=x", "CN=a\\#b,DC=x", true},
        {"CN=a,DC=x", "CN=a,DC=xy", false},
        {"CN=a,DC=x", "CN=a", false},
        {"CN=a", "OU=a", false},
        {"CN=a\\0ACNF:1,DC=x", "CN=a\nCNF:1,DC=x", true},
        {"", "", true},
        {"", "CN=a", false},
        {"no dn", "NO DN", true}, /* compared as text */
        {"no dn", "CN=a", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(dn_equal(rows[i].a, rows[i].b), rows[i].equal);
        assert_int_equal(dn_equal(rows[i].b, rows[i].a), rows[i].equal);
    }
    assert_true(dn_equal(NULL, NULL));
    assert_false(dn_equal(NULL, "CN=a"));
}

static void normal_form(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"CN=A\\2C B , DC = X", "cn=a\\, b,dc=x"},
        {"CN=  a   b  ,DC=x", "cn=a b,dc=x"},
        {"CN=a\\00b", "cn=a\\00b"},
        {"CN=a+OU=B,DC=x", "cn=a+ou=b,dc=x"},
        {"2.5.4.3=A", "2.5.4.3=a"},
        {"", ""},
    };
    static const char *const bad[] = {"x", "=a", "CN", "CN=a,", "CN=a,,DC=x", "CN=a\\", "C N=a", "CN=a,b"};
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_reset(&b);
        assert_int_equal(dn_normalise(&b, rows[i][0]), ERR_OK);
        assert_string_equal(buf_str(&b), rows[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf_reset(&b);
        buf_adds(&b, "kept");
        assert_int_equal(dn_normalise(&b, bad[i]), ERR_INPUT);
        assert_string_equal(buf_str(&b), "kept");
    }
    buf_fini(&b);
    buf_init(&b, 4);
    assert_int_equal(dn_normalise(&b, "CN=abcdef"), ERR_LIMIT);
    buf_fini(&b);
}

static void parts(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(dn_parent("CN=a\\,b, DC=x,DC=y"), "DC=x,DC=y");
    assert_null(dn_parent("DC=y"));
    assert_null(dn_parent("DC=y,"));
    assert_true(dn_rdn("CN=Rpc \\28x\\29 ,CN=HTTP", out, sizeof out));
    assert_string_equal(out, "Rpc (x)");
    assert_true(dn_rdn("cn = 10.0.0.0/8,CN=Subnets", out, sizeof out));
    assert_string_equal(out, "10.0.0.0/8");
    assert_false(dn_rdn("CN=this name is far too long for the buffer,DC=x", out, sizeof out));
    assert_false(dn_rdn("nothing", out, sizeof out));
    assert_false(dn_rdn("a,b=c", out, sizeof out));
    assert_false(dn_rdn("", out, sizeof out));
    assert_false(dn_rdn("CN=a\\00b", out, sizeof out));
    assert_true(dn_is_below("CN=a,CN=b,DC=x", "cn=B,dc=x"));
    assert_true(dn_is_below("CN=b,DC=x", "cn=B,dc=x"));
    assert_false(dn_is_below("DC=x", "CN=b,DC=x"));
    assert_false(dn_is_below("CN=ab,DC=x", "CN=b,DC=x"));
    assert_false(dn_is_below("CN=a\\,CN=b,DC=x", "CN=b,DC=x"));
    assert_true(dn_is_below("CN=a", ""));
}

static void hosts(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
        enum tri https;
        uint16_t port;
    } good[] = {
        {"https://mail.contoso.com/rpc", "mail.contoso.com", TRI_YES, 443},
        {"HTTP://Mail.Contoso.COM/rpc", "mail.contoso.com", TRI_NO, 80},
        {"mail.contoso.com", "mail.contoso.com", TRI_UNKNOWN, 0},
        {"mail.contoso.com/rpc", "mail.contoso.com", TRI_UNKNOWN, 0},
        {"mail.contoso.com:8443", "mail.contoso.com", TRI_UNKNOWN, 8443},
        {"https://h:444", "h", TRI_YES, 444},
        {"https://h?x", "h", TRI_YES, 443},
        {" https://h ", "h", TRI_YES, 443},
        {"http://[2001:DB8::1]:81/x", "2001:db8::1", TRI_NO, 81},
    };
    static const char *const bad[] = {"",    "https://", "https:///x",    "h:0", "h:65536",
                                      "h:x", "h:123456", "https://u@h/",  "a b", "ldap://h/",
                                      "h\n", "[::1",     "https://h\x01", "h\"x"};
    char out[32];
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        enum tri https = TRI_NO;
        uint16_t port = 1;
        assert_true(url_host(good[i].url, out, sizeof out, &https, &port));
        assert_string_equal(out, good[i].host);
        assert_int_equal(https, good[i].https);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(url_host(bad[i], out, sizeof out, NULL, NULL));
    assert_false(url_host(NULL, out, sizeof out, NULL, NULL));
    assert_false(url_host("https://a.name.that.is.longer.than.the.buffer/", out, sizeof out, NULL, NULL));
}

static void protocols(void **state)
{
    (void)state;
    enum protocol p;
    for (int i = 0; i < PROTOCOL_COUNT; i++) {
        assert_true(protocol_from_id(protocol_id((enum protocol)i), &p));
        assert_int_equal(p, i);
    }
    assert_string_equal(protocol_path(PROTOCOL_OA), "/rpc/rpcproxy.dll");
    assert_string_equal(protocol_id(PROTOCOL_UNKNOWN), "unknown");
    assert_false(protocol_from_id("rpc", &p));
}

/* directory.md section 6: 54 is every role of 2010 and the mailbox role alone of 2013. */
static void roles(void **state)
{
    (void)state;
    static const struct {
        enum generation g;
        uint32_t roles;
        bool cas, legacy;
    } rows[] = {
        {GENERATION_2007, 4, true, true},      {GENERATION_2010, 54, true, true},
        {GENERATION_2010, 2, false, false},    {GENERATION_2013, 54, false, false},
        {GENERATION_2013, 16385, true, false}, {GENERATION_2016, 2, true, false},
        {GENERATION_2016, 64, false, false},   {GENERATION_SE, 16423, true, false},
        {GENERATION_2003, 4, false, false},    {GENERATION_UNKNOWN, 7, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct server s = {.generation = rows[i].g, .roles = rows[i].roles};
        assert_int_equal(server_is_cas(&s), rows[i].cas);
        assert_int_equal(server_is_legacy_cas(&s), rows[i].legacy);
    }
}

static void domains(void **state)
{
    (void)state;
    static const struct {
        const char *dn, *domain;
    } cases[] = {
        {"CN=WEB,CN=Computers,DC=child,DC=contoso,DC=lab", "DC=child,DC=contoso,DC=lab"},
        {"cn=alice,ou=DC\\=x\\,DC=y,dc=contoso,dc=lab", "DC=contoso,DC=lab"},
        {"DC=contoso,DC=lab", "DC=contoso,DC=lab"},
        {"CN=alice, DC=contoso, DC=lab", "DC=contoso,DC=lab"},
        {"CN=nowhere", NULL},
        {"", NULL},
        {NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(dn_equal(dn_domain(cases[i].dn), cases[i].domain));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_dns), cmocka_unit_test(normal_form), cmocka_unit_test(parts),
        cmocka_unit_test(hosts),     cmocka_unit_test(protocols),   cmocka_unit_test(roles),
        cmocka_unit_test(domains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
