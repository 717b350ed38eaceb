/* WBXML: whatever the bytes, no crash, bounded; paths and text are what the header promises. */
#include "core/base/err.h"
#include "core/base/str.h"
#include "core/probe/app_wbxml.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_element(void *arg, const unsigned *path, size_t n, const char *text, size_t len)
{
    size_t *seen = arg;
    ASSERT(n >= 1 && n <= WBXML_DEPTH_MAX && len < WBXML_TEXT_MAX && strlen(text) == len);
    for (size_t i = 0; i < n; i++)
        ASSERT((path[i] & 0xff) >= 5 && (path[i] & 0xff) < 0x40 && path[i] >> 8 <= 0xff);
    ++*seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t seen = 0;
    const struct wbxml_reader reader = {on_element, &seen};
    struct folder_sync f;
    struct errinfo ei = {0};
    enum err e = wbxml_read(data, size, &reader, &ei);
    ASSERT(e == ERR_OK || ei.what[0]);
    ASSERT(e != ERR_OK || seen > 0);
    ASSERT(seen <= WBXML_ELEMENTS_MAX && seen <= size);
    if (folder_sync_parse(&f, data, size, NULL) == ERR_OK) {
        ASSERT(e == ERR_OK && f.status >= 0 && f.folders <= seen);
        ASSERT(utf8_valid(f.sync_key, strlen(f.sync_key)));
    }
    return 0;
}
