/*
 * Logging in. Failed attempts are counted by the domain (account lockout), so no secret is offered twice:
 * keyboard-interactive is used only where "password" is not offered.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "remoting/keyfile.h"
#include "remoting/ssh_int.h"
#include "remoting/ssh_trial.h"

static const char rsa_hint[] = "libssh2 signs with RSA keys in SHA-1 only, which OpenSSH 8.8 and later "
                               "refuse: use an ed25519 or ecdsa key";

struct login {
    struct ssh_conn *c;
    const struct ssh_settings *s;
    char offered[256]; /* by the server, comma-separated, made safe */
    char tried[400];   /* in words */
    bool rsa_tried;
    bool in;
};

static bool offers(const struct login *l, const char *method)
{
    return kexinit_agree(l->offered, method);
}

static void note(struct login *l, const char *what)
{
    size_t len = strlen(l->tried);
    (void)str_fmt(l->tried + len, sizeof l->tried - len, "%s%s", len ? ", " : "", what);
}

/* What an attempt's return code means. ERR_OK with l->in false: the server said no, try another way. */
static enum err attempted(struct login *l, int rc, const char *what, struct errinfo *ei)
{
    note(l, what);
    switch (rc) {
    case 0: l->in = true; return ERR_OK;
    case LIBSSH2_ERROR_AUTHENTICATION_FAILED:
    case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED: return ERR_OK;
    case LIBSSH2_ERROR_PASSWORD_EXPIRED:
        return err_set(ei, ERR_AUTH, "set a new one, then put it into ssh_password",
                       "%s: the password of %s has expired", l->c->host, l->s->user);
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_SEND:
        return err_set(ei, ERR_AUTH,
                       "too many attempts (MaxAuthTries), or a user who may not log in (AllowUsers)?",
                       "%s: the server closed the connection while %s logged in; tried: %s", l->c->host,
                       l->s->user, l->tried);
    default: return ssh_conn_error(l->c, rc, "logging in", ei);
    }
}

/* The methods the server would take; an empty list and logged in when it takes anybody. */
static enum err ask_methods(struct login *l, struct errinfo *ei)
{
    unsigned user_len = (unsigned)strlen(l->s->user);
    for (;;) {
        const char *list = libssh2_userauth_list(l->c->session, l->s->user, user_len);
        if (list) {
            str_show_fixed(l->offered, sizeof l->offered, list, strnlen(list, 1024));
            return ERR_OK;
        }
        if (libssh2_userauth_authenticated(l->c->session)) {
            l->in = true;
            return ERR_OK;
        }
        int rc = libssh2_session_last_errno(l->c->session);
        if (rc != LIBSSH2_ERROR_EAGAIN)
            return ssh_conn_error(l->c, rc, "logging in", ei);
        enum err err = ssh_conn_wait(l->c, "logging in", ei);
        if (err != ERR_OK)
            return err;
    }
}

static enum err try_key(struct login *l, struct errinfo *ei)
{
    struct keyfile k;
    char what[256];
    const char *passphrase = secret_is_set(l->s->passphrase) ? l->s->passphrase->bytes : NULL;
    enum err err = keyfile_read(&k, l->s->key, ei);
    if (err != ERR_OK)
        return err;
    if (k.encrypted && !passphrase)
        return err_set(ei, ERR_CONFIG, "set ssh_key_passphrase, or load the key into an agent",
                       "%s: ssh_key %s is encrypted and no passphrase is set", l->c->host, l->s->key);
    l->rsa_tried = strstr(k.type, "rsa") != NULL;
    int rc;
    while (
        (rc = libssh2_userauth_publickey_fromfile_ex(l->c->session, l->s->user, (unsigned)strlen(l->s->user),
                                                     NULL, l->s->key, passphrase)) == LIBSSH2_ERROR_EAGAIN) {
        err = ssh_conn_wait(l->c, "logging in", ei);
        if (err != ERR_OK)
            return err;
    }
    if (rc == LIBSSH2_ERROR_FILE)
        return err_set(ei, ERR_CONFIG,
                       k.encrypted ? "check ssh_key_passphrase"
                                   : "libssh2 reads ed25519 and ecdsa keys as ssh-keygen writes them",
                       "%s: ssh_key %s cannot be used%s", l->c->host, l->s->key,
                       k.encrypted ? ": wrong passphrase?" : "");
    (void)str_fmt(what, sizeof what, "key %s%s%s%s", l->s->key, k.type[0] ? " (" : "", k.type,
                  k.type[0] ? ")" : "");
    return attempted(l, rc, what, ei);
}

static bool is_rsa(const struct libssh2_agent_publickey *k)
{
    return k->blob_len >= 11 && memcmp(k->blob + 4, "ssh-rsa", 7) == 0;
}

static enum err try_identity(struct login *l, LIBSSH2_AGENT *agent, struct libssh2_agent_publickey *k,
                             struct errinfo *ei)
{
    char what[128] = "agent key ";
    int rc;
    while ((rc = libssh2_agent_userauth(agent, l->s->user, k)) == LIBSSH2_ERROR_EAGAIN) {
        enum err err = ssh_conn_wait(l->c, "logging in", ei);
        if (err != ERR_OK)
            return err;
    }
    const char *comment = k->comment ? k->comment : "";
    str_show_fixed(what + 10, sizeof what - 10, comment, strnlen(comment, 512));
    l->rsa_tried = l->rsa_tried || is_rsa(k);
    /* An agent that declines one key may sign with the next. */
    if (rc == LIBSSH2_ERROR_AGENT_PROTOCOL)
        rc = LIBSSH2_ERROR_AUTHENTICATION_FAILED;
    return attempted(l, rc, what, ei);
}

