#include "tui/widgets/filter.h"

#include "core/base/str.h"

#include <string.h>

static bool is_field_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

static int find_field(const char *name, size_t len, const char *const *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(fields[i]) == len && str_incmp(fields[i], name, len) == 0)
            return (int)i;
    }
    return -1;
}

static enum err unknown_field(const char *name, size_t len, const char *const *fields, size_t n,
                              struct errinfo *ei)
{
    char known[200] = "";
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(known);
        str_fmt(known + at, sizeof known - at, "%s%s", i ? " " : "fields here: ", fields[i]);
    }
    return err_set(ei, ERR_USAGE, known, "no field '%.*s'", (int)(len > 40 ? 40 : len), name);
}

/* Copies a word or a quoted text; *p ends up behind it. False when a quote is not closed. */
static bool take_text(const char **p, char *out, size_t cap)
{
    size_t n = 0;
    bool quoted = **p == '"';
    if (quoted)
        ++*p;
    while (**p && **p != (quoted ? '"' : ' ')) {
        size_t k = utf8_next(*p, strlen(*p), NULL);
        if (k == 0)
            k = 1;
        if (n + k < cap) { /* a longer text is cut: nobody types one */
            memcpy(out + n, *p, k);
            n += k;
        }
        *p += k;
    }
    out[n] = '\0';
    if (!quoted)
        return true;
    if (**p != '"')
        return false;
    ++*p;
    return true;
}

static enum filter_op take_op(const char **p)
{
    static const struct {
        const char *text;
        enum filter_op op;
    } ops[] = {{"<=", FILTER_LE}, {">=", FILTER_GE}, {"<", FILTER_LT}, {">", FILTER_GT}, {"=", FILTER_EQ}};
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        size_t n = strlen(ops[i].text);
        if (strncmp(*p, ops[i].text, n) == 0) {
            *p += n;
            return ops[i].op;
        }
    }
    return FILTER_CONTAINS;
}

static enum err parse_term(struct filter_term *t, const char **p, const char *const *fields, size_t n_fields,
                           struct errinfo *ei)
{
    memset(t, 0, sizeof *t);
    t->field = -1;
    if (**p == '!') {
        t->negate = true;
        ++*p;
    }
    size_t name = 0;
    while (is_field_char((*p)[name]))
        name++;
    if (name > 0 && (*p)[name] == ':') {
        t->field = find_field(*p, name, fields, n_fields);
        if (t->field < 0)
            return unknown_field(*p, name, fields, n_fields, ei);
        *p += name + 1;
        t->op = take_op(p);
    }
    if (!take_text(p, t->text, sizeof t->text))
        return err_set(ei, ERR_USAGE, "close it with \"", "a quote is open");
    if (t->op > FILTER_EQ && t->text[0] && !str_to_i64(t->text, strlen(t->text), &t->number))
        return err_set(ei, ERR_USAGE, "for example status:>=400", "'%s' is no number", t->text);
    return ERR_OK;
}

enum err filter_parse(struct filter *out, const char *text, const char *const *fields, size_t n_fields,
                      struct errinfo *ei)
{
    struct filter f = {.n = 0};
    const char *p = text;
    for (;;) {
        while (*p == ' ')
            p++;
        if (*p == '\0')
            break;
        struct filter_term t;
        enum err e = parse_term(&t, &p, fields, n_fields, ei);
        if (e != ERR_OK)
            return e;
        if (t.text[0] == '\0') /* "site:" or "!" while still being typed */
            continue;
        if (f.n == FILTER_MAX_TERMS)
            return err_set(ei, ERR_USAGE, NULL, "more than %d terms", FILTER_MAX_TERMS);
        f.terms[f.n++] = t;
    }
    *out = f;
    return ERR_OK;
}

static bool field_holds(const struct filter_term *t, const char *text, int64_t number)
{
    switch (t->op) {
    case FILTER_CONTAINS: return str_icontains(text, t->text) != NULL;
    case FILTER_EQ: return str_ieq(text, t->text);
    case FILTER_LT: return number < t->number;
    case FILTER_LE: return number <= t->number;
    case FILTER_GT: return number > t->number;
    case FILTER_GE: return number >= t->number;
    }
    return false;
}

bool filter_match(const struct filter *f, size_t n_fields, filter_get *get, void *ctx)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct filter_term *t = &f->terms[i];
        bool holds = false;
        size_t from = t->field < 0 ? 0 : (size_t)t->field, to = t->field < 0 ? n_fields : from + 1;
        for (size_t k = from; k < to && !holds; k++) {
            int64_t number = 0;
            const char *text = get(ctx, k, &number);
            holds = field_holds(t, text, number);
        }
        if (holds == t->negate)
            return false;
    }
    return true;
}
