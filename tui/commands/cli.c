#include "tui/commands/cli.h"

#include "core/audit/spn.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/host/host.h"
#include "core/probe/probe.h"
#include "core/report/accept.h"
#include "core/report/csv.h"
#include "core/rules/rules.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#define MAX_NAMESPACES SNAPSHOT_NAMESPACES
#define MAX_ACCEPTED   20000

enum err cli_kerberos(struct cli *cli, struct errinfo *ei)
{
    if (cli->krb_ready)
        return ERR_OK;
    enum err e = krb_setup(&cli->profile, ei);
    if (!e)
        cli->krb_ready = true;
    return e;
}

enum err cli_transport(struct cli *cli, const char *via, struct transport **out, struct errinfo *ei)
{
    /* A source that is a file has asked for no ticket; the transport does when it wants one. */
    enum err e = cli->krb_ready ? ERR_OK : krb_setup_names(&cli->profile, ei);
    return e ? e : cli->transport_new(out, via, &cli->profile, ei);
}

const char *cli_source(const struct cli *cli)
{
    return cli->o.source ? cli->o.source : profile_get(&cli->profile, PROFILE_source, NULL);
}

bool cli_source_is_live(const char *source)
{
    return !source || str_istarts(source, "ldap");
}

enum err cli_read_source(struct cli *cli, const char *source, struct buf *kept, struct snapshot **snapshot,
                         struct org **org, struct errinfo *ei)
{
    const char *file = snapshot_path(source);
    if (file)
        return snapshot_read(snapshot, file, &cli->stop, ei);
    enum err e = cli_source_is_live(source) ? cli_kerberos(cli, ei) : ERR_OK;
    return e ? e : directory_read_keeping(org, kept, &cli->profile, source, &cli->stop, ei);
}

enum err cli_read(struct cli *cli, struct errinfo *ei)
{
    char at[CLOCK_TEXT_SIZE];
    if (cli->org)
        return ERR_OK;
    enum err e =
        cli_read_source(cli, cli_source(cli), cli->keep ? &cli->kept : NULL, &cli->snapshot, &cli->org, ei);
    if (e)
        return e;
    if (cli->snapshot) {
        cli->org = cli->snapshot->org;
        cli->snapshot->org = NULL;
        log_line(LOG_LEVEL_WARNING, "%s: as of %s, not as of now", cli->org->source,
                 clock_rfc3339(cli->snapshot->facts.made_at, at));
        if (!cli->fresh && evidence_merge(&cli->evidence, &cli->snapshot->evidence))
            return err_set(ei, ERR_LIMIT, NULL, "there is more evidence than fits");
    }
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
    const char *source = cli_source(cli);
    if (snapshot_path(source))
        return err_set(
            ei, ERR_INPUT,
            "say --mailbox-version and --mailbox-site, or name the directory: --source ldap://HOST",
            "%s holds no mailboxes and cannot be asked", source);
    enum err e = cli_source_is_live(source) ? cli_kerberos(cli, ei) : ERR_OK;
    return e ? e : directory_open(&cli->directory, &cli->profile, source, &cli->stop, ei);
}

static enum generation target_of(const struct cli *cli, const struct org *org,
                                 const struct snapshot *snapshot)
{
    enum generation g = GENERATION_UNKNOWN;
    const char *wanted = cli->o.target ? cli->o.target : profile_get(&cli->profile, PROFILE_target, NULL);
    if (wanted && generation_from_name(wanted, &g))
        return g;
    if (snapshot && snapshot->facts.target != GENERATION_UNKNOWN)
        return snapshot->facts.target;
    g = org ? org_newest(org) : GENERATION_UNKNOWN;
    return g >= GENERATION_2013 ? g : GENERATION_2013;
}

enum generation cli_target(const struct cli *cli)
{
    return target_of(cli, cli->org, cli->snapshot);
}

enum err cli_accepted(struct cli *cli, const char *organization, const struct snapshot *snapshot,
                      acceptances *out, struct errinfo *ei)
{
    acceptances stored = {0};
    struct errinfo why = {0};
    /* to look is not a reason to make a store, and one that cannot be read is not a reason to say nothing at all */
    enum err found =
        store_exists(profile_get(&cli->profile, PROFILE_store, NULL)) ? cli_store(cli, &why) : ERR_NOTFOUND;
    if (!found)
        found = store_accepted(cli->store, organization, &stored, &why);
    if (found && found != ERR_NOTFOUND) {
        err_wrap(&why, "accepted findings are not known");
        log_err(&why);
    }
    enum err e = ERR_OK;
    for (size_t i = 0; !e && snapshot && i < snapshot->accepted.n; i++) {
        const struct acceptance *a = &snapshot->accepted.v[i];
        struct acceptance copy = {.n = a->n,
                                  .organization = strdup(a->organization),
                                  .rule = strdup(a->rule),
                                  .server = a->server ? strdup(a->server) : NULL,
                                  .by = strdup(a->by),
                                  .reason = strdup(a->reason),
                                  .at = a->at,
                                  .until = a->until};
        if (!copy.organization || !copy.rule || (a->server && !copy.server) || !copy.by || !copy.reason ||
            !VEC_PUSH(out, MAX_ACCEPTED, copy)) {
            acceptance_fini(&copy);
            e = err_set(ei, ERR_NOMEM, NULL, "no memory for the accepted findings");
        }
    }
    for (size_t i = 0; !e && i < stored.n; i++) {
        if (VEC_PUSH(out, MAX_ACCEPTED, stored.v[i]))
            stored.v[i] = (struct acceptance){0};
        else
            e = err_set(ei, ERR_LIMIT, NULL, "there are more accepted findings than fit");
    }
    acceptances_free(&stored);
    return e;
}

