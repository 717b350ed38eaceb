/* casbridge store: what the store is and who has it; everything into another one. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/report/json.h"
#include "tui/commands/cli.h"

#include <stddef.h>
#include <string.h>

static json_t *copied_json(const struct store_copied *c)
{
    json_t *o = json_object();
    json_object_set_new(o, "records", json_integer(c->records));
    json_object_set_new(o, "accepted", json_integer(c->accepted));
    json_object_set_new(o, "gates", json_integer(c->progress));
    json_object_set_new(o, "evidence", json_integer(c->evidence));
    return o;
}

static json_t *holder_json(const struct store_holder *h)
{
    json_t *o = json_object();
    json_object_set_new(o, "who", json_text(h->who));
    json_object_set_new(o, "host", json_text(h->host));
    json_object_set_new(o, "pid", json_integer(h->pid));
    json_object_set_new(o, "since", json_time(h->since));
    json_object_set_new(o, "reason", json_text(h->reason));
    json_object_set_new(o, "ended", json_boolean(h->ended));
    return o;
}

static json_t *evidence_json(const store_evidences *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->n; i++) {
        const struct store_evidence *e = &list->v[i];
        json_t *o = json_object();
        json_object_set_new(o, "organization", json_text(e->organization));
        json_object_set_new(o, "version", json_integer(e->version));
        json_object_set_new(o, "at", json_time(e->at));
        json_object_set_new(o, "by", json_text(e->who));
        json_object_set_new(o, "from", json_text(e->from));
        json_object_set_new(o, "observations", json_integer(e->n));
        json_array_append_new(out, o);
    }
    return out;
}

static void say_holder(struct cli *cli, const struct store_holder *h)
{
    char since[CLOCK_TEXT_SIZE];
    buf_adds(&cli->out, "lock      ");
    cli_cell(&cli->out, h->who, 0);
    buf_adds(&cli->out, " on ");
    cli_cell(&cli->out, h->host, 0);
    buf_addf(&cli->out, " (process %lld) since %s: ", (long long)h->pid, clock_rfc3339(h->since, since));
    cli_cell(&cli->out, h->reason, 0);
    buf_adds(&cli->out, h->ended ? "; has ended, the next to ask gets it\n" : "\n");
}

static void say_evidence(struct cli *cli, const store_evidences *list)
{
    char at[CLOCK_TEXT_SIZE];
    for (size_t i = 0; i < list->n; i++) {
        const struct store_evidence *e = &list->v[i];
        buf_adds(&cli->out, "evidence  ");
        cli_cell(&cli->out, e->organization, 0);
        buf_addf(&cli->out, ": %lld observations of %s by ", (long long)e->n, clock_rfc3339(e->at, at));
        cli_cell(&cli->out, e->who, 0);
        if (e->from) {
            buf_adds(&cli->out, " on ");
            cli_cell(&cli->out, e->from, 0);
        }
        buf_adds(&cli->out, "\n");
    }
}

static enum err status(struct cli *cli, struct errinfo *ei)
{
    struct store_copied n = {0};
    struct store_holder h = {0};
    store_evidences kept = {0};
    struct errinfo nobody = {0};
    enum err e = cli_store(cli, ei);
    if (!e)
        e = store_count(cli->store, &n, ei);
    if (!e)
        e = store_evidence_list(cli->store, NULL, &kept, ei);
    enum err held = e ? ERR_NOTFOUND : store_lock_holder(cli->store, &h, &nobody);
    if (!e && held && held != ERR_NOTFOUND) {
        *ei = nobody;
        e = held;
    }
    if (!e && cli->format == FORMAT_JSON) {
        json_t *o = copied_json(&n);
        json_object_set_new(o, "kind", json_text(store_kind(cli->store)));
        json_object_set_new(o, "name", json_text(store_name(cli->store)));
        json_object_set_new(o, "layout", json_integer(STORE_LAYOUT));
        json_object_set_new(o, "holder", held ? json_null() : holder_json(&h));
        json_object_set_new(o, "evidence", evidence_json(&kept));
        e = cli_json(cli, o, ei);
    } else if (!e) {
        buf_adds(&cli->out, "store     ");
        cli_cell(&cli->out, store_name(cli->store), 0);
        buf_addf(&cli->out,
                 "\nkind      %s, layout %d\nholds     %lld records, %lld accepted findings, %lld gates\n",
                 store_kind(cli->store), STORE_LAYOUT, (long long)n.records, (long long)n.accepted,
                 (long long)n.progress);
        say_evidence(cli, &kept);
        if (held)
            buf_adds(&cli->out, "lock      free\n");
        else
            say_holder(cli, &h);
    }
    store_evidences_free(&kept);
    store_holder_fini(&h);
    return e;
}

const struct arg_spec store_specs[] = {
    {"from-password", 0, ARG_TEXT, offsetof(struct store_options, from_password), "REF",
     "copy: password of FROM (PostgreSQL): file:PATH, env:NAME, ask; else the profile's, at its own server "
     "only"},
    {"to-password", 0, ARG_TEXT, offsetof(struct store_options, to_password), "REF", "copy: password of TO"},
    {0},
};

/*
 * A store of the command line. The profile's password is for the server that the profile names: whoever is behind another address could
 * ask for it in the clear. Only looked at, the store is not made.
 */
