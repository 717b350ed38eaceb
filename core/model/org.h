/*
 * The organisation: what the directory says. An immutable value in one arena; every pointer in it is
 * borrowed and lives as long as the struct org. All strings are valid UTF-8 as read (control characters are
 * NOT removed: use str_show before they reach a person). Built by core/directory only.
 *
 * Absent is not false: every value that the directory may leave out is NULL, TRI_UNKNOWN or has a has_ flag.
 */
#ifndef CORE_MODEL_ORG_H
#define CORE_MODEL_ORG_H

#include "core/base/arena.h"
#include "core/model/auth.h"
#include "core/model/version.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name, JSON and command-line name (cli.md), path, words for people */
#define PROTOCOL_MAP(X)                                                                                      \
    X(OA, "oa", "/rpc/rpcproxy.dll", "Outlook Anywhere")                                                     \
    X(MAPI, "mapi", "/mapi/", "MAPI/HTTP")                                                                   \
    X(OWA, "owa", "/owa/", "Outlook Web App")                                                                \
    X(ECP, "ecp", "/ecp/", "Exchange Control Panel")                                                         \
    X(EWS, "ews", "/EWS/Exchange.asmx", "Exchange Web Services")                                             \
    X(EAS, "eas", "/Microsoft-Server-ActiveSync", "Exchange ActiveSync")                                     \
    X(OAB, "oab", "/OAB/", "Offline Address Book")                                                           \
    X(AUTODISCOVER, "autodiscover", "/Autodiscover/Autodiscover.xml", "Autodiscover")                        \
    X(POWERSHELL, "powershell", "/PowerShell/", "Remote PowerShell")                                         \
    X(POP, "pop", "-", "POP3")                                                                               \
    X(IMAP, "imap", "-", "IMAP4")

enum protocol {
#define X(name, id, path, words) PROTOCOL_##name,
    PROTOCOL_MAP(X)
#undef X
        PROTOCOL_COUNT,
    PROTOCOL_UNKNOWN = PROTOCOL_COUNT
};
const char *protocol_id(enum protocol p);
const char *protocol_path(enum protocol p);
const char *protocol_words(enum protocol p);
bool protocol_from_id(const char *s, enum protocol *p);

enum tri { TRI_UNKNOWN = -1, TRI_NO = 0, TRI_YES = 1 };

/* msExchCurrentServerRoles */
enum role {
    ROLE_CAFE = 1, /* 2013+ Client Access front end */
    ROLE_MAILBOX = 2,
    ROLE_CLIENT_ACCESS = 4, /* 2007/2010; 2013+: the back end on a mailbox server */
    ROLE_UM = 16,
    ROLE_HUB = 32,
    ROLE_EDGE = 64,
    ROLE_FRONTEND_TRANSPORT = 16384
};

struct server;

struct site {
    const char *name, *dn;
    const char **subnets;
    size_t n_subnets;
    const struct server **servers; /* by name */
    size_t n_servers;
    bool internet_facing; /* a CAS in it publishes an external URL or external host name (cli.md) */
};

struct site_link {
    const char *name;
    const struct site **sites;
    size_t n_sites;
    int cost; /* msExchCost where set, else cost; 100 when neither */
};

struct vdir {
    const char *dn;
    const char *name;    /* "Rpc (Default Web Site)" */
    const char *website; /* "Default Web Site"; NULL when the name has no parentheses */
    enum protocol protocol;
    bool back_end; /* web site "Exchange Back End" */
    const struct server *server;
    const char *internal_url,
        *external_url; /* OA: external_url made from the host name and its scheme, internal_url only 2013+ */
    const char *internal_hostname, *external_hostname; /* OA only: bare host, lower case as written */
    enum tri external_ssl, internal_ssl;               /* OA: the scheme, TRI_UNKNOWN for a bare host */
    bool has_iis_auth, has_client_auth;
    auth_set iis_auth;             /* msExchInternalAuthenticationMethods */
    auth_set client_auth;          /* msExchExternalAuthenticationMethods */
    bool has_internal_client_auth; /* OA 2013+, msExchManagementSettings (ordinal in AD) */
    auth_set internal_client_auth;
    int64_t iis_auth_raw; /* the attribute as read, for preconditions; valid with has_iis_auth */
    int64_t client_auth_raw;
    enum tri ssl_offloading; /* OA: msExchRpcHttpFlags bit 1 */
    const char *metabase_path;
    const char *xrop_url;
    const char *exchange2003_url;
    const char *nlb_bypass_url; /* EWS: InternalNLBBypassUrl */
    /* EWS: has it one? The attribute's name is assumed (routing.md 12.11): UNKNOWN when nothing in the organisation has it */
    enum tri nlb_bypass;
    int64_t changed_at; /* whenChanged, Unix seconds; 0 when not there */
};

