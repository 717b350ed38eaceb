/* casbridge check, casbridge probe: rules and evidence. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/iis/iis.h"
#include "core/probe/probe.h"
#include "core/report/json.h"
#include "core/report/report.h"
#include "core/rules/rules.h"
#include "tui/commands/cli.h"

#include <stddef.h>
#include <string.h>

const struct arg_spec check_specs[] = {
    {"probe", 0, ARG_FLAG, offsetof(struct check_options, probe), NULL, "ask every CAS on the wire as well"},
    {"kept", 0, ARG_FLAG, offsetof(struct check_options, kept), NULL,
     "with the evidence that anybody gathered last, kept in the store"},
    REMOTE_SPECS(struct check_options),
    {"iis", 0, ARG_LIST, offsetof(struct check_options, iis), "SERVER=FILE",
     "applicationHost.config of a server, true as of when the file was last written; repeatable"},
    {0},
};
const struct arg_spec probe_specs[] = {
    {"protocol", 0, ARG_LIST, offsetof(struct probe_options, protocols), "P",
     "oa, ews, owa, ...; repeatable; default oa"},
    {"user", 0, ARG_TEXT, offsetof(struct probe_options, user), "U",
     "a mailbox to log on as; without SERVER its Client Access Servers are probed"},
    {"password", 0, ARG_TEXT, offsetof(struct probe_options, password), "SECRET",
     "of --user: file:PATH, env:NAME or ask; else the profile's probe_password, else the ticket alone"},
    {0},
};

static void finding_text(struct buf *out, const struct finding *f)
{
    struct buf cmdlet;
    buf_init(&cmdlet, 65536);
    buf_addf(out, "%-8s %-21s ", severity_name(f->severity), f->id);
    cli_cell(out, f->server ? f->server : f->site ? f->site : "organisation", 14);
    if (f->drift_class)
        buf_addf(out, "%s: ", f->drift_class);
    cli_cell(out, f->summary, 0);
    buf_adds(out, "\n");
    for (size_t i = 0; i < f->n_evidence; i++) {
        const struct proof *p = &f->evidence[i];
        buf_addf(out, "         %-10s ", evidence_source_name(p->source));
        cli_cell(out, p->subject, 0);
        buf_adds(out, ": ");
        cli_cell(out, p->observed, 0);
        if (p->expected) {
            buf_adds(out, "; expected ");
            cli_cell(out, p->expected, 0);
        }
        buf_adds(out, "\n");
    }
    if (f->fix && cmdlet_text(&cmdlet, &f->fix->cmdlet, NULL) == ERR_OK) {
        buf_addf(out, "         %-10s ", f->fix->automatic ? "fix" : "by hand");
        cli_cell(out, buf_str(&cmdlet), 0);
        buf_adds(out, "\n");
    }
    if (f->accepted) {
        char until[CLOCK_TEXT_SIZE];
        buf_adds(out, "         accepted   by ");
        cli_cell(out, f->accepted->by, 0);
        buf_addf(out, " until %s: ",
                 f->accepted->until ? clock_rfc3339(f->accepted->until, until) : "further notice");
        cli_cell(out, f->accepted->reason, 0);
        buf_adds(out, "\n");
    }
    buf_fini(&cmdlet);
}

static void as_text(struct buf *out, const struct findings *f)
{
    for (size_t i = 0; i < f->found.n; i++)
        finding_text(out, &f->found.v[i]);
    if (f->found.n)
        buf_adds(out, "\n");
    for (size_t i = 0; i < f->unknown.n; i++) {
        buf_addf(out, "unknown  %-21s ", f->unknown.v[i].id);
        cli_cell(out, f->unknown.v[i].server ? f->unknown.v[i].server : "organisation", 14);
        cli_cell(out, f->unknown.v[i].why, 0);
        buf_adds(out, "\n");
    }
    if (f->unknown.n)
        buf_adds(out, "\n");
    buf_addf(out, "Exchange %s: %s. %zu finding%s, %zu passed, %zu unknown.\n", generation_name(f->target),
             verdict_text(f->verdict), f->found.n, f->found.n == 1 ? "" : "s", f->passed.n, f->unknown.n);
}

static void as_csv(struct buf *out, const struct findings *f)
{
    struct buf cmdlet;
    buf_init(&cmdlet, 65536);
    buf_adds(out, "state,id,severity,server,site,summary,fix\r\n");
    for (size_t i = 0; i < f->found.n; i++) {
        const struct finding *x = &f->found.v[i];
        buf_reset(&cmdlet);
        bool fix = x->fix && cmdlet_text(&cmdlet, &x->fix->cmdlet, NULL) == ERR_OK;
        cli_csv(out, x->accepted ? "accepted" : "found", false);
        cli_csv(out, x->id, false);
        cli_csv(out, severity_name(x->severity), false);
        cli_csv(out, x->server, false);
        cli_csv(out, x->site, false);
        cli_csv(out, x->summary, false);
        cli_csv(out, fix ? buf_str(&cmdlet) : NULL, true);
    }
    for (int pass = 0; pass < 2; pass++) {
        size_t n = pass ? f->unknown.n : f->passed.n;
        for (size_t i = 0; i < n; i++) {
            const struct finding_ref *r = pass ? &f->unknown.v[i] : &f->passed.v[i];
            cli_csv(out, pass ? "unknown" : "passed", false);
            cli_csv(out, r->id, false);
            cli_csv(out, NULL, false);
            cli_csv(out, r->server, false);
            cli_csv(out, NULL, false);
            cli_csv(out, r->why, false);
            cli_csv(out, NULL, true);
        }
    }
    buf_fini(&cmdlet);
}

/* SERVER=FILE: what IIS of that server is set to. */
static enum err take_iis(struct cli *cli, const char *word, struct errinfo *ei)
{
    const char *equals = strchr(word, '=');
    struct iis_config config;
    char name[256];
    int64_t now = clock_unix(), at = now;
    if (!equals || equals == word || !equals[1] ||
        !str_fmt(name, sizeof name, "%.*s", (int)(equals - word), word))
        return err_set(ei, ERR_USAGE, "--iis EXCAS01=applicationHost.config",
                       "--iis %s names no server and file", word);
    const struct server *s = org_server(cli->org, name);
    if (!s)
        return err_set(ei, ERR_USAGE, "casbridge inventory lists them", "there is no server %s", name);
    enum err e = iis_read(&config, equals + 1, &at, ei);
    if (e)
        return e;
    size_t before = cli->evidence.items.n;
    e = iis_observe(&config, s, at < now ? at : now, &cli->evidence, ei);
    iis_fini(&config);
    if (!e && cli->evidence.items.n == before)
        log_line(LOG_LEVEL_WARNING,
                 "%s: none of the virtual directories of %s is in it: is it this server's file?", equals + 1,
                 s->name);
    return e;
}

