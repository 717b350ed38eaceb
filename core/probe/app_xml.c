#include "core/probe/app_xml.h"

#include "core/base/str.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 512
#define PIECE          ((size_t)16 * 1024)

struct app_xml_attributes {
    const xmlChar **list; /* five pointers each: local name, prefix, URI, value, its end */
    int n;
};

struct reading {
    const struct app_xml_reader *reader;
    xmlParserCtxt *xml;
    char path[PATH_MAX_BYTES];
    size_t path_len;
    size_t ends[APP_XML_DEPTH_MAX]; /* length of the path before each open element */
    size_t depth, elements;
    char text[APP_XML_TEXT_MAX];
    size_t text_len;
    bool enough; /* the reader wants no more */
    enum err failed;
    char why[160];
    int line;
};

static void stop_reading(struct reading *r, enum err e, const char *why)
{
    if (r->failed || r->enough)
        return;
    r->failed = e;
    r->line = xmlSAX2GetLineNumber(r->xml);
    str_copy(r->why, sizeof r->why, why);
    xmlStopParser(r->xml);
}

static void go_on(struct reading *r, bool more)
{
    if (more)
        return;
    r->enough = true;
    xmlStopParser(r->xml);
}

/* A literal & comes as "&#38;" because no entity is ever replaced. */
bool app_xml_attribute(const struct app_xml_attributes *a, const char *name, char *out, size_t cap)
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
    struct reading *r = ctx;
    const struct app_xml_attributes a = {attrs, n_attrs};
    size_t len = strlen((const char *)name);
    (void)prefix, (void)uri, (void)n_namespaces, (void)namespaces, (void)n_defaulted;
    if (r->failed || r->enough)
        return;
    if (r->depth == APP_XML_DEPTH_MAX || r->path_len + len + 2 > sizeof r->path) {
        stop_reading(r, ERR_INPUT, "its elements are nested too deep");
        return;
    }
    if (++r->elements > APP_XML_ELEMENTS_MAX) {
        stop_reading(r, ERR_LIMIT, "it has too many elements");
        return;
    }
    r->ends[r->depth++] = r->path_len;
    if (r->path_len)
        r->path[r->path_len++] = '/';
    memcpy(r->path + r->path_len, name, len + 1);
    r->path_len += len;
    r->text_len = 0;
    if (r->reader->open)
        go_on(r, r->reader->open(r->reader->arg, r->path, &a));
}

static const char *trimmed(struct reading *r)
{
    static const char blank[] = " \t\r\n";
    size_t from = 0;
    while (r->text_len && strchr(blank, r->text[r->text_len - 1]))
        r->text_len--;
    r->text[r->text_len] = '\0';
    from = strspn(r->text, blank);
    return r->text + from;
}

static void on_end(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct reading *r = ctx;
    (void)name, (void)prefix, (void)uri;
    if (r->failed || r->enough || !r->depth)
        return;
    if (r->reader->close)
        go_on(r, r->reader->close(r->reader->arg, r->path, trimmed(r)));
    r->path_len = r->ends[--r->depth];
    r->path[r->path_len] = '\0';
    r->text_len = 0; /* what follows in the parent is blank in every format read here */
}

static void on_text(void *ctx, const xmlChar *text, int len)
{
    struct reading *r = ctx;
    if (r->failed || r->enough || len <= 0)
        return;
    /* whole characters only: libxml2 hands over valid UTF-8, and a cut must keep it so */
    for (size_t i = 0, n; i < (size_t)len; i += n) {
        n = utf8_next((const char *)text + i, (size_t)len - i, NULL);
        if (!n || r->text_len + n >= sizeof r->text)
            return;
        memcpy(r->text + r->text_len, text + i, n);
        r->text_len += n;
    }
}

/* A document type is the door to entities: billion laughs, files of ours in the text. No Exchange answer has one. */
static void on_doctype(void *ctx, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    stop_reading(ctx, ERR_INPUT, "it declares a document type, which is refused");
}

static void on_error(void *ctx, xmlErrorPtr error)
{
    struct reading *r = ctx;
    char raw[160];
    if (r->failed || r->enough || !error || error->level < XML_ERR_ERROR)
        return;
    str_copy(raw, sizeof raw, error->message ? error->message : "it is not well-formed");
    raw[strcspn(raw, "\r\n")] = '\0';
    if (error->code == XML_ERR_DOCUMENT_END &&
        (r->depth || !r->elements)) /* libxml2 calls a missing end "extra content" */
        str_copy(raw, sizeof raw, "it ends too early");
    stop_reading(r, ERR_INPUT, raw);
    r->line = error->line;
}

static pthread_once_t xml_once =
    PTHREAD_ONCE_INIT; /* libxml2's first use must not happen in two threads at once */

static enum err feed(struct reading *r, const char *data, size_t len, struct errinfo *ei)
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
    pthread_once(&xml_once, xmlInitParser);
    r->xml = xmlCreatePushParserCtxt(&sax, r, NULL, 0, NULL);
    if (!r->xml)
        return err_set(ei, ERR_NOMEM, NULL, "no memory to read XML");
    xmlCtxtUseOptions(r->xml, XML_PARSE_NONET);
    for (size_t at = 0; at < len && !r->failed && !r->enough; at += PIECE)
        if (xmlParseChunk(r->xml, data + at, (int)(len - at < PIECE ? len - at : PIECE), 0))
            stop_reading(r, ERR_INPUT, "it is not well-formed XML");
    if (!r->failed && !r->enough && xmlParseChunk(r->xml, NULL, 0, 1))
        stop_reading(r, ERR_INPUT, "it ends too early");
    if (r->xml->myDoc) /* made by libxml2 itself in some of its error paths */
        xmlFreeDoc(r->xml->myDoc);
    xmlFreeParserCtxt(r->xml);
    return r->failed ? err_set(ei, r->failed, NULL, "line %d: %s", r->line, r->why) : ERR_OK;
}

enum err app_xml_read(const char *data, size_t len, const struct app_xml_reader *reader, struct errinfo *ei)
{
    if (len > APP_XML_MAX)
        return err_set(ei, ERR_LIMIT, NULL, "the answer is larger than %zu KiB", APP_XML_MAX / 1024);
    if (len == 0)
        return err_set(ei, ERR_INPUT, NULL, "the answer is empty");
    struct reading *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(ei, ERR_NOMEM, NULL, "no memory to read XML");
    r->reader = reader;
    enum err e = feed(r, data, len, ei);
    free(r);
    return e;
}
