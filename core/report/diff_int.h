/* Between the files of the diff: an organisation and its evidence as a list of facts. */
#ifndef CORE_REPORT_DIFF_INT_H
#define CORE_REPORT_DIFF_INT_H

#include "core/report/diff.h"

struct fact {
    enum diff_area area;
    unsigned order;       /* of the property within its thing; 0: the thing itself */
    bool is_set;          /* one of several values of the property: each comes and goes on its own */
    const char *subject;  /* in the arena of the diff, or of the side */
    const char *property; /* NULL for the thing itself */
    const char *value;
};

struct facts {
    struct arena *arena;
    VEC(struct fact) list;
    unsigned order;
};

/* All facts of one side but its findings. ERR_NOMEM, ERR_LIMIT. */
enum err facts_collect(struct facts *f, const struct diff_side *side) MUST_CHECK;

#endif
