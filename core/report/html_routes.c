/* Which way a request takes, today and after the namespace moved; what works per protocol. Pictures, and the same as tables. */
#include "core/report/html_int.h"

#include "core/base/str.h"

#include <string.h>

/* More locations than this are not drawn: broken ones first. */
#define DRAWN_MAX 30
#define GRID_OPEN 15

#define WIDTH  960
#define ROW    70
#define TOP    40
#define LEFT_X 1
#define LEFT_W 148
#define NEW_X  204
#define HOP_X  460
#define HOP_W  186
#define MID_X  320
#define MID_W  200
#define FAR_X  700
#define FAR_W  259
#define BOX_H  42
#define FAR_H  56

/* ---- readiness */

static void bars(struct html *h)
{
    const struct report *r = h->r;
    int rows = 0;
    for (unsigned p = 0; p < PROTOCOL_COUNT; p++)
        rows += r->protocols & 1u << p && report_tally(r, (enum protocol)p).not_offered < r->n_locations;
    svg_open(
        h, WIDTH, rows * 30 + 8, "Readiness by protocol",
        "One bar a protocol: in how many places of mailboxes it works, does not work, or is not known to.");
    int y = 4;
    for (unsigned p = 0; p < PROTOCOL_COUNT; p++) {
        if (!(r->protocols & 1u << p))
            continue;
        struct tally t = report_tally(r, (enum protocol)p);
        const unsigned n[] = {t.works, t.fails, t.unknown}, all = t.works + t.fails + t.unknown;
        if (!all) /* nobody's mailbox is where it is known */
            continue;
        static const char *const classes[] = {"ok", "bad", "unknown"};
        int x = 215, room = 490;
        html_rawf(h, "<text x=\"0\" y=\"%d\">", y + 16);
        html_text(h, protocol_words((enum protocol)p));
        html_rawf(h, "</text><rect class=\"track\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"20\" rx=\"3\"/>",
                  x, y + 1, room);
        for (size_t i = 0; i < ARRAY_LEN(n); i++) {
            int w = all ? (int)((uint64_t)n[i] * (uint64_t)room / all) : 0;
            if (!n[i])
                continue;
            w = w > 3 ? w : 3;
            html_rawf(h, "<rect class=\"%s-fill\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"20\" rx=\"3\"/>",
                      classes[i], x, y + 1, w - 2);
            if (w > 34)
                html_rawf(h, "<text class=\"inside small\" x=\"%d\" y=\"%d\">%u</text>", x + 8, y + 15, n[i]);
            x += w;
        }
        html_rawf(h, "<text class=\"soft\" x=\"722\" y=\"%d\">", y + 16);
        if (t.fails)
            html_rawf(h, "%u of %u %s", t.fails, all, t.fails == 1 ? "fails" : "fail");
        else if (t.unknown)
            html_rawf(h, "%u of %u not known", t.unknown, all);
        else
            html_raw(h, all == 1 ? "works" : "works everywhere");
        if (t.not_offered)
            html_rawf(h, ", %u without it", t.not_offered);
        html_raw(h, "</text>\n");
        y += 30;
    }
    svg_close(h);
}

static void state_cell(struct html *h, const struct route_decision *d)
{
    static const struct {
        const char *class, *mark, *words;
    } states[] = {[ROUTE_WORKS] = {"ok", "\xe2\x9c\x93", "works"},
                  [ROUTE_FAILS] = {"bad", "\xe2\x9c\x95", "fails"},
                  [ROUTE_NOT_KNOWN] = {"unknown", "?", "not known"},
                  [ROUTE_NOT_OFFERED] = {"soft", "&ndash;", "not offered"}};
    enum route_state s = report_route_state(d);
    html_rawf(h, "<td class=\"%s\" aria-label=\"%s\" title=\"", states[s].class, states[s].words);
    html_text(h, d->why);
    html_rawf(h, "\">%s</td>", states[s].mark);
}

