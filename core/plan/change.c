#include "core/plan/plan_int.h"

#include "core/base/str.h"

#include <string.h>

static bool is_bool(const struct property *p)
{
    return p->kind == PROPERTY_FLAG || p->kind == PROPERTY_BOOL || p->kind == PROPERTY_SCHEME ||
           p->kind == PROPERTY_EXISTS;
}

void change_null(struct plan_change *out, const struct property *p)
{
    *out = (struct plan_change){.property = p->name,
                                .is_null = true,
                                .is_list = p->kind == PROPERTY_AUTH || p->kind == PROPERTY_ORDINAL,
                                .is_bool = is_bool(p)};
}

static enum err one_value(struct plan_change *out, struct arena *a, const struct property *p,
                          const char *value)
{
    struct plan_change c;
    change_null(&c, p);
    c.is_null = false;
    c.values = arena_array(a, 1, sizeof *c.values);
    if (!c.values || !(c.values[0] = arena_str(a, value)))
        return ERR_LIMIT;
    c.n_values = 1;
    *out = c;
    return ERR_OK;
}

enum err change_bool(struct plan_change *out, struct arena *a, const struct property *p, bool value)
{
    return one_value(out, a, p, value ? "true" : "false");
}

static enum err methods(struct plan_change *out, struct arena *a, const struct property *p, auth_set set)
{
    struct plan_change c;
    change_null(&c, p);
    c.is_null = false;
    c.values = arena_array(a, 32, sizeof *c.values);
    if (!c.values)
        return ERR_LIMIT;
    for (auth_set bit = 1; bit && bit <= AUTH_ALL; bit <<= 1) {
        if (!(set & bit))
            continue;
        if (!auth_name(bit) || !(c.values[c.n_values++] = arena_str(a, auth_name(bit))))
            return ERR_LIMIT;
    }
    *out = c;
    return ERR_OK;
}

auth_set change_methods(const struct plan_change *v)
{
    auth_set set = 0, one;
    for (size_t i = 0; i < v->n_values; i++)
        if (auth_from_name(v->values[i], &one))
            set |= one;
    return set;
}

static enum err from_uri(struct plan_change *out, struct arena *a, const struct property *p, const char *raw)
{
    char host[256];
    enum tri https = TRI_UNKNOWN;
    uint16_t port = 0;
    if (!url_host(raw, host, sizeof host, &https, &port))
        return ERR_INPUT;
    if (port && port != (https == TRI_NO ? 80 : 443))
        return ERR_INPUT; /* the cmdlet takes a name only: it could not put a port of its own back */
    if (p->kind == PROPERTY_HOST)
        return one_value(out, a, p, host);
    if (https == TRI_UNKNOWN) {
        change_null(out, p);
        return ERR_OK;
    }
    return change_bool(out, a, p, https == TRI_YES);
}

enum err change_from_raw(struct plan_change *out, struct arena *a, const struct property *p,
                         const char *const *raw, size_t n)
{
    int64_t number = 0;
    auth_set one = 0;
    if (p->kind == PROPERTY_EXISTS)
        return change_bool(out, a, p, n > 0);
    if (n == 0) {
        change_null(out, p);
        return ERR_OK;
    }
    if (n != 1)
        return ERR_INPUT; /* all of them are single-valued */
    bool is_number = str_to_i64(raw[0], strlen(raw[0]), &number);
    switch (p->kind) {
    case PROPERTY_AUTH:
        /* A bit without a name cannot be put back by any cmdlet. */
        return is_number && number >= 0 && !(number & ~(int64_t)AUTH_ALL)
                   ? methods(out, a, p, (auth_set)number)
                   : ERR_INPUT;
    case PROPERTY_ORDINAL:
        return is_number && auth_from_ordinal(number, &one) ? methods(out, a, p, one) : ERR_INPUT;
    case PROPERTY_FLAG: return is_number ? change_bool(out, a, p, (number & p->mask) != 0) : ERR_INPUT;
    case PROPERTY_BOOL:
        if (!str_ieq(raw[0], "TRUE") && !str_ieq(raw[0], "FALSE"))
            return ERR_INPUT;
        return change_bool(out, a, p, str_ieq(raw[0], "TRUE"));
    case PROPERTY_HOST:
    case PROPERTY_SCHEME: return from_uri(out, a, p, raw[0]);
    case PROPERTY_TEXT: return one_value(out, a, p, raw[0]);
    case PROPERTY_EXISTS: break;
    }
    return ERR_INTERNAL;
}

static bool is_host(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > 253)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s <= 0x20 || *s == 0x7f || strchr("/\\:@'\"`$;|&<>(){}[],#?%", *s))
            return false;
    return true;
}

