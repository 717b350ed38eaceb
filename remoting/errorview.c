#include "remoting/errorview.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"

#define PART_MAX 1024

void error_list_fini(struct error_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].message);
        free(l->v[i].id);
        free(l->v[i].category);
        free(l->v[i].target);
    }
    VEC_FREE(l);
}

/* How much of a text fits without cutting a character. */
static size_t fitting(const char *s, size_t len, size_t room)
{
    if (len <= room)
        return len;
    while (room > 0 && ((unsigned char)s[room] & 0xc0) == 0x80)
        room--;
    return room;
}

static void add_fitting(struct buf *b, const char *s, size_t len)
{
    (void)buf_add(b, s, fitting(s, len, b->limit - b->len));
}

static bool copy_text(char **out, const char *s)
{
    if (!s || !*s)
        return true;
    *out = strndup(s, fitting(s, strlen(s), ERRORVIEW_MAX_MESSAGE));
    return *out != NULL;
}

enum err error_list_add(struct error_list *l, const char *message, const char *id, const char *category,
                        const char *target)
{
    struct remote_error e = {0};
    if (l->n == ERRORVIEW_MAX_ERRORS)
        return ERR_OK;
    e.message = strndup(message, fitting(message, strlen(message), ERRORVIEW_MAX_MESSAGE));
    bool ok = e.message && copy_text(&e.id, id) && copy_text(&e.category, category) &&
              copy_text(&e.target, target) && VEC_PUSH(l, ERRORVIEW_MAX_ERRORS, e);
    if (!ok) {
        free(e.message);
        free(e.id);
        free(e.category);
        free(e.target);
    }
    return ok ? ERR_OK : ERR_NOMEM;
}

bool errorview_is_present(const char *text)
{
    return strstr(text, "+ FullyQualifiedErrorId") != NULL;
}

static void copy_part(char *out, size_t cap, const char *from, const char *to)
{
    size_t len = to > from ? (size_t)(to - from) : 0;
    if (len >= cap)
        len = cap - 1;
    memcpy(out, from, len);
    out[len] = '\0';
}

void errorview_category(const char *info, char *category, char *target, char *activity, size_t cap)
{
    category[0] = target[0] = activity[0] = '\0';
    const char *colon = strchr(info, ':');
    if (!colon)
        return;
    copy_part(category, cap, info, colon);
    /* The target may hold anything, so its end is the last ") [". */
    const char *open = strchr(colon, '('), *close = NULL;
    for (const char *p = open; p && (p = strstr(p, ") [")); p++)
        close = p;
    if (!close)
        return;
    const char *type = close;
    while (type > open && *type != ':')
        type--;
    copy_part(target, cap, open + 1, type > open ? type : close);
    const char *end = strchr(close + 3, ']');
    if (end)
        copy_part(activity, cap, close + 3, end);
}

/* One error while it is read. */
struct view {
    struct error_list *out;
    struct buf message, category, id;
    struct buf *item; /* the "+ Name : value" being read; NULL: none, or one of no interest */
    size_t last_line; /* where the last line of the message begins */
    size_t width;     /* characters of the last line, 0: none yet */
    bool in_echo, in_items, has_id;
};

