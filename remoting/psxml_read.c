#include <string.h>

#include "core/base/str.h"
#include "remoting/psxml_int.h"

#define MAX_REF      4000000u
#define MAX_REF_JUMP 65536u /* PowerShell counts one by one */

static enum err no_memory(struct psxml_reader *r)
{
    return psxml_fail(r, ERR_LIMIT, "the object is larger than can be kept");
}

static struct frame *current(struct psxml_reader *r)
{
    return &r->frames[r->n_frames - 1];
}

static struct frame *push(struct psxml_reader *r, enum place place, const char *element,
                          struct ps_value *value, struct ps_list *list)
{
    if (r->n_frames == PSXML_MAX_FRAMES) {
        (void)psxml_fail(r, ERR_LIMIT, "elements are nested too deep");
        return NULL;
    }
    struct frame *f = &r->frames[r->n_frames++];
    f->place = place;
    f->element = element;
    f->value = value;
    f->list = list;
    return f;
}

/* ---- numbers that name objects ---- */

static bool ref_is_usable(struct psxml_reader *r, uint64_t ref, size_t n)
{
    if (ref < MAX_REF && ref < (uint64_t)n + MAX_REF_JUMP)
        return true;
    (void)psxml_fail(r, ERR_INPUT, "RefId %llu leaps ahead of the %zu before it", (unsigned long long)ref, n);
    return false;
}

static enum err keep_object(struct psxml_reader *r, struct ps_object *o, uint64_t ref)
{
    if (!ref_is_usable(r, ref, r->refs.n))
        return r->why.code;
    while (r->refs.n <= ref)
        if (!VEC_PUSH(&r->refs, MAX_REF + 1, NULL))
            return no_memory(r);
    r->refs.v[ref] = o;
    o->has_ref = true;
    o->ref = (uint32_t)ref;
    return ERR_OK;
}

static enum err keep_types(struct psxml_reader *r, struct ps_types *types, uint64_t ref)
{
    if (!ref_is_usable(r, ref, r->types.n))
        return r->why.code;
    while (r->types.n <= ref)
        if (!VEC_PUSH(&r->types, MAX_REF + 1, NULL))
            return no_memory(r);
    r->types.v[ref] = types;
    return ERR_OK;
}

/* ---- elements that open ---- */

static bool is(const struct tag *t, const char *element)
{
    size_t n = strlen(element);
    return t->len == n && memcmp(t->name, element, n) == 0;
}