enum err change_from_param(struct plan_change *out, struct arena *a, const struct property *p,
                           const struct cmdlet_value *v, struct errinfo *ei)
{
    bool strings = v->kind == CMDLET_STRING || v->kind == CMDLET_LIST || v->kind == CMDLET_WORD ||
                   v->kind == CMDLET_WORDS;
    auth_set set = 0, one = 0;
    if (v->kind == CMDLET_NULL && !is_bool(p)) {
        change_null(out, p);
        return ERR_OK;
    }
    switch (p->kind) {
    case PROPERTY_AUTH:
    case PROPERTY_ORDINAL:
        for (size_t i = 0; strings && i < v->n; i++) {
            if (!auth_from_name(v->strings[i], &one))
                return err_set(ei, ERR_INPUT, "Basic, NTLM, Negotiate ...", "-%s: no method is called '%s'",
                               p->parameter, v->strings[i]);
            set |= one;
        }
        if (!strings || (p->kind == PROPERTY_ORDINAL && v->n != 1))
            break;
        return methods(out, a, p, set);
    case PROPERTY_FLAG:
    case PROPERTY_BOOL:
    case PROPERTY_SCHEME:
        if (v->kind != CMDLET_BOOL)
            break;
        return change_bool(out, a, p, v->flag);
    case PROPERTY_HOST:
        if (v->kind != CMDLET_STRING)
            break;
        if (!is_host(v->strings[0]))
            return err_set(ei, ERR_INPUT, "a host name without https:// and path",
                           "-%s: '%s' is no host name", p->parameter, v->strings[0]);
        return one_value(out, a, p, v->strings[0]);
    case PROPERTY_TEXT:
        if (v->kind != CMDLET_STRING)
            break;
        return one_value(out, a, p, v->strings[0]);
    case PROPERTY_EXISTS: break;
    }
    return err_set(ei, ERR_INPUT, NULL, "-%s has a value of the wrong kind", p->parameter);
}

enum err change_to_param(struct cmdlet *c, const struct property *p, const struct plan_change *v)
{
    const char *words[32];
    size_t n = 0;
    switch (p->kind) {
    case PROPERTY_AUTH:
    case PROPERTY_ORDINAL:
        for (auth_set bit = 1, set = change_methods(v); bit && bit <= AUTH_ALL; bit <<= 1)
            if (set & bit)
                words[n++] = auth_cmdlet_name(bit);
        return n ? cmdlet_words(c, p->parameter, words, n) : cmdlet_null(c, p->parameter);
    case PROPERTY_FLAG:
    case PROPERTY_BOOL: /* a cmdlet cannot take a boolean away: absent is false (directory.md 10) */
        return cmdlet_bool(c, p->parameter, !v->is_null && str_eq(v->values[0], "true"));
    case PROPERTY_SCHEME:
        return v->is_null ? ERR_INPUT : cmdlet_bool(c, p->parameter, str_eq(v->values[0], "true"));
    case PROPERTY_HOST:
    case PROPERTY_TEXT:
        return v->is_null ? cmdlet_null(c, p->parameter) : cmdlet_string(c, p->parameter, v->values[0]);
    case PROPERTY_EXISTS: break;
    }
    return ERR_INTERNAL;
}

bool change_equal(const struct property *p, const struct plan_change *a, const struct plan_change *b)
{
    bool no_a = a->is_null, no_b = b->is_null;
    if (p->kind == PROPERTY_FLAG || p->kind == PROPERTY_BOOL) {
        no_a = no_a || str_eq(a->values[0], "false");
        no_b = no_b || str_eq(b->values[0], "false");
    }
    /* None is written as 0 or not at all (directory.md 7): change_methods() is empty for both. */
    if (p->kind == PROPERTY_AUTH || p->kind == PROPERTY_ORDINAL)
        return change_methods(a) == change_methods(b);
    if (no_a || no_b)
        return no_a == no_b;
    return p->kind == PROPERTY_HOST ? str_ieq(a->values[0], b->values[0])
                                    : str_eq(a->values[0], b->values[0]);
}

json_t *change_to_json(const struct plan_change *v)
{
    if (v->is_null)
        return json_null();
    if (v->is_bool)
        return json_boolean(str_eq(v->values[0], "true"));
    if (!v->is_list)
        return json_string(v->values[0]);
    json_t *list = json_array();
    for (size_t i = 0; list && i < v->n_values; i++)
        if (json_array_append_new(list, json_string(v->values[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

void change_text(struct buf *out, const struct plan_change *v)
{
    if (v->is_null)
        (void)buf_adds(out, "(none)");
    else if (v->n_values == 0)
        (void)buf_adds(out, "none");
    for (size_t i = 0; i < v->n_values; i++) {
        (void)buf_adds(out, i ? ", " : "");
        (void)str_show(out, v->values[i], strlen(v->values[i]));
    }
}
