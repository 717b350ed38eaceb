/* Findings, and below them what could not be judged: a rule without an answer is never left out. */
#include "tui/views/format.h"

#include "core/base/str.h"
#include "core/rules/rules.h"

#include <string.h>

static const struct column columns[] = {
    {"SEVERITY", "severity", 9, 10, 0, 0, false},
    {"RULE", "rule", 10, 20, 1, 1, false},
    {"SERVER", "server", 8, 12, 1, 0, false},
    {"SITE", "site", 9, 14, 1, 3, false},
    {"FIX", "fix", 4, 4, 0, 2, false},
    {"SUMMARY", "summary", 16, 32, 6, 0, false},
};

static const struct findings *findings_of(void *ctx)
{
    const struct world *w = ((struct view *)ctx)->ui->session->world;
    return w ? &w->findings : NULL;
}

static size_t count(void *ctx)
{
    const struct findings *f = findings_of(ctx);
    return f ? f->found.n + f->unknown.n : 0;
}

static void unknown_cell(const struct finding_ref *r, size_t column, struct cell *out)
{
    switch (column) {
    case 0: cell_state(out, STATE_UNKNOWN); break;
    case 1: out->text = r->id; break;
    case 2: out->text = r->server ? r->server : "-"; break;
    case 5: out->text = r->why ? r->why : "could not be judged"; break;
    default: break;
    }
}

static void cell(void *ctx, size_t row, size_t column, struct cell *out)
{
    const struct findings *all = findings_of(ctx);
    if (row >= all->found.n) {
        unknown_cell(&all->unknown.v[row - all->found.n], column, out);
        return;
    }
    const struct finding *f = &all->found.v[row];
    switch (column) {
    case 0:
        cell_state(out, finding_state(f));
        if (f->accepted)
            out->text = "accepted";
        break;
    case 1: out->text = f->id; break;
    case 2: out->text = f->server ? f->server : "-"; break;
    case 3: out->text = f->site ? f->site : "-"; break;
    case 4:
        out->text = !f->fix ? "-" : f->fix->automatic ? "yes" : "hand";
        out->paint = f->fix ? PAINT_AFTER : PAINT_DIM;
        break;
    default: out->text = f->summary ? f->summary : ""; break;
    }
}

static void key(void *ctx, size_t row, char *out, size_t cap)
{
    const struct findings *all = findings_of(ctx);
    if (row < all->found.n) {
        const struct finding *f = &all->found.v[row];
        str_fmt(out, cap, "%s/%s/%.60s", f->id, f->server ? f->server : "", f->summary ? f->summary : "");
    } else {
        const struct finding_ref *r = &all->unknown.v[row - all->found.n];
        str_fmt(out, cap, "?%s/%s/%.60s", r->id, r->server ? r->server : "", r->why ? r->why : "");
    }
}

static const struct table_source source = {columns, ARRAY_LEN(columns), count, cell, key};

static void describe(struct view *v, bool has_row, size_t row)
{
    const struct findings *all = findings_of(v);
    struct pane *p = &v->pane;
    if (!has_row) {
        if (all && all->found.n == 0)
            pane_add(p, PAINT_OK, 0, "%s nothing was found; %zu checks passed", state_glyph(STATE_OK),
                     all->passed.n);
        return;
    }
    if (row < all->found.n) {
        describe_finding(p, &all->found.v[row]);
        return;
    }
    const struct finding_ref *r = &all->unknown.v[row - all->found.n];
    const struct rule_info *rule = rules_find(r->id);
    pane_add(p, PAINT_UNKNOWN, 0, "%s  %s", state_text(STATE_UNKNOWN), r->id);
    if (rule)
        pane_add(p, PAINT_STRONG, 0, "%s", rule->title);
    pane_field(p, PAINT_TEXT, "where", r->server ? r->server : "the organisation");
    pane_field(p, PAINT_TEXT, "why", r->why);
    if (rule && rule->explain) {
        pane_gap(p);
        pane_add(p, PAINT_TITLE, 0, "Why it matters");
        pane_add(p, PAINT_TEXT, 0, "%s", rule->explain);
        pane_field(p, PAINT_DIM, "source", rule->source);
    }
}

static const char *server_of(const struct findings *all, size_t row)
{
    return row < all->found.n ? all->found.v[row].server : all->unknown.v[row - all->found.n].server;
}

static void enter(struct view *v, bool has_row, size_t row)
{
    const char *name = has_row ? server_of(findings_of(v), row) : NULL;
    if (name && org_server(v->ui->session->world->org, name))
        ui_push(v->ui, &view_server, name, NULL);
    else
        v->in_pane = has_row;
}

static bool copy(struct view *v, struct buf *out)
{
    size_t row;
    const struct findings *all = findings_of(v);
    if (!view_selected(v, &row) || row >= all->found.n || !all->found.v[row].fix)
        return false;
    return cmdlet_text(out, &all->found.v[row].fix->cmdlet, NULL) == ERR_OK;
}

static const char *empty(struct view *v)
{
    return v->ui->session->world ? "nothing was found, nothing is unknown" : no_world_words(v->ui->session);
}

const struct view_ops view_findings = {
    .id = VIEW_FINDINGS,
    .source = &source,
    .share = 45,
    .problems = "!severity:info !severity:unknown !severity:accepted",
    .describe = describe,
    .enter = enter,
    .copy = copy,
    .empty = empty,
};
