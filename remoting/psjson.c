#include "remoting/psjson.h"

#include <string.h>

#include "core/base/str.h"

struct showing {
    struct buf *out;
    unsigned depth, in_repeated;
    size_t repeated; /* values written for references to what was shown before */
};

static void show(struct showing *s, const struct ps_value *v);

static void add(struct showing *s, const char *text)
{
    (void)buf_adds(s->out, text);
}

/* ---- strings ---- */

static const unsigned char needs_care[256] = {1, 1, 1, 1, 1, 1, 1, 1, 1,         1,          1,         1,
                                              1, 1, 1, 1, 1, 1, 1, 1, 1,         1,          1,         1,
                                              1, 1, 1, 1, 1, 1, 1, 1, ['"'] = 1, ['\\'] = 1, [0xed] = 1};

static void add_quoted(struct showing *s, const char *text, size_t len, const char *nul)
{
    static const char two[][3] = {
        ['"'] = "\\\"", ['\\'] = "\\\\", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t"};
    size_t plain = 0;
    (void)buf_addc(s->out, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!needs_care[c])
            continue;
        bool surrogate = c == 0xed && i + 2 < len && (unsigned char)text[i + 1] >= 0xa0;
        if (c == 0xed && !surrogate)
            continue;
        (void)buf_add(s->out, text + plain, i - plain);
        if (surrogate)
            add(s, "\\ufffd");
        else if (c == 0)
            add(s, nul);
        else if (c < ARRAY_LEN(two) && two[c][0])
            add(s, two[c]);
        else
            (void)buf_addf(s->out, "\\u%04x", c);
        i += surrogate ? 2 : 0;
        plain = i + 1;
    }
    (void)buf_add(s->out, text + plain, len - plain);
    (void)buf_addc(s->out, '"');
}

static void add_string(struct showing *s, const char *text, size_t len)
{
    add_quoted(s, text, len, "\\u0000");
}

/* ---- primitives ---- */

/* As JSON writes whole numbers, and within what a reader keeps. */
static bool is_json_int(const char *s, size_t len)
{
    int64_t number;
    size_t sign = len > 0 && *s == '-';
    return str_to_i64(s, len, &number) && (s[sign] != '0' || len == sign + 1) && !(sign && s[1] == '0');
}

static size_t count_digits(const char *s, size_t len)
{
    size_t n = 0;
    while (n < len && s[n] >= '0' && s[n] <= '9')
        n++;
    return n;
}

/* As JSON writes reals, and within a double, or without point and power within 64 bits: readers refuse a whole document for one number
   that overflows. */
static bool is_json_real(const char *s, size_t len)
{
    int64_t power;
    size_t i = len > 0 && *s == '-', whole = count_digits(s + i, len - i);
    if (whole == 0 || whole > 300 || (s[i] == '0' && whole > 1))
        return false;
    i += whole;
    size_t digits = i;
    if (i < len && s[i] == '.') {
        size_t n = count_digits(s + i + 1, len - i - 1);
        if (n == 0)
            return false;
        i += 1 + n;
    }
    if (i == len)
        return i > digits || str_to_i64(s, len, &power);
    if (s[i] != 'E' && s[i] != 'e')
        return false;
    i++;
    i += i < len && s[i] == '+';
    if (!str_to_i64(s + i, len - i, &power))
        return false;
    return (whole == 1 && power < 308) || str_eq(s + (*s == '-'), "1.7976931348623157E+308");
}

static bool take_number(const char **at, uint32_t *number)
{
    const char *s = *at;
    uint64_t n = 0;
    while (*s >= '0' && *s <= '9' && n <= UINT32_MAX)
        n = n * 10 + (uint64_t)(*s++ - '0');
    if (s == *at || n > UINT32_MAX)
        return false;
    *number = (uint32_t)n;
    *at = s;
    return true;
}

