/* Servers and sites: two tables over the organisation. */
#include "tui/views/format.h"

#include "core/base/str.h"

#include <string.h>

static const struct world *world_of(void *ctx)
{
    return ((struct view *)ctx)->ui->session->world;
}

static const struct column server_columns[] = {
    {"NAME", "name", 9, 12, 2, 0, false},       {"SITE", "site", 7, 10, 1, 2, false},
    {"VERSION", "version", 8, 12, 1, 3, false}, {"OA", "oa", 3, 3, 0, 0, false},
    {"IIS AUTH", "iis", 10, 12, 1, 0, false},   {"CLIENT", "client", 5, 8, 1, 4, false},
    {"WIRE", "wire", 9, 15, 2, 1, false},       {"VERDICT", "verdict", 9, 10, 0, 0, false},
    {"ROLES", "roles", 8, 16, 1, 5, false},
};

static size_t server_count(void *ctx)
{
    return world_of(ctx) ? world_of(ctx)->org->n_servers : 0;
}

static void roles_words(const struct server *s, char *out, size_t cap)
{
    static const struct {
        uint32_t bit;
        const char *word;
    } roles[] = {{ROLE_CAFE, "front end"},  {ROLE_CLIENT_ACCESS, "CAS"},
                 {ROLE_MAILBOX, "mailbox"}, {ROLE_HUB, "hub"},
                 {ROLE_UM, "UM"},           {ROLE_EDGE, "edge"}};
    str_copy(out, cap, "");
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        size_t n = strlen(out);
        if (s->roles & roles[i].bit)
            str_fmt(out + n, cap - n, "%s%s", n ? ", " : "", roles[i].word);
    }
}

/* Outlook Anywhere columns mean nothing on a server that no client talks to. */
static void oa_cell(const struct world *w, const struct server *s, size_t column, struct cell *out)
{
    const struct vdir *oa = server_vdir(s, PROTOCOL_OA);
    if (!server_is_cas(s)) {
        out->text = "-";
        out->paint = PAINT_DIM;
        return;
    }
    if (column == 3) {
        out->text = oa ? "yes" : "no";
        out->paint = oa ? PAINT_TEXT : PAINT_ERROR;
    } else if (column == 6) {
        const struct observation *o = world_server(w, s)->oa_wire;
        if (o && o->u.challenge.offered)
            out->text = auth_brief(o->u.challenge.offered, out->scratch, sizeof out->scratch);
        else
            out->text = offer_words(o, out->scratch, sizeof out->scratch);
        out->paint = o ? state_paint(offer_state(o)) : PAINT_DIM;
    } else if (!oa) {
        out->text = "-";
        out->paint = PAINT_DIM;
    } else if (column == 4) {
        out->text =
            oa->has_iis_auth ? auth_brief(oa->iis_auth, out->scratch, sizeof out->scratch) : "not set";
    } else {
        out->text =
            oa->has_client_auth ? auth_brief(oa->client_auth, out->scratch, sizeof out->scratch) : "not set";
    }
}

static void server_cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    const struct world *w = world_of(ctx);
    const struct server *s = &w->org->servers[row];
    switch (column) {
    case 0: out->text = s->name; break;
    case 1:
        out->text = s->site ? s->site->name : "no site";
        out->paint = s->site ? PAINT_TEXT : PAINT_WARNING;
        break;
    case 2: {
        const char *product = s->product ? s->product : "unknown";
        out->text = str_istarts(product, "Exchange ") ? product + 9 : product;
        break;
    }
    case 7: cell_state(out, world_server(w, s)->state); break;
    case 8:
        roles_words(s, out->scratch, sizeof out->scratch);
        out->text = out->scratch;
        break;
    default: oa_cell(w, s, column, out);
    }
}

static void server_key(void *ctx, size_t row, char *out, size_t cap)
{
    str_copy(out, cap, world_of(ctx)->org->servers[row].name);
}

static void server_enter(struct view *v, bool has_row, size_t row)
{
    if (has_row)
        ui_push(v->ui, &view_server, world_of(v)->org->servers[row].name, NULL);
}

static const char *no_rows(struct view *v)
{
    return v->ui->session->world ? "the directory names none" : no_world_words(v->ui->session);
}

static const struct table_source server_source = {server_columns, ARRAY_LEN(server_columns), server_count,
                                                  server_cell, server_key};

const struct view_ops view_servers = {
    .id = VIEW_SERVERS,
    .source = &server_source,
    .share = 100,
    .problems = "!verdict:ok !verdict:- !verdict:info",
    .enter = server_enter,
    .empty = no_rows,
};

static const struct column site_columns[] = {
    {"SITE", "site", 10, 18, 2, 0, false},      {"FACING", "facing", 8, 15, 0, 0, false},
    {"SERVERS", "servers", 7, 7, 0, 0, true},   {"LEGACY CAS", "legacy", 10, 10, 0, 2, true},
    {"NEW CAS", "new", 7, 7, 0, 2, true},       {"SUBNETS", "subnets", 8, 20, 2, 3, false},
    {"VERDICT", "verdict", 9, 10, 0, 0, false},
};

static size_t site_count(void *ctx)
{
    return world_of(ctx) ? world_of(ctx)->org->n_sites : 0;
}

static void site_cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    const struct world *w = world_of(ctx);
    const struct site *site = &w->org->sites[row];
    unsigned legacy = 0, fresh = 0;
    enum state worst = STATE_NONE;
    for (size_t i = 0; i < site->n_servers; i++) {
        legacy += server_is_legacy_cas(site->servers[i]);
        fresh += server_is_cas(site->servers[i]) && !server_is_legacy_cas(site->servers[i]);
        enum state s = world_server(w, site->servers[i])->state;
        worst = s > worst ? s : worst;
    }
    switch (column) {
    case 0: out->text = site->name; break;
    case 1: out->text = site->internet_facing ? "Internet-facing" : "internal"; break;
    case 5:
        for (size_t i = 0; i < site->n_subnets; i++) {
            size_t n = strlen(out->scratch);
            str_fmt(out->scratch + n, sizeof out->scratch - n, "%s%s", n ? ", " : "", site->subnets[i]);
        }
        out->text = out->scratch;
        break;
    case 6: cell_state(out, worst); break;
    default:
        out->number = column == 2 ? (int64_t)site->n_servers : column == 3 ? legacy : fresh;
        cell_printf(out, "%d", (int)out->number);
    }
}

static void site_key(void *ctx, size_t row, char *out, size_t cap)
{
    str_copy(out, cap, world_of(ctx)->org->sites[row].name);
}

static void site_enter(struct view *v, bool has_row, size_t row)
{
    char filter[200];
    if (!has_row)
        return;
    str_fmt(filter, sizeof filter, "site:=\"%s\"", world_of(v)->org->sites[row].name);
    ui_push(v->ui, &view_servers, NULL, filter);
}

static const struct table_source site_source = {site_columns, ARRAY_LEN(site_columns), site_count, site_cell,
                                                site_key};

const struct view_ops view_sites = {
    .id = VIEW_SITES,
    .source = &site_source,
    .share = 100,
    .problems = "!verdict:ok !verdict:- !verdict:info",
    .enter = site_enter,
    .empty = no_rows,
};
