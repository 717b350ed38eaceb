/* What the rules say: what blocks first, each with its evidence and the exact cmdlet; what passed is shown too. */
#include "core/report/html_int.h"

#include "core/base/str.h"
#include "core/rules/rules.h"

#include <string.h>

/* More findings of one rule than this are folded. */
#define OPEN_UP_TO 6

static const char *severity_class(enum severity s)
{
    return s >= SEVERITY_ERROR ? "bad" : s == SEVERITY_WARNING ? "warn" : "";
}

static void proofs(struct html *h, const struct finding *f)
{
    if (!f->n_evidence)
        return;
    html_raw(h, "<div class=\"scroll\"><table class=\"proofs\"><thead><tr><th scope=\"col\">Source</th><th "
                "scope=\"col\">Asked</th><th "
                "scope=\"col\">Seen</th><th scope=\"col\">Wanted</th><th "
                "scope=\"col\">When</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < f->n_evidence; i++) {
        const struct proof *p = &f->evidence[i];
        html_rawf(h, "<tr><td>%s</td><td>", evidence_source_name(p->source));
        html_code(h, p->subject);
        html_raw(h, "</td>");
        html_element(h, "td", p->observed);
        html_element(h, "td", p->expected);
        html_raw(h, "<td class=\"num\">");
        html_time(h, p->at);
        html_raw(h, "</td></tr>\n");
    }
    html_raw(h, "</tbody></table></div>\n");
}

static void fix(struct html *h, const struct finding *f)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    if (f->fix && cmdlet_text(&text, &f->fix->cmdlet, NULL) == ERR_OK) {
        html_raw(h, f->fix->automatic ? "<p class=\"soft\">What mends it (casbridge plan, apply):</p>\n"
                                      : "<p class=\"soft\">What mends it, to be done by hand:</p>\n");
        html_command(h, buf_str(&text));
    }
    buf_fini(&text);
}

static void one(struct html *h, const struct finding *f, bool open)
{
    html_rawf(h, "<details%s><summary><b>", open ? " open" : "");
    html_text(h, f->server ? f->server : f->site ? f->site : "The organisation");
    html_raw(h, "</b> ");
    if (f->drift_class) {
        html_raw(h, "<span class=\"tag\">");
        html_text(h, f->drift_class);
        html_raw(h, "</span> ");
    }
    html_text(h, f->summary);
    html_raw(h, "</summary>\n");
    if (f->accepted) {
        html_raw(h, "<p>Accepted by ");
        html_text(h, f->accepted->by);
        html_raw(h, f->accepted->until ? " until " : " for ever");
        if (f->accepted->until)
            html_time(h, f->accepted->until);
        html_raw(h, ": ");
        html_text(h, f->accepted->reason);
        html_raw(h, "</p>\n");
    }
    proofs(h, f);
    fix(h, f);
    html_raw(h, "</details>\n");
}

static bool belongs(const struct finding *f, bool accepted, enum severity low, enum severity high)
{
    return (f->accepted != NULL) == accepted && f->severity >= low && f->severity <= high;
}

/* All findings of one rule and severity from i on, as a card. */
static void card(struct html *h, size_t i, bool accepted, enum severity low, enum severity high)
{
    const struct findings *f = h->r->in.findings;
    const struct finding *first = &f->found.v[i];
    const struct rule_info *rule = rules_find(first->id);
    size_t n = 0;
#define IN_CARD(x)                                                                                           \
    (belongs((x), accepted, low, high) && (x)->severity == first->severity && str_eq((x)->id, first->id))
    for (size_t k = i; k < f->found.n; k++)
        n += IN_CARD(&f->found.v[k]);
    html_rawf(h, "<article class=\"card\"><header><span class=\"tag %s\">%s</span><h3>",
              severity_class(first->severity), severity_name(first->severity));
    html_text(h, rule ? rule->title : first->id);
    html_raw(h, "</h3><span class=\"soft\">");
    html_element(h, "code", first->id);
    if (n > 1)
        html_rawf(h, ", %zu times", n);
    html_raw(h, "</span></header>\n");
    if (rule && rule->explain)
        html_element(h, "p", rule->explain);
    for (size_t k = i; k < f->found.n; k++)
        if (IN_CARD(&f->found.v[k]))
            one(h, &f->found.v[k], n <= OPEN_UP_TO);
    html_raw(h, "</article>\n");
}

