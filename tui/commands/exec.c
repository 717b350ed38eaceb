/* casbridge exec: one cmdlet on many servers. */
#include "core/base/clock.h"
#include "core/base/job.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/report/json.h"
#include "tui/commands/cli.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const struct arg_spec exec_specs[] = {
    {"on", 0, ARG_LIST, offsetof(struct exec_options, on), "SERVER",
     "where; repeatable, or several after one --on"},
    {"via", 0, ARG_TEXT, offsetof(struct exec_options, via), "ssh|winrm|psrp",
     "transport; else the profile's, else by version and what answers"},
    {"parallel", 0, ARG_COUNT, offsetof(struct exec_options, parallel), "N", "hosts at once (8)"},
    {0},
};

static bool is_name(const char *s, bool dash)
{
    if (!((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z')))
        return false;
    for (; *s; s++)
        if (!((*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') ||
              (dash && *s == '-')))
            return false;
    return true;
}

/* A word that begins a parameter: -Name. "-5" and "--%" are values. */
static bool is_parameter(const char *word)
{
    return word && word[0] == '-' && is_name(word + 1, false);
}

static enum err add_value(struct cmdlet *c, struct arena *arena, const char *name, const char *value)
{
    if (strcmp(value, "$true") == 0 || strcmp(value, "$false") == 0)
        return cmdlet_bool(c, name, value[1] == 't');
    if (strcmp(value, "$null") == 0)
        return cmdlet_null(c, name);
    if (!strchr(value, ','))
        return cmdlet_string(c, name, value);
    const char *items[256];
    size_t n = 0;
    for (const char *s = value;; s++) {
        size_t len = strcspn(s, ",");
        if (n == ARRAY_LEN(items))
            return ERR_LIMIT;
        items[n++] = arena_strn(arena, s, len);
        s += len;
        if (!*s)
            return cmdlet_list(c, name, items, n);
    }
}

/* After "--": a cmdlet, then -Name value pairs (cli.md). Everything that is no parameter name is data. */
static enum err read_cmdlet(struct cmdlet *c, struct arena *arena, const char *const *rest,
                            struct errinfo *ei)
{
    if (!rest || !rest[0])
        return err_set(ei, ERR_USAGE, "casbridge exec --on SERVER -- Get-OutlookAnywhere -Server SERVER",
                       "no cmdlet after --");
    if (!is_name(rest[0], true) || !strchr(rest[0], '-'))
        return err_set(ei, ERR_USAGE, "Verb-Noun, e.g. Get-ExchangeServer", "\"%.60s\" is no cmdlet",
                       rest[0]);
    cmdlet_init(c, arena, rest[0]);
    for (const char *const *p = rest + 1; *p; p++) {
        enum err e;
        if (!is_parameter(*p))
            return err_set(ei, ERR_USAGE, "each value follows its -Name", "\"%.60s\" belongs to no parameter",
                           *p);
        const char *name = *p + 1;
        if (p[1] && !is_parameter(p[1]))
            e = add_value(c, arena, name, *++p);
        else
            e = cmdlet_switch(c, name);
        if (e)
            return err_set(ei, e, NULL, "-%s: the value cannot be sent", name);
    }
    return ERR_OK;
}

struct host {
    const struct cmdlet *cmdlet;
    struct transport *transport;
    struct remote_target target;
    struct stop *stop;
    struct remote_result result;
    struct errinfo ei;
    enum err e;
};

static void run_host(void *arg)
{
    struct host *h = arg;
    h->e = h->transport->run(h->transport, &h->target, h->cmdlet, h->stop, &h->result, &h->ei);
}

static bool host_ok(const struct host *h)
{
    return h->e == ERR_OK && remote_result_ok(&h->result);
}

/* "verbose", "debug", "information": a list each, where the command said something. */
static void notes_json(json_t *o, const struct remote_result *r)
{
    for (size_t i = 0; i < r->notes.n; i++) {
        const struct remote_note *n = &r->notes.v[i];
        if (!json_object_get(o, n->stream))
            json_object_set_new(o, n->stream, json_array());
        json_array_append_new(json_object_get(o, n->stream), json_text(n->text));
    }
}

/* What the command returned, an array; NULL where it cannot be read, which is the host's error: it must not look like nothing. */
static json_t *host_output(struct host *h)
{
    const struct remote_result *r = &h->result;
    json_error_t why = {0};
    json_t *output = r->output_json ? json_loads(r->output_json, JSON_ALLOW_NUL, &why) : json_array();
    if (!r->output_json && r->output && *r->output &&
        json_array_append_new(output, json_text(r->output)) != 0) {
        json_decref(output);
        output = NULL;
    }
    if (output || h->e)
        return output;
    /* Where it runs out of memory in the middle of a list jansson says nothing at all. */
    bool memory = !why.text[0] || json_error_code(&why) == json_error_out_of_memory;
    h->e = err_set(&h->ei, memory ? ERR_NOMEM : ERR_PROTOCOL, "it has run: look before you send it again",
                   "the command has ended, but what it returned cannot be shown: %s",
                   memory ? err_text(ERR_NOMEM) : why.text);
    return NULL;
}

/* output: taken; NULL: none can be shown. NULL where there is no memory for all of it. */
static json_t *host_json(const struct host *h, json_t *output)
{
    const struct remote_result *r = &h->result;
    json_t *o = json_object(), *errors = json_array(), *warnings = json_array();
    if (!output)
        output = json_array();
    for (size_t i = 0; i < r->warnings.n; i++)
        json_array_append_new(warnings, json_text(r->warnings.v[i]));
    for (size_t i = 0; i < r->errors.n; i++) {
        json_t *one = json_object();
        json_object_set_new(one, "message", json_text(r->errors.v[i].message));
        json_object_set_new(one, "id", json_text(r->errors.v[i].id));
        json_object_set_new(one, "category", json_text(r->errors.v[i].category));
        json_object_set_new(one, "target", json_text(r->errors.v[i].target));
        json_array_append_new(errors, one);
    }
    if (h->e) {
        json_t *one = json_object();
        json_object_set_new(one, "message", json_text(h->ei.what));
        json_object_set_new(one, "id", json_string(err_name(h->e)));
        json_object_set_new(one, "category", json_null());
        json_object_set_new(one, "target", json_text(h->target.server));
        json_array_append_new(errors, one);
    }
    json_object_set_new(o, "server", json_text(h->target.server));
    json_object_set_new(o, "via", json_text(r->via ? r->via : h->transport->name));
    json_object_set_new(o, "ok", json_boolean(host_ok(h)));
    json_object_set_new(o, "exit_code", r->has_exit_code ? json_integer(r->exit_code) : json_null());
    json_object_set_new(o, "output", output);
    json_object_set_new(o, "warnings", warnings);
    json_object_set_new(o, "errors", errors);
    json_object_set_new(o, "elapsed_ms", json_integer(r->elapsed_ms));
    if (json_object_size(o) != 8 || json_array_size(warnings) != r->warnings.n ||
        json_array_size(errors) != r->errors.n + (h->e != ERR_OK)) {
        json_decref(o);
        return NULL;
    }
    notes_json(o, r);
    return o;
}

static void lines_text(struct buf *out, const char *s)
{
    while (*s) {
        size_t n = strcspn(s, "\n");
        str_show(out, s, n && s[n - 1] == '\r' ? n - 1 : n);
        buf_adds(out, "\n");
        s += n + (s[n] == '\n');
    }
}

/* A value in one line: text as it is, the rest as JSON. */
static void value_text(struct buf *out, json_t *value)
{
    if (json_is_string(value)) {
        str_show(out, json_string_value(value), json_string_length(value));
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    str_show(out, text ? text : "?", text ? strlen(text) : 1);
    free(text);
}

/* As PowerShell's Format-List: a property a line, objects apart. */
static void object_text(struct buf *out, json_t *object)
{
    const char *name;
    json_t *value;
    size_t width = 0;
    json_object_foreach(object, name, value)
    {
        width = strlen(name) > width ? strlen(name) : width;
    }
    width = width < 40 ? width : 40;
    json_object_foreach(object, name, value)
    {
        size_t begun = out->len;
        str_show(out, name, strlen(name));
        while (out->len - begun < width && buf_addc(out, ' ') == ERR_OK)
            ;
        buf_adds(out, " : ");
        value_text(out, value);
        buf_adds(out, "\n");
    }
    buf_adds(out, "\n");
}

static void objects_text(struct buf *out, json_t *objects)
{
    json_t *one;
    size_t i;
    json_array_foreach(objects, i, one)
    {
        if (json_is_object(one) && json_object_size(one)) {
            object_text(out, one);
        } else if (json_is_string(one)) {
            lines_text(out, json_string_value(one));
        } else {
            value_text(out, one);
            buf_adds(out, "\n");
        }
    }
}

static void host_text(struct buf *out, const struct host *h, json_t *output)
{
    const struct remote_result *r = &h->result;
    buf_adds(out, "== ");
    cli_cell(out, h->target.server, 0);
    buf_addf(out, " %s (%d ms)\n", host_ok(h) ? "ok" : "FAILED", r->elapsed_ms);
    objects_text(out, output);
    for (size_t i = 0; i < r->warnings.n; i++) {
        buf_adds(out, "warning: ");
        cli_cell(out, r->warnings.v[i], 0);
        buf_adds(out, "\n");
    }
    for (size_t i = 0; i < r->errors.n; i++) {
        buf_adds(out, "error: ");
        cli_cell(out, r->errors.v[i].message, 0);
        buf_adds(out, "\n");
    }
    if (h->e)
        buf_addf(out, "error: %s%s%s\n", h->ei.what, h->ei.hint[0] ? ": " : "", h->ei.hint);
}

/* What was said besides is no part of the result: to standard error. */
static void host_notes(const struct host *h)
{
    for (size_t i = 0; i < h->result.notes.n; i++)
        log_line(LOG_LEVEL_INFO, "%s: %s: %s", h->target.server, h->result.notes.v[i].stream,
                 h->result.notes.v[i].text);
}

/* A verb that only looks. */
static bool only_reads(const char *cmdlet)
{
    return str_istarts(cmdlet, "Get-") || str_istarts(cmdlet, "Test-");
}

/* A server named twice, or by both its names, gets the cmdlet once: what changes something is never sent again. */
static bool is_among(const struct host *hosts, size_t n, const struct server *s)
{
    for (size_t i = 0; i < n; i++)
        if (hosts[i].target.server == s->name)
            return true;
    return false;
}

COMMAND_RUN(cmd_exec)
{
    const struct exec_options *o = options;
    struct job_pool *pool = NULL;
    struct host *hosts = NULL;
    struct cmdlet cmdlet;
    struct arena arena;
    struct transport *transport = NULL;
    size_t n = 0, failed = 0;
    arena_init(&arena, (size_t)4 << 20);
    enum err e = read_cmdlet(&cmdlet, &arena, rest, ei);
    if (!e && o->on.n + words->n == 0)
        e = err_set(ei, ERR_USAGE, "--on SERVER", "exec wants at least one server");
    if (!e && cli_read_only(cli) && !only_reads(cmdlet.name))
        e = err_set(ei, ERR_REFUSED, "only Get- and Test- cmdlets are run then",
                    "%s would change something and this is read-only", cmdlet.name);
    if (!e)
        e = cli_read(cli, ei);
    if (!e)
        e = cli_transport(cli, o->via, &transport, ei);
    if (!e)
        e = job_pool_new(&pool, o->parallel ? (unsigned)o->parallel : 8, ei);
    if (!e && !(hosts = calloc(o->on.n + words->n, sizeof *hosts)))
        e = err_set(ei, ERR_NOMEM, NULL, "no memory");
    for (size_t i = 0; !e && i < o->on.n + words->n; i++) {
        const char *name = i < o->on.n ? o->on.v[i] : words->v[i - o->on.n];
        const struct server *s = org_server(cli->org, name);
        if (!s)
            e = err_set(ei, ERR_USAGE, "casbridge inventory lists them", "there is no server %s", name);
        else if (!is_among(hosts, n, s))
            hosts[n++] = (struct host){.cmdlet = &cmdlet,
                                       .transport = transport,
                                       .stop = &cli->stop,
                                       .target = {s->name, s->fqdn, s->generation}};
    }
    for (size_t i = 0; !e && i < n; i++)
        e = job_pool_submit(pool, run_host, NULL, &hosts[i]);
    if (pool)
        job_pool_wait(pool);
    json_t *list = json_array();
    for (size_t i = 0; !e && i < n; i++) {
        json_t *output = host_output(&hosts[i]);
        failed += !host_ok(&hosts[i]);
        if (cli->format == FORMAT_JSON) {
            if (json_array_append_new(list, host_json(&hosts[i], output)) != 0)
                e = err_set(ei, ERR_NOMEM, NULL, "no memory for the document");
            continue;
        }
        host_text(&cli->out, &hosts[i], output);
        json_decref(output);
        host_notes(&hosts[i]);
    }
    if (!e && cli->format == FORMAT_JSON)
        e = cli_json(cli, json_incref(list), ei);
    json_decref(list);
    if (!e && failed)
        *code = err_exit_code(stop_is_raised(&cli->stop) ? ERR_INTERRUPTED : ERR_PARTIAL);
    for (size_t i = 0; i < n; i++)
        remote_result_fini(&hosts[i].result);
    job_pool_free(&pool);
    free(hosts);
    if (transport)
        transport->free(transport);
    arena_fini(&arena);
    return e;
}