bool psjson_timespan(char *out, size_t cap, const char *text)
{
    static const char units[] = "DHMS";
    uint32_t parts[4] = {0};
    const char *s = text + (*text == '-');
    const char *fraction = "";
    size_t digits = 0;
    int unit = -1;
    bool in_time = false;
    if (*s++ != 'P')
        return false;
    while (*s) {
        uint32_t number;
        if (*s == 'T' && !in_time) {
            in_time = true;
            s++;
        }
        if (!take_number(&s, &number))
            return false;
        if (*s == '.') {
            fraction = ++s;
            while (s[digits] >= '0' && s[digits] <= '9')
                digits++;
            s += digits;
            if (*s != 'S' || digits == 0 || digits > 7)
                return false;
        }
        const char *found = *s ? strchr(units, *s++) : NULL;
        int which = found ? (int)(found - units) : -1;
        /* Days before the T, the rest behind it, each once: an M before it would be months. */
        if (which < 0 || (which > 0) != in_time || which <= unit)
            return false;
        unit = which;
        parts[unit] = number;
    }
    char days[16] = "";
    if (parts[0])
        (void)str_fmt(days, sizeof days, "%u.", parts[0]);
    return unit >= 0 && parts[1] < 24 && parts[2] < 60 && parts[3] < 60 &&
           str_fmt(out, cap, "%s%s%02u:%02u:%02u%s%.*s", *text == '-' ? "-" : "", days, parts[1], parts[2],
                   parts[3], digits ? "." : "", (int)digits, fraction);
}

static void show_char(struct showing *s, const struct ps_value *v)
{
    int64_t unit = 0;
    char text[16];
    (void)str_to_i64(v->text, v->len, &unit);
    if (unit >= 0x20 && unit < 0x7f) {
        text[0] = (char)unit;
        add_string(s, text, 1);
        return;
    }
    /* JSON has UTF-16 units of its own. */
    bool surrogate = unit >= 0xd800 && unit < 0xe000;
    (void)buf_addf(s->out, "\"\\u%04x\"", surrogate ? 0xfffd : (unsigned)unit);
}

static void show_primitive(struct showing *s, const struct ps_value *v)
{
    char text[64];
    switch (v->kind) {
    case PS_NULL: add(s, "null"); return;
    case PS_BOOL: (void)buf_add(s->out, v->text, v->len); return;
    case PS_CHAR: show_char(s, v); return;
    case PS_SECRET: add(s, "\"(SecureString, refused)\""); return;
    case PS_I8:
    case PS_U8:
    case PS_I16:
    case PS_U16:
    case PS_I32:
    case PS_U32:
    case PS_I64:
    case PS_U64:
        if (is_json_int(v->text, v->len)) {
            (void)buf_add(s->out, v->text, v->len);
            return;
        }
        break;
    case PS_SINGLE:
    case PS_DOUBLE:
    case PS_DECIMAL:
        if (is_json_real(v->text, v->len)) {
            (void)buf_add(s->out, v->text, v->len);
            return;
        }
        if (str_eq(v->text, "INF") || str_eq(v->text, "-INF")) {
            add(s, v->text[0] == '-' ? "\"-Infinity\"" : "\"Infinity\"");
            return;
        }
        break;
    case PS_TIMESPAN:
        if (psjson_timespan(text, sizeof text, v->text)) {
            add_string(s, text, strlen(text));
            return;
        }
        break;
    default: break;
    }
    add_string(s, v->text, v->len);
}

/* ---- objects ---- */

struct members { /* an object of JSON that is being written */
    struct showing *s;
    bool any;
};

static void add_name(struct members *m, const char *name, size_t len)
{
    (void)buf_addc(m->s->out, m->any ? ',' : '{');
    m->any = true;
    add_quoted(m->s, name ? name : "", len, "\\ufffd"); /* jansson refuses a document with U+0000 in a name */
    (void)buf_addc(m->s->out, ':');
}

static void end_members(struct members *m)
{
    add(m->s, m->any ? "}" : "{}");
}

static bool is_hidden(const struct ps_value *adapted, const struct ps_list *extended)
{
    if (extended->n > 1000)
        return false; /* then a name may stand there twice */
    for (const struct ps_value *v = extended->first; v; v = v->next)
        if (v->name && adapted->name && str_ieq(v->name, adapted->name))
            return true;
    return false;
}

static void add_properties(struct members *m, const struct ps_object *o)
{
    for (const struct ps_value *v = o->props.first; v; v = v->next) {
        if (is_hidden(v, &o->members))
            continue;
        add_name(m, v->name, v->name_len);
        show(m->s, v);
    }
    for (const struct ps_value *v = o->members.first; v; v = v->next) {
        add_name(m, v->name, v->name_len);
        show(m->s, v);
    }
}

