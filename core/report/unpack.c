/* The archive inside of a snapshot: ustar (POSIX 1003.1), exactly the members we write, in that order. */
#include "core/report/snapshot_int.h"

#include "core/base/str.h"
#include "core/report/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVIDENCE_MAX ((size_t)256 * 1024 * 1024)
#define STRINGS_MAX  ((size_t)16 * 1024 * 1024)

const char *const snapshot_part_names[N_PARTS] = {
    [PART_LDIF] = "organization.ldif", [PART_EVIDENCE] = "evidence.jsonl"};
static const char altered[] = "it was cut or altered: take it again, or use another copy";

void snapshot_sha256_hex(EVP_MD_CTX *ctx, char out[static SHA256_HEX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (EVP_DigestFinal_ex(ctx, digest, &len) != 1 || len != 32)
        len = 0;
    for (unsigned i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    out[2 * len] = '\0';
}

enum err unpack_new(struct unpack **out, struct errinfo *ei)
{
    struct unpack *u = calloc(1, sizeof *u);
    struct snapshot *s = calloc(1, sizeof *s);
    enum err e = u && s ? directory_feed_new(&u->feed, ei) : ERR_NOMEM;
    if (e == ERR_OK && !(u->hash = EVP_MD_CTX_new()))
        e = ERR_NOMEM;
    if (e) {
        free(s);
        unpack_free(&u);
        return err_set(ei, e, NULL, "no memory for a snapshot");
    }
    arena_init(&s->arena, STRINGS_MAX);
    evidence_init(&s->evidence, EVIDENCE_MAX);
    buf_init(&u->text, MANIFEST_MAX);
    u->snapshot = s;
    *out = u;
    return ERR_OK;
}

void unpack_free(struct unpack **up)
{
    struct unpack *u = *up;
    *up = NULL;
    if (!u)
        return;
    snapshot_free(&u->snapshot);
    directory_feed_free(&u->feed);
    EVP_MD_CTX_free(u->hash);
    buf_fini(&u->text);
    free(u);
}

static const char *member_name(unsigned member)
{
    return member == 0 ? MANIFEST_NAME : snapshot_part_names[member - 1];
}

/* Octal digits up to a NUL or a space. */
static bool octal(const char *s, size_t len, uint64_t *out)
{
    size_t i = 0;
    *out = 0;
    for (; i < len && s[i] >= '0' && s[i] <= '7'; i++)
        *out = *out * 8 + (uint64_t)(s[i] - '0'); /* 12 digits at most: no overflow */
    return i > 0 && (i == len || s[i] == '\0' || s[i] == ' ');
}

static bool all_zero(const char *block)
{
    for (size_t i = 0; i < TAR_BLOCK; i++)
        if (block[i])
            return false;
    return true;
}

static enum err take_header(struct unpack *u, struct errinfo *ei)
{
    const char *b = u->block;
    uint64_t size, sum = 0, said;
    if (u->ended)
        return all_zero(b) ? ERR_OK : err_set(ei, ERR_INPUT, altered, "there is more behind its end");
    if (all_zero(b)) {
        if (u->member <= N_PARTS)
            return err_set(ei, ERR_INPUT, altered, "it has no %s", member_name(u->member));
        u->ended = true;
        return ERR_OK;
    }
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)b[i];
    if (memcmp(b + 257, "ustar", 5) != 0 || !octal(b + 148, 8, &said) || said != sum ||
        !octal(b + 124, 12, &size))
        return err_set(ei, ERR_INPUT, "casbridge snapshot -o FILE makes one",
                       "it is no snapshot of casbridge");
    if (u->member > N_PARTS || memchr(b, '\0', 100) == NULL || !str_eq(b, member_name(u->member)) ||
        (b[156] != '0' && b[156] != '\0'))
        return err_set(ei, ERR_INPUT, altered, "it holds something that is not expected there");
    if (u->member == 0 ? size > MANIFEST_MAX : size != u->manifest.parts[u->member - 1].bytes)
        return err_set(ei, ERR_INPUT, altered, "%s has not the length it should have",
                       member_name(u->member));
    u->in_data = true;
    u->left = size;
    u->padding = (unsigned)(TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
    if (EVP_DigestInit_ex(u->hash, EVP_sha256(), NULL) != 1)
        return err_set(ei, ERR_INTERNAL, NULL, "SHA-256 is not to be had from OpenSSL");
    return ERR_OK;
}

static enum err take_line(struct unpack *u, const char *s, size_t len, struct errinfo *ei)
{
    u->line++;
    enum err e = lines_read(s, len, &u->snapshot->evidence, ei);
    if (e)
        err_wrap(ei, "%s line %llu", snapshot_part_names[PART_EVIDENCE], (unsigned long long)u->line);
    return e;
}

static enum err take_lines(struct unpack *u, const char *s, size_t len, struct errinfo *ei)
{
    enum err e = ERR_OK;
    while (!e && len) {
        const char *end = memchr(s, '\n', len);
        size_t n = end ? (size_t)(end - s) : len;
        if (u->text.len + n > LINES_MAX)
            return err_set(ei, ERR_INPUT, NULL, "a line of the evidence is longer than %zu bytes", LINES_MAX);
        if (end && !u->text.len) {
            e = take_line(u, s, n, ei);
        } else if (buf_add(&u->text, s, n)) {
            e = err_set(ei, u->text.failed, NULL, "no memory for the evidence");
        } else if (end) {
            e = take_line(u, buf_str(&u->text), u->text.len, ei);
            buf_reset(&u->text);
        }
        n += end ? 1 : 0;
        s += n;
        len -= n;
    }
    return e;
}

static enum err take_data(struct unpack *u, const char *s, size_t len, struct errinfo *ei)
{
    if (u->member > 0 && EVP_DigestUpdate(u->hash, s, len) != 1)
        return err_set(ei, ERR_INTERNAL, NULL, "SHA-256 is not to be had from OpenSSL");
    switch (u->member) {
    case 0:
        return buf_add(&u->text, s, len) ? err_set(ei, u->text.failed, NULL, "the manifest is too large")
                                         : ERR_OK;
    case 1 + PART_LDIF: return directory_feed(u->feed, s, len, ei);
    default: return take_lines(u, s, len, ei);
    }
}

static enum err end_member(struct unpack *u, struct errinfo *ei)
{
    char hex[SHA256_HEX];
    enum err e = ERR_OK;
    if (u->member == 0) {
        e = manifest_read(buf_str(&u->text), u->text.len, u->snapshot, &u->manifest, ei);
        buf_reset(&u->text);
    } else {
        snapshot_sha256_hex(u->hash, hex);
        if (!str_eq(hex, u->manifest.parts[u->member - 1].sha256))
            e = err_set(ei, ERR_INPUT, altered, "%s is not what its checksum says", member_name(u->member));
        else if (u->text.len)
            e = err_set(ei, ERR_INPUT, altered, "the last line of the evidence has no end");
    }
    u->in_data = false;
    u->member++;
    return e;
}

enum err unpack_feed(struct unpack *u, const char *s, size_t len, struct errinfo *ei)
{
    enum err e = ERR_OK;
    while (!e && (len || (u->in_data && !u->left))) {
        size_t n;
        if (u->in_data && !u->left) {
            e = end_member(u, ei);
            continue;
        }
        if (u->in_data) {
            n = u->left < len ? (size_t)u->left : len;
            u->left -= n;
            e = take_data(u, s, n, ei);
        } else if (u->padding) {
            n = u->padding < len ? u->padding : len;
            u->padding -= (unsigned)n;
        } else {
            n = TAR_BLOCK - u->n_block < len ? TAR_BLOCK - u->n_block : len;
            memcpy(u->block + u->n_block, s, n);
            u->n_block += n;
            if (u->n_block == TAR_BLOCK) {
                u->n_block = 0;
                e = take_header(u, ei);
            }
        }
        s += n;
        len -= n;
    }
    return e;
}

/* What was noted when the directory was read, of the reading too, instead of what the decoder noted again now. */
static enum err restore_notes(struct org *org, const struct manifest *m, struct errinfo *ei)
{
    org->notes = arena_array(&org->arena, m->n_notes + 1, sizeof *org->notes);
    org->n_notes = 0;
    for (size_t i = 0; org->notes && i < m->n_notes; i++)
        org->notes[org->n_notes++] = (struct org_note){arena_str(&org->arena, m->notes[i].subject),
                                                       arena_str(&org->arena, m->notes[i].text)};
    return org->arena.failed ? err_set(ei, ERR_LIMIT, NULL, "no memory for the organisation") : ERR_OK;
}

enum err unpack_end(struct unpack *u, const char *source, struct snapshot **out, struct errinfo *ei)
{
    struct evidence fresh;
    if (!u->ended || u->n_block)
        return err_set(ei, ERR_INPUT, altered, "it ends too early%s%s", u->member <= N_PARTS ? ", in " : "",
                       u->member <= N_PARTS ? member_name(u->member) : "");
    u->manifest.origin.source = source;
    enum err e = directory_feed_end(u->feed, &u->manifest.origin, &u->snapshot->org, ei);
    if (!e)
        e = restore_notes(u->snapshot->org, &u->manifest, ei);
    if (e)
        return e;
    /* merged, so that rules find it by server without a walk */
    evidence_init(&fresh, EVIDENCE_MAX);
    e = evidence_merge(&fresh, &u->snapshot->evidence);
    evidence_fini(&u->snapshot->evidence);
    u->snapshot->evidence = fresh;
    if (e)
        return err_set(ei, e, NULL, "there is more evidence than is kept");
    *out = u->snapshot;
    u->snapshot = NULL;
    return ERR_OK;
}
