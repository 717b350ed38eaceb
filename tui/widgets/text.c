#include "tui/widgets/text.h"

#include "core/base/str.h"

#include <string.h>

static bool ascii_only;

void text_set_ascii(bool ascii)
{
    ascii_only = ascii;
}

bool text_is_ascii(void)
{
    return ascii_only;
}

bool text_next(const char *s, size_t *bytes, int *cells, wchar_t *wc)
{
    unsigned char c = (unsigned char)*s;
    if (c == 0)
        return false;
    *bytes = 1;
    *cells = 1;
    if (c < 0x80) {
        *wc = c < 0x20 || c == 0x7f ? L'?' : (wchar_t)c;
        return true;
    }
    uint32_t cp;
    size_t n = utf8_next(s, strnlen(s, 4), &cp);
    if (n == 0) {
        *wc = L'?';
        return true;
    }
    *bytes = n;
    int width = wcwidth((wchar_t)cp);
    if (ascii_only || width < 0) { /* unknown to the locale: one cell that we are sure of */
        *wc = L'?';
        *cells = ascii_only && width == 0 ? 0 : 1;
        return true;
    }
    *wc = (wchar_t)cp;
    *cells = width;
    return true;
}

int text_width(const char *s)
{
    int total = 0, cells;
    size_t bytes;
    wchar_t wc;
    for (; text_next(s, &bytes, &cells, &wc); s += bytes)
        total += cells;
    return total;
}

size_t text_fit(const char *s, int cells, int *used)
{
    size_t at = 0, bytes;
    int total = 0, width;
    wchar_t wc;
    while (text_next(s + at, &bytes, &width, &wc) && total + width <= cells) {
        total += width;
        at += bytes;
    }
    if (used)
        *used = total;
    return at;
}

size_t text_wrap(const char *s, int cells, size_t *skip)
{
    size_t len = text_fit(s, cells < 1 ? 1 : cells, NULL);
    if (len == 0 && *s) { /* a wide character in a line of one cell: it is skipped rather than looped on */
        int width;
        wchar_t wc;
        if (!text_next(s, &len, &width, &wc))
            len = 1;
    }
    *skip = len;
    if (s[len] == '\0')
        return len;
    if (s[len] != ' ') {
        size_t space = len;
        while (space > 0 && s[space - 1] != ' ')
            space--;
        size_t end = space;
        while (end > 0 && s[end - 1] == ' ')
            end--;
        if (end > len / 3) { /* a long first word is better cut than given a line of its own */
            *skip = space;
            return end;
        }
        return len;
    }
    while (s[*skip] == ' ')
        ++*skip;
    while (len > 0 && s[len - 1] == ' ')
        len--;
    return len;
}
