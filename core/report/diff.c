#include "core/report/diff_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define DIFF_ARENA  ((size_t)256 * 1024 * 1024)
#define MAX_CHANGES 1000000

static const struct {
    const char *id, *words;
} areas[] = {
#define X(name, id, words) {id, words},
    DIFF_AREA_MAP(X)
#undef X
};

const char *diff_area_id(enum diff_area a)
{
    return areas[a].id;
}

const char *diff_area_words(enum diff_area a)
{
    return areas[a].words;
}

void diff_fini(struct diff *d)
{
    VEC_FREE(&d->changes);
    arena_fini(&d->arena);
}

static int order_of_things(const struct fact *a, const struct fact *b)
{
    return a->area != b->area ? (a->area < b->area ? -1 : 1) : str_icmp(a->subject, b->subject);
}

static int order_of_facts(const void *x, const void *y)
{
    const struct fact *a = x, *b = y;
    int c = order_of_things(a, b);
    if (c)
        return c;
    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    return a->is_set && b->is_set ? str_icmp(a->value, b->value) : 0;
}

static bool change(struct diff *d, const struct fact *f, const char *before, const char *after)
{
    const struct diff_change c = {.area = f->area,
                                  .subject = arena_str(&d->arena, f->subject),
                                  .property = arena_str(&d->arena, f->property),
                                  .before = arena_str(&d->arena, before),
                                  .after = arena_str(&d->arena, after)};
    return VEC_PUSH(&d->changes, MAX_CHANGES, c) && !d->arena.failed;
}

/* A certificate or a challenge that one side does not know was not looked at there: no change. */
static bool is_seen_only(enum diff_area a)
{
    return a == DIFF_CERTIFICATE || a == DIFF_WIRE || a == DIFF_SPN;
}

/* Facts of one side only. A thing that came or went is one change, whatever properties it has. Returns how many facts it took. */
static size_t one_sided(struct diff *d, const struct facts *f, size_t i, bool gone, bool *ok)
{
    const struct fact *x = &f->list.v[i];
    size_t n = 1;
    if (x->property) {
        *ok = change(d, x, gone ? x->value : NULL, gone ? NULL : x->value);
        return 1;
    }
    while (i + n < f->list.n && f->list.v[i + n].property && order_of_things(x, &f->list.v[i + n]) == 0)
        n++;
    *ok = is_seen_only(x->area) || change(d, x, gone ? x->value : NULL, gone ? NULL : x->value);
    return n;
}

static enum err merge(struct diff *d, const struct facts *a, const struct facts *b)
{
    bool ok = true;
    for (size_t i = 0, k = 0; ok && (i < a->list.n || k < b->list.n);) {
        int c = i == a->list.n ? 1 : k == b->list.n ? -1 : order_of_facts(&a->list.v[i], &b->list.v[k]);
        if (c < 0) {
            i += one_sided(d, a, i, true, &ok);
        } else if (c > 0) {
            k += one_sided(d, b, k, false, &ok);
        } else {
            const struct fact *x = &a->list.v[i++], *y = &b->list.v[k++];
            if (!str_eq(x->value, y->value) && x->property && !x->is_set)
                ok = change(d, x, x->value, y->value);
        }
    }
    return ok ? ERR_OK : ERR_LIMIT;
}

/* ---- findings */

static bool same_finding(const struct finding *a, const struct finding *b)
{
    return str_eq(a->id, b->id) && str_ieq(a->server, b->server) && str_ieq(a->site, b->site);
}

static int order_of_findings(const void *x, const void *y)
{
    const struct finding *a = *(const struct finding *const *)x, *b = *(const struct finding *const *)y;
    int c = str_icmp(a->id, b->id);
    c = c ? c : str_icmp(a->server ? a->server : "", b->server ? b->server : "");
    c = c ? c : str_icmp(a->site ? a->site : "", b->site ? b->site : "");
    return c ? c : str_icmp(a->summary, b->summary);
}

