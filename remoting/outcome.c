#include "remoting/outcome.h"

#include <stdlib.h>
#include <string.h>

#define WARNINGS_MAX 100000

void outcome_note_unknown(struct errinfo *ei)
{
    err_wrap(ei, "the command was sent, its outcome is not known");
    err_hint(ei, OUTCOME_HINT);
}

enum err outcome_note_gap(struct remote_result *out)
{
    char *copy = strdup("the connection was lost for a moment: some of the output may be missing");
    if (copy && VEC_PUSH(&out->warnings, WARNINGS_MAX, copy))
        return ERR_OK;
    free(copy);
    return ERR_NOMEM;
}
