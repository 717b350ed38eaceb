/*
 * A small world for tests of core/plan: a directory, servers that obey cmdlets (or fail in a chosen way) and a wire that follows
 * the directory. Lives in shared memory, so that it outlives a child that is killed. It reads cmdlets by itself: it must
 * not agree with the product's tables by being made of them. Include after cmocka.h.
 */
#ifndef TESTS_UNIT_PLAN_WORLD_H
#define TESTS_UNIT_PLAN_WORLD_H

#include "core/base/log.h"
#include "core/base/str.h"
#include "core/plan/run_int.h"
#include "tests/unit/org_builder.h"
#include "tests/unit/plan_findings.h"
#include "tests/unit/store_fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define WORLD_OBJECTS 32

enum world_mode {
    WORLD_OBEYS,
    WORLD_REFUSES,          /* an error, nothing written */
    WORLD_FAILS_HALFWAY,    /* an error, and it was written */
    WORLD_LOST_BEFORE,      /* the connection is lost, nothing written */
    WORLD_LOST_AFTER,       /* the connection is lost, it was written */
    WORLD_LOST_SILENTLY,    /* the same, and the transport does not say that it is not known */
    WORLD_LOST_HALFWAY,     /* the connection is lost, and of a new object nothing but itself is there */
    WORLD_LOST_AND_FOREIGN, /* the connection is lost, and somebody else wrote */
    WORLD_PRETENDS,         /* success, nothing written */
    WORLD_UNREACHABLE,      /* not sent */
    WORLD_ONCE_HALFWAY,     /* as FAILS_HALFWAY, obeys afterwards */
    WORLD_HALFWAY_THEN_REFUSES,
    WORLD_WRITES_FOREIGN, /* success, somebody else's value afterwards */
    WORLD_PRETENDS_THEN_REFUSES,
};

struct world_object {
    char server[32], dn[300];
    bool exists;
    char iis[32], client[32], host[96], flags[32], other[96]; /* "" absent */
};

struct world_server {
    char name[32];
    enum world_mode mode;
    int only_push; /* the mode is of that push alone, counted from 1; 0: of all */
    bool wire_stuck, wire_silent;
    int lag_ms; /* the wire follows so long after a write */
    int64_t written_at;
    char wire_iis[32]; /* what it offered before the last write */
    int pushes, resent, without_intent, nudged;
    bool nudge_helps;
};

struct world {
    pthread_mutex_t mutex;
    int64_t now;
    struct world_object objects[WORLD_OBJECTS];
    size_t n_objects;
    struct world_server servers[16];
    size_t n_servers;
    bool directory_dead;
    int dies_after_reads; /* 0: never */
    int reads;
    int records, kill_at;        /* 0: never */
    const char *foreign_at_wire; /* once, when its wire is asked after a push: somebody changes it */
    struct stop *raise_in_push;
    const char *foreign_in_push; /* somebody changes that server meanwhile */
    const char *foreign_host;    /* its host name instead of its methods */
    /* The second controller, "dc2": a copy that is so long behind the last write. */
    struct world_object replica[WORLD_OBJECTS];
    int replica_lag_ms;
    int64_t replica_due;
    bool replica_dead;
    int replica_refusals;
    struct store *force_in_push; /* once: bob takes the lock away */
    const char *watch_store;     /* spec: each push looks for its intent */
    char last_cmdlet[400];
};

static struct world_server *world_server(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->n_servers; i++)
        if (strcmp(w->servers[i].name, name) == 0)
            return &w->servers[i];
    fail_msg("no server %s", name);
    return NULL;
}

static struct world_object *world_object(struct world *w, const char *server, const char *rdn)
{
    for (size_t i = 0; i < w->n_objects; i++)
        if (strcmp(w->objects[i].server, server) == 0 && strncmp(w->objects[i].dn, rdn, strlen(rdn)) == 0)
            return &w->objects[i];
    fail_msg("no %s of %s", rdn, server);
    return NULL;
}

