/*
 * Accepted findings (who lives with which, why, until when) put onto what the rules found. They stay findings, and the
 * verdict no longer counts them.
 */
#ifndef CORE_REPORT_ACCEPT_H
#define CORE_REPORT_ACCEPT_H

#include "core/model/finding.h"
#include "core/store/store.h"

/* Marks what is accepted at that time and asks for the verdict again. Those of another organisation are passed over. */
enum err accept_apply(struct findings *f, const acceptances *list, const char *organization, int64_t now,
                      struct errinfo *ei) MUST_CHECK;

#endif
