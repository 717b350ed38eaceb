/* casbridge apply, rollback, resume: the commands that change something. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/plan/plan.h"
#include "core/report/json.h"
#include "tui/commands/cli.h"

#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PLAN_FILE ((size_t)32 * 1024 * 1024)
#define SHOWN_STEPS   40

#define APPLY_SPECS                                                                                            \
    {"via",                                                                                                    \
     0,                                                                                                        \
     ARG_TEXT,                                                                                                 \
     offsetof(struct apply_options, via),                                                                      \
     "ssh|winrm|psrp",                                                                                         \
     "transport; else the profile's, else by version and what answers"},                                       \
        {"yes",    0,                                                                                          \
         ARG_TEXT, offsetof(struct apply_options, yes),                                                        \
         "ORG",    "the organisation's name, instead of asking"},                                              \
        {"reason", 0, ARG_TEXT, offsetof(struct apply_options, reason), "TEXT", "why; goes into the journal"}, \
        {"force-lock", 0,                                                                                      \
         ARG_TEXT,     offsetof(struct apply_options, force_lock),                                             \
         "REASON",     "take the lock away from its holder; recorded"},                                        \
        {"canary",  0,                                                                                         \
         ARG_COUNT, offsetof(struct apply_options, canary),                                                    \
         "N",       "hosts done first, one by one (1)"},                                                       \
        {"wave",    0,                                                                                         \
         ARG_COUNT, offsetof(struct apply_options, wave),                                                      \
         "N",       "hosts after the canary between two waits for all of them (8 times --parallel)"},          \
        {"max-fail", 0,                                                                                        \
         ARG_COUNT,  offsetof(struct apply_options, max_fail),                                                 \
         "N",        "stop after so many failed hosts (1)"},                                                   \
    {                                                                                                          \
        "parallel", 0, ARG_COUNT, offsetof(struct apply_options, parallel), "N", "hosts at once (8)"           \
    }
const struct arg_spec apply_specs[] = {APPLY_SPECS, {0}};
const struct arg_spec rollback_specs[] = {
    APPLY_SPECS,
    {"server", 0, ARG_LIST, offsetof(struct apply_options, servers), "S", "only this server; repeatable"},
    {0},
};

struct shown {
    struct cli *cli;
    const struct plan *plan;
};

/* One line per host and phase. */
static void progress(void *arg, const char *run, const struct plan_step *step, enum plan_phase phase,
                     const char *detail)
{
    struct shown *shown = arg;
    if (shown->cli->format == FORMAT_JSON) {
        json_t *o = json_object();
        json_object_set_new(o, "run", json_text(run));
        json_object_set_new(o, "step", step ? json_integer(step->n) : json_null());
        json_object_set_new(o, "server", json_text(step ? step->server : NULL));
        json_object_set_new(o, "phase", json_string(plan_phase_name(phase)));
        json_object_set_new(o, "detail", json_text(detail));
        char *text = json_dumps(o, JSON_COMPACT);
        if (text)
            puts(text);
        free(text);
        json_decref(o);
    } else {
        struct buf line;
        buf_init(&line, 65536);
        cli_cell(&line, step ? step->server : "run", 14);
        cli_cell(&line, plan_phase_name(phase), 8);
        cli_cell(&line, detail ? detail : "", 0);
        puts(buf_str(&line));
        buf_fini(&line);
    }
    fflush(stdout);
}

/* A Ctrl-C just before the read would be seen only after the next line. */
static bool read_answer(const struct cli *cli, char *answer, int size)
{
    struct pollfd in = {STDIN_FILENO, POLLIN, 0};
    while (!stop_is_raised(&cli->stop))
        if (poll(&in, 1, 250) > 0)
            return fgets(answer, size, stdin) != NULL;
    return false;
}

/* What a person reads before typing the name: above all of a way back, which nobody has seen yet. */
static void show_steps(const struct plan *plan)
{
    struct buf text, line;
    buf_init(&text, MAX_PLAN_FILE);
    buf_init(&line, 65536);
    if (plan->rollback_of)
        buf_addf(&text, "To take run %s back:\n", plan->rollback_of);
    for (size_t i = 0; i < plan->n_steps && i < SHOWN_STEPS; i++) {
        const struct plan_step *s = &plan->steps[i];
        buf_reset(&line);
        bool told = !s->skip && cmdlet_text(&line, &s->cmdlet, NULL) == ERR_OK;
        buf_adds(&text, "  ");
        cli_cell(&text, s->server, 14);
        cli_cell(&text, s->skip ? s->skip : told ? buf_str(&line) : s->cmdlet.name, 0);
        buf_adds(&text, "\n");
    }
    if (plan->n_steps > SHOWN_STEPS)
        buf_addf(&text, "  and %zu more\n", plan->n_steps - SHOWN_STEPS);
    fputs(buf_str(&text), stderr);
    buf_fini(&line);
    buf_fini(&text);
}

