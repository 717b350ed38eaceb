#include "tui/views/format.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/rules/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cell_printf(struct cell *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->scratch, sizeof c->scratch, fmt, ap);
    va_end(ap);
    c->text = c->scratch;
}

void cell_state(struct cell *c, enum state s)
{
    c->text = state_text(s);
    c->paint = state_paint(s);
    c->number = (int64_t)s;
}

const char *auth_words(bool known, auth_set set, char *out, size_t cap)
{
    if (!known) {
        str_copy(out, cap, "not set");
        return out;
    }
    struct buf b;
    buf_init(&b, 1024);
    str_copy(out, cap, auth_set_text(&b, set) == ERR_OK ? buf_str(&b) : "?");
    buf_fini(&b);
    return out;
}

const char *auth_brief(auth_set set, char *out, size_t cap)
{
    str_copy(out, cap, set ? "" : "none");
    for (auth_set bit = 1; bit <= AUTH_LIVEID_NEGOTIATE; bit <<= 1) {
        const char *name = auth_name(bit);
        size_t n = strlen(out);
        if (set & bit && name)
            str_fmt(out + n, cap - n, "%s%s", n ? "+" : "", bit == AUTH_NEGOTIATE ? "nego" : name);
    }
    return out;
}

enum state offer_state(const struct observation *o)
{
    if (!o)
        return STATE_NONE;
    switch (o->outcome) {
    case OUTCOME_OK: return STATE_OK;
    case OUTCOME_FAILED: return STATE_ERROR;
    case OUTCOME_ERROR: return STATE_UNKNOWN;
    case OUTCOME_SKIPPED: break;
    }
    return STATE_NONE;
}

const char *offer_words(const struct observation *o, char *out, size_t cap)
{
    if (!o)
        str_copy(out, cap, "not asked");
    else if (o->outcome == OUTCOME_SKIPPED)
        str_copy(out, cap, "skipped");
    else if (o->u.challenge.status == 0)
        str_copy(out, cap, o->detail ? o->detail : "no answer");
    else if (o->u.challenge.offered) {
        char methods[120];
        str_fmt(out, cap, "%d %s", o->u.challenge.status,
                auth_words(true, o->u.challenge.offered, methods, sizeof methods));
    } else {
        str_fmt(out, cap, "%d%s", o->u.challenge.status, o->u.challenge.anonymous ? " anonymous" : "");
    }
    return out;
}

const char *clock_words(int64_t t, char *out, size_t cap)
{
    char full[CLOCK_TEXT_SIZE];
    clock_rfc3339(t, full);
    str_copy(out, cap, strlen(full) > 11 ? full + 11 : "-");
    return out;
}

const char *bytes_words(uint64_t n, char *out, size_t cap)
{
    static const char units[] = "kMGTPE";
    if (n < 1000) {
        str_fmt(out, cap, "%u", (unsigned)n);
        return out;
    }
    double v = (double)n;
    int u = -1;
    while (v >= 1000 && u < 5) {
        v /= 1000;
        u++;
    }
    str_fmt(out, cap, v < 10 ? "%.1f%c" : "%.0f%c", v, units[u]);
    return out;
}

void describe_cmdlet(struct pane *p, enum paint paint, const char *label, const struct cmdlet *c)
{
    struct buf b;
    struct errinfo ei = {.code = ERR_OK};
    buf_init(&b, 64 * 1024);
    if (cmdlet_text(&b, c, &ei) == ERR_OK)
        pane_field(p, paint, label, buf_str(&b));
    else
        pane_field(p, PAINT_ERROR, label, ei.what);
    buf_fini(&b);
}

static void describe_proof(struct pane *p, const struct proof *e)
{
    char at[CLOCK_TEXT_SIZE];
    pane_add(p, PAINT_INFO, 2, "%s %s  %s", glyph(GLYPH_BULLET), evidence_source_name(e->source),
             clock_rfc3339(e->at, at));
    if (e->subject)
        pane_add(p, PAINT_DIM, 4, "%s", e->subject);
    if (e->observed)
        pane_add(p, PAINT_TEXT, 4, "observed  %s", e->observed);
    if (e->expected)
        pane_add(p, PAINT_TEXT, 4, "expected  %s", e->expected);
}

