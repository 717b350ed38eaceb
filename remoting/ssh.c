#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/str.h"
#include "remoting/ssh.h"
#include "remoting/ssh_int.h"
#include "remoting/ssh_trial.h"

struct server_secrets { /* of one section; server NULL: the profile's own */
    const char *server;
    struct secret password, passphrase;
};

struct ssh_transport {
    struct transport base; /* first: the vtable's self */
    const struct profile *profile;
    struct ssh_trust trust;
    char *home, *user; /* ours, where the profile names none */
    VEC(struct server_secrets) secrets;
    struct ssh_trials *trials;
};

static void ssh_free(struct transport *self)
{
    struct ssh_transport *t = (struct ssh_transport *)self;
    if (!t)
        return;
    ssh_trials_free(&t->trials);
    for (size_t i = 0; i < t->secrets.n; i++) {
        secret_fini(&t->secrets.v[i].password);
        secret_fini(&t->secrets.v[i].passphrase);
    }
    VEC_FREE(&t->secrets);
    (void)pthread_mutex_destroy(&t->trust.lock);
    free(t->home);
    free(t->user);
    free(t);
}

static const struct secret *find_secret(const struct ssh_transport *t, const char *server, bool passphrase)
{
    static const struct secret none;
    const struct secret *found = &none;
    for (size_t i = 0; i < t->secrets.n; i++) {
        const struct server_secrets *s = &t->secrets.v[i];
        const struct secret *one = passphrase ? &s->passphrase : &s->password;
        if (!secret_is_set(one))
            continue;
        if (s->server && str_ieq(s->server, server))
            return one;
        if (!s->server)
            found = one;
    }
    return found;
}

/* "~/x" is the home folder's, as in a shell. */
static enum err put_path(struct buf *out, const struct ssh_transport *t, const char *path)
{
    buf_reset(out);
    if (strncmp(path, "~/", 2) == 0)
        return buf_addf(out, "%s%s", t->home, path + 1);
    return buf_adds(out, path);
}

struct paths {
    struct buf key, known_hosts;
};

static enum err settings_of(const struct ssh_transport *t, const char *server, struct paths *paths,
                            struct ssh_settings *s, struct errinfo *ei)
{
    const struct profile *p = t->profile;
    const char *user = profile_get(p, PROFILE_ssh_user, server);
    const char *key = profile_get(p, PROFILE_ssh_key, server);
    const char *known_hosts = profile_get(p, PROFILE_ssh_known_hosts, server);
    const char *psrp = profile_get(p, PROFILE_ssh_psrp, server);
    const char *new_host = profile_get(p, PROFILE_ssh_new_host, server);
    enum err err = put_path(&paths->known_hosts, t, known_hosts ? known_hosts : "~/.ssh/known_hosts");
    if (err == ERR_OK && key)
        err = put_path(&paths->key, t, key);
    if (err != ERR_OK)
        return err_set(ei, err, NULL, "a path in the configuration is too long");
    *s = (struct ssh_settings){
        .user = user ? user : t->user,
        .key = key ? buf_str(&paths->key) : NULL,
        .known_hosts = buf_str(&paths->known_hosts),
        .program = profile_get(p, PROFILE_ssh_command, server),
        .password = find_secret(t, server, false),
        .passphrase = find_secret(t, server, true),
        .trials = t->trials,
        .port = profile_port(p, PROFILE_ssh_port, server, 22),
        .psrp = str_ieq(psrp, "yes")    ? SSH_PSRP_YES
                : str_ieq(psrp, "auto") ? SSH_PSRP_AUTO
                                        : SSH_PSRP_NO,
        .new_host = str_ieq(new_host, "accept") ? SSH_NEW_HOST_ACCEPT
                    : str_ieq(new_host, "ask")  ? SSH_NEW_HOST_ASK
                                                : SSH_NEW_HOST_REFUSE,
    };
    return ERR_OK;
}

struct job { /* one command on one server */
    int fd;  /* a connection that stands, or -1 */
    const struct remote_target *target;
    const struct cmdlet *cmdlet;
    struct script script;
    struct exec_output output;
    struct remote_result *out;
    bool reported; /* out is complete */
};

static enum err build_script(struct job *j, const struct ssh_settings *s, struct errinfo *ei)
{
    return script_build(&j->script, s->program, j->target->generation, j->cmdlet, ei);
}

/* On an open connection: as objects where that is wanted and there is somebody to speak to, else as a script. */
static enum err run_on(struct ssh_conn *c, const struct ssh_settings *s, struct job *j, struct errinfo *ei)
{
    bool absent = false;
    enum err err;
    if (s->psrp != SSH_PSRP_NO) {
        err = ssh_psrp(c, j->cmdlet, j->out, &absent, ei);
        j->reported = !absent || s->psrp == SSH_PSRP_YES;
        if (j->reported)
            return err;
        if (ei)
            *ei = (struct errinfo){0};
        err = build_script(j, s, ei);
        if (err != ERR_OK)
            return err;
    }
    return ssh_exec(c, &j->script, &j->output, ei);
}

