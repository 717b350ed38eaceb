/*
 * Snapshots: an organisation and the evidence about it in one file, to be opened later, elsewhere, offline.
 *
 * The file is a gzip'd tar of three parts, so that nothing but tar is needed to look inside: manifest.json (format, when, by
 * whom, from where, and the length and SHA-256 of the others), organization.ldif (the directory entries the organisation
 * was made of: it comes back through the same decoder) and evidence.jsonl (core/report/lines.h). It holds no secret: only what the
 * readers ask the directory for, and what probes observed. It is written with mode 0600 all the same.
 *
 * Reading streams: memory is bounded by the limits of the decoder and of the evidence, whatever the file claims to hold.
 * Blocking; not thread-safe.
 */
#ifndef CORE_REPORT_SNAPSHOT_H
#define CORE_REPORT_SNAPSHOT_H

#include "core/base/stop.h"
#include "core/model/evidence.h"
#include "core/model/org.h"
#include "core/store/store.h"

#define SNAPSHOT_FORMAT     1
#define SNAPSHOT_NAMESPACES 16

/* What a run knew besides: on another machine there may be no profile to say it. */
struct snapshot_facts {
    int64_t made_at;
    const char *made_by, *program; /* "admin@CONTOSO.LAB", "casbridge 0.1" */
    bool probed;
    enum generation target; /* GENERATION_UNKNOWN: none was said */
    const char *namespaces[SNAPSHOT_NAMESPACES];
    size_t n_namespaces;
    const char *legacy_namespace; /* NULL */
    int64_t poll_interval_s;
};

struct snapshot {
    struct arena arena; /* the strings of facts */
    struct snapshot_facts facts;
    struct org *org;    /* its source is "snapshot:FILE" */
    const char *origin; /* the source it was read from when the snapshot was made */
    struct evidence evidence;
    acceptances accepted; /* at that time */
};

/* ldif: what directory_read_keeping kept of org. Written whole or not at all. */
enum err snapshot_write(const char *path, const struct snapshot_facts *facts, const struct org *org,
                        const struct buf *ldif, const struct evidence *e, const acceptances *accepted,
                        struct errinfo *ei) MUST_CHECK;
/* ERR_INPUT: no snapshot, a newer format, cut, altered. */
enum err snapshot_read(struct snapshot **out, const char *path, const struct stop *stop,
                       struct errinfo *ei) MUST_CHECK;
void snapshot_free(struct snapshot **s);
/* The file of "snapshot:FILE"; NULL when source is no snapshot (or NULL). */
const char *snapshot_path(const char *source);

#endif
