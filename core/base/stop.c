#include "core/base/stop.h"

#include "core/base/clock.h"

void stop_init(struct stop *s, int64_t timeout_ms, struct stop *parent)
{
    atomic_init(&s->raised, false);
    s->deadline_ms = timeout_ms > 0 ? clock_mono_ms() + timeout_ms : 0;
    s->parent = parent;
}

void stop_raise(struct stop *s)
{
    atomic_store(&s->raised, true);
}

bool stop_is_raised(const struct stop *s)
{
    for (; s; s = s->parent)
        if (atomic_load(&s->raised))
            return true;
    return false;
}

int stop_left_ms(const struct stop *s, int max_ms)
{
    int64_t left = max_ms, now = 0;
    for (; s; s = s->parent) {
        if (atomic_load(&s->raised))
            return 0;
        if (s->deadline_ms) {
            if (!now)
                now = clock_mono_ms();
            if (s->deadline_ms - now < left)
                left = s->deadline_ms - now;
        }
    }
    return left > 0 ? (int)left : 0;
}

enum err stop_check(const struct stop *s, struct errinfo *ei, const char *what)
{
    if (stop_is_raised(s))
        return err_set(ei, ERR_INTERRUPTED, NULL, "%s: interrupted", what);
    if (stop_left_ms(s, 1) == 0)
        return err_set(ei, ERR_TIMEOUT, "give it longer with --timeout", "%s: timed out", what);
    return ERR_OK;
}
