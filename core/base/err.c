#include "core/base/err.h"

#include "core/base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *text;
    int exit_code;
} errs[] = {
#define X(name, exit, text) {#name, text, exit},
    ERR_MAP(X)
#undef X
};

static void (*abort_hook)(void);

const char *err_text(enum err code)
{
    return (size_t)code < ARRAY_LEN(errs) ? errs[code].text : "unknown error";
}

int err_exit_code(enum err code)
{
    return (size_t)code < ARRAY_LEN(errs) ? errs[code].exit_code : 70;
}

const char *err_name(enum err code)
{
    return (size_t)code < ARRAY_LEN(errs) ? errs[code].name : "?";
}

/* Formats into a scratch buffer first: the text may name things from outside and must be safe to show. */
static PRINTF_LIKE(3, 0) void put(char *dst, size_t cap, const char *fmt, va_list ap)
{
    char raw[1024];
    int n = vsnprintf(raw, sizeof raw, fmt, ap);
    if (n < 0) {
        str_copy(dst, cap, "(text could not be formatted)");
        return;
    }
    size_t len = (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1;
    str_show_fixed(dst, cap, raw, len);
}

enum err err_setv(struct errinfo *ei, enum err code, const char *hint, const char *fmt, va_list ap)
{
    if (ei) {
        ei->code = code;
        ei->sys = 0;
        put(ei->what, sizeof ei->what, fmt, ap);
        if (hint)
            str_show_fixed(ei->hint, sizeof ei->hint, hint, strlen(hint));
        else
            ei->hint[0] = '\0';
    }
    return code;
}

enum err err_set(struct errinfo *ei, enum err code, const char *hint, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    err_setv(ei, code, hint, fmt, ap);
    va_end(ap);
    return code;
}

enum err err_errno(struct errinfo *ei, enum err code, const char *hint, const char *fmt, ...)
{
    int saved = errno;
    va_list ap;
    va_start(ap, fmt);
    err_setv(ei, code, hint, fmt, ap);
    va_end(ap);
    if (ei) {
        char why[128], whole[sizeof ei->what];
        ei->sys = saved;
        str_fmt(whole, sizeof whole, "%s: %s", ei->what, strerror_r(saved, why, sizeof why));
        str_copy(ei->what, sizeof ei->what, whole);
    }
    errno = saved;
    return code;
}

void err_wrap(struct errinfo *ei, const char *fmt, ...)
{
    if (!ei)
        return;
    char context[sizeof ei->what], whole[sizeof ei->what];
    va_list ap;
    va_start(ap, fmt);
    put(context, sizeof context, fmt, ap);
    va_end(ap);
    str_fmt(whole, sizeof whole, "%s: %s", context, ei->what);
    str_copy(ei->what, sizeof ei->what, whole);
}

void err_hint(struct errinfo *ei, const char *fmt, ...)
{
    if (!ei)
        return;
    va_list ap;
    va_start(ap, fmt);
    put(ei->hint, sizeof ei->hint, fmt, ap);
    va_end(ap);
}

void assert_set_hook(void (*hook)(void))
{
    abort_hook = hook;
}

_Noreturn void assert_failed(const char *expr, const char *file, int line)
{
    char text[256];
    if (abort_hook)
        abort_hook();
    int n = snprintf(text, sizeof text, "casbridge: internal error: %s:%d: %s\n", file, line, expr);
    if (n > 0 && write(STDERR_FILENO, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1) < 0)
        _exit(70);
    abort();
}
