/* Findings become steps: order, merging, before and after, the inverse, what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/plan_world.h"

static struct org *org;
static struct findings found;

static int setup(void **state)
{
    struct org_builder b;
    (void)state;
    org = story(&b);
    findings_init(&found);
    found.target = GENERATION_2013;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    findings_fini(&found);
    builder_free(&org);
    return 0;
}

static struct plan *build(const struct plan_filter *filter)
{
    struct plan *p = NULL;
    struct errinfo ei = {0};
    if (plan_build(&p, org, &found, filter, "admin", &ei) != ERR_OK)
        fail_msg("%s", ei.what);
    return p;
}

static void assert_text(const struct cmdlet *c, const char *wanted)
{
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(cmdlet_text(&b, c, NULL), ERR_OK);
    assert_string_equal(buf_str(&b), wanted);
    buf_fini(&b);
}

static void assert_json(const struct plan_change *v, size_t n, const char *wanted)
{
    json_t *j = changes_to_json(v, n);
    char *text = json_dumps(j, JSON_COMPACT);
    assert_string_equal(text, wanted);
    free(text);
    json_decref(j);
}

static void test_story(void **state)
{
    (void)state;
    struct plan *p = story_plan(org);
    assert_int_equal(p->n_steps, 3);
    assert_string_equal(p->organization, "Contoso");
    assert_string_equal(p->steps[0].server, "E2K7CAS01");
    assert_string_equal(p->steps[1].server, "EXCAS01");
    assert_string_equal(p->steps[2].server, "EXCAS02");

    const struct plan_step *s = &p->steps[1];
    assert_int_equal(s->n, 2);
    assert_string_equal(s->finding, "oa-iis-auth");
    assert_text(&s->cmdlet, "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)'"
                            " -ClientAuthenticationMethod Basic -IISAuthenticationMethods Basic,NTLM");
    assert_text(&s->inverse, "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)'"
                             " -ClientAuthenticationMethod Basic -IISAuthenticationMethods Basic");
    assert_json(s->before, s->n_before, "{\"iis_auth\":[\"basic\"]}");
    assert_json(s->after, s->n_after, "{\"iis_auth\":[\"basic\",\"ntlm\"]}");
    assert_int_equal(s->n_preconditions, 2);
    assert_string_equal(s->preconditions[0].attribute, "msExchExternalAuthenticationMethods");
    assert_string_equal(s->preconditions[1].attribute, "msExchInternalAuthenticationMethods");
    assert_string_equal(s->preconditions[1].value, "1");
    assert_string_equal(s->preconditions[1].dn, builder_vdir(org, "EXCAS01", PROTOCOL_OA)->dn);
    assert_true(s->verify_directory && s->verify_wire);
    assert_string_equal(s->takes_effect, "within 15 min, or when the service is asked");
    assert_null(s->skip);

    s = &p->steps[2];
    assert_text(&s->inverse,
                "Disable-OutlookAnywhere -Identity 'EXCAS02\\Rpc (Default Web Site)' -Confirm:$false");
    assert_json(s->before, s->n_before,
                "{\"enabled\":false,\"client_auth\":null,\"external_hostname\":null,\"ssl_offloading\":null,"
                "\"iis_auth\":null}");
    assert_json(s->after, s->n_after,
                "{\"enabled\":true,\"client_auth\":[\"basic\"],\"external_hostname\":\"mail.contoso.lab\","
                "\"ssl_offloading\":false,\"iis_auth\":[\"basic\",\"ntlm\"]}");
    assert_int_equal(s->n_preconditions, 1);
    assert_string_equal(s->preconditions[0].attribute, "objectClass");
    assert_null(s->preconditions[0].value);
    assert_true(s->verify_wire);
    plan_free(&p);
}

static void test_one_cmdlet_for_one_object(void **state)
{
    (void)state;
    struct vdir *v = builder_vdir(org, "EXCAS01", PROTOCOL_OA);
    v->external_hostname = "old.contoso.lab";
    v->external_url = "https://old.contoso.lab/rpc";
    add_auth_finding(&found, "EXCAS01", AUTH_BASIC);
    add_hostname_finding(&found, "EXCAS01", "mail.contoso.lab");
    add_hostname_finding(&found, "EXCAS01", "mail.contoso.lab");
    struct plan *p = build(NULL);
    assert_int_equal(p->n_steps, 1);
    const struct plan_step *s = &p->steps[0];
    assert_string_equal(s->finding, "oa-iis-auth");
    assert_int_equal(s->n_also, 1);
    assert_string_equal(s->also[0], "oa-external-hostname");
    assert_text(&s->cmdlet, "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)'"
                            " -ClientAuthenticationMethod Basic -IISAuthenticationMethods Basic,NTLM"
                            " -ExternalHostname 'mail.contoso.lab'");
    assert_text(&s->inverse, "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)'"
                             " -ClientAuthenticationMethod Basic -IISAuthenticationMethods Basic"
                             " -ExternalHostname 'old.contoso.lab'");
    assert_json(s->before, s->n_before,
                "{\"iis_auth\":[\"basic\"],\"external_hostname\":\"old.contoso.lab\"}");
    assert_int_equal(s->n_preconditions, 3);
    plan_free(&p);
}

static void test_fixes_that_contradict(void **state)
{
    (void)state;
    struct plan *p = NULL;
    struct errinfo ei = {0};
    add_hostname_finding(&found, "EXCAS01", "a.contoso.lab");
    add_hostname_finding(&found, "EXCAS01", "b.contoso.lab");
    assert_int_equal(plan_build(&p, org, &found, NULL, "admin", &ei), ERR_REFUSED);
    assert_non_null(strstr(ei.what, "ExternalHostname"));
    assert_null(p);
}

static void test_what_makes_no_step(void **state)
{
    (void)state;
    static const struct accepted accepted = {"ann", "retired in May", 0};
    add_auth_finding(&found, "EX10NTLM", AUTH_BASIC); /* has NTLM: right already */
    add_hostname_finding(&found, "EX10NTLM", "MAIL.contoso.lab");
    add_auth_finding(&found, "EXCAS01", AUTH_BASIC);
    found.found.v[found.found.n - 1].accepted = &accepted;
    add_auth_finding(&found, "E2K7CAS01", AUTH_BASIC);
    ((struct fix *)found.found.v[found.found.n - 1].fix)->automatic = false;
    struct finding none = {.id = "certificate", .server = "EXCAS01"};
    VEC_PUSH(&found.found, 100, none);
    struct plan *p = build(NULL);
    assert_int_equal(p->n_steps, 0);
    plan_free(&p);
}

