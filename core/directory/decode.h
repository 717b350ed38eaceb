/*
 * Entries -> organisation. Pure: no I/O, the clock is the caller's. Both readers stream into it; only what an organisation
 * consists of is kept, and it is linked together at the end (servers, sites, virtual directories, databases ... by DN).
 *
 * What cannot be understood becomes a note and the rest is kept. Not thread-safe. Private to core/directory.
 */
#ifndef CORE_DIRECTORY_DECODE_H
#define CORE_DIRECTORY_DECODE_H

#include "core/directory/entry.h"
#include "core/model/org.h"

struct decode;

#define DECODE_KEPT_MAX ((size_t)256 * 1024 * 1024) /* bytes of entries as LDIF */

/* What the entries themselves do not say; any of it may be NULL. Offline the naming contexts are taken from the DNs. */
struct decode_context {
    const char *source, *controller;
    const char *default_naming_context, *config_naming_context, *root_naming_context;
    int64_t taken_at;
};

enum err decode_new(struct decode **out, struct errinfo *ei) MUST_CHECK;
void decode_free(struct decode **d);
/* ERR_NOMEM or ERR_LIMIT only. Computers are taken by the name of a server (sAMAccountName), once all servers are in. */
enum err decode_entry(struct decode *d, const struct entry *e, struct errinfo *ei) MUST_CHECK;
/* From now on the entries that are taken are kept as LDIF too; up to limit bytes, past which decode_entry fails. */
void decode_keep_entries(struct decode *d, size_t limit);
/* Moves them to out, an initialised and empty buffer. */
void decode_take_entries(struct decode *d, struct buf *out);
/* subject may be NULL; both are made valid UTF-8. */
void decode_note(struct decode *d, const char *subject, const char *fmt, ...) PRINTF_LIKE(3, 4);

size_t decode_servers(const struct decode *d);
const char *decode_server_name(const struct decode *d, size_t i);
bool decode_has_organization(const struct decode *d);
/* DN of the organisation object, NULL before it came. */
const char *decode_organization_dn(const struct decode *d);

/* Consumes d, also on error. */
enum err decode_finish(struct decode **d, const struct decode_context *c, struct org **out,
                       struct errinfo *ei) MUST_CHECK;

#endif
