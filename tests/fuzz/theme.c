/* Theme files, and the lines that keep the wizard's answers: files a user may have edited. Also every wrapped line moves on. */
#include "tui/widgets/theme.h"
#include "tui/views/gates.h"
#include "tui/widgets/text.h"

#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_theme(const char *text)
{
    struct theme t;
    struct errinfo ei = {.code = ERR_OK};
    if (theme_parse(&t, NULL, "x", text, &ei) == ERR_OK) {
        for (int i = 0; i < PAINT_COUNT; i++) {
            ASSERT(theme_reduce(t.roles[i].fg, 8) < 8 && theme_reduce(t.roles[i].bg, 256) < 256);
            ASSERT(t.roles[i].attrs < 32);
        }
    } else {
        ASSERT(ei.what[0]);
    }
}

static void check_wrap(const char *text)
{
    for (int cells = 1; cells < 20; cells += 6) {
        const char *s = text;
        while (*s) {
            size_t skip, len = text_wrap(s, cells, &skip);
            ASSERT(skip > 0 && len <= skip && skip <= strlen(s));
            s += skip;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_theme(text);
    check_wrap(text);
    free(text);
    return 0;
}
