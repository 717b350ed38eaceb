/* core/base: base64, UTF-16 and making text safe: round trips hold and nothing unsafe comes out. */
#include "core/base/str.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf a, b;
    buf_init(&a, len * 16 + 64);
    buf_init(&b, len * 16 + 64);
    ASSERT(base64_encode(&a, data, len) == ERR_OK && base64_decode(&b, buf_str(&a), a.len) == ERR_OK);
    ASSERT(b.len == len && (len == 0 || memcmp(b.data, data, len) == 0));
    buf_reset(&b);
    (void)!base64_decode(&b, (const char *)data, len);

    buf_reset(&a);
    ASSERT(str_show(&a, (const char *)data, len) == ERR_OK && utf8_valid(buf_str(&a), a.len));
    for (size_t i = 0; i < a.len; i++)
        ASSERT((unsigned char)a.data[i] >= 0x20 && a.data[i] != 0x7f);
    char fixed[40];
    str_show_fixed(fixed, sizeof fixed, (const char *)data, len);
    ASSERT(utf8_valid(fixed, strlen(fixed)));

    buf_reset(&a);
    buf_reset(&b);
    ASSERT(utf16_decode(&a, data, len, false) == ERR_OK && utf8_valid(buf_str(&a), a.len));
    ASSERT(utf16le_encode(&b, buf_str(&a), a.len) == ERR_OK);
    buf_fini(&a);
    buf_fini(&b);
    return 0;
}
