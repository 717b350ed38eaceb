/* casbridge snapshot, casbridge diff: what was, kept; what moved since. */
#include "core/base/clock.h"
#include "core/base/str.h"
#include "core/report/diff.h"
#include "core/report/json.h"
#include "tui/commands/cli.h"

#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#define KEPT_MAX     ((size_t)256 * 1024 * 1024)
#define EVIDENCE_MAX ((size_t)256 * 1024 * 1024)

const struct arg_spec snapshot_specs[] = {
    {"probe", 0, ARG_FLAG, offsetof(struct snapshot_options, probe), NULL,
     "ask every CAS on the wire first; else the directory only"},
    REMOTE_SPECS(struct snapshot_options),
    {0},
};

static enum err to_file(struct cli *cli, const struct snapshot_options *o, struct errinfo *ei)
{
    char who[256], from[256], names[SNAPSHOT_NAMESPACES][256];
    acceptances accepted = {0};
    struct snapshot_facts f = {.made_at = clock_unix(),
                               .made_by = who,
                               .program = "casbridge " VERSION_STRING,
                               .probed = o->probe,
                               .target = cli_target(cli),
                               .legacy_namespace = profile_get(&cli->profile, PROFILE_legacy_namespace, NULL),
                               .poll_interval_s = profile_int(&cli->profile, PROFILE_poll_interval, 900)};
    cli_who(cli, who, sizeof who, from, sizeof from);
    while (f.n_namespaces < SNAPSHOT_NAMESPACES &&
           profile_namespace(&cli->profile, f.n_namespaces, names[f.n_namespaces], sizeof names[0])) {
        f.namespaces[f.n_namespaces] = names[f.n_namespaces];
        f.n_namespaces++;
    }
    enum err e = cli_accepted(cli, cli->org->name, NULL, &accepted, ei);
    if (!e)
        e = snapshot_write(cli->o.output, &f, cli->org, &cli->kept, &cli->evidence, &accepted, ei);
    acceptances_free(&accepted);
    return e;
}

COMMAND_RUN(cmd_snapshot)
{
    const struct snapshot_options *o = options;
    (void)rest, (void)code;
    if (words->n)
        return err_set(ei, ERR_USAGE, "casbridge help snapshot", "snapshot takes no words: %s", words->v[0]);
    if (!cli->o.output || strcmp(cli->o.output, "-") == 0)
        return err_set(ei, ERR_USAGE, "casbridge snapshot -o FILE", "a snapshot wants a file to go to");
    if (snapshot_path(cli_source(cli)))
        return err_set(ei, ERR_USAGE, "copy the file", "%s is a snapshot already", cli_source(cli));
    cli->keep = true;
    buf_init(&cli->kept, KEPT_MAX);
    enum err e = cli_ask_hosts(cli, o->remote, o->via, ei);
    if (!e)
        e = o->probe ? cli_evaluate(cli, true, ei) : cli_read(cli, ei);
    if (!e)
        e = to_file(cli, o, ei);
    if (e)
        return e;
    json_t *j = json_object();
    json_object_set_new(j, "file", json_text(cli->o.output));
    json_object_set_new(j, "organization", json_text(cli->org->name));
    json_object_set_new(j, "servers", json_integer((json_int_t)cli->org->n_servers));
    json_object_set_new(j, "observations", json_integer((json_int_t)cli->evidence.items.n));
    if (cli->format == FORMAT_TEXT) {
        cli_cell(&cli->out, cli->o.output, 0);
        buf_addf(&cli->out, ": %zu servers, %zu observations\n", cli->org->n_servers, cli->evidence.items.n);
    }
    e = cli->format == FORMAT_JSON ? cli_json(cli, json_incref(j), ei) : ERR_OK;
    json_decref(j);
    cli->o.output = NULL; /* that is the snapshot; what is said about it goes to the terminal */
    return e;
}

/* ---- diff */

struct side {
    struct snapshot *snapshot;
    struct org *own_org; /* of another source than a snapshot */
    const struct org *org;
    struct evidence evidence;
    struct findings findings;
};

static void side_fini(struct side *s)
{
    findings_fini(&s->findings);
    evidence_fini(&s->evidence);
    org_free(&s->own_org);
    snapshot_free(&s->snapshot);
}

/* "live", a source, or the path of a snapshot. */
static enum err read_side(struct cli *cli, const char *name, struct side *s, struct errinfo *ei)
{
    char source[1024];
    struct stat st;
    bool live = str_eq(name, "live");
    if (!live && stat(name, &st) == 0)
        str_fmt(source, sizeof source, "snapshot:%s", name);
    else
        str_copy(source, sizeof source, live ? "" : name);
    if (!live && !str_istarts(source, "ldap") && !str_istarts(source, "ldif:") && !snapshot_path(source))
        return err_set(ei, ERR_INPUT, "name a snapshot, ldif:FILE, ldap://HOST or live",
                       "%.100s is not there", name);
    enum err e = cli_read_source(cli, live ? cli_source(cli) : source, NULL, &s->snapshot, &s->own_org, ei);
    if (e)
        return e;
    s->org = s->snapshot ? s->snapshot->org : s->own_org;
    if (s->snapshot && evidence_merge(&s->evidence, &s->snapshot->evidence))
        return err_set(ei, ERR_LIMIT, NULL, "there is more evidence than fits");
    return cli_judge(cli, s->org, &s->evidence, s->snapshot, false, &s->findings, ei);
}

