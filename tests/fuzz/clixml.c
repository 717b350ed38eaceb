/* Standard error of a hostile server: CLIXML, error view, code page. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "remoting/clixml.h"
#include "remoting/codepage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct clixml c = {0};
    struct buf text;
    buf_init(&text, CLIXML_MAX_INPUT);
    if (codepage_to_utf8(&text, (const char *)data, size, NULL) == ERR_OK) {
        ASSERT(utf8_valid(buf_str(&text), text.len));
        ASSERT(strlen(buf_str(&text)) == text.len);
        ASSERT(clixml_decode(&c, buf_str(&text), text.len) == ERR_OK);
        for (size_t i = 0; i < c.errors.n; i++)
            ASSERT(utf8_valid(c.errors.v[i].message, strlen(c.errors.v[i].message)));
        clixml_fini(&c);
    }
    buf_fini(&text);
    return 0;
}
