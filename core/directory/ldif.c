#include "core/directory/ldif_int.h"

#include "core/base/str.h"

#include <stdio.h>
#include <string.h>

#define BASE64_MAX  (ENTRY_VALUE_MAX / 3 * 4)
#define ENTRY_BYTES ((size_t)8 * 1024 * 1024)

enum { OUTSIDE, TRAILER, COLLECT, SKIP };
enum {
    KIND_NONE,
    KIND_IGNORED,
    KIND_DN,
    KIND_CHANGETYPE,
    KIND_VERSION,
    KIND_RESULT,
    KIND_LATE_CLASS,
    KIND_VALUE
};

void ldif_init(struct ldif *p, const struct ldif_wants *wants, enum ldif_encoding encoding)
{
    *p = (struct ldif){.wants = wants, .encoding = encoding};
    buf_init(&p->converted, LDIF_LINE_MAX + 16);
    buf_init(&p->carry, LDIF_LINE_MAX);
    buf_init(&p->value, BASE64_MAX);
    buf_init(&p->decoded, BASE64_MAX);
    buf_init(&p->dn, ENTRY_DN_MAX);
    buf_init(&p->bytes, ENTRY_BYTES);
}

void ldif_fini(struct ldif *p)
{
    buf_fini(&p->converted);
    buf_fini(&p->carry);
    buf_fini(&p->value);
    buf_fini(&p->decoded);
    buf_fini(&p->dn);
    buf_fini(&p->bytes);
    VEC_FREE(&p->values);
    VEC_FREE(&p->delivered);
}

static void note(struct ldif *p, const char *text)
{
    p->head_from = NULL; /* what is noted has to be read each time */
    p->wants->note(p->wants->arg, p->line, p->dn.len ? buf_str(&p->dn) : NULL, text);
}

static bool is_wanted(const struct ldif *p)
{
    const struct ldif_wants *w = p->wants;
    return w->everything || ((p->classes & w->wanted) && !(p->classes & w->unwanted));
}

static enum err no_memory(struct ldif *p, struct errinfo *ei)
{
    return err_set(ei, ERR_NOMEM, NULL, "line %llu: no memory for an entry", (unsigned long long)p->line);
}

/* ---- the entry */

static void begin_entry(struct ldif *p, uint64_t at)
{
    buf_reset(&p->dn);
    buf_reset(&p->bytes);
    p->values.n = 0;
    p->classes = 0;
    p->seen_class = p->too_large = false;
    p->entry_at = at;
    p->entry_line = p->line;
    p->state = COLLECT;
    p->entries++;
}

static enum err end_entry(struct ldif *p, struct errinfo *ei)
{
    bool deliver = p->state == COLLECT && p->dn.len && is_wanted(p);
    p->state = OUTSIDE;
    if (!deliver) {
        buf_reset(&p->dn);
        return ERR_OK;
    }
    p->delivered.n = 0;
    for (size_t i = 0; i < p->values.n; i++) {
        const struct ldif_value *v = &p->values.v[i];
        if (!VEC_PUSH(&p->delivered, ENTRY_VALUES_MAX,
                      (struct entry_value){v->attribute, v->cut, buf_str(&p->bytes) + v->at, v->len}))
            return no_memory(p, ei);
    }
    struct entry e = {.dn = buf_str(&p->dn),
                      .classes = p->classes,
                      .values = p->delivered.v,
                      .n = p->delivered.n,
                      .position = p->entry_at,
                      .line = p->entry_line};
    p->done = p->wants->single;
    enum err err = p->wants->entry(p->wants->arg, &e, ei);
    buf_reset(&p->dn); /* notes between entries name none */
    return err;
}

static enum err add_value(struct ldif *p, const char *data, size_t len, bool cut, struct errinfo *ei)
{
    if (len > ENTRY_VALUE_MAX) {
        len = ENTRY_VALUE_MAX;
        cut = true;
    }
    if (p->too_large)
        return ERR_OK;
    if (p->values.n >= ENTRY_VALUES_MAX || p->bytes.len + len > ENTRY_BYTES) {
        p->too_large = true;
        note(p, "too many values: the rest was left out");
        return ERR_OK;
    }
    size_t at = p->bytes.len;
    if (buf_add(&p->bytes, data, len) ||
        !VEC_PUSH(&p->values, ENTRY_VALUES_MAX, (struct ldif_value){p->attribute, cut, at, len}))
        return no_memory(p, ei);
    return ERR_OK;
}

