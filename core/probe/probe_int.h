/*
 * Inside core/probe only: one server being probed, and the steps.
 */
#ifndef CORE_PROBE_PROBE_INT_H
#define CORE_PROBE_PROBE_INT_H

#include "core/probe/budget.h"
#include "core/probe/certificate.h"
#include "core/probe/http.h"
#include "core/probe/logon.h"
#include "core/probe/probe.h"
#include "core/probe/reach.h"
#include "core/probe/tls.h"

#include <pthread.h>

#define PROBE_TIMEOUT_MS     15000
#define PROBE_PARALLEL       32
#define PROBE_EVIDENCE_MAX   ((size_t)4 << 20) /* of one server */
#define PROBE_MAX_NAMESPACES 8
#define PROBE_NAME_MAX       256
#define PROBE_PORT           443
#define PROBE_DEAD_MAX       8

/* What all servers of a run share; read by many threads. */
struct prober {
    const struct profile *profile;
    const struct org *org; /* NULL for a single challenge */
    struct probe_request req;
    SSL_CTX *tls; /* NULL: the profile's trust could not be read, see trust_error */
    struct errinfo trust_error;
    struct logon_budget *budget;  /* of the test user and whoever else is tried with a password */
    struct krb_login *user_login; /* the test user's ticket, owned; NULL: none, see no_user_login */
    char no_user_login[320];      /* why not, for the steps that would need it; "" */
    char no_password[320];        /* why the password is shown to no server; "" */
    /* Domains whose KDC did not answer once: their other servers need not wait for it too. */
    pthread_mutex_t lock;
    char dead[PROBE_DEAD_MAX][PROBE_NAME_MAX];
    size_t n_dead;
    bool ways_asked; /* Autodiscover's ways by the domain, once a run; under lock */
    /* Under lock: the KDC or a server took the password; attempts that ended in neither a refusal nor a page. */
    bool password_good;
    unsigned unsettled;
};

struct target {
    struct prober *prober;
    const struct server *server;
    const char *fqdn;
    struct evidence *e;
    const struct stop *stop;
    struct reach reach;
    size_t which; /* the address that answered */
    int fd;       /* the connection of the tcp step, -1 when used */
    bool reached;
    char unreached[400]; /* why not, for the steps that need the wire */
    unsigned char binding[CERTIFICATE_BINDING_MAX];
    size_t binding_len;
    /* Why the password itself may not be sent: whoever holds the certificate is not known to be the server. "" it may. */
    char untrusted[400];
    struct http_session *http;
    struct krb_ticket ticket;         /* of the last logon with one */
    uint32_t tls_tried, tls_offered;  /* bit per enum hello_version: answered at all, agreed to */
    int status[PROTOCOL_COUNT];       /* of the anonymous challenge, 0: no answer */
    uint32_t offered[PROTOCOL_COUNT]; /* bit per enum logon_method that the anonymous challenge offered */
    uint32_t worked[PROTOCOL_COUNT];  /* of those: the server let us in */
};

/* A new observation about the target, named; NULL when the set is full. */
struct observation *target_note(struct target *t, enum observation_kind kind, enum evidence_source source,
                                const char *step, enum protocol protocol, const char *subject,
                                const char *by_name);
