/* Is this the server it says it is? The files decide; of one they do not have the profile says what holds (ssh_new_host); a changed
 * key is never asked about. */
#include <errno.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "remoting/known_hosts.h"
#include "remoting/ssh_int.h"

/* An absent file knows nothing; one that cannot be read must not be taken for an absent one. */
static enum err read_known(struct known_host *out, const char *path, const char *name, struct errinfo *ei)
{
    struct buf text;
    struct errinfo why = {0};
    buf_init(&text, KNOWN_HOSTS_MAX_FILE);
    enum err err = path_read(&text, path, &why);
    if (err == ERR_OK) {
        err = known_host_find(out, buf_str(&text), text.len, name);
        if (err != ERR_OK)
            (void)err_set(ei, err, NULL, "%s: out of memory", path);
    } else if (why.sys == ENOENT) {
        err = ERR_OK;
    } else {
        err = err_set(ei, ERR_CONFIG, "the key of a server cannot be checked without it", "%s", why.what);
    }
    buf_fini(&text);
    return err;
}

/* Appends the name of host and port as the files have it, and what they say about it. */
static enum err find_known(struct known_host *out, struct buf *name, const char *path, const char *host,
                           uint16_t port, struct errinfo *ei)
{
    enum err err = known_host_name(name, host, port);
    if (err != ERR_OK)
        return err_set(ei, ERR_INPUT, NULL, "\"%s\" is no host name", host);
    return read_known(out, path, buf_str(name), ei);
}

/* As ssh does: the key that is known for the host itself is good on its other ports too; another one says
 * nothing there. */
static enum err known_without_port(struct known_host *out, const struct ssh_settings *s, const char *host,
                                   struct errinfo *ei)
{
    struct buf name;
    buf_init(&name, 512);
    enum err err = s->port == 22 ? ERR_OK : find_known(out, &name, s->known_hosts, host, 22, ei);
    buf_fini(&name);
    return err;
}

enum err ssh_hostkey_types(const struct ssh_settings *s, const char *host, char *out, size_t cap,
                           struct errinfo *ei)
{
    struct known_host known = {0};
    struct buf name;
    buf_init(&name, 512);
    out[0] = '\0';
    enum err err = find_known(&known, &name, s->known_hosts, host, s->port, ei);
    if (err == ERR_OK && known.keys.n == 0)
        err = known_without_port(&known, s, host, ei);
    for (size_t i = 0; err == ERR_OK && i < known.keys.n; i++) {
        const struct known_key *k = &known.keys.v[i];
        size_t len = strlen(out);
        if (!k->revoked && !strstr(out, k->type))
            (void)str_fmt(out + len, cap - len, "%s%s", len ? "," : "", k->type);
    }
    known_host_fini(&known);
    buf_fini(&name);
    return err;
}

/* A server that showed another kind of key before is not met for the first time: only a person may take that. */
static bool is_taken(struct ssh_conn *c, struct ssh_trust *trust, const struct ssh_settings *s,
                     const char *name, const char *key, bool had_another)
{
    if (s->new_host == SSH_NEW_HOST_ACCEPT && !had_another) {
        log_line(LOG_LEVEL_WARNING, "%s: met for the first time, its host key %s is trusted from now on",
                 name, key);
        return true;
    }
    if (s->new_host != SSH_NEW_HOST_ASK || !trust->ask)
        return false;
    int64_t asked_ms = clock_mono_ms();
    bool yes = trust->ask(trust->arg, name, key);
    c->login_deadline_ms += clock_mono_ms() - asked_ms; /* who compares a fingerprint takes his time */
    return yes;
}

static enum err first_contact(struct ssh_conn *c, struct ssh_trust *trust, const struct ssh_settings *s,
                              const char *name, const uint8_t *blob, size_t len, const char *known_as,
                              struct errinfo *ei)
{
    char fingerprint[FINGERPRINT_SIZE], type[48], key[FINGERPRINT_SIZE + 48];
    host_key_fingerprint(blob, len, fingerprint);
    host_key_type(blob, len, type, sizeof type);
    str_fmt(key, sizeof key, "%s %s", type, fingerprint);
    if (is_taken(c, trust, s, name, key, known_as[0] != '\0'))
        return known_hosts_remember(s->known_hosts, name, blob, len, ei);
    enum err err = err_set(ei, ERR_REFUSED, NULL, "%s: its host key is not known: %s%s", name, key, known_as);
    err_hint(ei,
             "compare it with ssh-keygen -lf on the server, then add it to %s (ssh-keyscan), or set "
             "ssh_new_host = ask",
             s->known_hosts);
    return err;
}

