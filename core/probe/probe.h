/*
 * Live evidence: what a server says on the wire. Straight-line blocking functions with a deadline, run as jobs, many servers at once.
 * Each returns what it could find out: a dead server is evidence, not an error.
 *
 * SIGPIPE must be ignored by the process. A deadline holds for name look-ups and the KDC too: a call that is late is left behind.
 * A profile and an organisation are read by many threads and must not change meanwhile.
 */
#ifndef CORE_PROBE_PROBE_H
#define CORE_PROBE_PROBE_H

#include "core/base/job.h"
#include "core/base/stop.h"
#include "core/kerberos/kerberos.h"
#include "core/model/evidence.h"
#include "core/model/org.h"
#include "core/model/profile.h"

struct logon_budget;

/* A mailbox user to log on as. One account for a whole run: its failed attempts are counted (budget.h). */
struct probe_user {
    const char *name;              /* "alice@contoso.lab", "CONTOSO\\alice"; NULL: nobody */
    const struct mailbox *mailbox; /* what the directory says of it; NULL: not known */
    const struct secret *password; /* NULL: only the ticket of struct probe_request is used */
};

/* What to ask of each server. */
struct probe_request {
    uint32_t protocols;      /* bit per enum protocol; 0: Outlook Anywhere */
    bool tickets;            /* ask the KDC for HTTP/<fqdn> */
    struct krb_login *login; /* NULL: no Kerberos steps (recorded as skipped with the reason) */
    /* Each method of a challenge on its own, then the protocol behind it; what cannot be tried is recorded as skipped, with the reason.
       Otherwise what the rules need: of the methods only Kerberos, on Outlook Anywhere. */
    bool deep;
    struct probe_user user;
    /* Failed logons over several runs, borrowed (budget.h); NULL: one of the run's own, as the organisation's lock-out threshold has it. */
    struct logon_budget *budget;
    int timeout_ms;    /* per server, default 15,000 */
    unsigned parallel; /* default 32 */
};

/* Called on the collecting thread as each server ends (progress). */
typedef void probe_progress(void *arg, const struct server *server, const struct evidence *partial);

/* Probes one server into e: dns, tcp, tls + certificate (own name, and the namespaces in SNI at the server's own address), challenge of each protocol, ticket. Blocking. */
void probe_server(const struct profile *p, const struct org *org, const struct server *server,
                  const struct probe_request *req, const struct stop *stop, struct evidence *e);
/* All of servers (NULL: every CAS of the organisation), in parallel; merges into e. ERR_OK also when servers are dead. */
enum err probe_run(const struct profile *p, const struct org *org, const struct server *const *servers,
                   size_t n, const struct probe_request *req, const struct stop *stop,
                   probe_progress *progress, void *arg, struct evidence *e, struct errinfo *ei) MUST_CHECK;
/* Only the anonymous challenge of one protocol, for verification after a change. */
void probe_challenge(const struct profile *p, const struct server *server, enum protocol protocol,
                     const struct stop *stop, struct evidence *e);

#endif
