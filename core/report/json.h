/*
 * The JSON documents of cli.md. Each returns a new reference (json_decref by the caller), NULL when memory ran out.
 */
#ifndef CORE_REPORT_JSON_H
#define CORE_REPORT_JSON_H

#include "core/audit/spn.h"
#include "core/model/finding.h"
#include "core/model/org.h"
#include "core/route/route.h"

#include <jansson.h>

json_t *json_inventory(const struct org *org);
json_t *json_check(const struct findings *f);
json_t *json_probe(const struct evidence *e);
/* casbridge spn; now for the age of passwords. */
json_t *json_spn(const struct spn_audit *a, int64_t now);
json_t *json_route(const struct route_request *req, const struct route_decision *d);
/* "text" or null; invalid UTF-8 is repaired with U+FFFD. */
json_t *json_text(const char *s);
json_t *json_time(int64_t t);                /* RFC 3339 or null for 0 */
json_t *json_auth(bool known, auth_set set); /* array of names; null when unknown */

#endif