static struct world_object *world_oa(struct world *w, const char *server)
{
    return world_object(w, server, "CN=Rpc (");
}

static struct world_object *world_scp(struct world *w, const char *server)
{
    char rdn[64];
    snprintf(rdn, sizeof rdn, "CN=%s,CN=Autodiscover", server);
    return world_object(w, server, rdn);
}

BUILDER_UNUSED static struct world *world_new(const struct org *org)
{
    struct world *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attr;
    assert_true(w != MAP_FAILED);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&w->mutex, &attr);
    w->now = 1000;
    for (size_t i = 0; i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        const struct vdir *v = server_vdir(s, PROTOCOL_OA);
        struct world_object *o = &w->objects[w->n_objects++];
        snprintf(w->servers[w->n_servers++].name, 32, "%s", s->name);
        snprintf(o->server, sizeof o->server, "%s", s->name);
        snprintf(o->dn, sizeof o->dn, "CN=Rpc (Default Web Site),CN=HTTP,CN=Protocols,%s", s->dn);
        o->exists = v != NULL;
        if (v) {
            snprintf(o->iis, sizeof o->iis, "%lld", (long long)v->iis_auth_raw);
            snprintf(o->client, sizeof o->client, "%lld", (long long)v->client_auth_raw);
            snprintf(o->host, sizeof o->host, "%s", v->external_url ? v->external_url : "");
            snprintf(o->flags, sizeof o->flags, "0");
        }
    }
    for (size_t i = 0; i < org->n_scps; i++) {
        struct world_object *o = &w->objects[w->n_objects++];
        snprintf(o->server, sizeof o->server, "%s", org->scps[i].server_name);
        snprintf(o->dn, sizeof o->dn, "%s", org->scps[i].dn);
        snprintf(o->other, sizeof o->other, "%s", org->scps[i].url);
        o->exists = true;
    }
    for (size_t i = 0; i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        if (!s->has_rpc_client_access)
            continue;
        struct world_object *o = &w->objects[w->n_objects++];
        snprintf(o->server, sizeof o->server, "%s", s->name);
        snprintf(o->dn, sizeof o->dn, "CN=RpcClientAccess,CN=Protocols,%s", s->dn);
        snprintf(o->flags, sizeof o->flags, "TRUE");
        o->exists = true;
    }
    return w;
}

BUILDER_UNUSED static void world_free(struct world *w)
{
    munmap(w, sizeof *w);
}

static char *world_slot(struct world_object *o, const char *attribute)
{
    return str_ieq(attribute, "msExchInternalAuthenticationMethods")   ? o->iis
           : str_ieq(attribute, "msExchExternalAuthenticationMethods") ? o->client
           : str_ieq(attribute, "msExchExternalHostName")              ? o->host
           : str_ieq(attribute, "msExchRpcHttpFlags")                  ? o->flags
           : str_ieq(attribute, "msExchEncryptionRequired")            ? o->flags
           : str_ieq(attribute, "serviceBindingInformation")           ? o->other
                                                                       : NULL;
}

static enum err world_attribute(void *ctx, size_t at, const char *dn, const char *attribute,
                                struct directory_values *out, const struct stop *stop, struct errinfo *ei)
{
    struct world *w = ctx;
    const struct world_object *objects = at ? w->replica : w->objects;
    const char *value = "";
    enum err e = ERR_NOTFOUND;
    (void)stop;
    pthread_mutex_lock(&w->mutex);
    if (w->now >= w->replica_due)
        memcpy(w->replica, w->objects, sizeof w->replica);
    if (at && w->replica_dead) {
        w->replica_refusals++;
        pthread_mutex_unlock(&w->mutex);
        return err_set(ei, ERR_UNREACHABLE, "is it up?", "dc2: connection refused");
    }
    w->reads += at == 0;
    if (w->directory_dead || (w->dies_after_reads && w->reads > w->dies_after_reads)) {
        pthread_mutex_unlock(&w->mutex);
        return err_set(ei, ERR_UNREACHABLE, "is it up?", "dc1: connection refused");
    }
    for (size_t i = 0; i < w->n_objects; i++)
        if (objects[i].exists && str_ieq(objects[i].dn, dn)) {
            const char *slot = world_slot((struct world_object *)&objects[i], attribute);
            value = slot ? slot : str_ieq(attribute, "objectClass") ? "msExchRpcHttpVirtualDirectory" : "";
            e = ERR_OK;
        }
    if (e == ERR_OK && *value) {
        out->v = calloc(1, sizeof *out->v);
        out->v[0] = strdup(value);
        out->n = 1;
    }
    pthread_mutex_unlock(&w->mutex);
    return e == ERR_OK ? e : err_set(ei, e, NULL, "no such object");
}

