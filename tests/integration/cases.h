/* What the helpers of the integration tests share: a case read from JSON, a result written as JSON. See push.c for both. */
#ifndef TESTS_INTEGRATION_CASES_H
#define TESTS_INTEGRATION_CASES_H

#include <jansson.h>

#include "core/base/str.h"
#include "core/transport.h"

static size_t strings_of(json_t *value, const char **out, size_t max)
{
    size_t n = 0, i;
    json_t *one;
    if (json_is_string(value))
        out[n++] = json_string_value(value);
    json_array_foreach(value, i, one)
    {
        if (n < max)
            out[n++] = json_string_value(one);
    }
    return n;
}

static enum err add_param(struct cmdlet *c, const char *name, const char *kind, json_t *value)
{
    const char *s[CMDLET_MAX_VALUES];
    size_t n = strings_of(value, s, ARRAY_LEN(s));
    if (str_eq(kind, "string"))
        return cmdlet_string(c, name, n ? s[0] : NULL);
    if (str_eq(kind, "word"))
        return cmdlet_word(c, name, n ? s[0] : NULL);
    if (str_eq(kind, "words"))
        return cmdlet_words(c, name, s, n);
    if (str_eq(kind, "list"))
        return cmdlet_list(c, name, s, n);
    if (str_eq(kind, "bool"))
        return cmdlet_bool(c, name, json_is_true(value));
    if (str_eq(kind, "null"))
        return cmdlet_null(c, name);
    if (str_eq(kind, "switch"))
        return cmdlet_switch(c, name);
    if (str_eq(kind, "int"))
        return cmdlet_int(c, name, json_integer_value(value));
    return ERR_USAGE;
}

static enum err case_build(struct cmdlet *c, struct arena *arena, json_t *one)
{
    size_t i;
    json_t *param;
    enum err err = ERR_OK;
    const char *name = json_string_value(json_object_get(one, "cmdlet"));
    if (!cmdlet_name_is_valid(name))
        return ERR_USAGE;
    cmdlet_init(c, arena, name);
    json_array_foreach(json_object_get(one, "params"), i, param)
    {
        name = json_string_value(json_array_get(param, 0));
        if (err == ERR_OK)
            err = cmdlet_param_name_is_valid(name)
                      ? add_param(c, name, json_string_value(json_array_get(param, 1)),
                                  json_array_get(param, 2))
                      : ERR_USAGE;
    }
    return err;
}

static json_t *text_or_null(const char *s)
{
    return s ? json_string(s) : json_null();
}

static json_t *notes_of(const struct remote_result *r, const char *stream)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->notes.n; i++)
        if (str_eq(r->notes.v[i].stream, stream))
            json_array_append_new(list, json_string(r->notes.v[i].text));
    return list;
}

static json_t *case_result(const struct remote_result *r, enum err err, const struct errinfo *ei,
                           const char *text)
{
    json_t *warnings = json_array(), *errors = json_array();
    json_t *objects = r->output_json ? json_loads(r->output_json, JSON_ALLOW_NUL, NULL) : NULL;
    for (size_t i = 0; i < r->warnings.n; i++)
        json_array_append_new(warnings, json_string(r->warnings.v[i]));
    for (size_t i = 0; i < r->errors.n; i++) {
        const struct remote_error *e = &r->errors.v[i];
        json_array_append_new(errors,
                              json_pack("{s:o,s:o,s:o,s:o}", "message", text_or_null(e->message), "id",
                                        text_or_null(e->id), "category", text_or_null(e->category), "target",
                                        text_or_null(e->target)));
    }
    return json_pack("{s:s,s:s,s:s,s:b,s:b,s:b,s:o,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "err", err_name(err),
                     "what", ei->what, "hint", ei->hint, "ok", err == ERR_OK && remote_result_ok(r), "sent",
                     r->sent, "outcome_unknown", r->outcome_unknown, "exit_code",
                     r->has_exit_code ? json_integer(r->exit_code) : json_null(), "text", text, "output",
                     text_or_null(r->output), "objects", objects ? objects : json_null(), "warnings",
                     warnings, "errors", errors, "verbose", notes_of(r, "verbose"), "debug",
                     notes_of(r, "debug"), "information", notes_of(r, "information"));
}

#endif
