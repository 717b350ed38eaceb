/* A plan file is input like any other: somebody may have edited it, and what it says is pushed to servers. */
#include "core/plan/plan_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

static enum err wrong(struct errinfo *ei, const char *key, const char *is)
{
    return err_set(ei, ERR_INPUT, "write it with 'casbridge plan -o FILE'", "\"%s\" is not %s", key, is);
}

static enum err nothing_left(struct errinfo *ei)
{
    return err_set(ei, ERR_LIMIT, NULL, "the plan is too large");
}

/* Every key of the object must be in the list: a misspelt "verify" must not silently mean the default. */
static enum err known_keys(const json_t *o, const char *const *keys, size_t n, struct errinfo *ei)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)o, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known = known || strcmp(key, keys[i]) == 0;
        if (!known)
            return err_set(ei, ERR_INPUT, "is it misspelt?", "nobody knows the key \"%s\"", key);
    }
    return ERR_OK;
}

static enum err get_text(const char **out, struct arena *a, const json_t *o, const char *key,
                         bool may_be_empty, struct errinfo *ei)
{
    const json_t *j = json_object_get(o, key);
    size_t len = json_string_length(j);
    if (!json_is_string(j) || (!len && !may_be_empty))
        return wrong(ei, key, "a text");
    if (len > PLAN_MAX_TEXT)
        return wrong(ei, key, "a text of at most 8192 bytes");
    *out = arena_strn(a, json_string_value(j), len);
    return *out ? ERR_OK : nothing_left(ei);
}

static enum err get_cmdlet(struct cmdlet *out, struct arena *a, const json_t *o, const char *key,
                           struct errinfo *ei)
{
    const char *text = NULL;
    enum err e = get_text(&text, a, o, key, false, ei);
    if (e == ERR_OK && (e = cmdlet_parse(out, a, text, ei)) != ERR_OK)
        err_wrap(ei, "\"%s\"", key);
    return e;
}

/* Which property a name means depends on the cmdlet: the same attribute has other names elsewhere. */
static const struct property *find_property(const struct plan_cmdlet *c, const char *name)
{
    const struct property *p;
    if (c->action != PLAN_SET && strcmp(name, plan_exists.name) == 0)
        return &plan_exists;
    for (size_t i = 0; (p = plan_property_at(c, i)); i++)
        if (strcmp(name, p->name) == 0)
            return p;
    return NULL;
}

static enum err get_methods(struct plan_change *out, struct arena *a, const struct property *p,
                            const json_t *j, struct errinfo *ei)
{
    auth_set set = 0, one;
    size_t n = json_array_size(j);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(j, i));
        if (!name || !auth_from_name(name, &one))
            return wrong(ei, p->name, "a list of methods");
        set |= one;
    }
    change_null(out, p);
    out->is_null = false;
    out->values = arena_array(a, 32, sizeof *out->values);
    for (auth_set bit = 1; out->values && bit && bit <= AUTH_ALL; bit <<= 1)
        if (set & bit)
            out->values[out->n_values++] = auth_name(bit);
    return out->values ? ERR_OK : nothing_left(ei);
}

static enum err get_change(struct plan_change *out, struct arena *a, const struct property *p,
                           const json_t *j, struct errinfo *ei)
{
    change_null(out, p);
    if (json_is_null(j))
        return ERR_OK;
    if (out->is_list)
        return json_is_array(j) ? get_methods(out, a, p, j, ei) : wrong(ei, p->name, "a list of methods");
    if (out->is_bool ? !json_is_boolean(j) : !json_is_string(j))
        return wrong(ei, p->name, out->is_bool ? "true or false" : "a text");
    out->is_null = false;
    out->values = arena_array(a, 1, sizeof *out->values);
    if (!out->values)
        return nothing_left(ei);
    out->values[0] = out->is_bool ? (json_is_true(j) ? "true" : "false") : arena_str(a, json_string_value(j));
    out->n_values = 1;
    return out->values[0] ? ERR_OK : nothing_left(ei);
}