/* what: the sentence that a person reads before typing the name. plan: NULL when it is not known yet. */
static enum err confirm(const struct cli *cli, const char *yes, const struct plan *plan, const char *what,
                        struct errinfo *ei)
{
    const char *org = cli->org->name;
    char answer[256];
    if (yes)
        return str_eq(yes, org) ? ERR_OK
                                : err_set(ei, ERR_REFUSED, "write its name as inventory shows it",
                                          "--yes %s is not this organisation's name", yes);
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return err_set(ei, ERR_REFUSED, "give --yes with the organisation's name",
                       "not confirmed: there is no terminal to ask on");
    if (plan)
        show_steps(plan);
    fprintf(stderr, "Organisation %s: %s. Type its name to go on: ", org, what);
    if (!read_answer(cli, answer, sizeof answer))
        return stop_is_raised(&cli->stop)
                   ? err_set(ei, ERR_INTERRUPTED, NULL, "interrupted: nothing was changed")
                   : err_set(ei, ERR_REFUSED, "type the organisation's name, or give --yes", "not confirmed");
    answer[strcspn(answer, "\r\n")] = '\0';
    return str_eq(answer, org) ? ERR_OK
                               : err_set(ei, ERR_REFUSED, "write it as inventory shows it",
                                         "not confirmed: that is not its name");
}

/* Said before the first write: putting something back needs a login as well. */
static void mind_ticket(struct cli *cli, int interval_s)
{
    struct krb_login *login = NULL;
    struct errinfo ei;
    if (!cli->krb_ready || profile_get(&cli->profile, PROFILE_krb5_keytab, NULL) ||
        profile_get(&cli->profile, PROFILE_ldap_user, NULL) || krb_login_default(&login, &ei))
        return;
    int64_t end = krb_login_end(login), left = end - clock_unix(), may_take = 2LL * interval_s + 330;
    if (end && left < may_take)
        log_line(LOG_LEVEL_WARNING,
                 "the Kerberos ticket ends in %lld min, and one server alone may take %lld min to be changed "
                 "and verified: kinit first, or what fails then cannot be put back",
                 (long long)(left > 0 ? left / 60 : 0), (long long)(may_take / 60));
    krb_login_free(&login);
}

/* Everything a change needs, in the order that refuses earliest. */
static enum err prepare(struct cli *cli, const struct apply_options *o, struct plan_apply_options *out,
                        struct errinfo *ei)
{
    static char who[256], from[256];
    const char *source = cli_source(cli);
    if (!cli_source_is_live(source))
        return err_set(ei, ERR_REFUSED, "name the directory itself: --source ldap://HOST",
                       "%s cannot be asked what holds now: nothing is changed from it", source);
    enum err e = cli_read(cli, ei);
    if (!e)
        e = cli_directory(cli, ei);
    if (!e)
        e = cli_store(cli, ei);
    if (!e && o->force_lock && !*o->force_lock)
        e = err_set(ei, ERR_USAGE, "say why", "--force-lock wants a reason: it is recorded with the holder");
    if (e)
        return e;
    e = cli_transport(cli, o->via, &out->transport, ei);
    if (e)
        return e;
    cli_who(cli, who, sizeof who, from, sizeof from);
    out->profile = &cli->profile;
    out->org = cli->org;
    out->directory = cli->directory;
    out->store = cli->store;
    out->who = who;
    out->from = from;
    out->why = o->reason;
    out->force_lock = o->force_lock;
    out->canary = (unsigned)o->canary;
    out->wave = (unsigned)o->wave;
    out->max_fail = (unsigned)o->max_fail;
    out->parallel = (unsigned)o->parallel;
    out->poll_interval_s = profile_int(&cli->profile, PROFILE_poll_interval, 900);
    mind_ticket(cli, out->poll_interval_s);
    out->stop = &cli->stop;
    out->progress = progress;
    return ERR_OK;
}

static void outcome_line(const struct plan_outcome *done)
{
    char text[160];
    plan_outcome_text(done, text, sizeof text);
    if (done->run[0])
        fprintf(stderr, "casbridge: run %s: %s\n", done->run, text);
}