/* The keys of the agent, those that can work first. */
static enum err try_agent(struct login *l, struct errinfo *ei)
{
    enum err err = ERR_OK;
    int tried = 0;
    LIBSSH2_AGENT *agent = getenv("SSH_AUTH_SOCK") ? libssh2_agent_init(l->c->session) : NULL;
    if (!agent)
        return ERR_OK;
    if (libssh2_agent_connect(agent) == 0 && libssh2_agent_list_identities(agent) == 0) {
        for (int rsa = 0; rsa <= 1; rsa++) {
            struct libssh2_agent_publickey *k = NULL;
            while (err == ERR_OK && !l->in && tried < SSH_AGENT_MAX_KEYS &&
                   libssh2_agent_get_identity(agent, &k, k) == 0) {
                if (is_rsa(k) != (rsa == 1))
                    continue;
                tried++;
                err = try_identity(l, agent, k, ei);
            }
        }
    }
    (void)libssh2_agent_disconnect(agent);
    libssh2_agent_free(agent);
    return err;
}

static enum err try_password(struct login *l, struct errinfo *ei)
{
    const struct secret *p = l->s->password;
    int rc;
    while ((rc = libssh2_userauth_password_ex(l->c->session, l->s->user, (unsigned)strlen(l->s->user),
                                              p->bytes, (unsigned)p->len, NULL)) == LIBSSH2_ERROR_EAGAIN) {
        enum err err = ssh_conn_wait(l->c, "logging in", ei);
        if (err != ERR_OK)
            return err;
    }
    return attempted(l, rc, "password", ei);
}

/* One hidden question is the password's. A visible one is not, and a second round would offer the password
 * again. */
static LIBSSH2_USERAUTH_KBDINT_RESPONSE_FUNC(answer)
{
    struct ssh_conn *c = *abstract;
    (void)name;
    (void)name_len;
    (void)instruction;
    (void)instruction_len;
    for (int i = 0; i < num_prompts; i++) {
        bool give = !prompts[i].echo && c->questions++ == 0;
        /* libssh2 frees it and takes NULL for no answer. */
        responses[i].text = give ? strdup(c->password->bytes) : NULL;
        responses[i].length = responses[i].text ? (unsigned)c->password->len : 0;
    }
    c->rounds += num_prompts > 0;
}

static enum err try_interactive(struct login *l, struct errinfo *ei)
{
    struct ssh_conn *c = l->c;
    int rc;
    c->password = l->s->password;
    c->questions = c->rounds = 0;
    while ((rc = libssh2_userauth_keyboard_interactive_ex(
                c->session, l->s->user, (unsigned)strlen(l->s->user), answer)) == LIBSSH2_ERROR_EAGAIN) {
        enum err err = ssh_conn_wait(c, "logging in", ei);
        if (err != ERR_OK)
            return err;
    }
    c->password = NULL;
    return attempted(l, rc,
                     c->questions > 1 ? "keyboard-interactive (it asked for more than a password)"
                                      : "keyboard-interactive",
                     ei);
}

/* A server that hangs up on a password has not said that it is right: it counts as refused. */
static enum ssh_verdict verdict(const struct login *l, enum err err, bool interactive)
{
    if (l->in)
        return SSH_ACCEPTED;
    if (interactive && l->c->questions == 0) /* never asked for */
        return SSH_UNTOLD;
    return err == ERR_OK || err == ERR_AUTH ? SSH_REJECTED : SSH_UNTOLD;
}

static enum err try_secret(struct login *l, struct errinfo *ei)
{
    bool password = offers(l, "password");
    struct ssh_trial *trial = NULL;
    if (!password && !offers(l, "keyboard-interactive"))
        return ERR_OK;
    enum err err = ssh_trial_begin(l->c, l->s, &trial, ei);
    if (err != ERR_OK)
        return err;
    err = password ? try_password(l, ei) : try_interactive(l, ei);
    ssh_trial_end(l->c, trial, verdict(l, err, !password));
    return err;
}

static enum err refused(const struct login *l, struct errinfo *ei)
{
    if (!l->tried[0])
        return err_set(ei, ERR_AUTH, "set ssh_key or ssh_password, or load a key into ssh-agent",
                       "%s: nothing to log in with that the server takes: it offers %s", l->c->host,
                       l->offered);
    return err_set(ei, ERR_AUTH,
                   l->rsa_tried ? rsa_hint : "check the user's name and its authorized_keys or password",
                   "%s: %s was not let in; tried: %s; the server offers %s", l->c->host, l->s->user, l->tried,
                   l->offered);
}

enum err ssh_login(struct ssh_conn *c, const struct ssh_settings *s, struct errinfo *ei)
{
    struct login l = {.c = c, .s = s};
    if (strnlen(s->user, SSH_USER_MAX + 1) > SSH_USER_MAX || s->user[0] == '\0')
        return err_set(ei, ERR_CONFIG, NULL, "ssh_user is empty or longer than %d bytes", SSH_USER_MAX);
    enum err err = ask_methods(&l, ei);
    if (err == ERR_OK && !l.in && offers(&l, "publickey"))
        err = s->key ? try_key(&l, ei) : try_agent(&l, ei);
    if (err == ERR_OK && !l.in && secret_is_set(s->password))
        err = try_secret(&l, ei);
    if (err == ERR_OK && !l.in)
        err = refused(&l, ei);
    if (err == ERR_OK) {
        c->logged_in = true;
        c->login_deadline_ms = 0;
    }
    return err;
}
