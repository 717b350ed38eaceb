/* casbridge spn: namespaces and servers against the accounts that own their service names. */
#include "core/audit/spn.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/report/json.h"
#include "tui/commands/cli.h"

#include <string.h>

#define NAME_COLUMN    34
#define ACCOUNT_COLUMN 20
#define DAY            86400

static const char *account_name(const struct spn_account *a)
{
    return a->account ? a->account : a->dn;
}

static void ticket_text(struct buf *out, const struct observation *o)
{
    if (!o)
        buf_adds(out, "no ticket asked for");
    else
        cli_cell(out, o->detail, 0);
}

static void row_text(struct buf *out, const struct spn_row *r)
{
    cli_cell(out, r->name, NAME_COLUMN);
    buf_addf(out, "%-10s ", spn_state_name(r->state));
    ticket_text(out, r->ticket);
    buf_adds(out, "\n");
    for (size_t i = 0; i < r->n_owners; i++) {
        const struct spn_owner *o = &r->owners[i];
        buf_adds(out, "    ");
        cli_cell(out, account_name(o->account), ACCOUNT_COLUMN);
        cli_cell(out, o->spn, 0);
        if (o->account->server)
            buf_addf(out, "  (account of %s)", o->account->server->name);
        else if (o->account->is_guess)
            buf_adds(out, "  (perhaps the alternate service account)");
        buf_adds(out, "\n");
    }
    for (int bit = 1; bit <= r->problems; bit <<= 1)
        if (r->problems & bit)
            buf_addf(out, "    ! %s\n", spn_problem_words(bit));
    if (r->advice) {
        buf_adds(out, "    > ");
        cli_cell(out, r->advice, 0);
        buf_adds(out, "\n");
    }
}

static void account_text(struct buf *out, const struct spn_account *a, int64_t now)
{
    char set[CLOCK_TEXT_SIZE];
    buf_adds(out, "    ");
    cli_cell(out, account_name(a), ACCOUNT_COLUMN);
    buf_addf(out, "%-8s  ", a->is_computer ? "computer" : "user");
    if (!a->has_enctypes && a->is_partial)
        buf_adds(out, "encryption types not known (another domain)");
    else
        spn_enctypes_text(out, a->has_enctypes, a->enctypes);
    if (a->pwd_last_set)
        buf_addf(out, "; password of %s, %lld days", clock_rfc3339(a->pwd_last_set, set),
                 (long long)((now - a->pwd_last_set) / DAY));
    for (int bit = 1; bit <= a->problems; bit <<= 1)
        if (a->problems & bit)
            buf_addf(out, "; %s", spn_problem_words(bit));
    buf_adds(out, "\n");
    if (!a->is_guess)
        return;
    buf_adds(out, "        a guess: it may be the alternate service account, because it ");
    for (size_t i = 0; i < a->n_why; i++) {
        buf_adds(out, i ? ", " : "");
        cli_cell(out, a->why[i], 0);
    }
    buf_adds(out, "; which CAS use it only Get-ClientAccessServer "
                  "-IncludeAlternateServiceAccountCredentialStatus tells\n");
}

static void as_text(struct buf *out, const struct spn_audit *a, int64_t now)
{
    for (size_t i = 0; i < a->n_rows; i++) {
        if (i == 0 || !a->rows[i].server != !a->rows[i - 1].server)
            buf_adds(out, a->rows[i].server ? i ? "\nServers\n" : "Servers\n" : "Namespaces\n");
        row_text(out, &a->rows[i]);
    }
    buf_adds(out, "\nAccounts\n");
    for (size_t i = 0; i < a->n_accounts; i++)
        account_text(out, &a->accounts[i], now);
    if (a->n_commands)
        buf_adds(out, "\nFor an Active Directory admin (nothing of this is run here)\n");
    for (size_t i = 0; i < a->n_commands; i++) {
        buf_adds(out, "    rem ");
        cli_cell(out, a->commands[i].because, 0);
        buf_adds(out, "\n    ");
        cli_cell(out, a->commands[i].text, 0);
        buf_adds(out, "\n");
    }
    buf_adds(
        out,
        a->whole_forest
            ? "\nThe whole forest was searched.\n"
            : "\nNot the whole forest was searched: an owner elsewhere is not seen here (setspn -F -Q asks "
              "everywhere).\n");
}

