/* Reading the directory and asking the servers. Both end in a new world. */
#include "tui/session_int.h"

#include "core/audit/spn.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/directory/directory.h"
#include "core/host/host.h"
#include "core/kerberos/kerberos.h"
#include "core/probe/budget.h"
#include "core/probe/probe.h"
#include "core/report/snapshot.h"

#include <stdlib.h>
#include <unistd.h>

#define READ_TIMEOUT_MS 120000
#define EVIDENCE_LIMIT  ((size_t)64 << 20)
#define HTTP_PROTOCOLS                                                                                       \
    (1u << PROTOCOL_OA | 1u << PROTOCOL_MAPI | 1u << PROTOCOL_OWA | 1u << PROTOCOL_ECP |                     \
     1u << PROTOCOL_EWS | 1u << PROTOCOL_EAS | 1u << PROTOCOL_OAB | 1u << PROTOCOL_AUTODISCOVER |            \
     1u << PROTOCOL_POWERSHELL)

#define KEPT_AGE_S 86400 /* older evidence says more about the past than about the servers */

struct read_job {
    struct session *session;
    struct kept_facts kept;
    struct world *base; /* evidence to keep; NULL */
    struct world *result;
    enum err e;
    struct errinfo ei;
};

static bool is_offline(const struct session *s)
{
    const char *source = session_source(s);
    return source && (str_istarts(source, "ldif:") || str_istarts(source, "snapshot:"));
}

static void take_world(struct session *s, struct world *own)
{
    world_unref(s->world);
    s->world = own;
    session_engine_reload(s);
    session_tell(s, SESSION_WORLD);
}

/* When the servers were asked last: by us, or by whoever took the snapshot. */
static int64_t probed_at(const struct world *base, const struct snapshot *snapshot)
{
    int64_t at = base ? base->probed_at : 0;
    return snapshot && snapshot->facts.probed && snapshot->facts.made_at > at ? snapshot->facts.made_at : at;
}

/* The first reading begins with what anybody observed last, so that a second console need not wait for its own probes. */
static void recall(struct read_job *j, const struct org *org, struct evidence *out)
{
    const struct profile *p = j->session->config->profile;
    struct store *store = NULL;
    struct errinfo ei = {0};
    if (j->base || !org->name || !store_exists(profile_get(p, PROFILE_store, NULL)))
        return;
    enum err e = store_open_profile(&store, p, &ei);
    if (e == ERR_OK)
        e = kept_evidence_read(store, org->name, out, &j->kept, &ei);
    store_close(&store);
    if (e == ERR_OK && clock_unix() - j->kept.at > KEPT_AGE_S) {
        evidence_fini(out);
        evidence_init(out, EVIDENCE_LIMIT);
        j->kept = (struct kept_facts){0};
    }
    if (e != ERR_OK && e != ERR_NOTFOUND) {
        err_wrap(&ei, "the kept evidence is not known");
        log_err(&ei);
    }
}

static void keep(const struct session *s, const struct world *w)
{
    const struct profile *p = s->config->profile;
    struct store *store = NULL;
    struct errinfo ei = {0};
    char host[256] = "";
    if (s->config->read_only || profile_flag(p, PROFILE_read_only, false) || !w->org->name ||
        !store_exists(profile_get(p, PROFILE_store, NULL)))
        return;
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    enum err e = store_open_profile(&store, p, &ei);
    if (e == ERR_OK)
        e = kept_evidence_write(store, w->org->name, &w->evidence, w->probed_at > 0, STORE_EVIDENCE_ANY,
                                session_who(s), host, &ei);
    store_close(&store);
    if (e != ERR_OK) {
        err_wrap(&ei, "the evidence is not kept");
        log_err(&ei);
    }
}

static void read_run(void *arg)
{
    struct read_job *j = arg;
    struct session *s = j->session;
    struct org *org = NULL;
    j->e = is_offline(s) ? ERR_OK : krb_setup_refresh(300, &j->ei);
    if (j->e != ERR_OK)
        return;
    const char *file = snapshot_path(session_source(s));
    struct snapshot *snapshot = NULL;
    struct stop *stop = &s->tasks[TASK_READ].stop;
    j->e = file ? snapshot_read(&snapshot, file, stop, &j->ei)
                : directory_read(&org, s->config->profile, session_source(s), stop, &j->ei);
    if (j->e != ERR_OK)
        return;
    if (snapshot) {
        org = snapshot->org;
        snapshot->org = NULL;
    }
    struct evidence kept;
    evidence_init(&kept, EVIDENCE_LIMIT);
    if (!is_offline(s))
        recall(j, org, &kept);
    struct org_box *box = org_box_new(org);
    if (box)
        j->result =
            world_new(box, j->base ? &j->base->evidence : &kept, snapshot ? &snapshot->evidence : NULL,
                      j->kept.at && j->kept.probed ? j->kept.at : probed_at(j->base, snapshot),
                      s->config->profile, s->config->target);
    evidence_fini(&kept);
    snapshot_free(&snapshot);
    if (!j->result) {
        org_box_unref(box);
        j->e = err_set(&j->ei, ERR_NOMEM, NULL, "no memory for the organisation");
    }
}

