/*
 * What every transport says alike of a command whose end it did not see whole (core/transport.h).
 */
#ifndef REMOTING_OUTCOME_H
#define REMOTING_OUTCOME_H

#include "core/transport.h"

#define OUTCOME_HINT "read the settings again before anything else"

/* Puts before *ei (may be NULL) that the outcome is not known, and what to do then. */
void outcome_note_unknown(struct errinfo *ei);
/* A warning that some of the output may be missing: the connection was lost while it came. ERR_NOMEM. */
enum err outcome_note_gap(struct remote_result *out) MUST_CHECK;

#endif
