/* The table of commands: one row gives the command, its help, its completion and its line in the manual page. */
#include "core/base/str.h"
#include "tui/commands/cli.h"

#include <stddef.h>
#include <string.h>

const struct arg_spec cli_global[] = {
    {"config", 0, ARG_TEXT, offsetof(struct cli_options, config), "FILE", "configuration file"},
    {"profile", 0, ARG_TEXT, offsetof(struct cli_options, profile), "NAME", "section of it"},
    {"source", 0, ARG_TEXT, offsetof(struct cli_options, source), "URI",
     "ldap://, ldaps://, ldapi://, ldif:FILE or snapshot:FILE"},
    {"target", 0, ARG_TEXT, offsetof(struct cli_options, target), "VERSION",
     "the version being introduced: 2013, 2016, 2019, se"},
    {"host", 0, ARG_LIST, offsetof(struct cli_options, hosts), "NAME=ADDR[:PORT]",
     "reach NAME at that address; repeatable"},
    {"format", 0, ARG_TEXT, offsetof(struct cli_options, format), "FORMAT", "text, json, csv, html or xml"},
    {"output", 'o', ARG_TEXT, offsetof(struct cli_options, output), "FILE", "instead of standard output"},
    {"timeout", 0, ARG_INT, offsetof(struct cli_options, timeout), "SECONDS", "for the whole run"},
    {"read-only", 0, ARG_FLAG, offsetof(struct cli_options, read_only), NULL, "refuse every change"},
    {"no-color", 0, ARG_FLAG, offsetof(struct cli_options, no_color), NULL, "no colour in the console"},
    {"ascii", 0, ARG_FLAG, offsetof(struct cli_options, ascii), NULL,
     "no characters beyond ASCII in the console"},
    {"theme", 0, ARG_TEXT, offsetof(struct cli_options, theme), "NAME", "theme of the console"},
    {"help", 'h', ARG_FLAG, offsetof(struct cli_options, help), NULL, "this help"},
    {"version", 0, ARG_FLAG, offsetof(struct cli_options, version), NULL, "the version"},
    {0},
};

const struct command commands[] = {
    {"inventory", "", "sites, servers, virtual directories, databases, namespaces", NULL, 0, FORMATS_TABLE,
     false, cmd_inventory},
    {"check", "[--probe | --kept] [--remote] [--iis SERVER=FILE]...",
     "what blocks the new CAS, and how we know", check_specs, sizeof(struct check_options), FORMATS_TABLE,
     false, cmd_check},
    {"probe", "[SERVER...] [--protocol P]... [--user U [--password SECRET]]", "live evidence, step by step",
     probe_specs, sizeof(struct probe_options), FORMATS_TEXT_JSON | 1u << FORMAT_XML, false, cmd_probe},
    {"route", "(--user U | --mailbox-version V --mailbox-site S) --protocol P --arrive SERVER",
     "what the new CAS does with a request, hop by hop", route_specs, sizeof(struct route_options),
     FORMATS_TEXT_JSON, false, cmd_route},
    {"spn", "", "who owns the service names: duplicates, aliases, weak keys, a ticket for each", NULL, 0,
     FORMATS_TABLE, false, cmd_spn},
    {"plan", "[--finding ID]... [--server S]... [-o FILE]",
     "turns findings into ordered steps that can be taken back", plan_specs, sizeof(struct plan_options),
     FORMATS_TEXT_JSON, false, cmd_plan},
    {"apply", "FILE [--yes ORG]", "carries a plan out: journalled, verified on the wire", apply_specs,
     sizeof(struct apply_options), FORMATS_TEXT_JSON, true, cmd_apply},
    {"rollback", "RUN [--server S]... [--yes ORG]", "takes a run back", rollback_specs,
     sizeof(struct apply_options), FORMATS_TEXT_JSON, true, cmd_rollback},
    {"resume", "RUN [--yes ORG]", "after an interruption: re-reads what was left open, then goes on",
     apply_specs, sizeof(struct apply_options), FORMATS_TEXT_JSON, true, cmd_resume},
    {"journal", "[RUN] [--follow] | verify", "runs and their records, as they come; the hash chain checked",
     journal_specs, sizeof(struct journal_options), FORMATS_TEXT_JSON, false, cmd_journal},
    {"store", "[status | copy FROM TO]", "where journal, lock and progress are kept; all of it into another",
     store_specs, sizeof(struct store_options), FORMATS_TEXT_JSON, false, cmd_store},
    {"exec", "--on SERVER... [--via ssh] -- CMDLET [-Param Value]...", "one cmdlet on many servers",
     exec_specs, sizeof(struct exec_options), FORMATS_TEXT_JSON, false, cmd_exec},
    {"proxy", "--listen ADDR:PORT (--arrive SERVER | --upstream https://HOST)",
     "the proxy engine without the console", proxy_specs, sizeof(struct proxy_options), FORMATS_TEXT_JSON,
     false, cmd_proxy},
    {"snapshot", "-o FILE [--probe] [--remote]",
     "saves the organisation and the evidence, to be opened offline", snapshot_specs,
     sizeof(struct snapshot_options), FORMATS_TEXT_JSON, false, cmd_snapshot},
    {"diff", "A B", "what moved between two: snapshots, ldif:FILE, or live", NULL, 0, FORMATS_TABLE, false,
     cmd_diff},
    {"report", "-o FILE [--probe] [--remote] [--redact]",
     "findings, evidence, routes and plan, for people or for tools", report_specs,
     sizeof(struct report_options), FORMATS_REPORT, false, cmd_report},
    {"accept", "RULE [--server S] --reason TEXT [--until DATE] | list | remove N",
     "findings somebody decides to live with", accept_specs, sizeof(struct accept_options), FORMATS_TEXT_JSON,
     false, cmd_accept},
    {"themes", "", "the console's themes", NULL, 0, FORMATS_TEXT_JSON, false, cmd_themes},
    {"completion", "bash|zsh|fish", "completion for a shell", NULL, 0, FORMATS_TEXT, false, cmd_completion},
    {"version", "", "the version, and of the libraries", NULL, 0, FORMATS_TEXT_JSON, false, cmd_version},
    {"help", "[COMMAND | config | man]",
     "this help, one command's, the configuration file's, or the manual page", NULL, 0, FORMATS_TEXT, false,
     cmd_help},
};
const size_t commands_count = ARRAY_LEN(commands);

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < commands_count; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}