static enum err connect_and_run(struct ssh_transport *t, const struct ssh_settings *s, const char *host,
                                struct job *j, const struct stop *stop, struct errinfo *ei)
{
    struct ssh_conn c;
    char types[256];
    enum err err = s->psrp == SSH_PSRP_NO ? build_script(j, s, ei) : ERR_OK;
    if (err == ERR_OK)
        err = ssh_hostkey_types(s, host, types, sizeof types, ei);
    if (err != ERR_OK)
        return err;
    int fd = j->fd;
    j->fd = -1;
    err = ssh_conn_open(&c, t->profile, host, s->port, fd, types, stop, ei);
    if (err != ERR_OK)
        return err;
    err = ssh_hostkey_check(&c, &t->trust, s, ei);
    if (err == ERR_OK)
        err = ssh_login(&c, s, ei);
    if (err == ERR_OK)
        err = run_on(&c, s, j, ei);
    ssh_conn_close(&c);
    return err;
}

enum err ssh_run_connected(struct transport *self, int own_fd, const struct remote_target *target,
                           const struct cmdlet *cmdlet, const struct stop *stop, struct remote_result *out,
                           struct errinfo *ei)
{
    struct ssh_transport *t = (struct ssh_transport *)self;
    const char *host = target->fqdn && *target->fqdn ? target->fqdn : target->server;
    struct job j = {.fd = own_fd, .target = target, .cmdlet = cmdlet, .out = out};
    struct ssh_settings s;
    struct paths paths;
    int64_t start = clock_mono_ms();
    script_init(&j.script);
    exec_output_init(&j.output);
    buf_init(&paths.key, 4096);
    buf_init(&paths.known_hosts, 4096);
    enum err err = settings_of(t, target->server, &paths, &s, ei);
    if (err == ERR_OK)
        err = connect_and_run(t, &s, host, &j, stop, ei);
    if (!j.reported && j.output.sent && (err == ERR_TIMEOUT || err == ERR_INTERRUPTED))
        err_wrap(ei, "it may still be running there"); /* SSH closes the channel; nothing ends the command */
    if (!j.reported)
        err = exec_report(out, &j.output, err, ei);
    out->elapsed_ms = (int)(clock_mono_ms() - start);
    if (j.fd >= 0)
        (void)close(j.fd);
    buf_fini(&paths.key);
    buf_fini(&paths.known_hosts);
    exec_output_fini(&j.output);
    script_fini(&j.script);
    return err;
}

static enum err ssh_run(struct transport *self, const struct remote_target *target,
                        const struct cmdlet *cmdlet, const struct stop *stop, struct remote_result *out,
                        struct errinfo *ei)
{
    return ssh_run_connected(self, -1, target, cmdlet, stop, out, ei);
}

static enum err resolve(struct secret *out, const char *ref, const char *what, const char *server,
                        struct errinfo *ei)
{
    char prompt[300];
    if (!ref)
        return ERR_OK;
    str_fmt(prompt, sizeof prompt, "%s%s%s", what, server ? " for " : "", server ? server : "");
    enum err err = secret_resolve(out, ref, prompt, ei);
    if (err != ERR_OK)
        err_wrap(ei, "%s%s%s", what, server ? " of " : "", server ? server : "");
    return err;
}

static enum err add_secrets(struct ssh_transport *t, const char *server, char *const *values,
                            struct errinfo *ei)
{
    struct server_secrets s = {.server = server};
    enum err err = resolve(&s.password, values[PROFILE_ssh_password], "SSH password", server, ei);
    if (err == ERR_OK)
        err = resolve(&s.passphrase, values[PROFILE_ssh_key_passphrase], "passphrase of the SSH key", server,
                      ei);
    if (err == ERR_OK && !VEC_PUSH(&t->secrets, 10000, s))
        err = err_set(ei, ERR_NOMEM, NULL, "no memory for the SSH settings");
    if (err != ERR_OK) {
        secret_fini(&s.password);
        secret_fini(&s.passphrase);
    }
    return err;
}

/* Who and where we are, for what the profile leaves open. */
static enum err look_up_self(struct ssh_transport *t, struct errinfo *ei)
{
    struct passwd pw, *found = NULL;
    char room[4096];
    const char *home = getenv("HOME");
    (void)getpwuid_r(getuid(), &pw, room, sizeof room, &found);
    t->user = strdup(found && found->pw_name ? found->pw_name : "");
    t->home = strdup(home && *home ? home : found && found->pw_dir ? found->pw_dir : ".");
    return t->user && t->home ? ERR_OK : err_set(ei, ERR_NOMEM, NULL, "no memory for the SSH settings");
}

enum err remoting_ssh_new(struct transport **out, const struct profile *p, remoting_ask_host_key *ask,
                          void *arg, struct errinfo *ei)
{
    struct ssh_transport *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the SSH transport");
    t->base = (struct transport){.name = "ssh", .run = ssh_run, .free = ssh_free};
    t->profile = p;
    t->trials = ssh_trials_new();
    t->trust.ask = ask;
    t->trust.arg = arg;
    (void)pthread_mutex_init(&t->trust.lock, NULL);
    enum err err =
        t->trials ? look_up_self(t, ei) : err_set(ei, ERR_NOMEM, NULL, "no memory for the SSH transport");
    if (err == ERR_OK)
        err = add_secrets(t, NULL, p->values, ei);
    for (size_t i = 0; err == ERR_OK && i < p->servers.n; i++)
        err = add_secrets(t, p->servers.v[i].name, p->servers.v[i].values, ei);
    if (err != ERR_OK) {
        ssh_free(&t->base);
        return err;
    }
    *out = &t->base;
    return ERR_OK;
}
