/*
 * Jobs: straight-line blocking functions on a bounded pool of threads, and a mailbox of finished results.
 *
 * The submitter owns arg until done() has been called for it. run() executes on a pool thread; done() on
 * the thread that calls job_pool_collect() or job_pool_wait() - never on a pool thread, so it may touch the
 * submitter's data without locks. Wake-up: job_pool_fd() becomes readable when a result waits (poll it).
 */
#ifndef CORE_BASE_JOB_H
#define CORE_BASE_JOB_H

#include "core/base/err.h"

#include <stdbool.h>

struct job_pool;

typedef void job_fn(void *arg);

enum err job_pool_new(struct job_pool **out, unsigned threads, struct errinfo *ei) MUST_CHECK;
/* Waits for running jobs (raise their stop first), drops those not begun (their done() is called), frees. NULL is fine. */
void job_pool_free(struct job_pool **pool);
/* Threads are started on demand up to the limit. ERR_LIMIT when 65,536 jobs wait. */
enum err job_pool_submit(struct job_pool *pool, job_fn *run, job_fn *done, void *arg) MUST_CHECK;
/* Also for progress: hands fn(arg) to the collecting thread, in order. Safe from any thread. */
enum err job_pool_post(struct job_pool *pool, job_fn *fn, void *arg) MUST_CHECK;
int job_pool_fd(const struct job_pool *pool);
/* Runs the done functions of all finished jobs; returns how many. */
unsigned job_pool_collect(struct job_pool *pool);
/* Collects until nothing waits or runs. */
void job_pool_wait(struct job_pool *pool);
/* Jobs submitted and not yet collected. */
unsigned job_pool_pending(struct job_pool *pool);

#endif
