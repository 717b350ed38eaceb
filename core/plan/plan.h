/*
 * A plan: ordered steps made from findings; a file one can read, review and keep (cli.md). Only plan_apply changes the world.
 */
#ifndef CORE_PLAN_PLAN_H
#define CORE_PLAN_PLAN_H

#include "core/directory/directory.h"
#include "core/model/finding.h"
#include "core/probe/probe.h"
#include "core/store/store.h"
#include "core/transport.h"

struct plan_precondition {
    const char *dn, *attribute;
    const char *
        value; /* NULL: must be absent; for an object: attribute "objectClass", value NULL: object must not exist */
};

struct plan_change { /* before or after: property -> value(s), e.g. iis_auth -> basic, ntlm */
    const char *property;
    const char **values;
    size_t n_values;
    bool is_list, is_null;
};

struct plan_step {
    int n;
    const char *finding, *server;
    const char *fqdn; /* from the organisation at apply time, not in the file */
    struct cmdlet cmdlet, inverse;
    struct plan_change *before, *after;
    size_t n_before, n_after;
    struct plan_precondition *preconditions;
    size_t n_preconditions;
    bool verify_directory, verify_wire;
    const char *takes_effect, *impact;
};

struct plan {
    struct arena arena;
    const char *id, *organization, *made_by;
    enum generation target;
    int64_t made_at;
    struct plan_step *steps;
    size_t n_steps;
};

struct plan_filter {
    const char *const *findings; /* rule ids; n 0: all fixable */
    size_t n_findings;
    const char *const *servers; /* n 0: all */
    size_t n_servers;
};

/* Pure but for the id and the time. What is already right makes no step. */
enum err plan_build(struct plan **out, const struct org *org, const struct findings *f,
                    const struct plan_filter *filter, const char *made_by, struct errinfo *ei) MUST_CHECK;
void plan_free(struct plan **p);
enum err plan_to_json(const struct plan *p, struct buf *out, struct errinfo *ei) MUST_CHECK;
/* Checked like any input: format, types, known cmdlets and parameters per generation, cmdlet text that is data only. */
enum err plan_from_json(struct plan **out, const char *text, size_t len, struct errinfo *ei) MUST_CHECK;

enum plan_phase {
    PLAN_QUEUED,
    PLAN_INTENT,
    PLAN_PUSH,
    PLAN_REREAD,
    PLAN_VERIFY,
    PLAN_DONE,
    PLAN_FAILED,
    PLAN_UNDONE,
    PLAN_SKIPPED
};
const char *plan_phase_name(enum plan_phase p);

/* Called on the thread that called plan_apply, one at a time. */
typedef void plan_progress(void *arg, const char *run, const struct plan_step *step, enum plan_phase phase,
                           const char *detail);

struct plan_apply_options {
    const struct profile *profile;
    const struct org *org; /* read just now; must be the plan's organisation */
    struct directory *directory;
    struct store *store;
    struct transport *transport;
    const char *who, *from, *why;
    unsigned canary, wave, max_fail, parallel; /* 0: defaults: canary 1, wave = parallel = 8, max_fail 1 */
    int poll_interval_s;                       /* deadline of wire verification: two intervals plus 30 s */
    struct stop *stop;                         /* raised: the host in hand is finished, then it stops */
    plan_progress *progress;
    void *arg;
};

struct plan_outcome {
    char run[32];
    unsigned done, failed, undone, skipped;
};

/* Lock, all preconditions on all hosts before the first write (ERR_STALE names what moved), then hosts. ERR_PARTIAL when some failed. */
enum err plan_apply(const struct plan *p, const struct plan_apply_options *o, struct plan_outcome *out,
                    struct errinfo *ei) MUST_CHECK;
/* The inverse of what a journalled run did, as a plan against the directory now; repeatable; a value that somebody changed since is not overwritten but noted
   as a skipped step. servers n 0: all. */
enum err plan_rollback(struct plan **out, const char *run, const struct plan_apply_options *o,
                       const struct plan_filter *filter, struct errinfo *ei) MUST_CHECK;

#endif
