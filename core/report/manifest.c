/* The manifest of a snapshot. */
#include "core/report/snapshot_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/report/json.h"

#include <stdlib.h>
#include <string.h>

#define KIND         "casbridge snapshot"
#define MAX_NOTES    1100 /* what the decoder keeps, and the one about those left out */
#define MAX_ACCEPTED 10000

/* ---- writing */

static json_t *notes_json(const struct org *org)
{
    json_t *list = json_array();
    for (size_t i = 0; i < org->n_notes; i++)
        json_array_append_new(list, json_pack("{s:o,s:o}", "subject", json_text(org->notes[i].subject),
                                              "text", json_text(org->notes[i].text)));
    return list;
}

static json_t *accepted_json(const acceptances *list, const char *organization)
{
    json_t *out = json_array();
    for (size_t i = 0; list && i < list->n; i++) {
        const struct acceptance *a = &list->v[i];
        if (!str_ieq(a->organization, organization))
            continue;
        json_array_append_new(out, json_pack("{s:I,s:o,s:o,s:o,s:o,s:I,s:I}", "n", (json_int_t)a->n, "rule",
                                             json_text(a->rule), "server", json_text(a->server), "by",
                                             json_text(a->by), "reason", json_text(a->reason), "at",
                                             (json_int_t)a->at, "until", (json_int_t)a->until));
    }
    return out;
}

enum err manifest_write(struct buf *out, const struct snapshot_facts *f, const struct org *org,
                        const acceptances *accepted, const struct part_info parts[static N_PARTS],
                        struct errinfo *ei)
{
    json_t *o = json_object(), *list = json_array();
    json_object_set_new(o, "kind", json_string(KIND));
    json_object_set_new(o, "format", json_integer(SNAPSHOT_FORMAT));
    json_object_set_new(o, "program", json_text(f->program));
    json_object_set_new(o, "made_at", json_time(f->made_at));
    json_object_set_new(o, "made_by", json_text(f->made_by));
    json_object_set_new(o, "organization", json_text(org->name));
    json_object_set_new(o, "source", json_text(org->source));
    json_object_set_new(o, "controller", json_text(org->controller));
    json_object_set_new(o, "taken_at", json_time(org->taken_at));
    json_object_set_new(o, "default_naming_context", json_text(org->default_naming_context));
    json_object_set_new(o, "config_naming_context", json_text(org->config_naming_context));
    json_object_set_new(o, "root_naming_context", json_text(org->root_naming_context));
    json_object_set_new(o, "probed", json_boolean(f->probed));
    json_object_set_new(
        o, "target", f->target == GENERATION_UNKNOWN ? json_null() : json_string(generation_name(f->target)));
    for (size_t i = 0; i < f->n_namespaces; i++)
        json_array_append_new(list, json_text(f->namespaces[i]));
    json_object_set_new(o, "namespaces", list);
    json_object_set_new(o, "legacy_namespace", json_text(f->legacy_namespace));
    json_object_set_new(o, "poll_interval", json_integer(f->poll_interval_s));
    json_object_set_new(o, "accepted", accepted_json(accepted, org->name));
    json_object_set_new(o, "notes", notes_json(org));
    list = json_array();
    for (size_t i = 0; i < N_PARTS; i++)
        json_array_append_new(list, json_pack("{s:s,s:I,s:s}", "name", snapshot_part_names[i], "bytes",
                                              (json_int_t)parts[i].bytes, "sha256", parts[i].sha256));
    json_object_set_new(o, "parts", list);
    char *text = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    enum err e = text ? buf_adds(out, text) : ERR_NOMEM;
    free(text);
    e = e ? e : buf_addc(out, '\n');
    return e ? err_set(ei, e, NULL, "the manifest of the snapshot is too large") : ERR_OK;
}

/* ---- reading */

struct taking {
    const json_t *o;
    struct arena *arena;
    const char *bad; /* the first key whose value is not what it should be */
};

static const char *text_of(struct taking *t, const json_t *o, const char *key, bool needed)
{
    const json_t *v = json_object_get(o, key);
    const char *s = NULL;
    if (json_is_string(v))
        s = arena_str(t->arena, json_string_value(v));
    if (!s && (needed || (v && !json_is_null(v))) && !t->bad)
        t->bad = key;
    return s;
}

static int64_t number_of(struct taking *t, const json_t *o, const char *key, int64_t low)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_integer(v) && json_integer_value(v) >= low)
        return json_integer_value(v);
    t->bad = t->bad ? t->bad : key;
    return low;
}

static int64_t time_of(struct taking *t, const char *key)
{
    int64_t at = 0;
    const json_t *v = json_object_get(t->o, key);
    if (json_is_null(v) || (json_is_string(v) && clock_parse_rfc3339(json_string_value(v), &at)))
        return at;
    t->bad = t->bad ? t->bad : key;
    return 0;
}

static void take_namespaces(struct taking *t, struct snapshot_facts *f)
{
    const json_t *list = json_object_get(t->o, "namespaces");
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > SNAPSHOT_NAMESPACES) {
        t->bad = t->bad ? t->bad : "namespaces";
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(list, i));
        if (s && (s = arena_str(t->arena, s)))
            f->namespaces[f->n_namespaces++] = s;
        else
            t->bad = t->bad ? t->bad : "namespaces";
    }
}

static void take_target(struct taking *t, struct snapshot_facts *f)
{
    const char *s = text_of(t, t->o, "target", false);
    if (s && !generation_from_name(s, &f->target) && !t->bad)
        t->bad = "target";
}

