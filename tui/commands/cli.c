#include "tui/commands/cli.h"

#include "core/audit/spn.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/probe/probe.h"
#include "core/rules/rules.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#define MAX_NAMESPACES 16

enum err cli_kerberos(struct cli *cli, struct errinfo *ei)
{
    if (cli->krb_ready)
        return ERR_OK;
    enum err e = krb_setup(&cli->profile, ei);
    if (!e)
        cli->krb_ready = true;
    return e;
}

static const char *source_of(const struct cli *cli)
{
    return cli->o.source ? cli->o.source : profile_get(&cli->profile, PROFILE_source, NULL);
}

static bool is_live(const char *source)
{
    return !source || str_istarts(source, "ldap");
}

enum err cli_read(struct cli *cli, struct errinfo *ei)
{
    if (cli->org)
        return ERR_OK;
    const char *source = source_of(cli);
    enum err e = is_live(source) ? cli_kerberos(cli, ei) : ERR_OK;
    if (!e)
        e = directory_read(&cli->org, &cli->profile, source, &cli->stop, ei);
    if (e)
        return e;
    for (size_t i = 0; i < cli->org->n_notes; i++)
        log_line(LOG_LEVEL_WARNING, "%s: %s",
                 cli->org->notes[i].subject ? cli->org->notes[i].subject : "directory",
                 cli->org->notes[i].text);
    return ERR_OK;
}

enum err cli_directory(struct cli *cli, struct errinfo *ei)
{
    if (cli->directory)
        return ERR_OK;
    const char *source = source_of(cli);
    enum err e = is_live(source) ? cli_kerberos(cli, ei) : ERR_OK;
    return e ? e : directory_open(&cli->directory, &cli->profile, source, &cli->stop, ei);
}

enum generation cli_target(const struct cli *cli)
{
    enum generation g = GENERATION_UNKNOWN;
    const char *wanted = cli->o.target ? cli->o.target : profile_get(&cli->profile, PROFILE_target, NULL);
    if (wanted && generation_from_name(wanted, &g))
        return g;
    g = cli->org ? org_newest(cli->org) : GENERATION_UNKNOWN;
    return g >= GENERATION_2013 ? g : GENERATION_2013;
}

enum err cli_evaluate(struct cli *cli, bool probe, struct errinfo *ei)
{
    enum err e = cli_read(cli, ei);
    if (e)
        return e;
    if (probe) {
        struct probe_request req = {.tickets = true,
                                    .parallel = (unsigned)profile_int(&cli->profile, PROFILE_parallel, 32)};
        struct errinfo why = {0};
        if (cli_kerberos(cli, &why) || (!cli->login && krb_login_default(&cli->login, &why)))
            log_err(&why); /* the wire can be asked without a ticket; the rule says unknown */
        req.login = cli->login;
        e = probe_run(&cli->profile, cli->org, NULL, 0, &req, &cli->stop, NULL, NULL, &cli->evidence, ei);
        if (!e)
            e = spn_gather(&cli->profile, source_of(cli), cli->org, cli->login, &cli->evidence, &cli->stop,
                           ei);
        if (e)
            return e;
    }
    char names[MAX_NAMESPACES][256];
    const char *spaces[MAX_NAMESPACES];
    struct rule_input in = {.org = cli->org,
                            .evidence = &cli->evidence,
                            .target = cli_target(cli),
                            .namespaces = spaces,
                            .legacy_namespace = profile_get(&cli->profile, PROFILE_legacy_namespace, NULL),
                            .probed = probe,
                            .now = clock_unix(),
                            .poll_interval_s = profile_int(&cli->profile, PROFILE_poll_interval, 900)};
    while (in.n_namespaces < MAX_NAMESPACES &&
           profile_namespace(&cli->profile, in.n_namespaces, names[in.n_namespaces], sizeof names[0])) {
        spaces[in.n_namespaces] = names[in.n_namespaces];
        in.n_namespaces++;
    }
    return rules_evaluate(&in, &cli->findings, ei);
}

enum err cli_store(struct cli *cli, struct errinfo *ei)
{
    if (cli->store)
        return ERR_OK;
    return store_open(&cli->store, profile_get(&cli->profile, PROFILE_store, NULL), ei);
}

void cli_who(const struct cli *cli, char *who, size_t who_cap, char *from, size_t from_cap)
{
    struct passwd pw, *found = NULL;
    char text[1024];
    const char *principal =
        cli->login ? krb_login_name(cli->login) : profile_get(&cli->profile, PROFILE_krb5_principal, NULL);
    if (principal)
        str_copy(who, who_cap, principal);
    else if (getpwuid_r(geteuid(), &pw, text, sizeof text, &found) == 0 && found)
        str_copy(who, who_cap, found->pw_name);
    else
        str_fmt(who, who_cap, "uid %u", (unsigned)geteuid());
    if (gethostname(from, from_cap) < 0)
        str_copy(from, from_cap, "?");
    from[from_cap - 1] = '\0';
}

bool cli_read_only(const struct cli *cli)
{
    return cli->o.read_only || profile_flag(&cli->profile, PROFILE_read_only, false);
}

enum err cli_json(struct cli *cli, json_t *document, struct errinfo *ei)
{
    char *text = document ? json_dumps(document, JSON_INDENT(2)) : NULL;
    json_decref(document);
    if (!text)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the document");
    buf_adds(&cli->out, text);
    free(text);
    return buf_addc(&cli->out, '\n') ? err_set(ei, cli->out.failed, NULL, "the document is too large")
                                     : ERR_OK;
}

void cli_csv(struct buf *out, const char *value, bool last)
{
    const char *s = value ? value : "";
    bool formula = *s && strchr("=+-@\t\r", *s) != NULL;
    if (formula || strpbrk(s, ",\"\r\n")) {
        buf_addc(out, '"');
        if (formula)
            buf_addc(out, '\'');
        for (; *s; s++) {
            if (*s == '"')
                buf_addc(out, '"');
            buf_addc(out, *s);
        }
        buf_addc(out, '"');
    } else {
        buf_adds(out, s);
    }
    buf_adds(out, last ? "\r\n" : ",");
}

/* Columns a text takes on a terminal. */
static int columns(const char *s)
{
    int n = 0;
    for (size_t len = strlen(s), used; len; s += used, len -= used) {
        uint32_t c;
        used = utf8_next(s, len, &c);
        int w = used ? wcwidth((wchar_t)c) : 1;
        n += w > 0 ? w : 0;
        used = used ? used : 1;
    }
    return n;
}

void cli_cell(struct buf *out, const char *value, int width)
{
    size_t begun = out->len;
    str_show(out, value ? value : "-", value ? strlen(value) : 1);
    for (int n = columns(buf_str(out) + begun); n < width; n++)
        buf_addc(out, ' ');
    if (width)
        buf_addc(out, ' ');
}

enum err cli_flush(struct cli *cli, struct errinfo *ei)
{
    enum err e = ERR_OK;
    if (cli->out.failed)
        return err_set(ei, cli->out.failed, NULL, "the output is too large");
    if (cli->o.output && strcmp(cli->o.output, "-") != 0) {
        if (cli->out.len)
            e = path_write(cli->o.output, buf_str(&cli->out), cli->out.len, 0644, ei);
    } else if (cli->out.len &&
               (fwrite(buf_str(&cli->out), 1, cli->out.len, stdout) != cli->out.len || fflush(stdout) != 0)) {
        e = err_errno(ei, ERR_SYSTEM, NULL, "cannot write to standard output");
    }
    buf_reset(&cli->out);
    return e;
}
