/* The report as one HTML file: no script, nothing fetched, the style inside. */
#include "core/report/html_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/gen/text.h"

#include <stdio.h>
#include <string.h>

#define SCRATCH_MAX ((size_t)64 * 1024 * 1024)

void html_raw(struct html *h, const char *markup)
{
    buf_adds(h->out, markup);
}

void html_rawf(struct html *h, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0 && (size_t)n < sizeof text); /* markup of ours: numbers and class names */
    buf_adds(h->out, text);
}

/* What of it is to be seen, in h->shown. */
static void prepare(struct html *h, const char *text)
{
    buf_reset(&h->redacted);
    buf_reset(&h->shown);
    if (redact(h->r->redactor, text, strlen(text), &h->redacted) ||
        str_show(&h->shown, buf_str(&h->redacted), h->redacted.len))
        h->out->failed = ERR_LIMIT;
}

static void escape(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (s[i]) {
        case '&': buf_adds(out, "&amp;"); break;
        case '<': buf_adds(out, "&lt;"); break;
        case '>': buf_adds(out, "&gt;"); break;
        case '"': buf_adds(out, "&quot;"); break;
        case '\'': buf_adds(out, "&#39;"); break;
        default: buf_addc(out, s[i]); break;
        }
    }
}

void html_text(struct html *h, const char *text)
{
    if (!text) {
        html_raw(h, "&ndash;");
        return;
    }
    prepare(h, text);
    escape(h->out, buf_str(&h->shown), h->shown.len);
}

/* A line breaks between the parts of a name in the directory or of an URL, before it breaks inside of one. */
void html_name(struct html *h, const char *text)
{
    if (!text) {
        html_text(h, NULL);
        return;
    }
    prepare(h, text);
    for (const char *s = buf_str(&h->shown); *s;) {
        size_t n = strcspn(s, ",/");
        n += strspn(s + n, ",/");
        escape(h->out, s, n);
        s += n;
        html_raw(h, *s ? "<wbr>" : "");
    }
}

void html_code(struct html *h, const char *text)
{
    html_raw(h, "<code>");
    html_name(h, text);
    html_raw(h, "</code>");
}

/* A line breaks before a parameter, never inside of its name. */
void html_command(struct html *h, const char *text)
{
    prepare(h, text);
    const char *s = buf_str(&h->shown);
    html_raw(h, "<pre>");
    while (*s) {
        size_t n = strcspn(s, " ");
        bool parameter = *s == '-' && n > 1;
        html_raw(h, parameter ? "<span>" : "");
        escape(h->out, s, n);
        html_raw(h, parameter ? "</span>" : "");
        s += n;
        for (; *s == ' '; s++)
            buf_addc(h->out, ' ');
    }
    html_raw(h, "</pre>\n");
}

void html_textf(struct html *h, const char *fmt, ...)
{
    char text[2048]; /* labels: a longer name is cut */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    html_text(h, text);
}

void html_short(struct html *h, const char *text, size_t max)
{
    size_t at = 0, n = 0;
    prepare(h, text ? text : "-");
    const char *s = buf_str(&h->shown);
    while (at < h->shown.len && n < max) {
        size_t used = utf8_next(s + at, h->shown.len - at, NULL);
        at += used ? used : 1;
        n++;
    }
    escape(h->out, s, at);
    if (at < h->shown.len)
        html_raw(h, "&hellip;");
}

void html_time(struct html *h, int64_t at)
{
    char text[CLOCK_TEXT_SIZE];
    if (at <= 0) {
        html_raw(h, "&ndash;");
        return;
    }
    clock_rfc3339(at, text);
    html_rawf(h, "<time datetime=\"%s\">%.10s %.5s</time>", text, text, text + 11);
}

void html_element(struct html *h, const char *tag, const char *text)
{
    html_rawf(h, "<%s>", tag);
    html_text(h, text);
    html_rawf(h, "</%.*s>", (int)strcspn(tag, " "), tag);
}

const char *html_tri_class(enum tri t)
{
    return t == TRI_YES ? "ok" : t == TRI_NO ? "bad" : "unknown";
}

const char *html_tri_mark(enum tri t)
{
    return t == TRI_YES ? "\xe2\x9c\x93" : t == TRI_NO ? "\xe2\x9c\x95" : "?";
}

void svg_open(struct html *h, int width, int height, const char *title, const char *description)
{
    unsigned id = ++h->ids;
    html_rawf(h,
              "<svg viewBox=\"0 0 %d %d\" style=\"max-width:%dpx\" role=\"img\" aria-labelledby=\"t%u d%u\">",
              width, height, width, id, id);
    html_rawf(h, "<title id=\"t%u\">", id);
    html_text(h, title);
    html_rawf(h, "</title><desc id=\"d%u\">", id);
    html_text(h, description);
    html_raw(h, "</desc>\n");
}

void svg_close(struct html *h)
{
    html_raw(h, "</svg>\n");
}

/* ---- the frame */

static const char *verdict_title(enum verdict v)
{
    switch (v) {
    case VERDICT_READY: return "Ready";
    case VERDICT_NOT_READY: return "Not ready";
    case VERDICT_BLOCKED: return "Blocked";
    case VERDICT_UNKNOWN: break;
    }
    return "Cannot be said yet";
}

static const char *verdict_class(enum verdict v)
{
    return v == VERDICT_READY ? "ok" : v == VERDICT_UNKNOWN ? "unknown" : "bad";
}

