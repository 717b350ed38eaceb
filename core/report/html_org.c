/* Sites and servers, the plan, and the evidence behind everything. */
#include "core/report/html_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define OPEN_UP_TO 6 /* steps of the plan */

static void methods(struct html *h, bool known, auth_set set)
{
    struct buf b;
    buf_init(&b, 1024);
    if (known)
        auth_set_text(&b, set);
    html_element(h, "td", known ? buf_str(&b) : NULL);
    buf_fini(&b);
}

static void vdirs(struct html *h, const struct server *s)
{
    html_raw(h, "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Virtual directory</th><th "
                "scope=\"col\">Internal "
                "URL</th><th scope=\"col\">External URL</th><th scope=\"col\">IIS methods</th><th "
                "scope=\"col\">Client "
                "methods</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < s->n_vdirs; i++) {
        const struct vdir *v = s->vdirs[i];
        html_raw(h, "<tr>");
        html_element(h, "th scope=\"row\"", v->name);
        html_raw(h, "<td>");
        html_name(h, v->internal_url);
        html_raw(h, "</td><td>");
        html_name(h, v->external_url);
        html_raw(h, "</td>");
        methods(h, v->has_iis_auth, v->iis_auth);
        methods(h, v->has_client_auth, v->client_auth);
        html_raw(h, "</tr>\n");
    }
    html_raw(h, "</tbody></table></div>\n");
}

static void server(struct html *h, const struct server *s)
{
    char version[VERSION_TEXT_SIZE];
    html_raw(h, "<details><summary><b>");
    html_text(h, s->name);
    html_raw(h, "</b> ");
    html_text(h, s->product ? s->product : "of an unknown version");
    html_raw(h, "<span class=\"soft\">");
    if (s->has_version)
        html_rawf(h, " %s", version_text(s->version, version));
    html_rawf(h, "%s%s%s</span></summary>\n", server_is_cas(s) ? ", client access" : "",
              s->roles & ROLE_MAILBOX ? ", mailbox" : "", s->roles & ROLE_HUB ? ", hub transport" : "");
    if (s->n_vdirs)
        vdirs(h, s);
    else
        html_raw(h, "<p class=\"soft\">It has no virtual directory.</p>\n");
    html_raw(h, "</details>\n");
}

void html_servers(struct html *h)
{
    const struct org *org = h->r->in.org;
    size_t homeless = 0;
    html_raw(h, "<section id=\"servers\">\n<h2>Sites and servers</h2>\n");
    for (size_t i = 0; i < org->n_sites; i++) {
        const struct site *s = &org->sites[i];
        if (!s->n_servers)
            continue;
        html_raw(h, "<article class=\"card\"><header><h3>");
        html_text(h, s->name);
        html_rawf(h, "</h3><span class=\"tag %s\">%s</span><span class=\"soft\">",
                  s->internet_facing ? "ok" : "", s->internet_facing ? "Internet-facing" : "internal");
        for (size_t k = 0; k < s->n_subnets && k < 6; k++) {
            html_raw(h, k ? ", " : "");
            html_text(h, s->subnets[k]);
        }
        html_raw(h, "</span></header>\n");
        for (size_t k = 0; k < s->n_servers; k++)
            server(h, s->servers[k]);
        html_raw(h, "</article>\n");
    }
    for (size_t i = 0; i < org->n_servers; i++)
        homeless += org->servers[i].site == NULL;
    if (homeless) {
        html_raw(h, "<article class=\"card\"><header><h3>In no site</h3></header>\n");
        for (size_t i = 0; i < org->n_servers; i++)
            if (!org->servers[i].site)
                server(h, &org->servers[i]);
        html_raw(h, "</article>\n");
    }
    html_raw(h, "</section>\n");
}

/* ---- the plan */

static void changes(struct html *h, const struct plan_change *c, size_t n)
{
    html_raw(h, "<td>");
    for (size_t i = 0; i < n; i++) {
        html_raw(h, i ? "<br>" : "");
        html_text(h, c[i].property);
        html_raw(h, " <b>");
        if (c[i].is_null)
            html_raw(h, "none");
        for (size_t k = 0; k < c[i].n_values; k++) {
            html_raw(h, k ? ", " : "");
            html_text(h, c[i].values[k]);
        }
        html_raw(h, "</b>");
    }
    html_raw(h, n ? "</td>" : "&ndash;</td>");
}

static void cmdlet(struct html *h, const char *label, const struct cmdlet *c)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    if (c->name && cmdlet_text(&text, c, NULL) == ERR_OK) {
        html_rawf(h, "<p class=\"soft\">%s</p>", label);
        html_command(h, buf_str(&text));
    }
    buf_fini(&text);
}