static void test_filters(void **state)
{
    (void)state;
    static const char *const enabled[] = {"oa-enabled"}, *const servers[] = {"excas01.contoso.lab",
                                                                             "e2k7cas01"};
    add_auth_finding(&found, "EXCAS01", AUTH_BASIC);
    add_enable_finding(&found, "EXCAS02");
    add_auth_finding(&found, "E2K7CAS01", AUTH_BASIC);
    struct plan *p = build(&(struct plan_filter){.findings = enabled, .n_findings = 1});
    assert_int_equal(p->n_steps, 1);
    assert_string_equal(p->steps[0].server, "EXCAS02");
    plan_free(&p);
    p = build(&(struct plan_filter){.servers = servers, .n_servers = 2});
    assert_int_equal(p->n_steps, 2);
    plan_free(&p);
    p = build(
        &(struct plan_filter){.findings = enabled, .n_findings = 1, .servers = servers, .n_servers = 2});
    assert_int_equal(p->n_steps, 0);
    plan_free(&p);
}

/* A fix that a person must choose is planned when its rule is named, one that no plan may hold never. */
static void test_choices(void **state)
{
    (void)state;
    static const char *const named[] = {"rpc-encryption", "oa-iis-auth"};
    struct fix *fix = world_fix(&found, "rpc-encryption", "EXCAS01", "Set-RpcClientAccess");
    cmdlet_string(&fix->cmdlet, "Server", "EXCAS01");
    cmdlet_bool(&fix->cmdlet, "EncryptionRequired", false);
    fix->automatic = false;
    fix->choice = "it lets Outlook 2003 in";
    add_auth_finding(&found, "E2K7CAS01", AUTH_BASIC); /* as on 2007 RTM: the parameter is not there yet */
    ((struct fix *)found.found.v[found.found.n - 1].fix)->automatic = false;
    struct plan *p = build(NULL);
    assert_int_equal(p->n_steps, 0);
    plan_free(&p);
    p = build(&(struct plan_filter){.servers = (const char *const[]){"EXCAS01"}, .n_servers = 1});
    assert_int_equal(p->n_steps, 0);
    plan_free(&p);
    p = build(&(struct plan_filter){.findings = named, .n_findings = 2});
    assert_int_equal(p->n_steps, 1);
    assert_string_equal(p->steps[0].finding, "rpc-encryption");
    assert_non_null(strstr(p->steps[0].note, "-EncryptionRequired and msExchEncryptionRequired: "));
    assert_non_null(strstr(p->steps[0].impact, "Outlook 2003"));
    plan_free(&p);
}

