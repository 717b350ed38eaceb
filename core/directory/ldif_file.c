#include "core/directory/ldif_file.h"

#include "core/base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Fits the second-level cache: what was just copied is still there when it is parsed. */
#define PIECE       ((size_t)256 * 1024)
#define SMALL_PIECE ((size_t)8 * 1024)

enum err ldif_file_open(struct ldif_file *f, const char *path, struct errinfo *ei)
{
    struct stat st;
    enum err e = ERR_OK;
    *f = (struct ldif_file){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (f->fd < 0)
        return err_errno(ei, ERR_INPUT,
                         errno == ENOENT ? "check the name after ldif:" : "check its permissions", "%s",
                         path);
    if (fstat(f->fd, &st) < 0)
        e = err_errno(ei, ERR_INPUT, NULL, "%s", path);
    else if (!S_ISREG(st.st_mode))
        e = err_set(ei, ERR_INPUT, "save the export to a file first and name that",
                    S_ISDIR(st.st_mode) ? "%s is a folder" : "%s is no regular file", path);
    else if (!(f->path = strdup(path)))
        e = err_set(ei, ERR_NOMEM, NULL, "no memory to open %s", path);
    if (e)
        ldif_file_close(f);
    return e;
}

void ldif_file_close(struct ldif_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    *f = (struct ldif_file){.fd = -1};
}

static enum err read_piece(const struct ldif_file *f, char *to, size_t cap, uint64_t at, size_t *got,
                           struct errinfo *ei)
{
    ssize_t n;
    do
        n = pread(f->fd, to, cap, (off_t)at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_errno(ei, ERR_INPUT, NULL, "%s: reading at byte %llu", f->path, (unsigned long long)at);
    *got = (size_t)n;
    return ERR_OK;
}

enum err ldif_file_scan(struct ldif_file *f, const struct ldif_wants *wants, const struct stop *stop,
                        struct ldif_scan *out, struct errinfo *ei)
{
    struct ldif p;
    struct ldif_scan result = {0};
    uint64_t at = 0;
    size_t got = 0;
    ldif_init(&p, wants, LDIF_DETECT);
    char *piece = malloc(PIECE);
    enum err e = piece ? ERR_OK : err_set(ei, ERR_NOMEM, NULL, "no memory to read %s", f->path);
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    while (!e) {
        e = stop_check(stop, ei, f->path);
        if (!e)
            e = read_piece(f, piece, PIECE, at, &got, ei);
        if (e || !got)
            break;
        e = ldif_feed(&p, piece, got, ei);
        if (e)
            err_wrap(ei, "%s:%llu", f->path, (unsigned long long)p.line);
        at += got;
    }
    if (!e)
        e = ldif_finish(&p, &result.cut, ei);
    if (!e) {
        result.entries = p.entries;
        result.with_class = p.with_class;
        result.lines = p.line;
        f->encoding = p.encoding;
        *out = result;
    }
    ldif_fini(&p);
    free(piece);
    return e;
}

static void quiet(void *arg, uint64_t line, const char *subject, const char *text)
{
    (void)arg, (void)line, (void)subject, (void)text; /* said when the file was read first */
}

enum err ldif_file_entry(const struct ldif_file *f, uint64_t position, const struct ldif_wants *wants,
                         struct errinfo *ei)
{
    struct ldif_wants one = *wants;
    one.note = quiet;
    one.everything = true; /* whoever knows the position has chosen */
    one.single = true;
    struct ldif p;
    ldif_init(&p, &one, f->encoding);
    char *piece = malloc(SMALL_PIECE);
    enum err e = piece ? ERR_OK : err_set(ei, ERR_NOMEM, NULL, "no memory to read %s", f->path);
    while (!e && !p.done) {
        size_t got = 0;
        bool cut;
        e = read_piece(f, piece, SMALL_PIECE, position, &got, ei);
        if (!e && got)
            e = ldif_feed(&p, piece, got, ei);
        else if (!e) {
            e = ldif_finish(&p, &cut, ei);
            break;
        }
        position += got;
    }
    ldif_fini(&p);
    free(piece);
    return e;
}