static bool first_of_its_card(const struct findings *f, size_t i, bool accepted, enum severity low,
                              enum severity high)
{
    for (size_t k = 0; k < i; k++)
        if (belongs(&f->found.v[k], accepted, low, high) &&
            f->found.v[k].severity == f->found.v[i].severity && str_eq(f->found.v[k].id, f->found.v[i].id))
            return false;
    return true;
}

static size_t cards(struct html *h, bool accepted, enum severity low, enum severity high)
{
    const struct findings *f = h->r->in.findings;
    const char *seen[256]; /* the rules are far fewer; findings of one rule may be thousands */
    size_t n = 0;
    for (size_t i = 0; i < f->found.n; i++) {
        const struct finding *x = &f->found.v[i];
        bool again = false;
        if (!belongs(x, accepted, low, high))
            continue;
        for (size_t k = 0; k < n && !again; k++)
            again = str_eq(seen[k], x->id);
        if (again && !first_of_its_card(f, i, accepted, low, high))
            continue;
        if (!again && n < ARRAY_LEN(seen))
            seen[n++] = x->id;
        card(h, i, accepted, low, high);
    }
    return n;
}

/* Findings that differ only in the server stand in one row. */
static void refs(struct html *h, const struct finding_ref *list, size_t n, bool why)
{
    html_raw(
        h,
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Rule</th><th scope=\"col\">Servers</th>");
    html_raw(h, why ? "<th scope=\"col\">Why it is not known</th></tr></thead><tbody>\n"
                    : "</tr></thead><tbody>\n");
    for (size_t i = 0, k; i < n; i = k) {
        const struct rule_info *rule = rules_find(list[i].id);
        html_raw(h, "<tr><th scope=\"row\">");
        html_text(h, rule ? rule->title : list[i].id);
        html_raw(h, "<br>");
        html_element(h, "code class=\"soft\"", list[i].id);
        html_raw(h, "</th><td>");
        for (k = i; k < n && str_eq(list[k].id, list[i].id) && (!why || str_eq(list[k].why, list[i].why));
             k++) {
            html_raw(h, k > i ? ", " : "");
            html_text(h, list[k].server ? list[k].server : "the organisation");
        }
        html_raw(h, "</td>");
        if (why)
            html_element(h, "td", list[i].why);
        html_raw(h, "</tr>\n");
    }
    html_raw(h, "</tbody></table></div>\n");
}

void html_blocking(struct html *h)
{
    const struct findings *f = h->r->in.findings;
    html_raw(h, "<section id=\"blocks\">\n<h2>What blocks</h2>\n");
    if (!cards(h, false, SEVERITY_ERROR, SEVERITY_BLOCKER))
        html_raw(h, "<p>Nothing that is known.</p>\n");
    html_raw(h, "</section>\n<section id=\"unknown\">\n<h2>What is unknown</h2>\n");
    if (f->unknown.n) {
        html_raw(h, "<p>These rules could not be evaluated. They are neither good nor bad news.</p>\n");
        html_rawf(h, "<details%s><summary>%zu questions without an answer</summary>\n",
                  f->unknown.n <= 40 ? " open" : "", f->unknown.n);
        refs(h, f->unknown.v, f->unknown.n, true);
        html_raw(h, "</details>\n");
    } else {
        html_raw(h, "<p>Nothing: every rule could be evaluated.</p>\n");
    }
    html_raw(h, "</section>\n");
}

void html_other_findings(struct html *h)
{
    const struct findings *f = h->r->in.findings;
    html_raw(h, "<section id=\"look\">\n<h2>What to look at</h2>\n");
    if (!cards(h, false, SEVERITY_INFO, SEVERITY_WARNING))
        html_raw(h, "<p>No warnings.</p>\n");
    html_raw(h, "</section>\n<section id=\"accepted\">\n<h2>What is accepted</h2>\n");
    if (!cards(h, true, SEVERITY_INFO, SEVERITY_BLOCKER))
        html_raw(h, "<p>Nothing: every finding counts.</p>\n");
    html_rawf(h,
              "</section>\n<section id=\"passed\">\n<h2>What is in order</h2>\n<details><summary>%zu checks "
              "passed</summary>\n",
              f->passed.n);
    if (f->passed.n)
        refs(h, f->passed.v, f->passed.n, false);
    html_raw(h, "</details>\n</section>\n");
}
