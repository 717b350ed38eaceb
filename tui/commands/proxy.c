/* casbridge proxy: the engine without the console. */
#include "core/proxy/proxy.h"

#include "core/base/log.h"
#include "core/base/str.h"
#include "tui/commands/cli.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const struct arg_spec proxy_specs[] = {
    {"listen", 0, ARG_TEXT, offsetof(struct proxy_options, listen), "ADDR:PORT",
     "where clients connect (127.0.0.1:8443)"},
    {"certificate", 0, ARG_TEXT, offsetof(struct proxy_options, certificate), "PEM",
     "certificate chain; none: a self-signed one"},
    {"key", 0, ARG_TEXT, offsetof(struct proxy_options, key), "PEM", "its private key"},
    {"threads", 0, ARG_INT, offsetof(struct proxy_options, threads), "N", "engine threads (1)"},
    {"arrive", 0, ARG_TEXT, offsetof(struct proxy_options, arrive), "SERVER", "route as that CAS would"},
    {"upstream", 0, ARG_TEXT, offsetof(struct proxy_options, upstream), "https://HOST[:PORT]",
     "everything to one server"},
    {"upstream-auth", 0, ARG_TEXT, offsetof(struct proxy_options, upstream_auth),
     "pass|as-client|keytab:FILE", "how the engine logs on to the target"},
    {"upstream-ca", 0, ARG_TEXT, offsetof(struct proxy_options, upstream_ca), "PEM",
     "authorities for the targets' certificates"},
    {"upstream-insecure", 0, ARG_FLAG, offsetof(struct proxy_options, upstream_insecure), NULL,
     "do not check them"},
    {"max-connections", 0, ARG_INT, offsetof(struct proxy_options, max_connections), "N", "clients at once"},
    {"header-timeout", 0, ARG_INT, offsetof(struct proxy_options, header_timeout), "S",
     "for a request head (30)"},
    {"idle-timeout", 0, ARG_INT, offsetof(struct proxy_options, idle_timeout), "S", "without a byte (1800)"},
    {"har", 0, ARG_TEXT, offsetof(struct proxy_options, har), "FILE", "write an HTTP archive"},
    {"metrics", 0, ARG_TEXT, offsetof(struct proxy_options, metrics), "ADDR:PORT", "Prometheus text"},
    {"events", 0, ARG_TEXT, offsetof(struct proxy_options, events), "-|FILE", "one JSON line per request"},
    {"allow", 0, ARG_LIST, offsetof(struct proxy_options, allow), "CIDR",
     "clients let in at a non-loopback address; repeatable"},
    {0},
};

static enum err split(const char *spec, char *addr, size_t cap, uint16_t *port, const char *option,
                      struct errinfo *ei)
{
    const char *colon = strrchr(spec, ':');
    const char *digits = colon ? colon + 1 : spec;
    size_t len = colon ? (size_t)(colon - spec) : 0;
    if (len >= 2 && spec[0] == '[' && spec[len - 1] == ']') {
        spec++;
        len -= 2;
    }
    if (strcmp(digits, "0") == 0)
        *port = 0;
    else if (!str_to_port(digits, port))
        return err_set(ei, ERR_USAGE, "ADDR:PORT, e.g. 127.0.0.1:8443", "--%s: \"%.80s\" has no port", option,
                       spec);
    if (!str_fmt(addr, cap, "%.*s", (int)len, spec))
        return err_set(ei, ERR_USAGE, NULL, "--%s: the address is too long", option);
    if (!len)
        str_copy(addr, cap, "127.0.0.1");
    return ERR_OK;
}

static enum err choose_auth(const struct cli *cli, const struct proxy_options *o, struct proxy_config *c,
                            struct errinfo *ei)
{
    const char *how = o->upstream_auth;
    if (!how)
        c->auth = o->arrive ? PROXY_AUTH_AS_CLIENT : PROXY_AUTH_PASS;
    else if (strcmp(how, "pass") == 0)
        c->auth = PROXY_AUTH_PASS;
    else if (strcmp(how, "as-client") == 0)
        c->auth = PROXY_AUTH_AS_CLIENT;
    else if ((strncmp(how, "keytab:", 7) == 0 && how[7]) || strcmp(how, "keytab") == 0)
        c->auth = PROXY_AUTH_KEYTAB;
    else
        return err_set(ei, ERR_USAGE, "pass, as-client or keytab:FILE",
                       "--upstream-auth: \"%.60s\" is not known", how);
    if (c->auth == PROXY_AUTH_KEYTAB) {
        c->keytab = how[6] ? how + 7 : profile_get(&cli->profile, PROFILE_engine_keytab, NULL);
        if (!c->keytab)
            return err_set(ei, ERR_USAGE, "keytab:FILE, or engine_keytab in the profile",
                           "--upstream-auth keytab: which file?");
        c->principal = profile_get(&cli->profile, PROFILE_engine_principal, NULL);
    }
    return ERR_OK;
}

static volatile sig_atomic_t hup;

static void on_hup(int sig)
{
    (void)sig;
    hup = 1;
}

