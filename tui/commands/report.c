/* casbridge report: everything in one document, for people or for tools. */
#include "core/report/report.h"
#include "core/base/clock.h"
#include "core/base/str.h"
#include "tui/commands/cli.h"

#include <stddef.h>
#include <string.h>

const struct arg_spec report_specs[] = {
    {"probe", 0, ARG_FLAG, offsetof(struct report_options, probe), NULL, "ask every CAS on the wire first"},
    REMOTE_SPECS(struct report_options),
    {"redact", 0, ARG_FLAG, offsetof(struct report_options, redact), NULL,
     "names of servers, hosts, domains, sites and users replaced"},
    {0},
};

/* --format, else what the file's name says, else HTML. */
static enum format choose_format(const struct cli *cli)
{
    static const struct {
        const char *end;
        enum format format;
    } ends[] = {{".json", FORMAT_JSON}, {".csv", FORMAT_CSV}, {".xml", FORMAT_XML}};
    if (cli->o.format)
        return cli->format;
    for (size_t i = 0; cli->o.output && i < ARRAY_LEN(ends); i++)
        if (str_iends(cli->o.output, ends[i].end))
            return ends[i].format;
    return FORMAT_HTML;
}

static enum err write(struct cli *cli, const struct report *r, struct errinfo *ei)
{
    switch (choose_format(cli)) {
    case FORMAT_JSON: return cli_json(cli, report_json(r), ei);
    case FORMAT_CSV: return report_csv(r, &cli->out, ei);
    case FORMAT_XML: return report_xml(r, &cli->out, ei);
    case FORMAT_HTML:
    case FORMAT_TEXT: break;
    }
    return report_html(r, &cli->out, ei);
}

COMMAND_RUN(cmd_report)
{
    const struct report_options *o = options;
    struct report *r = NULL;
    char who[256], from[256];
    (void)rest, (void)code;
    if (words->n)
        return err_set(ei, ERR_USAGE, "casbridge help report", "report takes no words: %s", words->v[0]);
    if (!cli->o.output)
        return err_set(ei, ERR_USAGE, "casbridge report -o FILE (-o - for standard output)",
                       "a report wants a file to go to");
    enum err e = cli_ask_hosts(cli, o->remote, o->via, ei);
    if (!e)
        e = cli_evaluate(cli, o->probe, ei);
    if (e)
        return e;
    cli_who(cli, who, sizeof who, from, sizeof from);
    int64_t now = clock_unix();
    const struct report_input in = {
        .org = cli->org,
        .evidence = &cli->evidence,
        .findings = &cli->findings,
        .made_at = now,
        .as_of = cli->snapshot && !o->probe && !o->remote ? cli->snapshot->facts.made_at : now,
        .made_by = who,
        .program = "casbridge " VERSION_STRING,
        .probed = cli->evidence.items.n > 0,
        .redact = o->redact};
    e = report_build(&r, &in, ei);
    if (!e)
        e = write(cli, r, ei);
    report_free(&r);
    return e;
}
