#include "core/directory/ldap_session.h"

#include "core/base/clock.h"
#include "core/base/secret.h"
#include "core/base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openldap.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Nothing for so long means dead, also without a deadline. */
#define SILENCE_MS 60000

/* sasl_interact_t of Cyrus SASL 2, whose header is no dependency of ours: unchanged since the library's first version. */
struct sasl_prompt {
    unsigned long id; /* 0 ends the list */
    const char *challenge, *prompt, *default_result;
    const void *result;
    unsigned len;
};

/* GSSAPI asks whom to act as; the empty answer is "whom the ticket names". */
static int answer_prompts(LDAP *ld, unsigned flags, void *defaults, void *prompts)
{
    (void)ld, (void)flags, (void)defaults;
    for (struct sasl_prompt *p = prompts; p->id; p++) {
        p->result = p->default_result ? p->default_result : "";
        p->len = (unsigned)strlen(p->result);
    }
    return LDAP_SUCCESS;
}

/* The answer to msgid is not waited for any longer. */
static enum err give_up(struct ldap_session *s, int msgid, const struct stop *stop, const char *what,
                        struct errinfo *ei)
{
    char context[400];
    str_fmt(context, sizeof context, "%s: %s", s->host[0] ? s->host : s->uri, what);
    ldap_abandon_ext(s->ld, msgid, NULL, NULL);
    enum err e = stop_check(stop, ei, context);
    if (e)
        return e;
    s->lost = true;
    return err_set(ei, ERR_TIMEOUT, "try another controller with --source", "%s: no answer for a minute",
                   context);
}

enum err ldap_session_wait(struct ldap_session *s, int msgid, const struct stop *stop, const char *what,
                           LDAPMessage **res, struct errinfo *ei)
{
    int64_t until = clock_mono_ms() + SILENCE_MS;
    for (;;) {
        if (stop_left_ms(stop, 1) == 0)
            return give_up(s, msgid, stop, what, ei);
        int slice = stop_left_ms(stop, 200);
        struct timeval tv = {.tv_sec = slice / 1000, .tv_usec = slice % 1000 * 1000};
        int rc = ldap_result(s->ld, msgid, LDAP_MSG_ONE, &tv, res);
        if (rc > 0)
            return ERR_OK;
        if (rc < 0) {
            int code = LDAP_SERVER_DOWN;
            ldap_get_option(s->ld, LDAP_OPT_RESULT_CODE, &code);
            return ldap_explain(s, code ? code : LDAP_SERVER_DOWN, NULL, what, ei);
        }
        if (clock_mono_ms() > until)
            return give_up(s, msgid, stop, what, ei);
    }
}

/* ---- connecting */

bool ldap_is_address(const char *host, unsigned char bytes[16])
{
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static enum err connect_local(struct ldap_session *s, const char *path, int *fd, struct errinfo *ei)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (!*path || !str_copy(sa.sun_path, sizeof sa.sun_path, path))
        return err_set(ei, ERR_USAGE, "write ldapi://%2Fpath%2Fto%2Fsocket", "%s names no socket", s->uri);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return err_errno(ei, ERR_SYSTEM, NULL, "%s", s->uri);
    if (connect(*fd, (const struct sockaddr *)&sa, sizeof sa) < 0) {
        err_errno(ei, ERR_UNREACHABLE, "is the server up, and may this user open its socket?", "%s", path);
        close(*fd);
        return ERR_UNREACHABLE;
    }
    return ERR_OK;
}

static bool peer_is_loopback(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
        return false;
    if (sa.ss_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)&sa)->sin_addr.s_addr) >> 24) == 127;
    return sa.ss_family == AF_UNIX ||
           (sa.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&sa)->sin6_addr));
}