static void step(struct html *h, const struct plan_step *s, bool open)
{
    html_rawf(h, "<details%s><summary><b>%d</b> ", open ? " open" : "", s->n);
    html_text(h, s->server);
    html_raw(h, ": ");
    html_element(h, "code", s->finding);
    html_raw(h, "</summary>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Before</th><th "
                "scope=\"col\">After</th><th scope=\"col\">Takes effect</th><th "
                "scope=\"col\">Interrupts</th></tr></thead><tbody><tr>");
    changes(h, s->before, s->n_before);
    changes(h, s->after, s->n_after);
    html_element(h, "td", s->takes_effect);
    html_element(h, "td", s->impact);
    html_raw(h, "</tr></tbody></table></div>\n");
    cmdlet(h, "What is done", &s->cmdlet);
    cmdlet(h, "What takes it back", &s->inverse);
    html_raw(h, "</details>\n");
}

void html_plan(struct html *h)
{
    const struct plan *p = h->r->plan;
    html_raw(h, "<section id=\"plan\">\n<h2>The plan</h2>\n");
    if (!p) {
        html_raw(h, "<p>No plan could be made: ");
        html_text(h, h->r->no_plan.what);
        html_raw(h, "</p>\n");
    } else if (!p->n_steps) {
        html_raw(h, "<p>There is nothing that can be mended from here.</p>\n");
    } else {
        html_rawf(h,
                  "<p>%zu %s, in this order. Nothing was changed: <code>casbridge plan -o FILE</code> writes "
                  "it down, "
                  "<code>casbridge apply FILE</code> carries it out, verifies each server on the wire, and "
                  "takes back what "
                  "did not work.</p>\n<div class=\"card\">\n",
                  p->n_steps, p->n_steps == 1 ? "step" : "steps");
        for (size_t i = 0; i < p->n_steps; i++)
            step(h, &p->steps[i], p->n_steps <= OPEN_UP_TO);
        html_raw(h, "</div>\n");
    }
    html_raw(h, "</section>\n");
}

/* ---- the evidence */

static int by_server(const void *x, const void *y)
{
    const struct observation *a = *(const struct observation *const *)x,
                             *b = *(const struct observation *const *)y;
    int c = str_icmp(a->server ? a->server : "", b->server ? b->server : "");
    return c ? c : (a > b) - (a < b);
}

static const char *class_of(enum outcome o)
{
    return o == OUTCOME_OK ? "ok" : o == OUTCOME_FAILED ? "bad" : "unknown";
}

static void observations(struct html *h, const struct observation *const *o, size_t n)
{
    size_t bad = 0;
    for (size_t i = 0; i < n; i++)
        bad += o[i]->outcome == OUTCOME_FAILED || o[i]->outcome == OUTCOME_ERROR;
    html_raw(h, "<details><summary><b>");
    html_text(h, o[0]->server ? o[0]->server : "Names of no server");
    html_rawf(h, "</b> <span class=\"soft\">%zu observations", n);
    if (bad)
        html_rawf(h, ", %zu not good", bad);
    html_raw(h, "</span></summary>\n<div class=\"scroll\"><table class=\"steps\"><thead><tr><th "
                "scope=\"col\">Step</th><th "
                "scope=\"col\">By the "
                "name</th><th scope=\"col\">Result</th><th scope=\"col\">Asked</th><th scope=\"col\">What "
                "came</th><th "
                "scope=\"col\">When</th><th scope=\"col\">ms</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < n; i++) {
        const struct observation *x = o[i];
        html_raw(h, "<tr>");
        html_element(h, "th scope=\"row\"", x->step);
        html_element(h, "td", x->by_name);
        html_rawf(h, "<td><span class=\"tag %s\">%s</span></td><td>", class_of(x->outcome),
                  outcome_name(x->outcome));
        html_code(h, x->subject);
        html_raw(h, "</td>");
        html_element(h, "td", x->detail);
        html_raw(h, "<td class=\"num\">");
        html_time(h, x->at);
        html_rawf(h, "</td><td class=\"num\">%d</td></tr>\n", x->elapsed_ms);
    }
    html_raw(h, "</tbody></table></div></details>\n");
}

void html_evidence(struct html *h)
{
    const struct evidence *e = h->r->in.evidence;
    html_raw(h, "<section id=\"evidence\">\n<h2>Evidence</h2>\n");
    const struct observation **list = calloc(e->items.n + 1, sizeof *list);
    if (!list) {
        h->out->failed = ERR_NOMEM;
    } else if (!e->items.n) {
        html_raw(h, "<p>All that is known comes from the directory: the servers were not asked.</p>\n");
    } else {
        html_rawf(h, "<p>%zu observations, all of them.</p>\n<div class=\"card\">\n", e->items.n);
        for (size_t i = 0; i < e->items.n; i++)
            list[i] = &e->items.v[i];
        qsort(list, e->items.n, sizeof *list, by_server);
        for (size_t i = 0, k; i < e->items.n; i += k) {
            for (k = 1; i + k < e->items.n && str_ieq(list[i + k]->server, list[i]->server); k++)
                ;
            observations(h, list + i, k);
        }
        html_raw(h, "</div>\n");
    }
    html_raw(h, "</section>\n");
    free(list);
}
