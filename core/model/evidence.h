/*
 * Evidence: what was observed, when, by whom. A growing set of typed observations, filled by probes and by
 * readers (directory, IIS files, Kerberos), then read by rules as an immutable value.
 *
 * One struct observation is one fact about one server (or one namespace). Strings live in the set's arena.
 * Not thread-safe: probes return their own small sets, the owner merges them with evidence_merge().
 */
#ifndef CORE_MODEL_EVIDENCE_H
#define CORE_MODEL_EVIDENCE_H

#include "core/base/arena.h"
#include "core/base/vec.h"
#include "core/model/auth.h"
#include "core/model/org.h"

/* source names of cli.md */
enum evidence_source {
    EVIDENCE_DIRECTORY,
    EVIDENCE_WIRE,
    EVIDENCE_IIS,
    EVIDENCE_KERBEROS,
    EVIDENCE_HOST,
};
const char *evidence_source_name(enum evidence_source s);

enum observation_kind {
    OBSERVATION_STEP,      /* a probe step with nothing typed: dns, tcp, ... */
    OBSERVATION_CHALLENGE, /* anonymous request: status and offered schemes */
    OBSERVATION_TLS,       /* handshake and leaf certificate */
    OBSERVATION_TICKET,    /* Kerberos service ticket for a SPN */
    OBSERVATION_LOGON,     /* an authenticated request with one method */
    OBSERVATION_IIS,       /* authentication switches from applicationHost.config */
    OBSERVATION_BUILD,     /* exact build asked from the server itself */
    OBSERVATION_SPN,       /* an owner of a service name, or that it has none; by_name is the host */
};

/* Words of IIS (configuration reference): windowsAuthentication/providers, access@sslFlags, extendedProtection@tokenChecking and @flags. */
enum { IIS_PROVIDER_NEGOTIATE = 1, IIS_PROVIDER_NTLM = 2, IIS_PROVIDER_KERBEROS = 4, IIS_PROVIDER_OTHER = 8 };
enum {
    IIS_SSL = 8,
    IIS_SSL_NEGOTIATE_CERT = 32,
    IIS_SSL_REQUIRE_CERT = 64,
    IIS_SSL_MAP_CERT = 128,
    IIS_SSL_128 = 256
};
enum iis_token { IIS_TOKEN_NONE, IIS_TOKEN_ALLOW, IIS_TOKEN_REQUIRE };
enum {
    IIS_PROTECTION_PROXY = 1,
    IIS_PROTECTION_NO_SERVICE_NAME_CHECK = 2,
    IIS_PROTECTION_ALLOW_DOTLESS_SPN = 4,
    IIS_PROTECTION_PROXY_COHOSTING = 32
};

enum outcome {
    OUTCOME_OK,
    OUTCOME_FAILED, /* the step ran and the answer is bad */
    OUTCOME_ERROR,  /* the step could not be carried out (unreachable, timeout): the fact is unknown */
    OUTCOME_SKIPPED,
};
const char *outcome_name(enum outcome o);

enum { TLS_SSL_3_0 = 1, TLS_1_0 = 2, TLS_1_1 = 4, TLS_1_2 = 8, TLS_1_3 = 16 };
#define TLS_VERSIONS 5
/* By the number of its bit, as OpenSSL calls it: "SSLv3", "TLSv1" ... "TLSv1.3". */
const char *tls_version_name(unsigned bit);

struct certificate {
    const char *subject_cn, *issuer;
    const char **names; /* DNS SANs as written, then the CN when there are none */
    size_t n_names;
    int64_t not_before, not_after;
    const char *key_type; /* "RSA", "EC" */
    int key_bits;
    const char *signature_hash; /* "sha256" */
    const char *sha256;         /* fingerprint, lower-case hex */
    bool chain_ok;
    const char *chain_error; /* OpenSSL's words, NULL when chain_ok */
};

