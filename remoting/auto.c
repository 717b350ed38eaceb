/*
 * Which way to a server when nobody said (cli.md: via). Per server: what its section of the profile names; else, among what the
 * profile has settings for and then the rest, in the order that suits the version, the first whose port answers. Exchange 2007 has
 * no PowerShell endpoint of its own, 2010 and later are best asked there: objects come back instead of text, and no script runs.
 * A choice holds as long as the transport does.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/str.h"
#include "remoting/remoting.h"
#include "remoting/ssh.h"
#include "remoting/wsman.h"
#include "remoting/wsman_http.h"

#define ANSWER_MS   3000
#define MAX_SERVERS 10000

enum way { WAY_PSRP, WAY_WINRM, WAY_SSH, WAY_COUNT };

static const struct {
    const char *name;
    enum generation since;
    enum profile_key url; /* or port */
    const char *otherwise;
    enum profile_key settings[3]; /* any of them set: meant to be used */
} ways[WAY_COUNT] = {
    [WAY_PSRP] = {"psrp",
                  GENERATION_2010,
                  PROFILE_psrp_url,
                  "http://{fqdn}/PowerShell/",
                  {PROFILE_psrp_url, PROFILE_psrp_configuration, PROFILE_psrp_url}},
    [WAY_WINRM] = {"winrm",
                   GENERATION_2007,
                   PROFILE_winrm_url,
                   "http://{fqdn}:5985/wsman",
                   {PROFILE_winrm_url, PROFILE_winrm_user, PROFILE_winrm_auth}},
    [WAY_SSH] = {"ssh",
                 GENERATION_2007,
                 PROFILE_ssh_port,
                 "22",
                 {PROFILE_ssh_user, PROFILE_ssh_key, PROFILE_ssh_password}},
};

struct choice {
    char *server;
    enum way way;
};

struct auto_transport {
    struct transport base; /* first: the vtable's self */
    const struct profile *profile;
    remoting_ask_host_key *ask;
    void *arg;
    pthread_mutex_t lock; /* guards all below; not held while a server is asked */
    struct transport *made[WAY_COUNT];
    VEC(struct choice) choices;
};

static void auto_free(struct transport *self)
{
    struct auto_transport *t = (struct auto_transport *)self;
    if (!t)
        return;
    for (size_t i = 0; i < WAY_COUNT; i++)
        if (t->made[i])
            t->made[i]->free(t->made[i]);
    for (size_t i = 0; i < t->choices.n; i++)
        free(t->choices.v[i].server);
    VEC_FREE(&t->choices);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

static enum err make(struct auto_transport *t, enum way way, struct transport **out, struct errinfo *ei)
{
    enum err e = ERR_OK;
    (void)pthread_mutex_lock(&t->lock); /* secrets may be asked for: once */
    if (!t->made[way])
        e = remoting_transport_new(&t->made[way], ways[way].name, t->profile, t->ask, t->arg, ei);
    *out = t->made[way];
    (void)pthread_mutex_unlock(&t->lock);
    return e;
}

static bool is_meant(const struct auto_transport *t, enum way way, const char *server)
{
    for (size_t i = 0; i < ARRAY_LEN(ways[way].settings); i++)
        if (profile_get(t->profile, ways[way].settings[i], server))
            return true;
    return false;
}

/* Does a port answer? Nothing is said there; *fd goes on with SSH. */
static bool answers(const struct auto_transport *t, enum way way, const struct remote_target *target,
                    const struct stop *stop, int *fd)
{
    const char *host = target->fqdn && *target->fqdn ? target->fqdn : target->server;
    uint16_t port = 22;
    struct wsman_url url;
    struct stop soon;
    int left = stop_left_ms(stop, ANSWER_MS);
    if (left == 0)
        return false;
    if (way == WAY_SSH) {
        port = profile_port(t->profile, PROFILE_ssh_port, target->server, 22);
    } else {
        const char *text = profile_get(t->profile, ways[way].url, target->server);
        if (wsman_url_expand(&url, text ? text : ways[way].otherwise, target, NULL) != ERR_OK)
            return true; /* the transport will say what is wrong with it */
        host = url.host;
        port = url.port;
    }
    stop_init(&soon, left, (struct stop *)stop);
    if (hostmap_connect(&t->profile->hosts, host, port, true, &soon, fd, NULL) != ERR_OK)
        return false;
    if (way != WAY_SSH) {
        (void)close(*fd);
        *fd = -1;
    }
    return true;
}

static bool remembered(struct auto_transport *t, const char *server, enum way *way)
{
    bool found = false;
    (void)pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->choices.n && !found; i++) {
        found = str_ieq(t->choices.v[i].server, server);
        *way = t->choices.v[i].way;
    }
    (void)pthread_mutex_unlock(&t->lock);
    return found;
}

