#include "tui/widgets/theme.h"

#include "core/base/ini.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/gen/text.h"

#include <string.h>

#define THEME_FILE_MAX 65536u

static const char *const paint_names[] = {
#define X(name, id, help) id,
    PAINT_MAP(X)
#undef X
};

const char *paint_name(enum paint r)
{
    return paint_names[r];
}

static const char *const color_names[16] = {
    "black",        "red",           "green",       "yellow",         "blue",
    "magenta",      "cyan",          "white",       "bright-black",   "bright-red",
    "bright-green", "bright-yellow", "bright-blue", "bright-magenta", "bright-cyan",
    "bright-white",
};

static const struct {
    const char *name;
    unsigned attr;
} attr_names[] = {
    {"bold", STYLE_BOLD},       {"dim", STYLE_DIM},       {"underline", STYLE_UNDERLINE},
    {"reverse", STYLE_REVERSE}, {"italic", STYLE_ITALIC},
};

static bool parse_color(const char *word, int *color)
{
    if (str_ieq(word, "default")) {
        *color = COLOR_DEFAULT;
        return true;
    }
    for (int i = 0; i < 16; i++) {
        if (str_ieq(word, color_names[i])) {
            *color = i;
            return true;
        }
    }
    if (word[0] == '#' && strlen(word) == 7) {
        int rgb = 0;
        for (const char *p = word + 1; *p; p++) {
            int digit;
            if (*p >= '0' && *p <= '9')
                digit = *p - '0';
            else if ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'f')
                digit = (*p | 0x20) - 'a' + 10;
            else
                return false;
            rgb = rgb * 16 + digit;
        }
        *color = COLOR_RGB_FLAG | rgb;
        return true;
    }
    uint64_t index;
    if (!str_to_u64(word, strlen(word), &index) || index > 255)
        return false;
    *color = (int)index;
    return true;
}

static bool parse_attr(const char *word, unsigned *attrs)
{
    for (size_t i = 0; i < ARRAY_LEN(attr_names); i++) {
        if (str_ieq(word, attr_names[i].name)) {
            *attrs |= attr_names[i].attr;
            return true;
        }
    }
    return false;
}

/* Takes the next comma-separated word off *p, trimmed. False at the end. */
static bool next_word(const char **p, char *out, size_t cap)
{
    if (**p == '\0')
        return false;
    const char *end = strchrnul(*p, ',');
    const char *from = *p, *to = end;
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    size_t n = (size_t)(to - from);
    if (n >= cap)
        n = cap - 1;
    memcpy(out, from, n);
    out[n] = '\0';
    *p = *end ? end + 1 : end;
    return true;
}

static bool parse_style(const char *value, struct style *out, char *problem, size_t cap)
{
    struct style s = {COLOR_DEFAULT, COLOR_DEFAULT, 0};
    char word[40];
    int colors = 0;
    while (next_word(&value, word, sizeof word)) {
        int color;
        if (parse_attr(word, &s.attrs))
            continue;
        if (colors < 2 && parse_color(word, &color)) {
            if (colors++ == 0)
                s.fg = color;
            else
                s.bg = color;
            continue;
        }
        str_fmt(problem, cap, colors < 2 ? "'%s' is no colour and no attribute" : "'%s' is no attribute",
                word);
        return false;
    }
    *out = s;
    return true;
}

static enum err handle(void *arg, const char *section, const char *key, const char *value, unsigned line,
                       struct errinfo *ei)
{
    struct theme *t = arg;
    char problem[160];
    (void)line;
    if (section[0] && !str_ieq(section, "theme"))
        return err_set(ei, ERR_CONFIG, "a theme has one section, [theme], or none", "unknown section [%s]",
                       section);
    if (!key)
        return ERR_OK;
    for (int i = 0; i < PAINT_COUNT; i++) {
        if (!str_ieq(key, paint_names[i]))
            continue;
        if (parse_style(value, &t->roles[i], problem, sizeof problem))
            return ERR_OK;
        return err_set(ei, ERR_CONFIG,
                       "a line is ROLE = FOREGROUND[,BACKGROUND][,bold|dim|underline|reverse|italic]", "%s",
                       problem);
    }
    return err_set(ei, ERR_CONFIG, "the default theme names them all: casbridge themes", "unknown role '%s'",
                   key);
}

enum err theme_parse(struct theme *out, const struct theme *base, const char *name, const char *text,
                     struct errinfo *ei)
{
    struct theme t;
    char file[80];
    if (base) {
        t = *base;
    } else {
        for (int i = 0; i < PAINT_COUNT; i++)
            t.roles[i] = (struct style){COLOR_DEFAULT, COLOR_DEFAULT, 0};
    }
    str_show_fixed(t.name, sizeof t.name, name, strlen(name));
    str_fmt(file, sizeof file, "theme %s", t.name);
    enum err e = ini_parse(text, strlen(text), file, handle, &t, ei);
    if (e == ERR_OK)
        *out = t;
    return e;
}

