/*
 * LDIF files: read from front to end in pieces (never mapped or held whole), or one entry at a position found earlier.
 *
 * Private to core/directory. A struct ldif_file may be read from several threads at once (positioned reads only).
 */
#ifndef CORE_DIRECTORY_LDIF_FILE_H
#define CORE_DIRECTORY_LDIF_FILE_H

#include "core/base/stop.h"
#include "core/directory/ldif.h"
#include "core/model/org.h"

struct ldif_file {
    int fd;
    char *path;
    enum ldif_encoding encoding; /* LDIF_DETECT until the first scan */
};

struct ldif_scan {
    uint64_t entries, with_class, lines;
    bool cut; /* the last line had no end */
};

/* ERR_INPUT when it cannot be opened or is no regular file. */
enum err ldif_file_open(struct ldif_file *f, const char *path, struct errinfo *ei) MUST_CHECK;
void ldif_file_close(struct ldif_file *f);
enum err ldif_file_scan(struct ldif_file *f, const struct ldif_wants *wants, const struct stop *stop,
                        struct ldif_scan *out, struct errinfo *ei) MUST_CHECK;
/* The entry whose dn line stands at position (struct entry.position): wants->entry is called for it, once. */
enum err ldif_file_entry(const struct ldif_file *f, uint64_t position, const struct ldif_wants *wants,
                         struct errinfo *ei) MUST_CHECK;

/* The organisation in a file; kept: as for directory_read_keeping. */
enum err ldif_read_org(struct org **out, struct buf *kept, const char *path, const struct stop *stop,
                       struct errinfo *ei) MUST_CHECK;

#endif
