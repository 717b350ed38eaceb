#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "remoting/psxml_int.h"

#define MAX_ATTRIBUTES 8
#define MAX_NAME       32

enum err psxml_fail(struct psxml_reader *r, enum err code, const char *fmt, ...)
{
    va_list ap;
    if (r->why.code != ERR_OK)
        return r->why.code;
    va_start(ap, fmt);
    (void)err_setv(&r->why, code, NULL, fmt, ap);
    va_end(ap);
    err_wrap(&r->why, "CLIXML, near byte %llu", (unsigned long long)r->offset);
    return code;
}

enum err psxml_reader_new(struct psxml_reader **out, size_t memory)
{
    struct psxml_reader *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    arena_init(&r->arena, memory);
    buf_init(&r->pending, memory);
    psxml_reader_reset(r);
    *out = r;
    return ERR_OK;
}

void psxml_reader_free(struct psxml_reader **out)
{
    struct psxml_reader *r = *out;
    if (!r)
        return;
    arena_fini(&r->arena);
    buf_fini(&r->pending);
    VEC_FREE(&r->refs);
    VEC_FREE(&r->types);
    VEC_FREE(&r->type_names);
    free(r);
    *out = NULL;
}

void psxml_reader_reset(struct psxml_reader *r)
{
    arena_reset(&r->arena);
    r->arena.failed = false;
    buf_reset(&r->pending);
    r->looked = 0;
    r->frames[0] = (struct frame){.place = IN_DOCUMENT, .element = "the document", .list = &r->top};
    r->n_frames = 1;
    r->depth = 0;
    r->top = (struct ps_list){0};
    r->given = NULL;
    r->refs.n = r->types.n = r->type_names.n = 0;
    r->values = 0;
    r->offset = 0;
    r->begun = r->done = false;
    r->why.code = ERR_OK;
}

size_t psxml_reader_memory(const struct psxml_reader *r)
{
    return r->arena.used + r->pending.cap;
}

/* ---- tags ---- */

static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

/* Version, xmlns, S: nothing in them is used, so nothing unusual may be. */
static bool is_plain(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)s[i] < 0x20 || (unsigned char)s[i] > 0x7e || s[i] == '&')
            return false;
    return true;
}

static const char *skip_space(const char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\n' || *s == '\r' || *s == '\t'))
        s++;
    return s;
}

static enum err take_attribute(struct psxml_reader *r, struct tag *t, const char *name, size_t len,
                               const char *value, size_t value_len)
{
    if (memchr(value, '<', value_len))
        return psxml_fail(r, ERR_INPUT, "\"<\" in a value");
    if (len == 1 && *name == 'N') {
        t->n = value;
        t->n_len = value_len;
    } else if (len == 5 && memcmp(name, "RefId", 5) == 0) {
        if (!str_to_u64(value, value_len, &t->ref))
            return psxml_fail(r, ERR_INPUT, "a RefId that is no number");
        t->has_ref = true;
    } else if (!is_plain(value, value_len)) {
        return psxml_fail(r, ERR_INPUT, "an attribute with a value that is none of it");
    }
    return ERR_OK;
}

/* s: behind "<", end: at ">". */
static enum err read_tag(struct psxml_reader *r, struct tag *t, const char *s, const char *end)
{
    const char *seen[MAX_ATTRIBUTES];
    size_t lens[MAX_ATTRIBUTES], n = 0;
    *t = (struct tag){.closing = s < end && *s == '/'};
    s += t->closing;
    t->name = s;
    while (s < end && is_name_char(*s))
        s++;
    t->len = (size_t)(s - t->name);
    if (t->len == 0 || t->len > MAX_NAME)
        return psxml_fail(r, ERR_INPUT, "a tag without a name that is known");
    if (!t->closing && end[-1] == '/') {
        t->empty = true;
        end--;
    }
    for (;;) {
        const char *at = skip_space(s, end);
        if (at == end)
            return ERR_OK;
        if (t->closing || at == s || n == MAX_ATTRIBUTES)
            return psxml_fail(r, ERR_INPUT, "a tag that is none");
        const char *name = at;
        while (at < end && is_name_char(*at))
            at++;
        size_t len = (size_t)(at - name);
        at = skip_space(at, end);
        if (len == 0 || (*name >= '0' && *name <= '9') || *name == '-' || *name == '.' || at == end ||
            *at != '=')
            return psxml_fail(r, ERR_INPUT, "an attribute without a value");
        at = skip_space(at + 1, end);
        char quote = at < end ? *at : '\0';
        const char *value = at + 1;
        const char *close =
            quote == '"' || quote == '\'' ? memchr(value, quote, (size_t)(end - value)) : NULL;
        if (!close)
            return psxml_fail(r, ERR_INPUT, "an attribute without a value");
        for (size_t i = 0; i < n; i++)
            if (lens[i] == len && memcmp(seen[i], name, len) == 0)
                return psxml_fail(r, ERR_INPUT, "an attribute twice");
        seen[n] = name;
        lens[n++] = len;
        enum err err = take_attribute(r, t, name, len, value, (size_t)(close - value));
        if (err != ERR_OK)
            return err;
        s = close + 1;
    }
}

/* The ">" that ends the tag at s (a "<"), or NULL: not there yet. */
static const char *tag_end(const char *s, const char *end)
{
    const char *close = memchr(s, '>', (size_t)(end - s));
    if (!close)
        return NULL;
    /* Nearly no tag has a ">" within quotes. */
    char quote = '\0';
    for (const char *at = s; at < end; at++) {
        if (quote)
            quote = *at == quote ? '\0' : quote;
        else if (*at == '"' || *at == '\'')
            quote = *at;
        else if (*at == '>')
            return at;
    }
    return NULL;
}

