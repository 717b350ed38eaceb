/* casbridge plan: findings become steps; what a person or an Active Directory admin must decide stands beside them. */
#include "core/plan/plan.h"
#include "core/audit/spn.h"
#include "core/base/clock.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/rules/rules.h"
#include "tui/commands/cli.h"

#include <stddef.h>
#include <string.h>

#define MAX_PLAN_FILE ((size_t)32 * 1024 * 1024)

const struct arg_spec plan_specs[] = {
    {"finding", 0, ARG_LIST, offsetof(struct plan_options, findings), "ID",
     "only what fixes this rule; repeatable"},
    {"server", 0, ARG_LIST, offsetof(struct plan_options, servers), "S", "only this server; repeatable"},
    {"probe", 0, ARG_FLAG, offsetof(struct plan_options, probe), NULL, "ask every CAS on the wire first"},
    {"nudge", 0, ARG_FLAG, offsetof(struct plan_options, nudge), NULL,
     "restart what waits for its next reading, so that changes take effect at once; needs ssh or winrm"},
    {"export-spn", 0, ARG_TEXT, offsetof(struct plan_options, export_spn), "FILE",
     "write the setspn commands that an Active Directory admin should read and run"},
    {0},
};

static void changes_text(struct buf *out, const struct plan_change *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_addf(out, "%s%s ", i ? "; " : "", c[i].property);
        if (c[i].is_null)
            buf_adds(out, "none");
        for (size_t k = 0; k < c[i].n_values; k++) {
            buf_adds(out, k ? ", " : "");
            cli_cell(out, c[i].values[k], 0);
        }
    }
    if (!n)
        buf_adds(out, "nothing");
}

static void cmdlet_line(struct buf *out, const char *label, const struct cmdlet *c)
{
    struct buf text;
    buf_init(&text, 65536);
    if (c->name && cmdlet_text(&text, c, NULL) == ERR_OK) {
        buf_addf(out, "    %-8s ", label);
        cli_cell(out, buf_str(&text), 0);
        buf_adds(out, "\n");
    }
    buf_fini(&text);
}

static void plan_text(struct buf *out, const struct plan *p)
{
    if (!p->n_steps) {
        buf_adds(out, "Nothing to do: what can be fixed from here is right already.\n");
        return;
    }
    buf_addf(out, "Plan %s for ", p->id);
    cli_cell(out, p->organization, 0);
    buf_addf(out, ": %zu %s\n", p->n_steps, p->n_steps == 1 ? "step" : "steps");
    for (size_t i = 0; i < p->n_steps; i++) {
        const struct plan_step *s = &p->steps[i];
        buf_addf(out, "\n%3d ", s->n);
        cli_cell(out, s->server, 14);
        buf_addf(out, "%s\n", s->finding);
        buf_adds(out, "    change   ");
        changes_text(out, s->before, s->n_before);
        buf_adds(out, "  ->  ");
        changes_text(out, s->after, s->n_after);
        buf_adds(out, "\n");
        cmdlet_line(out, "cmdlet", &s->cmdlet);
        cmdlet_line(out, "inverse", &s->inverse);
        for (size_t k = 0; k < s->n_nudges; k++)
            cmdlet_line(out, "nudge", &s->nudges[k]);
        buf_addf(out, "    effect   %s\n    impact   %s\n", s->takes_effect ? s->takes_effect : "-",
                 s->impact ? s->impact : "-");
        if (s->note)
            buf_addf(out, "    note     %s\n", s->note);
        if (s->skip)
            buf_addf(out, "    skip     %s\n", s->skip);
    }
}

/* Fixes that no plan takes by itself, and how to take them. */
static void choices_text(struct buf *out, const struct findings *f, const struct plan *p)
{
    bool any = false;
    for (size_t i = 0; i < f->found.n; i++) {
        const struct finding *x = &f->found.v[i];
        bool planned = false;
        for (size_t k = 0; k < p->n_steps; k++)
            planned =
                planned || (str_eq(p->steps[k].finding, x->id) && str_ieq(p->steps[k].server, x->server));
        if (!x->fix || x->fix->automatic || !x->fix->choice || x->accepted || planned)
            continue;
        if (!any)
            buf_adds(out, "\nFor you to choose: planned only when the rule is named\n");
        any = true;
        buf_adds(out, "    ");
        cli_cell(out, x->fix->server, 14);
        buf_addf(out, "--finding %s: %s\n", x->id, x->fix->choice);
    }
}

static void setspn_text(struct buf *out, const struct spn_audit *a, const char *remark, const char *indent)
{
    for (size_t i = 0; i < a->n_commands; i++) {
        buf_addf(out, "%s%s ", indent, remark);
        cli_cell(out, a->commands[i].because, 0);
        buf_addf(out, "\n%s", indent);
        cli_cell(out, a->commands[i].text, 0);
        buf_adds(out, "\n");
    }
}

