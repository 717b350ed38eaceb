#include "core/probe/challenge.h"

#include "core/base/str.h"

#include <string.h>

struct reader {
    const char *p, *end;
};

/* RFC 9110 5.6.2 */
static bool is_tchar(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token68(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~+/", c));
}

/* Returns whether there was any. */
static bool skip_space(struct reader *r)
{
    const char *from = r->p;
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t'))
        r->p++;
    return r->p > from;
}

static size_t token(struct reader *r)
{
    const char *from = r->p;
    while (r->p < r->end && is_tchar(*r->p))
        r->p++;
    return (size_t)(r->p - from);
}

static bool at_separator(const struct reader *r)
{
    return r->p == r->end || *r->p == ',';
}

/* A quoted string, or everything to the comma. */
static bool value(struct reader *r)
{
    if (r->p == r->end || *r->p != '"')
        return token(r) > 0;
    for (r->p++; r->p < r->end; r->p++) {
        if (*r->p == '"') {
            r->p++;
            return true;
        }
        if (*r->p == '\\' && r->p + 1 < r->end)
            r->p++;
    }
    return false;
}

/* "= value" of a parameter whose name was just read; leaves the reader where it was when there is none. */
static bool parameter_rest(struct reader *r)
{
    struct reader t = *r;
    skip_space(&t);
    if (t.p == t.end || *t.p != '=')
        return false;
    t.p++;
    skip_space(&t);
    if (!value(&t))
        return false;
    skip_space(&t);
    if (!at_separator(&t))
        return false;
    *r = t;
    return true;
}

/* "YII==" after a scheme, up to a separator. */
static bool token68(struct reader *r)
{
    struct reader t = *r;
    while (t.p < t.end && is_token68(*t.p))
        t.p++;
    if (t.p == r->p)
        return false;
    while (t.p < t.end && *t.p == '=')
        t.p++;
    skip_space(&t);
    if (!at_separator(&t))
        return false;
    *r = t;
    return true;
}

static void skip_element(struct challenge_set *set, struct reader *r)
{
    set->malformed = true;
    while (r->p < r->end && *r->p != ',') {
        if (*r->p == '"') {
            if (!value(r))
                r->p = r->end;
        } else {
            r->p++;
        }
    }
}

static bool add_scheme(struct challenge_set *set, const char *name, size_t len)
{
    if (set->schemes == CHALLENGE_MAX_SCHEMES) {
        set->cut = true;
        return false;
    }
    set->schemes++;
    auth_set one = auth_from_scheme(name, len);
    set->offered |= one;
    if (!one && set->unknown++ == 0)
        str_show_fixed(set->other, sizeof set->other, name, len);
    return true;
}

void challenge_add(struct challenge_set *set, const char *text, size_t len)
{
    struct reader r = {text, text + len};
    bool have_scheme = false;
    while (!set->cut) {
        while (r.p < r.end && (*r.p == ' ' || *r.p == '\t' || *r.p == ','))
            r.p++;
        if (r.p == r.end)
            return;
        const char *name = r.p;
        size_t n = token(&r);
        if (n == 0) {
            skip_element(set, &r);
            continue;
        }
        if (have_scheme && parameter_rest(&r))
            continue;
        bool spaced = skip_space(&r);
        if (!at_separator(&r) && !spaced) { /* "Basic/x", "=", ... */
            skip_element(set, &r);
            continue;
        }
        if (!add_scheme(set, name, n))
            return;
        have_scheme = true;
        if (at_separator(&r) || token68(&r))
            continue;
        if (token(&r) == 0 || !parameter_rest(&r))
            skip_element(set, &r);
    }
}

enum err challenge_words(struct buf *out, const struct challenge_set *set)
{
    static const struct {
        auth_set flag;
        const char *name;
    } order[] = {
        {AUTH_NEGOTIATE, "Negotiate"}, {AUTH_KERBEROS, "Kerberos"}, {AUTH_NTLM, "NTLM"},
        {AUTH_BASIC, "Basic"},         {AUTH_DIGEST, "Digest"},     {AUTH_OAUTH, "Bearer"},
    };
    unsigned n = 0;
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        if (set->offered & order[i].flag)
            buf_addf(out, "%s%s", n++ ? ", " : "", order[i].name);
    if (set->unknown == 1)
        buf_addf(out, "%s%s", n++ ? ", " : "", set->other);
    else if (set->unknown > 1)
        n += 2,
            buf_addf(out, "%s%s and %u more we do not know", n > 2 ? ", " : "", set->other, set->unknown - 1);
    if (set->cut)
        buf_addf(out, ", and more than %d in all", CHALLENGE_MAX_SCHEMES);
    else if (n == 1)
        buf_adds(out, " only");
    else if (n == 0)
        buf_adds(out, "nothing");
    return out->failed;
}