static enum err take_tag(struct psxml_reader *r, const char *s, const char *close)
{
    struct tag t;
    enum err err = read_tag(r, &t, s + 1, close);
    if (err != ERR_OK)
        return err;
    if (t.closing)
        return psxml_close(r, &t);
    err = psxml_open(r, &t);
    return err == ERR_OK && t.empty ? psxml_close(r, &t) : err;
}

/* "<?xml ...?>" before anything, "<!--...-->" anywhere. *used 0: not whole yet. */
static enum err take_other(struct psxml_reader *r, const char *s, const char *end, size_t *used)
{
    size_t len = (size_t)(end - s);
    bool comment = len >= 4 && memcmp(s, "<!--", 4) == 0;
    bool maybe = len < 4 && memcmp(s, "<!--", len) == 0;
    const char *tail = comment ? "--" : "?>";
    if (maybe)
        return ERR_OK;
    if (s[1] == '?' && (r->begun || r->offset > 3))
        return psxml_fail(r, ERR_INPUT, "a processing instruction");
    if (s[1] == '!' && !comment)
        return psxml_fail(r, ERR_INPUT, "a document type, an entity or CDATA: none is CLIXML");
    const char *close = memmem(s + (comment ? 4 : 2), len - (comment ? 4 : 2), tail, 2);
    if (close && comment && close + 2 < end && close[2] != '>')
        return psxml_fail(r, ERR_INPUT, "\"--\" within a comment");
    if (close && close + 2 + comment <= end)
        *used = (size_t)(close + 2 + comment - s);
    return ERR_OK;
}

/* Takes what is whole of s; *used: how much that was. last: nothing follows. */
static enum err run(struct psxml_reader *r, const char *s, size_t len, size_t *used)
{
    const char *at = s, *end = s + len;
    enum err err = ERR_OK;
    while (at < end && err == ERR_OK) {
        size_t n = 0;
        if (*at != '<') {
            size_t skip = at == s ? r->looked : 0;
            const char *stop = memchr(at + skip, '<', (size_t)(end - at) - skip);
            if (!stop) {
                r->looked = (size_t)(end - at);
                break;
            }
            n = (size_t)(stop - at);
            err = psxml_take_text(r, at, n);
        } else if (at + 1 == end) {
            break;
        } else if (at[1] == '!' || at[1] == '?') {
            err = take_other(r, at, end, &n);
        } else {
            const char *close = tag_end(at, end);
            if (close && close - at < PSXML_MAX_TAG) {
                err = take_tag(r, at, close);
                n = (size_t)(close - at) + 1;
            } else if (end - at > PSXML_MAX_TAG) {
                err = psxml_fail(r, ERR_LIMIT, "a tag longer than %d bytes", PSXML_MAX_TAG);
            }
        }
        if (err != ERR_OK || n == 0)
            break;
        r->looked = 0;
        r->offset += n;
        at += n;
    }
    *used = (size_t)(at - s);
    return err;
}

static enum err report(const struct psxml_reader *r, struct errinfo *ei)
{
    if (ei && r->why.code != ERR_OK)
        *ei = r->why;
    return r->why.code;
}

/* A byte order mark, whole or cut: how much of it is there. */
static size_t mark_length(const char *s, size_t len)
{
    size_t n = len < 3 ? len : 3;
    return memcmp(s, "\xef\xbb\xbf", n) == 0 ? n : 0;
}

enum err psxml_feed(struct psxml_reader *r, const void *data, size_t len, struct errinfo *ei)
{
    const char *s = data;
    size_t used = 0;
    if (r->why.code != ERR_OK || len == 0)
        return report(r, ei);
    bool held = r->pending.len > 0;
    if (held) {
        if (buf_add(&r->pending, data, len) != ERR_OK)
            return psxml_fail(r, r->pending.failed, "a text larger than can be kept"), report(r, ei);
        s = r->pending.data;
        len = r->pending.len;
    }
    size_t mark = r->offset == 0 ? mark_length(s, len) : 0;
    if (mark == 3 || mark == 0) {
        r->offset += mark;
        (void)run(r, s + mark, len - mark, &used);
        used += mark;
    }
    if (r->why.code == ERR_OK && held)
        buf_drop(&r->pending, used);
    else if (r->why.code == ERR_OK && used < len && buf_add(&r->pending, s + used, len - used) != ERR_OK)
        (void)psxml_fail(r, r->pending.failed, "a text larger than can be kept");
    return report(r, ei);
}

enum err psxml_end(struct psxml_reader *r, struct errinfo *ei)
{
    if (r->why.code == ERR_OK && (r->n_frames > 1 || !psxml_is_space(buf_str(&r->pending), r->pending.len)))
        (void)psxml_fail(r, ERR_INPUT, "it ends within <%s>", r->frames[r->n_frames - 1].element);
    else if (r->why.code == ERR_OK && !r->begun)
        (void)psxml_fail(r, ERR_INPUT, "there is nothing");
    return report(r, ei);
}

const struct ps_value *psxml_next(struct psxml_reader *r)
{
    const struct ps_value *next = r->given ? r->given->next : r->top.first;
    if (next)
        r->given = next;
    return next;
}

enum err psxml_read_one(struct psxml_reader *r, const void *data, size_t len, const struct ps_value **out,
                        struct errinfo *ei)
{
    psxml_reader_reset(r);
    enum err err = psxml_feed(r, data, len, ei);
    if (err == ERR_OK)
        err = psxml_end(r, ei);
    if (err != ERR_OK)
        return err;
    if (r->top.n != 1) {
        (void)psxml_fail(r, ERR_INPUT, "%zu values where one should be", r->top.n);
        return report(r, ei);
    }
    *out = r->top.first;
    return ERR_OK;
}
