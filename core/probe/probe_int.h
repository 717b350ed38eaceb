/*
 * Inside core/probe only: one server being probed, and the steps.
 */
#ifndef CORE_PROBE_PROBE_INT_H
#define CORE_PROBE_PROBE_INT_H

#include "core/probe/certificate.h"
#include "core/probe/http.h"
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
    /* Domains whose KDC did not answer once: their other servers need not wait for it too. */
    pthread_mutex_t lock;
    char dead[PROBE_DEAD_MAX][PROBE_NAME_MAX];
    size_t n_dead;
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
    struct http_session *http;
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

/* dns and tcp, recorded when asked for; sets reached, or unreached. */
void step_reach(struct target *t, bool record);
/* tls and certificate, by the server's own name and by each namespace. */
void step_tls(struct target *t);
void step_ticket(struct target *t, bool *have_ticket);
/* The anonymous request; its status, 0 when none. */
int step_challenge(struct target *t, enum protocol p, bool last);
/* The same with a Kerberos token. */
void step_logon(struct target *t, enum protocol p);

/* Namespaces to try in SNI: those of the profile, then what the server itself publishes. At most PROBE_MAX_NAMESPACES. */
size_t target_namespaces(const struct target *t, char out[static PROBE_MAX_NAMESPACES][PROBE_NAME_MAX]);

#endif
