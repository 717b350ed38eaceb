#include "core/probe/app_wbxml.h"

#include "core/base/str.h"

#include <string.h>

/* Global tokens (WAP-192-WBXML 7.1). */
enum {
    SWITCH_PAGE = 0x00,
    END = 0x01,
    STR_I = 0x03,
    OPAQUE = 0xc3,
    HAS_CONTENT = 0x40,
    HAS_ATTRIBUTES = 0x80
};
enum { VERSION_1_3 = 0x03, PUBLIC_ID_UNKNOWN = 0x01, CHARSET_UTF8 = 0x6a };

/* ---- writing */

void wbxml_begin(struct wbxml_writer *w, struct buf *out)
{
    static const unsigned char head[] = {VERSION_1_3, PUBLIC_ID_UNKNOWN, CHARSET_UTF8, 0};
    *w = (struct wbxml_writer){.out = out};
    buf_add(out, head, sizeof head);
}

static void tag_begin(struct wbxml_writer *w, unsigned page, unsigned tag)
{
    if (page != w->page) {
        buf_addc(w->out, SWITCH_PAGE);
        buf_addc(w->out, (char)page);
        w->page = page;
    }
    buf_addc(w->out, (char)(tag | HAS_CONTENT));
}

void wbxml_open(struct wbxml_writer *w, unsigned page, unsigned tag)
{
    tag_begin(w, page, tag);
}

void wbxml_leaf(struct wbxml_writer *w, unsigned page, unsigned tag, const char *text)
{
    tag_begin(w, page, tag);
    buf_addc(w->out, STR_I);
    buf_add(w->out, text, strlen(text) + 1);
    wbxml_close(w);
}

void wbxml_close(struct wbxml_writer *w)
{
    buf_addc(w->out, END);
}

/* ---- reading */

struct reading {
    const unsigned char *at, *end;
    const struct wbxml_reader *reader;
    unsigned page;
    unsigned path[WBXML_DEPTH_MAX];
    size_t depth, elements;
    char text[WBXML_TEXT_MAX];
    size_t text_len;
    bool root_ended;
};

static enum err cut_short(struct errinfo *ei)
{
    return err_set(ei, ERR_INPUT, NULL, "the WBXML ends too early");
}

/* mb_u_int32: seven bits a byte, the highest says that more follow. */
static enum err get_number(struct reading *r, uint32_t *out, struct errinfo *ei)
{
    uint32_t n = 0;
    for (int i = 0; i < 5; i++) {
        if (r->at == r->end)
            return cut_short(ei);
        unsigned char c = *r->at++;
        if (n > UINT32_MAX >> 7)
            break;
        n = n << 7 | (c & 0x7fu);
        if (!(c & 0x80)) {
            *out = n;
            return ERR_OK;
        }
    }
    return err_set(ei, ERR_INPUT, NULL, "a number in the WBXML is too large");
}

static enum err get_head(struct reading *r, struct errinfo *ei)
{
    uint32_t public_id, charset, table;
    if (r->at == r->end)
        return err_set(ei, ERR_INPUT, NULL, "the answer is empty");
    if (*r->at < 0x01 || *r->at > VERSION_1_3)
        return err_set(ei, ERR_INPUT, NULL, "the answer is no WBXML");
    r->at++;
    enum err e = get_number(r, &public_id, ei);
    if (!e)
        e = get_number(r, &charset, ei);
    if (!e)
        e = get_number(r, &table, ei);
    if (!e && (charset != CHARSET_UTF8 || table != 0))
        e = err_set(ei, ERR_INPUT, NULL, "WBXML, but not as ActiveSync writes it");
    return e;
}

static void add_text(struct reading *r, const void *bytes, size_t len)
{
    size_t room = sizeof r->text - 1 - r->text_len;
    len = len < room ? len : room;
    memcpy(r->text + r->text_len, bytes, len);
    for (size_t i = 0; i < len; i++)
        if (!r->text[r->text_len + i])
            r->text[r->text_len + i] = '?';
    r->text_len += len;
}

static void end_element(struct reading *r)
{
    r->text[r->text_len] = '\0';
    if (r->reader->element)
        r->reader->element(r->reader->arg, r->path, r->depth, r->text, r->text_len);
    r->depth--;
    r->text_len = 0;
    r->root_ended = r->depth == 0;
}

static enum err get_string(struct reading *r, struct errinfo *ei)
{
    const unsigned char *nul = memchr(r->at, '\0', (size_t)(r->end - r->at));
    if (!nul)
        return cut_short(ei);
    add_text(r, r->at, (size_t)(nul - r->at));
    r->at = nul + 1;
    return ERR_OK;
}

