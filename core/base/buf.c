#include "core/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.limit = b->limit};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = ERR_OK;
    if (b->data)
        b->data[0] = '\0';
}

/* Room for len more bytes and the NUL. */
static bool grow(struct buf *b, size_t len)
{
    if (b->failed)
        return false;
    if (len > b->limit || b->len > b->limit - len) {
        b->failed = ERR_LIMIT;
        return false;
    }
    if (b->cap > b->len + len)
        return true;
    size_t cap = b->cap ? b->cap : 64;
    while (cap <= b->len + len)
        cap += cap / 2 + 16;
    if (cap > b->limit + 1)
        cap = b->limit + 1;
    char *data = realloc(b->data, cap);
    if (!data) {
        b->failed = ERR_NOMEM;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

enum err buf_add(struct buf *b, const void *data, size_t len)
{
    if (!grow(b, len))
        return b->failed;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return ERR_OK;
}

enum err buf_adds(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

enum err buf_addc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

enum err buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    size_t room = b->failed ? 0 : b->cap - b->len; /* mostly enough: then it is formatted once */
    va_start(ap, fmt);
    int n = vsnprintf(room ? b->data + b->len : NULL, room, fmt, ap);
    va_end(ap);
    if (n < 0 || !grow(b, (size_t)n)) {
        if (room)
            b->data[b->len] = '\0';
        return n < 0 ? (b->failed = ERR_INTERNAL) : b->failed;
    }
    if ((size_t)n >= room) {
        va_start(ap, fmt);
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    b->len += (size_t)n;
    return ERR_OK;
}

char *buf_reserve(struct buf *b, size_t len)
{
    return grow(b, len) ? b->data + b->len : NULL;
}

void buf_commit(struct buf *b, size_t len)
{
    ASSERT(b->cap > b->len + len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buf_drop(struct buf *b, size_t len)
{
    ASSERT(len <= b->len);
    if (!len)
        return;
    memmove(b->data, b->data + len, b->len - len + 1);
    b->len -= len;
}

const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
    char *data = NULL;
    if (!b->failed)
        data = b->data ? b->data : calloc(1, 1);
    else
        free(b->data);
    *b = (struct buf){.limit = b->limit};
    return data;
}
