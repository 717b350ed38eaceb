/* casbridge journal, journal verify */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/report/json.h"
#include "tui/commands/cli.h"

#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FOLLOW_MS 250

const struct arg_spec journal_specs[] = {
    {"follow", 0, ARG_FLAG, offsetof(struct journal_options, follow), NULL,
     "go on as records come, of that run until it ends, or of all"},
    {0},
};

static json_t *object_or_null(const char *text)
{
    json_t *o = text ? json_loads(text, 0, NULL) : NULL;
    return o ? o : json_null();
}

static json_t *record_json(const struct journal_record *r)
{
    json_t *o = json_object();
    json_object_set_new(o, "id", json_integer(r->id));
    json_object_set_new(o, "run", json_text(r->run));
    json_object_set_new(o, "at", json_time(r->at));
    json_object_set_new(o, "step", r->step ? json_integer(r->step) : json_null());
    json_object_set_new(o, "server", json_text(r->server));
    json_object_set_new(o, "phase", json_text(r->phase));
    json_object_set_new(o, "who", json_text(r->who));
    json_object_set_new(o, "from", json_text(r->from));
    json_object_set_new(o, "why", json_text(r->why));
    json_object_set_new(o, "cmdlet", json_text(r->cmdlet));
    json_object_set_new(o, "before", object_or_null(r->before));
    json_object_set_new(o, "after", object_or_null(r->after));
    json_object_set_new(o, "detail", json_text(r->detail));
    json_object_set_new(o, "hash", json_text(r->hash));
    return o;
}

static enum err say_no_runs(struct cli *cli, struct errinfo *ei)
{
    if (cli->format == FORMAT_JSON)
        return cli_json(cli, json_array(), ei);
    buf_adds(&cli->out, "The journal is empty.\n");
    return ERR_OK;
}

static enum err show_runs(struct cli *cli, struct errinfo *ei)
{
    journal_runs runs = {0};
    char at[CLOCK_TEXT_SIZE];
    enum err e = journal_list(cli->store, &runs, ei);
    json_t *list = json_array();
    for (size_t i = 0; !e && i < runs.n; i++) {
        const struct journal_run *r = &runs.v[i];
        if (cli->format == FORMAT_JSON) {
            json_t *o = json_object();
            json_object_set_new(o, "run", json_text(r->run));
            json_object_set_new(o, "begun", json_time(r->begun));
            json_object_set_new(o, "ended", json_time(r->ended));
            json_object_set_new(o, "who", json_text(r->who));
            json_object_set_new(o, "organization", json_text(r->organization));
            json_object_set_new(o, "status", json_text(r->status));
            json_object_set_new(o, "steps", json_integer(r->steps));
            json_object_set_new(o, "done", json_integer(r->done));
            json_object_set_new(o, "failed", json_integer(r->failed));
            json_array_append_new(list, o);
        } else {
            cli_cell(&cli->out, r->run, 24);
            cli_cell(&cli->out, clock_rfc3339(r->begun, at), 20);
            cli_cell(&cli->out, r->status, 12);
            buf_addf(&cli->out, "%3d of %3d done, %d failed  ", r->done, r->steps, r->failed);
            cli_cell(&cli->out, r->who, 0);
            buf_adds(&cli->out, "\n");
        }
    }
    if (!e && cli->format == FORMAT_JSON)
        e = cli_json(cli, json_incref(list), ei);
    else if (!e && !runs.n)
        e = say_no_runs(cli, ei);
    json_decref(list);
    journal_runs_free(&runs);
    return e;
}

/* The values of a capture, without its step as JSON, which nobody reads on a line. False when it has another form. */
static bool say_capture(struct buf *out, const struct journal_record *r)
{
    json_t *before = str_eq(r->phase, "capture") && r->before ? json_loads(r->before, 0, NULL) : NULL;
    const char *dn, *name;
    json_t *values, *list;
    bool any = false;
    json_object_foreach(before, dn, values)
    {
        json_object_foreach(values, name, list)
        {
            buf_adds(out, any ? "; " : "");
            cli_cell(out, name, 0);
            for (size_t i = 0; i < json_array_size(list); i++) {
                buf_adds(out, i ? ", " : " ");
                cli_cell(out, json_string_value(json_array_get(list, i)), 0);
            }
            buf_adds(out, json_array_size(list) ? "" : " absent");
            any = true;
        }
    }
    json_decref(before);
    return any;
}

static void say_record(struct cli *cli, const struct journal_record *r)
{
    char at[CLOCK_TEXT_SIZE];
    buf_addf(&cli->out, "%6lld  ", (long long)r->id);
    cli_cell(&cli->out, clock_rfc3339(r->at, at), 20);
    cli_cell(&cli->out, r->server ? r->server : "run", 14);
    cli_cell(&cli->out, r->phase, 8);
    if (!say_capture(&cli->out, r))
        cli_cell(&cli->out, r->cmdlet ? r->cmdlet : r->detail ? r->detail : "", 0);
    buf_adds(&cli->out, "\n");
}

