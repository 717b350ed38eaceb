/* Why an action cannot be done now: shown beside it in help and palette, and when it is tried. */
#include "tui/views/ui_int.h"

static const char *why_not_apply(const struct session *s)
{
    if (!s->planned.plan)
        return "make a plan first (m)";
    if (s->planned.plan->n_steps == 0)
        return "the plan has no steps";
    if (planned_pushes(&s->planned) == 0)
        return "every step is left alone";
    if (s->tasks[TASK_APPLY].running)
        return "a plan is being applied";
    if (s->planned.applied)
        return "this plan was applied; make a new one (m)";
    return s->config->transport_new ? NULL : "no way to push changes is configured";
}

const char *action_why_not(struct ui *ui, enum action a)
{
    const struct session *s = ui->session;
    const struct action_info *info = action_info(a);
    if (!action_is_on(a, ui_top(ui)->ops->id))
        return "not in this view";
    const char *why = info->flags & ACTION_CHANGE ? session_why_not_change(s) : NULL;
    if (why)
        return why;
    switch (a) {
    case ACTION_APPLY:
    case ACTION_FORCE: return why_not_apply(s);
    case ACTION_SETTLE: return s->config->read_only ? "this console was started read-only" : NULL;
    case ACTION_WRITE: return s->planned.plan ? NULL : "make a plan first (m)";
    case ACTION_MAKE:
        return !s->world                      ? "no organisation has been read yet"
               : s->tasks[TASK_APPLY].running ? "a plan is being applied"
                                              : NULL;
    case ACTION_PROBE:
    case ACTION_ASK:
        if (a == ACTION_ASK && !s->config->transport_new)
            return "no way to reach the servers is configured";
        return !s->world                      ? "no organisation has been read yet"
               : s->tasks[TASK_PROBE].running ? "the servers are being asked"
                                              : NULL;
    case ACTION_READ: return s->tasks[TASK_READ].running ? "the directory is being read" : NULL;
    case ACTION_ENGINE:
        return !s->world && !s->engine.proxy   ? "no organisation has been read yet"
               : s->tasks[TASK_ENGINE].running ? "it is being started or stopped"
                                               : NULL;
    case ACTION_ROLLBACK: return s->tasks[TASK_APPLY].running ? "a plan is being applied" : NULL;
    case ACTION_UNLOCK:
        if (s->unlocked)
            return "changes are possible already";
        why = session_why_not_change(s);
        return why && s->world && !s->config->read_only &&
                       !profile_flag(s->config->profile, PROFILE_read_only, false)
                   ? NULL
                   : why;
    default: return NULL;
    }
}
