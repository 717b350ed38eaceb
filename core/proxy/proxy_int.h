/*
 * What the files of the engine share. Everything below struct engine belongs to one engine thread and is touched by no other, but
 * where it says atomic or names a lock; struct proxy is set up before the threads start.
 */
#ifndef CORE_PROXY_PROXY_INT_H
#define CORE_PROXY_PROXY_INT_H

#include "core/base/job.h"
#include "core/directory/directory.h"
#include "core/kerberos/kerberos.h"
#include "core/proxy/cidr.h"
#include "core/proxy/ep.h"
#include "core/proxy/http1.h"
#include "core/proxy/ident.h"
#include "core/proxy/iobuf.h"
#include "core/proxy/proxy.h"
#include "core/proxy/ring.h"
#include "core/proxy/rows.h"
#include "core/proxy/tls.h"
#include "core/proxy/wheel.h"
#include "core/route/route.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define POOL_KEY     16            /* bytes of a digest: whose connection it is; all zero: nobody's */
#define HELD_BODY    (64u * 1024u) /* of a body kept until authentication is settled */
#define SMALL_BODY   65536u        /* an unread rest up to this is drained to keep the connection */
#define MAX_ADDRS    8
#define CONNECT_S    10u
#define UP_IDLE_S    60u
#define LINGER_S     2u
#define DOWN_S       30    /* a target that could not be connected to is left out for so long */
#define RESOLVE_TTL  60000 /* ms */
#define MAX_TARGETS  4096u
#define MAX_IDLE_UPS 256u /* unused upstream connections kept a target and thread */
#define TARGET_HASH  256u

struct engine;
struct conn;
struct up;
struct target;
struct ident;
struct decision;
struct pjob;

enum conn_state {
    CONN_HANDSHAKE,
    CONN_HEAD, /* reading a head, or idle */
    CONN_WAIT, /* for a job or an upstream connection */
    CONN_RELAY,
    CONN_ANSWER, /* an answer of our own goes out */
    CONN_DRAIN,  /* the rest of a small request body is read and dropped */
    CONN_LINGER, /* answered and shut down; reads until the client is gone */
    CONN_DEAD
};

enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_CLOSE };
struct body {
    uint8_t kind;
    bool done;
    uint64_t left; /* BODY_LENGTH */
    struct http1_chunked chunked;
};

enum path_kind { /* what a request is about, from its path and method */
                 PATH_OTHER,
                 PATH_OA_IN,
                 PATH_OA_OUT,
                 PATH_OA_ECHO,
                 PATH_OA,
                 PATH_MAPI,
                 PATH_OWA,
                 PATH_ECP,
                 PATH_EWS,
                 PATH_EAS,
                 PATH_EAS_PING,
                 PATH_OAB,
                 PATH_AUTODISCOVER,
                 PATH_POWERSHELL,
                 PATH_HEALTH
};

/* A request of which a copy is kept until it is certain that it need not be sent again. */
struct replay {
    uint32_t head_len, body_len, body_cap;
    bool overflow; /* more of the body was sent than is held */
    char *body;
    char head[];
};

struct conn {
    struct ep ep; /* first: epoll's pointer */
    struct engine *e;
    struct conn *next, **link;             /* all of this engine */
    struct conn *ready_next, **ready_link; /* those that go on without an event */
    struct timer timer;
    uint32_t due; /* second at which patience ends */
    uint8_t state;
    struct iobuf *in;  /* from the client, not consumed */
    struct iobuf *out; /* for the client */
    uint32_t scanned, head_len;

    /* the upstream side */
    struct up *up;
    bool pinned;

    /* of the current request */
    uint32_t row;
    struct body req, resp;
    int64_t began_ms; /* monotonic */
    struct target *target;
    const struct target *ticket; /* a token for this one can be made at once */
    struct pjob *job;            /* the one that is waited for */
    struct replay *replay;
    struct rpch *rpch; /* RPC channels: reads the first PDUs along */
    uint8_t path_kind, minor, retries, auth_tries;
    bool keep; /* the client's connection goes on after this exchange */
    bool is_head, has_auth, auth_bound, basic, fresh_token;
    bool got_head;     /* of the response */
    bool got_bytes;    /* of the response, any */
    bool up_broken;    /* nothing more can be sent upstream */
    bool idempotent;   /* may be sent again although it may have been received */
    bool replaying;    /* what is sent next comes from the copy */
    bool rpc_streamed; /* something of the body went out */
    bool expects;      /* 100-continue, and it has not come: the body may never be sent */

