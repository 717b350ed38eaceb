#include "core/probe/app_srv.h"

#include "core/base/str.h"
#include "core/directory/ldap_session.h"
#include "core/probe/late.h"

#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX 16

/* A question that may outlive its caller: it owns all it touches. */
struct question {
    char name[320];
    bool has_server;
    struct sockaddr_in server;
    struct ldap_target found[RECORDS_MAX]; /* a SRV record is the same whatever it is of */
    size_t n;
    int host_error; /* netdb.h; 0: answered */
    bool broken;
};

static void ask(void *arg)
{
    struct question *q = arg;
    struct __res_state state = {0};
    unsigned char answer[16384];
    q->host_error = TRY_AGAIN;
    if (res_ninit(&state) < 0)
        return;
    state.retrans = 2;
    state.retry = 2;
    if (q->has_server) {
        state.nsaddr_list[0] = q->server;
        state.nscount = 1;
    }
    int len = res_nquery(&state, q->name, ns_c_in, ns_t_srv, answer, sizeof answer);
    q->host_error = len < 0 ? state.res_h_errno : 0;
    res_nclose(&state);
    if (len >= 0)
        q->broken = !ldap_parse_srv(answer, (size_t)len < sizeof answer ? (size_t)len : sizeof answer,
                                    q->found, RECORDS_MAX, &q->n);
}

/* RFC 2782: the lowest priority, among those the highest weight, so that runs are alike. */
static const struct ldap_target *best(const struct question *q)
{
    const struct ldap_target *b = &q->found[0];
    for (size_t i = 1; i < q->n; i++) {
        const struct ldap_target *t = &q->found[i];
        if (t->priority < b->priority || (t->priority == b->priority && t->weight > b->weight))
            b = t;
    }
    return b;
}

enum err app_srv_find(struct app_srv *out, const char *domain, const struct sockaddr_in *server,
                      const struct stop *stop, struct errinfo *ei)
{
    struct question *q = calloc(1, sizeof *q);
    if (!q)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a look-up");
    if (!str_fmt(q->name, sizeof q->name, "_autodiscover._tcp.%s", domain)) {
        free(q);
        return err_set(ei, ERR_INPUT, NULL, "%.80s is no domain", domain);
    }
    if (server) {
        q->server = *server;
        q->has_server = true;
    }
    enum err e = late_run(ask, free, q, stop);
    if (e == ERR_TIMEOUT || e == ERR_INTERRUPTED) /* q belongs to the question now */
        return err_set(ei, e, "check the name servers in /etc/resolv.conf",
                       e == ERR_TIMEOUT ? "no name server answers in time" : "interrupted");
    if (e)
        err_set(ei, e, NULL, "too many look-ups hang already");
    else if (q->host_error == HOST_NOT_FOUND || q->host_error == NO_DATA)
        e = err_set(ei, ERR_NOTFOUND, NULL, "DNS has no record %s", q->name);
    else if (q->host_error)
        e = err_set(ei, ERR_UNREACHABLE, "check the name servers in /etc/resolv.conf",
                    "no name server answers for %s", q->name);
    else if (!q->n)
        e = q->broken
                ? err_set(ei, ERR_PROTOCOL, NULL, "DNS answers for %s with a broken record", q->name)
                : err_set(ei, ERR_NOTFOUND, NULL, "DNS says that there is no Autodiscover: %s", q->name);
    if (!e) {
        const struct ldap_target *b = best(q);
        *out = (struct app_srv){.port = b->port, .records = (unsigned)q->n};
        str_copy(out->host, sizeof out->host, b->host);
    }
    free(q);
    return e;
}
