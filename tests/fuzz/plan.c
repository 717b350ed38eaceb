/* plan_from_json: whatever the bytes, no crash; and what it takes, it writes so that it is taken again. */
#include "core/plan/plan.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan *p = NULL, *again = NULL;
    struct errinfo ei;
    struct buf b;
    if (plan_from_json(&p, (const char *)data, size, &ei) != ERR_OK)
        return 0;
    buf_init(&b, 32u << 20);
    if (plan_to_json(p, &b, &ei) != ERR_OK || plan_from_json(&again, buf_str(&b), b.len, &ei) != ERR_OK ||
        again->n_steps != p->n_steps)
        abort();
    buf_fini(&b);
    plan_free(&again);
    plan_free(&p);
    return 0;
}
