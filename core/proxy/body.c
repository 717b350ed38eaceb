/* Framing of bodies, and the copy of one that may have to be sent again. */
#include "core/proxy/proxy_int.h"

#include <stdlib.h>
#include <string.h>

void body_from_head(struct body *b, const struct http1_head *h)
{
    b->kind = BODY_NONE;
    b->left = 0;
    if (h->chunked) {
        b->kind = BODY_CHUNKED;
        http1_chunked_init(&b->chunked);
    } else if (h->has_length) {
        b->kind = BODY_LENGTH;
        b->left = h->length;
    } else if (h->is_response) {
        b->kind = BODY_CLOSE;
    }
    b->done = b->kind == BODY_NONE || (b->kind == BODY_LENGTH && b->left == 0);
}

enum http1_result body_take(struct body *b, const char *p, size_t n, size_t *used)
{
    enum http1_result r;
    switch ((enum body_kind)b->kind) {
    case BODY_NONE: *used = 0; return HTTP1_DONE;
    case BODY_LENGTH:
        *used = n < b->left ? n : (size_t)b->left;
        b->left -= *used;
        b->done = b->left == 0;
        return b->done ? HTTP1_DONE : HTTP1_MORE;
    case BODY_CHUNKED:
        r = http1_chunked_scan(&b->chunked, p, n, used);
        b->done = r == HTTP1_DONE;
        return r;
    case BODY_CLOSE: *used = n; return HTTP1_MORE;
    }
    return HTTP1_BAD;
}

/* Keeps a copy of what of the body goes out while the request may have to be sent again. */
void body_hold(struct conn *c, const char *p, size_t n)
{
    struct replay *k = c->replay;
    if (k == NULL || k->overflow)
        return;
    if (k->body_len + n > HELD_BODY) {
        k->overflow = true;
        free(k->body);
        k->body = NULL;
        return;
    }
    if (k->body_len + n > k->body_cap) {
        uint32_t cap = k->body_cap == 0 ? 1024 : k->body_cap;
        while (cap < k->body_len + n)
            cap *= 2;
        char *bigger = realloc(k->body, cap);
        if (bigger == NULL) {
            k->overflow = true;
            return;
        }
        k->body = bigger;
        k->body_cap = cap;
    }
    memcpy(k->body + k->body_len, p, n);
    k->body_len += (uint32_t)n;
}

bool body_is_short(const struct conn *c)
{
    return c->req.done || (c->req.kind == BODY_LENGTH && c->req.left <= SMALL_BODY && !c->expects);
}