static enum err open_named(struct cli *cli, struct store **out, const char *spec, const char *ref,
                           const char *option, bool looks, struct errinfo *ei)
{
    const char *kept = profile_get(&cli->profile, PROFILE_store_password, NULL);
    bool ours = store_same_server(spec, profile_get(&cli->profile, PROFILE_store, NULL));
    struct profile p = {0};
    if (!ref && ours)
        ref = kept;
    enum err e = profile_set(&p, PROFILE_store, spec, ei);
    if (!e && ref && (e = profile_set(&p, PROFILE_store_password, ref, ei)))
        e = err_set(ei, ERR_USAGE, "write file:PATH, env:NAME or ask", "--%s is no reference to a password",
                    option);
    if (!e && looks)
        e = profile_set(&p, PROFILE_read_only, "yes", ei);
    if (!e)
        e = store_open_profile(out, &p, ei);
    if (e == ERR_AUTH && kept && !ref)
        err_hint(
            ei,
            "the profile's store_password is only for the server of the profile's store, reached as there: "
            "give --%s, or PGPASSFILE",
            option);
    profile_fini(&p);
    return e;
}

static enum err copy(struct cli *cli, const struct store_options *o, const char *from_spec,
                     const char *to_spec, struct errinfo *ei)
{
    struct store *from = NULL, *to = NULL;
    struct store_copied done = {0};
    char who[256], host[256];
    bool locked = false;
    if (cli_read_only(cli))
        return err_set(ei, ERR_REFUSED, "drop --read-only, or read_only from the profile",
                       "the copy is a new store, and this is read-only");
    enum err e = open_named(cli, &from, from_spec, o->from_password, "from-password", true, ei);
    if (!e)
        e = open_named(cli, &to, to_spec, o->to_password, "to-password", false, ei);
    cli_who(cli, who, sizeof who, host, sizeof host);
    if (!e && !(e = store_lock(from, who, "store copy",
                               ei))) /* what a run appends meanwhile would be left behind */
        locked = true;
    if (!e)
        e = store_copy(from, to, &cli->stop, &done, ei);
    if (locked)
        store_unlock(from);
    if (!e && cli->format == FORMAT_JSON) {
        json_t *said = copied_json(&done);
        json_object_set_new(said, "from", json_text(store_name(from)));
        json_object_set_new(said, "to", json_text(store_name(to)));
        e = cli_json(cli, said, ei);
    } else if (!e) {
        buf_adds(&cli->out, "Copied to ");
        cli_cell(&cli->out, store_name(to), 0);
        buf_addf(&cli->out,
                 ": %lld records (the chain is whole), %lld accepted findings, %lld gates, evidence of %lld "
                 "organisations.\n",
                 (long long)done.records, (long long)done.accepted, (long long)done.progress,
                 (long long)done.evidence);
    }
    store_close(&from);
    store_close(&to);
    return e;
}

COMMAND_RUN(cmd_store)
{
    const struct store_options *o = options;
    (void)rest, (void)code;
    const char *verb = words->n ? words->v[0] : "status";
    if (strcmp(verb, "status") == 0 && words->n <= 1)
        return status(cli, ei);
    if (strcmp(verb, "copy") == 0 && words->n == 3)
        return copy(cli, o, words->v[1], words->v[2], ei);
    return err_set(ei, ERR_USAGE, "casbridge store status, casbridge store copy FROM TO",
                   strcmp(verb, "copy") == 0 ? "copy wants two stores" : "store wants status or copy");
}
