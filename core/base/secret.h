/*
 * Secrets: passwords and key passphrases. A type of their own so that no printf path exists; zeroed when freed.
 * A reference (file:PATH, env:NAME, ask) says where one comes from (cli.md, SECRET).
 */
#ifndef CORE_BASE_SECRET_H
#define CORE_BASE_SECRET_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define SECRET_MAX 1024

struct secret {
    char *bytes; /* NUL-terminated; NULL: empty */
    size_t len;
};

enum err secret_set(struct secret *s, const char *bytes, size_t len) MUST_CHECK;
void secret_fini(struct secret *s);
bool secret_is_set(const struct secret *s);
/* Asks on /dev/tty without echo when ref is "ask"; ERR_REFUSED when there is no terminal, ERR_INTERRUPTED by Ctrl-C, which also reaches
   the process as SIGINT. prompt: without a colon. */
enum err secret_resolve(struct secret *out, const char *ref, const char *prompt,
                        struct errinfo *ei) MUST_CHECK;
/* A question of yes or no, put to whoever would be asked for a password; the answer is seen. False for anything but "yes", and when
   nobody can be asked. */
bool secret_ask_yes(const char *question);
/* Who asks for "ask": instead of /dev/tty, for a program that owns the terminal. Called on the thread that resolves, may block, fills
   out only on success; question: it is one of secret_ask_yes(), out is then not empty for yes. NULL: /dev/tty. Set while no other thread
   resolves. */
typedef enum err secret_asker(void *arg, const char *prompt, bool question, struct secret *out,
                              struct errinfo *ei);
void secret_set_asker(secret_asker *ask, void *arg);
/* Syntax only, for checking a configuration file. */
bool secret_ref_is_valid(const char *ref);

#endif