static json_t *side_json(const struct side *s)
{
    json_t *o = json_object();
    json_object_set_new(o, "organization", json_text(s->org->name));
    json_object_set_new(o, "source", json_text(s->org->source));
    json_object_set_new(o, "taken_at", json_time(s->org->taken_at));
    json_object_set_new(o, "verdict", json_string(verdict_name(s->findings.verdict)));
    json_object_set_new(o, "probed", json_boolean(s->evidence.items.n > 0));
    return o;
}

static json_t *diff_json(const struct side *a, const struct side *b, const struct diff *d)
{
    json_t *o = json_object(), *list = json_array();
    json_object_set_new(o, "before", side_json(a));
    json_object_set_new(o, "after", side_json(b));
    for (size_t i = 0; i < d->changes.n; i++) {
        const struct diff_change *c = &d->changes.v[i];
        json_t *j = json_object();
        json_object_set_new(j, "area", json_string(diff_area_id(c->area)));
        json_object_set_new(j, "subject", json_text(c->subject));
        json_object_set_new(j, "property", json_text(c->property));
        json_object_set_new(j, "before", json_text(c->before));
        json_object_set_new(j, "after", json_text(c->after));
        json_array_append_new(list, j);
    }
    json_object_set_new(o, "changes", list);
    return o;
}

static void diff_csv(struct buf *out, const struct diff *d)
{
    buf_adds(out, "area,subject,property,before,after\r\n");
    for (size_t i = 0; i < d->changes.n; i++) {
        const struct diff_change *c = &d->changes.v[i];
        cli_csv(out, diff_area_id(c->area), false);
        cli_csv(out, c->subject, false);
        cli_csv(out, c->property, false);
        cli_csv(out, c->before, false);
        cli_csv(out, c->after, true);
    }
}

static void side_line(struct buf *out, const char *label, const struct side *s)
{
    char at[CLOCK_TEXT_SIZE];
    buf_adds(out, label);
    cli_cell(out, s->org->source, 0);
    buf_addf(out, ", %s, %s%s\n", clock_rfc3339(s->org->taken_at, at), verdict_text(s->findings.verdict),
             s->evidence.items.n ? "" : ", the wire was not asked");
}

static void diff_text(struct buf *out, const struct side *a, const struct side *b, const struct diff *d)
{
    side_line(out, "before  ", a);
    side_line(out, "after   ", b);
    buf_adds(out, "\n");
    for (size_t i = 0; i < d->changes.n; i++) {
        const struct diff_change *c = &d->changes.v[i], *last = i ? c - 1 : NULL;
        if (!last || last->area != c->area || !str_eq(last->subject, c->subject)) {
            buf_addf(out, "%s ", diff_area_words(c->area));
            cli_cell(out, c->subject, 0);
            buf_adds(out, "\n");
        }
        if (!c->property && c->area != DIFF_FINDING) {
            buf_adds(out, c->after ? "    new" : "    gone");
            const char *what = c->after ? c->after : c->before;
            if (what && *what) {
                buf_adds(out, ": ");
                cli_cell(out, what, 0);
            }
            buf_adds(out, "\n");
            continue;
        }
        buf_adds(out, "    ");
        if (c->property) {
            buf_adds(out, c->property);
            buf_adds(out, ": ");
        }
        cli_cell(out, c->before ? c->before : "nothing", 0);
        buf_adds(out, "  ->  ");
        cli_cell(out, c->after ? c->after : "nothing", 0);
        buf_adds(out, "\n");
    }
    if (d->changes.n)
        buf_addf(out, "\n%zu changes.\n", d->changes.n);
    else
        buf_adds(out, "Nothing moved.\n");
}

COMMAND_RUN(cmd_diff)
{
    struct side sides[2] = {0};
    struct diff d = {0};
    (void)options, (void)rest, (void)code;
    if (words->n != 2)
        return err_set(ei, ERR_USAGE, "casbridge help diff", "diff wants two: snapshots, ldif:FILE, or live");
    enum err e = ERR_OK;
    for (size_t i = 0; i < 2; i++) {
        evidence_init(&sides[i].evidence, EVIDENCE_MAX);
        findings_init(&sides[i].findings);
    }
    for (size_t i = 0; !e && i < 2; i++)
        e = read_side(cli, words->v[i], &sides[i], ei);
    const struct diff_side a = {sides[0].org, &sides[0].evidence, &sides[0].findings},
                           b = {sides[1].org, &sides[1].evidence, &sides[1].findings};
    if (!e)
        e = diff_build(&d, &a, &b, ei);
    if (!e && cli->format == FORMAT_JSON)
        e = cli_json(cli, diff_json(&sides[0], &sides[1], &d), ei);
    else if (!e && cli->format == FORMAT_CSV)
        diff_csv(&cli->out, &d);
    else if (!e)
        diff_text(&cli->out, &sides[0], &sides[1], &d);
    diff_fini(&d);
    side_fini(&sides[0]);
    side_fini(&sides[1]);
    return e;
}