static bool find_primitive(const struct tag *t, enum ps_kind *kind)
{
    static const struct {
        const char *element;
        size_t len;
    } known[] = {
#define X(kind, element) {element, sizeof element - 1},
        PS_PRIMITIVE_MAP(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (known[i].len == t->len && known[i].element[0] == t->name[0] &&
            memcmp(known[i].element, t->name, t->len) == 0) {
            *kind = (enum ps_kind)i;
            return true;
        }
    }
    return false;
}

/* A text of the document, both layers undone, in the arena. */
static enum err keep_text(struct psxml_reader *r, const char *s, size_t len, bool attribute, const char **out,
                          size_t *out_len)
{
    char *copy = arena_strn(&r->arena, s, len);
    if (!copy)
        return no_memory(r);
    const char *wrong = psxml_decode(copy, &len, attribute);
    if (wrong)
        return psxml_fail(r, ERR_INPUT, "%s", wrong);
    copy[len] = '\0';
    *out = copy;
    *out_len = len;
    return ERR_OK;
}

static struct ps_value *new_value(struct psxml_reader *r, const struct tag *t, enum ps_kind kind)
{
    struct ps_value *v = arena_alloc(&r->arena, sizeof *v);
    size_t len = 0;
    if (!v) {
        (void)no_memory(r);
        return NULL;
    }
    if (++r->values > PSXML_MAX_VALUES) {
        (void)psxml_fail(r, ERR_LIMIT, "more than %d values", PSXML_MAX_VALUES);
        return NULL;
    }
    v->kind = kind;
    v->text = "";
    if (t->n && keep_text(r, t->n, t->n_len, true, &v->name, &len) != ERR_OK)
        return NULL;
    v->name_len = (uint32_t)len;
    return v;
}

/* Top values are told only when they are whole. */
static void append(struct psxml_reader *r, struct ps_value *v)
{
    struct frame *f = current(r);
    if (f->list && f->list != &r->top)
        ps_append(f->list, v);
}

/* Into the list at hand, or as what the object at hand wraps. */
static enum err enclose(struct psxml_reader *r, struct ps_value *v, struct ps_value **base)
{
    if (!base)
        append(r, v);
    else if (*base)
        return psxml_fail(r, ERR_INPUT, "an object that wraps two values");
    else
        *base = v;
    return ERR_OK;
}

static enum err open_object(struct psxml_reader *r, const struct tag *t, enum ps_kind kind, enum place place,
                            struct ps_value **base)
{
    if (r->depth == PS_MAX_DEPTH)
        return psxml_fail(r, ERR_LIMIT, "objects are nested deeper than %d", PS_MAX_DEPTH);
    struct ps_value *v = new_value(r, t, kind);
    if (!v)
        return r->why.code;
    v->object = arena_alloc(&r->arena, sizeof *v->object);
    if (!v->object)
        return no_memory(r);
    if (t->has_ref && keep_object(r, v->object, t->ref) != ERR_OK)
        return r->why.code;
    if (enclose(r, v, base) != ERR_OK)
        return r->why.code;
    struct ps_list *list = kind == PS_PROGRESS ? &v->object->items : &v->object->members;
    if (!push(r, place, ps_kind_element(kind), v, list))
        return r->why.code;
    r->depth++;
    return ERR_OK;
}

static enum err open_ref(struct psxml_reader *r, const struct tag *t)
{
    struct ps_object *o = t->has_ref && t->ref < r->refs.n ? r->refs.v[t->ref] : NULL;
    if (!o)
        return psxml_fail(r, ERR_INPUT, "a reference to an object that was not there before");
    struct ps_value *v = new_value(r, t, PS_OBJECT);
    if (!v)
        return r->why.code;
    v->object = o;
    o->shared = true;
    append(r, v);
    return push(r, IN_EMPTY, "Ref", v, NULL) ? ERR_OK : r->why.code;
}

static enum err open_primitive(struct psxml_reader *r, const struct tag *t, enum ps_kind kind,
                               struct ps_value **base)
{
    struct ps_value *v = new_value(r, t, kind);
    if (!v)
        return r->why.code;
    if (enclose(r, v, base) != ERR_OK)
        return r->why.code;
    return push(r, IN_PRIMITIVE, ps_kind_element(kind), v, NULL) ? ERR_OK : r->why.code;
}

static enum err unexpected(struct psxml_reader *r, const struct tag *t)
{
    char shown[40];
    str_show_fixed(shown, sizeof shown, t->name, t->len);
    return psxml_fail(r, ERR_INPUT, "<%s> is not known in <%s>", shown, current(r)->element);
}

static enum err open_value(struct psxml_reader *r, const struct tag *t)
{
    enum ps_kind kind;
    if (is(t, "Obj"))
        return open_object(r, t, PS_OBJECT, IN_OBJECT, NULL);
    if (find_primitive(t, &kind))
        return open_primitive(r, t, kind, NULL);
    if (is(t, "Ref"))
        return open_ref(r, t);
    if (is(t, "PR"))
        return open_object(r, t, PS_PROGRESS, IN_PROGRESS, NULL);
    if (is(t, "MS") && current(r)->place == IN_PROPERTIES)
        return open_object(r, t, PS_MEMBER_SET, IN_PROPERTIES, NULL);
    return unexpected(r, t);
}

static enum err open_types(struct psxml_reader *r, const struct tag *t, struct ps_object *o)
{
    if (o->types)
        return psxml_fail(r, ERR_INPUT, "an object with two lists of types");
    if (is(t, "TNRef")) {
        o->types = t->has_ref && t->ref < r->types.n ? r->types.v[t->ref] : NULL;
        if (!o->types)
            return psxml_fail(r, ERR_INPUT, "a reference to types that were not there before");
        return push(r, IN_EMPTY, "TNRef", NULL, NULL) ? ERR_OK : r->why.code;
    }
    struct ps_types *types = arena_alloc(&r->arena, sizeof *types);
    if (!types)
        return no_memory(r);
    if (t->has_ref && keep_types(r, types, t->ref) != ERR_OK)
        return r->why.code;
    o->types = types;
    r->type_names.n = 0;
    struct frame *f = push(r, IN_TYPES, "TN", NULL, NULL);
    if (f)
        f->u.types = types;
    return f ? ERR_OK : r->why.code;
}

static enum err open_in_object(struct psxml_reader *r, const struct tag *t)
{
    static const struct {
        const char *element;
        enum ps_container container;
    } known[] = {
        {"LST", PS_LIST}, {"DCT", PS_DICT}, {"IE", PS_ENUMERABLE}, {"STK", PS_STACK}, {"QUE", PS_QUEUE}};
    struct ps_value *v = current(r)->value;
    struct ps_object *o = v->object;
    enum ps_kind kind;
    if (is(t, "TN") || is(t, "TNRef"))
        return open_types(r, t, o);
    if (is(t, "MS"))
        return push(r, IN_PROPERTIES, "MS", v, &o->members) ? ERR_OK : r->why.code;
    if (is(t, "Props"))
        return push(r, IN_PROPERTIES, "Props", v, &o->props) ? ERR_OK : r->why.code;
    if (is(t, "ToString")) {
        if (o->to_string)
            return psxml_fail(r, ERR_INPUT, "an object with two texts");
        o->to_string = "";
        return push(r, IN_TO_STRING, "ToString", v, NULL) ? ERR_OK : r->why.code;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (!is(t, known[i].element))
            continue;
        if (o->container)
            return psxml_fail(r, ERR_INPUT, "an object with two lists");
        o->container = known[i].container;
        bool dict = o->container == PS_DICT;
        return push(r, dict ? IN_DICT : IN_ITEMS, known[i].element, v, &o->items) ? ERR_OK : r->why.code;
    }
    if (find_primitive(t, &kind))
        return open_primitive(r, t, kind, &o->base);
    if (is(t, "Obj"))
        return open_object(r, t, PS_OBJECT, IN_OBJECT, &o->base);
    return unexpected(r, t);
}

/* MS-PSRP 2.2.5.1.25: fields without names, of fixed kinds. */
static enum err open_in_progress(struct psxml_reader *r, const struct tag *t)
{
    static const char *const fields[] = {"AV", "AI", "Nil", "PI", "PC", "T", "SR", "SD", "S"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!is(t, fields[i]))
            continue;
        struct ps_value *v = new_value(r, t, str_eq(fields[i], "Nil") ? PS_NULL : PS_STRING);
        if (!v)
            return r->why.code;
        v->name = fields[i];
        v->name_len = (uint32_t)strlen(fields[i]);
        append(r, v);
        return push(r, IN_PRIMITIVE, fields[i], v, NULL) ? ERR_OK : r->why.code;
    }
    return unexpected(r, t);
}