static enum err get_opaque(struct reading *r, struct errinfo *ei)
{
    uint32_t n;
    enum err e = get_number(r, &n, ei);
    if (e)
        return e;
    if (n > (size_t)(r->end - r->at))
        return cut_short(ei);
    add_text(r, r->at, n);
    r->at += n;
    return ERR_OK;
}

static enum err begin_element(struct reading *r, unsigned char token, struct errinfo *ei)
{
    if (token & HAS_ATTRIBUTES || (token & 0x3f) < 5)
        return err_set(ei, ERR_INPUT, NULL, "the WBXML has a token that ActiveSync does not use: 0x%02x",
                       token);
    if (r->depth == WBXML_DEPTH_MAX)
        return err_set(ei, ERR_INPUT, NULL, "the WBXML is nested too deep");
    if (++r->elements > WBXML_ELEMENTS_MAX)
        return err_set(ei, ERR_LIMIT, NULL, "the WBXML has too many elements");
    r->path[r->depth++] = WBXML_NAME(r->page, token & 0x3fu);
    r->text_len = 0;
    if (!(token & HAS_CONTENT))
        end_element(r);
    return ERR_OK;
}

static enum err get_body(struct reading *r, struct errinfo *ei)
{
    enum err e = ERR_OK;
    while (!e && r->at < r->end && !r->root_ended) {
        unsigned char token = *r->at++;
        if (token == SWITCH_PAGE) {
            if (r->at == r->end)
                return cut_short(ei);
            r->page = *r->at++;
        } else if (token == END && r->depth) {
            end_element(r);
        } else if (token == STR_I && r->depth) {
            e = get_string(r, ei);
        } else if (token == OPAQUE && r->depth) {
            e = get_opaque(r, ei);
        } else {
            e = begin_element(r, token, ei);
        }
    }
    return e ? e : r->root_ended ? ERR_OK : cut_short(ei);
}

enum err wbxml_read(const void *data, size_t len, const struct wbxml_reader *reader, struct errinfo *ei)
{
    struct reading r = {.at = data, .reader = reader};
    if (len > WBXML_MAX)
        return err_set(ei, ERR_LIMIT, NULL, "the answer is larger than %zu KiB", WBXML_MAX / 1024);
    if (len == 0)
        return err_set(ei, ERR_INPUT, NULL, "the answer is empty");
    r.end = r.at + len;
    enum err e = get_head(&r, ei);
    return e ? e : get_body(&r, ei);
}

/* ---- FolderSync (MS-ASCMD 2.2.1.5) */

void folder_sync_request(struct buf *out)
{
    struct wbxml_writer w;
    wbxml_begin(&w, out);
    wbxml_open(&w, WBXML_FOLDERS, FOLDERS_FOLDER_SYNC);
    wbxml_leaf(&w, WBXML_FOLDERS, FOLDERS_SYNC_KEY, "0"); /* 0: from the beginning */
    wbxml_close(&w);
}

#define FOLDER(tag) WBXML_NAME(WBXML_FOLDERS, FOLDERS_##tag)

struct folder_parse {
    struct folder_sync *out;
    bool is_folder_sync;
};

static void on_element(void *arg, const unsigned *path, size_t n, const char *text, size_t len)
{
    struct folder_parse *p = arg;
    uint64_t status;
    if (path[0] != FOLDER(FOLDER_SYNC))
        return;
    p->is_folder_sync = true;
    if (n == 2 && path[1] == FOLDER(STATUS) && str_to_u64(text, len, &status) && status < 1000)
        p->out->status = (int)status;
    else if (n == 2 && path[1] == FOLDER(SYNC_KEY))
        str_show_fixed(p->out->sync_key, sizeof p->out->sync_key, text, len);
    else if (n == 3 && path[1] == FOLDER(CHANGES) && path[2] == FOLDER(ADD))
        p->out->folders++;
}

enum err folder_sync_parse(struct folder_sync *out, const void *data, size_t len, struct errinfo *ei)
{
    struct folder_sync got = {.status = -1};
    struct folder_parse p = {.out = &got};
    const struct wbxml_reader reader = {on_element, &p};
    enum err e = wbxml_read(data, len, &reader, ei);
    if (!e && !p.is_folder_sync)
        e = err_set(ei, ERR_INPUT, NULL, "WBXML, but no FolderSync answer");
    if (!e && got.status < 0)
        e = err_set(ei, ERR_INPUT, NULL, "a FolderSync answer without Status");
    if (!e)
        *out = got;
    return e;
}
