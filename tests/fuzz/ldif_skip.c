/* core/directory: any bytes as LDIF, read a line at a time, whole, and with a part of them passed over: always the same. */
#include "core/directory/ldif_ahead.h"
#include "tests/unit/ldif_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* As a file is read whose bytes from..to another thread looked at. */
static void read_around(struct ldif_said *s, const char *text, size_t len, size_t from, size_t to)
{
    struct ldif p;
    struct ldif_wants w = ldif_say(s);
    struct ldif_passed passed;
    bool cut;
    ldif_init(&p, &w, LDIF_DETECT);
    ASSERT(ldif_feed(&p, text, from, NULL) == ERR_OK);
    if (p.encoding == LDIF_UTF8 && ldif_skim(text + from, to - from, &w, &passed)) {
        passed.from += from;
        passed.to += from;
        ASSERT(ldif_feed(&p, text + from, (size_t)passed.from - from, NULL) == ERR_OK);
        ldif_pass(&p, &passed);
        from = (size_t)passed.to;
    }
    ASSERT(ldif_feed(&p, text + from, len - from, NULL) == ERR_OK);
    ASSERT(ldif_finish(&p, &cut, NULL) == ERR_OK);
    ldif_say_figures(s, p.entries, p.with_class, p.line, cut);
    ldif_fini(&p);
}

static void compare(const char *text, size_t len, size_t from, size_t to)
{
    struct ldif_said slow, fast;
    ASSERT(ldif_read_slowly(&slow, text, len));
    read_around(&fast, text, len, from, to);
    ASSERT(slow.text.len == fast.text.len &&
           memcmp(buf_str(&slow.text), buf_str(&fast.text), slow.text.len) == 0);
    buf_fini(&slow.text);
    buf_fini(&fast.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf made;
    if (len < 3)
        return 0;
    buf_init(&made, 1 << 20);
    if (data[0] % 4)
        ldif_make(&made, data + 3, len - 3);
    else
        buf_add(&made, data + 3, len - 3);
    size_t n = made.len, from = data[1] * n / 256, to = from + data[2] * (n - from) / 255;
    char *text = malloc(n + 1); /* of its own: a byte read too far is then seen */
    ASSERT(text);
    memcpy(text, buf_str(&made), n);
    char *exact = realloc(text, n ? n : 1);
    ASSERT(exact);
    if (!made.failed) {
        compare(exact, n, n, n);
        compare(exact, n, from, to);
    }
    free(exact);
    buf_fini(&made);
    return 0;
}
