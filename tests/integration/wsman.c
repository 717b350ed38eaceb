/*
 * wsman CONFIG [TIMEOUT_MS]: one session of remoting/wsman.h, driven from outside, for tests that judge what is said and understood.
 *
 * CONFIG is a configuration file with one profile (winrm_url, winrm_auth ...). Each line of standard input is an operation,
 *   { "op": "create", "resource": "...", "shell_id": ..., "name": ..., "input": "stdin", "output": "stdout stderr", "idle_s": 0,
 *     "directory": ..., "options": [["NAME", "value", true]], "environment": [["N", "v"]], "creation": "base64" }
 *   { "op": "command", "id": ..., "line": "...", "arguments": ["..."], "raw": "base64", "options": [...] }
 *   { "op": "send", "stream": "stdin", "id": ..., "data": "base64", "end": true }
 *   { "op": "receive", "id": ..., "streams": "...", "options": [...] }
 *   { "op": "signal", "id": "...", "signal": 0..3 }   { "op": "delete" }   { "op": "envelope", "bytes": 512000 }
 *   { "op": "get", "resource": "...", "of_shell": false, "name": "MaxEnvelopeSizekb" }   { "op": "room", "bytes": 200000 }
 * and each line of standard output its result: err, what, hint, fault, shell_id, id, unknown; of a receive chunks, state, exit_code,
 * timed_out, gap; of get the value; of room how many bytes there is room for. The session ends with the input, deleting what is still open;
 * SIGINT raises its stop.
 */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/kerberos/kerberos.h"
#include "remoting/wsman.h"

#define MAX_ITEMS 64

struct job {
    struct wsman *w;
    json_t *in;
    struct wsman_option options[MAX_ITEMS];
    size_t n_options;
    struct buf data;
    struct wsman_output output;
    char id[WSMAN_ID_MAX], value[WSMAN_VALUE_MAX];
};

static const char *text(const struct job *j, const char *key)
{
    return json_string_value(json_object_get(j->in, key));
}

static void read_options(struct job *j)
{
    size_t i;
    json_t *o;
    j->n_options = 0;
    json_array_foreach(json_object_get(j->in, "options"), i, o)
    {
        if (j->n_options < MAX_ITEMS)
            j->options[j->n_options++] = (struct wsman_option){json_string_value(json_array_get(o, 0)),
                                                               json_string_value(json_array_get(o, 1)),
                                                               json_is_true(json_array_get(o, 2))};
    }
}

static const void *bytes(struct job *j, const char *key)
{
    const char *s = text(j, key);
    buf_reset(&j->data);
    return s && base64_decode(&j->data, s, strlen(s)) == ERR_OK ? buf_str(&j->data) : NULL;
}

static enum err create(struct job *j, struct errinfo *ei)
{
    struct wsman_variable variables[MAX_ITEMS];
    size_t n = 0, i;
    json_t *v;
    json_array_foreach(json_object_get(j->in, "environment"), i, v)
    {
        if (n < MAX_ITEMS)
            variables[n++] = (struct wsman_variable){json_string_value(json_array_get(v, 0)),
                                                     json_string_value(json_array_get(v, 1))};
    }
    const void *creation = bytes(j, "creation");
    struct wsman_shell s = {.resource = text(j, "resource"),
                            .shell_id = text(j, "shell_id"),
                            .name = text(j, "name"),
                            .input = text(j, "input"),
                            .output = text(j, "output"),
                            .options = j->options,
                            .n_options = j->n_options,
                            .environment = variables,
                            .n_environment = n,
                            .directory = text(j, "directory"),
                            .idle_timeout_s = (int)json_integer_value(json_object_get(j->in, "idle_s")),
                            .creation = creation,
                            .creation_len = j->data.len};
    return wsman_create(j->w, &s, ei);
}

static enum err command(struct job *j, struct errinfo *ei)
{
    const char *arguments[MAX_ITEMS];
    size_t n = 0, i;
    json_t *a;
    json_array_foreach(json_object_get(j->in, "arguments"), i, a)
    {
        if (n < MAX_ITEMS)
            arguments[n++] = json_string_value(a);
    }
    const void *raw = bytes(j, "raw");
    struct wsman_command c = {.id = text(j, "id"),
                              .line = text(j, "line"),
                              .arguments = arguments,
                              .n_arguments = n,
                              .raw = raw,
                              .raw_len = j->data.len,
                              .options = j->options,
                              .n_options = j->n_options};
    return wsman_command(j->w, &c, j->id, ei);
}

