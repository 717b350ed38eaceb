/* Cmdlet texts: what is taken writes again byte for byte; what is quoted reads back as the value. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/model/cmdlet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void text_as_input(struct arena *arena, const char *text)
{
    struct cmdlet c;
    struct errinfo ei;
    struct buf again;
    buf_init(&again, 1 << 20);
    if (cmdlet_parse(&c, arena, text, &ei) == ERR_OK) {
        ASSERT(cmdlet_text(&again, &c, &ei) == ERR_OK);
        ASSERT(strcmp(buf_str(&again), text) == 0);
    }
    buf_fini(&again);
}

static void value_as_input(struct arena *arena, const char *value)
{
    struct cmdlet c, back;
    struct errinfo ei;
    struct buf text;
    buf_init(&text, 1 << 20);
    cmdlet_init(&c, arena, "Set-X");
    if (cmdlet_string(&c, "A", value) == ERR_OK && cmdlet_text(&text, &c, &ei) == ERR_OK) {
        ASSERT(cmdlet_parse(&back, arena, buf_str(&text), &ei) == ERR_OK);
        ASSERT(back.n_params == 1 && strcmp(back.params[0].value.strings[0], value) == 0);
    }
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 4 << 20);
    char *text = malloc(size + 1);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    text_as_input(&arena, text);
    value_as_input(&arena, text);
    free(text);
    arena_fini(&arena);
    return 0;
}
