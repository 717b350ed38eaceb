/*
 * An entry as both readers hand it to the decoder: a DN, the known classes as bits, and values of the attributes that
 * matter. Everything in it is borrowed for the length of one call. Values are bytes as read: any length up to
 * ENTRY_VALUE_MAX, perhaps no UTF-8, perhaps with NULs.
 *
 * Private to core/directory.
 */
#ifndef CORE_DIRECTORY_ENTRY_H
#define CORE_DIRECTORY_ENTRY_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer value is cut there and marked; nothing that Exchange reads comes near it. */
#define ENTRY_VALUE_MAX  ((size_t)64 * 1024)
#define ENTRY_VALUES_MAX 20000
#define ENTRY_DN_MAX     4096

/* Who asks for an attribute. */
enum { FOR_ORG = 1, FOR_MAILBOX = 2, FOR_COMPUTER = 4, FOR_OWNER = 8 };

/* name, lDAPDisplayName, who wants it (directory.md sections 2, 4, 8 to 15) */
#define ATTRIBUTE_MAP(X)                                                                                     \
    X(OBJECT_CLASS, "objectClass", FOR_ORG | FOR_MAILBOX | FOR_COMPUTER | FOR_OWNER)                         \
    X(WHEN_CHANGED, "whenChanged", FOR_ORG)                                                                  \
    X(OBJECT_VERSION, "objectVersion", FOR_ORG)                                                              \
    X(RANGE_UPPER, "rangeUpper", FOR_ORG)                                                                    \
    X(LOCKOUT_THRESHOLD, "lockoutThreshold", FOR_ORG)                                                        \
    X(SERIAL_NUMBER, "serialNumber", FOR_ORG)                                                                \
    X(VERSION_NUMBER, "versionNumber", FOR_ORG)                                                              \
    X(ROLES, "msExchCurrentServerRoles", FOR_ORG)                                                            \
    X(SERVER_SITE, "msExchServerSite", FOR_ORG)                                                              \
    X(NETWORK_ADDRESS, "networkAddress", FOR_ORG)                                                            \
    X(LEGACY_DN, "legacyExchangeDN", FOR_ORG | FOR_MAILBOX)                                                  \
    X(INSTALL_PATH, "msExchInstallPath", FOR_ORG)                                                            \
    X(DAG_LINK, "msExchMDBAvailabilityGroupLink", FOR_ORG)                                                   \
    X(INTERNAL_HOST, "msExchInternalHostName", FOR_ORG)                                                      \
    X(EXTERNAL_HOST, "msExchExternalHostName", FOR_ORG)                                                      \
    X(INTERNAL_AUTH, "msExchInternalAuthenticationMethods", FOR_ORG)                                         \
    X(EXTERNAL_AUTH, "msExchExternalAuthenticationMethods", FOR_ORG)                                         \
    X(MANAGEMENT_SETTINGS, "msExchManagementSettings", FOR_ORG)                                              \
    X(RPC_HTTP_FLAGS, "msExchRpcHttpFlags", FOR_ORG)                                                         \
    X(METABASE_PATH, "msExchMetabasePath", FOR_ORG)                                                          \
    X(URL, "url", FOR_ORG)                                                                                   \
    X(NLB_BYPASS, "msExchInternalNLBBypassHostName", FOR_ORG)                                                \
    X(URL_2003, "msExch2003Url", FOR_ORG)                                                                    \
    X(ENCRYPTION_REQUIRED, "msExchEncryptionRequired", FOR_ORG)                                              \
    X(KEYWORDS, "keywords", FOR_ORG)                                                                         \
    X(BINDING_INFORMATION, "serviceBindingInformation", FOR_ORG)                                             \
    X(OWNING_SERVER, "msExchOwningServer", FOR_ORG)                                                          \
    X(HOST_SERVER, "msExchHostServerLink", FOR_ORG)                                                          \
    X(USE_OAB, "msExchUseOAB", FOR_ORG)                                                                      \
    X(DOMAIN_NAME, "msExchAcceptedDomainName", FOR_ORG)                                                      \
    X(DOMAIN_FLAGS, "msExchAcceptedDomainFlags", FOR_ORG)                                                    \
    X(SITE_OBJECT, "siteObject", FOR_ORG)                                                                    \
    X(SITE_LIST, "siteList", FOR_ORG)                                                                        \
    X(COST, "cost", FOR_ORG)                                                                                 \
    X(EXCH_COST, "msExchCost", FOR_ORG)                                                                      \
    X(DNS_HOST_NAME, "dNSHostName", FOR_COMPUTER)                                                            \
    X(SPN, "servicePrincipalName", FOR_COMPUTER | FOR_OWNER)                                                 \
    X(ENCTYPES, "msDS-SupportedEncryptionTypes", FOR_COMPUTER | FOR_OWNER)                                   \
    X(PWD_LAST_SET, "pwdLastSet", FOR_COMPUTER | FOR_OWNER)                                                  \
    X(OS_VERSION, "operatingSystemVersion", FOR_COMPUTER)                                                    \
    X(SAM, "sAMAccountName", FOR_COMPUTER | FOR_MAILBOX | FOR_OWNER)                                         \
    X(UPN, "userPrincipalName", FOR_MAILBOX)                                                                 \
    X(MAIL, "mail", FOR_MAILBOX)                                                                             \
    X(PROXY_ADDRESSES, "proxyAddresses", FOR_MAILBOX)                                                        \
    X(HOME_MDB, "homeMDB", FOR_MAILBOX)                                                                      \
    X(HOME_SERVER, "msExchHomeServerName", FOR_MAILBOX)                                                      \
    X(MAILBOX_GUID, "msExchMailboxGuid", FOR_MAILBOX)                                                        \
    X(ACCOUNT_CONTROL, "userAccountControl", FOR_MAILBOX | FOR_OWNER)

