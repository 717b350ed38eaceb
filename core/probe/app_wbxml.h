/*
 * WBXML as ActiveSync uses it (MS-ASWBXML 2.1, WAP-192-WBXML): one code page at a time, inline strings and opaque data, no attributes, no
 * string table, no entities. Reader and writer are pure; the reader takes hostile bytes: bounded depth, size, number and text.
 *
 *     wbxml_begin(&w, &buf);
 *     wbxml_open(&w, WBXML_FOLDERS, FOLDERS_FOLDER_SYNC);
 *     wbxml_leaf(&w, WBXML_FOLDERS, FOLDERS_SYNC_KEY, "0");
 *     wbxml_close(&w);
 */
#ifndef CORE_PROBE_APP_WBXML_H
#define CORE_PROBE_APP_WBXML_H

#include "core/base/buf.h"

#define WBXML_MAX          ((size_t)1 << 20)
#define WBXML_DEPTH_MAX    32
#define WBXML_ELEMENTS_MAX 50000
#define WBXML_TEXT_MAX     4096 /* of one element; more is cut */

/* Code pages and tags that are used here (MS-ASWBXML 2.1.2.1). */
enum { WBXML_AIRSYNC = 0, WBXML_FOLDERS = 7, WBXML_PROVISION = 14 };
enum {
    FOLDERS_STATUS = 0x0c,
    FOLDERS_CHANGES = 0x0e,
    FOLDERS_ADD = 0x0f,
    FOLDERS_SYNC_KEY = 0x12,
    FOLDERS_FOLDER_SYNC = 0x16,
    FOLDERS_COUNT = 0x17
};

struct wbxml_writer {
    struct buf *out;
    unsigned page;
};

void wbxml_begin(struct wbxml_writer *w, struct buf *out);
void wbxml_open(struct wbxml_writer *w, unsigned page, unsigned tag);
void wbxml_leaf(struct wbxml_writer *w, unsigned page, unsigned tag, const char *text);
void wbxml_close(struct wbxml_writer *w);

/* An element on the way down to the one under way: page << 8 | tag. */
#define WBXML_NAME(page, tag) ((page) << 8 | (tag))

struct wbxml_reader {
    /* An element ends. path: its ancestors and itself, n of them; text: what stood directly in it, never NULL, no NUL inside; len of it.
       Bytes are the server's: not necessarily UTF-8. */
    void (*element)(void *arg, const unsigned *path, size_t n, const char *text, size_t len);
    void *arg;
};
enum err wbxml_read(const void *data, size_t len, const struct wbxml_reader *r,
                    struct errinfo *ei) MUST_CHECK;

/* What a FolderSync answer says. */
struct folder_sync {
    int status; /* MS-ASCMD 2.2.3.177.4; -1 none */
    unsigned folders;
    char sync_key[64]; /* safe to show */
};
void folder_sync_request(struct buf *out);
enum err folder_sync_parse(struct folder_sync *out, const void *data, size_t len,
                           struct errinfo *ei) MUST_CHECK;

#endif