static int64_t world_now(void *ctx)
{
    struct world *w = ctx;
    pthread_mutex_lock(&w->mutex);
    int64_t t = w->now;
    pthread_mutex_unlock(&w->mutex);
    return t;
}

static void world_sleep(void *ctx, int ms)
{
    struct world *w = ctx;
    ASSERT(ms > 0);
    pthread_mutex_lock(&w->mutex);
    w->now += ms;
    pthread_mutex_unlock(&w->mutex);
}

static void world_challenge(void *ctx, const struct server *server, enum protocol protocol,
                            const struct stop *stop, struct evidence *e)
{
    struct world *w = ctx;
    struct observation *o = evidence_add(e, OBSERVATION_CHALLENGE, EVIDENCE_WIRE);
    (void)stop;
    pthread_mutex_lock(&w->mutex);
    struct world_server *s = world_server(w, server->name);
    struct world_object *oa = world_oa(w, server->name);
    if (w->foreign_at_wire && s->pushes && strcmp(server->name, w->foreign_at_wire) == 0) {
        str_copy(oa->iis, sizeof oa->iis, "16");
        w->foreign_at_wire = NULL;
    }
    bool follows = !s->wire_stuck && w->now >= s->written_at + s->lag_ms;
    const char *iis = follows ? (oa->exists ? oa->iis : "") : s->wire_iis;
    o->server = server->name;
    o->protocol = protocol;
    o->step = "challenge";
    if (s->wire_silent) {
        o->outcome = OUTCOME_ERROR;
        o->detail = "connection refused";
    } else if (!*iis) {
        o->outcome = OUTCOME_FAILED;
        o->u.challenge.status = 404;
    } else {
        int flags = (int)strtol(iis, NULL, 10);
        o->outcome = OUTCOME_OK;
        o->u.challenge.status = 401;
        o->u.challenge.offered =
            (flags & 1 ? AUTH_BASIC : 0u) | (flags & 8194 ? AUTH_NTLM | AUTH_NEGOTIATE : 0u);
    }
    pthread_mutex_unlock(&w->mutex);
}

static void world_recorded(void *ctx, const char *phase)
{
    struct world *w = ctx;
    (void)phase;
    pthread_mutex_lock(&w->mutex);
    bool die = w->kill_at && ++w->records == w->kill_at;
    pthread_mutex_unlock(&w->mutex);
    if (die)
        kill(getpid(), SIGKILL);
}

