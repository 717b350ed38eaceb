/* Heads and chunked bodies: any cut gives the same verdict, offsets stay inside, and what was accepted is rewritten to what is accepted again. */
#include "core/proxy/proxy_int.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void inside(const struct http1_head *h)
{
    for (size_t i = 0; i < h->n_fields; i++) {
        ASSERT((size_t)h->fields[i].name + h->fields[i].name_len <= h->len);
        ASSERT((size_t)h->fields[i].value + h->fields[i].value_len <= h->len);
    }
    ASSERT((size_t)h->method + h->method_len <= h->len && (size_t)h->target + h->target_len <= h->len);
    ASSERT((size_t)h->reason + h->reason_len <= h->len);
    ASSERT(!(h->chunked && h->has_length));
}

static void head(const char *p, size_t len, bool response)
{
    static struct http1_head h, again;
    const char *why = NULL;
    size_t whole = 0, pos = 0;
    enum http1_result want = http1_scan(p, len, &whole, &why), r = HTTP1_MORE;
    for (size_t have = 0; r == HTTP1_MORE && have < len;) {
        have += 1 + have % 7;
        r = http1_scan(p, have < len ? have : len, &pos, &why);
    }
    ASSERT(len == 0 || r == want);
    if (want != HTTP1_DONE || http1_parse(&h, p, whole, response) != HTTP1_DONE)
        return;
    ASSERT(pos == whole);
    inside(&h);
    struct iobuf_pool pool;
    iobuf_pool_init(&pool, 1);
    struct iobuf *out = iobuf_get_sized(&pool, whole + 1024);
    bool ok = response ? head_response(out, &h, p, "close", NULL)
                       : head_request(out, &h, p, NULL, NULL, false, NULL);
    if (ok) {
        ASSERT(http1_parse(&again, iobuf_head(out), iobuf_len(out), response) == HTTP1_DONE);
        ASSERT(again.chunked == h.chunked && again.has_length == h.has_length && again.length == h.length);
    }
    if (!response) {
        enum path_kind k = policy_path_kind(&h, p);
        ASSERT(policy_path_name(k) != NULL);
    }
    iobuf_put(&pool, &out);
    iobuf_pool_fini(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *p = (const char *)data;
    struct http1_chunked a, b;
    size_t used = 0, total = 0;
    if (len > HTTP1_MAX_HEAD)
        return 0;
    head(p, len, false);
    head(p, len, true);
    http1_chunked_init(&a);
    http1_chunked_init(&b);
    enum http1_result want = http1_chunked_scan(&a, p, len, &used), r = HTTP1_MORE;
    while (r == HTTP1_MORE && total < len) {
        size_t n = 1 + total % 5, k = 0;
        if (n > len - total)
            n = len - total;
        r = http1_chunked_scan(&b, p + total, n, &k);
        total += k;
    }
    ASSERT(r == want || len == 0);
    if (want == HTTP1_DONE)
        ASSERT(total == used && used <= len);
    return 0;
}
