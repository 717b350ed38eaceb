/*
 * The SSH transport's own header: one connection to one server, from the socket to the command's result. Each
 * function is straight-line and blocking for its caller; the session itself is non-blocking, so that every
 * wait ends at the deadline and can be interrupted. One connection belongs to one thread.
 */
#ifndef REMOTING_SSH_INT_H
#define REMOTING_SSH_INT_H

#include <libssh2.h>
#include <pthread.h>

#include "core/model/profile.h"
#include "core/transport.h"
#include "remoting/exec_output.h"
#include "remoting/kexinit.h"
#include "remoting/remoting.h"
#include "remoting/script.h"

#define SSH_USER_MAX       256   /* bytes; libssh2 1.10 trusts lengths too much */
#define SSH_LOGIN_MS       60000 /* from the first byte to being logged in */
#define SSH_AGENT_MAX_KEYS 5     /* tried; servers count every one (MaxAuthTries is 6) */

enum ssh_psrp_mode { /* objects over the subsystem "powershell": */
                     SSH_PSRP_NO,
                     SSH_PSRP_AUTO, /* where there is one, else a command line */
                     SSH_PSRP_YES,
};

enum ssh_new_host { SSH_NEW_HOST_REFUSE, SSH_NEW_HOST_ASK, SSH_NEW_HOST_ACCEPT };

struct ssh_settings { /* of one server; everything is borrowed */
    const char *user;
    const char *key;         /* file, or NULL: the agent */
    const char *known_hosts; /* file */
    const char *program;     /* or NULL */
    const struct secret *password, *passphrase;
    struct ssh_trials *trials; /* of the transport; ssh_trial.h */
    uint16_t port;
    enum ssh_psrp_mode psrp;
    enum ssh_new_host new_host;
};

struct ssh_conn {
    LIBSSH2_SESSION *session;
    int fd;
    const char *host; /* the server's full name */
    const struct stop *stop;
    int64_t login_deadline_ms; /* clock_mono_ms(); 0 once logged in */
    bool logged_in;
    bool hung_up; /* the server closed its end */
    bool peeking;
    uint8_t peek[KEXINIT_PEEK_MAX];
    size_t n_peek;
    /* for the keyboard-interactive callback, which libssh2 hands nothing but the session's pointer */
    const struct secret *password;
    unsigned questions, rounds;
};

/* ssh_conn.c. conn must outlive its session at the same address. host and stop are borrowed. own_fd: connected to host and port
   already, consumed also on error; -1: to be connected. */
enum err ssh_conn_open(struct ssh_conn *c, const struct profile *p, const char *host, uint16_t port,
                       int own_fd, const char *host_key_types, const struct stop *stop,
                       struct errinfo *ei) MUST_CHECK;
void ssh_conn_close(struct ssh_conn *c);
/* Waits for what libssh2 waits for. what: "logging in". */
enum err ssh_conn_wait(struct ssh_conn *c, const char *what, struct errinfo *ei) MUST_CHECK;
/* The error of a failed libssh2 call. */
enum err ssh_conn_error(struct ssh_conn *c, int rc, const char *what, struct errinfo *ei);

/* ssh_hostkey.c. The lock keeps the questions of several threads apart, and the file's writers. */
struct ssh_trust {
    remoting_ask_host_key *ask;
    void *arg;
    pthread_mutex_t lock;
};
/* Locks it, perhaps only after somebody has made up his mind about another server: that time is no part of the connection's time to
   log in, and who was told to end meanwhile goes without it. */
enum err ssh_trust_take(struct ssh_trust *trust, struct ssh_conn *c, struct errinfo *ei) MUST_CHECK;
/* The key types known for the host, in libssh2's list form, to be preferred; "" when none. */
enum err ssh_hostkey_types(const struct ssh_settings *s, const char *host, char *out, size_t cap,
                           struct errinfo *ei) MUST_CHECK;
enum err ssh_hostkey_check(struct ssh_conn *c, struct ssh_trust *trust, const struct ssh_settings *s,
                           struct errinfo *ei) MUST_CHECK;

/* ssh_auth.c */
enum err ssh_login(struct ssh_conn *c, const struct ssh_settings *s, struct errinfo *ei) MUST_CHECK;

/* ssh_exec.c. Whatever it returns, out says how far it came. */
enum err ssh_open_channel(struct ssh_conn *c, LIBSSH2_CHANNEL **out, struct errinfo *ei) MUST_CHECK;
enum err ssh_exec(struct ssh_conn *c, const struct script *script, struct exec_output *out,
                  struct errinfo *ei) MUST_CHECK;

/* ssh_psrp.c. out as transport.run has it. *absent, with an error: there is no PowerShell behind a subsystem; nothing was sent, another
   channel of the connection may be tried. */
enum err ssh_psrp(struct ssh_conn *c, const struct cmdlet *cmdlet, struct remote_result *out, bool *absent,
                  struct errinfo *ei) MUST_CHECK;

#endif
