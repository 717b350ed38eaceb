/* casbridge themes, completion, version, help: all made from the tables. */
#include "core/base/str.h"
#include "core/gen/text.h"
#include "tui/commands/cli.h"

#include <string.h>

COMMAND_RUN(cmd_themes)
{
    (void)options, (void)words, (void)rest, (void)code;
    json_t *list = json_array();
    for (unsigned i = 0; i < theme_builtin_count; i++) {
        if (cli->format == FORMAT_JSON)
            json_array_append_new(list, json_string(theme_builtin[i].name));
        else
            buf_addf(&cli->out, "%s\n", theme_builtin[i].name);
    }
    enum err e = cli->format == FORMAT_JSON ? cli_json(cli, json_incref(list), ei) : ERR_OK;
    json_decref(list);
    return e;
}

COMMAND_RUN(cmd_version)
{
    (void)options, (void)words, (void)rest, (void)code;
    if (cli->format == FORMAT_JSON) {
        json_t *o = json_object();
        json_object_set_new(o, "name", json_string("casbridge"));
        json_object_set_new(o, "version", json_string(VERSION_STRING));
        return cli_json(cli, o, ei);
    }
    buf_adds(&cli->out, "casbridge " VERSION_STRING "\n");
    return ERR_OK;
}

static void option_line(struct buf *out, const struct arg_spec *s)
{
    char left[80];
    if (s->letter)
        str_fmt(left, sizeof left, "-%c, --%s%s%s", s->letter, s->name, s->value ? " " : "",
                s->value ? s->value : "");
    else
        str_fmt(left, sizeof left, "--%s%s%s", s->name, s->value ? " " : "", s->value ? s->value : "");
    buf_addf(out, "  %-32s %s\n", left, s->help);
}

static void help_all(struct buf *out)
{
    buf_adds(out, "casbridge - sees what blocks a new Exchange Client Access Server, rehearses it, fixes it, "
                  "proves it\n\n"
                  "  casbridge [options]            opens the console\n"
                  "  casbridge [options] COMMAND    one job, for scripts\n\nCommands:\n");
    for (size_t i = 0; i < commands_count; i++)
        buf_addf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
    buf_adds(out, "\nOptions, before or after the command:\n");
    for (const struct arg_spec *s = cli_global; s->name; s++)
        option_line(out, s);
    buf_adds(out, "\nExit codes: 0 done, nothing found; 1 findings at error or worse, or changes to make; 2 "
                  "usage; 3 configuration\n"
                  "or unreadable input; 4 unreachable; 5 authentication refused; 6 some hosts failed; 7 "
                  "refused; 8 stale plan;\n"
                  "70 internal; 130 interrupted.\n");
}

static void help_one(struct buf *out, const struct command *c)
{
    buf_addf(out, "casbridge %s %s\n\n  %s\n", c->name, c->synopsis, c->summary);
    if (c->options) {
        buf_adds(out, "\nOptions:\n");
        for (const struct arg_spec *s = c->options; s->name; s++)
            option_line(out, s);
    }
    if (c->changes)
        buf_adds(out, "\nChanges the servers: asks for the organisation's name first, and is refused with "
                      "--read-only.\n");
}

static void help_config(struct buf *out)
{
    static const struct {
        const char *key, *kind, *help;
        int per_server;
    } keys[] = {
#define X(key, kind, server, help) {#key, #kind, help, server},
        PROFILE_MAP(X)
#undef X
    };
    buf_adds(out, "The configuration file ($XDG_CONFIG_HOME/casbridge/config.ini or --config FILE):\n\n"
                  "  [PROFILE]                      what --profile chooses\n"
                  "  key = value                    ; a comment\n"
                  "  host.NAME = ADDR[:PORT]        reach NAME at that address\n"
                  "  [PROFILE server NAME]          keys marked * for one server\n\nKeys:\n");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        buf_addf(out, "  %-20s%s %s\n", keys[i].key, keys[i].per_server ? "*" : " ", keys[i].help);
    buf_adds(out, "\nA secret is never in the file: file:PATH (not readable by others), env:NAME, or ask.\n");
}

static void man_text(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '\\')
            buf_adds(out, "\\e");
        else if (*s == '-')
            buf_adds(out, "\\-");
        else if (*s == '\'')
            buf_adds(out, "\\(aq");
        else
            buf_addc(out, *s);
    }
}

static void man_options(struct buf *out, const struct arg_spec *specs)
{
    for (const struct arg_spec *s = specs; s && s->name; s++) {
        buf_adds(out, ".TP\n.B \\-\\-");
        man_text(out, s->name);
        if (s->value) {
            buf_adds(out, " \\fI");
            man_text(out, s->value);
            buf_adds(out, "\\fR");
        }
        buf_adds(out, "\n");
        man_text(out, s->help);
        buf_adds(out, "\n");
    }
}

