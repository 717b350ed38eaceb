/*
 * Reading a cmdlet's text back. The grammar is what cmdlet_text writes, and no more:
 *
 *   text  = Verb-Noun *( SP "-" Name [ value ] )
 *   value = ( SP | ":" ) ( string *( "," string ) | word *( "," word )
 *                          | "$true" | "$false" | "$null" | integer )
 *
 * At the end the cmdlet is written again and must give the input: whatever this reader might take too kindly
 * is caught there, so a text that passes is one whose meaning to PowerShell was measured.
 */
#include "core/model/cmdlet.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"
#include "core/base/vec.h"

#define NAME_MAX_LEN 128
#define TEXT_MAX_LEN (4 * CMDLET_MAX_VALUE)

struct reader {
    const char *text, *at, *end;
    struct errinfo *ei;
    struct buf scratch;       /* the string being read */
    VEC(const char *) values; /* of one parameter, in the arena */
};

static const char hint_data_only[] =
    "only a cmdlet with literal parameters is taken: -Name 'text', -Name Word, -Name:$true";

static enum err refuse(struct reader *r, const char *why)
{
    char shown[40];
    str_show_fixed(shown, sizeof shown, r->at, (size_t)(r->end - r->at));
    return err_set(r->ei, ERR_INPUT, hint_data_only, "cmdlet text, byte %zu: %s at '%s'",
                   (size_t)(r->at - r->text) + 1, why, shown);
}

static char peek(const struct reader *r)
{
    return r->at < r->end ? *r->at : '\0';
}

static bool take(struct reader *r, const char *s)
{
    size_t len = strlen(s);
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, s, len) != 0)
        return false;
    r->at += len;
    return true;
}

/* At the end of a parameter: the text's end or the space before the next one. */
static bool at_boundary(const struct reader *r)
{
    return r->at == r->end || *r->at == ' ';
}

/* Letters, digits and, where allowed, dashes; copied into out. */
static bool take_name(struct reader *r, bool dashes, char out[static NAME_MAX_LEN])
{
    size_t n = 0;
    while (r->at < r->end && n < NAME_MAX_LEN - 1) {
        char c = *r->at;
        bool ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  (dashes && c == '-');
        if (!ok)
            break;
        out[n++] = c;
        r->at++;
    }
    out[n] = '\0';
    return n > 0 && n < NAME_MAX_LEN - 1;
}

static size_t single_quote(const char *s, size_t len)
{
    uint32_t cp = 0;
    size_t n = utf8_next(s, len, &cp);
    return n > 0 && (cp == 0x27 || (cp >= 0x2018 && cp <= 0x201b)) ? n : 0;
}

static enum err keep(struct reader *r, struct arena *arena, const char *s, size_t len)
{
    const char *copy = arena_strn(arena, s, len);
    if (!copy || !VEC_PUSH(&r->values, CMDLET_MAX_VALUES, copy))
        return err_set(r->ei, ERR_LIMIT, NULL, "cmdlet text: more than %d values or no room",
                       CMDLET_MAX_VALUES);
    return ERR_OK;
}

/* 'text': a quote inside is doubled, by the same character. */
static enum err take_string(struct reader *r, struct arena *arena)
{
    buf_reset(&r->scratch);
    r->at++;
    for (;;) {
        size_t left = (size_t)(r->end - r->at);
        if (left == 0)
            return refuse(r, "a quoted string does not end");
        uint32_t cp = 0;
        size_t n = utf8_next(r->at, left, &cp);
        if (n == 0)
            return refuse(r, "invalid UTF-8");
        if (cp == 0xfffe || cp == 0xffff)
            return refuse(r, "U+FFFE or U+FFFF, which PowerShell cannot carry");
        size_t quote = single_quote(r->at, left);
        if (quote != 0) {
            bool doubled = left >= 2 * quote && memcmp(r->at, r->at + quote, quote) == 0;
            if (!doubled && cp != '\'')
                return refuse(r, "a typographic quote that is not doubled");
            if (!doubled) {
                r->at++;
                return keep(r, arena, buf_str(&r->scratch), r->scratch.len);
            }
            r->at += quote;
        }
        if (buf_add(&r->scratch, r->at, n) != ERR_OK)
            return refuse(r, "a value that is too long");
        r->at += n;
    }
}

static enum err take_list(struct reader *r, struct arena *arena, struct cmdlet_value *out)
{
    bool quoted = peek(r) == '\'';
    enum err err = ERR_OK;
    do {
        char word[NAME_MAX_LEN];
        if ((peek(r) == '\'') != quoted)
            return refuse(r, "a list that mixes words and quoted strings");
        if (quoted)
            err = take_string(r, arena);
        else if (!take_name(r, false, word) || !cmdlet_param_name_is_valid(word))
            return refuse(r, "something that is neither a quoted string nor a word");
        else
            err = keep(r, arena, word, strlen(word));
        if (err != ERR_OK)
            return err;
    } while (take(r, ","));
    if (quoted)
        out->kind = r->values.n > 1 ? CMDLET_LIST : CMDLET_STRING;
    else
        out->kind = r->values.n > 1 ? CMDLET_WORDS : CMDLET_WORD;
    return ERR_OK;
}

