/* An organisation out of an LDIF export, in one pass; computers, which may stand before the servers, are gone back to. */
#include "core/directory/decode.h"
#include "core/directory/ldif_file.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

#define MAX_COMPUTERS ((size_t)2000000)

struct computer {
    uint64_t name_hash, position;
};

struct reading {
    struct decode *d;
    const char *path;
    VEC(struct computer) computers;
    bool too_many;
    char first_note[200]; /* the first thing that was wrong, for an error if nothing was right */
};

/* FNV-1a over the name without regard to case. */
static uint64_t name_hash(const char *s, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 0x100000001b3u;
    }
    return h;
}

static enum err take_entry(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct reading *r = arg;
    if (!(e->classes & CLASS_COMPUTER))
        return decode_entry(r->d, e, ei);
    const struct entry_value *sam = entry_first(e, ATTRIBUTE_SAM);
    if (sam && sam->len > 1 && sam->data[sam->len - 1] == '$' &&
        !VEC_PUSH(&r->computers, MAX_COMPUTERS,
                  (struct computer){name_hash(sam->data, sam->len - 1), e->position}))
        r->too_many = true;
    return ERR_OK;
}

static enum err take_computer(void *arg, const struct entry *e, struct errinfo *ei)
{
    return e->classes & CLASS_COMPUTER ? decode_entry(arg, e, ei) : ERR_OK;
}

static void take_note(void *arg, uint64_t line, const char *subject, const char *text)
{
    struct reading *r = arg;
    if (!r->first_note[0])
        str_fmt(r->first_note, sizeof r->first_note, ":%llu: %s", (unsigned long long)line, text);
    decode_note(r->d, subject, "line %llu: %s", (unsigned long long)line, text);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Only the computers that bear a server's name are read again. */
static enum err read_computers(struct reading *r, const struct ldif_file *f, const struct stop *stop,
                               struct errinfo *ei)
{
    size_t n = decode_servers(r->d);
    const struct ldif_wants wants = {.who = FOR_COMPUTER, .entry = take_computer, .arg = r->d};
    if (!n || !r->computers.n)
        return ERR_OK;
    uint64_t *names = calloc(n, sizeof *names);
    enum err e = names ? ERR_OK : err_set(ei, ERR_NOMEM, NULL, "no memory for the servers' names");
    for (size_t i = 0; !e && i < n; i++) {
        const char *name = decode_server_name(r->d, i);
        names[i] = name_hash(name, strlen(name));
    }
    if (!e)
        qsort(names, n, sizeof *names, by_value);
    for (size_t i = 0; !e && i < r->computers.n; i++) {
        const struct computer *c = &r->computers.v[i];
        if (!bsearch(&c->name_hash, names, n, sizeof *names, by_value))
            continue;
        e = stop_check(stop, ei, r->path);
        if (!e)
            e = ldif_file_entry(f, c->position, &wants, ei);
    }
    free(names);
    return e;
}

static enum err nothing_there(const struct reading *r, const struct ldif_scan *scan, struct errinfo *ei)
{
    const char *hint = "export the configuration partition (ldifde -d \"CN=Configuration,DC=...\" -f FILE)";
    if (!scan->entries)
        return err_set(ei, ERR_INPUT, "is it an LDIF export?", "%s%s", r->path,
                       r->first_note[0] ? r->first_note : ": it holds no entries");
    if (!scan->with_class)
        hint = "export all attributes: no entry has an objectClass";
    return err_set(ei, ERR_INPUT, hint, "%s: no Exchange server among its %llu entries (%llu lines)%s%s",
                   r->path, (unsigned long long)scan->entries, (unsigned long long)scan->lines,
                   r->first_note[0] ? "; line " : "", r->first_note[0] ? r->first_note + 1 : "");
}

enum err ldif_read_org(struct org **out, struct buf *kept, const char *path, const struct stop *stop,
                       struct errinfo *ei)
{
    struct reading r = {.path = path};
    struct ldif_file f = {.fd = -1};
    struct ldif_scan scan = {0};
    char source[512];
    const struct ldif_wants wants = {.who = FOR_ORG | FOR_COMPUTER,
                                     .wanted = CLASSES_OF_ORG | CLASS_COMPUTER,
                                     .entry = take_entry,
                                     .note = take_note,
                                     .arg = &r};
    enum err e = ldif_file_open(&f, path, ei);
    if (!e)
        e = decode_new(&r.d, ei);
    if (!e && kept)
        decode_keep_entries(r.d, DECODE_KEPT_MAX);
    if (!e)
        e = ldif_file_scan(&f, &wants, stop, &scan, ei);
    if (!e && !decode_servers(r.d) && !decode_has_organization(r.d))
        e = nothing_there(&r, &scan, ei);
    if (!e)
        e = read_computers(&r, &f, stop, ei);
    if (e)
        goto out;
    if (scan.cut)
        log_line(LOG_LEVEL_WARNING,
                 "%s:%llu: the file ends in the middle of a line: the last entry may not be whole, others "
                 "may be missing",
                 path, (unsigned long long)scan.lines);
    if (r.too_many)
        decode_note(r.d, NULL, "more computers than are kept: the SPNs of some servers are not known");
    if (!decode_servers(r.d))
        decode_note(r.d, NULL, "the export holds an Exchange organisation without a server");
    str_fmt(source, sizeof source, "ldif:%s", path);
    if (kept)
        decode_take_entries(r.d, kept);
    const struct decode_context context = {.source = source, .taken_at = clock_unix()};
    e = decode_finish(&r.d, &context, out, ei);
out:
    decode_free(&r.d);
    ldif_file_close(&f);
    VEC_FREE(&r.computers);
    return e;
}
