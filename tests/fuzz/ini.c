/* core/base/ini.c: any bytes; keys and values that come out are what a configuration may hold. */
#include "core/base/ini.h"
#include "core/base/str.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static enum err look(void *arg, const char *section, const char *key, const char *value, unsigned line,
                     struct errinfo *ei)
{
    (void)arg, (void)line, (void)ei;
    ASSERT(utf8_valid(section, strlen(section)));
    if (key) {
        ASSERT(*key && !strchr(key, '=') && !strchr(key, '\n'));
        ASSERT(utf8_valid(value, strlen(value)) && !strchr(value, '\n'));
    }
    return ERR_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct errinfo ei;
    enum err e = ini_parse((const char *)data, len, "fuzz", look, NULL, &ei);
    ASSERT(e == ERR_OK || utf8_valid(ei.what, strlen(ei.what)));
    return 0;
}
