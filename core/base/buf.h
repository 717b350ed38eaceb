/*
 * A growing byte buffer with a limit given at birth.
 *
 * Always NUL-terminated (the NUL is not counted). A write past the limit or a failed allocation
 * frees nothing but sets .failed, and every later append is a no-op that returns the same error:
 * a builder may append freely and check once. Not thread-safe.
 */
#ifndef CORE_BASE_BUF_H
#define CORE_BASE_BUF_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL until the first append; use buf_str() for a C string */
    size_t len, cap, limit;
    enum err failed;
};

void buf_init(struct buf *b, size_t limit);
void buf_fini(struct buf *b);
/* Forgets the content, keeps the memory and the limit. */
void buf_reset(struct buf *b);
enum err buf_add(struct buf *b, const void *data, size_t len);
enum err buf_adds(struct buf *b, const char *s);
enum err buf_addc(struct buf *b, char c);
enum err buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Makes room for len more bytes and returns where they go; buf_commit() what was written. NULL when it can't. */
char *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);
/* Drops the first len bytes. */
void buf_drop(struct buf *b, size_t len);
/* Never NULL. */
const char *buf_str(const struct buf *b);
/* Moves the content to the caller, who frees it with free(); the buffer is empty after. NULL when failed or no memory. */
char *buf_take(struct buf *b);

#endif
