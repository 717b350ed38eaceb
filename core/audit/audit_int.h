/* Inside core/audit only. */
#ifndef CORE_AUDIT_AUDIT_INT_H
#define CORE_AUDIT_AUDIT_INT_H

#include "core/audit/spn.h"

/* Commands for what is wrong; false when the audit's arena is full. */
bool spn_write_commands(struct spn_audit *a);

#endif
