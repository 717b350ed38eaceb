/*
 * Which versions may stand side by side, and at which build: migration.md section 2.
 */
#include "core/rules/rules_int.h"

#include "core/base/str.h"

#include <string.h>

/* Servers named in one line; the rest is counted. */
#define NAMED 8

static const char *names_of(struct rule_run *run, enum generation g, size_t *count)
{
    struct buf b;
    buf_init(&b, 4096);
    size_t n = 0;
    for (size_t i = 0; i < run->in->org->n_servers; i++) {
        const struct server *s = &run->in->org->servers[i];
        if (s->generation != g)
            continue;
        if (n++ < NAMED)
            buf_addf(&b, "%s%s", n > 1 ? ", " : "", s->name);
    }
    if (n > NAMED)
        buf_addf(&b, " and %zu more", n - NAMED);
    const char *s = rule_text(run, "%s", buf_str(&b));
    buf_fini(&b);
    *count = n;
    return s;
}

static const char *words(enum generation g)
{
    return g == GENERATION_SE ? "SE" : generation_name(g);
}

void judge_coexistence(struct rule_run *run)
{
    enum generation target = run->in->target;
    bool spoken = false;
    if (run->in->org->n_servers == 0) {
        rule_unknown(run, NULL, "no Exchange server was found in this directory");
        return;
    }
    for (int g = GENERATION_2003; g < GENERATION_COUNT; g++) {
        size_t n;
        const char *names = names_of(run, (enum generation)g, &n);
        if (n == 0)
            continue;
        const struct version_floor *f = version_floor_find(target, (enum generation)g);
        if (f && f->allowed)
            continue;
        spoken = true;
        if (!f) {
            rule_unknown(run, NULL, "nothing is known about Exchange %s next to Exchange %s (%s)",
                         words(target), words((enum generation)g), names);
            continue;
        }
        struct draft d;
        draft_init(&d, run, NULL);
        draft_prove(run, &d, EVIDENCE_DIRECTORY, "versionNumber of the servers",
                    rule_text(run, "Exchange %s: %s", words((enum generation)g), names),
                    rule_text(run, "no Exchange %s server (%s)", words((enum generation)g), f->source),
                    run->in->org->taken_at);
        rule_found(run, &d, "Exchange %s cannot stand beside Exchange %s (%zu server%s: %s): %s",
                   words(target), words((enum generation)g), n, n == 1 ? "" : "s", names, f->advice);
    }
    for (size_t i = 0; i < run->in->org->n_servers; i++) {
        const struct server *s = &run->in->org->servers[i];
        char v[VERSION_TEXT_SIZE];
        if (s->generation != GENERATION_UNKNOWN)
            continue;
        spoken = true;
        if (s->has_version)
            rule_unknown(run, s, "version %s is of no Exchange known here", version_text(s->version, v));
        else
            rule_unknown(run, s, "the directory shows no version of this server");
    }
    if (!spoken)
        rule_pass(run, NULL);
}

/* False when nobody asked, or it could not be had. */
static bool asked_build(struct rule_run *run, const struct server *s, struct version *v,
                        const struct observation **o)
{
    *o = facts_build(run, s);
    if (!*o)
        return false;
    *v = (*o)->u.build.version;
    return true;
}

static void floor_found(struct rule_run *run, const struct server *s, const struct version_floor *f,
                        struct version have, const struct observation *asked, bool exact)
{
    char seen[VERSION_TEXT_SIZE], want[VERSION_TEXT_SIZE], product[96];
    struct version floor = exact ? f->exact_floor : f->directory_floor;
    const char *name = exact ? f->exact_name : f->directory_name;
    const char *expected = rule_text(run, "%s or later (%s; %s)", version_text(floor, want), name, f->source);
    struct draft d;
    draft_init(&d, run, s);
    if (asked)
        draft_prove_observation(run, &d, asked, version_text(have, seen), expected);
    else
        draft_prove_attribute(run, &d, s->dn, "versionNumber", version_text(have, seen), expected);
    if (f->target == f->legacy)
        rule_found(
            run, &d,
            "%s is %s: the new version itself must be %s or later before it may stand beside older ones",
            s->name, version_product(have, product, sizeof product), name);
    else
        rule_found(run, &d, "%s is %s: below %s, which Exchange %s needs of every Exchange %s server%s",
                   s->name, version_product(have, product, sizeof product), name, words(f->target),
                   words(f->legacy), s->roles & ROLE_EDGE ? " (Edge included)" : "");
}

static void floor_of(struct rule_run *run, const struct server *s, const struct version_floor *f)
{
    const struct observation *o;
    struct version asked;
    char want[VERSION_TEXT_SIZE];
    bool known = asked_build(run, s, &asked, &o);
    if (f->rollup) {
        /* the build of an attribute without rollups still proves one that is above the floor */
        if (known || (s->has_version && version_cmp(s->version, f->exact_floor) >= 0)) {
            struct version have = known ? asked : s->version;
            if (version_cmp(have, f->exact_floor) < 0)
                floor_found(run, s, f, have, o, true);
            else
                rule_pass(run, s);
            return;
        }
        if (s->has_version && version_cmp(s->version, f->directory_floor) < 0)
            floor_found(run, s, f, s->version, NULL, false);
        else
            rule_unknown(
                run, s,
                "needs %s (%s): the directory shows service packs but no rollups, so ask the server itself",
                f->exact_name, version_text(f->exact_floor, want));
        return;
    }
    if (!known && !s->has_version) {
        rule_unknown(run, s, "the directory shows no version of this server");
        return;
    }
    struct version have = known ? asked : s->version;
    if (version_cmp(have, f->directory_floor) < 0)
        floor_found(run, s, f, have, known ? o : NULL, false);
    else
        rule_pass(run, s);
}

void judge_version_floor(struct rule_run *run)
{
    for (size_t i = 0; i < run->in->org->n_servers; i++) {
        const struct server *s = &run->in->org->servers[i];
        /* newer than the target, 2003, unknown and forbidden pairs: the coexistence rule speaks of these */
        const struct version_floor *f = version_floor_find(run->in->target, s->generation);
        if (s->generation == GENERATION_UNKNOWN)
            rule_unknown(run, s, "without a known version there is no floor to compare with");
        else if (f && f->allowed)
            floor_of(run, s, f);
    }
}
