#include <string.h>

#include "core/base/vec.h"
#include "remoting/psxml.h"

struct writing {
    struct buf *out;
    struct errinfo *ei;
    uint32_t objects, types; /* given out so far */
    unsigned depth;
    /* What carries a mark, to be wiped at the end. */
    VEC(struct ps_object *) marked;
    VEC(struct ps_types *) marked_types;
};

static const char *const containers[] = {
    [PS_LIST] = "LST", [PS_ENUMERABLE] = "IE", [PS_QUEUE] = "QUE", [PS_STACK] = "STK", [PS_DICT] = "DCT"};

static enum err write_value(struct writing *w, const struct ps_value *v);

static enum err add_text(struct writing *w, const char *s, size_t len, const char *what, bool attribute)
{
    if (psxml_escape(w->out, s, len, attribute) != ERR_INPUT)
        return w->out->failed;
    enum err err = psxml_check_text(s, len, what, w->ei);
    return err != ERR_OK ? err : ERR_INTERNAL;
}

static enum err open_tag(struct writing *w, const char *element, const struct ps_value *v, int64_t ref)
{
    enum err err = ERR_OK;
    (void)buf_addc(w->out, '<');
    (void)buf_adds(w->out, element);
    if (v && v->name) {
        (void)buf_adds(w->out, " N=\"");
        err = add_text(w, v->name, v->name_len, "a property's name", true);
        (void)buf_addc(w->out, '"');
    }
    if (ref >= 0)
        (void)buf_addf(w->out, " RefId=\"%lld\"", (long long)ref);
    return err;
}

static enum err write_primitive(struct writing *w, const struct ps_value *v)
{
    const char *element = ps_kind_element(v->kind);
    enum err err = open_tag(w, element, v, -1);
    if (err != ERR_OK)
        return err;
    if (v->kind == PS_SECRET)
        return err_set(w->ei, ERR_REFUSED, NULL, "a SecureString is not sent");
    if (v->kind == PS_NULL || (v->len == 0 && v->kind != PS_STRING))
        return buf_adds(w->out, " />");
    (void)buf_addc(w->out, '>');
    err = add_text(w, v->text, v->len, v->name ? v->name : "a text", false);
    (void)buf_addf(w->out, "</%s>", element);
    return err;
}

static enum err write_types(struct writing *w, struct ps_types *types)
{
    enum err err = ERR_OK;
    if (!types)
        return ERR_OK;
    if (types->mark)
        return buf_addf(w->out, "<TNRef RefId=\"%u\" />", types->mark - 1);
    if (!VEC_PUSH(&w->marked_types, PSXML_MAX_VALUES, types))
        return ERR_NOMEM;
    types->mark = ++w->types;
    (void)buf_addf(w->out, "<TN RefId=\"%u\">", types->mark - 1);
    for (size_t i = 0; i < types->n && err == ERR_OK; i++) {
        (void)buf_adds(w->out, "<T>");
        err = add_text(w, types->names[i], strlen(types->names[i]), "a type's name", false);
        (void)buf_adds(w->out, "</T>");
    }
    (void)buf_adds(w->out, "</TN>");
    return err;
}

static enum err write_list(struct writing *w, const char *element, const struct ps_list *list, bool dict)
{
    enum err err = ERR_OK;
    if (!list->first)
        return buf_addf(w->out, "<%s />", element);
    (void)buf_addf(w->out, "<%s>", element);
    for (const struct ps_value *v = list->first; v && err == ERR_OK; v = v->next) {
        if (dict)
            (void)buf_adds(w->out, "<En>");
        err = write_value(w, v);
        if (dict && err == ERR_OK && (v = v->next))
            err = write_value(w, v);
        if (dict)
            (void)buf_adds(w->out, "</En>");
        if (!v)
            break;
    }
    (void)buf_addf(w->out, "</%s>", element);
    return err;
}

static enum err write_progress(struct writing *w, const struct ps_value *v)
{
    enum err err = open_tag(w, "PR", v, -1);
    (void)buf_addc(w->out, '>');
    for (const struct ps_value *one = v->object->items.first; one && err == ERR_OK; one = one->next) {
        if (one->kind == PS_NULL) {
            (void)buf_adds(w->out, "<Nil />");
            continue;
        }
        (void)buf_addf(w->out, "<%s>", one->name);
        err = add_text(w, one->text, one->len, "a record of progress", false);
        (void)buf_addf(w->out, "</%s>", one->name);
    }
    (void)buf_adds(w->out, "</PR>");
    return err;
}