/* What was absent becomes $null in the inverse; what no cmdlet could put back is left out of the plan, the rest stays. */
static void test_odd_values(void **state)
{
    (void)state;
    struct vdir *v = builder_vdir(org, "EXCAS01", PROTOCOL_OA);
    v->has_iis_auth = false;
    v->external_hostname = NULL;
    v->external_url = NULL;
    v->external_ssl = TRI_UNKNOWN;
    builder_vdir(org, "E2K7CAS01", PROTOCOL_OA)->iis_auth_raw = 65537;
    log_set_level(LOG_LEVEL_ERROR);
    add_auth_finding(&found, "EXCAS01", AUTH_BASIC);
    add_hostname_finding(&found, "EXCAS01", "mail.contoso.lab");
    add_auth_finding(&found, "E2K7CAS01", AUTH_BASIC);
    struct plan *p = build(NULL);
    assert_int_equal(p->n_steps, 1);
    assert_text(&p->steps[0].inverse, "Set-OutlookAnywhere -Identity 'EXCAS01\\Rpc (Default Web Site)'"
                                      " -ClientAuthenticationMethod Basic -IISAuthenticationMethods $null"
                                      " -ExternalHostname $null");
    assert_json(p->steps[0].before, p->steps[0].n_before, "{\"iis_auth\":null,\"external_hostname\":null}");
    assert_null(p->steps[0].preconditions[1].value);
    plan_free(&p);
}

/* Left over from a server that was set up anew: no cmdlet could say which is meant, and the others are planned all the same. */
static void test_a_name_that_is_there_twice(void **state)
{
    (void)state;
    struct server *other = builder_server(org, "EX13MBX01");
    const char *name = other->name;
    add_auth_finding(&found, "EXCAS01", AUTH_BASIC);
    add_auth_finding(&found, "E2K7CAS01", AUTH_BASIC);
    other->name = "EXCAS01";
    struct plan *p = build(NULL);
    assert_int_equal(p->n_steps, 1);
    assert_string_equal(p->steps[0].server, "E2K7CAS01");
    other->name = name;
    plan_free(&p);
}

static void test_other_objects(void **state)
{
    (void)state;
    struct cmdlet *c = &world_fix(&found, "internal-url", "EXCAS02", "Set-OwaVirtualDirectory")->cmdlet;
    cmdlet_string(c, "Identity", "EXCAS02\\owa (Default Web Site)");
    cmdlet_string(c, "InternalUrl", "https://owa.contoso.lab/owa");
    c = &world_fix(&found, "autodiscover-scp", "EX13CAS01", "Set-ClientAccessServer")->cmdlet;
    cmdlet_string(c, "Identity", "EX13CAS01");
    cmdlet_string(c, "AutoDiscoverServiceInternalUri",
                  "https://mail.contoso.lab/Autodiscover/Autodiscover.xml");
    c = &world_fix(&found, "rpc-encryption", "EXCAS01", "Set-RpcClientAccess")->cmdlet;
    cmdlet_string(c, "Server", "EXCAS01");
    cmdlet_bool(c, "EncryptionRequired", false);
    c = &world_fix(&found, "fba-match", "EXCAS01", "Set-OwaVirtualDirectory")->cmdlet;
    cmdlet_string(c, "Identity", "EXCAS01\\owa (Default Web Site)");
    cmdlet_bool(c, "FormsAuthentication", false);
    cmdlet_bool(c, "WindowsAuthentication", true);
    struct plan *p = build(NULL);
    assert_int_equal(p->n_steps, 4);
    assert_text(&p->steps[0].inverse,
                "Set-ClientAccessServer -Identity 'EX13CAS01' -AutoDiscoverServiceInternalUri"
                " 'https://autodiscover.contoso.lab/Autodiscover/Autodiscover.xml'");
    assert_text(&p->steps[1].inverse, "Set-OwaVirtualDirectory -Identity 'EXCAS01\\owa (Default Web Site)'"
                                      " -FormsAuthentication:$true -WindowsAuthentication:$false");
    assert_json(p->steps[1].before, p->steps[1].n_before,
                "{\"forms_authentication\":true,\"windows_authentication\":false}");
    assert_int_equal(p->steps[1].n_preconditions, 1);
    assert_text(&p->steps[2].inverse, "Set-RpcClientAccess -Server 'EXCAS01' -EncryptionRequired:$true");
    assert_json(p->steps[2].before, p->steps[2].n_before, "{\"rpc_encryption\":true}");
    assert_string_equal(p->steps[3].preconditions[0].value, "https://excas02.contoso.lab/owa");
    for (size_t i = 0; i < p->n_steps; i++)
        assert_false(p->steps[i].verify_wire);
    plan_free(&p);
}

static void test_order_does_not_depend_on_findings(void **state)
{
    (void)state;
    add_enable_finding(&found, "EXCAS02");
    add_auth_finding(&found, "E2K7CAS01", AUTH_BASIC);
    add_auth_finding(&found, "EXCAS01", AUTH_BASIC);
    struct plan *p = build(NULL), *q = story_plan(org);
    assert_int_equal(p->n_steps, q->n_steps);
    for (size_t i = 0; i < p->n_steps; i++)
        assert_string_equal(p->steps[i].server, q->steps[i].server);
    plan_free(&p);
    plan_free(&q);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_story),
        T(test_one_cmdlet_for_one_object),
        T(test_fixes_that_contradict),
        T(test_what_makes_no_step),
        T(test_filters),
        T(test_choices),
        T(test_odd_values),
        T(test_other_objects),
        T(test_a_name_that_is_there_twice),
        T(test_order_does_not_depend_on_findings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
