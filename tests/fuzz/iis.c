/* applicationHost.config: whatever the bytes, no crash; and what was read can be asked for any path. */
#include "core/iis/iis.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct iis_config c;
    struct iis_settings s;
    struct errinfo ei = {0};
    if (iis_parse(&c, (const char *)data, size, &ei) != ERR_OK) {
        ASSERT(utf8_valid(ei.what, strlen(ei.what)) && ei.what[0]);
        return 0;
    }
    ASSERT(c.locations.n && !*c.locations.v[0].path);
    for (size_t i = 0; i < IIS_ROWS; i++)
        iis_settings(&c, iis_rows[i].path, &s);
    for (size_t i = 1; i < c.locations.n && i < 64; i++) {
        iis_settings(&c, c.locations.v[i].path, &s);
        ASSERT(s.present);
        ASSERT(!c.locations.v[i].has_token || s.token == c.locations.v[i].token);
    }
    iis_fini(&c);
    return 0;
}
