#include "core/report/snapshot_int.h"

#include "core/base/path.h"
#include "core/base/str.h"
#include "core/report/lines.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#define ZLIB_CONST
#include <zlib.h>

#define FILE_MAX   ((size_t)512 * 1024 * 1024) /* compressed */
#define CHUNK      ((size_t)64 * 1024)
#define GZIP       (15 + 16) /* window bits of zlib for a gzip wrapper */
#define UNPACK_MAX ((uint64_t)(2 * PART_MAX + MANIFEST_MAX + 64 * TAR_BLOCK))

void snapshot_free(struct snapshot **sp)
{
    struct snapshot *s = *sp;
    *sp = NULL;
    if (!s)
        return;
    org_free(&s->org);
    evidence_fini(&s->evidence);
    acceptances_free(&s->accepted);
    arena_fini(&s->arena);
    free(s);
}

const char *snapshot_path(const char *source)
{
    static const char prefix[] = "snapshot:";
    return source && str_istarts(source, prefix) ? source + strlen(prefix) : NULL;
}

/* ---- writing */

struct packing {
    z_stream z;
    struct buf out;
};

static enum err squeeze(struct packing *p, const char *data, size_t len, int flush, struct errinfo *ei)
{
    p->z.next_in = (const Bytef *)data;
    p->z.avail_in = (uInt)len;
    int rc = Z_OK;
    do {
        char *room = buf_reserve(&p->out, CHUNK);
        if (!room)
            return err_set(ei, p->out.failed, NULL, "the snapshot is too large");
        p->z.next_out = (Bytef *)room;
        p->z.avail_out = (uInt)CHUNK;
        rc = deflate(&p->z, flush);
        buf_commit(&p->out, CHUNK - p->z.avail_out);
    } while (rc == Z_OK && (p->z.avail_in || p->z.avail_out == 0 || flush == Z_FINISH));
    return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR
               ? ERR_OK
               : err_set(ei, ERR_INTERNAL, NULL, "the snapshot cannot be compressed");
}

/* A member: header, data, zeros up to the next block. */
static enum err add_member(struct packing *p, const char *name, int64_t at, const char *data, size_t len,
                           struct errinfo *ei)
{
    static const char zeros[TAR_BLOCK];
    char b[TAR_BLOCK] = "";
    unsigned sum = 0;
    str_copy(b, 100, name);
    snprintf(b + 100, 8, "%07o", 0600u);
    snprintf(b + 108, 8, "%07o", 0u);
    snprintf(b + 116, 8, "%07o", 0u);
    snprintf(b + 124, 12, "%011llo", (unsigned long long)len);
    snprintf(b + 136, 12, "%011llo", (unsigned long long)(at > 0 ? at : 0) & 077777777777ull);
    memset(b + 148, ' ', 8);
    b[156] = '0';
    memcpy(b + 257, "ustar\00000", 8);
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)b[i];
    snprintf(b + 148, 8, "%06o", sum & 0777777u);
    b[155] = ' ';
    enum err e = squeeze(p, b, sizeof b, Z_NO_FLUSH, ei);
    if (!e && len)
        e = squeeze(p, data, len, Z_NO_FLUSH, ei);
    if (!e && len % TAR_BLOCK)
        e = squeeze(p, zeros, TAR_BLOCK - len % TAR_BLOCK, Z_NO_FLUSH, ei);
    return e;
}

static enum err digest(const char *data, size_t len, struct part_info *out, struct errinfo *ei)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(ctx, data, len) == 1;
    out->bytes = len;
    if (ok)
        snapshot_sha256_hex(ctx, out->sha256);
    EVP_MD_CTX_free(ctx);
    return ok ? ERR_OK : err_set(ei, ERR_INTERNAL, NULL, "SHA-256 is not to be had from OpenSSL");
}

enum err snapshot_write(const char *path, const struct snapshot_facts *facts, const struct org *org,
                        const struct buf *ldif, const struct evidence *e, const acceptances *accepted,
                        struct errinfo *ei)
{
    static const char end[2 * TAR_BLOCK];
    struct packing p = {0};
    struct part_info parts[N_PARTS] = {0};
    struct buf lines, manifest;
    bool begun = false;
    enum err err = ERR_OK;
    buf_init(&p.out, FILE_MAX);
    buf_init(&lines, PART_MAX);
    buf_init(&manifest, MANIFEST_MAX);
    for (size_t i = 0; !err && i < e->items.n; i++)
        err = lines_write(&e->items.v[i], &lines, ei);
    if (!err)
        err = digest(buf_str(ldif), ldif->len, &parts[PART_LDIF], ei);
    if (!err)
        err = digest(buf_str(&lines), lines.len, &parts[PART_EVIDENCE], ei);
    if (!err)
        err = manifest_write(&manifest, facts, org, accepted, parts, ei);
    if (!err && !(begun = deflateInit2(&p.z, 6, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) == Z_OK))
        err = err_set(ei, ERR_NOMEM, NULL, "no memory to compress the snapshot");
    if (!err)
        err = add_member(&p, MANIFEST_NAME, facts->made_at, buf_str(&manifest), manifest.len, ei);
    if (!err)
        err = add_member(&p, snapshot_part_names[PART_LDIF], facts->made_at, buf_str(ldif), ldif->len, ei);
    if (!err)
        err = add_member(&p, snapshot_part_names[PART_EVIDENCE], facts->made_at, buf_str(&lines), lines.len,
                         ei);
    if (!err)
        err = squeeze(&p, end, sizeof end, Z_FINISH, ei);
    if (!err)
        err = path_write(path, buf_str(&p.out), p.out.len, 0600, ei);
    if (begun)
        deflateEnd(&p.z);
    buf_fini(&p.out);
    buf_fini(&lines);
    buf_fini(&manifest);
    return err;
}

