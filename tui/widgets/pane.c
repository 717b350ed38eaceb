#include "tui/widgets/pane.h"

#include "core/base/buf.h"
#include "core/base/str.h"
#include "tui/widgets/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PANE_MAX_LINES 20000
#define PANE_MAX_TEXT  8192
#define LABEL_WIDTH    10

void pane_clear(struct pane *p)
{
    for (size_t i = 0; i < p->lines.n; i++)
        free(p->lines.v[i].text);
    p->lines.n = 0;
}

void pane_fini(struct pane *p)
{
    pane_clear(p);
    VEC_FREE(&p->lines);
    p->top = 0;
}

void pane_home(struct pane *p)
{
    p->top = 0;
}

static void add_line(struct pane *p, enum paint paint, int indent, int hang, const char *s, size_t len)
{
    struct buf b;
    buf_init(&b, PANE_MAX_TEXT * 4);
    enum err e = str_show(&b, s, len);
    char *text = e == ERR_OK ? buf_take(&b) : NULL;
    if (!text && len == 0)
        text = strdup("");
    struct pane_line line = {text, paint, indent, hang};
    if (!text || !VEC_PUSH(&p->lines, PANE_MAX_LINES, line))
        free(text);
    buf_fini(&b);
}

static void add_text(struct pane *p, enum paint paint, int indent, int hang, const char *s)
{
    for (;;) {
        size_t len = strcspn(s, "\r\n");
        add_line(p, paint, indent, hang, s, len > PANE_MAX_TEXT ? PANE_MAX_TEXT : len);
        if (s[len] == '\0')
            return;
        s += len + 1 + (s[len] == '\r' && s[len + 1] == '\n');
        if (*s == '\0')
            return;
    }
}

void pane_add(struct pane *p, enum paint paint, int indent, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    add_text(p, paint, indent, 0, text);
    free(text);
}

void pane_item(struct pane *p, enum paint paint, int indent, int hang, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    add_text(p, paint, indent, hang, text);
    free(text);
}

void pane_field(struct pane *p, enum paint paint, const char *label, const char *value)
{
    if (!value)
        return;
    char *text = NULL;
    if (asprintf(&text, "%-*s %s", LABEL_WIDTH, label, value) < 0)
        return;
    add_text(p, paint, 0, LABEL_WIDTH + 1, text);
    free(text);
}

void pane_gap(struct pane *p)
{
    add_line(p, PAINT_TEXT, 0, 0, "", 0);
}

bool pane_key(struct pane *p, int key)
{
    int last = p->height > p->page ? p->height - p->page : 0, page = p->page > 1 ? p->page - 1 : 1;
    switch (key) {
    case K_UP:
    case 'k': p->top--; break;
    case K_DOWN:
    case 'j': p->top++; break;
    case K_PAGE_UP: p->top -= page; break;
    case K_PAGE_DOWN: p->top += page; break;
    case K_HOME: p->top = 0; break;
    case K_END: p->top = last; break;
    default: return false;
    }
    p->top = p->top > last ? last : p->top < 0 ? 0 : p->top;
    return true;
}

/* Draws one paragraph from wrapped line `at` on; returns how many wrapped lines it has. */
static int draw_line(const struct pane_line *l, struct rect r, int at)
{
    const char *s = l->text;
    int n = 0;
    do {
        int indent = l->indent + (n > 0 ? l->hang : 0);
        if (indent > r.w / 2)
            indent = r.w / 2;
        size_t skip, len = text_wrap(s, r.w - indent, &skip);
        int y = at + n;
        if (y >= 0 && y < r.h) {
            char part[1024];
            str_copy(part, len + 1 < sizeof part ? len + 1 : sizeof part, s);
            screen_put(r.y + y, r.x + indent, r.w - indent, l->paint, part);
        }
        s += skip;
        n++;
    } while (*s);
    return n;
}

void pane_draw(struct pane *p, struct rect r)
{
    if (r.h < 1 || r.w < 4)
        return;
    for (int pass = 0; pass < 2;
         pass++) { /* a second time only when the text became shorter than the scroll position */
        int at = -p->top;
        for (size_t i = 0; i < p->lines.n; i++)
            at += draw_line(&p->lines.v[i], r, at);
        p->height = at + p->top;
        p->page = r.h;
        int last = p->height > r.h ? p->height - r.h : 0;
        if (p->top <= last)
            break;
        p->top = last;
        screen_fill(r, PAINT_TEXT);
    }
    if (p->top > 0)
        screen_put(r.y, r.x + r.w - 1, 1, PAINT_DIM, glyph(GLYPH_MORE_UP));
    if (p->height > p->top + r.h)
        screen_put(r.y + r.h - 1, r.x + r.w - 1, 1, PAINT_DIM, glyph(GLYPH_MORE_DOWN));
}
