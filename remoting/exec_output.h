/*
 * What a PowerShell that was started with a command line left behind, whichever way it was started: two streams of bytes and an exit
 * code; and how that becomes a result of core/transport.h. Pure.
 */
#ifndef REMOTING_EXEC_OUTPUT_H
#define REMOTING_EXEC_OUTPUT_H

#include "core/transport.h"

#define EXEC_OUTPUT_MAX (16 << 20) /* bytes of standard output kept; more is read and dropped */
#define EXEC_ERROR_MAX  (1 << 20)  /* bytes of standard error kept */

struct exec_output {
    struct buf out, err;
    bool out_cut, err_cut;
    bool sent, complete; /* the request left; the end came in order */
    int exit_code;
    char signal[32]; /* "" when it ended by itself */
};

void exec_output_init(struct exec_output *o);
void exec_output_fini(struct exec_output *o);
/* Appends what there is room for. */
void exec_output_add(struct buf *to, bool *cut, const void *data, size_t len);

/* Errors, warnings and output sorted out: into an empty result. */
enum err exec_result(struct remote_result *r, const struct exec_output *o) MUST_CHECK;
/* The whole report: also sent, outcome_unknown and exit code, for a command that ended with err and *ei. */
enum err exec_report(struct remote_result *out, const struct exec_output *o, enum err err,
                     struct errinfo *ei) MUST_CHECK;

#endif
