/* The report as one table for a spreadsheet: a section a kind of row. */
#include "core/report/csv.h"
#include "core/report/report_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <string.h>

void csv_field(struct buf *out, const char *value, bool last)
{
    const char *s = value ? value : "";
    bool formula = *s && strchr("=+-@\t\r", *s) != NULL;
    if (formula || strpbrk(s, ",\"\r\n")) {
        buf_addc(out, '"');
        if (formula)
            buf_addc(out, '\'');
        for (; *s; s++) {
            if (*s == '"')
                buf_addc(out, '"');
            buf_addc(out, *s);
        }
        buf_addc(out, '"');
    } else {
        buf_adds(out, s);
    }
    buf_adds(out, last ? "\r\n" : ",");
}

struct row {
    const char *section, *state, *severity, *name, *server, *site, *subject, *text, *fix;
    int64_t at;
};

struct table {
    const struct report *r;
    struct buf *out, scratch;
};

/* The names in it replaced, control characters made visible. */
static void field(struct table *t, const char *value)
{
    struct buf shown;
    if (!value) {
        csv_field(t->out, NULL, false);
        return;
    }
    buf_init(&shown, t->scratch.limit);
    buf_reset(&t->scratch);
    if (redact(t->r->redactor, value, strlen(value), &t->scratch) ||
        str_show(&shown, buf_str(&t->scratch), t->scratch.len))
        t->out->failed = t->scratch.failed ? t->scratch.failed : shown.failed;
    csv_field(t->out, buf_str(&shown), false);
    buf_fini(&shown);
}

static void add(struct table *t, const struct row *r)
{
    char at[CLOCK_TEXT_SIZE];
    csv_field(t->out, r->section, false);
    csv_field(t->out, r->state, false);
    csv_field(t->out, r->severity, false);
    field(t, r->name);
    field(t, r->server);
    field(t, r->site);
    field(t, r->subject);
    field(t, r->text);
    field(t, r->fix);
    csv_field(t->out, r->at > 0 ? clock_rfc3339(r->at, at) : NULL, true);
}

static void add_findings(struct table *t, const struct findings *f)
{
    struct buf cmdlet;
    buf_init(&cmdlet, (size_t)1 << 20);
    for (size_t i = 0; i < f->found.n; i++) {
        const struct finding *x = &f->found.v[i];
        struct row row = {.section = "finding",
                          .state = x->accepted ? "accepted" : "found",
                          .severity = severity_name(x->severity),
                          .name = x->id,
                          .server = x->server,
                          .site = x->site,
                          .subject = x->accepted ? x->accepted->reason : x->drift_class,
                          .text = x->summary};
        buf_reset(&cmdlet);
        if (x->fix && cmdlet_text(&cmdlet, &x->fix->cmdlet, NULL) == ERR_OK)
            row.fix = buf_str(&cmdlet);
        add(t, &row);
    }
    for (size_t i = 0; i < f->passed.n; i++)
        add(t,
            &(struct row){"finding", "passed", .name = f->passed.v[i].id, .server = f->passed.v[i].server});
    for (size_t i = 0; i < f->unknown.n; i++)
        add(t, &(struct row){"finding", "unknown", .name = f->unknown.v[i].id,
                             .server = f->unknown.v[i].server, .text = f->unknown.v[i].why});
    buf_fini(&cmdlet);
}

static void add_routes(struct table *t, const struct report *r)
{
    for (size_t i = 0; r->arriving && i < r->n_locations; i++) {
        const struct report_location *l = &r->locations[i];
        for (unsigned p = 0; p < PROTOCOL_COUNT; p++) {
            const struct route_decision *d = &l->routes[p];
            if (r->protocols & 1u << p)
                add(t, &(struct row){.section = "route",
                                     .state = report_route_state(d) == ROUTE_NOT_OFFERED ? "not_offered"
                                              : d->works == TRI_YES                      ? "works"
                                              : d->works == TRI_NO                       ? "fails"
                                                                                         : "unknown",
                                     .severity = generation_name(l->generation),
                                     .name = protocol_id((enum protocol)p),
                                     .server = d->target ? d->target->name : NULL,
                                     .site = l->site->name,
                                     .subject = d->url,
                                     .text = d->why});
        }
    }
}

enum err report_csv(const struct report *r, struct buf *out, struct errinfo *ei)
{
    struct table t = {.r = r, .out = out};
    buf_init(&t.scratch, (size_t)16 << 20);
    buf_adds(out, "section,state,severity,name,server,site,subject,text,fix,at\r\n");
    add(&t,
        &(struct row){"verdict", verdict_name(r->in.findings->verdict), NULL,
                      generation_name(r->in.findings->target), .text = r->in.org->name, .at = r->in.as_of});
    add_findings(&t, r->in.findings);
    add_routes(&t, r);
    const struct evidence *e = r->in.evidence;
    for (size_t i = 0; i < e->items.n; i++) {
        const struct observation *o = &e->items.v[i];
        add(&t, &(struct row){"evidence", outcome_name(o->outcome), .name = o->step, .server = o->server,
                              .subject = o->subject, .text = o->detail, .at = o->at});
    }
    buf_fini(&t.scratch);
    return out->failed ? err_set(ei, out->failed, NULL, "the report is too large") : ERR_OK;
}