static enum err show_run(struct cli *cli, const char *run, struct errinfo *ei)
{
    journal_records records = {0};
    enum err e = journal_read(cli->store, run, &records, ei);
    if (!e && !records.n)
        e = err_set(ei, ERR_NOTFOUND, "casbridge journal lists the runs", "there is no run %s", run);
    json_t *list = json_array();
    for (size_t i = 0; !e && i < records.n; i++) {
        const struct journal_record *r = &records.v[i];
        if (cli->format == FORMAT_JSON) {
            json_array_append_new(list, record_json(r));
            continue;
        }
        say_record(cli, r);
    }
    if (!e && cli->format == FORMAT_JSON)
        e = cli_json(cli, json_incref(list), ei);
    json_decref(list);
    journal_records_free(&records);
    return e;
}

/* Whether the run, as far as it was shown, has ended: a later "resume" opens it again. */
struct following {
    const char *run; /* NULL: all */
    int64_t shown;
    bool ended;
};

static enum err show_after(struct cli *cli, struct store *store, struct following *f, struct errinfo *ei)
{
    journal_records records = {0};
    enum err e;
    do {
        e = journal_read_after(store, f->shown, f->run, &records, ei);
        for (size_t i = 0; !e && i < records.n; i++) {
            const struct journal_record *r = &records.v[i];
            f->shown = r->id;
            if (r->step == 0 && f->run)
                f->ended = str_eq(r->phase, "end");
            if (cli->format == FORMAT_JSON) {
                json_t *o = record_json(r);
                char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
                buf_adds(&cli->out, line ? line : "");
                buf_adds(&cli->out, line ? "\n" : "");
                free(line);
                json_decref(o);
            } else {
                say_record(cli, r);
            }
        }
        size_t n = records.n;
        journal_records_free(&records);
        if (!e)
            e = cli_flush(cli, ei);
        if (!n)
            break;
    } while (!e);
    return e;
}

/* A server that went away is waited for: who watches a run overnight wants to see its end. */
static enum err follow(struct cli *cli, const char *run, struct errinfo *ei)
{
    struct following f = {.run = run};
    struct store_watch *w = NULL;
    bool look = true, gone = false;
    if (cli->o.output && strcmp(cli->o.output, "-") != 0)
        return err_set(ei, ERR_USAGE, "redirect standard output", "--follow and --output do not go together");
    if (run) { /* that it is there is found out before anything is waited for */
        journal_records records = {0};
        enum err e = journal_read(cli->store, run, &records, ei);
        journal_records_free(&records);
        if (e)
            return e;
    }
    enum err e = run ? ERR_OK : journal_last(cli->store, &f.shown, ei);
    if (e)
        return e;
    struct store *own = cli->store;
    cli->store = NULL;
    e = store_watch_open(&w, own, ei);
    while (!e && !f.ended && !(e = stop_check(&cli->stop, ei, "following the journal"))) {
        struct store_moved moved = {0};
        if (!look)
            e = store_watch_poll(w, FOLLOW_MS, &moved, ei);
        look = look || moved.journal;
        if (!e && look && !(e = show_after(cli, store_watch_store(w), &f, ei)))
            look = false;
        if (e == ERR_UNREACHABLE && !gone)
            log_err(ei);
        gone = e == ERR_UNREACHABLE;
        if (gone) {
            poll(NULL, 0, FOLLOW_MS);
            e = ERR_OK;
        }
    }
    store_watch_close(&w);
    return e;
}

COMMAND_RUN(cmd_journal)
{
    const struct journal_options *o = options;
    (void)rest, (void)code;
    bool verify = words->n && strcmp(words->v[0], "verify") == 0;
    if (words->n > 1 || (verify && o->follow))
        return err_set(ei, ERR_USAGE, "casbridge journal [RUN] [--follow], casbridge journal verify",
                       words->n > 1 ? "one run at a time" : "verify looks once");
    enum err e = cli_store(cli, ei);
    if (e == ERR_NOTFOUND && !words->n && !o->follow) /* read-only, and nothing was ever done from here */
        return say_no_runs(cli, ei);
    if (e)
        return e;
    if (o->follow)
        return follow(cli, words->n ? words->v[0] : NULL, ei);
    if (words->n == 0)
        return show_runs(cli, ei);
    if (!verify)
        return show_run(cli, words->v[0], ei);
    size_t n = 0;
    e = journal_verify(cli->store, &n, ei);
    if (cli->format == FORMAT_JSON) {
        json_t *said = json_object();
        json_object_set_new(said, "records", json_integer((json_int_t)n));
        json_object_set_new(said, "whole", json_boolean(e == ERR_OK));
        json_object_set_new(said, "error", e ? json_text(ei->what) : json_null());
        enum err e2 = cli_json(cli, said, NULL);
        return e ? e : e2;
    }
    if (!e)
        buf_addf(&cli->out, "The journal is whole: %zu records.\n", n);
    return e;
}
