/* core/model/dn.c, url.c: any text. A normal form is its own normal form and equals what it came from. */
#include "core/base/str.h"
#include "core/model/org.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1), name[64], host[64];
    struct buf a, b;
    enum tri https;
    uint16_t port;
    ASSERT(text != NULL);
    memcpy(text, data, len);
    text[len] = '\0';
    buf_init(&a, len * 4 + 16);
    buf_init(&b, len * 4 + 16);
    ASSERT(dn_equal(text, text));
    if (dn_normalise(&a, text) == ERR_OK) {
        ASSERT(dn_equal(text, buf_str(&a)));
        ASSERT(dn_normalise(&b, buf_str(&a)) == ERR_OK && strcmp(buf_str(&a), buf_str(&b)) == 0);
        ASSERT(dn_is_below(text, text));
        const char *up = dn_parent(buf_str(&a));
        ASSERT(!up || (dn_is_below(text, up) && !dn_is_below(up, text)));
    }
    if (dn_rdn(text, name, sizeof name))
        ASSERT(strlen(name) < sizeof name);
    if (url_host(text, host, sizeof host, &https, &port))
        for (const char *p = host; *p; p++)
            ASSERT((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || strchr("-._:", *p));
    buf_fini(&a);
    buf_fini(&b);
    free(text);
    return 0;
}
