/*
 * Replication. What was written on one controller reaches the others minutes or hours later, and servers read from the one in their own
 * site. A step is judged by the controller that was written through; of the others it is said who has it and who has not.
 */
#include "core/plan/run_int.h"

#include "core/base/log.h"
#include "core/base/str.h"

#define PAUSE_MS 2000

static struct plan_io of_replica(const struct run *r, size_t i)
{
    struct plan_io io = *r->io;
    io.at = i + 1;
    return io;
}

static const char *name_of(const struct plan_io *io)
{
    const char *name = io->controller ? io->controller(io->ctx, io->at) : NULL;
    return name ? name : "another controller";
}

/* One that does not answer is not asked again by this run: each question may take its whole time. */
static enum step_state ask(struct run *r, const struct step_run *s, size_t i, struct buf *now)
{
    const struct plan_io io = of_replica(r, i);
    struct errinfo ei = {0};
    if (atomic_load(&r->silent_replicas) & 1u << i)
        return STATE_UNREADABLE;
    enum step_state state = observe_step(&io, &s->watches, now, &ei);
    if (state == STATE_UNREADABLE && !(atomic_fetch_or(&r->silent_replicas, 1u << i) & 1u << i))
        log_line(LOG_LEVEL_WARNING, "whether %s has the changes, from step %d on, is not known: %s",
                 name_of(&io), s->step->n, ei.what);
    return state;
}

bool replicas_look(struct run *r, struct step_run *s, struct buf *text)
{
    bool all = true;
    for (size_t i = 0; i < r->io->n_replicas; i++) {
        const struct plan_io io = of_replica(r, i);
        struct buf now;
        if (s->replicas_have_it & 1u << i)
            continue;
        buf_init(&now, 4096);
        enum step_state state = ask(r, s, i, &now);
        if (state == STATE_NEW || state == STATE_UNREADABLE) {
            s->replicas_have_it |= 1u << i;
        } else {
            (void)buf_addf(text, "%snot yet on %s (%s)", text->len ? ", " : "", name_of(&io), buf_str(&now));
            all = false;
        }
        buf_fini(&now);
    }
    return all;
}

void replicas_wait(struct run *r, struct step_run *s, struct buf *text)
{
    int64_t end = r->io->now_ms(r->io->ctx) + RUN_REPLICA_MS;
    bool said = false;
    for (;;) {
        buf_reset(text);
        if (replicas_look(r, s, text))
            return;
        int64_t left = end - r->io->now_ms(r->io->ctx);
        if (left <= 0)
            atomic_store(&r->slow_replicas, true);
        if (atomic_load(&r->slow_replicas) || atomic_load(&r->halted) || run_is_stopped(r))
            return;
        if (!said)
            run_progress(r, s->step, PLAN_REREAD, "%s; waiting for up to %d s", buf_str(text),
                         RUN_REPLICA_MS / 1000);
        said = true;
        r->io->sleep_ms(r->io->ctx, left < PAUSE_MS ? (int)left : PAUSE_MS);
    }
}

void replicas_compare(struct run *r, const struct step_run *s)
{
    for (size_t i = 0; i < r->io->n_replicas; i++) {
        const struct plan_io io = of_replica(r, i);
        struct buf now;
        buf_init(&now, 4096);
        enum step_state state = ask(r, s, i, &now);
        if (state != STATE_OLD && state != STATE_UNREADABLE)
            log_line(LOG_LEVEL_WARNING,
                     "step %d, %s: %s says %s, which is not what %s says: replication is under way, or "
                     "somebody changed it there",
                     s->step->n, s->step->server, name_of(&io), buf_str(&now), name_of(r->io));
        buf_fini(&now);
    }
}