/* Its outcome and detail. o NULL is fine. */
void target_say(struct target *t, struct observation *o, enum outcome outcome, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* A stop for one step: at most half of what is left, so that one silent step leaves time for the next; the last gets all. */
void target_share(const struct target *t, bool last, struct stop *out);

/* Where a request goes when not to the target itself, found through the profile's host map and DNS. */
struct probe_place {
    const char *host; /* in the URL, SNI and the service name */
    uint16_t port;
    bool plain; /* http */
    /* Of the certificate that was found good there: credentials go only to a server that shows it. 0 bytes: not known. */
    const unsigned char *binding;
    size_t binding_len;
};
/* An anonymous request; place NULL: to the target, on its kept connection. http_answer_fini(out) in any case. */
enum err target_ask(struct target *t, const struct probe_place *place, const struct http_request *req,
                    const struct stop *stop, struct http_answer *out, struct errinfo *ei) MUST_CHECK;
/* The same with credentials, on a connection of its own: as the test user, or where there is none with the run's ticket
   (LOGON_KERBEROS only). req->authorization is set here. The failed-logon budget is honoured: ERR_REFUSED when it is spent, when the
   password is known to be wrong, when what the method needs is not there (ei->what says which), or when a password would go
   in the clear or to a server whose certificate is not trusted. Basic, and whatever goes to a place, goes to no other certificate than
   the one that was looked at before. ERR_OK says only that the server answered: 401 is its refusal. */
enum err target_ask_as(struct target *t, enum logon_method m, const struct probe_place *place,
                       const struct http_request *req, const struct stop *stop, struct http_answer *out,
                       struct errinfo *ei) MUST_CHECK;
/* Who that would be: "alice@contoso.lab". NULL: there is nobody for that method, and why says so. */
const char *target_user(const struct target *t, enum logon_method m, const char **why);
/* Kerberos credential of that user, NULL. */
struct krb_login *target_login(const struct target *t);
/* The best method that worked for a protocol (Kerberos, then NTLM, then Basic); LOGON_NONE: none did. */
enum logon_method target_method(const struct target *t, enum protocol p);

/* One logon as the header values it takes, in turn; whoever has the connection sends them. */
#define LOGON_TOKEN_MAX  ((size_t)128 * 1024)
#define LOGON_HEADER_MAX ((size_t)192 * 1024)
#define LOGON_LEGS_MAX   4
struct logon {
    struct target *t;
    enum logon_method method;
    const char *host, *user;
    struct ntlm_exchange *ntlm;
    int leg;
    bool taken; /* an attempt of the budget */
};
/* Blocks on the KDC, under stop. logon_close() in any case. */
enum err logon_open(struct logon *l, struct target *t, enum logon_method m, const char *host,
                    const struct stop *stop, struct errinfo *ei) MUST_CHECK;
/* The value of Authorization; empty: there is no more to say. in: the server's token, NULL at first. binding: of the connection's certificate.
   *final: the request with it carries the body. */
enum err logon_next(struct logon *l, const struct buf *in, const unsigned char *binding, size_t binding_len,
                    struct buf *header, bool *final, struct errinfo *ei) MUST_CHECK;
/* status: of the answer to the last one, 0 when none came. */
void logon_close(struct logon *l, int status);
/* The token in a value of WWW-Authenticate, when it is of that scheme and has one. */
bool logon_token(const char *value, size_t len, const char *scheme, struct buf *out);

/* dns and tcp, recorded when asked for; sets reached, or unreached. */
void step_reach(struct target *t, bool record);
/* tls and certificate, by the server's own name and by each namespace. */
void step_tls(struct target *t);
/* Which protocol versions the server takes, each asked on its own. agreed: of the handshake that came about (OpenSSL's name), NULL: none. */
void step_versions(struct target *t, const char *agreed);
void step_ticket(struct target *t, bool *have_ticket);
/* The anonymous request; its status, 0 when none. */
int step_challenge(struct target *t, enum protocol p, bool last);
/* Each method that the challenge offered, on its own; of Outlook Anywhere Kerberos in any case, since that is what a new CAS speaks. */
void step_methods(struct target *t, enum protocol p, bool last);
void step_method(struct target *t, enum protocol p, enum logon_method m, bool last);

/* Outlook Anywhere behind its challenge: echo on either channel, then a bind of each interface through a virtual connection; with
   the method that worked. */
void step_rpc(struct target *t, bool last);
/* POP3 or IMAP4 on both of its ports: greeting, capabilities, TLS by STARTTLS or from the start. Nobody logs in. */
void step_mail(struct target *t, enum protocol p, bool last);
/* healthcheck.htm of the protocol, which servers from 2013 on answer anybody. */
void step_health(struct target *t, enum protocol p, bool last);
/* A service ticket for HTTP/host under a deadline; *out as of krb_ticket_get(), zeroed when the KDC was not heard. */
enum err ticket_fetch(struct target *t, struct krb_login *login, const char *host, const struct stop *stop,
                      struct krb_ticket *out, struct errinfo *ei) MUST_CHECK;
/* The request that an anonymous client makes first; its URL; words for a status that is no challenge (NULL: the number says it all). */
struct http_request plain_request(enum protocol p);
void protocol_url(const struct target *t, enum protocol p, char *out, size_t cap);
const char *status_words(int status, enum protocol p);
bool is_form_based(enum protocol p);
/* Fit to stand in a request and in SNI. */
bool is_host_name(const char *s);

/* The test user's ticket and whether the password is right, once for a run. Blocking. */
void prober_logon(struct prober *b, const struct stop *stop, struct evidence *e);

/* Namespaces to try in SNI: those of the profile, then what the server itself publishes. At most PROBE_MAX_NAMESPACES. */
size_t target_namespaces(const struct target *t, char out[static PROBE_MAX_NAMESPACES][PROBE_NAME_MAX]);

#endif
