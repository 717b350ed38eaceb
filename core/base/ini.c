#include "core/base/ini.h"

#include "core/base/str.h"

#include <string.h>

#define LINE_MAX_BYTES 8192

static char *trim(char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    for (size_t n = strlen(s); n && (s[n - 1] == ' ' || s[n - 1] == '\t'); n--)
        s[n - 1] = '\0';
    return s;
}

/* Cuts a comment that stands after white space. */
static void cut_comment(char *value)
{
    for (char *p = value; (p = strchr(p, ';')); p++) {
        if (p == value || p[-1] == ' ' || p[-1] == '\t') {
            *p = '\0';
            return;
        }
    }
}

static enum err one_line(char *line, char *section, size_t cap, ini_handler *handler, void *arg,
                         unsigned number, struct errinfo *ei)
{
    char *s = trim(line);
    if (*s == '\0' || *s == ';' || *s == '#')
        return ERR_OK;
    if (*s == '[') {
        char *close = strchr(s, ']');
        if (!close)
            return err_set(ei, ERR_CONFIG, "write [name]", "a section name does not end");
        char *rest = trim(close + 1);
        if (*rest && *rest != ';' && *rest != '#')
            return err_set(ei, ERR_CONFIG, NULL, "something follows the section name");
        *close = '\0';
        if (!str_copy(section, cap, trim(s + 1)) || !*section)
            return err_set(ei, ERR_CONFIG, NULL, "the section name is empty or too long");
        return handler(arg, section, NULL, NULL, number, ei);
    }
    char *eq = strchr(s, '=');
    if (!eq)
        return err_set(ei, ERR_CONFIG, "write key = value", "\"%.60s\" is neither a key nor a section", s);
    *eq = '\0';
    char *key = trim(s), *value = eq + 1;
    cut_comment(value);
    if (!*key)
        return err_set(ei, ERR_CONFIG, "write key = value", "there is no key before the =");
    return handler(arg, section, key, trim(value), number, ei);
}

enum err ini_parse(const char *text, size_t len, const char *name, ini_handler *handler, void *arg,
                   struct errinfo *ei)
{
    char line[LINE_MAX_BYTES], section[256] = "";
    unsigned number = 0;
    enum err e = ERR_OK;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    while (len && !e) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        number++;
        if (n >= sizeof line) {
            e = err_set(ei, ERR_CONFIG, NULL, "the line is longer than %d bytes", LINE_MAX_BYTES - 1);
        } else if (memchr(text, '\0', n) || !utf8_valid(text, n)) {
            e = err_set(ei, ERR_CONFIG, "is this the right file?", "the line is not UTF-8 text");
        } else {
            memcpy(line, text, n);
            line[n && line[n - 1] == '\r' ? n - 1 : n] = '\0';
            e = one_line(line, section, sizeof section, handler, arg, number, ei);
        }
        if (e)
            err_wrap(ei, "%s:%u", name, number);
        n += end != NULL;
        text += n;
        len -= n;
    }
    return e;
}