static enum err judge(struct ssh_conn *c, struct ssh_trust *trust, const struct ssh_settings *s,
                      const struct known_host *known, const char *name, const uint8_t *key, size_t len,
                      struct errinfo *ei)
{
    const struct known_key *expected = NULL;
    char shown[FINGERPRINT_SIZE], wanted[FINGERPRINT_SIZE] = "", known_as[160] = "", type[48];
    enum host_key_verdict verdict = known_host_judge(known, key, len, &expected);
    host_key_fingerprint(key, len, shown);
    host_key_type(key, len, type, sizeof type);
    if (expected)
        host_key_fingerprint(expected->blob, expected->len, wanted);
    switch (verdict) {
    case HOST_KEY_KNOWN: return ERR_OK;
    case HOST_KEY_CHANGED:
        (void)err_set(ei, ERR_REFUSED, NULL, "%s: its host key has changed: known is %s %s, it shows %s",
                      name, type, wanted, shown);
        err_hint(ei,
                 "somebody may stand in between; if the server was rebuilt, remove line %u of %s (ssh-keygen "
                 "-R '%s')",
                 expected->line, s->known_hosts, name);
        return ERR_REFUSED;
    case HOST_KEY_REVOKED:
        return err_set(ei, ERR_REFUSED, "a stolen key: do not log in there",
                       "%s: its host key %s is marked @revoked in %s", name, shown, s->known_hosts);
    case HOST_KEY_OTHER_TYPE:
        str_fmt(known_as, sizeof known_as, "; known is %s %s", expected->type, wanted);
        break;
    case HOST_KEY_UNKNOWN: break;
    }
    return first_contact(c, trust, s, name, key, len, known_as, ei);
}

enum err ssh_trust_take(struct ssh_trust *trust, struct ssh_conn *c, struct errinfo *ei)
{
    int64_t begun_ms = clock_mono_ms();
    (void)pthread_mutex_lock(&trust->lock);
    c->login_deadline_ms += clock_mono_ms() - begun_ms;
    enum err err = stop_check(c->stop, ei, "waiting for another server's host key");
    if (err != ERR_OK)
        (void)pthread_mutex_unlock(&trust->lock);
    return err;
}

enum err ssh_hostkey_check(struct ssh_conn *c, struct ssh_trust *trust, const struct ssh_settings *s,
                           struct errinfo *ei)
{
    struct known_host known = {0}, plain = {0};
    struct buf name;
    size_t len = 0;
    int type = 0;
    const char *key = libssh2_session_hostkey(c->session, &len, &type);
    if (!key || len == 0 || len > HOST_KEY_MAX)
        return err_set(ei, ERR_PROTOCOL, NULL, "%s: showed no usable host key", c->host);
    enum err err = ssh_trust_take(trust, c, ei);
    if (err != ERR_OK)
        return err;
    buf_init(&name, 512);
    /* One at a time, and the file read inside: what another thread was just told is known here. */
    err = find_known(&known, &name, s->known_hosts, c->host, s->port, ei);
    if (err == ERR_OK && known.keys.n == 0)
        err = known_without_port(&plain, s, c->host, ei);
    if (err == ERR_OK) {
        enum host_key_verdict v = known_host_judge(&plain, (const uint8_t *)key, len, NULL);
        bool settled = v == HOST_KEY_KNOWN || v == HOST_KEY_REVOKED;
        err = judge(c, trust, s, settled ? &plain : &known, buf_str(&name), (const uint8_t *)key, len, ei);
    }
    (void)pthread_mutex_unlock(&trust->lock);
    known_host_fini(&known);
    known_host_fini(&plain);
    buf_fini(&name);
    return err;
}
