/* Making a plan, applying it, taking a run back. */
#include "tui/session_int.h"

#include "core/base/clock.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/kerberos/kerberos.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLAN_FILE_MAX ((size_t)16 << 20)

void session_plan_free(struct session *s)
{
    plan_free(&s->planned.plan);
    free(s->planned.progress);
    world_unref(s->planned.world);
    org_box_unref(s->planned.box);
    memset(&s->planned, 0, sizeof s->planned);
}

static enum err take_plan(struct session *s, struct plan *own_plan, const char *undoes, struct errinfo *ei)
{
    struct step_progress *progress = calloc(own_plan->n_steps + 1, sizeof *progress);
    if (!progress) {
        plan_free(&own_plan);
        return err_set(ei, ERR_NOMEM, NULL, "no memory for the plan");
    }
    session_plan_free(s);
    s->planned.plan = own_plan;
    s->planned.progress = progress;
    str_copy(s->planned.undoes, sizeof s->planned.undoes, undoes);
    memset(&s->tasks[TASK_PLAN].error, 0, sizeof s->tasks[TASK_PLAN].error);
    memset(&s->tasks[TASK_APPLY].error, 0, sizeof s->tasks[TASK_APPLY].error);
    session_tell(s, SESSION_PLAN);
    return ERR_OK;
}

enum err session_plan(struct session *s, const struct plan_filter *filter, struct errinfo *ei)
{
    if (s->tasks[TASK_APPLY].running)
        return err_set(ei, ERR_REFUSED, "wait for it, or stop it: :cancel", "a plan is being applied");
    if (!s->world || !s->world->has_findings)
        return err_set(ei, ERR_REFUSED, "read the directory first: r", "there is nothing to plan from");
    struct plan *plan = NULL;
    enum err e = plan_build(&plan, s->world->org, &s->world->findings, filter, session_who(s), ei);
    if (e == ERR_OK)
        e = take_plan(s, plan, "", ei);
    if (e == ERR_OK)
        s->planned.world = world_ref(s->world);
    return e;
}

struct apply_job {
    struct session *session;
    const struct plan *plan; /* the session's; not replaced while this runs */
    char run[40];            /* to take back; "" when a plan is applied */
    char why[200], force[200];
    struct plan *made; /* of a rollback */
    struct org_box *box;
    struct plan_outcome outcome;
    enum err e;
    struct errinfo ei;
};

struct step_message {
    struct session *session;
    char run[40];
    int n;
    enum plan_phase phase;
    char detail[200], server[96];
};

static void take_step(void *arg)
{
    struct step_message *m = arg;
    struct session *s = m->session;
    struct planned *p = &s->planned;
    str_copy(p->outcome.run, sizeof p->outcome.run, m->run);
    for (size_t i = 0; p->plan && i < p->plan->n_steps; i++) {
        if (p->plan->steps[i].n != m->n)
            continue;
        struct step_progress *step = &p->progress[i];
        step->phase = m->phase;
        if (step->n == TRAIL_MAX) {
            memmove(step->trail, step->trail + 1, (TRAIL_MAX - 1) * sizeof *step->trail);
            step->n--;
        }
        step->trail[step->n].phase = m->phase;
        step->trail[step->n].at = clock_unix();
        str_copy(step->trail[step->n].detail, sizeof step->trail[0].detail, m->detail);
        step->n++;
    }
    str_fmt(s->tasks[TASK_APPLY].text, sizeof s->tasks[TASK_APPLY].text, "%s: %s", m->server,
            plan_phase_name(m->phase));
    free(m);
    session_tell(s, SESSION_PLAN | SESSION_TASK);
}

static void stepped(void *arg, const char *run, const struct plan_step *step, enum plan_phase phase,
                    const char *detail)
{
    struct apply_job *j = arg;
    struct step_message *m = calloc(1, sizeof *m);
    if (!m)
        return;
    m->session = j->session;
    m->n = step ? step->n : 0;
    m->phase = phase;
    str_copy(m->run, sizeof m->run, run ? run : "");
    str_copy(m->detail, sizeof m->detail, detail ? detail : "");
    str_copy(m->server, sizeof m->server, step && step->server ? step->server : "run");
    if (job_pool_post(j->session->pool, take_step, m) != ERR_OK)
        free(m);
}

static void apply_run(void *arg)
{
    struct apply_job *j = arg;
    struct session *s = j->session;
    const struct console_config *c = s->config;
    struct stop *stop = &s->tasks[TASK_APPLY].stop;
    struct org *org = NULL;
    struct directory *directory = NULL;
    struct store *store = NULL;
    struct transport *transport = NULL;
    char host[256] = "", who[256] = "";
    if (gethostname(host, sizeof host - 1) != 0)
        str_copy(host, sizeof host, "unknown");

    j->e = store_open_profile(&store, c->profile, &j->ei);
    if (j->e != ERR_OK)
        goto out;
    task_say(s, TASK_APPLY, 0, 0, "reading the directory");
    j->e = directory_read(&org, c->profile, session_source(s), stop, &j->ei);
    if (j->e == ERR_OK)
        j->e = directory_open(&directory, c->profile, session_source(s), stop, &j->ei);
    if (j->e == ERR_OK && !j->run[0])
        j->e = session_transport(s, c->via, &transport, &j->ei);
    if (j->e != ERR_OK)
        goto out;
    /* Several admins may share an account of the jump host. */
    if (c->who || profile_get(c->profile, PROFILE_ldap_user, NULL) ||
        !krb_login_default_name(who, sizeof who))
        str_copy(who, sizeof who, session_who(s));
    struct plan_apply_options o = {
        .profile = c->profile,
        .org = org,
        .directory = directory,
        .store = store,
        .transport = transport,
        .who = who,
        .from = host,
        .why = j->why,
        .force_lock = j->force[0] ? j->force : NULL,
        .parallel = (unsigned)profile_int(c->profile, PROFILE_parallel, 0),
        .poll_interval_s = profile_int(c->profile, PROFILE_poll_interval, 900),
        .stop = stop,
        .progress = stepped,
        .arg = j,
    };
    struct plan_filter all = {0};
    if (j->run[0])
        j->e = plan_rollback(&j->made, j->run, &o, &all, &j->ei);
    else
        j->e = plan_apply(j->plan, &o, &j->outcome, &j->ei);
out:
    if (transport)
        transport->free(transport);
    directory_close(&directory);
    store_close(&store);
    if (j->made) { /* it borrows from the organisation */
        j->box = org_box_new(org);
        if (!j->box) {
            plan_free(&j->made);
            j->e = err_set(&j->ei, ERR_NOMEM, NULL, "no memory for the plan");
        }
    } else {
        org_free(&org);
    }
}

