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

/*
 * What a step was made from; all of one step name the same object. Values are those of the attribute as AD writes them, except that
 * an Outlook Anywhere host name may be bare (the organisation keeps no more) and of msExchRpcHttpFlags only bit 1 counts.
 */
struct plan_precondition {
    const char *dn, *attribute;
    const char *value; /* NULL: must be absent; attribute "objectClass" and NULL: the object must not exist */
};

struct plan_change { /* before or after: property -> value(s), e.g. iis_auth -> basic, ntlm */
    const char *property;
    const char **values;
    size_t n_values;
    bool is_list, is_null;
    bool is_bool; /* one value, "true" or "false" */
};

struct plan_step {
    int n;
    const char *finding, *server;
    const char **also; /* further findings the same cmdlet answers */
    size_t n_also;
    struct cmdlet cmdlet, inverse;
    struct plan_change *before, *after; /* what changes; the same properties in the same order */
    size_t n_before, n_after;
    struct plan_precondition *preconditions;
    size_t n_preconditions;
    bool verify_directory, verify_wire;
    const char *takes_effect, *impact;
    const char
        *note; /* NULL; how sure it is that the attribute is the parameter's, when that is not documented */
    const char *skip; /* not NULL: apply leaves this step out, and why */
    struct cmdlet *
        nudges; /* what makes the server look at once; never needed, only sooner. Needs a full shell: not PSRP */
    size_t n_nudges;
};

struct plan {
    struct arena arena;
    const char *id, *organization, *made_by;
    const char *rollback_of; /* NULL; the run that it takes back */
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
    bool nudge; /* steps get their nudges */
};

/*
 * Pure but for the id and the time. What is already right makes no step, nor does an accepted finding. Findings that change the same
 * object make one step. A fix that is not automatic is left out; one that a person must choose is taken when the filter names its rule. Steps are in order of server name: changes of different servers do
 * not depend on each other, an admin finds a server at once, and the same findings always give the same file. Within a server an
 * object is made before another is changed. ERR_REFUSED when two fixes of one object contradict each other.
 */
enum err plan_build(struct plan **out, const struct org *org, const struct findings *f,
                    const struct plan_filter *filter, const char *made_by, struct errinfo *ei) MUST_CHECK;
void plan_free(struct plan **p);
enum err plan_to_json(const struct plan *p, struct buf *out, struct errinfo *ei) MUST_CHECK;
/*
 * Checked like any input: format, types, known cmdlets and parameters per generation, cmdlet text that is data only, an identity on
 * the step's own server, before and after that follow from the preconditions and the cmdlet, an inverse that restores exactly
 * before. The error names the step.
 */
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
    const char
        *force_lock; /* NULL; why the lock is taken away from whoever holds it: recorded with the holder */
    unsigned canary, wave, max_fail,
        parallel;        /* hosts; 0: canary 1, parallel 8, wave 8 * parallel, max_fail 1 */
    int poll_interval_s; /* deadline of wire verification: two intervals plus 30 s */
    struct stop *stop;   /* raised: the hosts in hand are finished, then it stops */
    plan_progress *progress;
    void *arg;
};

struct plan_outcome {
    char run[32];                           /* "" when nothing was begun */
    unsigned done, failed, undone, skipped; /* steps; failed: not put back, undone: failed and put back */
    unsigned unfinished;                    /* begun, and how it ended is not known: resume */
};

/* "2 done, 1 failed, 0 put back, 3 not begun, 0 unfinished" */
void plan_outcome_text(const struct plan_outcome *o, char *out, size_t cap);

/*
 * Lock; all preconditions on all hosts before the first write (ERR_STALE names what moved: dn, attribute, then -> now); the values
 * of all hosts into the journal; a question to every wire that is to be verified; then the canary and the waves. A host: intent,
 * push, result, re-read, wire, done - each a record. A step that was not verified or failed half way is put back with its inverse, and
 * so are, the last first, the steps of the same server that had gone well before it in this run: it is then as it was before the run.
 * (A rollback does not send what it has taken back already again.) A step that failed without a trace leaves the ones before it.
 * A command whose outcome is not known is never sent again, the directory decides. ERR_PARTIAL when some failed, or a rollback left
 * something alone; ERR_INTERRUPTED when stopped. *out is filled whenever a run was begun, also with an error.
 *
 * Several directories lie: what is verified is verified on the controller that the directory was opened on, which is named. The others
 * that are known (directory_replicas) are asked too, for a while: a step that has not reached them is done all the same, and says
 * "not yet on DC2" - replication is no failure, and taking the change back would have to replicate as well.
 */
enum err plan_apply(const struct plan *p, const struct plan_apply_options *o, struct plan_outcome *out,
                    struct errinfo *ei) MUST_CHECK;
/*
 * The inverse of what a journalled run did, as a plan against the directory now; repeatable. Three-way (then, after, now): what is as
 * the run left it gets a step, what is as it was before gets none, what somebody changed since gets a step with .skip that says so, and
 * so does what is on a server that is gone. filter may be NULL.
 */
enum err plan_rollback(struct plan **out, const char *run, const struct plan_apply_options *o,
                       const struct plan_filter *filter, struct errinfo *ei) MUST_CHECK;
/*
 * Goes on with a run that was interrupted (kill -9 too): every unfinished intent is re-read first. The change is there: verified. It
 * never took effect: begun again. It is half there: put back, and its server with it. Somebody else's value: left alone. Then the hosts
 * not begun, the first as a canary again. Hosts that failed before count against max_fail. The steps of a server that is out of reach
 * for good (not in the directory any more, there twice, of another version) fail and say so; the others are gone on with. ERR_PARTIAL
 * when any of the run's steps failed or was left alone; ERR_REFUSED when the run has ended.
 */
enum err plan_resume(const char *run, const struct plan_apply_options *o, struct plan_outcome *out,
                     struct errinfo *ei) MUST_CHECK;

#endif
