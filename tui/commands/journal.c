/* casbridge journal, journal verify */
#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/report/json.h"
#include "tui/commands/cli.h"

#include <string.h>

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
        buf_adds(&cli->out, "The journal is empty.\n");
    json_decref(list);
    journal_runs_free(&runs);
    return e;
}

static enum err show_run(struct cli *cli, const char *run, struct errinfo *ei)
{
    journal_records records = {0};
    char at[CLOCK_TEXT_SIZE];
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
        buf_addf(&cli->out, "%6lld  ", (long long)r->id);
        cli_cell(&cli->out, clock_rfc3339(r->at, at), 20);
        cli_cell(&cli->out, r->server ? r->server : "run", 14);
        cli_cell(&cli->out, r->phase, 8);
        cli_cell(&cli->out, r->cmdlet ? r->cmdlet : r->detail ? r->detail : "", 0);
        buf_adds(&cli->out, "\n");
    }
    if (!e && cli->format == FORMAT_JSON)
        e = cli_json(cli, json_incref(list), ei);
    json_decref(list);
    journal_records_free(&records);
    return e;
}

COMMAND_RUN(cmd_journal)
{
    (void)options, (void)rest, (void)code;
    if (words->n > 1)
        return err_set(ei, ERR_USAGE, "casbridge journal [RUN], casbridge journal verify",
                       "one run at a time");
    enum err e = cli_store(cli, ei);
    if (e)
        return e;
    if (words->n == 0)
        return show_runs(cli, ei);
    if (strcmp(words->v[0], "verify") != 0)
        return show_run(cli, words->v[0], ei);
    size_t n = 0;
    e = journal_verify(cli->store, &n, ei);
    if (cli->format == FORMAT_JSON) {
        json_t *o = json_object();
        json_object_set_new(o, "records", json_integer((json_int_t)n));
        json_object_set_new(o, "whole", json_boolean(e == ERR_OK));
        json_object_set_new(o, "error", e ? json_text(ei->what) : json_null());
        enum err e2 = cli_json(cli, o, NULL);
        return e ? e : e2;
    }
    if (!e)
        buf_addf(&cli->out, "The journal is whole: %zu records.\n", n);
    return e;
}