enum err psxml_open(struct psxml_reader *r, const struct tag *t)
{
    struct frame *f = current(r);
    switch (f->place) {
    case IN_DOCUMENT:
        if (r->done)
            return psxml_fail(r, ERR_INPUT, "something follows the document's end");
        r->begun = true;
        if (is(t, "Objs"))
            return push(r, IN_OBJS, "Objs", NULL, &r->top) ? ERR_OK : r->why.code;
        return open_value(r, t);
    case IN_OBJS:
    case IN_PROPERTIES:
    case IN_ITEMS:
    case IN_ENTRY: return open_value(r, t);
    case IN_OBJECT: return open_in_object(r, t);
    case IN_PROGRESS: return open_in_progress(r, t);
    case IN_TYPES:
        if (!is(t, "T"))
            return unexpected(r, t);
        return push(r, IN_TYPE, "T", NULL, NULL) ? ERR_OK : r->why.code;
    case IN_DICT:
        if (!is(t, "En"))
            return unexpected(r, t);
        f = push(r, IN_ENTRY, "En", NULL, NULL);
        if (!f)
            return r->why.code;
        f->u.entry = (struct ps_list){0};
        f->list = &f->u.entry;
        return ERR_OK;
    default: return unexpected(r, t);
    }
}

/* ---- elements that close ---- */

