/*
 * The table of cmdlets and parameters against the documents: every one that a plan may hold must be listed, for each version, in
 * ../shared/reference/cmdlets.md (2010 and later in its appendix, 2007 in sections 2 and 3). And what each may do there and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/base/str.h"
#include "core/plan/plan_int.h"

static const char *const names[] = {
    "Set-OutlookAnywhere",
    "Enable-OutlookAnywhere",
    "Disable-OutlookAnywhere",
    "Set-OwaVirtualDirectory",
    "Set-EcpVirtualDirectory",
    "Set-WebServicesVirtualDirectory",
    "Set-ActiveSyncVirtualDirectory",
    "Set-OabVirtualDirectory",
    "Set-AutodiscoverVirtualDirectory",
    "Set-PowerShellVirtualDirectory",
    "Set-MapiVirtualDirectory",
    "Set-ClientAccessServer",
    "Set-ClientAccessService",
    "Set-RpcClientAccess",
};

static const enum generation columns[] = {GENERATION_2010, GENERATION_2013, GENERATION_2016, GENERATION_2019,
                                          GENERATION_SE};

/* Bit per generation of one row "| Name | Type | Req | Y | - | ..." below "### CMDLET"; 0 when there is none. */
static unsigned documented(const char *text, const char *cmdlet, const char *parameter)
{
    char head[100], row[100];
    snprintf(head, sizeof head, "\n### %s\n", cmdlet);
    snprintf(row, sizeof row, "\n| %s |", parameter);
    const char *section = strstr(text, head);
    const char *end = section ? strstr(section + strlen(head), "\n### ") : NULL;
    const char *at = section ? strstr(section, row) : NULL;
    unsigned set = 0;
    if (!at || (end && at > end))
        return 0;
    at += strlen(row);
    for (int skip = 0; skip < 2; skip++) /* type, required */
        at = strchr(at, '|') + 1;
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        if (strncmp(at, " Y ", 3) == 0)
            set |= 1u << columns[i];
        at = strchr(at, '|') + 1;
    }
    return set;
}

static void test_as_documented(void **state)
{
    (void)state;
    const char *shared = getenv("CASBRIDGE_SHARED");
    char path[512];
    struct buf text;
    size_t seen = 0;
    snprintf(path, sizeof path, "%s/reference/cmdlets.md", shared ? shared : "../shared");
    buf_init(&text, 4 << 20);
    if (path_read(&text, path, NULL) != ERR_OK) {
        buf_fini(&text);
        print_message("skipped: no %s\n", path);
        skip();
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct plan_cmdlet *c = plan_cmdlet_find(names[i]);
        const struct property *p;
        assert_non_null(c);
        for (size_t k = 0; (p = plan_property_at(c, k)); k++) {
            unsigned ours = p->generations & c->generations & ~(1u << GENERATION_2007);
            unsigned theirs = documented(buf_str(&text), c->name, p->parameter);
            if (c->action == PLAN_DISABLE)
                continue; /* its properties are those of the cmdlet that brings it back */
            if (ours & ~theirs)
                fail_msg("%s -%s: allowed for %x, documented for %x", c->name, p->parameter, ours, theirs);
            seen++;
        }
        if (!(documented(buf_str(&text), c->name, c->target)))
            fail_msg("%s has no -%s", c->name, c->target);
    }
    assert_true(seen > 50);
    buf_fini(&text);
}