static const struct finding **sorted(struct diff *d, const struct findings *f)
{
    const struct finding **list = arena_array(&d->arena, f->found.n + 1, sizeof *list);
    for (size_t i = 0; list && i < f->found.n; i++)
        list[i] = &f->found.v[i];
    if (list)
        qsort(list, f->found.n, sizeof *list, order_of_findings);
    return list;
}

static const char *finding_text(struct diff *d, const struct finding *f)
{
    return arena_fmt(&d->arena, "%s: %s%s", severity_name(f->severity), f->summary,
                     f->accepted ? " (accepted)" : "");
}

/* What the other side says where it has no such finding: that it passed is good news, that nobody looked is none. */
static const char *otherwise(struct diff *d, const struct findings *f, const struct finding *like)
{
    for (size_t i = 0; i < f->unknown.n; i++)
        if (str_eq(f->unknown.v[i].id, like->id) && str_ieq(f->unknown.v[i].server, like->server))
            return arena_fmt(&d->arena, "unknown: %s", f->unknown.v[i].why ? f->unknown.v[i].why : "");
    for (size_t i = 0; i < f->passed.n; i++)
        if (str_eq(f->passed.v[i].id, like->id) && str_ieq(f->passed.v[i].server, like->server))
            return "passed";
    return NULL;
}

static bool finding_change(struct diff *d, const struct finding *f, const char *property, const char *before,
                           const char *after)
{
    struct fact fact = {.area = DIFF_FINDING,
                        .subject = f->server || f->site
                                       ? arena_fmt(&d->arena, "%s %s", f->id, f->server ? f->server : f->site)
                                       : f->id,
                        .property = property};
    return fact.subject && change(d, &fact, before, after);
}

static enum err merge_findings(struct diff *d, const struct findings *a, const struct findings *b)
{
    const struct finding **x = sorted(d, a), **y = sorted(d, b);
    bool ok = x && y;
    for (size_t i = 0, k = 0; ok && (i < a->found.n || k < b->found.n);) {
        const struct finding *f = i < a->found.n ? x[i] : NULL, *g = k < b->found.n ? y[k] : NULL;
        if (f && g && same_finding(f, g)) { /* the summary may count days: another text is no other finding */
            const char *before = finding_text(d, f), *after = finding_text(d, g);
            ok = before && after &&
                 (str_eq(before, after) || finding_change(d, f, "what it says", before, after));
            i++;
            k++;
        } else if (f && (!g || order_of_findings(&f, &g) < 0)) {
            ok = finding_change(d, f, NULL, finding_text(d, f), otherwise(d, b, f));
            i++;
        } else {
            ok = finding_change(d, g, NULL, otherwise(d, a, g), finding_text(d, g));
            k++;
        }
    }
    return ok ? ERR_OK : ERR_LIMIT;
}

/* What a side says of a rule and a server, the weightiest last. */
enum said { SAID_PASSED, SAID_UNKNOWN, SAID_FOUND };
struct verdict_on {
    const char *id, *server, *why;
    enum said said;
};

static int order_of_rules(const struct verdict_on *a, const struct verdict_on *b)
{
    int c = str_icmp(a->id, b->id);
    return c ? c : str_icmp(a->server ? a->server : "", b->server ? b->server : "");
}

static int order_of_verdicts(const void *x, const void *y)
{
    const struct verdict_on *a = x, *b = y;
    int c = order_of_rules(a, b);
    c = c ? c : (a->said > b->said) - (a->said < b->said);
    return c ? c : str_icmp(a->why ? a->why : "", b->why ? b->why : "");
}

