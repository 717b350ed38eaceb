/* A line of evidence: whatever the bytes, no crash; and what is read is written so that it is read again. */
#include "core/report/lines.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct evidence e;
    struct errinfo ei;
    struct buf b;
    evidence_init(&e, (size_t)16 << 20);
    buf_init(&b, (size_t)16 << 20);
    if (lines_read((const char *)data, size, &e, &ei) == ERR_OK &&
        (lines_write(&e.items.v[0], &b, &ei) != ERR_OK || lines_read(b.data, b.len - 1, &e, &ei) != ERR_OK))
        abort();
    buf_fini(&b);
    evidence_fini(&e);
    return 0;
}
