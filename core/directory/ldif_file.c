#include "core/directory/ldif_file.h"

#include "core/base/str.h"
#include "core/directory/ldif_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A huge page: what is read into it is copied faster. */
#define PIECE       ((size_t)2 * 1024 * 1024)
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

enum err ldif_file_read(const struct ldif_file *f, char *to, size_t cap, uint64_t at, size_t *got,
                        struct errinfo *ei)
{
    *got = 0;
    while (*got < cap) {
        ssize_t n = pread(f->fd, to + *got, cap - *got, (off_t)(at + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(ei, ERR_INPUT, NULL, "%s: reading at byte %llu", f->path,
                             (unsigned long long)(at + *got));
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return ERR_OK;
}

char *ldif_file_room(size_t len)
{
    if (len < PIECE)
        return malloc(len);
    char *room = aligned_alloc(PIECE, (len + PIECE - 1) / PIECE * PIECE);
    if (room)
        madvise(room, len, MADV_HUGEPAGE); /* only advice */
    return room;
}

/* From the position on to the end of the piece it lies in, or as far as the others have not been. */
static enum err scan_piece(struct ldif *p, const struct ldif_file *f, struct ldif_ahead *ahead, char *room,
                           size_t piece, bool *end, struct errinfo *ei)
{
    size_t got = 0;
    const struct ldif_passed *passed = ldif_ahead_of(ahead, p->fed, room);
    size_t len = passed ? (size_t)(passed->from - p->fed) : piece - (size_t)(p->fed % piece);
    enum err e = ldif_file_read(f, room, len, p->fed, &got, ei);
    if (e)
        return e;
    *end = got < len;
    e = ldif_feed(p, room, got, ei);
    if (e)
        err_wrap(ei, "%s:%llu", f->path, (unsigned long long)p->line);
    else if (passed && !*end)
        ldif_pass(p, passed);
    return e;
}

/* An export that is still being written: what was read is parts of two files, and the rest is missing without a trace. */
static void note_change(const struct ldif_file *f, const struct ldif_wants *wants, const struct stat *before,
                        uint64_t line)
{
    struct stat now;
    if (fstat(f->fd, &now) < 0 ||
        (now.st_size == before->st_size && now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == before->st_mtim.tv_nsec))
        return;
    wants->note(wants->arg, line, NULL,
                "the file was written to while it was read: read it again when it is complete");
}

enum err ldif_file_scan_in(struct ldif_file *f, const struct ldif_wants *wants, size_t piece,
                           unsigned threads, const struct stop *stop, struct ldif_scan *out,
                           struct errinfo *ei)
{
    struct ldif p;
    struct ldif_scan result = {0};
    struct ldif_ahead *ahead = NULL;
    struct stat st = {0};
    bool end = false;
    ldif_init(&p, wants, LDIF_DETECT);
    char *room = ldif_file_room(piece);
    enum err e = room ? ERR_OK : err_set(ei, ERR_NOMEM, NULL, "no memory to read %s", f->path);
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    bool known = fstat(f->fd, &st) == 0;
    if (!e && threads && known)
        ahead = ldif_ahead_start(f, wants, (uint64_t)st.st_size, piece, threads);
    while (!e && !end) {
        e = stop_check(stop, ei, f->path);
        if (!e)
            e = scan_piece(&p, f, p.encoding == LDIF_UTF8 ? ahead : NULL, room, piece, &end, ei);
    }
    ldif_ahead_stop(&ahead);
    if (!e)
        e = ldif_finish(&p, &result.cut, ei);
    if (!e && known)
        note_change(f, wants, &st, p.line);
    if (!e) {
        result.entries = p.entries;
        result.with_class = p.with_class;
        result.lines = p.line;
        f->encoding = p.encoding;
        *out = result;
    }
    ldif_fini(&p);
    free(room);
    return e;
}

enum err ldif_file_scan(struct ldif_file *f, const struct ldif_wants *wants, const struct stop *stop,
                        struct ldif_scan *out, struct errinfo *ei)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return ldif_file_scan_in(f, wants, PIECE, processors > 1 ? (unsigned)(processors - 1) : 0, stop, out, ei);
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
        e = ldif_file_read(f, piece, SMALL_PIECE, position, &got, ei);
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
