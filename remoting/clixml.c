#include "remoting/clixml.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"

#define MAX_BLOCKS 1000

static const char marker[] = "#< CLIXML";
static const char block_begin[] = "<Objs";
static const char block_end[] = "</Objs>";

void text_list_fini(struct text_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    VEC_FREE(l);
}

enum err text_list_add(struct text_list *l, const char *text)
{
    if (l->n == CLIXML_MAX_LINES)
        return ERR_OK;
    char *copy = strdup(text);
    if (copy && VEC_PUSH(l, CLIXML_MAX_LINES, copy))
        return ERR_OK;
    free(copy);
    return ERR_NOMEM;
}

void note_list_fini(struct note_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].text);
    VEC_FREE(l);
}

enum err note_list_add(struct note_list *l, const char *stream, const char *text)
{
    if (l->n == CLIXML_MAX_LINES)
        return ERR_OK;
    char *copy = strdup(text);
    if (copy && VEC_PUSH(l, CLIXML_MAX_LINES, (struct remote_note){stream, copy}))
        return ERR_OK;
    free(copy);
    return ERR_NOMEM;
}

void clixml_fini(struct clixml *c)
{
    error_list_fini(&c->errors);
    text_list_fini(&c->warnings);
    note_list_fini(&c->notes);
    free(c->plain);
    memset(c, 0, sizeof *c);
}

static void add_utf8(struct buf *out, uint32_t cp)
{
    char s[4];
    size_t n = 0;
    if (cp == 0 || (cp >= 0xd800 && cp <= 0xdfff))
        cp = 0xfffd;
    if (cp < 0x80) {
        s[n++] = (char)cp;
    } else if (cp < 0x800) {
        s[n++] = (char)(0xc0 | (cp >> 6));
        s[n++] = (char)(0x80 | (cp & 0x3f));
    } else {
        if (cp >= 0x10000) {
            s[n++] = (char)(0xf0 | (cp >> 18));
            s[n++] = (char)(0x80 | ((cp >> 12) & 0x3f));
        } else {
            s[n++] = (char)(0xe0 | (cp >> 12));
        }
        s[n++] = (char)(0x80 | ((cp >> 6) & 0x3f));
        s[n++] = (char)(0x80 | (cp & 0x3f));
    }
    (void)buf_add(out, s, n);
}