static const char stopping[] = "casbridge: stopping: the servers in hand are finished first, that may take "
                               "minutes; 'casbridge resume' goes on with the others\n";

static enum err run_plan(struct cli *cli, const struct plan *plan, const struct apply_options *o,
                         struct plan_apply_options *a, struct errinfo *ei)
{
    struct shown shown = {cli, plan};
    struct plan_outcome done = {0};
    if (plan->n_steps == 0) {
        if (plan->rollback_of)
            fprintf(stderr, "casbridge: nothing of run %s is left to take back: nothing was done\n",
                    plan->rollback_of);
        else
            fprintf(stderr, "casbridge: the plan has no steps: nothing was done\n");
        return ERR_OK;
    }
    char what[80];
    size_t changes = 0, servers = 0;
    for (size_t i = 0; i < plan->n_steps; i++) {
        bool again = plan->steps[i].skip != NULL;
        changes += !again;
        for (size_t k = 0; k < i && !again; k++)
            again = !plan->steps[k].skip && str_ieq(plan->steps[k].server, plan->steps[i].server);
        servers += !again;
    }
    str_fmt(what, sizeof what, "%zu %s on %zu %s will be made", changes, changes == 1 ? "change" : "changes",
            servers, servers == 1 ? "server" : "servers");
    enum err e = ERR_OK;
    if (changes)
        e = confirm(cli, o->yes, plan, what, ei);
    else if (cli->format == FORMAT_TEXT) /* everything is left out: nothing to ask about */
        show_steps(plan);
    if (e)
        return e;
    a->arg = &shown;
    atomic_store(&cli->on_stop, stopping);
    e = plan_apply(plan, a, &done, ei);
    atomic_store(&cli->on_stop, NULL);
    outcome_line(&done);
    return e;
}

COMMAND_RUN(cmd_apply)
{
    const struct apply_options *o = options;
    struct plan_apply_options a = {0};
    struct plan *plan = NULL;
    struct buf text;
    (void)rest, (void)code;
    if (words->n != 1)
        return err_set(ei, ERR_USAGE, "casbridge plan -o FILE makes one", "apply wants one plan file");
    buf_init(&text, MAX_PLAN_FILE);
    enum err e = path_read(&text, words->v[0], ei);
    if (e && !ei->hint[0])
        err_hint(ei, "casbridge plan -o FILE makes one");
    if (!e) {
        e = plan_from_json(&plan, buf_str(&text), text.len, ei);
        if (e)
            err_wrap(ei, "%s", words->v[0]);
    }
    if (!e)
        e = prepare(cli, o, &a, ei);
    if (!e && !str_eq(plan->organization, cli->org->name))
        e = err_set(ei, ERR_REFUSED, "check --profile and --source",
                    "the plan is for the organisation %s, this is %s", plan->organization, cli->org->name);
    if (!e)
        e = run_plan(cli, plan, o, &a, ei);
    if (a.transport)
        a.transport->free(a.transport);
    plan_free(&plan);
    buf_fini(&text);
    return e;
}

COMMAND_RUN(cmd_rollback)
{
    const struct apply_options *o = options;
    struct plan_filter filter = {.servers = o->servers.v, .n_servers = o->servers.n};
    struct plan_apply_options a = {0};
    struct plan *plan = NULL;
    (void)rest, (void)code;
    if (words->n != 1)
        return err_set(ei, ERR_USAGE, "casbridge journal lists them", "rollback wants one run");
    enum err e = prepare(cli, o, &a, ei);
    if (!e)
        e = plan_rollback(&plan, words->v[0], &a, &filter, ei);
    if (!e)
        e = run_plan(cli, plan, o, &a, ei);
    if (a.transport)
        a.transport->free(a.transport);
    plan_free(&plan);
    return e;
}

COMMAND_RUN(cmd_resume)
{
    const struct apply_options *o = options;
    struct plan_apply_options a = {0};
    struct plan_outcome done = {0};
    struct shown shown = {cli, NULL};
    (void)rest, (void)code;
    if (words->n != 1)
        return err_set(ei, ERR_USAGE, "casbridge journal lists them", "resume wants one run");
    enum err e = prepare(cli, o, &a, ei);
    if (!e)
        e = confirm(cli, o->yes, NULL, "what the run left open is looked at again, then carried on", ei);
    a.arg = &shown;
    atomic_store(&cli->on_stop, stopping);
    if (!e)
        e = plan_resume(words->v[0], &a, &done, ei);
    atomic_store(&cli->on_stop, NULL);
    outcome_line(&done);
    if (a.transport)
        a.transport->free(a.transport);
    return e;
}