/* What Exchange's cmdlets do to the object, read from the parameters alone. */
static void world_obey(struct world_object *o, const struct cmdlet *c)
{
    if (strcmp(c->name, "Disable-OutlookAnywhere") == 0) {
        o->exists = false;
        memset(o->iis, 0, sizeof o->iis);
        memset(o->client, 0, sizeof o->client);
        memset(o->host, 0, sizeof o->host);
        memset(o->flags, 0, sizeof o->flags);
        return;
    }
    o->exists = true;
    for (size_t i = 0; i < c->n_params; i++) {
        const struct cmdlet_param *p = &c->params[i];
        int set = 0;
        for (size_t k = 0; k < p->value.n; k++)
            set |= str_ieq(p->value.strings[k], "Basic")       ? 1
                   : str_ieq(p->value.strings[k], "NTLM")      ? 2
                   : str_ieq(p->value.strings[k], "Negotiate") ? 8192
                                                               : 0;
        if (strcmp(p->name, "IISAuthenticationMethods") == 0)
            snprintf(o->iis, sizeof o->iis, "%d", set);
        else if (strcmp(p->name, "ClientAuthenticationMethod") == 0)
            snprintf(o->client, sizeof o->client, "%d", set);
        else if (strcmp(p->name, "SSLOffloading") == 0)
            snprintf(o->flags, sizeof o->flags, "%d", p->value.flag);
        else if (strcmp(p->name, "ExternalHostname") == 0 && p->value.kind == CMDLET_NULL)
            o->host[0] = '\0';
        else if (strcmp(p->name, "EncryptionRequired") == 0)
            snprintf(o->flags, sizeof o->flags, "%s", p->value.flag ? "TRUE" : "FALSE");
        else if (strcmp(p->name, "AutoDiscoverServiceInternalUri") == 0)
            snprintf(o->other, sizeof o->other, "%.95s", p->value.strings[0]);
        else if (strcmp(p->name, "ExternalHostname") == 0)
            snprintf(o->host, sizeof o->host, "https://%.70s/rpc", p->value.strings[0]);
    }
}

static bool world_has_intent(const struct world *w, const char *server, const char *cmdlet)
{
    struct store *s = NULL;
    journal_records all = {0};
    bool found = false;
    if (store_open(&s, w->watch_store, NULL) == ERR_OK && journal_read(s, NULL, &all, NULL) == ERR_OK)
        for (size_t i = 0; i < all.n; i++)
            found = found || (all.v[i].cmdlet && str_eq(all.v[i].server, server) &&
                              strcmp(all.v[i].cmdlet, cmdlet) == 0);
    journal_records_free(&all);
    store_close(&s);
    return found;
}

static struct world *world_of_transport; /* struct transport has no room for it */

static enum err world_error(struct remote_result *out, const char *message)
{
    struct remote_error e = {.message = strdup(message)};
    out->sent = out->has_exit_code = true;
    out->exit_code = 1;
    VEC_PUSH(&out->errors, 8, e);
    return ERR_OK;
}