static void grid(struct html *h)
{
    const struct report *r = h->r;
    html_rawf(h,
              "<details%s><summary>Every place and protocol</summary>\n<div class=\"scroll\"><table "
              "class=\"grid\"><caption>What becomes of a request for a mailbox there. \xe2\x9c\x93 works, "
              "\xe2\x9c\x95 "
              "fails, ? is not known, \xe2\x80\x93 the mailbox's version does not have "
              "it.</caption><thead><tr><th scope=\"col\">Mailboxes</th>",
              r->n_locations <= GRID_OPEN ? " open" : "");
    for (unsigned p = 0; p < PROTOCOL_COUNT; p++)
        if (r->protocols & 1u << p)
            html_element(h, "th scope=\"col\"", protocol_words((enum protocol)p));
    html_raw(h, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_locations; i++) {
        const struct report_location *l = &r->locations[i];
        html_raw(h, "<tr><th scope=\"row\">");
        html_text(h, l->site->name);
        html_rawf(h, " <span class=\"soft\">%s</span></th>", generation_name(l->generation));
        for (unsigned p = 0; p < PROTOCOL_COUNT; p++) {
            if (!(r->protocols & 1u << p))
                continue;
            state_cell(h, &l->routes[p]);
        }
        html_raw(h, "</tr>\n");
    }
    html_raw(h, "</tbody></table></div></details>\n");
}

void html_readiness(struct html *h)
{
    html_raw(h, "<section id=\"readiness\">\n<h2>Readiness by protocol</h2>\n");
    if (!h->r->arriving || !h->r->n_locations) {
        html_raw(h,
                 h->r->arriving
                     ? "<p>No mailbox server is in a site: there is nothing to route to.</p>\n"
                     : "<p>No Client Access Server of that version is in the directory yet: what it would do "
                       "with requests cannot be said.</p>\n");
        html_raw(h, "</section>\n");
        return;
    }
    html_raw(h, "<p>Clients arrive at ");
    html_element(h, "b", h->r->arriving->name);
    html_rawf(h, "; mailboxes are in %zu %s (a site and a version).</p>\n<figure>", h->r->n_locations,
              h->r->n_locations == 1 ? "place" : "places");
    bars(h);
    html_raw(h, "</figure>\n");
    grid(h);
    html_raw(h, "</section>\n");
}

/* ---- the ways */

static void box(struct html *h, int x, int y, int width, const char *class, const char *title,
                const char *sub)
{
    html_rawf(h,
              "<rect class=\"box %s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"7\"/><text "
              "class=\"bold\" x=\"%d\" "
              "y=\"%d\">",
              class, x, y, width, x == FAR_X ? FAR_H : BOX_H, x + 12, y + (sub ? 18 : 26));
    html_short(h, title, (size_t)width / 8);
    html_raw(h, "</text>");
    if (sub) {
        html_rawf(h, "<text class=\"soft small\" x=\"%d\" y=\"%d\">", x + 12, y + 34);
        html_short(h, sub, (size_t)width / 6);
        html_raw(h, "</text>");
    }
    html_raw(h, "\n");
}

static void edge(struct html *h, int x1, int y1, int x2, int y2, const char *class)
{
    int middle = (x1 + x2) / 2;
    html_rawf(h, "<path class=\"edge %s\" d=\"M%d %dC%d %d %d %d %d %d\"/>\n", class, x1, y1, middle, y1,
              middle, y2, x2, y2);
}

static void heading(struct html *h, int x, const char *text)
{
    html_rawf(h, "<text class=\"soft\" x=\"%d\" y=\"20\">%s</text>", x, text);
}

/* The locations to draw, broken ones first, in their order otherwise. */
static size_t choose(const struct report *r, const struct report_location **out)
{
    static const enum tri order[] = {TRI_NO, TRI_UNKNOWN, TRI_YES};
    size_t n = 0;
    if (r->n_locations <= DRAWN_MAX) {
        for (; n < r->n_locations; n++)
            out[n] = &r->locations[n];
        return n;
    }
    for (size_t k = 0; k < ARRAY_LEN(order); k++)
        for (size_t i = 0; i < r->n_locations && n < DRAWN_MAX; i++)
            if (report_location_works(r, &r->locations[i]) == order[k])
                out[n++] = &r->locations[i];
    return n;
}

/* "Outlook Anywhere, MAPI/HTTP fail", or how many protocols work. */
static void status(const struct report *r, const struct report_location *l, char *out, size_t cap)
{
    unsigned works = 0, all = 0, fails = 0;
    size_t len = 0;
    out[0] = '\0';
    for (unsigned p = 0; p < PROTOCOL_COUNT; p++) {
        enum route_state state = report_route_state(&l->routes[p]);
        if (!(r->protocols & 1u << p) || state == ROUTE_NOT_OFFERED)
            continue;
        all++;
        works += state == ROUTE_WORKS;
        if (state != ROUTE_FAILS || fails++ >= 2)
            continue;
        len = strlen(out);
        str_fmt(out + len, cap - len, "%s%s", len ? ", " : "", protocol_words((enum protocol)p));
    }
    len = strlen(out);
    if (fails > 2)
        str_fmt(out + len, cap - len, " and %u more fail", fails - 2);
    else if (fails)
        str_fmt(out + len, cap - len, fails == 1 ? " fails" : " fail");
    else if (works < all)
        str_fmt(out, cap, "%u of %u protocols work, %u not known", works, all, all - works);
    else
        str_fmt(out, cap, "all %u protocols work", all);
}

