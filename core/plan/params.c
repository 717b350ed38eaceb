/*
 * What a plan may hold. A parameter is here only when its value can be read back from the directory: a change that cannot be
 * verified is not one that casbridge pushes. Sources: cmdlets.md 2.1, 3, 4, 10; directory.md 7 to 11.
 */
#include "core/plan/plan_int.h"

#include "core/base/str.h"

#define G(x)     (1u << GENERATION_##x)
#define G2013    (G(2013) | G(2016) | G(2019) | G(SE))
#define G2010    (G(2010) | G2013)
#define G2007    (G(2007) | G2010)
#define G_LEGACY (G(2007) | G(2010))
#define P(x)     (1u << PROTOCOL_##x)
#define VDIR     (1u << PLAN_OBJECT_VDIR)
#define P_URLS   (P(OWA) | P(ECP) | P(EWS) | P(EAS) | P(OAB) | P(POWERSHELL))
#define INTERNAL "msExchInternalAuthenticationMethods"
#define EXTERNAL "msExchExternalAuthenticationMethods"
#define HOST_IN  "msExchInternalHostName"
#define HOST_OUT "msExchExternalHostName"

static const struct plan_cmdlet cmdlets[] = {
    {"Set-OutlookAnywhere", PLAN_SET, PLAN_OBJECT_VDIR, PROTOCOL_OA, "Identity", G2007, 0},
    {"Enable-OutlookAnywhere", PLAN_ENABLE, PLAN_OBJECT_VDIR, PROTOCOL_OA, "Server", G_LEGACY, G(2007)},
    {"Disable-OutlookAnywhere", PLAN_DISABLE, PLAN_OBJECT_VDIR, PROTOCOL_OA, "Identity", G_LEGACY, 0},
    {"Set-OwaVirtualDirectory", PLAN_SET, PLAN_OBJECT_VDIR, PROTOCOL_OWA, "Identity", G2007, G(2007)},
    {"Set-EcpVirtualDirectory", PLAN_SET, PLAN_OBJECT_VDIR, PROTOCOL_ECP, "Identity", G2010, 0},
    {"Set-WebServicesVirtualDirectory", PLAN_SET, PLAN_OBJECT_VDIR, PROTOCOL_EWS, "Identity", G2007, 0},
    {"Set-ActiveSyncVirtualDirectory", PLAN_SET, PLAN_OBJECT_VDIR, PROTOCOL_EAS, "Identity", G2007, 0},
    {"Set-OabVirtualDirectory", PLAN_SET, PLAN_OBJECT_VDIR, PROTOCOL_OAB, "Identity", G2007, 0},
    {"Set-AutodiscoverVirtualDirectory", PLAN_SET, PLAN_OBJECT_VDIR, PROTOCOL_AUTODISCOVER, "Identity", G2007,
     0},
    {"Set-PowerShellVirtualDirectory", PLAN_SET, PLAN_OBJECT_VDIR, PROTOCOL_POWERSHELL, "Identity", G2010, 0},
    {"Set-MapiVirtualDirectory", PLAN_SET, PLAN_OBJECT_VDIR, PROTOCOL_MAPI, "Identity", G2013, 0},
    {"Set-ClientAccessServer", PLAN_SET, PLAN_OBJECT_SCP, PROTOCOL_UNKNOWN, "Identity", G2007, 0},
    {"Set-ClientAccessService", PLAN_SET, PLAN_OBJECT_SCP, PROTOCOL_UNKNOWN, "Identity",
     G(2016) | G(2019) | G(SE), 0},
    {"Set-RpcClientAccess", PLAN_SET, PLAN_OBJECT_RPC, PROTOCOL_UNKNOWN, "Server", G2010, 0},
};

/* The step's note is "-PARAMETER and ATTRIBUTE: ..." */
static const char observed[] =
    "that they are the same was observed on one build of Exchange 2013 and is in no document.";
static const char assumed[] =
    "that the switch is its bit of the attribute follows from both names and is assumed.";

/*
 * Not here: Set-MailboxServer -MAPIEncryptionRequired (2007), whose attribute nobody knows, and everything that IIS alone keeps (Extended
 * Protection, Require SSL): neither could be read back.
 */
