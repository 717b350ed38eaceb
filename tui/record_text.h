/*
 * Records of the journal in words, for both faces of the terminal. Pure.
 */
#ifndef TUI_RECORD_TEXT_H
#define TUI_RECORD_TEXT_H

#include "core/base/buf.h"
#include "core/store/store.h"

/* What a "capture" found, e.g. "iis_auth basic; enabled true": its detail is a step as in a plan file, which is for programs. False, with
   nothing written, for any other record. */
bool record_captured(struct buf *out, const struct journal_record *r);

#endif