enum err cli_judge(struct cli *cli, const struct org *org, const struct evidence *e,
                   const struct snapshot *snapshot, bool probed, struct findings *out, struct errinfo *ei)
{
    char names[MAX_NAMESPACES][256];
    const char *spaces[MAX_NAMESPACES];
    const struct snapshot_facts *facts = snapshot ? &snapshot->facts : NULL;
    const char *legacy = profile_get(&cli->profile, PROFILE_legacy_namespace, NULL);
    struct rule_input in = {
        .org = org,
        .evidence = e,
        .target = target_of(cli, org, snapshot),
        .namespaces = spaces,
        .legacy_namespace = legacy || !facts ? legacy : facts->legacy_namespace,
        .probed = probed || (facts && facts->probed),
        .now = facts && !probed ? facts->made_at : clock_unix(),
        .poll_interval_s =
            profile_int(&cli->profile, PROFILE_poll_interval,
                        facts && facts->poll_interval_s <= INT_MAX ? (int)facts->poll_interval_s : 900)};
    while (in.n_namespaces < MAX_NAMESPACES &&
           profile_namespace(&cli->profile, in.n_namespaces, names[in.n_namespaces], sizeof names[0])) {
        spaces[in.n_namespaces] = names[in.n_namespaces];
        in.n_namespaces++;
    }
    if (!in.n_namespaces && facts) {
        in.namespaces = facts->namespaces;
        in.n_namespaces = facts->n_namespaces;
    }
    acceptances accepted = {0};
    enum err err = rules_evaluate(&in, out, ei);
    if (!err)
        err = cli_accepted(cli, org->name, snapshot, &accepted, ei);
    if (!err)
        err = accept_apply(out, &accepted, org->name, in.now, ei);
    acceptances_free(&accepted);
    return err;
}

enum err cli_ask_hosts(struct cli *cli, bool remote, const char *via, struct errinfo *ei)
{
    struct host_request req = {0};
    if (via && !remote)
        return err_set(ei, ERR_USAGE, "add --remote", "--via says how --remote reaches the servers");
    if (!remote)
        return ERR_OK;
    via = via ? via : host_via(profile_get(&cli->profile, PROFILE_via, NULL));
    enum err e = cli_read(cli, ei);
    if (!e)
        e = cli_transport(cli, via, &req.transport, ei);
    if (!e)
        e = host_ask(cli->org, NULL, 0, &req, &cli->stop, &cli->evidence, ei);
    if (req.transport)
        req.transport->free(req.transport);
    return e;
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
            e = spn_gather(&cli->profile, cli_source(cli), cli->org, cli->login, &cli->evidence, &cli->stop,
                           ei);
        if (e)
            return e;
        cli_keep_evidence(cli, false);
    }
    return cli_judge(cli, cli->org, &cli->evidence, cli->snapshot, probe || cli->recalled, &cli->findings,
                     ei);
}

enum err cli_store(struct cli *cli, struct errinfo *ei)
{
    if (cli->store)
        return ERR_OK;
    return store_open_profile(&cli->store, &cli->profile, ei);
}

void cli_who(const struct cli *cli, char *who, size_t who_cap, char *from, size_t from_cap)
{
    struct passwd pw, *found = NULL;
    char text[1024];
    const char *principal =
        cli->login ? krb_login_name(cli->login) : profile_get(&cli->profile, PROFILE_krb5_principal, NULL);
    bool ticket = !principal && cli->krb_ready && !profile_get(&cli->profile, PROFILE_ldap_user, NULL);
    if (principal)
        str_copy(who, who_cap, principal);
    else if (ticket && krb_login_default_name(who, who_cap))
        ; /* several admins may share an account of the jump host */
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
    csv_field(out, value, last);
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

bool cli_reader_gone(struct cli *cli)
{
    struct pollfd out = {STDOUT_FILENO, 0, 0};
    bool to_file = cli->o.output && strcmp(cli->o.output, "-") != 0;
    if (!to_file && poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)))
        cli->reader_gone = true;
    return cli->reader_gone;
}

enum err cli_flush(struct cli *cli, struct errinfo *ei)
{
    enum err e = ERR_OK;
    if (cli->out.failed)
        return err_set(ei, cli->out.failed, NULL, "the output is too large");
    if (cli->o.output && strcmp(cli->o.output, "-") != 0) {
        if (cli->out.len)
            e = path_write(cli->o.output, buf_str(&cli->out), cli->out.len, 0644, ei);
    } else if (cli->out.len && !cli->reader_gone &&
               (fwrite(buf_str(&cli->out), 1, cli->out.len, stdout) != cli->out.len || fflush(stdout) != 0)) {
        cli->reader_gone = errno == EPIPE;
        if (!cli->reader_gone)
            e = err_errno(ei, ERR_SYSTEM, NULL, "cannot write to standard output");
    }
    buf_reset(&cli->out);
    return e;
}