/* Order: in a rolled-back Enable-OutlookAnywhere the parameters come in it. */
static const struct property properties[] = {
    {"client_auth", "ClientAuthenticationMethod", EXTERNAL, PROPERTY_AUTH, 0, P(OA), VDIR, G_LEGACY, NULL},
    {"client_auth", "ExternalClientAuthenticationMethod", EXTERNAL, PROPERTY_AUTH, 0, P(OA), VDIR, G2013,
     NULL},
    {"internal_client_auth", "InternalClientAuthenticationMethod", "msExchManagementSettings",
     PROPERTY_ORDINAL, 0, P(OA), VDIR, G2013, observed},
    {"external_hostname", "ExternalHostname", HOST_OUT, PROPERTY_HOST, 0, P(OA), VDIR, G2007, NULL},
    {"internal_hostname", "InternalHostname", HOST_IN, PROPERTY_HOST, 0, P(OA), VDIR, G2013, NULL},
    {"external_requires_ssl", "ExternalClientsRequireSsl", HOST_OUT, PROPERTY_SCHEME, 0, P(OA), VDIR, G2013,
     NULL},
    {"internal_requires_ssl", "InternalClientsRequireSsl", HOST_IN, PROPERTY_SCHEME, 0, P(OA), VDIR, G2013,
     NULL},
    {"ssl_offloading", "SSLOffloading", "msExchRpcHttpFlags", PROPERTY_FLAG, 1, P(OA), VDIR, G2007, observed},
    {"iis_auth", "IISAuthenticationMethods", INTERNAL, PROPERTY_AUTH, 0, P(OA), VDIR, G2007, NULL},
    {"iis_auth", "IISAuthenticationMethods", INTERNAL, PROPERTY_AUTH, 0, P(MAPI), VDIR, G2013, NULL},
    {"internal_url", "InternalUrl", HOST_IN, PROPERTY_TEXT, 0, P_URLS, VDIR, G2007, NULL},
    {"internal_url", "InternalUrl", HOST_IN, PROPERTY_TEXT, 0, P(MAPI), VDIR, G2013, NULL},
    {"internal_url", "InternalUrl", HOST_IN, PROPERTY_TEXT, 0, P(AUTODISCOVER), VDIR, G_LEGACY, NULL},
    {"external_url", "ExternalUrl", HOST_OUT, PROPERTY_TEXT, 0, P_URLS, VDIR, G2007, NULL},
    {"external_url", "ExternalUrl", HOST_OUT, PROPERTY_TEXT, 0, P(MAPI), VDIR, G2013, NULL},
    {"external_url", "ExternalUrl", HOST_OUT, PROPERTY_TEXT, 0, P(AUTODISCOVER), VDIR, G_LEGACY, NULL},
    {"basic_authentication", "BasicAuthentication", INTERNAL, PROPERTY_FLAG, AUTH_BASIC,
     P(OWA) | P(ECP) | P(EWS) | P(OAB) | P(AUTODISCOVER) | P(POWERSHELL), VDIR, G2007, assumed},
    {"basic_authentication", "BasicAuthEnabled", INTERNAL, PROPERTY_FLAG, AUTH_BASIC, P(EAS), VDIR, G2007,
     assumed},
    {"windows_authentication", "WindowsAuthentication", INTERNAL, PROPERTY_FLAG, AUTH_NTLM | AUTH_WINDOWS,
     P(OWA) | P(ECP) | P(EWS) | P(OAB) | P(AUTODISCOVER) | P(POWERSHELL), VDIR, G2007, assumed},
    {"windows_authentication", "WindowsAuthEnabled", INTERNAL, PROPERTY_FLAG, AUTH_NTLM | AUTH_WINDOWS,
     P(EAS), VDIR, G2007, assumed},
    {"forms_authentication", "FormsAuthentication", INTERNAL, PROPERTY_FLAG, AUTH_FBA, P(OWA) | P(ECP), VDIR,
     G2007, assumed},
    {"digest_authentication", "DigestAuthentication", INTERNAL, PROPERTY_FLAG, AUTH_DIGEST,
     P(EWS) | P(AUTODISCOVER), VDIR, G2007, assumed},
    {"digest_authentication", "DigestAuthentication", INTERNAL, PROPERTY_FLAG, AUTH_DIGEST, P(OWA) | P(ECP),
     VDIR, G2010, assumed},
    {"wssecurity_authentication", "WSSecurityAuthentication", INTERNAL, PROPERTY_FLAG, AUTH_WSSECURITY,
     P(EWS) | P(AUTODISCOVER), VDIR, G2010, assumed},
    {"oauth_authentication", "OAuthAuthentication", INTERNAL, PROPERTY_FLAG, AUTH_OAUTH,
     P(OWA) | P(EWS) | P(OAB) | P(AUTODISCOVER), VDIR, G2013, assumed},
    {"external_auth", "ExternalAuthenticationMethods", EXTERNAL, PROPERTY_AUTH, 0, P(OWA) | P(ECP), VDIR,
     G2010, NULL},
    {"external_auth", "ExternalAuthenticationMethods", EXTERNAL, PROPERTY_AUTH, 0, P(EAS), VDIR, G2007, NULL},
    {"autodiscover_uri", "AutoDiscoverServiceInternalUri", "serviceBindingInformation", PROPERTY_TEXT, 0, 0,
     1u << PLAN_OBJECT_SCP, G2007, NULL},
    {"rpc_encryption", "EncryptionRequired", "msExchEncryptionRequired", PROPERTY_BOOL, 0, 0,
     1u << PLAN_OBJECT_RPC, G2010, observed},
};

const struct property plan_exists = {"enabled", NULL,     "objectClass", PROPERTY_EXISTS, 0, P(OA),
                                     VDIR,      G_LEGACY, NULL};

const struct plan_cmdlet *plan_cmdlet_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(cmdlets); i++)
        if (str_ieq(cmdlets[i].name, name))
            return &cmdlets[i];
    return NULL;
}

static bool belongs(const struct property *p, const struct plan_cmdlet *c)
{
    return (p->objects & (1u << c->object)) && (p->generations & c->generations) &&
           (c->object != PLAN_OBJECT_VDIR || (p->protocols & (1u << c->protocol)));
}

const struct property *plan_parameter(const struct plan_cmdlet *c, const char *parameter)
{
    for (size_t i = 0; i < ARRAY_LEN(properties); i++)
        if (belongs(&properties[i], c) && str_ieq(properties[i].parameter, parameter))
            return &properties[i];
    return NULL;
}

const struct property *plan_property_at(const struct plan_cmdlet *c, size_t i)
{
    for (size_t k = 0; k < ARRAY_LEN(properties); k++)
        if (belongs(&properties[k], c) && i-- == 0)
            return &properties[k];
    return NULL;
}