static void help_man(struct buf *out)
{
    static const struct {
        const char *key, *help;
    } keys[] = {
#define X(key, kind, server, help) {#key, help},
        PROFILE_MAP(X)
#undef X
    };
    buf_adds(out, ".TH CASBRIDGE 1 \"\" \"casbridge " VERSION_STRING "\"\n.SH NAME\n"
                  "casbridge \\- bring a new Exchange Client Access Server into an organisation of older "
                  "ones\n.SH SYNOPSIS\n"
                  ".B casbridge\n[\\fIoptions\\fR] [\\fICOMMAND\\fR ...]\n.SH DESCRIPTION\n"
                  "Without a command, opens the console. Each job of the console is a command as well.\n.SH "
                  "COMMANDS\n");
    for (size_t i = 0; i < commands_count; i++) {
        buf_addf(out, ".SS %s ", commands[i].name);
        man_text(out, commands[i].synopsis);
        buf_adds(out, "\n");
        man_text(out, commands[i].summary);
        buf_adds(out, ".\n");
        man_options(out, commands[i].options);
    }
    buf_adds(out, ".SH OPTIONS\n");
    man_options(out, cli_global);
    buf_adds(out, ".SH CONFIGURATION\nSections are profiles; keys:\n");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        buf_addf(out, ".TP\n.B %s\n", keys[i].key);
        man_text(out, keys[i].help);
        buf_adds(out, "\n");
    }
    buf_adds(out, ".SH EXIT STATUS\n0 done, nothing found; 1 findings at error or worse, or changes to make; "
                  "2 usage; 3 configuration or "
                  "unreadable input; 4 unreachable; 5 authentication refused; 6 some hosts failed; 7 "
                  "refused; 8 stale plan; 70 internal; "
                  "130 interrupted.\n");
}

COMMAND_RUN(cmd_help)
{
    (void)options, (void)rest, (void)code;
    if (words->n == 0)
        help_all(&cli->out);
    else if (strcmp(words->v[0], "config") == 0)
        help_config(&cli->out);
    else if (strcmp(words->v[0], "man") == 0)
        help_man(&cli->out);
    else if (command_find(words->v[0]))
        help_one(&cli->out, command_find(words->v[0]));
    else
        return err_set(ei, ERR_USAGE, "casbridge help lists them", "there is no command %s", words->v[0]);
    return ERR_OK;
}

static void words_of(struct buf *out, const struct arg_spec *specs)
{
    for (const struct arg_spec *s = specs; s && s->name; s++)
        buf_addf(out, " --%s", s->name);
}

static void completion_bash(struct buf *out)
{
    buf_adds(out, "_casbridge() {\n    local cur=${COMP_WORDS[COMP_CWORD]} word command= options=\"");
    words_of(out, cli_global);
    buf_adds(out,
             "\"\n    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n        case $word in\n        ");
    for (size_t i = 0; i < commands_count; i++)
        buf_addf(out, "%s%s", i ? "|" : "", commands[i].name);
    buf_adds(out, ") command=$word; break ;;\n        esac\n    done\n    case $command in\n");
    for (size_t i = 0; i < commands_count; i++) {
        buf_addf(out, "    %s) options+=\"", commands[i].name);
        words_of(out, commands[i].options);
        buf_adds(out, "\" ;;\n");
    }
    buf_adds(out, "    '') options+=\"");
    for (size_t i = 0; i < commands_count; i++)
        buf_addf(out, " %s", commands[i].name);
    buf_adds(out, "\" ;;\n    esac\n    case $cur in\n    -*|'') COMPREPLY=($(compgen -W \"$options\" -- "
                  "\"$cur\")) ;;\n"
                  "    *) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\") $(compgen -f -- \"$cur\")) ;;\n  "
                  "  esac\n}\n"
                  "complete -o filenames -F _casbridge casbridge\n");
}

static void completion_zsh(struct buf *out)
{
    buf_adds(out, "#compdef casbridge\nautoload -U +X bashcompinit && bashcompinit\n");
    completion_bash(out);
}

static void fish_text(struct buf *out, const char *s)
{
    buf_addc(out, '\'');
    for (; *s; s++) {
        if (*s == '\'' || *s == '\\')
            buf_addc(out, '\\');
        buf_addc(out, *s);
    }
    buf_addc(out, '\'');
}

static void completion_fish(struct buf *out)
{
    for (const struct arg_spec *s = cli_global; s->name; s++) {
        buf_addf(out, "complete -c casbridge -l %s%s -d ", s->name, s->value ? " -r" : "");
        fish_text(out, s->help);
        buf_adds(out, "\n");
    }
    for (size_t i = 0; i < commands_count; i++) {
        buf_addf(out, "complete -c casbridge -n __fish_use_subcommand -f -a %s -d ", commands[i].name);
        fish_text(out, commands[i].summary);
        buf_adds(out, "\n");
        for (const struct arg_spec *s = commands[i].options; s && s->name; s++) {
            buf_addf(out, "complete -c casbridge -n '__fish_seen_subcommand_from %s' -l %s%s -d ",
                     commands[i].name, s->name, s->value ? " -r" : "");
            fish_text(out, s->help);
            buf_adds(out, "\n");
        }
    }
}

COMMAND_RUN(cmd_completion)
{
    static const struct {
        const char *shell;
        void (*write)(struct buf *out);
    } shells[] = {{"bash", completion_bash}, {"zsh", completion_zsh}, {"fish", completion_fish}};
    (void)options, (void)rest, (void)code;
    for (size_t i = 0; words->n == 1 && i < ARRAY_LEN(shells); i++) {
        if (strcmp(words->v[0], shells[i].shell) == 0) {
            shells[i].write(&cli->out);
            return ERR_OK;
        }
    }
    return err_set(ei, ERR_USAGE, "casbridge completion bash", "completion wants a shell: bash, zsh or fish");
}