static void verdict_sentence(struct html *h)
{
    const char *target = generation_name(h->r->in.findings->target);
    switch (h->r->in.findings->verdict) {
    case VERDICT_READY:
        html_textf(h, "Nothing that is known stands against moving the namespace to Exchange %s.", target);
        break;
    case VERDICT_NOT_READY:
        html_textf(h, "If the namespace moved to Exchange %s now, what is listed first below would break.",
                   target);
        break;
    case VERDICT_BLOCKED:
        html_textf(h,
                   "Exchange %s cannot stand in this organisation before what is listed first below is done.",
                   target);
        break;
    case VERDICT_UNKNOWN:
        html_textf(h,
                   "Nothing is known to be wrong for Exchange %s, but not everything that matters is known.",
                   target);
        break;
    }
}

static void tile(struct html *h, const char *class, size_t n, const char *label, const char *to)
{
    html_rawf(h, "<a class=\"tile %s\" href=\"#%s\"><b>%zu</b> ", n ? class : "none", to, n);
    html_raw(h, label);
    html_raw(h, "</a>\n");
}

static void tiles(struct html *h)
{
    const struct findings *f = h->r->in.findings;
    size_t by[4] = {0}, accepted = 0;
    for (size_t i = 0; i < f->found.n; i++) {
        if (f->found.v[i].accepted)
            accepted++;
        else
            by[f->found.v[i].severity]++;
    }
    html_raw(h, "<nav class=\"tiles\" aria-label=\"Summary\">\n");
    tile(h, "bad", by[SEVERITY_BLOCKER], "blockers", "blocks");
    tile(h, "bad", by[SEVERITY_ERROR], "errors", "blocks");
    tile(h, "warn", by[SEVERITY_WARNING], "warnings", "look");
    tile(h, "unknown", f->unknown.n, "unknown", "unknown");
    tile(h, "plain", accepted, "accepted", "accepted");
    tile(h, "ok", f->passed.n, "passed", "passed");
    html_raw(h, "</nav>\n");
}

static void head(struct html *h)
{
    const struct report_input *in = &h->r->in;
    html_raw(h, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                "<meta name=\"color-scheme\" content=\"light dark\">\n"
                "<meta name=\"referrer\" content=\"no-referrer\">\n"
                "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                "'unsafe-inline'\">\n<title>");
    html_textf(h, "Exchange %s in %s: %s", generation_name(in->findings->target),
               in->org->name ? in->org->name : "?", verdict_title(in->findings->verdict));
    html_raw(h, "</title>\n<style>\n");
    html_raw(h, report_style[0].text);
    html_raw(h, "</style>\n</head>\n<body>\n<header>\n<p class=\"kicker\">");
    html_textf(h, "Bringing Exchange %s into ", generation_name(in->findings->target));
    html_text(h, in->org->name);
    html_rawf(h, "</p>\n<h1 class=\"%s\">%s</h1>\n<p class=\"lead\">", verdict_class(in->findings->verdict),
              verdict_title(in->findings->verdict));
    verdict_sentence(h);
    html_raw(h, "</p>\n");
    tiles(h);
    html_raw(h, "<p class=\"meta\">State of ");
    html_time(h, in->as_of);
    html_raw(h, " UTC, read from ");
    html_element(h, "span", in->org->source);
    html_raw(h, in->probed ? ", servers asked on the wire. "
                           : ". <b>The servers were not asked on the wire.</b> ");
    html_raw(h, "Made ");
    html_time(h, in->made_at);
    html_raw(h, " UTC by ");
    html_text(h, in->made_by);
    html_raw(h, " with ");
    html_text(h, in->program);
    html_raw(h, h->r->redactor ? ". Names are replaced.</p>\n" : ".</p>\n");
    html_raw(h, "</header>\n<main>\n");
}

static void notes(struct html *h)
{
    const struct org *org = h->r->in.org;
    if (!org->n_notes)
        return;
    html_rawf(h,
              "<section id=\"notes\">\n<h2>What could not be understood in the "
              "directory</h2>\n<details%s><summary>%zu "
              "notes</summary>\n<ul>\n",
              org->n_notes <= 10 ? " open" : "", org->n_notes);
    for (size_t i = 0; i < org->n_notes; i++) {
        html_raw(h, "<li>");
        if (org->notes[i].subject) {
            html_element(h, "code", org->notes[i].subject);
            html_raw(h, " ");
        }
        html_text(h, org->notes[i].text);
        html_raw(h, "</li>\n");
    }
    html_raw(h, "</ul></details>\n</section>\n");
}

enum err report_html(const struct report *r, struct buf *out, struct errinfo *ei)
{
    struct html h = {.r = r, .out = out};
    buf_init(&h.redacted, SCRATCH_MAX);
    buf_init(&h.shown, SCRATCH_MAX);
    head(&h);
    html_blocking(&h);
    html_readiness(&h);
    html_routes(&h);
    html_plan(&h);
    html_certificates(&h);
    html_other_findings(&h);
    html_servers(&h);
    notes(&h);
    html_evidence(&h);
    html_raw(&h, "</main>\n</body>\n</html>\n");
    buf_fini(&h.redacted);
    buf_fini(&h.shown);
    return out->failed ? err_set(ei, out->failed, NULL, "the report is too large") : ERR_OK;
}