static enum err world_run(struct transport *self, const struct remote_target *target,
                          const struct cmdlet *cmdlet, const struct stop *stop, struct remote_result *out,
                          struct errinfo *ei)
{
    struct world *w = world_of_transport;
    enum err e = ERR_OK;
    struct buf text;
    (void)self;
    (void)stop;
    buf_init(&text, 4096);
    enum err built = cmdlet_text(&text, cmdlet, NULL);
    ASSERT(built == ERR_OK);
    pthread_mutex_lock(&w->mutex);
    struct world_server *s = world_server(w, target->server);
    bool scp = strcmp(cmdlet->name, "Set-ClientAccessServer") == 0,
         rpc = strcmp(cmdlet->name, "Set-RpcClientAccess") == 0;
    struct world_object *o = scp   ? world_scp(w, target->server)
                             : rpc ? world_object(w, target->server, "CN=RpcClientAccess")
                                   : world_oa(w, target->server),
                        before = *o, obeyed = *o;
    world_obey(&obeyed, cmdlet);
    if (strcmp(cmdlet->name, "Restart-Service") == 0) {
        /* no change; what is in the directory is on the wire at once */
        s->nudged++;
        s->written_at = s->nudge_helps ? w->now - s->lag_ms : s->written_at;
        out->sent = out->has_exit_code = true;
        s->without_intent += w->watch_store && !world_has_intent(w, target->server, buf_str(&text));
        if (!s->nudge_helps) {
            free(out->output);
            e = world_error(out, "Cannot find any service with service name 'MSExchangeServiceHost'.");
        }
        pthread_mutex_unlock(&w->mutex);
        buf_fini(&text);
        return e;
    }
    if (w->now >= w->replica_due)
        memcpy(w->replica, w->objects, sizeof w->replica);
    w->replica_due = w->now + w->replica_lag_ms;
    str_copy(w->last_cmdlet, sizeof w->last_cmdlet, buf_str(&text));
    s->pushes++;
    s->resent += memcmp(&obeyed, &before, sizeof before) == 0 && before.exists;
    s->without_intent += w->watch_store && !world_has_intent(w, target->server, buf_str(&text));
    if (w->raise_in_push)
        stop_raise(w->raise_in_push);
    if (w->foreign_in_push && w->foreign_host)
        str_copy(world_oa(w, w->foreign_in_push)->host, 96, w->foreign_host);
    else if (w->foreign_in_push)
        str_copy(world_oa(w, w->foreign_in_push)->iis, 32, "16");
    if (w->force_in_push) {
        enum err forced = store_lock_force(w->force_in_push, "bob", "ann went home", NULL);
        ASSERT(forced == ERR_OK);
        w->force_in_push = NULL;
    }
    if (!scp && !rpc) {
        str_copy(s->wire_iis, sizeof s->wire_iis, before.exists ? before.iis : "");
        s->written_at = w->now;
    }
    out->sent = true;
    out->elapsed_ms = 41;
    switch (s->only_push && s->only_push != s->pushes ? WORLD_OBEYS : s->mode) {
    case WORLD_OBEYS: *o = obeyed; break;
    case WORLD_REFUSES: e = world_error(out, "Access is denied."); break;
    case WORLD_FAILS_HALFWAY:
        *o = obeyed;
        e = world_error(out, "The server is busy.");
        break;
    case WORLD_ONCE_HALFWAY:
        *o = obeyed;
        e = world_error(out, "The server is busy.\r\nTry\x1b[31m again");
        s->mode = WORLD_OBEYS;
        break;
    case WORLD_HALFWAY_THEN_REFUSES:
        *o = obeyed;
        e = world_error(out, "The server is busy.");
        s->mode = WORLD_REFUSES;
        break;
    case WORLD_LOST_SILENTLY:
    case WORLD_LOST_AFTER: *o = obeyed; /* fall through */
    case WORLD_LOST_BEFORE:
    case WORLD_LOST_HALFWAY:
    case WORLD_LOST_AND_FOREIGN:
        if (s->mode == WORLD_LOST_AND_FOREIGN)
            str_copy(o->iis, sizeof o->iis, "16");
        if (s->mode == WORLD_LOST_HALFWAY)
            o->exists = true;
        out->outcome_unknown = s->mode != WORLD_LOST_SILENTLY;
        e = err_set(ei, ERR_UNREACHABLE, NULL, "%s: connection reset by peer", target->server);
        break;
    case WORLD_WRITES_FOREIGN: str_copy(o->iis, sizeof o->iis, "16"); break;
    case WORLD_PRETENDS: break;
    case WORLD_PRETENDS_THEN_REFUSES: s->mode = WORLD_REFUSES; break;
    case WORLD_UNREACHABLE:
        out->sent = false;
        e = err_set(ei, ERR_UNREACHABLE, NULL, "%s: connection refused", target->server);
        break;
    }
    if (e == ERR_OK && !out->errors.n && out->sent) {
        out->has_exit_code = true;
        out->output = strdup("ok\r\n");
    }
    pthread_mutex_unlock(&w->mutex);
    buf_fini(&text);
    return e;
}

static const char *world_controller(void *ctx, size_t at)
{
    (void)ctx;
    return at ? "dc2.contoso.lab" : "dc1.contoso.lab";
}

BUILDER_UNUSED static struct transport world_transport = {.name = "fake", .run = world_run};

BUILDER_UNUSED static struct plan_io world_io(struct world *w)
{
    world_of_transport = w;
    return (struct plan_io){.ctx = w,
                            .attribute = world_attribute,
                            .controller = world_controller,
                            .challenge = world_challenge,
                            .now_ms = world_now,
                            .sleep_ms = world_sleep,
                            .recorded = world_recorded};
}

#endif