static void as_csv(struct buf *out, const struct spn_audit *a)
{
    buf_adds(out, "name,kind,server,state,spn,account,account_class,account_server,encryption_types,password_"
                  "set_at,ticket,problems\r\n");
    struct buf types, problems;
    buf_init(&types, 256);
    buf_init(&problems, 1024);
    for (size_t i = 0; i < a->n_rows; i++) {
        const struct spn_row *r = &a->rows[i];
        buf_reset(&problems);
        for (int bit = 1; bit <= r->problems; bit <<= 1)
            if (r->problems & bit)
                buf_addf(&problems, "%s%s", problems.len ? "; " : "", spn_problem_words(bit));
        for (size_t k = 0; k < r->n_owners || k == 0; k++) {
            const struct spn_owner *o = k < r->n_owners ? &r->owners[k] : NULL;
            const struct spn_account *c = o ? o->account : NULL;
            char set[CLOCK_TEXT_SIZE];
            buf_reset(&types);
            if (c)
                spn_enctypes_text(&types, c->has_enctypes, c->enctypes);
            cli_csv(out, r->name, false);
            cli_csv(out, r->server ? "server" : "namespace", false);
            cli_csv(out, r->server ? r->server->name : NULL, false);
            cli_csv(out, spn_state_name(r->state), false);
            cli_csv(out, o ? o->spn : NULL, false);
            cli_csv(out, c ? account_name(c) : NULL, false);
            cli_csv(out, c ? c->is_computer ? "computer" : "user" : NULL, false);
            cli_csv(out, c && c->server ? c->server->name : NULL, false);
            cli_csv(out, buf_str(&types), false);
            cli_csv(out, c && c->pwd_last_set ? clock_rfc3339(c->pwd_last_set, set) : NULL, false);
            cli_csv(out, r->ticket ? r->ticket->detail : NULL, false);
            cli_csv(out, buf_str(&problems), true);
        }
    }
    buf_fini(&types);
    buf_fini(&problems);
}

static enum err gather(struct cli *cli, const char *const *spaces, size_t n, struct errinfo *ei)
{
    struct errinfo why = {0};
    enum err e = cli_directory(cli, ei);
    if (!e)
        e = spn_gather_owners(cli->directory, cli->org, spaces, n, &cli->evidence, &cli->stop, ei);
    if (e)
        return e;
    if (cli_kerberos(cli, &why) || (!cli->login && krb_login_default(&cli->login, &why))) {
        log_err(
            &why); /* the owners are there all the same, and each name says that no ticket was asked for */
        return ERR_OK;
    }
    return spn_gather_tickets(cli->login, cli->org, spaces, n, true, &cli->evidence, &cli->stop, ei);
}

/* What was looked up when the snapshot was taken. */
static enum err recall(const struct cli *cli, struct errinfo *ei)
{
    for (size_t i = 0; i < cli->evidence.items.n; i++)
        if (cli->evidence.items.v[i].kind == OBSERVATION_SPN)
            return ERR_OK;
    return err_set(ei, ERR_INPUT, "take it with --probe, or name the directory: --source ldap://HOST",
                   "the snapshot does not hold who owns the service names");
}

COMMAND_RUN(cmd_spn)
{
    static char names[SPN_MAX_NAMESPACES][SPN_NAME_MAX];
    const char *spaces[SPN_MAX_NAMESPACES];
    struct spn_audit audit;
    (void)options, (void)rest;
    if (words->n)
        return err_set(ei, ERR_USAGE, "casbridge help spn", "spn takes no words: %s", words->v[0]);
    enum err e = cli_read(cli, ei);
    if (e)
        return e;
    size_t n = spn_namespaces(&cli->profile, cli->org, names);
    for (size_t i = 0; i < n; i++)
        spaces[i] = names[i];
    e = cli->snapshot ? recall(cli, ei) : gather(cli, spaces, n, ei);
    if (e)
        return e;
    const struct spn_input in = {.org = cli->org,
                                 .evidence = &cli->evidence,
                                 .namespaces = spaces,
                                 .n_namespaces = n,
                                 .now = cli->snapshot ? cli->snapshot->facts.made_at : clock_unix()};
    e = spn_audit(&in, &audit, ei);
    if (e)
        return e;
    for (size_t i = 0; i < audit.n_rows; i++)
        if (spn_row_is_bad(&audit.rows[i]))
            *code = 1;
    if (cli->format == FORMAT_JSON)
        e = cli_json(cli, json_spn(&audit, in.now), ei);
    else if (cli->format == FORMAT_CSV)
        as_csv(&cli->out, &audit);
    else
        as_text(&cli->out, &audit, in.now);
    spn_audit_fini(&audit);
    return e;
}