static void take_dn(struct ldif *p, const char *data, size_t len, bool cut)
{
    if (cut || len > ENTRY_DN_MAX || memchr(data, '\0', len)) {
        note(p, cut || len > ENTRY_DN_MAX ? "a DN is longer than 4,096 bytes: the entry was left out"
                                          : "a DN holds a NUL: the entry was left out");
        p->state = SKIP;
        return;
    }
    if (buf_add(&p->dn, data, len))
        p->state = SKIP;
}

static void take_result(struct ldif *p, const char *data, size_t len)
{
    char text[160];
    if (len && data[0] == '0')
        return;
    str_fmt(text, sizeof text, "the search that made this export ended with result %.*s: it is not complete",
            (int)(len < 80 ? len : 80), data);
    note(p, text);
}

/* ---- logical lines */

static enum err take_value(struct ldif *p, const char *data, size_t len, bool cut, struct errinfo *ei)
{
    switch (p->kind) {
    case KIND_DN: take_dn(p, data, len, cut); break;
    case KIND_CHANGETYPE:
        if (len != 3 || str_incmp(data, "add", 3) != 0) {
            note(p, "a change record that is no add was left out");
            p->state = SKIP;
        }
        break;
    case KIND_VERSION:
        if (len != 1 || data[0] != '1')
            note(p, "the file says another LDIF version than 1; read as 1");
        break;
    case KIND_RESULT: take_result(p, data, len); break;
    case KIND_LATE_CLASS:
        if (class_find(data, len) & p->wants->wanted)
            note(p, "an objectClass stands apart from the others of its entry: the entry was left out");
        break;
    default:
        if (p->attribute != ATTRIBUTE_OBJECT_CLASS)
            return add_value(p, data, len, cut, ei);
        p->with_class += !p->seen_class;
        p->seen_class = true;
        p->classes |= class_find(data, len);
        if (p->wants->extra && str_ieq(p->wants->extra, "objectClass")) {
            p->attribute = ATTRIBUTE_EXTRA;
            return add_value(p, data, len, cut, ei);
        }
    }
    return ERR_OK;
}

/* The logical line is whole. */
static enum err end_logical(struct ldif *p, struct errinfo *ei)
{
    int kind = p->kind;
    if (kind == KIND_NONE || kind == KIND_IGNORED) {
        p->kind = KIND_NONE;
        return ERR_OK;
    }
    const char *data = p->piece ? p->piece : buf_str(&p->value);
    size_t len = p->piece ? p->piece_len : p->value.len;
    bool cut = p->value_cut;
    enum err e = ERR_OK;
    if (p->by_url) {
        note(p, "a value is given by URL; files and URLs are not read, the value was left out");
        if (kind == KIND_DN)
            p->state = SKIP;
    } else if (p->base64) {
        buf_reset(&p->decoded);
        if (base64_decode(&p->decoded, data, cut ? len & ~(size_t)3 : len)) {
            note(p, kind == KIND_DN ? "the base64 of a DN is broken: the entry was left out"
                                    : "the base64 of a value is broken: the value was left out");
            if (kind == KIND_DN)
                p->state = SKIP;
        } else {
            e = take_value(p, buf_str(&p->decoded), p->decoded.len, cut, ei);
        }
    } else {
        e = take_value(p, data, len, cut, ei);
    }
    p->kind = KIND_NONE;
    p->piece = NULL;
    return e;
}

/* The bytes that the logical line borrows are about to go. */
static void settle(struct ldif *p)
{
    if (!p->piece)
        return;
    buf_reset(&p->value);
    buf_add(&p->value, p->piece, p->piece_len);
    p->piece = NULL;
}

static void continue_logical(struct ldif *p, const char *s, size_t len, bool cut)
{
    if (p->kind == KIND_NONE || p->kind == KIND_IGNORED)
        return;
    settle(p);
    size_t room = p->value.limit - p->value.len;
    if (p->value_cut)
        return;
    if (len > room || cut) {
        len = len > room ? room : len;
        p->value_cut = true;
    }
    buf_add(&p->value, s, len);
}

