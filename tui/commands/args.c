#include "tui/commands/args.h"

#include "core/base/str.h"

#include <limits.h>
#include <string.h>

const char *args_nearest(const char *s, const char *const *words, size_t n)
{
    const char *near = NULL;
    size_t best = strlen(s) > 4 ? 3 : 2;
    for (size_t i = 0; i < n; i++) {
        size_t d = str_distance(s, words[i]);
        if (d < best) {
            best = d;
            near = words[i];
        }
    }
    return near;
}

static const struct arg_spec *find(const struct arg_table *tables, size_t n, const char *name, size_t len,
                                   char letter, void **to)
{
    for (size_t t = 0; t < n; t++) {
        for (const struct arg_spec *s = tables[t].specs; s && s->name; s++) {
            if (letter ? s->letter == letter : strlen(s->name) == len && strncmp(s->name, name, len) == 0) {
                *to = tables[t].into ? (char *)tables[t].into + s->offset : NULL;
                return s;
            }
        }
    }
    return NULL;
}

static enum err unknown(const struct arg_table *tables, size_t n, const char *name, size_t len,
                        struct errinfo *ei)
{
    const char *names[256];
    char word[64];
    size_t k = 0;
    for (size_t t = 0; t < n; t++)
        for (const struct arg_spec *s = tables[t].specs; s && s->name && k < ARRAY_LEN(names); s++)
            names[k++] = s->name;
    str_fmt(word, sizeof word, "%.*s", (int)(len < 60 ? len : 60), name);
    const char *near = args_nearest(word, names, k);
    err_set(ei, ERR_USAGE, "see casbridge help", "unknown option --%s", word);
    if (near)
        err_hint(ei, "did you mean --%s?", near);
    return ERR_USAGE;
}

static enum err store(const struct arg_spec *s, void *to, const char *value, struct errinfo *ei)
{
    struct arg_list *list = to;
    uint64_t number;
    switch (s->kind) {
    case ARG_FLAG: *(bool *)to = true; break;
    case ARG_TEXT: *(const char **)to = value; break;
    case ARG_INT:
    case ARG_COUNT:
        if (!str_to_u64(value, strlen(value), &number) || number > INT_MAX)
            return err_set(ei, ERR_USAGE, "a whole number is wanted", "--%s: \"%.40s\" is no number", s->name,
                           value);
        if (s->kind == ARG_COUNT && number == 0)
            return err_set(ei, ERR_USAGE, "leave it out for what help says", "--%s is 1 or more", s->name);
        *(int *)to = (int)number;
        break;
    case ARG_LIST:
        if (list->n == ARG_MAX_VALUES)
            return err_set(ei, ERR_USAGE, NULL, "--%s is given too often", s->name);
        list->v[list->n++] = value;
        break;
    }
    return ERR_OK;
}

enum err args_parse(int argc, const char *const *argv, const struct arg_table *tables, size_t n_tables,
                    struct arg_list *words, const char *const **rest, struct errinfo *ei)
{
    *rest = NULL;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i], *value = NULL;
        const struct arg_spec *s;
        void *to = NULL;
        if (strcmp(a, "--") == 0) {
            *rest = argv + i + 1;
            return ERR_OK;
        }
        if (a[0] != '-' || a[1] == '\0') {
            if (words->n == ARG_MAX_VALUES)
                return err_set(ei, ERR_USAGE, NULL, "too many words");
            words->v[words->n++] = a;
            continue;
        }
        if (a[1] == '-') {
            size_t len = strcspn(a + 2, "=");
            value = a[2 + len] ? a + 2 + len + 1 : NULL;
            s = find(tables, n_tables, a + 2, len, 0, &to);
            if (!s)
                return unknown(tables, n_tables, a + 2, len, ei);
        } else {
            s = find(tables, n_tables, NULL, 0, a[1], &to);
            if (!s)
                return err_set(ei, ERR_USAGE, "see casbridge help", "unknown option %.20s", a);
            value = a[2] ? a + 2 : NULL;
        }
        if (s->kind == ARG_FLAG && value)
            return err_set(ei, ERR_USAGE, NULL, "--%s takes no value", s->name);
        if (s->kind != ARG_FLAG && !value) {
            if (i + 1 == argc)
                return err_set(ei, ERR_USAGE, NULL, "--%s wants a value: %s", s->name, s->value);
            value = argv[++i];
        }
        enum err e = store(s, to, value, ei);
        if (e)
            return e;
    }
    return ERR_OK;
}

const char *args_first_word(int argc, const char *const *argv, const struct arg_spec *specs)
{
    const struct arg_table table = {specs, NULL};
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *a = argv[i];
        void *unused = NULL;
        if (a[0] != '-' || a[1] == '\0')
            return a;
        bool is_long = a[1] == '-', joined = is_long ? strchr(a, '=') != NULL : a[2] != '\0';
        const struct arg_spec *s = is_long ? find(&table, 1, a + 2, strcspn(a + 2, "="), 0, &unused)
                                           : find(&table, 1, NULL, 0, a[1], &unused);
        if (s && s->kind != ARG_FLAG && !joined)
            i++;
    }
    return NULL;
}