/* ---- reading */

static enum err open_file(const char *path, int *fd, struct errinfo *ei)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*fd < 0)
        return err_errno(ei, ERR_INPUT, "check the path of the snapshot", "%s cannot be opened", path);
    if (fstat(*fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(ei, ERR_INPUT, "name a file that casbridge snapshot made", "%s is no file", path);
    return ERR_OK;
}

/* One compressed piece through to the archive. *rc: what zlib said last. */
static enum err expand(z_stream *z, struct unpack *u, uint64_t *total, char *room, int *rc,
                       struct errinfo *ei)
{
    enum err e = ERR_OK;
    do {
        z->next_out = (Bytef *)room;
        z->avail_out = (uInt)CHUNK;
        *rc = inflate(z, Z_NO_FLUSH);
        if (*rc != Z_OK && *rc != Z_STREAM_END && *rc != Z_BUF_ERROR)
            return err_set(ei, *rc == Z_MEM_ERROR ? ERR_NOMEM : ERR_INPUT,
                           "name a file that casbridge snapshot made, or use another copy",
                           *total ? "it was cut or altered: it cannot be unpacked"
                                  : "it is no snapshot of casbridge");
        size_t n = CHUNK - z->avail_out;
        *total += n;
        if (*total > UNPACK_MAX)
            return err_set(ei, ERR_INPUT, NULL, "it unpacks to more than a snapshot may hold");
        e = unpack_feed(u, room, n, ei);
    } while (!e && *rc == Z_OK && z->avail_out == 0);
    return e;
}

static enum err read_all(int fd, struct unpack *u, const struct stop *stop, struct errinfo *ei)
{
    z_stream z = {0};
    char *in = malloc(CHUNK), *room = malloc(CHUNK);
    uint64_t total = 0;
    int rc = Z_OK;
    enum err e = in && room && inflateInit2(&z, GZIP) == Z_OK
                     ? ERR_OK
                     : err_set(ei, ERR_NOMEM, NULL, "no memory to unpack the snapshot");
    while (!e && (e = stop_check(stop, ei, "reading the snapshot")) == ERR_OK) {
        ssize_t n = read(fd, in, CHUNK);
        if (n < 0)
            e = err_errno(ei, ERR_INPUT, NULL, "it cannot be read");
        if (n <= 0)
            break;
        if (rc == Z_STREAM_END) {
            e = err_set(ei, ERR_INPUT, NULL, "there is more behind its end");
            break;
        }
        z.next_in = (const Bytef *)in;
        z.avail_in = (uInt)n;
        e = expand(&z, u, &total, room, &rc, ei);
        if (!e && rc == Z_STREAM_END && z.avail_in)
            e = err_set(ei, ERR_INPUT, NULL, "there is more behind its end");
    }
    if (!e && rc != Z_STREAM_END)
        e = total ? err_set(ei, ERR_INPUT, "it was cut: take it again, or use another copy",
                            "it ends too early")
                  : err_set(ei, ERR_INPUT, "casbridge snapshot -o FILE makes one",
                            "it is no snapshot of casbridge");
    if (in && room)
        inflateEnd(&z);
    free(in);
    free(room);
    return e;
}

enum err snapshot_read(struct snapshot **out, const char *path, const struct stop *stop, struct errinfo *ei)
{
    struct unpack *u = NULL;
    char source[600];
    int fd = -1;
    enum err e = open_file(path, &fd, ei);
    if (e)
        goto out;
    e = unpack_new(&u, ei);
    if (!e)
        e = read_all(fd, u, stop, ei);
    str_fmt(source, sizeof source, "snapshot:%s", path);
    if (!e)
        e = unpack_end(u, source, out, ei);
    if (e)
        err_wrap(ei, "%s", path);
out:
    if (fd >= 0)
        close(fd);
    unpack_free(&u);
    return e;
}
