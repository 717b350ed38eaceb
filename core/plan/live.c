/* The real world behind plan_apply and its sisters. */
#include "core/plan/run_int.h"

#include "core/base/clock.h"

#include <time.h>

static enum err attribute(void *ctx, const char *dn, const char *name, struct directory_values *out,
                          const struct stop *stop, struct errinfo *ei)
{
    const struct plan_apply_options *o = ctx;
    return directory_attribute(o->directory, dn, name, out, stop, ei);
}

static const char *controller(void *ctx)
{
    const struct plan_apply_options *o = ctx;
    return directory_controller(o->directory);
}

static void challenge(void *ctx, const struct server *server, enum protocol protocol, const struct stop *stop,
                      struct evidence *e)
{
    const struct plan_apply_options *o = ctx;
    probe_challenge(o->profile, server, protocol, stop, e);
}

static int64_t now_ms(void *ctx)
{
    (void)ctx;
    return clock_mono_ms();
}

static void sleep_ms(void *ctx, int ms)
{
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
    (void)ctx;
    /* A signal ends it early: the caller looks at its clock anyway. */
    nanosleep(&t, NULL);
}

struct plan_io plan_io_live(const struct plan_apply_options *o)
{
    return (struct plan_io){.ctx = (void *)o,
                            .attribute = attribute,
                            .controller = controller,
                            .challenge = challenge,
                            .now_ms = now_ms,
                            .sleep_ms = sleep_ms};
}

enum err plan_apply(const struct plan *p, const struct plan_apply_options *o, struct plan_outcome *out,
                    struct errinfo *ei)
{
    struct plan_io io = plan_io_live(o);
    return run_apply(p, o, &io, out, ei);
}

enum err plan_rollback(struct plan **out, const char *run, const struct plan_apply_options *o,
                       const struct plan_filter *filter, struct errinfo *ei)
{
    struct plan_io io = plan_io_live(o);
    return run_rollback(out, run, o, filter, &io, ei);
}

enum err plan_resume(const char *run, const struct plan_apply_options *o, struct plan_outcome *out,
                     struct errinfo *ei)
{
    struct plan_io io = plan_io_live(o);
    return run_resume(run, o, &io, out, ei);
}