static size_t characters(const char *s, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

/* Windows PowerShell wraps at the console's width, 80 or 120 columns: at a blank, which it leaves, or in the
 * middle of a word. */
static bool was_wrapped(const struct view *v)
{
    return v->message.len > 0 && (v->message.data[v->message.len - 1] == ' ' || v->width == 79 ||
                                  v->width == 80 || v->width == 119 || v->width == 120);
}

static void add_message_line(struct view *v, const char *line, size_t len)
{
    if (v->message.len == 0) {
        while (len > 0 && (*line == ' ' || *line == '\t')) {
            line++;
            len--;
        }
    }
    if (len == 0)
        return;
    if (v->message.len > 0 && !was_wrapped(v))
        add_fitting(&v->message, " ", 1);
    v->last_line = v->message.len;
    v->width = characters(line, len);
    add_fitting(&v->message, line, len);
}

/* "At line:5 char:1", whatever it is called there: before the echo of the source, with a number after a
 * colon. */
static void drop_position(struct view *v)
{
    if (v->last_line == 0)
        return;
    for (size_t i = v->last_line; i + 1 < v->message.len; i++) {
        if (v->message.data[i] == ':' && v->message.data[i + 1] >= '0' && v->message.data[i + 1] <= '9') {
            v->message.len = v->last_line;
            v->message.data[v->message.len] = '\0';
            return;
        }
    }
}

static void trim_end(struct buf *b)
{
    while (b->len > 0 && (b->data[b->len - 1] == ' ' || b->data[b->len - 1] == '\t'))
        b->data[--b->len] = '\0';
}

static enum err finish(struct view *v)
{
    char category[PART_MAX], target[PART_MAX], activity[PART_MAX], prefix[PART_MAX + 4];
    enum err err = ERR_OK;
    trim_end(&v->message);
    trim_end(&v->category);
    trim_end(&v->id);
    errorview_category(buf_str(&v->category), category, target, activity, PART_MAX);
    const char *message = buf_str(&v->message);
    str_fmt(prefix, sizeof prefix, "%s : ", activity);
    if (activity[0] && strncmp(message, prefix, strlen(prefix)) == 0)
        message += strlen(prefix);
    if (*message || v->id.len > 0)
        err = error_list_add(v->out, message, buf_str(&v->id), category, target);
    buf_reset(&v->message);
    buf_reset(&v->category);
    buf_reset(&v->id);
    v->item = NULL;
    v->last_line = v->width = 0;
    v->in_echo = v->in_items = v->has_id = false;
    return err;
}

/* "+ Name   : value"; NULL when the line is no such item. */
static const char *item_value(const char *s, size_t len, const char *name)
{
    size_t n = strlen(name);
    if (len < n + 2 || memcmp(s + 2, name, n) != 0)
        return NULL;
    const char *p = s + 2 + n, *end = s + len;
    while (p < end && *p == ' ')
        p++;
    if (p == end || *p != ':')
        return NULL;
    p++;
    return p < end && *p == ' ' ? p + 1 : p;
}

static void plus_line(struct view *v, const char *s, size_t len, size_t indent)
{
    const char *category = item_value(s, len, "CategoryInfo");
    const char *id = item_value(s, len, "FullyQualifiedErrorId");
    if (category || id) {
        const char *value = category ? category : id;
        v->item = category ? &v->category : &v->id;
        v->in_items = true;
        v->has_id = v->has_id || id;
        buf_reset(v->item);
        add_fitting(v->item, value, (size_t)(s + len - value));
        return;
    }
    v->item = NULL;
    if (indent == 0 && !v->in_items) {
        if (!v->in_echo)
            drop_position(v);
        v->in_echo = true;
    }
}

static enum err take_line(struct view *v, const char *line, size_t len)
{
    enum err err = ERR_OK;
    size_t indent = 0;
    while (indent < len && line[indent] == ' ')
        indent++;
    bool blank = indent == len;
    if (!blank && line[indent] == '+' && (indent + 1 == len || line[indent + 1] == ' ')) {
        plus_line(v, line + indent, len - indent, indent);
        return ERR_OK;
    }
    /* A wrapped item goes on after three blanks; the cut itself left one. */
    if (v->in_items && indent == 3 && !blank) {
        if (v->item) {
            trim_end(v->item);
            add_fitting(v->item, line + indent, len - indent);
        }
        return ERR_OK;
    }
    if (v->has_id)
        err = finish(v);
    /* Between the source's echo and the items nothing is part of the message. */
    if (err == ERR_OK && !blank && !v->in_echo && !v->in_items)
        add_message_line(v, line, len);
    return err;
}

enum err errorview_split(struct error_list *out, const char *text)
{
    struct view v = {.out = out};
    enum err err = ERR_OK;
    buf_init(&v.message, ERRORVIEW_MAX_MESSAGE);
    buf_init(&v.category, PART_MAX);
    buf_init(&v.id, PART_MAX);
    while (*text && err == ERR_OK) {
        size_t len = strcspn(text, "\r\n");
        err = take_line(&v, text, len);
        text += len;
        text += strspn(text, "\r");
        if (*text == '\n')
            text++;
    }
    if (err == ERR_OK)
        err = finish(&v);
    buf_fini(&v.message);
    buf_fini(&v.category);
    buf_fini(&v.id);
    return err;
}