    /* of the client, kept between requests */
    uint8_t key[POOL_KEY];
    struct ident *ident;
    struct decision *decision;
    uint8_t digest[32]; /* of the Authorization that made ident; a keyed hash */
    bool has_digest;
    int64_t believed_ms; /* when the book of logons said so */
    char client[48];
};

enum up_state { UP_CONNECTING, UP_HANDSHAKE, UP_READY };
struct up {
    struct ep ep; /* first */
    struct engine *e;
    struct timer timer;
    uint8_t state;
    bool idle, authenticated;
    bool spent;   /* not to be used again */
    uint8_t addr; /* which of the target's it tries */
    uint32_t served;
    struct target *target;
    struct conn *c;
    struct iobuf *in;        /* from the server, not consumed */
    struct iobuf *out;       /* for the server */
    struct up *next, **link; /* idle list of the target */
    uint8_t key[POOL_KEY];
};

struct target {
    struct target *next;
    char name[64]; /* for people: "EXCAS01" or the host */
    char site[48];
    char host[256]; /* TLS name, Kerberos host */
    uint16_t port;
    struct host_addr addrs[MAX_ADDRS];
    size_t n_addrs;
    int64_t resolved_ms; /* 0: never */
    int64_t down_until_ms;
    bool token_per_request; /* it does not keep a connection authenticated */
    SSL_SESSION *session;
    struct up *idle;
    size_t n_idle;
};

#define COUNTER_MAP(X)                                                                                       \
    X(connections)                                                                                           \
    X(requests)                                                                                              \
    X(handshakes)                                                                                            \
    X(tokens)                                                                                                \
    X(logons_ok)                                                                                             \
    X(logons_failed)                                                                                         \
    X(status_2xx)                                                                                            \
    X(status_3xx)                                                                                            \
    X(status_4xx)                                                                                            \
    X(status_5xx)                                                                                            \
    X(up_bytes)                                                                                              \
    X(down_bytes)                                                                                            \
    X(open_connections)                                                                                      \
    X(open_requests)                                                                                         \
    X(refused_connections)

struct counters { /* written by their thread only */
#define X(name) _Atomic uint64_t name;
    COUNTER_MAP(X)
#undef X
};
static inline void count_add(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline void count_sub(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) - n, memory_order_relaxed);
}

struct engine {
    struct proxy *p;
    unsigned index;
    pthread_t thread;
    bool started;
    int epoll_fd, listen_fd;
    struct ep listen_ep, jobs_ep;
    struct job_pool *jobs;
    SSL_CTX *server_ctx, *client_ctx;
    struct wheel wheel;
    struct iobuf_pool pool;
    struct conn *conns;
    struct conn *ready;      /* go on next round without an event */
    struct conn *dead_conns; /* freed after the events of this round */
    struct up *dead_ups;
    struct target *targets[TARGET_HASH];
    size_t n_targets;
    struct rows rows;
    struct ring events; /* struct proxy_event */
    struct ring ended;  /* struct proxy_row, when somebody writes them down */
    struct counters count;
    int64_t now_ms;      /* monotonic, read once a round */
    int64_t unix_offset; /* add to now_ms */
    int64_t flushed_ms;
    int64_t drain_until_ms; /* 0: running */
    bool accepting;
    atomic_bool stop;                      /* end without draining */
    double cpu_seconds;                    /* of the thread, when it has ended */
    struct http1_head req_head, resp_head; /* scratch: heads are parsed again rather than kept */
};