/* Certificate and route data again. The engine may look at the old data until proxy_reload() has returned, so both stand side by side. */
static enum err reload(struct cli *cli, struct proxy *proxy, struct errinfo *ei)
{
    struct org *old_org = cli->org;
    struct findings old_findings = cli->findings;
    if (!old_org)
        return proxy_reload(proxy, NULL, NULL, ei);
    cli->org = NULL;
    findings_init(&cli->findings);
    enum err e = cli_evaluate(cli, false, ei);
    if (!e)
        e = proxy_reload(proxy, cli->org, &cli->findings, ei);
    if (e) {
        findings_fini(&cli->findings);
        org_free(&cli->org);
        cli->findings = old_findings;
        cli->org = old_org;
    } else {
        findings_fini(&old_findings);
        org_free(&old_org);
    }
    return e;
}

static void mask_signals(int how, sigset_t *before)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(how, &set, before);
}

/* Until SIGINT or SIGTERM; SIGHUP reloads. The three are blocked but while this thread sleeps (engine threads inherit that), so none is missed. */
static void serve(struct cli *cli, struct proxy *proxy, const sigset_t *asleep)
{
    while (!stop_is_raised(&cli->stop)) {
        struct errinfo ei = {0};
        ppoll(NULL, 0, NULL, asleep);
        if (!hup)
            continue;
        hup = 0;
        if (reload(cli, proxy, &ei))
            log_err(&ei);
        else
            log_line(LOG_LEVEL_INFO, "certificate and route data read again");
    }
    proxy_stop(proxy, 5000);
}

COMMAND_RUN(cmd_proxy)
{
    const struct proxy_options *o = options;
    char addr[128], metrics_addr[128], text[32];
    struct proxy *proxy = NULL;
    (void)rest, (void)code;
    struct proxy_config c = {.certificate = o->certificate,
                             .key = o->key,
                             .threads = o->threads ? (unsigned)o->threads : 1,
                             .arrive = o->arrive,
                             .upstream = o->upstream,
                             .upstream_ca = o->upstream_ca,
                             .upstream_insecure = o->upstream_insecure,
                             .max_connections = (unsigned)o->max_connections,
                             .header_timeout_s = o->header_timeout,
                             .idle_timeout_s = o->idle_timeout,
                             .allow = o->allow.v,
                             .n_allow = o->allow.n,
                             .events = o->events,
                             .har = o->har,
                             .profile = &cli->profile,
                             .source = cli->o.source};
    if (words->n)
        return err_set(ei, ERR_USAGE, "casbridge help proxy", "proxy takes no words: %s", words->v[0]);
    if (!o->arrive == !o->upstream)
        return err_set(ei, ERR_USAGE, "casbridge help proxy",
                       "say either --arrive SERVER or --upstream https://HOST");
    if (!o->certificate != !o->key)
        return err_set(ei, ERR_USAGE, NULL, "--certificate and --key go together");
    enum err e =
        split(o->listen ? o->listen : "127.0.0.1:8443", addr, sizeof addr, &c.listen_port, "listen", ei);
    if (!e && o->metrics)
        e = split(o->metrics, metrics_addr, sizeof metrics_addr, &c.metrics_port, "metrics", ei);
    if (!e)
        e = choose_auth(cli, o, &c, ei);
    if (!e && (o->arrive || c.auth != PROXY_AUTH_PASS))
        e = cli_kerberos(cli, ei);
    if (!e && o->arrive) {
        e = cli_evaluate(cli, false, ei);
        if (!e && !org_server(cli->org, o->arrive))
            e = err_set(ei, ERR_USAGE, "casbridge inventory lists them", "there is no server %s", o->arrive);
    }
    if (e)
        return e;
    c.listen_addr = addr;
    c.metrics_addr = o->metrics ? metrics_addr : NULL;
    c.org = cli->org;
    c.findings = cli->org ? &cli->findings : NULL;
    struct sigaction sa = {.sa_handler = on_hup};
    sigset_t before;
    sigaction(SIGHUP, &sa, NULL);
    mask_signals(SIG_BLOCK, &before);
    e = proxy_start(&proxy, &c, ei);
    if (e)
        goto out;
    str_fmt(text, sizeof text, "%u", proxy_port(proxy));
    fprintf(stderr, "casbridge: listening on %s%s%s:%s%s%s\n", strchr(addr, ':') ? "[" : "", addr,
            strchr(addr, ':') ? "]" : "", text,
            proxy_is_self_signed(proxy) ? ", self-signed certificate SHA-256 " : ", certificate SHA-256 ",
            proxy_fingerprint(proxy));
    fflush(stderr);
    serve(cli, proxy, &before);
    struct proxy_stats s;
    proxy_stats(proxy, &s);
    fprintf(stderr,
            "casbridge: %llu connections, %llu requests: %llu x 2xx, %llu x 3xx, %llu x 4xx, %llu x 5xx; "
            "%llu bytes up, %llu down\n",
            (unsigned long long)s.connections, (unsigned long long)s.requests,
            (unsigned long long)s.status_2xx, (unsigned long long)s.status_3xx,
            (unsigned long long)s.status_4xx, (unsigned long long)s.status_5xx,
            (unsigned long long)s.up_bytes, (unsigned long long)s.down_bytes);
    proxy_free(&proxy);
out:
    mask_signals(SIG_UNBLOCK, NULL);
    return e;
}
