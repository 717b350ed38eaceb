/*
 * push CONFIG [VIA [PROFILE]]: runs cmdlets through a transport (SSH), for tests that judge what arrives at the other end.
 *
 * CONFIG is a configuration file with one profile, or with PROFILE. Each line of standard input is a case,
 *   { "server": "EXCAS01", "fqdn": "...", "generation": "2010", "timeout_ms": 20000, "cmdlet": "Set-X",
 *     "params": [ ["Name", "string", "value"], ["Flag", "switch", null] ] }
 * (kinds: string, word, words, list, bool, null, switch, int) and each line of standard output its result:
 *   { "err": "OK", "what": "", "hint": "", "ok": true, "sent": true, "outcome_unknown": false,
 *     "exit_code": 0 | null, "text": "the cmdlet", "output": "..." | null, "objects": [...] | null, "warnings": ["..."],
 *     "errors": [ { "message": "...", "id": ..., "category": ..., "target": ... } ] }
 */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/kerberos/kerberos.h"
#include "remoting/remoting.h"

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

static enum err build(struct cmdlet *c, struct arena *arena, json_t *one)
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

static json_t *describe(const struct remote_result *r, enum err err, const struct errinfo *ei,
                        const char *text)
{
    json_t *warnings = json_array(), *errors = json_array();
    for (size_t i = 0; i < r->warnings.n; i++)
        json_array_append_new(warnings, json_string(r->warnings.v[i]));
    for (size_t i = 0; i < r->errors.n; i++) {
        const struct remote_error *e = &r->errors.v[i];
        json_array_append_new(errors,
                              json_pack("{s:o,s:o,s:o,s:o}", "message", text_or_null(e->message), "id",
                                        text_or_null(e->id), "category", text_or_null(e->category), "target",
                                        text_or_null(e->target)));
    }
    return json_pack("{s:s,s:s,s:s,s:b,s:b,s:b,s:o,s:s,s:o,s:o,s:o,s:o}", "err", err_name(err), "what",
                     ei->what, "hint", ei->hint, "ok", err == ERR_OK && remote_result_ok(r), "sent", r->sent,
                     "outcome_unknown", r->outcome_unknown, "exit_code",
                     r->has_exit_code ? json_integer(r->exit_code) : json_null(), "text", text, "output",
                     text_or_null(r->output), "objects",
                     r->output_json ? json_loads(r->output_json, JSON_DECODE_ANY, NULL) : json_null(),
                     "warnings", warnings, "errors", errors);
}

static json_t *run_case(struct transport *t, json_t *one)
{
    struct arena arena;
    struct cmdlet c;
    struct stop stop;
    struct buf text;
    struct remote_result r = {0};
    struct errinfo ei = {0};
    struct remote_target target = {.server = json_string_value(json_object_get(one, "server")),
                                   .fqdn = json_string_value(json_object_get(one, "fqdn"))};
    json_int_t timeout_ms = json_integer_value(json_object_get(one, "timeout_ms"));
    arena_init(&arena, 16 << 20);
    buf_init(&text, 1 << 20);
    stop_init(&stop, timeout_ms ? timeout_ms : 60000, NULL);
    const char *generation = json_string_value(json_object_get(one, "generation"));
    if (!generation || !generation_from_name(generation, &target.generation))
        target.generation = GENERATION_UNKNOWN;
    enum err err = build(&c, &arena, one);
    if (err == ERR_OK)
        err = cmdlet_text(&text, &c, &ei);
    if (err == ERR_OK)
        err = t->run(t, &target, &c, &stop, &r, &ei);
    json_t *out = describe(&r, err, &ei, buf_str(&text));
    remote_result_fini(&r);
    buf_fini(&text);
    arena_fini(&arena);
    return out;
}

int main(int argc, char **argv)
{
    struct profile profile = {0};
    struct transport *t = NULL;
    struct errinfo ei = {0};
    char *line = NULL;
    size_t cap = 0;
    int rc = 1;
    (void)signal(SIGPIPE, SIG_IGN);
    enum err err =
        argc >= 2 && argc <= 4 ? profile_load(&profile, argv[1], argc > 3 ? argv[3] : NULL, &ei) : ERR_USAGE;
    if (err == ERR_OK)
        err = krb_setup(&profile, &ei);
    if (err == ERR_OK)
        err = remoting_transport_new(&t, argc > 2 ? argv[2] : "ssh", &profile, NULL, NULL, &ei);
    if (err != ERR_OK) {
        fprintf(stderr, "push: %s: %s\n", err_text(err), ei.what);
        goto out;
    }
    while (getline(&line, &cap, stdin) > 0) {
        json_t *one = json_loads(line, 0, NULL);
        json_t *result = one ? run_case(t, one) : json_null();
        (void)json_dumpf(result, stdout, JSON_COMPACT);
        (void)putchar('\n');
        (void)fflush(stdout);
        json_decref(result);
        json_decref(one);
    }
    rc = 0;
out:
    if (t)
        t->free(t);
    profile_fini(&profile);
    free(line);
    return rc;
}
