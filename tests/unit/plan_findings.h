/* Findings as core/rules would make them, and the plan of the story. Include after cmocka.h. */
#ifndef TESTS_UNIT_PLAN_FINDINGS_H
#define TESTS_UNIT_PLAN_FINDINGS_H

#include "core/plan/plan.h"
#include "tests/unit/org_builder.h"

BUILDER_UNUSED static struct fix *world_fix(struct findings *f, const char *id, const char *server,
                                            const char *cmdlet)
{
    struct fix *fix = arena_alloc(&f->arena, sizeof *fix);
    struct finding finding = {
        .id = id, .severity = SEVERITY_ERROR, .server = server, .summary = "", .fix = fix};
    *fix = (struct fix){.server = server, .automatic = true};
    cmdlet_init(&fix->cmdlet, &f->arena, cmdlet);
    VEC_PUSH(&f->found, 1000, finding);
    return fix;
}

BUILDER_UNUSED static void add_auth_finding(struct findings *f, const char *server, auth_set client)
{
    static const char *const words[] = {"Basic", "NTLM"};
    char identity[100];
    snprintf(identity, sizeof identity, "%s\\Rpc (Default Web Site)", server);
    struct cmdlet *c = &world_fix(f, "oa-iis-auth", server, "Set-OutlookAnywhere")->cmdlet;
    cmdlet_string(c, "Identity", identity);
    cmdlet_word(c, "ClientAuthenticationMethod", client == AUTH_NTLM ? "NTLM" : "Basic");
    cmdlet_words(c, "IISAuthenticationMethods", words, 2);
}

BUILDER_UNUSED static void add_enable_finding(struct findings *f, const char *server)
{
    static const char *const words[] = {"Basic", "NTLM"};
    struct cmdlet *c = &world_fix(f, "oa-enabled", server, "Enable-OutlookAnywhere")->cmdlet;
    cmdlet_string(c, "Server", server);
    cmdlet_word(c, "ClientAuthenticationMethod", "Basic");
    cmdlet_string(c, "ExternalHostname", "mail.contoso.lab");
    cmdlet_bool(c, "SSLOffloading", false);
    cmdlet_words(c, "IISAuthenticationMethods", words, 2);
}

BUILDER_UNUSED static void add_hostname_finding(struct findings *f, const char *server, const char *host)
{
    char identity[100];
    snprintf(identity, sizeof identity, "%s\\Rpc (Default Web Site)", server);
    struct cmdlet *c = &world_fix(f, "oa-external-hostname", server, "Set-OutlookAnywhere")->cmdlet;
    cmdlet_string(c, "Identity", identity);
    cmdlet_string(c, "ExternalHostname", host);
}

BUILDER_UNUSED static void add_scp_finding(struct findings *f, const char *server, const char *url)
{
    struct cmdlet *c = &world_fix(f, "autodiscover-scp", server, "Set-ClientAccessServer")->cmdlet;
    cmdlet_string(c, "Identity", server);
    cmdlet_string(c, "AutoDiscoverServiceInternalUri", url);
}

BUILDER_UNUSED static void add_rpc_finding(struct findings *f, const char *server)
{
    struct cmdlet *c = &world_fix(f, "rpc-encryption", server, "Set-RpcClientAccess")->cmdlet;
    cmdlet_string(c, "Server", server);
    cmdlet_bool(c, "EncryptionRequired", false);
}

/* The story's three findings, as a plan. */
BUILDER_UNUSED static struct plan *story_plan(const struct org *org)
{
    struct findings f;
    struct plan *p = NULL;
    struct errinfo ei = {0};
    findings_init(&f);
    f.target = GENERATION_2013;
    add_auth_finding(&f, "EXCAS01", AUTH_BASIC);
    add_enable_finding(&f, "EXCAS02");
    add_auth_finding(&f, "E2K7CAS01", AUTH_BASIC);
    if (plan_build(&p, org, &f, NULL, "admin@CONTOSO.LAB", &ei) != ERR_OK)
        fail_msg("plan_build: %s", ei.what);
    findings_fini(&f);
    return p;
}

#endif
