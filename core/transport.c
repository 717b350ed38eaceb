#include "core/transport.h"

#include <stdlib.h>
#include <string.h>

void remote_result_fini(struct remote_result *r)
{
    for (size_t i = 0; i < r->warnings.n; i++)
        free(r->warnings.v[i]);
    VEC_FREE(&r->warnings);
    for (size_t i = 0; i < r->errors.n; i++) {
        struct remote_error *e = &r->errors.v[i];
        free(e->message);
        free(e->id);
        free(e->category);
        free(e->target);
    }
    VEC_FREE(&r->errors);
    for (size_t i = 0; i < r->notes.n; i++)
        free(r->notes.v[i].text);
    VEC_FREE(&r->notes);
    free(r->output);
    free(r->output_json);
    memset(r, 0, sizeof *r);
}

bool remote_result_ok(const struct remote_result *r)
{
    return r->sent && !r->outcome_unknown && r->errors.n == 0 && (!r->has_exit_code || r->exit_code == 0);
}
