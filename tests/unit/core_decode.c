/* core/directory: what entries become. The organisation of tests/unit/data/org.ldif, and values that are broken or hostile. */
#include "core/base/str.h"
#include "core/directory/decode.h"
#include "core/directory/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char source[] = "ldif:tests/unit/data/org.ldif";
static struct org *org;

static const struct vdir *vdir(const char *server, enum protocol p)
{
    const struct server *s = org_server(org, server);
    assert_non_null(s);
    return server_vdir(s, p);
}

static void head(void **state)
{
    (void)state;
    assert_string_equal(org->name, "Contoso");
    assert_string_equal(org->domain, "contoso.lab");
    assert_string_equal(org->default_naming_context, "DC=contoso,DC=lab");
    assert_string_equal(org->config_naming_context, "CN=Configuration,DC=contoso,DC=lab");
    assert_string_equal(org->source, source);
    assert_null(org->controller);
    assert_true(org->has_object_version);
    assert_int_equal(org->object_version, 16133);
    assert_int_equal(org->schema_version, 15312);
    assert_int_equal(org->lockout_threshold, 10);
    assert_int_equal(org->n_domains, 2);
    assert_true(org->domains[0].is_default);
    assert_false(org->domains[1].is_default);
    assert_int_equal(org_newest(org), GENERATION_2016);
}

static void sites(void **state)
{
    (void)state;
    const struct site *barcelona = org_site(org, "BARCELONA"), *dublin = org_site(org, "Dublin");
    assert_int_equal(org->n_sites, 3);
    assert_non_null(barcelona);
    assert_int_equal(barcelona->n_servers, 5);
    assert_int_equal(barcelona->n_subnets, 1);
    assert_string_equal(barcelona->subnets[0], "10.1.0.0/16");
    assert_true(barcelona->internet_facing);
    assert_true(dublin->internet_facing);
    assert_false(org_site(org, "Empty")->internet_facing);
    assert_null(org_site(org, "Atlantis"));
    assert_int_equal(org->n_links, 2);
    assert_int_equal(org->links[0].cost, 10); /* Exchange's own cost wins */
    assert_int_equal(org->links[0].n_sites, 2);
    assert_int_equal(org->links[1].cost, 50);
}

static void servers(void **state)
{
    (void)state;
    static const struct {
        const char *name, *version;
        enum generation g;
        uint32_t roles;
        const char *site;
        bool cas;
    } rows[] = {
        {"EXCAS01", "14.3.123.4", GENERATION_2010, 36, "Barcelona", true},
        {"E2K7CAS01", "8.3.83", GENERATION_2007, 4, "Dublin", true}, /* versionNumber alone */
        {"EX13MBX01", "15.0.1497.2", GENERATION_2013, 54, "Barcelona", false},
        {"EX10ALL", "14.3.123.4", GENERATION_2010, 54, "Dublin", true}, /* the same 54 */
        {"EX13CAS01", "15.0.1497.2", GENERATION_2013, 16385, "Barcelona", true},
        {"EX16", "15.1.1034.26", GENERATION_2016, 16439, "Barcelona", true},
        {"E2K3", "6.5.7638.2", GENERATION_2003, 0, NULL, false},
        {"EXFUTURE", "17.0.1.1", GENERATION_UNKNOWN, 16439, "Barcelona", false},
        {"EXBROKEN", NULL, GENERATION_UNKNOWN, 0, NULL, false},
    };
    assert_int_equal(org->n_servers, ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct server *s = org_server(org, rows[i].name);
        char text[VERSION_TEXT_SIZE];
        assert_non_null(s);
        assert_int_equal(s->has_version, rows[i].version != NULL);
        if (rows[i].version)
            assert_string_equal(version_text(s->version, text), rows[i].version);
        assert_int_equal(s->generation, rows[i].g);
        assert_int_equal(s->roles, rows[i].roles);
        assert_int_equal(server_is_cas(s), rows[i].cas);
        assert_non_null(s->product);
        if (rows[i].site)
            assert_string_equal(s->site->name, rows[i].site);
        else
            assert_null(s->site);
    }
    const struct server *cas = org_server(org, "excas01.contoso.lab");
    assert_ptr_equal(cas, org_server(org, "excas01"));
    assert_ptr_equal(cas, org_server_by_legacy_dn(org, cas->legacy_dn));
    assert_null(org_server(org, "nobody"));
    assert_null(org_server(org, NULL));
    assert_int_equal(cas->changed_at, 1330589350);
    assert_true(cas->has_rpc_client_access);
    assert_int_equal(cas->rpc_encryption, TRI_YES);
    assert_int_equal(org_server(org, "EX13MBX01")->rpc_encryption, TRI_UNKNOWN); /* absent is not false */
    assert_false(org_server(org, "EX10ALL")->has_rpc_client_access);
    assert_non_null(org_server(org, "EX13MBX01")->dag_dn);
    assert_null(org_server(org, "EXBROKEN")->fqdn);
    assert_non_null(org_server(org, "EXBROKEN")->site_dn);
    /* the computer of the same name in another domain is not this one */
    assert_int_equal(cas->n_spns, 2);
    assert_string_equal(cas->spns[0], "HOST/excas01.contoso.lab");
    assert_int_equal(cas->enctypes, 28);
    assert_int_equal(cas->pwd_last_set, 1330712150);
    assert_string_equal(cas->os_version, "6.1 (7601)");
    assert_null(org_server(org, "EX16")->computer_dn);
}

