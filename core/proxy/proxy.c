/* The engine as a whole: configuration checked and copied, threads started, reloaded and stopped. */
#include "core/proxy/proxy_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <openssl/rand.h>

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS   64u
#define MAX_CONNS     200000u
#define SPARE_FDS     128u
#define MAX_TIMEOUT_S 86400

static const char *keep(struct proxy *p, const char *s)
{
    return s != NULL ? arena_str(&p->strings, s) : NULL;
}

/* Each client needs a descriptor for itself and one for its server. */
static uint32_t connections_from_rlimit(void)
{
    struct rlimit rl;
    if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
        return 400;
    if (rl.rlim_cur < rl.rlim_max) { /* the hard limit is ours to use */
        struct rlimit more = {.rlim_cur = rl.rlim_max, .rlim_max = rl.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            rl = more;
    }
    rlim_t n = rl.rlim_cur == RLIM_INFINITY ? MAX_CONNS * 2 : rl.rlim_cur;
    n = n > SPARE_FDS + 32 ? (n - SPARE_FDS) / 2 : 16;
    return n > MAX_CONNS ? MAX_CONNS : (uint32_t)n;
}

static enum err parse_upstream(struct proxy *p, struct errinfo *ei)
{
    static const char hint[] = "write it as https://HOST or https://HOST:PORT";
    const char *u = p->cfg.upstream;
    enum tri https = TRI_UNKNOWN;
    uint16_t port = 0;
    if (!str_istarts(u, "https://"))
        return err_set(ei, ERR_USAGE, hint, "the upstream %s is no https URL", u);
    if (!url_host(u, p->upstream_host, sizeof p->upstream_host, &https, &port))
        return err_set(ei, ERR_USAGE, hint, "the upstream %s names no host", u);
    const char *path = strchr(u + 8, '/');
    if (path != NULL && path[1] != '\0')
        return err_set(ei, ERR_USAGE, hint, "the upstream %s has a path: requests keep their own", u);
    p->upstream_port = port != 0 ? port : 443;
    return ERR_OK;
}

static enum err check_arrive(struct proxy *p, const struct proxy_config *c, struct errinfo *ei)
{
    const struct server *s = c->org != NULL ? org_server(c->org, c->arrive) : NULL;
    if (c->org == NULL)
        return err_set(ei, ERR_INTERNAL, NULL, "no organisation to route by");
    if (s == NULL)
        return err_set(ei, ERR_USAGE, "casbridge inventory lists the servers", "no server is called %s",
                       c->arrive);
    (void)str_copy(p->names[0], sizeof p->names[0], s->fqdn != NULL ? s->fqdn : s->name);
    return ERR_OK;
}

/* Names for a self-signed certificate: the arriving server, the namespaces, this machine. */
static void names(struct proxy *p, const char *out[16])
{
    size_t n = p->names[0][0] != '\0' ? 1 : 0;
    for (size_t i = 0; i < 4 && p->cfg.profile != NULL; i++)
        if (profile_namespace(p->cfg.profile, i, p->names[n], sizeof p->names[n]))
            n++;
    if (n == 0)
        (void)str_copy(p->names[n++], sizeof p->names[0], "localhost");
    else if (n < ARRAY_LEN(p->names))
        (void)str_copy(p->names[n++], sizeof p->names[0], "localhost");
    const char *addr = p->cfg.listen_addr;
    if (n < ARRAY_LEN(p->names) && !str_eq(addr, "0.0.0.0") && strchr(addr, ':') == NULL &&
        !str_ieq(addr, "localhost"))
        (void)str_copy(p->names[n++], sizeof p->names[0], addr);
    for (size_t i = 0; i < n; i++)
        out[i] = p->names[i];
    out[n] = NULL;
}

static enum err configure(struct proxy *p, const struct proxy_config *c, struct errinfo *ei)
{
    struct proxy_config *k = &p->cfg;
    *k = *c;
    arena_init(&p->strings, 1u << 20);
    k->listen_addr = keep(p, c->listen_addr != NULL ? c->listen_addr : "127.0.0.1");
    k->certificate = keep(p, c->certificate);
    k->key = keep(p, c->key);
    k->arrive = keep(p, c->arrive);
    k->upstream = keep(p, c->upstream);
    k->keytab = keep(p, c->keytab);
    k->principal = keep(p, c->principal);
    k->upstream_ca = keep(p, c->upstream_ca);
    k->events = keep(p, c->events);
    k->har = keep(p, c->har);
    k->metrics_addr = keep(p, c->metrics_addr);
    k->source = keep(p, c->source);
    k->threads = c->threads == 0 ? 1 : c->threads;
    k->header_timeout_s = c->header_timeout_s == 0 ? 30 : c->header_timeout_s;
    k->idle_timeout_s = c->idle_timeout_s == 0 ? 1800 : c->idle_timeout_s;
    if (p->strings.failed)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the engine");
    if ((k->arrive == NULL) == (k->upstream == NULL))
        return err_set(ei, ERR_USAGE,
                       "--arrive SERVER routes as that CAS; --upstream URL sends everything there",
                       "the engine needs either a server to stand for or an upstream");
    if (k->threads > MAX_THREADS || k->header_timeout_s < 0 || k->header_timeout_s > MAX_TIMEOUT_S ||
        k->idle_timeout_s < 0 || k->idle_timeout_s > MAX_TIMEOUT_S)
        return err_set(ei, ERR_USAGE, "at most 64 threads, time-outs of at most a day",
                       "threads or time-outs out of range");
    if ((k->certificate == NULL) != (k->key == NULL) && k->certificate == NULL)
        return err_set(ei, ERR_USAGE, "give both --certificate and --key", "a key without a certificate");
    if (k->auth == PROXY_AUTH_KEYTAB && (k->keytab == NULL || k->principal == NULL))
        return err_set(ei, ERR_USAGE, "engine_principal and engine_keytab of the profile name them",
                       "a keytab and its principal are needed for the engine's own identity");
    for (size_t i = 0; i < c->n_allow; i++) {
        enum err r = cidr_list_add(&p->allow, c->allow[i], ei);
        if (r != ERR_OK)
            return r;
    }
    if (p->allow.n == 0 && !listen_is_loopback(k->listen_addr))
        return err_set(ei, ERR_REFUSED, "say who may connect with --allow CIDR, or listen on 127.0.0.1",
                       "%s can be reached from the network", k->listen_addr);
    p->max_connections = connections_from_rlimit();
    if (c->max_connections != 0 && c->max_connections < p->max_connections)
        p->max_connections = c->max_connections;
    atomic_init(&p->org, c->org);
    atomic_init(&p->findings, c->findings);
    return k->arrive != NULL ? check_arrive(p, c, ei) : parse_upstream(p, ei);
}

enum err proxy_start(struct proxy **out, const struct proxy_config *c, struct errinfo *ei)
{
    const char *cert_names[16];
    struct proxy *p = calloc(1, sizeof *p);
    if (p == NULL)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the engine");
    enum err r = configure(p, c, ei);
    if (r == ERR_OK && RAND_bytes(p->ticket_keys, sizeof p->ticket_keys) != 1)
        r = err_set(ei, ERR_TLS, NULL, "the random generator of OpenSSL does not work");
    if (r == ERR_OK) {
        names(p, cert_names);
        r = tls_identity_load(&p->identity, p->cfg.certificate, p->cfg.key, cert_names, ei);
    }
    if (r == ERR_OK)
        r = auth_new(&p->auth, &p->cfg, ei);
    if (r == ERR_OK)
        r = policy_new(&p->policy, p, ei);
    if (r == ERR_OK && (p->engines = calloc(p->cfg.threads, sizeof *p->engines)) == NULL)
        r = err_set(ei, ERR_NOMEM, NULL, "no memory for the engine");
    p->port = p->cfg.listen_port;
    for (unsigned i = 0; r == ERR_OK && i < p->cfg.threads; i++) {
        p->n_engines++;
        r = engine_init(&p->engines[i], p, i, ei);
        if (r == ERR_OK) /* the first one finds a free port, the others share it */
            r = listen_open(p->cfg.listen_addr, p->port, p->cfg.threads > 1, &p->engines[i].listen_fd,
                            &p->port, ei);
    }
    if (r == ERR_OK)
        r = monitor_new(&p->monitor, p, ei);
    for (unsigned i = 0; r == ERR_OK && i < p->n_engines; i++)
        r = engine_start(&p->engines[i], ei);
    if (r == ERR_OK && p->cfg.metrics_addr != NULL)
        r = metrics_new(&p->metrics, p, ei);
    if (r == ERR_OK) {
        *out = p;
    } else {
        proxy_free(&p);
    }
    return r;
}

uint16_t proxy_port(const struct proxy *p)
{
    return p->port;
}
uint16_t proxy_metrics_port(const struct proxy *p)
{
    return p->metrics_bound;
}
const char *proxy_fingerprint(const struct proxy *p)
{
    return p->identity.fingerprint;
}
bool proxy_is_self_signed(const struct proxy *p)
{
    return p->identity.self_signed;
}

/* --- messages to the engine threads; they own their argument */

struct stop_message {
    struct engine *e;
    int drain_ms;
};

static void on_stop(void *arg)
{
    struct stop_message *m = arg;
    m->e->drain_until_ms = m->e->now_ms + m->drain_ms + 1;
    free(m);
}

void proxy_stop(struct proxy *p, int drain_ms)
{
    if (p == NULL || p->stopped)
        return;
    p->stopped = true;
    metrics_free(&p->metrics);
    for (unsigned i = 0; i < p->n_engines; i++) {
        struct engine *e = &p->engines[i];
        if (!e->started)
            continue;
        struct stop_message *m = malloc(sizeof *m);
        if (m != NULL)
            *m = (struct stop_message){e, drain_ms < 0 ? 0 : drain_ms};
        if (m == NULL || job_pool_post(e->jobs, on_stop, m) != ERR_OK) {
            free(m);
            atomic_store(&e->stop, true); /* seen within a second, without draining */
        }
    }
    for (unsigned i = 0; i < p->n_engines; i++)
        if (p->engines[i].started)
            (void)pthread_join(p->engines[i].thread, NULL);
    if (p->policy != NULL)
        policy_stop(p->policy);
    monitor_stop(p->monitor);
}

void proxy_free(struct proxy **pp)
{
    struct proxy *p = *pp;
    if (p == NULL)
        return;
    proxy_stop(p, 0);
    for (unsigned i = 0; i < p->n_engines; i++)
        engine_fini(&p->engines[i]);
    free(p->engines);
    monitor_free(&p->monitor);
    policy_free(&p->policy);
    auth_free(&p->auth);
    tls_identity_fini(&p->identity);
    OPENSSL_cleanse(p->ticket_keys, sizeof p->ticket_keys);
    arena_fini(&p->strings);
    free(p);
    *pp = NULL;
}

struct context_message {
    struct engine *e;
    SSL_CTX *ctx;
};

static void on_context(void *arg)
{
    struct context_message *m = arg;
    SSL_CTX_free(m->e->server_ctx); /* connections hold their own reference */
    m->e->server_ctx = m->ctx;
    free(m);
}

/* A message that only says: everything before me is over. */
struct barrier {
    pthread_mutex_t lock;
    pthread_cond_t passed;
    unsigned left;
};

static void on_barrier(void *arg)
{
    struct barrier *b = arg;
    (void)pthread_mutex_lock(&b->lock);
    if (--b->left == 0)
        (void)pthread_cond_signal(&b->passed);
    (void)pthread_mutex_unlock(&b->lock);
}

/* The engine threads look at the organisation only while they handle an event, so one message to each is enough. */
static void replace_organisation(struct proxy *p, const struct org *org, const struct findings *findings)
{
    struct barrier b = {.lock = PTHREAD_MUTEX_INITIALIZER, .passed = PTHREAD_COND_INITIALIZER};
    atomic_store(&p->findings, findings);
    if (org != NULL) {
        atomic_store(&p->org, org);
        uint64_t version = atomic_fetch_add(&p->org_version, 1) + 1;
        policy_organisation(p->policy, org, version);
        auth_organisation(p->auth, org);
    }
    (void)pthread_mutex_lock(&b.lock);
    for (unsigned i = 0; i < p->n_engines; i++)
        if (job_pool_post(p->engines[i].jobs, on_barrier, &b) == ERR_OK)
            b.left++;
    while (b.left > 0)
        (void)pthread_cond_wait(&b.passed, &b.lock);
    (void)pthread_mutex_unlock(&b.lock);
}

enum err proxy_reload(struct proxy *p, const struct org *org, const struct findings *findings,
                      struct errinfo *ei)
{
    struct tls_identity id = {0};
    struct context_message *messages[MAX_THREADS] = {NULL};
    enum err r = ERR_OK;
    if (p->cfg.certificate != NULL)
        r = tls_identity_load(&id, p->cfg.certificate, p->cfg.key, NULL, ei);
    for (unsigned i = 0; r == ERR_OK && p->cfg.certificate != NULL && i < p->n_engines; i++) {
        messages[i] = malloc(sizeof *messages[i]);
        if (messages[i] == NULL) {
            r = err_set(ei, ERR_NOMEM, NULL, "no memory for the new certificate");
            break;
        }
        messages[i]->e = &p->engines[i];
        messages[i]->ctx = NULL;
        r = tls_server_context(&messages[i]->ctx, &id, p->ticket_keys, ei);
    }
    for (unsigned i = 0; i < p->n_engines; i++) {
        if (messages[i] == NULL)
            continue;
        if (r == ERR_OK && job_pool_post(p->engines[i].jobs, on_context, messages[i]) == ERR_OK)
            continue;
        SSL_CTX_free(messages[i]->ctx);
        free(messages[i]);
    }
    if (r != ERR_OK) {
        tls_identity_fini(&id);
        return r;
    }
    if (p->cfg.certificate != NULL) {
        tls_identity_fini(&p->identity);
        p->identity = id;
    }
    if (org != NULL || findings != NULL)
        replace_organisation(p, org, findings);
    return ERR_OK;
}
