/* The filter language: any text is refused with words or means something that can be asked of a row. */
#include "tui/widgets/filter.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const fields[] = {"name", "site", "status"};

static const char *get(void *ctx, size_t field, int64_t *number)
{
    (void)ctx;
    ASSERT(field < ARRAY_LEN(fields));
    *number = 401;
    return field == 2 ? "401" : "EXCAS01";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct filter f;
    struct errinfo ei = {.code = ERR_OK};
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (filter_parse(&f, text, fields, ARRAY_LEN(fields), &ei) == ERR_OK) {
        ASSERT(f.n <= FILTER_MAX_TERMS);
        for (size_t i = 0; i < f.n; i++) {
            ASSERT(f.terms[i].text[0] && memchr(f.terms[i].text, '\0', FILTER_TEXT_SIZE));
            ASSERT(f.terms[i].field >= -1 && f.terms[i].field < (int)ARRAY_LEN(fields));
        }
        (void)filter_match(&f, ARRAY_LEN(fields), get, NULL);
    } else {
        ASSERT(ei.what[0] && utf8_valid(ei.what, strlen(ei.what)));
    }
    free(text);
    return 0;
}