static enum err close_entry(struct psxml_reader *r, struct frame *f)
{
    struct ps_value *a = f->u.entry.first, *b = a ? a->next : NULL;
    if (f->u.entry.n != 2 || !a->name || !b->name)
        return psxml_fail(r, ERR_INPUT, "an entry without its key and its value");
    if (str_eq(a->name, "Value")) {
        struct ps_value *first = a;
        a = b;
        b = first;
    }
    if (!str_eq(a->name, "Key") || !str_eq(b->name, "Value"))
        return psxml_fail(r, ERR_INPUT, "an entry without its key and its value");
    a->next = b->next = NULL;
    ps_append(f[-1].list, a);
    ps_append(f[-1].list, b);
    return ERR_OK;
}

enum err psxml_close(struct psxml_reader *r, const struct tag *t)
{
    struct frame *f = current(r);
    enum err err = ERR_OK;
    if (r->n_frames == 1 || !is(t, f->element)) {
        char shown[40];
        str_show_fixed(shown, sizeof shown, t->name, t->len);
        return psxml_fail(r, ERR_INPUT, "</%s> where <%s> is open", shown, f->element);
    }
    if (f->place == IN_PRIMITIVE && !psxml_primitive_is_valid(f->value->kind, f->value->text, f->value->len))
        err = psxml_fail(r, ERR_INPUT, "what <%s> holds is none of it", f->element);
    else if (f->place == IN_ENTRY)
        err = close_entry(r, f);
    else if (f->place == IN_TYPES) {
        f->u.types->n = r->type_names.n;
        f->u.types->names = arena_dup(&r->arena, r->type_names.v, r->type_names.n * sizeof *r->type_names.v);
        if (!f->u.types->names)
            err = no_memory(r);
    }
    bool object = f->place == IN_OBJECT || f->place == IN_PROGRESS ||
                  (f->value && f->value->kind == PS_MEMBER_SET && f->list == &f->value->object->members);
    r->depth -= object;
    r->n_frames--;
    struct frame *above = current(r);
    if (err == ERR_OK && above->list == &r->top && f->value)
        ps_append(&r->top, f->value);
    r->done = r->done || r->n_frames == 1;
    return err;
}

/* ---- texts ---- */

bool psxml_is_space(const char *s, size_t len)
{
    while (len > 0 && (*s == ' ' || *s == '\n' || *s == '\r' || *s == '\t')) {
        s++;
        len--;
    }
    return len == 0;
}

enum err psxml_take_text(struct psxml_reader *r, const char *s, size_t len)
{
    struct frame *f = current(r);
    const char *text = NULL;
    size_t n = 0;
    if (f->place != IN_PRIMITIVE && f->place != IN_TO_STRING && f->place != IN_TYPE)
        return psxml_is_space(s, len) ? ERR_OK : psxml_fail(r, ERR_INPUT, "text in <%s>", f->element);
    if (f->place == IN_PRIMITIVE && f->value->kind == PS_SECRET) /* looked at where it lies, never kept */
        return psxml_primitive_is_valid(PS_BYTES, s, len)
                   ? ERR_OK
                   : psxml_fail(r, ERR_INPUT, "what <SS> holds is none of it");
    enum err err = keep_text(r, s, len, false, &text, &n);
    if (err != ERR_OK)
        return err;
    if (f->place == IN_TYPE)
        return VEC_PUSH(&r->type_names, 1000, text) ? ERR_OK
                                                    : psxml_fail(r, ERR_LIMIT, "an object of too many types");
    const char **to = f->place == IN_PRIMITIVE ? &f->value->text : &f->value->object->to_string;
    size_t *to_len = f->place == IN_PRIMITIVE ? &f->value->len : &f->value->object->to_string_len;
    if (*to_len > 0)
        return psxml_fail(r, ERR_INPUT, "a comment within a text");
    *to = text;
    *to_len = n;
    return ERR_OK;
}
