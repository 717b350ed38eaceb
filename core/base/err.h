/*
 * Errors: one enumeration for the whole program, and the text a person reads.
 *
 * Every fallible function returns enum err and is marked MUST_CHECK. Where a person will read
 * the failure, its last argument is a struct errinfo * (NULL is allowed): what happened, and a
 * hint what to do. Context is added on the way up with err_wrap(). Both texts are always valid
 * UTF-8 without control characters, whatever was formatted into them, and never hold a secret.
 */
#ifndef CORE_BASE_ERR_H
#define CORE_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* name, exit code of the program (cli.md), text */
#define ERR_MAP(X)                                                                                           \
    X(OK, 0, "done")                                                                                         \
    X(USAGE, 2, "wrong usage")                                                                               \
    X(CONFIG, 3, "configuration")                                                                            \
    X(INPUT, 3, "unreadable input")                                                                          \
    X(NOTFOUND, 3, "not found")                                                                              \
    X(UNREACHABLE, 4, "unreachable")                                                                         \
    X(TIMEOUT, 4, "timed out")                                                                               \
    X(TLS, 4, "TLS")                                                                                         \
    X(PROTOCOL, 4, "protocol")                                                                               \
    X(AUTH, 5, "authentication refused")                                                                     \
    X(DENIED, 5, "authorisation refused")                                                                    \
    X(PARTIAL, 6, "some hosts failed")                                                                       \
    X(REMOTE, 6, "the remote command failed")                                                                \
    X(REFUSED, 7, "refused")                                                                                 \
    X(LOCKED, 7, "locked by another")                                                                        \
    X(STALE, 8, "stale plan")                                                                                \
    X(LIMIT, 70, "limit reached")                                                                            \
    X(NOMEM, 70, "out of memory")                                                                            \
    X(SYSTEM, 70, "system call failed")                                                                      \
    X(INTERNAL, 70, "internal error")                                                                        \
    X(INTERRUPTED, 130, "interrupted")

enum err {
#define X(name, exit, text) ERR_##name,
    ERR_MAP(X)
#undef X
};

struct errinfo {
    enum err code;
    int sys; /* errno or a library's own code, 0 when none */
    char what[320];
    char hint[240];
};

const char *err_text(enum err code);
int err_exit_code(enum err code);
const char *err_name(enum err code);

/* Fills ei (when not NULL) and returns code, so that "return err_set(...)" reads well. hint may be NULL. */
enum err err_set(struct errinfo *ei, enum err code, const char *hint, const char *fmt, ...) PRINTF_LIKE(4, 5);
enum err err_setv(struct errinfo *ei, enum err code, const char *hint, const char *fmt, va_list ap)
    PRINTF_LIKE(4, 0);
/* The same for a failed system call: appends strerror(errno). */
enum err err_errno(struct errinfo *ei, enum err code, const char *hint, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Puts "context: " before what; keeps the code and the hint. */
void err_wrap(struct errinfo *ei, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A formatted hint, for those that name a file or a host. */
void err_hint(struct errinfo *ei, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Aborts after writing where; for broken invariants, never for bad input. */
_Noreturn void assert_failed(const char *expr, const char *file, int line);
#define ASSERT(e) ((e) ? (void)0 : assert_failed(#e, __FILE__, __LINE__))
/* Called before an abort, e.g. to restore the terminal. Async-signal-safe functions only. */
void assert_set_hook(void (*hook)(void));

#endif
