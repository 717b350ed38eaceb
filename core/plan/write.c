/* A plan as JSON (cli.md, "plan file"). Keys come in the order of the contract: jansson keeps the order of insertion. */
#include "core/plan/plan_int.h"

#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

json_t *changes_to_json(const struct plan_change *v, size_t n)
{
    json_t *o = json_object();
    for (size_t i = 0; o && i < n; i++)
        if (json_object_set_new(o, v[i].property, change_to_json(&v[i])) < 0) {
            json_decref(o);
            return NULL;
        }
    return o;
}

static json_t *cmdlet_json(const struct cmdlet *c)
{
    struct buf b;
    buf_init(&b, PLAN_MAX_TEXT);
    json_t *j = cmdlet_text(&b, c, NULL) == ERR_OK ? json_string(buf_str(&b)) : NULL;
    buf_fini(&b);
    return j;
}

static json_t *preconditions_json(const struct plan_step *s)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < s->n_preconditions; i++) {
        const struct plan_precondition *p = &s->preconditions[i];
        json_t *value = p->value ? json_string(p->value) : json_null();
        json_t *o = value
                        ? json_pack("{s:s, s:s, s:o}", "dn", p->dn, "attribute", p->attribute, "value", value)
                        : NULL;
        if (!o || json_array_append_new(list, o) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *also_json(const struct plan_step *s)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < s->n_also; i++)
        if (json_array_append_new(list, json_string(s->also[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *verify_json(const struct plan_step *s)
{
    json_t *list = json_array();
    if (list && s->verify_directory)
        json_array_append_new(list, json_string("directory"));
    if (list && s->verify_wire)
        json_array_append_new(list, json_string("wire"));
    return list;
}

static json_t *nudges_json(const struct plan_step *s)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < s->n_nudges; i++)
        if (json_array_append_new(list, cmdlet_json(&s->nudges[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

json_t *step_to_json(const struct plan_step *s)
{
    json_t *o = json_object();
    /* json_object_set_new refuses NULL, which is what its second argument is when memory ran out or a text is not UTF-8 */
    int bad = json_object_set_new(o, "n", json_integer(s->n));
    bad |= json_object_set_new(o, "finding", json_string(s->finding));
    if (s->n_also)
        bad |= json_object_set_new(o, "also", also_json(s));
    bad |= json_object_set_new(o, "server", json_string(s->server));
    bad |= json_object_set_new(o, "cmdlet", cmdlet_json(&s->cmdlet));
    bad |= json_object_set_new(o, "inverse", cmdlet_json(&s->inverse));
    bad |= json_object_set_new(o, "before", changes_to_json(s->before, s->n_before));
    bad |= json_object_set_new(o, "after", changes_to_json(s->after, s->n_after));
    bad |= json_object_set_new(o, "preconditions", preconditions_json(s));
    bad |= json_object_set_new(o, "verify", verify_json(s));
    bad |= json_object_set_new(o, "takes_effect", json_string(s->takes_effect));
    bad |= json_object_set_new(o, "impact", json_string(s->impact));
    if (s->note)
        bad |= json_object_set_new(o, "note", json_string(s->note));
    if (s->n_nudges)
        bad |= json_object_set_new(o, "nudge", nudges_json(s));
    if (s->skip)
        bad |= json_object_set_new(o, "skip", json_string(s->skip));
    if (bad) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static int append(const char *text, size_t len, void *arg)
{
    return buf_add(arg, text, len) == ERR_OK ? 0 : -1;
}

enum err plan_to_json(const struct plan *p, struct buf *out, struct errinfo *ei)
{
    char made_at[CLOCK_TEXT_SIZE];
    json_t *steps = json_array();
    bool ok = steps != NULL;
    for (size_t i = 0; ok && i < p->n_steps; i++)
        ok = json_array_append_new(steps, step_to_json(&p->steps[i])) == 0;
    if (!ok) {
        json_decref(steps);
        return err_set(ei, ERR_INTERNAL, NULL, "a step of the plan cannot be written as JSON");
    }
    json_t *j = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s*, s:o}", "format", 1, "id", p->id,
                          "organization", p->organization, "target", generation_name(p->target), "made_at",
                          clock_rfc3339(p->made_at, made_at), "made_by", p->made_by, "rollback_of",
                          p->rollback_of, "steps", steps);
    enum err e = ERR_OK;
    if (!j)
        e = err_set(ei, ERR_INTERNAL, NULL, "the plan cannot be written as JSON");
    else if (json_dump_callback(j, append, out, JSON_INDENT(2)) < 0 || buf_addc(out, '\n') != ERR_OK)
        e = err_set(ei, ERR_LIMIT, "plan for fewer servers, with --server", "the plan is too large");
    json_decref(j);
    return e;
}
