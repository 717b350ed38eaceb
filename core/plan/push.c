/* One command on its way to a server: what the journal has of it before it leaves, and how it ended. */
#include "core/plan/run_int.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

enum push_end host_push(struct host_run *h, const struct cmdlet *c, struct buf *text, int *elapsed_ms)
{
    const struct remote_target target = {h->server->name, h->server->fqdn, h->server->generation};
    struct transport *t = h->run->o->transport;
    struct remote_result r = {0};
    struct errinfo ei = {0};
    struct stop stop;
    stop_init(&stop, RUN_PUSH_MS, NULL); /* not the run's own: the host in hand is finished */
    enum err e = t->run(t, &target, c, &stop, &r, &ei);
    remote_text(text, e, &ei, &r);
    *elapsed_ms = r.elapsed_ms;
    /* A transport that lost its server may not have known to say so: sent, and neither an exit code nor an error came back. */
    bool unknown = r.outcome_unknown || (e != ERR_OK && r.sent && !r.has_exit_code && !r.errors.n);
    enum push_end end = unknown                               ? PUSH_UNKNOWN
                        : e == ERR_OK && remote_result_ok(&r) ? PUSH_DONE
                                                              : PUSH_FAILED;
    remote_result_fini(&r);
    return end;
}

enum err host_announce(struct run *r, const struct plan_step *s, const char *phase, const struct cmdlet *c,
                       const struct plan_change *from, const struct plan_change *to)
{
    struct errinfo ei = {0};
    struct buf text;
    buf_init(&text, JOURNAL_TEXT_MAX);
    json_t *jb = changes_to_json(from, s->n_before), *ja = changes_to_json(to, s->n_after);
    char *before = jb ? json_dumps(jb, JSON_COMPACT) : NULL,
         *after = ja ? json_dumps(ja, JSON_COMPACT) : NULL;
    enum err e = before && after ? cmdlet_text(&text, c, &ei)
                                 : err_set(&ei, ERR_NOMEM, NULL, "no memory for a journal record");
    if (e == ERR_OK)
        e = store_lock_check(r->o->store, &ei);
    if (e == ERR_OK)
        e = run_record(r, s, phase,
                       &(struct record_texts){.cmdlet = buf_str(&text), .before = before, .after = after},
                       &ei);
    else
        run_halt(r, e, &ei);
    if (e == ERR_OK && strcmp(phase, "intent") == 0) {
        run_progress(r, s, PLAN_INTENT, "%s", buf_str(&text));
        run_progress(r, s, PLAN_PUSH, "by %s to %s", r->o->transport->name, s->server);
    }
    json_decref(jb);
    json_decref(ja);
    free(before);
    free(after);
    buf_fini(&text);
    return e;
}

bool host_nudge(struct host_run *h, const struct step_run *s)
{
    struct run *r = h->run;
    bool helped = true;
    for (size_t i = 0; i < s->step->n_nudges; i++) {
        const struct cmdlet *c = &s->step->nudges[i];
        struct buf text, said;
        int elapsed = 0;
        buf_init(&text, PLAN_MAX_TEXT);
        buf_init(&said, RUN_DETAIL_MAX);
        enum err e = cmdlet_text(&text, c, NULL);
        if (e == ERR_OK)
            e = store_lock_check(r->o->store, NULL);
        if (e == ERR_OK)
            e = run_record(r, s->step, "nudge", &(struct record_texts){.cmdlet = buf_str(&text)}, NULL);
        if (e == ERR_OK) {
            run_progress(r, s->step, PLAN_VERIFY, "%s", buf_str(&text));
            enum push_end end = host_push(h, c, &said, &elapsed);
            e = run_record(r, s->step, "result", &(struct record_texts){.detail = buf_str(&said)}, NULL);
            helped = helped && end == PUSH_DONE;
            if (end != PUSH_DONE)
                run_progress(r, s->step, PLAN_VERIFY,
                             "the nudge did not help (%s): it happens by itself, later", buf_str(&said));
        }
        buf_fini(&text);
        buf_fini(&said);
        if (e != ERR_OK)
            return false;
    }
    return helped;
}

void host_first_line(char *out, size_t cap, enum push_end end, const char *text)
{
    size_t len = strcspn(text, "\n");
    if (len)
        str_show_fixed(out, cap, text, len);
    else
        str_copy(out, cap,
                 end == PUSH_DONE      ? "the command ran"
                 : end == PUSH_UNKNOWN ? "the connection was lost"
                                       : "the command failed");
}