static enum err set_options(struct ldap_session *s, const struct profile *p, struct errinfo *ei)
{
    static const struct {
        int option, value;
    } numbers[] = {
        {LDAP_OPT_PROTOCOL_VERSION, LDAP_VERSION3},
        {LDAP_OPT_DEREF, LDAP_DEREF_NEVER},
        {LDAP_OPT_X_TLS_REQUIRE_CERT, LDAP_OPT_X_TLS_DEMAND},
    };
    const char *trust = p ? profile_get(p, PROFILE_trust, NULL) : NULL;
    const char *layer = s->tls ? "maxssf=0" : s->host[0] ? "minssf=56" : NULL;
    bool ok = ldap_set_option(s->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) == LDAP_OPT_SUCCESS &&
              ldap_set_option(s->ld, LDAP_OPT_X_SASL_NOCANON, LDAP_OPT_ON) == LDAP_OPT_SUCCESS;
    for (size_t i = 0; ok && i < ARRAY_LEN(numbers); i++)
        ok = ldap_set_option(s->ld, numbers[i].option, &numbers[i].value) == LDAP_OPT_SUCCESS;
    if (ok && layer)
        ok = ldap_set_option(s->ld, LDAP_OPT_X_SASL_SECPROPS, layer) == LDAP_OPT_SUCCESS;
    if (!ok)
        return err_set(ei, ERR_INTERNAL, NULL, "%s: libldap refuses an option", s->uri);
    if (s->tls && trust) {
        /* the file beside the system's folder: libldap takes either or both */
        if (access(trust, R_OK) < 0)
            return err_errno(ei, ERR_CONFIG, "correct trust in the profile", "%s", trust);
        ok = ldap_set_option(s->ld, LDAP_OPT_X_TLS_CACERTFILE, trust) == LDAP_OPT_SUCCESS &&
             ldap_set_option(s->ld, LDAP_OPT_X_TLS_CACERTDIR, "/etc/ssl/certs") == LDAP_OPT_SUCCESS;
    }
    int fresh = 0;
    if (ok && s->tls)
        ok = ldap_set_option(s->ld, LDAP_OPT_X_TLS_NEWCTX, &fresh) == LDAP_OPT_SUCCESS;
    return ok ? ERR_OK
              : err_set(ei, ERR_CONFIG, "trust must be a PEM file of authorities",
                        "%s: the authorities in %s cannot be used", s->uri,
                        trust ? trust : "the system's store");
}