struct observation {
    enum observation_kind kind;
    enum evidence_source source;
    enum outcome outcome;
    const char *server; /* name as in the organisation; NULL for a namespace */
    const char *step;   /* "dns", "tcp", "tls", "certificate", "challenge", "ticket", "logon-basic", ... */
    enum protocol protocol; /* PROTOCOL_UNKNOWN when of no protocol */
    const char *subject;    /* URL, SPN, host name: what was asked */
    const char *by_name;    /* the name used: the server's own, or the namespace */
    const char *detail;     /* one line for people, safe to show; why on failure */
    int64_t at;             /* Unix seconds */
    int elapsed_ms;
    union {
        struct {
            int status;                            /* HTTP status, 0 when none */
            auth_set offered;                      /* from WWW-Authenticate */
            bool anonymous;                        /* 2xx without credentials */
            const char *server_header, *fe_server; /* Server, X-FEServer; NULL */
        } challenge;
        struct {
            const char *version, *cipher; /* "TLSv1.2" */
            struct certificate cert;
            bool name_ok; /* by_name is among the names */
            /* bit per version from SSL 3.0 (1) to TLS 1.3 (16): asked for on its own and answered, agreed to; 0: not tried */
            uint32_t versions_tried, versions_offered;
            bool asks_for_certificate, needs_certificate; /* a client certificate */
        } tls;
        struct {
            int etype, kvno;
            int64_t end_time;
            int error; /* RFC 4120 error code, 0 */
        } ticket;
        struct {
            const char *method; /* "basic", "negotiate" */
            const char *user;
            int status;
        } logon;
        struct {
            const char *path; /* "Default Web Site/Rpc" */
            bool anonymous, basic, windows, digest;
            bool has_providers;        /* of Windows authentication */
            uint32_t providers;        /* IIS_PROVIDER_* */
            uint32_t ssl_flags;        /* IIS_SSL_* */
            enum iis_token token;      /* Extended Protection's tokenChecking */
            uint32_t protection_flags; /* IIS_PROTECTION_* */
            bool ip_filtered;          /* only listed addresses get in */
        } iis;
        struct {
            const char *spn; /* as the account has it: "http/mail.contoso.lab"; NULL: nobody owns it */
            const char *dn, *account;
            bool is_computer,
                is_alias; /* alias: HOST/<name>, which serves HTTP where nobody has http/<name> */
            bool is_disabled, has_enctypes;
            bool
                is_partial; /* of another domain, from the global catalogue: what follows may be absent there only */
            bool whole_forest; /* the search saw every domain */
            uint32_t enctypes; /* msDS-SupportedEncryptionTypes, with USE_DES_KEY_ONLY as its DES bits */
            int64_t pwd_last_set;
            const char **others; /* further SPNs of the account that tell what it is for */
            size_t n_others;
        } spn;
        struct {
            struct version version;
        } build;
    } u;
};

struct evidence {
    struct arena arena;
    VEC(struct observation) items;
    struct { /* chains of the first n items by server, made by evidence_merge(): private */
        uint32_t *heads, *next;
        size_t n_heads, n, cap;
    } by_server;
};

/* limit: bytes of strings. Nothing is allocated before the first add. */
void evidence_init(struct evidence *e, size_t limit);
void evidence_fini(struct evidence *e);
/* A zeroed observation (protocol unknown, outcome skipped) at the end of the set, time stamped; NULL past the limit.
   Fill its strings with arena_str(&e->arena, ...). The pointer holds until the next add or merge. */
struct observation *evidence_add(struct evidence *e, enum observation_kind kind, enum evidence_source source);
/* Copies everything of src, strings too. A newer observation of the same kind, server, step, protocol, subject and by_name
   replaces an older one. Strings of what was replaced are dropped when room is needed, so pointers into dst hold until the
   next merge only. On an error what was merged so far stays. */
enum err evidence_merge(struct evidence *dst, const struct evidence *src) MUST_CHECK;
/* Newest observation that matches (of equally old ones the one added last); server NULL matches any, protocol
   PROTOCOL_UNKNOWN any, step NULL any. Any number of threads may read a set that nobody changes. */
const struct observation *evidence_find(const struct evidence *e, enum observation_kind kind,
                                        const char *server, enum protocol protocol, const char *step);

#endif
