/* One field of CSV, RFC 4180; a value that a spreadsheet would take for a formula gets a ' before it. last: ends the line. */
#ifndef CORE_REPORT_CSV_H
#define CORE_REPORT_CSV_H

#include "core/base/buf.h"

void csv_field(struct buf *out, const char *value, bool last);

#endif
