#include "remoting/soap_tree.h"

#include <libxml/parser.h>
#include <pthread.h>
#include <string.h>

#define MEMORY_MAX ((size_t)64 << 20) /* of elements and attributes; text has its own */

struct building {
    struct soap_tree *tree;
    struct soap_node *open; /* innermost that has not ended */
    struct place {          /* of each open element: around it, and its last child */
        struct soap_node *parent, *last;
    } * places;
    int depth, depth_max;
    enum err err;
};

static void stop(struct building *b, enum err err)
{
    b->err = b->err ? b->err : err;
    xmlStopParser(b->tree->parser);
}

static bool add_attributes(struct building *b, struct soap_node *n, const xmlChar **a, int count)
{
    struct arena *arena = &b->tree->arena;
    for (int i = 0; i < count; i++, a += 5) { /* name, prefix, namespace, value, its end */
        if (a[1])
            continue;
        struct soap_attribute *one = arena_alloc(arena, sizeof *one);
        char *value = arena_strn(arena, (const char *)a[3], (size_t)(a[4] - a[3]));
        if (!one || !value)
            return false;
        *one = (struct soap_attribute){(const char *)a[0], value, n->attributes};
        n->attributes = one;
    }
    return true;
}

static void on_start(void *parser, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_ns,
                     const xmlChar **ns, int n_attributes, int n_default, const xmlChar **attributes)
{
    struct building *b = ((xmlParserCtxt *)parser)->_private;
    (void)prefix, (void)n_ns, (void)ns, (void)n_default;
    if (b->err)
        return;
    struct soap_node *n = b->depth <= b->depth_max ? arena_alloc(&b->tree->arena, sizeof *n) : NULL;
    if (!n || !add_attributes(b, n, attributes, n_attributes)) {
        stop(b, ERR_LIMIT);
        return;
    }
    n->ns = uri ? (const char *)uri : "";
    n->name = (const char *)name;
    n->tree = b->tree;
    n->from = b->tree->text.len;
    struct place *around = b->depth > 0 ? &b->places[b->depth - 1] : NULL;
    if (around && around->last)
        around->last->next = n;
    else if (b->open)
        b->open->children = n;
    else
        b->tree->root = n;
    if (around)
        around->last = n;
    b->places[b->depth++] = (struct place){b->open, NULL};
    b->open = n;
}

static void on_end(void *parser, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct building *b = ((xmlParserCtxt *)parser)->_private;
    (void)name, (void)prefix, (void)uri;
    if (b->err || b->depth == 0)
        return;
    b->open->to = b->tree->text.len;
    b->open = b->places[--b->depth].parent;
}

static void on_text(void *parser, const xmlChar *text, int len)
{
    struct building *b = ((xmlParserCtxt *)parser)->_private;
    if (!b->err && buf_add(&b->tree->text, text, (size_t)len))
        stop(b, ERR_LIMIT);
}

static void on_dtd(void *parser, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    stop(((xmlParserCtxt *)parser)->_private, ERR_PROTOCOL);
}

static pthread_once_t xml_once = PTHREAD_ONCE_INIT;

enum err soap_tree_read(struct soap_tree *t, const char *xml, size_t len, int depth_max)
{
    static const xmlSAXHandler handler = {.initialized = XML_SAX2_MAGIC,
                                          .startElementNs = on_start,
                                          .endElementNs = on_end,
                                          .characters = on_text,
                                          .ignorableWhitespace = on_text,
                                          .cdataBlock = on_text,
                                          .internalSubset = on_dtd};
    struct building b = {.tree = t, .depth_max = depth_max};
    (void)pthread_once(&xml_once, xmlInitParser); /* the first use must not happen in two threads at once */
    *t = (struct soap_tree){.root = NULL};
    arena_init(&t->arena, MEMORY_MAX);
    buf_init(&t->text, len);
    b.places = arena_array(&t->arena, (size_t)depth_max + 1, sizeof *b.places);
    t->parser = xmlNewParserCtxt();
    if (!b.places || !t->parser)
        return ERR_NOMEM;
    *t->parser->sax = handler;
    t->parser->_private = &b;
    /* No encoding is named: that would lead the text, UTF-8 already, through a converter. Should a guess of libxml2 find another, on_dtd
       sees what there is to be seen in that one too. */
    xmlFreeDoc(
        xmlCtxtReadMemory(t->parser, xml, (int)len, NULL, NULL,
                          XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_IGNORE_ENC));
    t->parser->_private = NULL;
    if (!b.err && (!t->parser->wellFormed || !t->root || b.depth > 0))
        b.err = ERR_PROTOCOL;
    return b.err;
}

void soap_tree_fini(struct soap_tree *t)
{
    if (t->parser)
        xmlFreeParserCtxt(t->parser);
    t->parser = NULL;
    buf_fini(&t->text);
    arena_fini(&t->arena);
}

bool soap_node_is(const struct soap_node *n, const char *ns, const char *name)
{
    return n && strcmp(n->name, name) == 0 && strcmp(n->ns, ns) == 0;
}

const struct soap_node *soap_node_child(const struct soap_node *n, const char *ns, const char *name)
{
    for (const struct soap_node *c = n ? n->children : NULL; c; c = c->next)
        if (soap_node_is(c, ns, name))
            return c;
    return NULL;
}

const char *soap_node_attribute(const struct soap_node *n, const char *name)
{
    for (const struct soap_attribute *a = n->attributes; a; a = a->next)
        if (strcmp(a->name, name) == 0)
            return a->value;
    return "";
}

const char *soap_node_text(const struct soap_node *n, size_t *len)
{
    *len = n ? n->to - n->from : 0;
    return *len ? buf_str(&n->tree->text) + n->from : "";
}
