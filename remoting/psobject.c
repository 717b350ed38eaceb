#include "remoting/psobject.h"

#include <stdio.h>
#include <string.h>

#include "core/base/str.h"

static const char *const elements[] = {
#define X(kind, element) [PS_##kind] = element,
    PS_PRIMITIVE_MAP(X)
#undef X
        [PS_PROGRESS] = "PR",
    [PS_OBJECT] = "Obj", [PS_MEMBER_SET] = "MS"};

const char *ps_kind_element(enum ps_kind kind)
{
    return elements[kind];
}

bool ps_is_primitive(enum ps_kind kind)
{
    return kind < PS_PROGRESS;
}

static const struct ps_value *find(const struct ps_list *list, const char *name)
{
    for (const struct ps_value *v = list->first; v; v = v->next)
        if (v->name && str_ieq(v->name, name))
            return v;
    return NULL;
}

const struct ps_value *ps_get(const struct ps_value *v, const char *name)
{
    if (!v || !v->object)
        return NULL;
    const struct ps_object *o = v->object;
    const struct ps_value *found = find(&o->members, name);
    if (!found)
        found = find(&o->props, name);
    if (!found && v->kind == PS_PROGRESS)
        found = find(&o->items, name);
    for (const struct ps_value *key = o->items.first; !found && o->container == PS_DICT && key && key->next;
         key = key->next->next)
        if (key->kind == PS_STRING && str_ieq(key->text, name))
            found = key->next;
    return found || !o->base ? found : ps_get(o->base, name);
}

const char *ps_text(const struct ps_value *v)
{
    if (!v || v->kind == PS_NULL || v->kind == PS_SECRET)
        return NULL;
    if (ps_is_primitive(v->kind))
        return v->text;
    if (v->object->to_string)
        return v->object->to_string;
    return v->object->base ? ps_text(v->object->base) : NULL;
}

const char *ps_get_text(const struct ps_value *v, const char *name)
{
    return ps_text(ps_get(v, name));
}

bool ps_to_int(const struct ps_value *v, int64_t *out)
{
    while (v && v->object)
        v = v->object->base;
    return v && v->text && str_to_i64(v->text, v->len, out);
}

bool ps_get_int(const struct ps_value *v, const char *name, int64_t *out)
{
    return ps_to_int(ps_get(v, name), out);
}

bool ps_has_type(const struct ps_value *v, const char *type)
{
    const struct ps_types *types = v && v->object ? v->object->types : NULL;
    for (size_t i = 0; types && i < types->n; i++)
        if (str_ieq(types->names[i], type))
            return true;
    return false;
}

struct ps_value *ps_new(struct arena *a, enum ps_kind kind, const char *text)
{
    struct ps_value *v = arena_alloc(a, sizeof *v);
    if (!v)
        return NULL;
    v->kind = kind;
    v->len = strlen(text);
    v->text = arena_strn(a, text, v->len);
    return v->text ? v : NULL;
}

struct ps_value *ps_new_int(struct arena *a, enum ps_kind kind, int64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    return ps_new(a, kind, text);
}

struct ps_types *ps_new_types(struct arena *a, const char *const *names, size_t n)
{
    struct ps_types *types = arena_alloc(a, sizeof *types);
    if (!types || !(types->names = arena_array(a, n, sizeof *types->names)))
        return NULL;
    memcpy(types->names, names, n * sizeof *names);
    types->n = n;
    return types;
}

struct ps_value *ps_new_object(struct arena *a, const char *const *types, size_t n_types)
{
    struct ps_value *v = arena_alloc(a, sizeof *v);
    if (!v || !(v->object = arena_alloc(a, sizeof *v->object)))
        return NULL;
    v->kind = PS_OBJECT;
    if (n_types && !(v->object->types = ps_new_types(a, types, n_types)))
        return NULL;
    return v;
}

struct ps_value *ps_new_list(struct arena *a, struct ps_types *types)
{
    struct ps_value *v = ps_new_object(a, NULL, 0);
    if (!v)
        return NULL;
    v->object->types = types;
    v->object->container = PS_LIST;
    return v;
}

struct ps_value *ps_new_enum(struct arena *a, struct ps_types *types, const char *text, int32_t number)
{
    struct ps_value *v = ps_new_object(a, NULL, 0);
    if (!v)
        return NULL;
    v->object->types = types;
    v->object->to_string = text;
    v->object->to_string_len = strlen(text);
    v->object->base = ps_new_int(a, PS_I32, number);
    return v->object->base ? v : NULL;
}

void ps_append(struct ps_list *list, struct ps_value *v)
{
    if (!v)
        return;
    if (list->last)
        list->last->next = v;
    else
        list->first = v;
    list->last = v;
    list->n++;
}

void ps_add_member(struct ps_value *object, const char *name, struct ps_value *v)
{
    if (!object || !v)
        return;
    v->name = name;
    v->name_len = (uint32_t)strlen(name);
    ps_append(&object->object->members, v);
}

void ps_add_item(struct ps_value *object, struct ps_value *v)
{
    if (object)
        ps_append(&object->object->items, v);
}