static void far_box(struct html *h, const struct report_location *l, int y, bool judged)
{
    char sub[120], text[300];
    enum tri state = report_location_works(h->r, l);
    str_fmt(sub, sizeof sub, "Exchange %s, %u mailbox %s", generation_name(l->generation), l->servers,
            l->servers == 1 ? "server" : "servers");
    box(h, FAR_X, y, FAR_W, judged ? html_tri_class(state) : "", l->site->name, sub);
    if (!judged)
        return;
    status(h->r, l, text, sizeof text);
    html_rawf(h, "<text class=\"small %s-fill\" x=\"%d\" y=\"%d\">%s ", html_tri_class(state), FAR_X + 12,
              y + 48, html_tri_mark(state));
    html_text(h, text);
    html_raw(h, "</text>\n");
}

/* Where the new CAS passes Outlook Anywhere on to: the server between it and the mailboxes. */
static void hop_box(struct html *h, const struct report_location *l, int y)
{
    const struct route_decision *d = &l->routes[PROTOCOL_OA];
    char sub[120];
    const char *auth = d->n_hops ? d->hops[d->n_hops - 1].auth : NULL, *action = route_action_name(d->action);
    if (d->action == ROUTE_SERVE || !d->target) {
        str_fmt(sub, sizeof sub, "Outlook Anywhere: %s", action ? action : "not known");
        box(h, HOP_X, y + 6, HOP_W, "", d->target ? d->target->name : "no server", sub);
        return;
    }
    str_fmt(sub, sizeof sub, "Outlook: %s%s%s", action ? action : "?", auth ? ", " : "", auth ? auth : "");
    box(h, HOP_X, y + 6, HOP_W, html_tri_class(d->works), d->target->name, sub);
}

static void after(struct html *h, const struct report_location *const *list, size_t n)
{
    char sub[200];
    const struct server *s = h->r->arriving;
    int all = (int)n * ROW - (ROW - FAR_H), middle = TOP + all / 2;
    str_fmt(sub, sizeof sub, "Exchange %s in %s", generation_name(s->generation),
            s->site ? s->site->name : "no site");
    svg_open(
        h, WIDTH, TOP + (int)n * ROW, "The way of a request after the namespace moved",
        "Clients reach the new Client Access Server, which passes them on to a server of each place that has "
        "mailboxes. A red line: at least one protocol fails there.");
    heading(h, LEFT_X, "Clients");
    heading(h, NEW_X, "New CAS");
    heading(h, HOP_X, "passes on to");
    heading(h, FAR_X, "Mailboxes");
    edge(h, LEFT_X + LEFT_W, middle, NEW_X, middle, "plain");
    for (size_t i = 0; i < n; i++) {
        int y = TOP + (int)i * ROW + FAR_H / 2;
        const char *class = html_tri_class(report_location_works(h->r, list[i]));
        edge(h, NEW_X + HOP_W, middle, HOP_X, y, class);
        edge(h, HOP_X + HOP_W, y, FAR_X, y, class);
    }
    box(h, LEFT_X, middle - BOX_H / 2, LEFT_W, "", "Outlook, phones", "browsers");
    box(h, NEW_X, middle - BOX_H / 2, HOP_W, "", s->name, sub);
    for (size_t i = 0; i < n; i++) {
        hop_box(h, list[i], TOP + (int)i * ROW);
        far_box(h, list[i], TOP + (int)i * ROW, true);
    }
    svg_close(h);
}

/* A published CAS older than the target, of that generation in that site; NULL there: any of them. */
static const struct server *entry_of(const struct report *r, const struct report_location *l)
{
    const struct server *any = NULL;
    for (size_t i = 0; i < r->in.org->n_servers; i++) {
        const struct server *s = &r->in.org->servers[i];
        if (!server_is_cas(s) || !server_is_published(s) || !s->site ||
            s->generation >= r->in.findings->target || s->generation < l->generation)
            continue; /* no CAS leads to a mailbox newer than itself */
        if (s->site == l->site && s->generation == l->generation)
            return s;
        /* from another site: one of the same version, the newest otherwise */
        if (!any || (s->generation == l->generation && any->generation != l->generation) ||
            (any->generation != l->generation && s->generation > any->generation))
            any = s;
    }
    return any;
}

