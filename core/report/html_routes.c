/* Which way a request takes, today and after the namespace moved; what works per protocol. Pictures, and the same as tables. */
#include "core/report/html_int.h"

#include "core/base/str.h"

#include <string.h>

/* More locations than this are not drawn: broken ones first. */
#define DRAWN_MAX 30
#define GRID_OPEN 15

#define WIDTH  960
#define ROW    58
#define TOP    44
#define LEFT_X 10
#define LEFT_W 130
#define MID_X  300
#define MID_W  200
#define FAR_X  690
#define FAR_W  260
#define BOX_H  42

/* ---- readiness */

static void bars(struct html *h)
{
    const struct report *r = h->r;
    int rows = 0;
    for (unsigned p = 0; p < PROTOCOL_COUNT; p++)
        rows += r->protocols >> p & 1;
    svg_open(
        h, WIDTH, rows * 30 + 8, "Readiness by protocol",
        "One bar a protocol: in how many places of mailboxes it works, does not work, or is not known to.");
    int y = 4;
    for (unsigned p = 0; p < PROTOCOL_COUNT; p++) {
        if (!(r->protocols & 1u << p))
            continue;
        struct tally t = report_tally(r, (enum protocol)p);
        const unsigned n[] = {t.works, t.fails, t.unknown}, all = t.works + t.fails + t.unknown;
        static const char *const classes[] = {"ok", "bad", "unknown"};
        int x = 215, room = 520;
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
        html_rawf(h, "<text class=\"soft\" x=\"750\" y=\"%d\">", y + 16);
        if (t.fails)
            html_rawf(h, "%u of %u %s", t.fails, all, t.fails == 1 ? "fails" : "fail");
        else if (t.unknown)
            html_rawf(h, "%u of %u not known", t.unknown, all);
        else
            html_raw(h, all == 1 ? "works" : "works everywhere");
        html_raw(h, "</text>\n");
        y += 30;
    }
    svg_close(h);
}

static void grid(struct html *h)
{
    const struct report *r = h->r;
    html_rawf(h,
              "<details%s><summary>Every place and protocol</summary>\n<div class=\"scroll\"><table "
              "class=\"grid\"><caption>What becomes of a request for a mailbox there. \xe2\x9c\x93 works, "
              "\xe2\x9c\x95 "
              "fails, ? is not known.</caption><thead><tr><th scope=\"col\">Mailboxes</th>",
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
            html_rawf(h, "<td class=\"%s\" title=\"", html_tri_class(l->routes[p].works));
            html_text(h, l->routes[p].why);
            html_rawf(h, "\">%s</td>", html_tri_mark(l->routes[p].works));
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
              class, x, y, width, BOX_H, x + 12, y + (sub ? 18 : 26));
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

static void far_box(struct html *h, const struct report_location *l, int y, const char *class)
{
    char title[200], sub[120];
    str_fmt(title, sizeof title, "%s", l->site->name ? l->site->name : "-");
    str_fmt(sub, sizeof sub, "Exchange %s, %u mailbox %s", generation_name(l->generation), l->servers,
            l->servers == 1 ? "server" : "servers");
    box(h, FAR_X, y, FAR_W, class, title, sub);
}

/* "Outlook Anywhere, EWS" that fail, or that are not known. */
static void label(struct html *h, const struct report_location *l, int y)
{
    const struct report *r = h->r;
    unsigned works = 0, all = 0, fails = 0;
    char text[300] = "";
    enum tri state = report_location_works(r, l);
    for (unsigned p = 0; p < PROTOCOL_COUNT; p++) {
        if (!(r->protocols & 1u << p))
            continue;
        all++;
        works += l->routes[p].works == TRI_YES;
        if (l->routes[p].works != TRI_NO)
            continue;
        size_t n = strlen(text);
        if (fails++ < 2)
            str_fmt(text + n, sizeof text - n, "%s%s", n ? ", " : "", protocol_words((enum protocol)p));
    }
    html_rawf(h, "<text class=\"small %s-fill\" text-anchor=\"end\" x=\"%d\" y=\"%d\">",
              html_tri_class(state), FAR_X - 12, y);
    if (state == TRI_NO) {
        html_rawf(h, "%s ", html_tri_mark(state));
        html_text(h, text);
        if (fails > 2)
            html_rawf(h, " and %u more", fails - 2);
    } else {
        html_rawf(h, "%s %u of %u protocols", html_tri_mark(state), works, all);
    }
    html_raw(h, "</text>\n");
}

static void after(struct html *h, const struct report_location *const *list, size_t n)
{
    char sub[200];
    const struct server *s = h->r->arriving;
    int height = TOP + (int)n * ROW + 6, middle = TOP + ((int)n * ROW - (ROW - BOX_H)) / 2;
    str_fmt(sub, sizeof sub, "Exchange %s in %s", generation_name(s->generation),
            s->site ? s->site->name : "no site");
    svg_open(h, WIDTH, height, "The way of a request after the namespace moved",
             "Clients reach the new Client Access Server, which serves, proxies or redirects to each place "
             "that has "
             "mailboxes. A red line: at least one protocol fails there.");
    heading(h, LEFT_X, "Clients");
    heading(h, MID_X, "New Client Access Server");
    heading(h, FAR_X, "Mailboxes");
    edge(h, LEFT_X + LEFT_W, middle, MID_X, middle, "plain");
    for (size_t i = 0; i < n; i++) {
        int y = TOP + (int)i * ROW + BOX_H / 2;
        edge(h, MID_X + MID_W, middle, FAR_X, y, html_tri_class(report_location_works(h->r, list[i])));
    }
    box(h, LEFT_X, middle - BOX_H / 2, LEFT_W, "", "Outlook, phones", "browsers");
    box(h, MID_X, middle - BOX_H / 2, MID_W, "", s->name, sub);
    for (size_t i = 0; i < n; i++) {
        int y = TOP + (int)i * ROW;
        label(h, list[i], y + BOX_H / 2 - 6);
        far_box(h, list[i], y, html_tri_class(report_location_works(h->r, list[i])));
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
            s->generation >= r->in.findings->target)
            continue;
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
    int all = (int)n * ROW - (ROW - BOX_H), step = all / (int)k, middle = TOP + all / 2;
    svg_open(h, WIDTH, TOP + (int)n * ROW + 6, "The way of a request today",
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
                edge(h, MID_X + MID_W, y, FAR_X, TOP + (int)i * ROW + BOX_H / 2,
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
        far_box(h, list[i], TOP + (int)i * ROW, "");
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
            html_rawf(h, " %s</th><td>%s</td><td class=\"%s\">%s</td>",
                      generation_name(r->locations[i].generation), protocol_words((enum protocol)p),
                      html_tri_class(d->works), html_tri_mark(d->works));
            html_element(h, "td", d->target ? d->target->name : d->url);
            html_element(h, "td", d->why);
            html_raw(h, "</tr>\n");
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
        html_raw(h, "<figcaption>Today. A broken line leads from one site to another.</figcaption>");
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
