/*
 * Evidence from the servers themselves, asked through a transport: what neither the directory nor the wire can show. The exact build of
 * Exchange (rollups are not in the directory), an update of Windows, and IIS's own configuration. Only reads.
 *
 * Needs a shell with the file system: SSH or WinRM, not Exchange's own endpoint, where a cmdlet of Windows is refused. A question that
 * could not be asked is evidence too (OUTCOME_ERROR with the reason). Blocking; one job a server.
 *
 * Sources: directory.md 4 (ExSetup.exe carries the rollup), KB3140410, admin-tools.md 7 and 8.
 */
#ifndef CORE_HOST_HOST_H
#define CORE_HOST_HOST_H

#include "core/base/stop.h"
#include "core/model/evidence.h"
#include "core/model/org.h"
#include "core/transport.h"

#define HOST_TIMEOUT_MS 120000 /* per server: Exchange's snap-in alone takes half a minute to load */
#define HOST_PARALLEL   8

/* Called on the collecting thread as each server ends: of so many so many are done. */
typedef void host_progress(void *arg, const struct server *server, size_t done, size_t all);

struct host_request {
    struct transport *transport; /* borrowed */
    int timeout_ms;              /* per server; 0: HOST_TIMEOUT_MS */
    unsigned parallel;           /* 0: HOST_PARALLEL */
    host_progress *progress;     /* NULL: none */
    void *progress_arg;
};

/* Asks servers (NULL: all but Edge, mailbox servers too, since floors hold for them as well) and merges into e, in their order.
   ERR_OK also when none could be asked. */
enum err host_ask(const struct org *org, const struct server *const *servers, size_t n,
                  const struct host_request *req, const struct stop *stop, struct evidence *e,
                  struct errinfo *ei) MUST_CHECK;

/* The transport for it when the profile's is `configured` (NULL: none): Exchange's own endpoint runs no cmdlet of Windows. */
const char *host_via(const char *configured);

/* The file's version in what PowerShell shows of a VersionInfo ("FileVersion:      14.03.0361.001"), as text or as JSON. */
bool host_parse_build(const char *text, struct version *out);
/*
 * The lines of a file as Get-Content wrote them, appended to out. text: as shown, or (is_json) an array of strings or of objects with the
 * string as "value". PowerShell may break a line at the width of a screen that is not there (assumed: it depends on the host); lines as
 * long as the longest are therefore joined with the next, which between two elements of a configuration changes nothing. ERR_INPUT when
 * that is no such array.
 */
enum err host_join_lines(struct buf *out, const char *text, bool is_json, struct errinfo *ei) MUST_CHECK;

#endif
