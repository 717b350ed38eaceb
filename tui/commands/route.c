/* casbridge route */
#include "core/route/route.h"
#include "core/base/str.h"
#include "core/report/json.h"
#include "tui/commands/cli.h"

#include <stddef.h>
#include <string.h>

const struct arg_spec route_specs[] = {
    {"user", 0, ARG_TEXT, offsetof(struct route_options, user), "U",
     "mailbox: UPN, SMTP address, legacyExchangeDN or mailbox GUID"},
    {"mailbox-version", 0, ARG_TEXT, offsetof(struct route_options, mailbox_version), "V",
     "instead of a user: 2007, 2010, ..."},
    {"mailbox-site", 0, ARG_TEXT, offsetof(struct route_options, mailbox_site), "S",
     "with --mailbox-version: the AD site"},
    {"protocol", 0, ARG_TEXT, offsetof(struct route_options, protocol), "P",
     "oa, mapi, owa, ecp, ews, eas, oab, autodiscover, ..."},
    {"arrive", 0, ARG_TEXT, offsetof(struct route_options, arrive), "SERVER",
     "the CAS that gets the request"},
    {"host-name", 0, ARG_TEXT, offsetof(struct route_options, host_name), "H", "the name the client used"},
    {"rpc-server", 0, ARG_TEXT, offsetof(struct route_options, rpc_server), "NAME",
     "Outlook Anywhere: the RPC server asked for"},
    {"probe", 0, ARG_FLAG, offsetof(struct route_options, probe), NULL,
     "judge preconditions on the wire as well"},
    {0},
};

static const char *mark(enum tri t)
{
    return t == TRI_YES ? "holds" : t == TRI_NO ? "FAILS" : "unknown";
}

static void as_text(struct buf *out, const struct route_request *r, const struct route_decision *d)
{
    cli_cell(out, r->user ? r->user : "a mailbox", 0);
    buf_addf(out, " on Exchange %s in ", generation_name(r->mailbox_generation));
    cli_cell(out, r->mailbox_site ? r->mailbox_site->name : "an unknown site", 0);
    buf_addf(out, ", %s, arriving at ", protocol_words(r->protocol));
    cli_cell(out, r->arriving->name, 0);
    buf_adds(out, "\n\n");
    for (size_t i = 0; i < d->n_hops; i++) {
        buf_adds(out, "  ");
        cli_cell(out, d->hops[i].from, 0);
        buf_addf(out, " --%s--> ", d->hops[i].auth ? d->hops[i].auth : "");
        cli_cell(out, d->hops[i].to, 0);
        if (d->hops[i].spn) {
            buf_adds(out, "   as ");
            cli_cell(out, d->hops[i].spn, 0);
        }
        buf_adds(out, "\n");
    }
    buf_addf(out, "\n  %s%s%s", d->action == ROUTE_UNKNOWN ? "unknown" : route_action_name(d->action),
             route_style_name(d->style) ? ", " : "",
             route_style_name(d->style) ? route_style_name(d->style) : "");
    if (d->url) {
        buf_adds(out, " to ");
        cli_cell(out, d->url, 0);
    }
    if (d->status)
        buf_addf(out, ", the client sees %d", d->status);
    buf_adds(out, "\n");
    for (size_t i = 0; i < d->n_preconditions; i++) {
        const struct route_precondition *p = &d->preconditions[i];
        buf_addf(out, "  %-8s %-21s ", mark(p->holds), p->rule);
        cli_cell(out, p->server, 14);
        cli_cell(out, p->why ? p->why : "", 0);
        buf_adds(out, "\n");
    }
    buf_adds(out, "\n  ");
    cli_cell(out, d->why, 0);
    buf_addf(out, "\n  Works: %s.",
             d->works == TRI_YES  ? "yes"
             : d->works == TRI_NO ? "no"
                                  : "cannot be said");
    if (d->row)
        buf_addf(out, " Row %s, %s (%s).", d->row->id, route_confidence_name(d->confidence), d->row->sources);
    buf_adds(out, "\n");
    for (size_t i = 0; i < d->n_conflicts; i++) {
        buf_adds(out, "  Sources disagree: ");
        cli_cell(out, d->conflicts[i], 0);
        buf_adds(out, "\n");
    }
}

/* The request from a mailbox look-up or from version and site. */
static enum err fill(struct cli *cli, const struct route_options *o, struct route_request *r,
                     struct mailbox *box, struct errinfo *ei)
{
    if (!o->user == !o->mailbox_version)
        return err_set(ei, ERR_USAGE, "casbridge help route",
                       "say either --user or --mailbox-version and --mailbox-site");
    if (o->user) {
        enum err e = cli_directory(cli, ei);
        if (!e)
            e = directory_mailbox(cli->directory, cli->org, o->user, box, &cli->stop, ei);
        if (e)
            return e;
        r->user = box->user;
        r->mailbox_generation = box->generation;
        r->mailbox_site = box->site;
        r->database = box->database;
        r->mailbox_server = box->server;
        r->anchor_hash = route_anchor(box->user);
        return ERR_OK;
    }
    if (!generation_from_name(o->mailbox_version, &r->mailbox_generation))
        return err_set(ei, ERR_USAGE, "2007, 2010, 2013, 2016, 2019 or se", "unknown version %s",
                       o->mailbox_version);
    if (!o->mailbox_site)
        return err_set(ei, ERR_USAGE, NULL, "--mailbox-version wants --mailbox-site as well");
    r->mailbox_site = org_site(cli->org, o->mailbox_site);
    return r->mailbox_site ? ERR_OK
                           : err_set(ei, ERR_USAGE, "casbridge inventory lists them", "there is no site %s",
                                     o->mailbox_site);
}

COMMAND_RUN(cmd_route)
{
    const struct route_options *o = options;
    struct route_request r = {0};
    struct route_decision d;
    struct mailbox box;
    struct arena arena;
    (void)rest, (void)code;
    if (words->n)
        return err_set(ei, ERR_USAGE, "casbridge help route", "route takes no words: %s", words->v[0]);
    if (!o->protocol || !o->arrive)
        return err_set(ei, ERR_USAGE, "casbridge help route", "--protocol and --arrive are needed");
    if (!protocol_from_id(o->protocol, &r.protocol))
        return err_set(ei, ERR_USAGE,
                       "oa, mapi, owa, ecp, ews, eas, oab, autodiscover, powershell, pop, imap",
                       "unknown protocol %s", o->protocol);
    enum err e = cli_evaluate(cli, o->probe, ei);
    if (!e)
        e = fill(cli, o, &r, &box, ei);
    if (e)
        return e;
    r.arriving = org_server(cli->org, o->arrive);
    if (!r.arriving)
        return err_set(ei, ERR_USAGE, "casbridge inventory lists them", "there is no server %s", o->arrive);
    r.host_name = o->host_name;
    r.rpc_server = o->rpc_server;
    arena_init(&arena, (size_t)1 << 20);
    e = route_decide(cli->org, &r, &cli->findings, &arena, &d, ei);
    if (!e && cli->format == FORMAT_JSON)
        e = cli_json(cli, json_route(&r, &d), ei);
    else if (!e)
        as_text(&cli->out, &r, &d);
    arena_fini(&arena);
    return e;
}
