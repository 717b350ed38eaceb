/*
 * LDIF files: read from front to end in pieces (never held whole, nor mapped: a file that shrinks meanwhile would end the program), or one
 * entry at a position found earlier.
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
/* A large file is read by several threads; wants is called on the caller's, in the order of the file. */
enum err ldif_file_scan(struct ldif_file *f, const struct ldif_wants *wants, const struct stop *stop,
                        struct ldif_scan *out, struct errinfo *ei) MUST_CHECK;
/* The same in pieces of that many bytes, at least two, by so many threads beside the caller's. */
enum err ldif_file_scan_in(struct ldif_file *f, const struct ldif_wants *wants, size_t piece,
                           unsigned threads, const struct stop *stop, struct ldif_scan *out,
                           struct errinfo *ei) MUST_CHECK;
/* The entry whose dn line stands at position (struct entry.position): wants->entry is called for it, once. */
enum err ldif_file_entry(const struct ldif_file *f, uint64_t position, const struct ldif_wants *wants,
                         struct errinfo *ei) MUST_CHECK;

/* Less than cap bytes only at the end of the file. */
enum err ldif_file_read(const struct ldif_file *f, char *to, size_t cap, uint64_t at, size_t *got,
                        struct errinfo *ei) MUST_CHECK;
/* Memory to read that much into, to be freed; NULL when there is none. */
char *ldif_file_room(size_t len);

/* The organisation in a file; kept: as for directory_read_keeping. */
enum err ldif_read_org(struct org **out, struct buf *kept, const char *path, const struct stop *stop,
                       struct errinfo *ei) MUST_CHECK;

#endif