static enum err get_changes(struct plan_change **out, size_t *n, struct arena *a, const struct plan_cmdlet *c,
                            const json_t *o, const char *key, struct errinfo *ei)
{
    const json_t *j = json_object_get(o, key);
    size_t size = json_object_size(j);
    const char *name;
    json_t *value;
    if (!json_is_object(j) || !size || size > CMDLET_MAX_PARAMS)
        return wrong(ei, key, "an object of properties");
    *out = arena_array(a, size, sizeof **out);
    if (!*out)
        return nothing_left(ei);
    json_object_foreach((json_t *)j, name, value)
    {
        const struct property *p = find_property(c, name);
        if (!p)
            return err_set(ei, ERR_INPUT, "plan again", "\"%s\": %s does not set \"%s\"", key, c->name, name);
        enum err e = get_change(&(*out)[(*n)++], a, p, value, ei);
        if (e != ERR_OK) {
            err_wrap(ei, "\"%s\"", key);
            return e;
        }
    }
    return ERR_OK;
}

static enum err get_preconditions(struct plan_step *s, struct arena *a, const json_t *o, struct errinfo *ei)
{
    static const char *const keys[] = {"dn", "attribute", "value"};
    const json_t *list = json_object_get(o, "preconditions");
    size_t n = json_array_size(list);
    if (!json_is_array(list) || !n || n > CMDLET_MAX_PARAMS)
        return wrong(ei, "preconditions", "a list of them");
    s->preconditions = arena_array(a, n, sizeof *s->preconditions);
    if (!s->preconditions)
        return nothing_left(ei);
    for (size_t i = 0; i < n; i++) {
        const json_t *j = json_array_get(list, i), *value = json_object_get(j, "value");
        struct plan_precondition *p = &s->preconditions[i];
        if (!json_is_object(j))
            return wrong(ei, "preconditions", "a list of objects");
        enum err e = known_keys(j, keys, ARRAY_LEN(keys), ei);
        if (e == ERR_OK)
            e = get_text(&p->dn, a, j, "dn", false, ei);
        if (e == ERR_OK)
            e = get_text(&p->attribute, a, j, "attribute", false, ei);
        if (e == ERR_OK && !json_is_null(value))
            e = get_text(&p->value, a, j, "value", true, ei);
        if (e != ERR_OK)
            return e;
        s->n_preconditions++;
    }
    return ERR_OK;
}

static enum err get_verify(struct plan_step *s, const json_t *o, struct errinfo *ei)
{
    const json_t *list = json_object_get(o, "verify");
    if (!json_is_array(list))
        return wrong(ei, "verify", "a list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *what = json_string_value(json_array_get(list, i));
        bool *flag = str_eq(what, "directory") ? &s->verify_directory
                     : str_eq(what, "wire")    ? &s->verify_wire
                                               : NULL;
        if (!flag || *flag)
            return wrong(ei, "verify", "a list of \"directory\" and \"wire\"");
        *flag = true;
    }
    return ERR_OK;
}

static enum err get_also(struct plan_step *s, struct arena *a, const json_t *o, struct errinfo *ei)
{
    const json_t *list = json_object_get(o, "also");
    size_t n = json_array_size(list);
    if (!list)
        return ERR_OK;
    if (!json_is_array(list) || n > CMDLET_MAX_PARAMS)
        return wrong(ei, "also", "a list of findings");
    s->also = arena_array(a, n, sizeof *s->also);
    for (size_t i = 0; i < n; i++) {
        const char *id = json_string_value(json_array_get(list, i));
        if (!id || !*id || strlen(id) > PLAN_MAX_TEXT)
            return wrong(ei, "also", "a list of findings");
        if (!s->also || !(s->also[s->n_also++] = arena_str(a, id)))
            return nothing_left(ei);
    }
    return ERR_OK;
}

