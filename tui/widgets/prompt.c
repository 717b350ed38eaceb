#include "tui/widgets/prompt.h"

#include "core/base/str.h"
#include "tui/widgets/text.h"

#include <stdlib.h>
#include <string.h>

void prompt_init(struct prompt *p, struct prompt_history *history, const char *text)
{
    memset(p, 0, sizeof *p);
    p->history = history;
    prompt_set(p, text);
}

void prompt_set(struct prompt *p, const char *text)
{
    str_copy(p->text, sizeof p->text, text);
    p->len = p->cursor = strlen(p->text);
}

static size_t encode(int cp, char out[static 4])
{
    unsigned c = (unsigned)cp;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static void insert(struct prompt *p, int key)
{
    char bytes[4];
    size_t n = encode(key, bytes);
    if (p->len + n >= sizeof p->text)
        return;
    memmove(p->text + p->cursor + n, p->text + p->cursor, p->len - p->cursor + 1);
    memcpy(p->text + p->cursor, bytes, n);
    p->cursor += n;
    p->len += n;
}

/* Bytes of the character before the cursor. */
static size_t before_cursor(const struct prompt *p)
{
    size_t n = 0;
    while (n < p->cursor && n < 4) {
        n++;
        if (((unsigned char)p->text[p->cursor - n] & 0xc0) != 0x80)
            break;
    }
    return n;
}

static void cut(struct prompt *p, size_t from, size_t to)
{
    memmove(p->text + from, p->text + to, p->len - to + 1);
    p->len -= to - from;
    p->cursor = from;
}

static enum prompt_result recall(struct prompt *p, bool older)
{
    if (!p->history || (older && p->back >= p->history->n) || (!older && p->back == 0))
        return PROMPT_IGNORED;
    if (p->back == 0)
        str_copy(p->draft, sizeof p->draft, p->text);
    p->back = older ? p->back + 1 : p->back - 1;
    prompt_set(p, p->back ? p->history->lines[p->history->n - p->back] : p->draft);
    return PROMPT_CHANGED;
}

static size_t word_start(const struct prompt *p)
{
    size_t at = p->cursor;
    while (at > 0 && p->text[at - 1] == ' ')
        at--;
    while (at > 0 && p->text[at - 1] != ' ')
        at--;
    return at;
}

enum prompt_result prompt_key(struct prompt *p, int key)
{
    size_t next = p->cursor < p->len ? utf8_next(p->text + p->cursor, p->len - p->cursor, NULL) : 0;
    if (key_is_text(key)) {
        insert(p, key);
        return PROMPT_CHANGED;
    }
    switch (key) {
    case K_LEFT:
    case KEY_CTRL('b'): p->cursor -= before_cursor(p); return PROMPT_MOVED;
    case K_RIGHT:
    case KEY_CTRL('f'): p->cursor += next; return PROMPT_MOVED;
    case K_HOME:
    case KEY_CTRL('a'): p->cursor = 0; return PROMPT_MOVED;
    case K_END:
    case KEY_CTRL('e'): p->cursor = p->len; return PROMPT_MOVED;
    case K_UP: return recall(p, true);
    case K_DOWN: return recall(p, false);
    case K_BACKSPACE:
        if (p->cursor == 0)
            return PROMPT_MOVED;
        cut(p, p->cursor - before_cursor(p), p->cursor);
        return PROMPT_CHANGED;
    case K_DELETE: cut(p, p->cursor, p->cursor + next); return PROMPT_CHANGED;
    case KEY_CTRL('u'): cut(p, 0, p->cursor); return PROMPT_CHANGED;
    case KEY_CTRL('k'): cut(p, p->cursor, p->len); return PROMPT_CHANGED;
    case KEY_CTRL('w'): cut(p, word_start(p), p->cursor); return PROMPT_CHANGED;
    default: return PROMPT_IGNORED;
    }
}

void prompt_draw(const struct prompt *p, int y, int x, int w, enum paint paint)
{
    char head[PROMPT_SIZE];
    if (w < 2)
        return;
    if (p->hidden) {
        size_t n = 0, shown = 0;
        for (size_t k; n < p->cursor && shown + 1 < sizeof head; n += k ? k : 1) {
            k = utf8_next(p->text + n, p->cursor - n, NULL);
            head[shown++] = '*';
        }
        head[shown] = '\0';
        screen_field(y, x, w, paint, false, head);
        screen_cursor(y, x + (text_width(head) < w ? text_width(head) : w - 1));
        return;
    }
    str_copy(head, p->cursor + 1, p->text);
    /* scrolled so that the cursor is always to be seen */
    size_t from = 0;
    while (text_width(head + from) > w - 1) {
        size_t n = utf8_next(head + from, p->cursor - from, NULL);
        from += n ? n : 1;
    }
    screen_field(y, x, w, paint, false, p->text + from);
    screen_cursor(y, x + text_width(head + from));
}

void prompt_remember(struct prompt_history *h, const char *line)
{
    if (!*line || (h->n > 0 && strcmp(h->lines[h->n - 1], line) == 0))
        return;
    char *copy = strdup(line);
    if (!copy)
        return;
    if (h->n == PROMPT_HISTORY) {
        free(h->lines[0]);
        memmove(h->lines, h->lines + 1, (PROMPT_HISTORY - 1) * sizeof *h->lines);
        h->n--;
    }
    h->lines[h->n++] = copy;
}

void prompt_history_fini(struct prompt_history *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->lines[i]);
    h->n = 0;
}