static void take_notes(struct taking *t, struct manifest *m)
{
    const json_t *list = json_object_get(t->o, "notes");
    size_t n = json_array_size(list);
    m->notes = json_is_array(list) && n <= MAX_NOTES ? arena_array(t->arena, n + 1, sizeof *m->notes) : NULL;
    if (!m->notes) {
        t->bad = t->bad ? t->bad : "notes";
        return;
    }
    for (m->n_notes = 0; m->n_notes < n; m->n_notes++) {
        const json_t *o = json_array_get(list, m->n_notes);
        m->notes[m->n_notes].subject = text_of(t, o, "subject", false);
        m->notes[m->n_notes].text = text_of(t, o, "text", true);
    }
}

static char *copy_of(struct taking *t, const json_t *o, const char *key, bool needed)
{
    const char *s = text_of(t, o, key, needed);
    char *copy = s ? strdup(s) : NULL;
    if (s && !copy && !t->bad)
        t->bad = key;
    return copy;
}

static void take_accepted(struct taking *t, struct snapshot *s, const char *organization)
{
    const json_t *list = json_object_get(t->o, "accepted");
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > MAX_ACCEPTED)
        t->bad = t->bad ? t->bad : "accepted";
    for (size_t i = 0; !t->bad && i < n; i++) {
        const json_t *o = json_array_get(list, i);
        struct acceptance a = {.n = number_of(t, o, "n", 0),
                               .organization = organization ? strdup(organization) : NULL,
                               .rule = copy_of(t, o, "rule", true),
                               .server = copy_of(t, o, "server", false),
                               .by = copy_of(t, o, "by", true),
                               .reason = copy_of(t, o, "reason", true),
                               .at = number_of(t, o, "at", 0),
                               .until = number_of(t, o, "until", 0)};
        if (t->bad || !a.organization || !VEC_PUSH(&s->accepted, MAX_ACCEPTED, a)) {
            acceptance_fini(&a);
            t->bad = t->bad ? t->bad : "accepted";
        }
    }
}

static void take_parts(struct taking *t, struct manifest *m)
{
    const json_t *list = json_object_get(t->o, "parts");
    if (json_array_size(list) != N_PARTS) {
        t->bad = t->bad ? t->bad : "parts";
        return;
    }
    for (size_t i = 0; i < N_PARTS; i++) {
        const json_t *o = json_array_get(list, i);
        const char *name = text_of(t, o, "name", true), *sha = text_of(t, o, "sha256", true);
        m->parts[i].bytes = (uint64_t)number_of(t, o, "bytes", 0);
        if (!str_eq(name, snapshot_part_names[i]) || !sha || strlen(sha) != SHA256_HEX - 1 ||
            m->parts[i].bytes > PART_MAX)
            t->bad = t->bad ? t->bad : "parts";
        else
            str_copy(m->parts[i].sha256, sizeof m->parts[i].sha256, sha);
    }
}

/* Before anything else: what a newer casbridge wrote is not to be judged by the rules of this one. */
static enum err check_format(const json_t *o, struct errinfo *ei)
{
    const json_t *format = json_object_get(o, "format");
    if (!str_eq(json_string_value(json_object_get(o, "kind")), KIND) || !json_is_integer(format))
        return err_set(ei, ERR_INPUT, "casbridge snapshot -o FILE makes one",
                       "it is no snapshot of casbridge");
    if (json_integer_value(format) > SNAPSHOT_FORMAT)
        return err_set(ei, ERR_INPUT, "open it with that casbridge, or take a new one with this",
                       "the snapshot was made by a newer casbridge (format %lld, this one knows %d)",
                       (long long)json_integer_value(format), SNAPSHOT_FORMAT);
    if (json_integer_value(format) < 1)
        return err_set(ei, ERR_INPUT, NULL, "the snapshot's format is not known");
    return ERR_OK;
}

enum err manifest_read(const char *text, size_t len, struct snapshot *s, struct manifest *m,
                       struct errinfo *ei)
{
    json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    struct taking t = {.o = o, .arena = &s->arena};
    struct snapshot_facts *f = &s->facts;
    enum err e = o ? check_format(o, ei) : err_set(ei, ERR_INPUT, NULL, "its manifest is no JSON");
    if (e)
        goto out;
    f->made_at = time_of(&t, "made_at");
    f->made_by = text_of(&t, o, "made_by", false);
    f->program = text_of(&t, o, "program", false);
    f->probed = json_is_true(json_object_get(o, "probed"));
    f->legacy_namespace = text_of(&t, o, "legacy_namespace", false);
    f->poll_interval_s = number_of(&t, o, "poll_interval", 1);
    s->origin = text_of(&t, o, "source", false);
    m->origin.controller = text_of(&t, o, "controller", false);
    m->origin.default_naming_context = text_of(&t, o, "default_naming_context", false);
    m->origin.config_naming_context = text_of(&t, o, "config_naming_context", false);
    m->origin.root_naming_context = text_of(&t, o, "root_naming_context", false);
    m->origin.taken_at = time_of(&t, "taken_at");
    take_target(&t, f);
    take_namespaces(&t, f);
    take_notes(&t, m);
    take_accepted(&t, s, text_of(&t, o, "organization", false));
    take_parts(&t, m);
    if (t.bad)
        e = err_set(ei, ERR_INPUT, "take it again", "\"%s\" in its manifest is not what it should be", t.bad);
out:
    json_decref(o);
    return e;
}
