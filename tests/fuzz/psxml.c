/* CLIXML of a hostile server: read whole and in cuts, written again, shown as JSON, and held against libxml2. */
#include <jansson.h>
#include <libxml/parser.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "remoting/psjson.h"
#include "remoting/psxml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY (4 << 20)

static enum err read_all(struct psxml_reader *r, const uint8_t *data, size_t size, size_t cut)
{
    enum err err = ERR_OK;
    psxml_reader_reset(r);
    for (size_t at = 0; at < size && err == ERR_OK; at += cut)
        err = psxml_feed(r, data + at, size - at < cut ? size - at : cut, NULL);
    return err == ERR_OK ? psxml_end(r, NULL) : err;
}

static enum err write_all(struct psxml_reader *r, struct buf *out, bool json)
{
    const struct ps_value *first = NULL, *v;
    enum err err = ERR_OK;
    while ((v = psxml_next(r)) != NULL) {
        first = first ? first : v;
        if (json && err == ERR_OK)
            err = psjson_write(out, v);
        if (json && err == ERR_OK) {
            json_t *j = json_loadb(out->data, out->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            ASSERT(j);
            json_decref(j);
            buf_reset(out);
        }
    }
    return json ? err : psxml_write_document(out, first, NULL);
}

static void against_libxml2(const uint8_t *data, size_t size)
{
    if (memmem(data, size, "<?", 2) || memmem(data, size, "<!", 2))
        return; /* passed over by us, judged by it */
    xmlDoc *doc = xmlReadMemory((const char *)data, (int)size, NULL, "UTF-8",
                                XML_PARSE_NONET | XML_PARSE_HUGE | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    ASSERT(doc);
    xmlFreeDoc(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct psxml_reader *r = NULL;
    struct buf json, once, twice;
    buf_init(&json, MEMORY);
    buf_init(&once, MEMORY);
    buf_init(&twice, MEMORY);
    if (psxml_reader_new(&r, MEMORY) != ERR_OK)
        return 0;
    enum err whole = read_all(r, data, size, size ? size : 1);
    enum err shown = whole == ERR_OK ? write_all(r, &json, true) : ERR_OK;
    ASSERT(shown == ERR_OK || shown == ERR_LIMIT);
    enum err cut = read_all(r, data, size, 1 + size % 7);
    ASSERT(whole == cut || whole == ERR_LIMIT || cut == ERR_LIMIT);
    if (whole == ERR_OK && cut == ERR_OK) {
        against_libxml2(data, size);
        if (write_all(r, &once, false) == ERR_OK) {
            ASSERT(read_all(r, (const uint8_t *)once.data, once.len, once.len) == ERR_OK);
            ASSERT(write_all(r, &twice, false) == ERR_OK);
            ASSERT(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
        }
    }
    psxml_reader_free(&r);
    buf_fini(&json);
    buf_fini(&once);
    buf_fini(&twice);
    return 0;
}
