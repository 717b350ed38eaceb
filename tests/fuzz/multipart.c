/* An encrypted answer's wrapping. The first line is the content type. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "remoting/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nl = memchr(data, '\n', size);
    struct multipart_part p[8];
    struct errinfo ei = {0};
    char type[256];
    size_t n = 0;
    if (!nl || (size_t)(nl - data) >= sizeof type)
        return 0;
    memcpy(type, data, (size_t)(nl - data));
    type[nl - data] = '\0';
    size_t len = size - (size_t)(nl - data) - 1;
    char *body = malloc(len ? len : 1);
    ASSERT(body);
    memcpy(body, nl + 1, len);
    enum err e = multipart_read(type, body, len, p, ARRAY_LEN(p), &n, &ei);
    ASSERT(e == ERR_OK || ei.what[0]);
    for (size_t i = 0; i < n; i++) {
        const char *at = p[i].data, *head = p[i].head;
        ASSERT(at >= body && p[i].data_len <= len && at + p[i].data_len <= body + len);
        ASSERT(head >= body && head + p[i].head_len <= body + len);
    }
    free(body);
    return 0;
}
