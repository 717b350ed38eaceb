/* casbridge accept: findings somebody decides to live with. */
#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/report/json.h"
#include "core/rules/rules.h"
#include "tui/commands/cli.h"

#include <stddef.h>
#include <string.h>

const struct arg_spec accept_specs[] = {
    {"server", 0, ARG_TEXT, offsetof(struct accept_options, server), "S",
     "only there; else wherever it is found"},
    {"reason", 0, ARG_TEXT, offsetof(struct accept_options, reason), "TEXT",
     "why; shown wherever the finding is"},
    {"until", 0, ARG_TEXT, offsetof(struct accept_options, until), "DATE",
     "2027-03-31, or a time; else for ever"},
    {0},
};

static enum err parse_until(const char *text, int64_t *out, struct errinfo *ei)
{
    char whole[40];
    *out = 0;
    if (!text)
        return ERR_OK;
    /* a day counts to its end */
    str_fmt(whole, sizeof whole, strlen(text) == 10 ? "%sT23:59:59Z" : "%s", text);
    if (!clock_parse_rfc3339(whole, out))
        return err_set(ei, ERR_USAGE, "write 2027-03-31 or 2027-03-31T12:00:00Z",
                       "--until: \"%.40s\" is no date", text);
    if (*out <= clock_unix())
        return err_set(ei, ERR_USAGE, NULL, "--until: %.40s is over", text);
    return ERR_OK;
}

static json_t *acceptance_json(const struct acceptance *a, int64_t now)
{
    json_t *o = json_object();
    json_object_set_new(o, "n", json_integer(a->n));
    json_object_set_new(o, "organization", json_text(a->organization));
    json_object_set_new(o, "id", json_text(a->rule));
    json_object_set_new(o, "server", json_text(a->server));
    json_object_set_new(o, "by", json_text(a->by));
    json_object_set_new(o, "reason", json_text(a->reason));
    json_object_set_new(o, "at", json_time(a->at));
    json_object_set_new(o, "until", json_time(a->until));
    json_object_set_new(o, "expired", json_boolean(a->until && a->until <= now));
    return o;
}

static enum err list(struct cli *cli, struct errinfo *ei)
{
    acceptances found = {0};
    char until[CLOCK_TEXT_SIZE];
    int64_t now = clock_unix();
    enum err e = cli->store ? store_accepted(cli->store, NULL, &found, ei) : ERR_OK;
    json_t *out = json_array();
    for (size_t i = 0; !e && i < found.n; i++) {
        const struct acceptance *a = &found.v[i];
        if (cli->format == FORMAT_JSON) {
            json_array_append_new(out, acceptance_json(a, now));
            continue;
        }
        buf_addf(&cli->out, "%3lld  ", (long long)a->n);
        cli_cell(&cli->out, a->organization, 12);
        cli_cell(&cli->out, a->rule, 21);
        cli_cell(&cli->out, a->server ? a->server : "everywhere", 14);
        cli_cell(&cli->out, a->until ? clock_rfc3339(a->until, until) : "for ever", 20);
        buf_adds(&cli->out, a->until && a->until <= now ? " expired  by " : " by ");
        cli_cell(&cli->out, a->by, 0);
        buf_adds(&cli->out, ": ");
        cli_cell(&cli->out, a->reason, 0);
        buf_adds(&cli->out, "\n");
    }
    if (!e && cli->format == FORMAT_JSON)
        e = cli_json(cli, json_incref(out), ei);
    else if (!e && !found.n)
        buf_adds(&cli->out, "Nothing is accepted.\n");
    json_decref(out);
    acceptances_free(&found);
    return e;
}

static enum err take_back(struct cli *cli, const char *number, struct errinfo *ei)
{
    char who[256], from[256];
    uint64_t n;
    if (!str_to_u64(number, strlen(number), &n) || n > INT64_MAX)
        return err_set(ei, ERR_USAGE, "casbridge accept list shows them", "%.40s is no number", number);
    cli_who(cli, who, sizeof who, from, sizeof from);
    enum err e = store_accept_remove(cli->store, (int64_t)n, who, ei);
    if (!e && cli->format == FORMAT_TEXT)
        buf_addf(&cli->out, "%llu is a finding again.\n", (unsigned long long)n);
    return e;
}

static enum err add(struct cli *cli, const struct accept_options *o, const char *rule, struct errinfo *ei)
{
    char who[256], from[256], organization[256], rule_text[64], server[256], reason[4097];
    struct acceptance a = {.organization = organization, .rule = rule_text, .by = who, .reason = reason};
    if (!rules_find(rule))
        return err_set(ei, ERR_USAGE, "casbridge check shows the rules' names", "there is no rule %.60s",
                       rule);
    if (!o->reason || !*o->reason)
        return err_set(ei, ERR_USAGE, "say why: --reason TEXT", "an accepted finding wants a reason");
    enum err e = parse_until(o->until, &a.until, ei);
    if (!e)
        e = cli_read(cli, ei);
    const struct server *s = !e && o->server ? org_server(cli->org, o->server) : NULL;
    if (!e && o->server && !s)
        e = err_set(ei, ERR_USAGE, "casbridge inventory lists them", "there is no server %.100s", o->server);
    if (!e && (!cli->org->name || !str_copy(organization, sizeof organization, cli->org->name)))
        e = err_set(ei, ERR_INPUT, NULL, "the organisation has no name to keep it under");
    if (!e && !str_copy(reason, sizeof reason, o->reason))
        e = err_set(ei, ERR_USAGE, NULL, "--reason is too long");
    if (!e)
        e = cli_store(cli, ei);
    if (e)
        return e;
    str_copy(rule_text, sizeof rule_text, rule);
    if (s && str_copy(server, sizeof server, s->name))
        a.server = server;
    cli_who(cli, who, sizeof who, from, sizeof from);
    e = store_accept(cli->store, &a, ei);
    if (!e && cli->format == FORMAT_JSON)
        return cli_json(cli, acceptance_json(&a, clock_unix()), ei);
    if (!e)
        buf_addf(&cli->out, "Accepted as number %lld; casbridge accept remove %lld takes it back.\n",
                 (long long)a.n, (long long)a.n);
    return e;
}

COMMAND_RUN(cmd_accept)
{
    const struct accept_options *o = options;
    (void)rest, (void)code;
    const char *first = words->n ? words->v[0] : "";
    bool lists = strcmp(first, "list") == 0, removes = strcmp(first, "remove") == 0;
    if (words->n != (removes ? 2u : 1u))
        return err_set(ei, ERR_USAGE, "casbridge help accept",
                       "accept wants a rule, list, or remove and a number");
    if (!lists && cli_read_only(cli))
        return err_set(ei, ERR_REFUSED, "drop --read-only, or read_only from the profile",
                       "what is accepted changes the verdict, and this is read-only");
    if (!lists && !removes)
        return add(cli, o, first, ei);
    enum err e = cli_store(cli, ei);
    if (e == ERR_NOTFOUND && lists) /* read-only, and nothing was ever kept */
        e = ERR_OK;
    return e ? e : lists ? list(cli, ei) : take_back(cli, words->v[1], ei);
}