static enum err get_nudges(struct plan_step *s, struct arena *a, const json_t *o, struct errinfo *ei)
{
    const json_t *list = json_object_get(o, "nudge");
    size_t n = json_array_size(list);
    if (!json_is_array(list) || !n || n > PLAN_MAX_NUDGES)
        return wrong(ei, "nudge", "a list of cmdlets");
    s->nudges = arena_array(a, n, sizeof *s->nudges);
    if (!s->nudges)
        return nothing_left(ei);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || strlen(text) > PLAN_MAX_TEXT)
            return wrong(ei, "nudge", "a list of cmdlets");
        enum err e = cmdlet_parse(&s->nudges[s->n_nudges++], a, text, ei);
        if (e != ERR_OK) {
            err_wrap(ei, "\"nudge\"");
            return e;
        }
    }
    return ERR_OK;
}

enum err step_from_json(struct plan_step *out, struct arena *a, const json_t *j, int n, struct errinfo *ei)
{
    static const char *const keys[] = {
        "n",      "finding",      "also",   "server", "cmdlet", "inverse", "before", "after", "preconditions",
        "verify", "takes_effect", "impact", "note",   "nudge",  "skip"};
    struct plan_step s = {.n = n};
    const json_t *number = json_object_get(j, "n");
    if (!json_is_object(j))
        return wrong(ei, "steps", "a list of objects");
    enum err e = known_keys(j, keys, ARRAY_LEN(keys), ei);
    if (e == ERR_OK && (!json_is_integer(number) || json_integer_value(number) != n))
        e = err_set(ei, ERR_INPUT, "steps are numbered 1, 2, 3 ... in their order", "\"n\" is not %d", n);
    if (e == ERR_OK)
        e = get_text(&s.finding, a, j, "finding", false, ei);
    if (e == ERR_OK)
        e = get_also(&s, a, j, ei);
    if (e == ERR_OK)
        e = get_text(&s.server, a, j, "server", false, ei);
    if (e == ERR_OK)
        e = get_cmdlet(&s.cmdlet, a, j, "cmdlet", ei);
    if (e == ERR_OK)
        e = get_cmdlet(&s.inverse, a, j, "inverse", ei);
    const struct plan_cmdlet *info = e == ERR_OK ? plan_cmdlet_find(s.cmdlet.name) : NULL;
    if (e == ERR_OK && !info)
        e = err_set(ei, ERR_INPUT, "casbridge pushes only cmdlets of its own table",
                    "%s is not a cmdlet that a plan may hold", s.cmdlet.name);
    if (e == ERR_OK)
        e = get_changes(&s.before, &s.n_before, a, info, j, "before", ei);
    if (e == ERR_OK)
        e = get_changes(&s.after, &s.n_after, a, info, j, "after", ei);
    if (e == ERR_OK)
        e = get_preconditions(&s, a, j, ei);
    if (e == ERR_OK)
        e = get_verify(&s, j, ei);
    if (e == ERR_OK)
        e = get_text(&s.takes_effect, a, j, "takes_effect", true, ei);
    if (e == ERR_OK)
        e = get_text(&s.impact, a, j, "impact", true, ei);
    if (e == ERR_OK && json_object_get(j, "note"))
        e = get_text(&s.note, a, j, "note", false, ei);
    if (e == ERR_OK && json_object_get(j, "nudge"))
        e = get_nudges(&s, a, j, ei);
    if (e == ERR_OK && json_object_get(j, "skip"))
        e = get_text(&s.skip, a, j, "skip", false, ei);
    struct watches w;
    if (e == ERR_OK)
        e = step_check(&s, PLAN_ANY_GENERATION, &w, a, ei);
    if (e == ERR_OK)
        *out = s;
    return e;
}

static int by_text(const void *x, const void *y)
{
    const char *const *a = x, *const *b = y;
    return strcmp(a[0], b[0]);
}

/* Two steps on one object: the first would make the second one's preconditions wrong. */
static enum err check_objects(struct plan *p, struct errinfo *ei)
{
    const char **names = arena_array(&p->arena, p->n_steps + 1, sizeof *names);
    struct buf b;
    enum err e = ERR_OK;
    buf_init(&b, 4 * PLAN_MAX_TEXT);
    for (size_t i = 0; names && i < p->n_steps; i++) {
        buf_reset(&b);
        if (dn_normalise(&b, p->steps[i].preconditions[0].dn) != ERR_OK ||
            !(names[i] = arena_str(&p->arena, buf_str(&b)))) {
            e = nothing_left(ei);
            goto out;
        }
    }
    if (!names) {
        e = nothing_left(ei);
        goto out;
    }
    qsort(names, p->n_steps, sizeof *names, by_text);
    for (size_t i = 1; i < p->n_steps; i++)
        if (strcmp(names[i - 1], names[i]) == 0) {
            e = err_set(ei, ERR_INPUT, "put both changes into one step, or apply one plan after the other",
                        "two steps change the same object, %s", names[i]);
            goto out;
        }
out:
    buf_fini(&b);
    return e;
}

