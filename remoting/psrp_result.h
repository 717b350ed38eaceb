/*
 * What a pipeline said, gathered into the transports' result: objects as a JSON array, errors as records, warnings and notes. Pure.
 */
#ifndef REMOTING_PSRP_RESULT_H
#define REMOTING_PSRP_RESULT_H

#include "core/transport.h"
#include "remoting/psrp.h"

#define PSRP_MAX_JSON    (64 << 20) /* bytes of JSON kept; objects beyond are dropped, and that is said */
#define PSRP_MAX_RECORDS 1000  /* errors; warnings (what is beyond is counted, and that is said); notes */
#define PSRP_MAX_TEXT    16384 /* bytes of a text of theirs; the rest is cut off */

struct psrp_result {
    struct buf json; /* the array, without its end */
    struct remote_result *out;
    enum psrp_pipeline_state state; /* NOT_STARTED while it has not ended */
    bool pool_closed;
    char why[256]; /* of a pool that broke; "" */
    size_t dropped, more_errors, more_warnings;
    enum err failed; /* memory */
};

/* out: zeroed; its errors, warnings, notes and output_json are filled. Borrowed until psrp_result_finish(). */
void psrp_result_init(struct psrp_result *r, struct remote_result *out);
void psrp_result_fini(struct psrp_result *r);
void psrp_result_event(struct psrp_result *r, const struct psrp_event *event);
/* Hands over the array, and says what was dropped. ERR_NOMEM, ERR_LIMIT: something is missing from it. */
enum err psrp_result_finish(struct psrp_result *r, struct errinfo *ei) MUST_CHECK;

#endif