static void remember(struct auto_transport *t, const char *server, enum way way)
{
    struct choice c = {strdup(server), way};
    (void)pthread_mutex_lock(&t->lock);
    bool kept = c.server && VEC_PUSH(&t->choices, MAX_SERVERS, c);
    (void)pthread_mutex_unlock(&t->lock);
    if (!kept) /* it will be asked for again */
        free(c.server);
}

/* *fd: a connection to be used for SSH, or -1. */
static enum err choose(struct auto_transport *t, const struct remote_target *target, const struct stop *stop,
                       struct transport **out, int *fd, struct errinfo *ei)
{
    const char *said = profile_get(t->profile, PROFILE_via, target->server);
    char tried[64] = "";
    enum way way;
    *fd = -1;
    if (remembered(t, target->server, &way))
        return make(t, way, out, ei);
    for (int i = 0; i < 2 * WAY_COUNT; i++) { /* those with settings first */
        struct errinfo why = {0};
        way = (enum way)(i % WAY_COUNT);
        bool meant = is_meant(t, way, target->server);
        if (said ? !str_ieq(said, ways[way].name)
                 : meant != (i < WAY_COUNT) || target->generation < ways[way].since)
            continue;
        enum err e = make(t, way, out, &why);
        if (e == ERR_USAGE && !said) /* not in this build */
            continue;
        if (e != ERR_OK) {
            if (ei)
                *ei = why;
            return e;
        }
        if (said || answers(t, way, target, stop, fd)) {
            remember(t, target->server, way);
            return ERR_OK;
        }
        size_t len = strlen(tried);
        str_fmt(tried + len, sizeof tried - len, "%s%s", len ? ", " : "", ways[way].name);
    }
    enum err e = stop_check(stop, ei, "looking for a way to the server");
    return e ? e
             : err_set(ei, ERR_UNREACHABLE,
                       "is the host up? via, winrm_url, psrp_url and ssh_port say where to look",
                       "%s: nothing answers for remote commands; tried: %s", target->server, tried);
}

static enum err auto_run(struct transport *self, const struct remote_target *target,
                         const struct cmdlet *cmdlet, const struct stop *stop, struct remote_result *out,
                         struct errinfo *ei)
{
    struct auto_transport *t = (struct auto_transport *)self;
    struct transport *chosen = NULL;
    int fd;
    enum err e = choose(t, target, stop, &chosen, &fd, ei);
    if (e != ERR_OK)
        return e;
    out->via = chosen->name;
    if (fd >= 0)
        return ssh_run_connected(chosen, fd, target, cmdlet, stop, out, ei);
    return chosen->run(chosen, target, cmdlet, stop, out, ei);
}

enum err remoting_auto_new(struct transport **out, const struct profile *p, remoting_ask_host_key *ask,
                           void *arg, struct errinfo *ei)
{
    struct auto_transport *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a transport");
    t->base = (struct transport){.name = "auto", .run = auto_run, .free = auto_free};
    t->profile = p;
    t->ask = ask;
    t->arg = arg;
    (void)pthread_mutex_init(&t->lock, NULL);
    *out = &t->base;
    return ERR_OK;
}