static void read_done(void *arg)
{
    struct read_job *j = arg;
    struct session *s = j->session;
    bool first = s->world == NULL, probed = j->base && j->base->probed_at > 0;
    enum err e = j->e;
    if (j->result) {
        for (size_t i = 0; i < j->result->org->n_notes; i++)
            log_line(LOG_LEVEL_WARNING, "%s: %s", j->result->org->notes[i].subject,
                     j->result->org->notes[i].text);
        take_world(s, j->result);
        if (j->kept.at)
            s->kept = j->kept;
    }
    world_unref(j->base);
    task_end(s, TASK_READ, e, &j->ei, "directory read");
    free(j);
    if (e == ERR_OK && !is_offline(s) && (probed || (first && !s->config->no_probe)))
        session_probe(s, "");
}

void session_read(struct session *s)
{
    const char *source = session_source(s);
    char text[160];
    session_secrets_ask_again(s);
    str_fmt(text, sizeof text, "reading %s", source ? source : "the directory");
    if (!task_begin(s, TASK_READ, READ_TIMEOUT_MS, text))
        return;
    struct read_job *j = calloc(1, sizeof *j);
    if (!j) {
        struct errinfo ei;
        enum err e = err_set(&ei, ERR_NOMEM, NULL, "out of memory");
        task_end(s, TASK_READ, e, &ei, NULL);
        return;
    }
    j->session = s;
    j->base = s->world ? world_ref(s->world) : NULL;
    task_submit(s, TASK_READ, read_run, read_done, j);
}

struct probe_job {
    struct session *session;
    struct world *base;
    struct org_box *box; /* handed to the result */
    struct world *result;
    char server[64]; /* "": all of them */
    bool hosts;      /* by remoting instead of on the wire */
    unsigned done, total;
    enum err e;
    struct errinfo ei;
};

static void probe_progressed(void *arg, const struct server *server, const struct evidence *partial)
{
    struct probe_job *j = arg;
    (void)partial;
    j->done++;
    task_say(j->session, TASK_PROBE, j->done, j->total, "asking the servers: %s answered", server->name);
}

/* Every protocol to its end. Without a test user the steps that need one say so. */
static void probe_one_server(struct probe_job *j, struct probe_request *req, struct evidence *fresh)
{
    const struct profile *profile = j->session->config->profile;
    const struct server *server = org_server(j->base->org, j->server);
    const char *ref = profile_get(profile, PROFILE_probe_password, NULL);
    struct secret password = {0};
    char prompt[300];
    req->protocols = (1u << PROTOCOL_COUNT) - 1;
    req->deep = true;
    req->user.name = profile_get(profile, PROFILE_probe_user, NULL);
    if (!server)
        j->e = err_set(&j->ei, ERR_NOTFOUND, NULL, "%s is not in the organisation any more", j->server);
    if (!j->e && req->user.name && ref) {
        str_fmt(prompt, sizeof prompt, "password of %s", req->user.name);
        j->e = secret_resolve(&password, ref, prompt, &j->ei);
        req->user.password = &password;
    }
    /* a wrong password costs an attempt each time the key is pressed */
    if (!j->session->logons)
        j->session->logons = logon_budget_new(j->base->org->lockout_threshold);
    req->budget = j->session->logons;
    if (!j->e)
        j->e = probe_run(profile, j->base->org, &server, 1, req, &j->session->tasks[TASK_PROBE].stop,
                         probe_progressed, j, fresh, &j->ei);
    secret_fini(&password);
}

static void host_progressed(void *arg, const struct server *server, size_t done, size_t all)
{
    struct probe_job *j = arg;
    task_say(j->session, TASK_PROBE, (unsigned)done, (unsigned)all,
             "asking the servers themselves: %s answered", server->name);
}

/* What only the servers themselves know. */
static void ask_hosts(struct probe_job *j, struct evidence *fresh)
{
    const struct console_config *c = j->session->config;
    const struct server *server = *j->server ? org_server(j->base->org, j->server) : NULL;
    struct host_request req = {.progress = host_progressed, .progress_arg = j};
    if (*j->server && !server)
        j->e = err_set(&j->ei, ERR_NOTFOUND, NULL, "%s is not in the organisation any more", j->server);
    if (!j->e)
        j->e = session_transport(j->session, host_via(c->via), &req.transport, &j->ei);
    if (!j->e)
        j->e = host_ask(j->base->org, server ? &server : NULL, 1, &req, &j->session->tasks[TASK_PROBE].stop,
                        fresh, &j->ei);
    if (req.transport)
        req.transport->free(req.transport);
}