const char *theme_builtin_name(unsigned i)
{
    return i < theme_builtin_count ? theme_builtin[i].name : NULL;
}

static const char *builtin_text(const char *name)
{
    for (unsigned i = 0; i < theme_builtin_count; i++) {
        if (str_ieq(theme_builtin[i].name, name))
            return theme_builtin[i].text;
    }
    return NULL;
}

enum err theme_find_builtin(struct theme *out, const char *name, struct errinfo *ei)
{
    struct theme base;
    const char *def = builtin_text("default");
    if (theme_parse(&base, NULL, "default", def ? def : "", ei) != ERR_OK)
        return err_set(ei, ERR_INTERNAL, NULL, "the theme that was compiled in is broken");
    const char *text = builtin_text(name);
    if (text)
        return theme_parse(out, &base, name, text, ei);
    char names[200] = "";
    for (unsigned i = 0; i < theme_builtin_count; i++) {
        size_t n = strlen(names);
        str_fmt(names + n, sizeof names - n, "%s%s", i ? ", " : "there are: ", theme_builtin[i].name);
    }
    return err_set(ei, ERR_NOTFOUND, names, "there is no theme called '%s'", name);
}

static bool is_plain_name(const char *name)
{
    for (const char *p = name; *p; p++) {
        if (*p == '/' || (unsigned char)*p < 0x20)
            return false;
    }
    return name[0] && name[0] != '.' && strlen(name) < 40;
}

enum err theme_load(struct theme *out, const char *name, struct errinfo *ei)
{
    struct buf path, text;
    buf_init(&path, 4096);
    buf_init(&text, THEME_FILE_MAX);
    char relative[64];
    enum err e = theme_find_builtin(out, "default", ei);
    if (e != ERR_OK || !name || str_ieq(name, "default"))
        goto out;
    if (!is_plain_name(name)) {
        e = err_set(ei, ERR_CONFIG, "a theme is named, not given by path", "'%s' is no name of a theme",
                    name);
        goto out;
    }
    struct theme loaded, base = *out;
    struct errinfo file_error = {.code = ERR_OK};
    str_fmt(relative, sizeof relative, "themes/%s.theme", name);
    if (path_config(&path, relative, &file_error) == ERR_OK &&
        path_read(&text, buf_str(&path), &file_error) == ERR_OK)
        e = theme_parse(&loaded, &base, name, buf_str(&text), ei);
    else if (file_error.code == ERR_LIMIT)
        e = err_set(ei, ERR_CONFIG, "a theme is a few lines", "theme %s: the file is too long", name);
    else
        e = theme_find_builtin(&loaded, name, ei);
    if (e == ERR_OK)
        *out = loaded;
out:
    buf_fini(&path);
    buf_fini(&text);
    return e;
}

/* The 16 colours as most terminals show them, for measuring distance. */
static const unsigned char base_rgb[16][3] = {
    {0, 0, 0},     {205, 0, 0},     {0, 205, 0},     {205, 205, 0},   {0, 0, 238}, {205, 0, 205},
    {0, 205, 205}, {229, 229, 229}, {127, 127, 127}, {255, 0, 0},     {0, 255, 0}, {255, 255, 0},
    {92, 92, 255}, {255, 0, 255},   {0, 255, 255},   {255, 255, 255},
};

static void color_rgb(int color, int rgb[3])
{
    if (color & COLOR_RGB_FLAG) {
        for (int i = 0; i < 3; i++)
            rgb[i] = (color >> (16 - 8 * i)) & 0xff;
    } else if (color < 16) {
        for (int i = 0; i < 3; i++)
            rgb[i] = base_rgb[color][i];
    } else if (color < 232) { /* the 6x6x6 cube */
        int c = color - 16, parts[3] = {c / 36, c / 6 % 6, c % 6};
        for (int i = 0; i < 3; i++)
            rgb[i] = parts[i] ? 55 + 40 * parts[i] : 0;
    } else {
        rgb[0] = rgb[1] = rgb[2] = 8 + 10 * (color - 232);
    }
}

int theme_reduce(int color, int colors)
{
    if (color == COLOR_DEFAULT || colors > 256 || (!(color & COLOR_RGB_FLAG) && color < colors))
        return color;
    /* xterm's cube and greys are alike everywhere, the first 16 are the user's own: with 256 colours only the former are chosen */
    int from = colors >= 256 ? 16 : 0, to = colors >= 256 ? 256 : colors >= 16 ? 16 : 8;
    int want[3], best = from;
    long best_distance = -1;
    color_rgb(color, want);
    for (int i = from; i < to; i++) {
        int have[3];
        color_rgb(i, have);
        long d = 0;
        for (int k = 0; k < 3; k++)
            d += (long)(want[k] - have[k]) * (want[k] - have[k]);
        if (best_distance < 0 || d < best_distance) {
            best_distance = d;
            best = i;
        }
    }
    return best;
}