static bool same_name(const char *s, size_t len, const char *name, size_t name_len)
{
    return name_len == len && str_incmp(s, name, len) == 0;
}
#define IS_NAME(s, len, literal) same_name(s, len, literal, sizeof literal - 1)

/* Which line this is; the entry under way may end or begin with it. */
static enum err classify(struct ldif *p, const char *s, size_t name_len, uint64_t at, struct errinfo *ei)
{
    enum err e = ERR_OK;
    p->kind = KIND_IGNORED;
    if (IS_NAME(s, name_len, "dn")) {
        if (p->state == COLLECT || p->state == SKIP) {
            note(p, "no empty line before the next entry");
            e = end_entry(p, ei);
        }
        begin_entry(p, at);
        p->kind = KIND_DN;
        return e;
    }
    if (p->state == COLLECT) {
        const char *options = memchr(s, ';', name_len);
        size_t base_len = options ? (size_t)(options - s) : name_len;
        enum attribute a = attribute_find(s, base_len);
        if (IS_NAME(s, name_len, "changetype")) {
            p->kind = KIND_CHANGETYPE;
        } else if (a != ATTRIBUTE_OBJECT_CLASS && p->seen_class && !is_wanted(p)) {
            p->state = SKIP;
            if (p->head_from)
                ldif_head_learn(&p->heads[p->next_head++ % LDIF_HEADS], p->head_from, s + name_len + 1);
        } else if (p->wants->extra && a != ATTRIBUTE_OBJECT_CLASS &&
                   same_name(s, base_len, p->wants->extra, strlen(p->wants->extra))) {
            p->kind = KIND_VALUE;
            p->attribute = ATTRIBUTE_EXTRA;
        } else if (a != ATTRIBUTE_NONE &&
                   (a == ATTRIBUTE_OBJECT_CLASS || attribute_wanted_by(a) & p->wants->who)) {
            p->kind = KIND_VALUE;
            p->attribute = a;
        }
        return ERR_OK;
    }
    if (p->state == SKIP) {
        const char *options = memchr(s, ';', name_len);
        if (attribute_find(s, options ? (size_t)(options - s) : name_len) == ATTRIBUTE_OBJECT_CLASS)
            p->kind = KIND_LATE_CLASS;
        return ERR_OK;
    }
    if (p->state == OUTSIDE && IS_NAME(s, name_len, "version") && !p->entries) {
        p->kind = KIND_VERSION;
        return ERR_OK;
    }
    if (p->state == OUTSIDE) { /* ldapsearch ends with "search: 2", "result: 0 Success" */
        if (!IS_NAME(s, name_len, "search") && !IS_NAME(s, name_len, "ref") &&
            !IS_NAME(s, name_len, "result")) {
            note(p, "lines that belong to no entry were left out");
        }
        p->state = TRAILER;
    }
    if (p->state == TRAILER && IS_NAME(s, name_len, "result"))
        p->kind = KIND_RESULT;
    return ERR_OK;
}

static enum err begin_logical(struct ldif *p, const char *s, size_t len, bool cut, uint64_t at,
                              struct errinfo *ei)
{
    const char *colon = memchr(s, ':', len);
    if (!colon) {
        if (p->state == COLLECT || p->state == OUTSIDE)
            note(p, "a line that is neither attribute nor comment was left out");
        p->kind = KIND_IGNORED;
        return ERR_OK;
    }
    size_t name_len = (size_t)(colon - s), skip = name_len + 1;
    enum err e = classify(p, s, name_len, at, ei);
    if (p->kind == KIND_IGNORED)
        return e;
    p->base64 = skip < len && s[skip] == ':';
    p->by_url = skip < len && s[skip] == '<';
    skip += p->base64 || p->by_url;
    while (skip < len && s[skip] == ' ')
        skip++;
    p->piece = s + skip;
    p->piece_len = len - skip;
    p->value_cut = cut || p->piece_len > BASE64_MAX;
    if (p->piece_len > BASE64_MAX)
        p->piece_len = BASE64_MAX;
    return e;
}