/* Service names are an Active Directory admin's: shown, written, never run. Only when somebody looked for their owners. */
static enum err plan_spn(struct cli *cli, bool look, struct spn_audit *out, struct errinfo *ei)
{
    char room[SPN_MAX_NAMESPACES][SPN_NAME_MAX];
    const char *names[SPN_MAX_NAMESPACES];
    size_t n = spn_namespaces(&cli->profile, cli->org, room);
    for (size_t i = 0; i < n; i++)
        names[i] = room[i];
    enum err e = ERR_OK;
    if (look && !cli->snapshot && cli_source_is_live(cli_source(cli))) {
        e = cli_directory(cli, ei);
        if (!e)
            e = spn_gather_owners(cli->directory, cli->org, names, n, &cli->evidence, &cli->stop, ei);
    }
    const struct spn_input in = {cli->org, &cli->evidence, names, n, clock_unix()};
    return e ? e : spn_audit(&in, out, ei);
}

static void whole_text(struct buf *out, const struct cli *cli, const struct plan *p,
                       const struct spn_audit *spn)
{
    plan_text(out, p);
    choices_text(out, &cli->findings, p);
    if (spn->n_commands)
        buf_adds(out,
                 "\nFor an Active Directory admin (nothing of this is run here; plan --export-spn FILE)\n");
    setspn_text(out, spn, "#", "    ");
}

static enum err export_spn(const struct spn_audit *a, const char *path, const struct org *org,
                           struct errinfo *ei)
{
    struct buf text;
    char at[CLOCK_TEXT_SIZE];
    if (!a->looked)
        return err_set(ei, ERR_REFUSED, "name the directory itself: --source ldap://HOST",
                       "nobody looked up who owns the service names: there is nothing to export");
    buf_init(&text, MAX_PLAN_FILE);
    buf_adds(&text, "rem For an Active Directory admin of ");
    cli_cell(&text, org->name, 0);
    buf_addf(&text, ", made %s: read each line before it is run. casbridge never runs them.\n",
             clock_rfc3339(clock_unix(), at));
    if (!a->n_commands)
        buf_adds(&text, "rem Nothing to do: every name has its one owner.\n");
    setspn_text(&text, a, "rem", "");
    enum err e = text.failed ? err_set(ei, text.failed, NULL, "the commands are too many")
                             : path_write(path, text.data, text.len, 0600, ei);
    buf_fini(&text);
    return e;
}

COMMAND_RUN(cmd_plan)
{
    const struct plan_options *o = options;
    struct plan_filter filter = {o->findings.v, o->findings.n, o->servers.v, o->servers.n, o->nudge};
    struct plan *plan = NULL;
    struct spn_audit spn = {0};
    char who[256], from[256];
    (void)rest;
    if (words->n)
        return err_set(ei, ERR_USAGE, "casbridge help plan", "plan takes no words: %s", words->v[0]);
    enum err e = cli_evaluate(cli, o->probe, ei);
    for (size_t i = 0; !e && i < o->servers.n; i++)
        if (!org_server(cli->org, o->servers.v[i]))
            e = err_set(ei, ERR_USAGE, "casbridge inventory lists them", "there is no server %s",
                        o->servers.v[i]);
    for (size_t i = 0; !e && i < o->findings.n; i++)
        if (!rules_find(o->findings.v[i]))
            e = err_set(ei, ERR_USAGE, "casbridge check lists them", "there is no rule %s", o->findings.v[i]);
    if (e)
        return e;
    cli_who(cli, who, sizeof who, from, sizeof from);
    e = plan_build(&plan, cli->org, &cli->findings, &filter, who, ei);
    if (e)
        return e;
    e = plan_spn(cli, o->export_spn != NULL, &spn, ei);
    if (!e && o->export_spn)
        e = export_spn(&spn, o->export_spn, cli->org, ei);
    if (e)
        goto out;
    if (plan->n_steps)
        *code = 1;
    /* a file is always the JSON that apply reads; on a terminal people read text unless they ask for JSON */
    bool to_file = cli->o.output && strcmp(cli->o.output, "-") != 0;
    if (to_file || cli->format == FORMAT_JSON)
        e = plan_to_json(plan, &cli->out, ei);
    else
        whole_text(&cli->out, cli, plan, &spn);
    if (!e && to_file) {
        e = cli_flush(cli, ei);
        if (!e && cli->format == FORMAT_TEXT) {
            struct buf text;
            buf_init(&text, MAX_PLAN_FILE);
            whole_text(&text, cli, plan, &spn);
            fputs(buf_str(&text), stdout);
            buf_fini(&text);
        }
    }
out:
    spn_audit_fini(&spn);
    plan_free(&plan);
    return e;
}
