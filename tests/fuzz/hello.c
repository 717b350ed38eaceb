/* The answer to a ClientHello: any bytes, and every prefix of them. */
#include "core/probe/hello.h"
#include "core/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    enum hello_version v = HELLO_VERSIONS, before = HELLO_VERSIONS;
    enum hello_answer last = HELLO_MORE;
    uint8_t alert;
    for (size_t n = 0; n <= len && n < 600; n++) {
        enum hello_answer a = hello_read(data, n, &v, &alert);
        ASSERT(a != HELLO_AGREED || v < HELLO_VERSIONS);
        /* what was decided stays decided */
        ASSERT(last != HELLO_AGREED || (a == HELLO_AGREED && v == before));
        last = a;
        before = v;
    }
    (void)hello_read(data, len, &v, &alert);
    return 0;
}