enum attribute {
#define X(name, ldap, who) ATTRIBUTE_##name,
    ATTRIBUTE_MAP(X)
#undef X
        ATTRIBUTE_COUNT,
    ATTRIBUTE_EXTRA = ATTRIBUTE_COUNT, /* the one that the caller named (directory_attribute) */
    ATTRIBUTE_NONE
};

/* name, lDAPDisplayName; the object's classes become the OR of these bits, classes not listed leave no trace but CLASS_OTHER_VDIR */
#define CLASS_MAP(X)                                                                                         \
    X(ORGANIZATION, "msExchOrganizationContainer")                                                           \
    X(SERVER, "msExchExchangeServer")                                                                        \
    X(ARRAY, "msExchClientAccessArray")                                                                      \
    X(ARRAY_LEGACY, "msExchClientAccessArrayLegacy")                                                         \
    X(VDIR, "msExchVirtualDirectory")                                                                        \
    X(VDIR_OA, "msExchRpcHttpVirtualDirectory")                                                              \
    X(VDIR_OWA, "msExchOWAVirtualDirectory")                                                                 \
    X(VDIR_ECP, "msExchECPVirtualDirectory")                                                                 \
    X(VDIR_EWS, "msExchWebServicesVirtualDirectory")                                                         \
    X(VDIR_OAB, "msExchOABVirtualDirectory")                                                                 \
    X(VDIR_EAS, "msExchMobileVirtualDirectory")                                                              \
    X(VDIR_AUTODISCOVER, "msExchAutoDiscoverVirtualDirectory")                                               \
    X(VDIR_POWERSHELL, "msExchPowerShellVirtualDirectory")                                                   \
    X(VDIR_MAPI, "msExchMapiVirtualDirectory")                                                               \
    X(VDIR_PUSH, "msExchPushNotificationsVirtualDirectory")                                                  \
    X(RPC_CLIENT_ACCESS, "msExchProtocolCfgExchangeRpcService")                                              \
    X(SCP, "serviceConnectionPoint")                                                                         \
    X(MDB, "msExchMDB")                                                                                      \
    X(PRIVATE_MDB, "msExchPrivateMDB")                                                                       \
    X(PUBLIC_MDB, "msExchPublicMDB")                                                                         \
    X(MDB_COPY, "msExchMDBCopy")                                                                             \
    X(ACCEPTED_DOMAIN, "msExchAcceptedDomain")                                                               \
    X(SITE, "site")                                                                                          \
    X(SUBNET, "subnet")                                                                                      \
    X(SITE_LINK, "siteLink")                                                                                 \
    X(ATTRIBUTE_SCHEMA, "attributeSchema")                                                                   \
    X(DOMAIN, "domain")                                                                                      \
    X(CONTAINER, "container")                                                                                \
    X(COMPUTER, "computer")                                                                                  \
    X(USER, "user")

enum class_index {
#define X(name, ldap) CLASS_INDEX_##name,
    CLASS_MAP(X)
#undef X
        CLASS_INDEX_COUNT
};
enum {
#define X(name, ldap) CLASS_##name = 1 << CLASS_INDEX_##name,
    CLASS_MAP(X)
#undef X
};
_Static_assert(CLASS_INDEX_COUNT <= 31, "the class bits fit an int");

/* What the organisation is made of; attributeSchema is wanted for one object only, the version of the Exchange schema. */
#define CLASSES_OF_ORG                                                                                       \
    ((uint32_t)(CLASS_ORGANIZATION | CLASS_SERVER | CLASS_VDIR | CLASS_RPC_CLIENT_ACCESS | CLASS_SCP |       \
                CLASS_MDB | CLASS_MDB_COPY | CLASS_ACCEPTED_DOMAIN | CLASS_SITE | CLASS_SUBNET |             \
                CLASS_SITE_LINK | CLASS_ATTRIBUTE_SCHEMA | CLASS_DOMAIN))

struct entry_value {
    enum attribute attribute;
    bool cut; /* it was longer than ENTRY_VALUE_MAX */
    const char *data;
    size_t len;
};

struct entry {
    const char *dn; /* valid UTF-8, NUL-terminated, at most ENTRY_DN_MAX bytes */
    uint32_t classes;
    const struct entry_value *values;
    size_t n;
    uint64_t position; /* LDIF: byte offset of the dn line in the file */
    uint64_t line;     /* LDIF: its number, from 1; 0 over LDAP */
};

/* The attribute of that name without regard to case, options (";range=0-9") not included; ATTRIBUTE_NONE when it is not in the table. */
enum attribute attribute_find(const char *name, size_t len);
const char *attribute_name(enum attribute a);
unsigned attribute_wanted_by(enum attribute a);
/* 0 when it is not in the table. */
uint32_t class_find(const char *name, size_t len);

/* The first value; NULL when absent. */
const struct entry_value *entry_first(const struct entry *e, enum attribute a);
/* Copies the first value, made valid UTF-8 (control characters stay); false when absent, empty or longer than cap - 1. */
bool entry_text(const struct entry *e, enum attribute a, char *out, size_t cap);
/* Integer as AD writes it. False when absent; *bad when it is there and no integer. */
bool entry_int(const struct entry *e, enum attribute a, int64_t *out, bool *bad);

/* Appends the entry as LDIF: its classes of the table, then its values; ldif.h reads the same entry back. */
enum err entry_to_ldif(const struct entry *e, struct buf *out) MUST_CHECK;

#endif
