/*
 * The audit of service names: namespaces and servers against the accounts that own HTTP/name, and the tickets made for them.
 *
 * spn_audit() is a pure function over an organisation and evidence (OBSERVATION_SPN of core/directory/spn.h, OBSERVATION_TICKET);
 * spn_gather() is what fetches that evidence. What the directory cannot prove is said as a guess: the alternate service account's
 * credential lies in the registry of each CAS, not in the directory (directory.md 12).
 *
 * Sources: [MS-ADTS] sPNMappings (HOST serves HTTP), [MS-KILE] 2.2.7 (encryption types), routing.md 5, migration.md 6 (5, 5c), G16.
 */
#ifndef CORE_AUDIT_SPN_H
#define CORE_AUDIT_SPN_H

#include "core/kerberos/kerberos.h"
#include "core/model/evidence.h"

enum spn_state {
    SPN_UNKNOWN,   /* nobody looked */
    SPN_OK,        /* one account, and one that makes sense */
    SPN_ALIAS,     /* nobody has http/name: HOST/name of the server's own account serves */
    SPN_MISSING,   /* nobody: no ticket */
    SPN_DUPLICATE, /* several accounts: no ticket, or one that nobody can read */
    SPN_FOREIGN,   /* a server's name on an account that is not its own */
};
const char *spn_state_name(enum spn_state s); /* "ok", "host-alias", ... */

/* What is wrong or remarkable about an account or a ticket. */
enum {
    SPN_DISABLED = 1, /* the account is disabled: no ticket */
    SPN_RC4_ONLY = 2,
    SPN_DES = 4, /* DES allowed, or DES only */
    SPN_NO_AES = 8,
    SPN_ETYPES_UNSET = 16, /* no msDS-SupportedEncryptionTypes: the KDC's default, RC4 as a rule */
    SPN_OLD_PASSWORD = 32, /* not set for SPN_PASSWORD_DAYS */
    SPN_NO_TICKET = 64,    /* the KDC refuses one */
    SPN_WEAK_TICKET = 128,
    SPN_ONE_SERVER = 256, /* a namespace of several servers on the account of one of them */
};
/* Of these the first make the exit code 1; old passwords and unset types alone do not. */
#define SPN_BAD           (SPN_DISABLED | SPN_RC4_ONLY | SPN_DES | SPN_NO_AES | SPN_NO_TICKET | SPN_WEAK_TICKET)
#define SPN_PASSWORD_DAYS 365
const char *spn_problem_words(int one);

struct spn_account {
    const char *dn, *account;    /* account: sAMAccountName, NULL when it was not readable */
    const struct server *server; /* whose computer account it is; NULL */
    bool is_computer, is_partial, has_enctypes;
    uint32_t enctypes;
    int64_t pwd_last_set;
    int problems;       /* SPN_*: of the account */
    bool is_guess;      /* may be an alternate service account */
    const char *why[6]; /* reasons for the guess */
    size_t n_why;
    const char *const *others; /* Exchange's and web names on it besides */
    size_t n_others;
};

struct spn_owner {
    const struct spn_account *account;
    const char *spn; /* as written */
    bool is_alias;   /* HOST/name: counts only where nobody has http/name */
};

struct spn_row {
    const char *name;            /* host */
    const struct server *server; /* NULL: a namespace */
    enum spn_state state;
    struct spn_owner *owners; /* those with http/ first */
    size_t n_owners;
    int problems;                     /* of the ticket and of the accounts that count */
    const struct observation *ticket; /* newest; NULL */
    const char *advice;               /* one sentence; NULL when nothing is wrong */
};

/* A command for an Active Directory admin to read and run: casbridge never does. */
struct spn_command {
    const char *text; /* "setspn -D http/mail CONTOSO\\X$"; or "rem ..." where only a person can choose */
    const char *because;
};

struct spn_audit {
    struct arena arena;
    bool whole_forest;    /* of every look-up */
    bool looked;          /* somebody looked at all */
    int64_t at;           /* of the oldest look-up */
    struct spn_row *rows; /* namespaces first, then servers in the organisation's order */
    size_t n_rows;
    struct spn_account *accounts; /* each owner once, by DN */
    size_t n_accounts;
    struct spn_command *commands;
    size_t n_commands;
};

struct spn_input {
    const struct org *org;
    const struct evidence *evidence;
    const char *const *namespaces;
    size_t n_namespaces;
    int64_t now;
};
/* Everything in out is borrowed from in, or lives in out->arena: in must outlive it. */
enum err spn_audit(const struct spn_input *in, struct spn_audit *out, struct errinfo *ei) MUST_CHECK;
void spn_audit_fini(struct spn_audit *a);
bool spn_row_is_bad(const struct spn_row *r);
/* "aes256, aes128, rc4"; "not set". */
enum err spn_enctypes_text(struct buf *out, bool known, uint32_t enctypes);

/* ---- gathering */

struct directory;
struct spn_host;
#define SPN_MAX_NAMESPACES 16
#define SPN_NAME_MAX       256

/* Namespaces: those of the profile, then every external name that Outlook Anywhere, a virtual directory or an SCP publishes and that is no
   server's own. */
size_t spn_namespaces(const struct profile *p, const struct org *org,
                      char out[static SPN_MAX_NAMESPACES][SPN_NAME_MAX]);
/* Owners of all of them and of every CAS. */
enum err spn_gather_owners(struct directory *d, const struct org *org, const char *const *namespaces,
                           size_t n, struct evidence *e, const struct stop *stop,
                           struct errinfo *ei) MUST_CHECK;
/* A ticket for each name, one after the other (the KDC answers in milliseconds): servers too when with_servers. What the KDC refuses is evidence. */
enum err spn_gather_tickets(struct krb_login *login, const struct org *org, const char *const *namespaces,
                            size_t n, bool with_servers, struct evidence *e, const struct stop *stop,
                            struct errinfo *ei) MUST_CHECK;
/* What a check that probes wants to know about names, in one call: owners from source (as directory_open() takes it), a ticket (login NULL:
   none) and the certificate that answers for each namespace. What cannot be found out is logged and stays unknown. ERR_INTERRUPTED only. */
enum err spn_gather(const struct profile *p, const char *source, const struct org *org,
                    struct krb_login *login, struct evidence *e, const struct stop *stop,
                    struct errinfo *ei) MUST_CHECK;

#endif
