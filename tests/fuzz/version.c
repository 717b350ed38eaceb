/* core/model/version.c: texts and numbers from the directory. */
#include "core/model/version.h"
#include "core/base/str.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[256], again[VERSION_TEXT_SIZE], product[80];
    struct version v, w;
    size_t n = len < sizeof text - 1 ? len : sizeof text - 1;
    memcpy(text, data, n);
    text[n] = '\0';
    if (version_parse(text, &v)) {
        ASSERT(version_parse(version_text(v, again), &w) && version_cmp(v, w) == 0);
        version_product(v, product, sizeof product);
    }
    if (version_from_serial(text, &v))
        version_product(v, product, sizeof product);
    int64_t number;
    if (str_to_i64(text, strlen(text), &number) && version_from_number(number, &v) && v.major >= 8 &&
        v.major < 64)
        ASSERT(version_from_number(version_to_number(v), &w) && version_cmp(v, w) == 0);
    return 0;
}
