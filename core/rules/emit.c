#include "core/rules/rules_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdio.h>
#include <string.h>

#define MAX_ENTRIES ((size_t)1 << 20)
/* A value of the directory may be megabytes long; what a person reads of it is not. */
#define MAX_TEXT 2000

static void fail(struct rule_run *run, enum err e)
{
    if (run->failed == ERR_OK)
        run->failed = e;
}

/* Copies text made safe to show, cut at MAX_TEXT. NULL in, NULL out. */
static const char *show(struct rule_run *run, struct arena *arena, const char *text)
{
    if (!text)
        return NULL;
    size_t len = strnlen(text, MAX_TEXT + 1);
    const char *copy;
    if (len <= MAX_TEXT && str_is_plain(text, len)) {
        copy = arena_strn(arena, text, len);
    } else {
        char shown[MAX_TEXT + 1];
        str_show_fixed(shown, sizeof shown, text, len);
        copy = arena_str(arena, shown);
    }
    if (!copy)
        fail(run, ERR_LIMIT);
    return copy;
}

static PRINTF_LIKE(2, 0) const char *vtext(struct rule_run *run, const char *fmt, va_list ap)
{
    char text[MAX_TEXT + 2];
    vsnprintf(text, sizeof text, fmt, ap);
    return show(run, &run->scratch, text);
}

const char *rule_text(struct rule_run *run, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *s = vtext(run, fmt, ap);
    va_end(ap);
    return s ? s : "?";
}

const char *rule_auth_text(struct rule_run *run, auth_set set)
{
    struct buf b;
    buf_init(&b, 512);
    auth_set_text(&b, set);
    const char *s = rule_text(run, "%s", buf_str(&b));
    buf_fini(&b);
    return s;
}

const char *rule_time_text(struct rule_run *run, int64_t t)
{
    char text[CLOCK_TEXT_SIZE];
    return rule_text(run, "%s", clock_rfc3339(t, text));
}

const char *rule_place_text(struct rule_run *run, const struct server *s)
{
    return s->site ? rule_text(run, "mailboxes in %s", s->site->name)
                   : "mailboxes of its site (the directory gives it none)";
}

const char *rule_arriving_text(const struct rule_run *run)
{
    return run->facts.n_arriving == 1 ? run->facts.arriving[0]->name : "the new CAS";
}

const char *rule_why_unseen(struct rule_run *run, const struct observation *o, const char *what)
{
    if (!o)
        return run->in->probed ? rule_text(run, "the probe brought no answer about the %s", what)
                               : rule_text(run, "not probed: the %s was not asked for", what);
    return rule_text(run, "the %s is not known: %s", what,
                     o->detail && *o->detail         ? o->detail
                     : o->outcome == OUTCOME_SKIPPED ? "the step was skipped"
                                                     : "the step could not be carried out");
}

static void refer(struct rule_run *run, bool passed, const struct server *s, const char *why)
{
    struct finding_ref ref = {.id = run->rule->info.id, .why = why};
    if (s && !(ref.server = arena_str(&run->out->arena, s->name)))
        fail(run, ERR_LIMIT);
    bool ok = passed ? VEC_PUSH(&run->out->passed, MAX_ENTRIES, ref)
                     : VEC_PUSH(&run->out->unknown, MAX_ENTRIES, ref);
    if (!ok)
        fail(run, ERR_LIMIT);
}

void rule_pass(struct rule_run *run, const struct server *s)
{
    refer(run, true, s, NULL);
}

void rule_unknown(struct rule_run *run, const struct server *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *why = show(run, &run->out->arena, vtext(run, fmt, ap));
    va_end(ap);
    refer(run, false, s, why);
}

void draft_init(struct draft *d, const struct rule_run *run, const struct server *s)
{
    d->f = (struct finding){
        .id = run->rule->info.id,
        .severity = run->rule->info.severity,
        .server = s ? s->name : NULL,
        .site = s && s->site ? s->site->name : NULL,
    };
}

void draft_prove(struct rule_run *run, struct draft *d, enum evidence_source source, const char *subject,
                 const char *observed, const char *expected, int64_t at)
{
    if (d->f.n_evidence == RULE_MAX_PROOFS)
        return;
    struct arena *arena = &run->scratch;
    d->proofs[d->f.n_evidence++] = (struct proof){
        .source = source,
        .subject = show(run, arena, subject),
        .observed = show(run, arena, observed ? observed : "-"),
        .expected = show(run, arena, expected ? expected : "-"),
        .at = at,
    };
}

void draft_prove_attribute(struct rule_run *run, struct draft *d, const char *dn, const char *attribute,
                           const char *observed, const char *expected)
{
    draft_prove(run, d, EVIDENCE_DIRECTORY, rule_text(run, "%s %s", dn ? dn : "?", attribute), observed,
                expected, run->in->org->taken_at);
}

void draft_prove_observation(struct rule_run *run, struct draft *d, const struct observation *o,
                             const char *observed, const char *expected)
{
    draft_prove(run, d, o->source, o->subject ? o->subject : o->by_name, observed, expected, o->at);
}

void rule_found(struct rule_run *run, struct draft *d, const char *fmt, ...)
{
    struct arena *arena = &run->out->arena;
    struct finding f = d->f;
    va_list ap;
    va_start(ap, fmt);
    f.summary = show(run, arena, vtext(run, fmt, ap));
    va_end(ap);
    f.server = arena_str(arena, f.server);
    f.site = arena_str(arena, f.site);
    f.evidence = arena_array(arena, f.n_evidence, sizeof *f.evidence);
    for (size_t i = 0; f.evidence && i < f.n_evidence; i++) {
        f.evidence[i] = d->proofs[i];
        f.evidence[i].subject = arena_str(arena, d->proofs[i].subject);
        f.evidence[i].observed = arena_str(arena, d->proofs[i].observed);
        f.evidence[i].expected = arena_str(arena, d->proofs[i].expected);
    }
    if (arena->failed || !VEC_PUSH(&run->out->found, MAX_ENTRIES, f))
        fail(run, ERR_LIMIT);
}