static void apply_done(void *arg)
{
    struct apply_job *j = arg;
    struct session *s = j->session;
    struct planned *p = &s->planned;
    char counts[160], text[240];
    p->applied =
        j->outcome.run[0] || j->e != ERR_LOCKED; /* somebody else is at work: the plan is as good as before */
    p->result = j->e;
    p->outcome = j->outcome;
    plan_outcome_text(&j->outcome, counts, sizeof counts);
    str_fmt(text, sizeof text, "run %s: %s", j->outcome.run, counts);
    task_end(s, TASK_APPLY, j->e, &j->ei, text);
    free(j);
    session_tell(s, SESSION_PLAN);
    session_read(s); /* what was changed is proved by reading again */
    if (s->runs.n > 0)
        session_journal_list(s);
}

static struct apply_job *job_new(struct session *s, enum task t)
{
    struct apply_job *j = calloc(1, sizeof *j);
    struct errinfo ei;
    if (j) {
        j->session = s;
    } else {
        enum err e = err_set(&ei, ERR_NOMEM, NULL, "out of memory");
        task_end(s, t, e, &ei, NULL);
    }
    return j;
}

size_t planned_pushes(const struct planned *p)
{
    size_t n = 0;
    for (size_t i = 0; p->plan && i < p->plan->n_steps; i++)
        n += !p->plan->steps[i].skip;
    return n;
}

void session_apply(struct session *s, const char *why)
{
    if (session_why_not_change(s) || !s->planned.plan || !s->config->transport_new)
        return;
    session_secrets_ask_again(s);
    if (!task_begin(s, TASK_APPLY, 0, "taking the lock"))
        return;
    struct apply_job *j = job_new(s, TASK_APPLY);
    if (!j)
        return;
    j->plan = s->planned.plan;
    str_copy(j->why, sizeof j->why, why && *why ? why : "console");
    str_copy(j->force, sizeof j->force, s->planned.force);
    memset(s->planned.progress, 0, (s->planned.plan->n_steps + 1) * sizeof *s->planned.progress);
    s->planned.applied = false;
    task_submit(s, TASK_APPLY, apply_run, apply_done, j);
}

static void rollback_done(void *arg)
{
    struct apply_job *j = arg;
    struct session *s = j->session;
    enum err e = j->e;
    if (e == ERR_OK)
        e = take_plan(s, j->made, j->run, &j->ei);
    if (e == ERR_OK)
        s->planned.box = j->box;
    else
        org_box_unref(j->box);
    task_end(s, TASK_APPLY, e, &j->ei, "the way back is planned");
    free(j);
}

void session_rollback(struct session *s, const char *run)
{
    session_secrets_ask_again(s);
    if (!task_begin(s, TASK_APPLY, 0, "planning the way back"))
        return;
    struct apply_job *j = job_new(s, TASK_APPLY);
    if (!j)
        return;
    str_copy(j->run, sizeof j->run, run);
    task_submit(s, TASK_APPLY, apply_run, rollback_done, j);
}

struct write_job {
    struct session *session;
    char *path;
    struct buf json;
    enum err e;
    struct errinfo ei;
};

static void write_run(void *arg)
{
    struct write_job *j = arg;
    j->e = path_write(j->path, j->json.data, j->json.len, 0600, &j->ei);
}

static void write_done(void *arg)
{
    struct write_job *j = arg;
    char text[160];
    str_fmt(text, sizeof text, "plan written to %s", j->path);
    task_end(j->session, TASK_PLAN, j->e, &j->ei, text);
    buf_fini(&j->json);
    free(j->path);
    free(j);
}

void session_plan_write(struct session *s, const char *path)
{
    if (!s->planned.plan || !task_begin(s, TASK_PLAN, 0, "writing the plan"))
        return;
    struct errinfo ei = {.code = ERR_OK};
    struct write_job *j = calloc(1, sizeof *j);
    char *copy = strdup(path);
    if (!j || !copy) {
        free(j);
        free(copy);
        enum err e = err_set(&ei, ERR_NOMEM, NULL, "out of memory");
        task_end(s, TASK_PLAN, e, &ei, NULL);
        return;
    }
    j->session = s;
    j->path = copy;
    buf_init(&j->json, PLAN_FILE_MAX);
    j->e = plan_to_json(s->planned.plan, &j->json, &j->ei);
    if (j->e != ERR_OK) {
        write_done(j);
        return;
    }
    task_submit(s, TASK_PLAN, write_run, write_done, j);
}
