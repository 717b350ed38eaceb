/*
 * Paths and small files: XDG folders, reading with a limit, writing so that a crash leaves old or new, never half.
 */
#ifndef CORE_BASE_PATH_H
#define CORE_BASE_PATH_H

#include "core/base/buf.h"

/* $XDG_CONFIG_HOME/casbridge/name (or ~/.config/...), the same for state ($XDG_STATE_HOME, ~/.local/state). */
enum err path_config(struct buf *out, const char *name, struct errinfo *ei) MUST_CHECK;
enum err path_state(struct buf *out, const char *name, struct errinfo *ei) MUST_CHECK;
/* Makes the folders above path, mode 0700. */
enum err path_make_parents(const char *path, struct errinfo *ei) MUST_CHECK;
/* Appends the whole file; ERR_LIMIT when it is longer than out's limit. */
enum err path_read(struct buf *out, const char *path, struct errinfo *ei) MUST_CHECK;
/* Temporary file beside it, fsync, rename. mode as for open(). */
enum err path_write(const char *path, const void *data, size_t len, unsigned mode,
                    struct errinfo *ei) MUST_CHECK;

#endif