/* connect_host: where TCP goes; s->host is the name for Kerberos and TLS. */
static enum err connect_to(struct ldap_session *s, const struct profile *p, const char *connect_host,
                           uint16_t port, const struct stop *stop, struct errinfo *ei)
{
    int fd = -1;
    bool local = !s->host[0];
    enum err e = local ? connect_local(s, connect_host, &fd, ei)
                       : hostmap_connect(p ? &p->hosts : NULL, connect_host, port, false, stop, &fd, ei);
    if (e)
        return e;
    s->is_local = peer_is_loopback(fd);
    char name[700];
    str_fmt(name, sizeof name, "%s://%s:%u", s->tls ? "ldaps" : "ldap", s->host, port);
    int rc = ldap_init_fd(fd, local ? LDAP_PROTO_IPC : LDAP_PROTO_TCP, local ? s->uri : name, &s->ld);
    if (rc != LDAP_SUCCESS) {
        close(fd);
        s->ld = NULL;
        return err_set(ei, ERR_INTERNAL, NULL, "%s: %s", s->uri, ldap_err2string(rc));
    }
    e = set_options(s, p, ei);
    if (!e && s->tls)
        e = ldap_session_start_tls(s, fd, stop, ei);
    if (e == ERR_TLS)
        ldap_explain_tls(s, p, connect_host, port, stop, ei);
    /* a sealed answer is a packet an entry, and libldap reads its length and then its body: two calls and a wait for each */
    Sockbuf *buffer = NULL;
    if (!e && ldap_get_option(s->ld, LDAP_OPT_SOCKBUF, &buffer) == LDAP_OPT_SUCCESS && buffer)
        ber_sockbuf_add_io(buffer, &ber_sockbuf_io_readahead, LBER_SBIOD_LEVEL_PROVIDER, NULL);
    /* a silent controller must not hold us inside a read */
    if (!e && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        e = err_errno(ei, ERR_SYSTEM, NULL, "%s", s->uri);
    return e;
}

static void disconnect(struct ldap_session *s)
{
    if (s->ld)
        ldap_unbind_ext(s->ld, NULL, NULL);
    s->ld = NULL;
}

/* ---- binding */

static enum err bind_result(struct ldap_session *s, LDAPMessage *res, struct errinfo *ei)
{
    int rc = LDAP_OTHER;
    char *said = NULL;
    int parsed = ldap_parse_result(s->ld, res, &rc, NULL, &said, NULL, NULL, 1);
    if (parsed != LDAP_SUCCESS)
        rc = parsed;
    enum err e = rc == LDAP_SUCCESS ? ERR_OK : ldap_explain_bind(s, rc, said, ei);
    ldap_memfree(said);
    return e;
}

static enum err bind_sasl(struct ldap_session *s, const char *mechanism, const struct stop *stop,
                          struct errinfo *ei)
{
    LDAPMessage *res = NULL;
    const char *chosen = NULL;
    enum err e = ERR_OK;
    for (;;) {
        int msgid = -1;
        int rc = ldap_sasl_interactive_bind(s->ld, NULL, mechanism, NULL, NULL, LDAP_SASL_QUIET,
                                            answer_prompts, NULL, res, &chosen, &msgid);
        ldap_msgfree(res);
        res = NULL;
        if (rc == LDAP_SUCCESS)
            return ERR_OK;
        if (rc != LDAP_SASL_BIND_IN_PROGRESS) {
            char *said = NULL;
            ldap_get_option(s->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &said);
            e = ldap_explain_bind(s, rc, said, ei);
            ldap_memfree(said);
            return e;
        }
        e = ldap_session_wait(s, msgid, stop, "logging in", &res, ei);
        if (e)
            return e;
    }
}

static enum err bind_simple(struct ldap_session *s, const struct profile *p, const char *user,
                            const struct stop *stop, struct errinfo *ei)
{
    struct secret password = {0};
    LDAPMessage *res = NULL;
    int msgid = -1;
    const char *ref = profile_get(p, PROFILE_ldap_password, NULL);
    enum err e;
    if (!s->tls && !s->is_local)
        return err_set(ei, ERR_CONFIG, "use ldaps://, or leave ldap_user out and use Kerberos",
                       "%s: a simple bind would send the password in the clear", s->uri);
    if (!ref)
        return err_set(ei, ERR_CONFIG, "set ldap_password in the profile", "ldap_user has no password");
    e = secret_resolve(&password, ref, "LDAP password", ei);
    if (e)
        return e;
    if (!password.len) { /* RFC 4513 5.1.2: without a password the bind "succeeds" as nobody */
        e = err_set(ei, ERR_CONFIG, "correct ldap_password in the profile",
                    "the password of ldap_user is empty");
        goto out;
    }
    struct berval credential = {.bv_val = password.bytes, .bv_len = password.len};
    int rc = ldap_sasl_bind(s->ld, user, LDAP_SASL_SIMPLE, &credential, NULL, NULL, &msgid);
    e = rc == LDAP_SUCCESS ? ldap_session_wait(s, msgid, stop, "logging in", &res, ei)
                           : ldap_explain_bind(s, rc, NULL, ei);
    if (!e)
        e = bind_result(s, res, ei);
out:
    secret_fini(&password);
    return e;
}

/* ---- rootDSE */

static char *first_value(LDAP *ld, LDAPMessage *entry, const char *name)
{
    char *copy = NULL;
    struct berval **v = ldap_get_values_len(ld, entry, name);
    if (v && v[0] && utf8_valid(v[0]->bv_val, v[0]->bv_len))
        copy = strndup(v[0]->bv_val, v[0]->bv_len);
    ldap_value_free_len(v);
    return copy;
}

static void replace(char **slot, char *value)
{
    free(*slot);
    *slot = value;
}

static enum err read_root(struct ldap_session *s, const struct stop *stop, struct errinfo *ei)
{
    static const char what[] = "reading the rootDSE";
    static const char *const names[] = {"defaultNamingContext", "configurationNamingContext",
                                        "rootDomainNamingContext", "schemaNamingContext", "dNSHostName"};
    char *attrs[ARRAY_LEN(names) + 1] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        attrs[i] = (char *)(uintptr_t)names[i]; /* libldap's prototype lacks the const, it writes nothing */
    LDAPMessage *res = NULL;
    int msgid = -1, rc = ldap_search_ext(s->ld, "", LDAP_SCOPE_BASE, "(objectClass=*)", attrs, 0, NULL, NULL,
                                         NULL, 0, &msgid);
    if (rc != LDAP_SUCCESS)
        return ldap_explain(s, rc, NULL, what, ei);
    for (bool done = false; !done;) {
        enum err e = ldap_session_wait(s, msgid, stop, what, &res, ei);
        if (e)
            return e;
        if (ldap_msgtype(res) == LDAP_RES_SEARCH_ENTRY) {
            char *host = first_value(s->ld, res, "dNSHostName");
            if (host)
                str_copy(s->controller, sizeof s->controller, host);
            free(host);
            replace(&s->default_nc, first_value(s->ld, res, "defaultNamingContext"));
            replace(&s->config_nc, first_value(s->ld, res, "configurationNamingContext"));
            replace(&s->root_nc, first_value(s->ld, res, "rootDomainNamingContext"));
            replace(&s->schema_nc, first_value(s->ld, res, "schemaNamingContext"));
        } else if (ldap_msgtype(res) == LDAP_RES_SEARCH_RESULT) {
            done = true;
            if (ldap_parse_result(s->ld, res, &rc, NULL, NULL, NULL, NULL, 0) == LDAP_SUCCESS &&
                rc != LDAP_SUCCESS)
                e = ldap_explain(s, rc, NULL, what, ei);
        }
        ldap_msgfree(res);
        res = NULL;
        if (e)
            return e;
    }
    return ERR_OK;
}

static enum err check_root(const struct ldap_session *s, struct errinfo *ei)
{
    if (s->config_nc && s->default_nc)
        return ERR_OK;
    return err_set(ei, ERR_PROTOCOL, "name a domain controller of the forest with --source",
                   "%s: its rootDSE names no configuration partition: this is no Active Directory", s->uri);
}

/* ---- opening */

static enum err take_uri(struct ldap_session *s, const char *uri, LDAPURLDesc **url, struct errinfo *ei)
{
    static const char hint[] =
        "write ldap://HOST[:PORT], ldaps://HOST[:PORT] or ldapi://%2Fpath%2Fto%2Fsocket";
    if (!str_copy(s->uri, sizeof s->uri, uri) || ldap_url_parse(uri, url) != LDAP_URL_SUCCESS)
        return err_set(ei, ERR_USAGE, hint, "%.200s is no LDAP URI", uri);
    bool local = str_ieq((*url)->lud_scheme, "ldapi");
    s->tls = str_ieq((*url)->lud_scheme, "ldaps");
    if ((!local && !s->tls && !str_ieq((*url)->lud_scheme, "ldap")) || ((*url)->lud_dn && *(*url)->lud_dn) ||
        !(*url)->lud_host || !*(*url)->lud_host || strlen((*url)->lud_host) >= sizeof s->host ||
        (*url)->lud_port < 0 || (*url)->lud_port > 65535)
        return err_set(ei, ERR_USAGE, hint, "%.200s cannot be used as a source", uri);
    if (!local)
        str_copy(s->host, sizeof s->host, (*url)->lud_host);
    return ERR_OK;
}

/*
 * Kerberos knows controllers by name only. When the source names an address, the rootDSE, which anybody may read, tells the name
 * to ask a ticket for. An address is no identity: what answers there is believed to be whom it names, if it holds that name's key.
 */
static enum err learn_name(struct ldap_session *s, const struct profile *p, const char *host, uint16_t port,
                           const struct stop *stop, struct errinfo *ei)
{
    enum err e = read_root(s, stop, ei);
    if (e)
        return e;
    if (!s->controller[0])
        return err_set(ei, ERR_AUTH,
                       "name the controller by its FQDN (with --host NAME=ADDRESS if DNS does not know it)",
                       "%s: Kerberos needs a name, and the server does not tell its own", s->uri);
    disconnect(s);
    str_copy(s->host, sizeof s->host, s->controller);
    return connect_to(s, p, host, port, stop, ei);
}

enum err ldap_session_open(struct ldap_session *s, const struct profile *p, const char *uri,
                           const struct stop *stop, struct errinfo *ei)
{
    LDAPURLDesc *url = NULL;
    unsigned char address[16];
    *s = (struct ldap_session){0};
    enum err e = take_uri(s, uri, &url, ei);
    if (e)
        goto out;
    const char *user = p ? profile_get(p, PROFILE_ldap_user, NULL) : NULL;
    uint16_t port = (uint16_t)(url->lud_port ? url->lud_port : s->tls ? LDAPS_PORT : LDAP_PORT);
    e = connect_to(s, p, url->lud_host, port, stop, ei);
    if (!e && !user && s->host[0] && ldap_is_address(s->host, address))
        e = learn_name(s, p, url->lud_host, port, stop, ei);
    if (!e)
        e = user         ? bind_simple(s, p, user, stop, ei)
            : s->host[0] ? bind_sasl(s, "GSSAPI", stop, ei)
                         : bind_sasl(s, "EXTERNAL", stop, ei);
    if (!e)
        e = read_root(s, stop, ei);
    if (!e)
        e = check_root(s, ei);
    if (!e && !s->controller[0])
        str_copy(s->controller, sizeof s->controller, s->host[0] ? s->host : s->uri);
out:
    if (url)
        ldap_free_urldesc(url);
    if (e)
        ldap_session_close(s);
    return e;
}

void ldap_session_close(struct ldap_session *s)
{
    disconnect(s);
    free(s->default_nc);
    free(s->config_nc);
    free(s->root_nc);
    free(s->schema_nc);
    VEC_FREE(&s->values);
    *s = (struct ldap_session){.lost = s->lost};
}