static enum err write_inside(struct writing *w, struct ps_object *o)
{
    enum err err = write_types(w, o->types);
    if (err == ERR_OK && o->to_string) {
        (void)buf_adds(w->out, "<ToString>");
        err = add_text(w, o->to_string, o->to_string_len, "a text", false);
        (void)buf_adds(w->out, "</ToString>");
    }
    if (err == ERR_OK && o->base)
        err = write_value(w, o->base);
    if (err == ERR_OK && o->props.first)
        err = write_list(w, "Props", &o->props, false);
    if (err == ERR_OK && o->members.first)
        err = write_list(w, "MS", &o->members, false);
    if (err == ERR_OK && o->container)
        err = write_list(w, containers[o->container], &o->items, o->container == PS_DICT);
    return err;
}

static enum err write_object(struct writing *w, const struct ps_value *v)
{
    struct ps_object *o = v->object;
    enum err err;
    if (o->mark) {
        err = open_tag(w, "Ref", v, o->mark - 1);
        return err != ERR_OK ? err : buf_adds(w->out, " />");
    }
    if (w->depth == PS_MAX_DEPTH)
        return err_set(w->ei, ERR_LIMIT, NULL, "objects are nested deeper than %d", PS_MAX_DEPTH);
    if (!VEC_PUSH(&w->marked, PSXML_MAX_VALUES, o))
        return err_set(w->ei, ERR_NOMEM, NULL, "no memory for CLIXML");
    o->mark = ++w->objects;
    w->depth++;
    err = open_tag(w, "Obj", v, o->mark - 1);
    (void)buf_addc(w->out, '>');
    if (err == ERR_OK)
        err = write_inside(w, o);
    w->depth--;
    return err != ERR_OK ? err : buf_adds(w->out, "</Obj>");
}

static enum err write_value(struct writing *w, const struct ps_value *v)
{
    enum err err;
    if (ps_is_primitive(v->kind))
        return write_primitive(w, v);
    if (v->kind == PS_PROGRESS)
        return write_progress(w, v);
    if (v->kind == PS_OBJECT)
        return write_object(w, v);
    if (w->depth == PS_MAX_DEPTH)
        return err_set(w->ei, ERR_LIMIT, NULL, "objects are nested deeper than %d", PS_MAX_DEPTH);
    w->depth++;
    err = open_tag(w, "MS", v, -1);
    (void)buf_addc(w->out, '>');
    for (const struct ps_value *one = v->object->members.first; one && err == ERR_OK; one = one->next)
        err = write_value(w, one);
    w->depth--;
    return err != ERR_OK ? err : buf_adds(w->out, "</MS>");
}

static enum err write_all(struct buf *out, const struct ps_value *first, bool document, struct errinfo *ei)
{
    struct writing w = {.out = out, .ei = ei};
    struct errinfo none = {0};
    enum err err = ERR_OK;
    w.ei = ei ? ei : &none;
    if (document)
        (void)buf_adds(
            out, "<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">");
    for (const struct ps_value *v = first; v && err == ERR_OK; v = document ? v->next : NULL)
        err = write_value(&w, v);
    if (document)
        (void)buf_adds(out, "</Objs>");
    for (size_t i = 0; i < w.marked.n; i++)
        w.marked.v[i]->mark = 0;
    for (size_t i = 0; i < w.marked_types.n; i++)
        w.marked_types.v[i]->mark = 0;
    VEC_FREE(&w.marked);
    VEC_FREE(&w.marked_types);
    if (err == ERR_OK)
        err = out->failed;
    if (err != ERR_OK && w.ei->code == ERR_OK)
        err_set(w.ei, err, NULL, "CLIXML could not be written: %s", err_text(err));
    return err;
}

enum err psxml_write(struct buf *out, const struct ps_value *v, struct errinfo *ei)
{
    return write_all(out, v, false, ei);
}

enum err psxml_write_document(struct buf *out, const struct ps_value *first, struct errinfo *ei)
{
    return write_all(out, first, true, ei);
}
