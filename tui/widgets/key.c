#include "tui/widgets/key.h"

#include "core/base/str.h"

static const struct {
    const char *words, *ascii;
} named[] = {
#define X(name, words, ascii) {words, ascii},
    KEY_MAP(X)
#undef X
};

bool key_is_text(int key)
{
    return key >= 0x20 && key < KEY_NAMED && key != 0x7f;
}

void key_text(int key, bool ascii, char *out, size_t cap)
{
    if (key > KEY_NAMED && key < KEY_PAST_LAST)
        str_copy(out, cap, ascii ? named[key - KEY_NAMED - 1].ascii : named[key - KEY_NAMED - 1].words);
    else if (key == ' ')
        str_copy(out, cap, "Space");
    else if (key > 0 && key < 0x20)
        str_fmt(out, cap, "Ctrl-%c", 'A' + key - 1);
    else if (key > 0x20 && key < 0x7f)
        str_fmt(out, cap, "%c", key);
    else
        str_copy(out, cap, "");
}
