#include "core/base/xml.h"

#include "core/base/str.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <pthread.h>
#include <string.h>

#define PIECE ((size_t)64 * 1024)

struct xml_attributes {
    const xmlChar **list; /* five pointers each: local name, prefix, URI, value, its end */
    int n;
};

struct xml_reading {
    const struct xml_events *events;
    xmlParserCtxt *parser;
    size_t depth, elements;
    bool stopped;
    enum err failed;
    char why[200];
    int line;
};

void xml_stop(struct xml_reading *x, enum err e, const char *why)
{
    if (x->stopped)
        return;
    x->stopped = true;
    x->failed = e;
    x->line = xmlSAX2GetLineNumber(x->parser);
    str_copy(x->why, sizeof x->why, why);
    xmlStopParser(x->parser);
}

/* A literal & comes as "&#38;" because no entity is ever replaced. */
bool xml_attribute(const struct xml_attributes *a, const char *name, char *out, size_t cap)
{
    const xmlChar **list = a->list;
    for (int i = 0; i < a->n; i++, list += 5) {
        size_t len = 0;
        if (!str_ieq((const char *)list[0], name))
            continue;
        for (const char *p = (const char *)list[3], *end = (const char *)list[4]; p < end; p++) {
            if (len + 1 >= cap)
                return false;
            out[len++] = *p;
            if (end - p >= 5 && memcmp(p, "&#38;", 5) == 0)
                p += 4;
        }
        out[len] = '\0';
        return true;
    }
    return false;
}

static void on_start(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                     int n_namespaces, const xmlChar **namespaces, int n_attrs, int n_defaulted,
                     const xmlChar **attrs)
{
    struct xml_reading *x = ctx;
    const struct xml_attributes a = {attrs, n_attrs};
    (void)prefix, (void)uri, (void)n_namespaces, (void)namespaces, (void)n_defaulted;
    if (x->stopped)
        return;
    x->depth++;
    x->elements++;
    x->events->start(x->events->arg, x, (const char *)name, &a);
}

static void on_end(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct xml_reading *x = ctx;
    (void)name, (void)prefix, (void)uri;
    if (x->stopped || !x->depth)
        return;
    x->depth--;
    x->events->end(x->events->arg, x);
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    struct xml_reading *x = ctx;
    if (!x->stopped && len > 0 && x->events->text)
        x->events->text(x->events->arg, x, (const char *)text, (size_t)len);
}

/* The door to entities: billion laughs, files of ours in the text. Neither Exchange nor IIS writes one. */
static void on_doctype(void *ctx, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    xml_stop(ctx, ERR_INPUT, "it declares a document type, which is refused");
}

static void on_error(void *ctx, xmlErrorPtr error)
{
    struct xml_reading *x = ctx;
    char raw[sizeof x->why];
    if (x->stopped || !error || error->level < XML_ERR_ERROR)
        return;
    str_copy(raw, sizeof raw, error->message ? error->message : "it is not well-formed");
    raw[strcspn(raw, "\r\n")] = '\0';
    if (error->code == XML_ERR_DOCUMENT_END &&
        (x->depth || !x->elements)) /* libxml2 calls a missing end "extra content" */
        str_copy(raw, sizeof raw, "it ends too early");
    xml_stop(x, ERR_INPUT, raw);
    x->line = error->line;
}

static pthread_once_t xml_once =
    PTHREAD_ONCE_INIT; /* libxml2's first use must not happen in two threads at once */

enum err xml_read(const char *data, size_t len, const struct xml_events *events, const char *hint,
                  struct errinfo *ei)
{
    xmlSAXHandler sax = {
        .internalSubset = on_doctype,
        .startElementNs = on_start,
        .endElementNs = on_end,
        .characters = on_text,
        .cdataBlock = on_text,
        .serror = on_error,
        .initialized = XML_SAX2_MAGIC,
    };
    struct xml_reading x = {.events = events};
    pthread_once(&xml_once, xmlInitParser);
    x.parser = xmlCreatePushParserCtxt(&sax, &x, NULL, 0, NULL);
    if (!x.parser)
        return err_set(ei, ERR_NOMEM, NULL, "no memory to read XML");
    xmlCtxtUseOptions(x.parser, XML_PARSE_NONET);
    for (size_t at = 0; at < len && !x.stopped; at += PIECE)
        if (xmlParseChunk(x.parser, data + at, (int)(len - at < PIECE ? len - at : PIECE), 0))
            xml_stop(&x, ERR_INPUT, "it is not well-formed XML");
    if (!x.stopped && xmlParseChunk(x.parser, NULL, 0, 1))
        xml_stop(&x, ERR_INPUT, "it ends too early");
    if (x.parser->myDoc) /* made by libxml2 itself in some of its error paths */
        xmlFreeDoc(x.parser->myDoc);
    xmlFreeParserCtxt(x.parser);
    return x.failed ? err_set(ei, x.failed, hint, "line %d: %s", x.line, x.why) : ERR_OK;
}
