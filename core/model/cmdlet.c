#include "core/model/cmdlet.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/str.h"

static bool is_alpha(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_alnum(char c)
{
    return is_alpha(c) || (c >= '0' && c <= '9');
}

bool cmdlet_param_name_is_valid(const char *name)
{
    if (!name || !is_alpha(name[0]))
        return false;
    for (const char *p = name; *p; p++) {
        if (!is_alnum(*p))
            return false;
    }
    return true;
}

bool cmdlet_name_is_valid(const char *name)
{
    if (!name)
        return false;
    size_t verb = 0;
    while (is_alpha(name[verb]))
        verb++;
    return verb > 0 && name[verb] == '-' && cmdlet_param_name_is_valid(name + verb + 1);
}

void cmdlet_init(struct cmdlet *c, struct arena *arena, const char *name)
{
    ASSERT(cmdlet_name_is_valid(name));
    memset(c, 0, sizeof *c);
    c->arena = arena;
    c->name = arena_str(arena, name);
    if (!c->name)
        c->failed = ERR_LIMIT;
}

static enum err fail(struct cmdlet *c, enum err code)
{
    if (c->failed == ERR_OK)
        c->failed = code;
    return code;
}

/* An arena cannot give memory back, so the array doubles: its capacity follows from how many there are. */
static struct cmdlet_param *grow(struct cmdlet *c)
{
    size_t n = c->n_params;
    if (n != 0 && (n < 8 || (n & (n - 1)) != 0))
        return c->params;
    struct cmdlet_param *bigger = arena_array(c->arena, n == 0 ? 8 : 2 * n, sizeof *bigger);
    if (bigger && n != 0)
        memcpy(bigger, c->params, n * sizeof *bigger);
    return bigger;
}

static enum err add(struct cmdlet *c, const char *param, const struct cmdlet_value *value)
{
    ASSERT(cmdlet_param_name_is_valid(param));
    if (c->failed != ERR_OK)
        return c->failed;
    if (cmdlet_param(c, param))
        return fail(c, ERR_INPUT);
    if (c->n_params == CMDLET_MAX_PARAMS)
        return fail(c, ERR_LIMIT);
    struct cmdlet_param *params = grow(c);
    char *name = arena_str(c->arena, param);
    if (!params || !name)
        return fail(c, ERR_LIMIT);
    c->params = params;
    params[c->n_params++] = (struct cmdlet_param){.name = name, .value = *value};
    return ERR_OK;
}

static enum err add_strings(struct cmdlet *c, const char *param, enum cmdlet_kind kind,
                            const char *const *strings, size_t n)
{
    bool words = kind == CMDLET_WORD || kind == CMDLET_WORDS;
    if (c->failed != ERR_OK)
        return c->failed;
    /* An empty list has no literal; what empties a property is $null. */
    if (n == 0 || !strings)
        return fail(c, ERR_INPUT);
    if (n > CMDLET_MAX_VALUES)
        return fail(c, ERR_LIMIT);
    for (size_t i = 0; i < n; i++) {
        if (!strings[i] || (words && !cmdlet_param_name_is_valid(strings[i])))
            return fail(c, ERR_INPUT);
        if (strnlen(strings[i], CMDLET_MAX_VALUE + 1) > CMDLET_MAX_VALUE)
            return fail(c, ERR_LIMIT);
    }
    struct cmdlet_value value = {.kind = kind, .n = n};
    value.strings = arena_array(c->arena, n, sizeof *value.strings);
    if (!value.strings)
        return fail(c, ERR_LIMIT);
    for (size_t i = 0; i < n; i++) {
        value.strings[i] = arena_str(c->arena, strings[i]);
        if (!value.strings[i])
            return fail(c, ERR_LIMIT);
    }
    return add(c, param, &value);
}

enum err cmdlet_string(struct cmdlet *c, const char *param, const char *value)
{
    return add_strings(c, param, CMDLET_STRING, &value, 1);
}

enum err cmdlet_word(struct cmdlet *c, const char *param, const char *word)
{
    return add_strings(c, param, CMDLET_WORD, &word, 1);
}

enum err cmdlet_words(struct cmdlet *c, const char *param, const char *const *words, size_t n)
{
    return add_strings(c, param, CMDLET_WORDS, words, n);
}

enum err cmdlet_list(struct cmdlet *c, const char *param, const char *const *values, size_t n)
{
    return add_strings(c, param, CMDLET_LIST, values, n);
}

enum err cmdlet_bool(struct cmdlet *c, const char *param, bool value)
{
    return add(c, param, &(struct cmdlet_value){.kind = CMDLET_BOOL, .flag = value});
}

enum err cmdlet_null(struct cmdlet *c, const char *param)
{
    return add(c, param, &(struct cmdlet_value){.kind = CMDLET_NULL});
}

enum err cmdlet_switch(struct cmdlet *c, const char *param)
{
    return add(c, param, &(struct cmdlet_value){.kind = CMDLET_SWITCH});
}

enum err cmdlet_int(struct cmdlet *c, const char *param, int64_t value)
{
    return add(c, param, &(struct cmdlet_value){.kind = CMDLET_INT, .number = value});
}

static enum err copy_param(struct cmdlet *dst, const struct cmdlet_param *p)
{
    switch (p->value.kind) {
    case CMDLET_STRING:
    case CMDLET_WORD:
    case CMDLET_WORDS:
    case CMDLET_LIST: return add_strings(dst, p->name, p->value.kind, p->value.strings, p->value.n);
    case CMDLET_BOOL:
    case CMDLET_NULL:
    case CMDLET_SWITCH:
    case CMDLET_INT: break;
    }
    return add(dst, p->name, &p->value);
}

enum err cmdlet_copy(struct cmdlet *dst, struct arena *arena, const struct cmdlet *src)
{
    if (src->failed != ERR_OK)
        return src->failed;
    struct cmdlet copy;
    cmdlet_init(&copy, arena, src->name);
    for (size_t i = 0; i < src->n_params && copy.failed == ERR_OK; i++)
        (void)copy_param(&copy, &src->params[i]);
    if (copy.failed == ERR_OK)
        *dst = copy;
    return copy.failed;
}

const struct cmdlet_param *cmdlet_param(const struct cmdlet *c, const char *name)
{
    for (size_t i = 0; i < c->n_params; i++) {
        if (str_ieq(c->params[i].name, name))
            return &c->params[i];
    }
    return NULL;
}

/* PowerShell ends a single-quoted string at any of these (its IsSingleQuote), so each is doubled. */
static bool is_single_quote(uint32_t cp)
{
    return cp == 0x27 || (cp >= 0x2018 && cp <= 0x201b);
}

/* ... and takes each of these for a dash (IsDash). */
static bool begins_with_dash(const char *s)
{
    uint32_t cp = 0;
    return utf8_next(s, strlen(s), &cp) > 0 && (cp == '-' || (cp >= 0x2013 && cp <= 0x2015));
}

static enum err bad_value(struct errinfo *ei, const char *why, size_t at, const char *value)
{
    char shown[64];
    str_show_fixed(shown, sizeof shown, value, strlen(value));
    return err_set(ei, ERR_INPUT, "rename the object, or change it on the server by hand",
                   "the value '%s' cannot be sent to PowerShell: byte %zu %s", shown, at + 1, why);
}

enum err cmdlet_quote(struct buf *out, const char *value, struct errinfo *ei)
{
    size_t len = strlen(value);
    size_t next = 0;
    /* Looked through first: nothing may be appended when it cannot be carried whole. */
    for (size_t at = 0; at < len; at += next) {
        uint32_t cp = 0;
        next = utf8_next(value + at, len - at, &cp);
        if (next == 0)
            return bad_value(ei, "is not valid UTF-8", at, value);
        if (cp == 0xfffe || cp == 0xffff)
            return bad_value(ei, "is U+FFFE or U+FFFF, which PowerShell itself cannot carry", at, value);
    }
    (void)buf_addc(out, '\'');
    for (size_t at = 0; at < len; at += next) {
        uint32_t cp = 0;
        next = utf8_next(value + at, len - at, &cp);
        (void)buf_add(out, value + at, next);
        if (is_single_quote(cp))
            (void)buf_add(out, value + at, next);
    }
    (void)buf_addc(out, '\'');
    if (out->failed != ERR_OK)
        return err_set(ei, out->failed, NULL, "the command text is longer than %zu bytes", out->limit);
    return ERR_OK;
}

/* Running out of room shows in out->failed; only a value that cannot travel is an error here. */
static enum err value_text(struct buf *out, const struct cmdlet_value *v, struct errinfo *ei)
{
    bool quoted = v->kind == CMDLET_STRING || v->kind == CMDLET_LIST;
    enum err err = ERR_OK;
    switch (v->kind) {
    case CMDLET_STRING:
    case CMDLET_LIST:
    case CMDLET_WORD:
    case CMDLET_WORDS:
        (void)buf_addc(out, quoted && begins_with_dash(v->strings[0]) ? ':' : ' ');
        for (size_t i = 0; i < v->n && err == ERR_OK; i++) {
            if (i > 0)
                (void)buf_addc(out, ',');
            if (quoted)
                err = cmdlet_quote(out, v->strings[i], ei);
            else
                (void)buf_adds(out, v->strings[i]);
        }
        break;
    case CMDLET_BOOL: (void)buf_adds(out, v->flag ? ":$true" : ":$false"); break;
    case CMDLET_NULL: (void)buf_adds(out, " $null"); break;
    case CMDLET_SWITCH: break;
    /* A negative number after a space could be taken for a parameter. */
    case CMDLET_INT: (void)buf_addf(out, "%c%" PRId64, v->number < 0 ? ':' : ' ', v->number); break;
    }
    return err;
}

enum err cmdlet_text(struct buf *out, const struct cmdlet *c, struct errinfo *ei)
{
    struct buf text;
    enum err err = ERR_OK;
    if (c->failed != ERR_OK)
        return err_set(ei, c->failed, NULL, "%s could not be built: %s", c->name ? c->name : "a cmdlet",
                       c->failed == ERR_LIMIT ? "too long or too many values"
                                              : "a value or parameter is not usable");
    buf_init(&text, out->limit > out->len ? out->limit - out->len : 0);
    (void)buf_adds(&text, c->name);
    for (size_t i = 0; i < c->n_params && err == ERR_OK; i++) {
        const struct cmdlet_param *p = &c->params[i];
        (void)buf_addf(&text, " -%s", p->name);
        err = value_text(&text, &p->value, ei);
        if (err != ERR_OK)
            err_wrap(ei, "%s -%s", c->name, p->name);
    }
    if (err == ERR_OK && text.failed != ERR_OK)
        err = err_set(ei, text.failed, NULL, "%s: the command text is longer than %zu bytes", c->name,
                      text.limit);
    if (err == ERR_OK) {
        err = buf_add(out, text.data, text.len);
        if (err != ERR_OK)
            (void)err_set(ei, err, NULL, "%s: no room for the command text", c->name);
    }
    buf_fini(&text);
    return err;
}