/* An object of properties and nothing else: what wraps it adds to them. */
static bool is_bag(const struct ps_value *v)
{
    return v && v->kind == PS_OBJECT && !v->object->container && !v->object->base &&
           (v->object->props.first || v->object->members.first);
}

static void add_wrapped(struct members *m, const struct ps_object *o, const struct ps_list *outer)
{
    const struct ps_list *lists[] = {&o->props, &o->members};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (const struct ps_value *v = lists[i]->first; v; v = v->next) {
            if (is_hidden(v, outer) || (i == 0 && is_hidden(v, &o->members)))
                continue;
            add_name(m, v->name, v->name_len);
            show(m->s, v);
        }
}

static void show_items(struct showing *s, const struct ps_object *o)
{
    (void)buf_addc(s->out, '[');
    for (const struct ps_value *v = o->items.first; v; v = v->next) {
        if (v != o->items.first)
            (void)buf_addc(s->out, ',');
        show(s, v);
    }
    (void)buf_addc(s->out, ']');
}

static void add_entries(struct members *m, const struct ps_object *o)
{
    for (const struct ps_value *key = o->items.first; key && key->next; key = key->next->next) {
        const char *text = ps_text(key);
        add_name(m, text, key->kind == PS_STRING ? key->len : text ? strlen(text) : 0);
        show(m->s, key->next);
    }
}

static void show_progress(struct showing *s, const struct ps_object *o)
{
    static const char *const names[][2] = {
        {"AV", "Activity"}, {"AI", "ActivityId"},       {"PI", "ParentActivityId"}, {"PC", "PercentComplete"},
        {"T", "Type"},      {"SR", "SecondsRemaining"}, {"SD", "StatusDescription"}};
    struct members m = {s, false};
    for (const struct ps_value *v = o->items.first; v; v = v->next) {
        for (size_t i = 0; v->kind != PS_NULL && i < ARRAY_LEN(names); i++) {
            if (!str_eq(v->name, names[i][0]))
                continue;
            add_name(&m, names[i][1], strlen(names[i][1]));
            if (is_json_int(v->text, v->len))
                (void)buf_add(s->out, v->text, v->len);
            else
                add_string(s, v->text, v->len);
        }
    }
    end_members(&m);
}

static void show_inside(struct showing *s, const struct ps_value *v)
{
    const struct ps_object *o = v->object;
    struct members m = {s, false};
    bool plain = !o->props.first && !o->members.first;
    if (v->kind == PS_PROGRESS) {
        show_progress(s, o);
    } else if (o->base && o->to_string && ps_has_type(v, "System.Enum")) {
        add_name(&m, "text", 4);
        add_string(s, o->to_string, o->to_string_len);
        add_name(&m, "value", 5);
        show(s, o->base);
        end_members(&m);
    } else if (o->container == PS_DICT) {
        add_entries(&m, o);
        add_properties(&m, o);
        end_members(&m);
    } else if (plain && o->container) {
        show_items(s, o);
    } else if (plain && o->base) {
        show(s, o->base);
    } else if (plain && o->to_string) {
        add_string(s, o->to_string, o->to_string_len);
    } else {
        const struct ps_object *inner = is_bag(o->base) ? o->base->object : NULL;
        if (inner)
            add_wrapped(&m, inner, &o->members);
        else if (o->base || o->container)
            add_name(&m, "value", 5);
        if (o->base && !inner)
            show(s, o->base);
        else if (o->container && !inner)
            show_items(s, o);
        add_properties(&m, o);
        end_members(&m);
    }
}

static void show(struct showing *s, const struct ps_value *v)
{
    if (s->in_repeated)
        s->repeated++;
    if (!v->object) {
        show_primitive(s, v);
        return;
    }
    struct ps_object *o = v->object;
    bool again = o->shared && o->shown;
    if (o->open || s->depth == PS_MAX_DEPTH || (again && s->repeated > PSJSON_MAX_REPEATED)) {
        if (o->has_ref)
            (void)buf_addf(s->out, "{\"$ref\":%u}", o->ref);
        else
            add(s, "{\"$ref\":null}");
        return;
    }
    o->open = o->shown = true;
    s->depth++;
    s->in_repeated += again;
    show_inside(s, v);
    s->in_repeated -= again;
    s->depth--;
    o->open = false;
}

enum err psjson_write(struct buf *out, const struct ps_value *v)
{
    struct showing s = {.out = out};
    show(&s, v);
    return out->failed;
}