void describe_finding(struct pane *p, const struct finding *f)
{
    const struct rule_info *rule = rules_find(f->id);
    char where[200], until[CLOCK_TEXT_SIZE];
    str_fmt(where, sizeof where, "%s%s%s%s", f->server ? f->server : "the organisation",
            f->site ? " in " : "", f->site ? f->site : "", f->drift_class ? "" : "");
    pane_add(p, state_paint(finding_state(f)), 0, "%s  %s", state_text(finding_state(f)), f->id);
    pane_add(p, PAINT_STRONG, 0, "%s", f->summary);
    pane_field(p, PAINT_TEXT, "where", where);
    pane_field(p, PAINT_TEXT, "class", f->drift_class);
    if (f->accepted) {
        pane_field(p, PAINT_TEXT, "accepted", f->accepted->by);
        pane_field(p, PAINT_TEXT, "because", f->accepted->reason);
        pane_field(p, PAINT_TEXT, "until",
                   f->accepted->until ? clock_rfc3339(f->accepted->until, until) : "for ever");
    }
    if (f->n_evidence > 0) {
        pane_gap(p);
        pane_add(p, PAINT_TITLE, 0, "How we know");
        for (size_t i = 0; i < f->n_evidence; i++)
            describe_proof(p, &f->evidence[i]);
    }
    if (f->fix) {
        pane_gap(p);
        pane_add(p, PAINT_TITLE, 0, f->fix->automatic ? "What mends it" : "What mends it, by hand");
        describe_cmdlet(p, PAINT_AFTER, "cmdlet", &f->fix->cmdlet);
    }
    if (rule && rule->explain) {
        pane_gap(p);
        pane_add(p, PAINT_TITLE, 0, "Why it matters");
        pane_add(p, PAINT_TEXT, 0, "%s", rule->explain);
        pane_field(p, PAINT_DIM, "source", rule->source);
    }
}

void describe_observation(struct pane *p, const struct observation *o)
{
    static const enum paint paints[] = {[OUTCOME_OK] = PAINT_OK,
                                        [OUTCOME_FAILED] = PAINT_ERROR,
                                        [OUTCOME_ERROR] = PAINT_UNKNOWN,
                                        [OUTCOME_SKIPPED] = PAINT_DIM};
    char at[32];
    pane_add(p, paints[o->outcome], 2, "%s %-11s %s %dms  %s", outcome_name(o->outcome),
             o->step ? o->step : "-", clock_words(o->at, at, sizeof at), o->elapsed_ms,
             o->detail ? o->detail : "");
    if (o->subject)
        pane_add(p, PAINT_DIM, 4, "%s", o->subject);
}

const char *no_world_words(const struct session *s)
{
    if (s->world)
        return "nothing here";
    return s->tasks[TASK_READ].running ? "the directory is being read"
                                       : "nothing could be read (r tries again)";
}

int draw_sight(const struct session *s, struct rect r)
{
    const struct sight *o = &s->sight;
    char since[32], at[32];
    if (!o->held)
        return 0;
    clock_words(o->since, since, sizeof since);
    screen_putf(r.y, r.x + 1, r.w - 2, PAINT_WARNING,
                o->ended ? "%s %s on %s, at work since %s, has ended without a word"
                         : "%s %s on %s is at work since %s",
                state_glyph(STATE_WARNING), o->who, o->host, since);
    if (r.h < 4)
        return 1;
    screen_putf(r.y + 1, r.x + 3, r.w - 4, PAINT_TEXT, "%s", o->reason);
    if (!o->run[0])
        return 2;
    screen_putf(r.y + 2, r.x + 3, r.w - 4, PAINT_TEXT,
                o->ended ? "run %s: %s %s %s; casbridge resume" : "run %s: %s %s %s", o->run,
                clock_words(o->at, at, sizeof at), o->server[0] ? o->server : "run", o->phase);
    return 3;
}