COMMAND_RUN(cmd_check)
{
    const struct check_options *o = options;
    (void)rest;
    if (words->n)
        return err_set(ei, ERR_USAGE, "casbridge help check", "check takes no words: %s", words->v[0]);
    enum err e = cli_read(cli, ei);
    if (!e && o->kept)
        e = cli_recall_evidence(cli, ei);
    for (size_t i = 0; !e && i < o->iis.n; i++)
        e = take_iis(cli, o->iis.v[i], ei);
    if (!e)
        e = cli_ask_hosts(cli, o->remote, o->via, ei);
    if (!e)
        e = cli_evaluate(cli, o->probe, ei);
    if (e)
        return e;
    const struct findings *f = &cli->findings;
    for (size_t i = 0; i < f->found.n; i++)
        if (f->found.v[i].severity >= SEVERITY_ERROR && !f->found.v[i].accepted)
            *code = 1;
    if (cli->format == FORMAT_JSON)
        return cli_json(cli, json_check(f), ei);
    if (cli->format == FORMAT_CSV)
        as_csv(&cli->out, f);
    else
        as_text(&cli->out, f);
    return ERR_OK;
}

/* Names that clients guess, which are no server's: asked once, beside the server whose turn it was. */
static bool is_by_domain(const struct observation *o)
{
    return !o->server && o->by_name;
}

static void probe_part(struct buf *out, const struct evidence *e, bool by_domain)
{
    const char *last = NULL;
    for (size_t i = 0; i < e->items.n; i++) {
        const struct observation *o = &e->items.v[i];
        const char *head = o->server ? o->server : by_domain ? "by the domain" : "test user";
        if (is_by_domain(o) != by_domain)
            continue;
        if (!last || !str_eq(last, head)) {
            last = head;
            cli_cell(out, head, 0);
            buf_adds(out, "\n");
        }
        buf_addf(out, "  %-8s %-20s ", outcome_name(o->outcome), o->step ? o->step : "-");
        if (o->protocol < PROTOCOL_COUNT)
            buf_addf(out, "%-12s ", protocol_id(o->protocol));
        else
            buf_adds(out, "             ");
        cli_cell(out, o->subject, 44);
        cli_cell(out, o->detail, 0);
        buf_addf(out, "  (%d ms)\n", o->elapsed_ms);
    }
}

static void probe_text(struct buf *out, const struct evidence *e)
{
    probe_part(out, e, false);
    probe_part(out, e, true);
}

/* Servers named by words; without any those of the user's mailbox; every CAS when there is no user either. The mailbox is looked up for
   servers named, too: how it is asked for depends on it. has_box is false when the source cannot tell. */