/* Sections 2 and 3: what exists in 2007, and what does not. */
static void test_2007(void **state)
{
    (void)state;
    static const struct {
        const char *cmdlet, *parameters; /* all of them, in any order */
    } rows[] = {
        {"Set-OutlookAnywhere",
         "ClientAuthenticationMethod ExternalHostname IISAuthenticationMethods SSLOffloading"},
        {"Set-WebServicesVirtualDirectory",
         "BasicAuthentication DigestAuthentication WindowsAuthentication ExternalUrl InternalUrl"},
        {"Set-OabVirtualDirectory", "BasicAuthentication WindowsAuthentication ExternalUrl InternalUrl"},
        {"Set-ActiveSyncVirtualDirectory",
         "BasicAuthEnabled WindowsAuthEnabled ExternalAuthenticationMethods ExternalUrl InternalUrl"},
        {"Set-AutodiscoverVirtualDirectory",
         "BasicAuthentication DigestAuthentication WindowsAuthentication ExternalUrl InternalUrl"},
        {"Set-OwaVirtualDirectory",
         "BasicAuthentication FormsAuthentication WindowsAuthentication ExternalUrl InternalUrl"},
        {"Set-ClientAccessServer", "AutoDiscoverServiceInternalUri"},
        {"Set-EcpVirtualDirectory", NULL},
        {"Set-PowerShellVirtualDirectory", NULL},
        {"Set-MapiVirtualDirectory", NULL},
        {"Set-RpcClientAccess", NULL},
        {"Set-ClientAccessService", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct plan_cmdlet *c = plan_cmdlet_find(rows[i].cmdlet);
        const struct property *p;
        size_t n = 0, words = 0;
        assert_int_equal((c->generations & 1u << GENERATION_2007) != 0, rows[i].parameters != NULL);
        for (const char *s = rows[i].parameters; s && *s; s++)
            words += s == rows[i].parameters || s[-1] == ' ';
        for (size_t k = 0; rows[i].parameters && (p = plan_property_at(c, k)); k++) {
            if (!(p->generations & 1u << GENERATION_2007))
                continue;
            n++;
            if (!strstr(rows[i].parameters, p->parameter))
                fail_msg("%s -%s is not in 2007", c->name, p->parameter);
        }
        if (n != words)
            fail_msg("%s has %zu parameters in 2007, the documents %zu", rows[i].cmdlet, n, words);
    }
}

/* Each property: a value from the directory, as a parameter, read back, is the same value; sets do not depend on order. */
static void test_there_and_back(void **state)
{
    (void)state;
    static const char *const raws[] = {
        "0", "1", "3", "8195", "16", "TRUE", "FALSE", "https://a.contoso.lab/x", "a.contoso.lab"};
    struct arena a;
    size_t made = 0;
    arena_init(&a, 16 << 20);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct plan_cmdlet *c = plan_cmdlet_find(names[i]);
        const struct property *p;
        for (size_t k = 0; (p = plan_property_at(c, k)); k++)
            for (size_t r = 0; r < ARRAY_LEN(raws); r++) {
                struct plan_change v, back;
                struct cmdlet cmdlet;
                if (change_from_raw(&v, &a, p, &raws[r], 1) != ERR_OK || v.is_null)
                    continue;
                cmdlet_init(&cmdlet, &a, c->name);
                assert_int_equal(change_to_param(&cmdlet, p, &v), ERR_OK);
                assert_int_equal(change_from_param(&back, &a, p, &cmdlet.params[0].value, NULL), ERR_OK);
                if (!change_equal(p, &v, &back))
                    fail_msg("%s -%s: %s", c->name, p->parameter, raws[r]);
                made++;
            }
    }
    assert_true(made > 150);
    /* What the cmdlet cannot say, it cannot put back: a port of its own. The usual one says nothing. */
    const struct property *host = plan_parameter(plan_cmdlet_find("Set-OutlookAnywhere"), "ExternalHostname");
    static const char *const ported[] = {"https://a.contoso.lab:444/rpc", "a.contoso.lab:444",
                                         "http://a.contoso.lab:443"},
                             *const usual[] = {"https://a.contoso.lab:443/rpc", "http://a.contoso.lab:80"};
    struct plan_change name;
    for (size_t i = 0; i < ARRAY_LEN(ported); i++)
        assert_int_equal(change_from_raw(&name, &a, host, &ported[i], 1), ERR_INPUT);
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        assert_int_equal(change_from_raw(&name, &a, host, &usual[i], 1), ERR_OK);
    const struct property *iis =
        plan_parameter(plan_cmdlet_find("Set-OutlookAnywhere"), "IISAuthenticationMethods");
    const char *const one[] = {"NTLM", "Basic"}, *const other[] = {"basic", "ntlm", "Basic"};
    struct plan_change x, y;
    struct cmdlet c1, c2;
    cmdlet_init(&c1, &a, "Set-OutlookAnywhere");
    cmdlet_init(&c2, &a, "Set-OutlookAnywhere");
    (void)cmdlet_words(&c1, "IISAuthenticationMethods", one, 2);
    (void)cmdlet_words(&c2, "IISAuthenticationMethods", other, 3);
    assert_int_equal(change_from_param(&x, &a, iis, &c1.params[0].value, NULL), ERR_OK);
    assert_int_equal(change_from_param(&y, &a, iis, &c2.params[0].value, NULL), ERR_OK);
    assert_true(change_equal(iis, &x, &y));
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_documented),
        cmocka_unit_test(test_2007),
        cmocka_unit_test(test_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
