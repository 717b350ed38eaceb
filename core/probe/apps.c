#include "core/probe/apps.h"

#include <stddef.h>

typedef void app_fn(struct target *t, bool last);

static app_fn *const apps[PROTOCOL_COUNT + 1] = {
    [PROTOCOL_COUNT] = NULL,
};

void app_probe(struct target *t, enum protocol p, bool last)
{
    if (apps[p])
        apps[p](t, last);
}
