/*
 * Arguments and wiring: the only file that sees every layer. Without a command it opens the console.
 */
#include "core/base/log.h"
#include "core/base/str.h"
#include "remoting/remoting.h"
#include "tui/commands/cli.h"
#include "tui/console.h"

#include <curl/curl.h>
#include <errno.h>
#include <libxml/parser.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_OUTPUT ((size_t)256 * 1024 * 1024)

static struct cli cli;

static void on_stop(int sig)
{
    (void)sig;
    const char *text = stop_is_raised(&cli.stop) ? NULL : atomic_load(&cli.on_stop);
    stop_raise(&cli.stop); /* atomic loads and a store, and write(2): safe here */
    if (text) {
        int saved = errno;
        ssize_t n = write(STDERR_FILENO, text, strlen(text));
        (void)n;
        errno = saved;
    }
}

static void catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_stop}, ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* Secrets pass through this process: no core file, no ptrace by others. Many sockets: the soft limit goes to the hard one. */
static void harden(void)
{
    struct rlimit files;
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE,
              &none); /* also where the kernel pipes cores to a program, which PR_SET_DUMPABLE decides */
#ifndef __SANITIZE_ADDRESS__ /* the leak checker traces its own process */
    prctl(PR_SET_DUMPABLE, 0);
#endif
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Asked where passwords are: on the terminal, or in the console's dialog. */
static bool trust_host_key(void *arg, const char *host, const char *key)
{
    char question[500];
    (void)arg;
    str_fmt(question, sizeof question,
            "%s is met for the first time and shows the host key %s. Trust it from now on?", host, key);
    return secret_ask_yes(question);
}

static enum err ssh_or_other(struct transport **out, const char *via, const struct profile *p,
                             struct errinfo *ei)
{
    return remoting_transport_new(out, via, p, trust_host_key, NULL, ei);
}

static enum err choose_format(struct cli *c, const struct command *command, struct errinfo *ei)
{
    static const char *const names[] = {"text", "json", "csv", "html", "xml"};
    char known[64] = "";
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (command->formats & 1u << i) {
            size_t n = strlen(known);
            str_fmt(known + n, sizeof known - n, "%s%s", n ? ", " : "", names[i]);
        }
        if (c->o.format && strcmp(c->o.format, names[i]) == 0 && command->formats & 1u << i) {
            c->format = (enum format)i;
            return ERR_OK;
        }
    }
    return c->o.format
               ? err_set(ei, ERR_USAGE, known, "%s cannot be written as %.40s", command->name, c->o.format)
               : ERR_OK;
}

/* Profile first, then the options over it. */
static enum err load_profile(struct cli *c, struct errinfo *ei)
{
    enum err e = profile_load(&c->profile, c->o.config, c->o.profile, ei);
    for (size_t i = 0; !e && i < c->o.hosts.n; i++)
        e = hostmap_add(&c->profile.hosts, c->o.hosts.v[i], ei);
    if (!e && c->o.target) {
        e = profile_set(&c->profile, PROFILE_target, c->o.target, ei);
        if (e)
            e = err_set(ei, ERR_USAGE, "2013, 2016, 2019 or se", "--target: \"%.40s\" is not known",
                        c->o.target);
    }
    if (!e && c->o.read_only)
        e = profile_set(&c->profile, PROFILE_read_only, "yes", ei);
    return e;
}

/* Its errors it says itself, once the terminal is given back. */
static enum err open_console(struct cli *c, int *code, struct errinfo *ei)
{
    enum generation target = GENERATION_UNKNOWN;
    const char *wanted = profile_get(&c->profile, PROFILE_target, NULL);
    if (wanted && !generation_from_name(wanted, &target))
        return err_set(ei, ERR_CONFIG, "2013, 2016, 2019 or se", "the target %s is not known", wanted);
    const struct console_config config = {.profile = &c->profile,
                                          .source = c->o.source,
                                          .target = target,
                                          .read_only = c->o.read_only ||
                                                       profile_flag(&c->profile, PROFILE_read_only, false),
                                          .ascii = c->o.ascii,
                                          .no_color = c->o.no_color,
                                          .theme = c->o.theme,
                                          .who = profile_get(&c->profile, PROFILE_krb5_principal, NULL),
                                          .transport_new = c->transport_new};
    *code = console_run(&config);
    return ERR_OK;
}

