/*
 * Answers of Autodiscover: the POX form that Outlook reads (MS-OXDSCLI 2.2.4) and the one for devices (MS-ASCMD 2.2.1.1.4, "mobilesync").
 * A pure reader of hostile bytes, and what of the answer agrees with the directory.
 */
#ifndef CORE_PROBE_APP_POX_H
#define CORE_PROBE_APP_POX_H

#include "core/base/buf.h"
#include "core/model/evidence.h"
#include "core/model/org.h"

#define POX_MAX_PROTOCOLS 16

/* Settings of one Protocol element: name here, path below it. Type is an element (EXCH, EXPR, WEB) or, for MAPI/HTTP, an attribute. */
#define POX_PROTOCOL_MAP(X)                                                                                  \
    X(TYPE, "Type")                                                                                          \
    X(SERVER, "Server")                                                                                      \
    X(SERVER_VERSION, "ServerVersion")                                                                       \
    X(SSL, "SSL")                                                                                            \
    X(AUTH_PACKAGE, "AuthPackage")                                                                           \
    X(CERT_PRINCIPAL, "CertPrincipalName")                                                                   \
    X(AS_URL, "ASUrl")                                                                                       \
    X(EWS_URL, "EwsUrl")                                                                                     \
    X(OOF_URL, "OOFUrl")                                                                                     \
    X(OAB_URL, "OABUrl")                                                                                     \
    X(ECP_URL, "EcpUrl")                                                                                     \
    X(OWA_INTERNAL, "Internal/OWAUrl")                                                                       \
    X(OWA_EXTERNAL, "External/OWAUrl")                                                                       \
    X(STORE_INTERNAL, "MailStore/InternalUrl")                                                               \
    X(STORE_EXTERNAL, "MailStore/ExternalUrl")

enum pox_setting {
#define X(name, path) POX_##name,
    POX_PROTOCOL_MAP(X)
#undef X
        POX_SETTING_COUNT
};

struct pox_protocol {
    const char *settings[POX_SETTING_COUNT]; /* NULL: not there */
};

enum pox_kind {
    POX_SETTINGS, /* of a mailbox */
    POX_MOBILE,   /* of a device: mobile_url */
    POX_ERROR,
    POX_REDIRECT_ADDRESS,
    POX_REDIRECT_URL,
};

struct pox {
    struct arena arena;
    enum pox_kind kind;
    const char *error_code, *error_text; /* POX_ERROR; text may be NULL */
    const char *redirect;                /* POX_REDIRECT_*: an address or a URL, as the server wrote it */
    const char *display_name, *legacy_dn;
    const char *mobile_url;
    struct pox_protocol protocols[POX_MAX_PROTOCOLS];
    size_t n_protocols;
    bool cut; /* there were more */
};

/* ERR_INPUT: no XML, or XML that is no Autodiscover answer. On success *out is the caller's, for pox_fini(). */
enum err pox_parse(struct pox *out, const char *data, size_t len, struct errinfo *ei) MUST_CHECK;
void pox_fini(struct pox *x);
/* The first of a type ("EXCH", "EXPR", "WEB", "mapiHttp"); NULL. */
const struct pox_protocol *pox_protocol(const struct pox *x, const char *type);
/* The request for an address, mobile: in the devices' schema. */
enum err pox_request(struct buf *out, const char *address, bool mobile) MUST_CHECK;
/* What an error code of Autodiscover means; NULL when nothing is known. */
const char *pox_error_words(const char *code);

/*
 * Whether what one provider says agrees with the directory. org NULL: only what the answer says by itself. cert: the
 * certificate that answers under EXPR's server name, NULL unknown. The detail says what was found wrong, or the settings in short.
 */
enum outcome pox_judge_exch(const struct pox *x, const struct org *org, struct buf *detail);
enum outcome pox_judge_expr(const struct pox *x, const struct org *org, const struct certificate *cert,
                            struct buf *detail);
enum outcome pox_judge_web(const struct pox *x, const struct org *org, struct buf *detail);
enum outcome pox_judge_mobile(const struct pox *x, const struct org *org, struct buf *detail);

#endif