struct server {
    const char *name, *fqdn, *dn, *legacy_dn; /* fqdn NULL when networkAddress has no ncacn_ip_tcp value */
    const struct site *site;                  /* NULL: no site, or a site that is not there */
    const char *site_dn;                      /* as read, NULL when absent */
    bool has_version;
    struct version version;
    enum generation generation;
    const char *product;
    uint32_t roles;
    const struct vdir **vdirs; /* by protocol, then name */
    size_t n_vdirs;
    const char *computer_dn; /* computer account in the same forest, NULL when not found */
    const char **spns;       /* servicePrincipalName of it */
    size_t n_spns;
    bool has_enctypes;
    uint32_t enctypes;    /* msDS-SupportedEncryptionTypes */
    int64_t pwd_last_set; /* Unix seconds, 0 unknown */
    const char
        *install_path; /* msExchInstallPath: "C:\\Program Files\\Microsoft\\Exchange Server\\V14"; NULL */
    const char *os_version;     /* operatingSystemVersion "6.1 (7601)" */
    enum tri rpc_encryption;    /* msExchEncryptionRequired; TRI_UNKNOWN when absent */
    bool has_rpc_client_access; /* a RpcClientAccess object exists */
    const char *dag_dn;
    int64_t changed_at;
};

struct database {
    const char *name, *dn;
    const struct server *owner;
    const struct server **servers; /* copies, the owner among them */
    size_t n_servers;
    const char *rpc_client_access_server; /* server part of legacyExchangeDN: a server or a CAS array; NULL */
    const char *oab_dn;
    bool is_public;
};

struct scp {
    const char *dn, *url;
    const char *server_name;
    const struct server *server; /* NULL when the server is not there any more */
    const char **sites;          /* Site= keywords */
    size_t n_sites;
    bool is_pointer; /* serviceBindingInformation is an LDAP:// pointer */
};

struct cas_array {
    const char *name, *fqdn, *dn;
    const struct site *site;
};

struct accepted_domain {
    const char *name;
    bool is_default;
};

/* Something in the directory that could not be understood: shown, never swallowed. */
struct org_note {
    const char *subject; /* DN or server name */
    const char *text;
};

struct org {
    struct arena arena;
    const char *name, *dn;
    const char *domain; /* "contoso.lab" of the forest root */
    const char *default_naming_context, *config_naming_context, *root_naming_context;
    const char *source;     /* "ldap://dc1.contoso.lab" */
    const char *controller; /* the DC that was read, NULL offline */
    int64_t taken_at;
    bool has_object_version;
    int64_t object_version;    /* of the organisation */
    int64_t schema_version;    /* rangeUpper, 0 unknown */
    int64_t lockout_threshold; /* lockoutThreshold of the domain; -1 unknown, 0 never locks */
    struct site *sites;
    size_t n_sites;
    struct site_link *links;
    size_t n_links;
    struct server *servers; /* by name */
    size_t n_servers;
    struct vdir *vdirs;
    size_t n_vdirs;
    struct database *databases;
    size_t n_databases;
    struct scp *scps;
    size_t n_scps;
    struct cas_array *arrays;
    size_t n_arrays;
    struct accepted_domain *domains;
    size_t n_domains;
    struct org_note *notes;
    size_t n_notes;
};

/* NULL is fine; sets *org to NULL. */
void org_free(struct org **org);

const struct site *org_site(const struct org *org, const char *name);
/* By short name or FQDN, without regard to case. NULL when absent. */
const struct server *org_server(const struct org *org, const char *name);
const struct server *org_server_by_legacy_dn(const struct org *org, const char *legacy_dn);
const struct database *org_database_by_dn(const struct org *org, const char *dn);
const struct vdir *server_vdir(const struct server *s,
                               enum protocol p); /* front end; first of several; NULL */
/* The newest generation among the servers; GENERATION_UNKNOWN when none is known. */
enum generation org_newest(const struct org *org);

/* Clients talk to it: 2007/2010 ClientAccess bit, 2013+ Cafe bit, on 2016+ every mailbox server too. */
bool server_is_cas(const struct server *s);
bool server_is_legacy_cas(const struct server *s);
bool server_is_mailbox(const struct server *s);
/* A CAS of this server publishes an external URL or host name. */
bool server_is_published(const struct server *s);

/* The host part of an URL or of "host", "host/rpc", "host:443"; false when there is none. scheme: TRI_YES for https. */
bool url_host(const char *url, char *out, size_t cap, enum tri *https, uint16_t *port);

/* DNs compare normalised (RFC 4514): attribute types and values without case, spaces around = and , ignored, escapes resolved. */
bool dn_equal(const char *a, const char *b);
bool dn_is_below(const char *dn, const char *ancestor); /* true for equal as well */
/* First value of the RDN ("CN=Rpc \(x\),CN=HTTP" -> "Rpc (x)"). False when it does not fit or is no DN. */
bool dn_rdn(const char *dn, char *out, size_t cap);
/* The DN one level up; NULL at the end. Borrowed from dn. */
const char *dn_parent(const char *dn);
/* The domain an account is in: from its first DC= on; NULL when there is none. A domain below another has a DN below the other's. Borrowed. */
const char *dn_domain(const char *dn);
/* A normalised key for hashing; lower case. */
enum err dn_normalise(struct buf *out, const char *dn) MUST_CHECK;

struct mailbox {
    char user[256]; /* userPrincipalName, or mail when there is none */
    char sam[256];  /* sAMAccountName */
    char mail[256]; /* primary SMTP */
    char legacy_dn[512];
    char guid[37]; /* msExchMailboxGuid, "xxxxxxxx-...", "" when absent */
    char dn[1024];
    const struct database *database; /* NULL: homeMDB names none we know */
    const struct server *server;     /* owner of the database, else msExchHomeServerName */
    enum generation generation;      /* of that server */
    const struct site *site;
    bool is_disabled; /* userAccountControl bit 2 */
};

#endif