static enum err choose(struct cli *cli, const struct probe_options *o, const struct arg_list *words,
                       const struct server **out, size_t *n, struct mailbox *box, bool *has_box,
                       struct errinfo *ei)
{
    *n = 0;
    *has_box = false;
    for (size_t i = 0; i < words->n; i++) {
        const struct server *s = org_server(cli->org, words->v[i]);
        if (!s)
            return err_set(ei, ERR_USAGE, "casbridge inventory lists them", "there is no server %s",
                           words->v[i]);
        out[(*n)++] = s;
    }
    if (!o->user)
        return ERR_OK;
    enum err e = cli_directory(cli, ei);
    if (!e)
        e = directory_mailbox(cli->directory, cli->org, o->user, box, &cli->stop, ei);
    *has_box = !e;
    if (e == ERR_NOTFOUND && *n) { /* the servers can be asked all the same */
        log_err(ei);
        return ERR_OK;
    }
    if (e || *n)
        return e;
    for (size_t i = 0; i < cli->org->n_servers && *n < ARG_MAX_VALUES; i++) {
        const struct server *s = &cli->org->servers[i];
        if (s->site && s->site == box->site && s->generation == box->generation && server_is_cas(s))
            out[(*n)++] = s;
    }
    return *n ? ERR_OK
              : err_set(ei, ERR_NOTFOUND, NULL,
                        "no Client Access Server of the mailbox's version is in its site");
}

static enum err probe_protocols(const struct probe_options *o, uint32_t *out, struct errinfo *ei)
{
    *out = 0;
    for (size_t i = 0; i < o->protocols.n; i++) {
        enum protocol p;
        if (!protocol_from_id(o->protocols.v[i], &p))
            return err_set(ei, ERR_USAGE,
                           "oa, mapi, owa, ecp, ews, eas, oab, autodiscover, powershell, pop, imap",
                           "unknown protocol %s", o->protocols.v[i]);
        *out |= 1u << p;
    }
    return ERR_OK;
}

/* Empty when nobody said where it is: then the ticket alone is used. */
static enum err probe_password(const struct cli *cli, const struct probe_options *o, struct secret *out,
                               struct errinfo *ei)
{
    char prompt[300];
    const char *ref = o->password ? o->password : profile_get(&cli->profile, PROFILE_probe_password, NULL);
    if (!o->user)
        return o->password
                   ? err_set(ei, ERR_USAGE, "add --user U", "--password is given, but nobody to log on as")
                   : ERR_OK;
    if (!ref)
        return ERR_OK;
    str_fmt(prompt, sizeof prompt, "password of %s", o->user);
    return secret_resolve(out, ref, prompt, ei);
}

COMMAND_RUN(cmd_probe)
{
    const struct probe_options *o = options;
    static const struct server *servers[ARG_MAX_VALUES];
    struct secret password = {0};
    struct mailbox box;
    bool has_box = false;
    size_t n = 0;
    (void)rest;
    struct probe_request req = {.tickets = true,
                                .deep = true,
                                .user = {.name = o->user, .password = &password},
                                .parallel = (unsigned)profile_int(&cli->profile, PROFILE_parallel, 32)};
    cli->fresh = true;
    enum err e = probe_protocols(o, &req.protocols, ei);
    if (!e)
        e = cli_read(cli, ei);
    if (!e)
        e = choose(cli, o, words, servers, &n, &box, &has_box, ei);
    if (!e)
        e = probe_password(cli, o, &password, ei);
    if (e)
        goto out;
    req.user.mailbox = has_box ? &box : NULL;
    struct errinfo why = {0};
    if (cli_kerberos(cli, &why) || krb_login_default(&cli->login, &why))
        log_err(&why);
    req.login = cli->login;
    e = probe_run(&cli->profile, cli->org, n ? servers : NULL, n, &req, &cli->stop, NULL, NULL,
                  &cli->evidence, ei);
    if (e && e != ERR_INTERRUPTED)
        goto out;
    cli_keep_evidence(cli, true);
    for (size_t i = 0; i < cli->evidence.items.n; i++) {
        const struct observation *seen = &cli->evidence.items.v[i];
        if (seen->outcome == OUTCOME_ERROR && *code != err_exit_code(ERR_AUTH))
            *code = err_exit_code(ERR_PARTIAL);
        if (str_eq(seen->step, "login") && seen->outcome == OUTCOME_FAILED) /* whatever the servers said */
            *code = err_exit_code(ERR_AUTH);
    }
    if (!e && stop_left_ms(&cli->stop, 1) == 0)
        e = err_set(ei, ERR_TIMEOUT, "give it more with --timeout",
                    "probing: the time is over; what was seen so far is kept");
    if (cli->format == FORMAT_JSON) {
        enum err written = cli_json(cli, json_probe(&cli->evidence), e ? NULL : ei);
        e = e ? e : written;
    } else if (cli->format == FORMAT_XML) {
        const struct report r = {
            .in = {.org = cli->org, .evidence = &cli->evidence}}; /* all that this writer reads */
        enum err written = report_xml(&r, &cli->out, e ? NULL : ei);
        e = e ? e : written;
    } else {
        probe_text(&cli->out, &cli->evidence);
    }
out:
    secret_fini(&password);
    return e;
}
