/* The real world behind plan_apply and its sisters: the directory with its other controllers, the wire, the clock. */
#include "core/plan/run_int.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <time.h>

#define OPEN_MS      5000  /* one controller */
#define OPEN_MOST_MS 15000 /* all of them: several may be down */

struct live {
    const struct plan_apply_options *o;
    struct directory *at[1 + RUN_REPLICAS]; /* 0 is borrowed */
    size_t n;
};

static enum err attribute(void *ctx, size_t at, const char *dn, const char *name,
                          struct directory_values *out, const struct stop *stop, struct errinfo *ei)
{
    const struct live *l = ctx;
    return directory_attribute(l->at[at], dn, name, out, stop, ei);
}

static const char *controller(void *ctx, size_t at)
{
    const struct live *l = ctx;
    return directory_controller(l->at[at]);
}

/* Whoever cannot be reached is named, and does not matter: the change is not made there. */
static void open_others(struct live *l)
{
    struct directory_values uris = {0};
    struct errinfo ei = {0};
    struct stop all;
    stop_init(&all, OPEN_MOST_MS, l->o->stop);
    if (directory_replicas(l->o->directory, &uris, &all, &ei) != ERR_OK)
        log_line(LOG_LEVEL_WARNING, "which other controllers there are is not known: %s", ei.what);
    for (size_t i = 0; i < uris.n && l->n < RUN_REPLICAS && stop_left_ms(&all, 1) > 0; i++) {
        struct stop one;
        stop_init(&one, OPEN_MS, &all);
        if (directory_open(&l->at[l->n + 1], l->o->profile, uris.v[i], &one, &ei) == ERR_OK)
            l->n++;
        else
            log_line(LOG_LEVEL_WARNING, "%s is not asked whether it has the changes: %s", uris.v[i], ei.what);
    }
    directory_values_free(&uris);
}

static void close_others(struct live *l)
{
    for (size_t i = 1; i <= l->n; i++)
        directory_close(&l->at[i]);
}

static void challenge(void *ctx, const struct server *server, enum protocol protocol, const struct stop *stop,
                      struct evidence *e)
{
    const struct live *l = ctx;
    probe_challenge(l->o->profile, server, protocol, stop, e);
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

static struct plan_io live_io(struct live *l, const struct plan_apply_options *o)
{
    *l = (struct live){.o = o, .at = {o->directory}};
    return (struct plan_io){.ctx = l,
                            .attribute = attribute,
                            .controller = controller,
                            .challenge = challenge,
                            .now_ms = now_ms,
                            .sleep_ms = sleep_ms};
}

enum err plan_apply(const struct plan *p, const struct plan_apply_options *o, struct plan_outcome *out,
                    struct errinfo *ei)
{
    struct live l;
    struct plan_io io = live_io(&l, o);
    open_others(&l);
    io.n_replicas = l.n;
    enum err e = run_apply(p, o, &io, out, ei);
    close_others(&l);
    return e;
}

enum err plan_rollback(struct plan **out, const char *run, const struct plan_apply_options *o,
                       const struct plan_filter *filter, struct errinfo *ei)
{
    struct live l;
    struct plan_io io = live_io(&l, o);
    return run_rollback(out, run, o, filter, &io, ei);
}

enum err plan_resume(const char *run, const struct plan_apply_options *o, struct plan_outcome *out,
                     struct errinfo *ei)
{
    struct live l;
    struct plan_io io = live_io(&l, o);
    open_others(&l);
    io.n_replicas = l.n;
    enum err e = run_resume(run, o, &io, out, ei);
    close_others(&l);
    return e;
}