/* One physical line without its newline. */
static enum err take_line(struct ldif *p, const char *s, size_t len, bool cut, uint64_t at,
                          struct errinfo *ei)
{
    p->line++;
    if (len > LDIF_LINE_MAX) {
        len = LDIF_LINE_MAX;
        cut = true;
    }
    if (!cut && len && s[len - 1] == '\r')
        len--;
    if (len && s[0] == ' ') {
        continue_logical(p, s + 1, len - 1, cut);
        return ERR_OK;
    }
    enum err e = end_logical(p, ei);
    if (e)
        return e;
    if (!len)
        return end_entry(p, ei);
    if (s[0] == '#') {
        p->kind = KIND_IGNORED;
        return ERR_OK;
    }
    if (p->state == SKIP && (s[0] | 0x20) != 'd' && (s[0] | 0x20) != 'o')
        return ERR_OK;
    return begin_logical(p, s, len, cut, at, ei);
}

/* Whether the entry that follows the empty line begins as one that was not wanted. */
static bool begins_alike(struct ldif *p, const char *at, const char *end, struct ldif_match *m)
{
    for (unsigned i = 0; i < LDIF_HEADS; i++) {
        unsigned head = (p->last_head + i) % LDIF_HEADS;
        if (ldif_head_matches(&p->heads[head], at, end, ENTRY_DN_MAX, m)) {
            p->last_head = head;
            return true;
        }
    }
    return false;
}

/* The entries that nobody wants, from a line of one. Returns where reading goes on, as ldif_skip_lines() does. */
static const char *skip_entries(struct ldif *p, const char *at, const char *end)
{
    struct ldif_match m = {0};
    for (;;) {
        at = ldif_skip_lines(at, end, &p->line);
        if (at == end || !begins_alike(p, at, end, &m))
            break;
        p->line += m.lines;
        p->entries++;
        p->with_class++;
        at = m.next;
    }
    if (m.dn) { /* of the entry that reading goes on in: notes name it */
        buf_reset(&p->dn);
        buf_add(&p->dn, m.dn, m.dn_len);
    }
    return at;
}

static void keep_rest(struct ldif *p, const char *s, size_t len, uint64_t at)
{
    if (!p->carrying) {
        buf_reset(&p->carry);
        p->carrying = true;
        p->carry_cut = false;
        p->carry_at = at;
    }
    size_t room = LDIF_LINE_MAX - p->carry.len;
    if (len > room) {
        len = room;
        p->carry_cut = true;
    }
    buf_add(&p->carry, s, len);
}

enum err ldif_feed_lines(struct ldif *p, const char *data, size_t len, struct errinfo *ei)
{
    enum err e = ERR_OK;
    const char *at = data, *end = data + len;
    while (!e && at < end && !p->done) {
        if (p->state == SKIP && p->kind <= KIND_IGNORED && !p->carrying) {
            at = skip_entries(p, at, end);
            if (at == end)
                break;
        }
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline) {
            keep_rest(p, at, (size_t)(end - at), p->position + (uint64_t)(at - data));
            break;
        }
        if (p->carrying) {
            keep_rest(p, at, (size_t)(newline - at), 0);
            p->carrying = false;
            if (p->carry.failed)
                return no_memory(p, ei);
            p->head_from = NULL;
            e = take_line(p, buf_str(&p->carry), p->carry.len, p->carry_cut, p->carry_at, ei);
            settle(p);
        } else {
            e = take_line(p, at, (size_t)(newline - at), false, p->position + (uint64_t)(at - data), ei);
            if (p->kind == KIND_DN)
                p->head_from = newline + 1;
        }
        at = newline + 1;
    }
    settle(p);
    p->head_from = NULL;
    p->position += len;
    if (!e && (p->value.failed || p->carry.failed))
        return no_memory(p, ei);
    return e;
}

enum err ldif_end_lines(struct ldif *p, bool cut, struct errinfo *ei)
{
    enum err e = ERR_OK;
    cut = cut || p->carrying;
    if (p->carrying) {
        p->carrying = false;
        e = take_line(p, buf_str(&p->carry), p->carry.len, p->carry_cut, p->carry_at, ei);
    }
    if (!e)
        e = end_logical(p, ei);
    if (!e && cut)
        note(p,
             "the file ends in the middle of a line: if it was cut, this entry is not whole and others are "
             "missing");
    return e ? e : end_entry(p, ei);
}