static struct verdict_on *verdicts(struct diff *d, const struct findings *f, size_t *n)
{
    struct verdict_on *list =
        arena_array(&d->arena, f->found.n + f->unknown.n + f->passed.n + 1, sizeof *list);
    *n = 0;
    for (size_t i = 0; list && i < f->passed.n; i++)
        list[(*n)++] = (struct verdict_on){f->passed.v[i].id, f->passed.v[i].server, NULL, SAID_PASSED};
    for (size_t i = 0; list && i < f->unknown.n; i++)
        list[(*n)++] = (struct verdict_on){f->unknown.v[i].id, f->unknown.v[i].server, f->unknown.v[i].why,
                                           SAID_UNKNOWN};
    for (size_t i = 0; list && i < f->found.n; i++)
        list[(*n)++] = (struct verdict_on){f->found.v[i].id, f->found.v[i].server, NULL, SAID_FOUND};
    if (list)
        qsort(list, *n, sizeof *list, order_of_verdicts);
    return list;
}

/* Past all of the same rule and server; the weightiest of them. */
static const struct verdict_on *weightiest(const struct verdict_on *list, size_t n, size_t *i)
{
    const struct verdict_on *v = &list[(*i)++];
    while (*i < n && order_of_rules(v, &list[*i]) == 0)
        v = &list[(*i)++];
    return v;
}

static const char *verdict_words(struct diff *d, const struct verdict_on *v)
{
    return v->said == SAID_PASSED ? "passed" : arena_fmt(&d->arena, "unknown: %s", v->why ? v->why : "");
}

/* What was found on neither side, but not known on one of them: that it is known now, or no more, is news too. */
static enum err merge_verdicts(struct diff *d, const struct findings *a, const struct findings *b)
{
    size_t n, m;
    const struct verdict_on *x = verdicts(d, a, &n), *y = verdicts(d, b, &m);
    bool ok = x && y;
    for (size_t i = 0, k = 0; ok && i < n && k < m;) {
        int c = order_of_rules(&x[i], &y[k]);
        const struct verdict_on *v = c <= 0 ? weightiest(x, n, &i) : NULL;
        const struct verdict_on *w = c >= 0 ? weightiest(y, m, &k) : NULL;
        if (v && w && v->said != w->said && v->said != SAID_FOUND && w->said != SAID_FOUND) {
            const struct finding like = {.id = v->id, .server = v->server};
            ok = finding_change(d, &like, NULL, verdict_words(d, v), verdict_words(d, w));
        }
    }
    return ok ? ERR_OK : ERR_LIMIT;
}

static int order_of_changes(const void *x, const void *y)
{
    const struct diff_change *a = x, *b = y;
    const char *const texts[][2] = {
        {a->subject, b->subject}, {a->property, b->property}, {a->before, b->before}, {a->after, b->after}};
    int c = 0;
    for (size_t i = 0; !c && i < ARRAY_LEN(texts); i++)
        c = str_icmp(texts[i][0] ? texts[i][0] : "", texts[i][1] ? texts[i][1] : "");
    return c;
}

enum err diff_build(struct diff *out, const struct diff_side *a, const struct diff_side *b,
                    struct errinfo *ei)
{
    struct diff d = {0};
    arena_init(&d.arena, DIFF_ARENA);
    struct facts x = {.arena = &d.arena}, y = {.arena = &d.arena};
    enum err e = facts_collect(&x, a);
    if (!e)
        e = facts_collect(&y, b);
    if (!e) {
        if (x.list.n)
            qsort(x.list.v, x.list.n, sizeof *x.list.v, order_of_facts);
        if (y.list.n)
            qsort(y.list.v, y.list.n, sizeof *y.list.v, order_of_facts);
        e = merge(&d, &x, &y);
    }
    size_t before_findings = d.changes.n;
    if (!e && a->findings && b->findings)
        e = merge_findings(&d, a->findings, b->findings);
    if (!e && a->findings && b->findings)
        e = merge_verdicts(&d, a->findings, b->findings);
    if (!e && d.changes.n > before_findings)
        qsort(d.changes.v + before_findings, d.changes.n - before_findings, sizeof *d.changes.v,
              order_of_changes);
    VEC_FREE(&x.list);
    VEC_FREE(&y.list);
    if (e) {
        diff_fini(&d);
        return err_set(ei, e, "compare parts of them", "there is more between the two than fits");
    }
    *out = d;
    return ERR_OK;
}
