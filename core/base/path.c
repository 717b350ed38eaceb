#include "core/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err xdg(struct buf *out, const char *variable, const char *below_home, const char *name,
                    struct errinfo *ei)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    if (base && base[0] == '/')
        buf_addf(out, "%s/casbridge/%s", base, name);
    else if (home && home[0] == '/')
        buf_addf(out, "%s/%s/casbridge/%s", home, below_home, name);
    else
        return err_set(ei, ERR_CONFIG, "set HOME", "there is no home folder to look in");
    return out->failed ? err_set(ei, out->failed, NULL, "a path is too long") : ERR_OK;
}

enum err path_config(struct buf *out, const char *name, struct errinfo *ei)
{
    return xdg(out, "XDG_CONFIG_HOME", ".config", name, ei);
}

enum err path_state(struct buf *out, const char *name, struct errinfo *ei)
{
    return xdg(out, "XDG_STATE_HOME", ".local/state", name, ei);
}

enum err path_make_parents(const char *path, struct errinfo *ei)
{
    char *copy = strdup(path);
    enum err e = ERR_OK;
    if (!copy)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for a path");
    for (char *p = copy + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST) {
            e = err_errno(ei, ERR_CONFIG, "check the folder's rights", "cannot make the folder %s", copy);
            break;
        }
        *p = '/';
    }
    free(copy);
    return e;
}

enum err path_read(struct buf *out, const char *path, struct errinfo *ei)
{
    enum err e = ERR_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(ei, ERR_INPUT, NULL, "cannot open %s", path);
    for (;;) {
        size_t room = out->limit - out->len;
        char *to = buf_reserve(out, room < 65536 ? room : 65536);
        if (!to) {
            e = err_set(ei, out->failed, NULL, "no memory for %s", path);
            break;
        }
        char past;
        ssize_t n = room ? read(fd, to, room < 65536 ? room : 65536) : read(fd, &past, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            e = err_errno(ei, ERR_INPUT, NULL, "cannot read %s", path);
            break;
        }
        if (n == 0)
            break;
        if (!room) {
            e = err_set(ei, ERR_LIMIT, NULL, "%s is larger than %zu bytes", path, out->limit);
            break;
        }
        buf_commit(out, (size_t)n);
    }
    close(fd);
    return e;
}

enum err path_write(const char *path, const void *data, size_t len, unsigned mode, struct errinfo *ei)
{
    struct buf tmp;
    buf_init(&tmp, 8192);
    enum err e = ERR_OK;
    int fd = -1;
    if (buf_addf(&tmp, "%s.XXXXXX", path)) {
        e = err_set(ei, ERR_CONFIG, NULL, "the path %.100s... is too long", path);
        goto out;
    }
    fd = mkostemp(tmp.data, O_CLOEXEC);
    if (fd < 0) {
        e = err_errno(ei, ERR_CONFIG, "check the folder and the space on it", "cannot write beside %s", path);
        goto out;
    }
    const char *p = data;
    for (size_t left = len; left;) {
        ssize_t n = write(fd, p, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            e = err_errno(ei, ERR_CONFIG, "check the space on the disk", "cannot write %s", path);
            goto out;
        }
        p += n;
        left -= (size_t)n;
    }
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(tmp.data, path) < 0)
        e = err_errno(ei, ERR_CONFIG, "check the space on the disk", "cannot write %s", path);
out:
    if (fd >= 0) {
        close(fd);
        if (e)
            unlink(tmp.data);
    }
    buf_fini(&tmp);
    return e;
}
