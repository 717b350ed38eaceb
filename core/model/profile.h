/*
 * A profile: everything a run needs to know that is not in the directory. Read from the configuration file (cli.md),
 * overridden by options; then immutable and shared by all threads.
 */
#ifndef CORE_MODEL_PROFILE_H
#define CORE_MODEL_PROFILE_H

#include "core/base/hostmap.h"
#include "core/base/secret.h"
#include "core/model/version.h"

/* Every key of a profile: name, kind, in a per-server section too, help. Kinds: STRING, PORT, BOOL, INT, SECRET (a reference).
   One list gives the struct, the reader, the error for an unknown key and the manual page. */
#define PROFILE_MAP(X)                                                                                       \
    X(source, STRING, 0, "as --source")                                                                      \
    X(controllers, STRING, 0,                                                                                \
      "other domain controllers to ask whether a change has reached them, separated by commas; none")        \
    X(target, STRING, 0, "the version being introduced: 2013, 2016, 2019, se")                               \
    X(namespace, STRING, 0, "the name clients use, several separated by commas")                             \
    X(legacy_namespace, STRING, 0, "the name left to Exchange 2007")                                         \
    X(trust, STRING, 1, "PEM file of authorities besides the system's")                                      \
    X(read_only, BOOL, 0, "refuse every change")                                                             \
    X(via, STRING, 1, "apply and exec: ssh, winrm, psrp; else by version and what answers")                  \
    X(ldap_user, STRING, 0, "DN for a simple bind (TLS or loopback only)")                                   \
    X(ldap_password, SECRET, 0, "its password")                                                              \
    X(ssh_user, STRING, 1, "user on the servers")                                                            \
    X(ssh_key, STRING, 1, "private key file; else the agent")                                                \
    X(ssh_key_passphrase, SECRET, 1, "passphrase of ssh_key")                                                \
    X(ssh_password, SECRET, 1, "password, also for keyboard-interactive")                                    \
    X(ssh_port, PORT, 1, "port, 22 when absent")                                                             \
    X(ssh_known_hosts, STRING, 1, "known_hosts file; default ~/.ssh/known_hosts")                            \
    X(ssh_new_host, STRING, 1,                                                                               \
      "a server that ssh_known_hosts does not have: refuse (default), ask, accept; what is taken is "        \
      "remembered")                                                                                          \
    X(ssh_command, STRING, 1, "the PowerShell to start, powershell when absent")                             \
    X(ssh_psrp, STRING, 1, "objects through the SSH subsystem powershell: no (default), auto, yes")          \
    X(winrm_url, STRING, 1, "http://{fqdn}:5985/wsman")                                                      \
    X(winrm_auth, STRING, 1, "negotiate, kerberos, ntlm, basic (TLS only), none (loopback only)")            \
    X(winrm_user, STRING, 1, "user; not needed with a ticket")                                               \
    X(winrm_password, SECRET, 1, "its password")                                                             \
    X(winrm_spn, STRING, 1, "service name to ask a ticket for, HTTP/{fqdn} when absent")                     \
    X(winrm_redirect, BOOL, 0, "go where a server sends us, within the domain; no when absent")              \
    X(psrp_url, STRING, 1, "http://{fqdn}/PowerShell/")                                                      \
    X(psrp_configuration, STRING, 1, "Microsoft.Exchange")                                                   \
    X(store, STRING, 0, "sqlite:FILE or postgresql://...")                                                   \
    X(store_password, SECRET, 0, "of a store on PostgreSQL; else PGPASSFILE or ~/.pgpass")                   \
    X(krb5_config, STRING, 0, "krb5.conf to use instead of the system's")                                    \
    X(krb5_ccache, STRING, 0, "credential cache to use")                                                     \
    X(krb5_principal, STRING, 0, "log in as this principal with krb5_keytab")                                \
    X(krb5_keytab, STRING, 0, "keytab of krb5_principal")                                                    \
    X(engine_principal, STRING, 0,                                                                           \
      "who the proxy engine is with --upstream-auth keytab: the new CAS's machine account")                  \
    X(engine_keytab, STRING, 0, "its keytab")                                                                \
    X(probe_user, STRING, 0,                                                                                 \
      "mailbox that the console logs on as when it asks one server; with probe_password")                    \
    X(probe_password, SECRET, 0, "password of the test user of probe --user; else only the ticket is used")  \
    X(poll_interval, INT, 0,                                                                                 \
      "seconds between two readings of the directory by the servers' RpcHttpConfigurator, 900")              \
    X(parallel, INT, 0, "hosts at once, 32")                                                                 \
    X(theme, STRING, 0, "theme of the console")

enum profile_key {
#define X(key, kind, server, help) PROFILE_##key,
    PROFILE_MAP(X)
#undef X
        PROFILE_KEY_COUNT
};

struct profile_server { /* section [PROFILE server NAME] */
    char *name;
    char *values[PROFILE_KEY_COUNT];
};

struct profile {
    char *name;                      /* section; NULL when none was chosen */
    char *file;                      /* where it came from; NULL */
    char *values[PROFILE_KEY_COUNT]; /* NULL: not set */
    struct hostmap hosts;
    VEC(struct profile_server) servers;
};

/* The value for a server (its own section first) or, with server NULL, of the profile. NULL when not set. Borrowed. */
const char *profile_get(const struct profile *p, enum profile_key key, const char *server);
bool profile_flag(const struct profile *p, enum profile_key key, bool otherwise);
int profile_int(const struct profile *p, enum profile_key key, int otherwise);
uint16_t profile_port(const struct profile *p, enum profile_key key, const char *server, uint16_t otherwise);
/* Overrides (options of the command line). Checked like the file. */
enum err profile_set(struct profile *p, enum profile_key key, const char *value,
                     struct errinfo *ei) MUST_CHECK;

/*
 * Reads section `name` of `file` (NULL: the only profile, or the one called "default"; an absent default file is an empty profile).
 * Errors name file and line: unknown key, bad value, no such section (with what was probably meant), a file readable by others
 * that names a secret in the clear or by file: (ERR_CONFIG), a SECRET that is no reference.
 */
enum err profile_load(struct profile *out, const char *file, const char *name, struct errinfo *ei) MUST_CHECK;
void profile_fini(struct profile *p);
/* Namespaces of the profile split at commas, trimmed; i-th or NULL. Copies into out. */
bool profile_namespace(const struct profile *p, size_t i, char *out, size_t cap);

#endif