static enum err dispatch(int argc, const char *const *argv, int *code, struct errinfo *ei)
{
    static struct arg_list words;
    const char *const *rest = NULL;
    const struct command *command = NULL;
    void *options = NULL;
    const char *name = args_first_word(argc - 1, argv + 1, cli_global);
    command = name ? command_find(name) : NULL;
    struct arg_table tables[2] = {{cli_global, &cli.o}, {NULL, NULL}};
    if (command && command->options) {
        options = calloc(1, command->options_size);
        if (!options)
            return err_set(ei, ERR_NOMEM, NULL, "no memory");
        tables[1] = (struct arg_table){command->options, options};
    }
    enum err e = args_parse(argc - 1, argv + 1, tables, 2, &words, &rest, ei);
    if (e)
        goto out;
    if (cli.o.version || cli.o.help) {
        static struct arg_list none;
        if (cli.o.help && command) {
            none.v[0] = command->name;
            none.n = 1;
        }
        e = (cli.o.version ? cmd_version : cmd_help)(&cli, NULL, &none, NULL, code, ei);
        goto out;
    }
    if (words.n == 0) {
        e = load_profile(&cli, ei);
        if (!e)
            e = open_console(&cli, code, ei);
        goto out;
    }
    command = command_find(words.v[0]);
    if (!command) {
        const char *names[64];
        for (size_t i = 0; i < commands_count && i < ARRAY_LEN(names); i++)
            names[i] = commands[i].name;
        const char *near = args_nearest(words.v[0], names, commands_count);
        e = err_set(ei, ERR_USAGE, "casbridge help lists them", "there is no command %.60s", words.v[0]);
        if (near)
            err_hint(ei, "did you mean %s?", near);
        goto out;
    }
    memmove(words.v, words.v + 1, --words.n * sizeof words.v[0]);
    e = choose_format(&cli, command, ei);
    if (!e)
        e = load_profile(&cli, ei);
    if (!e && command->changes && cli_read_only(&cli))
        e = err_set(ei, ERR_REFUSED, "drop --read-only, or read_only from the profile",
                    "%s changes servers and this is read-only", command->name);
    stop_init(&cli.stop, (int64_t)cli.o.timeout * 1000, NULL);
    if (!e)
        e = command->run(&cli, options, &words, rest, code, ei);
out:
    free(options);
    return e;
}

int main(int argc, char **argv)
{
    struct errinfo ei = {0};
    int code = 0;
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    harden();
    catch_signals();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    stop_init(&cli.stop, 0, NULL);
    buf_init(&cli.out, MAX_OUTPUT);
    evidence_init(&cli.evidence, (size_t)256 << 20);
    findings_init(&cli.findings);
    cli.transport_new = ssh_or_other;
    enum err e = dispatch(argc, (const char *const *)argv, &code, &ei);
    struct errinfo late = {0};
    if (cli_flush(&cli, &late) && !e) {
        e = late.code;
        ei = late;
    }
    if (e) {
        if (stop_is_raised(&cli.stop) && e != ERR_PARTIAL)
            e = ERR_INTERRUPTED;
        ei.code = ei.code ? ei.code : e;
        log_err(&ei);
        code = err_exit_code(e);
    }
    store_close(&cli.store);
    directory_close(&cli.directory);
    krb_login_free(&cli.login);
    findings_fini(&cli.findings);
    evidence_fini(&cli.evidence);
    org_free(&cli.org);
    snapshot_free(&cli.snapshot);
    buf_fini(&cli.kept);
    profile_fini(&cli.profile);
    buf_fini(&cli.out);
    xmlCleanupParser();
    curl_global_cleanup();
    return code;
}
