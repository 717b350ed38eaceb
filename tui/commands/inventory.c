/* casbridge inventory */
#include "core/base/str.h"
#include "core/report/json.h"
#include "tui/commands/cli.h"

static void roles_text(const struct server *s, char *out, size_t cap)
{
    str_fmt(out, cap, "%s%s%s%s%s", server_is_cas(s) ? "CAS " : "", s->roles & ROLE_MAILBOX ? "MBX " : "",
            s->roles & ROLE_HUB ? "HUB " : "", s->roles & ROLE_UM ? "UM " : "",
            s->roles & ROLE_EDGE ? "EDGE " : "");
}

static const char *methods(bool known, auth_set set, char *out, size_t cap)
{
    struct buf b;
    buf_init(&b, 400);
    if (!known)
        buf_adds(&b, "not set");
    else
        auth_set_text(&b, set);
    str_copy(out, cap, buf_str(&b));
    buf_fini(&b);
    return out;
}

static void as_text(struct buf *out, const struct org *org)
{
    char roles[64], iis[200], client[200];
    buf_adds(out, "Organisation ");
    cli_cell(out, org->name, 0);
    buf_adds(out, " (");
    cli_cell(out, org->domain, 0);
    buf_addf(out, "), %zu sites, %zu servers, %zu databases\n\n", org->n_sites, org->n_servers,
             org->n_databases);
    for (size_t i = 0; i < org->n_sites; i++) {
        const struct site *s = &org->sites[i];
        cli_cell(out, s->name, 20);
        cli_cell(out, s->internet_facing ? "Internet-facing" : "internal", 16);
        for (size_t k = 0; k < s->n_subnets; k++)
            cli_cell(out, s->subnets[k], 1);
        buf_adds(out, "\n");
    }
    buf_adds(out, "\n");
    cli_cell(out, "SERVER", 16);
    cli_cell(out, "SITE", 12);
    cli_cell(out, "PRODUCT", 26);
    cli_cell(out, "ROLES", 18);
    buf_adds(out, "OUTLOOK ANYWHERE (IIS / clients)\n");
    for (size_t i = 0; i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        const struct vdir *oa = server_vdir(s, PROTOCOL_OA);
        roles_text(s, roles, sizeof roles);
        cli_cell(out, s->name, 16);
        cli_cell(out, s->site ? s->site->name : "(no site)", 12);
        cli_cell(out, s->product, 26);
        cli_cell(out, roles, 18);
        if (oa) {
            cli_cell(out, methods(oa->has_iis_auth, oa->iis_auth, iis, sizeof iis), 0);
            buf_adds(out, " / ");
            cli_cell(out, methods(oa->has_client_auth, oa->client_auth, client, sizeof client), 0);
        } else if (server_is_cas(s)) {
            buf_adds(out, "not enabled");
        }
        buf_adds(out, "\n");
    }
}

static void as_csv(struct buf *out, const struct org *org)
{
    char text[VERSION_TEXT_SIZE], roles[64], iis[200], client[200];
    buf_adds(out, "server,fqdn,site,generation,version,product,roles,protocol,virtual_directory,internal_url,"
                  "external_url,iis_auth,"
                  "client_auth\r\n");
    for (size_t i = 0; i < org->n_servers; i++) {
        const struct server *s = &org->servers[i];
        roles_text(s, roles, sizeof roles);
        for (size_t k = 0; k < s->n_vdirs || k == 0; k++) {
            const struct vdir *v = k < s->n_vdirs ? s->vdirs[k] : NULL;
            cli_csv(out, s->name, false);
            cli_csv(out, s->fqdn, false);
            cli_csv(out, s->site ? s->site->name : NULL, false);
            cli_csv(out, generation_name(s->generation), false);
            cli_csv(out, s->has_version ? version_text(s->version, text) : NULL, false);
            cli_csv(out, s->product, false);
            cli_csv(out, roles, false);
            cli_csv(out, v && v->protocol < PROTOCOL_COUNT ? protocol_id(v->protocol) : NULL, false);
            cli_csv(out, v ? v->name : NULL, false);
            cli_csv(out, v ? v->internal_url : NULL, false);
            cli_csv(out, v ? v->external_url : NULL, false);
            cli_csv(out, v ? methods(v->has_iis_auth, v->iis_auth, iis, sizeof iis) : NULL, false);
            cli_csv(out, v ? methods(v->has_client_auth, v->client_auth, client, sizeof client) : NULL, true);
        }
    }
}

COMMAND_RUN(cmd_inventory)
{
    (void)options, (void)rest, (void)code;
    if (words->n)
        return err_set(ei, ERR_USAGE, "casbridge help inventory", "inventory takes no words: %s",
                       words->v[0]);
    enum err e = cli_read(cli, ei);
    if (e)
        return e;
    if (cli->format == FORMAT_JSON)
        return cli_json(cli, json_inventory(cli->org), ei);
    if (cli->format == FORMAT_CSV)
        as_csv(&cli->out, cli->org);
    else
        as_text(&cli->out, cli->org);
    return ERR_OK;
}