struct proxy {
    struct proxy_config cfg;
    struct arena strings; /* of cfg */
    struct engine *engines;
    unsigned n_engines;
    uint16_t port, metrics_bound;
    struct cidr_list allow;
    struct tls_identity identity;
    unsigned char ticket_keys[TLS_TICKET_KEYS];
    const struct org *_Atomic org;
    _Atomic uint64_t org_version; /* counts reloads: an address may come back */
    const struct findings *_Atomic findings;
    _Atomic uint64_t next_row;
    _Atomic uint32_t open_connections;
    uint32_t max_connections;
    struct auth_state *auth;
    struct policy *policy;
    struct monitor *monitor;
    struct metrics *metrics;
    char upstream_host[256];
    uint16_t upstream_port;
    char names[8][256]; /* of the self-signed certificate */
    bool stopped;
};

/* A job on behalf of a connection, which may be gone when it ends (then c is NULL). Embed it first. */
struct pjob {
    struct engine *e;
    struct conn *c;
    void (*run)(struct pjob *j);  /* on a helper thread */
    void (*done)(struct pjob *j); /* on the engine thread; c may be NULL. Must free j. */
};
/* Starts it and lets c wait for it. False: it could not be queued (j is not freed). */
bool pjob_start(struct engine *e, struct conn *c, struct pjob *j);

/* --- loop.c */
enum err engine_init(struct engine *e, struct proxy *p, unsigned index, struct errinfo *ei) MUST_CHECK;
enum err engine_start(struct engine *e, struct errinfo *ei) MUST_CHECK;
void engine_fini(struct engine *e);
static inline int64_t engine_unix_ms(const struct engine *e)
{
    return e->now_ms + e->unix_offset;
}

/* --- listen.c */
enum err listen_open(const char *addr, uint16_t port, bool share, int *fd, uint16_t *bound,
                     struct errinfo *ei) MUST_CHECK;
bool listen_is_loopback(const char *addr);
void listen_accept(struct engine *e);

/* --- conn.c */
void conn_new(struct engine *e, int fd, const char *client);
void conn_run(struct conn *c);
void conn_timer(struct conn *c);
/* Ends it at once; why (NULL: nothing wrong) goes to an open row. */
void conn_close(struct conn *c, const char *why);
/* Renews patience. */
void conn_patience(struct conn *c, unsigned seconds);
/* Reaction to an answer or a response that has gone out whole: next head, drain, linger or close. */
void conn_exchange_done(struct conn *c);
void conn_free(struct conn *c);
void conn_drain_mode(struct conn *c);

/* --- request.c: from a head to what is done with it */
void request_begin(struct conn *c);
/* The head of the current request, parsed again. */
const struct http1_head *request_head(struct conn *c);
void request_authenticated(struct conn *c); /* after auth: route it */
void request_routed(struct conn *c);        /* c->target is set: get a connection */
void request_send(struct conn *c);          /* c->up is ready: put the head into it */
/* Sends the kept request again on a new connection. False when it cannot be. */
bool request_replay(struct conn *c);
void request_bad(struct conn *c, const char *why); /* an unreadable head: 400 */
void request_end(struct conn *c);
void request_drop_replay(struct conn *c);
void request_fail(struct conn *c, const char *rule, const char *reason); /* words for the row, first wins */

