#include "remoting/psrp_fragment.h"

#include <string.h>
#include <sys/random.h>

#include "core/base/str.h"

enum { FIRST = 1, LAST = 2 };

static uint64_t get_be(const uint8_t *p, int n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | *p++;
    return v;
}

static void put_be(uint8_t *p, int n, uint64_t v)
{
    while (n-- > 0) {
        p[n] = (uint8_t)v;
        v >>= 8;
    }
}

static uint32_t get_le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++, v >>= 8)
        p[i] = (uint8_t)v;
}

/* ---- GUIDs ---- */

/* Where the n-th byte of the text lies on the wire. */
static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

void psrp_guid_text(const struct psrp_guid *g, char out[static PSRP_GUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    char *to = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = digits[g->bytes[order[i]] >> 4];
        *to++ = digits[g->bytes[order[i]] & 15];
    }
    *to = '\0';
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool psrp_guid_parse(struct psrp_guid *g, const char *text, size_t len)
{
    size_t at = 0;
    if (len != PSRP_GUID_TEXT - 1)
        return false;
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && text[at++] != '-')
            return false;
        int high = hex(text[at++]), low = hex(text[at++]);
        if (high < 0 || low < 0)
            return false;
        g->bytes[order[i]] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool psrp_guid_eq(const struct psrp_guid *a, const struct psrp_guid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

enum err psrp_guid_new(struct psrp_guid *g, struct errinfo *ei)
{
    if (getrandom(g->bytes, sizeof g->bytes, 0) != sizeof g->bytes)
        return err_errno(ei, ERR_SYSTEM, NULL, "no random bytes");
    g->bytes[order[6]] = (uint8_t)((g->bytes[order[6]] & 0x0f) | 0x40);
    g->bytes[8] = (uint8_t)((g->bytes[8] & 0x3f) | 0x80);
    return ERR_OK;
}

/* ---- messages ---- */

bool psrp_message_read(struct psrp_message *m, const void *data, size_t len)
{
    const uint8_t *p = data;
    if (len < PSRP_MESSAGE_HEADER)
        return false;
    m->destination = get_le32(p);
    m->type = get_le32(p + 4);
    memcpy(m->pool.bytes, p + 8, 16);
    memcpy(m->pipeline.bytes, p + 24, 16);
    m->data = (const char *)p + PSRP_MESSAGE_HEADER;
    m->len = len - PSRP_MESSAGE_HEADER;
    if (m->len >= 3 && memcmp(m->data, "\xef\xbb\xbf", 3) == 0) {
        m->data += 3;
        m->len -= 3;
    }
    return true;
}

enum err psrp_message_write(struct buf *out, uint32_t type, const struct psrp_guid *pool,
                            const struct psrp_guid *pipeline, const char *data, size_t len)
{
    uint8_t header[PSRP_MESSAGE_HEADER];
    put_le32(header, 2);
    put_le32(header + 4, type);
    memcpy(header + 8, pool->bytes, 16);
    memcpy(header + 24, pipeline->bytes, 16);
    (void)buf_add(out, header, sizeof header);
    return buf_add(out, data, len);
}

/* ---- putting together ---- */

void psrp_joiner_init(struct psrp_joiner *j)
{
    memset(j, 0, sizeof *j);
    for (size_t i = 0; i < PSRP_MAX_OPEN; i++)
        buf_init(&j->open[i].data, PSRP_MAX_OBJECT);
}

void psrp_joiner_fini(struct psrp_joiner *j)
{
    for (size_t i = 0; i < PSRP_MAX_OPEN; i++)
        buf_fini(&j->open[i].data);
}

bool psrp_joiner_is_idle(const struct psrp_joiner *j)
{
    for (size_t i = 0; i < PSRP_MAX_OPEN; i++)
        if (j->open[i].used)
            return false;
    return j->n_header == 0 && j->left == 0;
}

size_t psrp_joiner_memory(const struct psrp_joiner *j)
{
    size_t n = sizeof *j;
    for (size_t i = 0; i < PSRP_MAX_OPEN; i++)
        n += j->open[i].data.cap;
    return n;
}

static struct psrp_open_object *find(struct psrp_joiner *j, bool used, uint64_t id)
{
    for (size_t i = 0; i < PSRP_MAX_OPEN; i++)
        if (j->open[i].used == used && (!used || j->open[i].id == id))
            return &j->open[i];
    return NULL;
}

/* The header at hand: whose fragment is it, and may it be? */
static enum err begin_fragment(struct psrp_joiner *j, struct errinfo *ei)
{
    uint64_t id = get_be(j->header, 8), number = get_be(j->header + 8, 8);
    uint8_t flags = j->header[16];
    uint32_t len = (uint32_t)get_be(j->header + 17, 4);
    struct psrp_open_object *o = find(j, true, id);
    static const char hint[] =
        "does something that is not PowerShell answer there, or does a proxy change the bytes?";
    if (len > PSRP_MAX_FRAGMENT)
        return err_set(ei, ERR_PROTOCOL, hint, "PSRP: a fragment of %u bytes", len);
    if (flags & ~(FIRST | LAST))
        return err_set(ei, ERR_PROTOCOL, hint, "PSRP: a fragment with unknown flags 0x%02x", flags);
    if (flags & FIRST) {
        if (o || number != 0)
            return err_set(ei, ERR_PROTOCOL, hint, "PSRP: object %llu begins %s", (unsigned long long)id,
                           o ? "again before it ended" : "with a fragment that is not its first");
        o = find(j, false, 0);
        if (!o)
            return err_set(ei, ERR_LIMIT, hint, "PSRP: more than %d objects at once", PSRP_MAX_OPEN);
        o->used = true;
        o->id = id;
        o->next = 0;
        buf_reset(&o->data);
    } else if (!o) {
        return err_set(ei, ERR_PROTOCOL, hint, "PSRP: fragment %llu of object %llu, whose first never came",
                       (unsigned long long)number, (unsigned long long)id);
    } else if (number != o->next) {
        return err_set(ei, ERR_PROTOCOL, hint, "PSRP: fragment %llu of object %llu where %llu should be",
                       (unsigned long long)number, (unsigned long long)id, (unsigned long long)o->next);
    }
    if (len > PSRP_MAX_OBJECT - j->held)
        return err_set(ei, ERR_LIMIT, NULL, "PSRP: an object larger than %u MB", PSRP_MAX_OBJECT >> 20);
    o->next++;
    j->at = o;
    j->left = len;
    j->last = flags & LAST;
    return ERR_OK;
}

/* A large object's memory is not kept for the small ones after it. */
static void end_object(struct psrp_joiner *j)
{
    j->held -= j->at->data.len;
    j->at->used = false;
    if (j->at->data.cap > (1u << 20))
        buf_fini(&j->at->data);
}

static enum err take(struct psrp_joiner *j, const uint8_t *p, size_t n, psrp_object_fn *object, void *arg,
                     struct errinfo *ei)
{
    struct buf *data = &j->at->data;
    enum err err = ERR_OK;
    bool whole = j->last && n == j->left && data->len == 0;
    if (!whole && buf_add(data, p, n) != ERR_OK)
        return err_set(ei, data->failed, NULL, "PSRP: no room for an object");
    j->left -= n;
    if (j->left > 0) {
        j->held += n;
        return ERR_OK;
    }
    j->n_header = 0;
    if (!whole)
        j->held += n;
    if (!j->last)
        return ERR_OK;
    /* An object that lies whole before us is handed on where it lies. */
    err = whole ? object(arg, p, n, ei) : object(arg, buf_str(data), data->len, ei);
    end_object(j);
    return err;
}

enum err psrp_joiner_feed(struct psrp_joiner *j, const void *data, size_t len, psrp_object_fn *object,
                          void *arg, struct errinfo *ei)
{
    const uint8_t *p = data;
    enum err err = ERR_OK;
    if (j->broken)
        return err_set(ei, ERR_PROTOCOL, NULL, "PSRP: the stream was broken before");
    while (err == ERR_OK && len > 0) {
        size_t n;
        if (j->n_header < PSRP_FRAGMENT_HEADER) {
            n = PSRP_FRAGMENT_HEADER - j->n_header;
            n = n < len ? n : len;
            memcpy(j->header + j->n_header, p, n);
            j->n_header += n;
            p += n;
            len -= n;
            if (j->n_header < PSRP_FRAGMENT_HEADER)
                break;
            err = begin_fragment(j, ei);
            if (err != ERR_OK || (len == 0 && j->left > 0))
                break;
        }
        n = j->left < len ? (size_t)j->left : len;
        err = take(j, p, n, object, arg, ei);
        p += n;
        len -= n;
    }
    j->broken = err != ERR_OK;
    return err;
}

/* ---- taking apart ---- */

size_t psrp_fragment_write(struct buf *out, uint64_t object, uint64_t number, const void *data, size_t offset,
                           size_t len, size_t max)
{
    uint8_t header[PSRP_FRAGMENT_HEADER];
    ASSERT(max > PSRP_FRAGMENT_HEADER);
    size_t room = max - PSRP_FRAGMENT_HEADER, left = len - offset, n = left < room ? left : room;
    put_be(header, 8, object);
    put_be(header + 8, 8, number);
    header[16] = (uint8_t)((offset == 0 ? FIRST : 0) | (n == left ? LAST : 0));
    put_be(header + 17, 4, n);
    (void)buf_add(out, header, sizeof header);
    (void)buf_add(out, (const char *)data + offset, n);
    return n;
}
