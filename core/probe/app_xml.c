#include "core/probe/app_xml.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 512

struct reading {
    const struct app_xml_reader *reader;
    char path[PATH_MAX_BYTES];
    size_t path_len;
    size_t ends[APP_XML_DEPTH_MAX]; /* length of the path before each open element */
    size_t depth, elements;
    char text[APP_XML_TEXT_MAX];
    size_t text_len;
};

static void on_start(void *arg, struct xml_reading *x, const char *name, const struct xml_attributes *a)
{
    struct reading *r = arg;
    size_t len = strlen(name);
    if (r->depth == APP_XML_DEPTH_MAX || r->path_len + len + 2 > sizeof r->path) {
        xml_stop(x, ERR_INPUT, "its elements are nested too deep");
        return;
    }
    if (++r->elements > APP_XML_ELEMENTS_MAX) {
        xml_stop(x, ERR_LIMIT, "it has too many elements");
        return;
    }
    r->ends[r->depth++] = r->path_len;
    if (r->path_len)
        r->path[r->path_len++] = '/';
    memcpy(r->path + r->path_len, name, len + 1);
    r->path_len += len;
    r->text_len = 0;
    if (r->reader->open && !r->reader->open(r->reader->arg, r->path, a))
        xml_stop(x, ERR_OK, "");
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

static void on_end(void *arg, struct xml_reading *x)
{
    struct reading *r = arg;
    if (r->reader->close && !r->reader->close(r->reader->arg, r->path, trimmed(r))) {
        xml_stop(x, ERR_OK, "");
        return;
    }
    r->path_len = r->ends[--r->depth];
    r->path[r->path_len] = '\0';
    r->text_len = 0; /* what follows in the parent is blank in every format read here */
}

static void on_text(void *arg, struct xml_reading *x, const char *text, size_t len)
{
    struct reading *r = arg;
    (void)x;
    /* whole characters only: a cut must leave it valid */
    for (size_t i = 0, n; i < len; i += n) {
        n = utf8_next(text + i, len - i, NULL);
        if (!n || r->text_len + n >= sizeof r->text)
            return;
        memcpy(r->text + r->text_len, text + i, n);
        r->text_len += n;
    }
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
    const struct xml_events events = {on_start, on_end, on_text, r};
    enum err e = xml_read(data, len, &events, NULL, ei);
    free(r);
    return e;
}
