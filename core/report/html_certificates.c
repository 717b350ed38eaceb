/* Certificates on a time line, the one that ends first on top. */
#include "core/report/html_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <time.h>

#define DRAWN_MAX 40
#define DAY       INT64_C(86400)
#define WIDTH     960
#define LABEL     300
#define RIGHT     110
#define ROW       30
#define TOP       30

struct axis {
    int64_t from, to;
};

static int x_of(const struct axis *a, int64_t at)
{
    at = at < a->from ? a->from : at > a->to ? a->to : at;
    return LABEL + (int)((at - a->from) * (WIDTH - LABEL - RIGHT) / (a->to - a->from));
}

static const char *class_of(const struct certificate *c, int64_t now)
{
    int64_t left = (c->not_after - now) / DAY;
    return left < 30 || c->not_before > now ? "bad" : left < 60 ? "warn" : "ok";
}

/* Months while they fit, quarters or years else. */
static void ticks(struct html *h, const struct axis *a, int height)
{
    int step = a->to - a->from > 1100 * DAY ? 12 : a->to - a->from > 420 * DAY ? 3 : 1;
    time_t t = (time_t)a->from;
    struct tm tm;
    gmtime_r(&t, &tm);
    for (int m = (tm.tm_mon / step + 1) * step, n = 0; n < 40; m += step, n++) {
        int64_t at = clock_from_civil(tm.tm_year + 1900 + m / 12, m % 12 + 1, 1, 0, 0, 0);
        if (at >= a->to)
            break;
        int x = x_of(a, at);
        html_rawf(h, "<line class=\"rule\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>", x, x, TOP - 6, height);
        if (x < WIDTH - RIGHT - 10)
            html_rawf(
                h, "<text class=\"soft small\" text-anchor=\"middle\" x=\"%d\" y=\"14\">%04d-%02d</text>\n",
                x, tm.tm_year + 1900 + m / 12, m % 12 + 1);
    }
}

static void row(struct html *h, const struct axis *a, const struct seen_certificate *c, int y, int64_t now)
{
    const struct certificate *x = c->cert;
    char end[CLOCK_TEXT_SIZE];
    int from = x_of(a, x->not_before), to = x_of(a, x->not_after);
    html_rawf(h, "<text x=\"0\" y=\"%d\">", y + 14);
    html_short(h, x->subject_cn ? x->subject_cn : x->n_names ? x->names[0] : "(no name)", 36);
    html_rawf(h, "</text><rect class=\"%s-fill\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"14\" rx=\"3\"/>",
              class_of(x, now), from, y + 3, to - from > 4 ? to - from : 4);
    html_rawf(h, "<text class=\"small\" x=\"%d\" y=\"%d\">%.10s</text>\n", WIDTH - RIGHT + 14, y + 14,
              clock_rfc3339(x->not_after, end));
}

static void picture(struct html *h, const seen_certificates *list)
{
    int64_t now = h->r->in.as_of;
    struct axis a = {now - 60 * DAY, now + 120 * DAY};
    size_t n = list->n < DRAWN_MAX ? list->n : DRAWN_MAX;
    for (size_t i = 0; i < n; i++)
        a.to = list->v[i].cert->not_after > a.to ? list->v[i].cert->not_after : a.to;
    if (a.to > now + 5 * 365 * DAY)
        a.to = now + 5 * 365 * DAY;
    a.to += (a.to - a.from) / 40;
    int height = TOP + (int)n * ROW, x = x_of(&a, now);
    svg_open(h, WIDTH, height + 6, "Certificates on a time line",
             "One bar a certificate, from its first to its last day. The vertical line is the day of this "
             "report.");
    ticks(h, &a, height);
    for (size_t i = 0; i < n; i++)
        row(h, &a, &list->v[i], TOP + (int)i * ROW, now);
    html_rawf(h, "<line class=\"today\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n", x, x, TOP - 8, height);
    svg_close(h);
}

static void table(struct html *h, const seen_certificates *list)
{
    int64_t now = h->r->in.as_of;
    html_rawf(h,
              "<details%s><summary>%zu certificates</summary>\n<div class=\"scroll\"><table><thead><tr><th "
              "scope=\"col\">Name</th><th scope=\"col\">Shown by</th><th scope=\"col\">Issuer</th><th "
              "scope=\"col\">Key</th><th "
              "scope=\"col\">Ends</th><th scope=\"col\">Days left</th><th "
              "scope=\"col\">Chain</th></tr></thead><tbody>\n",
              list->n <= 12 ? " open" : "", list->n);
    for (size_t i = 0; i < list->n; i++) {
        const struct seen_certificate *c = &list->v[i];
        html_raw(h, "<tr><th scope=\"row\">");
        html_text(h, c->cert->subject_cn);
        html_raw(h, "<br><span class=\"soft\">");
        for (size_t k = 0; k < c->cert->n_names && k < 8; k++) {
            html_raw(h, k ? ", " : "");
            html_text(h, c->cert->names[k]);
        }
        if (c->cert->n_names > 8)
            html_rawf(h, " and %zu more", c->cert->n_names - 8);
        html_raw(h, "</span></th><td>");
        html_text(h, c->first);
        if (c->servers > 1)
            html_rawf(h, " and %u more", c->servers - 1);
        html_raw(h, "</td>");
        html_element(h, "td", c->cert->issuer);
        html_raw(h, "<td>");
        html_text(h, c->cert->key_type);
        html_rawf(h, " %d, ", c->cert->key_bits);
        html_text(h, c->cert->signature_hash);
        html_raw(h, "</td><td class=\"num\">");
        html_time(h, c->cert->not_after);
        html_rawf(h, "</td><td class=\"num\">%lld</td><td>", (long long)((c->cert->not_after - now) / DAY));
        html_text(h, c->cert->chain_ok      ? "trusted"
                     : c->cert->chain_error ? c->cert->chain_error
                                            : "not trusted");
        html_raw(h, "</td></tr>\n");
    }
    html_raw(h, "</tbody></table></div></details>\n");
}

void html_certificates(struct html *h)
{
    seen_certificates list = {0};
    html_raw(h, "<section id=\"certificates\">\n<h2>Certificates</h2>\n");
    if (report_certificates(h->r, &list)) {
        html_raw(h, "<p>There are more certificates than can be listed.</p>\n");
    } else if (!list.n) {
        html_raw(h, "<p>No certificate was seen: the servers were not asked.</p>\n");
    } else {
        html_raw(h, "<figure>");
        picture(h, &list);
        html_raw(h, "<figcaption>Red: over, or fewer than 30 days left; amber: fewer than 60.");
        if (list.n > DRAWN_MAX)
            html_rawf(h, " The %d that end first are drawn.", DRAWN_MAX);
        html_raw(h, "</figcaption></figure>\n");
        table(h, &list);
    }
    html_raw(h, "</section>\n");
    VEC_FREE(&list);
}