static void outlook_anywhere(void **state)
{
    (void)state;
    static const struct {
        const char *server, *host, *url, *inner_url;
        enum tri ssl;
        auth_set iis, client;
        enum tri offload;
    } rows[] = {
        {"EXCAS01", "mail.contoso.com", "https://mail.contoso.com/rpc", NULL, TRI_YES, 1, 1, TRI_NO},
        {"E2K7CAS01", "mail2.contoso.com", "https://mail2.contoso.com:8443/rpc", NULL, TRI_UNKNOWN, 3, 2,
         TRI_YES},
        {"EX10ALL", "mail3.contoso.com", "https://mail3.contoso.com/rpc", NULL, TRI_UNKNOWN, 0, 0,
         TRI_UNKNOWN},
        {"EX13CAS01", "mail.contoso.com", "http://mail.contoso.com/rpc", "https://in.contoso.com/rpc", TRI_NO,
         8195, 8192, TRI_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct vdir *v = vdir(rows[i].server, PROTOCOL_OA);
        assert_non_null(v);
        assert_string_equal(v->external_hostname, rows[i].host);
        assert_string_equal(v->external_url, rows[i].url);
        assert_int_equal(v->external_ssl, rows[i].ssl);
        assert_int_equal(v->iis_auth, rows[i].iis);
        assert_int_equal(v->client_auth, rows[i].client);
        assert_int_equal(v->ssl_offloading, rows[i].offload);
        if (rows[i].inner_url)
            assert_string_equal(v->internal_url, rows[i].inner_url);
        else
            assert_null(v->internal_url);
    }
    const struct vdir *modern = vdir("EX13CAS01", PROTOCOL_OA);
    assert_int_equal(modern->iis_auth_raw, 0); /* read as 8195, kept as it was for preconditions */
    assert_true(modern->has_internal_client_auth);
    assert_int_equal(modern->internal_client_auth, AUTH_NTLM); /* the ordinal 2 */
    assert_false(vdir("EX10ALL", PROTOCOL_OA)->has_iis_auth);  /* "-0x1" is no integer */
    assert_null(vdir("EX16", PROTOCOL_OA));
}

static void other_virtual_directories(void **state)
{
    (void)state;
    const struct vdir *owa = vdir("EXCAS01", PROTOCOL_OWA);
    assert_int_equal(org->n_vdirs,
                     7); /* push notifications, an unheard class and an orphan are not among them */
    assert_string_equal(owa->external_url, "https://mail.contoso.com/owa");
    assert_string_equal(owa->website, "Default Web Site");
    assert_string_equal(owa->exchange2003_url, "https://legacy.contoso.com/exchange");
    assert_int_equal(owa->iis_auth, AUTH_BASIC | AUTH_FBA);
    assert_null(owa->external_hostname);
    assert_ptr_equal(owa->server, org_server(org, "EXCAS01"));
    assert_null(vdir("EX13MBX01", PROTOCOL_OWA)); /* the back end's is not what clients reach */
    const struct server *mbx = org_server(org, "EX13MBX01");
    assert_int_equal(mbx->n_vdirs, 1);
    assert_true(mbx->vdirs[0]->back_end);
    assert_false(server_is_published(mbx));
    assert_true(server_is_published(org_server(org, "EXCAS01")));
    const struct server *cas = org_server(org, "EXCAS01");
    assert_int_equal(cas->vdirs[0]->protocol, PROTOCOL_OA); /* by protocol */
}

static void databases_and_the_rest(void **state)
{
    (void)state;
    assert_int_equal(org->n_databases, 3);
    const struct database *db = &org->databases[0];
    assert_string_equal(db->name, "DB01");
    assert_string_equal(db->owner->name, "EX13MBX01");
    assert_int_equal(db->n_servers, 2);
    assert_string_equal(db->servers[1]->name, "EX16"); /* a copy without a link is found by its name */
    assert_string_equal(db->rpc_client_access_server, "outlook.contoso.lab");
    assert_non_null(db->oab_dn);
    assert_string_equal(org->databases[1].owner->name, "E2K7CAS01"); /* 2007: below its server */
    assert_true(org->databases[2].is_public);
    assert_int_equal(org->n_scps, 3);
    assert_string_equal(org->scps[0].server_name, "EXCAS01");
    assert_string_equal(org->scps[0].sites[0], "Barcelona");
    assert_non_null(org->scps[0].server);
    assert_null(org->scps[1].server);
    assert_true(org->scps[2].is_pointer);
    assert_int_equal(org->n_arrays, 2);
    assert_string_equal(org->arrays[0].fqdn, "outlook.contoso.lab");
    assert_string_equal(org->arrays[0].site->name, "Barcelona");
    assert_null(org->arrays[1].site);
    assert_ptr_equal(org_database_by_dn(org, "cn=db01, cn=databases, cn=nowhere"), NULL);
    assert_ptr_equal(org_database_by_dn(org, db->dn), db);
}

static bool noted(const struct org *o, const char *subject, const char *text)
{
    for (size_t i = 0; i < o->n_notes; i++)
        if ((!subject || (o->notes[i].subject && strstr(o->notes[i].subject, subject))) &&
            strstr(o->notes[i].text, text))
            return true;
    return false;
}

static void notes(void **state)
{
    (void)state;
    static const char *const expected[][2] = {
        {"EXFUTURE", "of no Exchange known here"},
        {"EXBROKEN", "versionNumber is no integer"},
        {"EXBROKEN", "neither serialNumber nor versionNumber"},
        {"EXBROKEN", "msExchCurrentServerRoles is no integer"},
        {"EXBROKEN", "a site that is not there"},
        {"E2K3", "has no site"},
        {"EX10ALL", "msExchInternalAuthenticationMethods is no integer"},
        {"Unheard", "class not known here"},
        {"CN=GONE", "belongs to no server"},
        {"CN=OLD", "of a server that is not there"},
    };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_true(noted(org, expected[i][0], expected[i][1]));
    assert_int_equal(org->n_notes, 11);
}

/* ---- values nobody would write */

#define AG "CN=AG,CN=Administrative Groups,CN=Org,CN=Microsoft Exchange,CN=Services,CN=Configuration,DC=x"

static struct org *decode(const struct entry *entries, size_t n)
{
    struct decode *d = NULL;
    struct errinfo ei;
    struct org *o = NULL;
    const struct decode_context context = {.taken_at = 1};
    assert_int_equal(decode_new(&d, &ei), ERR_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(decode_entry(d, &entries[i], &ei), ERR_OK);
    assert_int_equal(decode_finish(&d, &context, &o, &ei), ERR_OK);
    assert_null(d);
    return o;
}

static void hostile_values(void **state)
{
    (void)state;
    static char big[ENTRY_VALUE_MAX];
    memset(big, 'x', sizeof big);
    const struct entry_value server[] = {
        {ATTRIBUTE_SERIAL_NUMBER, false, "Version 14.3 (Build 30123.4)", 28},
        {ATTRIBUTE_VERSION_NUMBER, false, "1912832083", 10}, /* disagrees */
        {ATTRIBUTE_ROLES, false, "99999999999", 11},
        {ATTRIBUTE_NETWORK_ADDRESS, false, "ncacn_ip_tcp:a b\n", 17},
        {ATTRIBUTE_LEGACY_DN, true, big, sizeof big},
    };
    const struct entry_value oa[] = {
        {ATTRIBUTE_EXTERNAL_HOST, false, "http://", 7},
        {ATTRIBUTE_METABASE_PATH, false,
         "a\x00"
         "b\xff",
         4},
        {ATTRIBUTE_URL, false, "tab\there", 8},
        {ATTRIBUTE_RPC_HTTP_FLAGS, false, "", 0},
        {ATTRIBUTE_MANAGEMENT_SETTINGS, false, "77", 2},
        {ATTRIBUTE_INTERNAL_AUTH, false, "9223372036854775807", 19},
    };
    const struct entry_value rpc[] = {{ATTRIBUTE_ENCRYPTION_REQUIRED, false, "perhaps", 7}};
    const struct entry entries[] = {
        {.dn = "CN=E\xff\x01,CN=Servers," AG,
         .classes = CLASS_SERVER,
         .values = server,
         .n = ARRAY_LEN(server)},
        {.dn = "no name at all", .classes = CLASS_SERVER},
        {.dn = "CN=E\xff\x01,CN=Servers," AG,
         .classes = CLASS_SERVER,
         .values = server,
         .n = ARRAY_LEN(server)},
        {.dn = "", .classes = CLASS_SITE},
        {.dn = "CN=Rpc,CN=HTTP,CN=Protocols,CN=E\xff\x01,CN=Servers," AG,
         .classes = CLASS_VDIR | CLASS_VDIR_OA,
         .values = oa,
         .n = ARRAY_LEN(oa)},
        {.dn = "CN=RpcClientAccess,CN=Protocols,CN=E\xff\x01,CN=Servers," AG,
         .classes = CLASS_RPC_CLIENT_ACCESS,
         .values = rpc,
         .n = 1},
    };
    struct org *o = decode(entries, ARRAY_LEN(entries));
    assert_int_equal(o->n_servers, 1);
    const struct server *s = &o->servers[0];
    assert_string_equal(s->name, "E\xef\xbf\xbd\x01");
    assert_null(s->fqdn);
    assert_int_equal(strlen(s->legacy_dn), 4096);
    assert_int_equal(s->generation, GENERATION_2010);
    assert_int_equal(s->rpc_encryption, TRI_UNKNOWN);
    assert_int_equal(o->n_vdirs, 1);
    const struct vdir *v = &o->vdirs[0];
    assert_null(v->website);
    assert_null(v->external_hostname);
    assert_string_equal(v->metabase_path, "a\xef\xbf\xbd"
                                          "b\xef\xbf\xbd");
    assert_string_equal(v->xrop_url, "tab\there");
    assert_int_equal(v->ssl_offloading, TRI_UNKNOWN);
    assert_false(v->has_internal_client_auth);
    assert_int_equal(v->iis_auth, AUTH_ALL);
    assert_string_equal(o->name, "Org"); /* from the DN: the object itself did not come */
    static const char *const expected[] = {
        "holds control characters",
        "longer than 4096 bytes",
        "does not fit 32 bits",
        "no host name for TCP",
        "serialNumber says 14.3.123.4, versionNumber 8.3.83",
        "came twice",
        "no distinguished name",
        "cannot be read",
        "no valid text",
        "msExchRpcHttpFlags is no integer",
        "no method known here",
        "neither TRUE nor FALSE",
        "organisation object itself was not read",
    };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_true(noted(o, NULL, expected[i]));
    org_free(&o);
    org_free(&o);
}

static void notes_are_bounded(void **state)
{
    (void)state;
    struct decode *d = NULL;
    struct errinfo ei;
    struct org *o = NULL;
    const struct decode_context context = {.taken_at = 1};
    assert_int_equal(decode_new(&d, &ei), ERR_OK);
    for (int i = 0; i < 5000; i++)
        decode_note(d, "CN=\xff", "%s\xff%d", "x", i);
    assert_int_equal(decode_finish(&d, &context, &o, &ei), ERR_OK);
    assert_int_equal(o->n_notes, 1001);
    assert_non_null(strstr(o->notes[1000].text, "4000 more notes"));
    assert_true(utf8_valid(o->notes[0].text, strlen(o->notes[0].text)));
    assert_true(utf8_valid(o->notes[0].subject, strlen(o->notes[0].subject)));
    org_free(&o);
}

static int setup(void **state)
{
    (void)state;
    struct errinfo ei;
    return directory_read(&org, NULL, source, NULL, &ei) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    org_free(&org);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head),
        cmocka_unit_test(sites),
        cmocka_unit_test(servers),
        cmocka_unit_test(outlook_anywhere),
        cmocka_unit_test(other_virtual_directories),
        cmocka_unit_test(databases_and_the_rest),
        cmocka_unit_test(notes),
        cmocka_unit_test(hostile_values),
        cmocka_unit_test(notes_are_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
