/* Chunked framing. The bytes are passed on unchanged, so the check must be at least as strict as any receiver's. */
#include "core/proxy/http1.h"

#include <string.h>

#define MAX_LINE    256u
#define MAX_TRAILER 8192u

enum state { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER_START, TRAILER, TRAILER_LF, END_LF };

void http1_chunked_init(struct http1_chunked *c)
{
    memset(c, 0, sizeof *c);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(char c)
{
    return c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f);
}

/* One byte that is not chunk data. False: refused. */
static bool step(struct http1_chunked *c, char b)
{
    int digit;
    switch ((enum state)c->state) {
    case SIZE:
        if ((digit = hex(b)) >= 0) {
            c->left = c->left << 4 | (unsigned)digit;
            return ++c->digits <= 15; /* 60 bits */
        }
        if (c->digits == 0)
            return false;
        if (b == '\r')
            c->state = SIZE_LF;
        else if (b == ';')
            c->state = EXTENSION;
        else
            return false;
        c->line = 0;
        return true;
    case EXTENSION:
        if (b == '\r')
            c->state = SIZE_LF;
        else if (!is_text(b) || ++c->line > MAX_LINE)
            return false;
        return true;
    case SIZE_LF:
        c->line = 0;
        c->state = c->left > 0 ? DATA : TRAILER_START;
        return b == '\n';
    case DATA: return false;
    case DATA_CR: c->state = DATA_LF; return b == '\r';
    case DATA_LF:
        c->state = SIZE;
        c->digits = 0;
        c->left = 0;
        return b == '\n';
    case TRAILER_START:
        if (b == '\r') {
            c->state = END_LF;
            return true;
        }
        c->state = TRAILER;
        return is_text(b) && b != ' ' && b != '\t' && b != ':' && ++c->line <= MAX_TRAILER;
    case TRAILER:
        if (b == '\r')
            c->state = TRAILER_LF;
        else if (!is_text(b) || ++c->line > MAX_TRAILER)
            return false;
        return true;
    case TRAILER_LF: c->state = TRAILER_START; return b == '\n';
    case END_LF: return b == '\n';
    }
    return false;
}

enum http1_result http1_chunked_scan(struct http1_chunked *c, const char *p, size_t len, size_t *used)
{
    size_t i = 0;
    while (i < len) {
        if (c->state == DATA) {
            size_t n = len - i < c->left ? len - i : (size_t)c->left;
            c->left -= n;
            i += n;
            if (c->left == 0)
                c->state = DATA_CR;
            continue;
        }
        bool last = c->state == END_LF;
        if (!step(c, p[i]))
            return HTTP1_BAD;
        i++;
        if (last) {
            *used = i;
            return HTTP1_DONE;
        }
    }
    *used = len;
    return HTTP1_MORE;
}
