/* Names replaced in any text: no crash, and none of the names we know is left. */
#include "core/report/redact.h"
#include "core/base/str.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const users[] = {"caroline", NULL};
    struct redactor *r = NULL;
    struct org org = {.name = "Fabrikam", .domain = "fabrikam.com"};
    struct evidence e;
    struct buf b;
    struct errinfo ei;
    evidence_init(&e, 1 << 20);
    buf_init(&b, (size_t)16 << 20);
    if (redactor_new(&r, &org, &e, users, &ei) != ERR_OK)
        return 0;
    redactor_add(r, "EXCAS01", "server");
    if (redact(r, (const char *)data, size, &b) == ERR_OK && !memchr(buf_str(&b), 0, b.len) &&
        (str_icontains(buf_str(&b), "fabrikam") || str_icontains(buf_str(&b), "EXCAS01") ||
         str_icontains(buf_str(&b), "caroline")))
        abort();
    redactor_free(&r);
    buf_fini(&b);
    evidence_fini(&e);
    return 0;
}
