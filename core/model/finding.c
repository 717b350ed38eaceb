#include "core/model/finding.h"

/* 500 servers with every rule found take about 2 MiB; the limit is for hostile input, not for large organisations. */
#define FINDINGS_LIMIT ((size_t)64 << 20)

const char *severity_name(enum severity s)
{
    static const char *const names[] = {"info", "warning", "error", "blocker"};
    return (unsigned)s < sizeof names / sizeof *names ? names[s] : "info";
}

const char *verdict_name(enum verdict v)
{
    static const char *const names[] = {"unknown", "ready", "not_ready", "blocked"};
    return (unsigned)v < sizeof names / sizeof *names ? names[v] : "unknown";
}

void findings_init(struct findings *f)
{
    *f = (struct findings){.verdict = VERDICT_UNKNOWN};
    arena_init(&f->arena, FINDINGS_LIMIT);
}

void findings_fini(struct findings *f)
{
    VEC_FREE(&f->found);
    VEC_FREE(&f->passed);
    VEC_FREE(&f->unknown);
    arena_fini(&f->arena);
}
