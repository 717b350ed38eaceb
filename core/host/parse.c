#include "core/host/host.h"

#include "core/base/str.h"

#include <jansson.h>
#include <string.h>

bool host_parse_build(const char *text, struct version *out)
{
    static const char name[] = "FileVersion";
    for (const char *at = text; (at = strstr(at, name)); at++) {
        const char *from = at + sizeof name - 1;
        while (*from == ' ' || *from == ':' || *from == '"' || *from == '\t')
            from++;
        size_t n = strspn(from, "0123456789.");
        char digits[VERSION_TEXT_SIZE];
        size_t len = 0;
        /* "14.03.0361.001": file versions are written with leading zeros */
        for (size_t i = 0; i < n && len + 1 < sizeof digits; i++) {
            bool first = i == 0 || from[i - 1] == '.';
            if (first && from[i] == '0' && i + 1 < n && from[i + 1] != '.') {
                while (i + 1 < n && from[i] == '0' && from[i + 1] != '.')
                    i++;
            }
            digits[len++] = from[i];
        }
        digits[len] = '\0';
        if (n && version_parse(digits, out) && out->has_revision)
            return true;
    }
    return false;
}

/* Hands the lines to a function one after the other, without their ends. */
typedef void line_fn(void *arg, const char *line, size_t len);

static void each_text_line(const char *text, line_fn *fn, void *arg)
{
    for (const char *s = text; *s;) {
        size_t n = strcspn(s, "\n"), len = n && s[n - 1] == '\r' ? n - 1 : n;
        fn(arg, s, len);
        s += n + (s[n] == '\n');
    }
}

static const char *line_of(const json_t *item)
{
    if (json_is_object(item))
        item = json_object_get(item, "value");
    return json_string_value(item);
}

static void each_json_line(const json_t *list, line_fn *fn, void *arg)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *line = line_of(item);
        if (line)
            each_text_line(line, fn, arg);
    }
}

static void measure(void *arg, const char *line, size_t len)
{
    size_t *longest = arg;
    (void)line;
    if (len > *longest)
        *longest = len;
}

struct joining {
    struct buf *out;
    size_t longest;
};

static void join(void *arg, const char *line, size_t len)
{
    struct joining *j = arg;
    buf_add(j->out, line, len);
    if (len < j->longest)
        buf_addc(j->out, '\n');
}

enum err host_join_lines(struct buf *out, const char *text, bool is_json, struct errinfo *ei)
{
    struct joining j = {.out = out};
    json_t *list = is_json ? json_loads(text, 0, NULL) : NULL;
    if (is_json && !json_is_array(list)) {
        json_decref(list);
        return err_set(ei, ERR_INPUT, NULL, "the server's answer is no list of lines");
    }
    if (is_json) {
        each_json_line(list, measure, &j.longest);
        each_json_line(list, join, &j);
    } else {
        each_text_line(text, measure, &j.longest);
        each_text_line(text, join, &j);
    }
    json_decref(list);
    return out->failed ? err_set(ei, out->failed, NULL, "the server's answer is too long") : ERR_OK;
}