/* --- row.c: what the observer is told */
struct proxy_row *row_of(struct conn *c); /* NULL when there is none */
void row_state(struct conn *c, enum proxy_state s);
void row_event(struct conn *c, enum proxy_event_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
void row_open(struct conn *c);
void row_close(struct conn *c);
void row_status(struct conn *c, int status);

/* --- answer.c */
void answer_status(struct conn *c, int status, const char *rule, const char *reason);
void answer_challenge(struct conn *c, const char *reason);
void answer_redirect(struct conn *c, const char *url);
void answer_sso(struct conn *c, const char *url);
void answer_health(struct conn *c);
void answer_moved(struct conn *c, const char *url); /* 451 of ActiveSync */
void answer_served(struct conn *c);                 /* the arriving server would answer this itself */
/* The front end's own challenge as header lines. */
void auth_challenge_fields(const struct conn *c, char *out, size_t cap);

/* --- relay.c, body.c */
void relay_start(struct conn *c);
void relay_run(struct conn *c);
void relay_first_bytes(struct conn *c); /* the head and what of the body is there, in one write */
enum http1_result body_take(struct body *b, const char *p, size_t n, size_t *used);
/* Copies what of the request body goes out while the request may have to be sent again. */
void body_hold(struct conn *c, const char *p, size_t n);
/* What is left of the request body can be read and dropped to keep the connection: it is little, and it will come. */
bool body_is_short(const struct conn *c);
void body_from_head(struct body *b, const struct http1_head *h);

/* --- upstream.c */
struct target *target_get(struct engine *e, const char *name, const char *site, const char *host,
                          uint16_t port);
struct target *target_find(const struct engine *e, const char *host);
void targets_fini(struct engine *e);
/* Lets the client context remember sessions per target. */
void up_context(SSL_CTX *ctx);
/* Gives c a connection to c->target: at once (c->up is READY), or later through request_send(); failures are answered. */
void up_acquire(struct conn *c, bool fresh);
void up_run(struct up *u);
void up_timer(struct up *u);
/* The exchange is over and the connection can be used again. */
void up_release(struct up *u);
void up_close(struct up *u);
void up_free(struct up *u);

/* --- head.c */
/* Builds the head to send upstream. ours: the engine authenticates, so the client's Authorization and what only a front end may say
   are left out. token (base64) or NULL. Bytes needed may be up to head->len + token + 512. */
bool head_request(struct iobuf *out, const struct http1_head *h, const char *raw, const char *host_header,
                  const char *target_prefix, bool ours, const char *token);
/* challenge: replaces what the server says about authentication ("": by nothing); NULL: keep it. */
bool head_response(struct iobuf *out, const struct http1_head *h, const char *raw, const char *connection,
                   const char *challenge);

/* --- auth.c: the front end's authentication */
enum err auth_new(struct auth_state **out, const struct proxy_config *cfg, struct errinfo *ei) MUST_CHECK;
void auth_free(struct auth_state **a);
void auth_organisation(struct auth_state *a, const struct org *org);
/* Looks at the request's Authorization. True: go on (request_authenticated() is to be called). False: it waits or was answered. */
bool auth_request(struct conn *c);

/* --- krb.c: Kerberos towards the server */
/* True: a token can be made now without blocking (or none is needed). False: it waits (request_routed() comes again) or was answered. */
bool krb_prepare(struct conn *c);
/* The base64 token for c->up; false: answered with 500. */
bool krb_token(struct conn *c, char **token);
/* What a 401 of the target means in words; fills rule and reason of the row. */
void krb_explain_401(struct conn *c, const struct http1_head *h, const char *raw);

/* --- policy.c: where to */
enum err policy_new(struct policy **out, struct proxy *p, struct errinfo *ei) MUST_CHECK;
void policy_organisation(struct policy *pl, const struct org *org, uint64_t version);
void policy_stop(struct policy *pl); /* look-ups under way end soon */
void policy_free(struct policy **pl);
/* True: c->target is set. False: it waits (request_authenticated() comes again) or was answered. */
bool policy_request(struct conn *c);
/* Says in the row which precondition of the route does not hold when the target answers with an error. */
void policy_explain(struct conn *c, int status);
void decision_unref(struct decision **d);
void policy_forget(struct conn *c); /* the target failed: decide anew */
/* Path of a request towards the target when it differs; NULL. */
const char *policy_prefix(const struct conn *c);
enum path_kind policy_path_kind(const struct http1_head *h, const char *raw);
/* A request target for people and logs: made safe, and without what a query may hold of tokens and passwords. */
void policy_path_show(char *out, size_t cap, const char *target, size_t len);
const char *policy_path_name(enum path_kind k);
enum protocol policy_protocol(enum path_kind k);

/* --- rpch.c */
void rpch_begin(struct conn *c);
void rpch_feed(struct conn *c, const char *p, size_t n, bool up);
void rpch_end(struct conn *c);

/* --- monitor.c, metrics.c */
enum err monitor_new(struct monitor **out, struct proxy *p, struct errinfo *ei) MUST_CHECK;
void monitor_stop(struct monitor *m); /* after the engine threads have ended */
void monitor_free(struct monitor **m);
size_t monitor_events(struct monitor *m, uint64_t row, struct proxy_event *out, size_t max);
enum err metrics_new(struct metrics **out, struct proxy *p, struct errinfo *ei) MUST_CHECK;
void metrics_free(struct metrics **m);

#endif
