/*
 * Evaluating rules over a hand-made organisation, and asking what came out.
 */
#ifndef TESTS_UNIT_RULES_CHECK_H
#define TESTS_UNIT_RULES_CHECK_H

#include "core/rules/rules.h"
#include "tests/unit/org_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW (BUILDER_TIME + 3600)

struct bench {
    struct org_builder b;
    struct org *org;
    struct evidence evidence;
    struct rule_input in;
    struct findings out;
    const char *namespaces[4];
};

/* org may be filled by the caller with b before bench_run(); the story when with_story. */
BUILDER_UNUSED static void bench_init(struct bench *t, bool with_story)
{
    *t = (struct bench){0};
    if (with_story)
        t->org = story(&t->b);
    else
        org_begin(&t->b, "Contoso", "contoso.lab");
    evidence_init(&t->evidence, (size_t)64 << 20);
    findings_init(&t->out);
    t->in = (struct rule_input){.evidence = &t->evidence,
                                .target = GENERATION_2013,
                                .namespaces = t->namespaces,
                                .now = NOW,
                                .poll_interval_s = 900};
}

BUILDER_UNUSED static void bench_run(struct bench *t)
{
    struct errinfo ei = {0};
    t->org = org_end(&t->b);
    t->in.org = t->org;
    findings_fini(&t->out);
    findings_init(&t->out);
    enum err e = rules_evaluate(&t->in, &t->out, &ei);
    if (e)
        print_message("%s: %s\n", ei.what, ei.hint);
    assert_int_equal(e, ERR_OK);
}

BUILDER_UNUSED static void bench_fini(struct bench *t)
{
    findings_fini(&t->out);
    evidence_fini(&t->evidence);
    t->org = t->b.org;
    builder_free(&t->org);
}

BUILDER_UNUSED static const struct finding *found(const struct bench *t, const char *id, const char *server)
{
    for (size_t i = 0; i < t->out.found.n; i++)
        if (str_eq(t->out.found.v[i].id, id) && str_ieq(t->out.found.v[i].server, server))
            return &t->out.found.v[i];
    return NULL;
}

BUILDER_UNUSED static bool passed(const struct bench *t, const char *id, const char *server)
{
    for (size_t i = 0; i < t->out.passed.n; i++)
        if (str_eq(t->out.passed.v[i].id, id) && str_ieq(t->out.passed.v[i].server, server))
            return true;
    return false;
}

BUILDER_UNUSED static const char *unknown(const struct bench *t, const char *id, const char *server)
{
    for (size_t i = 0; i < t->out.unknown.n; i++)
        if (str_eq(t->out.unknown.v[i].id, id) && str_ieq(t->out.unknown.v[i].server, server))
            return t->out.unknown.v[i].why;
    return NULL;
}

/* 'F' found, 'P' passed, 'U' unknown, '-' nothing said; more than one of them is '!'. */
BUILDER_UNUSED static char said(const struct bench *t, const char *id, const char *server)
{
    bool f = found(t, id, server) != NULL, p = passed(t, id, server), u = unknown(t, id, server) != NULL;
    if (f + p + u > 1)
        return '!';
    return f ? 'F' : p ? 'P' : u ? 'U' : '-';
}

BUILDER_UNUSED static size_t count_found(const struct bench *t, const char *id)
{
    size_t n = 0;
    for (size_t i = 0; i < t->out.found.n; i++)
        n += str_eq(t->out.found.v[i].id, id);
    return n;
}

#define assert_said(t, id, server, what)                                                                     \
    do {                                                                                                     \
        if (said(t, id, server) != (what))                                                                   \
            print_message("%s of %s: %c, wanted %c\n", id, (server) ? (const char *)(server) : "-",          \
                          said(t, id, server), what);                                                        \
        assert_int_equal(said(t, id, server), what);                                                         \
    } while (0)

/* The cmdlet of a finding's fix as text; "" without one. "-Name:$true", which PowerShell reads as "-Name $true", comes as the
   latter. Static buffer. */
BUILDER_UNUSED static const char *fix_text(const struct finding *f)
{
    static char text[1024];
    struct buf b;
    struct errinfo ei;
    text[0] = '\0';
    if (!f || !f->fix)
        return text;
    buf_init(&b, sizeof text);
    assert_int_equal(cmdlet_text(&b, &f->fix->cmdlet, &ei), ERR_OK);
    snprintf(text, sizeof text, "%s", buf_str(&b));
    for (char *p = text; (p = strstr(p, ":$")) != NULL;)
        *p = ' ';
    buf_fini(&b);
    return text;
}

/* ---- evidence */

BUILDER_UNUSED static struct observation *observe(struct bench *t, enum observation_kind kind,
                                                  enum evidence_source source, const char *server,
                                                  enum outcome outcome, int64_t at)
{
    struct observation *o = evidence_add(&t->evidence, kind, source);
    assert_non_null(o);
    o->server = arena_str(&t->evidence.arena, server);
    o->outcome = outcome;
    o->at = at;
    return o;
}

BUILDER_UNUSED static struct observation *challenge(struct bench *t, const char *server, enum protocol p,
                                                    int status, auth_set offered, int64_t at)
{
    struct observation *o = observe(t, OBSERVATION_CHALLENGE, EVIDENCE_WIRE, server, OUTCOME_OK, at);
    o->protocol = p;
    o->step = "challenge";
    o->subject = arena_fmt(&t->evidence.arena, "https://%s%s", server, protocol_path(p));
    o->by_name = arena_fmt(&t->evidence.arena, "%s.contoso.lab", server);
    o->u.challenge.status = status;
    o->u.challenge.offered = offered;
    o->u.challenge.anonymous = status == 200;
    t->in.probed = true;
    return o;
}

#endif
