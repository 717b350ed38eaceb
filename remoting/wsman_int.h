/*
 * Inside the WS-Management client only: who we are, one session, and the way of one message.
 */
#ifndef REMOTING_WSMAN_INT_H
#define REMOTING_WSMAN_INT_H

#include <pthread.h>

#include "remoting/conv.h"
#include "remoting/soap.h"
#include "remoting/wsman.h"
#include "remoting/wsman_http.h"

#define WSMAN_WAITS_MAX     3      /* times that a throttled request is asked again */
#define WSMAN_WAIT_MAX_MS   300000 /* a longer one is only told */
#define WSMAN_REDIRECTS_MAX 3
#define WSMAN_RENEW_S       300 /* a ticket that ends sooner is renewed first */
#define WSMAN_ENVELOPE_MAX  ((size_t)4 << 20)

enum wsman_auth {
    WSMAN_AUTH_NEGOTIATE,
    WSMAN_AUTH_KERBEROS,
    WSMAN_AUTH_NTLM,
    WSMAN_AUTH_BASIC,
    WSMAN_AUTH_NONE
};

/* One user with one password or ticket, on one server or on all. */
struct wsman_identity {
    const char *server; /* NULL: those without one of their own */
    const char *user;   /* NULL: the ticket's */
    enum wsman_auth auth;
    struct secret password;
    pthread_mutex_t lock; /* guards what follows */
    bool busy; /* one session asks a KDC or offers the password, the others wait for what becomes of that */
    pthread_cond_t told; /* busy has ended */
    struct krb_login *login;
    struct errinfo silent; /* what was said of a KDC that did not answer */
    int64_t silent_until;  /* clock_mono_ms() */
    bool no_kerberos;      /* negotiate with a password that no KDC can be asked about: NTLM */
    bool accepted, rejected;
};

struct wsman_access {
    const struct profile *profile;
    bool redirect;
    struct wsman_identity **identities; /* the profile's own first */
    size_t n;
};
struct wsman_identity *wsman_identity_find(struct wsman_access *a, const char *server);
/* The Kerberos login, made or renewed; *out NULL: use NTLM. One more owner. */
enum err wsman_identity_login(struct wsman_identity *id, const struct stop *stop, struct krb_login **out,
                              struct errinfo *ei) MUST_CHECK;

/* wsman_kdc.c: what may ask a KDC, until stop. old NULL: a login by user and password (NULL: the ticket at hand) into *out; else old
   is refreshed. The first step of a conversation with Kerberos; *conv NULL when it was left behind. */
enum err wsman_kdc_login(struct krb_login **out, struct krb_login *old, const char *user,
                         const struct secret *password, const struct stop *stop,
                         struct errinfo *ei) MUST_CHECK;
enum err wsman_kdc_step(struct conv **conv, struct buf *token, const struct stop *stop,
                        struct errinfo *ei) MUST_CHECK;

/* A password that one server refused and none has taken is offered to no other: each try counts towards a lock-out. */
enum err wsman_identity_may_try(struct wsman_identity *id, struct errinfo *ei) MUST_CHECK;

struct wsman {
    struct wsman_access *access;
    struct wsman_identity *identity;
    const struct stop *stop;
    struct wsman_url url;
    struct wsman_http *http;
    struct conv *conv; /* of this connection; NULL: not logged in, or nothing to seal with */
    bool ntlm;         /* Kerberos is of no use here: the server has no such service name */
    char server[256], fqdn[256], spn[320], peer[300], session_id[SOAP_UUID_MAX];
    char resource[256], shell_id[WSMAN_ID_MAX];
    size_t max_envelope;
    size_t server_takes; /* bytes of an envelope by the server's own word; 0: it does not say */
    int timeout_s;
    bool open, unknown, tidying, lost_answer, asked; /* asked: what the server takes */
    bool kept;     /* the connection of an earlier run, not yet used by this one */
    bool on_trial; /* identity->busy is ours */
    struct stop tidy;
    struct wsman_fault fault;
    struct wsman_answer answer;
    struct buf envelope, body, plain;
};

/*
 * Before a password itself is offered. Until one server has taken it, one session at a time may: thirty that start at once would be
 * thirty failed logins, where the domain locks the account after five. Waits for its turn, stop ends that.
 */
enum err wsman_trial_begin(struct wsman *w, const struct stop *stop, struct errinfo *ei) MUST_CHECK;
enum wsman_verdict { WSMAN_UNTOLD, WSMAN_ACCEPTED, WSMAN_REJECTED };
/* What became of it; the next may go on. UNTOLD: nobody has looked at it. Also without a trial of our own. */
void wsman_trial_end(struct wsman *w, enum wsman_verdict verdict);

/* wsman_login.c: a connection that is logged in, over whatever there was. */
enum err wsman_login(struct wsman *w, const struct stop *stop, struct errinfo *ei) MUST_CHECK;
/* Adds the Authorization of every request (Basic); none for the others once logged in. */
enum err wsman_authorize(void *wsman, X509 *peer, struct buf *out, struct errinfo *ei);

/* wsman_exchange.c */
struct wsman_call { /* one operation's arguments; those of its kind are set */
    enum soap_op op;
    const struct wsman_shell *shell;
    const struct wsman_command *command;
    const char *id, *streams; /* of Get: the element, the resource */
    const struct wsman_option *options;
    size_t n_options;
    const void *data;
    size_t len;
    bool end, of_shell;
    enum wsman_signal signal;
    struct wsman_output *output;
};
/* Sends, once for what changes something, and reads the answer. A fault is ERR_OK with reply->is_fault and w->fault. */
enum err wsman_exchange(struct wsman *w, const struct wsman_call *call, struct soap_reply *reply,
                        struct errinfo *ei) MUST_CHECK;
/* An answer without an envelope as the session's fault: its status, and where it sends us. */
void wsman_note_status(struct wsman *w);
/* The envelope of a call into w->envelope (emptied first). */
enum err wsman_write(struct wsman *w, const struct wsman_call *call, const char *message_id,
                     struct errinfo *ei) MUST_CHECK;

#endif
