/*
 * Names replaced for a report that leaves the house: servers, hosts, domains, sites, databases, users, addresses. The same name
 * always becomes the same replacement, so that the report still makes sense; what a cmdlet, a rule or a version is stays.
 *
 * Not thread-safe: names of users and addresses are given their replacement when they are first met.
 */
#ifndef CORE_REPORT_REDACT_H
#define CORE_REPORT_REDACT_H

#include "core/model/evidence.h"
#include "core/model/org.h"

struct redactor;

/* Learns the names of the organisation and of the evidence. users: others to know, NULL-ended; NULL: none. */
enum err redactor_new(struct redactor **out, const struct org *org, const struct evidence *e,
                      const char *const *users, struct errinfo *ei) MUST_CHECK;
void redactor_free(struct redactor **r);
/* One more name of which the kind says how it is replaced: "host", "user", "site". Ignored when it is known. */
void redactor_add(struct redactor *r, const char *name, const char *kind);
/* Appends text with all names replaced; r NULL: as it is. What followed a name inside of a word is set apart by "_". */
enum err redact(struct redactor *r, const char *text, size_t len, struct buf *out);

#endif
