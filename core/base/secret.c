#include "core/base/secret.h"

#include "core/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

enum err secret_set(struct secret *s, const char *bytes, size_t len)
{
    if (len > SECRET_MAX)
        return ERR_LIMIT;
    char *copy = malloc(len + 1);
    if (!copy)
        return ERR_NOMEM;
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    secret_fini(s);
    s->bytes = copy;
    s->len = len;
    return ERR_OK;
}

void secret_fini(struct secret *s)
{
    if (s->bytes) {
        explicit_bzero(s->bytes, s->len);
        free(s->bytes);
    }
    *s = (struct secret){0};
}

bool secret_is_set(const struct secret *s)
{
    return s->bytes != NULL;
}

bool secret_ref_is_valid(const char *ref)
{
    return strcmp(ref, "ask") == 0 || (strncmp(ref, "file:", 5) == 0 && ref[5]) ||
           (strncmp(ref, "env:", 4) == 0 && ref[4]);
}

#define CTRL_C 3

/* Reads a line (without its end) from fd into text; -1 on error or when it is too long. person: a signal ends it, with EINTR. */
static ssize_t read_line(int fd, bool person, char text[SECRET_MAX + 2])
{
    size_t n = 0;
    while (n <= SECRET_MAX) {
        ssize_t got = read(fd, text + n, 1);
        if (got < 0 && errno == EINTR && !person)
            continue;
        if (got < 0)
            return -1;
        if (person && got == 1 && text[n] == CTRL_C) {
            errno = EINTR;
            return -1;
        }
        if (got == 0 || text[n] == '\n')
            break;
        n++;
    }
    if (n > SECRET_MAX)
        return -1;
    if (n && text[n - 1] == '\r')
        n--;
    return (ssize_t)n;
}

static enum err from_file(struct secret *out, const char *path, struct errinfo *ei)
{
    char text[SECRET_MAX + 2];
    struct stat st;
    enum err e = ERR_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        e = err_errno(ei, ERR_CONFIG, "check the file that the SECRET names", "cannot read the secret in %s",
                      path);
        goto out;
    }
    if (S_ISREG(st.st_mode) && st.st_mode & 077) {
        e = err_set(ei, ERR_CONFIG, "chmod 600 it", "the secret in %s is readable by others", path);
        goto out;
    }
    ssize_t n = read_line(fd, false, text);
    if (n < 0)
        e = err_set(ei, ERR_CONFIG, "one line of at most 1,024 bytes", "the secret in %s cannot be read",
                    path);
    else
        e = secret_set(out, text, (size_t)n);
out:
    explicit_bzero(text, sizeof text);
    if (fd >= 0)
        close(fd);
    return e;
}

/* Whichever thread asks, Ctrl-C must end it: a signal would reach the main thread only. So the terminal sends no signal meanwhile, the
   key ends the line, and the process hears of it from here. */
static enum err from_terminal(struct secret *out, const char *prompt, bool shown, struct errinfo *ei)
{
    char text[SECRET_MAX + 2];
    struct termios old, quiet;
    enum err e = ERR_OK;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    if (fd < 0 || tcgetattr(fd, &old) < 0) {
        if (fd >= 0)
            close(fd);
        return err_set(ei, ERR_REFUSED, "use file:PATH or env:NAME where nobody can be asked",
                       "%s is needed and there is no terminal to ask on", prompt);
    }
    quiet = old;
    quiet.c_lflag &= ~((shown ? (tcflag_t)0 : (tcflag_t)ECHO) | (tcflag_t)ISIG);
    quiet.c_cc[VEOL] = CTRL_C;
    tcsetattr(fd, TCSAFLUSH, &quiet);
    dprintf(fd, "%s: ", prompt);
    ssize_t n = read_line(fd, true, text);
    bool interrupted = n < 0 && errno == EINTR;
    tcsetattr(fd, TCSAFLUSH, &old);
    if (!shown || interrupted)
        dprintf(fd, "\n");
    if (interrupted) {
        (void)kill(getpid(), SIGINT);
        e = err_set(ei, ERR_INTERRUPTED, NULL, "interrupted while asking for: %s", prompt);
    } else if (n < 0) {
        e = err_set(ei, ERR_USAGE, NULL, "%s could not be read", prompt);
    } else {
        e = secret_set(out, text, (size_t)n);
    }
    explicit_bzero(text, sizeof text);
    close(fd);
    return e;
}

static secret_asker *asker;
static void *asker_arg;

void secret_set_asker(secret_asker *ask, void *arg)
{
    asker = ask;
    asker_arg = arg;
}

bool secret_ask_yes(const char *question)
{
    struct secret answer = {0};
    struct errinfo why = {0};
    char prompt[600];
    str_fmt(prompt, sizeof prompt, "%s (yes/no)", question);
    enum err e =
        asker ? asker(asker_arg, question, true, &answer, &why) : from_terminal(&answer, prompt, true, &why);
    bool yes = e == ERR_OK && secret_is_set(&answer) && (asker || str_ieq(answer.bytes, "yes"));
    secret_fini(&answer);
    return yes;
}

enum err secret_resolve(struct secret *out, const char *ref, const char *prompt, struct errinfo *ei)
{
    if (strcmp(ref, "ask") == 0)
        return asker ? asker(asker_arg, prompt, false, out, ei) : from_terminal(out, prompt, false, ei);
    if (strncmp(ref, "file:", 5) == 0)
        return from_file(out, ref + 5, ei);
    if (strncmp(ref, "env:", 4) == 0) {
        const char *value = getenv(ref + 4);
        if (!value)
            return err_set(ei, ERR_CONFIG, "export it, or use file:PATH", "%s: the environment has no %s",
                           prompt, ref + 4);
        if (secret_set(out, value, strlen(value)))
            return err_set(ei, ERR_CONFIG, "at most 1,024 bytes", "%s: the value of %s is too long", prompt,
                           ref + 4);
        return ERR_OK;
    }
    return err_set(ei, ERR_CONFIG, "write file:PATH, env:NAME or ask", "%s: this is no reference to a secret",
                   prompt);
}