static enum err run(struct job *j, struct errinfo *ei)
{
    const char *op = text(j, "op");
    j->id[0] = '\0';
    read_options(j);
    if (str_eq(op, "create"))
        return create(j, ei);
    if (str_eq(op, "command"))
        return command(j, ei);
    if (str_eq(op, "receive"))
        return wsman_receive(j->w, text(j, "id"), text(j, "streams"), j->options, j->n_options, &j->output,
                             ei);
    if (str_eq(op, "send")) {
        const void *data = bytes(j, "data");
        return wsman_send(j->w, text(j, "stream"), text(j, "id"), data, j->data.len,
                          json_is_true(json_object_get(j->in, "end")), ei);
    }
    if (str_eq(op, "signal"))
        return wsman_signal(j->w, text(j, "id"),
                            (enum wsman_signal)json_integer_value(json_object_get(j->in, "signal")), ei);
    if (str_eq(op, "get"))
        return wsman_get(j->w, text(j, "resource"), json_is_true(json_object_get(j->in, "of_shell")),
                         text(j, "name"), j->value, ei);
    if (str_eq(op, "room"))
        return wsman_make_room(j->w, (size_t)json_integer_value(json_object_get(j->in, "bytes")), ei);
    if (str_eq(op, "delete"))
        return wsman_delete(j->w, ei);
    if (str_eq(op, "envelope")) {
        wsman_set_envelope(j->w, (size_t)json_integer_value(json_object_get(j->in, "bytes")));
        return ERR_OK;
    }
    if (str_eq(op, "timeout")) {
        wsman_set_operation_timeout(j->w, (int)json_integer_value(json_object_get(j->in, "seconds")));
        return ERR_OK;
    }
    return err_set(ei, ERR_USAGE, NULL, "no such operation");
}

static json_t *chunks_of(const struct wsman_output *o)
{
    json_t *list = json_array();
    struct buf b64;
    buf_init(&b64, 2 * WSMAN_REPLY_MAX);
    for (size_t i = 0; i < o->chunks.n; i++) {
        const struct wsman_chunk *c = &o->chunks.v[i];
        buf_reset(&b64);
        if (c->len > 0 && base64_encode(&b64, o->data.data + c->at, c->len) != ERR_OK)
            buf_reset(&b64);
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:b}", "stream", c->stream, "command", c->command,
                                              "data", buf_str(&b64), "end", c->end));
    }
    buf_fini(&b64);
    return list;
}

static json_t *describe(struct job *j, enum err e, const struct errinfo *ei)
{
    static const char *const states[] = {"none", "running", "pending", "done"};
    const struct wsman_fault *f = wsman_last_fault(j->w);
    json_t *fault =
        json_pack("{s:I,s:s,s:s,s:i,s:s,s:i}", "code", (json_int_t)f->code, "subcode", f->subcode, "reason",
                  f->reason, "wait_ms", f->wait_ms, "redirect", f->redirect, "http_status", f->http_status);
    json_t *r = json_pack("{s:s,s:s,s:s,s:o,s:s,s:s,s:b}", "err", err_name(e), "what", e ? ei->what : "",
                          "hint", e ? ei->hint : "", "fault", fault, "shell_id", wsman_shell_id(j->w), "id",
                          j->id, "unknown", wsman_outcome_unknown(j->w));
    if (str_eq(text(j, "op"), "get"))
        json_object_set_new(r, "value", e ? json_null() : json_string(j->value));
    if (str_eq(text(j, "op"), "room"))
        json_object_set_new(r, "room", json_integer((json_int_t)wsman_room(j->w)));
    if (str_eq(text(j, "op"), "receive")) {
        const struct wsman_output *o = &j->output;
        json_object_set_new(r, "chunks", chunks_of(o));
        json_object_set_new(r, "state", json_string(states[o->state]));
        json_object_set_new(r, "exit_code", o->has_exit_code ? json_integer(o->exit_code) : json_null());
        json_object_set_new(r, "timed_out", json_boolean(o->timed_out));
        json_object_set_new(r, "gap", json_boolean(o->gap));
    }
    return r;
}

static void serve(struct job *j)
{
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        struct errinfo ei = {0};
        j->in = json_loads(line, 0, NULL);
        enum err e = j->in ? run(j, &ei) : ERR_USAGE;
        json_t *result = describe(j, e, &ei);
        (void)json_dumpf(result, stdout, JSON_COMPACT);
        (void)putchar('\n');
        (void)fflush(stdout);
        json_decref(result);
        json_decref(j->in);
    }
    free(line);
}

static struct stop stop; /* raised by SIGINT */

static void on_signal(int number)
{
    (void)number;
    stop_raise(&stop);
}

int main(int argc, char **argv)
{
    struct profile profile = {0};
    struct wsman_access *access = NULL;
    struct job j = {0};
    struct errinfo ei = {0};
    uint64_t ms = 60000;
    struct remote_target target = {.server = "EXCAS01", .fqdn = "excas01.contoso.lab"};
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc > 2 && !str_to_u64(argv[2], strlen(argv[2]), &ms))
        return 2;
    stop_init(&stop, (int64_t)ms, NULL);
    (void)signal(SIGINT, on_signal);
    buf_init(&j.data, 8 << 20);
    wsman_output_init(&j.output);
    enum err e = argc >= 2 ? profile_load(&profile, argv[1], NULL, &ei) : ERR_USAGE;
    if (e == ERR_OK)
        e = krb_setup(&profile, &ei);
    if (e == ERR_OK)
        e = wsman_access_new(&access, &profile, &ei);
    const char *url = profile_get(&profile, PROFILE_winrm_url, target.server);
    if (e == ERR_OK)
        e = wsman_new(&j.w, access, &target, url ? url : "http://{fqdn}:5985/wsman", &stop, &ei);
    if (e == ERR_OK)
        serve(&j);
    else
        fprintf(stderr, "wsman: %s: %s: %s\n", err_name(e), ei.what, ei.hint);
    wsman_free(&j.w);
    wsman_access_free(&access);
    wsman_output_fini(&j.output);
    buf_fini(&j.data);
    profile_fini(&profile);
    return e ? err_exit_code(e) : 0;
}