/* "_xHHHH_" at s; the unit or -1. */
static int32_t escaped_unit(const char *s)
{
    int32_t unit = 0;
    if (s[0] != '_' || s[1] != 'x')
        return -1;
    for (int i = 2; i < 6; i++) {
        char c = s[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return s[6] == '_' ? unit : -1;
}

enum err clixml_unescape(struct buf *out, const char *s)
{
    while (*s) {
        int32_t unit = escaped_unit(s);
        if (unit < 0) {
            (void)buf_addc(out, *s++);
            continue;
        }
        s += 7;
        int32_t low = unit >= 0xd800 && unit <= 0xdbff ? escaped_unit(s) : -1;
        if (low >= 0xdc00 && low <= 0xdfff) {
            s += 7;
            unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
        add_utf8(out, (uint32_t)unit);
    }
    return out->failed;
}

/* ---- the tree ---- */

static bool is_element(const xmlNode *n, const char *name)
{
    return n->type == XML_ELEMENT_NODE && strcmp((const char *)n->name, name) == 0;
}

/* The child element of that name whose attribute N is that; name or n may be NULL: any. */
static xmlNode *child(const xmlNode *parent, const char *name, const char *n)
{
    for (xmlNode *c = parent ? parent->children : NULL; c; c = c->next) {
        if (c->type != XML_ELEMENT_NODE || (name && !is_element(c, name)))
            continue;
        if (!n)
            return c;
        xmlChar *is = xmlGetNoNsProp(c, (const xmlChar *)"N");
        bool same = is && strcmp((const char *)is, n) == 0;
        xmlFree(is);
        if (same)
            return c;
    }
    return NULL;
}

/* The node's own text, unescaped, into b (emptied first). NULL gives "". */
static const char *node_text(struct buf *b, const xmlNode *n)
{
    buf_reset(b);
    xmlChar *raw = n ? xmlNodeGetContent(n) : NULL;
    if (raw && clixml_unescape(b, (const char *)raw) != ERR_OK)
        buf_reset(b);
    xmlFree(raw);
    return buf_str(b);
}

struct reading {
    struct clixml *out;
    struct buf view; /* the lines of S="Error", of all blocks */
    struct buf plain;
};

static const char *without_prefix(const char *s, const char *prefix)
{
    return str_istarts(s, prefix) ? s + strlen(prefix) : s;
}

/* What is neither error nor warning: the stream's name (S="verbose"), a part of its record's, how a console begins its lines. */
static const struct {
    const char *stream, *record, *prefix;
} noted[] = {{"verbose", "VerboseRecord", "VERBOSE: "},
             {"debug", "DebugRecord", "DEBUG: "},
             {"information", "InformationRecord", ""}};

static const char *trimmed(struct buf *text, const char *prefix)
{
    while (text->len > 0 && strchr("\r\n \t", text->data[text->len - 1]))
        text->data[--text->len] = '\0';
    return without_prefix(buf_str(text), prefix);
}

static enum err add_warning(struct reading *r, struct buf *text)
{
    const char *s = trimmed(text, "WARNING: ");
    return *s ? text_list_add(&r->out->warnings, s) : ERR_OK;
}

/* An unknown stream is information. */
static enum err add_note(struct reading *r, struct buf *text, const char *stream, const char *record)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(noted) && !str_ieq(stream, noted[i].stream) && !strstr(record, noted[i].record))
        i++;
    const char *s = trimmed(text, noted[i].prefix);
    return *s ? note_list_add(&r->out->notes, noted[i].stream, s) : ERR_OK;
}

/* An ErrorRecord as a whole (MS-PSRP 2.2.3.15): the exception's message unless the record has details of its
 * own. */
static enum err add_record(struct reading *r, const xmlNode *obj, const xmlNode *members)
{
    struct buf message, id, category, target;
    char kind[256], short_target[256], activity[256];
    enum err err = ERR_OK;
    buf_init(&message, CLIXML_MAX_INPUT);
    buf_init(&id, CLIXML_MAX_INPUT);
    buf_init(&category, CLIXML_MAX_INPUT);
    buf_init(&target, CLIXML_MAX_INPUT);
    xmlNode *exception = child(members, "Obj", "Exception");
    (void)node_text(&message, child(members, "S", "ErrorDetails_Message"));
    if (message.len == 0)
        (void)node_text(&message, child(child(exception, "Props", NULL), "S", "Message"));
    if (message.len == 0)
        (void)node_text(&message, child(obj, "ToString", NULL));
    (void)node_text(&id, child(members, "S", "FullyQualifiedErrorId"));
    errorview_category(node_text(&category, child(members, "S", "ErrorCategory_Message")), kind, short_target,
                       activity, sizeof kind);
    (void)node_text(&target, child(members, "S", "ErrorCategory_TargetName"));
    if (message.len > 0 || id.len > 0)
        err = error_list_add(&r->out->errors, buf_str(&message), buf_str(&id), kind,
                             target.len > 0 ? buf_str(&target) : short_target);
    buf_fini(&message);
    buf_fini(&id);
    buf_fini(&category);
    buf_fini(&target);
    return err;
}

/* A stream of words for people. */
static bool says_something(const char *stream)
{
    return stream && !str_ieq(stream, "error") && !str_ieq(stream, "progress") && !str_ieq(stream, "output");
}

/* An object: a record of errors or of information; anything else (progress) says nothing. */
static enum err add_object(struct reading *r, const xmlNode *obj, const char *stream)
{
    xmlNode *members = child(obj, "MS", NULL);
    xmlNode *said = child(members, "S", "InformationalRecord_Message");
    struct buf text;
    enum err err = ERR_OK;
    if (child(members, "S", "FullyQualifiedErrorId"))
        return add_record(r, obj, members);
    buf_init(&text, CLIXML_MAX_INPUT);
    xmlNode *to_string = child(obj, "ToString", NULL);
    if (!said) /* of an InformationRecord */
        said = child(members, "S", "MessageData");
    if (!said)
        said = child(child(obj, "Props", NULL), "S", "MessageData");
    if (!said && says_something(stream))
        said = to_string;
    if (said) {
        (void)node_text(&text, said);
        xmlNode *type = child(child(obj, "TN", NULL), "T", NULL);
        xmlChar *name = type ? xmlNodeGetContent(type) : NULL;
        const char *record = name ? (const char *)name : "";
        bool warning = str_ieq(stream, "warning") || strstr(record, "WarningRecord");
        err = warning ? add_warning(r, &text) : add_note(r, &text, stream ? stream : "", record);
        xmlFree(name);
    } else if (str_ieq(stream, "error") && to_string) {
        err = error_list_add(&r->out->errors, node_text(&text, to_string), NULL, NULL, NULL);
    }
    buf_fini(&text);
    return err;
}

static enum err add_string(struct reading *r, const xmlNode *n, const char *stream)
{
    struct buf text;
    enum err err = ERR_OK;
    buf_init(&text, CLIXML_MAX_INPUT);
    (void)node_text(&text, n);
    if (str_ieq(stream, "error")) {
        /* A line of the view; the next one must not run into it. */
        (void)buf_add(&r->view, text.data, text.len);
        if (text.len > 0 && text.data[text.len - 1] != '\n')
            (void)buf_addc(&r->view, '\n');
    } else if (str_ieq(stream, "warning")) {
        err = add_warning(r, &text);
    } else if (says_something(stream)) {
        err = add_note(r, &text, stream, "");
    }
    buf_fini(&text);
    return err;
}

static pthread_once_t xml_once = PTHREAD_ONCE_INIT;

/* *ok tells whether the block was CLIXML. */
static enum err read_block(struct reading *r, const char *text, size_t len, bool *ok)
{
    enum err err = ERR_OK;
    /* libxml2's first use must not happen in two threads at once. */
    (void)pthread_once(&xml_once, xmlInitParser);
    xmlDoc *doc = xmlReadMemory(text, (int)len, NULL, "UTF-8",
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    *ok = root && is_element(root, "Objs") && !doc->intSubset;
    for (xmlNode *n = *ok ? root->children : NULL; n && err == ERR_OK; n = n->next) {
        if (n->type != XML_ELEMENT_NODE)
            continue;
        xmlChar *stream = xmlGetNoNsProp(n, (const xmlChar *)"S");
        if (is_element(n, "S"))
            err = add_string(r, n, (const char *)stream);
        else if (is_element(n, "Obj"))
            err = add_object(r, n, (const char *)stream);
        xmlFree(stream);
    }
    xmlFreeDoc(doc);
    return err;
}

static const char *find(const char *from, const char *end, const char *what)
{
    return memmem(from, (size_t)(end - from), what, strlen(what));
}

/* Plain text, without the markers that announced blocks. */
static void add_plain(struct reading *r, const char *s, const char *end)
{
    while (s < end) {
        const char *cut = find(s, end, marker);
        const char *stop = cut ? cut : end;
        (void)buf_add(&r->plain, s, (size_t)(stop - s));
        s = cut ? cut + strlen(marker) : end;
    }
}

static enum err read_all(struct reading *r, const char *text, size_t len)
{
    const char *at = text, *end = text + len;
    for (int blocks = 0; at < end && blocks < MAX_BLOCKS; blocks++) {
        bool ok = false;
        const char *begin = find(at, end, block_begin);
        const char *stop = begin ? find(begin, end, block_end) : NULL;
        if (!stop) {
            r->out->malformed = r->out->malformed || begin;
            break;
        }
        add_plain(r, at, begin);
        stop += strlen(block_end);
        enum err err = read_block(r, begin, (size_t)(stop - begin), &ok);
        if (err != ERR_OK)
            return err;
        if (!ok) {
            r->out->malformed = true;
            (void)buf_add(&r->plain, begin, (size_t)(stop - begin));
        }
        at = stop;
    }
    add_plain(r, at, end);
    return ERR_OK;
}

static enum err keep_plain(struct reading *r)
{
    const char *s = buf_str(&r->plain);
    size_t len = r->plain.len;
    while (len > 0 && strchr(" \t\r\n", s[len - 1]))
        len--;
    while (len > 0 && strchr(" \t\r\n", *s)) {
        s++;
        len--;
    }
    if (len == 0)
        return ERR_OK;
    r->out->plain = strndup(s, len);
    return r->out->plain ? ERR_OK : ERR_NOMEM;
}

enum err clixml_decode(struct clixml *out, const char *text, size_t len)
{
    struct reading r = {.out = out};
    if (len > CLIXML_MAX_INPUT)
        return ERR_LIMIT;
    buf_init(&r.view, 2 * CLIXML_MAX_INPUT);
    buf_init(&r.plain, 2 * CLIXML_MAX_INPUT);
    enum err err = read_all(&r, text, len);
    if (err == ERR_OK)
        err = errorview_split(&out->errors, buf_str(&r.view));
    if (err == ERR_OK)
        err = keep_plain(&r);
    buf_fini(&r.view);
    buf_fini(&r.plain);
    return err;
}