/* On the wire: one server to the end of each protocol, or every CAS. */
static void ask_wire(struct probe_job *j, struct evidence *fresh)
{
    struct session *s = j->session;
    const struct profile *profile = s->config->profile;
    struct stop *stop = &s->tasks[TASK_PROBE].stop;
    struct krb_login *login = NULL;
    struct errinfo no_login = {.code = ERR_OK};
    if (krb_login_default(&login, &no_login) != ERR_OK)
        log_err(&no_login); /* the Kerberos steps will say that they were skipped */
    struct probe_request req = {
        .protocols = HTTP_PROTOCOLS,
        .tickets = true,
        .login = login,
        .parallel = (unsigned)profile_int(profile, PROFILE_parallel, 32),
    };
    if (*j->server) {
        probe_one_server(j, &req, fresh);
    } else {
        j->e = probe_run(profile, j->base->org, NULL, 0, &req, stop, probe_progressed, j, fresh, &j->ei);
        if (j->e == ERR_OK)
            j->e = spn_gather(profile, session_source(s), j->base->org, login, fresh, stop, &j->ei);
    }
    krb_login_free(&login);
}

static void probe_run_job(void *arg)
{
    struct probe_job *j = arg;
    struct session *s = j->session;
    const struct profile *profile = s->config->profile;
    struct evidence fresh;
    evidence_init(&fresh, EVIDENCE_LIMIT);
    int64_t probed_at = clock_unix();
    (j->hosts ? ask_hosts : ask_wire)(j, &fresh);
    if (j->hosts) /* nothing was asked on the wire */
        probed_at = j->base->probed_at;
    else if ((*j->server || j->e) && j->base->probed_at) /* the others' answers keep their age */
        probed_at = j->base->probed_at;
    /* what was seen before somebody stopped it is kept */
    if (j->e == ERR_OK || (j->e == ERR_INTERRUPTED && fresh.items.n)) {
        j->result = world_new(j->box, &j->base->evidence, &fresh, probed_at, profile, s->config->target);
        if (j->result) {
            j->box = NULL;
            keep(s, j->result);
        } else {
            j->e = err_set(&j->ei, ERR_NOMEM, NULL, "no memory for the evidence");
        }
    }
    evidence_fini(&fresh);
}

static void begin_probe(struct session *s, const char *server, bool hosts);

static void probe_done(void *arg)
{
    struct probe_job *j = arg;
    struct session *s = j->session;
    /* a directory read in the meantime wins: its next probe brings the evidence */
    bool overtaken = s->world != j->base;
    if (j->result && !overtaken)
        take_world(s, j->result);
    else
        world_unref(j->result);
    org_box_unref(j->box);
    world_unref(j->base);
    task_end(s, TASK_PROBE, j->e, &j->ei, "servers asked");
    bool again = overtaken && j->e == ERR_OK, hosts = j->hosts;
    char server[sizeof j->server];
    str_copy(server, sizeof server, j->server);
    free(j);
    if (again)
        begin_probe(s, server, hosts);
}

static void begin_probe(struct session *s, const char *server, bool hosts)
{
    if (!s->world || !task_begin(s, TASK_PROBE, 0, "asking the servers"))
        return;
    struct probe_job *j = calloc(1, sizeof *j);
    if (!j) {
        struct errinfo ei;
        enum err e = err_set(&ei, ERR_NOMEM, NULL, "out of memory");
        task_end(s, TASK_PROBE, e, &ei, NULL);
        return;
    }
    j->session = s;
    j->base = world_ref(s->world);
    j->box = org_box_ref(s->world->box);
    j->hosts = hosts;
    str_copy(j->server, sizeof j->server, server);
    for (size_t i = 0; i < s->world->org->n_servers && !*server && !hosts; i++)
        j->total += server_is_cas(&s->world->org->servers[i]);
    j->total += *server != '\0'; /* of hosts the first that answers tells how many */
    s->tasks[TASK_PROBE].total = j->total;
    task_submit(s, TASK_PROBE, probe_run_job, probe_done, j);
}

void session_probe(struct session *s, const char *server)
{
    if (*server)
        session_secrets_ask_again(s);
    begin_probe(s, server, false);
}

void session_ask_hosts(struct session *s, const char *server)
{
    session_secrets_ask_again(s);
    if (s->config->transport_new)
        begin_probe(s, server, true);
}