static enum err take_variable(struct reader *r, struct cmdlet_value *out)
{
    if (take(r, "$null"))
        out->kind = CMDLET_NULL;
    else if (take(r, "$true"))
        *out = (struct cmdlet_value){.kind = CMDLET_BOOL, .flag = true};
    else if (take(r, "$false"))
        *out = (struct cmdlet_value){.kind = CMDLET_BOOL, .flag = false};
    else
        return refuse(r, "a variable or sub-expression other than $true, $false and $null");
    return ERR_OK;
}

static enum err take_int(struct reader *r, struct cmdlet_value *out)
{
    const char *start = r->at;
    if (peek(r) == '-')
        r->at++;
    while (peek(r) >= '0' && peek(r) <= '9')
        r->at++;
    out->kind = CMDLET_INT;
    if (!str_to_i64(start, (size_t)(r->at - start), &out->number)) {
        r->at = start;
        return refuse(r, "a number out of range");
    }
    return ERR_OK;
}

static enum err add_value(struct reader *r, struct cmdlet *c, const char *param, const struct cmdlet_value *v)
{
    const char *const *s = r->values.v;
    enum err err = ERR_INTERNAL;
    if (cmdlet_param(c, param))
        return refuse(r, "a parameter given twice just before");
    switch (v->kind) {
    case CMDLET_STRING: err = cmdlet_string(c, param, s[0]); break;
    case CMDLET_WORD: err = cmdlet_word(c, param, s[0]); break;
    case CMDLET_WORDS: err = cmdlet_words(c, param, s, r->values.n); break;
    case CMDLET_LIST: err = cmdlet_list(c, param, s, r->values.n); break;
    case CMDLET_BOOL: err = cmdlet_bool(c, param, v->flag); break;
    case CMDLET_NULL: err = cmdlet_null(c, param); break;
    case CMDLET_SWITCH: err = cmdlet_switch(c, param); break;
    case CMDLET_INT: err = cmdlet_int(c, param, v->number); break;
    }
    if (err != ERR_OK)
        return err_set(r->ei, err, NULL, "cmdlet text: too many parameters or values, or no room for them");
    return ERR_OK;
}

static enum err take_param(struct reader *r, struct arena *arena, struct cmdlet *c)
{
    char name[NAME_MAX_LEN];
    struct cmdlet_value value = {.kind = CMDLET_SWITCH};
    r->values.n = 0;
    if (!take(r, " -"))
        return refuse(r, "something else than \" -Parameter\"");
    if (!take_name(r, false, name) || !cmdlet_param_name_is_valid(name))
        return refuse(r, "not a parameter name");
    bool colon = take(r, ":");
    /* A space and a dash begin the next parameter; a negative number comes after a colon. */
    bool has_value = colon || (peek(r) == ' ' && r->end - r->at > 1 && r->at[1] != '-');
    if (has_value) {
        enum err err = ERR_OK;
        if (!colon)
            r->at++;
        bool digit_next = r->end - r->at > 1 && r->at[1] >= '0' && r->at[1] <= '9';
        char first = peek(r);
        if (first == '$')
            err = take_variable(r, &value);
        else if ((first >= '0' && first <= '9') || (first == '-' && digit_next))
            err = take_int(r, &value);
        else
            err = take_list(r, arena, &value);
        if (err != ERR_OK)
            return err;
    }
    if (!at_boundary(r))
        return refuse(r, "something after a value that is more than data");
    return add_value(r, c, name, &value);
}

static enum err same_text(struct reader *r, const struct cmdlet *c)
{
    struct buf again;
    buf_init(&again, TEXT_MAX_LEN);
    enum err err = cmdlet_text(&again, c, r->ei);
    if (err == ERR_OK && strcmp(buf_str(&again), r->text) != 0) {
        err = err_set(r->ei, ERR_INPUT, NULL, "cmdlet text: %s is written in a form casbridge does not use",
                      c->name);
        err_hint(r->ei, "write it so: %s", buf_str(&again));
    }
    buf_fini(&again);
    return err;
}

enum err cmdlet_parse(struct cmdlet *out, struct arena *arena, const char *text, struct errinfo *ei)
{
    char name[NAME_MAX_LEN];
    struct cmdlet c;
    struct reader r = {.text = text, .at = text, .end = text + strnlen(text, TEXT_MAX_LEN + 1), .ei = ei};
    if ((size_t)(r.end - text) > TEXT_MAX_LEN)
        return err_set(ei, ERR_LIMIT, NULL, "cmdlet text is longer than %d bytes", TEXT_MAX_LEN);
    buf_init(&r.scratch, CMDLET_MAX_VALUE);
    enum err err = ERR_OK;
    if (!take_name(&r, true, name) || !cmdlet_name_is_valid(name)) {
        r.at = text;
        err = refuse(&r, "not the name of a cmdlet (Verb-Noun)");
        goto out;
    }
    cmdlet_init(&c, arena, name);
    while (err == ERR_OK && r.at < r.end)
        err = take_param(&r, arena, &c);
    if (err == ERR_OK)
        err = same_text(&r, &c);
    if (err == ERR_OK)
        *out = c;
out:
    buf_fini(&r.scratch);
    VEC_FREE(&r.values);
    return err;
}