static bool before(struct html *h, const struct report_location *const *list, size_t n)
{
    const struct server *entries[DRAWN_MAX], *of[DRAWN_MAX];
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        of[i] = entry_of(h->r, list[i]);
        size_t at = 0;
        while (of[i] && at < k && entries[at] != of[i])
            at++;
        if (of[i] && at == k)
            entries[k++] = of[i];
    }
    if (!k)
        return false;
    int all = (int)n * ROW - (ROW - FAR_H), step = all / (int)k, middle = TOP + all / 2;
    svg_open(h, WIDTH, TOP + (int)n * ROW, "The way of a request today",
             "Clients reach the older Client Access Servers that publish a name; sites that publish none are "
             "reached "
             "through another site.");
    heading(h, LEFT_X, "Clients");
    heading(h, MID_X, "Published today");
    heading(h, FAR_X, "Mailboxes");
    for (size_t e = 0; e < k; e++) {
        int y = TOP + (int)e * step + step / 2;
        edge(h, LEFT_X + LEFT_W, middle, MID_X, y, "plain");
        for (size_t i = 0; i < n; i++)
            if (of[i] == entries[e])
                edge(h, MID_X + MID_W, y, FAR_X, TOP + (int)i * ROW + FAR_H / 2,
                     of[i]->site == list[i]->site ? "plain" : "far");
    }
    box(h, LEFT_X, middle - BOX_H / 2, LEFT_W, "", "Outlook, phones", "browsers");
    for (size_t e = 0; e < k; e++) {
        char sub[200];
        str_fmt(sub, sizeof sub, "Exchange %s in %s", generation_name(entries[e]->generation),
                entries[e]->site->name);
        box(h, MID_X, TOP + (int)e * step + step / 2 - BOX_H / 2, MID_W, "", entries[e]->name, sub);
    }
    for (size_t i = 0; i < n; i++)
        far_box(h, list[i], TOP + (int)i * ROW, false);
    svg_close(h);
    return true;
}

static void routes_table(struct html *h)
{
    const struct report *r = h->r;
    html_raw(h,
             "<details><summary>Every route in words</summary>\n<div class=\"scroll\"><table><thead><tr><th "
             "scope=\"col\">Mailboxes</th><th scope=\"col\">Protocol</th><th scope=\"col\">Works</th><th "
             "scope=\"col\">Goes "
             "to</th><th scope=\"col\">Why</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < r->n_locations; i++) {
        for (unsigned p = 0; p < PROTOCOL_COUNT; p++) {
            const struct route_decision *d = &r->locations[i].routes[p];
            if (!(r->protocols & 1u << p))
                continue;
            html_raw(h, "<tr><th scope=\"row\">");
            html_text(h, r->locations[i].site->name);
            html_rawf(h, " %s</th><td>%s</td>", generation_name(r->locations[i].generation),
                      protocol_words((enum protocol)p));
            state_cell(h, d);
            html_element(h, "td", d->target ? d->target->name : d->url);
            html_raw(h, "<td>");
            html_text(h, d->why);
            for (size_t k = 0; k < d->n_conflicts; k++) {
                html_raw(h, "<br><span class=\"soft\">Sources disagree: ");
                html_text(h, d->conflicts[k]);
                html_raw(h, "</span>");
            }
            html_raw(h, "</td></tr>\n");
        }
    }
    html_raw(h, "</tbody></table></div></details>\n");
}

void html_routes(struct html *h)
{
    const struct report_location *list[DRAWN_MAX];
    if (!h->r->arriving || !h->r->n_locations)
        return;
    size_t n = choose(h->r, list);
    html_raw(h, "<section id=\"routes\">\n<h2>Before and after</h2>\n<figure>");
    if (before(h, list, n))
        html_raw(h, "<figcaption>Today. A broken line leads from one site to another; a place without a line "
                    "is not reached by the older "
                    "servers.</figcaption>");
    else
        html_raw(h, "<figcaption>Today no older Client Access Server publishes a name.</figcaption>");
    html_raw(h, "</figure>\n<figure>");
    after(h, list, n);
    html_raw(h, "<figcaption>After the namespace moved. Red: at least one protocol fails there; dotted: "
                "something is not "
                "known.");
    if (n < h->r->n_locations)
        html_rawf(h, " %zu of %zu places are drawn, those that fail first.", n, h->r->n_locations);
    html_raw(h, "</figcaption></figure>\n");
    routes_table(h);
    html_raw(h, "</section>\n");
}