static enum err read_steps(struct plan *p, const json_t *list, struct errinfo *ei)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list))
        return wrong(ei, "steps", "a list");
    if (n > PLAN_MAX_STEPS)
        return err_set(ei, ERR_INPUT, NULL, "the plan has %zu steps, %d are allowed", n, PLAN_MAX_STEPS);
    p->steps = arena_array(&p->arena, n + 1, sizeof *p->steps);
    if (!p->steps)
        return nothing_left(ei);
    for (size_t i = 0; i < n; i++) {
        enum err e = step_from_json(&p->steps[i], &p->arena, json_array_get(list, i), (int)i + 1, ei);
        if (e != ERR_OK) {
            err_wrap(ei, "step %zu", i + 1);
            return e;
        }
        p->n_steps++;
    }
    return check_objects(p, ei);
}

static enum err read_plan(struct plan *p, const json_t *j, struct errinfo *ei)
{
    static const char *const keys[] = {"format",  "id",      "organization", "target",
                                       "made_at", "made_by", "rollback_of",  "steps"};
    const char *target = NULL, *made_at = NULL;
    const json_t *format = json_object_get(j, "format");
    if (!json_is_object(j) || !json_is_integer(format))
        return err_set(ei, ERR_INPUT, "write one with 'casbridge plan -o FILE'", "this is not a plan");
    if (json_integer_value(format) != 1)
        return err_set(ei, ERR_INPUT, "plan again with this casbridge",
                       "the plan has format %lld, this casbridge knows 1",
                       (long long)json_integer_value(format));
    enum err e = known_keys(j, keys, ARRAY_LEN(keys), ei);
    if (e == ERR_OK)
        e = get_text(&p->id, &p->arena, j, "id", false, ei);
    if (e == ERR_OK)
        e = get_text(&p->organization, &p->arena, j, "organization", false, ei);
    if (e == ERR_OK)
        e = get_text(&target, &p->arena, j, "target", false, ei);
    if (e == ERR_OK && (!generation_from_name(target, &p->target) || p->target < GENERATION_2013))
        e = wrong(ei, "target", "2013, 2016, 2019 or se");
    if (e == ERR_OK)
        e = get_text(&made_at, &p->arena, j, "made_at", false, ei);
    if (e == ERR_OK && !clock_parse_rfc3339(made_at, &p->made_at))
        e = wrong(ei, "made_at", "a time as 2026-11-24T03:00:00Z");
    if (e == ERR_OK)
        e = get_text(&p->made_by, &p->arena, j, "made_by", true, ei);
    if (e == ERR_OK && json_object_get(j, "rollback_of"))
        e = get_text(&p->rollback_of, &p->arena, j, "rollback_of", false, ei);
    return e == ERR_OK ? read_steps(p, json_object_get(j, "steps"), ei) : e;
}

enum err plan_from_json(struct plan **out, const char *text, size_t len, struct errinfo *ei)
{
    json_error_t why;
    struct plan *p = NULL;
    if (len > PLAN_MAX_FILE)
        return err_set(ei, ERR_INPUT, NULL, "a plan of %zu bytes is too large, %u are allowed", len,
                       PLAN_MAX_FILE);
    json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!j)
        return err_set(ei, ERR_INPUT, "write it with 'casbridge plan -o FILE'", "line %d: %s", why.line,
                       why.text);
    enum err e = plan_new(&p, ei);
    if (e == ERR_OK)
        e = read_plan(p, j, ei);
    json_decref(j);
    if (e != ERR_OK) {
        plan_free(&p);
        return e;
    }
    *out = p;
    return ERR_OK;
}
