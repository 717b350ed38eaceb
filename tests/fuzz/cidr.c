/* Address ranges as typed. */
#include "core/proxy/cidr.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[128];
    struct cidr c;
    if (len >= sizeof text)
        return 0;
    memcpy(text, data, len);
    text[len] = '\0';
    if (cidr_parse(text, &c, NULL) == ERR_OK)
        ASSERT(c.bits <= 128);
    return 0;
}
