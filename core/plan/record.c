#include "core/plan/run_int.h"

#include "core/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum err run_record(struct run *r, const struct plan_step *step, const char *phase,
                    const struct record_texts *t, struct errinfo *ei)
{
    struct errinfo own = {0};
    if (!ei)
        ei = &own;
    /* the journal only reads the texts */
    struct journal_record record = {
        .run = r->id,
        .step = step ? step->n : 0,
        .server = step ? (char *)step->server : NULL,
        .phase = (char *)phase,
        .who = (char *)(r->o->who ? r->o->who : "unknown"),
        .from = (char *)r->o->from,
        .why = (char *)r->o->why,
        .cmdlet = t ? (char *)t->cmdlet : NULL,
        .before = t ? (char *)t->before : NULL,
        .after = t ? (char *)t->after : NULL,
        .detail = t ? (char *)t->detail : NULL,
    };
    enum err e = journal_append(r->o->store, &record, ei);
    if (e != ERR_OK)
        run_halt(r, e, ei);
    else if (r->io->recorded)
        r->io->recorded(r->io->ctx, phase);
    return e;
}

struct event {
    struct run *run;
    const struct plan_step *step;
    enum plan_phase phase;
    char *detail;
};

static void deliver(void *arg)
{
    struct event *ev = arg;
    ev->run->o->progress(ev->run->o->arg, ev->run->id, ev->step, ev->phase, ev->detail);
    free(ev->detail);
    free(ev);
}

void run_progress(struct run *r, const struct plan_step *step, enum plan_phase phase, const char *fmt, ...)
{
    struct event *ev = r->o->progress ? calloc(1, sizeof *ev) : NULL;
    va_list ap;
    if (!ev)
        return;
    *ev = (struct event){.run = r, .step = step, .phase = phase};
    va_start(ap, fmt);
    if (vasprintf(&ev->detail, fmt, ap) < 0)
        ev->detail = NULL;
    va_end(ap);
    /* What does not get through is only a line on the screen: the journal has it. */
    if (!ev->detail || job_pool_post(r->pool, deliver, ev) != ERR_OK) {
        free(ev->detail);
        free(ev);
    }
}

enum err run_record_begin(struct run *r, const char *phase, struct errinfo *ei)
{
    const char *of = r->plan->rollback_of;
    char detail[160];
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:s*}", "organization", r->plan->organization, "plan",
                          r->plan->id, "target", generation_name(r->plan->target), "steps",
                          (json_int_t)r->plan->n_steps, "rollback_of", of);
    char *after = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (!after)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a journal record");
    str_fmt(detail, sizeof detail, "%s%s%s%zu steps on %zu servers", of ? "takes back run " : "",
            of ? of : "", of ? ": " : "", r->plan->n_steps, r->n_hosts);
    enum err e = run_record(r, NULL, phase, &(struct record_texts){.after = after, .detail = detail}, ei);
    free(after);
    return e;
}

enum err run_record_end(struct run *r, const char *status, const struct plan_outcome *o, struct errinfo *ei)
{
    char after[256], detail[256];
    str_fmt(after, sizeof after,
            "{\"status\":\"%s\",\"done\":%u,\"failed\":%u,\"undone\":%u,\"skipped\":%u,\"unfinished\":%u}",
            status, o->done, o->failed, o->undone, o->skipped, o->unfinished);
    plan_outcome_text(o, detail, sizeof detail);
    return run_record(r, NULL, "end", &(struct record_texts){.after = after, .detail = detail}, ei);
}

enum err run_record_capture(struct run *r, struct step_run *s, struct errinfo *ei)
{
    json_t *j = step_to_json(s->step);
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (!text)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a journal record");
    enum err e = ERR_OK;
    if (strlen(text) > PLAN_STEP_JSON_MAX)
        e = err_set(ei, ERR_LIMIT, NULL, "step %d is too large for the journal", s->step->n);
    else
        e = run_record(r, s->step, "capture", &(struct record_texts){.before = s->before, .detail = text},
                       ei);
    free(text);
    return e;
}

/* Line by line, so that a line's end stays one. */
static void add_lines(struct buf *out, const char *label, const char *text)
{
    while (text && *text) {
        size_t len = strcspn(text, "\n"), keep = len;
        while (keep && (text[keep - 1] == '\r' || text[keep - 1] == ' '))
            keep--;
        if (keep) {
            (void)buf_addf(out, "%s%s", out->len ? "\n" : "", label);
            (void)str_show(out, text, keep);
        }
        text += len + (text[len] == '\n');
    }
}

void remote_text(struct buf *out, enum err e, const struct errinfo *ei, const struct remote_result *r)
{
    static const char cut[] = "\n... (cut)";
    struct buf b;
    buf_init(&b, 4 * RUN_DETAIL_MAX);
    if (e != ERR_OK)
        add_lines(&b, "", ei->what);
    for (size_t i = 0; i < r->errors.n; i++)
        add_lines(&b, "error: ", r->errors.v[i].message);
    if (r->has_exit_code && r->exit_code)
        (void)buf_addf(&b, "%sexit code %d", b.len ? "\n" : "", r->exit_code);
    for (size_t i = 0; i < r->warnings.n; i++)
        add_lines(&b, "warning: ", r->warnings.v[i]);
    add_lines(&b, "", r->output ? r->output : r->output_json);
    /* buf_str of a buffer that ran full is what fitted */
    size_t len = strlen(buf_str(&b)), most = RUN_DETAIL_MAX - sizeof cut;
    bool too_long = len > most || b.failed;
    if (len > most)
        len = most;
    while (len && len < b.len && ((unsigned char)buf_str(&b)[len] & 0xc0) == 0x80)
        len--; /* a character is kept whole or not at all */
    (void)buf_add(out, buf_str(&b), len);
    if (too_long)
        (void)buf_adds(out, cut);
    buf_fini(&b);
}
